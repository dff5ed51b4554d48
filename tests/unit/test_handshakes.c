/* Handshakes: their order, their slice of time, and what ends them. */
#include "unit.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "seam.h"
#include "tls_party.h"

#define ANY "192.0.2.1"

static struct lobby *const lobby = &party.chat.lobby;

static int
count_begun(struct guest *const *guests, int count)
{
	int begun = 0;

	for (int i = 0; i < count; i++)
		begun += tls_party_has_begun(guests[i]);
	return begun;
}

/* The slice of a pass */

TEST(new_handshakes_begin_in_order_for_a_millisecond_in_each_pass)
{
	struct guest *guests[12];

	for (size_t i = 0; i < LENGTH(guests); i++)
		guests[i] = tls_party_greet(ANY, TLS1_3_VERSION);
	/* Each look at the clock finds it 300 microseconds later. */
	seam_set_step(300);
	for (int begun = 0; begun < (int)LENGTH(guests); begun += 4) {
		assert_int_equal(count_begun(guests, begun), begun);
		assert_int_equal(count_begun(guests, LENGTH(guests)), begun);
		party_pass();
	}
	assert_int_equal(count_begun(guests, LENGTH(guests)), LENGTH(guests));
}

TEST(one_begins_in_each_pass_however_long_it_takes)
{
	struct guest *guests[3];

	for (size_t i = 0; i < LENGTH(guests); i++)
		guests[i] = tls_party_greet(ANY, TLS1_3_VERSION);
	seam_set_step(CLOCK_SECOND);
	for (int i = 1; i <= (int)LENGTH(guests); i++) {
		party_pass();
		assert_int_equal(count_begun(guests, LENGTH(guests)), i);
	}
}

/* What costs much may follow any byte of the hello, so these have a slice as well. */
TEST(handshakes_that_have_begun_go_on_in_order_for_a_millisecond_in_each_pass)
{
	struct guest *guests[8];
	struct peer *peers[LENGTH(guests)];

	for (size_t i = 0; i < LENGTH(guests); i++) {
		const char *byte;
		size_t len;

		guests[i] = tls_party_knock(ANY);
		peers[i] = tls_party_peer(guests[i]);
		peer_open(peers[i], guests[i]->fd, TLS1_3_VERSION, NULL);
		peer_handshake(peers[i]);
		byte = peer_take(peers[i], 1, &len);
		assert_int_equal(write(guests[i]->fd, byte, 1), 1);
	}
	party_settle();
	for (size_t i = 0; i < LENGTH(guests); i++) {
		size_t len;
		const char *rest = peer_take(peers[i], 10000, &len);

		assert_true(tls_party_has_begun(guests[i]));
		assert_int_equal(write(guests[i]->fd, rest, len), len);
	}
	seam_set_step(600);
	for (int pass = 0; pass < 4; pass++) {
		party_pass();
		for (int i = 0; i < (int)LENGTH(guests); i++)
			assert_true((recv(guests[i]->fd, &(char){0}, 1, MSG_PEEK) == 1) ==
				    (i < 2 * (pass + 1)));
	}
	seam_reset();
	for (size_t i = 0; i < LENGTH(guests); i++)
		tls_party_finish(guests[i]);
}

/* Both have their own: those who are slow on purpose keep no newcomer out. */
TEST(those_who_have_begun_do_not_use_up_the_time_of_new_ones)
{
	struct guest *slow[4], *next;

	for (size_t i = 0; i < LENGTH(slow); i++) {
		slow[i] = tls_party_knock(ANY);
		put_text(slow[i]->fd, "\x16");
	}
	party_settle();
	for (size_t i = 0; i < LENGTH(slow); i++)
		put_text(slow[i]->fd, "\x03");
	next = tls_party_greet(ANY, TLS1_3_VERSION);
	seam_set_step(600);
	party_pass();
	assert_true(tls_party_has_begun(next));
}

/* What it is about */

