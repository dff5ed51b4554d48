#include "chat/exchange.h"

#include <bsd/string.h>
#include <string.h>
#include <sys/param.h>

#include "base/log.h"
#include "wire/ledger.h"
#include "wire/line.h"

void
exchange_init(struct exchange *exchange, struct pressure *pressure)
{
	*exchange = (struct exchange){
	    .broadcast = pressure->broadcast,
	    .pressure = pressure,
	    .pool = pressure->pool,
	};
	owners_init(&exchange->owners, exchange->pool);
	exchange_reconfigure(exchange);
}

static bool
make_channel(struct exchange *exchange, source_tell *tell)
{
	const struct pool *pool = exchange->pool;

	exchange->channel = channel_new(&pool->config->cluster, pool->loop, &exchange->class, tell);
	return exchange->channel != NULL;
}

int
exchange_open(struct exchange *exchange, int lowest, source_tell *tell)
{
	const struct pool *pool = exchange->pool;

	if (!cluster_is_set(&pool->config->cluster))
		return 0;
	if (exchange->channel == NULL && !make_channel(exchange, tell))
		return -1;
	if (exchange->channel->sender.outbox.bytes == NULL &&
	    channel_begin(exchange->channel) < 0) {
		tell(LOG_ERR, "cluster: no memory");
		return -1;
	}
	exchange->channel->session.lowest = lowest;
	exchange->changed = true;
	exchange->pressure->ceiling = 0;
	return 0;
}

int
exchange_restore(struct exchange *exchange)
{
	if (cluster_is_set(&exchange->pool->config->cluster) && !make_channel(exchange, log_fault))
		return -1;
	return persist_restore(exchange->channel, &exchange->rest) == PERSIST_DAMAGED ? -1 : 0;
}

void
exchange_abandon(struct exchange *exchange)
{
	exchange->rest = (struct persist_rest){0};
	if (exchange->channel != NULL)
		channel_abandon(exchange->channel);
}

void
exchange_free(struct exchange *exchange)
{
	channel_free(exchange->channel);
	intake_free(&exchange->intake);
	owners_free(&exchange->owners);
}

void
exchange_reconfigure(struct exchange *exchange)
{
	exchange->intake.line_max = exchange->pool->config->limits.line;
	exchange->intake.telnet = exchange->pool->config->sanitize;
	if (exchange->channel != NULL)
		channel_move(exchange->channel, &exchange->pool->config->cluster);
}

/* --- what is heard */

int
exchange_restore_name(struct exchange *exchange, const struct conn *conn)
{
	if (exchange->channel == NULL && exchange->rest.outbox.bytes == NULL)
		return 0;
	if (!owners_reserve(&exchange->owners, conn->fd))
		return -1;
	owners_number(&exchange->owners, conn);
	return 0;
}

/* Records what has changed, and lets it count. What belongs to it is in the turn. */
static void
settle(struct exchange *exchange)
{
	const struct outbox *outbox = &exchange->channel->sender.outbox;

	if (exchange->changed || outbox->first != outbox->floor)
		persist_record(exchange->channel);
	exchange->changed = false;
	ledger_settle();
	persist_settled(exchange->channel);
}

/* Room in the outbox; what is kept there makes some. */
static bool
reserve_outbox(struct exchange *exchange, size_t len)
{
	struct outbox *outbox = &exchange->channel->sender.outbox;

	if (outbox_reserve(outbox, len))
		return true;
	exchange->changed = true;
	settle(exchange);
	return outbox_reserve(outbox, len);
}

size_t
exchange_reserve(struct exchange *exchange, struct conn *conn, size_t room)
{
	size_t held = conn->line.len;

	room = owners_reserve(&exchange->owners, conn->fd)
		   ? conn_reserve(conn, &exchange->intake, room)
		   : 0;
	if (room == 0) {
		broadcast_starve(exchange->broadcast);
		return 0;
	}
	/* Two bytes more: finishing a line takes one. */
	if (reserve_outbox(exchange, held + room + 2))
		return room;
	pressure_park(exchange->pressure, conn);
	return 0;
}

