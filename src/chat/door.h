/*
 * door: who comes in. Accepts at the listeners, admits to the pool or refuses with one line.
 *
 * Where accepting fails because the machine has no more descriptors or memory, the listeners leave
 * the read set for DOOR_PAUSE, or until a connection goes: nothing spins, and the log is told once.
 */
#ifndef CHATD_DOOR_H
#define CHATD_DOOR_H

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/fdset.h"
#include "chat/pool.h"
#include "conf/config.h"
#include "wire/listener.h"

#define DOOR_PAUSE CLOCK_SECOND

struct door {
	struct listeners listeners;
	struct fdset listening; /* their descriptors */
	int64_t again;          /* while accepting pauses: when it is tried again, or 0 */
	bool told;              /* the log knows that accepting does not work */
	unsigned futile;        /* passes in a row in which a ready listener had nobody */
};

void door_init(struct door *door);

/* Opens the listeners of config, or takes over the first inherited descriptors. 0, or -1 logged. */
int door_open(struct door *door, const struct config *config, int inherited);
/* Makes the listeners be those of another config. Returns 0, or -1 logged with nothing changed. */
int door_change(struct door *door, const struct config *before, const struct config *after);
/* Logs each listener that is new, once nothing can fail any more. */
void door_log(struct door *door);
/* Nobody comes in any more. */
void door_close(struct door *door);

/*
 * Accepts those who wait at the listener with descriptor fd. busy: members are to be read in this
 * pass. Then whoever a limit might turn away waits some passes, because the end of a connection may
 * be among what they sent, and makes room.
 */
void door_accept(struct door *door, struct pool *pool, int fd, bool busy, int64_t now);

/* Ends a pause that is over, also when a connection has gone. Returns its deadline. */
int64_t door_expire(struct door *door, bool gone, int64_t now);

#endif
