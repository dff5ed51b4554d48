#include "unit.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "wire/kernel.h"

static int far, near; /* a client and chatd's end of it */

static int
setup(void **state)
{
	struct sockaddr_in sin = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(sin);
	int ear = socket(AF_INET, SOCK_STREAM, 0);

	(void)state;
	far = socket(AF_INET, SOCK_STREAM, 0);
	if (bind(ear, (struct sockaddr *)&sin, len) < 0 || listen(ear, 1) < 0 ||
	    getsockname(ear, (struct sockaddr *)&sin, &len) < 0 ||
	    connect(far, (struct sockaddr *)&sin, len) < 0)
		return -1;
	near = accept(ear, NULL, NULL);
	close(ear);
	return near < 0 ? -1 : 0;
}

static int
teardown(void **state)
{
	(void)state;
	if (far >= 0)
		close(far);
	close(near);
	return 0;
}

static struct kernel_counts
count(void)
{
	struct kernel_counts counts;

	assert_true(kernel_count(near, AF_INET, &counts));
	return counts;
}

static void
expect(uint64_t sent, uint64_t received)
{
	struct kernel_counts counts = count();

	assert_int_equal(counts.sent, sent);
	assert_int_equal(counts.received, received);
}

/* Until what is under way has arrived. */
static void
await(int fd, short events)
{
	struct pollfd wait = {.fd = fd, .events = events};

	assert_true(poll(&wait, 1, 10000) == 1);
}

static void
take(size_t len)
{
	char text[100];

	assert_int_equal(recv(near, text, len, MSG_WAITALL), len);
}

TEST(what_was_written_and_what_was_received_is_counted)
{
	expect(0, 0);
	put_text(far, "0123456789");
	await(near, POLLIN);
	expect(0, 0);
	take(4);
	expect(0, 4);
	put_text(near, "abc");
	expect(3, 4);
	take(6);
	expect(3, 10);
}

TEST(what_is_not_acknowledged_counts_as_sent)
{
	size_t len;

	set_nonblocking(near);
	len = stuff(near);
	expect(len, 0);
}

TEST(an_end_of_file_is_no_byte)
{
	struct kernel_counts counts;

	put_text(far, "abc");
	shutdown(far, SHUT_WR);
	await(near, POLLRDHUP);
	expect(0, 0);
	assert_false(count().reset || count().write_shut);
	take(3);
	expect(0, 3);
	put_text(near, "xy");
	expect(2, 3);
	/* With its own behind it the connection is over, and the end may count or not. */
	shutdown(near, SHUT_WR);
	await(near, POLLHUP);
	counts = count();
	assert_true(counts.reset && counts.end_may_count);
	assert_in_range(counts.received, 3, 4);
}

TEST(its_own_end_of_file_is_no_byte_either)
{
	struct kernel_counts counts;
	char text[3];

	put_text(near, "abc");
	shutdown(near, SHUT_WR);
	expect(3, 0);
	assert_true(count().write_shut);
	put_text(far, "hello");
	await(near, POLLIN);
	take(5);
	expect(3, 5);
	assert_int_equal(recv(far, text, 3, MSG_WAITALL), 3); /* or there would be a reset */
	close(far);
	far = -1;
	await(near, POLLHUP);
	counts = count();
	assert_true(counts.reset && counts.end_may_count);
	assert_in_range(counts.received, 5, 6);
}

