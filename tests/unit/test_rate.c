#include "unit.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "party.h"
#include "seam.h"

#define SPEED 1000 /* bytes a second */

static struct guest *a, *b;

static int
setup(void **state)
{
	party_setup(state);
	party_configure("limits = { rate = 1000; };");
	a = party_join(NULL);
	b = party_join(NULL);
	return 0;
}

static size_t
room(void)
{
	seam_pass_at(party.now);
	return rate_is_set(&party.chat.rate) ? rate_room(&party.chat.rate, party_conn(a), 1 << 20)
					     : 1 << 20;
}

static void
charge(size_t bytes, uint64_t lines)
{
	seam_pass_at(party.now);
	room();
	if (rate_is_set(&party.chat.rate))
		rate_charge(&party.chat.rate, party_conn(a), bytes, lines);
}

static bool
asks(const struct guest *guest)
{
	return fdset_has(&party.chat.pool.class.readers, guest->sd);
}

TEST(the_burst_is_there_at_once_and_no_more)
{
	assert_int_equal(room(), RATE_BURST);
	charge(RATE_BURST - 1, 0);
	assert_int_equal(room(), 1);
	assert_true(asks(a));
	charge(1, 0);
	assert_int_equal(room(), 0);
	assert_false(asks(a));
	assert_true(asks(b));
}

TEST(a_line_costs_more_than_it_has)
{
	charge(1000, 10);
	assert_int_equal(room(), RATE_BURST - 1000 - 10 * RATE_LINE);
}

TEST(what_was_said_is_paid_by_time)
{
	charge(2000, 0);
	party.now += CLOCK_SECOND;
	assert_int_equal(room(), RATE_BURST - 1000);
	party.now += CLOCK_SECOND;
	assert_int_equal(room(), RATE_BURST);
	party.now += INT64_C(1000000) * CLOCK_SECOND;
	assert_int_equal(room(), RATE_BURST);
}

TEST(however_often_one_looks_nothing_is_rounded_away)
{
	charge(1000, 0);
	for (int i = 0; i < 100000; i++) {
		party.now += 10; /* a hundredth of a byte */
		room();
	}
	assert_int_equal(room(), RATE_BURST);
}

TEST(a_rest_ends_when_half_of_the_burst_is_back)
{
	int64_t rest = (RATE_BURST + 100 - RATE_BURST / 2) * CLOCK_SECOND / SPEED;
	int64_t began = party.now;

	charge(RATE_BURST + 100, 0);
	assert_true(rate_run_due(&party.chat.rate) == began + rest);
	party.now = began + rest - 1;
	party_expire();
	assert_false(asks(a));
	party.now++;
	assert_true(party_expire() == party.now); /* select is asked about it at once */
	assert_true(asks(a));
	assert_true(party_expire() == CLOCK_NEVER);
	assert_int_equal(room(), RATE_BURST / 2);
}

TEST(without_a_limit_nobody_rests)
{
	party_configure("");
	charge(1 << 20, 0);
	assert_int_equal(room(), 1 << 20);
	assert_false(rate_is_set(&party.chat.rate));
}

TEST(the_fastest_and_the_slowest_rate_overflow_nothing)
{
	party_configure("limits = { rate = 1; };");
	charge(1 << 20, 1 << 20);
	party.now += CLOCK_SECOND;
	assert_int_equal(room(), 0);
	party_configure("limits = { rate = \"1G\"; };");
	party.now += CLOCK_SECOND;
	assert_int_equal(room(), RATE_BURST);
	party.now += INT64_C(100000000) * CLOCK_SECOND;
	charge(RATE_BURST + 1, 0);
	party.now += INT64_C(100000000) * CLOCK_SECOND;
	assert_int_equal(room(), RATE_BURST);
}

TEST(a_paste_comes_whole_with_a_delay)
{
	static char heard[20000];
	size_t len = 0, want = 5000;

	party_say(a, party_line('x', want / 2));
	party_say(a, party_line('y', want / 2));
	party_say(a, party_letters(10000));
	party_say(a, "\n");
	for (int i = 0; i < 30; i++) {
		party_settle();
		len +=
		    (size_t)snprintf(heard + len, sizeof(heard) - len, "%s", party_hears(b, NULL));
		party.now += CLOCK_SECOND;
	}
	assert_int_equal(len, want);
	assert_false(party_has(a)); /* its last line is too long, and was not lost before */
}

TEST(who_rests_is_not_idle_before_it_could_speak)
{
	party_configure("limits = { rate = 1000; idle = 1; };");
	party_say(a, party_line('x', 4000));
	party_say(a, party_line('y', 4100));
	for (int i = 0; i < 3; i++)
		party_pass();
	assert_false(asks(a));
	party_say(a, "z\n");
	party_say(b, "z\n");
	party.now += 4 * CLOCK_SECOND;
	party_settle();
	party_say(b, "z\n");
	party_settle();
	party.now += CLOCK_SECOND - 1;
	party_expire();
	party_settle();
	assert_true(party_has(a));
	assert_int_equal(party_conn(a)->lines, 3);
	party.now += CLOCK_SECOND;
	party_settle();
	party_expire();
	assert_false(party_has(a));
}

