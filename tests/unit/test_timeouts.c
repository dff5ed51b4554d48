#include "unit.h"

#include <errno.h>
#include <stdio.h>
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
	/* It is named first. */
	assert_int_equal(party_expire(), start + SECOND);
	party.now = start + SECOND;
	assert_int_equal(party_expire(), start + 30 * SECOND);
	party.now = start + 30 * SECOND - 1;
	assert_int_equal(party_expire(), start + 30 * SECOND);
	assert_true(party_has(b));
	party.now++;
	assert_int_equal(party_expire(), party.now + LEAVING_LOOK);
	assert_false(party_has(b) || party_holds());
	assert_string_equal(party_log(), "192.0.2.2:2 holds everybody up\n"
					 "192.0.2.2:2 removed: took nothing for 30 seconds\n");
	party_expect_last(b, "chatd: took nothing for 30 seconds\n");
	assert_int_equal(party_expire(), CLOCK_NEVER);
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
	assert_true(party_holds());
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
	assert_false(party_holds());
	party.now += 3600 * SECOND;
	party_speak(a, 1001);
	assert_true(party_holds());
	party.now += SECOND;
	assert_int_equal(party_expire(), party.now + 29 * SECOND);
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

/* Lag */

/* a has said more than the limit of 2000 bytes, and b, at the other end of a network, lags. */
static void
fall_behind(struct guest **a, struct guest **b, const char *more)
{
	char settings[128];

	*a = party_join(NULL);
	*b = party_join("192.0.2.2");
	snprintf(settings, sizeof(settings), "limits = { queue = 2000; line = 60000; %s };", more);
	party_configure(settings);
	party_speak(*a, 20001);
	assert_true(party_holds());
}

/* So many bytes are written to the guest, which takes them. */
static void
take(struct guest *guest, size_t len)
{
	party_write_some(guest, len);
	party_hears(guest, NULL);
}

TEST(less_than_the_limit_taken_in_the_time_of_lag_is_too_slow)
{
	struct guest *a, *b;
	int64_t start = party.now;

	fall_behind(&a, &b, "stall = 60; lag = 10;");
	for (int i = 1; i < 10; i++) {
		party.now = start + i * SECOND;
		take(b, 200);
		assert_true(party_expire() > party.now);
	}
	take(b, 199);
	party.now = start + 10 * SECOND - 1;
	assert_int_equal(party_expire(), start + 10 * SECOND);
	assert_true(party_has(b));
	party.now++;
	party_expire();
	assert_false(party_has(b) || party_holds());
	assert_string_equal(party_log(), "192.0.2.2:2 holds everybody up\n"
					 "192.0.2.2:2 removed: held everybody up for 10 seconds\n");
	party_settle();
	assert_non_null(strstr(party_hears(b, NULL), "chatd: held everybody up for 10 seconds\n"));
}

TEST(just_the_limit_taken_in_the_time_of_lag_is_enough_for_another_time)
{
	struct guest *a, *b;
	int64_t start = party.now;

	fall_behind(&a, &b, "stall = 60; lag = 10;");
	party.now = start + 9 * SECOND;
	take(b, 2000);
	party.now = start + 10 * SECOND;
	assert_int_equal(party_expire(), start + 20 * SECOND);
	/* Each window counts for itself. */
	take(b, 1999);
	party.now = start + 20 * SECOND - 1;
	party_expire();
	assert_true(party_has(b));
	party.now++;
	party_expire();
	assert_false(party_has(b));
}

/* What the kernel has taken in is with the client only when its machine has taken it. */
TEST(what_waits_in_the_kernel_is_not_taken_and_what_waited_there_before_is)
{
	struct guest *a, *b, *c, *d;
	int64_t start = party.now;

	fall_behind(&a, &b, "stall = 60; lag = 10;");
	party_write_some(b, 10000);
	party.now = start + 10 * SECOND;
	party_expire();
	assert_false(party_has(b) || party_holds());
	/* Another one has a full socket when it falls behind, and empties that. */
	c = party_join("192.0.2.3");
	d = party_join("192.0.2.4");
	stuff(c->sd);
	stuff(d->sd);
	start = party.now;
	party_speak(a, 2001);
	party_hears(c, NULL);
	party.now = start + 10 * SECOND;
	party_expire();
	assert_true(party_has(c));
	assert_false(party_has(d));
}

TEST(without_lag_as_little_as_a_byte_in_the_time_of_stall_is_enough)
{
	struct guest *a, *b;

	fall_behind(&a, &b, "stall = 60; lag = 0;");
	for (int i = 0; i < 100; i++) {
		party.now += 59 * SECOND;
		take(b, 1);
		assert_int_equal(party_expire(), party.now + 60 * SECOND);
	}
	assert_true(party_has(b));
}

