#include "host/capacity.h"

#include <inttypes.h>

#include "base/log.h"

struct journal_need
capacity_need(const struct config *config)
{
	return (struct journal_need){
	    .line = config->limits.line,
	    .queue = config->limits.queue,
	    .clients = config->limits.clients,
	    .history = config->history,
	};
}

void
capacity_check(const struct config *config, uint64_t most)
{
	if (config->limits.queue > most)
		log_warn("limits.queue is %" PRIu32 ", but on this machine a journal has room for "
			 "%" PRIu64 ": that counts",
		    config->limits.queue, most);
}

void
capacity_reconfigure(const struct config *config)
{
	const struct journal_need need = capacity_need(config);

	if (!journal_suffices(&need))
		log_warn("the journal has no room for the new limits: senders wait earlier, until "
			 "chatd is restarted, which disconnects nobody");
	capacity_check(config, journal_queue_most());
}
