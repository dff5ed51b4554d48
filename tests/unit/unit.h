/*
 * unit: what every unit test starts with.
 *
 * A test is one function whose name is the promise it keeps:
 *
 *	TEST(a_line_of_the_full_length_passes)
 *	{
 *		...
 *	}
 *
 * Nothing here waits: both ends of every socket are in the same process, so what was sent is there.
 */
#ifndef UNIT_H
#define UNIT_H

/* cmocka.h wants these before it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdbool.h>
#include <stdlib.h>

#define TEST(name) static void name(void **state __attribute__((unused)))

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

/* A line of comment in the test's output, also while standard output is caught. */
void note(const char *format, ...) __attribute__((format(printf, 1, 2)));

/*
 * Random inputs. The seed stands in the test's output as "# CHATD_SEED=..."; set in the environment
 * it gives the same inputs again. Every test starts its numbers anew, whatever ran before it.
 */
void random_start(void);
uint32_t random_below(uint32_t end);

/*
 * Catches what is written to standard output or standard error. Made for setup and teardown: a
 * failed assertion must not leave a stream caught.
 */
void catch_start(int fd);
void catch_end(int fd);
/* What was written since the last look. Good until the next look. */
const char *caught(int fd);

/* Gives a descriptor fd another meaning, and its own one back. */
void stream_replace(int fd, int by);
void stream_restore(int fd);

/* A connected pair of non-blocking stream sockets. */
void make_pair(int pair[2]);
void set_nonblocking(int fd);
/* Sends all of it, or fails the test. */
void put_text(int fd, const char *text);
/* All that can be read now, as a string. Good until the next look. closed: end of file follows. */
const char *get_text(int fd, bool *closed);
/* Fills a non-blocking socket or pipe with dots until it takes no more. Returns how many bytes it
 * took. */
size_t stuff(int fd);
bool is_open(int fd);
/* How many descriptors are open: the same again where nothing was left behind. */
int open_descriptors(void);

/* A folder of its own under /tmp, removed with all that is in it by folder_remove. */
const char *folder_make(void);
void folder_remove(void);
/* The path of a name in it. Each call gives another buffer, so several can stand in one line. */
const char *in_folder(const char *name);
void file_write(const char *path, const void *data, size_t len);

#endif
