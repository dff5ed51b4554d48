/* The lobby: who waits there, for how long, and who makes room. */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "seam.h"
#include "tls_party.h"

#define ANY "192.0.2.1"

static struct lobby *const lobby = &party.chat.lobby;

/* So many silent newcomers of their own sockets' far ends only, beside the guests. */
static int crowd[1000];
static int crowd_size;

static void
add_crowd(int count)
{
	for (int i = 0; i < count; i++) {
		struct addr addr;
		int pair[2];

		make_pair(pair);
		assert_int_equal(addr_parse(&addr, "198.51.100.7"), 0);
		seam_pass_at(party.now);
		admission_receive(&party.chat.admission, pair[1], &addr, true);
		crowd[crowd_size++] = pair[0];
	}
}

/* Each says the first byte of a hello, and no more. */
static void
crowd_begins(void)
{
	for (int i = 0; i < crowd_size; i++)
		put_text(crowd[i], "\x16");
	party_settle();
}

static int
setup(void **state)
{
	crowd_size = 0;
	return tls_party_setup(state);
}

static int
teardown(void **state)
{
	int result = tls_party_teardown(state);

	while (crowd_size > 0)
		close(crowd[--crowd_size]);
	return result;
}

TEST(a_newcomer_waits_and_hears_nothing_until_its_handshake_is_over)
{
	struct guest *plain = party_join(ANY), *secure = tls_party_greet(ANY, TLS1_3_VERSION);

	assert_true(tls_party_waits(secure));
	assert_false(tls_party_has_begun(secure));
	party_say(plain, "too early\n");
	party_pass();
	assert_true(tls_party_has_begun(secure));
	assert_int_equal(lobby->count, 1);
	assert_int_equal(lobby->count_begun, 1);
	tls_party_finish(secure);
	assert_int_equal(lobby->count + lobby->count_begun, 0);
	assert_false(tls_party_waits(secure));
	party_say(plain, "hello\n");
	party_settle();
	tls_party_expect(secure, "hello\n");
	tls_party_say(secure, "hello yourself\n");
	party_settle();
	party_expect(plain, "hello yourself\n");
}

/* Limits */

TEST(who_waits_counts_for_limits_clients)
{
	struct guest *a, *b;

	tls_party_configure("limits = { clients = 2; };");
	a = tls_party_knock(ANY);
	b = tls_party_knock(ANY);
	assert_true(admission_is_full(&party.chat.admission));
	assert_true(tls_party_waits(a) && tls_party_waits(b));
	party_log();
	/* Nobody is old enough to make room. */
	party.now += LOBBY_HALF_OPEN - 1;
	assert_false(tls_party_waits(tls_party_knock(ANY)));
	assert_non_null(strstr(party_log(), "refused: too many clients, at most 2\n"));
}

TEST(a_refusal_is_an_alert)
{
	struct guest *guest;
	bool closed;

	tls_party_configure("limits = { clients = 1; };");
	party_join(ANY);
	guest = tls_party_knock(ANY);
	party_settle();
	assert_memory_equal(party_hears(guest, &closed), "\x15\x03\x03\0\x02\x02\x31", 7);
	assert_true(closed);
	guest = tls_party_greet(ANY, TLS1_3_VERSION);
	assert_false(peer_handshake(tls_party_peer(guest)));
	assert_string_equal(peer_alert(tls_party_peer(guest)), "access denied");
}

TEST(the_oldest_makes_room_once_it_is_half_a_second_old)
{
	struct guest *a, *b, *c;

	tls_party_configure("limits = { clients = 2; };");
	a = tls_party_knock(ANY);
	party.now += 1;
	b = tls_party_knock(ANY);
	party.now += LOBBY_HALF_OPEN - 1;
	party_log();
	c = tls_party_knock(ANY);
	assert_string_equal(
	    party_log(), "192.0.2.1:1 refused: no TLS handshake so far, and others wait\n");
	assert_false(tls_party_waits(a));
	assert_true(tls_party_waits(b) && tls_party_waits(c));
	assert_int_equal(lobby->count, 2);
	/* A plain one finds room in the same way. */
	party.now += 1;
	party_pass();
	assert_false(is_open(a->sd));
}

