#include "chat/chat.h"

#include <sys/param.h>

#include "base/log.h"

#define END "the server ends"

void
chat_init(struct chat *chat, const struct config *config, const struct tls_context *context,
    struct loop *loop)
{
	pool_init(&chat->pool, config, loop);
	broadcast_init(&chat->broadcast, &chat->pool);
	rate_init(&chat->rate, &chat->pool);
	roster_init(&chat->roster, &chat->pool);
	pressure_init(&chat->pressure, &chat->broadcast, &chat->rate, &chat->roster);
	notices_init(&chat->notices, &chat->broadcast, &chat->roster);
	speech_init(&chat->speech, &chat->pressure, &chat->notices);
	exchange_init(&chat->exchange, &chat->pressure);
	leaving_init(&chat->leaving, &chat->pressure, &chat->notices, &chat->exchange);
	clients_init(&chat->clients, &chat->leaving, &chat->speech);
	timeouts_init(&chat->timeouts, &chat->leaving);
	lobby_init(&chat->lobby, &chat->pool);
	handshakes_init(&chat->handshakes, &chat->lobby, &chat->leaving, context);
	admission_init(&chat->admission, &chat->handshakes, &chat->speech);
	acceptor_init(&chat->acceptor, &chat->admission);
	keeper_init(&chat->keeper, &chat->leaving, &chat->speech);
}

int
chat_open(struct chat *chat, int lowest, source_tell *tell)
{
	if (exchange_open(&chat->exchange, lowest, tell) < 0)
		return -1;
	clients_reconfigure(&chat->clients);
	return 0;
}

static void
free_rooms(struct chat *chat)
{
	exchange_free(&chat->exchange);
	speech_free(&chat->speech);
	roster_free(&chat->roster);
	rate_free(&chat->rate);
	broadcast_free(&chat->broadcast);
	pool_free(&chat->pool);
}

void
chat_free(struct chat *chat)
{
	if (exchange_pending(&chat->exchange) > 0)
		log_warn("cluster: %zu bytes did not come back from the engine before the end: "
			 "perhaps nobody has heard them",
		    exchange_pending(&chat->exchange));
	FDSET_FOREACH(sd, &chat->pool.members)
		leaving_remove(&chat->leaving, chat->pool.conns[sd], END);
	lobby_free(&chat->lobby);
	leaving_free(&chat->leaving);
	pool_reap(&chat->pool);
	acceptor_close(&chat->acceptor);
	free_rooms(chat);
}

void
chat_leave(struct chat *chat)
{
	struct pool *pool = &chat->pool;

	pool_reap(pool);
	FDSET_FOREACH(sd, &pool->members)
		conn_leave(pool->conns[sd]);
	FDSET_FOREACH(sd, &chat->leaving.members)
		conn_leave(pool->conns[sd]);
	fdset_free(&chat->leaving.members);
	/* TLS sessions cannot be handed over. */
	lobby_free(&chat->lobby);
	acceptor_leave(&chat->acceptor);
	free_rooms(chat);
}

int
chat_reserve(struct chat *chat, const struct config *config, int highest)
{
	if (loop_reserve(chat->pool.loop, &chat->acceptor.class, highest) < 0 ||
	    leaving_reserve(&chat->leaving, highest) < 0)
		return -1;
	if (config->chat && roster_reserve(&chat->roster, highest) < 0)
		return -1;
	if (config->limits.rate > 0 && rate_reserve(&chat->rate, highest) < 0)
		return -1;
	return pool_reserve(&chat->pool, highest);
}

int
chat_highest(const struct chat *chat)
{
	int clients =
	    MAX(chat->pool.members.last, MAX(chat->leaving.members.last, chat->lobby.members.last));

	return MAX(chat->acceptor.class.readers.last, clients);
}

void
chat_deliver(struct chat *chat)
{
	handshakes_run(&chat->handshakes);
	clients_deliver(&chat->clients);
	exchange_deliver(&chat->exchange);
}

int64_t
chat_run_due(struct chat *chat)
{
	int64_t next =
	    clock_sooner(broadcast_run_due(&chat->broadcast), pressure_run_due(&chat->pressure));

	/* Before any rest ends: select has not yet been asked whether the resting clients are
	 * silent. */
	next = clock_sooner(next, timeouts_run_due(&chat->timeouts));
	next = clock_sooner(next, rate_run_due(&chat->rate));
	/* After the removals above, which it has to mention. */
	next = clock_sooner(next, notices_run_due(&chat->notices));
	next = clock_sooner(next, leaving_run_due(&chat->leaving));
	next = clock_sooner(next, lobby_run_due(&chat->lobby));
	next = clock_sooner(next, acceptor_run_due(&chat->acceptor, pool_reap(&chat->pool)));
	next = clock_sooner(next, keeper_run_due(&chat->keeper));
	next = clock_sooner(next, exchange_run_due(&chat->exchange));
	line_trim();
	/* Notices and last words may just have begun a rest. */
	return clock_sooner(next, chat->broadcast.memory.until);
}

void
chat_begin_end(struct chat *chat)
{
	rate_end(&chat->rate);
	acceptor_drain(&chat->acceptor);
}

bool
chat_holds_words(const struct chat *chat)
{
	const struct pool *pool = &chat->pool;

	return fdset_common(&pool->members, &pool->class.readers) < pool->count ||
	       !pressure_reading(&chat->pressure);
}

bool
chat_is_quiet(const struct chat *chat)
{
	if (!lobby_is_quiet(&chat->lobby))
		return false;
	if (chat->pool.count == 0)
		return chat->acceptor.class.ready == 0;
	return chat->pool.class.asked && chat->pool.class.ready == 0 &&
	       chat->acceptor.class.ready == 0 && !chat_holds_words(chat);
}

bool
chat_is_settled(const struct chat *chat)
{
	return exchange_is_settled(&chat->exchange);
}

void
chat_say_goodbye(struct chat *chat)
{
	acceptor_close(&chat->acceptor);
	lobby_clear(&chat->lobby);
	leaving_end_all(&chat->leaving, END);
}

bool
chat_is_over(const struct chat *chat)
{
	return leaving_done(&chat->leaving);
}

void
chat_exclude(struct chat *chat)
{
	struct pool *pool = &chat->pool;

	FDSET_FOREACH(sd, &pool->members)
		if (!access_allows(pool->config->access, &pool->conns[sd]->addr))
			leaving_dismiss(&chat->leaving, pool->conns[sd],
			    "your address is not allowed", "address not allowed");
}

void
chat_reconfigure(struct chat *chat, const struct config *config, const struct tls_context *context)
{
	struct pool *pool = &chat->pool;

	pool->config = config;
	chat->handshakes.context = context;
	lobby_reconfigure(&chat->lobby);
	broadcast_reconfigure(&chat->broadcast);
	rate_reconfigure(&chat->rate);
	chat_exclude(chat);
	speech_reconfigure(&chat->speech);
	exchange_reconfigure(&chat->exchange);
	clients_reconfigure(&chat->clients);
	pressure_reconfigure(&chat->pressure);
}
