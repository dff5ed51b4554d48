/*
 * damage: what chatd does with a journal that is not what it was.
 *
 *	damage [-s SEED] [-k TIMES] CHATD
 *
 * Each time chatd is killed while lines wait and lines are half said; then its journal is damaged
 * at random, or another file, a pipe or nothing is passed in its place. The next chatd must start,
 * let a newcomer in, and end well; the clients it took over hear whole lines that were said, once
 * and in order, or nothing any more.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "dice.h"
#include "manager.h"

#define CLIENTS  6
#define METADATA (1 << 20) /* bytes at the front that are likely to matter */
#define RAW      65536     /* but from here, and so many: bytes of a client, which have no sum */

static uint64_t seed;
static struct manager manager;
static char directory[] = "/tmp/chatd-damage-XXXXXX", path[100], config[100], log_path[100];
static unsigned taken, anew;

static void
fail(const char *what)
{
	fprintf(stderr, "damage: %s, seed %ju, see %s\n", what, (uintmax_t)seed, directory);
	if (manager.pid > 0)
		kill(manager.pid, SIGKILL);
	exit(1);
}

static int
dial(void)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(un.sun_path, sizeof(un.sun_path), "%s", path);
	if (connect(fd, (struct sockaddr *)&un, sizeof(un)) < 0)
		fail("connect");
	return fd;
}

static void
say(int fd, const char *text)
{
	if (send(fd, text, strlen(text), MSG_NOSIGNAL) < 0 && errno != EPIPE)
		fail("send");
}

/* Reads until want has come, or the end. Returns whether it has come. */
static bool
await(int fd, const char *want)
{
	char text[65536];
	size_t len = 0;
	ssize_t n;

	for (;;) {
		struct pollfd wait = {.fd = fd, .events = POLLIN};

		if (poll(&wait, 1, 60000) <= 0)
			fail("nothing comes");
		n = recv(fd, text + len, sizeof(text) - 1 - len, 0);
		if (n <= 0)
			return false;
		len += (size_t)n;
		text[len] = '\0';
		if (strstr(text, want) != NULL)
			return true;
		if (len > sizeof(text) / 2) {
			memmove(text, text + len - 100, 100);
			len = 100;
		}
	}
}

/* What a client hears is "NUMBER word\n", where the numbers never go back. */
static void
check(int fd)
{
	static char text[1 << 20];
	size_t len = 0;
	ssize_t n;
	long last = -1;

	while (len < sizeof(text) - 1 &&
	       (n = recv(fd, text + len, sizeof(text) - 1 - len, MSG_DONTWAIT)) > 0)
		len += (size_t)n;
	text[len] = '\0';
	for (char *line = text, *end; (end = strchr(line, '\n')) != NULL; line = end + 1) {
		long number;
		int used = 0;

		*end = '\0';
		if (strncmp(line, "chatd: ", 7) == 0 || strcmp(line, "new") == 0)
			continue;
		if (sscanf(line, "%ld word%n", &number, &used) != 1 || line[used] != '\0' ||
		    number <= last) {
			for (char *c = line; *c != '\0'; c++)
				if (*c < ' ' || *c > '~')
					*c = '?';
			fprintf(stderr, "heard \"%s\" after %ld\n", line, last);
			fail("a line that nobody said");
		}
		last = number;
	}
}

static void
change_bytes(int fd)
{
	off_t size = lseek(fd, 0, SEEK_END);
	unsigned count = 1 + (unsigned)draw(draw(2) == 0 ? 3 : 200);

	for (unsigned i = 0; i < count; i++) {
		off_t from =
		    lseek(fd, (off_t)draw(draw(4) == 0 ? (uint64_t)size : METADATA), SEEK_DATA);
		off_t hole = from >= 0 ? lseek(fd, from, SEEK_HOLE) : -1;
		uint32_t value = draw(2) == 0 ? (uint32_t)draw(UINT32_MAX) : (uint32_t)draw(4);
		off_t at;

		if (hole <= from || from >= METADATA)
			continue; /* bytes of clients */
		at = from + (off_t)draw((uint64_t)(hole - from));
		if (at >= RAW - (off_t)sizeof(value) && at < 2 * RAW)
			continue;
		if (pwrite(fd, &value, 1 + (size_t)draw(4), at) < 0)
			fail("pwrite");
	}
}

