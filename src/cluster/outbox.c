#include "cluster/outbox.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/param.h>

#define HEAD sizeof(struct outbox_part)

int
outbox_open(struct outbox *outbox, char *memory)
{
	static_assert(HEAD == 16, "parts begin at multiples of their head's size");
	*outbox = (struct outbox){.bytes = memory, .owns = memory == NULL, .first = 1, .floor = 1};
	if (memory == NULL && (outbox->bytes = malloc(OUTBOX_MEMORY)) == NULL)
		return -1;
	outbox->entries = (struct outbox_entry *)(void *)(outbox->bytes + OUTBOX_BYTES);
	if (outbox->owns)
		outbox_clear(outbox);
	return 0;
}

void
outbox_clear(struct outbox *outbox)
{
	outbox->entries[0] = (struct outbox_entry){.end = 0};
	outbox->first = outbox->floor = 1;
	outbox->confirmed = outbox->last = outbox->end = 0;
}

void
outbox_give_up(struct outbox *outbox)
{
	outbox->end = outbox_end(outbox, outbox->last);
	outbox->confirmed = outbox->last;
	outbox->first = outbox->last + 1;
}

void
outbox_close(struct outbox *outbox)
{
	if (outbox->owns)
		free(outbox->bytes);
	*outbox = (struct outbox){0};
}

/* --- the ring */

static void
store(struct outbox *outbox, uint64_t place, const void *data, size_t len)
{
	size_t at = place % OUTBOX_BYTES, part = MIN(len, OUTBOX_BYTES - at);

	memcpy(outbox->bytes + at, data, part);
	memcpy(outbox->bytes, (const char *)data + part, len - part);
}

static void
fetch(const struct outbox *outbox, uint64_t place, void *data, size_t len)
{
	size_t at = place % OUTBOX_BYTES, part = MIN(len, OUTBOX_BYTES - at);

	memcpy(data, outbox->bytes + at, part);
	memcpy((char *)data + part, outbox->bytes, len - part);
}

uint64_t
outbox_part(const struct outbox *outbox, uint64_t place, struct outbox_part *part)
{
	fetch(outbox, place, part, HEAD);
	return place + HEAD + roundup(part->len, HEAD);
}

void
outbox_copy(const struct outbox *outbox, uint64_t place, size_t skip, char *data, size_t len)
{
	fetch(outbox, place + HEAD + skip, data, len);
}

/* --- entries */

static const struct outbox_entry *
entry_of(const struct outbox *outbox, uint64_t seq)
{
	return &outbox->entries[seq % OUTBOX_ENTRIES];
}

enum stream_kind
outbox_kind(const struct outbox *outbox, uint64_t seq)
{
	return (enum stream_kind)entry_of(outbox, seq)->kind;
}

uint64_t
outbox_end(const struct outbox *outbox, uint64_t seq)
{
	return entry_of(outbox, seq)->end;
}

/* The place of the one before floor is never overwritten. */
uint64_t
outbox_begin(const struct outbox *outbox, uint64_t seq)
{
	return outbox_end(outbox, seq - 1);
}

size_t
outbox_size(const struct outbox *outbox, uint64_t seq)
{
	uint64_t place = outbox_begin(outbox, seq), end = outbox_end(outbox, seq);
	struct outbox_part part;
	size_t size = 0;

	while (place < end) {
		place = outbox_part(outbox, place, &part);
		size += part.len;
	}
	return size;
}

/* Lets go of the oldest entry, if it has come back. */
static bool
forget_one(struct outbox *outbox)
{
	if (outbox->first > outbox->confirmed)
		return false;
	outbox->first++;
	return true;
}

bool
outbox_reserve(struct outbox *outbox, size_t len)
{
	uint64_t need = roundup(len, HEAD) + 4 * HEAD;

	while (outbox->end - outbox_begin(outbox, outbox->first) + need > OUTBOX_BYTES &&
	       forget_one(outbox))
		;
	return outbox->end - outbox_begin(outbox, outbox->floor) + need <= OUTBOX_BYTES;
}

void
outbox_settle(struct outbox *outbox)
{
	outbox->floor = outbox->first;
}

