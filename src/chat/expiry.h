/*
 * expiry: what time does to a pool. It removes the stalled and the idle, and ends rests.
 */
#ifndef CHATD_EXPIRY_H
#define CHATD_EXPIRY_H

#include <stdint.h>

#include "chat/pool.h"

/* Does all that is due at now. Returns when the next thing is, or CLOCK_NEVER. */
int64_t expiry_run(struct pool *pool, int64_t now);

#endif
