/*
 * seam: where a test steps between chatd and the system.
 *
 * The linker's --wrap sends chatd's calls of these functions through here. Unless a test says
 * otherwise they go on to the system.
 */
#ifndef SEAM_H
#define SEAM_H

#include <stddef.h>
#include <stdint.h>
#include <sys/select.h>

enum seam {
	SEAM_MEMORY, /* malloc, calloc, realloc, reallocarray, recallocarray */
	SEAM_RECV,
	SEAM_SEND, /* send, sendmsg */
	SEAM_ACCEPT,
	SEAM_SOCKET,
	SEAM_TRIM, /* malloc_trim */
	SEAMS
};

/* Lets the next skip calls go on, and fails count after them with errno error. */
void seam_fail(enum seam seam, unsigned long skip, unsigned long count, int error);
#define SEAM_ALWAYS (~0UL)

/* From now on no call takes more than max bytes; 0: as many as it likes. Of SEAM_SEND only. */
void seam_shorten(size_t max);

/* Calls since the last seam_reset, those that failed included. */
unsigned long seam_calls(enum seam seam);

/* Everything goes on to the system again; counts start at 0. */
void seam_reset(void);
/* The same as a teardown. */
int seam_teardown(void **state);

/* Takes the place of pselect until seam_reset. */
typedef int seam_select(int, fd_set *, fd_set *, const struct timespec *);
void seam_set_select(seam_select *select);

/*
 * From the first call on the clock stands still at time, whatever seam_reset does. chatd knows it
 * when it next reads the clock.
 */
void seam_set_time(int64_t time);
/* The same, and chatd reads it: a pass at that time begins. */
void seam_pass_at(int64_t time);
/* While the clock stands still, each clock_read finds it so much later than the one before, until
 * seam_reset. */
void seam_set_step(int64_t microseconds);
/* Takes the place of the way to the journal until seam_reset. */
void seam_set_journal(int (*journal)(void));

#endif
