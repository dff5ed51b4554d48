#include "unit.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "party.h"
#include "seam.h"

#define SECOND CLOCK_SECOND

/* Stall */

TEST(a_reader_that_takes_nothing_is_removed_when_its_time_is_over_and_not_before)
{
	struct guest *a = party_join("192.0.2.1"), *b = party_join("192.0.2.2");
	struct guest *c = party_join("192.0.2.3");
	int64_t start = party.now;

	party_configure("limits = { queue = 2000; stall = 30; };");
	party_speak(a, 2001);
	party_write(c);
	party_trace();
	assert_int_equal(party_expire(), start + 30 * SECOND);
	party.now = start + 30 * SECOND - 1;
	assert_int_equal(party_expire(), start + 30 * SECOND);
	assert_true(party_has(b));
	party.now++;
	assert_int_equal(party_expire(), CLOCK_NEVER);
	assert_false(party_has(b));
	assert_true(party_reading());
	assert_string_equal(party_log(), "192.0.2.2:2 removed: took nothing for 30 seconds\n");
	assert_string_equal(party_trace(), "removing connection with sd B \n");
	/* The others go on. */
	party_say(a, "still here\n");
	party_settle();
	assert_non_null(strstr(party_hears(c, NULL), "still here\n"));
}

TEST(a_reader_that_takes_a_byte_has_all_of_its_time_again)
{
	struct guest *a = party_join(NULL), *b = party_join(NULL);
	int64_t start = party.now;

	party_configure("limits = { queue = 2000; stall = 30; };");
	party_speak(a, 2001);
	for (int i = 1; i <= 10; i++) {
		party.now = start + i * 29 * SECOND;
		party_write_some(b, 1);
		assert_int_equal(party_expire(), party.now + 30 * SECOND);
	}
	assert_true(party_has(b));
	party.now += 30 * SECOND;
	party_expire();
	assert_false(party_has(b));
}

/* A socket is writable again only after a good part of its buffer is free. */
TEST(a_reader_that_takes_from_its_sockets_buffer_has_taken_something)
{
	struct guest *a = party_join(NULL), *b = party_join(NULL);
	char some[512];

	party_configure("limits = { queue = 2000; stall = 30; };");
	stuff(b->sd);
	party_speak(a, 2001);
	party_write(b);
	assert_false(party_reading());
	for (int i = 0; i < 5; i++) {
		party.now += 30 * SECOND;
		assert_true(read(b->fd, some, sizeof(some)) > 0);
		/* Unix sockets free a whole buffer at a time. */
		while (conn_unacked(party_conn(b)) == party_conn(b)->unacked)
			assert_true(read(b->fd, some, sizeof(some)) > 0);
		assert_int_equal(party_expire(), party.now + 30 * SECOND);
		assert_true(party_has(b));
	}
	party.now += 30 * SECOND;
	party_expire();
	assert_false(party_has(b));
}

TEST(a_reader_below_the_limit_may_take_nothing_for_ever)
{
	struct guest *a = party_join(NULL), *b = party_join(NULL);

	party_configure("limits = { queue = 2000; stall = 1; };");
	party_speak(a, 2000);
	for (int i = 0; i < 10; i++) {
		assert_int_equal(party_expire(), CLOCK_NEVER);
		party.now += 3600 * SECOND;
	}
	assert_true(party_has(b));
}

TEST(the_time_begins_anew_with_each_holding)
{
	struct guest *a = party_join(NULL), *b = party_join(NULL);

	party_configure("limits = { queue = 2000; stall = 30; };");
	party_speak(a, 2001);
	party.now += 29 * SECOND;
	party_write_some(b, 1001);
	assert_true(party_reading());
	party.now += 3600 * SECOND;
	party_speak(a, 1001);
	assert_false(party_reading());
	assert_int_equal(party_expire(), party.now + 30 * SECOND);
	assert_true(party_has(b));
}

TEST(each_slow_reader_has_its_own_time_and_the_next_one_is_told)
{
	struct guest *a = party_join(NULL), *b = party_join(NULL), *c = party_join(NULL);
	int64_t start = party.now;

	party_configure("limits = { queue = 2000; stall = 30; };");
	party_speak(a, 2001);
	party.now = start + 10 * SECOND;
	party_write_some(c, 1);
	assert_int_equal(party_expire(), start + 30 * SECOND);
	party.now = start + 30 * SECOND;
	assert_int_equal(party_expire(), start + 40 * SECOND);
	assert_false(party_has(b));
	assert_true(party_has(c));
	party.now = start + 40 * SECOND;
	assert_int_equal(party_expire(), CLOCK_NEVER);
	assert_false(party_has(c));
}

/* Idle */

TEST(a_silent_guest_is_told_and_removed_when_its_time_is_over_and_not_before)
{
	struct guest *a = party_join("192.0.2.1");
	int64_t start;
	bool closed;

	party_configure("limits = { idle = 60; };");
	party_expire();
	start = party.now;
	party.now = start + 60 * SECOND - 1;
	assert_int_equal(party_expire(), start + 60 * SECOND);
	assert_true(party_has(a));
	party.now++;
	assert_int_equal(party_expire(), CLOCK_NEVER);
	assert_false(party_has(a));
	pool_reap(&party.chat.pool);
	assert_string_equal(party_hears(a, &closed), "chatd: idle for 60 seconds\n");
	assert_true(closed);
	assert_string_equal(party_log(), "192.0.2.1:1 removed: idle for 60 seconds\n");
	assert_string_equal(party_trace(), "removing connection with sd A \n");
}

