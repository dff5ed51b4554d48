#include "unit.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/backoff.h"
#include "base/clock.h"
#include "host.h"
#include "server.h"

/* A pass */

TEST(a_session_of_one_client_has_the_required_transcript)
{
	int a;

	host_start("");
	a = host_connect();
	host_pass();
	put_text(a, "hello\r\n");
	host_pass();
	close(a);
	host_pass();
	assert_string_equal(host_trace(), "Waiting on select()...\n"
					  "MaxFd 3\n"
					  "New incoming connection on sd 4\n"
					  "Waiting on select()...\n"
					  "MaxFd 4\n"
					  "Descriptor 4 is readable\n"
					  "7 bytes received from sd 4\n"
					  "Waiting on select()...\n"
					  "MaxFd 4\n"
					  "Descriptor 4 is readable\n"
					  "Connection closed for sd 4\n"
					  "removing connection with sd 4 \n"
					  "Waiting on select()...\n"
					  "MaxFd 3\n");
}

TEST(the_trace_of_a_pass_is_complete_before_the_server_waits)
{
	int a;

	host_start("");
	assert_string_equal(host_trace(), "Waiting on select()...\nMaxFd 3\n");
	a = host_connect();
	assert_int_equal(host_pass(), 1);
	assert_string_equal(host_trace(), "New incoming connection on sd 4\n"
					  "Waiting on select()...\n"
					  "MaxFd 4\n");
	close(a);
}

TEST(everybody_at_the_door_comes_in_within_one_pass)
{
	int clients[10];

	host_start_quiet("");
	for (size_t i = 0; i < LENGTH(clients); i++)
		clients[i] = host_connect();
	host_pass();
	for (size_t i = 0; i < LENGTH(clients); i++) {
		assert_true(host_reads(HOST_FIRST + (int)i));
		close(clients[i]);
	}
}

TEST(a_line_leaves_only_when_select_has_called_its_recipient_writable)
{
	int a, b;

	host_start_quiet("");
	a = host_enter();
	b = host_enter();
	put_text(a, "hello\n");
	host_pass();
	host_expect(b, "");
	assert_true(host_writes(HOST_FIRST + 1));
	assert_false(host_writes(HOST_FIRST));
	host_pass();
	host_expect(b, "hello\n");
	assert_false(host_writes(HOST_FIRST + 1));
	close(a);
	close(b);
}

TEST(nothing_to_do_is_waited_for_without_a_timeout)
{
	int a;

	host_start_quiet("");
	assert_int_equal(host_timeout(), -1);
	a = host_enter();
	put_text(a, "hello\n");
	host_settle();
	assert_int_equal(host_timeout(), -1);
	assert_true(host_reads(HOST_MAIN) && host_reads(HOST_FIRST));
	close(a);
	host_settle();
	assert_int_equal(host_timeout(), -1);
}

TEST(a_number_is_used_again_in_the_pass_after_the_one_it_became_free_in)
{
	int a, b;

	host_start_quiet("");
	a = host_enter();
	close(a);
	b = host_connect();
	/* Both are ready in one pass: the main socket comes first. */
	host_pass();
	assert_non_null(strstr(host_trace(), "New incoming connection on sd 5\n"));
	a = host_enter();
	assert_non_null(strstr(host_trace(), "New incoming connection on sd 4\n"));
	close(a);
	close(b);
}

TEST(what_waits_for_one_that_ends_its_sending_reaches_it_in_the_same_pass)
{
	int a, b;

	host_start_quiet("");
	a = host_enter();
	b = host_enter();
	put_text(a, "question\n");
	shutdown(b, SHUT_WR);
	host_pass();
	host_expect_last(b, "question\n");
	close(a);
}

/* Deadlines */

TEST(a_held_pool_asks_nobody_who_has_words_but_opens_the_door)
{
	static char line[4001];
	int a, b, c;

	host_start_quiet("limits = { queue = 4000; stall = 30; };");
	a = host_enter();
	b = host_enter();
	memset(line, 'x', sizeof(line) - 1);
	line[sizeof(line) - 2] = '\n';
	put_text(a, line);
	put_text(a, "\n\n");
	host_pass();
	host_fail(SEAM_SEND, 0, SEAM_ALWAYS, EAGAIN);
	host_pass();
	assert_int_equal(host_timeout(), CLOCK_SECOND);
	host_expire();
	assert_int_equal(host_timeout(), 29 * CLOCK_SECOND);
	host_pass();
	put_text(a, "waits\n");
	host_pass();
	/* It is asked for its end only until it is found to have words. */
	assert_false(host_reads(HOST_FIRST));
	assert_true(host_reads(HOST_FIRST + 1));
	assert_true(host_reads(HOST_MAIN) && host_writes(HOST_FIRST + 1));
	assert_int_equal(host_timeout(), 29 * CLOCK_SECOND);
	c = host_connect();
	host_pass();
	assert_true(host_writes(HOST_FIRST + 1));
	host_fail(SEAM_SEND, 0, 0, 0);
	host_settle();
	assert_true(
	    host_reads(HOST_FIRST) && host_reads(HOST_FIRST + 1) && host_reads(HOST_FIRST + 2));
	assert_int_equal(strlen(get_text(b, NULL)), 4002 + 6);
	assert_int_equal(host_timeout(), -1);
	close(a);
	close(b);
	close(c);
}

