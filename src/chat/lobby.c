#include "chat/lobby.h"

#include <bsd/stdlib.h>
#include <stdio.h>
#include <sys/param.h>
#include <unistd.h>

#include "base/log.h"
#include "base/trace.h"

void
lobby_init(struct lobby *lobby, struct pool *pool)
{
	*lobby = (struct lobby){
	    .pool = pool,
	    .members = FDSET_EMPTY,
	    .silent = TAILQ_HEAD_INITIALIZER(lobby->silent),
	    .begun = TAILQ_HEAD_INITIALIZER(lobby->begun),
	    .ended = TAILQ_HEAD_INITIALIZER(lobby->ended),
	    .kernel = BACKOFF_NONE,
	};
	loop_register(lobby->pool->loop, &lobby->silent_class);
	loop_register(lobby->pool->loop, &lobby->begun_class);
}

int
lobby_reserve(struct lobby *lobby, int sd)
{
	if (sd >= lobby->size) {
		int size = MAX(64, MAX(sd + 1, lobby->size * 2));
		struct newcomer **newcomers = recallocarray(
		    lobby->newcomers, (size_t)lobby->size, (size_t)size, sizeof(*newcomers));

		if (newcomers == NULL)
			return -1;
		lobby->newcomers = newcomers;
		lobby->size = size;
	}
	if (fdset_reserve(&lobby->members, sd) < 0 ||
	    loop_reserve(lobby->pool->loop, &lobby->silent_class, sd) < 0)
		return -1;
	return loop_reserve(lobby->pool->loop, &lobby->begun_class, sd);
}

int
lobby_add(struct lobby *lobby, int sd, const struct addr *addr)
{
	struct newcomer *newcomer = malloc(sizeof(*newcomer));

	if (newcomer == NULL)
		return -1;
	*newcomer = (struct newcomer){.fd = sd, .arrived_at = clock_now(), .addr = *addr};
	lobby->newcomers[sd] = newcomer;
	fdset_add(&lobby->members, sd);
	loop_add(lobby->pool->loop, &lobby->silent_class, sd);
	fdset_add(&lobby->silent_class.readers, sd);
	TAILQ_INSERT_TAIL(&lobby->silent, newcomer, entry);
	lobby->count++;
	return 0;
}

uint32_t
lobby_count_host(const struct lobby *lobby, const struct addr *addr)
{
	const struct newcomer *newcomer;
	uint32_t count = 0;

	TAILQ_FOREACH(newcomer, &lobby->silent, entry)
		count += addr_same_network(&newcomer->addr, addr);
	TAILQ_FOREACH(newcomer, &lobby->begun, entry)
		count += addr_same_network(&newcomer->addr, addr);
	return count;
}

/* --- how a newcomer goes */

static void
take_from_list(struct lobby *lobby, struct newcomer *newcomer)
{
	if (newcomer->tls == NULL) {
		TAILQ_REMOVE(&lobby->silent, newcomer, entry);
		return;
	}
	TAILQ_REMOVE(&lobby->begun, newcomer, entry);
	lobby->count_begun--;
}

void
lobby_take_out(struct lobby *lobby, struct newcomer *newcomer)
{
	loop_remove(lobby->pool->loop, newcomer->fd);
	fdset_remove(&lobby->members, newcomer->fd);
	lobby->newcomers[newcomer->fd] = NULL;
	take_from_list(lobby, newcomer);
	lobby->count--;
}

/* Without a word more. */
static void
drop(struct lobby *lobby, struct newcomer *newcomer)
{
	trace_removing(newcomer->fd);
	lobby_take_out(lobby, newcomer);
	TAILQ_INSERT_TAIL(&lobby->ended, newcomer, entry);
}

void
lobby_refuse(struct lobby *lobby, struct newcomer *newcomer, const char *reason)
{
	char text[ADDR_TEXT];

	log_limited(LOG_REFUSED, "%s refused: %s", addr_format(&newcomer->addr, text), reason);
	drop(lobby, newcomer);
}

/* Health checks connect and close: hardly worth a line. */
void
lobby_closed(struct lobby *lobby, struct newcomer *newcomer)
{
	char text[ADDR_TEXT];

	if (lobby->pool->config->log_connections)
		log_debug("%s closed before it said who it is", addr_format(&newcomer->addr, text));
	trace_closed(newcomer->fd);
	drop(lobby, newcomer);
}

/* The one of the list that came first, of the same host unless addr is NULL; or NULL. */
static struct newcomer *
oldest_of(const struct newcomers *list, const struct addr *addr)
{
	struct newcomer *newcomer, *oldest = NULL;

	TAILQ_FOREACH(newcomer, list, entry) {
		if ((addr == NULL || addr_same_network(&newcomer->addr, addr)) &&
		    (oldest == NULL || newcomer->arrived_at < oldest->arrived_at))
			oldest = newcomer;
		/* The silent ones came one after the other, and may be very many. */
		if (oldest != NULL && newcomer->tls == NULL)
			break;
	}
	return oldest;
}

