/*
 * signals: SIGINT and SIGTERM end the server, SIGHUP reloads it, SIGUSR1 asks for a report, SIGUSR2
 * asks it to leave everything to a successor. They are blocked but for the time the loop waits, so
 * none is missed between a look and the wait. SIGPIPE and SIGXFSZ are ignored: the write that would
 * have brought them fails.
 */
#ifndef CHATD_SIGNALS_H
#define CHATD_SIGNALS_H

#include <signal.h>
#include <stdbool.h>

/*
 * waiting becomes the mask to wait with. Without something to reload SIGHUP ends the server too, as
 * when its terminal closes, unless it was ignored at the start, as by nohup. Returns 0, or -1 with
 * errno.
 */
int signals_open(sigset_t *waiting, bool can_reload);

/* While a descriptor is ready, pselect returns without delivering a signal: looks for one. */
void signals_take(void);

/* How many signals to end have come. */
int signals_to_end(void);
/* Whether a signal to reload, or to report, has come since the last call. */
bool signals_to_reload(void);
bool signals_to_report(void);
/* Whether a signal to leave has come. */
bool signals_to_leave(void);
/* There is nobody to leave anything to: such a signal ends the server, too. */
void signals_let_leave_end(void);

#endif
