#include "crowd.h"

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
	EVENTS = 1024,
	RECV_MAX = 256 * 1024,
	SEND_LINES = 1024,  /* lines in one call of crowd_send */
	IMAGE_LINES = 8192, /* more than are ever under way */
};

#define STALL_NS (10 * UINT64_C(1000000000))
#define JOIN_NS  (60 * UINT64_C(1000000000))

static void *
allocate(size_t count, size_t size)
{
	void *memory = calloc(count, size);

	if (memory == NULL)
		err(1, "calloc");
	return memory;
}

void
crowd_init(struct crowd *crowd, const struct proto *proto, const struct servers *servers, bool many,
    unsigned room)
{
	*crowd = (struct crowd){.proto = proto, .servers = *servers, .many = many};
	crowd->room = room;
	crowd->clients = allocate(room, sizeof(*crowd->clients));
	if (proto->verbatim && !many)
		crowd->image = allocate(IMAGE_LINES, RAW);
	crowd->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (crowd->epoll == -1)
		err(1, "epoll_create1");
	crowd->first_fds = meter_sum(servers, meter_fds);
}

void
crowd_free(struct crowd *crowd)
{
	for (unsigned i = 0; i < crowd->size; i++) {
		struct client *client = &crowd->clients[i];

		if (client->fd != -1)
			close(client->fd);
		SSL_free(client->ssl);
		free(client->next);
		free(client->part);
		free(client->unsent);
	}
	free(crowd->image);
	free(crowd->clients);
	close(crowd->epoll);
}

unsigned
crowd_senders(const struct crowd *crowd)
{
	return crowd->many ? crowd->size : 1;
}

unsigned
crowd_listeners(const struct crowd *crowd)
{
	return crowd->many ? crowd->size : crowd->size - 1;
}

unsigned
crowd_gain(const struct crowd *crowd)
{
	if (!crowd->many)
		return 1;
	return crowd->proto->echo ? crowd->size : crowd->size - 1;
}

static struct client *
first_listener(const struct crowd *crowd)
{
	return crowd->many ? crowd->clients : crowd->clients + 1;
}

static bool
is_listener(const struct crowd *crowd, const struct client *client)
{
	return client >= first_listener(crowd);
}

/* The connection is gone; what it still waited for is lost. */
static void
client_close(struct crowd *crowd, struct client *client)
{
	if (client->got < crowd->target && is_listener(crowd, client))
		crowd->waiting--;
	if (client->pending > 0) {
		client->pending = 0;
		crowd->pending--;
	}
	close(client->fd);
	client->fd = -1;
	crowd->faults.closed++;
}

static void
client_gain(struct crowd *crowd, struct client *client, uint64_t lines)
{
	if (client->got < crowd->target && client->got + lines >= crowd->target &&
	    is_listener(crowd, client))
		crowd->waiting--;
	client->got += lines;
}

static void
client_line(struct crowd *crowd, struct client *client, const char *payload)
{
	enum kind kind;
	unsigned sender;
	uint32_t seq, *next, lines;

	if (!payload_read(payload, &kind, &sender, &seq) || sender >= crowd_senders(crowd)) {
		crowd->faults.garbled++;
		return;
	}
	if (kind == KIND_SYNC) {
		client->synced = seq;
		return;
	}
	next = &client->next[sender];
	if (seq < *next) {
		crowd->faults.reordered++;
		return;
	}
	lines = seq + 1 - *next;
	crowd->faults.lost += lines - 1;
	*next = seq + 1;
	client_gain(crowd, client, lines);
}

/*
 * The quick way for a single speaker: compares a run of lines with what was
 * sent. Returns the bytes that are right; 0 leaves the finding out to the others.
 */
static size_t
client_run(struct crowd *crowd, struct client *client, const char *buf, size_t len)
{
	uint32_t seq = client->next[0], at = seq % IMAGE_LINES;
	size_t lines = len / RAW;

	if (lines > crowd->seq - seq)
		lines = crowd->seq - seq;
	if (lines > IMAGE_LINES - at)
		lines = IMAGE_LINES - at;
	if (lines == 0 || memcmp(buf, crowd->image + (size_t)at * RAW, lines * RAW) != 0)
		return 0;
	client->next[0] += (uint32_t)lines;
	client_gain(crowd, client, lines);
	return lines * RAW;
}

static ssize_t
client_recv(struct client *client, char *buf, size_t size)
{
	if (client->ssl != NULL)
		return secure_recv(client->ssl, buf, size);
	return recv(client->fd, buf, size, MSG_DONTWAIT);
}

