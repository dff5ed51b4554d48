/*
 * The crowd: all clients of the server, in one thread.
 *
 * Either one client speaks and the others listen, or all speak and listen.
 * Whoever listens checks each line: from a known sender, whole, in order, none
 * missing.
 */
#ifndef BENCH_CROWD_H
#define BENCH_CROWD_H

#include "meter.h"
#include "proto.h"
#include "secure.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct client {
	int fd;   /* -1: the server closed it */
	SSL *ssl; /* NULL: plain text */
	unsigned id;
	uint32_t synced; /* last sync line it saw */
	uint32_t *next;  /* next sequence number of each sender */
	uint64_t got;    /* lines since crowd_reset() */
	size_t have;     /* bytes of an unfinished item, in part */
	char *part;
	size_t pending; /* bytes that its socket did not take yet */
	char *unsent;
};

struct faults {
	uint64_t lost;      /* lines that a listener should have got */
	uint64_t reordered; /* or got twice */
	uint64_t garbled;   /* not a line at all */
	unsigned closed;    /* connections closed by the server */
};

struct crowd {
	const struct proto *proto;
	struct servers servers;
	SSL_CTX *tls; /* the clients speak it, unless it is NULL */
	bool many;    /* all speak; else only client 0, which does not listen */
	int epoll;
	struct client *clients;
	unsigned size, room;
	unsigned backlog;     /* connections that may wait for the server's accept */
	uint64_t first_fds;   /* descriptors of the servers without clients */
	uint32_t sync;        /* last sync line sent */
	uint32_t seq;         /* lines each sender has sent, ever */
	char *image;          /* the last IMAGE_LINES of them, if one speaks raw */
	uint64_t target;      /* lines that everyone waits for */
	unsigned waiting;     /* listeners that have fewer */
	unsigned pending;     /* clients with bytes unsent */
	uint64_t idle_ns;     /* time without anything to receive */
	uint64_t quiet_since; /* 0: something was just received */
	struct faults faults;
};

/* The clients are dealt out to the ports in turn. */
void crowd_init(struct crowd *crowd, const struct proto *proto, const struct servers *servers,
    bool many, unsigned room);
void crowd_free(struct crowd *crowd);

/* Connects until there are size clients; returns when the server has accepted them. */
bool crowd_connect(struct crowd *crowd, unsigned size);

/* All log in, and wait until everyone hears the first client. */
bool crowd_join(struct crowd *crowd, unsigned from);

/* Forgets what was counted. Only while nothing is under way. */
void crowd_reset(struct crowd *crowd);

unsigned crowd_senders(const struct crowd *crowd);
unsigned crowd_listeners(const struct crowd *crowd);

/* Lines that each listener gets when each sender sends one. */
unsigned crowd_gain(const struct crowd *crowd);

/* Each sender sends so many lines. */
void crowd_send(struct crowd *crowd, unsigned lines);

/* From here on, crowd->waiting counts those who got fewer lines than target. */
void crowd_expect(struct crowd *crowd, uint64_t target);

/* One round of the event loop. */
void crowd_turn(struct crowd *crowd, int timeout_ms);

/* Nothing has come for seconds. */
bool crowd_stalled(const struct crowd *crowd);

/* No more is to come: what is missing up to the target is lost. */
void crowd_settle(struct crowd *crowd);

#endif
