#include "proto.h"

#include <endian.h>
#include <stdio.h>
#include <string.h>

/*
 * Payload: the two numbers are eight 6-bit digits, '0' to 'o', which are read
 * all at once: the generator must take lines in faster than any server sends
 * them.
 */

enum {
	DIGITS_AT = 2,
	SENDER_DIGITS = 3,
	SEQ_DIGITS = 5,
	FILLER_AT = 10
};

#define FILLER "the-quick-brown-fox-jumps-over-the-lazy-dog-and-home!"

_Static_assert(sizeof(FILLER) - 1 == PAYLOAD - FILLER_AT, "FILLER fills the payload");

static void
put_digits(char *at, int digits, uint32_t value)
{
	while (digits-- > 0) {
		at[digits] = (char)('0' + (value & 63));
		value >>= 6;
	}
}

static uint64_t
load(const char *at)
{
	uint64_t word;

	memcpy(&word, at, sizeof(word));
	return word;
}

/* Eight digits, the first one highest, make 48 bits. */
static uint64_t
get_digits(const char *at)
{
	uint64_t word = be64toh(load(at)) - UINT64_C(0x3030303030303030);

	word = (word & UINT64_C(0x003f003f003f003f)) | (word & UINT64_C(0x3f003f003f003f00)) >> 2;
	word = (word & UINT64_C(0x00000fff00000fff)) | (word & UINT64_C(0x0fff00000fff0000)) >> 4;
	return (word & 0xffffff) | (word >> 32) << 24;
}

void
payload_make(char *payload, enum kind kind, unsigned sender, uint32_t seq)
{
	payload[0] = '@';
	payload[1] = (char)kind;
	put_digits(payload + DIGITS_AT, SENDER_DIGITS, sender);
	put_digits(payload + DIGITS_AT + SENDER_DIGITS, SEQ_DIGITS, seq);
	memcpy(payload + FILLER_AT, FILLER, PAYLOAD - FILLER_AT);
}

bool
payload_read(const char *payload, enum kind *kind, unsigned *sender, uint32_t *seq)
{
	uint64_t wrong, number;

	if (payload[0] != '@' || (payload[1] != KIND_LINE && payload[1] != KIND_SYNC))
		return false;
	wrong = load(payload + PAYLOAD - 8) ^ load(&FILLER[sizeof(FILLER) - 1 - 8]);
	for (unsigned i = 0; i + 8 < sizeof(FILLER); i += 8)
		wrong |= load(payload + FILLER_AT + i) ^ load(&FILLER[i]);
	if (wrong != 0)
		return false;
	number = get_digits(payload + DIGITS_AT);
	*kind = (enum kind)payload[1];
	*sender = (unsigned)(number >> 6 * SEQ_DIGITS);
	*seq = (uint32_t)(number & ((1u << 6 * SEQ_DIGITS) - 1));
	return true;
}

static size_t
wrap(char *buf, const char *before, const char *payload, const char *after)
{
	size_t head = strlen(before), tail = strlen(after);

	memcpy(buf, before, head);
	memcpy(buf + head, payload, PAYLOAD);
	memcpy(buf + head + PAYLOAD, after, tail);
	return head + PAYLOAD + tail;
}

/* One line, whatever it says. */
static size_t
skip_line(const char *buf, size_t len)
{
	const char *end = memchr(buf, '\n', len);

	return end == NULL ? 0 : (size_t)(end - buf) + 1;
}

/*
 * An item of a fixed head, the payload and "\r\n"; anything else is a reply,
 * of which one line is skipped.
 */
static size_t
headed_item(const char *buf, size_t len, const char *head, const char **payload)
{
	size_t headlen = strlen(head), whole = headlen + PAYLOAD + 2;

	*payload = NULL;
	if (memcmp(buf, head, len < headlen ? len : headlen) != 0)
		return skip_line(buf, len);
	if (len < whole)
		return 0;
	*payload = buf + headlen;
	return whole;
}

/* Raw lines: chatd, ncat --broker and the yardsticks. */

static size_t
raw_login(char *buf, size_t size, unsigned id, bool listens)
{
	(void)buf, (void)size, (void)id, (void)listens;
	return 0;
}

static size_t
raw_publish(char *buf, const char *payload)
{
	return wrap(buf, "", payload, "\n");
}

static size_t
raw_item(const char *buf, size_t len, const char **payload)
{
	size_t item;

	if (len >= RAW && buf[PAYLOAD] == '\n' && buf[0] == '@') {
		*payload = buf;
		return RAW;
	}
	item = skip_line(buf, len);
	*payload = item > 0 ? "" : NULL; /* a damaged line, not a reply */
	return item;
}

/* Mode chat of chatd: a name in front of each line. */

static size_t
chat_item(const char *buf, size_t len, const char **payload)
{
	size_t item = skip_line(buf, len);

	*payload = NULL;
	if (item > RAW + 2 && memcmp(buf + item - RAW - 2, ": ", 2) == 0)
		*payload = buf + item - RAW;
	return item;
}

