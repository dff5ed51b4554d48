/*
 * owners: who said which part of an entry, by a number that nobody else ever has.
 *
 * For a client in the journal it is the cookie of its socket, so that a successor knows it, too.
 * For others it is counted from the time of the start. A client that leaves has none any more,
 * whoever gets its descriptor.
 */
#ifndef CHATD_OWNERS_H
#define CHATD_OWNERS_H

#include <stdbool.h>
#include <stdint.h>

#include "chat/pool.h"

struct owners {
	struct pool *pool;
	uint64_t *numbers; /* by descriptor, of those who have said something; 0: none */
	int size;          /* of numbers */
	uint64_t count;    /* the last number of one who is not in the journal */
};

void owners_init(struct owners *owners, struct pool *pool);
void owners_free(struct owners *owners);
/* Makes room for the number of descriptor sd. Returns whether there is. */
bool owners_reserve(struct owners *owners, int sd);
/* The number of conn, for which there is room. */
uint64_t owners_number(struct owners *owners, const struct conn *conn);
/* The member that has descriptor sd and that number, or NULL: it has left. */
struct conn *owners_find(const struct owners *owners, int sd, uint64_t number);
/* conn is no longer a member. */
void owners_forget(struct owners *owners, const struct conn *conn);

#endif