TEST(a_new_episode_begins_a_new_window)
{
	struct guest *a, *b;
	int64_t start;

	fall_behind(&a, &b, "stall = 60; lag = 10;");
	party.now += 9 * SECOND;
	take(b, 19001);
	assert_false(party_holds());
	party.now += 100 * SECOND;
	start = party.now;
	party_speak(a, 1001);
	assert_true(party_holds());
	party.now = start + 10 * SECOND - 1;
	assert_int_equal(party_expire(), start + 10 * SECOND);
	party.now++;
	party_expire();
	assert_false(party_has(b));
}

/* The log names who holds everybody up */

TEST(who_holds_everybody_up_is_named_once_after_a_second_and_when_it_has_caught_up)
{
	struct guest *a, *b;
	int64_t start = party.now;

	fall_behind(&a, &b, "stall = 600; lag = 0;");
	party.now = start + SECOND - 1;
	assert_int_equal(party_expire(), start + SECOND);
	assert_string_equal(party_log(), "");
	party.now++;
	assert_int_equal(party_expire(), start + 600 * SECOND);
	assert_string_equal(party_log(), "192.0.2.2:2 holds everybody up\n");
	for (int i = 0; i < 5; i++) {
		party.now += 60 * SECOND;
		take(b, 1);
		party_expire();
	}
	assert_string_equal(party_log(), "");
	take(b, 18995);
	assert_string_equal(party_log(), "");
	take(b, 1);
	assert_false(party_holds());
	assert_string_equal(party_log(), "192.0.2.2:2 has caught up\n");
	/* The next episode is told anew. */
	party_speak(a, 1001);
	party.now += SECOND;
	party_expire();
	assert_string_equal(party_log(), "192.0.2.2:2 holds everybody up\n");
}

TEST(who_is_released_by_a_reload_has_caught_up)
{
	struct guest *a, *b;

	fall_behind(&a, &b, "");
	party.now += SECOND;
	party_expire();
	party_log();
	party_configure("limits = { queue = 30000; };");
	assert_false(party_holds());
	assert_string_equal(party_log(), "192.0.2.2:2 has caught up\n");
	party_configure("limits = { queue = 40000; };");
	assert_string_equal(party_log(), "");
}

TEST(an_episode_of_less_than_a_second_is_no_news)
{
	struct guest *a, *b;

	fall_behind(&a, &b, "");
	party.now += SECOND - 1;
	party_expire();
	take(b, 20000);
	assert_false(party_holds());
	party.now += 10 * SECOND;
	assert_int_equal(party_expire(), CLOCK_NEVER);
	assert_string_equal(party_log(), "");
}

