/*
 * Mode chat as a terminal sees it, without the model: each line begins as one may begin, and holds
 * nothing that a terminal obeys. It holds whatever was said, by whom, and in which order.
 */
#include <string.h>

#include "facts.h"
#include "sanitized.h"
#include "target.h"

static bool
begins(const struct bytes *line, const char *text)
{
	return line->len >= strlen(text) && memcmp(line->data, text, strlen(text)) == 0;
}

/* "NAME: " */
static bool
begins_with_name(const struct bytes *line)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
	static const char others[] = "0123456789-_";
	size_t len = 0;

	while (len < line->len && line->data[len] != '\0' &&
	       (strchr(letters, line->data[len]) != NULL ||
		   (len > 0 && strchr(others, line->data[len]) != NULL)))
		len++;
	return len >= 1 && len <= 15 && line->len >= len + 2 && line->data[len] == ':' &&
	       line->data[len + 1] == ' ';
}

static bool
is_harmless(const struct bytes *line)
{
	static struct bytes copy;

	copy.len = 0;
	bytes_add(&copy, line->data, line->len);
	model_sanitize(copy.data, copy.len);
	return memcmp(copy.data, line->data, line->len) == 0 &&
	       memchr(line->data, '\r', line->len) == NULL;
}

static void
check_line(const struct peer *peer, const struct bytes *line)
{
	if (!begins(line, "* ") && !begins(line, "chatd: ") && !begins_with_name(line))
		die("sd %d gets a line that nobody says: %.*s", peer->sd, (int)line->len,
		    line->data);
	if (!is_harmless(line))
		die("sd %d gets what a terminal obeys: %.*s", peer->sd, (int)line->len, line->data);
}

/* Answers to telnet stand between lines. */
void
model_look(struct peer *peer, const char *data, size_t len)
{
	struct bytes *line = &peer->seen;

	for (size_t i = 0; i < len; i++) {
		bytes_add(line, data + i, 1);
		if (line->data[0] == (char)0xff) {
			if (line->len < 3)
				continue;
			check((unsigned char)line->data[1] >= 0xfb);
			line->len = 0;
		} else if (data[i] == '\n') {
			check_line(peer, line);
			line->len = 0;
		}
	}
}
