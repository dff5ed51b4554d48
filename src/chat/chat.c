#include "chat/chat.h"

#include <sys/param.h>

void
chat_init(struct chat *chat, const struct config *config, struct loop *loop)
{
	pool_init(&chat->pool, config, loop);
	broadcast_init(&chat->broadcast, &chat->pool);
	pressure_init(&chat->pressure, &chat->broadcast);
	leaving_init(&chat->leaving, &chat->pressure);
	clients_init(&chat->clients, &chat->leaving);
	timeouts_init(&chat->timeouts, &chat->leaving);
	acceptor_init(&chat->acceptor, &chat->leaving);
}

void
chat_free(struct chat *chat, const char *reason)
{
	FDSET_FOREACH(sd, &chat->pool.members)
		leaving_remove(&chat->leaving, chat->pool.conns[sd], reason);
	pool_reap(&chat->pool);
	acceptor_close(&chat->acceptor);
	broadcast_free(&chat->broadcast);
	pool_free(&chat->pool);
}

int
chat_reserve(struct chat *chat, int highest)
{
	if (loop_reserve(chat->pool.loop, &chat->acceptor.class, highest) < 0)
		return -1;
	return pool_reserve(&chat->pool, highest);
}

int
chat_highest(const struct chat *chat)
{
	return MAX(chat->acceptor.class.readers.last, chat->pool.members.last);
}

void
chat_deliver(struct chat *chat)
{
	clients_deliver(&chat->clients);
}

int64_t
chat_run_due(struct chat *chat)
{
	int64_t next =
	    clock_sooner(broadcast_run_due(&chat->broadcast), pressure_run_due(&chat->pressure));

	next = clock_sooner(next, timeouts_run_due(&chat->timeouts));
	return clock_sooner(next, acceptor_run_due(&chat->acceptor, pool_reap(&chat->pool)));
}

void
chat_reconfigure(struct chat *chat, const struct config *config)
{
	struct pool *pool = &chat->pool;

	pool->config = config;
	broadcast_reconfigure(&chat->broadcast);
	FDSET_FOREACH(sd, &pool->members)
		if (!access_allows(config->access, &pool->conns[sd]->addr))
			leaving_dismiss(&chat->leaving, pool->conns[sd], LOG_REMOVED,
			    "your address is not allowed", "address not allowed");
	pressure_reconfigure(&chat->pressure);
}