TEST(who_speaks_something_else_is_told_in_plain_text)
{
	static const char *const words[] = {"hello\n", "GET / HTTP/1.1\r\n", "\x15\x03", "\x80"};

	for (size_t i = 0; i < LENGTH(words); i++) {
		struct guest *guest = tls_party_knock(ANY);

		put_text(guest->fd, words[i]);
		party_settle();
		party_expect_last(guest, "chatd: this port wants TLS\n");
		assert_false(tls_party_waits(guest));
		assert_non_null(strstr(party_log(), "refused: TLS: it spoke something else\n"));
	}
}

TEST(who_closes_before_it_has_said_anything_is_not_worth_a_line)
{
	struct guest *silent = tls_party_knock(ANY), *begun = tls_party_greet(ANY, TLS1_3_VERSION);

	party_pass();
	party_log();
	party_leave(silent);
	shutdown(begun->fd, SHUT_WR);
	party_settle();
	assert_false(tls_party_waits(silent) || tls_party_waits(begun));
	assert_null(strstr(party_log(), "refused"));
	assert_false(is_open(silent->sd) || is_open(begun->sd));
}

TEST(a_handshake_that_fails_is_refused_with_the_alert_of_the_library)
{
	struct guest *guest = tls_party_greet(ANY, TLS1_1_VERSION);
	struct peer *peer = tls_party_peer(guest);

	/* The hello was not even made. */
	peer_free(peer);
	peer_open(peer, guest->fd, TLS1_1_VERSION, NULL);
	SSL_set_cipher_list(peer->ssl, "DEFAULT@SECLEVEL=0");
	peer_handshake(peer);
	peer_send(peer);
	party_settle();
	assert_false(peer_handshake(peer));
	assert_string_equal(peer_alert(peer), "protocol version");
	assert_non_null(strstr(party_log(), "192.0.2.1:1 refused: TLS: unsupported protocol\n"));
}

TEST(a_look_at_the_first_byte_that_fails_is_skipped_and_many_rest)
{
	struct guest *guest = tls_party_greet(ANY, TLS1_3_VERSION);

	seam_fail(SEAM_RECV, 0, SEAM_ALWAYS, ENOMEM);
	for (int i = 0; i < BACKOFF_REFUSALS; i++) {
		assert_false(backoff_rests(&lobby->kernel));
		party_pass();
	}
	assert_true(backoff_rests(&lobby->kernel));
	party_expire();
	assert_false(party_pass());
	party.now += BACKOFF_REST;
	seam_reset();
	party_expire();
	tls_party_finish(guest);
}

TEST(an_answer_that_does_not_fit_is_written_when_there_is_room)
{
	struct guest *guest = tls_party_knock(ANY);
	struct peer *peer = tls_party_peer(guest);
	const char *hello;
	size_t len;

	peer_open(peer, guest->fd, TLS1_2_VERSION, NULL);
	peer_handshake(peer);
	hello = peer_take(peer, 50, &len);
	assert_int_equal(write(guest->fd, hello, len), len);
	party_pass();
	assert_true(fdset_has(&lobby->begun_class.readers, guest->sd));
	peer_send(peer);
	seam_shorten(200);
	party_pass();
	assert_true(fdset_has(&lobby->begun_class.writers, guest->sd));
	assert_false(fdset_has(&lobby->begun_class.readers, guest->sd));
	/* More from the client changes nothing: it would be a loop at full speed. */
	put_text(guest->fd, "x");
	seam_fail(SEAM_SEND, 0, SEAM_ALWAYS, EAGAIN);
	party_pass();
	assert_int_equal(lobby->begun_class.ready, 0);
	seam_reset();
	party_settle();
	assert_true(fdset_has(&lobby->begun_class.readers, guest->sd) || !tls_party_waits(guest));
}

