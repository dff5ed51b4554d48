/*
 * leaving: how a connection ends.
 *
 * If the client has closed, there is nothing more to do. If chatd ends the connection (a limit, an
 * access rule, the end of the server), it is leaving for a while: nothing new is queued for it;
 * what waits is cut behind the line that has begun to go out; its last line says why; once all of
 * that is written, the end of file follows. What the client still sends is read and thrown away,
 * because closing with unread input would make the kernel drop what it has not delivered yet.
 *
 * It is done at its own end of file; or when its machine has acknowledged everything and nothing
 * more comes from it; or after LEAVING_TIME, or LEAVING_BYTES thrown away. So the reason arrives,
 * no line is torn, and a client that stays connected and silent keeps nobody waiting. No event says
 * that everything is acknowledged: chatd looks every LEAVING_LOOK while any connection waits for
 * that, and only then.
 *
 * At most LEAVING_MAX leave at the same time; the oldest makes room. They take no place of
 * limits.clients. When the server ends there is no such limit, and those that are done wait to be
 * closed together.
 */
#ifndef CHATD_LEAVING_H
#define CHATD_LEAVING_H

#include <stdbool.h>
#include <stdint.h>

#include "base/log.h"
#include "base/loop.h"
#include "chat/broadcast.h"
#include "chat/exchange.h"
#include "chat/notices.h"
#include "chat/pressure.h"

#define LEAVING_MAX   64
#define LEAVING_TIME  (2 * CLOCK_SECOND)
#define LEAVING_LOOK  (CLOCK_SECOND / 100)
#define LEAVING_BYTES (16 << 20) /* more than the kernels on the way keep */
/* A client that still sends while leaving may have more in flight until it is quiet for so long. */
#define LEAVING_QUIET (CLOCK_SECOND / 4)

struct leaving {
	struct broadcast *broadcast;
	struct pressure *pressure;
	struct notices *notices;
	struct exchange *exchange;
	struct pool *pool;
	struct loop_class class; /* readers: no end of file yet; writers: the queue is not empty */
	struct conns conns;      /* the one that has been leaving longest comes first */
	struct fdset members;    /* their descriptors */
	uint32_t count;
	uint32_t undone; /* when the server ends: how many were not done, as of the last look */
	bool server_ends;
};

void leaving_init(struct leaving *leaving, struct pressure *pressure, struct notices *notices,
    struct exchange *exchange);
/* Ends all that are leaving. */
void leaving_free(struct leaving *leaving);

/* For a successor: conn, for which there is room, goes on leaving. */
void leaving_restore(struct leaving *leaving, struct conn *conn);

/* Makes room for descriptor sd. Returns 0, or -1 when memory is refused. */
int leaving_reserve(struct leaving *leaving, int sd);

/* Ends a member that needs nothing more. reason is for the log. */
void leaving_remove(struct leaving *leaving, struct conn *conn, const char *reason);
/* The member begins to leave. told: its last line, without "chatd: "; reason is for the log. */
void leaving_dismiss(
    struct leaving *leaving, struct conn *conn, const char *told, const char *reason);
/* The member leaves of its own accord: everything that waits for it is written first. */
void leaving_quit(struct leaving *leaving, struct conn *conn, const char *told, const char *reason);
/* A newcomer leaves without ever being a member; there is room for its descriptor. */
void leaving_refuse(
    struct leaving *leaving, struct conn *conn, const char *told, const char *reason);
/* The same of one that wants TLS and has no handshake yet: its last word is an alert, which was
 * sent already, unless it is to be sent now. conn itself is a plain one. */
void leaving_refuse_tls(struct leaving *leaving, struct conn *conn, const char *reason, bool alert);
/* All members begin to leave because the server ends; what waits for them is not cut. */
void leaving_end_all(struct leaving *leaving, const char *told);

/* Whether all leaving connections are done. */
bool leaving_done(const struct leaving *leaving);
/* Ends those that are done. Returns when to look again, or CLOCK_NEVER. */
int64_t leaving_run_due(struct leaving *leaving);

#endif
