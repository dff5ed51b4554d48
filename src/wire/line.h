/*
 * line: bytes to lines.
 *
 * TCP cuts and joins as it likes. line_cut tells how much of what came in is whole lines; the rest
 * waits in a struct line until its end comes. A line ends with '\n', which counts for its length; a
 * '\r' before it is a byte like any other.
 */
#ifndef CHATD_LINE_H
#define CHATD_LINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* An unfinished line. Owns its data. */
struct line {
	char *data;
	uint32_t len, size;
};

/* Makes room for a line of max bytes. Returns 0, or -1 with the line unchanged. */
int line_reserve(struct line *line, size_t max);
/* Adds len bytes, for which there is room. */
void line_append(struct line *line, const char *data, size_t len);
void line_free(struct line *line);
/*
 * Gives memory back to the system once LINE_TRIM bytes of lines or more were freed: after a crowd
 * of unfinished lines the allocator would keep it for ever.
 */
void line_trim(void);
#define LINE_TRIM (4 << 20)

struct line_cut {
	size_t whole;  /* bytes of whole lines at the front */
	bool too_long; /* the line after them can no longer end within the limit */
};

/*
 * Cuts the len bytes at data, before which an unfinished line of held bytes was received.
 * No line has more than max bytes, its end included.
 */
struct line_cut line_cut(const char *data, size_t len, size_t held, size_t max);

/* How many lines end in these bytes. */
uint64_t line_count(const char *data, size_t len);

/*
 * Replaces with '?' each byte that could control a terminal: control characters other than tab, CR
 * and LF, the C1 controls U+0080 to U+009F, and everything that is not valid UTF-8 (RFC 3629); and
 * what makes a line look like another one: U+2028, U+2029, U+202A to U+202E and U+2066 to U+2069.
 * data is whole lines.
 */
void line_sanitize(char *data, size_t len);

#endif
