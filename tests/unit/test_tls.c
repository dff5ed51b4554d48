#include "unit.h"

#include <errno.h>
#include <openssl/err.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "meet.h"
#include "seam.h"
#include "wire/tls_text.h"

static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};

#define FOR_BOTH(version)                                                                         \
	for (size_t i_ = 0, version;                                                              \
	     i_ < LENGTH(versions) &&                                                             \
	     (version = (size_t)versions[i_], meet_teardown(NULL) == 0 && meet_setup(NULL) == 0); \
	     i_++)

static const char *
reason(void)
{
	static char text[TLS_REASON];

	return tls_reason(meet.tls, text);
}

static const char *
described(void)
{
	static char text[TLS_TEXT];

	return tls_describe(meet.tls, text);
}

/* The handshake */

TEST(both_versions_are_spoken)
{
	meet_open(TLS1_3_VERSION);
	assert_string_equal(described(), "TLSv1.3 TLS_AES_256_GCM_SHA384");
	meet_teardown(NULL);
	meet_open(TLS1_2_VERSION);
	assert_memory_equal(described(), "TLSv1.2 ECDHE-ECDSA-", 20);
}

TEST(older_versions_are_refused_with_an_alert)
{
	meet_begin(TLS1_1_VERSION, NULL, NULL);
	SSL_set_cipher_list(meet.peer.ssl, "DEFAULT@SECLEVEL=0");
	assert_int_equal(meet_handshake(), TLS_FAILED);
	assert_string_equal(reason(), "unsupported protocol");
	assert_string_equal(peer_alert(&meet.peer), "protocol version");
}

/* Each costs the server memory or lets a client skip what is checked. */
TEST(there_are_no_tickets_and_no_sessions)
{
	FOR_BOTH(version)
	{
		const SSL_SESSION *session;
		unsigned len;

		meet_open((int)version);
		/* In 1.3 they would come behind the handshake. */
		assert_true(version == TLS1_2_VERSION || meet.tls->sent == 0);
		session = SSL_get_session(meet.peer.ssl);
		assert_int_equal(SSL_SESSION_has_ticket(session), 0);
		SSL_SESSION_get_id(session, &len);
		assert_true(version == TLS1_3_VERSION || len == 0);
	}
}

TEST(a_handshake_goes_on_with_every_single_byte)
{
	FOR_BOTH(version)
	{
		enum tls_outcome outcome = TLS_WANTS_READ;

		meet_begin((int)version, NULL, NULL);
		while (outcome != TLS_OPEN) {
			const char *byte;
			size_t len;

			peer_handshake(&meet.peer);
			while (byte = peer_take(&meet.peer, 1, &len), len == 1) {
				assert_int_equal(outcome, TLS_WANTS_READ);
				assert_int_equal(write(meet.peer.fd, byte, 1), 1);
				outcome = tls_handshake(meet.tls, true);
				assert_int_equal(meet.tls->received, 1);
			}
		}
		assert_true(peer_handshake(&meet.peer));
		assert_false(meet.tls->pending);
	}
}

TEST(a_step_receives_at_most_once_and_only_from_a_readable_socket)
{
	meet_begin(TLS1_3_VERSION, NULL, NULL);
	assert_int_equal(tls_handshake(meet.tls, false), TLS_WANTS_READ);
	assert_int_equal(seam_calls(SEAM_RECV), 0);
	peer_handshake(&meet.peer);
	peer_send(&meet.peer);
	assert_int_equal(tls_handshake(meet.tls, true), TLS_WANTS_READ);
	assert_int_equal(seam_calls(SEAM_RECV), 1);
	assert_true(meet.tls->received > 200 && meet.tls->sent > 500);
}

TEST(an_answer_that_does_not_fit_waits_to_be_written_and_nothing_is_read_meanwhile)
{
	FOR_BOTH(version)
	{
		meet_begin((int)version, NULL, NULL);
		peer_handshake(&meet.peer);
		peer_send(&meet.peer);
		seam_shorten(100);
		assert_int_equal(tls_handshake(meet.tls, true), TLS_WANTS_WRITE);
		while (tls_handshake(meet.tls, false) == TLS_WANTS_WRITE)
			assert_int_equal(meet.tls->sent, 100);
		assert_int_equal(seam_calls(SEAM_RECV), 1);
		seam_reset();
		assert_int_equal(meet_handshake(), TLS_OPEN);
	}
}

