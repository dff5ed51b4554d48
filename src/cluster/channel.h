/*
 * channel: what lies between what is heard and what is said to all, where many chatd form one chat.
 *
 * All nodes put what their clients say into one stream of an engine, Redis or Valkey, and read it
 * back from there; nobody hears a line before that, so everybody hears all lines in the order of
 * the stream. What the stream holds, and the names that stand for it, see stream.h.
 *
 * One own entry is on the way at a time; what clients say meanwhile gathers for the next one. So an
 * engine that refuses an entry never takes the one behind it.
 *
 * Recovery. When a link fails, when the engine refuses an entry, or when the own entry does not
 * come back in time, the session is dropped, and begins anew. Then, in this order:
 *
 *	learns    at the start: the numbers of the last entries, which nobody hears any more
 *	anchors   later: is the entry read last still there? If not, the engine has lost its tail,
 *	          and everything since the start is read again; the filter drops what was seen
 *	catches   reads up to the end
 *	live      sends again, in order, what did not come back, and if it had to read again also
 *	          what had come back and is gone
 *
 * While it is not live, and while another node holds, clients are not to be read. Idle, the channel
 *waits in a read that blocks, and has no deadline.
 *
 * How a caller uses it: channel_peek gives the entries that are new, one after the other; what is
 * said to all is accepted. What clients say goes into the outbox of channel->sender. channel_make
 * and channel_flush send it.
 */
#ifndef CHATD_CHANNEL_H
#define CHATD_CHANNEL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/loop.h"
#include "cluster/filter.h"
#include "cluster/holds.h"
#include "cluster/sender.h"
#include "cluster/session.h"
#include "cluster/stream.h"
#include "conf/cluster.h"

#define CHANNEL_LEARNED 200 /* entries whose numbers are learned at the start */

enum channel_state {
	CHANNEL_DOWN,
	CHANNEL_LEARNS,
	CHANNEL_ANCHORS,
	CHANNEL_CATCHES,
	CHANNEL_LIVE,
};

/* An entry of the stream, by its place and its number. */
struct channel_place {
	struct stream_id id;
	uint64_t epoch, seq;
};

struct channel {
	struct session session;
	struct sender sender;
	struct holds others;
	enum channel_state state;
	uint64_t number; /* of the session that the state is about */
	uint64_t taken;  /* entries that the engine has taken, as the sender knows */

	struct redisReply *reply; /* entries of it are being dealt with: */
	size_t next;
	struct stream_entry entry; /* the next one that is new; kind STREAM_STRANGE: none */

	bool learned;
	uint32_t learned_count;
	struct stream_id origin;   /* what is after it was read once */
	struct channel_place read; /* the entry read last */
	struct filter filter;
	struct channel_place saying; /* an entry that was said in part, */
	uint64_t said;               /* and how much of it; the caller's */
	bool reads_again;            /* from the origin, until it is live */
	uint64_t own_seen;           /* meanwhile: the last own entry that is still there */
	bool renamed;                /* since that was recorded */
};

/* Connects when it is run first. The settings stay the caller's, and so does the class, which
 * outlives the channel. NULL: a fault, which is told. */
struct channel *channel_new(
    const struct cluster *settings, struct loop *loop, struct loop_class *class, source_tell *tell);
/* Forgets everything, and lets go of the journal, if there is one. */
void channel_abandon(struct channel *channel);
/* After that: begins anew. Returns 0, or -1 when memory is refused. */
int channel_begin(struct channel *channel);
void channel_free(struct channel *channel);

/* After a reload: the same settings at another place. */
void channel_move(struct channel *channel, const struct cluster *settings);

/* The next entry of lines that is new, or NULL: there is none for now. */
const struct stream_entry *channel_peek(struct channel *channel);
/* That one has been said to all. */
void channel_accept(struct channel *channel);
/* Nothing can be said to all for now, or again. */
void channel_pause(struct channel *channel, bool paused);
static inline bool
channel_is_own(const struct channel *channel, const struct stream_entry *entry)
{
	return entry->epoch == channel->sender.epoch;
}

/* Whether this node holds everybody up. */
static inline void
channel_hold(struct channel *channel, bool holds)
{
	channel->sender.holds = holds;
}

/*
 * In two steps: makes an entry of what clients have said, if one can be sent; and sends it. What
 * was made must be recorded before it is sent.
 */
void channel_make(struct channel *channel);
void channel_flush(struct channel *channel);

/* Whether clients may be read: it is live, and no other node holds. */
bool channel_is_open(const struct channel *channel);
/* Whether nothing is on the way. */
static inline bool
channel_is_settled(const struct channel *channel)
{
	return sender_is_settled(&channel->sender);
}

/* Does what is due. Returns when to call again, or CLOCK_NEVER. */
int64_t channel_run_due(struct channel *channel);

#endif
