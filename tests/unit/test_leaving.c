#include "unit.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "chat/leaving.h"
#include "faults.h"
#include "party.h"
#include "seam.h"

#define REASON "chatd: too loud\n"

/* Still leaving: neither in nor closed. */
static bool
leaves(const struct guest *guest)
{
	return fdset_has(&party.chat.leaving.members, guest->sd);
}

static void
dismiss(const struct guest *guest)
{
	seam_pass_at(party.now);
	leaving_dismiss(&party.chat.leaving, party_conn(guest), "too loud", "too loud");
}

/* What a dismissed guest gets, so many bytes of text having left before. */
static void
expect_cut(const char *text, size_t left, const char *want)
{
	struct guest *a = party_join(NULL), *b = party_join(NULL);

	party_say(b, text);
	party_read(b);
	if (left > 0)
		party_write_some(a, left);
	dismiss(a);
	party_expect_last(a, want);
}

/* What is told, and what is cut */

TEST(a_dismissed_guest_gets_the_reason_and_no_line_that_has_not_begun_to_leave)
{
	expect_cut("first\nsecond\n", 0, REASON);
}

TEST(a_line_that_has_begun_to_leave_is_completed_before_the_reason)
{
	expect_cut("first\nsecond\nthird\n", 1, "first\n" REASON);
	expect_cut("first\nsecond\nthird\n", 5, "first\n" REASON);
	expect_cut("first\nsecond\nthird\n", 7, "first\nsecond\n" REASON);
	expect_cut("first\nsecond\nthird\n", 18, "first\nsecond\nthird\n" REASON);
}

TEST(between_two_lines_the_reason_comes_at_once)
{
	expect_cut("first\nsecond\n", 6, "first\n" REASON);
	expect_cut("first\nsecond\n", 13, "first\nsecond\n" REASON);
}

/* Answers to telnet's commands are no lines. */
TEST(what_was_told_to_one_alone_and_has_begun_to_leave_is_completed_too)
{
	struct guest *a = party_join(NULL), *b = party_join(NULL);

	broadcast_tell(&party.chat.broadcast, party_conn(a), "\377\374\001\377\374\003", 6);
	party_say(b, "dropped\n");
	party_read(b);
	party_write_some(a, 2);
	dismiss(a);
	party_expect_last(a, "\377\374\001\377\374\003" REASON);
}

TEST(a_dismissed_guest_hears_nothing_that_is_said_later)
{
	struct guest *a = party_join("192.0.2.1"), *b = party_join(NULL);

	stuff(party.guests[0].sd);
	dismiss(a);
	party_say(b, "later\n");
	party_settle();
	assert_non_null(strstr(party_hears(a, NULL), "..."));
	party_settle();
	party_expect(a, REASON);
}

TEST(a_dismissed_guest_has_spoken_before_in_its_pass)
{
	struct guest *a = party_join(NULL), *b = party_join(NULL), *c = party_join(NULL);

	party_configure("limits = { line = 10; };");
	party_say(a, "from a\n");
	party_say(b, "from b\n");
	party_say(b, party_letters(10));
	party_say(c, "from c\n");
	party_pass();
	party_expect_last(b, "chatd: line too long, at most 10 bytes\n");
	party_settle();
	party_expect(a, "from b\nfrom c\n");
	party_expect(c, "from a\nfrom b\n");
}

TEST(whoever_receives_no_more_leaves_without_words)
{
	struct guest *a = party_join(NULL);

	conn_close_write(party_conn(a));
	seam_reset();
	dismiss(a);
	assert_int_equal(seam_calls(SEAM_SEND), 0);
	party_expire();
	party_expect_last(a, "");
	assert_false(is_open(a->sd));
}

/* When it is over */

TEST(a_unix_client_is_done_when_all_is_written_and_nothing_comes_from_it)
{
	struct guest *a = party_join(NULL);

	dismiss(a);
	assert_true(leaves(a));
	assert_int_equal(party_expire(), CLOCK_NEVER);
	assert_string_equal(party_trace(), "removing connection with sd A \n");
	assert_false(leaves(a) || is_open(a->sd));
	party_expect_last(a, REASON);
}

