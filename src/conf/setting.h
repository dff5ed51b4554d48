/*
 * setting: values of a libconfig file, checked one by one against a table of rules.
 *
 * A rule says what a setting is called, which function reads it and what it allows. Faults are
 * reported with file and line and counted; reading goes on, so one run finds every fault.
 */
#ifndef CHATD_SETTING_H
#define CHATD_SETTING_H

#include <libconfig.h>
#include <stdbool.h>
#include <stddef.h>

#include "conf/source.h"

struct rule;
typedef void setting_read(struct source *, const config_setting_t *, const struct rule *);

/* A table of rules ends with one that has no name. */
struct rule {
	const char *name;
	setting_read *read;
	size_t field;       /* offset in the struct: bool for truth values, uint32_t for numbers */
	long long min, max; /* of a number */
	const char *unit;   /* "bytes" takes "64K" as well, "seconds" "5m"; "" is a bare number */
	const struct rule *group; /* of the settings in a group */
};

/* Readers of truth values, of numbers from min to max, and of groups with rules of their own. */
setting_read setting_bool, setting_number, setting_group;

/* Reads the settings of source by the rules. Others keep their values in source->into. */
void setting_read_all(struct source *source, const struct rule *rules);

void setting_fault(struct source *source, const config_setting_t *setting, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* For what is not wrong, but most likely not what was meant. */
void setting_warn(struct source *source, const config_setting_t *setting, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The value for a message: a string in quotes, or else the name of its type. Returns shown. */
#define SETTING_SHOWN 128
const char *setting_show(const config_setting_t *setting, char shown[SETTING_SHOWN]);

/* Whether the setting is a whole number; if so, its value. */
bool setting_whole(const struct source *source, const config_setting_t *setting, long long *value);

/* Calls take for each string of a list, or for the one string. Returns how many there were. */
int setting_strings(struct source *source, const config_setting_t *setting, const struct rule *rule,
    const char *allowed,
    void (*take)(struct source *, const config_setting_t *, const struct rule *, const char *text));

#endif
