/*
 * roster: the names of the clients in mode chat.
 *
 * At first a client is called guestN, where N is its descriptor: nobody else has that, and it
 * matches "sd N" in the log. It may choose a name: a letter, then up to 14 letters, digits, "-" and
 * "_", so no name contains a colon, a blank or a star. No two names differ only in case. "chatd"
 * and everything that begins with "guest" are reserved. A client may change its name once in
 * ROSTER_PAUSE. A name is free again when its owner leaves.
 */
#ifndef CHATD_ROSTER_H
#define CHATD_ROSTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "chat/notice.h"
#include "chat/pool.h"
#include "wire/journal.h"

#define ROSTER_PAUSE (10 * CLOCK_SECOND)

/* The name of a client. */
struct nick {
	char name[NOTICE_NAME + 1];
	uint8_t len;       /* of name */
	bool chosen;       /* by the client; otherwise it is guestN */
	bool told;         /* the others know that it came */
	bool spoke;        /* its first line has arrived */
	int64_t chosen_at; /* when it last chose */
};

struct roster {
	const struct pool *pool;
	struct nick *nicks; /* by descriptor, in mode chat; zeros: no name */
	int size;           /* of nicks */
};

enum roster_outcome {
	ROSTER_CHANGED,
	ROSTER_SAME, /* that already is its name */
	ROSTER_IMPOSSIBLE,
	ROSTER_RESERVED,
	ROSTER_TAKEN,
	ROSTER_TOO_SOON,
};

void roster_init(struct roster *roster, const struct pool *pool);
/* All names are gone. */
void roster_free(struct roster *roster);
/* Makes room for descriptor sd. Returns 0, or -1 when memory is refused. */
int roster_reserve(struct roster *roster, int sd);

/* Whether newcomers need room: names are given, or will be by the reload that goes on. */
static inline bool
roster_has_room(const struct roster *roster)
{
	return roster->size > 0;
}

/* That of conn, for whose descriptor there is room. */
static inline struct nick *
roster_nick(const struct roster *roster, const struct conn *conn)
{
	return &roster->nicks[conn->fd];
}

/* Its name, if it has chosen one, and its address: "alice (192.0.2.1:53412)". Returns text. */
#define ROSTER_LABEL (ADDR_TEXT + NOTICE_NAME + 3)
const char *roster_label(
    const struct roster *roster, const struct conn *conn, char text[ROSTER_LABEL]);

/* conn is guestN from now on. */
void roster_enter(struct roster *roster, const struct conn *conn);
/* Puts its name into the turn. */
void roster_record(const struct roster *roster, const struct conn *conn, struct turn *turn);
/* As it was recorded. Returns false if that was not in mode chat: then conn has no name. */
bool roster_restore(struct roster *roster, const struct conn *conn);
/* conn is no longer a member. */
void roster_forget(struct roster *roster, const struct conn *conn);
/* conn wants a name of len bytes. Any outcome but ROSTER_CHANGED changes nothing. */
enum roster_outcome roster_choose(
    struct roster *roster, const struct conn *conn, const char *name, size_t len);
/* Adds the names of all members, in the order of their descriptors. */
void roster_list(const struct roster *roster, struct notice *notice);

#endif