/* Of those whose handshake has begun and those who are silent. */
TEST(the_oldest_may_have_begun_or_not)
{
	struct guest *a, *b;

	tls_party_configure("limits = { clients = 2; };");
	a = tls_party_greet(ANY, TLS1_3_VERSION);
	party_pass();
	assert_true(tls_party_has_begun(a));
	party.now += 1;
	b = tls_party_knock(ANY);
	party.now += LOBBY_HALF_OPEN;
	assert_true(tls_party_waits(tls_party_knock(ANY)));
	assert_false(tls_party_waits(a));
	assert_true(tls_party_waits(tls_party_knock(ANY)));
	assert_false(tls_party_waits(b));
	assert_false(tls_party_waits(tls_party_knock(ANY)));
}

TEST(a_client_that_is_in_makes_no_room)
{
	struct guest *in;

	tls_party_configure("limits = { clients = 1; };");
	in = tls_party_join(TLS1_3_VERSION);
	party.now += 10 * CLOCK_SECOND;
	assert_false(tls_party_waits(tls_party_knock(ANY)));
	assert_true(party_has(in));
}

TEST(who_waits_counts_for_its_address_and_makes_room_for_the_same_only)
{
	struct guest *a, *b, *other;

	tls_party_configure("limits = { clients_per_address = 2; };");
	other = tls_party_knock("192.0.2.2");
	a = tls_party_knock(ANY);
	b = tls_party_greet(ANY, TLS1_2_VERSION);
	party_pass();
	party_log();
	assert_false(tls_party_waits(tls_party_knock(ANY)));
	assert_non_null(
	    strstr(party_log(), "refused: too many clients from this address, at most 2\n"));
	party.now += LOBBY_HALF_OPEN;
	assert_true(tls_party_waits(tls_party_knock(ANY)));
	assert_false(tls_party_waits(a));
	assert_true(tls_party_waits(b) && tls_party_waits(other));
}

/* Time */

TEST(a_handshake_that_takes_too_long_is_given_up)
{
	struct guest *silent, *begun;

	tls_party_configure("limits = { handshake = 3; };");
	silent = tls_party_knock(ANY);
	party.now += CLOCK_SECOND;
	begun = tls_party_greet(ANY, TLS1_3_VERSION);
	party_pass();
	party_log();
	party.now += 2 * CLOCK_SECOND - 1;
	assert_int_equal(party_expire(), party.now + 1);
	assert_true(tls_party_waits(silent));
	party.now += 1;
	assert_int_equal(party_expire(), party.now + CLOCK_SECOND);
	assert_false(tls_party_waits(silent) || is_open(silent->sd));
	party.now += CLOCK_SECOND - 1;
	party_expire();
	assert_true(tls_party_waits(begun));
	party.now += 1;
	assert_int_equal(party_expire(), CLOCK_NEVER);
	assert_false(tls_party_waits(begun) || is_open(begun->sd));
	assert_string_equal(party_log(),
	    "192.0.2.1:1 refused: no TLS handshake within 3 seconds\n"
	    "192.0.2.1:2 refused: no TLS handshake within 3 seconds\n");
}

TEST(who_is_in_has_no_deadline_of_a_handshake)
{
	struct guest *guest = tls_party_join(TLS1_3_VERSION);

	party.now += 1000 * CLOCK_SECOND;
	assert_int_equal(party_expire(), CLOCK_NEVER);
	assert_true(party_has(guest));
}

TEST(many_are_late_at_once)
{
	int before;

	party_pass();
	before = open_descriptors();
	add_crowd(200);
	crowd_begins();
	party.now += 10 * CLOCK_SECOND;
	party_expire();
	assert_int_equal(lobby->count + lobby->count_begun, 0);
	assert_int_equal(open_descriptors(), before + 200);
}

