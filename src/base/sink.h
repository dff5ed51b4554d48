/*
 * sink: lines written to a descriptor without ever waiting for its reader.
 *
 * Lines gather in a buffer and leave in one write when sink_flush is called. What the descriptor
 * does not take at once stays in the buffer; lines that no longer fit are dropped whole and
 * counted. So a stopped journald, a full pipe or a sleeping reader costs lines, never time.
 *
 * The journal's stream breaks when journald is stopped and started. Then it is opened anew, under
 * the same descriptor: when there is something to write, at most once in SINK_AGAIN. Until that
 * works, lines wait in the buffer.
 *
 * How a write is kept from waiting depends on what the descriptor is:
 *   socket        MSG_DONTWAIT
 *   regular file  never waits for a reader
 *   pipe, tty     opened anew through /proc/self/fd, so that O_NONBLOCK is ours alone; if that is
 *                 refused, O_NONBLOCK is set on the shared description until sink_close
 */
#ifndef CHATD_SINK_H
#define CHATD_SINK_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"

#define SINK_ROOM  65536        /* bytes that wait at most */
#define SINK_AGAIN CLOCK_SECOND /* between two attempts to open the journal's stream anew */

struct sink {
	int fd;
	bool socket;
	bool journal;  /* it is the stream of $JOURNAL_STREAM: lines bear a <N> prefix */
	bool broken;   /* that stream is to be opened anew */
	int64_t again; /* not before this time */
	bool restore;  /* O_NONBLOCK was set on a shared description, and is to be cleared */
	int error;     /* errno of the last write, or 0: lines are lost while it lasts */
	bool ended;    /* that error was permanent: nothing is written any more */
	unsigned long dropped; /* lines, not reported yet */
	bool torn;             /* data begins in the middle of a line */
	bool progressed;       /* the descriptor took something since the last look */
	size_t len;
	char data[SINK_ROOM];
};

/* The descriptor remains the caller's, and keeps its number. */
void sink_open(struct sink *sink, int fd);
void sink_close(struct sink *sink);

/* Adds one line; format has no line end. level is a syslog level, 0 to 7. */
void sink_vline(struct sink *sink, int level, const char *format, va_list args)
    __attribute__((format(printf, 3, 0)));
void sink_line(struct sink *sink, int level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* The same with a text that is ready, for lines that come often. */
void sink_text(struct sink *sink, int level, const char *text, size_t len);

/* Writes what the descriptor takes now. Returns whether there is nothing to wait for. */
bool sink_flush(struct sink *sink);

/* Whether the descriptor took something since the last call. */
bool sink_progressed(struct sink *sink);

/* How many lines were dropped, once there is room again; 0 before. Each is counted once. */
unsigned long sink_dropped(struct sink *sink);

#endif
