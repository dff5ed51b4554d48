/*
 * party: a chat with guests, for the tests of its rooms.
 *
 * A guest is the far end of a socket pair, so what it says is there to be read at once, and time is
 * the number party.now. party_pass does what the server does in one pass.
 */
#ifndef PARTY_H
#define PARTY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/loop.h"
#include "chat/chat.h"

struct guest {
	int fd; /* its own end */
	int sd; /* the server's */
};

struct party {
	struct loop loop;
	struct chat chat;
	struct config *config;
	int64_t now;
	struct guest guests[80];
	int count;
};

extern struct party party;

/* Setup and teardown. What is written to standard output and error is caught. */
int party_setup(void **state);
int party_teardown(void **state);

/* Removes everybody, as the end of the server does. Guests may come in again. */
void party_end(void);

/* Other settings, as a reload brings them. The text is that of a file. */
void party_configure(const char *text);

/* Somebody comes in, from "192.0.2.1" or, with NULL, by a unix socket. */
struct guest *party_join(const char *address);
/* Its own end is closed. */
void party_leave(struct guest *guest);
void party_say(const struct guest *guest, const char *text);
/* A line of len bytes of the one letter, its end included. Good until the next. */
const char *party_line(char letter, size_t len);
/* len bytes without a line end. Good until the next. */
const char *party_letters(size_t len);
/* The guest says a line of len bytes, and it is received; nothing is written to anybody. */
void party_speak(const struct guest *guest, size_t len);
/* All that it can hear now. closed: and then the end of file. Good until the next look. */
const char *party_hears(const struct guest *guest, bool *closed);
/* It has heard just this since the last look. */
void party_expect(const struct guest *guest, const char *want);
/* And then the end, and it is not in any more. */
void party_expect_last(const struct guest *guest, const char *want);
/* Its connection, while it is in. */
struct conn *party_conn(const struct guest *guest);
bool party_has(const struct guest *guest);

/* One pass: reads, writes and reaps what is ready now. Returns whether anything was. */
bool party_pass(void);
/* Passes until nothing is ready any more. */
void party_settle(void);
/* Reads the one client once; what it said is in no queue yet. */
void party_receive(const struct guest *guest);
/* What follows the readers of a pass. */
void party_deliver(void);
/* Both. */
void party_read(const struct guest *guest);
void party_write(const struct guest *guest);
/* Writes exactly len bytes to the guest. */
void party_write_some(const struct guest *guest, size_t len);
/* Whether somebody holds the others back. */
bool party_holds(void);
/* Whether the guest is not parked. */
bool party_asks(const struct guest *guest);
/* Whether the kernel and the memory allow to read, and to write. */
bool party_reading(void);
bool party_writing(void);
/* A pass that serves nobody, and does what is due. The next deadline. */
int64_t party_expire(void);

/* What the trace and the log said since the last look, with guests' numbers for "sd A", "sd B"...
 */
const char *party_trace(void);
const char *party_log(void);

#endif
