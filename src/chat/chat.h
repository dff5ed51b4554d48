/*
 * chat: the rooms of this floor, put together.
 *
 * In each pass the loop serves the listeners and the readable clients; chat_deliver hands out what
 * they said; the loop serves the writable clients; chat_run_due frees what was removed and does
 * what is due. What was received in one pass is sent in a later one, once select has called the
 * recipient writable, together with everything received by then.
 */
#ifndef CHATD_CHAT_H
#define CHATD_CHAT_H

#include "chat/acceptor.h"
#include "chat/admission.h"
#include "chat/broadcast.h"
#include "chat/clients.h"
#include "chat/exchange.h"
#include "chat/handshakes.h"
#include "chat/keeper.h"
#include "chat/leaving.h"
#include "chat/lobby.h"
#include "chat/notices.h"
#include "chat/pool.h"
#include "chat/pressure.h"
#include "chat/rate.h"
#include "chat/roster.h"
#include "chat/speech.h"
#include "chat/timeouts.h"

struct chat {
	struct pool pool;
	struct broadcast broadcast;
	struct rate rate;
	struct roster roster;
	struct pressure pressure;
	struct notices notices;
	struct speech speech;
	struct exchange exchange;
	struct leaving leaving;
	struct lobby lobby;
	struct handshakes handshakes;
	struct clients clients;
	struct timeouts timeouts;
	struct admission admission;
	struct acceptor acceptor;
	struct keeper keeper;
};

/* context: for those who speak TLS, or NULL; it stays the caller's. */
void chat_init(struct chat *chat, const struct config *config, const struct tls_context *context,
    struct loop *loop);
/* If the settings say so, joins a cluster; descriptors of its own are lowest or higher, if
 * possible. Returns 0, or -1 after a fault. */
int chat_open(struct chat *chat, int lowest, source_tell *tell);
/* Ends all remaining connections and closes the listeners. */
void chat_free(struct chat *chat);

/* Forgets everything and touches no socket: a successor goes on. */
void chat_leave(struct chat *chat);

/* Makes room for descriptors up to highest, as config needs it. Returns 0, or -1 when memory is
 * refused. */
int chat_reserve(struct chat *chat, const struct config *config, int highest);
/* The highest descriptor of listeners and clients, leaving ones included, or -1. */
int chat_highest(const struct chat *chat);

/* After the readers of a pass. */
void chat_deliver(struct chat *chat);
/* After each pass. Returns when the next thing is due, or CLOCK_NEVER. */
int64_t chat_run_due(struct chat *chat);

/*
 * The end, in two steps. First everyone waiting at a listener is let in, and everyone is read,
 * until a pass brings nothing: chat_is_quiet is then true after the pass, unless chat_holds_words
 * is, which means that some clients may not be read now. Then chat_say_goodbye closes the listeners
 * and makes everyone leave, with a last line after everything that waits for them; chat_is_over
 * tells when they are done.
 */
void chat_begin_end(struct chat *chat);
bool chat_holds_words(const struct chat *chat);
bool chat_is_quiet(const struct chat *chat);
/* Whether all that clients have said is on its way to everybody. */
bool chat_is_settled(const struct chat *chat);
void chat_say_goodbye(struct chat *chat);
bool chat_is_over(const struct chat *chat);

/* Dismisses clients that the settings do not allow. */
void chat_exclude(struct chat *chat);
/* After a reload, with room reserved: dismisses clients that are no longer allowed, and looks at
 * the queues again. */
void chat_reconfigure(
    struct chat *chat, const struct config *config, const struct tls_context *context);

#endif
