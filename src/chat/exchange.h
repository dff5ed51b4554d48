/*
 * exchange: one chat with other machines: what clients say goes out through the channel, and what
 * comes back from there is said to all.
 *
 * A recv fills a staging buffer, the arena of a separate intake. Whole lines wait in the outbox of
 * the channel until the engine has given them back, and are copied into the log then: one copy for
 * each entry, none for a recipient. Who said which part never leaves this node: those who are still
 * here do not hear their own. What others have put into the stream is foreign: it is sanitized here
 * as the setting says. Its lines may be longer than limits.line, if that is larger elsewhere.
 *
 * Nothing accepted is lost: while the channel is closed, or has too much on the way, or somebody
 * holds, here or elsewhere, clients are read only for their end. When the own pool is held, all
 * other nodes are told to hold too. If a slow client leaves no room for what comes, nothing is
 * taken from the engine for a while.
 *
 * Without the setting there is no channel, and nothing of this happens.
 */
#ifndef CHATD_EXCHANGE_H
#define CHATD_EXCHANGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "chat/owners.h"
#include "chat/pressure.h"
#include "cluster/persist.h"

#define EXCHANGE_PENDING (2U << 20) /* bytes on the way, if limits.queue is not less */
#define EXCHANGE_SLACK   (4U << 20) /* that others may have on the way when they are to hold */
#define EXCHANGE_CHUNK   65536      /* bytes of a foreign entry that are said at a time */
#define EXCHANGE_FDS     4          /* descriptors: two links, and what making them takes */

struct exchange {
	struct channel *channel; /* NULL: there is no cluster */
	struct loop_class class; /* of its links */
	struct broadcast *broadcast;
	struct pressure *pressure;
	struct pool *pool;
	struct intake intake;
	struct owners owners;
	bool changed;             /* what outlives the process, since it was recorded */
	bool learned;             /* the place in the stream is known, and recorded */
	struct persist_rest rest; /* for a successor, see remains.h */
};

void exchange_init(struct exchange *exchange, struct pressure *pressure);
/*
 * If the settings say so, there is a channel from now on, which connects when it is run first; if
 * it was restored, there is one already. Returns 0, or -1 after a fault.
 */
int exchange_open(struct exchange *exchange, int lowest, source_tell *tell);
/*
 * For a successor: the channel goes on where the journal says. Returns 0, or -1 after a fault, or
 * if the journal is damaged: then journal->fault is set.
 */
int exchange_restore(struct exchange *exchange);
/* The journal is damaged, and will be closed. */
void exchange_abandon(struct exchange *exchange);
/* For a successor: conn, a member, is known for what it said before. Returns 0, or -1 when memory
 * is refused. */
int exchange_restore_name(struct exchange *exchange, const struct conn *conn);
void exchange_free(struct exchange *exchange);
/* For a successor: says a part of the outbox to all but its owner. Returns false when nothing may
 * be said now. */
bool exchange_say_part(struct exchange *exchange, const struct outbox *outbox, uint64_t place);
/* After a reload. */
void exchange_reconfigure(struct exchange *exchange);

static inline bool
exchange_is_on(const struct exchange *exchange)
{
	return exchange->channel != NULL;
}

/* Like broadcast_reserve, for a recv into exchange->intake. */
size_t exchange_reserve(struct exchange *exchange, struct conn *conn, size_t room);
/* conn has said msg: whole lines in the intake. */
void exchange_hear(struct exchange *exchange, struct conn *conn, const struct msg *msg);
/* conn is no longer a member. */
void exchange_forget(struct exchange *exchange, const struct conn *conn);

/* After the readers of a pass: says to all what has come, and sends what was heard. */
void exchange_deliver(struct exchange *exchange);
/* Whether everything that clients have said has come back. */
bool exchange_is_settled(const struct exchange *exchange);

/* Bytes that were accepted and have not come back. */
size_t exchange_pending(const struct exchange *exchange);
/* For STATUS= and the report: "cluster linked", "held 14 s: ..."; NULL: there is no cluster. */
const char *exchange_status(const struct exchange *exchange, char text[SESSION_STATUS]);

/* Does what is due, and says how much the next pass may receive. Returns when to call again, or
 * CLOCK_NEVER. */
int64_t exchange_run_due(struct exchange *exchange);

#endif
