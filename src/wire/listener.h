/*
 * listener: sockets that accept clients; own ones or ones that systemd passed.
 *
 * Functions return NULL or -1 after they have put the reason into error, in the manner of perror:
 * "bind 0.0.0.0:9034: Address already in use".
 */
#ifndef CHATD_LISTENER_H
#define CHATD_LISTENER_H

#include <bsd/sys/queue.h>
#include <stdbool.h>
#include <sys/types.h>

#include "base/addr.h"
#include "conf/config.h"

#define LISTENER_ERROR 256 /* room of an error text */
#define LISTENER_NAME  128 /* room of an address or a path */

struct listener {
	int fd;                   /* -1: not open, since the machine lacks or has lost it */
	bool told;                /* the caller's mark: the log knows of it */
	unsigned waited;          /* passes in a row that its newcomers wait for room */
	bool inherited;           /* never unlinked, kept whatever a reload says */
	struct endpoint endpoint; /* as configured; unset in an inherited one */
	dev_t dev; /* the file of an own unix socket, so that only that is unlinked */
	ino_t ino;
	TAILQ_ENTRY(listener) entry;
};

TAILQ_HEAD(listeners, listener);

/* Opens every endpoint of the config. On failure none is left open. */
int listeners_open(struct listeners *all, const struct config *config, char error[LISTENER_ERROR]);

/* Takes over count descriptors from first on. Fails where one is no listening stream socket. */
int listeners_inherit(struct listeners *all, int first, int count, char error[LISTENER_ERROR]);

/*
 * Makes the listeners of one config be those of another: endpoints in both keep their sockets,
 * others are opened and closed. On failure everything is as before; should even that be impossible,
 * because somebody took the address in between, such a listener has fd -1. Inherited listeners
 * stay.
 */
int listeners_change(struct listeners *all, const struct config *before, const struct config *after,
    char error[LISTENER_ERROR]);

void listeners_close(struct listeners *all);

/* What it is bound to: a port 0 has become a real one. */
const char *listener_name(const struct listener *listener, char text[LISTENER_NAME]);

/*
 * Accepts one client: a non-blocking socket and its address. Returns its descriptor, or -1 with
 * errno; EAGAIN says that nobody waits.
 */
int listener_accept(const struct listener *listener, struct addr *addr);

#endif
