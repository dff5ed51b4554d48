#include "unit.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "seam.h"

#define NOW (1000 * CLOCK_SECOND)

static int
setup(void **state)
{
	(void)state;
	unsetenv("JOURNAL_STREAM");
	catch_start(STDERR_FILENO);
	log_open();
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	log_close(); /* also ends every interval that is counted */
	catch_end(STDERR_FILENO);
	return 0;
}

static void
refuse(int64_t now, int count)
{
	seam_pass_at(now);
	for (int i = 0; i < count; i++)
		log_limited(LOG_REFUSED, "client %d", i);
}

static int64_t
due_at(int64_t now)
{
	seam_pass_at(now);
	return log_run_due();
}

#define FIVE "client 0\nclient 1\nclient 2\nclient 3\nclient 4\n"

TEST(each_message_is_one_line_at_once)
{
	log_info("info %d", 1);
	assert_string_equal(caught(STDERR_FILENO), "info 1\n");
	log_warn("warning %s", "two");
	assert_string_equal(caught(STDERR_FILENO), "warning two\n");
	log_error("error");
	assert_string_equal(caught(STDERR_FILENO), "error\n");
	assert_int_equal(log_flush(), -1);
}

TEST(a_fault_is_written_as_it_is)
{
	log_fault(LOG_ERR, "100%s of %n");
	assert_string_equal(caught(STDERR_FILENO), "100%s of %n\n");
}