TEST(an_idle_client_is_waited_for_exactly_as_long_as_it_may_be_silent)
{
	int a;

	host_start_quiet("limits = { idle = 60; };");
	assert_int_equal(host_timeout(), -1);
	a = host_enter();
	assert_int_equal(host_timeout(), 60 * CLOCK_SECOND);
	host_advance(20 * CLOCK_SECOND);
	put_text(a, "a line\n");
	host_pass();
	assert_int_equal(host_timeout(), 60 * CLOCK_SECOND);
	host_expire();
	host_expect_last(a, "chatd: idle for 60 seconds\n");
	host_expect_log("%s removed: idle for 60 seconds\n");
	assert_int_equal(host_timeout(), -1);
}

TEST(refused_memory_is_tried_again_after_a_rest_and_no_line_is_lost)
{
	int a, b;

	host_start_quiet("");
	a = host_enter();
	b = host_enter();
	put_text(a, "kept\n");
	host_fail(SEAM_MEMORY, 0, SEAM_ALWAYS, ENOMEM);
	host_pass();
	assert_false(host_reads(HOST_FIRST) || host_reads(HOST_FIRST + 1));
	assert_int_equal(host_timeout(), BACKOFF_REST);
	host_expire();
	host_pass();
	assert_false(host_reads(HOST_FIRST));
	host_fail(SEAM_MEMORY, 0, 0, 0);
	host_expire();
	host_settle();
	host_expect(b, "kept\n");
	assert_int_equal(host_timeout(), -1);
	close(a);
	close(b);
}

/* Waiting that ends otherwise */

TEST(a_wait_that_fails_ends_the_server_with_status_1)
{
	int a;

	host_start_quiet("");
	a = host_enter();
	host_trace();
	host_fail_wait(ENOMEM);
	assert_int_equal(host_status(), 1);
	host_expect_log("select: Cannot allocate memory\n");
	assert_string_equal(host_trace(), "removing connection with sd 4 \n");
	host_expect_last(a, "");
}

TEST(an_interrupted_wait_is_none)
{
	int a;

	host_start_quiet("");
	a = host_enter();
	for (int i = 0; i < 3; i++)
		host_fail_wait(EINTR);
	assert_int_equal(host_status(), -1);
	host_expect_log("");
	put_text(a, "hello\n");
	host_settle();
	close(a);
}

/* The end */

#define GOODBYE "chatd: the server ends\n"

/* Passes with what is ready, until it has ended in order. */
static void
pass_to_the_end(void)
{
	for (int passes = 0; host_status() < 0; passes++) {
		assert_true(passes < 100);
		host_pass();
	}
	assert_int_equal(host_status(), 0);
}

static void
end_by(int number)
{
	int a, b;

	host_start_quiet("");
	a = host_enter();
	b = host_enter();
	host_trace();
	host_interrupt(number);
	/* Whatever was sent before is looked for once. */
	assert_int_equal(host_status(), -1);
	assert_int_equal(host_timeout(), 0);
	assert_int_equal(host_pass(), 0);
	assert_int_equal(host_status(), 0);
	assert_string_equal(host_trace(), "Waiting on select()...\n"
					  "MaxFd 5\n"
					  "removing connection with sd 4 \n"
					  "removing connection with sd 5 \n");
	host_expect_last(a, GOODBYE);
	host_expect_last(b, GOODBYE);
	assert_int_equal(access(in_folder("chat"), F_OK), -1);
}

TEST(sigterm_ends_it_in_order_and_after_one_more_look_where_nothing_waits)
{
	end_by(SIGTERM);
}

TEST(sigint_does_the_same)
{
	end_by(SIGINT);
}

TEST(without_clients_it_ends_at_once)
{
	host_start_quiet("");
	host_trace();
	host_interrupt(SIGTERM);
	assert_int_equal(host_status(), 0);
	assert_string_equal(host_trace(), "");
}

TEST(a_line_that_comes_with_the_signal_is_heard)
{
	int a, b;

	host_start_quiet("");
	a = host_enter();
	b = host_enter();
	put_text(a, "in time\n");
	host_interrupt(SIGTERM);
	assert_int_equal(host_timeout(), 0);
	pass_to_the_end();
	host_expect_last(a, GOODBYE);
	host_expect_last(b, "in time\n" GOODBYE);
}

