#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "ears.h"
#include "faults.h"
#include "seam.h"
#include "wire/listeners.h"

/* Passes count descriptors from first on. */
static int
inherit(int first, int count)
{
	int fds[4];

	for (int i = 0; i < count; i++)
		fds[i] = first + i;
	return listeners_inherit(&ears, fds, NULL, count, ears_error);
}

/* TCP */

TEST(an_ipv4_listener_takes_clients_of_ipv4)
{
	struct config *config = EARS("127.0.0.1:0");
	int client;

	ears_open(config);
	assert_memory_equal(ear_name(ear_nth(0)), "127.0.0.1:", 10);
	assert_int_not_equal(ear_port(ear_nth(0)), 0);
	client = ear_reach(ear_name(ear_nth(0)));
	assert_true(client >= 0);
	ear_expect_client(ear_nth(0), "127.0.0.1:");
	close(client);
	config_free(config);
}

TEST(an_ipv6_listener_takes_clients_of_ipv6)
{
	struct config *config;
	int client;

	if (!ears_have_ipv6())
		return;
	config = EARS("[::1]:0");
	ears_open(config);
	assert_memory_equal(ear_name(ear_nth(0)), "[::1]:", 6);
	client = ear_reach(ear_name(ear_nth(0)));
	assert_true(client >= 0);
	ear_expect_client(ear_nth(0), "[::1]:");
	close(client);
	config_free(config);
}

TEST(every_address_takes_clients_of_both_families_and_ipv4_ones_by_their_ipv4_address)
{
	struct config *config;
	int v4, v6;

	if (!ears_have_ipv6())
		return;
	config = EARS("[::]:0");
	ears_open(config);
	assert_memory_equal(ear_name(ear_nth(0)), "[::]:", 5);
	v4 = ear_reach(at_port("127.0.0.1", ear_port(ear_nth(0))));
	assert_true(v4 >= 0);
	ear_expect_client(ear_nth(0), "127.0.0.1:");
	v6 = ear_reach(at_port("[::1]", ear_port(ear_nth(0))));
	assert_true(v6 >= 0);
	ear_expect_client(ear_nth(0), "[::1]:");
	close(v4);
	close(v6);
	config_free(config);
}

TEST(both_families_side_by_side_share_a_port)
{
	struct config *config;
	uint16_t port;
	int v4, v6;

	if (!ears_have_ipv6())
		return;
	port = ear_free_port();
	config = EARS(at_port("[::]", port), at_port("0.0.0.0", port));
	ears_open(config);
	assert_int_equal(ear_count(), 2);
	v4 = ear_reach(at_port("127.0.0.1", port));
	assert_true(v4 >= 0);
	ear_expect_client(ear_nth(1), "127.0.0.1:");
	v6 = ear_reach(at_port("[::1]", port));
	assert_true(v6 >= 0);
	ear_expect_client(ear_nth(0), "[::1]:");
	close(v4);
	close(v6);
	config_free(config);
}

TEST(without_ipv6_every_address_means_every_ipv4_address)
{
	static const int errors[] = {EAFNOSUPPORT, EADDRNOTAVAIL};

	for (size_t i = 0; i < LENGTH(errors); i++) {
		struct config *config = EARS("[::]:0");

		seam_fail(SEAM_SOCKET, 0, 1, errors[i]);
		ears_open(config);
		assert_memory_equal(ear_name(ear_nth(0)), "0.0.0.0:", 8);
		assert_true(ear_can_reach(at_port("127.0.0.1", ear_port(ear_nth(0)))));
		listeners_close(&ears);
		config_free(config);
	}
}

TEST(with_neither_family_every_address_is_an_error)
{
	struct config *config = EARS("[::]:0");
	int before = open_descriptors();

	seam_fail(SEAM_SOCKET, 0, 2, EAFNOSUPPORT);
	assert_int_equal(listeners_open(&ears, config, ears_error), -1);
	assert_int_equal(open_descriptors(), before);
	assert_string_equal(
	    ears_error, "socket 0.0.0.0:0: Address family not supported by protocol");
	assert_int_equal(ear_count(), 0);
	config_free(config);
}

TEST(without_ipv6_an_ipv6_address_is_an_error)
{
	struct config *config = EARS("[::1]:4242");

	seam_fail(SEAM_SOCKET, 0, 1, EAFNOSUPPORT);
	assert_int_equal(listeners_open(&ears, config, ears_error), -1);
	assert_string_equal(
	    ears_error, "socket [::1]:4242: Address family not supported by protocol");
	assert_int_equal(ear_count(), 0);
	config_free(config);
}

