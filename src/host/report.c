#include "host/report.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/param.h>

#include "base/log.h"

struct entry {
	const struct conn *conn;
	uint64_t waits; /* bytes */
};

/* Puts entry in its place among the first, where those for whom most waits come first. */
static uint32_t
insert(struct entry *first, uint32_t count, struct entry entry)
{
	uint32_t at = count;

	while (at > 0 && first[at - 1].waits < entry.waits)
		at--;
	if (at == REPORT_CLIENTS)
		return count;
	count = MIN(count + 1, REPORT_CLIENTS);
	memmove(first + at + 1, first + at, (count - at - 1) * sizeof(*first));
	first[at] = entry;
	return count;
}

static const char *
plural(uint64_t count)
{
	return count == 1 ? "" : "s";
}

static int64_t
seconds_since(int64_t time)
{
	return (clock_now() - time) / CLOCK_SECOND;
}

static void
write_client(const struct roster *roster, const struct entry *entry)
{
	const struct conn *conn = entry->conn;
	char text[ROSTER_LABEL];

	log_info("sd %d %s, %" PRIu64 " line%s, %" PRIu64 " bytes wait, silent for %" PRId64
		 " s%s%s",
	    conn->fd, roster_label(roster, conn, text), conn->lines, plural(conn->lines),
	    entry->waits, seconds_since(conn->last_line_at), conn->secure ? ", TLS" : "",
	    conn->above_high_water ? ", holds everybody up" : "");
}

void
report_write(const struct chat *chat, int64_t started)
{
	const struct pool *pool = &chat->pool;
	struct entry first[REPORT_CLIENTS];
	uint32_t count = 0;
	char held[64] = "nobody holds", cluster[SESSION_STATUS];

	FDSET_FOREACH(sd, &pool->members) {
		const struct conn *conn = pool->conns[sd];

		count = insert(
		    first, count, (struct entry){.conn = conn, .waits = queue_bytes(&conn->queue)});
	}
	if (pressure_holds(&chat->pressure))
		snprintf(held, sizeof(held), "%u hold%s everybody up", chat->pressure.above,
		    chat->pressure.above == 1 ? "s" : "");
	log_info("report: %u client%s, %" PRIu64 " line%s, up for %" PRId64 " s, %s%s%s",
	    pool->count, plural(pool->count), chat->broadcast.lines, plural(chat->broadcast.lines),
	    seconds_since(started), held, exchange_is_on(&chat->exchange) ? "; " : "",
	    exchange_is_on(&chat->exchange) ? exchange_status(&chat->exchange, cluster) : "");
	for (uint32_t i = 0; i < count; i++)
		write_client(&chat->roster, &first[i]);
	if (count < pool->count)
		log_info("and %u more client%s", pool->count - count, plural(pool->count - count));
}