TEST(a_line_that_is_ready_when_the_signal_is_seen_is_heard)
{
	int a, b;

	host_start_quiet("");
	a = host_enter();
	b = host_enter();
	put_text(a, "in time\n");
	host_pass_with(SIGTERM);
	put_text(a, "and this\n");
	pass_to_the_end();
	host_expect_last(a, GOODBYE);
	host_expect_last(b, "in time\nand this\n" GOODBYE);
}

TEST(whoever_waits_at_the_door_when_the_signal_comes_is_let_in_and_heard)
{
	int a, b;

	host_start_quiet("");
	a = host_enter();
	b = host_connect();
	put_text(b, "in time\n");
	host_interrupt(SIGTERM);
	assert_true(host_reads(HOST_FIRST + 1));
	pass_to_the_end();
	host_expect_last(a, "in time\n" GOODBYE);
	host_expect_last(b, GOODBYE);
}

/* The pass of the signal has asked about the others, not about the newcomer. */
TEST(whoever_could_not_come_in_before_the_signal_is_heard_though_all_others_are_silent)
{
	int a, b, c;

	host_start_quiet("");
	a = host_enter();
	b = host_enter();
	c = host_connect();
	put_text(c, "in time\n");
	host_fail(SEAM_ACCEPT, 0, 1, EMFILE);
	host_pass();
	assert_false(host_reads(HOST_MAIN));
	put_text(a, "x\n");
	host_pass();
	assert_true(host_writes(HOST_FIRST + 1));
	host_pass_with(SIGTERM);
	pass_to_the_end();
	host_expect_last(a, "in time\n" GOODBYE);
	host_expect_last(b, "x\nin time\n" GOODBYE);
	host_expect_last(c, GOODBYE);
}

TEST(whoever_goes_on_speaking_is_heard_for_a_second_and_not_longer)
{
	int a, b, passes = 0;

	host_start_quiet("");
	a = host_enter();
	b = host_enter();
	host_interrupt(SIGTERM);
	for (; host_status() < 0; passes++) {
		assert_true(passes < 20);
		assert_int_equal(host_timeout(), 0);
		put_text(a, "more\n");
		host_advance(CLOCK_SECOND / 10);
		host_pass();
	}
	assert_int_equal(passes, 10);
	assert_int_equal(host_status(), 0);
	host_expect_last(b, "more\nmore\nmore\nmore\nmore\nmore\nmore\nmore\nmore\nmore\n" GOODBYE);
	close(a);
}

/* a is parked, since b holds the pool. */
TEST(whoever_is_held_is_waited_for_up_to_a_second)
{
	static char line[4001];
	int a, b;

	host_start_quiet("limits = { queue = 4000; };");
	a = host_enter();
	b = host_enter();
	memset(line, 'x', sizeof(line) - 1);
	line[sizeof(line) - 2] = '\n';
	put_text(a, line);
	put_text(a, "\n\n");
	host_pass();
	host_fail(SEAM_SEND, 0, SEAM_ALWAYS, EAGAIN);
	host_pass();
	put_text(a, "parked\n");
	host_pass();
	assert_false(host_reads(HOST_FIRST));
	host_interrupt(SIGTERM);
	assert_int_equal(host_timeout(), SERVER_LISTEN);
	host_advance(SERVER_LISTEN - 1);
	host_pass();
	assert_int_equal(host_timeout(), 1);
	assert_true(host_reads(HOST_MAIN));
	host_fail(SEAM_SEND, 0, 0, 0);
	pass_to_the_end();
	assert_non_null(strstr(get_text(b, NULL), "\nparked\n" GOODBYE));
	close(a);
	close(b);
}

/* Two clients, and something that waits for b, which does not take it. */
static void
something_waits(int *a, int *b)
{
	host_start_quiet("");
	*a = host_enter();
	*b = host_enter();
	put_text(*a, "last line\n");
	host_pass();
	host_fail(SEAM_SEND, 0, SEAM_ALWAYS, EAGAIN);
	host_trace();
}

/* The signal, and the look that finds nobody with anything to say. */
static void
interrupt_and_look(void)
{
	host_interrupt(SIGTERM);
	/* Only b is ready, for what it does not take. */
	host_pass();
	assert_int_equal(host_status(), -1);
}

TEST(what_waits_is_still_written_at_the_end)
{
	int a, b;

	something_waits(&a, &b);
	interrupt_and_look();
	/* Nobody comes in any more. */
	assert_false(host_reads(HOST_MAIN));
	assert_true(host_writes(HOST_FIRST + 1));
	assert_int_equal(host_timeout(), SERVER_DRAIN);
	host_fail(SEAM_SEND, 0, 0, 0);
	host_pass();
	assert_int_equal(host_status(), 0);
	host_expect_last(b, "last line\n" GOODBYE);
	assert_non_null(strstr(host_trace(), "removing connection with sd 4 \n"
					     "removing connection with sd 5 \n"));
	close(a);
}

