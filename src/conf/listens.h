/*
 * listens: where to listen, from the texts of the setting to endpoints that fit together.
 *
 * An entry without a port gets the port that is in force after all files were read; only then can
 * conflicts between entries be found.
 */
#ifndef CHATD_LISTENS_H
#define CHATD_LISTENS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/addr.h"
#include "conf/setting.h"

struct listens {
	struct listen_entry {
		struct endpoint endpoint;
		bool own_port;
		const char *file; /* where it stands: not owned */
		int line;
	} * entries;
	size_t count;
};

/* Reads the setting into the struct listens at the field of the rule, in the place of what it has.
 */
setting_read listens_read;

/*
 * Returns the endpoints, which the caller frees, and how many they are; with no entry "::". Faults
 * are reported and counted by source. NULL: no memory.
 */
struct endpoint *listens_resolve(
    struct listens *listens, uint16_t port, struct source *source, size_t *count);
/* There are no certificates: a fault of the first entry that needs them. */
void listens_refuse_tls(const struct listens *listens, struct source *source);
void listens_clear(struct listens *listens);

#endif
