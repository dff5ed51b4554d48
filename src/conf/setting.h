/*
 * setting: values of a libconfig file, checked one by one against a table of rules.
 *
 * A rule says what a setting is called, which function reads it and what it allows. What is wrong
 * is told with file and line and counted; reading goes on, so one run finds every fault.
 */
#ifndef CHATD_SETTING_H
#define CHATD_SETTING_H

#include <libconfig.h>
#include <stdbool.h>
#include <stddef.h>

#define SETTING_FILE_MAX 1048576 /* bytes of the file: more is none that a person wrote */

/* Takes one fault: "FILE:LINE: setting: what is wrong, what is allowed", without a line end. */
typedef void setting_tell(const char *text);

struct source {
	const char *file; /* its name, for faults and to find what it includes */
	const char *text; /* what it holds */
	setting_tell *tell;
	unsigned faults; /* told so far */
	void *into;      /* the struct that the rules fill */
};

struct rule;
typedef void setting_read(struct source *, const config_setting_t *, const struct rule *);

/* A table of rules ends with one that has no name. */
struct rule {
	const char *name;
	setting_read *read;
	size_t field;       /* offset in the struct: bool for truth values, uint32_t for numbers */
	long long min, max; /* of a number */
	const char *unit;   /* "bytes" takes a string such as "64K" as well; "" is a bare number */
	const struct rule *group; /* of the settings in a group */
};

/* Readers of truth values, of numbers from min to max, and of groups with rules of their own. */
setting_read setting_bool, setting_number, setting_group;

/* Returns the text of the file, which the caller frees, or NULL after a fault. */
char *source_load(struct source *source);
/* Reads the text by the rules. */
void source_read(struct source *source, const struct rule *rules);

void source_fault(struct source *source, int line, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void setting_fault(struct source *source, const config_setting_t *setting, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* What stands there: a string in quotes, or else the name of its type. Returns shown. */
#define SETTING_SHOWN 128
const char *setting_show(const config_setting_t *setting, char shown[SETTING_SHOWN]);

/* Whether the setting is a whole number; if so, its value. */
bool setting_whole(const struct source *source, const config_setting_t *setting, long long *value);

/* Calls take for each string of a list, or for the one string. Returns how many there were. */
int setting_strings(struct source *source, const config_setting_t *setting, const char *allowed,
    void (*take)(struct source *, const config_setting_t *, const char *));

#endif