/* In 1.2 the server has the last word. */
TEST(a_last_word_that_does_not_fit_is_unsent_when_the_handshake_is_over)
{
	meet_begin(TLS1_2_VERSION, NULL, NULL);
	peer_handshake(&meet.peer);
	peer_send(&meet.peer);
	assert_int_equal(tls_handshake(meet.tls, true), TLS_WANTS_READ);
	peer_handshake(&meet.peer);
	peer_send(&meet.peer);
	seam_shorten(1);
	assert_int_equal(tls_handshake(meet.tls, true), TLS_OPEN);
	assert_true(meet.tls->unsent_len > 0);
	assert_false(peer_handshake(&meet.peer));
	seam_reset();
	assert_int_equal(tls_send(meet.tls, NULL, 0), 0);
	assert_int_equal(meet.tls->unsent_len, 0);
	assert_true(peer_handshake(&meet.peer));
}

TEST(an_end_in_the_handshake_is_one)
{
	meet_begin(TLS1_3_VERSION, NULL, NULL);
	peer_handshake(&meet.peer);
	peer_send(&meet.peer);
	tls_handshake(meet.tls, true);
	shutdown(meet.peer.fd, SHUT_WR);
	assert_int_equal(tls_handshake(meet.tls, true), TLS_FAILED);
	assert_true(meet.tls->eof);
	assert_string_equal(reason(), "closed by the client");
}

TEST(a_socket_that_takes_nothing_any_more_ends_the_handshake)
{
	meet_begin(TLS1_3_VERSION, NULL, NULL);
	peer_handshake(&meet.peer);
	peer_send(&meet.peer);
	seam_fail(SEAM_SEND, 0, SEAM_ALWAYS, EPIPE);
	assert_int_equal(tls_handshake(meet.tls, true), TLS_FAILED);
	assert_false(meet.tls->eof);
	assert_string_equal(reason(), "Broken pipe");
}

TEST(nonsense_is_answered_with_an_alert)
{
	meet_begin(TLS1_3_VERSION, NULL, NULL);
	put_text(meet.peer.fd, "\x16\x03\x01\x01this is no client hello");
	assert_int_equal(tls_handshake(meet.tls, true), TLS_WANTS_READ);
	meet_teardown(NULL);
	meet_begin(TLS1_3_VERSION, NULL, NULL);
	assert_int_equal(write(meet.peer.fd, "\x16\x03\x01\0\x04none", 9), 9);
	assert_int_equal(tls_handshake(meet.tls, true), TLS_FAILED);
	assert_false(meet.tls->eof);
	assert_memory_equal(get_text(meet.peer.fd, NULL), "\x15\x03", 2);
}

TEST(what_follows_the_last_word_of_a_handshake_is_pending)
{
	meet_begin(TLS1_3_VERSION, NULL, NULL);
	peer_handshake(&meet.peer);
	peer_send(&meet.peer);
	tls_handshake(meet.tls, true);
	assert_true(peer_handshake(&meet.peer));
	peer_say(&meet.peer, "hello\n");
	peer_say_end(&meet.peer);
	peer_send(&meet.peer);
	assert_int_equal(tls_handshake(meet.tls, true), TLS_OPEN);
	assert_true(meet.tls->pending);
	seam_reset();
	assert_string_equal(meet_recv(100, NULL), "hello\n");
	assert_true(meet.tls->pending);
	assert_int_equal(tls_recv(meet.tls, NULL, 0), 0);
	assert_false(meet.tls->failed);
}

/* Reading */

