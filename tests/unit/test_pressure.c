#include "unit.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/param.h>
#include <sys/socket.h>
#include <unistd.h>

#include "party.h"
#include "seam.h"

#define SECOND CLOCK_SECOND

/* The limit */

TEST(as_much_as_the_limit_may_wait_and_one_byte_more_holds_the_pool)
{
	struct guest *a = party_join(NULL);

	party_join(NULL);
	party_configure("limits = { queue = 2000; };");
	party_speak(a, 1999);
	assert_false(party_holds());
	party_speak(a, 1);
	assert_false(party_holds());
	party_speak(a, 1);
	assert_true(party_holds());
}

TEST(a_held_pool_reads_nobody_and_the_senders_wait_in_their_sockets)
{
	struct guest *a = party_join(NULL), *b = party_join(NULL);

	party_configure("limits = { queue = 2000; };");
	party_speak(a, 2001);
	party_trace();
	party_say(a, "waits\n");
	party_say(b, "waits\n");
	seam_reset();
	party_receive(a);
	party_receive(b);
	assert_int_equal(seam_calls(SEAM_RECV), 0);
	assert_string_equal(party_trace(), "");
	assert_false(party_asks(a) || party_asks(b));
	party_settle();
	assert_int_equal(strlen(party_hears(b, NULL)), 2001 + 6);
	assert_string_equal(party_hears(a, NULL), "waits\n");
}

/* A held pool with c as the slow reader, who is written to only by party_write_some. */
static void
hold(struct guest **a, struct guest **b, struct guest **c)
{
	*a = party_join(NULL);
	*b = party_join(NULL);
	*c = party_join(NULL);
	party_configure("limits = { queue = 2000; };");
	party_speak(*a, 2001);
	party_write(*b);
	party_hears(*b, NULL);
	party_trace();
	assert_true(party_holds());
}

/* A pass in which the kernel takes nothing for anybody. */
static void
pass_without_writes(void)
{
	seam_fail(SEAM_SEND, 0, SEAM_ALWAYS, EAGAIN);
	party_pass();
	seam_reset();
	/* Refusals are not what this is about. */
	for (int i = 0; i < party.count; i++)
		if (party_has(&party.guests[i]))
			party_conn(&party.guests[i])->refusals = 0;
}

TEST(whoever_is_parked_is_asked_again_when_there_is_room_for_a_step_and_not_before)
{
	struct guest *a, *b, *c;

	hold(&a, &b, &c);
	party_say(a, "waits\n");
	pass_without_writes();
	assert_false(party_asks(a));
	assert_true(party_asks(b) && party_asks(c));
	/* A quarter of so small a limit is a step. */
	party_write_some(c, 500);
	pass_without_writes();
	assert_false(party_asks(a));
	assert_string_equal(party_trace(), "");
	party_write_some(c, 1);
	pass_without_writes();
	assert_true(party_asks(a) && party_holds());
	assert_string_equal(
	    party_trace(), "Descriptor A is readable\n6 bytes received from sd A\n");
	party_write(b);
	party_expect(b, "waits\n");
}

TEST(a_step_is_16384_bytes_where_the_limit_is_large)
{
	struct guest *a = party_join(NULL), *b = party_join(NULL);

	party_configure("limits = { queue = 200000; line = 60000; };");
	for (int i = 0; i < 4; i++)
		party_speak(a, 50001);
	assert_true(party_holds());
	/* 200004 bytes wait. */
	party_write_some(b, 16387);
	party_say(a, "waits\n");
	pass_without_writes();
	assert_false(party_asks(a));
	party_write_some(b, 1);
	pass_without_writes();
	assert_true(party_asks(a) && party_holds());
}

TEST(a_step_brings_no_more_than_what_is_left_below_the_limit)
{
	struct guest *a = party_join(NULL), *b = party_join(NULL);

	party_configure("limits = { queue = 2000; };");
	party_speak(a, 2001);
	party_write_some(b, 701);
	party_say(a, party_letters(3000));
	party_receive(a);
	assert_int_equal(conn_unread(party_conn(a)), 3000 - 700);
	assert_true(party_holds());
}

