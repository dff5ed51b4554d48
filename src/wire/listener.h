/*
 * listener: one socket that accepts clients, opened by chatd or passed by systemd.
 *
 * Functions return -1 after they have put the reason into error, in the manner of perror:
 * "bind 0.0.0.0:9034: Address already in use".
 */
#ifndef CHATD_LISTENER_H
#define CHATD_LISTENER_H

#include <bsd/sys/queue.h>
#include <stdbool.h>

#include "base/addr.h"
#include "conf/config.h"
#include "wire/socketfile.h"

#define LISTENER_ERROR 256 /* room for an error text */
#define LISTENER_NAME  128 /* room for an address or a path */

/* A TCP client is probed after so many silent seconds, and so often until it counts as gone. */
#define LISTENER_IDLE   300
#define LISTENER_PROBE  60 /* seconds between two probes */
#define LISTENER_PROBES 5

#define LISTENER_UNSENT                                                           \
	65536 /* bytes that wait in the kernel for a client's window, at the most \
	       */

struct listener {
	int fd;                   /* -1: not open, since the machine lacks or has lost it */
	bool absent;              /* the machine does not have its address yet */
	bool told;                /* the caller's mark: it has been logged */
	unsigned waited;          /* passes in a row that its newcomers wait for room */
	bool inherited;           /* never unlinked, kept whatever a reload says */
	unsigned record;          /* 1 + its place in the journal, or 0: see listener_keep */
	struct endpoint endpoint; /* as configured; unset in an inherited one */
	struct socketfile file;   /* of an own unix socket */
	TAILQ_ENTRY(listener) entry;
};

/*
 * Opens it at its endpoint. On failure it is stopped; errno EAFNOSUPPORT says that the machine
 * lacks the family. An address that the machine does not have yet is no failure.
 */
int listener_start(
    struct listener *listener, const struct config *config, char error[LISTENER_ERROR]);

/* Takes over fd, a socket that systemd passed. Fails if that is no listening stream socket. */
int listener_inherit(struct listener *listener, int fd, char error[LISTENER_ERROR]);

/*
 * Lets nobody new connect, so that everybody who is connected can be accepted before it is stopped.
 * A client that tries meanwhile is refused, or reaches the listener that follows.
 */
void listener_seal(struct listener *listener);

/* Closes it, and removes the file of its own unix socket. Keeps errno. */
void listener_stop(struct listener *listener);

/* Gives the file of its own unix socket the owner, the group and the mode of config. */
int listener_set_owner(
    const struct listener *listener, const struct config *config, char error[LISTENER_ERROR]);

/*
 * With a journal: records it and puts it into the safe, so that a successor has it, and with it
 * everybody who is connected but not accepted. Once stopped, it is forgotten there.
 */
void listener_keep(struct listener *listener);
/*
 * For a successor: the one that was recorded with fd, which does not block then. Returns false if
 * that was another socket.
 */
bool listener_restore(struct listener *listener, int fd);
/* Closes the descriptor alone: a successor goes on with the socket. */
void listener_leave(struct listener *listener);

/* What it is bound to, with "tls://" in front if so; for port 0, the real one. */
const char *listener_name(const struct listener *listener, char text[LISTENER_NAME]);

/*
 * Accepts one client: a non-blocking socket and its address. Returns its descriptor, or -1 with
 * errno; EAGAIN says that nobody waits.
 */
int listener_accept(const struct listener *listener, struct addr *addr);

/* Fills error with "what endpoint: reason" from errno, which it keeps. Returns -1. */
int listener_fail(char error[LISTENER_ERROR], const char *what, const struct endpoint *endpoint);

#endif
