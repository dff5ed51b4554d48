#include "ears.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "faults.h"
#include "seam.h"
#include "unit.h"

struct listeners ears;
char ears_error[LISTENER_ERROR];

int
ears_setup(void **state)
{
	(void)state;
	TAILQ_INIT(&ears);
	ears_error[0] = '\0';
	return folder_make() != NULL ? 0 : -1;
}

int
ears_teardown(void **state)
{
	(void)state;
	seam_reset();
	listeners_close(&ears);
	folder_remove();
	return 0;
}

/* A config that listens on each of the endpoints, the last one NULL; "/x" is a path in the folder.
 */
struct config *
ears_config(const char *const *endpoints)
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

/* Opens it, as at the start. */
void
ears_open(const struct config *config)
{
	if (listeners_open(&ears, config, ears_error) < 0)
		assert_string_equal(ears_error, "");
}

struct listener *
ear_nth(int n)
{
	struct listener *listener = TAILQ_FIRST(&ears);

	while (n-- > 0)
		listener = TAILQ_NEXT(listener, entry);
	assert_non_null(listener);
	return listener;
}

int
ear_count(void)
{
	struct listener *listener;
	int n = 0;

	TAILQ_FOREACH(listener, &ears, entry)
		n++;
	return n;
}

const char *
ear_name(const struct listener *listener)
{
	static char text[LISTENER_NAME];

	return listener_name(listener, text);
}

uint16_t
ear_port(const struct listener *listener)
{
	return (uint16_t)atoi(strrchr(ear_name(listener), ':') + 1);
}

/*
 * A port that nobody listens on, for both families. From below those that the kernel gives away by
 * itself, so that it is still free when it is taken.
 */
uint16_t
ear_free_port(void)
{
	static uint16_t port;
	bool open = false;

	for (int tries = 0; tries < 100 && !open; tries++) {
		struct config *config;
		char text[16];

		port = (uint16_t)(port == 0 ? 20000 + getpid() % 12000 : port + 1);
		snprintf(text, sizeof(text), "[::]:%u", port);
		config = EARS(text);
		open = listeners_open(&ears, config, ears_error) == 0;
		listeners_close(&ears);
		config_free(config);
	}
	assert_true(open);
	return port;
}

/* Connects to "address:port" or a path. Returns the socket, or -1 with errno. */
int
ear_reach(const char *where)
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

bool
ear_can_reach(const char *where)
{
	int fd = ear_reach(where);

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

const char *
at_port(const char *address, uint16_t port)
{
	static char texts[4][64];
	static int next;
	char *text = texts[next++ % 4];

	snprintf(text, sizeof(texts[0]), "%s:%u", address, port);
	return text;
}

/* Accepts the one client that waits, and checks its address up to the port. */
void
ear_expect_client(const struct listener *listener, const char *address)
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

bool
ears_have_ipv6(void)
{
	static int known = -1;

	if (known < 0) {
		struct config *config = EARS("[::1]:0");

		known = listeners_open(&ears, config, ears_error) == 0;
		listeners_close(&ears);
		config_free(config);
	}
	if (!known)
		note("not shown: this machine has no IPv6\n");
	return known;
}
