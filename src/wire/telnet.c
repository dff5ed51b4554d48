#include "wire/telnet.h"

#include <string.h>
#include <sys/param.h>

enum {
	SE = 0xf0, /* ends what SB began */
	NOP = 0xf1,
	GA = 0xf9, /* from NOP to here, commands of two bytes */
	SB = 0xfa,
	WILL = 0xfb,
	WONT = 0xfc,
	DO = 0xfd,
	DONT = 0xfe,
	IAC = 0xff, /* begins every command */
};

#define TIMING_MARK 6

/* Size of the command at p, where an IAC is: 0 if it is none, left + 1 if more bytes are needed. */
static size_t
command_size(const unsigned char *p, size_t left)
{
	static const unsigned char end[] = {IAC, SE};
	const unsigned char *found;

	if (left < 2)
		return left + 1;
	if (p[1] >= NOP && p[1] <= GA)
		return 2;
	if (p[1] == SB) {
		found = memmem(p + 2, MIN(left, TELNET_MAX) - 2, end, sizeof(end));
		if (found != NULL)
			return (size_t)(found - p) + sizeof(end);
		return left < TELNET_MAX ? left + 1 : 0;
	}
	if (p[1] < WILL || p[1] > DONT)
		return 0;
	if (left < 3)
		return left + 1;
	return p[2] == '\r' || p[2] == '\n' ? 0 : 3;
}

static void
answer(struct telnet_answers *answers, const unsigned char *command)
{
	unsigned char text[] = {IAC, WONT, command[2]};

	if (command[1] == WILL)
		text[1] = DONT;
	else if (command[2] == TIMING_MARK)
		text[1] = WILL;
	if (answers->len + sizeof(text) > sizeof(answers->data))
		return;
	memcpy(answers->data + answers->len, text, sizeof(text));
	answers->len += sizeof(text);
}

size_t
telnet_strip(char *data, size_t len, struct telnet_answers *answers, size_t *unfinished)
{
	unsigned char *end = (unsigned char *)data + len;
	unsigned char *p = memchr(data, IAC, len), *out = p;

	*unfinished = 0;
	while (p != NULL && p < end) {
		size_t left = (size_t)(end - p), size = command_size(p, left);
		unsigned char *next = NULL;

		if (size > left) {
			*unfinished = left;
			next = end;
		} else if (size == 0) {
			next = memchr(p + 1, IAC, left - 1);
		} else {
			if (p[1] == DO || p[1] == WILL)
				answer(answers, p);
			p += size;
			next = memchr(p, IAC, left - size);
		}
		if (next == NULL)
			next = end;
		memmove(out, p, (size_t)(next - p));
		out += next - p;
		p = next;
	}
	return out == NULL ? len : (size_t)(out - (unsigned char *)data);
}
