/*
 * refill: what waits for a client, from the journal of a former process.
 *
 * The queue of a client is what the index has for it, from its mark on, less what the kernel has
 * taken meanwhile. The bufs and pieces of lines that this refers to are claimed from the area, once
 * each; everything else there is free. What is not sound is never used: an entry with a wrong sum,
 * a place outside of the area, a buf that overlaps another one.
 */
#ifndef CHATD_REFILL_H
#define CHATD_REFILL_H

#include <stdbool.h>
#include <stdint.h>

#include "chat/broadcast.h"
#include "wire/journal.h"

enum refill_outcome {
	REFILL_DONE,
	REFILL_DAMAGED,
	REFILL_NO_MEMORY,
	REFILL_UNKNOWN, /* the kernel has taken more than the journal has */
};

/* The log goes on where the journal says. Returns false when that is damaged. */
bool refill_begin(struct broadcast *broadcast);
/* Whether the record can be used. */
bool refill_is_sound(const struct record *record);
/* Fills the queue of conn, to which the kernel has sent so many bytes. */
enum refill_outcome refill_queue(struct broadcast *broadcast, struct conn *conn, uint64_t sent);
/* The piece of a line that conn has said. After all queues. Returns false when it is damaged. */
bool refill_piece(struct conn *conn);
/* Nothing refers to the journal any more. The queues are gone. */
void refill_abandon(struct broadcast *broadcast);

#endif
