/*
 * The server one writes first: for each line and each client a copy of its own,
 * in a list, written with a call of its own.
 *
 *	naive PORT
 */
#include "listen.h"

#include <err.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	CLIENTS_MAX = 16384,
	LINE_MAX_BYTES = 8192
};

struct message {
	struct message *next;
	size_t len, done;
	char text[];
};

struct client {
	struct message *first, **last;
	size_t have;
	char *line;
};

static struct pollfd polls[CLIENTS_MAX];
static struct client clients[CLIENTS_MAX];
static unsigned count = 1; /* 0 is the listener */

static void *
allocate(size_t size)
{
	void *memory = malloc(size);

	if (memory == NULL)
		err(1, "malloc");
	return memory;
}

static bool
client_add(int listener)
{
	int fd = accept(listener, NULL, NULL), on = 1;

	if (fd == -1 || count == CLIENTS_MAX)
		return false;
	if (ioctl(fd, FIONBIO, &on) != 0 ||
	    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) != 0)
		err(1, "client");
	polls[count] = (struct pollfd){.fd = fd, .events = POLLIN};
	clients[count] = (struct client){.line = allocate(LINE_MAX_BYTES)};
	clients[count].last = &clients[count].first;
	count++;
	return true;
}

static void
client_remove(unsigned i)
{
	struct message *message;

	close(polls[i].fd);
	while ((message = clients[i].first) != NULL) {
		clients[i].first = message->next;
		free(message);
	}
	free(clients[i].line);
	count--;
	polls[i] = polls[count];
	clients[i] = clients[count];
	if (clients[i].first == NULL)
		clients[i].last = &clients[i].first;
}

static void
broadcast(unsigned from, const char *line, size_t len)
{
	for (unsigned i = 1; i < count; i++) {
		struct message *message;

		if (i == from)
			continue;
		message = allocate(sizeof(*message) + len);
		*message = (struct message){.len = len};
		memcpy(message->text, line, len);
		*clients[i].last = message;
		clients[i].last = &message->next;
		polls[i].events = POLLIN | POLLOUT;
	}
}

static int
client_read(unsigned i)
{
	struct client *client = &clients[i];
	char *end;
	ssize_t got =
	    recv(polls[i].fd, client->line + client->have, LINE_MAX_BYTES - client->have, 0);

	if (got == -1 && errno == EAGAIN)
		return 0;
	if (got <= 0)
		return -1;
	client->have += (size_t)got;
	while ((end = memchr(client->line, '\n', client->have)) != NULL) {
		size_t len = (size_t)(end - client->line) + 1;

		broadcast(i, client->line, len);
		client->have -= len;
		memmove(client->line, end + 1, client->have);
	}
	return client->have < LINE_MAX_BYTES ? 0 : -1;
}

static int
client_write(unsigned i)
{
	struct client *client = &clients[i];
	struct message *message;

	while ((message = client->first) != NULL) {
		ssize_t sent = send(polls[i].fd, message->text + message->done,
		    message->len - message->done, MSG_NOSIGNAL);

		if (sent == -1)
			return errno == EAGAIN ? 0 : -1;
		message->done += (size_t)sent;
		if (message->done < message->len)
			return 0;
		client->first = message->next;
		free(message);
	}
	client->last = &client->first;
	polls[i].events = POLLIN;
	return 0;
}

int
main(int argc, char **argv)
{
	int on = 1;

	if (argc != 2)
		errx(1, "usage: naive PORT");
	polls[0] = (struct pollfd){.fd = listen_on(argv[1]), .events = POLLIN};
	if (ioctl(polls[0].fd, FIONBIO, &on) != 0)
		err(1, "FIONBIO");
	for (;;) {
		if (poll(polls, count, -1) == -1)
			err(1, "poll");
		for (unsigned i = 1; i < count; i++) {
			short ready = polls[i].revents;

			if (((ready & POLLOUT) && client_write(i) == -1) ||
			    ((ready & (POLLIN | POLLHUP | POLLERR)) && client_read(i) == -1))
				client_remove(i);
		}
		if (polls[0].revents & POLLIN)
			while (client_add(polls[0].fd))
				;
	}
}
