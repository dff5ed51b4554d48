/*
 * guard: what of an engine's bytes the library for replies gets to see.
 *
 * It follows the structure of the replies (RESP2), and knows before the library does how much
 * memory they want. What is no reply ends the link. Too long a string, or too long a list, which
 * anybody may have put into the stream, is left out as if it were empty: then the entry is none of
 * chatd's, but the link lives, and what follows is read.
 */
#ifndef CHATD_GUARD_H
#define CHATD_GUARD_H

#include <stddef.h>
#include <stdint.h>

#define GUARD_STRING 1048576 /* bytes of a string: the data of the largest entry */
#define GUARD_LIST   8       /* values in a list: entries of a reply, fields of an entry */
#define GUARD_VALUES 4096    /* values in a reply, with those of lists within lists */
#define GUARD_BYTES \
	(65U << 20)     /* of the strings in a reply: entries whose fields are all as long */
#define GUARD_LINE 1024 /* bytes of a status, an error or a number */

struct guard {
	char line[GUARD_LINE]; /* the one that has begun */
	size_t len;
	uint64_t string;   /* bytes of a string that are still to come, its end included */
	uint64_t expected; /* values until the reply is whole */
	uint64_t values;   /* in this reply */
	uint64_t bytes;    /* of its strings */
	uint64_t left_out; /* values to come that are left out */
	int leaves_out;    /* the string that comes is left out */
};

/* Takes what may pass. Returns 0, or -1: go no further. */
typedef int guard_pass(void *context, const char *data, size_t len);

/* A guard begins as zeros. Returns 0, or -1: what came is no reply, or pass says so. */
int guard_feed(struct guard *guard, const char *data, size_t len, guard_pass *pass, void *context);

#endif
