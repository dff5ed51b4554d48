/*
 * capacity: what the limits of a configuration ask of the journal, and what it has no room for.
 */
#ifndef CHATD_CAPACITY_H
#define CHATD_CAPACITY_H

#include "conf/config.h"
#include "wire/journal.h"

struct journal_need capacity_need(const struct config *config);

/* With a journal. Says so when limits.queue is more than most, the most that any journal has room
 * for (journal_queue_most). */
void capacity_check(const struct config *config, uint64_t most);
/* After a reload. Says as well when this journal has no room for what others would. */
void capacity_reconfigure(const struct config *config);

#endif
