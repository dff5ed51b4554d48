#include "cluster/persist.h"

#include <assert.h>
#include <string.h>

#include "wire/ledger.h"

/* Of the state, without the nodes that there are none of. */
static uint32_t
sum_of(const struct journal_channel *state)
{
	uint32_t sum = journal_sum(state, offsetof(struct journal_channel, sum));

	return sum ^ journal_sum(state->filter, state->nodes * sizeof(state->filter[0]));
}

/* A name is at most CLUSTER_TEXT bytes. */
static uint64_t
sum_of_name(const char *name)
{
	char text[CLUSTER_TEXT + 4] = "";

	memcpy(text, name, strnlen(name, CLUSTER_TEXT));
	return journal_sum(text, sizeof(text));
}

static void
record_filter(const struct filter *filter, struct journal_channel *state)
{
	static_assert(sizeof(filter->nodes) == sizeof(state->filter), "the filter fits");
	static_assert(OUTBOX_MEMORY <= JOURNAL_OUTBOX, "the outbox fits");
	state->clock = filter->clock;
	state->nodes = filter->count;
	memcpy(state->filter, filter->nodes, filter->count * sizeof(filter->nodes[0]));
}

void
persist_record(struct channel *channel)
{
	const struct outbox *outbox = &channel->sender.outbox;
	const struct channel_place *read = &channel->read, *saying = &channel->saying;
	struct journal_head *head;
	struct journal_channel *state;
	uint32_t spare;

	if (journal == NULL)
		return;
	head = journal->head;
	spare = journal_turn()->channel ^ 1;
	state = &head->channels[spare];
	state->epoch = channel->sender.epoch;
	state->stream = sum_of_name(channel->session.settings->stream);
	state->first = outbox->first;
	state->confirmed = outbox->confirmed;
	state->last = outbox->last;
	state->end = outbox->end;
	state->read[0] = read->id.time;
	state->read[1] = read->id.number;
	state->read[2] = read->epoch;
	state->read[3] = read->seq;
	state->origin[0] = channel->origin.time;
	state->origin[1] = channel->origin.number;
	state->saying[0] = saying->epoch;
	state->saying[1] = saying->seq;
	state->said = channel->said;
	state->learned = channel->learned;
	state->told = channel->sender.told;
	record_filter(&channel->filter, state);
	state->sum = sum_of(state);
	ledger_turn(-1)->channel = spare;
}

void
persist_settled(struct channel *channel)
{
	outbox_settle(&channel->sender.outbox);
}

void
persist_forget(void)
{
	uint32_t spare = journal_turn()->channel ^ 1;

	journal->head->channels[spare].epoch = 0;
	ledger_turn(-1)->channel = spare;
}

/* --- for a successor */

static bool
restore_outbox(struct outbox *outbox, const struct journal_channel *state)
{
	outbox->first = outbox->floor = state->first;
	outbox->confirmed = state->confirmed;
	outbox->last = state->last;
	outbox->end = state->end;
	return outbox_is_sound(outbox);
}

static void
restore_place(struct channel *channel, const struct journal_channel *state)
{
	channel->read = (struct channel_place){
	    .id = {.time = state->read[0], .number = state->read[1]},
	    .epoch = state->read[2],
	    .seq = state->read[3],
	};
	channel->origin = (struct stream_id){.time = state->origin[0], .number = state->origin[1]};
	channel->saying =
	    (struct channel_place){.epoch = state->saying[0], .seq = state->saying[1]};
	channel->said = state->said;
	channel->learned = state->learned != 0;
}

static void
restore_filter(struct filter *filter, const struct journal_channel *state)
{
	filter->clock = state->clock;
	filter->count = state->nodes;
	memcpy(filter->nodes, state->filter, state->nodes * sizeof(filter->nodes[0]));
}

/* The parts of an own entry that was said in part are not said again. */
static uint64_t
find_rest(const struct outbox *outbox, const struct journal_channel *state)
{
	bool was_begun =
	    state->saying[0] == state->epoch && state->saying[1] == state->confirmed + 1;

	return outbox_end(outbox, outbox->confirmed) + (was_begun ? state->said : 0);
}

static bool
is_same_stream(const struct channel *channel, const struct journal_channel *state)
{
	return channel != NULL && state->stream == sum_of_name(channel->session.settings->stream);
}

enum persist_outcome
persist_restore(struct channel *channel, struct persist_rest *rest)
{
	const struct journal_head *head = journal->head;
	const struct journal_channel *state = &head->channels[journal->next->channel & 1];
	struct outbox outbox;

	outbox_open(&outbox, journal->outbox);
	if (state->epoch == 0) {
		if (channel != NULL)
			outbox_clear(&channel->sender.outbox);
		return PERSIST_NOTHING;
	}
	if (state->nodes > FILTER_NODES || state->learned > 1 || state->told > 1 ||
	    state->sum != sum_of(state) || !restore_outbox(&outbox, state)) {
		journal_fault("what was said to the cluster");
		return PERSIST_DAMAGED;
	}
	if (channel != NULL)
		channel->sender.outbox = outbox;
	if (!is_same_stream(channel, state)) {
		*rest = (struct persist_rest){.outbox = outbox, .from = find_rest(&outbox, state)};
		if (channel != NULL)
			outbox_give_up(&channel->sender.outbox);
		return PERSIST_OTHER;
	}
	channel->sender.epoch = state->epoch;
	channel->sender.told = state->told != 0;
	restore_place(channel, state);
	restore_filter(&channel->filter, state);
	return PERSIST_DONE;
}
