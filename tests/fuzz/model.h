/*
 * model: what a chat has to be, in the simplest way that it can be said.
 *
 * There is one list of all that was said, in the order in which it was received: an entry for the
 * whole lines of each recv. Every member gets all entries behind the one at which it came, less its
 * own, in this order, unchanged and whole. A member may be removed only for a reason that is
 * written down, and is told this in one last line where there is room for it.
 *
 * The model hears of every call; each function ends the program when the server has gone wrong.
 */
#ifndef FUZZ_MODEL_H
#define FUZZ_MODEL_H

#include "world.h"

/* What a settings file says of who may come in. */
struct rules {
	uint8_t allow, deny; /* see model.c */
};

#define MODEL_ALLOW 4 /* kinds of each */
#define MODEL_DENY  3

extern const char *const model_allow_text[MODEL_ALLOW], *const model_deny_text[MODEL_DENY];

void model_reset(void);
/* Puts down the rules of a settings file that may become valid. Returns its number. */
int model_settings(struct rules rules, const struct limits *limits);

void model_pass_begins(void);
void model_accepted(struct peer *peer);
void model_received(struct peer *peer, const char *data, size_t len);
/* The last that it says is over: recv told of an end of file, LEFT, or of an error, FAILED. */
void model_ended(struct peer *peer, enum removal how);
void model_sent(struct peer *peer, const char *data, size_t len);
/* The server has ended its side. */
void model_shut(struct peer *peer);
void model_closed(struct peer *peer);
/* It could not be sent to, since it is closed or was shut. */
void model_refused(const struct peer *peer);

/* Whoever was accepted and is still there has been let in. Called when something else happens. */
void model_admit(void);
/* The server is about to wait: nobody is in between. */
void model_pass_ends(void);
/* Bytes of the list that peer has still to get. */
size_t model_missing(const struct peer *peer);

/* The trace: what has to be written for an event, and what was written. */
void model_trace(const char *format, ...) __attribute__((format(printf, 1, 2)));
void model_traced(const char *data, size_t len);
/* Everything that was due has been written. */
void model_trace_ends(void);

#endif
