/*
 * descriptors: the limit of open files.
 */
#ifndef CHATD_DESCRIPTORS_H
#define CHATD_DESCRIPTORS_H

#include <sys/resource.h>

#include "chat/acceptor.h"
#include "chat/leaving.h"
#include "conf/config.h"

/*
 * Descriptors beside those of clients and listeners: 0 to 2, the manager's, a file being read, a
 * lock; leaving clients; and clients refused in a pass, which are closed at its end.
 */
#define DESCRIPTORS_SPARE (8 + LEAVING_MAX + ACCEPTOR_BATCH)

/* Raises the limit as config needs it; the log says how many clients fit otherwise. Returns how
 * many there may be. */
rlim_t descriptors_raise(const struct config *config);

#endif
