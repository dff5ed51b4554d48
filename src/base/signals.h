/*
 * signals: SIGINT and SIGTERM end the server, SIGHUP reloads it. They are blocked but for the time
 * the loop waits, so none is missed between a look and the wait. SIGPIPE and
 * SIGXFSZ are ignored: the write that would have brought them fails.
 */
#ifndef CHATD_SIGNALS_H
#define CHATD_SIGNALS_H

#include <signal.h>
#include <stdbool.h>

/* waiting becomes the mask to wait with. Returns 0, or -1 with errno. */
int signals_open(sigset_t *waiting);

/* While a descriptor is ready, pselect returns without delivering a signal: looks for one. */
void signals_take(void);

/* How many signals to end have come. */
int signals_to_end(void);
/* Whether a signal to reload has come since the last call. */
bool signals_to_reload(void);

#endif