static int
other_file(void)
{
	char junk[65536];
	int fd = memfd_create("junk", MFD_CLOEXEC), ends[2];

	switch (draw(4)) {
	case 0:
		return fd;
	case 1:
		for (size_t i = 0; i < sizeof(junk); i++)
			junk[i] = (char)draw(256);
		if (write(fd, junk, sizeof(junk)) < 0)
			fail("write");
		return fd;
	case 2:
		close(fd);
		return pipe2(ends, O_CLOEXEC) == 0 ? ends[0] : -1;
	default:
		close(fd);
		return socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	}
}

static void
damage(void)
{
	int i = (int)draw((uint64_t)manager.count);

	switch (draw(8)) {
	case 0: /* one of them is another file */
		close(manager.fds[i]);
		manager.fds[i] = other_file();
		break;
	case 1: /* one is missing */
		close(manager.fds[i]);
		manager.count--;
		manager.fds[i] = manager.fds[manager.count];
		memcpy(manager.names[i], manager.names[manager.count], 32);
		break;
	case 2: /* two are exchanged */
		if (manager.count > 1) {
			int other = (i + 1) % manager.count, fd = manager.fds[i];

			manager.fds[i] = manager.fds[other];
			manager.fds[other] = fd;
		}
		break;
	default:
		for (i = 0; i < manager.count; i++)
			if (strcmp(manager.names[i], "chatd-state") == 0) {
				if (draw(16) == 0 &&
				    ftruncate(manager.fds[i], (off_t)draw(1 << 24)) < 0)
					fail("ftruncate");
				else
					change_bytes(manager.fds[i]);
			}
	}
}

static void
once(void)
{
	int fds[CLIENTS], fresh, other, status;
	char text[64];
	bool stays = false;

	manager_start(&manager, false);
	if (!manager_await(&manager))
		fail("chatd does not start");
	for (int i = 0; i < CLIENTS; i++)
		fds[i] = dial();
	for (int i = 0; i < 200; i++) {
		snprintf(text, sizeof(text), "%d word\n", i);
		say(fds[0], text);
	}
	say(fds[0], "end\n"); /* is heard by all, so that what comes next is in the journal */
	for (int i = 1; i < CLIENTS; i++)
		await(fds[i], "end\n");
	say(fds[1], "half a li");
	for (int i = 200; i < 200 + (int)draw(3000); i++) {
		snprintf(text, sizeof(text), "%d word\n", i);
		say(fds[0], text);
	}
	kill(manager.pid, SIGKILL);
	manager_reap(&manager);
	damage();
	manager_start(&manager, false);
	if (!manager_await(&manager))
		fail("the next chatd does not start");
	fresh = dial();
	other = dial();
	do /* until both are in */
		say(other, "new\n");
	while (!await(fresh, "new\n"));
	for (int i = 1; i < CLIENTS; i++) {
		struct pollfd wait = {.fd = fds[i], .events = POLLIN};

		poll(&wait, 1, 100);
		check(fds[i]);
		stays |= send(fds[i], "", 0, MSG_NOSIGNAL | MSG_DONTWAIT) == 0;
	}
	taken += stays;
	anew += !stays;
	kill(manager.pid, SIGTERM);
	for (int i = 0; i < CLIENTS; i++)
		close(fds[i]);
	close(fresh);
	close(other);
	status = manager_reap(&manager);
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		fail("the next chatd did not end well");
	if (manager.count != 0)
		fail("descriptors are still kept");
}

int
main(int argc, char **argv)
{
	unsigned times = 100;
	int option;
	char command[100];
	FILE *file;

	seed = (uint64_t)time(NULL) * 1000003 + (uint64_t)getpid();
	while ((option = getopt(argc, argv, "s:k:")) > 0)
		if (option == 's')
			seed = strtoull(optarg, NULL, 10);
		else
			times = (unsigned)atoi(optarg);
	dice_seed(seed);
	if (optind >= argc || mkdtemp(directory) == NULL)
		return 2;
	printf("seed %ju\n", (uintmax_t)seed);
	fflush(stdout);
	snprintf(path, sizeof(path), "%s/chat", directory);
	snprintf(config, sizeof(config), "%s/chatd.conf", directory);
	snprintf(log_path, sizeof(log_path), "%s/log", directory);
	if ((file = fopen(config, "w")) == NULL)
		return 2;
	fprintf(file, "listen = [ \"%s\" ];\ntrace = false;\nlog_connections = false;\n", path);
	fclose(file);
	manager = (struct manager){.chatd = argv[optind], .config = config, .log = log_path};
	manager_open(&manager, directory);
	for (unsigned i = 0; i < times; i++)
		once();
	manager_close(&manager);
	printf("%u times; taken over %u, anew %u\nok\n", times, taken, anew);
	snprintf(command, sizeof(command), "rm -rf %s", directory);
	return system(command) != 0;
}
