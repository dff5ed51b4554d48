#include "cluster/sender.h"

#include <sys/param.h>
#include <sys/random.h>

#include "cluster/holds.h"
#include "wire/journal.h"

static uint64_t
new_epoch(void)
{
	uint64_t epoch = 0;

	while (epoch == 0)
		if (getrandom(&epoch, sizeof(epoch), 0) < 0)
			epoch = 0;
	return epoch;
}

int
sender_open(struct sender *sender, const struct cluster *settings)
{
	*sender = (struct sender){.settings = settings, .epoch = new_epoch()};
	return outbox_open(&sender->outbox, journal != NULL ? journal->outbox : NULL);
}

void
sender_close(struct sender *sender)
{
	outbox_close(&sender->outbox);
}

uint64_t
sender_begin(struct sender *sender, uint64_t first)
{
	const struct outbox *outbox = &sender->outbox;

	first = MAX(first, outbox->first);
	sender->sent = sender->taken = sender->back = first - 1;
	sender->rests = sender->repeats = false;
	return outbox->last >= first ? outbox->last - first + 1 : 0;
}

void
sender_rename(struct sender *sender)
{
	sender->epoch = new_epoch();
	sender->told = false;
	sender_begin(sender, sender->outbox.confirmed + 1);
}

/* --- what is next */

static bool
is_told_of(const struct sender *sender)
{
	if (sender->holds)
		return sender->told && clock_now() < sender->told_at + HOLDS_RENEW;
	return !sender->told;
}

/* Whether one may follow the one that was sent last. */
static bool
may_send(const struct sender *sender)
{
	if (sender->repeats)
		return false;
	return sender->sent == sender->back || (sender->rests && sender->sent == sender->taken);
}

/* Says again that it holds. Returns the number, or 0: there is no place for now. */
static uint64_t
renew(struct sender *sender)
{
	struct outbox *outbox = &sender->outbox;

	sender->told_at = clock_now();
	sender->repeats = outbox->last - outbox->confirmed >= SENDER_HOLDS &&
			  outbox_kind(outbox, outbox->last) == STREAM_HOLD;
	return sender->repeats ? outbox->last : outbox_make(outbox, STREAM_HOLD);
}

/* The number of the next entry, which is made if need be; 0: there is none. */
static uint64_t
next(struct sender *sender)
{
	struct outbox *outbox = &sender->outbox;
	uint64_t seq = MAX(sender->sent + 1, outbox->first);

	if (seq <= outbox->last)
		return seq;
	if (!is_told_of(sender) && sender->holds && sender->told)
		return renew(sender);
	if (!is_told_of(sender)) {
		seq = outbox_make(outbox, sender->holds ? STREAM_HOLD : STREAM_GO);
		if (seq != 0) {
			sender->told = sender->holds;
			sender->told_at = clock_now();
		}
		return seq;
	}
	return outbox_has_open(outbox) && !sender->rests ? outbox_make(outbox, STREAM_LINES) : 0;
}

static void
gather(const struct outbox *outbox, uint64_t seq, char *data)
{
	uint64_t place = outbox_begin(outbox, seq), end = outbox_end(outbox, seq);
	struct outbox_part part;

	while (place < end) {
		uint64_t behind = outbox_part(outbox, place, &part);

		outbox_copy(outbox, place, 0, data, part.len);
		data += part.len;
		place = behind;
	}
}

void
sender_send(struct sender *sender, struct commands *commands)
{
	const struct cluster *settings = sender->settings;
	struct stream_entry entry = {.epoch = sender->epoch};
	char *data;

	if (!may_send(sender) || (entry.seq = next(sender)) == 0)
		return;
	entry.kind = outbox_kind(&sender->outbox, entry.seq);
	/* Lines wait until something is read again. */
	if (sender->rests && entry.kind == STREAM_LINES)
		return;
	entry.len = outbox_size(&sender->outbox, entry.seq);
	data = stream_add(commands, settings->stream, settings->keep, &entry);
	if (data != NULL)
		gather(&sender->outbox, entry.seq, data);
	sender->sent = entry.seq;
	sender->sent_at = sender->progressed_at = clock_now();
}

/* --- what has become of it */

void
sender_taken(struct sender *sender)
{
	if (sender->taken == sender->sent)
		sender->repeats = false;
	sender->taken = MIN(sender->taken + 1, sender->sent);
	sender->progressed_at = clock_now();
}

void
sender_came_back(struct sender *sender, uint64_t seq, bool is_new)
{
	if (seq > sender->back && seq <= sender->sent)
		sender->back = seq;
	if (is_new)
		outbox_confirm(&sender->outbox, seq);
	sender->progressed_at = clock_now();
}

void
sender_progressed(struct sender *sender)
{
	sender->progressed_at = clock_now();
}

void
sender_rest(struct sender *sender, bool rests)
{
	if (sender->rests && !rests)
		sender->sent_at = sender->progressed_at = clock_now();
	sender->rests = rests;
}

bool
sender_is_settled(const struct sender *sender)
{
	return outbox_pending(&sender->outbox) == 0 &&
	       sender->outbox.confirmed == sender->outbox.last && is_told_of(sender);
}

/* What the engine has taken comes behind what others have said. */
int64_t
sender_late_at(const struct sender *sender)
{
	if ((sender->sent == sender->back && !sender->repeats) || sender->rests)
		return CLOCK_NEVER;
	return (sender->taken == sender->sent ? sender->progressed_at : sender->sent_at) +
	       SENDER_DEADLINE;
}

int64_t
sender_due(const struct sender *sender)
{
	return sender->holds && sender->told && may_send(sender) ? sender->told_at + HOLDS_RENEW
								 : CLOCK_NEVER;
}
