#include "unit.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "faults.h"
#include "listener.h"
#include "seam.h"

static struct listeners all;
static char error[LISTENER_ERROR];

static int
setup(void **state)
{
	(void)state;
	TAILQ_INIT(&all);
	error[0] = '\0';
	return folder_make() != NULL ? 0 : -1;
}

static int
teardown(void **state)
{
	(void)state;
	seam_reset();
	listeners_close(&all);
	folder_remove();
	return 0;
}

/* A config that listens on each of the endpoints, the last one NULL; "/x" is a path in the folder.
 */
static struct config *
listen_on(const char *const *endpoints)
{
	char text[2048] = "listen = [ ";

	for (int i = 0; endpoints[i] != NULL; i++) {
		strcat(text, i > 0 ? ", \"" : "\"");
		strcat(text, endpoints[i][0] == '/' ? in_folder(endpoints[i] + 1) : endpoints[i]);
		strcat(text, "\"");
	}
	strcat(text, " ]; unix = { mode = \"0640\"; };");
	return config_of(text);
}

#define LISTEN(...) listen_on((const char *const[]){__VA_ARGS__, NULL})

/* Opens it, as at the start. */
static void
open_all(const struct config *config)
{
	if (listeners_open(&all, config, error) < 0)
		assert_string_equal(error, "");
}

static struct listener *
nth(int n)
{
	struct listener *listener = TAILQ_FIRST(&all);

	while (n-- > 0)
		listener = TAILQ_NEXT(listener, entry);
	assert_non_null(listener);
	return listener;
}

static int
count(void)
{
	struct listener *listener;
	int n = 0;

	TAILQ_FOREACH(listener, &all, entry)
		n++;
	return n;
}

static const char *
name(const struct listener *listener)
{
	static char text[LISTENER_NAME];

	return listener_name(listener, text);
}

static uint16_t
port_of(const struct listener *listener)
{
	return (uint16_t)atoi(strrchr(name(listener), ':') + 1);
}

/*
 * A port that nobody listens on, for both families. From below those that the kernel gives away by
 * itself, so that it is still free when it is taken.
 */
static uint16_t
free_port(void)
{
	static uint16_t port;
	bool open = false;

	for (int tries = 0; tries < 100 && !open; tries++) {
		struct config *config;
		char text[16];

		port = (uint16_t)(port == 0 ? 20000 + getpid() % 12000 : port + 1);
		snprintf(text, sizeof(text), "[::]:%u", port);
		config = LISTEN(text);
		open = listeners_open(&all, config, error) == 0;
		listeners_close(&all);
		config_free(config);
	}
	assert_true(open);
	return port;
}