TEST(what_is_said_after_the_goodbye_is_thrown_away)
{
	int a, b;

	something_waits(&a, &b);
	interrupt_and_look();
	put_text(a, "too late\n");
	host_pass();
	assert_non_null(strstr(host_trace(), "9 bytes received from sd 4\n"));
	host_fail(SEAM_SEND, 0, 0, 0);
	host_pass();
	host_advance(LEAVING_QUIET);
	pass_to_the_end();
	host_expect_last(b, "last line\n" GOODBYE);
	close(a);
}

TEST(the_end_waits_for_a_slow_client_a_bounded_time)
{
	int a, b;

	something_waits(&a, &b);
	interrupt_and_look();
	host_advance(SERVER_DRAIN - 1);
	host_pass();
	assert_int_equal(host_status(), -1);
	assert_int_equal(host_timeout(), 1);
	host_expire();
	assert_int_equal(host_status(), 0);
	close(a);
	close(b);
}

TEST(a_second_signal_ends_the_wait_for_slow_clients)
{
	int a, b;

	something_waits(&a, &b);
	interrupt_and_look();
	host_interrupt(SIGINT);
	assert_int_equal(host_status(), 0);
	close(a);
	close(b);
}

TEST(a_second_signal_ends_the_look_for_what_was_sent_before)
{
	int a, b;

	something_waits(&a, &b);
	host_interrupt(SIGTERM);
	assert_int_equal(host_status(), -1);
	host_interrupt(SIGTERM);
	assert_int_equal(host_status(), 0);
	close(a);
	close(b);
}

TEST(a_reload_does_not_undo_an_end)
{
	int a, b;

	something_waits(&a, &b);
	host_log();
	host_interrupt(SIGTERM);
	host_interrupt(SIGHUP);
	assert_int_equal(host_status(), -1);
	host_pass();
	host_expect_log("");
	assert_false(host_reads(HOST_MAIN));
	assert_int_equal(access(in_folder("chat"), F_OK), -1);
	host_expire();
	assert_int_equal(host_status(), 0);
	close(a);
	close(b);
}

TEST(a_signal_is_heard_though_descriptors_are_ready_all_the_time)
{
	int a;

	host_start_quiet("");
	a = host_enter();
	put_text(a, "hello\n");
	host_pass_with(SIGTERM);
	assert_int_equal(host_timeout(), 0);
	host_pass();
	assert_int_equal(host_timeout(), 0);
	host_pass();
	assert_int_equal(host_status(), 0);
	close(a);
}

TEST(a_signal_right_after_the_start_is_not_lost)
{
	host_start("");
	host_interrupt(SIGTERM);
	assert_int_equal(host_status(), 0);
}

/* A reload */

TEST(a_reload_changes_the_settings_and_keeps_the_clients)
{
	char want[256];
	int a, b;

	host_start_quiet("");
	a = host_enter();
	b = host_enter();
	host_log();
	host_trace();
	host_settings("trace = false; limits = { clients = 2; };");
	host_interrupt(SIGHUP);
	snprintf(want, sizeof(want), "reloaded %s\n", in_folder("chatd.conf"));
	assert_string_equal(host_log(), want);
	put_text(a, "still here\n");
	host_settle();
	host_expect(b, "still here\n");
	assert_string_equal(host_trace(), "");
	host_expect_last(host_enter(), "chatd: too many clients, at most 2\n");
	close(a);
	close(b);
}

/* Numbers may mean other descriptors after it: select says anew who is ready. */
TEST(a_reload_serves_nobody_who_was_ready_before_it)
{
	int a, b;

	host_start_quiet("");
	a = host_enter();
	b = host_enter();
	host_trace();
	put_text(a, "after it\n");
	host_pass_with(SIGHUP);
	assert_string_equal(host_trace(), "Waiting on select()...\nMaxFd 5\n");
	host_settle();
	host_expect(b, "after it\n");
	close(a);
	close(b);
}

TEST(a_reload_may_open_many_listeners)
{
	static char settings[4096];
	size_t len = 0;
	int a;

	host_start_quiet("");
	a = host_enter();
	host_log();
	len += (size_t)snprintf(settings, sizeof(settings), "listen = [ \"%s\"", in_folder("chat"));
	for (int i = 0; i < 100; i++)
		len += (size_t)snprintf(
		    settings + len, sizeof(settings) - len, ", \"%s%d\"", in_folder("more"), i);
	snprintf(settings + len, sizeof(settings) - len, " ];");
	host_settings(settings);
	host_interrupt(SIGHUP);
	assert_non_null(strstr(host_log(), "reloaded "));
	assert_true(host_reads(HOST_FIRST + 100));
	close(a);
}