TEST(what_comes_from_one_that_leaves_is_read_and_heard_by_nobody)
{
	struct guest *a = party_join(NULL), *b = party_join(NULL);

	party_configure("limits = { line = 10; };");
	party_say(a, "unheard\nand much too long a line\n");
	dismiss(a);
	assert_int_equal(party_expire(), party.now + LEAVING_LOOK);
	assert_true(leaves(a));
	assert_string_equal(party_trace(), "");
	party_settle();
	assert_string_equal(party_trace(), "Descriptor A is readable\n"
					   "33 bytes received from sd A\n");
	party_expect(b, "");
	assert_string_equal(party_log(), "unix(pid 1, uid 0) removed: too loud\n");
	/* More may be on its way, until nothing came for a while. */
	party.now += LEAVING_QUIET - 1;
	assert_int_equal(party_expire(), party.now + LEAVING_LOOK);
	party.now++;
	party_expire();
	assert_string_equal(party_trace(), "removing connection with sd A \n");
	party_expect_last(a, REASON);
}

/* For a guest with an address SIOCOUTQ tells what its own end has not read. */
TEST(one_at_an_address_is_done_when_its_machine_has_taken_everything)
{
	struct guest *a = party_join("192.0.2.1");

	dismiss(a);
	for (int i = 0; i < 10; i++) {
		assert_int_equal(party_expire(), party.now + LEAVING_LOOK);
		party.now += LEAVING_LOOK;
	}
	assert_true(leaves(a));
	/* The end of file has come before the connection is closed. */
	party_expect_last(a, REASON);
	assert_true(is_open(a->sd));
	assert_int_equal(party_expire(), CLOCK_NEVER);
	assert_false(leaves(a) || is_open(a->sd));
}

TEST(its_own_end_of_file_is_enough)
{
	struct guest *a = party_join("192.0.2.1");

	dismiss(a);
	shutdown(a->fd, SHUT_WR);
	party_pass();
	assert_string_equal(party_trace(), "Descriptor A is readable\n"
					   "Connection closed for sd A\n"
					   "removing connection with sd A \n");
	party_expect_last(a, REASON);
}

TEST(its_end_of_file_does_not_keep_it_from_what_waits)
{
	struct guest *a = party_join("192.0.2.1");
	int64_t start = party.now;
	const char *heard;

	stuff(a->sd);
	dismiss(a);
	shutdown(a->fd, SHUT_WR);
	party_pass();
	assert_string_equal(
	    party_trace(), "Descriptor A is readable\nConnection closed for sd A\n");
	party.now += CLOCK_SECOND;
	/* Nothing is to be looked at before: it will be writable. */
	assert_int_equal(party_expire(), start + LEAVING_TIME);
	party_hears(a, NULL);
	party_pass();
	heard = party_hears(a, NULL);
	assert_string_equal(heard, REASON);
	assert_false(is_open(a->sd));
}

TEST(nobody_leaves_for_longer_than_two_seconds)
{
	struct guest *a = party_join("192.0.2.1"), *b = party_join(NULL);
	int64_t start = party.now;

	dismiss(a);
	party.now = start + LEAVING_TIME - 1;
	assert_int_equal(party_expire(), start + LEAVING_TIME);
	assert_true(leaves(a));
	party.now = start;
	stuff(b->sd);
	dismiss(b);
	assert_int_equal(party_expire(), start + LEAVING_LOOK);
	party.now = start + LEAVING_TIME - 1;
	assert_int_equal(party_expire(), start + LEAVING_TIME);
	assert_true(leaves(a) && leaves(b));
	party.now++;
	assert_int_equal(party_expire(), CLOCK_NEVER);
	assert_false(leaves(a) || leaves(b));
	assert_string_equal(party_trace(), "removing connection with sd A \n"
					   "removing connection with sd B \n");
}

