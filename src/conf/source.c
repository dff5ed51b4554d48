#include "conf/source.h"

#include <bsd/string.h>
#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

#include "conf/quirks.h"

static void report(struct source *source, int level, int line, const char *setting,
    const char *format, va_list args) __attribute__((format(printf, 5, 0)));

static void
report(struct source *source, int level, int line, const char *setting, const char *format,
    va_list args)
{
	char what[1024], where[16] = "", text[2048];

	vsnprintf(what, sizeof(what), format, args);
	if (line > 0)
		snprintf(where, sizeof(where), ":%d", line);
	snprintf(text, sizeof(text), "%s%s: %s%s%s%s", source->file, where, setting,
	    setting[0] != '\0' ? ": " : "", level == LOG_WARNING ? "warning: " : "", what);
	source->faults += level != LOG_WARNING;
	source->tell(level, text);
}

void
source_fault(struct source *source, int line, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	report(source, LOG_ERR, line, "", format, args);
	va_end(args);
}

void
source_no_memory(struct source *source)
{
	source->no_memory = true;
	source_fault(source, 0, "%s", strerror(ENOMEM));
}

void
source_say(struct source *source, int level, int line, const char *setting, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	report(source, level, line, setting, format, args);
	va_end(args);
}

void
source_name(const config_setting_t *setting, char *name, size_t size)
{
	const config_setting_t *parent = config_setting_parent(setting);

	if (parent != NULL && !config_setting_is_root(parent)) {
		source_name(parent, name, size);
		if (config_setting_name(setting) != NULL)
			strlcat(name, ".", size);
	} else {
		name[0] = '\0';
	}
	if (config_setting_name(setting) != NULL)
		strlcat(name, config_setting_name(setting), size);
}

/* --- faults of syntax: the tree as far as it came, and the line in which it ended */

#define LINE_SHOWN 1024 /* of a longer line the rest is not looked at */

static void
take_line(const char *text, int number, char line[LINE_SHOWN])
{
	for (; number > 1 && text[0] != '\0'; text++)
		number -= text[0] == '\n';
	strlcpy(line, text, LINE_SHOWN);
	line[strcspn(line, "\n")] = '\0';
}

/* The value that the line gives to the name for the nth time, or NULL. */
static const char *
value_of(const char *line, const char *name, int nth)
{
	size_t len = strlen(name);

	for (const char *at = line; (at = strstr(at, name)) != NULL; at += len) {
		const char *end = at + len + strspn(at + len, " \t");

		if ((at == line || (!isalnum((unsigned char)at[-1]) && at[-1] != '_')) &&
		    (end[0] == '=' || end[0] == ':') && --nth == 0)
			return end + 1 + strspn(end + 1, " \t");
	}
	return NULL;
}

static const config_setting_t *
last_of(const config_setting_t *group)
{
	int count = config_setting_is_group(group) ? config_setting_length(group) : 0;

	return count > 0 ? config_setting_get_elem(group, (unsigned)count - 1) : NULL;
}

/* A setting of the open groups whose name the line gives again. */
static const config_setting_t *
find_first(const config_t *parsed, int number, const char *line)
{
	const config_setting_t *group = config_root_setting(parsed);

	for (; group != NULL; group = last_of(group))
		for (int i = 0; config_setting_is_group(group) && i < config_setting_length(group);
		     i++) {
			const config_setting_t *one = config_setting_get_elem(group, (unsigned)i);
			int nth = (int)config_setting_source_line(one) < number ? 1 : 2;

			if (value_of(line, config_setting_name(one), nth) != NULL)
				return one;
		}
	return NULL;
}

/* The setting that waits for its value, or NULL. */
static const config_setting_t *
find_open(const config_t *parsed)
{
	const config_setting_t *open = config_root_setting(parsed), *next;

	while ((next = last_of(open)) != NULL)
		open = next;
	return config_setting_type(open) == CONFIG_TYPE_NONE ? open : NULL;
}

/* "trace = on": says so, if that is what the line has. */
static bool
tell_bare_word(struct source *source, const config_t *parsed, int number, const char *line)
{
	const config_setting_t *open = find_open(parsed);
	const char *word = NULL;
	char name[256];

	if (open != NULL)
		word = value_of(line, config_setting_name(open), 1);
	if (word == NULL || !isalpha((unsigned char)word[0]))
		return false;
	source_name(open, name, sizeof(name));
	source_say(source, LOG_ERR, number, name,
	    "%.*s is no value, allowed are true, false, a number, and text in \"double quotes\"",
	    (int)strcspn(word, " \t\r;,#/"), word);
	return true;
}

static void
tell_syntax(struct source *source, const config_t *parsed)
{
	const char *text = config_error_text(parsed);
	const config_setting_t *first;
	int number = config_error_line(parsed);
	char line[LINE_SHOWN], name[256];

	take_line(source->text, number, line);
	if (strcmp(text, "duplicate setting name") == 0) {
		if ((first = find_first(parsed, number, line)) == NULL) {
			source_fault(source, number, "a setting that is there already");
			return;
		}
		source_name(first, name, sizeof(name));
		source_say(source, LOG_ERR, number, name, "is there already, in line %d",
		    (int)config_setting_source_line(first));
	} else if (strcmp(text, "syntax error") != 0) {
		source_fault(source, number, "%s", text);
	} else if (!tell_bare_word(source, parsed, number, line)) {
		source_fault(
		    source, number, "syntax error here or before, allowed is name = value;");
	}
}

/* Finds what libconfig would swallow or follow. Returns 0, or -1 after a fault. */
static int
look_through(struct source *source)
{
	enum quirk quirk;
	int line = quirks_find(source->text, &quirk);

	if (line == 0)
		return 0;
	if (quirk == QUIRK_COMMENT)
		source_fault(source, line, "a comment that does not end, allowed is /* ... */");
	else
		source_fault(source, line,
		    "@include is not read; more settings go into the folder %s.d, in files named "
		    "*.conf",
		    source->main);
	return -1;
}

int
source_parse(struct source *source, config_t *parsed)
{
	static const char mark[] = "\xef\xbb\xbf"; /* that some editors put before UTF-8 */

	if (strncmp(source->text, mark, strlen(mark)) == 0)
		source->text += strlen(mark);
	if (look_through(source) < 0)
		return -1;
	config_init(parsed);
	if (config_read_string(parsed, source->text)) {
		source->settings = (unsigned)config_setting_length(config_root_setting(parsed));
		return 0;
	}
	tell_syntax(source, parsed);
	config_destroy(parsed);
	return -1;
}
