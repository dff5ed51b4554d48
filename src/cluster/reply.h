/*
 * reply: the engine's replies, from bytes to values.
 *
 * Only this room knows the library, hiredis, and of that only its reader: no connection, no name
 * that would have to be resolved. Where chatd is built without it, reply_none.c takes its place:
 * then there is no cluster.
 *
 * guard.h bounds what a reply can cost.
 */
#ifndef CHATD_REPLY_H
#define CHATD_REPLY_H

#include <stdbool.h>
#include <stddef.h>

#include "cluster/guard.h"

struct redisReply; /* one value, of hiredis */

struct replies {
	struct redisReader *reader;
	struct guard guard;
};

/* Whether chatd was built with the library. */
bool reply_is_built(void);

/* Returns 0, or -1 when memory is refused. */
int reply_open(struct replies *replies);
void reply_close(struct replies *replies);

/* Takes bytes that were received. Returns 0, or -1: they are no replies, or memory is refused. */
int reply_feed(struct replies *replies, const char *data, size_t len);
/* Gives the next whole reply, which the caller frees, or NULL. Returns 0, or -1 as reply_feed. */
int reply_next(struct replies *replies, struct redisReply **reply);
void reply_free(struct redisReply *reply);

enum reply_kind {
	REPLY_NIL,
	REPLY_STATUS,
	REPLY_ERROR,
	REPLY_NUMBER,
	REPLY_TEXT,
	REPLY_LIST,
};

/* NULL is nil. */
enum reply_kind reply_kind(const struct redisReply *reply);
/* The bytes of a status, an error or a text, which are followed by a NUL; "" of all others. */
const char *reply_text(const struct redisReply *reply, size_t *len);
/* How many values a list has; 0 of all others. */
size_t reply_count(const struct redisReply *reply);
/* One of them; NULL: there is none with that number. */
const struct redisReply *reply_at(const struct redisReply *reply, size_t i);

#endif
