/*
 * systemd: everything that needs libsystemd, so that chatd can be built without it: then
 * systemd_none.c takes the place of systemd.c, and there are no passed sockets, no watchdog and no
 * journal. Messages to the service manager need no library, see host/notify.h.
 */
#ifndef CHATD_SYSTEMD_H
#define CHATD_SYSTEMD_H

#include <stdbool.h>
#include <stdint.h>

/*
 * How many descriptors were passed, from 3 on. Negative: an errno. names gets the name of each
 * (FileDescriptorName= of the unit), or NULL; systemd_free_names frees them.
 */
int systemd_descriptors(char ***names);
void systemd_free_names(char **names);
/* Whether the manager passes to a successor what it is given to keep, as far as it tells. */
bool systemd_keeps_descriptors(void);

/* Microseconds within which the manager expects WATCHDOG=1, or 0. */
int64_t systemd_watchdog(void);

/*
 * A new stream to the journal, for lines with a <N> prefix. Never waits for journald. Returns -1
 * with errno; ENOSYS says that there never is one.
 */
int systemd_journal(void);

#endif