TEST(a_rest_that_is_over_is_over_whatever_the_next_rate_is)
{
	charge((size_t)2 * RATE_BURST, 0);
	party.now += 20 * CLOCK_SECOND;
	party_expire();
	assert_true(asks(a));
	party_configure("limits = { rate = 1; };");
	assert_true(room() >= RATE_BURST / 2);
}

TEST(the_last_byte_that_is_left_can_be_said_in_both_modes)
{
	static const char *const modes[] = {"lines", "chat"};
	char text[80];

	for (int i = 0; i < 2; i++) {
		snprintf(text, sizeof(text), "mode = \"%s\"; limits = { rate = 1; };", modes[i]);
		party_configure(text);
		party.now += RATE_BURST * CLOCK_SECOND;
		charge(RATE_BURST - 1, 0);
		party_say(a, "ab");
		party_pass();
		assert_int_equal(conn_unread(party_conn(a)), 1);
		party.now += RATE_BURST * CLOCK_SECOND;
		party_expire();
		party_settle();
	}
}

TEST(a_rest_outlives_a_hold_of_the_pool)
{
	charge(RATE_BURST, 0);
	party.chat.pressure.parked = true;
	pressure_apply(&party.chat.pressure);
	assert_false(asks(a));
	assert_true(asks(b));
}

TEST(who_rests_may_be_removed)
{
	charge(RATE_BURST, 0);
	party_configure("limits = { rate = 1000; };"); /* a reload changes nothing */
	assert_false(asks(a));
	leaving_remove(&party.chat.leaving, party_conn(a), "a test");
	party_expire();
	party.now += 100 * CLOCK_SECOND;
	assert_true(party_expire() == CLOCK_NEVER);
}

TEST(at_the_end_of_the_server_nobody_rests)
{
	charge((size_t)10 * RATE_BURST, 0);
	assert_false(asks(a));
	chat_begin_end(&party.chat);
	assert_true(asks(a));
	assert_int_equal(room(), 1 << 20);
}

TEST(without_a_rate_nothing_is_kept_and_who_rested_is_read)
{
	charge(RATE_BURST, 0);
	assert_false(asks(a));
	party_configure("");
	assert_true(asks(a));
	assert_null(party.chat.rate.buckets);
	party_join(NULL);
	assert_null(party.chat.rate.buckets);
	party_configure("limits = { rate = 1000; };");
	assert_int_equal(room(), RATE_BURST);
}

TEST(who_goes_leaves_no_debt_behind)
{
	int sd = a->sd;

	charge(RATE_BURST, 0);
	leaving_remove(&party.chat.leaving, party_conn(a), "a test");
	assert_true(party.chat.rate.buckets[sd].debt == 0);
	assert_false(fdset_has(&party.chat.rate.resting, sd));
}

TEST(where_memory_is_refused_the_debts_stay)
{
	struct rate *rate = &party.chat.rate;
	int size = rate->size;

	charge(1000, 0);
	assert_int_equal(rate_reserve(rate, size - 1), 0);
	seam_fail(SEAM_MEMORY, 0, SEAM_ALWAYS, ENOMEM);
	assert_int_equal(rate_reserve(rate, size - 1), 0);
	assert_int_equal(rate_reserve(rate, size), -1);
	seam_reset();
	assert_int_equal(room(), RATE_BURST - 1000);
	assert_int_equal(rate_reserve(rate, size), 0);
	assert_int_equal(room(), RATE_BURST - 1000);
	assert_true(rate->buckets[size].debt == 0);
}

#define RATE_TEST(name) cmocka_unit_test_setup_teardown(name, setup, party_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    RATE_TEST(the_burst_is_there_at_once_and_no_more),
	    RATE_TEST(a_line_costs_more_than_it_has),
	    RATE_TEST(what_was_said_is_paid_by_time),
	    RATE_TEST(however_often_one_looks_nothing_is_rounded_away),
	    RATE_TEST(a_rest_ends_when_half_of_the_burst_is_back),
	    RATE_TEST(without_a_limit_nobody_rests),
	    RATE_TEST(the_fastest_and_the_slowest_rate_overflow_nothing),
	    RATE_TEST(a_paste_comes_whole_with_a_delay),
	    RATE_TEST(who_rests_is_not_idle_before_it_could_speak),
	    RATE_TEST(a_rest_that_is_over_is_over_whatever_the_next_rate_is),
	    RATE_TEST(the_last_byte_that_is_left_can_be_said_in_both_modes),
	    RATE_TEST(a_rest_outlives_a_hold_of_the_pool),
	    RATE_TEST(who_rests_may_be_removed),
	    RATE_TEST(at_the_end_of_the_server_nobody_rests),
	    RATE_TEST(without_a_rate_nothing_is_kept_and_who_rested_is_read),
	    RATE_TEST(who_goes_leaves_no_debt_behind),
	    RATE_TEST(where_memory_is_refused_the_debts_stay),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
