/*
 * heritage: what a killed chatd has left, and what damages it.
 */
#ifndef FUZZ_HERITAGE_H
#define FUZZ_HERITAGE_H

#include <stdbool.h>

#include "host/handover.h"
#include "target.h"

/* The descriptors that the manager has: the journal, the safe and its feed, the relay. */
struct heritage {
	int fds[HANDOVER_KEPT];
	bool touched; /* something was changed */
	bool meant;   /* with right sums: what clients hear is anything then */
};

/* Does what the input says. The journal is still mapped, and nobody uses it any more. */
void heritage_damage(struct heritage *heritage, struct input *input);

#endif