TEST(as_many_as_64_leave_and_the_next_one_makes_the_oldest_go)
{
	for (int i = 0; i < LEAVING_MAX + 2; i++)
		party_join("192.0.2.1");
	for (int i = 0; i < LEAVING_MAX; i++)
		dismiss(&party.guests[i]);
	assert_string_equal(party_trace(), "");
	dismiss(&party.guests[LEAVING_MAX]);
	assert_string_equal(party_trace(), "removing connection with sd A \n");
	/* It keeps its number until the end of the pass. */
	assert_true(is_open(party.guests[0].sd));
	assert_int_equal(party.chat.leaving.count, LEAVING_MAX);
	party_expire();
	assert_false(is_open(party.guests[0].sd));
	assert_true(is_open(party.guests[1].sd));
	party_expect_last(&party.guests[0], REASON);
}

TEST(one_that_leaves_is_no_member_and_holds_nobody)
{
	struct guest *a = party_join("192.0.2.1"), *b = party_join("192.0.2.2");

	party_configure("limits = { queue = 2000; line = 60000; };");
	party_say(a, party_letters(500));
	party_settle();
	assert_non_null(party_conn(a)->line.data);
	party_speak(b, 2001);
	assert_true(party_holds());
	dismiss(a);
	assert_false(party_holds());
	assert_int_equal(party.chat.pool.count, 1);
	assert_int_equal(chat_highest(&party.chat), b->sd);
	/* Its memory is not needed any more. */
	assert_null(party_conn(a)->line.data);
}

/* Sockets that fail */

TEST(one_that_cannot_be_written_to_leaves_without_the_reason)
{
	struct guest *a = party_join("192.0.2.1"), *b = party_join("192.0.2.2");

	seam_fail(SEAM_SEND, 0, 1, EPIPE);
	dismiss(a);
	seam_fail(SEAM_SEND, 0, 1, EAGAIN);
	dismiss(b);
	seam_fail(SEAM_SEND, 0, 1, EHOSTUNREACH);
	party_pass();
	party_expire();
	assert_false(leaves(a) || leaves(b));
	party_expect_last(a, "");
	party_expect_last(b, "");
}

TEST(a_recv_that_goes_on_failing_makes_no_spin)
{
	struct guest *a = party_join("192.0.2.1");
	int passes = 0;

	party_say(a, "unread");
	dismiss(a);
	seam_reset();
	seam_fail(SEAM_RECV, 0, SEAM_ALWAYS, ENOMEM);
	while (party_pass())
		assert_true(++passes < 100);
	assert_int_equal(seam_calls(SEAM_RECV), BACKOFF_REFUSALS);
	assert_true(leaves(a));
	party.now += BACKOFF_REST;
	party_expire();
	assert_true(party_pass());
	assert_false(party_pass());
	seam_reset();
	party.now += BACKOFF_REST;
	party_expire();
	party_pass();
	assert_non_null(strstr(party_trace(), "6 bytes received from sd A\n"));
}

TEST(a_send_that_goes_on_failing_makes_no_spin)
{
	struct guest *a = party_join("192.0.2.1");
	int passes = 0;

	seam_fail(SEAM_SEND, 0, SEAM_ALWAYS, ENOBUFS);
	dismiss(a);
	while (party_pass())
		assert_true(++passes < 100);
	seam_reset();
	party.now += BACKOFF_REST;
	party_expire();
	party_settle();
	party_expect_last(a, REASON);
}

/* Without memory */

TEST(a_dismissal_for_which_memory_is_refused_is_one_without_words)
{
	struct guest *a = party_join(NULL), *b = party_join(NULL);
	size_t heard = 0;

	party_configure("limits = { line = 60000; queue = 10000000; };");
	for (int i = 0; i < 4; i++)
		party_speak(a, 60000);
	/* b holds the buf, and there is no other one. */
	seam_fail(SEAM_MEMORY, 0, SEAM_ALWAYS, ENOMEM);
	party_speak(a, ARENA_BUF - 4 * 60000 - 20);
	seam_reset();
	party_configure("limits = { line = 10; };");
	party_say(a, party_letters(10));
	seam_fail(SEAM_MEMORY, 0, SEAM_ALWAYS, ENOMEM);
	party_read(a);
	seam_reset();
	assert_false(party_has(a));
	pool_reap(&party.chat.pool);
	party_expect_last(a, "");
	while (heard < ARENA_BUF - 20) {
		party_settle();
		heard += strlen(party_hears(b, NULL));
	}
	assert_int_equal(heard, ARENA_BUF - 20);
}

