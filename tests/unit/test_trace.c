#include "unit.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/trace.h"

static int
setup(void **state)
{
	(void)state;
	unsetenv("JOURNAL_STREAM");
	catch_start(STDERR_FILENO);
	catch_start(STDOUT_FILENO);
	log_open();
	trace_open(true);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	trace_close();
	log_close();
	catch_end(STDOUT_FILENO);
	catch_end(STDERR_FILENO);
	return 0;
}

/* Every line once. */
static void
say_all(void)
{
	trace_waiting(3);
	trace_accepted(4);
	trace_readable(4);
	trace_received(7, 4);
	trace_closed(4);
	trace_removing(4);
}

#define ALL                                 \
	"Waiting on select()...\n"          \
	"MaxFd 3\n"                         \
	"New incoming connection on sd 4\n" \
	"Descriptor 4 is readable\n"        \
	"7 bytes received from sd 4\n"      \
	"Connection closed for sd 4\n"      \
	"removing connection with sd 4 \n"

TEST(every_line_has_the_required_text)
{
	say_all();
	assert_int_equal(trace_flush(), -1);
	assert_string_equal(caught(STDOUT_FILENO), ALL);
	assert_string_equal(caught(STDERR_FILENO), "");
}

TEST(large_numbers_are_written_in_full)
{
	char want[128];

	snprintf(want, sizeof(want),
	    "Waiting on select()...\nMaxFd 1048575\n%zu bytes received from sd 1048575\n",
	    SIZE_MAX);
	trace_waiting(1048575);
	trace_received(SIZE_MAX, 1048575);
	trace_flush();
	assert_string_equal(caught(STDOUT_FILENO), want);
}

TEST(nothing_is_written_before_the_flush_and_then_all_of_it_at_once)
{
	char packet[1024] = "";
	int pair[2];

	/* Each write is one packet. */
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	dup2(pair[1], STDOUT_FILENO);
	trace_open(true);
	say_all();
	assert_int_equal(recv(pair[0], packet, sizeof(packet), MSG_DONTWAIT), -1);
	assert_int_equal(trace_flush(), -1);
	assert_int_equal(recv(pair[0], packet, sizeof(packet) - 1, MSG_DONTWAIT), strlen(ALL));
	assert_string_equal(packet, ALL);
	assert_int_equal(recv(pair[0], packet, sizeof(packet), MSG_DONTWAIT), -1);
	close(pair[0]);
	close(pair[1]);
}

TEST(a_trace_that_is_off_writes_nothing_until_it_is_on)
{
	trace_enable(false);
	say_all();
	trace_flush();
	assert_string_equal(caught(STDOUT_FILENO), "");
	trace_enable(true);
	trace_removing(9);
	trace_flush();
	assert_string_equal(caught(STDOUT_FILENO), "removing connection with sd 9 \n");
	trace_open(false);
	say_all();
	trace_flush();
	assert_string_equal(caught(STDOUT_FILENO), "");
}

TEST(closing_writes_what_is_left)
{
	trace_removing(4);
	trace_close();
	assert_string_equal(caught(STDOUT_FILENO), "removing connection with sd 4 \n");
}