static ssize_t
client_send(struct client *client, const char *buf, size_t len)
{
	if (client->ssl != NULL)
		return secure_send(client->ssl, buf, len);
	return send(client->fd, buf, len, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void
client_read(struct crowd *crowd, struct client *client)
{
	static char buf[ITEM_MAX + RECV_MAX];
	size_t len, at = 0, item;
	const char *payload;
	ssize_t got;

	memcpy(buf, client->part, client->have);
	got = client_recv(client, buf + client->have, RECV_MAX);
	if (got == -1 && errno == EAGAIN)
		return;
	if (got <= 0) {
		client_close(crowd, client);
		return;
	}
	len = client->have + (size_t)got;
	if (crowd->image != NULL)
		at = client_run(crowd, client, buf, len);
	while (at < len && (item = crowd->proto->item(buf + at, len - at, &payload)) > 0) {
		if (payload != NULL)
			client_line(crowd, client, payload);
		at += item;
	}
	if (len - at > ITEM_MAX) {
		crowd->faults.garbled++;
		at = len;
	}
	client->have = len - at;
	memcpy(client->part, buf + at, client->have);
}

static void
client_write(struct crowd *crowd, struct client *client, const char *buf, size_t len)
{
	ssize_t sent = client_send(client, buf, len);

	if (sent == -1 && errno != EAGAIN) {
		client_close(crowd, client);
		return;
	}
	if (sent == -1)
		sent = 0;
	if ((size_t)sent == len)
		return;
	if (client->unsent == NULL)
		client->unsent = allocate(SEND_LINES, WRAPPED);
	client->pending = len - (size_t)sent;
	memcpy(client->unsent, buf + sent, client->pending);
	crowd->pending++;
}

static void
flush_pending(struct crowd *crowd)
{
	for (unsigned i = 0; i < crowd_senders(crowd) && crowd->pending > 0; i++) {
		struct client *client = &crowd->clients[i];
		ssize_t sent;

		if (client->pending == 0)
			continue;
		sent = client_send(client, client->unsent, client->pending);
		if (sent == -1 && errno != EAGAIN) {
			client_close(crowd, client);
		} else if (sent > 0) {
			client->pending -= (size_t)sent;
			memmove(client->unsent, client->unsent + sent, client->pending);
			if (client->pending == 0)
				crowd->pending--;
		}
	}
}

void
crowd_turn(struct crowd *crowd, int timeout_ms)
{
	static struct epoll_event events[EVENTS];
	int count = epoll_wait(crowd->epoll, events, EVENTS, timeout_ms);

	if (count <= 0) {
		if (crowd->quiet_since == 0)
			crowd->quiet_since = clock_ns();
	} else if (crowd->quiet_since != 0) {
		crowd->idle_ns += clock_ns() - crowd->quiet_since;
		crowd->quiet_since = 0;
	}
	for (int i = 0; i < count; i++) {
		struct client *client = events[i].data.ptr;

		if (client->fd != -1)
			client_read(crowd, client);
	}
	if (crowd->pending > 0)
		flush_pending(crowd);
}

bool
crowd_stalled(const struct crowd *crowd)
{
	return crowd->quiet_since != 0 && clock_ns() - crowd->quiet_since > STALL_NS;
}

void
crowd_settle(struct crowd *crowd)
{
	struct client *client = first_listener(crowd);

	for (; client < crowd->clients + crowd->size; client++)
		if (client->got < crowd->target)
			crowd->faults.lost += crowd->target - client->got;
}

void
crowd_expect(struct crowd *crowd, uint64_t target)
{
	struct client *client = first_listener(crowd);

	crowd->target = target;
	crowd->waiting = 0;
	for (; client < crowd->clients + crowd->size; client++)
		if (client->fd != -1 && client->got < target)
			crowd->waiting++;
}

void
crowd_reset(struct crowd *crowd)
{
	for (unsigned i = 0; i < crowd->size; i++) {
		struct client *client = &crowd->clients[i];

		client->got = 0;
		for (unsigned k = 0; k < crowd_senders(crowd); k++)
			client->next[k] = crowd->seq;
	}
	crowd->faults = (struct faults){0};
	crowd->idle_ns = 0;
	crowd->quiet_since = 0;
	crowd_expect(crowd, 0);
}

void
crowd_send(struct crowd *crowd, unsigned lines)
{
	static char buf[SEND_LINES * WRAPPED];
	char payload[PAYLOAD];

	if (lines > SEND_LINES)
		errx(1, "at most %d lines at once", SEND_LINES);
	for (unsigned i = 0; i < crowd_senders(crowd); i++) {
		struct client *client = &crowd->clients[i];
		size_t len = 0;

		if (client->fd == -1)
			continue;
		for (unsigned k = 0; k < lines; k++) {
			payload_make(payload, KIND_LINE, i, crowd->seq + k);
			len += crowd->proto->publish(buf + len, payload);
			if (crowd->image != NULL)
				memcpy(
				    crowd->image + (size_t)((crowd->seq + k) % IMAGE_LINES) * RAW,
				    buf + len - RAW, RAW);
		}
		client_write(crowd, client, buf, len);
	}
	crowd->seq += lines;
}

static void
client_open(struct crowd *crowd, struct client *client, unsigned id)
{
	const struct servers *servers = &crowd->servers;
	struct sockaddr_in addr = {.sin_family = AF_INET};
	int on = 1;

	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	addr.sin_port = htons(servers->ports[id % servers->port_count]);
	client->id = id;
	client->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (client->fd == -1)
		err(1, "socket");
	if (connect(client->fd, (struct sockaddr *)&addr, sizeof(addr)) != 0)
		err(1, "connect");
	if (setsockopt(client->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) != 0)
		err(1, "TCP_NODELAY");
	if (crowd->tls == NULL)
		return;
	client->ssl = secure_connect(crowd->tls, client->fd);
	if (fcntl(client->fd, F_SETFL, O_NONBLOCK) != 0)
		err(1, "O_NONBLOCK");
}

static bool
wait_accepted(const struct crowd *crowd, unsigned count)
{
	uint64_t deadline = clock_ns() + JOIN_NS;
	struct timespec pause = {.tv_nsec = 50000};

	/* A server that waits in accept has a descriptor at hand: one less is enough. */
	while (meter_sum(&crowd->servers, meter_fds) + 1 < crowd->first_fds + count) {
		if (clock_ns() > deadline)
			return false;
		nanosleep(&pause, NULL);
	}
	return true;
}

bool
crowd_connect(struct crowd *crowd, unsigned size)
{
	if (size > crowd->room)
		errx(1, "no room for %u clients", size);
	for (unsigned i = crowd->size; i < size; i++) {
		client_open(crowd, &crowd->clients[i], i);
		crowd->size = i + 1;
		/* A full backlog would drop connections, to try again a second later. */
		if (i > crowd->backlog && i % (crowd->backlog / 8 + 1) == 0 &&
		    !wait_accepted(crowd, i - crowd->backlog))
			return false;
	}
	return wait_accepted(crowd, size);
}

static void
client_join(struct crowd *crowd, struct client *client)
{
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = client};
	char buf[ITEM_MAX];
	size_t len;

	client->next = allocate(crowd->many ? crowd->room : 1, sizeof(*client->next));
	client->part = allocate(1, ITEM_MAX);
	if (epoll_ctl(crowd->epoll, EPOLL_CTL_ADD, client->fd, &event) != 0)
		err(1, "epoll_ctl");
	len = crowd->proto->login(buf, sizeof(buf), client->id, crowd->many || client->id > 0);
	if (len > 0)
		client_write(crowd, client, buf, len);
}

static bool
all_synced(const struct crowd *crowd, uint32_t sync)
{
	for (unsigned i = 1; i < crowd->size; i++)
		if (crowd->clients[i].synced < sync)
			return false;
	return true;
}

/*
 * A client that is not in yet misses a sync line, so it is sent again, ever less
 * often, until everyone has seen the newest.
 */
bool
crowd_join(struct crowd *crowd, unsigned from)
{
	uint64_t now = clock_ns(), deadline = now + JOIN_NS, pause = 50000000, due = now;
	char payload[PAYLOAD], buf[WRAPPED];

	for (unsigned i = from; i < crowd->size; i++) {
		client_join(crowd, &crowd->clients[i]);
		crowd_turn(crowd, 0);
	}
	while (crowd->sync == 0 || crowd->pending > 0 || !all_synced(crowd, crowd->sync)) {
		now = clock_ns();
		if (now > deadline || crowd->faults.closed > 0)
			return false;
		if (now >= due && crowd->pending == 0) {
			payload_make(payload, KIND_SYNC, 0, ++crowd->sync);
			client_write(
			    crowd, crowd->clients, buf, crowd->proto->publish(buf, payload));
			due = clock_ns() + pause;
			pause *= 2;
		}
		crowd_turn(crowd, 1);
	}
	return true;
}