/* Names and rates take memory: the reload that wants them gets all of it or changes nothing. */
TEST(a_reload_to_mode_chat_is_refused_with_its_memory)
{
	bool done = false;
	int a, b, refused = 0;

	host_start_quiet("trace = false;");
	a = host_enter();
	b = host_enter();
	for (unsigned long skip = 0; !done; skip++) {
		const char *log;

		host_log();
		host_settings("trace = false; mode = \"chat\"; limits = { rate = 100000; };");
		host_fail(SEAM_MEMORY, skip, 1, ENOMEM);
		host_interrupt(SIGHUP);
		host_fail(SEAM_MEMORY, 0, 0, 0);
		log = host_log();
		done = strstr(log, "reloaded ") != NULL;
		refused += strstr(log, "memory for descriptors: Cannot allocate memory\n") != NULL;
		host_settle();
		if (done)
			break;
		assert_non_null(strstr(log, ": not reloaded, the old settings stay\n"));
		put_text(a, "x\n");
		host_settle();
		host_expect(b, "x\n");
	}
	assert_in_range(refused, 3, 100);
	get_text(b, NULL);
	put_text(a, "x\n");
	host_settle();
	assert_non_null(strstr(get_text(b, NULL), "guest4: x\n"));
	close(a);
	close(b);
}

TEST(a_refused_reload_changes_nothing)
{
	char want[1024];
	int a, b;

	host_start_quiet("limits = { clients = 2; };");
	a = host_enter();
	b = host_enter();
	host_log();
	host_settings("trace = false;\nlimits = { clients = 0; };\n");
	host_interrupt(SIGHUP);
	snprintf(want, sizeof(want),
	    "%s:2: limits.clients: 0 is out of range, allowed is 1 to 1048576 clients\n"
	    "%s: not reloaded, the old settings stay\n",
	    in_folder("chatd.conf"), in_folder("chatd.conf"));
	assert_string_equal(host_log(), want);
	put_text(a, "still here\n");
	host_settle();
	host_expect(b, "still here\n");
	host_expect_last(host_enter(), "chatd: too many clients, at most 2\n");
	assert_non_null(strstr(host_trace(), "MaxFd 5\n"));
	close(a);
	close(b);
}

TEST(a_reload_opens_and_closes_listeners)
{
	char settings[256], want[512];
	int a, b;
	struct sockaddr_un sun = {.sun_family = AF_UNIX};

	host_start_quiet("");
	a = host_enter();
	host_log();
	snprintf(settings, sizeof(settings), "listen = \"%s\";", in_folder("other"));
	host_settings(settings);
	host_interrupt(SIGHUP);
	snprintf(want, sizeof(want), "listening on %s\nreloaded %s\n", in_folder("other"),
	    in_folder("chatd.conf"));
	assert_string_equal(host_log(), want);
	assert_int_equal(access(in_folder("chat"), F_OK), -1);
	b = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	strcpy(sun.sun_path, in_folder("other"));
	assert_int_equal(connect(b, (struct sockaddr *)&sun, sizeof(sun)), 0);
	set_nonblocking(b);
	host_settle();
	put_text(a, "hello\n");
	host_settle();
	host_expect(b, "hello\n");
	close(a);
	close(b);
}

TEST(a_listener_that_cannot_be_opened_refuses_the_reload)
{
	char settings[256], want[512];
	int a, b;

	host_start_quiet("");
	a = host_enter();
	host_log();
	snprintf(settings, sizeof(settings), "listen = \"%s\";", in_folder("missing/chat"));
	host_settings(settings);
	host_interrupt(SIGHUP);
	snprintf(want, sizeof(want),
	    "bind %s: No such file or directory\n"
	    "%s: not reloaded, the old settings stay\n",
	    in_folder("missing/chat"), in_folder("chatd.conf"));
	assert_string_equal(host_log(), want);
	b = host_enter();
	put_text(a, "hello\n");
	host_settle();
	host_expect(b, "hello\n");
	close(a);
	close(b);
}

TEST(without_a_file_a_hangup_ends_the_server)
{
	int a;

	host_start_without_file("");
	a = host_enter();
	host_log();
	host_interrupt(SIGHUP);
	host_pass();
	host_expect_last(a, "chatd: the server ends\n");
	assert_int_equal(host_status(), 0);
}

