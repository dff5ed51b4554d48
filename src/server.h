/*
 * server: the life of the daemon between start and end: listen, loop, reload, end.
 *
 * A pass: wait; accept and read every readable client once, in ascending order; write to every
 * writable one; free what was removed; do what is due. The timeout of the wait is the nearest
 * deadline, and there is none while nothing is due.
 */
#ifndef CHATD_SERVER_H
#define CHATD_SERVER_H

#include <stdint.h>

#include "base/clock.h"
#include "base/loop.h"
#include "base/streams.h"
#include "chat/chat.h"
#include "conf/config.h"
#include "host/handover.h"
#include "host/notify.h"

#define SERVER_LISTEN CLOCK_SECOND       /* at the end: for what was sent before */
#define SERVER_DRAIN  (5 * CLOCK_SECOND) /* and then for what waits */

enum server_phase {
	SERVER_SERVES,
	SERVER_LISTENS, /* a signal to end has come: what was sent before is still read */
	SERVER_DRAINS,  /* what waits is written, nothing is forwarded any more */
};

struct server {
	struct config *config;   /* owned; replaced by a reload */
	struct tls_context *tls; /* the same; NULL: the settings have no certificate */
	struct loop loop;
	struct streams streams;
	struct chat chat;
	struct notify notify;
	struct handover handover;
	int64_t started; /* when it began to serve */
	enum server_phase phase;
	int64_t phase_ends; /* at the latest; CLOCK_NEVER while it serves */
	bool leaves;        /* a successor goes on with the connections */
};

/* Takes over config and tls, and what was passed. Opens nothing yet. */
void server_init(struct server *server, struct config *config, struct tls_context *tls,
    const struct handover *handover);

/*
 * Opens the listeners, or takes over those that were passed, and what a former process has left. 0,
 * or -1 logged.
 */
int server_listen(struct server *server);

/*
 * Serves until SIGINT or SIGTERM, and then to the end, which a second one cuts short; or until
 * SIGUSR2, if there is something to be left to a successor: then server->leaves is set. Returns 0,
 * or -1 when waiting failed.
 */
int server_run(struct server *server);

/* Closes and frees everything. Removes every connection, unless they are left to a successor. */
void server_close(struct server *server);

#endif
