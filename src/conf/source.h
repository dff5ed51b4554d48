/*
 * source: the text of one file of settings, as a tree that libconfig has parsed.
 *
 * Faults are reported with file and line, and counted. What libconfig reports badly, or
 * misunderstands, is found here.
 */
#ifndef CHATD_SOURCE_H
#define CHATD_SOURCE_H

#include <libconfig.h>
#include <stdbool.h>
#include <stddef.h>

/*
 * Takes one fault or, level LOG_WARNING of syslog.h, one warning: "FILE:LINE: setting: what is
 * wrong, what is allowed", without a line end.
 */
typedef void source_tell(int level, const char *text);

struct source {
	const char *file; /* its name, for faults */
	const char *text; /* what it holds */
	const char *main; /* FILE, after which the folder of the others is named */
	source_tell *tell;
	unsigned faults;   /* told so far */
	bool no_memory;    /* one of them was for lack of memory */
	unsigned settings; /* at the top level of the file */
	void *into;        /* the struct that the rules fill */
};

/* Reports that there is no memory. */
void source_no_memory(struct source *source);
/* Reports one fault of the file; line 0: of no line. */
void source_fault(struct source *source, int line, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* The same of a setting, or a warning, which is not counted: level is LOG_ERR or LOG_WARNING. */
void source_say(struct source *source, int level, int line, const char *setting, const char *format,
    ...) __attribute__((format(printf, 5, 6)));

/* "limits.clients" of a setting; an element of a list goes by the name of the list. */
void source_name(const config_setting_t *setting, char *name, size_t size);

/* Parses the text. Returns 0, and the caller destroys parsed, or -1 after a fault. */
int source_parse(struct source *source, config_t *parsed);

#endif
