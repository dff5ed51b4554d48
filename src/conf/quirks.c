#include "conf/quirks.h"

#include <ctype.h>
#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

/* The end of the string or comment that begins at text, or text where none begins. */
static const char *
skip_words(const char *text)
{
	const char *end;

	if (text[0] == '"') {
		for (text++; text[0] != '\0' && text[0] != '"'; text++)
			if (text[0] == '\\' && text[1] != '\0')
				text++;
		return text[0] == '"' ? text + 1 : text;
	}
	if (text[0] == '#' || (text[0] == '/' && text[1] == '/'))
		return text + strcspn(text, "\n");
	if (text[0] == '/' && text[1] == '*') {
		end = strstr(text + 2, "*/");
		return end != NULL ? end + 2 : text + strlen(text);
	}
	return text;
}

/* Whether libconfig has made value of a number that is written so, in that base. */
static bool
became(long long written, int base, long long value)
{
	int largest = base == 16 ? -1 : INT_MAX; /* it reads hexadecimal numbers as unsigned ones */

	if (written >= INT_MIN && written <= INT_MAX)
		return false;
	return (int)written == (int)value || value == (written > 0 ? largest : INT_MIN);
}

long long
quirks_number(const char *text, long long value)
{
	while (text[0] != '\0') {
		const char *next = skip_words(text), *digits = text + strspn(text, "+-");

		if (next == text && isdigit((unsigned char)digits[0])) {
			int base = digits[0] == '0' && (digits[1] | 0x20) == 'x' ? 16 : 10;
			long long written = strtoll(text, (char **)&next, base);

			/* "4294967294L" has 64 bits and is what it says. */
			if (next[0] != 'L' && became(written, base, value))
				return written;
		}
		text = next > text ? next : text + 1;
	}
	return value;
}

int
quirks_find(const char *text, enum quirk *quirk)
{
	static const char include[] = "@include";
	int line = 1;

	while (text[0] != '\0') {
		const char *next = skip_words(text);

		*quirk = text[0] == '@' ? QUIRK_INCLUDE : QUIRK_COMMENT;
		if (text[0] == '/' && text[1] == '*' && strstr(text + 2, "*/") == NULL)
			return line;
		if (strncmp(text, include, strlen(include)) == 0)
			return line;
		next = next > text ? next : text + 1;
		for (; text < next; text++)
			line += text[0] == '\n';
	}
	return 0;
}
