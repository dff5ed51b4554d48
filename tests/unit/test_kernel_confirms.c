#include "unit.h"

#include <arpa/inet.h>
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
	close(far);
	close(near);
	return 0;
}

/* Waits until fd is readable. */
static void
await(int fd)
{
	struct pollfd wait = {.fd = fd, .events = POLLIN};

	assert_int_equal(poll(&wait, 1, 10000), 1);
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
	await(near);
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
	await(near);
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
		await(far);
		sent -= recv(far, much, sizeof(much), 0);
	}
}

TEST(an_end_of_file_is_not_confirmed)
{
	shutdown(far, SHUT_WR);
	await(near);
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

int
main(void)
{
#define CONFIRMS_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
	    CONFIRMS_TEST(exactly_what_was_sent_and_read_is_confirmed),
	    CONFIRMS_TEST(what_is_unread_is_not_confirmed),
	    CONFIRMS_TEST(what_is_not_acknowledged_is_not_confirmed),
	    CONFIRMS_TEST(an_end_of_file_is_not_confirmed),
	    CONFIRMS_TEST(what_is_no_tcp_socket_is_not_confirmed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
