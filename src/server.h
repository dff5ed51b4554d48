/*
 * server: the life of the daemon between start and end: listen, loop, reload, end.
 *
 * A pass: wait; accept; read every readable client once, in ascending order; write to every
 * writable one; free what was removed; see to what is due. The timeout is the nearest deadline, and
 * there is none while nothing is due.
 */
#ifndef CHATD_SERVER_H
#define CHATD_SERVER_H

#include <stdint.h>

#include "base/clock.h"
#include "base/loop.h"
#include "base/streams.h"
#include "chat/chat.h"
#include "conf/config.h"
#include "host/notify.h"

#define SERVER_DRAIN (5 * CLOCK_SECOND) /* for what waits when the server ends */

struct server {
	struct config *config; /* owned; replaced by a reload */
	struct loop loop;
	struct streams streams;
	struct chat chat;
	struct notify notify;
	int64_t drained; /* while the server ends: its deadline; otherwise CLOCK_NEVER */
};

/* Takes over config. Opens nothing yet. */
void server_init(struct server *server, struct config *config);

/* Opens the listeners, or takes over the first inherited descriptors from 3 on. 0, or -1 logged. */
int server_listen(struct server *server, int inherited);

/* Serves until SIGINT or SIGTERM. Returns 0, or -1 when waiting failed. */
int server_run(struct server *server);

/* Removes every connection, closes and frees everything. */
void server_close(struct server *server);

#endif
