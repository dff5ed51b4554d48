#include "cluster/filter.h"

#include <stddef.h>
#include <sys/param.h>

static struct filter_node *
find(struct filter *filter, uint64_t epoch)
{
	for (uint32_t i = 0; i < filter->count; i++)
		if (filter->nodes[i].epoch == epoch)
			return &filter->nodes[i];
	return NULL;
}

/* A place for one that is new. */
static struct filter_node *
make_room(struct filter *filter)
{
	struct filter_node *oldest = &filter->nodes[0];

	if (filter->count < FILTER_NODES)
		return &filter->nodes[filter->count++];
	for (uint32_t i = 1; i < filter->count; i++)
		if (filter->nodes[i].used < oldest->used)
			oldest = &filter->nodes[i];
	return oldest;
}

bool
filter_pass(struct filter *filter, uint64_t epoch, uint64_t seq, uint64_t *lost)
{
	struct filter_node *node = find(filter, epoch);

	*lost = 0;
	if (node == NULL) {
		filter_learn(filter, epoch, seq);
		return true;
	}
	node->used = ++filter->clock;
	if (seq <= node->last)
		return false;
	*lost = seq - node->last - 1;
	node->last = seq;
	return true;
}

bool
filter_is_new(struct filter *filter, uint64_t epoch, uint64_t seq)
{
	const struct filter_node *node = find(filter, epoch);

	return node == NULL || seq > node->last;
}

bool
filter_is_last(struct filter *filter, uint64_t epoch, uint64_t seq)
{
	const struct filter_node *node = find(filter, epoch);

	return node != NULL && seq == node->last;
}

void
filter_learn(struct filter *filter, uint64_t epoch, uint64_t seq)
{
	struct filter_node *node = find(filter, epoch);

	if (node == NULL) {
		node = make_room(filter);
		*node = (struct filter_node){.epoch = epoch};
	}
	node->last = MAX(node->last, seq);
	node->used = ++filter->clock;
}
