/*
 * sender: brings the entries of this node into the stream, one at a time and in order.
 *
 * An entry is on the way until it was read back. Only a hold or a go may follow before that, if
 * reading rests and the engine has taken the one before: so a node that cannot read can still keep
 * the others from speaking. That may take any time, and such entries pile up in the outbox, which
 * remembers only so many: after SENDER_HOLDS of them the last hold is sent again and again.
 */
#ifndef CHATD_SENDER_H
#define CHATD_SENDER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "cluster/outbox.h"
#include "conf/cluster.h"

#define SENDER_DEADLINE (3 * CLOCK_SECOND) /* for an entry to be taken, and to come back */
#define SENDER_HOLDS    60                 /* entries that have not come back */

struct sender {
	const struct cluster *settings;
	uint64_t epoch; /* of this node */
	struct outbox outbox;
	/* Numbers of own entries since the links stand: */
	uint64_t sent;  /* the last one that was sent, */
	uint64_t taken; /* that the engine has taken, */
	uint64_t back;  /* and that was read back */
	int64_t sent_at, progressed_at;
	bool repeats; /* a hold that is sent again has not been taken yet */
	bool rests;   /* nothing is read for now */
	bool holds;   /* this node holds everybody up */
	bool told;    /* what others know of that */
	int64_t told_at;
};

/* Begins under a new name, with the outbox in the journal, if there is one. Returns 0, or -1 when
 * memory is refused. */
int sender_open(struct sender *sender, const struct cluster *settings);
void sender_close(struct sender *sender);

/* The links stand: entries from that number on are sent, again if need be. Returns how many were
 * made before. */
uint64_t sender_begin(struct sender *sender, uint64_t first);
/* Goes on under another name: what has not come back is sent again under that one. */
void sender_rename(struct sender *sender);
/* Adds the next entry to the commands, if one may be sent. */
void sender_send(struct sender *sender, struct commands *commands);
/* The engine has taken one. */
void sender_taken(struct sender *sender);
/* An entry of that number has been read back; is_new: for the first time. */
void sender_came_back(struct sender *sender, uint64_t seq, bool is_new);
/* Something else has been read. */
void sender_progressed(struct sender *sender);
/* Nothing is read for now, or again. */
void sender_rest(struct sender *sender, bool rests);

/* Whether everything was read back, and others know what they have to. */
bool sender_is_settled(const struct sender *sender);
/* When the entry on the way is late, or CLOCK_NEVER: there is none. */
int64_t sender_late_at(const struct sender *sender);
/* When a hold has to be renewed, or CLOCK_NEVER. */
int64_t sender_due(const struct sender *sender);

#endif