TEST(a_record_may_come_byte_by_byte)
{
	FOR_BOTH(version)
	{
		const char *byte;
		size_t len;
		ssize_t n = -1;

		meet_open((int)version);
		peer_say(&meet.peer, "hello\n");
		while (byte = peer_take(&meet.peer, 1, &len), len == 1) {
			assert_int_equal(n, -1);
			assert_int_equal(write(meet.peer.fd, byte, 1), 1);
			errno = 0;
			if (strcmp(meet_recv(100, &n), "hello\n") != 0)
				assert_int_equal(errno, EAGAIN);
			assert_int_equal(meet.tls->received, 1);
			assert_false(meet.tls->pending);
		}
		assert_int_equal(n, 6);
	}
}

TEST(many_records_come_with_one_recv)
{
	FOR_BOTH(version)
	{
		meet_open((int)version);
		for (int i = 0; i < 100; i++)
			peer_say(&meet.peer, "hello\n");
		peer_send(&meet.peer);
		seam_reset();
		assert_int_equal(strlen(meet_recv(65536, NULL)), 600);
		assert_int_equal(seam_calls(SEAM_RECV), 1);
		assert_true(meet.tls->received > 600 + 100 * 21);
		assert_false(meet.tls->pending);
	}
}

TEST(what_finds_no_room_is_pending)
{
	FOR_BOTH(version)
	{
		char line[1001];

		memset(line, 'x', sizeof(line));
		line[1000] = '\0';
		meet_open((int)version);
		peer_tell(&meet.peer, line);
		for (int i = 0; i < 10; i++) {
			assert_int_equal(strlen(meet_recv(100, NULL)), 100);
			assert_true(meet.tls->pending);
		}
		/* That it was the last can only be seen by asking. */
		assert_string_equal(meet_recv(100, NULL), "");
		assert_false(meet.tls->pending);
	}
}

/* Also of records behind the one that is being read, of which SSL_pending tells nothing. */
TEST(whole_records_that_find_no_room_are_pending)
{
	meet_open(TLS1_3_VERSION);
	for (int i = 0; i < 28; i++)
		peer_say(&meet.peer, "a line of 20 letters");
	peer_send(&meet.peer);
	for (int i = 0; i < 28; i++) {
		assert_string_equal(meet_recv(20, NULL), "a line of 20 letters");
		assert_true(meet.tls->pending);
	}
}

TEST(an_end_behind_data_in_one_segment_is_pending)
{
	FOR_BOTH(version)
	{
		meet_open((int)version);
		peer_say(&meet.peer, "hello\n");
		peer_say_end(&meet.peer);
		peer_send(&meet.peer);
		assert_string_equal(meet_recv(100, NULL), "hello\n");
		assert_true(meet.tls->pending);
		seam_reset();
		assert_int_equal(tls_recv(meet.tls, NULL, 0), 0);
		assert_int_equal(seam_calls(SEAM_RECV), 0);
		assert_false(meet.tls->failed || meet.tls->broken || meet.tls->pending);
	}
}

TEST(a_bare_end_of_file_is_no_clean_end_but_the_client_may_still_be_written_to)
{
	FOR_BOTH(version)
	{
		enum peer_end end;
		ssize_t n;

		meet_open((int)version);
		peer_tell(&meet.peer, "hello\n");
		shutdown(meet.peer.fd, SHUT_WR);
		assert_string_equal(meet_recv(100, &n), "hello\n");
		meet_recv(100, &n);
		assert_int_equal(n, 0);
		assert_true(meet.tls->failed);
		assert_false(meet.tls->broken);
		assert_int_equal(meet_send("goodbye\n"), 8);
		assert_true(tls_shut(meet.tls));
		assert_string_equal(peer_hears(&meet.peer, &end), "goodbye\n");
		assert_int_equal(end, PEER_CLOSED);
	}
}

