#include "unit.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "chat/acceptor.h"
#include "host.h"

/* So that a crowd at the door does not keep those who are in waiting. */
TEST(at_most_128_come_in_within_one_pass)
{
	int clients[134];

	host_start_quiet("");
	for (size_t i = 0; i < LENGTH(clients); i++)
		clients[i] = host_connect();
	host_pass();
	assert_true(host_reads(HOST_FIRST + 127));
	assert_false(host_reads(HOST_FIRST + 128));
	host_pass();
	assert_true(host_reads(HOST_FIRST + 133));
	for (size_t i = 0; i < LENGTH(clients); i++)
		close(clients[i]);
}

/* Who is not let in */

TEST(as_many_as_the_limit_come_in_and_the_next_one_is_told_why_not)
{
	int a, b, c;

	host_start_quiet("limits = { clients = 2; };");
	a = host_enter();
	b = host_enter();
	host_log();
	host_trace();
	c = host_connect();
	host_pass();
	host_expect_last(c, "chatd: too many clients, at most 2\n");
	host_expect_log("%s refused: too many clients, at most 2\n");
	assert_string_equal(host_trace(), "New incoming connection on sd 6\n"
					  "removing connection with sd 6 \n"
					  "Waiting on select()...\n"
					  "MaxFd 5\n");
	/* Nothing of it is left: the next one has the same number. */
	c = host_connect();
	host_pass();
	host_expect_last(c, "chatd: too many clients, at most 2\n");
	assert_non_null(strstr(host_trace(), "removing connection with sd 6 \n"));
	/* A place that becomes free is given away. */
	close(a);
	host_settle();
	c = host_enter();
	put_text(c, "in\n");
	host_settle();
	host_expect(b, "in\n");
	close(b);
	close(c);
}

TEST(those_who_are_refused_in_one_pass_are_all_told_and_closed_when_they_are_done)
{
	const char *trace;
	int a, clients[20];

	host_start_quiet("limits = { clients = 1; };");
	a = host_enter();
	host_log();
	host_trace();
	for (size_t i = 0; i < LENGTH(clients); i++)
		clients[i] = host_connect();
	host_pass();
	trace = host_trace();
	for (size_t i = 0; i < 2 * LENGTH(clients); i++) {
		char want[64];
		int sd = HOST_FIRST + 1 + (int)(i % LENGTH(clients));

		snprintf(want, sizeof(want),
		    i < LENGTH(clients) ? "New incoming connection on sd %d\n"
					: "removing connection with sd %d \n",
		    sd);
		assert_memory_equal(trace, want, strlen(want));
		trace += strlen(want);
	}
	assert_string_equal(trace, "Waiting on select()...\nMaxFd 4\n");
	for (size_t i = 0; i < LENGTH(clients); i++)
		host_expect_last(clients[i], "chatd: too many clients, at most 1\n");
	close(a);
}

/* A descriptor of one that leaves is one that a client could have. */
TEST(of_those_who_are_refused_no_more_than_64_stay_while_they_are_told)
{
	int a, clients[LEAVING_MAX + 1];

	host_start_quiet("limits = { clients = 1; };");
	a = host_enter();
	host_trace();
	for (size_t i = 0; i < LENGTH(clients); i++)
		clients[i] = host_connect();
	/* Their words do not leave. */
	host_fail(SEAM_SEND, 0, SEAM_ALWAYS, EAGAIN);
	host_pass();
	assert_non_null(strstr(host_trace(), "removing connection with sd 5 \n"));
	assert_false(host_reads(HOST_FIRST + 1));
	assert_true(host_reads(HOST_FIRST + 2) && host_reads(HOST_FIRST + 1 + LEAVING_MAX));
	host_fail(SEAM_SEND, 0, 0, 0);
	host_settle();
	host_expect_last(clients[0], "");
	for (size_t i = 1; i < LENGTH(clients); i++)
		host_expect_last(clients[i], "chatd: too many clients, at most 1\n");
	close(a);
}

