#include "conf/quirks.h"

#include <ctype.h>
#include <libconfig.h>
#include <limits.h>
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

long long
quirks_number(const char *text, long long value)
{
	while (text[0] != '\0') {
		const char *next = skip_words(text), *digits = text + strspn(text, "+-");

		if (next == text && isdigit((unsigned char)digits[0])) {
			int base = digits[0] == '0' && (digits[1] | 0x20) == 'x' ? 16 : 10;
			long long written = strtoll(text, (char **)&next, base);

			if (written != (int)written && (int)written == (int)value)
				return written;
		}
		text = next > text ? next : text + 1;
	}
	return value;
}

bool
quirks_absolute(const char *text)
{
	return LIBCONFIG_VER_MAJOR == 1 && LIBCONFIG_VER_MINOR < 7 &&
	       strstr(text, "@include \"/") != NULL;
}

/* The name in quotes at text, with '\\' before what is meant as it is. */
static void
unquote(const char *text, char name[PATH_MAX])
{
	size_t len = 0;

	for (text++; text[0] != '\0' && text[0] != '"' && len < PATH_MAX - 1; text++) {
		if (text[0] == '\\' && text[1] != '\0')
			text++;
		name[len++] = text[0];
	}
	name[len] = '\0';
}

int
quirks_includes(
    const char *text, void (*see)(void *context, int line, const char *name), void *context)
{
	static const char directive[] = "@include";
	char name[PATH_MAX];
	int line = 1;

	while (text[0] != '\0') {
		const char *next = skip_words(text);

		if (text[0] == '/' && text[1] == '*' && strstr(text + 2, "*/") == NULL)
			return line;
		if (strncmp(text, directive, strlen(directive)) == 0) {
			next = text + strlen(directive);
			next += strspn(next, " \t");
			if (next[0] == '"') {
				unquote(next, name);
				see(context, line, name);
			}
		}
		next = next > text ? next : text + 1;
		for (; text < next; text++)
			line += text[0] == '\n';
	}
	return 0;
}
