/*
 * report: who is here, for an administrator who asks by SIGUSR1.
 *
 * In the log: how many clients and lines there are and since when, and who holds everybody up; then
 * at most REPORT_CLIENTS clients, one line each, those for whom most waits first.
 */
#ifndef CHATD_REPORT_H
#define CHATD_REPORT_H

#include <stdint.h>

#include "chat/chat.h"

#define REPORT_CLIENTS 100

/* started: when the server began to serve. */
void report_write(const struct chat *chat, int64_t started);

#endif
