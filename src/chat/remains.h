/*
 * remains: what clients had said to a cluster that this node does not belong to any more.
 *
 * At a restart the settings may name another stream, or no cluster at all. What clients had said to
 * the one before and had not come back from there was accepted, so it is not dropped: those who are
 * here hear it now, as they would have. Whether other nodes hear it depends on whether the engine
 * had taken it. In mode chat, where nobody hears bare lines, it is dropped. The log tells.
 */
#ifndef CHATD_REMAINS_H
#define CHATD_REMAINS_H

#include "chat/exchange.h"

/* For a successor, once clients are in and before they say anything. */
void remains_say(struct exchange *exchange);

#endif
