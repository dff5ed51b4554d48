#include "cluster/channel.h"

#include <inttypes.h>
#include <stdlib.h>
#include <sys/param.h>
#include <syslog.h>

#include "base/log.h"

#define NO_STREAM "sent what is no stream"

/* --- recovery: what the reader is asked for */

static void
ask_after(struct channel *channel)
{
	stream_ask_after(&channel->session.reader.commands, channel->session.settings->stream,
	    &channel->read.id, channel->state == CHANNEL_LIVE);
}

static void
begin_catching(struct channel *channel)
{
	channel->state = CHANNEL_CATCHES;
	ask_after(channel);
}

static void
begin_anchoring(struct channel *channel)
{
	if (stream_id_same(&channel->read.id, &(struct stream_id){0})) {
		begin_catching(channel);
		return;
	}
	channel->state = CHANNEL_ANCHORS;
	stream_ask_one(&channel->session.reader.commands, channel->session.settings->stream,
	    &channel->read.id);
}

static void
begin_learning(struct channel *channel)
{
	channel->state = CHANNEL_LEARNS;
	channel->learned_count = 0;
	channel->read = (struct channel_place){0};
	stream_ask_last(&channel->session.reader.commands, channel->session.settings->stream, NULL);
}

static void
begin_live(struct channel *channel)
{
	uint64_t first = channel->sender.outbox.confirmed + 1;

	if (channel->reads_again)
		first = MIN(first, channel->own_seen + 1);
	channel->reads_again = false;
	channel->state = CHANNEL_LIVE;
	channel->taken = channel->session.taken;
	session_live(&channel->session, sender_begin(&channel->sender, first));
	ask_after(channel);
}

static void
forget_reply(struct channel *channel)
{
	reply_free(channel->reply);
	channel->reply = NULL;
	channel->entry.kind = STREAM_STRANGE;
}

/* The links stand, or do not any more. */
static void
follow(struct channel *channel)
{
	const struct session *session = &channel->session;

	if (!session->stands || session->number != channel->number) {
		forget_reply(channel);
		channel->state = CHANNEL_DOWN;
		channel->number = session->number;
	}
	if (session->stands && channel->state == CHANNEL_DOWN)
		(channel->learned ? begin_anchoring : begin_learning)(channel);
}

/* --- recovery: what it gets */

static void
note_read(struct channel *channel, const struct stream_entry *entry)
{
	channel->read =
	    (struct channel_place){.id = entry->id, .epoch = entry->epoch, .seq = entry->seq};
}

/* The last entries, the last one first. Returns false if it is something else. */
static bool
learn(struct channel *channel, const struct redisReply *reply)
{
	size_t count = reply_count(reply);
	struct stream_entry entry = {.seq = 0};

	if (reply_kind(reply) != REPLY_LIST)
		return false;
	for (size_t i = 0; i < count; i++) {
		if (!stream_read(reply_at(reply, i), &entry))
			return false;
		if (channel->learned_count++ == 0)
			note_read(channel, &entry);
		if (entry.kind != STREAM_STRANGE)
			filter_learn(&channel->filter, entry.epoch, entry.seq);
	}
	if (count == STREAM_COUNT && channel->learned_count < CHANNEL_LEARNED) {
		stream_ask_last(&channel->session.reader.commands,
		    channel->session.settings->stream, &entry.id);
		return true;
	}
	channel->learned = true;
	channel->origin = channel->read.id;
	begin_catching(channel);
	return true;
}

/* The entry that was read last, or nothing. */
static bool
anchor(struct channel *channel, const struct redisReply *reply)
{
	struct stream_entry entry = {.epoch = 0};

	if (reply_kind(reply) != REPLY_LIST ||
	    (reply_count(reply) > 0 && !stream_read(reply_at(reply, 0), &entry)))
		return false;
	if (reply_count(reply) == 0 || entry.epoch != channel->read.epoch ||
	    entry.seq != channel->read.seq) {
		channel->reads_again = true;
		channel->own_seen = 0;
		channel->read = (struct channel_place){.id = channel->origin};
	}
	begin_catching(channel);
	return true;
}

/* More entries, or the end. */
static bool
read_on(struct channel *channel, struct redisReply *reply)
{
	if (reply_kind(reply) == REPLY_NIL) {
		if (channel->state == CHANNEL_CATCHES)
			begin_live(channel);
		else
			ask_after(channel);
		reply_free(reply);
		return true;
	}
	if (stream_entries(reply) == NULL)
		return false;
	channel->reply = reply;
	channel->next = 0;
	return true;
}

/* Takes over the reply. */
static void
take_reply(struct channel *channel, struct redisReply *reply)
{
	bool is_sound;

	if (channel->state == CHANNEL_LEARNS)
		is_sound = learn(channel, reply);
	else if (channel->state == CHANNEL_ANCHORS)
		is_sound = anchor(channel, reply);
	else if ((is_sound = read_on(channel, reply)))
		return;
	reply_free(reply);
	if (!is_sound)
		session_fail(&channel->session, NO_STREAM);
}

/* --- entries */

static void
log_lost(const struct stream_entry *entry, uint64_t lost)
{
	if (lost > 0)
		log_limited(LOG_CLUSTER, "cluster: %" PRIu64 " entr%s lost, of node %016" PRIx64,
		    lost, lost == 1 ? "y" : "ies", entry->epoch);
}

