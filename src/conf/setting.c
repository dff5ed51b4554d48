#include "conf/setting.h"

#include <bsd/string.h>
#include <limits.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

#include "conf/quirks.h"

static void say(struct source *source, int level, const config_setting_t *setting,
    const char *format, va_list args) __attribute__((format(printf, 4, 0)));

static void
say(struct source *source, int level, const config_setting_t *setting, const char *format,
    va_list args)
{
	char name[256], what[1024];

	source_name(setting, name, sizeof(name));
	vsnprintf(what, sizeof(what), format, args);
	source_say(source, level, (int)config_setting_source_line(setting), name, "%s", what);
}

void
setting_fault(struct source *source, const config_setting_t *setting, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	say(source, LOG_ERR, setting, format, args);
	va_end(args);
}

void
setting_warn(struct source *source, const config_setting_t *setting, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	say(source, LOG_WARNING, setting, format, args);
	va_end(args);
}

static const char *
type_name(const config_setting_t *setting)
{
	switch (config_setting_type(setting)) {
	case CONFIG_TYPE_GROUP:
		return "a group";
	case CONFIG_TYPE_INT:
	case CONFIG_TYPE_INT64:
		return "a whole number";
	case CONFIG_TYPE_FLOAT:
		return "a number with a fraction";
	case CONFIG_TYPE_STRING:
		return "a string";
	case CONFIG_TYPE_BOOL:
		return "a truth value";
	default:
		return "a list";
	}
}

const char *
setting_show(const config_setting_t *setting, char shown[SETTING_SHOWN])
{
	const char *text = config_setting_get_string(setting);

	if (text != NULL)
		snprintf(shown, SETTING_SHOWN, "\"%s\"", text);
	else
		strlcpy(shown, type_name(setting), SETTING_SHOWN);
	return shown;
}

bool
setting_whole(const struct source *source, const config_setting_t *setting, long long *value)
{
	int type = config_setting_type(setting);

	if (type != CONFIG_TYPE_INT && type != CONFIG_TYPE_INT64)
		return false;
	*value = config_setting_get_int64(setting);
	if (type == CONFIG_TYPE_INT)
		*value = quirks_number(source->text, *value);
	return true;
}

void
setting_bool(struct source *source, const config_setting_t *setting, const struct rule *rule)
{
	if (config_setting_type(setting) != CONFIG_TYPE_BOOL) {
		setting_fault(
		    source, setting, "is %s, allowed are true and false", type_name(setting));
		return;
	}
	*(bool *)((char *)source->into + rule->field) = config_setting_get_bool(setting) != 0;
}

/* What a string may say of a unit: digits, and a letter that multiplies them. */
static const struct scale {
	const char *unit, *kind, *examples;
	const char *letters; /* three, and maybe the same in lower case */
	long long factors[3];
} scales[] = {
    {"bytes", "size", "\"64K\"", "KMGkmg", {1 << 10, 1 << 20, 1 << 30}},
    {"seconds", "time", "\"30s\", \"5m\" or \"2h\"", "smh", {1, 60, 3600}},
    {0},
};

static const struct scale *
scale_of(const char *unit)
{
	for (const struct scale *scale = scales; scale->unit != NULL; scale++)
		if (strcmp(scale->unit, unit) == 0)
			return scale;
	return NULL;
}

/* Whether text is a number of the scale; a value too large for any rule is LLONG_MAX. */
static bool
read_scaled(const struct scale *scale, const char *text, long long *value)
{
	size_t digits = strspn(text, "0123456789");
	const char *letter;
	long long factor;

	if (digits == 0 || (digits > 1 && text[0] == '0'))
		return false;
	*value = strtoll(text, NULL, 10);
	if (text[digits] == '\0')
		return true;
	if (text[digits + 1] != '\0' || (letter = strchr(scale->letters, text[digits])) == NULL)
		return false;
	factor = scale->factors[(letter - scale->letters) % 3];
	*value = *value > LLONG_MAX / factor ? LLONG_MAX : *value * factor;
	return true;
}

static void
no_number(struct source *source, const config_setting_t *setting, const struct rule *rule,
    const struct scale *scale)
{
	const char *text = config_setting_get_string(setting);
	const char * or = scale != NULL ? " or a string such as " : "";
	const char *examples = scale != NULL ? scale->examples : "";

	if (scale != NULL && text != NULL)
		setting_fault(source, setting,
		    "\"%s\" is no %s, allowed is a number from %lld to %lld%s%s", text, scale->kind,
		    rule->min, rule->max, or, examples);
	else
		setting_fault(source, setting,
		    "is %s, allowed is a whole number from %lld to %lld%s%s", type_name(setting),
		    rule->min, rule->max, or, examples);
}

void
setting_number(struct source *source, const config_setting_t *setting, const struct rule *rule)
{
	const struct scale *scale = scale_of(rule->unit);
	const char *text = config_setting_get_string(setting);
	long long value;

	if (!setting_whole(source, setting, &value) &&
	    (scale == NULL || text == NULL || !read_scaled(scale, text, &value)))
		no_number(source, setting, rule, scale);
	else if (value < rule->min || value > rule->max)
		setting_fault(source, setting, "%lld is out of range, allowed is %lld to %lld%s%s",
		    value, rule->min, rule->max, rule->unit[0] != '\0' ? " " : "", rule->unit);
	else
		*(uint32_t *)((char *)source->into + rule->field) = (uint32_t)value;
}

static void
unknown_setting(struct source *source, const config_setting_t *setting, const struct rule *rules)
{
	char names[256] = "";

	for (const struct rule *rule = rules; rule->name != NULL; rule++) {
		strlcat(names, rule == rules ? "" : ", ", sizeof(names));
		strlcat(names, rule->name, sizeof(names));
	}
	setting_fault(source, setting, "unknown setting, allowed here are %s", names);
}

static void
read_group_by(struct source *source, const config_setting_t *group, const struct rule *rules)
{
	int count = config_setting_length(group);

	for (int i = 0; i < count; i++) {
		const config_setting_t *setting = config_setting_get_elem(group, (unsigned)i);
		const struct rule *rule = rules;

		while (rule->name != NULL && strcmp(rule->name, config_setting_name(setting)) != 0)
			rule++;
		if (rule->name == NULL)
			unknown_setting(source, setting, rules);
		else
			rule->read(source, setting, rule);
	}
}

void
setting_group(struct source *source, const config_setting_t *setting, const struct rule *rule)
{
	if (!config_setting_is_group(setting))
		setting_fault(
		    source, setting, "is %s, allowed is a group: { ... }", type_name(setting));
	else
		read_group_by(source, setting, rule->group);
}

int
setting_strings(struct source *source, const config_setting_t *setting, const struct rule *rule,
    const char *allowed,
    void (*take)(struct source *, const config_setting_t *, const struct rule *, const char *text))
{
	bool many = config_setting_is_array(setting) || config_setting_is_list(setting);
	int count = many ? config_setting_length(setting) : 1;

	for (int i = 0; i < count; i++) {
		const config_setting_t *element =
		    many ? config_setting_get_elem(setting, (unsigned)i) : setting;

		if (config_setting_type(element) != CONFIG_TYPE_STRING)
			setting_fault(
			    source, element, "is %s, allowed are %s", type_name(element), allowed);
		else
			take(source, element, rule, config_setting_get_string(element));
	}
	return count;
}

void
setting_read_all(struct source *source, const struct rule *rules)
{
	config_t parsed;

	if (source_parse(source, &parsed) < 0)
		return;
	read_group_by(source, config_root_setting(&parsed), rules);
	config_destroy(&parsed);
}