/* Connects to "address:port" or a path. Returns the socket, or -1 with errno. */
static int
reach(const char *where)
{
	struct sockaddr_storage sa = {0};
	socklen_t len;
	int fd;

	if (where[0] == '/') {
		sa.ss_family = AF_UNIX;
		strcpy(((struct sockaddr_un *)&sa)->sun_path, where);
		len = sizeof(struct sockaddr_un);
	} else {
		struct addr addr;

		assert_int_equal(addr_parse_port(&addr, where, 0), 0);
		len = addr_to_sockaddr(&addr, &sa);
	}
	fd = socket(sa.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (connect(fd, (struct sockaddr *)&sa, len) == 0)
		return fd;
	len = (socklen_t)errno;
	close(fd);
	errno = (int)len;
	return -1;
}

static bool
can_reach(const char *where)
{
	int fd = reach(where);

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

static const char *
at_port(const char *address, uint16_t port)
{
	static char texts[4][64];
	static int next;
	char *text = texts[next++ % 4];

	snprintf(text, sizeof(texts[0]), "%s:%u", address, port);
	return text;
}

/* Accepts the one client that waits, and checks its address up to the port. */
static void
expect_client(const struct listener *listener, const char *address)
{
	struct pollfd ready = {.fd = listener->fd, .events = POLLIN};
	struct addr addr;
	char text[ADDR_TEXT];
	int sd;

	assert_int_equal(poll(&ready, 1, 10000), 1);
	sd = listener_accept(listener, &addr);
	assert_true(sd >= 0);
	addr_format(&addr, text);
	assert_memory_equal(text, address, strlen(address));
	close(sd);
}

static bool
has_ipv6(void)
{
	static int known = -1;

	if (known < 0) {
		struct config *config = LISTEN("[::1]:0");

		known = listeners_open(&all, config, error) == 0;
		listeners_close(&all);
		config_free(config);
	}
	if (!known)
		note("not shown: this machine has no IPv6\n");
	return known;
}

/* TCP */

TEST(an_ipv4_listener_takes_clients_of_ipv4)
{
	struct config *config = LISTEN("127.0.0.1:0");
	int client;

	open_all(config);
	assert_memory_equal(name(nth(0)), "127.0.0.1:", 10);
	assert_int_not_equal(port_of(nth(0)), 0);
	client = reach(name(nth(0)));
	assert_true(client >= 0);
	expect_client(nth(0), "127.0.0.1:");
	close(client);
	config_free(config);
}

TEST(an_ipv6_listener_takes_clients_of_ipv6)
{
	struct config *config;
	int client;

	if (!has_ipv6())
		return;
	config = LISTEN("[::1]:0");
	open_all(config);
	assert_memory_equal(name(nth(0)), "[::1]:", 6);
	client = reach(name(nth(0)));
	assert_true(client >= 0);
	expect_client(nth(0), "[::1]:");
	close(client);
	config_free(config);
}

TEST(every_address_takes_clients_of_both_families_and_ipv4_ones_by_their_ipv4_address)
{
	struct config *config;
	int v4, v6;

	if (!has_ipv6())
		return;
	config = LISTEN("[::]:0");
	open_all(config);
	assert_memory_equal(name(nth(0)), "[::]:", 5);
	v4 = reach(at_port("127.0.0.1", port_of(nth(0))));
	assert_true(v4 >= 0);
	expect_client(nth(0), "127.0.0.1:");
	v6 = reach(at_port("[::1]", port_of(nth(0))));
	assert_true(v6 >= 0);
	expect_client(nth(0), "[::1]:");
	close(v4);
	close(v6);
	config_free(config);
}

TEST(both_families_side_by_side_share_a_port)
{
	struct config *config;
	uint16_t port;
	int v4, v6;

	if (!has_ipv6())
		return;
	port = free_port();
	config = LISTEN(at_port("[::]", port), at_port("0.0.0.0", port));
	open_all(config);
	assert_int_equal(count(), 2);
	v4 = reach(at_port("127.0.0.1", port));
	assert_true(v4 >= 0);
	expect_client(nth(1), "127.0.0.1:");
	v6 = reach(at_port("[::1]", port));
	assert_true(v6 >= 0);
	expect_client(nth(0), "[::1]:");
	close(v4);
	close(v6);
	config_free(config);
}

TEST(without_ipv6_every_address_means_every_ipv4_address)
{
	static const int errors[] = {EAFNOSUPPORT, EADDRNOTAVAIL};

	for (size_t i = 0; i < LENGTH(errors); i++) {
		struct config *config = LISTEN("[::]:0");

		seam_fail(SEAM_SOCKET, 0, 1, errors[i]);
		open_all(config);
		assert_memory_equal(name(nth(0)), "0.0.0.0:", 8);
		assert_true(can_reach(at_port("127.0.0.1", port_of(nth(0)))));
		listeners_close(&all);
		config_free(config);
	}
}

TEST(with_neither_family_every_address_is_an_error)
{
	struct config *config = LISTEN("[::]:0");
	int before = open_descriptors();

	seam_fail(SEAM_SOCKET, 0, 2, EAFNOSUPPORT);
	assert_int_equal(listeners_open(&all, config, error), -1);
	assert_int_equal(open_descriptors(), before);
	assert_string_equal(error, "socket 0.0.0.0:0: Address family not supported by protocol");
	assert_int_equal(count(), 0);
	config_free(config);
}

TEST(without_ipv6_an_ipv6_address_is_an_error)
{
	struct config *config = LISTEN("[::1]:4242");

	seam_fail(SEAM_SOCKET, 0, 1, EAFNOSUPPORT);
	assert_int_equal(listeners_open(&all, config, error), -1);
	assert_string_equal(error, "socket [::1]:4242: Address family not supported by protocol");
	assert_int_equal(count(), 0);
	config_free(config);
}

TEST(clients_are_made_ready_for_chat)
{
	struct config *config = LISTEN("127.0.0.1:0");
	int client, sd, value = 0;
	socklen_t len = sizeof(value);
	struct pollfd ready;
	struct addr addr;

	open_all(config);
	client = reach(name(nth(0)));
	ready = (struct pollfd){.fd = nth(0)->fd, .events = POLLIN};
	assert_int_equal(poll(&ready, 1, 10000), 1);
	sd = listener_accept(nth(0), &addr);
	assert_int_equal(fcntl(sd, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
	assert_int_equal(fcntl(sd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	assert_int_equal(getsockopt(sd, IPPROTO_TCP, TCP_NODELAY, &value, &len), 0);
	assert_int_not_equal(value, 0);
	assert_int_equal(getsockopt(sd, SOL_SOCKET, SO_KEEPALIVE, &value, &len), 0);
	assert_int_not_equal(value, 0);
	close(client);
	close(sd);
	config_free(config);
}

TEST(nobody_at_the_door_is_eagain)
{
	struct config *config = LISTEN("127.0.0.1:0", "/chat");
	struct addr addr;

	open_all(config);
	for (int i = 0; i < 2; i++) {
		errno = 0;
		assert_int_equal(listener_accept(nth(i), &addr), -1);
		assert_int_equal(errno, EAGAIN);
	}
	config_free(config);
}

TEST(a_failed_accept_says_why)
{
	struct config *config = LISTEN("127.0.0.1:0");
	struct addr addr;

	open_all(config);
	seam_fail(SEAM_ACCEPT, 0, 1, EMFILE);
	assert_int_equal(listener_accept(nth(0), &addr), -1);
	assert_int_equal(errno, EMFILE);
	config_free(config);
}

TEST(an_address_in_use_is_an_error_that_names_it)
{
	struct config *first = LISTEN("127.0.0.1:0"), *second;
	char want[LISTENER_ERROR], taken[LISTENER_NAME];
	struct listeners others = TAILQ_HEAD_INITIALIZER(others);

	assert_int_equal(listeners_open(&others, first, error), 0);
	listener_name(TAILQ_FIRST(&others), taken);
	second = LISTEN(taken);
	assert_int_equal(listeners_open(&all, second, error), -1);
	snprintf(want, sizeof(want), "bind %s: Address already in use", taken);
	assert_string_equal(error, want);
	assert_int_equal(count(), 0);
	listeners_close(&others);
	/* And it is free at once when it is closed. */
	open_all(second);
	config_free(first);
	config_free(second);
}

TEST(an_address_of_another_machine_is_an_error_that_names_it)
{
	struct config *config = LISTEN("192.0.2.77:4242");

	assert_int_equal(listeners_open(&all, config, error), -1);
	assert_string_equal(error, "bind 192.0.2.77:4242: Cannot assign requested address");
	config_free(config);
}

TEST(when_one_endpoint_fails_none_is_left_open)
{
	struct config *config = LISTEN("127.0.0.1:0", "/chat", "192.0.2.77:4242");
	int before = open_descriptors();

	assert_int_equal(listeners_open(&all, config, error), -1);
	assert_int_equal(count(), 0);
	assert_int_equal(open_descriptors(), before);
	assert_int_equal(access(in_folder("chat"), F_OK), -1);
	config_free(config);
}

TEST(refused_memory_leaves_none_open)
{
	struct config *config = LISTEN("127.0.0.1:0", "/chat");

	for (unsigned long skip = 0; skip < 2; skip++) {
		seam_fail(SEAM_MEMORY, skip, 1, ENOMEM);
		assert_int_equal(listeners_open(&all, config, error), -1);
		assert_non_null(strstr(error, "Cannot allocate memory"));
		assert_int_equal(count(), 0);
	}
	assert_int_equal(access(in_folder("chat"), F_OK), -1);
	config_free(config);
}

/* Unix sockets */

TEST(a_unix_listener_takes_clients_that_go_by_process_and_user)
{
	struct config *config = LISTEN("/chat");
	char want[ADDR_TEXT];
	int client;

	open_all(config);
	assert_string_equal(name(nth(0)), in_folder("chat"));
	client = reach(in_folder("chat"));
	assert_true(client >= 0);
	snprintf(want, sizeof(want), "unix(pid %d, uid %d)", (int)getpid(), (int)getuid());
	expect_client(nth(0), want);
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
	open_all(config);
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
		open_all(config);
		assert_int_equal(stat(in_folder("chat"), &st), 0);
		assert_int_equal(st.st_uid, i == 1 ? 12345 : 0);
		assert_int_equal(st.st_gid, i == 2 ? 54321 : getgid());
		assert_int_equal(st.st_mode & 07777, 0660);
		listeners_close(&all);
		config_free(config);
	}
}

TEST(the_umask_is_as_before)
{
	struct config *config = LISTEN("/chat");
	mode_t before = umask(027), after;

	open_all(config);
	after = umask(before);
	assert_int_equal(after, 027);
	config_free(config);
}

TEST(its_file_goes_with_the_listener)
{
	struct config *config = LISTEN("/chat");

	open_all(config);
	assert_int_equal(access(in_folder("chat"), F_OK), 0);
	listeners_close(&all);
	assert_int_equal(access(in_folder("chat"), F_OK), -1);
	config_free(config);
}

TEST(a_file_that_has_taken_its_place_stays)
{
	struct config *config = LISTEN("/chat");

	open_all(config);
	/* Made first, so that it cannot have the inode of the one that goes. */
	file_write(in_folder("new"), "mine", 4);
	assert_int_equal(rename(in_folder("new"), in_folder("chat")), 0);
	listeners_close(&all);
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
	struct config *config = LISTEN("/chat");

	leave_stale(in_folder("chat"));
	open_all(config);
	assert_true(can_reach(in_folder("chat")));
	config_free(config);
}

static void
expect_in_use(void)
{
	struct config *config = LISTEN("/chat");
	char want[LISTENER_ERROR];

	assert_int_equal(listeners_open(&all, config, error), -1);
	snprintf(want, sizeof(want), "bind %s: Address already in use", in_folder("chat"));
	assert_string_equal(error, want);
	assert_int_equal(access(in_folder("chat"), F_OK), 0);
	config_free(config);
}

TEST(a_socket_file_that_somebody_listens_on_is_left_alone)
{
	struct config *config = LISTEN("/chat");
	struct listeners others = TAILQ_HEAD_INITIALIZER(others);

	assert_int_equal(listeners_open(&others, config, error), 0);
	expect_in_use();
	assert_true(can_reach(in_folder("chat")));
	listeners_close(&others);
	config_free(config);
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
	struct config *config = LISTEN("/missing/chat");
	char want[LISTENER_ERROR];

	assert_int_equal(listeners_open(&all, config, error), -1);
	snprintf(
	    want, sizeof(want), "bind %s: No such file or directory", in_folder("missing/chat"));
	assert_string_equal(error, want);
	config_free(config);
}

/* A reload */

static void
change(const struct config *before, const struct config *after)
{
	if (listeners_change(&all, before, after, error) < 0)
		assert_string_equal(error, "");
	assert_int_equal(count(), (int)after->n_endpoints);
}

TEST(endpoints_of_both_configs_keep_their_sockets)
{
	struct config *before = LISTEN("127.0.0.1:0", "/one", "/two");
	struct config *after = LISTEN("/three", "/one", "127.0.0.1:0");
	int tcp, one;

	open_all(before);
	tcp = nth(0)->fd;
	one = nth(1)->fd;
	change(before, after);
	assert_int_equal(nth(0)->fd, tcp);
	assert_int_equal(nth(1)->fd, one);
	assert_string_equal(name(nth(2)), in_folder("three"));
	assert_true(can_reach(in_folder("one")));
	assert_true(can_reach(in_folder("three")));
	assert_int_equal(access(in_folder("two"), F_OK), -1);
	config_free(before);
	config_free(after);
}

TEST(the_same_endpoints_change_nothing)
{
	struct config *before = LISTEN("127.0.0.1:0", "/one"),
		      *after = LISTEN("127.0.0.1:0", "/one");
	int tcp, one;

	open_all(before);
	tcp = nth(0)->fd;
	one = nth(1)->fd;
	seam_reset();
	change(before, after);
	assert_int_equal(nth(0)->fd, tcp);
	assert_int_equal(nth(1)->fd, one);
	assert_int_equal(seam_calls(SEAM_SOCKET), 0);
	config_free(before);
	config_free(after);
}

/* With "unix = { mode }" of that text. */
static struct config *
chat_with_mode(const char *mode)
{
	char text[256];

	snprintf(text, sizeof(text), "listen = \"%s\"; unix = { mode = \"%s\"; };",
	    in_folder("chat"), mode);
	return config_of(text);
}

static mode_t
mode_of(const char *path)
{
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	return st.st_mode & 07777;
}

TEST(a_unix_socket_that_stays_gets_the_new_mode)
{
	struct config *before = chat_with_mode("0600"), *after = chat_with_mode("0666");
	int fd;

	open_all(before);
	fd = nth(0)->fd;
	change(before, after);
	assert_int_equal(nth(0)->fd, fd);
	assert_int_equal(mode_of(in_folder("chat")), 0666);
	config_free(before);
	config_free(after);
}

TEST(a_change_that_fails_leaves_modes_as_they_were)
{
	struct config *before = chat_with_mode("0600"), *after;
	char text[256];

	snprintf(text, sizeof(text),
	    "listen = [ \"%s\", \"192.0.2.77:4242\" ]; unix = { mode = \"0666\"; };",
	    in_folder("chat"));
	after = config_of(text);
	open_all(before);
	assert_int_equal(listeners_change(&all, before, after, error), -1);
	assert_int_equal(mode_of(in_folder("chat")), 0600);
	config_free(before);
	config_free(after);
}

/* As a user who may change the first file but not the second one. */
TEST(a_mode_that_cannot_be_set_refuses_the_change_and_sets_back_the_others)
{
	struct config *before, *after;
	char text[512], want[LISTENER_ERROR];

	if (getuid() != 0) {
		note("not shown: needs another user\n");
		return;
	}
	snprintf(text, sizeof(text), "listen = [ \"%s\", \"%s\" ]; unix = { mode = \"0600\"; };",
	    in_folder("one"), in_folder("two"));
	before = config_of(text);
	snprintf(text, sizeof(text),
	    "listen = [ \"%s\", \"%s\", \"127.0.0.1:0\" ]; unix = { mode = \"0666\"; };",
	    in_folder("one"), in_folder("two"));
	after = config_of(text);
	open_all(before);
	assert_int_equal(chmod(in_folder(""), 0755), 0);
	assert_int_equal(chown(in_folder("one"), 65534, 65534), 0);
	assert_int_equal(seteuid(65534), 0);
	assert_int_equal(listeners_change(&all, before, after, error), -1);
	assert_int_equal(seteuid(0), 0);
	snprintf(want, sizeof(want), "chmod %s: Operation not permitted", in_folder("two"));
	assert_string_equal(error, want);
	assert_int_equal(count(), 2);
	assert_int_equal(mode_of(in_folder("one")), 0600);
	assert_int_equal(mode_of(in_folder("two")), 0600);
	config_free(before);
	config_free(after);
}

TEST(a_file_that_has_taken_the_place_of_a_socket_keeps_its_mode)
{
	struct config *before = chat_with_mode("0600"), *after = chat_with_mode("0666");

	open_all(before);
	/* By a link, as somebody would do it who may write to the folder but not to the file. */
	file_write(in_folder("secret"), "mine", 4);
	assert_int_equal(chmod(in_folder("secret"), 0600), 0);
	assert_int_equal(symlink(in_folder("secret"), in_folder("link")), 0);
	assert_int_equal(rename(in_folder("link"), in_folder("chat")), 0);
	listeners_change(&all, before, after, error);
	assert_int_equal(mode_of(in_folder("secret")), 0600);
	config_free(before);
	config_free(after);
}

/* Each way from one set of endpoints to another that overlaps it on the same port, and back. */
TEST(overlapping_endpoints_follow_each_other_on_one_port)
{
	static const char *const sets[][3] = {{"[::]"}, {"127.0.0.1"}, {"0.0.0.0"},
	    {"[::]", "0.0.0.0"}, {"[::]", "127.0.0.1"}, {"[::1]", "127.0.0.1"}};
	uint16_t port;

	if (!has_ipv6())
		return;
	port = free_port();
	for (size_t i = 0; i < LENGTH(sets); i++)
		for (size_t k = 0; k < LENGTH(sets); k++) {
			struct config *before, *after;
			bool v4 = sets[k][1] != NULL || sets[k][0][0] != '[' || k == 0;
			bool v6 = sets[k][0][0] == '[';

			before = LISTEN(at_port(sets[i][0], port),
			    sets[i][1] != NULL ? at_port(sets[i][1], port) : NULL);
			after = LISTEN(at_port(sets[k][0], port),
			    sets[k][1] != NULL ? at_port(sets[k][1], port) : NULL);
			open_all(before);
			change(before, after);
			assert_int_equal(can_reach(at_port("127.0.0.1", port)), v4);
			assert_int_equal(can_reach(at_port("[::1]", port)), v6);
			change(after, before);
			listeners_close(&all);
			config_free(before);
			config_free(after);
		}
}

TEST(a_change_that_fails_leaves_everything_as_it_was)
{
	struct config *before = LISTEN("127.0.0.1:0", "/one");
	struct config *after = LISTEN("127.0.0.1:0", "/new", "192.0.2.77:4242");
	int tcp, one;

	open_all(before);
	tcp = nth(0)->fd;
	one = nth(1)->fd;
	assert_int_equal(listeners_change(&all, before, after, error), -1);
	assert_string_equal(error, "bind 192.0.2.77:4242: Cannot assign requested address");
	assert_int_equal(count(), 2);
	assert_int_equal(nth(0)->fd, tcp);
	assert_int_equal(nth(1)->fd, one);
	assert_true(can_reach(in_folder("one")));
	assert_int_equal(access(in_folder("new"), F_OK), -1);
	config_free(before);
	config_free(after);
}

/* The new endpoint overlaps, so the old ones had to be stopped before it was known to fail. */
TEST(a_change_that_fails_after_the_old_ones_were_stopped_starts_them_again)
{
	struct config *before, *after, *other = LISTEN("/busy");
	struct listeners others = TAILQ_HEAD_INITIALIZER(others);
	char want[LISTENER_ERROR];
	uint16_t port;

	if (!has_ipv6())
		return;
	port = free_port();
	before = LISTEN(at_port("[::]", port), "/one");
	after = LISTEN(at_port("127.0.0.1", port), "/busy");
	assert_int_equal(listeners_open(&others, other, error), 0);
	open_all(before);
	assert_int_equal(listeners_change(&all, before, after, error), -1);
	snprintf(want, sizeof(want), "bind %s: Address already in use", in_folder("busy"));
	assert_string_equal(error, want);
	assert_int_equal(count(), 2);
	assert_true(can_reach(at_port("127.0.0.1", port)));
	assert_true(can_reach(at_port("[::1]", port)));
	assert_true(can_reach(in_folder("one")));
	listeners_close(&others);
	config_free(before);
	config_free(after);
	config_free(other);
}

/* Somebody took the address, or the last descriptor, in between. */
TEST(a_listener_that_could_not_be_started_again_is_started_by_the_next_change)
{
	struct config *before, *after;
	char want[LISTENER_ERROR];
	uint16_t port;

	if (!has_ipv6())
		return;
	port = free_port();
	before = LISTEN(at_port("[::]", port));
	after = LISTEN(at_port("127.0.0.1", port), "192.0.2.77:4242");
	open_all(before);
	nth(0)->told = true;
	/* Sockets for both new endpoints, the first one twice, and then the old one again. */
	seam_fail(SEAM_SOCKET, 3, 1, EMFILE);
	assert_int_equal(listeners_change(&all, before, after, error), -1);
	/* Both are told. */
	snprintf(want, sizeof(want),
	    "bind 192.0.2.77:4242: Cannot assign requested address; socket [::]:%u: Too many open "
	    "files",
	    port);
	assert_string_equal(error, want);
	assert_int_equal(count(), 1);
	assert_int_equal(nth(0)->fd, -1);
	assert_false(can_reach(at_port("127.0.0.1", port)));
	change(before, before);
	assert_true(nth(0)->fd >= 0);
	assert_false(nth(0)->told);
	assert_true(can_reach(at_port("127.0.0.1", port)));
	config_free(before);
	config_free(after);
}

TEST(refused_memory_fails_a_change_and_leaves_everything_as_it_was)
{
	struct config *before = LISTEN("127.0.0.1:0"), *after = LISTEN("/one", "/two");
	int tcp;

	open_all(before);
	tcp = nth(0)->fd;
	for (unsigned long skip = 0; skip < 2; skip++) {
		seam_fail(SEAM_MEMORY, skip, 1, ENOMEM);
		assert_int_equal(listeners_change(&all, before, after, error), -1);
		assert_int_equal(count(), 1);
		assert_int_equal(nth(0)->fd, tcp);
		assert_int_equal(access(in_folder("one"), F_OK), -1);
	}
	config_free(before);
	config_free(after);
}

/* Inherited */

/* A listening socket at a number of its own, as systemd passes it. */
static int
pass_socket(const char *endpoint)
{
	struct config *config = LISTEN(endpoint);
	struct listeners made = TAILQ_HEAD_INITIALIZER(made);
	int fd;

	assert_int_equal(listeners_open(&made, config, error), 0);
	fd = fcntl(TAILQ_FIRST(&made)->fd, F_DUPFD_CLOEXEC, 200);
	/* Only the copy is left; its file stays, as the manager's would. */
	TAILQ_FIRST(&made)->ino = 0;
	listeners_close(&made);
	config_free(config);
	return fd;
}

TEST(passed_sockets_serve_whatever_the_settings_say)
{
	struct config *before = LISTEN("/a"), *after = LISTEN("/b");
	int tcp = pass_socket("127.0.0.1:0"), path = pass_socket("/passed");
	int flags = fcntl(tcp, F_GETFL), client;

	assert_int_equal(path, tcp + 1);
	fcntl(tcp, F_SETFL, flags & ~O_NONBLOCK);
	assert_int_equal(listeners_inherit(&all, tcp, 2, error), 0);
	assert_int_equal(count(), 2);
	assert_true(nth(0)->inherited && nth(1)->inherited);
	assert_int_equal(fcntl(tcp, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
	assert_memory_equal(name(nth(0)), "127.0.0.1:", 10);
	assert_string_equal(name(nth(1)), in_folder("passed"));
	assert_int_equal(listeners_change(&all, before, after, error), 0);
	assert_int_equal(count(), 2);
	client = reach(name(nth(0)));
	assert_true(client >= 0);
	expect_client(nth(0), "127.0.0.1:");
	close(client);
	config_free(before);
	config_free(after);
}

TEST(the_file_of_a_passed_socket_is_the_managers)
{
	int path = pass_socket("/passed");

	assert_int_equal(listeners_inherit(&all, path, 1, error), 0);
	listeners_close(&all);
	assert_false(is_open(path));
	assert_int_equal(access(in_folder("passed"), F_OK), 0);
}

TEST(clients_of_a_passed_socket_are_made_ready_for_chat)
{
	int tcp = pass_socket("127.0.0.1:0"), client, sd, value = 0;
	socklen_t len = sizeof(value);
	struct pollfd ready = {.fd = tcp, .events = POLLIN};
	struct addr addr;

	setsockopt(tcp, IPPROTO_TCP, TCP_NODELAY, &value, sizeof(value));
	assert_int_equal(listeners_inherit(&all, tcp, 1, error), 0);
	client = reach(name(nth(0)));
	assert_int_equal(poll(&ready, 1, 10000), 1);
	sd = listener_accept(nth(0), &addr);
	assert_int_equal(getsockopt(sd, IPPROTO_TCP, TCP_NODELAY, &value, &len), 0);
	assert_int_not_equal(value, 0);
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
		assert_int_equal(listeners_inherit(&all, fds[i], 1, error), -1);
		snprintf(
		    want, sizeof(want), "descriptor %d: not a listening stream socket", fds[i]);
		assert_string_equal(error, want);
		listeners_close(&all);
	}
	assert_int_equal(listeners_inherit(&all, 350, 1, error), -1);
	assert_string_equal(error, "descriptor 350: not a listening stream socket");
	seam_fail(SEAM_MEMORY, 0, 1, ENOMEM);
	assert_int_equal(listeners_inherit(&all, 350, 1, error), -1);
	assert_string_equal(error, "descriptor 350: Cannot allocate memory");
	close(pair[0]);
	close(pair[1]);
}

#define LISTENER_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

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
	    LISTENER_TEST(clients_are_made_ready_for_chat),
	    LISTENER_TEST(nobody_at_the_door_is_eagain),
	    LISTENER_TEST(a_failed_accept_says_why),
	    LISTENER_TEST(an_address_in_use_is_an_error_that_names_it),
	    LISTENER_TEST(an_address_of_another_machine_is_an_error_that_names_it),
	    LISTENER_TEST(when_one_endpoint_fails_none_is_left_open),
	    LISTENER_TEST(refused_memory_leaves_none_open),
	    LISTENER_TEST(a_unix_listener_takes_clients_that_go_by_process_and_user),
	    LISTENER_TEST(its_file_has_the_mode_and_the_owner_of_the_settings),
	    LISTENER_TEST(an_owner_alone_leaves_the_group_and_a_group_alone_the_owner),
	    LISTENER_TEST(the_umask_is_as_before),
	    LISTENER_TEST(its_file_goes_with_the_listener),
	    LISTENER_TEST(a_file_that_has_taken_its_place_stays),
	    LISTENER_TEST(a_socket_file_that_nobody_listens_on_is_replaced),
	    LISTENER_TEST(a_socket_file_that_somebody_listens_on_is_left_alone),
	    LISTENER_TEST(a_file_that_is_no_socket_is_left_alone),
	    LISTENER_TEST(a_link_to_a_socket_file_is_left_alone),
	    LISTENER_TEST(a_folder_that_is_missing_is_an_error_that_names_the_path),
	    LISTENER_TEST(endpoints_of_both_configs_keep_their_sockets),
	    LISTENER_TEST(the_same_endpoints_change_nothing),
	    LISTENER_TEST(a_unix_socket_that_stays_gets_the_new_mode),
	    LISTENER_TEST(a_change_that_fails_leaves_modes_as_they_were),
	    LISTENER_TEST(a_mode_that_cannot_be_set_refuses_the_change_and_sets_back_the_others),
	    LISTENER_TEST(a_file_that_has_taken_the_place_of_a_socket_keeps_its_mode),
	    LISTENER_TEST(overlapping_endpoints_follow_each_other_on_one_port),
	    LISTENER_TEST(a_change_that_fails_leaves_everything_as_it_was),
	    LISTENER_TEST(a_change_that_fails_after_the_old_ones_were_stopped_starts_them_again),
	    LISTENER_TEST(a_listener_that_could_not_be_started_again_is_started_by_the_next_change),
	    LISTENER_TEST(refused_memory_fails_a_change_and_leaves_everything_as_it_was),
	    LISTENER_TEST(passed_sockets_serve_whatever_the_settings_say),
	    LISTENER_TEST(the_file_of_a_passed_socket_is_the_managers),
	    LISTENER_TEST(clients_of_a_passed_socket_are_made_ready_for_chat),
	    LISTENER_TEST(what_does_not_listen_for_streams_is_refused),
	};

	return cmocka_run_group_tests_name("listener", tests, NULL, NULL);
}
