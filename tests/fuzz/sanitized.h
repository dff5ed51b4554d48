/*
 * sanitized: what `sanitize` makes of a text, the plain way: one code point after the other, and
 * telnet's commands found by a look at all that was sent.
 */
#ifndef FUZZ_SANITIZED_H
#define FUZZ_SANITIZED_H

#include <stddef.h>

/*
 * In place: control characters but tab, CR and LF, separators, marks of text direction, and what is
 * no UTF-8, become '?'.
 */
void model_sanitize(char *data, size_t len);

/* What telnet's commands leave of all that a client has sent until now. */
struct model_telnet {
	size_t text;   /* bytes that are text for good */
	size_t waits;  /* and behind them so many that may yet be a command */
	size_t answer; /* bytes of the answers */
};

/* text has room for len bytes, answer as well. */
struct model_telnet model_telnet(const char *data, size_t len, char *text, char *answer);

#endif
