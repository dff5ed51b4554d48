#include "unit.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "party.h"
#include "seam.h"

TEST(one_recv_of_one_guest_is_made_in_a_pass)
{
	struct guest *a = party_join(NULL), *b = party_join(NULL);

	party_say(a, "x\n");
	party_say(b, "y\n");
	seam_reset();
	party_pass();
	assert_int_equal(seam_calls(SEAM_RECV), 2);
}

TEST(the_trace_tells_each_read_in_ascending_order)
{
	struct guest *a = party_join(NULL), *b = party_join(NULL);

	party_say(b, "12345\n");
	party_say(a, "1\n");
	party_settle();
	assert_string_equal(party_trace(), "Descriptor A is readable\n"
					   "2 bytes received from sd A\n"
					   "Descriptor B is readable\n"
					   "6 bytes received from sd B\n");
	assert_string_equal(party_log(), "");
}

TEST(the_trace_tells_an_end_and_the_removal)
{
	struct guest *a = party_join(NULL);

	party_leave(a);
	party_settle();
	assert_string_equal(party_trace(), "Descriptor A is readable\n"
					   "Connection closed for sd A\n"
					   "removing connection with sd A \n");
}

TEST(a_read_that_brings_nothing_is_told_as_readable_only)
{
	struct guest *a = party_join(NULL);

	party_read(a);
	assert_string_equal(party_trace(), "Descriptor A is readable\n");
	assert_true(party_has(a));
}

TEST(an_unfinished_line_is_completed_at_the_end)
{
	struct guest *a = party_join(NULL), *b = party_join(NULL);

	party_say(a, "whole\nunfinished");
	party_leave(a);
	party_settle();
	party_expect(b, "whole\nunfinished\n");
	assert_false(party_has(a));
	assert_int_equal(party.chat.pool.count, 1);
}

TEST(a_guest_that_only_stops_speaking_gets_what_waits_and_goes)
{
	struct guest *a = party_join(NULL), *b = party_join(NULL);

	party_say(a, "for b\n");
	party_read(a);
	shutdown(b->fd, SHUT_WR);
	party_read(b);
	party_expect(b, "for b\n");
	pool_reap(&party.chat.pool);
	party_expect_last(b, "");
}

TEST(a_failed_recv_is_skipped_and_the_end_is_told_by_the_next_one)
{
	struct guest *a = party_join(NULL), *b = party_join(NULL), *c = party_join(NULL);

	party_say(a, "unfinished");
	party_settle();
	party_trace();
	seam_fail(SEAM_RECV, 0, 1, ECONNRESET);
	party_leave(a);
	party_pass();
	assert_true(party_has(a));
	assert_string_equal(party_trace(), "Descriptor A is readable\n");
	party_say(b, "still here\n");
	party_settle();
	assert_string_equal(party_trace(), "Descriptor A is readable\n"
					   "Connection closed for sd A\n"
					   "removing connection with sd A \n"
					   "Descriptor B is readable\n"
					   "11 bytes received from sd B\n");
	party_expect(c, "unfinished\nstill here\n");
	party_expect(b, "unfinished\n");
}

TEST(a_recv_that_goes_on_failing_makes_no_spin)
{
	struct guest *a = party_join(NULL);
	int passes = 0;

	party_say(a, "unread\n");
	seam_reset();
	seam_fail(SEAM_RECV, 0, SEAM_ALWAYS, ECONNRESET);
	while (party_pass())
		assert_true(++passes < 100);
	assert_int_equal(seam_calls(SEAM_RECV), BACKOFF_REFUSALS);
	assert_true(party_has(a));
}

TEST(a_send_that_fails_for_good_makes_that_guest_deaf_and_it_is_read_to_its_end)
{
	struct guest *a = party_join(NULL), *c = party_join(NULL), *b;
	static const int errors[] = {EHOSTUNREACH, EPIPE, ETIMEDOUT, ECONNRESET};

	for (size_t i = 0; i < LENGTH(errors); i++) {
		bool closed;

		b = party_join(NULL);
		party_say(a, "hello\n");
		party_read(a);
		seam_fail(SEAM_SEND, 0, 1, errors[i]);
		party_write(b);
		assert_int_equal(party_conn(b)->life, CONN_WRITE_CLOSED);
		assert_true(queue_empty(&party_conn(b)->queue));
		party_settle();
		party_expect(c, "hello\n");
		/* Whoever only stopped receiving learns that nothing more comes. */
		assert_string_equal(party_hears(b, &closed), "");
		assert_true(closed);
		party_say(b, "said before\n");
		party_settle();
		party_expect(a, "said before\n");
		party_expect(c, "said before\n");
		party_leave(b);
		party_settle();
		assert_false(party_has(b));
		/* So that the numbers go on ascending. */
		b->fd = dup(a->fd);
	}
}