/* Both are due in one pass, after which nothing has happened for a long time. */
TEST(one_that_took_nothing_is_told_so_though_it_was_silent_too)
{
	struct guest *a, *b;

	fall_behind(&a, &b, "stall = 30; lag = 20; idle = 30;");
	party.now += 30 * SECOND;
	party_expire();
	assert_false(party_has(a) || party_has(b));
	assert_string_equal(party_log(), "192.0.2.2:2 holds everybody up\n"
					 "192.0.2.2:2 removed: took nothing for 30 seconds\n"
					 "unix(pid 1, uid 0) removed: idle for 30 seconds\n");
	party_settle();
	assert_non_null(strstr(party_hears(b, NULL), "chatd: took nothing for 30 seconds\n"));
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
	assert_int_equal(party_expire(), party.now + LEAVING_LOOK);
	assert_false(party_has(a));
	assert_string_equal(party_hears(a, &closed), "chatd: idle for 60 seconds\n");
	assert_true(closed);
	assert_string_equal(party_log(), "192.0.2.1:1 removed: idle for 60 seconds\n");
	assert_int_equal(party_expire(), CLOCK_NEVER);
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

/* Who was silent when select was asked is idle, whoever is held meanwhile. */
TEST(one_that_is_asked_while_the_pool_is_held_is_idle_when_its_time_is_over)
{
	struct guest *a = party_join(NULL), *b = party_join(NULL), *c = party_join(NULL);

	party_configure("limits = { queue = 2000; stall = 600; idle = 60; };");
	party_speak(a, 2001);
	party_write(b);
	party.now += 50 * SECOND;
	party_write_some(c, 1);
	party_expire();
	assert_true(party_has(b) && party_has(c) && party_holds());
	party.now += 10 * SECOND;
	party_expire();
	assert_false(party_has(a) || party_has(b) || party_has(c));
}

TEST(one_that_is_parked_has_something_to_say_and_is_not_idle)
{
	struct guest *a = party_join(NULL), *b = party_join(NULL), *c = party_join(NULL);

	party_configure("limits = { queue = 2000; stall = 600; idle = 60; };");
	party_speak(a, 2001);
	party_write(b);
	party_hears(b, NULL);
	party_say(b, "parked\n");
	party_say(c, "parked, too\n");
	seam_fail(SEAM_SEND, 0, SEAM_ALWAYS, EAGAIN);
	party_pass();
	seam_reset();
	assert_false(party_asks(b) || party_asks(c));
	party.now += 3600 * SECOND;
	/* Nothing is due at once because of them: that would be a spin. */
	party_write_some(c, 1);
	assert_int_equal(party_expire(), party.now + 600 * SECOND);
	assert_true(party_has(b) && party_has(c));
	assert_false(party_has(a));
	party_settle();
	assert_true(party_has(b) && party_has(c));
	party_expect(b, "parked, too\n");
}

TEST(one_that_was_not_asked_about_is_asked_at_once)
{
	struct guest *a = party_join(NULL);

	party_configure("limits = { idle = 60; };");
	party.now += 60 * SECOND;
	/* A reload, or an interrupted wait: nobody is known to be silent. */
	seam_pass_at(party.now);
	loop_forget(&party.loop);
	assert_int_equal(chat_run_due(&party.chat), party.now);
	assert_true(party_has(a));
	party_expire();
	assert_false(party_has(a));
}

TEST(one_that_cannot_be_asked_because_the_kernel_rests_makes_no_spin)
{
	struct guest *a = party_join(NULL);

	party_configure("limits = { idle = 60; };");
	party.now += 60 * SECOND;
	party_say(a, "there\n");
	seam_fail(SEAM_RECV, 0, SEAM_ALWAYS, ENOMEM);
	while (party_reading())
		party_pass();
	assert_int_equal(party_expire(), party.now + BACKOFF_REST);
	assert_true(party_has(a));
}

TEST(one_that_is_readable_when_its_time_is_over_is_heard_first)
{
	struct guest *a = party_join(NULL), *b = party_join(NULL);

	party_configure("limits = { idle = 60; };");
	party.now += 60 * SECOND;
	party_say(a, "there\n");
	party_say(b, "there");
	party_pass();
	assert_true(party_has(a) && party_has(b));
	/* A piece of a line begins no new time. */
	party_expire();
	assert_true(party_has(a));
	assert_false(party_has(b));
	party_expect_last(b, "chatd: idle for 60 seconds\n");
}

TEST(nobody_with_words_in_its_socket_is_idle_while_memory_is_refused)
{
	struct guest *a = party_join(NULL), *b = party_join(NULL);

	party_configure("limits = { idle = 1; };");
	party_expire();
	party_say(a, "it lies in its socket\n");
	party_say(b, "this too\n");
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
	    TIMEOUTS_TEST(less_than_the_limit_taken_in_the_time_of_lag_is_too_slow),
	    TIMEOUTS_TEST(just_the_limit_taken_in_the_time_of_lag_is_enough_for_another_time),
	    TIMEOUTS_TEST(what_waits_in_the_kernel_is_not_taken_and_what_waited_there_before_is),
	    TIMEOUTS_TEST(without_lag_as_little_as_a_byte_in_the_time_of_stall_is_enough),
	    TIMEOUTS_TEST(a_new_episode_begins_a_new_window),
	    TIMEOUTS_TEST(
		who_holds_everybody_up_is_named_once_after_a_second_and_when_it_has_caught_up),
	    TIMEOUTS_TEST(who_is_released_by_a_reload_has_caught_up),
	    TIMEOUTS_TEST(an_episode_of_less_than_a_second_is_no_news),
	    TIMEOUTS_TEST(one_that_took_nothing_is_told_so_though_it_was_silent_too),
	    TIMEOUTS_TEST(a_silent_guest_is_told_and_removed_when_its_time_is_over_and_not_before),
	    TIMEOUTS_TEST(without_the_limit_nobody_is_idle),
	    TIMEOUTS_TEST(a_line_begins_the_time_anew_and_a_piece_of_one_does_not),
	    TIMEOUTS_TEST(a_guest_that_only_listens_is_idle),
	    TIMEOUTS_TEST(one_that_is_asked_while_the_pool_is_held_is_idle_when_its_time_is_over),
	    TIMEOUTS_TEST(one_that_is_parked_has_something_to_say_and_is_not_idle),
	    TIMEOUTS_TEST(one_that_was_not_asked_about_is_asked_at_once),
	    TIMEOUTS_TEST(one_that_cannot_be_asked_because_the_kernel_rests_makes_no_spin),
	    TIMEOUTS_TEST(one_that_is_readable_when_its_time_is_over_is_heard_first),
	    TIMEOUTS_TEST(nobody_with_words_in_its_socket_is_idle_while_memory_is_refused),
	    TIMEOUTS_TEST(a_lowered_idle_limit_counts_at_once_also_for_the_time_before),
	};

	return cmocka_run_group_tests_name("timeouts", tests, NULL, NULL);
}