/* IRC: ngircd. Everybody is in the channel #b. */

static size_t
irc_login(char *buf, size_t size, unsigned id, bool listens)
{
	(void)listens; /* the channel is closed to those outside of it */
	return (size_t)snprintf(
	    buf, size, "NICK c%05u\r\nUSER c%05u 0 * :c\r\nJOIN #b\r\n", id, id);
}

static size_t
irc_publish(char *buf, const char *payload)
{
	return wrap(buf, "PRIVMSG #b :", payload, "\r\n");
}

static size_t
irc_item(const char *buf, size_t len, const char **payload)
{
	static const char mark[] = " PRIVMSG #b :";
	size_t item = skip_line(buf, len);

	*payload = NULL;
	if (item > PAYLOAD + 2 + sizeof(mark) &&
	    memcmp(buf + item - PAYLOAD - 2 - (sizeof(mark) - 1), mark, sizeof(mark) - 1) == 0)
		*payload = buf + item - PAYLOAD - 2;
	return item;
}

/* Redis: RESP3, in which a subscriber may publish as well. */

static size_t
redis_login(char *buf, size_t size, unsigned id, bool listens)
{
	(void)id;
	return (size_t)snprintf(buf, size, "HELLO 3\r\n%s", listens ? "SUBSCRIBE b\r\n" : "");
}

static size_t
redis_publish(char *buf, const char *payload)
{
	return wrap(buf, "*3\r\n$7\r\nPUBLISH\r\n$1\r\nb\r\n$63\r\n", payload, "\r\n");
}

static size_t
redis_item(const char *buf, size_t len, const char **payload)
{
	return headed_item(buf, len, ">3\r\n$7\r\nmessage\r\n$1\r\nb\r\n$63\r\n", payload);
}

/* MQTT 5, QoS 0: mosquitto. No keepalive; "no local" spares the own lines. */

static size_t
mqtt_login(char *buf, size_t size, unsigned id, bool listens)
{
	static const char connect[] = "\x10\x13\0\4MQTT\5\2\0\0\0\0\6";
	static const char subscribe[] = "\x82\7\0\1\0\0\1b\4";
	size_t head = sizeof(connect) - 1;

	memcpy(buf, connect, head);
	(void)snprintf(buf + head, size - head, "c%05u", id);
	if (!listens)
		return head + 6;
	memcpy(buf + head + 6, subscribe, sizeof(subscribe) - 1);
	return head + 6 + sizeof(subscribe) - 1;
}

static size_t
mqtt_publish(char *buf, const char *payload)
{
	static const char head[] = {0x30, 4 + PAYLOAD, 0, 1, 'b', 0};

	memcpy(buf, head, sizeof(head));
	memcpy(buf + sizeof(head), payload, PAYLOAD);
	return sizeof(head) + PAYLOAD;
}

static size_t
mqtt_item(const char *buf, size_t len, const char **payload)
{
	size_t body = 0, at = 1;
	unsigned shift = 0;

	*payload = NULL;
	do {
		if (at >= len || at > 4)
			return 0;
		body |= (size_t)(buf[at] & 0x7f) << shift;
		shift += 7;
	} while (buf[at++] & 0x80);
	if (len < at + body)
		return 0;
	if ((buf[0] & 0xf0) == 0x30)
		*payload = body < PAYLOAD ? "" : buf + at + body - PAYLOAD;
	return at + body;
}

/* NATS */

static size_t
nats_login(char *buf, size_t size, unsigned id, bool listens)
{
	(void)id;
	return (size_t)snprintf(buf, size,
	    "CONNECT {\"verbose\":false,\"pedantic\":false,\"echo\":false}\r\n%s",
	    listens ? "SUB b 1\r\n" : "");
}

static size_t
nats_publish(char *buf, const char *payload)
{
	return wrap(buf, "PUB b 63\r\n", payload, "\r\n");
}

static size_t
nats_item(const char *buf, size_t len, const char **payload)
{
	return headed_item(buf, len, "MSG b 1 63\r\n", payload);
}

const struct proto *
proto_find(const char *name)
{
	static const struct proto protos[] = {
	    {"raw", false, true, raw_login, raw_publish, raw_item},
	    {"chat", false, false, raw_login, raw_publish, chat_item},
	    {"irc", false, false, irc_login, irc_publish, irc_item},
	    {"redis", true, false, redis_login, redis_publish, redis_item},
	    {"mqtt", false, false, mqtt_login, mqtt_publish, mqtt_item},
	    {"nats", false, false, nats_login, nats_publish, nats_item},
	};

	for (size_t i = 0; i < sizeof(protos) / sizeof(protos[0]); i++)
		if (strcmp(protos[i].name, name) == 0)
			return &protos[i];
	return NULL;
}
