/*
 * acceptor: accepts clients at the listeners.
 *
 * When accepting fails because the machine has no more descriptors or memory, the listeners leave
 * the read set for ACCEPTOR_PAUSE, or until a connection ends: nothing spins, and the log says so
 * once.
 */
#ifndef CHATD_ACCEPTOR_H
#define CHATD_ACCEPTOR_H

#include <stdbool.h>
#include <stdint.h>

#include "base/backoff.h"
#include "base/loop.h"
#include "chat/admission.h"
#include "conf/config.h"
#include "wire/listeners.h"

#define ACCEPTOR_BATCH 128 /* clients of one listener in one pass: each pass scans all members */
#define ACCEPTOR_PAUSE CLOCK_SECOND

struct acceptor {
	struct pool *pool;
	struct leaving *leaving;
	struct admission *admission;
	struct loop_class class; /* readers are the listeners */
	struct listeners listeners;
	struct backoff pause; /* rests after accepting failed, or a ready listener had nobody */
	bool server_ends;     /* everybody who waits is let in or refused */
	bool pause_logged;    /* the log says that accepting does not work */
};

void acceptor_init(struct acceptor *acceptor, struct admission *admission);

/*
 * Opens the listeners of config, or takes over those of the count descriptors passed that are not
 * -1; tls says which are for TLS. 0, or -1 logged.
 */
int acceptor_open(struct acceptor *acceptor, const struct config *config, int *passed,
    const bool *tls, int count);
/* Whether it has a listener for TLS that stays whatever the settings say. */
bool acceptor_inherited_tls(const struct acceptor *acceptor);
/* For a successor, before that: adds fd, if it is a listener that the journal knows. */
bool acceptor_restore(struct acceptor *acceptor, int fd);
/* And after it: sd was accepted, but neither let in nor refused. */
void acceptor_receive(struct acceptor *acceptor, int sd, const struct addr *addr);
/* Forgets the listeners; a successor goes on with them. */
void acceptor_leave(struct acceptor *acceptor);
/* Changes the listeners to those of another config. 0, or -1 told with nothing changed. */
int acceptor_change(struct acceptor *acceptor, const struct config *before,
    const struct config *after, source_tell *tell);
/* Logs each listener that is new, once nothing can fail any more. */
void acceptor_log(struct acceptor *acceptor);
/* The server is ending: accepts everyone waiting now. Later connections are accepted as well. */
void acceptor_drain(struct acceptor *acceptor);
/* Nobody is accepted from now on. */
void acceptor_close(struct acceptor *acceptor);

/* After a pass. Announces who came in. reaped: connections have gone. Returns when a pause will be
 * over. */
int64_t acceptor_run_due(struct acceptor *acceptor, bool reaped);

#endif
