/*
 * safe: sockets that outlive the process, as messages in flight in a pair of sockets.
 *
 * The service manager keeps descriptors, but compares each new one with all it has: thousands would
 * take seconds. So it keeps the two ends of a pair, and chatd puts its clients and listeners into
 * messages from one end (feed) to the other (safe), where they stay for a successor to look at.
 * A message has up to SAFE_BATCH sockets and their numbers.
 *
 * A socket is put in right after it was accepted, and cannot be taken out: when it is closed, the
 * copy in the safe remains, so it has to be shut down before. Once many are dead, safe_repack puts
 * the live ones of the oldest messages into new ones and drops the old ones, one after the other,
 * so that at each moment every live one is in some message.
 *
 * A message with one newly accepted socket has its serial number, the count of accepted ones: if
 * the journal does not know that yet, then the process was killed in between, and the socket is a
 * newcomer.
 *
 * Without a journal all of this does nothing.
 */
#ifndef CHATD_SAFE_H
#define CHATD_SAFE_H

#include <stdbool.h>
#include <stdint.h>

#define SAFE_BATCH 253 /* the most that the kernel takes in a message */

struct safe {
	int out, in; /* descriptors: safe and feed; -1: there is none */
	uint32_t messages, live, dead;
	uint32_t left;     /* sockets of a former process for which there was no descriptor */
	uint64_t unkept;   /* sockets that could not be put in, for the log */
	int64_t repack_at; /* CLOCK_NEVER: nobody is dead */
};

extern struct safe safe;

/* A new pair. Returns 0, or -1 with errno. */
int safe_open(void);
/* That of a former process. Returns 0, or -1 if it is none. */
int safe_adopt(int out, int in);
void safe_close(void);
/* Of a safe that was passed as these two: the highest number in it, less than INT_MAX, or -1: there
 * is none, or none was passed. Nothing changes. */
int safe_highest(int out, int in);

/* Puts a socket in that was just accepted. Returns whether it is in. */
bool safe_put_accepted(int fd);
/* That one is shut down and will be closed; it never got a record. */
void safe_forget_accepted(int fd);
/* Puts another socket in: a listener. */
bool safe_put(int fd);
/* One that is in has been shut down, and will be closed. */
void safe_dead(void);

/* Whether the socket with that number belongs into the safe. */
typedef bool safe_is_live(int fd);
/* When many are dead, or some for long: repacks. Returns when to call again. */
int64_t safe_run_due(safe_is_live *is_live);

/* For a successor: the sockets of a message. */
struct safe_batch {
	uint32_t count;
	int fds[SAFE_BATCH]; /* descriptors that they came as; the callee takes them over */
	uint32_t numbers[SAFE_BATCH]; /* that they had; 0: nobody knows */
	uint32_t serial;              /* of a single one that was just accepted, or 0 */
};
/* Calls take with each message. Nothing leaves the safe. Returns 0, or -1 with errno. */
typedef void safe_take(struct safe_batch *batch, void *context);
int safe_each(safe_take *take, void *context);
/* After that: how many of them are live. */
void safe_count(uint32_t live);

#endif
