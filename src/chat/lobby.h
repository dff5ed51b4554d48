/*
 * lobby: clients that were accepted, but whose TLS handshake is not over.
 *
 * They are no members of the pool: nothing is delivered to them, and a pool that is held does not
 * hold them. They count for limits.clients and limits.clients_per_address. A newcomer is silent
 * until its first byte has come, and costs little more than its descriptor; then its handshake
 * begins, which takes some 50 KiB, or 160 with a very long hello, so at most LOBBY_BEGUN are under
 * way.
 *
 * A handshake that is not over limits.handshake after the client came is given up. Where there is
 * no place for a newcomer, the oldest newcomer makes room, once it is LOBBY_HALF_OPEN old: those
 * who connect and say nothing, or half a hello, keep nobody out.
 */
#ifndef CHATD_LOBBY_H
#define CHATD_LOBBY_H

#include <bsd/sys/queue.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/backoff.h"
#include "base/loop.h"
#include "chat/pool.h"
#include "wire/tls.h"

#define LOBBY_BEGUN     128
#define LOBBY_HALF_OPEN (CLOCK_SECOND / 2)

struct newcomer {
	int fd;
	uint8_t refusals; /* see backoff.h */
	struct tls *tls;  /* NULL while it is silent */
	int64_t arrived_at;
	struct addr addr;
	TAILQ_ENTRY(newcomer) entry; /* in the one list it is in: silent, begun or ended */
};

TAILQ_HEAD(newcomers, newcomer);

struct lobby {
	struct pool *pool;
	struct loop_class silent_class; /* readers are all that are silent */
	struct loop_class begun_class;  /* the others: each waits to be readable, or writable */
	struct newcomer **newcomers;    /* by descriptor */
	int size;                       /* of newcomers */
	struct fdset members;           /* descriptors of all newcomers */
	struct newcomers silent;        /* in the order in which they came */
	struct newcomers begun;         /* in the order in which their handshakes began */
	struct newcomers ended;         /* in this pass */
	uint32_t count;                 /* of newcomers, without those that have ended */
	uint32_t count_begun;
	struct backoff kernel; /* rests after the kernel refused ready sockets */
};

/* The room that goes on with handshakes sets its functions in both classes. */
void lobby_init(struct lobby *lobby, struct pool *pool);
void lobby_free(struct lobby *lobby);
/* Makes room for descriptor sd. Returns 0, or -1 when memory is refused. */
int lobby_reserve(struct lobby *lobby, int sd);

/* Takes over sd, for which there is room. Returns 0, or -1 when memory is refused. */
int lobby_add(struct lobby *lobby, int sd, const struct addr *addr);
/* How many newcomers come from the same host. */
uint32_t lobby_count_host(const struct lobby *lobby, const struct addr *addr);
/* Refuses the oldest newcomer, of the same host unless addr is NULL, if it is old enough. Returns
 * whether there was one. */
bool lobby_make_room(struct lobby *lobby, const struct addr *addr);

/* When one more handshake may begin: now, or once the oldest is old enough to make room. */
int64_t lobby_next_place_at(const struct lobby *lobby);
/* The newcomer, for which there is a place, is silent no longer. Takes over tls. */
void lobby_begin(struct lobby *lobby, struct newcomer *newcomer, struct tls *tls);

/* The newcomer leaves the lobby; the caller takes over its descriptor and tls, and frees it. */
void lobby_take_out(struct lobby *lobby, struct newcomer *newcomer);
/* The newcomer goes without a word, and its descriptor is closed at the end of the pass: it was
 * refused, or it has closed the connection. */
void lobby_refuse(struct lobby *lobby, struct newcomer *newcomer, const char *reason);
void lobby_closed(struct lobby *lobby, struct newcomer *newcomer);

/* Whether nobody was ready in this pass. */
bool lobby_is_quiet(const struct lobby *lobby);
/* Refuses those who are late, and frees those who went. Returns when to look again. */
int64_t lobby_run_due(struct lobby *lobby);

/* After a reload: refuses those who are no longer allowed. */
void lobby_reconfigure(struct lobby *lobby);
/* Everybody goes. */
void lobby_clear(struct lobby *lobby);

#endif
