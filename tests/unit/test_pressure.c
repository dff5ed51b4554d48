#include "unit.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
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
	assert_true(party_reading());
	party_speak(a, 1);
	assert_true(party_reading());
	party_speak(a, 1);
	assert_false(party_reading());
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
	party_settle();
	assert_int_equal(strlen(party_hears(b, NULL)), 2001 + 6);
	assert_string_equal(party_hears(a, NULL), "waits\n");
}

TEST(a_held_pool_is_read_again_at_half_and_not_before)
{
	struct guest *a = party_join(NULL), *b = party_join(NULL);

	party_configure("limits = { queue = 2000; };");
	party_speak(a, 2001);
	party_write_some(b, 1000);
	assert_false(party_reading());
	party_write_some(b, 1);
	assert_true(party_reading());
	/* And held again only past the whole limit. */
	party_speak(a, 1000);
	assert_true(party_reading());
	party_speak(a, 1);
	assert_false(party_reading());
}

TEST(the_pool_is_held_until_the_last_slow_reader_is_at_half)
{
	struct guest *a = party_join(NULL), *b = party_join(NULL), *c = party_join(NULL);

	party_configure("limits = { queue = 2000; };");
	party_speak(a, 2001);
	party_write(b);
	assert_false(party_reading());
	party_write_some(c, 1001);
	assert_true(party_reading());
}

TEST(a_slow_reader_that_goes_holds_nobody_any_more)
{
	struct guest *a = party_join(NULL), *b = party_join(NULL), *c = party_join(NULL);

	party_configure("limits = { queue = 2000; };");
	party_speak(a, 2001);
	party_write(b);
	party_leave(c);
	party_write(c);
	assert_true(party_reading());
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
	assert_false(party_has(b));
	assert_true(party_reading());
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
		assert_true(party_reading());
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
	assert_true(party_reading());
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
	assert_false(party_reading());
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
		was_held |= !party_reading();
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

TEST(readers_share_what_one_pass_may_bring)
{
	party_configure("limits = { queue = \"1M\"; };");
	assert_int_equal(pressure_room(&party.chat.pressure, 0), 65536);
	assert_int_equal(pressure_room(&party.chat.pressure, 1), 65536);
	assert_int_equal(pressure_room(&party.chat.pressure, 16), 65536);
	assert_int_equal(pressure_room(&party.chat.pressure, 32), 32768);
	assert_int_equal(pressure_room(&party.chat.pressure, 2048), 512);
	assert_int_equal(pressure_room(&party.chat.pressure, 1000000), 512);
	party_configure("limits = { queue = 1024; };");
	assert_int_equal(pressure_room(&party.chat.pressure, 1), 1024);
	assert_int_equal(pressure_room(&party.chat.pressure, 2), 512);
}

TEST(a_raised_limit_resumes_at_once)
{
	struct guest *a = party_join(NULL);

	party_join(NULL);
	party_configure("limits = { queue = 2000; };");
	party_speak(a, 2001);
	assert_false(party_reading());
	/* Not far enough, and just far enough. */
	party_configure("limits = { queue = 2000; stall = 5; };");
	assert_false(party_reading());
	party_configure("limits = { queue = 2001; };");
	assert_true(party_reading());
}

TEST(a_lowered_limit_holds_at_once)
{
	struct guest *a = party_join(NULL), *b = party_join(NULL);

	party_speak(a, 2001);
	assert_true(party_reading());
	party_configure("limits = { queue = 2000; };");
	assert_false(party_reading());
	party_write_some(b, 1001);
	assert_true(party_reading());
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
	    PRESSURE_TEST(a_held_pool_is_read_again_at_half_and_not_before),
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
