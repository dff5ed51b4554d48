/*
 * stream: what the stream of the engine holds, and the commands about it.
 *
 *	XADD KEY MAXLEN ~ KEEP * n EPOCH s SEQ d BYTES
 *
 * n names the life of a node, 64 random bits in hexadecimal; s counts its entries from 1; d is
 * whole lines. In place of d there may be c, h for hold or g for go. Anything else is none of
 * chatd's: it is strange, whoever put it there, and nobody hears it.
 */
#ifndef CHATD_STREAM_H
#define CHATD_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cluster/command.h"
#include "cluster/reply.h"

#define STREAM_DATA  1048576 /* bytes of an entry */
#define STREAM_COUNT 8       /* entries of a reply */

struct stream_id {
	uint64_t time, number; /* both 0: before all entries */
};

#define STREAM_ID_LAST ((struct stream_id){UINT64_MAX, UINT64_MAX}) /* behind all entries */

/* Room for the text of an id: two numbers, "-", and "(" in front. */
#define STREAM_ID_TEXT 48

static inline bool
stream_id_same(const struct stream_id *a, const struct stream_id *b)
{
	return a->time == b->time && a->number == b->number;
}

static inline bool
stream_id_before(const struct stream_id *a, const struct stream_id *b)
{
	return a->time < b->time || (a->time == b->time && a->number < b->number);
}

/* Reads the id that the engine gave to an entry. Returns false for none. */
bool stream_read_id(const struct redisReply *reply, struct stream_id *id);

enum stream_kind {
	STREAM_STRANGE,
	STREAM_LINES,
	STREAM_HOLD,
	STREAM_GO,
};

struct stream_entry {
	struct stream_id id;
	enum stream_kind kind;
	uint64_t epoch, seq; /* 0 of a strange one */
	const char *data;    /* of lines; in the reply */
	size_t len;
};

/* Reads one entry of a reply. Returns false if it is none at all, not even a strange one. */
bool stream_read(const struct redisReply *reply, struct stream_entry *entry);
/* The list of entries in the reply to an XREAD, or NULL. */
const struct redisReply *stream_entries(const struct redisReply *reply);

/* Adds an entry. Of lines the caller writes the len bytes to the place that it gets, or NULL. */
char *stream_add(
    struct commands *commands, const char *key, uint32_t keep, const struct stream_entry *entry);
/* Asks for the last entries, the last one first; before: only those before that one. */
void stream_ask_last(struct commands *commands, const char *key, const struct stream_id *before);
/* Asks for the one entry. */
void stream_ask_one(struct commands *commands, const char *key, const struct stream_id *id);
/* Asks for those after that one. blocks: waits until there is one. */
void stream_ask_after(
    struct commands *commands, const char *key, const struct stream_id *id, bool blocks);

#endif
