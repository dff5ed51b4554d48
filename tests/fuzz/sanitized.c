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
