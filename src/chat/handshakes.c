#include "chat/handshakes.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/trace.h"
#include "wire/tls_text.h"

#define HANDSHAKE 0x16 /* the first byte of every TLS connection: the type of its record */

static loop_serve on_readable, on_writable;

void
handshakes_init(struct handshakes *handshakes, struct lobby *lobby, struct leaving *leaving,
    const struct tls_context *context)
{
	*handshakes = (struct handshakes){.lobby = lobby, .leaving = leaving, .context = context};
	lobby->silent_class.readable = lobby->begun_class.readable = on_readable;
	lobby->begun_class.writable = on_writable;
	lobby->silent_class.room = lobby->begun_class.room = handshakes;
}

/* Lets it leave, so that the last word arrives: told, or else the alert that was sent already. */
static void
refuse(
    struct handshakes *handshakes, struct newcomer *newcomer, const char *told, const char *reason)
{
	struct conn *conn = conn_new_unkept(newcomer->fd, &newcomer->addr);

	if (conn == NULL) {
		lobby_refuse(handshakes->lobby, newcomer, reason);
		return;
	}
	lobby_take_out(handshakes->lobby, newcomer);
	tls_free(newcomer->tls);
	free(newcomer);
	if (told != NULL)
		leaving_refuse(handshakes->leaving, conn, told, reason);
	else
		leaving_refuse_tls(handshakes->leaving, conn, reason, false);
}

static void
enter(struct handshakes *handshakes, struct newcomer *newcomer)
{
	struct pool *pool = handshakes->lobby->pool;
	struct conn *conn = conn_new(newcomer->fd, &newcomer->addr, newcomer->tls);

	if (conn == NULL) {
		lobby_refuse(handshakes->lobby, newcomer, strerror(ENOMEM));
		return;
	}
	lobby_take_out(handshakes->lobby, newcomer);
	free(newcomer);
	handshakes->enter(handshakes->room, conn);
	if (conn_pending(conn))
		fdset_add(&pool->class.pending, conn->fd);
	if (conn_unsent(conn))
		fdset_add(&pool->class.writers, conn->fd);
}

/* The handshake could not go on, though select called the socket ready. */
static void
count_refusal(struct handshakes *handshakes, struct newcomer *newcomer)
{
	if (newcomer->tls->received + newcomer->tls->sent > 0)
		newcomer->refusals = 0;
	else if (backoff_count(&newcomer->refusals))
		backoff_begin(&handshakes->lobby->kernel, BACKOFF_REST);
}

static void
fail(struct handshakes *handshakes, struct newcomer *newcomer)
{
	char why[TLS_REASON], reason[TLS_REASON + 8];

	if (newcomer->tls->eof) {
		lobby_closed(handshakes->lobby, newcomer);
		return;
	}
	snprintf(reason, sizeof(reason), "TLS: %s", tls_reason(newcomer->tls, why));
	refuse(handshakes, newcomer, NULL, reason);
}

static void
go_on(struct handshakes *handshakes, struct newcomer *newcomer, bool readable)
{
	int fd = newcomer->fd;
	enum tls_outcome outcome = tls_handshake(newcomer->tls, readable);

	if (newcomer->tls->received > 0)
		trace_received(newcomer->tls->received, fd);
	switch (outcome) {
	case TLS_OPEN:
		enter(handshakes, newcomer);
		return;
	case TLS_FAILED:
		fail(handshakes, newcomer);
		return;
	case TLS_WANTS_READ:
		fdset_add(&handshakes->lobby->begun_class.readers, fd);
		fdset_remove(&handshakes->lobby->begun_class.writers, fd);
		break;
	case TLS_WANTS_WRITE:
		fdset_add(&handshakes->lobby->begun_class.writers, fd);
		fdset_remove(&handshakes->lobby->begun_class.readers, fd);
		break;
	}
	count_refusal(handshakes, newcomer);
}

/* Its turn comes in handshakes_run. */
static void
on_readable(void *room, int fd)
{
	(void)room;
	(void)fd;
}

static void
on_writable(void *room, int fd)
{
	struct handshakes *handshakes = room;

	go_on(handshakes, handshakes->lobby->newcomers[fd], false);
}

static void
begin(struct handshakes *handshakes, struct newcomer *newcomer)
{
	struct tls *tls = tls_new(handshakes->context, newcomer->fd);

	if (tls == NULL) {
		lobby_refuse(handshakes->lobby, newcomer, strerror(ENOMEM));
		return;
	}
	lobby_begin(handshakes->lobby, newcomer, tls);
	go_on(handshakes, newcomer, true);
}

/* Looks at its first byte. A look that fails is skipped, like a recv. */
static void
answer(struct handshakes *handshakes, struct newcomer *newcomer)
{
	char byte;
	ssize_t n;

	trace_readable(newcomer->fd);
	n = recv(newcomer->fd, &byte, 1, MSG_PEEK);
	if (n == 0)
		lobby_closed(handshakes->lobby, newcomer);
	else if (n > 0 && byte == HANDSHAKE)
		begin(handshakes, newcomer);
	else if (n > 0)
		refuse(handshakes, newcomer, "this port wants TLS", "TLS: it spoke something else");
	else if (backoff_count(&newcomer->refusals))
		backoff_begin(&handshakes->lobby->kernel, BACKOFF_REST);
}

/* Whether the slice, which begins with the first question, is over. */
static bool
is_over(int64_t *until)
{
	int64_t now = clock_read();

	if (*until == CLOCK_NEVER)
		*until = now + HANDSHAKES_SLICE;
	return now >= *until;
}

static void
go_on_with_all(struct handshakes *handshakes)
{
	const struct fdset *readable = &handshakes->lobby->pool->loop->readable;
	struct newcomer *newcomer, *next;
	int64_t until = CLOCK_NEVER;

	TAILQ_FOREACH_SAFE(newcomer, &handshakes->lobby->begun, entry, next) {
		if (!fdset_has(readable, newcomer->fd))
			continue;
		if (is_over(&until))
			return;
		trace_readable(newcomer->fd);
		go_on(handshakes, newcomer, true);
	}
}

static void
begin_all(struct handshakes *handshakes)
{
	struct lobby *lobby = handshakes->lobby;
	struct newcomer *newcomer, *next;
	int64_t until = CLOCK_NEVER;

	TAILQ_FOREACH_SAFE(newcomer, &lobby->silent, entry, next) {
		if (!fdset_has(&lobby->pool->loop->readable, newcomer->fd))
			continue;
		if (lobby_next_place_at(lobby) > clock_now() || is_over(&until))
			return;
		answer(handshakes, newcomer);
	}
}

void
handshakes_run(struct handshakes *handshakes)
{
	const struct lobby *lobby = handshakes->lobby;

	if (lobby->begun_class.ready > 0)
		go_on_with_all(handshakes);
	if (lobby->silent_class.ready > 0)
		begin_all(handshakes);
}
