/*
 * telnet: its commands among what a client sends, and the answers to them.
 *
 * The program telnet sends commands (RFC 854) of its own accord: at Control-C it sends an
 *interrupt, then shows nothing until its timing mark (RFC 860) is answered. A command is
 *
 *	FF, FB to FE (WILL, WONT, DO, DONT), and one byte other than CR and LF,
 *	FF, F1 to F9, or
 *	FF FA ... FF F0, of at most TELNET_MAX bytes in all.
 *
 * Every option is declined except a timing mark, which is answered. Any other FF is text.
 */
#ifndef CHATD_TELNET_H
#define CHATD_TELNET_H

#include <stddef.h>
#include <stdint.h>

/* Largest size of a command in bytes. */
#define TELNET_MAX         64
/* Largest size of the answers to one recv; commands beyond that are not answered. */
#define TELNET_ANSWERS_MAX 16384

struct telnet_answers {
	size_t len;
	char data[TELNET_ANSWERS_MAX];
};

/*
 * Removes the commands from the len bytes at data, and adds the answers. Returns how many bytes
 * remain. The last *unfinished of them, fewer than TELNET_MAX, may form a command with what comes
 * next: the caller puts them in front of that.
 */
size_t telnet_strip(char *data, size_t len, struct telnet_answers *answers, size_t *unfinished);

#endif
