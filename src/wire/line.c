#include "wire/line.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/param.h>

#include "wire/journal.h"

/* Bytes of all lines, and the most there were since the last trim. */
static size_t in_use, most_in_use;

static void
account(size_t before, size_t after)
{
	in_use += after - before;
	most_in_use = MAX(most_in_use, in_use);
}

/* A block of the journal does not grow: what a successor needs may be in it. */
static int
reserve_kept(struct line *line, size_t max)
{
	char *data = journal_alloc(max);

	if (data == NULL)
		return -1;
	if (line->len > 0)
		memcpy(data, line->data, line->len);
	if (line->data != NULL)
		journal_free(line->data, line->size);
	line->data = data;
	line->size = (uint32_t)max;
	return 0;
}

int
line_reserve(struct line *line, size_t max)
{
	char *data;

	if (line->size >= max)
		return 0;
	if (journal != NULL)
		return reserve_kept(line, max);
	if ((data = realloc(line->data, max)) == NULL)
		return -1;
	account(line->size, max);
	line->data = data;
	line->size = (uint32_t)max;
	return 0;
}

void
line_append(struct line *line, const char *data, size_t len)
{
	memcpy(line->data + line->len, data, len);
	line->len += (uint32_t)len;
}

void
line_free(struct line *line)
{
	if (journal_owns(line->data)) {
		journal_free(line->data, line->size);
	} else {
		account(line->size, 0);
		free(line->data);
	}
	*line = (struct line){0};
}

void
line_trim(void)
{
	if (journal != NULL)
		area_trim(&journal->area);
	if (most_in_use - in_use < LINE_TRIM)
		return;
	malloc_trim(0);
	most_in_use = in_use;
}

/*
 * A window of max bytes that begins where a line begins holds a line end, or else that line is too
 * long; and all lines up to the last end in it are short enough. So a look at the end of each
 * window is enough, and most of the bytes are never looked at.
 */
struct line_cut
line_cut(const char *data, size_t len, size_t held, size_t max)
{
	struct line_cut cut = {0};
	size_t window = held < max ? max - held : 0;

	for (;;) {
		size_t rest = len - cut.whole;
		const char *start = data + cut.whole;
		const char *end = memrchr(start, '\n', rest < window ? rest : window);

		if (end == NULL) {
			cut.too_long = rest >= window;
			return cut;
		}
		cut.whole += (size_t)(end - start) + 1;
		window = max;
	}
}

uint64_t
line_count(const char *data, size_t len)
{
	const char *end = data + len;
	uint64_t count = 0;

	while ((data = memchr(data, '\n', (size_t)(end - data))) != NULL) {
		count++;
		if (++data == end)
			break;
	}
	return count;
}

/* Bytes of the well-formed UTF-8 character at p, or 0. The ranges are table 3-7 of Unicode. */
static size_t
utf8_length(const unsigned char *p, size_t len)
{
	unsigned char low = 0x80, high = 0xbf;
	size_t size;

	if (p[0] < 0x80)
		return 1;
	if (p[0] < 0xc2 || p[0] > 0xf4)
		return 0;
	size = p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
	if (size > len)
		return 0;
	if (p[0] == 0xe0)
		low = 0xa0; /* shorter forms exist */
	else if (p[0] == 0xed)
		high = 0x9f; /* surrogates */
	else if (p[0] == 0xf0)
		low = 0x90; /* shorter forms exist */
	else if (p[0] == 0xf4)
		high = 0x8f; /* past U+10FFFF */
	if (p[1] < low || p[1] > high)
		return 0;
	for (size_t i = 2; i < size; i++)
		if (p[i] < 0x80 || p[i] > 0xbf)
			return 0;
	return size;
}

/* The separators U+2028 and 2029; the embeddings, overrides and isolates of text direction. */
static bool
is_disguise(const unsigned char *p)
{
	if (p[0] != 0xe2)
		return false;
	return (p[1] == 0x80 && p[2] >= 0xa8 && p[2] <= 0xae) ||
	       (p[1] == 0x81 && p[2] >= 0xa6 && p[2] <= 0xa9);
}

static bool
is_harmful(const unsigned char *p, size_t size)
{
	if (size == 2)
		return p[0] == 0xc2 && p[1] < 0xa0;
	if (size == 3)
		return is_disguise(p);
	return size == 1 && (p[0] == 0x7f || (p[0] < 0x20 && memchr("\t\r\n", p[0], 3) == NULL));
}

void
line_sanitize(char *data, size_t len)
{
	unsigned char *p = (unsigned char *)data, *end = p + len;

	while (p < end) {
		size_t size;

		if (*p >= 0x20 && *p < 0x7f) { /* nearly all there is */
			p++;
			continue;
		}
		size = utf8_length(p, (size_t)(end - p));
		if (size == 0 || is_harmful(p, size)) {
			size = size == 0 ? 1 : size;
			memset(p, '?', size);
		}
		p += size;
	}
}