TEST(in_the_journal_each_message_bears_its_level)
{
	struct stat st;
	char text[64];

	fstat(STDERR_FILENO, &st);
	snprintf(text, sizeof(text), "%ju:%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino);
	setenv("JOURNAL_STREAM", text, 1);
	log_open();
	log_error("error");
	log_warn("warning");
	log_info("info");
	log_fault(LOG_ERR, "fault");
	log_fault(LOG_WARNING, "doubt");
	seam_pass_at(NOW);
	log_limited(LOG_REFUSED, "refused");
	assert_string_equal(caught(STDERR_FILENO),
	    "<3>error\n<4>warning\n<6>info\n<3>fault\n<4>doubt\n<4>refused\n");
}

TEST(a_burst_is_written_and_one_more_is_only_counted)
{
	refuse(NOW, LOG_BURST);
	assert_string_equal(caught(STDERR_FILENO), FIVE);
	seam_pass_at(NOW);
	log_limited(LOG_REFUSED, "one too many");
	assert_string_equal(caught(STDERR_FILENO), "");
	due_at(NOW + LOG_INTERVAL);
	assert_string_equal(caught(STDERR_FILENO), "... and 1 more refused\n");
}

TEST(a_burst_alone_needs_no_count)
{
	refuse(NOW, LOG_BURST);
	caught(STDERR_FILENO);
	assert_int_equal(due_at(NOW), CLOCK_NEVER);
	assert_int_equal(due_at(NOW + LOG_INTERVAL), CLOCK_NEVER);
	assert_string_equal(caught(STDERR_FILENO), "");
}

TEST(a_count_is_told_when_its_interval_ends_and_not_before)
{
	refuse(NOW, LOG_BURST + 214);
	caught(STDERR_FILENO);
	assert_int_equal(due_at(NOW), NOW + LOG_INTERVAL);
	assert_int_equal(due_at(NOW + LOG_INTERVAL - 1), NOW + LOG_INTERVAL);
	assert_string_equal(caught(STDERR_FILENO), "");
	assert_int_equal(due_at(NOW + LOG_INTERVAL), CLOCK_NEVER);
	assert_string_equal(caught(STDERR_FILENO), "... and 214 more refused\n");
	/* And only once. */
	assert_int_equal(due_at(NOW + 2 * LOG_INTERVAL), CLOCK_NEVER);
	assert_string_equal(caught(STDERR_FILENO), "");
}

TEST(the_next_interval_begins_with_the_next_message)
{
	refuse(NOW, LOG_BURST + 1);
	caught(STDERR_FILENO);
	/* Within the interval: counted. */
	seam_pass_at(NOW + LOG_INTERVAL - 1);
	log_limited(LOG_REFUSED, "late");
	assert_string_equal(caught(STDERR_FILENO), "");
	/* After it: first the count of the old one, then the message. */
	seam_pass_at(NOW + LOG_INTERVAL);
	log_limited(LOG_REFUSED, "first of the next");
	assert_string_equal(caught(STDERR_FILENO), "... and 2 more refused\nfirst of the next\n");
	refuse(NOW + LOG_INTERVAL + 1, LOG_BURST);
	assert_int_equal(due_at(NOW + LOG_INTERVAL + 2), NOW + 2 * LOG_INTERVAL);
}

TEST(topics_are_counted_apart)
{
	refuse(NOW, LOG_BURST + 3);
	caught(STDERR_FILENO);
	seam_pass_at(NOW + 5);
	log_limited(LOG_REMOVED, "another topic");
	assert_string_equal(caught(STDERR_FILENO), "another topic\n");
	for (int i = 0; i < LOG_BURST; i++)
		log_limited(LOG_REMOVED, "again");
	caught(STDERR_FILENO);
	assert_int_equal(due_at(NOW + 5), NOW + LOG_INTERVAL);
	assert_int_equal(due_at(NOW + LOG_INTERVAL), NOW + 5 + LOG_INTERVAL);
	assert_string_equal(caught(STDERR_FILENO), "... and 3 more refused\n");
	due_at(NOW + 5 + LOG_INTERVAL);
	assert_string_equal(caught(STDERR_FILENO), "... and 1 more removed\n");
}

TEST(closing_tells_the_counts_that_are_left)
{
	refuse(NOW, LOG_BURST + 2);
	caught(STDERR_FILENO);
	log_close();
	assert_string_equal(caught(STDERR_FILENO), "... and 2 more refused\n");
}

TEST(standard_error_that_is_full_is_not_waited_for_and_tells_what_was_lost)
{
	static char all[1 << 20];
	int ends[2], blocked, written = 0, arrived = 0, dropped = 0;
	const char *told;

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	set_nonblocking(ends[0]);
	dup2(ends[1], STDERR_FILENO);
	log_open();
	stuff(STDERR_FILENO);
	for (; written < 20000; written++)
		log_info("line %d", written);
	assert_int_equal(log_flush(), STDERR_FILENO);
	/* Now somebody reads. */
	do {
		blocked = log_flush();
		strcat(all, get_text(ends[0], NULL));
	} while (blocked >= 0);
	for (const char *at = all; (at = strstr(at, "line ")) != NULL; at++)
		arrived++;
	told = strstr(all, "standard error");
	assert_non_null(told);
	assert_int_equal(sscanf(told, "standard error was blocked, %d lines dropped", &dropped), 1);
	assert_true(dropped > 0);
	assert_int_equal(arrived + dropped, written);
	/* And only once. */
	log_info("after");
	assert_string_equal(get_text(ends[0], NULL), "after\n");
	close(ends[0]);
	close(ends[1]);
}

#define LOG_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    LOG_TEST(each_message_is_one_line_at_once),
	    LOG_TEST(a_fault_is_written_as_it_is),
	    LOG_TEST(in_the_journal_each_message_bears_its_level),
	    LOG_TEST(a_burst_is_written_and_one_more_is_only_counted),
	    LOG_TEST(a_burst_alone_needs_no_count),
	    LOG_TEST(a_count_is_told_when_its_interval_ends_and_not_before),
	    LOG_TEST(the_next_interval_begins_with_the_next_message),
	    LOG_TEST(topics_are_counted_apart),
	    LOG_TEST(closing_tells_the_counts_that_are_left),
	    LOG_TEST(standard_error_that_is_full_is_not_waited_for_and_tells_what_was_lost),
	};

	return cmocka_run_group_tests_name("log", tests, NULL, NULL);
}
