/*
 * registry: the listeners in the journal, and so in the safe. Without a journal nothing is called.
 */
#ifndef CHATD_REGISTRY_H
#define CHATD_REGISTRY_H

#include <stdbool.h>

#include "wire/journal.h"

/*
 * Records a listener with descriptor fd, and puts it into the safe; about has its flags, file and
 * endpoint. Returns 1 + its index, or 0 when there is no room.
 */
unsigned registry_add(int fd, const struct journal_listener *about);
/* It has been shut down, if it is to end, and will be closed. */
void registry_remove(unsigned record);
/* Whether a recorded listener has that number. */
bool registry_has(int fd);
/* For a successor: what was recorded of fd, or NULL if that was another socket. */
const struct journal_listener *registry_find(int fd, unsigned *record);

#endif