/* At most LOBBY_BEGUN handshakes are under way */

TEST(no_more_than_128_handshakes_are_under_way_and_the_next_one_waits)
{
	struct guest *next;

	add_crowd(LOBBY_BEGUN - 1);
	crowd_begins();
	assert_int_equal(lobby->count_begun, LOBBY_BEGUN - 1);
	/* One more begins. */
	next = tls_party_greet(ANY, TLS1_3_VERSION);
	party_pass();
	assert_true(tls_party_has_begun(next));
	next = tls_party_greet(ANY, TLS1_3_VERSION);
	party_pass();
	assert_int_equal(lobby->count_begun, LOBBY_BEGUN);
	assert_false(tls_party_has_begun(next));
	/* Nobody looks whether it is readable, so that nothing spins. */
	assert_false(party_pass());
	assert_true(lobby->silent_class.hold_readers);
	assert_int_equal(party_expire(), party.now + LOBBY_HALF_OPEN);
	/* A place becomes free. */
	close(crowd[0]);
	crowd[0] = -1;
	party_pass();
	party_pass();
	assert_true(tls_party_has_begun(next));
	tls_party_finish(next);
}

TEST(after_half_a_second_the_oldest_handshake_makes_room_for_the_next)
{
	struct guest *next;

	add_crowd(LOBBY_BEGUN);
	crowd_begins();
	next = tls_party_greet(ANY, TLS1_3_VERSION);
	party.now += LOBBY_HALF_OPEN - 1;
	party_settle();
	assert_false(tls_party_has_begun(next));
	party_log();
	party.now += 1;
	party_expire();
	party_pass();
	assert_true(tls_party_has_begun(next));
	assert_int_equal(lobby->count_begun, LOBBY_BEGUN);
	assert_non_null(strstr(party_log(), "refused: no TLS handshake so far, and others wait\n"));
	tls_party_finish(next);
}

TEST(while_nobody_waits_for_a_place_nothing_is_due_for_it)
{
	add_crowd(LOBBY_BEGUN);
	crowd_begins();
	assert_int_equal(party_expire(), party.now + 10 * CLOCK_SECOND);
}

/* A reload, and the end */

TEST(a_reload_refuses_newcomers_who_are_not_allowed_any_more)
{
	struct guest *a = tls_party_knock(ANY), *b = tls_party_greet(ANY, TLS1_3_VERSION);
	struct guest *c = tls_party_knock("192.0.2.2");

	party_pass();
	party_log();
	tls_party_configure("deny = [ \"192.0.2.1\" ];");
	party_expire();
	assert_false(tls_party_waits(a) || tls_party_waits(b));
	assert_true(tls_party_waits(c));
	assert_false(is_open(a->sd) || is_open(b->sd));
	assert_string_equal(party_log(), "192.0.2.1:1 refused: address not allowed\n"
					 "192.0.2.1:2 refused: address not allowed\n");
}

TEST(a_reload_changes_the_deadline_of_those_who_wait)
{
	struct guest *guest = tls_party_knock(ANY);

	party.now += 2 * CLOCK_SECOND;
	tls_party_configure("limits = { handshake = 1; };");
	party_expire();
	assert_false(tls_party_waits(guest));
}

/* Of those who are drained each takes the lowest number that is free: above the lobby's. */
TEST(a_listener_that_goes_is_drained_with_room_above_the_lobby)
{
	struct acceptor *acceptor = &party.chat.acceptor;
	struct addr addr;
	char text[200];
	int pair[2], high;

	snprintf(text, sizeof(text), "listen = [ \"%s\" ];", in_folder("listener"));
	tls_party_configure(text);
	assert_int_equal(acceptor_open(acceptor, party.config, NULL, NULL, 0), 0);
	make_pair(pair);
	high = fcntl(pair[1], F_DUPFD_CLOEXEC, 900);
	close(pair[1]);
	assert_true(high >= 900);
	assert_int_equal(addr_parse(&addr, ANY), 0);
	assert_true(admission_receive(&party.chat.admission, high, &addr, true));
	acceptor_drain(acceptor);
	assert_true(acceptor->class.readers.words * NFDBITS > (size_t)high + SOMAXCONN);
	close(pair[0]);
}