TEST(refused_memory_refuses_a_reload_and_the_old_settings_stay)
{
	int a, b;

	host_start_quiet("");
	a = host_enter();
	b = host_enter();
	for (unsigned long skip = 0; skip < 6; skip++) {
		char settings[256];

		snprintf(settings, sizeof(settings),
		    "listen = [ \"%s\", \"%s\" ]; deny = \"192.0.2.1\";", in_folder("chat"),
		    in_folder("other"));
		host_settings(settings);
		host_log();
		host_fail(SEAM_MEMORY, skip, 1, ENOMEM);
		host_interrupt(SIGHUP);
		host_fail(SEAM_MEMORY, 0, 0, 0);
		assert_int_equal(host_status(), -1);
		if (strstr(host_log(), "not reloaded, the old settings stay\n") != NULL)
			assert_int_equal(access(in_folder("other"), F_OK), -1);
		put_text(a, "hello\n");
		host_settle();
		host_expect(b, "hello\n");
		close(host_enter());
		host_settle();
	}
	close(a);
	close(b);
}

/* Standard output that does not take the trace */

TEST(a_blocked_standard_output_is_waited_for_until_it_has_taken_the_trace)
{
	static const char first[] = "New incoming connection on sd 4\nWaiting on select()...\n";
	int ends[2], a;

	assert_int_equal(pipe(ends), 0);
	set_nonblocking(ends[0]);
	set_nonblocking(ends[1]);
	dup2(ends[1], STDOUT_FILENO);
	host_start("");
	assert_false(host_writes(STDOUT_FILENO));
	stuff(ends[1]);
	a = host_connect();
	host_pass();
	assert_true(host_writes(STDOUT_FILENO));
	assert_false(host_writes(STDERR_FILENO));
	/* The chat goes on meanwhile. */
	put_text(a, "hello\n");
	host_settle();
	assert_int_equal(host_timeout(), -1);
	get_text(ends[0], NULL);
	host_pass();
	assert_false(host_writes(STDOUT_FILENO));
	assert_memory_equal(get_text(ends[0], NULL), first, strlen(first));
	close(a);
	close(ends[0]);
	close(ends[1]);
}

TEST(a_stream_that_refuses_though_select_calls_it_writable_gets_a_rest)
{
	int pair[2], passes;

	make_pair(pair);
	dup2(pair[1], STDOUT_FILENO);
	host_start("");
	for (int round = 0; round < 2; round++) {
		host_fail(SEAM_SEND, 0, SEAM_ALWAYS, EAGAIN);
		host_pass();
		for (passes = 0; host_writes(STDOUT_FILENO); passes++) {
			assert_true(host_pass() > 0);
			assert_true(passes < 100);
		}
		assert_int_equal(host_timeout(), BACKOFF_REST);
		/* It is tried once more, and when it works all is as before. */
		host_expire();
		assert_true(host_writes(STDOUT_FILENO));
		host_pass();
		assert_false(host_writes(STDOUT_FILENO));
		assert_int_equal(host_timeout(), BACKOFF_REST);
		host_fail(SEAM_SEND, 0, 0, 0);
		host_expire();
		assert_int_equal(host_timeout(), -1);
		assert_memory_equal(get_text(pair[0], NULL), "Waiting on select()...\n", 23);
	}
	close(pair[0]);
	close(pair[1]);
}

/* The log and the start */

TEST(the_log_tells_who_comes_and_goes)
{
	int a;

	host_start_quiet("log_connections = true;");
	a = host_enter();
	host_expect_log("%s connected as sd 4\n");
	close(a);
	host_settle();
	host_expect_log("%s disconnected from sd 4: closed by the client\n");
	a = host_enter();
	host_log();
	host_interrupt(SIGTERM);
	host_pass();
	host_expect_log("%s disconnected from sd 4: the server ends\n");
	close(a);
}

TEST(the_start_tells_each_listener_once_it_listens)
{
	char settings[256], want[512];

	snprintf(settings, sizeof(settings), "listen = [ \"%s\", \"%s\" ];", in_folder("one"),
	    in_folder("two"));
	host_start(settings);
	snprintf(want, sizeof(want), "listening on %s\nlistening on %s\n", in_folder("one"),
	    in_folder("two"));
	assert_string_equal(host_log(), want);
	assert_true(host_reads(3) && host_reads(4));
	assert_string_equal(host_trace(), "Waiting on select()...\nMaxFd 4\n");
}

TEST(a_start_that_fails_says_why_and_has_status_1)
{
	char settings[256], want[512];

	snprintf(settings, sizeof(settings), "listen = [ \"%s\", \"%s\" ];", in_folder("one"),
	    in_folder("missing/chat"));
	host_start(settings);
	assert_int_equal(host_status(), 1);
	snprintf(
	    want, sizeof(want), "bind %s: No such file or directory\n", in_folder("missing/chat"));
	assert_string_equal(host_log(), want);
	assert_string_equal(host_trace(), "");
	assert_int_equal(access(in_folder("one"), F_OK), -1);
}