void
exchange_hear(struct exchange *exchange, struct conn *conn, const struct msg *msg)
{
	conn->lines += line_count(msg_data(msg), msg->len);
	if (exchange->pool->config->sanitize)
		line_sanitize(msg_data(msg), msg->len);
	outbox_add(&exchange->channel->sender.outbox, owners_number(&exchange->owners, conn),
	    conn->fd, msg_data(msg), msg->len);
	persist_record(exchange->channel);
	pool_heard(exchange->pool, conn);
}

void
exchange_forget(struct exchange *exchange, const struct conn *conn)
{
	owners_forget(&exchange->owners, conn);
}

/* --- what comes back */

/* Room for len bytes at the tail of the log, or NULL: nothing may be said now. */
static char *
make_room(struct exchange *exchange, const struct conn *conn, size_t len)
{
	struct broadcast *broadcast = exchange->broadcast;

	/* What one client says in a pass is one part. */
	if (conn != NULL && conn->own.len > 0)
		broadcast_hand_out(broadcast);
	if (backoff_rests(&broadcast->memory) || broadcast_room(broadcast, len, len) == 0)
		return NULL;
	return arena_tail(&broadcast->intake.arena);
}

/* The len bytes that were written there are said by conn, or by nobody who is here. */
static void
say(struct exchange *exchange, struct conn *conn, size_t len)
{
	struct broadcast *broadcast = exchange->broadcast;
	struct msg msg = arena_take(&broadcast->intake.arena, len);

	broadcast->lines += line_count(msg_data(&msg), len);
	broadcast_add(broadcast, conn, &msg);
}

bool
exchange_say_part(struct exchange *exchange, const struct outbox *outbox, uint64_t place)
{
	struct outbox_part part;
	struct conn *conn;
	char *room;

	outbox_part(outbox, place, &part);
	conn = owners_find(&exchange->owners, part.fd, part.owner);
	if ((room = make_room(exchange, conn, part.len)) == NULL)
		return false;
	outbox_copy(outbox, place, 0, room, part.len);
	say(exchange, conn, part.len);
	return true;
}

/* Says the parts of an own entry. Returns whether all of them are said. */
static bool
say_own(struct exchange *exchange, uint64_t seq)
{
	const struct outbox *outbox = &exchange->channel->sender.outbox;
	uint64_t begin, end;
	struct outbox_part part;

	/* It was not kept, and cannot be new. */
	if (seq < outbox->first || seq > outbox->last)
		return true;
	begin = outbox_begin(outbox, seq);
	end = outbox_end(outbox, seq);
	while (begin + exchange->channel->said < end) {
		uint64_t place = begin + exchange->channel->said;

		if (!exchange_say_part(exchange, outbox, place))
			return false;
		exchange->channel->said = outbox_part(outbox, place, &part) - begin;
	}
	return true;
}

/* As many whole lines as make a chunk, or one that is longer. */
static size_t
chunk_of(const char *lines, size_t len)
{
	const char *end;

	if (len <= EXCHANGE_CHUNK)
		return len;
	end = memrchr(lines, '\n', EXCHANGE_CHUNK);
	if (end == NULL)
		end = memchr(lines + EXCHANGE_CHUNK, '\n', len - EXCHANGE_CHUNK);
	return end != NULL ? (size_t)(end - lines) + 1 : len;
}

static bool
say_foreign(struct exchange *exchange, const struct stream_entry *entry)
{
	while (exchange->channel->said < entry->len) {
		const char *lines = entry->data + exchange->channel->said;
		size_t len = chunk_of(lines, entry->len - (size_t)exchange->channel->said);
		char *room = make_room(exchange, NULL, len);

		if (room == NULL)
			return false;
		memcpy(room, lines, len);
		if (exchange->pool->config->sanitize)
			line_sanitize(room, len);
		say(exchange, NULL, len);
		exchange->channel->said += len;
	}
	return true;
}