/* Clients of a held pool may have gone unseen. */
TEST(while_the_pool_is_held_nobody_is_refused_for_want_of_a_place)
{
	static char line[4001];
	int a, b, c, d, e;

	host_start_quiet("limits = { clients = 2; queue = 4000; };");
	a = host_enter();
	b = host_enter();
	host_log();
	memset(line, 'x', sizeof(line) - 1);
	line[sizeof(line) - 2] = '\n';
	put_text(a, line);
	put_text(a, "\n\n");
	host_pass();
	host_fail(SEAM_SEND, 0, SEAM_ALWAYS, EAGAIN);
	host_pass();
	host_pass();
	c = host_connect();
	d = host_connect();
	for (int i = 0; i < 3; i++)
		host_pass();
	assert_false(host_reads(HOST_MAIN));
	host_expect_log("");
	/* One place becomes free while it is held. */
	close(a);
	host_pass();
	host_pass();
	assert_true(host_reads(HOST_FIRST));
	assert_false(host_reads(HOST_MAIN));
	host_expect_log("");
	/* At the end everybody comes in or is told why not. */
	host_interrupt(SIGTERM);
	host_expect_log("%s refused: too many clients, at most 2\n");
	e = host_connect();
	host_pass();
	host_expect_log("%s refused: too many clients, at most 2\n");
	close(b);
	close(c);
	close(d);
	close(e);
}

/* How many passes the next one waits while the client fd is busy, until it is accepted. */
static int
passes_until_accepted(int busy)
{
	int passes = 0;

	host_trace();
	do {
		assert_true(++passes < 20);
		put_text(busy, "busy\n");
		host_pass();
	} while (strstr(host_trace(), "New incoming connection") == NULL);
	return passes;
}

TEST(each_newcomer_has_all_the_passes_to_wait_for_a_place)
{
	int a, b, c, d;

	host_start_quiet("limits = { clients = 2; };");
	a = host_enter();
	b = host_enter();
	c = host_connect();
	/* The look behind b, as it came in, was the first one. */
	assert_int_equal(passes_until_accepted(b), 4);
	close(c);
	/* After one that was refused. */
	c = host_connect();
	assert_int_equal(passes_until_accepted(b), 5);
	close(c);
	host_settle();
	/* Also after one that has come in after some passes. */
	c = host_connect();
	d = host_connect();
	for (int i = 0; i < 3; i++) {
		put_text(b, "busy\n");
		host_pass();
	}
	/* With unread lines it would be a reset, which takes another pass. */
	get_text(a, NULL);
	close(a);
	host_pass();
	assert_int_equal(passes_until_accepted(b), 1);
	assert_int_equal(passes_until_accepted(b), 4);
	host_expect_last(d, "chatd: too many clients, at most 2\n");
	close(c);
	close(b);
}

TEST(as_many_of_one_address_as_the_limit_come_in)
{
	char where[64];
	int a, b, c, path;

	host_start("listen = [ \"127.0.0.1:0\" ]; limits = { clients_per_address = 2; };");
	strcpy(where, host_listens());
	a = host_connect_tcp(where);
	host_await();
	b = host_connect_tcp(where);
	host_await();
	c = host_connect_tcp(where);
	host_await();
	/* The network needs its time for the last words, too. */
	poll(&(struct pollfd){.fd = c, .events = POLLIN}, 1, 10000);
	assert_string_equal(
	    get_text(c, NULL), "chatd: too many clients from your address, at most 2\n");
	assert_non_null(
	    strstr(host_log(), " refused: too many clients from this address, at most 2\n"));
	close(c);
	close(a);
	host_await();
	path = host_connect_tcp(where);
	host_await();
	assert_true(host_reads(HOST_FIRST));
	close(path);
	close(b);
}

TEST(whoever_comes_as_another_goes_gets_the_place)
{
	int a, b, c, d, passes = 0;

	host_start_quiet("limits = { clients = 2; };");
	a = host_enter();
	b = host_enter();
	put_text(a, "my last words\n");
	close(a);
	c = host_connect();
	host_settle();
	put_text(c, "in\n");
	host_settle();
	host_expect(b, "my last words\nin\n");
	/* Those who stay make no room, and some passes later the next one hears of it. */
	d = host_connect();
	host_trace();
	do {
		assert_true(++passes <= 5);
		put_text(b, "busy\n");
		host_pass();
	} while (strstr(host_trace(), "New incoming connection") == NULL);
	assert_true(passes > 1);
	host_expect_last(d, "chatd: too many clients, at most 2\n");
	close(b);
	close(c);
}

