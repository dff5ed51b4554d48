#include "unit.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "meet.h"
#include "seam.h"
#include "wire/tls_text.h"

static char letters[40001];

static int
setup(void **state)
{
	for (size_t i = 0; i < sizeof(letters) - 1; i++)
		letters[i] = (char)('a' + i % 26);
	return meet_setup(state);
}

/* Sends all letters from the first on, as the writer of a client does, while the peer reads. */
static void
send_letters(void)
{
	size_t len = sizeof(letters) - 1, sent = 0, heard = 0;

	for (int i = 0; heard < len; i++) {
		struct iovec iov = {.iov_base = letters + sent, .iov_len = len - sent};
		ssize_t n = tls_send(meet.tls, &iov, sent < len);
		const char *text;

		assert_true(i < 100000);
		if (n < 0)
			assert_int_equal(errno, EAGAIN);
		else
			sent += (size_t)n;
		text = peer_hears(&meet.peer, NULL);
		assert_memory_equal(text, letters + heard, strlen(text));
		heard += strlen(text);
	}
	assert_int_equal(meet.tls->unsent_len, 0);
}

TEST(spans_leave_as_one_record)
{
	struct iovec iov[] = {
	    {.iov_base = letters, .iov_len = 3},
	    {.iov_base = letters + 10, .iov_len = 5},
	    {.iov_base = letters + 20, .iov_len = 1},
	};

	meet_open(TLS1_3_VERSION);
	assert_int_equal(tls_send(meet.tls, iov, LENGTH(iov)), 9);
	assert_int_equal(meet.tls->sent, 9 + 22);
	assert_int_equal(seam_calls(SEAM_SEND), 2); /* one in the handshake */
	assert_string_equal(peer_hears(&meet.peer, NULL), "abcklmnou");
}

TEST(a_record_is_no_longer_than_a_record_may_be)
{
	struct iovec iov[] = {
	    {.iov_base = letters, .iov_len = 10000},
	    {.iov_base = letters + 10000, .iov_len = 10000},
	};

	meet_open(TLS1_3_VERSION);
	assert_int_equal(tls_send(meet.tls, iov, 2), TLS_RECORD);
	iov[0].iov_len = TLS_RECORD + 1;
	assert_int_equal(tls_send(meet.tls, iov, 2), TLS_RECORD);
	iov[0].iov_len = TLS_RECORD;
	assert_int_equal(tls_send(meet.tls, iov, 1), TLS_RECORD);
	iov[0].iov_len = TLS_RECORD - 1;
	assert_int_equal(tls_send(meet.tls, iov, 1), TLS_RECORD - 1);
	assert_int_equal(strlen(peer_hears(&meet.peer, NULL)), 4 * TLS_RECORD - 1);
}

TEST(nothing_to_send_sends_nothing)
{
	meet_open(TLS1_3_VERSION);
	assert_int_equal(tls_send(meet.tls, NULL, 0), 0);
	assert_int_equal(meet.tls->sent, 0);
}

/* A record is on its way as a whole: the socket gets the rest before anything else. */
TEST(what_the_socket_does_not_take_is_unsent)
{
	meet_open(TLS1_3_VERSION);
	seam_shorten(10);
	assert_int_equal(meet_send("hello\n"), 6);
	assert_int_equal(meet.tls->sent, 10);
	assert_int_equal(meet.tls->unsent_len, 6 + 22 - 10);
	assert_true(meet.tls->full);
	assert_int_equal(meet_send("more\n"), -1);
	assert_int_equal(errno, EAGAIN);
	assert_int_equal(meet.tls->sent, 10);
	seam_reset();
	assert_int_equal(meet_send("more\n"), 5);
	assert_int_equal(meet.tls->sent, 8 + 5 + 22);
	assert_string_equal(peer_hears(&meet.peer, NULL), "hello\nmore\n");
}

