/*
 * growth: how long what a client says becomes in mode chat, where each line gets a name in front.
 */
#ifndef CHATD_GROWTH_H
#define CHATD_GROWTH_H

#include <stddef.h>

/* Bytes of the log that held bytes and room more can become, a change of name included. */
size_t growth_of(size_t held, size_t room);
/* How much room, so that this fits into so many bytes of the log. */
size_t growth_fit(size_t held, size_t bytes);

#endif
