/*
 * trace: the required lines on standard output, and the only writer of it.
 *
 * One function for each line. Lines gather during a pass and trace_flush writes them before the
 * loop waits, so a watcher sees a pass at once and a pass costs one write. Nothing ever
 * waits for standard output (see sink.h): what it does not take stays in a bounded buffer, then
 * lines are dropped, and a warning on standard error says how many once there is room again.
 */
#ifndef CHATD_TRACE_H
#define CHATD_TRACE_H

#include <stdbool.h>
#include <stddef.h>

void trace_open(bool enabled);
void trace_enable(bool enabled);
void trace_close(void);

void trace_waiting(int maxfd);
void trace_accepted(int sd);
void trace_readable(int sd);
void trace_received(size_t len, int sd);
void trace_closed(int sd);
void trace_removing(int sd);

/* Returns the descriptor to wait for until it is writable, or -1 when nothing waits. */
int trace_flush(void);
/* Whether standard output took something since the last call. */
bool trace_progressed(void);

#endif
