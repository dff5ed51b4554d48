/*
 * heir: a party with a journal, which may be killed at any moment and is taken over.
 *
 * A kill leaves what it leaves in earnest: the bytes of the journal, the sockets in the safe, what
 * the kernel counts. Everything else is forgotten, and nothing is told to anybody.
 */
#ifndef HEIR_H
#define HEIR_H

#include "chat/takeover.h"
#include "party.h"
#include "seam.h"
#include "wire/journal.h"

/* Settings of a test, as text, and the logarithm of the entries of its index; 0: the usual. */
struct heir_how {
	const char *settings;
	unsigned index_order;
};

/* Setup and teardown; *state is a struct heir_how, or NULL. */
int heir_setup(void **state);
int heir_teardown(void **state);
/* After a state that was not taken over: a party without guests. */
int heir_renew(void);

/* What the limits of the party's settings allow to wait. */
struct journal_need heir_need(void);

/* A copy of the journal as it is now. */
int heir_copy(void);
/* The process is killed; with a copy, when that was made. Guests keep their ends. */
void heir_kill(void);
void heir_kill_at(int copy);
/* After a kill: other settings for the next one. */
void heir_configure(const char *settings);
/* The next one begins. What does not fit is in journal->fault. */
enum takeover_outcome heir_begin(void);
void heir_finish(void);
/* Both, and all went well. */
void heir_succeed(void);
/* A kill, a successor, and passes until nothing is ready. */
void heir_change(void);

/* How many were taken over, and how many were let go, by the last successor. */
extern uint32_t heir_taken, heir_lost;

/* Which allocation of heir_begin is refused; SEAM_ALWAYS: none. */
extern unsigned long heir_refused;
/* Sockets that systemd passed to the successor. */
extern struct spared heir_spared;
/* The journal that the successor will get: for what damages it. NULL: there is none. */
extern int heir_journal;

#endif