TEST(in_the_journal_every_line_has_priority_debug)
{
	struct stat st;
	char text[64];

	fstat(STDOUT_FILENO, &st);
	snprintf(text, sizeof(text), "%ju:%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino);
	setenv("JOURNAL_STREAM", text, 1);
	trace_open(true);
	trace_waiting(3);
	trace_removing(4);
	trace_flush();
	assert_string_equal(caught(STDOUT_FILENO),
	    "<7>Waiting on select()...\n<7>MaxFd 3\n<7>removing connection with sd 4 \n");
}

/* A whole page of text at a time, so that few passes fill any pipe. */
static void
write_much(int *written)
{
	for (int i = 0; i < 100; i++, ++*written)
		trace_accepted(*written);
}

TEST(a_reader_that_sleeps_costs_lines_and_the_log_tells_how_many)
{
	static char all[1 << 20];
	int ends[2], written = 0, arrived = 0, last = -1, dropped = 0;

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	set_nonblocking(ends[0]);
	dup2(ends[1], STDOUT_FILENO);
	trace_open(true);
	while (written < 20000) {
		write_much(&written);
		trace_flush();
	}
	/* The loop is told what to wait for. */
	assert_int_equal(trace_flush(), STDOUT_FILENO);
	assert_string_equal(caught(STDERR_FILENO), "");
	while (trace_flush() >= 0)
		strcat(all, get_text(ends[0], NULL));
	strcat(all, get_text(ends[0], NULL));
	for (char *line = strtok(all, "\n"); line != NULL; line = strtok(NULL, "\n")) {
		int number;
		char rest;

		assert_int_equal(
		    sscanf(line, "New incoming connection on sd %d%c", &number, &rest), 1);
		assert_true(number > last);
		last = number;
		arrived++;
	}
	assert_int_equal(sscanf(caught(STDERR_FILENO),
			     "standard output was blocked, %d trace lines dropped\n", &dropped),
	    1);
	assert_true(dropped > 0);
	assert_int_equal(arrived + dropped, written);
	/* The trace goes on, and the count is told once. */
	trace_removing(4);
	assert_int_equal(trace_flush(), -1);
	assert_string_equal(get_text(ends[0], NULL), "removing connection with sd 4 \n");
	assert_string_equal(caught(STDERR_FILENO), "");
	close(ends[0]);
	close(ends[1]);
}

TEST(a_reader_that_has_gone_ends_the_trace_and_is_told_once)
{
	int ends[2];

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	dup2(ends[1], STDOUT_FILENO);
	trace_open(true);
	close(ends[0]);
	for (int pass = 0; pass < 3; pass++) {
		say_all();
		assert_int_equal(trace_flush(), -1);
	}
	assert_string_equal(
	    caught(STDERR_FILENO), "standard output: Broken pipe; the trace ends\n");
	/* A trace that is opened anew tells it anew. */
	trace_open(true);
	say_all();
	trace_flush();
	assert_string_equal(
	    caught(STDERR_FILENO), "standard output: Broken pipe; the trace ends\n");
	close(ends[1]);
}

TEST(a_full_disk_is_told_once_and_the_trace_goes_on_when_there_is_room)
{
	int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
	int ends[2];

	dup2(full, STDOUT_FILENO);
	close(full);
	trace_open(true);
	for (int pass = 0; pass < 3; pass++) {
		say_all();
		assert_int_equal(trace_flush(), -1);
	}
	assert_string_equal(caught(STDERR_FILENO),
	    "standard output: No space left on device; the trace loses lines\n");
	/* Somebody has made room. */
	assert_int_equal(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
	dup2(ends[1], STDOUT_FILENO);
	trace_removing(4);
	assert_int_equal(trace_flush(), -1);
	assert_string_equal(get_text(ends[0], NULL), "removing connection with sd 4 \n");
	assert_string_equal(
	    caught(STDERR_FILENO), "standard output was blocked, 21 trace lines dropped\n");
	close(ends[0]);
	close(ends[1]);
}

#define TRACE_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TRACE_TEST(every_line_has_the_required_text),
	    TRACE_TEST(large_numbers_are_written_in_full),
	    TRACE_TEST(nothing_is_written_before_the_flush_and_then_all_of_it_at_once),
	    TRACE_TEST(a_trace_that_is_off_writes_nothing_until_it_is_on),
	    TRACE_TEST(closing_writes_what_is_left),
	    TRACE_TEST(in_the_journal_every_line_has_priority_debug),
	    TRACE_TEST(a_reader_that_sleeps_costs_lines_and_the_log_tells_how_many),
	    TRACE_TEST(a_reader_that_has_gone_ends_the_trace_and_is_told_once),
	    TRACE_TEST(a_full_disk_is_told_once_and_the_trace_goes_on_when_there_is_room),
	};

	/* As the server does. */
	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests_name("trace", tests, NULL, NULL);
}
