/*
 * log: messages for the administrator on standard error, one line each.
 *
 * Nothing ever waits for standard error (see sink.h). Under systemd each line has its level as a
 * <N> prefix; from a shell it is the bare text. A message never holds a byte that a client sent.
 *
 * Messages that a stranger can cause at will go through log_limited: of each topic, LOG_BURST lines
 * every LOG_INTERVAL, then "... and N more refused".
 */
#ifndef CHATD_LOG_H
#define CHATD_LOG_H

#include <stdbool.h>
#include <stdint.h>
#include <syslog.h>

#include "base/clock.h"

#define LOG_BURST    5
#define LOG_INTERVAL (10 * CLOCK_SECOND)

enum log_topic {
	LOG_REFUSED, /* clients that were not let in */
	LOG_REMOVED, /* clients that broke a limit */
	LOG_HOLDS,   /* clients that hold everybody up, and those that have caught up */
	LOG_KEEP,    /* clients that a restart would end */
	LOG_CLUSTER, /* links to the engine, and what became of entries */
	LOG_ACCEPT,  /* accepting fails, or works again: clients at the limit can alternate it */
	LOG_TOPICS
};

void log_open(void);
void log_close(void);

void log_error(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_warn(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_info(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_debug(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* log_error or log_warn for a fixed string, by level; usable as a source_tell callback. */
void log_fault(int level, const char *text);
void log_limited(enum log_topic topic, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Writes the counts that are due. Returns when the next one is, or CLOCK_NEVER. */
int64_t log_run_due(void);

/* Returns the descriptor to wait for until it is writable, or -1 when nothing waits. */
int log_flush(void);
/* Whether standard error took something since the last call. */
bool log_progressed(void);

#endif
