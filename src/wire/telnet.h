/*
 * telnet: its commands among what a client sends, and the answers to them.
 *
 * The program telnet sends commands (RFC 854) without being asked: at Control-C it interrupts, and
 * then shows nothing until somebody has answered its timing mark (RFC 860). A command is
 *
 *	FF, FB to FE (WILL, WONT, DO, DONT), and one byte that is neither CR nor LF,
 *	FF, F1 to F9, or
 *	FF FA ... FF F0, of TELNET_MAX bytes in all at most.
 *
 * Every option is declined, but a timing mark is answered. Every other FF is text.
 */
#ifndef CHATD_TELNET_H
#define CHATD_TELNET_H

#include <stddef.h>
#include <stdint.h>

/* Bytes of one command. */
#define TELNET_MAX         64
/* Bytes of the answers to one recv; commands beyond that are not answered. */
#define TELNET_ANSWERS_MAX 16384

struct telnet_answers {
	size_t len;
	char data[TELNET_ANSWERS_MAX];
};

/*
 * Takes the commands out of the len bytes at data, and adds the answers. Returns how many bytes are
 * left. The last *unfinished of them, fewer than TELNET_MAX, may become a command together with
 * what comes next: the caller puts them in front of that.
 */
size_t telnet_strip(char *data, size_t len, struct telnet_answers *answers, size_t *unfinished);

#endif
