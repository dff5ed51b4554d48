/*
 * grammar: what a line means in mode chat. Pure: bytes to meaning, and nothing else.
 *
 *	hello, all		text
 *	/who			a command: "/", letters, and then a space or the end
 *	/etc/passwd changed	text, because letters are followed by something else
 *	/			text
 *	//who			the text "/who"
 *
 * The CR before the LF does not count, nor do blanks behind a command. Any other CR would let the
 * rest of the line stand over the speaker's name on a terminal: it becomes '?'. An empty line means
 * nothing.
 */
#ifndef CHATD_GRAMMAR_H
#define CHATD_GRAMMAR_H

#include <stdbool.h>
#include <stddef.h>

enum utterance_kind {
	UTTERANCE_NOTHING,
	UTTERANCE_TEXT,
	UTTERANCE_NAME, /* text is the name, perhaps an impossible one */
	UTTERANCE_WHO,
	UTTERANCE_HELP, /* asked for, or an unknown command: never shouted */
	UTTERANCE_QUIT,
};

struct utterance {
	enum utterance_kind kind;
	const char *text; /* in the line, without its end */
	size_t len;
};

/* Reads one line of len bytes, its LF included. Replaces CRs in it. */
struct utterance grammar_read(char *line, size_t len);

/*
 * Whether a line of len bytes, its LF included, is how a browser begins: it ends in " HTTP/1.1",
 * whatever the digits are.
 */
bool grammar_is_web(const char *line, size_t len);

#endif