static void
add(struct outbox *outbox, uint64_t owner, int fd, const char *lines, size_t len)
{
	const struct outbox_part part = {.owner = owner, .fd = fd, .len = (uint32_t)len};

	store(outbox, outbox->end, &part, HEAD);
	store(outbox, outbox->end + HEAD, lines, len);
	outbox->end += HEAD + roundup(len, HEAD);
}

/* No line is longer than an entry may be. */
void
outbox_add(struct outbox *outbox, uint64_t owner, int fd, const char *lines, size_t len)
{
	while (len > STREAM_DATA) {
		const char *end = memrchr(lines, '\n', STREAM_DATA);
		size_t part = (size_t)(end - lines) + 1;

		add(outbox, owner, fd, lines, part);
		lines += part;
		len -= part;
	}
	add(outbox, owner, fd, lines, len);
}

size_t
outbox_pending(const struct outbox *outbox)
{
	return (size_t)(outbox->end - outbox_end(outbox, outbox->confirmed));
}

bool
outbox_has_open(const struct outbox *outbox)
{
	return outbox->end > outbox_end(outbox, outbox->last);
}

/* The end of as many open parts as fit into an entry. */
static uint64_t
find_end(const struct outbox *outbox)
{
	uint64_t place = outbox_end(outbox, outbox->last);
	struct outbox_part part;
	size_t size = 0;

	while (place < outbox->end) {
		uint64_t next = outbox_part(outbox, place, &part);

		size += part.len;
		if (size > STREAM_DATA)
			break;
		place = next;
	}
	return place;
}

uint64_t
outbox_make(struct outbox *outbox, enum stream_kind kind)
{
	uint64_t end = kind == STREAM_LINES ? find_end(outbox) : outbox_end(outbox, outbox->last);

	/* The one before floor stays, since it says where that begins. */
	if (outbox->last + 1 - outbox->floor >= OUTBOX_ENTRIES - 1)
		return 0;
	outbox->last++;
	outbox->entries[outbox->last % OUTBOX_ENTRIES] =
	    (struct outbox_entry){.end = end, .kind = kind};
	return outbox->last;
}

void
outbox_confirm(struct outbox *outbox, uint64_t seq)
{
	outbox->confirmed = MAX(outbox->confirmed, MIN(seq, outbox->last));
	while (outbox->first <= outbox->confirmed &&
	       (outbox_end(outbox, outbox->confirmed) - outbox_end(outbox, outbox->first) >=
		       OUTBOX_KEPT ||
		   outbox->last - outbox->first >= OUTBOX_ENTRIES / 2))
		forget_one(outbox);
}

/* Whether the parts of the entry end where it does. */
static bool
is_sound_entry(const struct outbox *outbox, uint64_t place, uint64_t end)
{
	struct outbox_part part;
	char last;

	if (place > end || end > outbox->end)
		return false;
	while (place < end) {
		uint64_t next = outbox_part(outbox, place, &part);

		if (part.len == 0 || part.len > STREAM_DATA || part.fd < 0 || next > end)
			return false;
		outbox_copy(outbox, place, part.len - 1, &last, 1);
		if (last != '\n')
			return false;
		place = next;
	}
	return true;
}

bool
outbox_is_sound(const struct outbox *outbox)
{
	if (outbox->first == 0 || outbox->first > outbox->confirmed + 1 ||
	    outbox->confirmed > outbox->last ||
	    outbox->last - outbox->first + 1 >= OUTBOX_ENTRIES ||
	    outbox->end - outbox_begin(outbox, outbox->first) > OUTBOX_BYTES)
		return false;
	for (uint64_t seq = outbox->first; seq <= outbox->last; seq++) {
		uint64_t kind = entry_of(outbox, seq)->kind;

		if (kind < STREAM_LINES || kind > STREAM_GO ||
		    !is_sound_entry(outbox, outbox_begin(outbox, seq), outbox_end(outbox, seq)) ||
		    (kind != STREAM_LINES && outbox_begin(outbox, seq) != outbox_end(outbox, seq)))
			return false;
	}
	return is_sound_entry(outbox, outbox_end(outbox, outbox->last), outbox->end);
}
