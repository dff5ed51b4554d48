/*
 * notices: tell everyone in mode chat who came and who left.
 *
 * They only mention clients that have chosen a name; choosing the first one counts as coming.
 * Everything that happens within NOTICES_PAUSE makes one line each,
 *
 *	* left: carol
 *	* came: alice, bob
 *
 * and a client that leaves before that is never mentioned. So neither a storm of joins nor scripts
 * that take a name, say a line and leave bother anyone.
 */
#ifndef CHATD_NOTICES_H
#define CHATD_NOTICES_H

#include <stdint.h>

#include "base/clock.h"
#include "chat/broadcast.h"
#include "chat/notice.h"
#include "chat/roster.h"

#define NOTICES_PAUSE (2 * CLOCK_SECOND)

struct notices {
	struct broadcast *broadcast;
	struct roster *roster;
	struct notice left; /* since the last ones */
	int64_t due;        /* of the next ones; CLOCK_NEVER: there is nothing to tell */
};

void notices_init(struct notices *notices, struct broadcast *broadcast, struct roster *roster);
/* Drops what was not told yet. */
void notices_clear(struct notices *notices);

/* As they were recorded. */
void notices_restore(struct notices *notices);

/* conn has chosen its first name. */
void notices_came(struct notices *notices);
/*
 * The client of nick, whose coming was told, has changed its name; before is the old one. Returns
 * whether everyone should be told at once. If the new name belongs to somebody who has just left,
 * it is false: the notices then say that the old name left and the new one came.
 */
bool notices_renamed(struct notices *notices, struct nick *nick, const char *before);
/* conn is no longer a member but still has its name. */
void notices_left(struct notices *notices, const struct conn *conn);

/* Tells what is due. Returns when the next notice is due, or CLOCK_NEVER. */
int64_t notices_run_due(struct notices *notices);

#endif