/* Each allocation in turn, until none is left to refuse. */
TEST(memory_that_is_refused_at_the_start_ends_it_with_a_message_and_status_1)
{
	unsigned long refused = 0;

	for (;; refused++) {
		host_fail_start(SEAM_MEMORY, refused, 1, ENOMEM);
		host_start("");
		if (host_status() < 0)
			break;
		assert_int_equal(host_status(), 1);
		assert_non_null(strstr(host_log(), "Cannot allocate memory\n"));
		assert_int_equal(access(in_folder("chat"), F_OK), -1);
		host_teardown(NULL);
		host_setup(NULL);
	}
	assert_true(refused >= 5);
	/* It runs because nothing was refused. */
	assert_null(strstr(host_log(), "memory"));
}

/* A service manager, for the next start. */
static int
make_manager(void)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	strcpy(sun.sun_path, in_folder("notify"));
	assert_int_equal(bind(fd, (struct sockaddr *)&sun, sizeof(sun)), 0);
	setenv("NOTIFY_SOCKET", sun.sun_path, 1);
	setenv("FDSTORE", "0", 1);
	return fd;
}

/* The next message that it was sent; "" is none. */
static void
expect_told(int manager, const char *want)
{
	char text[1024];
	ssize_t n = recv(manager, text, sizeof(text) - 1, 0);

	text[n > 0 ? n : 0] = '\0';
	assert_string_equal(text, want);
}

/* The same, of a message that goes on. */
static void
expect_told_first(int manager, const char *want)
{
	char text[1024] = "";

	assert_true(recv(manager, text, sizeof(text) - 1, 0) > (ssize_t)strlen(want));
	text[strlen(want)] = '\0';
	assert_string_equal(text, want);
}

TEST(the_manager_hears_of_the_start_of_reloads_and_of_the_end)
{
	int manager = make_manager(), a;

	host_start_quiet("");
	expect_told(manager, "READY=1");
	expect_told(manager, "STATUS=0 clients, 0 lines");
	a = host_enter();
	expect_told(manager, "");
	assert_int_equal(host_timeout(), CLOCK_SECOND);
	host_expire();
	expect_told(manager, "STATUS=1 client, 0 lines");
	assert_int_equal(host_timeout(), -1);
	host_interrupt(SIGHUP);
	expect_told(manager, "RELOADING=1\nMONOTONIC_USEC=1001000000");
	expect_told(manager, "READY=1");
	host_settings("nonsense = 1;");
	host_interrupt(SIGHUP);
	expect_told(manager, "RELOADING=1\nMONOTONIC_USEC=1001000000");
	expect_told_first(manager, "STATUS=reload refused: ");
	expect_told(manager, "READY=1");
	host_interrupt(SIGTERM);
	expect_told(manager, "STOPPING=1");
	host_pass();
	assert_int_equal(host_status(), 0);
	expect_told(manager, "");
	close(manager);
	close(a);
}

/* Enough files for what the test itself keeps open above 500, and for no more. */
#define FEW_FILES 520

/* Starts with so many. Returns whether the machine lets us. */
static bool
start_with_files(unsigned long soft, unsigned long hard, const char *settings)
{
	host_limit_files(soft, hard);
	host_start(settings);
	if (host_status() == HOST_TOO_FEW_FILES)
		note("not shown: this machine does not let us set the limit of open files\n");
	return host_status() != HOST_TOO_FEW_FILES;
}

TEST(the_limit_of_open_files_is_raised_to_fit_the_clients)
{
	int manager = make_manager();

	assert_int_equal(chmod(in_folder("notify"), 0666), 0);
	if (!start_with_files(FEW_FILES, 2300, "limits = { clients = 1000; };")) {
		close(manager);
		return;
	}
	assert_int_equal(host_status(), -1);
	assert_in_range(host_files(), 1000 + 4 + LEAVING_MAX, 1000 + 4 + 200);
	/* The manager's descriptor is the highest of all, and there is one. */
	expect_told(manager, "READY=1");
	/* A reload raises it too, and never lowers it. */
	host_settings("limits = { clients = 2000; };");
	host_interrupt(SIGHUP);
	assert_in_range(host_files(), 2000 + 4 + LEAVING_MAX, 2000 + 4 + 200);
	host_settings("limits = { clients = 100; };");
	host_interrupt(SIGHUP);
	assert_in_range(host_files(), 2000 + 4 + LEAVING_MAX, 2000 + 4 + 200);
	assert_null(strstr(host_log(), "limits.clients"));
	close(manager);
}

TEST(where_it_cannot_be_raised_enough_the_log_says_how_many_clients_that_allows)
{
	char want[256];

	if (!start_with_files(FEW_FILES, 600, "limits = { clients = 2000; };"))
		return;
	assert_int_equal(host_status(), -1);
	assert_int_equal(host_files(), 600);
	/* 600, less three standard ones, the listener, and those who leave. */
	snprintf(want, sizeof(want),
	    "limits.clients is 2000, but 600 open files allow about 399 clients\n"
	    "listening on %s\n",
	    in_folder("chat"));
	assert_string_equal(host_log(), want);
}

