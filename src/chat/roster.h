/*
 * roster: who is called what, in mode chat.
 *
 * At first a client is guestN, where N is its descriptor: nobody else has that, and it matches
 * "sd N" in the log. It may choose a name: a letter, then up to 14 letters, digits, "-" and "_", so
 * none holds a colon, a blank or a star. No two are the same but for upper and lower case. "chatd"
 * and all that begins with "guest" are reserved. One change is possible in ROSTER_PAUSE. A name is
 * free when its owner goes.
 */
#ifndef CHATD_ROSTER_H
#define CHATD_ROSTER_H

#include <stddef.h>

#include "chat/notice.h"
#include "chat/pool.h"

#define ROSTER_PAUSE (10 * CLOCK_SECOND)

enum roster_outcome {
	ROSTER_CHANGED,
	ROSTER_SAME, /* it has been called that before */
	ROSTER_IMPOSSIBLE,
	ROSTER_RESERVED,
	ROSTER_TAKEN,
	ROSTER_TOO_SOON,
};

/* conn is guestN from now on. */
void roster_enter(struct conn *conn);
/* conn has no name any more. */
void roster_forget(struct conn *conn);
/* conn wants a name of len bytes. What is not CHANGED changes nothing. */
enum roster_outcome roster_choose(
    const struct pool *pool, struct conn *conn, const char *name, size_t len);
/* Adds all who are here, in the order of their descriptors. */
void roster_list(const struct pool *pool, struct notice *notice);

#endif
