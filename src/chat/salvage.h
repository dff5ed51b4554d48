/*
 * salvage: the sockets that a former process has left in the safe, each under the number it had.
 *
 * Only those are taken that the journal knows: a client with a record, a listener, or a newcomer
 * that the former process could not record any more. The others have ended, and are still in the
 * safe because it was not repacked yet.
 */
#ifndef CHATD_SALVAGE_H
#define CHATD_SALVAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/fdset.h"
#include "wire/conn.h"

/* A socket under its number. */
struct found {
	int fd;
	bool listens;
	bool recorded;     /* the record of that number is its own */
	struct conn *conn; /* NULL: a newcomer */
};

/* Listeners that were passed, and so are in the hands of somebody else, too. */
struct spared {
	const int *fds;
	int count;
};

struct salvage {
	struct found *found;
	size_t count, size;
	struct fdset have; /* numbers of clients and listeners */
	int highest;       /* numbers above it belong to others */
	struct spared spared;
	int error; /* errno, when memory or a descriptor was refused */
};

/* Returns 0, or -1, with error 0 if it is no safe; the safe still has everything. */
int salvage_begin(struct salvage *salvage, int highest, const struct spared *spared);
void salvage_free(struct salvage *salvage);

/* Ends one, and closes it. */
void salvage_end(const struct spared *spared, int fd);
/* Ends all sockets that are in the safe but those that were passed: nobody goes on with them. */
void salvage_end_all(const struct spared *spared);

/* What a socket has for ever, and no other has. */
uint64_t salvage_cookie(int fd);
bool salvage_listens(int fd);

#endif