TEST(what_stands_before_a_broken_record_is_read)
{
	FOR_BOTH(version)
	{
		char *data;
		size_t len;
		ssize_t n;

		meet_open((int)version);
		peer_tell(&meet.peer, "hello\n");
		peer_say(&meet.peer, "more\n");
		data = (char *)peer_take(&meet.peer, 1000, &len);
		data[len - 1] ^= 1;
		assert_int_equal(write(meet.peer.fd, data, len), len);
		assert_string_equal(meet_recv(100, NULL), "hello\n");
		assert_true(meet.tls->pending);
		meet_recv(100, &n);
		assert_int_equal(n, 0);
		assert_true(meet.tls->broken);
		assert_string_equal(reason(), "decryption failed or bad record mac");
		/* The library has said so, and says no more. */
		assert_int_equal(meet_send("x"), -1);
		assert_int_equal(errno, EPIPE);
		assert_true(tls_shut(meet.tls));
		peer_hears(&meet.peer, NULL);
		assert_string_equal(peer_alert(&meet.peer), "bad record mac");
	}
}

TEST(a_recv_that_fails_is_skipped)
{
	static const int errors[] = {EAGAIN, EINTR, ENOBUFS, ECONNRESET};

	meet_open(TLS1_3_VERSION);
	peer_tell(&meet.peer, "hello\n");
	for (size_t i = 0; i < LENGTH(errors); i++) {
		ssize_t n;

		seam_fail(SEAM_RECV, 0, 1, errors[i]);
		meet_recv(100, &n);
		assert_int_equal(n, -1);
		assert_false(meet.tls->pending || meet.tls->failed);
	}
	assert_string_equal(meet_recv(100, NULL), "hello\n");
}

/* The library's queue of errors is one for all connections. */
TEST(errors_of_others_are_not_taken_for_ones_own)
{
	FOR_BOTH(version)
	{
		meet_begin((int)version, NULL, NULL);
		ERR_raise(ERR_LIB_SSL, SSL_R_BAD_WRITE_RETRY);
		assert_int_equal(tls_handshake(meet.tls, true), TLS_WANTS_READ);
		assert_int_equal(meet_handshake(), TLS_OPEN);
		ERR_raise(ERR_LIB_SSL, SSL_R_BAD_WRITE_RETRY);
		assert_int_equal(tls_recv(meet.tls, (char[1]){0}, 1), -1);
		assert_false(meet.tls->failed);
		assert_int_equal(ERR_peek_error(), 0);
		ERR_raise(ERR_LIB_SSL, SSL_R_BAD_WRITE_RETRY);
		assert_int_equal(meet_send("hello\n"), 6);
	}
}

#define TLS_TEST(name) cmocka_unit_test_setup_teardown(name, meet_setup, meet_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TLS_TEST(both_versions_are_spoken),
	    TLS_TEST(older_versions_are_refused_with_an_alert),
	    TLS_TEST(there_are_no_tickets_and_no_sessions),
	    TLS_TEST(a_handshake_goes_on_with_every_single_byte),
	    TLS_TEST(a_step_receives_at_most_once_and_only_from_a_readable_socket),
	    TLS_TEST(an_answer_that_does_not_fit_waits_to_be_written_and_nothing_is_read_meanwhile),
	    TLS_TEST(a_last_word_that_does_not_fit_is_unsent_when_the_handshake_is_over),
	    TLS_TEST(an_end_in_the_handshake_is_one),
	    TLS_TEST(a_socket_that_takes_nothing_any_more_ends_the_handshake),
	    TLS_TEST(nonsense_is_answered_with_an_alert),
	    TLS_TEST(what_follows_the_last_word_of_a_handshake_is_pending),
	    TLS_TEST(a_record_may_come_byte_by_byte),
	    TLS_TEST(many_records_come_with_one_recv),
	    TLS_TEST(what_finds_no_room_is_pending),
	    TLS_TEST(whole_records_that_find_no_room_are_pending),
	    TLS_TEST(an_end_behind_data_in_one_segment_is_pending),
	    TLS_TEST(a_bare_end_of_file_is_no_clean_end_but_the_client_may_still_be_written_to),
	    TLS_TEST(what_stands_before_a_broken_record_is_read),
	    TLS_TEST(a_recv_that_fails_is_skipped),
	    TLS_TEST(errors_of_others_are_not_taken_for_ones_own),
	};

	return cmocka_run_group_tests_name("tls", tests, meet_certs, meet_no_certs);
}
