/*
 * outbox: what the clients of this node have said, until it has come back from the engine.
 *
 * It is one ring of bytes. What one recv brought is a part: its owner, and whole lines. Parts that
 * were not sent yet are open; when the channel can send, it makes an entry of as many of them as
 * fit, which has a number then, and never changes any more. A hold or a go is an entry without
 * parts.
 *
 *	first ... confirmed ... last   open
 *	|  kept  |  on the way  |      |
 *
 * Entries that have come back are kept for a while, OUTBOX_KEPT bytes of them: the engine may lose
 * its tail, and then they are sent once more.
 */
#ifndef CHATD_OUTBOX_H
#define CHATD_OUTBOX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cluster/stream.h"

#define OUTBOX_BYTES   (8U << 20) /* of the ring, a power of two */
#define OUTBOX_KEPT    (1U << 20) /* bytes of entries that have come back */
#define OUTBOX_ENTRIES 1024       /* that it remembers, a power of two */

struct outbox_entry {
	uint64_t end;  /* where its parts end; they begin where those of the one before end */
	uint64_t kind; /* enum stream_kind */
};

struct outbox {
	char *bytes;
	struct outbox_entry *entries; /* by number */
	bool owns;                    /* its memory; else that is the caller's */
	uint64_t end;
	uint64_t first;     /* number of the oldest entry that is kept */
	uint64_t floor;     /* of the oldest one whose bytes may not be overwritten yet */
	uint64_t confirmed; /* of the last one that has come back */
	uint64_t last;      /* of the last one that was made; none: 0 */
};

/* Whose part it is, and how many bytes follow. */
struct outbox_part {
	uint64_t owner;
	int32_t fd; /* of the owner */
	uint32_t len;
};

/*
 * memory: OUTBOX_MEMORY bytes, which stay the caller's, and were zeros at first; NULL: its own.
 * Returns 0, or -1 when memory is refused.
 */
int outbox_open(struct outbox *outbox, char *memory);
#define OUTBOX_MEMORY (OUTBOX_BYTES + OUTBOX_ENTRIES * sizeof(struct outbox_entry))
/* Begins anew. */
void outbox_clear(struct outbox *outbox);
/* Keeps nothing and has nothing on the way or open any more; the next entry gets the next number.
 * What was there may be overwritten after outbox_settle. */
void outbox_give_up(struct outbox *outbox);
/* For a successor: whether what first to end say fits to what is in its memory. */
bool outbox_is_sound(const struct outbox *outbox);
void outbox_close(struct outbox *outbox);

/*
 * Whether len bytes, as one part or two, have room. If not, what is kept goes: then there may be
 * room after outbox_settle.
 */
bool outbox_reserve(struct outbox *outbox, size_t len);
/* What is not kept any more may be overwritten: nobody will come back to it. */
void outbox_settle(struct outbox *outbox);
/* Adds lines, for which there is room, as one or more parts, each at most STREAM_DATA bytes. */
void outbox_add(struct outbox *outbox, uint64_t owner, int fd, const char *lines, size_t len);

/* Bytes that have not come back yet. */
size_t outbox_pending(const struct outbox *outbox);
/* Whether there are open parts. */
bool outbox_has_open(const struct outbox *outbox);

/* Makes the next entry: of open parts, or a hold, or a go. Returns its number, or 0: there are too
 * many on the way. */
uint64_t outbox_make(struct outbox *outbox, enum stream_kind kind);
/* All entries up to that number have come back. */
void outbox_confirm(struct outbox *outbox, uint64_t seq);

enum stream_kind outbox_kind(const struct outbox *outbox, uint64_t seq);
/* Bytes of its lines, and where its parts are. */
size_t outbox_size(const struct outbox *outbox, uint64_t seq);
uint64_t outbox_begin(const struct outbox *outbox, uint64_t seq);
uint64_t outbox_end(const struct outbox *outbox, uint64_t seq);

/* The part at the place. Returns the place of the part behind it. */
uint64_t outbox_part(const struct outbox *outbox, uint64_t place, struct outbox_part *part);
/* Copies len bytes of the part at the place, from skip on. */
void outbox_copy(const struct outbox *outbox, uint64_t place, size_t skip, char *data, size_t len);

#endif