TEST(new_rules_remove_those_whom_they_shut_out_and_tell_them)
{
	struct guest *a = party_join("192.0.2.1"), *b = party_join("198.51.100.1");
	struct guest *c = party_join(NULL);

	party_configure("allow = \"192.0.2.0/24\";");
	assert_true(party_has(a) && party_has(c));
	party_expect_last(b, "chatd: your address is not allowed\n");
	assert_string_equal(party_log(), "198.51.100.1:2 removed: address not allowed\n");
	assert_string_equal(party_trace(), "");
	party_expire();
	assert_string_equal(party_trace(), "removing connection with sd B \n");
	party_say(a, "still here\n");
	party_settle();
	party_expect(c, "still here\n");
}

/* Its queue is full and cannot grow: then it goes without a word. */
TEST(without_memory_one_that_is_shut_out_is_not_told)
{
	struct guest *a = party_join("192.0.2.1"), *b = party_join("192.0.2.2");
	struct guest *c = party_join("192.0.2.3");
	struct config *after = config_of("deny = \"192.0.2.2\";"), *before = party.config;

	seam_fail(SEAM_SEND, 0, SEAM_ALWAYS, EAGAIN);
	for (int i = 0; i < 3; i++) {
		party_say(a, "a\n");
		party_say(b, "b\n");
		if (i == 2) {
			party_say(c, "c\n");
			seam_reset();
			seam_fail(SEAM_MEMORY, 0, SEAM_ALWAYS, ENOMEM);
		}
		for (struct guest *g = a; g <= c; g++)
			party_receive(g);
		party_deliver();
	}
	assert_false(party_reading());
	party.config = after;
	seam_reset();
	seam_fail(SEAM_MEMORY, 0, 1, ENOMEM);
	chat_reconfigure(&party.chat, after, NULL);
	seam_reset();
	config_free(before);
	assert_false(party_has(b));
	pool_reap(&party.chat.pool);
	party_settle();
}

/* The end of the server */

TEST(the_end_of_the_pool_removes_everybody_in_ascending_order)
{
	struct guest *a, *b;

	party_configure("log_connections = true;");
	a = party_join("192.0.2.1");
	b = party_join("192.0.2.2");
	party_say(a, "unheard\n");
	party_read(a);
	party_trace();
	party_log();
	party_end();
	assert_string_equal(party_trace(), "removing connection with sd A \n"
					   "removing connection with sd B \n");
	assert_string_equal(party_log(), "192.0.2.1:1 disconnected from sd A: the server ends\n"
					 "192.0.2.2:2 disconnected from sd B: the server ends\n");
	assert_false(is_open(a->sd) || is_open(b->sd));
}

TEST(at_the_end_everybody_gets_all_that_waits_and_then_the_reason)
{
	struct guest *a = party_join("192.0.2.1"), *b = party_join(NULL), *c = party_join(NULL);
	bool closed;

	party_configure("log_connections = true;");
	party_say(a, "heard\nto the end\n");
	party_read(a);
	party_trace();
	chat_say_goodbye(&party.chat);
	assert_false(chat_is_over(&party.chat));
	assert_string_equal(party_hears(b, &closed), "heard\nto the end\nchatd: the server ends\n");
	assert_true(closed);
	assert_int_equal(party.chat.pool.count, 0);
	party_expire();
	/* b and c are done, and wait to be closed with a. */
	assert_string_equal(party_trace(), "");
	assert_false(chat_is_over(&party.chat));
	party_expect_last(a, "chatd: the server ends\n");
	assert_int_equal(party_expire(), CLOCK_NEVER);
	assert_true(chat_is_over(&party.chat));
	assert_true(leaves(a) && leaves(b) && leaves(c));
	party_log();
	party_end();
	assert_string_equal(party_trace(), "removing connection with sd A \n"
					   "removing connection with sd B \n"
					   "removing connection with sd C \n");
	assert_string_equal(party_log(), "");
}

