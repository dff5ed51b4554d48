/*
 * What the load generator says to each kind of server.
 *
 * Every line carries the same payload of PAYLOAD bytes, whatever the protocol
 * wraps around it: "@", a kind, who sent it, its sequence number and a filler.
 * Only printable characters other than space occur, so every protocol takes it.
 */
#ifndef BENCH_PROTO_H
#define BENCH_PROTO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum {
	PAYLOAD = 63,
	RAW = 64,       /* with its '\n' */
	WRAPPED = 128,  /* a line as published takes at most this much */
	ITEM_MAX = 1024 /* no server says anything longer than this */
};

enum kind {
	KIND_LINE = 'L',
	KIND_SYNC = 'S'
};

struct proto {
	const char *name;
	bool echo;     /* a client gets its own lines, too */
	bool verbatim; /* an item is the bytes that were published */

	/* What client id says first; one that listens also subscribes. */
	size_t (*login)(char *buf, size_t size, unsigned id, bool listens);

	/* Wraps a payload for sending; returns the length, at most WRAPPED. */
	size_t (*publish)(char *buf, const char *payload);

	/*
	 * Length of the first item in buf; 0: it is not complete. *payload is
	 * set when the item is somebody's line, else to NULL.
	 */
	size_t (*item)(const char *buf, size_t len, const char **payload);
};

const struct proto *proto_find(const char *name);

void payload_make(char *payload, enum kind kind, unsigned sender, uint32_t seq);

/* False: not a payload, or a damaged one. */
bool payload_read(const char *payload, enum kind *kind, unsigned *sender, uint32_t *seq);

#endif
