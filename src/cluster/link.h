/*
 * link: one connection to the engine, by TCP, with TLS or not, or by a unix socket.
 *
 * Nothing waits: not for the connection, not for the handshake, and there are no names to resolve.
 * Its descriptor lies above those of the clients. The owner registers the class; the link keeps its
 * own place in the sets of that up to date.
 */
#ifndef CHATD_LINK_H
#define CHATD_LINK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/loop.h"
#include "cluster/command.h"
#include "cluster/reply.h"
#include "wire/tls.h"

#define LINK_WHY 160

enum link_state {
	LINK_CLOSED,
	LINK_CONNECTS,
	LINK_SHAKES, /* hands, with TLS */
	LINK_OPEN,
};

struct link {
	enum link_state state;
	int fd;
	struct loop *loop;
	struct loop_class *class;
	const struct tls_context *context; /* NULL: without TLS */
	struct tls *tls;
	bool wants_write; /* the handshake goes on when the socket is writable */
	bool paused;      /* nothing is received, since what came has not been dealt with yet */
	struct commands commands; /* wait to be sent; the owner adds some once it is open */
	struct replies replies;
	char why[LINK_WHY]; /* it has failed */
};

void link_init(struct link *link, struct loop *loop, struct loop_class *class);

/*
 * Begins to connect to the engine. context: TLS, unless that is a path. The descriptor is lowest or
 * higher, if possible. Returns 0, or -1 with why.
 */
int link_connect(struct link *link, const struct endpoint *engine,
    const struct tls_context *context, int lowest);
/* Closes it, if it is open. why stays. */
void link_close(struct link *link);

enum link_outcome {
	LINK_WAITS,
	LINK_OPENED, /* commands may be added */
	LINK_FED,    /* bytes have come: reply_next may have something */
	LINK_FAILED, /* why says why; close it */
};

/* What the class's functions are to call. */
enum link_outcome link_readable(struct link *link);
enum link_outcome link_writable(struct link *link);
/* Sends what the socket takes of the commands. LINK_WAITS, or LINK_FAILED. */
enum link_outcome link_flush(struct link *link);
/* Stops receiving, or goes on. */
void link_pause(struct link *link, bool paused);

#endif