TEST(at_the_end_one_that_closes_itself_is_closed_at_once)
{
	struct guest *a = party_join("192.0.2.1"), *b = party_join("192.0.2.2");

	chat_say_goodbye(&party.chat);
	party_expect_last(b, "chatd: the server ends\n");
	party_leave(b);
	party_pass();
	assert_string_equal(party_trace(), "Descriptor B is readable\n"
					   "Connection closed for sd B\n"
					   "removing connection with sd B \n");
	assert_true(leaves(a));
}

TEST(at_the_end_there_is_no_limit_to_how_many_leave_nor_for_how_long)
{
	for (int i = 0; i < LEAVING_MAX + 10; i++)
		party_join("192.0.2.1");
	chat_say_goodbye(&party.chat);
	party.now += 3600 * CLOCK_SECOND;
	assert_int_equal(party_expire(), party.now + LEAVING_LOOK);
	assert_string_equal(party_trace(), "");
	assert_int_equal(party.chat.leaving.count, LEAVING_MAX + 10);
}

TEST(one_that_goes_on_talking_is_heard_out_up_to_a_limit)
{
	struct guest *a = party_join(NULL);

	dismiss(a);
	party_conn(a)->last_line_at = party.now;
	party_conn(a)->window_bytes = LEAVING_BYTES;
	party_expire();
	assert_true(leaves(a));
	party_say(a, "x");
	party_pass();
	assert_false(leaves(a));
}

#define LEAVING_TEST(name) cmocka_unit_test_setup_teardown(name, party_setup, party_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    LEAVING_TEST(one_that_goes_on_talking_is_heard_out_up_to_a_limit),
	    LEAVING_TEST(a_dismissed_guest_gets_the_reason_and_no_line_that_has_not_begun_to_leave),
	    LEAVING_TEST(a_line_that_has_begun_to_leave_is_completed_before_the_reason),
	    LEAVING_TEST(between_two_lines_the_reason_comes_at_once),
	    LEAVING_TEST(what_was_told_to_one_alone_and_has_begun_to_leave_is_completed_too),
	    LEAVING_TEST(a_dismissed_guest_hears_nothing_that_is_said_later),
	    LEAVING_TEST(a_dismissed_guest_has_spoken_before_in_its_pass),
	    LEAVING_TEST(whoever_receives_no_more_leaves_without_words),
	    LEAVING_TEST(a_unix_client_is_done_when_all_is_written_and_nothing_comes_from_it),
	    LEAVING_TEST(what_comes_from_one_that_leaves_is_read_and_heard_by_nobody),
	    LEAVING_TEST(one_at_an_address_is_done_when_its_machine_has_taken_everything),
	    LEAVING_TEST(its_own_end_of_file_is_enough),
	    LEAVING_TEST(its_end_of_file_does_not_keep_it_from_what_waits),
	    LEAVING_TEST(nobody_leaves_for_longer_than_two_seconds),
	    LEAVING_TEST(as_many_as_64_leave_and_the_next_one_makes_the_oldest_go),
	    LEAVING_TEST(one_that_leaves_is_no_member_and_holds_nobody),
	    LEAVING_TEST(one_that_cannot_be_written_to_leaves_without_the_reason),
	    LEAVING_TEST(a_recv_that_goes_on_failing_makes_no_spin),
	    LEAVING_TEST(a_send_that_goes_on_failing_makes_no_spin),
	    LEAVING_TEST(a_dismissal_for_which_memory_is_refused_is_one_without_words),
	    LEAVING_TEST(new_rules_remove_those_whom_they_shut_out_and_tell_them),
	    LEAVING_TEST(without_memory_one_that_is_shut_out_is_not_told),
	    LEAVING_TEST(the_end_of_the_pool_removes_everybody_in_ascending_order),
	    LEAVING_TEST(at_the_end_everybody_gets_all_that_waits_and_then_the_reason),
	    LEAVING_TEST(at_the_end_one_that_closes_itself_is_closed_at_once),
	    LEAVING_TEST(at_the_end_there_is_no_limit_to_how_many_leave_nor_for_how_long),
	};

	return cmocka_run_group_tests_name("leaving", tests, NULL, NULL);
}
