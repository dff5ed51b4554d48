/*
 * persist: what of the channel outlives the process, in the journal.
 *
 * The outbox lies in the journal. Beside it are two states, of which a turn says which one is valid
 * (ledger.h): so what a client has said and that it was received, and what was said to all and how
 * far the stream was read, are recorded by one store. A successor goes on under the same name,
 * reads on from the same entry, sends again what did not come back, and the filter makes that
 * exactly once.
 *
 * What an entry was made of is recorded before it is sent, so it never changes. What the valid
 * state needs is not overwritten: see outbox_settle.
 *
 * Without a journal nothing is recorded.
 */
#ifndef CHATD_PERSIST_H
#define CHATD_PERSIST_H

#include <stdbool.h>

#include "cluster/channel.h"

/* Puts the state into the turn. */
void persist_record(struct channel *channel);
/* The turn is committed, or there is no journal. */
void persist_settled(struct channel *channel);

/* There is no channel any more. */
void persist_forget(void);

/* What clients had said to another stream, or to a cluster that is no longer set. */
struct persist_rest {
	struct outbox outbox; /* in the journal; bytes NULL: there was none */
	uint64_t from;        /* parts before this place have been said */
};

/* For a successor; channel NULL: no cluster is set. */
enum persist_outcome {
	PERSIST_DONE,
	PERSIST_NOTHING, /* there was no cluster: the channel begins anew */
	PERSIST_OTHER,   /* there was another one: the same, and rest holds what was said to that */
	PERSIST_DAMAGED,
};
enum persist_outcome persist_restore(struct channel *channel, struct persist_rest *rest);

#endif
