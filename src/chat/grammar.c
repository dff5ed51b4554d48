#include "chat/grammar.h"

#include <string.h>

/* The length without the LF and one CR before it. */
static size_t
without_end(const char *line, size_t len)
{
	len--;
	return len > 0 && line[len - 1] == '\r' ? len - 1 : len;
}

static void
replace_crs(char *line, size_t len)
{
	const char *end = line + len;

	while ((line = memchr(line, '\r', (size_t)(end - line))) != NULL)
		*line = '?';
}

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static size_t
without_blanks(const char *text, size_t len)
{
	while (len > 0 && is_blank(text[len - 1]))
		len--;
	return len;
}

/* Number of letters after the line's "/", or 0 if that is no command. */
static size_t
command_letters(const char *line, size_t len)
{
	size_t end = 1;

	while (end < len &&
	       ((line[end] >= 'a' && line[end] <= 'z') || (line[end] >= 'A' && line[end] <= 'Z')))
		end++;
	return end == len || line[end] == ' ' ? end - 1 : 0;
}

static struct utterance
read_command(const char *line, size_t len, size_t letters)
{
	static const struct {
		const char *word;
		enum utterance_kind kind;
	} commands[] = {
	    {"name", UTTERANCE_NAME},
	    {"who", UTTERANCE_WHO},
	    {"quit", UTTERANCE_QUIT},
	};
	struct utterance said = {UTTERANCE_HELP, line + 1 + letters, len - 1 - letters};

	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		if (strlen(commands[i].word) == letters &&
		    memcmp(line + 1, commands[i].word, letters) == 0)
			said.kind = commands[i].kind;
	while (said.len > 0 && is_blank(said.text[0])) {
		said.text++;
		said.len--;
	}
	return said;
}

struct utterance
grammar_read(char *line, size_t len)
{
	struct utterance said = {UTTERANCE_TEXT, line, without_end(line, len)};
	size_t bare, letters;

	replace_crs(line, said.len);
	if (said.len == 0)
		said.kind = UTTERANCE_NOTHING;
	if (said.len < 2 || line[0] != '/')
		return said;
	bare = without_blanks(line, said.len);
	if ((letters = command_letters(line, bare)) > 0)
		return read_command(line, bare, letters);
	if (line[1] == '/') {
		said.text++;
		said.len--;
	}
	return said;
}

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

bool
grammar_is_web(const char *line, size_t len)
{
	static const char http[] = " HTTP/";
	const size_t size = sizeof(http) - 1 + 3;
	const char *end;

	len = without_end(line, len);
	if (len < size)
		return false;
	end = line + len - 3;
	return memcmp(line + len - size, http, sizeof(http) - 1) == 0 && is_digit(end[0]) &&
	       end[1] == '.' && is_digit(end[2]);
}
