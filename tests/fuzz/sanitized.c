#include "sanitized.h"

#include <string.h>

/* The code point at p, or -1 where there is no well-formed one; its length in size. */
static long
decode(const unsigned char *p, size_t left, size_t *size)
{
	static const long least[] = {0, 0, 0x80, 0x800, 0x10000};
	long point;

	*size = 1;
	if (p[0] < 0x80)
		return p[0];
	*size = p[0] >> 5 == 6 ? 2 : p[0] >> 4 == 14 ? 3 : p[0] >> 3 == 30 ? 4 : 0;
	if (*size == 0 || *size > left)
		return -1;
	point = p[0] & (0x7f >> *size);
	for (size_t i = 1; i < *size; i++) {
		if (p[i] >> 6 != 2)
			return -1;
		point = point << 6 | (p[i] & 0x3f);
	}
	if (point < least[*size] || point > 0x10ffff || (point >= 0xd800 && point < 0xe000))
		return -1;
	return point;
}

void
model_sanitize(char *data, size_t len)
{
	unsigned char *p = (unsigned char *)data;

	for (size_t i = 0, size; i < len; i += size) {
		long point = decode(p + i, len - i, &size);

		if (point < 0)
			size = 1;
		if (point < 0 ||
		    (point < 0x20 && point != '\t' && point != '\r' && point != '\n') ||
		    (point >= 0x7f && point < 0xa0) || (point >= 0x2028 && point <= 0x202e) ||
		    (point >= 0x2066 && point <= 0x2069))
			memset(p + i, '?', size);
	}
}

/* Bytes of the command at p, 0: none, or -1: perhaps, when more has come. */
static int
command(const unsigned char *p, size_t left)
{
	if (p[0] != 255)
		return 0;
	if (left == 1)
		return -1;
	if (p[1] > 240 && p[1] < 250)
		return 2;
	if (p[1] > 250 && p[1] < 255 && left == 2)
		return -1;
	if (p[1] > 250 && p[1] < 255)
		return p[2] != 10 && p[2] != 13 ? 3 : 0;
	if (p[1] != 250)
		return 0;
	for (int i = 4; i <= 64; i++) {
		if ((size_t)i > left)
			return -1;
		if (p[i - 2] == 255 && p[i - 1] == 240)
			return i;
	}
	return 0;
}

struct model_telnet
model_telnet(const char *data, size_t len, char *text, char *answer)
{
	const unsigned char *p = (const unsigned char *)data;
	struct model_telnet out = {0};

	for (size_t i = 0; i < len;) {
		int size = command(p + i, len - i);

		if (size < 0) {
			out.waits = len - i;
			memcpy(text + out.text, data + i, len - i);
			break;
		}
		if (size == 0) {
			text[out.text++] = data[i++];
			continue;
		}
		if (size == 3 && (p[i + 1] == 253 || p[i + 1] == 251)) {
			int say = p[i + 1] == 251 ? 254 : p[i + 2] == 6 ? 251 : 252;

			answer[out.answer++] = (char)255;
			answer[out.answer++] = (char)say;
			answer[out.answer++] = data[i + 2];
		}
		i += (size_t)size;
	}
	return out;
}