TEST(a_family_that_the_machine_lacks_is_skipped_where_another_listener_serves)
{
	struct config *config = EARS("127.0.0.1:0", "[::1]:4242");

	seam_fail(SEAM_SOCKET, 1, 1, EAFNOSUPPORT);
	ears_open(config);
	assert_int_equal(ear_count(), 2);
	assert_true(ear_nth(0)->fd >= 0);
	assert_int_equal(ear_nth(1)->fd, -1);
	listeners_close(&ears);
	/* In whatever order they stand. */
	seam_fail(SEAM_SOCKET, 0, 1, EAFNOSUPPORT);
	ears_open(config);
	assert_int_equal(ear_nth(0)->fd, -1);
	assert_true(ear_nth(1)->fd >= 0);
	listeners_close(&ears);
	/* Another failure is still one. */
	seam_fail(SEAM_SOCKET, 0, 1, EACCES);
	assert_int_equal(listeners_open(&ears, config, ears_error), -1);
	assert_int_equal(ear_count(), 0);
	config_free(config);
}

TEST(without_ipv6_localhost_means_its_ipv4_address)
{
	static const int errors[] = {EAFNOSUPPORT, EADDRNOTAVAIL};

	for (size_t i = 0; i < LENGTH(errors); i++) {
		struct config *config = EARS("localhost:0");

		seam_fail(SEAM_SOCKET, 1, 1, errors[i]);
		ears_open(config);
		assert_int_equal(ear_count(), 2);
		assert_memory_equal(ear_name(ear_nth(0)), "127.0.0.1:", 10);
		assert_int_equal(ear_nth(1)->fd, -1);
		assert_true(ear_can_reach(ear_name(ear_nth(0))));
		if (ears_have_ipv6()) {
			/* A later reload finds it there. */
			assert_int_equal(
			    listeners_change(&ears, config, config, NULL, NULL, ears_error), 0);
			assert_memory_equal(ear_name(ear_nth(1)), "[::1]:", 6);
		}
		listeners_close(&ears);
		config_free(config);
	}
}

TEST(localhost_needs_its_ipv4_address)
{
	struct config *config = EARS("localhost:0");

	seam_fail(SEAM_SOCKET, 0, 1, EADDRNOTAVAIL);
	assert_int_equal(listeners_open(&ears, config, ears_error), -1);
	assert_string_equal(ears_error, "socket 127.0.0.1:0: Cannot assign requested address");
	config_free(config);
}

TEST(another_failure_of_ipv6_is_an_error_for_localhost_too)
{
	struct config *config = EARS("localhost:0");

	seam_fail(SEAM_SOCKET, 1, 1, EMFILE);
	assert_int_equal(listeners_open(&ears, config, ears_error), -1);
	assert_string_equal(ears_error, "socket [::1]:0: Too many open files");
	config_free(config);
}

static int
option_of(int sd, int level, int option)
{
	int value = -1;
	socklen_t len = sizeof(value);

	assert_int_equal(getsockopt(sd, level, option, &value, &len), 0);
	return value;
}

static void
expect_ready_for_chat(int sd)
{
	assert_int_not_equal(option_of(sd, IPPROTO_TCP, TCP_NODELAY), 0);
	assert_int_not_equal(option_of(sd, SOL_SOCKET, SO_KEEPALIVE), 0);
	/* One that is gone is noticed within ten minutes; one that only does not read stays. */
	assert_int_equal(option_of(sd, IPPROTO_TCP, TCP_KEEPIDLE), 300);
	assert_int_equal(option_of(sd, IPPROTO_TCP, TCP_KEEPINTVL), 60);
	assert_int_equal(option_of(sd, IPPROTO_TCP, TCP_KEEPCNT), 5);
	assert_int_equal(option_of(sd, IPPROTO_TCP, TCP_USER_TIMEOUT), 0);
}