TEST(the_slowest_of_those_who_hold_decides_how_much_a_step_brings)
{
	struct guest *a = party_join(NULL), *b = party_join(NULL), *c = party_join(NULL);

	party_configure("limits = { queue = 2000; };");
	party_speak(a, 2001);
	party_write_some(b, 900);
	party_write_some(c, 600);
	pressure_apply(&party.chat.pressure);
	assert_int_equal(party.chat.pressure.budget, 2000 - 1401);
	party_write_some(c, 350);
	pressure_apply(&party.chat.pressure);
	assert_int_equal(party.chat.pressure.budget, 2000 - 1101);
}

TEST(an_end_is_seen_while_the_pool_is_held)
{
	struct guest *a, *b, *c;

	hold(&a, &b, &c);
	party_leave(a);
	party_say(b, "last words\n");
	party_leave(b);
	pass_without_writes();
	assert_false(party_has(a));
	assert_string_equal(party_trace(), "Descriptor A is readable\n"
					   "Connection closed for sd A\n"
					   "removing connection with sd A \n");
	/* What b has said comes first. */
	assert_true(party_has(b) && party_holds());
	assert_false(party_asks(b));
	party_settle();
	assert_false(party_has(b));
	assert_non_null(strstr(party_hears(c, NULL), "last words\n"));
}

TEST(a_parked_guest_whose_peer_goes_is_heard_and_seen_to_end_at_the_next_step)
{
	struct guest *a, *b, *c;

	hold(&a, &b, &c);
	party_say(a, "last words\n");
	pass_without_writes();
	assert_false(party_asks(a));
	party_leave(a);
	pass_without_writes();
	assert_true(party_has(a));
	party_write_some(c, 501);
	pass_without_writes();
	pass_without_writes();
	assert_false(party_has(a));
	party_settle();
	party_expect(b, "last words\n");
}

/* Whoever is parked and shut out must not come back with the next step. */
TEST(a_parked_guest_that_is_dismissed_stays_out_when_the_others_are_asked_again)
{
	struct guest *a = party_join("192.0.2.1"), *b = party_join("192.0.2.2");
	struct guest *c = party_join("192.0.2.3");

	party_configure("limits = { queue = 2000; };");
	party_speak(b, 2001);
	party_write(a);
	party_say(a, "unheard\n");
	party_say(b, "heard\n");
	pass_without_writes();
	assert_false(party_asks(a) || party_asks(b));
	party_configure("limits = { queue = 2000; }; deny = \"192.0.2.1\";");
	assert_false(party_has(a));
	party_write_some(c, 501);
	pass_without_writes();
	assert_true(party_asks(b));
	assert_false(party_asks(a));
	party_settle();
	assert_int_equal(strlen(party_hears(c, NULL)), 2001 + 6);
}

TEST(nobody_stays_parked_when_the_one_that_held_goes)
{
	struct guest *a, *b, *c;

	hold(&a, &b, &c);
	party_say(a, "waits\n");
	pass_without_writes();
	assert_false(party_asks(a));
	party_leave(c);
	party_pass();
	assert_false(party_has(c) || party_holds());
	party_pass();
	assert_true(party_asks(a));
	party_settle();
	party_expect(b, "waits\n");
	assert_false(party.chat.pressure.parked);
}

/* What the trace says was received from the guest of that letter. */
static size_t
received(const char *trace, char letter)
{
	static const char end[] = " bytes received from sd ";
	size_t bytes = 0;

	for (const char *at = trace; (at = strstr(at, end)) != NULL; at += strlen(end)) {
		const char *number = at;

		while (number > trace && number[-1] != '\n')
			number--;
		if (at[strlen(end)] == letter)
			bytes += strtoul(number, NULL, 10);
	}
	return bytes;
}

