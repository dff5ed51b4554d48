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

/*
 * Raises the limit as config needs it, and clients up to the number kept; the log says how many
 * clients fit otherwise. Returns how many descriptors there may be.
 */
rlim_t descriptors_raise(const struct config *config, int kept);

#endif