TEST(everything_arrives_through_a_small_buffer)
{
	int size = 4096;

	meet_open(TLS1_3_VERSION);
	setsockopt(meet.fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	send_letters();
}

TEST(everything_arrives_in_pieces_of_any_size)
{
	for (size_t max = 1; max < 20000; max = max * 5 + 2) {
		meet_teardown(NULL);
		setup(NULL);
		meet_open(max % 2 == 0 ? TLS1_2_VERSION : TLS1_3_VERSION);
		seam_shorten(max);
		send_letters();
	}
}

TEST(a_send_that_fails_for_now_loses_nothing)
{
	static const int errors[] = {EAGAIN, EINTR, ENOBUFS, ENOMEM};

	meet_open(TLS1_3_VERSION);
	for (size_t i = 0; i < LENGTH(errors); i++) {
		seam_fail(SEAM_SEND, 0, 1, errors[i]);
		assert_int_equal(meet_send("hello\n"), 6);
		assert_int_equal(meet.tls->sent, 0);
		assert_true(meet.tls->full);
		seam_fail(SEAM_SEND, 0, 1, errors[i]);
		assert_int_equal(meet_send("more\n"), -1);
		assert_int_equal(errno, errors[i]);
		assert_int_equal(meet_send("more\n"), 5);
		assert_string_equal(peer_hears(&meet.peer, NULL), "hello\nmore\n");
	}
}

/* The record stays where it is, in the library, until it is offered again. */
TEST(memory_that_is_refused_for_what_is_unsent_loses_nothing)
{
	for (size_t max = 1; max < 30; max += 9) {
		meet_teardown(NULL);
		setup(NULL);
		meet_open(TLS1_3_VERSION);
		seam_shorten(max);
		seam_fail(SEAM_MEMORY, 0, 3, ENOMEM);
		for (int i = 0; meet_send("hello\n") != 6; i++)
			assert_true(i < 10);
		seam_reset();
		assert_int_equal(meet_send("more\n"), 5);
		assert_string_equal(peer_hears(&meet.peer, NULL), "hello\nmore\n");
	}
}

/* The client is read to its end, also if it wants answers, which go nowhere. */
TEST(a_client_that_takes_nothing_any_more_is_still_read)
{
	static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};

	for (size_t i = 0; i < LENGTH(versions); i++) {
		ssize_t n;

		meet_teardown(NULL);
		setup(NULL);
		meet_open(versions[i]);
		seam_shorten(10);
		meet_send("waits\n");
		seam_fail(SEAM_SEND, 0, SEAM_ALWAYS, EPIPE);
		assert_int_equal(meet_send("lost\n"), -1);
		assert_int_equal(errno, EPIPE);
		assert_int_equal(meet.tls->unsent_len, 0);
		if (versions[i] == TLS1_3_VERSION)
			peer_update_keys(&meet.peer, 1);
		peer_say(&meet.peer, "my last words\n");
		peer_say_end(&meet.peer);
		peer_send(&meet.peer);
		assert_string_equal(meet_recv(100, NULL), "my last words\n");
		meet_recv(100, &n);
		assert_int_equal(n, 0);
		assert_false(meet.tls->failed);
		assert_int_equal(tls_send(meet.tls, NULL, 0), -1);
		assert_int_equal(errno, EPIPE);
	}
}

TEST(an_answer_that_finds_the_socket_closed_does_not_keep_from_reading)
{
	meet_open(TLS1_3_VERSION);
	seam_fail(SEAM_SEND, 0, SEAM_ALWAYS, EPIPE);
	for (int i = 0; i < 4; i++) {
		peer_update_keys(&meet.peer, 2);
		peer_say(&meet.peer, "hello\n");
		peer_send(&meet.peer);
		assert_string_equal(meet_recv(100, NULL), "hello\n");
		assert_false(meet.tls->failed);
	}
	assert_int_equal(meet_send("x"), -1);
	assert_int_equal(errno, EPIPE);
}

/* The end */

TEST(an_end_that_was_said_comes_behind_everything)
{
	enum peer_end end;

	meet_open(TLS1_3_VERSION);
	seam_shorten(10);
	meet_send("hello\n");
	assert_false(tls_shut(meet.tls));
	seam_reset();
	assert_int_equal(tls_send(meet.tls, NULL, 0), 0);
	assert_true(tls_shut(meet.tls));
	shutdown(meet.fd, SHUT_WR);
	assert_string_equal(peer_hears(&meet.peer, &end), "hello\n");
	assert_int_equal(end, PEER_CLOSED);
}

TEST(without_it_the_end_is_a_cut)
{
	enum peer_end end;

	meet_open(TLS1_3_VERSION);
	meet_send("hello\n");
	shutdown(meet.fd, SHUT_WR);
	assert_string_equal(peer_hears(&meet.peer, &end), "hello\n");
	assert_int_equal(end, PEER_CUT);
}

TEST(before_the_handshake_there_is_no_end_to_say)
{
	meet_begin(TLS1_3_VERSION, NULL, NULL);
	assert_true(tls_shut(meet.tls));
	assert_int_equal(meet.tls->sent, 0);
}

/* Keys */

TEST(a_client_may_update_its_keys_32_times_in_one_recv_and_no_more_often)
{
	char text[TLS_REASON];
	enum peer_end end;

	meet_open(TLS1_3_VERSION);
	for (int i = 0; i < 3; i++) {
		peer_update_keys(&meet.peer, TLS_REQUESTS);
		peer_tell(&meet.peer, "hello\n");
		assert_string_equal(meet_recv(100, NULL), "hello\n");
		assert_false(meet.tls->failed || meet.tls->pending);
		assert_int_equal(meet_send("hello\n"), 6);
		assert_string_equal(peer_hears(&meet.peer, NULL), "hello\n");
	}
	peer_update_keys(&meet.peer, TLS_REQUESTS + 1);
	peer_send(&meet.peer);
	meet_recv(100, NULL);
	assert_true(meet.tls->broken && meet.tls->closed);
	assert_string_equal(tls_reason(meet.tls, text), "too many key updates");
	/* It can be told so. */
	assert_int_equal(meet_send("goodbye\n"), 8);
	assert_true(tls_shut(meet.tls));
	assert_string_equal(peer_hears(&meet.peer, &end), "goodbye\n");
	assert_int_equal(end, PEER_CLOSED);
}

