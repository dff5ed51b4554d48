#include "cluster/stream.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define FIELDS 6

/* A number to base 10 or 16 that fills the len bytes. Returns false for none. */
static bool
read_number(const char *text, size_t len, unsigned base, uint64_t *number)
{
	*number = 0;
	if (len == 0 || len > 20)
		return false;
	for (size_t i = 0; i < len; i++) {
		unsigned digit;

		if (text[i] >= '0' && text[i] <= '9')
			digit = (unsigned)(text[i] - '0');
		else if (base == 16 && text[i] >= 'a' && text[i] <= 'f')
			digit = (unsigned)(text[i] - 'a') + 10;
		else
			return false;
		if (*number > (UINT64_MAX - digit) / base)
			return false;
		*number = *number * base + digit;
	}
	return true;
}

bool
stream_read_id(const struct redisReply *reply, struct stream_id *id)
{
	size_t len;
	const char *text = reply_text(reply, &len), *dash = memchr(text, '-', len);

	if (reply_kind(reply) != REPLY_TEXT || dash == NULL)
		return false;
	return read_number(text, (size_t)(dash - text), 10, &id->time) &&
	       read_number(dash + 1, len - (size_t)(dash - text) - 1, 10, &id->number);
}

static bool
is_text(const struct redisReply *reply, const char *want)
{
	size_t len;
	const char *text = reply_text(reply, &len);

	return reply_kind(reply) == REPLY_TEXT && len == strlen(want) &&
	       memcmp(text, want, len) == 0;
}

static bool
read_field(
    const struct redisReply *fields, size_t i, const char *name, unsigned base, uint64_t *number)
{
	size_t len;
	const char *text = reply_text(reply_at(fields, i + 1), &len);

	return is_text(reply_at(fields, i), name) && read_number(text, len, base, number) &&
	       *number > 0;
}

static enum stream_kind
read_content(const struct redisReply *fields, struct stream_entry *entry)
{
	const struct redisReply *name = reply_at(fields, 4), *value = reply_at(fields, 5);

	entry->data = reply_text(value, &entry->len);
	if (is_text(name, "d") && entry->len > 0 && entry->len <= STREAM_DATA &&
	    entry->data[entry->len - 1] == '\n')
		return STREAM_LINES;
	if (is_text(name, "c") && is_text(value, "h"))
		return STREAM_HOLD;
	if (is_text(name, "c") && is_text(value, "g"))
		return STREAM_GO;
	return STREAM_STRANGE;
}

bool
stream_read(const struct redisReply *reply, struct stream_entry *entry)
{
	const struct redisReply *fields = reply_at(reply, 1);

	*entry = (struct stream_entry){.kind = STREAM_STRANGE};
	if (reply_count(reply) != 2 || !stream_read_id(reply_at(reply, 0), &entry->id))
		return false;
	if (reply_count(fields) == FIELDS && read_field(fields, 0, "n", 16, &entry->epoch) &&
	    read_field(fields, 2, "s", 10, &entry->seq))
		entry->kind = read_content(fields, entry);
	if (entry->kind == STREAM_STRANGE)
		entry->epoch = entry->seq = 0;
	return true;
}

const struct redisReply *
stream_entries(const struct redisReply *reply)
{
	const struct redisReply *stream = reply_at(reply, 0), *entries = reply_at(stream, 1);

	return reply_count(reply) == 1 && reply_count(stream) == 2 &&
		       reply_kind(entries) == REPLY_LIST
		   ? entries
		   : NULL;
}

/* --- commands */

static void
add_id(struct commands *commands, const char *before, const struct stream_id *id)
{
	char text[STREAM_ID_TEXT];

	snprintf(text, sizeof(text), "%s%" PRIu64 "-%" PRIu64, before, id->time, id->number);
	command_text(commands, text);
}

char *
stream_add(
    struct commands *commands, const char *key, uint32_t keep, const struct stream_entry *entry)
{
	char epoch[24];

	snprintf(epoch, sizeof(epoch), "%016" PRIx64, entry->epoch);
	command_begin(commands, 6 + FIELDS);
	command_text(commands, "XADD");
	command_text(commands, key);
	command_text(commands, "MAXLEN");
	command_text(commands, "~");
	command_number(commands, keep);
	command_text(commands, "*");
	command_text(commands, "n");
	command_text(commands, epoch);
	command_text(commands, "s");
	command_number(commands, entry->seq);
	command_text(commands, entry->kind == STREAM_LINES ? "d" : "c");
	if (entry->kind == STREAM_LINES)
		return command_place(commands, entry->len);
	command_text(commands, entry->kind == STREAM_HOLD ? "h" : "g");
	return NULL;
}

void
stream_ask_last(struct commands *commands, const char *key, const struct stream_id *before)
{
	command_begin(commands, 6);
	command_text(commands, "XREVRANGE");
	command_text(commands, key);
	if (before != NULL)
		add_id(commands, "(", before);
	else
		command_text(commands, "+");
	command_text(commands, "-");
	command_text(commands, "COUNT");
	command_number(commands, STREAM_COUNT);
}

void
stream_ask_one(struct commands *commands, const char *key, const struct stream_id *id)
{
	command_begin(commands, 4);
	command_text(commands, "XRANGE");
	command_text(commands, key);
	add_id(commands, "", id);
	add_id(commands, "", id);
}

void
stream_ask_after(
    struct commands *commands, const char *key, const struct stream_id *id, bool blocks)
{
	command_begin(commands, blocks ? 8 : 6);
	command_text(commands, "XREAD");
	command_text(commands, "COUNT");
	command_number(commands, STREAM_COUNT);
	if (blocks) {
		command_text(commands, "BLOCK");
		command_number(commands, 0);
	}
	command_text(commands, "STREAMS");
	command_text(commands, key);
	add_id(commands, "", id);
}
