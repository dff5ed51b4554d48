/*
 * The trace: what has to be written, and what was.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "facts.h"
#include "target.h"

static struct {
	struct bytes due;        /* lines that have to be written */
	size_t due_seen;         /* and so many bytes of them were */
	struct bytes written;    /* a line that is not complete yet */
	bool waiting_written;    /* the last line was "Waiting on select()..." */
	bool maxfd_written;      /* the last line was "MaxFd ..." */
	int removals[WORLD_FDS]; /* closed descriptors whose line is due */
} traced;

void
model_trace_reset(void)
{
	traced.due.len = traced.due_seen = traced.written.len = 0;
	traced.waiting_written = traced.maxfd_written = false;
	memset(traced.removals, 0, sizeof(traced.removals));
}

void
model_trace_removal(int sd)
{
	traced.removals[sd] += server.config->trace;
}

static int
highest(void)
{
	int maxfd = -1;

	for (int fd = 3; fd < WORLD_FDS; fd++)
		if (world_is(fd, LISTENER) || world_is(fd, CLIENT))
			maxfd = fd;
	return maxfd;
}

void
model_trace_ends(void)
{
	if (world.out.disturbed)
		return;
	check(traced.due_seen == traced.due.len && traced.written.len == 0);
	for (int sd = 0; sd < WORLD_FDS; sd++)
		check(traced.removals[sd] == 0);
}

void
model_trace_waits(void)
{
	if (server.config->trace && !world.out.disturbed)
		check(traced.maxfd_written);
	model_trace_ends();
	traced.due.len = traced.due_seen = 0;
}

void
model_trace(const char *format, ...)
{
	char line[128];
	va_list args;
	int len;

	if (!server.config->trace)
		return;
	va_start(args, format);
	len = vsnprintf(line, sizeof(line) - 1, format, args);
	va_end(args);
	line[len] = '\n';
	bytes_add(&traced.due, line, (size_t)len + 1);
}

static bool
is_line(const char *line, size_t len, const char *text)
{
	return strlen(text) == len && memcmp(line, text, len) == 0;
}

/* A line of the trace is one that is due, or tells that somebody is removed. */
static void
take_line(const char *line, size_t len)
{
	static const char removing[] = "removing connection with sd ";
	char text[64];

	traced.maxfd_written = false;
	if (world.out.disturbed)
		return;
	if (strncmp(line, removing, strlen(removing)) == 0) {
		int sd = atoi(line + strlen(removing));

		snprintf(text, sizeof(text), "%s%d \n", removing, sd);
		check(is_line(line, len, text));
		check(sd > 2 && sd < WORLD_FDS);
		traced.removals[sd]--;
	} else if (traced.waiting_written) {
		snprintf(text, sizeof(text), "MaxFd %d\n", highest());
		check(is_line(line, len, text));
		traced.maxfd_written = true;
		traced.waiting_written = false;
	} else if (is_line(line, len, "Waiting on select()...\n")) {
		check(traced.due_seen == traced.due.len);
		traced.waiting_written = true;
	} else {
		if (traced.due.len - traced.due_seen < len ||
		    memcmp(traced.due.data + traced.due_seen, line, len) != 0)
			die("the trace says: %.*sinstead of: %.*s", (int)len, line,
			    (int)(traced.due.len - traced.due_seen),
			    traced.due.data + traced.due_seen);
		traced.due_seen += len;
	}
}

void
model_traced(const char *data, size_t len)
{
	struct bytes *written = &traced.written;
	size_t done = 0;
	char *end;

	bytes_add(written, data, len);
	while ((end = memchr(written->data + done, '\n', written->len - done)) != NULL) {
		char *line = written->data + done;

		take_line(line, (size_t)(end - line) + 1);
		done += (size_t)(end - line) + 1;
	}
	written->len -= done;
	memmove(written->data, written->data + done, written->len);
}