TEST(keys_may_be_updated_while_a_record_waits)
{
	meet_open(TLS1_3_VERSION);
	seam_shorten(10);
	meet_send("hello\n");
	peer_update_keys(&meet.peer, 2);
	peer_tell(&meet.peer, "me too\n");
	assert_string_equal(meet_recv(100, NULL), "me too\n");
	seam_reset();
	assert_int_equal(meet_send("more\n"), 5);
	assert_string_equal(peer_hears(&meet.peer, NULL), "hello\nmore\n");
}

TEST(who_takes_no_answers_is_not_read_until_it_does)
{
	int times = 0;

	meet_open(TLS1_3_VERSION);
	seam_fail(SEAM_SEND, 0, SEAM_ALWAYS, EAGAIN);
	while (!meet.tls->blocked) {
		assert_true(++times < 1000);
		peer_update_keys(&meet.peer, TLS_REQUESTS);
		peer_say(&meet.peer, "hello\n");
		peer_send(&meet.peer);
		meet_recv(100, NULL);
		assert_true(meet.tls->unsent_len <= TLS_UNSENT);
		assert_false(meet.tls->failed);
	}
	assert_true(meet.tls->unsent_len > TLS_UNSENT - 100);
	assert_false(meet.tls->pending);
	/* Asking does not help. */
	peer_tell(&meet.peer, "not yet\n");
	assert_string_equal(meet_recv(100, NULL), "");
	assert_int_equal(errno, EAGAIN);
	assert_true(meet.tls->blocked);
	seam_reset();
	assert_int_equal(tls_send(meet.tls, NULL, 0), 0);
	tls_unblock(meet.tls);
	assert_true(meet.tls->pending);
	assert_non_null(strstr(meet_recv(100, NULL), "hello\n"));
	peer_tell(&meet.peer, "now\n");
	assert_non_null(strstr(meet_recv_all(), "now\n"));
	assert_int_equal(meet_send("welcome back\n"), 13);
	assert_string_equal(peer_hears(&meet.peer, NULL), "welcome back\n");
}

TEST(who_is_not_read_any_more_is_neither_pending_nor_blocked)
{
	meet_open(TLS1_3_VERSION);
	peer_tell(&meet.peer, "hello\n");
	meet_recv(2, NULL);
	assert_true(meet.tls->pending);
	tls_stop_reading(meet.tls);
	assert_false(meet.tls->pending || meet.tls->blocked);
}

/* Memory */

TEST(a_connection_that_memory_is_refused_for_is_none)
{
	struct tls_context *context = cert_context("server", NULL, TLS_CLIENTS_ANY);

	seam_fail(SEAM_MEMORY, 0, 1, ENOMEM);
	assert_null(tls_new(context, 0));
	tls_context_free(context);
	tls_free(NULL);
}

#define SEND_TEST(name) cmocka_unit_test_setup_teardown(name, setup, meet_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    SEND_TEST(spans_leave_as_one_record),
	    SEND_TEST(a_record_is_no_longer_than_a_record_may_be),
	    SEND_TEST(nothing_to_send_sends_nothing),
	    SEND_TEST(what_the_socket_does_not_take_is_unsent),
	    SEND_TEST(everything_arrives_through_a_small_buffer),
	    SEND_TEST(everything_arrives_in_pieces_of_any_size),
	    SEND_TEST(a_send_that_fails_for_now_loses_nothing),
	    SEND_TEST(memory_that_is_refused_for_what_is_unsent_loses_nothing),
	    SEND_TEST(a_client_that_takes_nothing_any_more_is_still_read),
	    SEND_TEST(an_answer_that_finds_the_socket_closed_does_not_keep_from_reading),
	    SEND_TEST(an_end_that_was_said_comes_behind_everything),
	    SEND_TEST(without_it_the_end_is_a_cut),
	    SEND_TEST(before_the_handshake_there_is_no_end_to_say),
	    SEND_TEST(a_client_may_update_its_keys_32_times_in_one_recv_and_no_more_often),
	    SEND_TEST(keys_may_be_updated_while_a_record_waits),
	    SEND_TEST(who_takes_no_answers_is_not_read_until_it_does),
	    SEND_TEST(who_is_not_read_any_more_is_neither_pending_nor_blocked),
	    SEND_TEST(a_connection_that_memory_is_refused_for_is_none),
	};

	return cmocka_run_group_tests_name("tls_send", tests, meet_certs, meet_no_certs);
}