/* An entry that was said in part comes again, perhaps from another engine: it never changes. */
static bool
say_entry(struct exchange *exchange, const struct stream_entry *entry)
{
	struct channel *channel = exchange->channel;
	struct channel_place *saying = &channel->saying;

	if (saying->epoch != entry->epoch || saying->seq != entry->seq)
		channel->said = 0;
	exchange->changed = true;
	*saying = (struct channel_place){.epoch = entry->epoch, .seq = entry->seq};
	return channel_is_own(channel, entry) ? say_own(exchange, entry->seq)
					      : say_foreign(exchange, entry);
}

/* Puts what was said into the queues, and looks whether somebody holds now. */
static void
hand_out(struct exchange *exchange)
{
	broadcast_hand_out(exchange->broadcast);
	pressure_hold(exchange->pressure);
}

/* Whether what comes has room: the slowest queue is not too far over its limit. */
static bool
has_room(const struct exchange *exchange)
{
	const struct pool *pool = exchange->pool;
	uint64_t most = (uint64_t)pool->config->limits.queue + EXCHANGE_SLACK;

	if (backoff_rests(&exchange->broadcast->memory))
		return false;
	if (!pressure_holds(exchange->pressure))
		return true;
	FDSET_FOREACH(sd, &pool->class.writers)
		if (broadcast_lag(exchange->broadcast, pool->conns[sd]) > most)
			return false;
	return true;
}

/* Sends what clients have said, once it is recorded what the entry was made of. */
static void
send_made(struct exchange *exchange)
{
	struct channel *channel = exchange->channel;
	uint64_t last = channel->sender.outbox.last;

	channel_hold(channel, pressure_holds(exchange->pressure));
	channel_make(channel);
	exchange->changed |= channel->renamed || channel->sender.outbox.last != last;
	channel->renamed = false;
	/* From there a successor goes on, also if nobody has said anything yet. */
	exchange->changed |= channel->learned != exchange->learned;
	exchange->learned = channel->learned;
	settle(exchange);
	channel_flush(channel);
}

void
exchange_deliver(struct exchange *exchange)
{
	struct channel *channel = exchange->channel;
	const struct stream_entry *entry;

	if (channel == NULL)
		return;
	while ((entry = channel_peek(channel)) != NULL) {
		if (!has_room(exchange) || !say_entry(exchange, entry))
			break;
		channel_accept(channel);
		if (exchange->broadcast->fresh.len >= EXCHANGE_CHUNK)
			hand_out(exchange);
	}
	channel_pause(channel, entry != NULL);
	hand_out(exchange);
	send_made(exchange);
}

/* --- as a whole */

bool
exchange_is_settled(const struct exchange *exchange)
{
	return exchange->channel == NULL || channel_is_settled(exchange->channel);
}

size_t
exchange_pending(const struct exchange *exchange)
{
	return exchange->channel == NULL ? 0 : outbox_pending(&exchange->channel->sender.outbox);
}

const char *
exchange_status(const struct exchange *exchange, char text[SESSION_STATUS])
{
	const struct channel *channel = exchange->channel;

	if (channel == NULL)
		return NULL;
	session_status(&channel->session, text);
	if (channel->session.live && holds_any(&channel->others))
		strlcat(text, ", another node holds", SESSION_STATUS);
	return text;
}

/* Bytes that all clients together may say in the next pass. */
static size_t
budget(const struct exchange *exchange)
{
	uint32_t queue = exchange->pool->config->limits.queue;
	size_t most = MIN(queue, EXCHANGE_PENDING), pending = exchange_pending(exchange);

	if (!channel_is_open(exchange->channel) || pressure_holds(exchange->pressure))
		return 0;
	return pending + MIN(PRESSURE_STEP, most / 4) <= most ? most - pending : 0;
}

int64_t
exchange_run_due(struct exchange *exchange)
{
	struct channel *channel = exchange->channel;
	int64_t next;

	if (channel == NULL)
		return CLOCK_NEVER;
	send_made(exchange);
	next = channel_run_due(channel);
	exchange->pressure->ceiling = budget(exchange);
	/* The client that left no room has gone. */
	return channel->session.reader.paused && has_room(exchange) ? clock_now() : next;
}