TEST(the_last_words_of_one_that_has_gone_are_heard_though_nothing_reaches_it)
{
	struct guest *a = party_join(NULL), *b = party_join(NULL), *c = party_join(NULL);

	party_say(a, "for those who hear\n");
	party_read(a);
	party_say(b, "last words\n");
	party_leave(b);
	/* It is found out by the write, before the read. */
	party_write(b);
	assert_true(party_has(b));
	party_say(a, "more\n");
	party_settle();
	party_expect(c, "for those who hear\nmore\nlast words\n");
	party_expect(a, "last words\n");
	assert_false(party_has(b));
}

TEST(a_line_of_the_full_length_is_heard_and_one_byte_more_removes_the_speaker)
{
	struct guest *a = party_join("192.0.2.1"), *b = party_join("192.0.2.2");

	party_configure("limits = { line = 100; };");
	party_say(a, party_letters(99));
	party_say(a, "\n");
	party_settle();
	assert_int_equal(strlen(party_hears(b, NULL)), 100);
	party_say(a, "before\n");
	party_say(a, party_letters(100));
	party_settle();
	party_expect(b, "before\n");
	party_expect_last(a, "chatd: line too long, at most 100 bytes\n");
	party_expire();
	assert_string_equal(party_log(), "192.0.2.1:1 removed: line too long, at most 100 bytes\n");
	assert_non_null(strstr(party_trace(), "removing connection with sd A \n"));
}

TEST(a_lowered_line_limit_removes_whoever_is_past_it_with_the_next_bytes)
{
	struct guest *a = party_join(NULL), *b = party_join(NULL);

	party_say(a, party_letters(500));
	party_settle();
	party_configure("limits = { line = 100; };");
	party_settle();
	assert_true(party_has(a));
	party_say(a, "\n");
	party_settle();
	party_expect_last(a, "chatd: line too long, at most 100 bytes\n");
	party_expect(b, "");
}

TEST(a_raised_line_limit_counts_for_a_line_that_has_begun)
{
	struct guest *a = party_join(NULL), *b = party_join(NULL);

	party_configure("limits = { line = 100; };");
	party_say(a, party_letters(99));
	party_settle();
	party_configure("limits = { line = 10000; };");
	party_say(a, party_letters(5000));
	party_settle();
	party_say(a, party_letters(4900));
	party_say(a, "\n");
	party_settle();
	assert_int_equal(strlen(party_hears(b, NULL)), 10000);
}

#define CLIENTS_TEST(name) cmocka_unit_test_setup_teardown(name, party_setup, party_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    CLIENTS_TEST(one_recv_of_one_guest_is_made_in_a_pass),
	    CLIENTS_TEST(the_trace_tells_each_read_in_ascending_order),
	    CLIENTS_TEST(the_trace_tells_an_end_and_the_removal),
	    CLIENTS_TEST(a_read_that_brings_nothing_is_told_as_readable_only),
	    CLIENTS_TEST(an_unfinished_line_is_completed_at_the_end),
	    CLIENTS_TEST(a_guest_that_only_stops_speaking_gets_what_waits_and_goes),
	    CLIENTS_TEST(a_failed_recv_is_skipped_and_the_end_is_told_by_the_next_one),
	    CLIENTS_TEST(a_recv_that_goes_on_failing_makes_no_spin),
	    CLIENTS_TEST(
		a_send_that_fails_for_good_makes_that_guest_deaf_and_it_is_read_to_its_end),
	    CLIENTS_TEST(the_last_words_of_one_that_has_gone_are_heard_though_nothing_reaches_it),
	    CLIENTS_TEST(a_line_of_the_full_length_is_heard_and_one_byte_more_removes_the_speaker),
	    CLIENTS_TEST(a_lowered_line_limit_removes_whoever_is_past_it_with_the_next_bytes),
	    CLIENTS_TEST(a_raised_line_limit_counts_for_a_line_that_has_begun),
	};

	return cmocka_run_group_tests_name("clients", tests, NULL, NULL);
}
