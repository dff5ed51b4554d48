/*
 * filter: the number of the last entry of each node, so that every entry counts once.
 *
 * All nodes read the same stream, so all of them leave out the same entries. A jump in the numbers
 * of a node means that entries are lost. Of a node that was not known before, the first number
 * that comes is as good as any other.
 *
 * A node that starts anew has another name, so old names have to go: the one that was silent for
 * longest makes room.
 */
#ifndef CHATD_FILTER_H
#define CHATD_FILTER_H

#include <stdbool.h>
#include <stdint.h>

#define FILTER_NODES 1024 /* lives of nodes, of which mostly a few are alive */

struct filter {
	struct filter_node {
		uint64_t epoch, last;
		uint64_t used; /* when, by the clock of the filter */
	} nodes[FILTER_NODES];
	uint32_t count;
	uint64_t clock;
};

/* A filter begins as zeros. Whether the entry is new; if so, how many before it were lost. */
bool filter_pass(struct filter *filter, uint64_t epoch, uint64_t seq, uint64_t *lost);
/* The same, but nothing changes. */
bool filter_is_new(struct filter *filter, uint64_t epoch, uint64_t seq);
/* Whether it is the last one of its node that was passed or learned. */
bool filter_is_last(struct filter *filter, uint64_t epoch, uint64_t seq);
/* There is such an entry; those before it are no loss. */
void filter_learn(struct filter *filter, uint64_t epoch, uint64_t seq);

#endif
