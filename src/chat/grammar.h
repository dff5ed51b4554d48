/*
 * grammar: what a line means in mode chat. It only turns bytes into meaning.
 *
 *	hello, all		text
 *	/who			a command: "/", letters, then a space or the end
 *	/etc/passwd changed	text, because something else follows the letters
 *	/			text
 *	//who			the text "/who"
 *
 * The CR before the LF does not count, nor do blanks after a command. Any other CR becomes '?': on
 *a terminal the rest of the line would overwrite the speaker's name. An empty line means nothing.
 */
#ifndef CHATD_GRAMMAR_H
#define CHATD_GRAMMAR_H

#include <stdbool.h>
#include <stddef.h>

enum utterance_kind {
	UTTERANCE_NOTHING,
	UTTERANCE_TEXT,
	UTTERANCE_NAME, /* text is the name, possibly an invalid one */
	UTTERANCE_WHO,
	UTTERANCE_HELP, /* /help, or an unknown command, which nobody else gets to see */
	UTTERANCE_QUIT,
};

struct utterance {
	enum utterance_kind kind;
	const char *text; /* within the line, without its end */
	size_t len;
};

/* Reads one line of len bytes, including its LF. Replaces CRs in it. */
struct utterance grammar_read(char *line, size_t len);

/*
 * Whether a line of len bytes, including its LF, is how a browser begins: it ends in " HTTP/1.1",
 * with any digits.
 */
bool grammar_is_web(const char *line, size_t len);

#endif
