/*
 * systemd: what chatd asks libsystemd for. All of it is here, so that chatd can be built without:
 * then systemd_none.c takes the place of systemd.c, and nobody passes sockets, watches or has a
 * journal. To tell the service manager something takes no library, see host/notify.h.
 */
#ifndef CHATD_SYSTEMD_H
#define CHATD_SYSTEMD_H

#include <stdint.h>

/* How many sockets were passed, from descriptor 3 on. Negative: an errno. */
int systemd_sockets(void);

/* Microseconds within which the manager wants to hear WATCHDOG=1, or 0. */
int64_t systemd_watchdog(void);

/*
 * A new stream to the journal, whose lines bear a <N> prefix. Never waits for journald. Returns -1
 * with errno; ENOSYS says that there never is one.
 */
int systemd_journal(void);

#endif