TEST(the_last_word_of_the_server_that_does_not_fit_follows)
{
	struct guest *guest = tls_party_greet(ANY, TLS1_2_VERSION);
	struct peer *peer = tls_party_peer(guest);

	party_pass();
	peer_handshake(peer);
	peer_send(peer);
	seam_shorten(1);
	party_pass();
	assert_true(party_has(guest));
	assert_false(peer_handshake(peer));
	seam_reset();
	party_settle();
	assert_true(peer_handshake(peer));
}

TEST(what_comes_with_the_last_word_of_a_handshake_is_heard_in_the_next_pass)
{
	struct guest *other = tls_party_join(TLS1_3_VERSION);
	struct guest *guest = tls_party_greet(ANY, TLS1_3_VERSION);
	struct peer *peer = tls_party_peer(guest);

	party_pass();
	assert_true(peer_handshake(peer));
	peer_say(peer, "in a hurry\n");
	peer_say_end(peer);
	peer_send(peer);
	party_settle();
	tls_party_expect(other, "in a hurry\n");
	assert_false(party_has(guest) || is_open(guest->sd));
}

TEST(the_trace_tells_of_handshakes_in_bytes_on_the_wire)
{
	struct guest *guest = tls_party_greet(ANY, TLS1_3_VERSION);
	const char *trace;

	party_pass();
	trace = party_trace();
	assert_memory_equal(trace, "New incoming connection on sd A\n", 32);
	assert_non_null(strstr(trace, "Descriptor A is readable\n"));
	assert_non_null(strstr(trace, " bytes received from sd A\n"));
	party_leave(guest);
	party_settle();
	trace = party_trace();
	assert_non_null(
	    strstr(trace, "Connection closed for sd A\nremoving connection with sd A \n"));
}

TEST(refused_memory_for_a_member_refuses_the_newcomer)
{
	struct guest *guest = tls_party_greet(ANY, TLS1_3_VERSION);

	party_pass();
	peer_handshake(tls_party_peer(guest));
	peer_send(tls_party_peer(guest));
	seam_fail(SEAM_MEMORY, 0, SEAM_ALWAYS, ENOMEM);
	party_pass();
	seam_reset();
	assert_false(tls_party_waits(guest) || party_has(guest));
	party_settle();
	assert_false(is_open(guest->sd));
}

#define HANDSHAKE_TEST(name) \
	cmocka_unit_test_setup_teardown(name, tls_party_setup, tls_party_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    HANDSHAKE_TEST(new_handshakes_begin_in_order_for_a_millisecond_in_each_pass),
	    HANDSHAKE_TEST(one_begins_in_each_pass_however_long_it_takes),
	    HANDSHAKE_TEST(
		handshakes_that_have_begun_go_on_in_order_for_a_millisecond_in_each_pass),
	    HANDSHAKE_TEST(those_who_have_begun_do_not_use_up_the_time_of_new_ones),
	    HANDSHAKE_TEST(who_speaks_something_else_is_told_in_plain_text),
	    HANDSHAKE_TEST(who_closes_before_it_has_said_anything_is_not_worth_a_line),
	    HANDSHAKE_TEST(a_handshake_that_fails_is_refused_with_the_alert_of_the_library),
	    HANDSHAKE_TEST(a_look_at_the_first_byte_that_fails_is_skipped_and_many_rest),
	    HANDSHAKE_TEST(an_answer_that_does_not_fit_is_written_when_there_is_room),
	    HANDSHAKE_TEST(the_last_word_of_the_server_that_does_not_fit_follows),
	    HANDSHAKE_TEST(what_comes_with_the_last_word_of_a_handshake_is_heard_in_the_next_pass),
	    HANDSHAKE_TEST(the_trace_tells_of_handshakes_in_bytes_on_the_wire),
	    HANDSHAKE_TEST(refused_memory_for_a_member_refuses_the_newcomer),
	};

	return cmocka_run_group_tests_name(
	    "handshakes", tests, tls_party_certs, tls_party_no_certs);
}