TEST(the_limit_of_an_address_lets_those_wait_too_who_come_as_another_goes)
{
	char where[64];
	int a, b, c;

	host_start("listen = [ \"127.0.0.1:0\" ]; limits = { clients_per_address = 2; };");
	strcpy(where, host_listens());
	a = host_connect_tcp(where);
	host_await();
	b = host_connect_tcp(where);
	host_await();
	put_text(a, "my last words\n");
	close(a);
	c = host_connect_tcp(where);
	host_await();
	host_await();
	host_await();
	assert_true(host_reads(HOST_FIRST) && host_reads(HOST_FIRST + 1));
	assert_null(strstr(host_log(), "refused"));
	close(b);
	close(c);
}

TEST(clients_of_unix_sockets_are_of_no_address)
{
	int a, b;

	host_start_quiet("limits = { clients_per_address = 1; };");
	a = host_enter();
	b = host_enter();
	assert_true(host_reads(HOST_FIRST) && host_reads(HOST_FIRST + 1));
	close(a);
	close(b);
}

TEST(whoever_is_not_allowed_is_told_so)
{
	char where[64];
	int a;

	host_start("listen = [ \"127.0.0.1:0\" ]; deny = \"127.0.0.0/8\";");
	strcpy(where, host_listens());
	a = host_connect_tcp(where);
	host_await();
	poll(&(struct pollfd){.fd = a, .events = POLLIN}, 1, 10000);
	assert_string_equal(get_text(a, NULL), "chatd: your address is not allowed\n");
	assert_non_null(strstr(host_log(), " refused: address not allowed\n"));
	assert_false(host_reads(HOST_FIRST));
	close(a);
}

TEST(a_client_for_whom_memory_is_refused_is_told_so)
{
	int a, b;

	host_start_quiet("");
	a = host_enter();
	host_log();
	b = host_connect();
	host_fail(SEAM_MEMORY, 0, 1, ENOMEM);
	host_pass();
	host_expect_last(b, "chatd: out of memory\n");
	assert_false(host_reads(HOST_FIRST + 1));
	host_expect_log("%s refused: Cannot allocate memory\n");
	put_text(a, "still here\n");
	host_settle();
	close(a);
}

/* More than there was room for at the start. */
TEST(the_names_and_debts_of_many_have_room)
{
	static int guests[300];
	char want[64];

	host_start_quiet("mode = \"chat\"; limits = { rate = 1000; };");
	for (size_t i = 0; i < LENGTH(guests); i++)
		guests[i] = host_enter();
	put_text(guests[LENGTH(guests) - 1], "x\n");
	host_settle();
	snprintf(want, sizeof(want), "guest%zu: x\n", HOST_FIRST + LENGTH(guests) - 1);
	assert_non_null(strstr(get_text(guests[0], NULL), want));
	for (size_t i = 0; i < LENGTH(guests); i++)
		close(guests[i]);
	host_settle();
	assert_int_equal(host_status(), -1);
}

TEST(many_refusals_are_a_few_lines_and_a_count_when_the_interval_ends)
{
	int a;

	host_start_quiet("limits = { clients = 1; };");
	a = host_enter();
	host_log();
	for (int i = 0; i < 20; i++) {
		int fd = host_connect();

		host_pass();
		close(fd);
	}
	host_expect_log("%s refused: too many clients, at most 1\n"
			"%s refused: too many clients, at most 1\n"
			"%s refused: too many clients, at most 1\n"
			"%s refused: too many clients, at most 1\n"
			"%s refused: too many clients, at most 1\n");
	assert_int_equal(host_timeout(), 10 * CLOCK_SECOND);
	host_expire();
	host_expect_log("... and 15 more refused\n");
	assert_int_equal(host_timeout(), -1);
	close(a);
}

/* Accepting that does not work */

static void
without_descriptors(int error, const char *text)
{
	char want[128];
	int a, b, c;

	host_start_quiet("");
	a = host_enter();
	b = host_connect();
	host_fail(SEAM_ACCEPT, 0, SEAM_ALWAYS, error);
	host_pass();
	snprintf(want, sizeof(want), "accept: %s; new clients wait\n", text);
	host_expect_log(want);
	/* The main socket is ready all the time, but is not asked about: no spin. */
	assert_false(host_reads(HOST_MAIN));
	assert_true(host_reads(HOST_FIRST));
	assert_int_equal(host_timeout(), CLOCK_SECOND);
	/* Those who are in go on meanwhile. */
	put_text(a, "hello\n");
	host_settle();
	assert_false(host_reads(HOST_MAIN));
	/* After a second it is tried again, and not told again. */
	host_expire();
	assert_true(host_reads(HOST_MAIN));
	host_pass();
	assert_false(host_reads(HOST_MAIN));
	host_expect_log("");
	/* When a connection goes there may be a descriptor. */
	c = a;
	host_fail(SEAM_ACCEPT, 0, 0, 0);
	close(c);
	host_pass();
	assert_true(host_reads(HOST_MAIN));
	host_settle();
	host_expect_log("accept: works again\n");
	/* The next time it is told anew. */
	host_fail(SEAM_ACCEPT, 0, 1, error);
	close(host_connect());
	host_pass();
	host_expect_log(want);
	put_text(b, "here\n");
	host_settle();
	assert_true(host_reads(HOST_FIRST));
	close(b);
}