/* Counts the entry. Returns whether it is new. */
static bool
pass(struct channel *channel, const struct stream_entry *entry)
{
	bool is_own = channel_is_own(channel, entry), is_new;
	uint64_t lost;

	is_new = filter_pass(&channel->filter, entry->epoch, entry->seq, &lost);
	log_lost(entry, lost);
	if (is_own) {
		channel->own_seen = MAX(channel->own_seen, entry->seq);
		sender_came_back(&channel->sender, entry->seq, is_new);
	}
	note_read(channel, entry);
	return is_new;
}

/* A number that this node never gave: from there on all nodes leave out what bears its name. */
static void
rename_node(struct channel *channel)
{
	sender_rename(&channel->sender);
	channel->own_seen = channel->sender.outbox.confirmed;
	channel->renamed = true;
	log_limited(
	    LOG_CLUSTER, "cluster: somebody uses the name of this node, which takes another");
}

/* A hold that comes again is renewed, if its node has said nothing since. */
static void
take_control(struct channel *channel, const struct stream_entry *entry)
{
	bool is_new = pass(channel, entry), is_hold = entry->kind == STREAM_HOLD;
	bool is_renewed = is_hold && !channel->reads_again &&
			  filter_is_last(&channel->filter, entry->epoch, entry->seq);

	if (!channel_is_own(channel, entry) && (is_new || is_renewed))
		(is_hold ? holds_take : holds_release)(&channel->others, entry->epoch);
}

/* The next entry of the reply. Returns whether it is one of lines that is new. */
static bool
take_entry(struct channel *channel, const struct redisReply *entries)
{
	struct stream_entry entry;

	if (!stream_read(reply_at(entries, channel->next), &entry)) {
		session_fail(&channel->session, NO_STREAM);
		return false;
	}
	if (channel_is_own(channel, &entry) && entry.seq > channel->sender.outbox.last)
		rename_node(channel);
	sender_progressed(&channel->sender);
	if (entry.kind == STREAM_LINES && filter_is_new(&channel->filter, entry.epoch, entry.seq)) {
		channel->entry = entry;
		return true;
	}
	channel->next++;
	if (entry.kind == STREAM_STRANGE) {
		log_limited(LOG_CLUSTER, "cluster: an entry that is none of chatd's is left out");
		note_read(channel, &entry);
	} else {
		take_control(channel, &entry);
	}
	return false;
}

const struct stream_entry *
channel_peek(struct channel *channel)
{
	struct redisReply *reply;

	for (;;) {
		follow(channel);
		if (channel->entry.kind == STREAM_LINES)
			return &channel->entry;
		if (channel->reply != NULL) {
			const struct redisReply *entries = stream_entries(channel->reply);

			if (channel->next < reply_count(entries)) {
				take_entry(channel, entries);
			} else {
				forget_reply(channel);
				ask_after(channel);
			}
		} else if ((reply = session_reply(&channel->session)) != NULL) {
			take_reply(channel, reply);
		} else {
			follow(channel);
			return NULL;
		}
	}
}

void
channel_accept(struct channel *channel)
{
	pass(channel, &channel->entry);
	channel->entry.kind = STREAM_STRANGE;
	channel->next++;
}

void
channel_pause(struct channel *channel, bool paused)
{
	session_pause(&channel->session, paused);
	sender_rest(&channel->sender, paused);
}

/* --- as a whole */

struct channel *
channel_new(
    const struct cluster *settings, struct loop *loop, struct loop_class *class, source_tell *tell)
{
	struct channel *channel = calloc(1, sizeof(*channel));

	if (channel == NULL || sender_open(&channel->sender, settings) < 0) {
		tell(LOG_ERR, "cluster: no memory");
		free(channel);
		return NULL;
	}
	if (session_open(&channel->session, settings, loop, class, tell) < 0) {
		sender_close(&channel->sender);
		free(channel);
		return NULL;
	}
	return channel;
}

void
channel_free(struct channel *channel)
{
	if (channel == NULL)
		return;
	forget_reply(channel);
	session_close(&channel->session);
	sender_close(&channel->sender);
	free(channel);
}

void
channel_abandon(struct channel *channel)
{
	outbox_close(&channel->sender.outbox);
	channel->learned = false;
	channel->read = (struct channel_place){0};
	channel->saying = (struct channel_place){0};
	channel->filter.count = 0;
}

int
channel_begin(struct channel *channel)
{
	return sender_open(&channel->sender, channel->session.settings);
}

void
channel_move(struct channel *channel, const struct cluster *settings)
{
	channel->session.settings = channel->sender.settings = settings;
}

void
channel_make(struct channel *channel)
{
	struct session *session = &channel->session;

	follow(channel);
	if (channel->state != CHANNEL_LIVE)
		return;
	for (; channel->taken < session->taken; channel->taken++)
		sender_taken(&channel->sender);
	sender_send(&channel->sender, &session->writer.commands);
}

void
channel_flush(struct channel *channel)
{
	session_flush(&channel->session);
}

bool
channel_is_open(const struct channel *channel)
{
	return channel->state == CHANNEL_LIVE && channel->session.live &&
	       !holds_any(&channel->others);
}

int64_t
channel_run_due(struct channel *channel)
{
	int64_t next = holds_run_due(&channel->others);

	if (channel->session.live && clock_now() >= sender_late_at(&channel->sender)) {
		/* Lower ids than at the start: the stream is a new one. */
		if (stream_id_before(&channel->session.taken_id, &channel->origin))
			channel->origin = (struct stream_id){0};
		session_fail(&channel->session, "did not give back an entry in time");
	}
	next = clock_sooner(next, session_run_due(&channel->session));
	if (!channel->session.live)
		return next;
	next = clock_sooner(next, sender_late_at(&channel->sender));
	return clock_sooner(next, sender_due(&channel->sender));
}