#define SERVER_TEST(name) cmocka_unit_test_setup_teardown(name, host_setup, host_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    SERVER_TEST(a_session_of_one_client_has_the_required_transcript),
	    SERVER_TEST(the_trace_of_a_pass_is_complete_before_the_server_waits),
	    SERVER_TEST(everybody_at_the_door_comes_in_within_one_pass),
	    SERVER_TEST(a_line_leaves_only_when_select_has_called_its_recipient_writable),
	    SERVER_TEST(nothing_to_do_is_waited_for_without_a_timeout),
	    SERVER_TEST(a_number_is_used_again_in_the_pass_after_the_one_it_became_free_in),
	    SERVER_TEST(what_waits_for_one_that_ends_its_sending_reaches_it_in_the_same_pass),
	    SERVER_TEST(a_held_pool_asks_nobody_who_has_words_but_opens_the_door),
	    SERVER_TEST(an_idle_client_is_waited_for_exactly_as_long_as_it_may_be_silent),
	    SERVER_TEST(refused_memory_is_tried_again_after_a_rest_and_no_line_is_lost),
	    SERVER_TEST(a_wait_that_fails_ends_the_server_with_status_1),
	    SERVER_TEST(an_interrupted_wait_is_none),
	    SERVER_TEST(sigterm_ends_it_in_order_and_after_one_more_look_where_nothing_waits),
	    SERVER_TEST(sigint_does_the_same),
	    SERVER_TEST(without_clients_it_ends_at_once),
	    SERVER_TEST(a_line_that_comes_with_the_signal_is_heard),
	    SERVER_TEST(a_line_that_is_ready_when_the_signal_is_seen_is_heard),
	    SERVER_TEST(whoever_waits_at_the_door_when_the_signal_comes_is_let_in_and_heard),
	    SERVER_TEST(
		whoever_could_not_come_in_before_the_signal_is_heard_though_all_others_are_silent),
	    SERVER_TEST(whoever_goes_on_speaking_is_heard_for_a_second_and_not_longer),
	    SERVER_TEST(whoever_is_held_is_waited_for_up_to_a_second),
	    SERVER_TEST(what_waits_is_still_written_at_the_end),
	    SERVER_TEST(what_is_said_after_the_goodbye_is_thrown_away),
	    SERVER_TEST(the_end_waits_for_a_slow_client_a_bounded_time),
	    SERVER_TEST(a_second_signal_ends_the_wait_for_slow_clients),
	    SERVER_TEST(a_second_signal_ends_the_look_for_what_was_sent_before),
	    SERVER_TEST(a_reload_does_not_undo_an_end),
	    SERVER_TEST(a_signal_is_heard_though_descriptors_are_ready_all_the_time),
	    SERVER_TEST(a_signal_right_after_the_start_is_not_lost),
	    SERVER_TEST(a_reload_changes_the_settings_and_keeps_the_clients),
	    SERVER_TEST(a_reload_serves_nobody_who_was_ready_before_it),
	    SERVER_TEST(a_reload_may_open_many_listeners),
	    SERVER_TEST(a_refused_reload_changes_nothing),
	    SERVER_TEST(a_reload_opens_and_closes_listeners),
	    SERVER_TEST(a_listener_that_cannot_be_opened_refuses_the_reload),
	    SERVER_TEST(without_a_file_a_hangup_ends_the_server),
	    SERVER_TEST(refused_memory_refuses_a_reload_and_the_old_settings_stay),
	    SERVER_TEST(a_blocked_standard_output_is_waited_for_until_it_has_taken_the_trace),
	    SERVER_TEST(a_stream_that_refuses_though_select_calls_it_writable_gets_a_rest),
	    SERVER_TEST(the_log_tells_who_comes_and_goes),
	    SERVER_TEST(the_start_tells_each_listener_once_it_listens),
	    SERVER_TEST(a_start_that_fails_says_why_and_has_status_1),
	    SERVER_TEST(memory_that_is_refused_at_the_start_ends_it_with_a_message_and_status_1),
	    SERVER_TEST(the_manager_hears_of_the_start_of_reloads_and_of_the_end),
	    SERVER_TEST(the_limit_of_open_files_is_raised_to_fit_the_clients),
	    SERVER_TEST(where_it_cannot_be_raised_enough_the_log_says_how_many_clients_that_allows),
	    SERVER_TEST(a_reload_serves_nobody_who_was_ready_before_it),
	    SERVER_TEST(a_reload_may_open_many_listeners),
	    SERVER_TEST(a_reload_to_mode_chat_is_refused_with_its_memory),
	    SERVER_TEST(a_refused_reload_changes_nothing),
	};

	/* A server that has ended must not end the test. */
	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests_name("server", tests, NULL, NULL);
}