TEST(at_the_end_of_the_server_all_newcomers_go)
{
	struct guest *a = tls_party_knock(ANY), *b = tls_party_greet(ANY, TLS1_3_VERSION);

	party_pass();
	lobby_clear(lobby);
	assert_int_equal(lobby->count + lobby->count_begun, 0);
	assert_false(is_open(a->sd) || is_open(b->sd));
}

/* Memory */

TEST(refused_memory_refuses_the_newcomer)
{
	struct guest *guest;
	int before, refused = 0;

	for (unsigned long i = 0; i < 30; i++) {
		before = open_descriptors();
		seam_fail(SEAM_MEMORY, i, 1, ENOMEM);
		guest = tls_party_knock(ANY);
		if (!tls_party_waits(guest)) {
			refused++;
			party_settle();
			assert_false(is_open(guest->sd));
			assert_memory_equal(
			    party_hears(guest, NULL), "\x15\x03\x03\0\x02\x02\x31", 7);
			assert_int_equal(open_descriptors(), before + 1);
		}
		seam_reset();
	}
	assert_true(refused > 5 && refused < 30);
}

TEST(refused_memory_for_a_handshake_refuses_the_newcomer)
{
	struct guest *guest = tls_party_greet(ANY, TLS1_3_VERSION);

	seam_fail(SEAM_MEMORY, 0, 1, ENOMEM);
	party_pass();
	assert_false(tls_party_waits(guest) || is_open(guest->sd));
	assert_non_null(strstr(party_log(), "192.0.2.1:1 refused: Cannot allocate memory\n"));
}

#define LOBBY_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    LOBBY_TEST(a_newcomer_waits_and_hears_nothing_until_its_handshake_is_over),
	    LOBBY_TEST(who_waits_counts_for_limits_clients),
	    LOBBY_TEST(a_refusal_is_an_alert),
	    LOBBY_TEST(the_oldest_makes_room_once_it_is_half_a_second_old),
	    LOBBY_TEST(the_oldest_may_have_begun_or_not),
	    LOBBY_TEST(a_client_that_is_in_makes_no_room),
	    LOBBY_TEST(who_waits_counts_for_its_address_and_makes_room_for_the_same_only),
	    LOBBY_TEST(a_handshake_that_takes_too_long_is_given_up),
	    LOBBY_TEST(who_is_in_has_no_deadline_of_a_handshake),
	    LOBBY_TEST(many_are_late_at_once),
	    LOBBY_TEST(no_more_than_128_handshakes_are_under_way_and_the_next_one_waits),
	    LOBBY_TEST(after_half_a_second_the_oldest_handshake_makes_room_for_the_next),
	    LOBBY_TEST(while_nobody_waits_for_a_place_nothing_is_due_for_it),
	    LOBBY_TEST(a_reload_refuses_newcomers_who_are_not_allowed_any_more),
	    LOBBY_TEST(a_reload_changes_the_deadline_of_those_who_wait),
	    LOBBY_TEST(a_listener_that_goes_is_drained_with_room_above_the_lobby),
	    LOBBY_TEST(at_the_end_of_the_server_all_newcomers_go),
	    LOBBY_TEST(refused_memory_refuses_the_newcomer),
	    LOBBY_TEST(refused_memory_for_a_handshake_refuses_the_newcomer),
	};

	return cmocka_run_group_tests_name("lobby", tests, tls_party_certs, tls_party_no_certs);
}