TEST(steps_are_shared_evenly_by_those_who_speak)
{
	struct guest *guests[3], *slow = party_join(NULL);
	size_t least = SIZE_MAX, most = 0, held = 0;
	const char *trace;

	party_configure("limits = { queue = 8000; };");
	for (size_t i = 0; i < LENGTH(guests); i++)
		guests[i] = party_join(NULL);
	for (int pass = 0; pass < 400; pass++) {
		for (size_t i = 0; i < LENGTH(guests); i++) {
			while (conn_unread(party_conn(guests[i])) < 20000)
				party_say(guests[i], party_line('x', 100));
			party_hears(guests[i], NULL);
		}
		party_hears(slow, NULL);
		seam_shorten(100);
		party_pass();
		seam_reset();
		held += party_holds();
	}
	assert_true(held > 300);
	trace = party_trace();
	for (size_t i = 0; i < LENGTH(guests); i++) {
		size_t bytes = received(trace, (char)('B' + i));

		least = MIN(least, bytes);
		most = MAX(most, bytes);
	}
	assert_true(least > 8000);
	assert_true(most - least <= 2048);
	assert_true(party_has(slow));
}

TEST(an_episode_ends_at_half_and_not_before)
{
	struct guest *a = party_join(NULL), *b = party_join(NULL);

	party_configure("limits = { queue = 2000; };");
	party_speak(a, 2001);
	party_write_some(b, 1000);
	assert_true(party_holds());
	party_write_some(b, 1);
	assert_false(party_holds());
	/* And the next one begins only past the whole limit. */
	party_speak(a, 1000);
	assert_false(party_holds());
	party_speak(a, 1);
	assert_true(party_holds());
}

TEST(the_pool_is_held_until_the_last_slow_reader_is_at_half)
{
	struct guest *a = party_join(NULL), *b = party_join(NULL), *c = party_join(NULL);

	party_configure("limits = { queue = 2000; };");
	party_speak(a, 2001);
	party_write(b);
	assert_true(party_holds());
	party_write_some(c, 1001);
	assert_false(party_holds());
}

TEST(a_slow_reader_that_goes_holds_nobody_any_more)
{
	struct guest *a = party_join(NULL), *b = party_join(NULL), *c = party_join(NULL);

	party_configure("limits = { queue = 2000; };");
	party_speak(a, 2001);
	party_write(b);
	party_leave(c);
	party_write(c);
	assert_false(party_holds());
	party_settle();
	assert_false(party_has(c));
	assert_int_equal(strlen(party_hears(b, NULL)), 2001);
}

TEST(a_slow_reader_that_fails_holds_nobody_any_more)
{
	struct guest *a = party_join(NULL), *b = party_join(NULL);

	party_configure("limits = { queue = 2000; };");
	party_speak(a, 2001);
	seam_fail(SEAM_SEND, 0, 1, EHOSTUNREACH);
	party_write(b);
	assert_true(queue_empty(&party_conn(b)->queue));
	assert_false(party_holds());
}

TEST(one_that_has_gone_holds_nobody_before_it_is_read_to_its_end)
{
	struct guest *a = party_join(NULL), *b = party_join(NULL), *c = party_join(NULL);

	party_configure("limits = { queue = 2000; };");
	party_speak(a, 10);
	party_say(b, "last words\n");
	party_leave(b);
	party_write(b);
	party_write(c);
	assert_true(party_has(b));
	for (int i = 0; i < 10; i++) {
		party_speak(a, 1000);
		party_write(c);
		assert_false(party_holds());
	}
	assert_int_equal(strlen(party_hears(c, NULL)), 10 + 10 * 1000);
	party_settle();
	assert_string_equal(party_hears(c, NULL), "last words\n");
}

TEST(what_a_guest_says_itself_does_not_wait_for_it)
{
	struct guest *a = party_join(NULL);

	party_configure("limits = { queue = 2000; };");
	for (int i = 0; i < 10; i++)
		party_speak(a, 1900);
	assert_false(party_holds());
}

/* One pass of all readers together brings about one limit, so memory stays near twice that. */
TEST(a_flood_of_many_senders_stays_within_twice_the_limit)
{
	struct guest *guests[16], *slow;

	party_configure("limits = { queue = \"64K\"; };");
	slow = party_join(NULL);
	for (size_t i = 0; i < LENGTH(guests); i++) {
		guests[i] = party_join(NULL);
		party_say(guests[i], party_line('x', 8000));
		party_say(guests[i], party_line('x', 8000));
		party_say(guests[i], party_line('x', 8000));
	}
	for (int pass = 0; pass < 100; pass++) {
		uint64_t lag;

		/* The slow one takes a few bytes now and then. */
		seam_shorten(100);
		party_pass();
		seam_reset();
		lag = broadcast_lag(&party.chat.broadcast, party_conn(slow));
		assert_true(lag <= 2 * 65536);
	}
	assert_true(party_holds());
}

