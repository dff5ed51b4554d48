/*
 * server: the loop around the one select call; reload, drain, deadlines.
 *
 * A pass: wait; accept; read every readable client once, in ascending order; write to every
 * writable one; free what was removed; see to what is due. What was received in a pass leaves in a
 * later one, when select has said that its recipient is writable, together with all that came by
 * then. The timeout is the nearest deadline, and there is none while nothing is due.
 */
#ifndef CHATD_SERVER_H
#define CHATD_SERVER_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <unistd.h>

#include "chat/door.h"
#include "chat/pool.h"
#include "conf/config.h"
#include "host/notify.h"

#define SERVER_DRAIN (5 * CLOCK_SECOND) /* for what waits when the server ends */

struct server {
	struct config *config; /* owned; replaced by a reload */
	struct door door;
	struct pool pool;
	struct notify notify;
	sigset_t waiting; /* the signal mask while the loop waits */
	int64_t now;      /* of this pass */
	int64_t drained;  /* while the server ends: its deadline, or 0 */
	/* By stream: passes in a row in which it took nothing, though select called it writable. */
	unsigned futile_writes[STDERR_FILENO + 1];
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
