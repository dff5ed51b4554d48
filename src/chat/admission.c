#include "chat/admission.h"

#include <bsd/string.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "base/trace.h"
#include "wire/ledger.h"
#include "wire/safe.h"
#include "wire/tls_text.h"

/* In mode chat a newcomer gets earlier lines only as history: hand them out before it joins. */
static void
enter(struct admission *admission, struct conn *conn)
{
	if (admission->speech->on)
		broadcast_hand_out(admission->leaving->broadcast);
	if (conn->kept)
		ledger_joins(conn->fd);
	pool_add(admission->pool, conn);
	if (admission->speech->on)
		speech_welcome(admission->speech, conn);
	if (conn->kept) {
		rate_record(admission->leaving->pressure->rate, conn, ledger_turn(conn->fd));
		ledger_set_state(conn->fd, RECORD_MEMBER);
		ledger_commit();
	}
	admission->unannounced++;
}

/* A newcomer of the lobby has become a member. */
static void
enter_from_lobby(void *room, struct conn *conn)
{
	enter(room, conn);
}

void
admission_init(struct admission *admission, struct handshakes *handshakes, struct speech *speech)
{
	*admission = (struct admission){
	    .pool = handshakes->lobby->pool,
	    .leaving = handshakes->leaving,
	    .lobby = handshakes->lobby,
	    .speech = speech,
	};
	handshakes->enter = enter_from_lobby;
	handshakes->room = admission;
}

/* Members, and those who may become one. */
static uint32_t
count(const struct admission *admission)
{
	return admission->pool->count + admission->lobby->count;
}

static uint32_t
count_host(const struct admission *admission, const struct addr *addr)
{
	return pool_count_host(admission->pool, addr) + lobby_count_host(admission->lobby, addr);
}

bool
admission_is_full(const struct admission *admission)
{
	return count(admission) >= admission->pool->config->limits.clients;
}

static bool
has_too_many(const struct admission *admission, const struct addr *addr)
{
	uint32_t limit = admission->pool->config->limits.clients_per_address;

	return limit > 0 && count_host(admission, addr) >= limit;
}

/* Why a newcomer is refused: what it is told, and what the log says. */
struct refusal {
	char told[80], reason[80];
};

/* Returns whether the address may come in, where need be in the place of a half-open one. */
static bool
may_enter(struct admission *admission, const struct addr *addr, struct refusal *refusal)
{
	const struct config *config = admission->pool->config;
	const struct limits *limits = &config->limits;

	if (!access_allows(config->access, addr)) {
		strlcpy(refusal->told, "your address is not allowed", sizeof(refusal->told));
		strlcpy(refusal->reason, "address not allowed", sizeof(refusal->reason));
	} else if (has_too_many(admission, addr) && !lobby_make_room(admission->lobby, addr)) {
		snprintf(refusal->told, sizeof(refusal->told),
		    "too many clients from your address, at most %u", limits->clients_per_address);
		snprintf(refusal->reason, sizeof(refusal->reason),
		    "too many clients from this address, at most %u", limits->clients_per_address);
	} else if (admission_is_full(admission) && !lobby_make_room(admission->lobby, NULL)) {
		snprintf(refusal->told, sizeof(refusal->told), "too many clients, at most %u",
		    limits->clients);
		strlcpy(refusal->reason, refusal->told, sizeof(refusal->reason));
	} else {
		return true;
	}
	return false;
}

/* There is no conn to leave with, so the last word goes straight to the socket. */
static void
refuse_without_memory(int sd, const struct addr *addr, bool tls)
{
	static const char line[] = "chatd: out of memory\n";
	char text[ADDR_TEXT];

	send(sd, tls ? tls_alert : line, tls ? TLS_ALERT : strlen(line),
	    MSG_NOSIGNAL | MSG_DONTWAIT);
	shutdown(sd, SHUT_WR);
	if (journal != NULL && !tls)
		safe_forget_accepted(sd);
	trace_removing(sd);
	log_limited(LOG_REFUSED, "%s refused: %s", addr_format(addr, text), strerror(ENOMEM));
	close(sd);
}

/* What being a member, a newcomer of the lobby, or leaving, takes of descriptor sd. */
static int
reserve(struct admission *admission, int sd, bool tls)
{
	struct pressure *pressure = admission->leaving->pressure;

	if (pool_reserve(admission->pool, sd) < 0 || leaving_reserve(admission->leaving, sd) < 0)
		return -1;
	if (tls && lobby_reserve(admission->lobby, sd) < 0)
		return -1;
	if (roster_has_room(pressure->roster) && roster_reserve(pressure->roster, sd) < 0)
		return -1;
	return rate_has_room(pressure->rate) ? rate_reserve(pressure->rate, sd) : 0;
}

/* Returns 0, or -1 when memory is refused. */
static int
let_in(struct admission *admission, int sd, const struct addr *addr, bool tls)
{
	struct conn *conn;

	if (tls)
		return lobby_add(admission->lobby, sd, addr);
	if ((conn = conn_new(sd, addr, NULL)) == NULL)
		return -1;
	enter(admission, conn);
	return 0;
}

/* Returns 0, or -1 when memory is refused. */
static int
refuse(struct admission *admission, int sd, const struct addr *addr, bool tls,
    const struct refusal *refusal)
{
	struct conn *conn = tls ? conn_new_unkept(sd, addr) : conn_new(sd, addr, NULL);

	if (conn == NULL)
		return -1;
	if (tls)
		leaving_refuse_tls(admission->leaving, conn, refusal->reason, true);
	else
		leaving_refuse(admission->leaving, conn, refusal->told, refusal->reason);
	return 0;
}

bool
admission_receive(struct admission *admission, int sd, const struct addr *addr, bool tls)
{
	struct refusal refusal;
	bool enters = false;
	int result = -1;

	trace_accepted(sd);
	if (reserve(admission, sd, tls) == 0) {
		enters = may_enter(admission, addr, &refusal);
		result = enters ? let_in(admission, sd, addr, tls)
				: refuse(admission, sd, addr, tls, &refusal);
	}
	if (result < 0)
		refuse_without_memory(sd, addr, tls);
	return enters && result == 0;
}

bool
admission_is_scarce(const struct admission *admission, const struct addr *before)
{
	if (admission_is_full(admission))
		return true;
	if (before == NULL)
		return admission->pool->config->limits.clients_per_address > 0;
	return has_too_many(admission, before);
}

/* The first newcomer of this pass: the newcomers are the last ones not announced yet. */
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

static void
log_connected(const struct conn *conn)
{
	char address[ADDR_TEXT], tls[TLS_TEXT] = "";

	if (conn->secure)
		tls_describe(conn->tls[0], tls);
	(conn->probe ? log_debug : log_info)("%s connected as sd %d%s%s",
	    addr_format(&conn->addr, address), conn->fd, conn->secure ? ", " : "", tls);
}

void
admission_announce(struct admission *admission)
{
	struct conn *conn = first_newcomer(admission);

	admission->unannounced = 0;
	for (; conn != NULL; conn = TAILQ_NEXT(conn, entry)) {
		if (conn->announced)
			continue;
		conn->announced = true;
		if (!admission->pool->config->log_connections)
			continue;
		conn->probe = conn_said_nothing(conn);
		log_connected(conn);
	}
}
