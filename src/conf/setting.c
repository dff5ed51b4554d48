#include "conf/setting.h"

#include <bsd/string.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conf/quirks.h"

static void report(struct source *source, const char *file, int line, const char *setting,
    const char *format, va_list args) __attribute__((format(printf, 5, 0)));

static void
report(struct source *source, const char *file, int line, const char *setting, const char *format,
    va_list args)
{
	char what[1024], where[16] = "", text[2048];

	vsnprintf(what, sizeof(what), format, args);
	if (line > 0)
		snprintf(where, sizeof(where), ":%d", line);
	snprintf(text, sizeof(text), "%s%s: %s%s%s", file, where, setting,
	    setting[0] != '\0' ? ": " : "", what);
	source->faults++;
	source->tell(text);
}

void
source_fault(struct source *source, int line, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	report(source, source->file, line, "", format, args);
	va_end(args);
}

/* "limits.clients" of a setting; an element of an array goes by the name of the array. */
static void
full_name(const config_setting_t *setting, char *name, size_t size)
{
	const config_setting_t *parent = config_setting_parent(setting);

	if (parent != NULL && !config_setting_is_root(parent)) {
		full_name(parent, name, size);
		if (config_setting_name(setting) != NULL)
			strlcat(name, ".", size);
	} else {
		name[0] = '\0';
	}
	if (config_setting_name(setting) != NULL)
		strlcat(name, config_setting_name(setting), size);
}

void
setting_fault(struct source *source, const config_setting_t *setting, const char *format, ...)
{
	const char *file = config_setting_source_file(setting);
	char name[256];
	va_list args;

	full_name(setting, name, sizeof(name));
	va_start(args, format);
	report(source, file != NULL ? file : source->file, (int)config_setting_source_line(setting),
	    name, format, args);
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

static void
ignore_fault(const char *text)
{
	(void)text;
}

/* The path of an included file, relative to the folder of the file that is read, as in libconfig.
 */
static const char *
include_path(const struct source *source, const char *name, char path[PATH_MAX])
{
	const char *slash = strrchr(source->file, '/');

	if (name[0] == '/' || quirks_absolute(source->text))
		strlcpy(path, name, PATH_MAX);
	else if (slash == NULL)
		snprintf(path, PATH_MAX, "./%s", name);
	else
		snprintf(
		    path, PATH_MAX, "%.*s%s", (int)(slash + 1 - source->file), source->file, name);
	return path;
}

/* The text of the file that the setting stands in; where it was included, own is to be freed. */
static const char *
text_of(const struct source *source, const config_setting_t *setting, char **own)
{
	const char *name = config_setting_source_file(setting);
	struct source included = {.tell = ignore_fault};
	char path[PATH_MAX];

	*own = NULL;
	if (name == NULL)
		return source->text;
	included.file = include_path(source, name, path);
	return *own = source_load(&included);
}

bool
setting_whole(const struct source *source, const config_setting_t *setting, long long *value)
{
	int type = config_setting_type(setting);
	const char *text;
	char *own;

	if (type != CONFIG_TYPE_INT && type != CONFIG_TYPE_INT64)
		return false;
	*value = config_setting_get_int64(setting);
	if (type == CONFIG_TYPE_INT && (text = text_of(source, setting, &own)) != NULL) {
		*value = quirks_number(text, *value);
		free(own);
	}
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
setting_strings(struct source *source, const config_setting_t *setting, const char *allowed,
    void (*take)(struct source *, const config_setting_t *, const char *))
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
			take(source, element, config_setting_get_string(element));
	}
	return count;
}

char *
source_load(struct source *source)
{
	int fd = open(source->file, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	size_t len = 0;
	ssize_t n = -1;
	char *text = NULL;
	bool good = false;

	if (fd >= 0 && (text = malloc(SETTING_FILE_MAX + 2)) != NULL)
		while ((n = read(fd, text + len, SETTING_FILE_MAX + 1 - len)) > 0)
			len += (size_t)n;
	if (n < 0)
		source_fault(source, 0, "%s", strerror(errno));
	else if (len > SETTING_FILE_MAX)
		source_fault(source, 0, "is too long, allowed are %d bytes", SETTING_FILE_MAX);
	else if (memchr(text, '\0', len) != NULL)
		source_fault(source, 0, "holds a NUL byte, allowed is text");
	else
		good = true;
	if (fd >= 0)
		close(fd);
	if (!good) {
		free(text);
		return NULL;
	}
	/* libconfig wants a newline behind a comment that ends the file. */
	if (len > 0 && text[len - 1] != '\n')
		text[len++] = '\n';
	text[len] = '\0';
	return text;
}

/* Where an @include stands. */
struct include {
	struct source *source;
	const char *file;
	int depth;
	bool too_deep; /* libconfig refuses the file: no more is to be looked at */
};

static void look_through(struct include *in, const char *text);

/* libconfig ends the process where what is to be included is a folder. */
static void
check_include(void *context, int line, const char *name)
{
	struct include *from = context;
	struct include in = {.source = from->source, .file = name, .depth = from->depth + 1};
	struct source included = {.tell = ignore_fault}, where = *from->source;
	char path[PATH_MAX], *text;
	struct stat st;

	if (from->too_deep)
		return;
	included.file = include_path(from->source, name, path);
	where.file = from->file;
	if (stat(path, &st) == 0 && !S_ISREG(st.st_mode)) {
		source_fault(&where, line, "@include \"%s\" names no file", name);
		from->source->faults++;
	} else if (in.depth >= QUIRKS_DEPTH) {
		from->too_deep = true;
	} else if ((text = source_load(&included)) != NULL) {
		look_through(&in, text);
		from->too_deep = in.too_deep;
		free(text);
	}
}

/* What libconfig would pass over, or not survive, in a file and those it includes. */
static void
look_through(struct include *in, const char *text)
{
	int line = quirks_includes(text, check_include, in);
	struct source where = *in->source;

	if (line > 0 && !in->too_deep) {
		where.file = in->file;
		source_fault(&where, line, "a comment that does not end, allowed is /* ... */");
		in->source->faults++;
	}
}

static void
syntax_fault(struct source *source, const config_t *parsed)
{
	const char *file = config_error_file(parsed), *text = config_error_text(parsed);
	struct source where = *source;

	if (file != NULL)
		where.file = file;
	source_fault(&where, config_error_line(parsed),
	    strcmp(text, "syntax error") == 0 ? "%s here or before, allowed is name = value;"
					      : "%s",
	    text);
	source->faults++;
}

void
source_read(struct source *source, const struct rule *rules)
{
	struct include top = {.source = source, .file = source->file};
	char *path = strdup(source->file);
	config_t parsed;

	if (path == NULL)
		source_fault(source, 0, "%s", strerror(errno));
	else
		look_through(&top, source->text);
	if (source->faults > 0) {
		free(path);
		return;
	}
	config_init(&parsed);
	if (!quirks_absolute(source->text))
		config_set_include_dir(&parsed, dirname(path));
	if (config_read_string(&parsed, source->text))
		read_group_by(source, config_root_setting(&parsed), rules);
	else
		syntax_fault(source, &parsed);
	config_destroy(&parsed);
	free(path);
}
