/*
 * host: a whole server in a process of its own, one pass at a time.
 *
 * The child runs the server as main does, with descriptor 3 the first that is free. Where it would
 * wait in pselect it asks the test what to do, so the test knows what it waits for, and the clock
 * stands still until the test moves it. Nothing depends on how fast the machine is.
 */
#ifndef HOST_H
#define HOST_H

#include <stdbool.h>
#include <stdint.h>

#include "seam.h"

/* Setup and teardown. Standard output and error, the child's as well, are caught. */
int host_setup(void **state);
int host_teardown(void **state);

/*
 * Writes the settings to chatd.conf in the test's folder and starts. They come behind
 * "listen = FOLDER/chat", unless they name a listen of their own. Returns in the first wait, or
 * when the server has ended.
 */
void host_start(const char *settings);
/* The same as from a command line that names no file. */
void host_start_without_file(const char *settings);
void host_settings(const char *settings);

/* seam_fail in the child, for the next start, from when the settings are read. */
void host_fail_start(enum seam seam, unsigned long skip, unsigned long count, int error);

/*
 * Limits of open files for the next start, which it cannot raise beyond hard. Where the machine
 * allows less, the exit status is HOST_TOO_FEW_FILES.
 */
#define HOST_TOO_FEW_FILES 96
void host_limit_files(unsigned long soft, unsigned long hard);

/* The wait ends with what is ready at this moment. Returns how many descriptors were. */
int host_pass(void);
/* The same, until nothing is. */
void host_settle(void);
/* The wait ends as soon as something is ready; the network needs its time. */
void host_await(void);
/* The wait ends because its time is over. */
void host_expire(void);
/* The wait ends with a signal. */
void host_interrupt(int number);
/* The same, but what is ready comes first: pselect does not tell of the signal then. */
void host_pass_with(int number);
/* The wait fails. */
void host_fail_wait(int error);

/* What the server waits for. Its timeout in microseconds, or -1 for no timeout. */
int64_t host_timeout(void);
bool host_reads(int fd);
bool host_writes(int fd);

/* How many open files the child may have. */
unsigned long host_files(void);

/* The exit status, or -1 while it runs. 95 to 99 are troubles of this file, not of the server. */
int host_status(void);

/* Moves the clock. */
void host_advance(int64_t microseconds);
/* seam_fail in the child. */
void host_fail(enum seam seam, unsigned long skip, unsigned long count, int error);

/* The main socket, and the first client. */
#define HOST_MAIN  3
#define HOST_FIRST 4

/* A client on the unix socket. */
int host_connect(void);
/* The same, and it has come in. */
int host_enter(void);
/* A client at "address:port". */
int host_connect_tcp(const char *where);
/* Where the first listener of the log listens, as "127.0.0.1:41234". Takes the log so far. */
const char *host_listens(void);

/* What was said since the last look. */
const char *host_trace(void);
const char *host_log(void);

/* Starts, and forgets what was said about it. */
void host_start_quiet(const char *settings);
/* The log since the last look is format, with the name of a client for each %s. */
void host_expect_log(const char *format);
/* A client has heard just this since the last look. */
void host_expect(int fd, const char *want);
/* And then the end. Closes its end, too. */
void host_expect_last(int fd, const char *want);

#endif