TEST(after_a_reset_what_was_received_is_known)
{
	struct linger now = {.l_onoff = 1};
	struct kernel_counts counts;

	put_text(far, "abc");
	await(near, POLLIN);
	take(2);
	setsockopt(far, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	close(far);
	far = -1;
	await(near, POLLERR);
	counts = count();
	assert_true(counts.reset);
	assert_false(counts.end_may_count);
	assert_int_equal(counts.received, 2);
}

TEST(a_reset_behind_an_end_of_file_is_no_byte)
{
	struct linger now = {.l_onoff = 1};
	struct kernel_counts counts;

	put_text(far, "abc");
	shutdown(far, SHUT_WR);
	await(near, POLLRDHUP);
	take(3);
	setsockopt(far, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	close(far);
	far = -1;
	await(near, POLLERR);
	counts = count();
	assert_true(counts.reset);
	assert_false(counts.end_may_count);
	assert_int_equal(counts.received, 3);
	/* Who asks again is not told by what it was reset any more. */
	counts = count();
	assert_true(counts.end_may_count);
	assert_int_equal(counts.received, 4);
}

TEST(another_kind_of_socket_tells_nothing)
{
	struct kernel_counts counts;
	int pair[2], pipes[2];

	make_pair(pair);
	assert_int_equal(pipe(pipes), 0);
	assert_false(kernel_count(pair[0], AF_INET, &counts));
	assert_false(kernel_count(pipes[0], AF_INET, &counts));
	assert_false(kernel_count(pipes[0], AF_UNIX, &counts));
	assert_false(kernel_count(-1, AF_INET6, &counts));
	close(pair[0]);
	close(pair[1]);
	close(pipes[0]);
	close(pipes[1]);
}

/* The acknowledgement comes at some time after the bytes. */
static void
await_confirmed(uint64_t sent, uint64_t received)
{
	for (int i = 0; i < 10000 && !kernel_confirms(near, sent, received); i++)
		poll(NULL, 0, 1);
	assert_true(kernel_confirms(near, sent, received));
}

TEST(exactly_what_was_sent_and_read_is_confirmed)
{
	char text[20];

	assert_true(kernel_confirms(near, 0, 0));
	assert_int_equal(send(near, "hello\n", 6, 0), 6);
	assert_int_equal(send(far, "hi\n", 3, 0), 3);
	await(near, POLLIN);
	assert_int_equal(recv(near, text, sizeof(text), 0), 3);
	await_confirmed(6, 3);
	assert_false(kernel_confirms(near, 5, 3));
	assert_false(kernel_confirms(near, 7, 3));
	assert_false(kernel_confirms(near, 6, 2));
	assert_false(kernel_confirms(near, 6, 4));
}

TEST(what_is_unread_is_not_confirmed)
{
	char text[20];

	assert_int_equal(send(far, "hello\n", 6, 0), 6);
	await(near, POLLIN);
	assert_int_equal(recv(near, text, 2, 0), 2);
	assert_false(kernel_confirms(near, 0, 2));
}

TEST(what_is_not_acknowledged_is_not_confirmed)
{
	static char much[65536];
	ssize_t n, sent = 0;
	int size = 4096;

	setsockopt(near, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	while ((n = send(near, much, sizeof(much), MSG_DONTWAIT)) > 0)
		sent += n;
	assert_false(kernel_confirms(near, (uint64_t)sent, 0));
	while (sent > 0) {
		await(far, POLLIN);
		sent -= recv(far, much, sizeof(much), 0);
	}
}

TEST(an_end_of_file_is_not_confirmed)
{
	shutdown(far, SHUT_WR);
	await(near, POLLIN);
	assert_false(kernel_confirms(near, 0, 0));
	assert_false(kernel_confirms(near, 0, 1));
}

TEST(what_is_no_tcp_socket_is_not_confirmed)
{
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	assert_false(kernel_confirms(pair[0], 0, 0));
	assert_false(kernel_confirms(-1, 0, 0));
	close(pair[0]);
	close(pair[1]);
}

#define KERNEL_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    KERNEL_TEST(what_was_written_and_what_was_received_is_counted),
	    KERNEL_TEST(what_is_not_acknowledged_counts_as_sent),
	    KERNEL_TEST(an_end_of_file_is_no_byte),
	    KERNEL_TEST(its_own_end_of_file_is_no_byte_either),
	    KERNEL_TEST(after_a_reset_what_was_received_is_known),
	    KERNEL_TEST(a_reset_behind_an_end_of_file_is_no_byte),
	    KERNEL_TEST(another_kind_of_socket_tells_nothing),
	    KERNEL_TEST(exactly_what_was_sent_and_read_is_confirmed),
	    KERNEL_TEST(what_is_unread_is_not_confirmed),
	    KERNEL_TEST(what_is_not_acknowledged_is_not_confirmed),
	    KERNEL_TEST(an_end_of_file_is_not_confirmed),
	    KERNEL_TEST(what_is_no_tcp_socket_is_not_confirmed),
	};

	return cmocka_run_group_tests_name("kernel", tests, NULL, NULL);
}