TEST(without_the_limit_nobody_is_idle)
{
	struct guest *a = party_join(NULL);

	party_expire();
	party.now += 365 * 86400 * SECOND;
	assert_int_equal(party_expire(), CLOCK_NEVER);
	assert_true(party_has(a));
}

TEST(a_line_begins_the_time_anew_and_a_piece_of_one_does_not)
{
	struct guest *a = party_join(NULL), *b = party_join(NULL);
	int64_t start = party.now;

	party_configure("limits = { idle = 60; };");
	party_expire();
	party.now = start + 50 * SECOND;
	party_say(a, "a line\n");
	party_say(b, "a piece");
	party_settle();
	assert_int_equal(party_expire(), start + 60 * SECOND);
	party.now = start + 60 * SECOND;
	assert_int_equal(party_expire(), start + 110 * SECOND);
	assert_true(party_has(a));
	assert_false(party_has(b));
}

TEST(a_guest_that_only_listens_is_idle)
{
	struct guest *a = party_join(NULL), *b = party_join(NULL);

	party_configure("limits = { idle = 60; };");
	party_expire();
	for (int i = 0; i < 3; i++) {
		party.now += 30 * SECOND;
		party_say(a, "talk\n");
		party_settle();
		party_expire();
	}
	assert_true(party_has(a));
	assert_false(party_has(b));
}

TEST(nobody_is_idle_while_the_pool_is_held_nor_at_once_when_it_resumes)
{
	struct guest *a = party_join(NULL), *b = party_join(NULL);
	int64_t resumed;

	party_configure("limits = { queue = 2000; stall = 600; idle = 60; };");
	party_expire();
	party_speak(a, 2001);
	for (int i = 0; i < 5; i++) {
		party.now += 50 * SECOND;
		assert_int_equal(party_expire(), 1000 * SECOND + 600 * SECOND);
	}
	assert_true(party_has(a) && party_has(b));
	party_write(b);
	assert_true(party_reading());
	resumed = party.now;
	assert_int_equal(party_expire(), resumed + 60 * SECOND);
	/* Who speaks now has been heard. */
	party.now += SECOND;
	party_say(a, "there\n");
	party_settle();
	party.now = resumed + 60 * SECOND;
	party_expire();
	assert_true(party_has(b) == false && party_has(a) == true);
}

TEST(nobody_is_idle_while_memory_is_refused)
{
	struct guest *a = party_join(NULL), *b = party_join(NULL);

	party_configure("limits = { idle = 1; };");
	party_expire();
	party_say(a, "it lies in its socket\n");
	seam_fail(SEAM_MEMORY, 0, SEAM_ALWAYS, ENOMEM);
	for (int i = 0; i < 100; i++) {
		party_pass();
		party.now += BACKOFF_REST;
		party_expire();
	}
	assert_true(party_has(a) && party_has(b));
	seam_reset();
	party.now += BACKOFF_REST;
	party_expire();
	party_settle();
	assert_string_equal(party_hears(b, NULL), "it lies in its socket\n");
}

TEST(a_lowered_idle_limit_counts_at_once_also_for_the_time_before)
{
	struct guest *a = party_join(NULL);

	party_expire();
	party.now += 100 * SECOND;
	party_configure("limits = { idle = 60; };");
	party_expire();
	assert_false(party_has(a));
}

#define TIMEOUTS_TEST(name) cmocka_unit_test_setup_teardown(name, party_setup, party_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TIMEOUTS_TEST(
		a_reader_that_takes_nothing_is_removed_when_its_time_is_over_and_not_before),
	    TIMEOUTS_TEST(a_reader_that_takes_a_byte_has_all_of_its_time_again),
	    TIMEOUTS_TEST(a_reader_that_takes_from_its_sockets_buffer_has_taken_something),
	    TIMEOUTS_TEST(a_reader_below_the_limit_may_take_nothing_for_ever),
	    TIMEOUTS_TEST(the_time_begins_anew_with_each_holding),
	    TIMEOUTS_TEST(each_slow_reader_has_its_own_time_and_the_next_one_is_told),
	    TIMEOUTS_TEST(a_silent_guest_is_told_and_removed_when_its_time_is_over_and_not_before),
	    TIMEOUTS_TEST(without_the_limit_nobody_is_idle),
	    TIMEOUTS_TEST(a_line_begins_the_time_anew_and_a_piece_of_one_does_not),
	    TIMEOUTS_TEST(a_guest_that_only_listens_is_idle),
	    TIMEOUTS_TEST(nobody_is_idle_while_the_pool_is_held_nor_at_once_when_it_resumes),
	    TIMEOUTS_TEST(nobody_is_idle_while_memory_is_refused),
	    TIMEOUTS_TEST(a_lowered_idle_limit_counts_at_once_also_for_the_time_before),
	};

	return cmocka_run_group_tests_name("timeouts", tests, NULL, NULL);
}