static int64_t
half_open_at(const struct newcomer *newcomer)
{
	return newcomer->arrived_at + LOBBY_HALF_OPEN;
}

static void
drop_for_another(struct lobby *lobby, struct newcomer *newcomer)
{
	lobby_refuse(lobby, newcomer, "no TLS handshake so far, and others wait");
}

bool
lobby_make_room(struct lobby *lobby, const struct addr *addr)
{
	struct newcomer *newcomer = oldest_of(&lobby->silent, addr);
	struct newcomer *begun = oldest_of(&lobby->begun, addr);

	if (newcomer == NULL || (begun != NULL && begun->arrived_at < newcomer->arrived_at))
		newcomer = begun;
	if (newcomer == NULL || clock_now() < half_open_at(newcomer))
		return false;
	drop_for_another(lobby, newcomer);
	return true;
}

int64_t
lobby_next_place_at(const struct lobby *lobby)
{
	if (lobby->count_begun < LOBBY_BEGUN)
		return clock_now();
	return half_open_at(oldest_of(&lobby->begun, NULL));
}

void
lobby_begin(struct lobby *lobby, struct newcomer *newcomer, struct tls *tls)
{
	if (lobby->count_begun >= LOBBY_BEGUN)
		drop_for_another(lobby, oldest_of(&lobby->begun, NULL));
	TAILQ_REMOVE(&lobby->silent, newcomer, entry);
	newcomer->tls = tls;
	TAILQ_INSERT_TAIL(&lobby->begun, newcomer, entry);
	lobby->count_begun++;
	loop_remove(lobby->pool->loop, newcomer->fd);
	loop_add(lobby->pool->loop, &lobby->begun_class, newcomer->fd);
}

bool
lobby_is_quiet(const struct lobby *lobby)
{
	return lobby->silent_class.ready == 0 && lobby->begun_class.ready == 0;
}

/* --- time */

static int64_t
due_of(const struct lobby *lobby, const struct newcomer *newcomer)
{
	return newcomer->arrived_at + lobby->pool->config->limits.handshake * CLOCK_SECOND;
}

/* Removes those of the list that are late. Returns when the next one will be. */
static int64_t
remove_late(struct lobby *lobby, struct newcomers *list)
{
	struct newcomer *newcomer, *next;
	int64_t due = CLOCK_NEVER;
	char reason[64];

	snprintf(reason, sizeof(reason), "no TLS handshake within %u seconds",
	    lobby->pool->config->limits.handshake);
	TAILQ_FOREACH_SAFE(newcomer, list, entry, next) {
		if (clock_now() >= due_of(lobby, newcomer))
			lobby_refuse(lobby, newcomer, reason);
		else
			due = clock_sooner(due, due_of(lobby, newcomer));
		/* The silent ones come one after the other. */
		if (list == &lobby->silent && due != CLOCK_NEVER)
			break;
	}
	return due;
}

static void
reap(struct lobby *lobby)
{
	struct newcomer *newcomer;

	while ((newcomer = TAILQ_FIRST(&lobby->ended)) != NULL) {
		TAILQ_REMOVE(&lobby->ended, newcomer, entry);
		close(newcomer->fd);
		tls_free(newcomer->tls);
		free(newcomer);
	}
}

int64_t
lobby_run_due(struct lobby *lobby)
{
	int64_t next, place;

	/* Mostly nobody is here. */
	if (lobby->count == 0 && TAILQ_EMPTY(&lobby->ended) && !backoff_rests(&lobby->kernel))
		return CLOCK_NEVER;
	next = backoff_run_due(&lobby->kernel);
	place = clock_now();
	if (lobby->count > 0) {
		next = clock_sooner(next, remove_late(lobby, &lobby->silent));
		next = clock_sooner(next, remove_late(lobby, &lobby->begun));
		place = lobby_next_place_at(lobby);
	}
	reap(lobby);
	lobby->begun_class.hold_readers = lobby->begun_class.hold_writers =
	    backoff_rests(&lobby->kernel);
	lobby->silent_class.hold_readers = backoff_rests(&lobby->kernel) || place > clock_now();
	/* Without silent ones nobody waits for the place. */
	if (place > clock_now() && !TAILQ_EMPTY(&lobby->silent))
		next = clock_sooner(next, place);
	return next;
}

/* --- all of them */

void
lobby_reconfigure(struct lobby *lobby)
{
	FDSET_FOREACH(sd, &lobby->members) {
		struct newcomer *newcomer = lobby->newcomers[sd];

		if (!access_allows(lobby->pool->config->access, &newcomer->addr))
			lobby_refuse(lobby, newcomer, "address not allowed");
	}
}

void
lobby_clear(struct lobby *lobby)
{
	FDSET_FOREACH(sd, &lobby->members)
		drop(lobby, lobby->newcomers[sd]);
	reap(lobby);
}

void
lobby_free(struct lobby *lobby)
{
	lobby_clear(lobby);
	fdset_free(&lobby->members);
	free(lobby->newcomers);
}
