#include "chat/admission.h"

#include <bsd/string.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "base/trace.h"

void
admission_init(struct admission *admission, struct leaving *leaving, struct speech *speech)
{
	*admission = (struct admission){
	    .pool = leaving->broadcast->pool,
	    .leaving = leaving,
	    .speech = speech,
	};
}

/* In mode chat what was said before it came is history for it, and nothing else. */
static void
enter(struct admission *admission, struct conn *conn)
{
	if (admission->speech->on)
		broadcast_hand_out(admission->leaving->broadcast);
	pool_add(admission->pool, conn);
	if (admission->speech->on)
		speech_welcome(admission->speech, conn);
}

/* Returns whether the client is in. */
static bool
admit(struct admission *admission, struct conn *conn)
{
	struct pool *pool = admission->pool;
	const struct limits *limits = &pool->config->limits;
	char told[80], reason[80];

	if (!access_allows(pool->config->access, &conn->addr)) {
		strlcpy(told, "your address is not allowed", sizeof(told));
		strlcpy(reason, "address not allowed", sizeof(reason));
	} else if (pool->count >= limits->clients) {
		snprintf(told, sizeof(told), "too many clients, at most %u", limits->clients);
		strlcpy(reason, told, sizeof(reason));
	} else if (limits->clients_per_address > 0 &&
		   pool_count_host(pool, &conn->addr) >= limits->clients_per_address) {
		snprintf(told, sizeof(told), "too many clients from your address, at most %u",
		    limits->clients_per_address);
		snprintf(reason, sizeof(reason), "too many clients from this address, at most %u",
		    limits->clients_per_address);
	} else {
		enter(admission, conn);
		admission->unannounced++;
		return true;
	}
	leaving_refuse(admission->leaving, conn, told, reason);
	return false;
}

/* There is no conn to leave with, so the line goes straight to the socket. */
static void
refuse_without_memory(int sd, const struct addr *addr)
{
	static const char line[] = "chatd: out of memory\n";
	char text[ADDR_TEXT];

	send(sd, line, strlen(line), MSG_NOSIGNAL | MSG_DONTWAIT);
	shutdown(sd, SHUT_WR);
	trace_removing(sd);
	log_limited(LOG_REFUSED, "%s refused: %s", addr_format(addr, text), strerror(ENOMEM));
	close(sd);
}

/* What being a member, or leaving, takes of descriptor sd. */
static int
reserve(struct admission *admission, int sd)
{
	struct pressure *pressure = admission->leaving->pressure;

	if (pool_reserve(admission->pool, sd) < 0 || leaving_reserve(admission->leaving, sd) < 0)
		return -1;
	if (roster_has_room(pressure->roster) && roster_reserve(pressure->roster, sd) < 0)
		return -1;
	return rate_has_room(pressure->rate) ? rate_reserve(pressure->rate, sd) : 0;
}

bool
admission_receive(struct admission *admission, int sd, const struct addr *addr)
{
	struct conn *conn = NULL;

	trace_accepted(sd);
	if (reserve(admission, sd) == 0)
		conn = conn_new(sd, addr);
	if (conn != NULL)
		return admit(admission, conn);
	refuse_without_memory(sd, addr);
	return false;
}

bool
admission_is_scarce(const struct admission *admission, const struct addr *before)
{
	const struct pool *pool = admission->pool;
	const struct limits *limits = &pool->config->limits;

	if (pool->count >= limits->clients)
		return true;
	return limits->clients_per_address > 0 &&
	       (before == NULL || pool_count_host(pool, before) >= limits->clients_per_address);
}

/* The first of those who came in in this pass: they are the last that the log does not know. */
static struct conn *
first_newcomer(const struct admission *admission)
{
	struct conn *conn = TAILQ_LAST(&admission->pool->by_last_line, conns), *first = NULL;

	for (uint32_t left = admission->unannounced; left > 0 && conn != NULL;
	     conn = TAILQ_PREV(conn, conns, entry)) {
		if (conn->announced)
			continue;
		first = conn;
		left--;
	}
	return first;
}

void
admission_announce(struct admission *admission)
{
	struct conn *conn = first_newcomer(admission);
	char text[ADDR_TEXT];

	admission->unannounced = 0;
	for (; conn != NULL; conn = TAILQ_NEXT(conn, entry)) {
		if (conn->announced)
			continue;
		conn->announced = true;
		if (!admission->pool->config->log_connections)
			continue;
		conn->probe = conn_said_nothing(conn);
		(conn->probe ? log_debug : log_info)(
		    "%s connected as sd %d", addr_format(&conn->addr, text), conn->fd);
	}
}
