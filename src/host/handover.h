/*
 * handover: the way in for a successor.
 *
 * The service manager keeps a few descriptors for chatd: the journal, the two ends of the safe, and
 * those of the relay. The next process gets them back, whether the former one was asked to go by
 * SIGUSR2, was killed or has crashed: there is one way in. What is passed beside them is a listener
 * if it is a listening stream socket, whatever its name; everything else is closed with a line in
 * the log, and is never a reason not to start.
 *
 * A journal that another version has left, that is damaged, or that has ended two processes in a
 * row which took it over, is not used: its clients are let go, and chatd starts anew.
 *
 * Where no manager keeps descriptors, nothing of this happens, and there is no journal.
 */
#ifndef CHATD_HANDOVER_H
#define CHATD_HANDOVER_H

#include <stdbool.h>

#include "chat/takeover.h"
#include "conf/config.h"
#include "host/notify.h"

#define HANDOVER_FDS      16 /* that it needs, passed listeners included */
#define HANDOVER_KEPT     5  /* descriptors that the manager keeps */
#define HANDOVER_ATTEMPTS 16 /* in a row that were killed; */
#define HANDOVER_CRASHES  2  /* or that crashed, until it is given up */

struct handover {
	int kept[HANDOVER_KEPT]; /* as passed, or -1; once opened, those in use are elsewhere */
	int *passed;             /* listeners, */
	bool *tls;               /* and whether their clients speak TLS: their name is tls */
	int count;
	bool on;       /* there is a journal */
	bool fresh;    /* that the manager does not know yet */
	bool watches;  /* for crashes */
	int64_t began; /* to take over */
	struct takeover *takeover;
};

/* Nothing was passed. */
#define HANDOVER_NONE ((struct handover){.kept = {-1, -1, -1, -1, -1}})

/* Sorts count passed descriptors from 3 on by their names. 0, or -1 logged. */
int handover_sort(struct handover *handover, int count, char *const *names);
/*
 * Takes over what a former process left, or prepares for a successor. Descriptors of its own lie
 * above highest. 0, or -1 logged.
 */
int handover_open(struct handover *handover, struct chat *chat, const struct config *config,
    const struct notify *notify, int highest);
/* A listener could not be opened: that is not for what was taken over, which waits. */
void handover_excuse(const struct handover *handover);
/* Once the listeners are open. Everything is in the manager's hands before it says READY=1. */
int handover_finish(struct handover *handover, const struct notify *notify);
/* The first pass is over: what was taken over has not ended this process. */
void handover_proved(struct handover *handover);
/* A reload to config, which may allow more than the journal was laid out for. */
void handover_reconfigure(const struct handover *handover, const struct config *config);

/* Whether clients of a former process are in this one. */
bool handover_took_over(const struct handover *handover);
/* When the first process began to serve; without a journal, now. */
int64_t handover_started(const struct handover *handover, int64_t now);

/* This process goes; everything is left to a successor. */
void handover_leave(struct handover *handover);
/* Everything has ended: nothing stays with the manager. */
void handover_close(struct handover *handover, const struct notify *notify);
/* After either, when nothing refers to the journal any more. */
void handover_free(struct handover *handover);

#endif
