/*
 * listeners: all sockets that accept clients, opened at the start, changed by a reload.
 *
 * Functions return -1 after they have put the reason into error, as listener.h does.
 */
#ifndef CHATD_LISTENERS_H
#define CHATD_LISTENERS_H

#include <bsd/sys/queue.h>

#include "conf/config.h"
#include "wire/listener.h"

TAILQ_HEAD(listeners, listener);

/*
 * Opens every endpoint of the config. One of a family that the machine lacks has fd -1, as long as
 * another one serves. On failure none is left open.
 */
int listeners_open(struct listeners *all, const struct config *config, char error[LISTENER_ERROR]);

/* Takes over count descriptors from first on. Fails if one is no listening stream socket. */
int listeners_inherit(struct listeners *all, int first, int count, char error[LISTENER_ERROR]);

/*
 * Called with a listener that goes, before it is closed. Nobody new can connect to it any more, and
 * everybody who is connected can be accepted, until that fails with EAGAIN.
 */
typedef void listeners_drain(struct listener *listener, void *context);

/*
 * Changes the listeners of one config to those of another: endpoints in both keep their sockets,
 * others are opened, or drained and closed. A unix socket whose file somebody has removed is opened
 * anew. On failure everything is as before; should even that be impossible, because somebody took
 * the address in between, such a listener has fd -1. Inherited listeners stay.
 */
int listeners_change(struct listeners *all, const struct config *before, const struct config *after,
    listeners_drain *drain, void *context, char error[LISTENER_ERROR]);

void listeners_close(struct listeners *all);

#endif