/* A slow reader hears every line of a flood, whole and in order, whatever its pace. */
TEST(nothing_is_lost_on_a_slow_reader)
{
	enum {
		LINES = 20000
	};
	static char heard[LINES * 16];
	struct guest *a = party_join(NULL), *b = party_join(NULL);
	size_t have = 0;
	int small = 4096, sent = 0, lines = 0;
	bool was_held = false;

	random_start();
	party_configure("limits = { queue = 2000; };");
	setsockopt(b->sd, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
	for (int pass = 0; pass < 1000000 && lines < LINES; pass++) {
		while (sent < LINES) {
			char text[32];
			int len = snprintf(text, sizeof(text), "line %d\n", sent);

			/* As long as the kernel takes some. */
			if (send(a->fd, text, (size_t)len, MSG_DONTWAIT) < 0)
				break;
			sent++;
		}
		party_pass();
		was_held |= party_holds();
		if (random_below(3) == 0) {
			ssize_t n = read(b->fd, heard + have, 1 + random_below(5000));

			for (ssize_t i = 0; i < n; i++)
				lines += heard[have + (size_t)i] == '\n';
			have += n > 0 ? (size_t)n : 0;
		}
	}
	assert_true(was_held);
	assert_int_equal(lines, LINES);
	for (int i = 0, at = 0; i < LINES; i++) {
		char want[32];
		int len = snprintf(want, sizeof(want), "line %d\n", i);

		assert_memory_equal(heard + at, want, (size_t)len);
		at += len;
	}
	assert_true(party_has(a) && party_has(b));
}

/* What each of so many readers of a pass may receive. */
static size_t
room_of(struct guest *guest, uint32_t readers)
{
	size_t room;

	pressure_apply(&party.chat.pressure);
	party.chat.pool.class.ready = readers;
	room = pressure_room(&party.chat.pressure, party_conn(guest));
	party.chat.pool.class.ready = 0;
	return room;
}

TEST(readers_share_what_one_pass_may_bring)
{
	struct guest *a = party_join(NULL);

	party_configure("limits = { queue = \"1M\"; };");
	assert_int_equal(room_of(a, 0), 65536);
	assert_int_equal(room_of(a, 1), 65536);
	assert_int_equal(room_of(a, 16), 65536);
	assert_int_equal(room_of(a, 17), 1048576 / 17);
	assert_int_equal(room_of(a, 32), 32768);
	assert_int_equal(room_of(a, 2047), 512);
	assert_int_equal(room_of(a, 2048), 512);
	assert_int_equal(room_of(a, 1000000), 512);
	party_configure("limits = { queue = 1024; };");
	assert_int_equal(room_of(a, 1), 1024);
	assert_int_equal(room_of(a, 2), 512);
	assert_int_equal(room_of(a, 3), 512);
}

TEST(a_raised_limit_resumes_at_once)
{
	struct guest *a = party_join(NULL);

	party_join(NULL);
	party_configure("limits = { queue = 2000; };");
	party_speak(a, 2001);
	assert_true(party_holds());
	/* Not far enough, and just far enough. */
	party_configure("limits = { queue = 2000; stall = 5; };");
	assert_true(party_holds());
	party_configure("limits = { queue = 2001; };");
	assert_false(party_holds());
}

TEST(a_lowered_limit_holds_at_once)
{
	struct guest *a = party_join(NULL), *b = party_join(NULL);

	party_speak(a, 2001);
	assert_false(party_holds());
	party_configure("limits = { queue = 2000; };");
	assert_true(party_holds());
	party_write_some(b, 1001);
	assert_false(party_holds());
}

/* A socket that refuses in spite of select */

static void
expect_rest(void)
{
	int64_t start = party.now;

	assert_false(party_reading());
	assert_false(party_writing());
	assert_int_equal(party_expire(), start + BACKOFF_REST);
	party.now = start + BACKOFF_REST;
	assert_int_equal(party_expire(), CLOCK_NEVER);
	assert_true(party_reading());
	assert_true(party_writing());
}

TEST(a_kernel_that_goes_on_refusing_gets_a_rest_and_nothing_is_lost)
{
	struct guest *a = party_join(NULL), *b = party_join(NULL);
	int passes = 0;

	party_say(a, "kept\n");
	party_read(a);
	seam_fail(SEAM_SEND, 0, SEAM_ALWAYS, ENOBUFS);
	while (party_writing()) {
		party_write(b);
		assert_true(++passes < 100);
	}
	expect_rest();
	seam_reset();
	party_settle();
	assert_string_equal(party_hears(b, NULL), "kept\n");
	/* The same for reading. */
	party_say(a, "read\n");
	seam_fail(SEAM_RECV, 0, SEAM_ALWAYS, ENOMEM);
	for (passes = 0; party_reading(); passes++) {
		party_read(a);
		assert_true(passes < 100);
	}
	expect_rest();
	seam_reset();
	party_settle();
	assert_string_equal(party_hears(b, NULL), "read\n");
}

TEST(refusals_now_and_then_need_no_rest)
{
	struct guest *a = party_join(NULL), *b = party_join(NULL);

	for (int i = 0; i < 1000; i++) {
		/* Nothing is there to read but every other time, and so it is with writing. */
		if (i % 2 == 0)
			party_say(a, "x\n");
		party_read(a);
		if (i % 2 == 0)
			seam_fail(SEAM_SEND, 0, 1, ENOBUFS);
		party_write(b);
		party_hears(b, NULL);
		assert_true(party_reading() && party_writing());
	}
}

#define PRESSURE_TEST(name) cmocka_unit_test_setup_teardown(name, party_setup, party_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    PRESSURE_TEST(as_much_as_the_limit_may_wait_and_one_byte_more_holds_the_pool),
	    PRESSURE_TEST(a_held_pool_reads_nobody_and_the_senders_wait_in_their_sockets),
	    PRESSURE_TEST(
		whoever_is_parked_is_asked_again_when_there_is_room_for_a_step_and_not_before),
	    PRESSURE_TEST(a_step_is_16384_bytes_where_the_limit_is_large),
	    PRESSURE_TEST(a_step_brings_no_more_than_what_is_left_below_the_limit),
	    PRESSURE_TEST(the_slowest_of_those_who_hold_decides_how_much_a_step_brings),
	    PRESSURE_TEST(an_end_is_seen_while_the_pool_is_held),
	    PRESSURE_TEST(a_parked_guest_whose_peer_goes_is_heard_and_seen_to_end_at_the_next_step),
	    PRESSURE_TEST(
		a_parked_guest_that_is_dismissed_stays_out_when_the_others_are_asked_again),
	    PRESSURE_TEST(nobody_stays_parked_when_the_one_that_held_goes),
	    PRESSURE_TEST(steps_are_shared_evenly_by_those_who_speak),
	    PRESSURE_TEST(an_episode_ends_at_half_and_not_before),
	    PRESSURE_TEST(the_pool_is_held_until_the_last_slow_reader_is_at_half),
	    PRESSURE_TEST(a_slow_reader_that_goes_holds_nobody_any_more),
	    PRESSURE_TEST(a_slow_reader_that_fails_holds_nobody_any_more),
	    PRESSURE_TEST(one_that_has_gone_holds_nobody_before_it_is_read_to_its_end),
	    PRESSURE_TEST(what_a_guest_says_itself_does_not_wait_for_it),
	    PRESSURE_TEST(a_flood_of_many_senders_stays_within_twice_the_limit),
	    PRESSURE_TEST(nothing_is_lost_on_a_slow_reader),
	    PRESSURE_TEST(readers_share_what_one_pass_may_bring),
	    PRESSURE_TEST(a_raised_limit_resumes_at_once),
	    PRESSURE_TEST(a_lowered_limit_holds_at_once),
	    PRESSURE_TEST(a_kernel_that_goes_on_refusing_gets_a_rest_and_nothing_is_lost),
	    PRESSURE_TEST(refusals_now_and_then_need_no_rest),
	};

	return cmocka_run_group_tests_name("pressure", tests, NULL, NULL);
}