TEST(without_descriptors_accepting_pauses_and_nothing_spins)
{
	without_descriptors(EMFILE, "Too many open files");
}

TEST(without_memory_of_the_kernel_accepting_pauses_too)
{
	without_descriptors(ENOBUFS, "No buffer space available");
}

TEST(a_client_that_left_the_door_before_it_was_opened_is_passed_over)
{
	int a, b;

	host_start_quiet("");
	a = host_connect();
	host_fail(SEAM_ACCEPT, 0, 2, ECONNABORTED);
	host_pass();
	assert_true(host_reads(HOST_MAIN) && host_reads(HOST_FIRST));
	b = host_enter();
	put_text(b, "hello\n");
	host_settle();
	host_expect(a, "hello\n");
	host_expect_log("");
	close(a);
	close(b);
}

TEST(a_door_that_is_always_ready_for_nobody_is_paused_at_last)
{
	int a, passes = 0;

	host_start_quiet("");
	a = host_connect();
	host_fail(SEAM_ACCEPT, 0, SEAM_ALWAYS, EAGAIN);
	while (host_reads(HOST_MAIN)) {
		host_pass();
		assert_true(++passes < 100);
	}
	assert_int_equal(host_timeout(), CLOCK_SECOND);
	host_expect_log("accept: Resource temporarily unavailable; new clients wait\n");
	host_expire();
	host_pass();
	host_expect_log("");
	host_fail(SEAM_ACCEPT, 0, 0, 0);
	host_expire();
	host_settle();
	assert_true(host_reads(HOST_FIRST));
	host_expect_log("accept: works again\n");
	close(a);
}

#define ACCEPTOR_TEST(name) cmocka_unit_test_setup_teardown(name, host_setup, host_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    ACCEPTOR_TEST(at_most_128_come_in_within_one_pass),
	    ACCEPTOR_TEST(as_many_as_the_limit_come_in_and_the_next_one_is_told_why_not),
	    ACCEPTOR_TEST(
		those_who_are_refused_in_one_pass_are_all_told_and_closed_when_they_are_done),
	    ACCEPTOR_TEST(of_those_who_are_refused_no_more_than_64_stay_while_they_are_told),
	    ACCEPTOR_TEST(while_the_pool_is_held_nobody_is_refused_for_want_of_a_place),
	    ACCEPTOR_TEST(each_newcomer_has_all_the_passes_to_wait_for_a_place),
	    ACCEPTOR_TEST(as_many_of_one_address_as_the_limit_come_in),
	    ACCEPTOR_TEST(whoever_comes_as_another_goes_gets_the_place),
	    ACCEPTOR_TEST(the_limit_of_an_address_lets_those_wait_too_who_come_as_another_goes),
	    ACCEPTOR_TEST(clients_of_unix_sockets_are_of_no_address),
	    ACCEPTOR_TEST(whoever_is_not_allowed_is_told_so),
	    ACCEPTOR_TEST(a_client_for_whom_memory_is_refused_is_told_so),
	    ACCEPTOR_TEST(the_names_and_debts_of_many_have_room),
	    ACCEPTOR_TEST(many_refusals_are_a_few_lines_and_a_count_when_the_interval_ends),
	    ACCEPTOR_TEST(without_descriptors_accepting_pauses_and_nothing_spins),
	    ACCEPTOR_TEST(without_memory_of_the_kernel_accepting_pauses_too),
	    ACCEPTOR_TEST(a_client_that_left_the_door_before_it_was_opened_is_passed_over),
	    ACCEPTOR_TEST(a_door_that_is_always_ready_for_nobody_is_paused_at_last),
	};

	/* A server that has ended must not end the test. */
	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests_name("acceptor", tests, NULL, NULL);
}