TEST(clients_are_made_ready_for_chat)
{
	struct config *config = EARS("127.0.0.1:0");
	int client, sd;
	struct pollfd ready;
	struct addr addr;

	ears_open(config);
	client = ear_reach(ear_name(ear_nth(0)));
	ready = (struct pollfd){.fd = ear_nth(0)->fd, .events = POLLIN};
	assert_int_equal(poll(&ready, 1, 10000), 1);
	sd = listener_accept(ear_nth(0), &addr);
	assert_int_equal(fcntl(sd, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
	assert_int_equal(fcntl(sd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	expect_ready_for_chat(sd);
	close(client);
	close(sd);
	config_free(config);
}

TEST(nobody_at_the_door_is_eagain)
{
	struct config *config = EARS("127.0.0.1:0", "/chat");
	struct addr addr;

	ears_open(config);
	for (int i = 0; i < 2; i++) {
		errno = 0;
		assert_int_equal(listener_accept(ear_nth(i), &addr), -1);
		assert_int_equal(errno, EAGAIN);
	}
	config_free(config);
}

TEST(a_failed_accept_says_why)
{
	struct config *config = EARS("127.0.0.1:0");
	struct addr addr;

	ears_open(config);
	seam_fail(SEAM_ACCEPT, 0, 1, EMFILE);
	assert_int_equal(listener_accept(ear_nth(0), &addr), -1);
	assert_int_equal(errno, EMFILE);
	config_free(config);
}

TEST(an_address_in_use_is_an_error_that_names_it)
{
	struct config *first = EARS("127.0.0.1:0"), *second;
	char want[LISTENER_ERROR], taken[LISTENER_NAME];
	struct listeners others = TAILQ_HEAD_INITIALIZER(others);

	assert_int_equal(listeners_open(&others, first, ears_error), 0);
	listener_name(TAILQ_FIRST(&others), taken);
	second = EARS(taken);
	assert_int_equal(listeners_open(&ears, second, ears_error), -1);
	snprintf(want, sizeof(want), "bind %s: Address already in use", taken);
	assert_string_equal(ears_error, want);
	assert_int_equal(ear_count(), 0);
	listeners_close(&others);
	/* And it is free at once when it is closed. */
	ears_open(second);
	config_free(first);
	config_free(second);
}

TEST(an_address_that_this_machine_does_not_have_yet_is_waited_for)
{
	struct config *config = EARS("192.0.2.77:4242", "127.0.0.1:0");

	ears_open(config);
	assert_int_equal(ear_count(), 2);
	assert_string_equal(ear_name(ear_nth(0)), "192.0.2.77:4242");
	assert_true(ear_nth(0)->absent);
	assert_false(ear_nth(1)->absent);
	config_free(config);
	if (!ears_have_ipv6())
		return;
	listeners_close(&ears);
	config = EARS("[2001:db8::77]:4242");
	ears_open(config);
	assert_string_equal(ear_name(ear_nth(0)), "[2001:db8::77]:4242");
	assert_true(ear_nth(0)->absent);
	config_free(config);
}

TEST(when_one_endpoint_fails_none_is_left_open)
{
	struct config *config = EARS("127.0.0.1:0", "/chat", "/missing/chat");
	int before = open_descriptors();

	assert_int_equal(listeners_open(&ears, config, ears_error), -1);
	assert_int_equal(ear_count(), 0);
	assert_int_equal(open_descriptors(), before);
	assert_int_equal(access(in_folder("chat"), F_OK), -1);
	config_free(config);
}

TEST(refused_memory_leaves_none_open)
{
	struct config *config = EARS("127.0.0.1:0", "/chat");

	for (unsigned long skip = 0; skip < 2; skip++) {
		seam_fail(SEAM_MEMORY, skip, 1, ENOMEM);
		assert_int_equal(listeners_open(&ears, config, ears_error), -1);
		assert_non_null(strstr(ears_error, "Cannot allocate memory"));
		assert_int_equal(ear_count(), 0);
	}
	assert_int_equal(access(in_folder("chat"), F_OK), -1);
	config_free(config);
}

/* Unix sockets */

TEST(a_unix_listener_takes_clients_that_go_by_process_and_user)
{
	struct config *config = EARS("/chat");
	char want[ADDR_TEXT];
	int client;

	ears_open(config);
	assert_string_equal(ear_name(ear_nth(0)), in_folder("chat"));
	client = ear_reach(in_folder("chat"));
	assert_true(client >= 0);
	snprintf(want, sizeof(want), "unix(pid %d, uid %d)", (int)getpid(), (int)getuid());
	ear_expect_client(ear_nth(0), want);
	close(client);
	config_free(config);
}

TEST(its_file_has_the_mode_and_the_owner_of_the_settings)
{
	char text[256];
	struct config *config;
	struct stat st;

	snprintf(text, sizeof(text),
	    "listen = \"%s\"; unix = { mode = \"0604\"; owner = %d; group = %d; };",
	    in_folder("chat"), getuid() == 0 ? 12345 : (int)getuid(),
	    getuid() == 0 ? 54321 : (int)getgid());
	config = config_of(text);
	ears_open(config);
	assert_int_equal(stat(in_folder("chat"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0604);
	assert_int_equal(st.st_uid, getuid() == 0 ? 12345 : getuid());
	assert_int_equal(st.st_gid, getuid() == 0 ? 54321 : getgid());
	config_free(config);
}

TEST(an_owner_alone_leaves_the_group_and_a_group_alone_the_owner)
{
	static const char *const settings[] = {"", "owner = 12345;", "group = 54321;"};

	if (getuid() != 0) {
		note("not shown: only root gives files away\n");
		return;
	}
	for (size_t i = 0; i < LENGTH(settings); i++) {
		struct config *config;
		char text[256];
		struct stat st;

		snprintf(text, sizeof(text), "listen = \"%s\"; unix = { %s };", in_folder("chat"),
		    settings[i]);
		config = config_of(text);
		ears_open(config);
		assert_int_equal(stat(in_folder("chat"), &st), 0);
		assert_int_equal(st.st_uid, i == 1 ? 12345 : 0);
		assert_int_equal(st.st_gid, i == 2 ? 54321 : getgid());
		assert_int_equal(st.st_mode & 07777, 0660);
		listeners_close(&ears);
		config_free(config);
	}
}

TEST(its_file_goes_with_the_listener)
{
	struct config *config = EARS("/chat");

	ears_open(config);
	assert_int_equal(access(in_folder("chat"), F_OK), 0);
	listeners_close(&ears);
	assert_int_equal(access(in_folder("chat"), F_OK), -1);
	config_free(config);
}

TEST(a_file_that_has_taken_its_place_stays)
{
	struct config *config = EARS("/chat");

	ears_open(config);
	/* Made first, so that it cannot have the inode of the one that goes. */
	file_write(in_folder("new"), "mine", 4);
	assert_int_equal(rename(in_folder("new"), in_folder("chat")), 0);
	listeners_close(&ears);
	assert_int_equal(access(in_folder("chat"), F_OK), 0);
	config_free(config);
}

/* A socket file whose process was killed. */
static void
leave_stale(const char *path)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	strcpy(sun.sun_path, path);
	assert_int_equal(bind(fd, (struct sockaddr *)&sun, sizeof(sun)), 0);
	close(fd);
}

TEST(a_socket_file_that_nobody_listens_on_is_replaced)
{
	struct config *config = EARS("/chat");

	leave_stale(in_folder("chat"));
	ears_open(config);
	assert_true(ear_can_reach(in_folder("chat")));
	config_free(config);
}

static void
expect_in_use(void)
{
	struct config *config = EARS("/chat");
	char want[LISTENER_ERROR];

	assert_int_equal(listeners_open(&ears, config, ears_error), -1);
	snprintf(want, sizeof(want), "bind %s: Address already in use", in_folder("chat"));
	assert_string_equal(ears_error, want);
	assert_int_equal(access(in_folder("chat"), F_OK), 0);
	config_free(config);
}

TEST(a_socket_file_that_somebody_listens_on_is_left_alone)
{
	struct config *config = EARS("/chat");
	struct listeners others = TAILQ_HEAD_INITIALIZER(others);

	assert_int_equal(listeners_open(&others, config, ears_error), 0);
	expect_in_use();
	assert_true(ear_can_reach(in_folder("chat")));
	listeners_close(&others);
	config_free(config);
}

TEST(a_socket_file_that_takes_nobody_now_is_left_alone)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	int full, waits, datagrams;

	strcpy(sun.sun_path, in_folder("chat"));
	full = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	waits = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(full, (struct sockaddr *)&sun, sizeof(sun)), 0);
	assert_int_equal(listen(full, 0), 0);
	assert_int_equal(connect(waits, (struct sockaddr *)&sun, sizeof(sun)), 0);
	expect_in_use();
	close(waits);
	close(full);
	unlink(in_folder("chat"));
	datagrams = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(datagrams, (struct sockaddr *)&sun, sizeof(sun)), 0);
	expect_in_use();
	close(datagrams);
}

TEST(a_file_that_is_no_socket_is_left_alone)
{
	file_write(in_folder("chat"), "mine", 4);
	expect_in_use();
	unlink(in_folder("chat"));
	assert_int_equal(mkdir(in_folder("chat"), 0700), 0);
	expect_in_use();
}

TEST(a_link_to_a_socket_file_is_left_alone)
{
	leave_stale(in_folder("elsewhere"));
	assert_int_equal(symlink(in_folder("elsewhere"), in_folder("chat")), 0);
	expect_in_use();
	assert_int_equal(access(in_folder("elsewhere"), F_OK), 0);
}

TEST(a_folder_that_is_missing_is_an_error_that_names_the_path)
{
	struct config *config = EARS("/missing/chat");
	char want[LISTENER_ERROR];

	assert_int_equal(listeners_open(&ears, config, ears_error), -1);
	snprintf(
	    want, sizeof(want), "bind %s: No such file or directory", in_folder("missing/chat"));
	assert_string_equal(ears_error, want);
	config_free(config);
}

/* Inherited */

/* A listening socket at a number of its own, as systemd passes it. */
static int
pass_socket(const char *endpoint)
{
	struct config *config = EARS(endpoint);
	struct listeners made = TAILQ_HEAD_INITIALIZER(made);
	int fd;

	assert_int_equal(listeners_open(&made, config, ears_error), 0);
	fd = fcntl(TAILQ_FIRST(&made)->fd, F_DUPFD_CLOEXEC, 200);
	/* Only the copy is left; its file stays, as the manager's would. */
	TAILQ_FIRST(&made)->file.inode = 0;
	listeners_close(&made);
	config_free(config);
	return fd;
}

TEST(passed_sockets_serve_whatever_the_settings_say)
{
	struct config *before = EARS("/a"), *after = EARS("/b");
	int tcp = pass_socket("127.0.0.1:0"), path = pass_socket("/passed");
	int flags = fcntl(tcp, F_GETFL), client;

	assert_int_equal(path, tcp + 1);
	fcntl(tcp, F_SETFL, flags & ~O_NONBLOCK);
	assert_int_equal(inherit(tcp, 2), 0);
	assert_int_equal(ear_count(), 2);
	assert_true(ear_nth(0)->inherited && ear_nth(1)->inherited);
	assert_int_equal(fcntl(tcp, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
	assert_memory_equal(ear_name(ear_nth(0)), "127.0.0.1:", 10);
	assert_string_equal(ear_name(ear_nth(1)), in_folder("passed"));
	assert_int_equal(listeners_change(&ears, before, after, NULL, NULL, ears_error), 0);
	assert_int_equal(ear_count(), 2);
	client = ear_reach(ear_name(ear_nth(0)));
	assert_true(client >= 0);
	ear_expect_client(ear_nth(0), "127.0.0.1:");
	close(client);
	config_free(before);
	config_free(after);
}

TEST(an_abstract_name_is_shown_with_an_at_sign)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	socklen_t len = (socklen_t)offsetof(struct sockaddr_un, sun_path);

	len += 1 + (socklen_t)sprintf(sun.sun_path + 1, "chatd-test-%d", getpid());
	assert_int_equal(bind(fd, (struct sockaddr *)&sun, len), 0);
	assert_int_equal(listen(fd, 1), 0);
	assert_int_equal(inherit(fd, 1), 0);
	sun.sun_path[0] = '@';
	assert_string_equal(ear_name(ear_nth(0)), sun.sun_path);
}

TEST(the_file_of_a_passed_socket_is_the_managers)
{
	int path = pass_socket("/passed");

	assert_int_equal(inherit(path, 1), 0);
	listeners_close(&ears);
	assert_false(is_open(path));
	assert_int_equal(access(in_folder("passed"), F_OK), 0);
}

TEST(clients_of_a_passed_socket_are_made_ready_for_chat)
{
	int tcp = pass_socket("127.0.0.1:0"), client, sd, other = 7;
	struct pollfd ready = {.fd = tcp, .events = POLLIN};
	struct addr addr;

	setsockopt(tcp, IPPROTO_TCP, TCP_NODELAY, &(int){0}, sizeof(int));
	setsockopt(tcp, SOL_SOCKET, SO_KEEPALIVE, &(int){0}, sizeof(int));
	for (int option = TCP_KEEPIDLE; option <= TCP_KEEPCNT; option++)
		setsockopt(tcp, IPPROTO_TCP, option, &other, sizeof(other));
	assert_int_equal(inherit(tcp, 1), 0);
	client = ear_reach(ear_name(ear_nth(0)));
	assert_int_equal(poll(&ready, 1, 10000), 1);
	sd = listener_accept(ear_nth(0), &addr);
	expect_ready_for_chat(sd);
	close(sd);
	close(client);
}

TEST(what_does_not_listen_for_streams_is_refused)
{
	char want[LISTENER_ERROR];
	int pair[2], fds[4];

	make_pair(pair);
	fds[0] = fcntl(pair[0], F_DUPFD_CLOEXEC, 300);
	fds[1] = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	fds[2] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	fds[3] = open("/dev/null", O_RDONLY | O_CLOEXEC);
	for (size_t i = 0; i < LENGTH(fds); i++) {
		assert_int_equal(inherit(fds[i], 1), -1);
		snprintf(
		    want, sizeof(want), "descriptor %d: not a listening stream socket", fds[i]);
		assert_string_equal(ears_error, want);
		listeners_close(&ears);
	}
	assert_int_equal(inherit(350, 1), -1);
	assert_string_equal(ears_error, "descriptor 350: not a listening stream socket");
	seam_fail(SEAM_MEMORY, 0, 1, ENOMEM);
	assert_int_equal(inherit(350, 1), -1);
	assert_string_equal(ears_error, "descriptor 350: Cannot allocate memory");
	close(pair[0]);
	close(pair[1]);
}

#define LISTENER_TEST(name) cmocka_unit_test_setup_teardown(name, ears_setup, ears_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    LISTENER_TEST(an_ipv4_listener_takes_clients_of_ipv4),
	    LISTENER_TEST(an_ipv6_listener_takes_clients_of_ipv6),
	    LISTENER_TEST(
		every_address_takes_clients_of_both_families_and_ipv4_ones_by_their_ipv4_address),
	    LISTENER_TEST(both_families_side_by_side_share_a_port),
	    LISTENER_TEST(without_ipv6_every_address_means_every_ipv4_address),
	    LISTENER_TEST(with_neither_family_every_address_is_an_error),
	    LISTENER_TEST(without_ipv6_an_ipv6_address_is_an_error),
	    LISTENER_TEST(a_family_that_the_machine_lacks_is_skipped_where_another_listener_serves),
	    LISTENER_TEST(without_ipv6_localhost_means_its_ipv4_address),
	    LISTENER_TEST(localhost_needs_its_ipv4_address),
	    LISTENER_TEST(another_failure_of_ipv6_is_an_error_for_localhost_too),
	    LISTENER_TEST(clients_are_made_ready_for_chat),
	    LISTENER_TEST(nobody_at_the_door_is_eagain),
	    LISTENER_TEST(a_failed_accept_says_why),
	    LISTENER_TEST(an_address_in_use_is_an_error_that_names_it),
	    LISTENER_TEST(an_address_that_this_machine_does_not_have_yet_is_waited_for),
	    LISTENER_TEST(when_one_endpoint_fails_none_is_left_open),
	    LISTENER_TEST(refused_memory_leaves_none_open),
	    LISTENER_TEST(a_unix_listener_takes_clients_that_go_by_process_and_user),
	    LISTENER_TEST(its_file_has_the_mode_and_the_owner_of_the_settings),
	    LISTENER_TEST(an_owner_alone_leaves_the_group_and_a_group_alone_the_owner),
	    LISTENER_TEST(its_file_goes_with_the_listener),
	    LISTENER_TEST(a_file_that_has_taken_its_place_stays),
	    LISTENER_TEST(a_socket_file_that_nobody_listens_on_is_replaced),
	    LISTENER_TEST(a_socket_file_that_somebody_listens_on_is_left_alone),
	    LISTENER_TEST(a_socket_file_that_takes_nobody_now_is_left_alone),
	    LISTENER_TEST(a_file_that_is_no_socket_is_left_alone),
	    LISTENER_TEST(a_link_to_a_socket_file_is_left_alone),
	    LISTENER_TEST(a_folder_that_is_missing_is_an_error_that_names_the_path),
	    LISTENER_TEST(passed_sockets_serve_whatever_the_settings_say),
	    LISTENER_TEST(an_abstract_name_is_shown_with_an_at_sign),
	    LISTENER_TEST(the_file_of_a_passed_socket_is_the_managers),
	    LISTENER_TEST(clients_of_a_passed_socket_are_made_ready_for_chat),
	    LISTENER_TEST(what_does_not_listen_for_streams_is_refused),
	};

	return cmocka_run_group_tests_name("listener", tests, NULL, NULL);
}
