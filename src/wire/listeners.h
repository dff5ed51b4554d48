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

/* With a journal: keeps those that are not kept yet. */
void listeners_keep(const struct listeners *all);
/*
 * For a successor. fd is a kept one, which is added. Returns false, and leaves fd alone, if it is
 * none.
 */
bool listeners_restore(struct listeners *all, int fd);
/*
 * Of the listeners restored, those that systemd had passed stay so if they are among the count
 * descriptors passed now, of which the duplicates are closed and become -1. Whose clients speak
 * another way now, as tls says, is to be kept anew. systemd does not listen on the others any more:
 * they count as chatd's own, so that they end unless the settings name them.
 */
void listeners_match(struct listeners *all, int *passed, const bool *tls, int count);
/* Forgets all; a successor goes on with them. */
void listeners_leave(struct listeners *all);

/* Takes over count descriptors, of which tls says whether their clients speak it; NULL: none does.
 * Fails if one is no listening stream socket. */
int listeners_inherit(
    struct listeners *all, const int *fds, const bool *tls, int count, char error[LISTENER_ERROR]);

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

/* Drains and closes all own ones. */
void listeners_retire(struct listeners *all, listeners_drain *drain, void *context);
void listeners_close(struct listeners *all);

#endif
