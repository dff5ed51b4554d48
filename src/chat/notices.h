/*
 * notices: who came and who left, told to all in mode chat.
 *
 * Only those are told of who have chosen a name; the first name counts as coming. All that happens
 * within NOTICES_PAUSE makes one line each,
 *
 *	* left: carol
 *	* came: alice, bob
 *
 * and who leaves before that is never mentioned. So a storm of joins, or scripts that name
 * themselves, say a line and go, bother nobody.
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
	int64_t due;        /* the next ones; CLOCK_NEVER: there is nothing to tell */
};

void notices_init(struct notices *notices, struct broadcast *broadcast, struct roster *roster);
/* What was not told yet will not be. */
void notices_clear(struct notices *notices);

/* As they were recorded. */
void notices_restore(struct notices *notices);

/* conn has chosen its first name. */
void notices_came(struct notices *notices);
/*
 * The client of nick, whose coming was told, has changed its name; before is the old one. Returns
 * whether all are to be told at once. Not so if the new name is one of those who have just left:
 * then before left, too, and the new one came.
 */
bool notices_renamed(struct notices *notices, struct nick *nick, const char *before);
/* conn is no member any more, and still has its name. */
void notices_left(struct notices *notices, const struct conn *conn);

/* Tells what is due. Returns when the next is, or CLOCK_NEVER. */
int64_t notices_run_due(struct notices *notices);

#endif
