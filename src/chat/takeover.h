/*
 * takeover: goes on where a former process was stopped.
 *
 * The journal says what there was, the safe has the sockets, and the kernel's counters say what the
 * former process did last without recording it. In this order:
 *
 *	each socket gets the number it had, and finds its record or its listener; the others end
 *	each client gets its queue: what the index has for it, less what the kernel has taken
 *	pieces of lines, names, rates, holds and the history follow
 *	what was received, but not recorded, is received now
 *	who was accepted, but not let in, is let in or refused
 *
 * All of it can be done again: a kill in the middle costs nothing. Nothing in the journal is
 * trusted. What does not fit together means that it is damaged, and then nobody is taken over.
 * Only if the kernel does not tell what became of one connection, that one alone ends.
 */
#ifndef CHATD_TAKEOVER_H
#define CHATD_TAKEOVER_H

#include "chat/chat.h"
#include "chat/salvage.h"

struct takeover;

enum takeover_outcome {
	TAKEOVER_DONE,
	TAKEOVER_DAMAGED, /* nobody is taken over: call salvage_end_all */
	TAKEOVER_FAILED,  /* no memory, logged; nothing has changed for a successor */
};

/*
 * Before the listeners are opened. Numbers from 3 to highest belong to clients and listeners:
 * whatever else is open lies above.
 */
enum takeover_outcome takeover_begin(
    struct takeover **takeover, struct chat *chat, int highest, const struct spared *spared);
/* After that. */
enum takeover_outcome takeover_finish(struct takeover *takeover);
/* How many clients were taken over, and how many ended because nobody knows what they got. */
uint32_t takeover_count(const struct takeover *takeover);
uint32_t takeover_lost(const struct takeover *takeover);
void takeover_free(struct takeover *takeover);

#endif
