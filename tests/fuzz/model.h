/*
 * model: what a chat has to be, in the simplest way that it can be said.
 *
 * There is one list of all that was said, in the order in which it was received: an entry for the
 * whole lines of each recv, and one for the answer to telnet's commands, which is for one peer
 * alone. Every member gets all entries behind the one at which it came, less its own and those for
 * others, in this order, unchanged and whole. A member leaves only for a reason that is written
 * down; then it gets the rest of a line that has begun, at the server's end all that waits, and a
 * last line that tells the reason.
 *
 * The model hears of every call; each function ends the program when the server has gone wrong. It
 * looks into the server only for when something begins, never for whether it may.
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
int model_settings(struct rules rules, const struct limits *limits, uint32_t history, bool chat);

/* The server is about to wait: nobody is in between. */
void model_pass_ends(void);
/* It is about to ask; timeout is in microseconds, or -1. */
void model_asks(int64_t timeout);
/* Select has answered, or was interrupted. */
void model_pass_begins(bool answered);

/* accept is called, and has failed for another reason than that all are in. */
void model_accepts(void);
void model_accept_failed(void);
void model_accepted(struct peer *peer);
/* recv is called for len bytes, and has brought some to a member. */
void model_receives(struct peer *peer, size_t len);
void model_received(struct peer *peer, const char *data, size_t len);
/* recv told a member, or one that leaves, of the end of file. */
void model_eof(struct peer *peer);
void model_closes(struct peer *peer);
/* One that leaves has sent something: more may be on its way. */
void model_sends_on(struct peer *peer);
/* Whether nothing more comes from it, and all that it got has arrived. */
bool model_is_quiet(const struct peer *peer);
/* send is called, and has taken some. */
void model_sends(struct peer *peer);
void model_sent(struct peer *peer, const char *data, size_t len);
/* A call has failed. */
void model_skipped(void);
/* The server has ended its side. */
void model_shut(struct peer *peer);
void model_closed(struct peer *peer);
void model_closes_listener(int index);

/* Whether notices are due some time. */
bool model_tells_later(void);
/* Bytes of the list that peer has still to get. */
size_t model_missing(const struct peer *peer);

/* The trace: what has to be written for an event, and what was written. */
void model_trace(const char *format, ...) __attribute__((format(printf, 1, 2)));
void model_traced(const char *data, size_t len);
/* A connection is removed. */
void model_trace_removal(int sd);
/* The server is about to wait, or has ended: everything that was due has been written. */
void model_trace_waits(void);
void model_trace_ends(void);
void model_trace_reset(void);

#endif
