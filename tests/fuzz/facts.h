/*
 * facts: what the files of the model know of each other.
 */
#ifndef FUZZ_FACTS_H
#define FUZZ_FACTS_H

#include "model.h"

#define SETTINGS_MAX 512
#define UNKNOWN      SIZE_MAX

struct entry {
	int origin;   /* index of the peer that said it, or -1 */
	int only;     /* index of the one that it is for, or -1: all the others */
	size_t begin; /* of its bytes in text */
	size_t end;
	size_t position; /* bytes that were said to all before it */
};

/* A part for one peer, which it does not get where memory is refused, or, if it may lack it, where
 * too much waits for it. */
struct offer {
	struct peer *peer;
	uint32_t entry;
	bool may_lack;
};

#define OFFERS_MAX (2 * WORLD_PEERS)

/* Names in a notice. */
struct roll {
	char text[1100];
	size_t len;
	uint32_t count, more;
};

struct model {
	struct entry *entries;
	uint32_t count, size;
	uint32_t pass; /* first entry of this pass */
	struct bytes text;
	size_t position; /* bytes that were said to all */
	struct rules rules[SETTINGS_MAX];
	int n_rules;
	int valid;                       /* number of the settings in force when the pass began */
	struct peer *newcomer;           /* accepted, and perhaps not let in */
	struct peer *actor;              /* who has begun to leave, or is at its end, just now */
	struct offer offers[OFFERS_MAX]; /* made since the last event */
	int n_offers;
	uint64_t refused;      /* allocations until the last event */
	uint64_t pass_refused; /* and until the pass began */
	bool skipped;          /* in this pass a call failed */
	int64_t rest_until;    /* until then the server may rest */
	bool rested;           /* for want of memory, when it last waited */
	int64_t pause_until;   /* or not accept */
	uint64_t extra;        /* bytes received beyond what the holds allow */
	/* mode chat */
	bool chat;        /* it is on */
	bool always_chat; /* no settings said otherwise */
	bool ever_chat;
	struct bytes history; /* lines */
	size_t history_max;
	struct roll left; /* since the last notices */
	int64_t notices_due;
	size_t announced; /* bytes of notices at the end of this pass */
	bool rate_was_set;
	/* those who hold */
	size_t budget;    /* bytes of this pass, or UNKNOWN */
	unsigned readers; /* members that are ready */
	/* those who leave */
	uint32_t turns;
	/* the end */
	bool quiet;   /* nothing more comes from anybody */
	bool goodbye; /* all have to leave */
	int64_t goodbye_at;
	int last_member, last_leaving; /* descriptors that were closed at the very end */
	unsigned ticks;                /* short waits in a row without effect */
	uint64_t progress;
	/* the largest that ever was, for the bounds of memory */
	uint32_t most_line, most_queue, most_members, most_history;
};

extern struct model model;

const struct limits *model_limits(void);
/* The server's own connection, or NULL. */
struct conn *model_conn(const struct peer *peer);
/* Something happens, to peer or to nobody in particular. */
void model_event(struct peer *peer);
bool model_is_in(const struct peer *peer);
/* Whether it has said what ends it. */
bool model_must_leave(const struct peer *peer);
uint32_t model_members(void);

/* --- model.c: who may come in */
bool model_allows(const struct peer *peer);
bool model_too_many(void);
bool model_too_many_from(const struct peer *peer);

/* --- said.c */
/* Something was said by the peer of an index, or by chatd (-1), to one alone or to all others (-1).
 */
void model_add(int origin, int only, const char *data, size_t len);
int model_index(const struct peer *peer);

struct lag {
	size_t least, most; /* the same, but as long as it is unknown where the peer began */
};

struct lag model_lag(const struct peer *peer);
size_t model_lag_at(const struct peer *peer, struct cursor cursor);
/* Cuts what peer gets: now, or behind the line that has begun. */
void model_cut(struct peer *peer, bool now);
/* Puts the cursors of a peer where it goes on, and those at the same place together. */
void model_settle(struct peer *peer);
/* All that the peer has still to get, from a cursor, but for those of count offers in the mask. */
void model_append_missing(const struct peer *peer, struct cursor cursor, const struct offer *offers,
    int count, unsigned mask, struct bytes *missing);
/* The bytes behind all that the peer was to get. */
size_t model_advance(struct peer *peer, const char *data, size_t len);

/* --- last_words.c */
/* Whether the server has let the peer leave just now; takes down why it may have. */
void model_touch(struct peer *peer);
void model_take_told(struct peer *peer, const char *data, size_t len);
bool model_told_all(const struct peer *peer);
bool model_is_idle(const struct peer *peer);
void model_check_leaving(const struct peer *peer);

/* --- offers.c */
void model_offer(struct peer *peer, const char *data, size_t len, bool may_lack);
/* Finds out which of them there was memory for. */
void model_settle_offers(void);

/* --- names.c */
void model_call_guest(struct peer *peer);
/* The answer to a wish for a name. Returns whether it was granted. */
#define MODEL_ANSWER 80
bool model_choose(struct peer *peer, const char *name, size_t len, char answer[MODEL_ANSWER]);
/* "* here: ..." */
void model_list_here(struct bytes *text);
/* It is no member any more. */
void model_forget_name(struct peer *peer);
/* It has another name now, and was told of under the one before. Returns whether all learn of it.
 */
bool model_is_renamed(struct peer *peer, const char *before);
void model_gather(void);
void model_clear_notices(void);
/* "* left: ..." and "* came: ...": from now on they are told. */
void model_take_notices(struct bytes *text);

/* --- talk.c: mode chat */
/* Lines were said. */
void model_talk(struct peer *peer, char *lines, size_t len);
/* A newcomer is let in. */
void model_welcome(struct peer *peer);
/* The server may have changed its mode, or told what was due. */
void model_update_mode(void);
void model_update_notices(void);
void model_check_notices(void);

/* --- looks.c */
/* Looks at what is sent as a terminal would, whoever said it. */
void model_look(struct peer *peer, const char *data, size_t len);

/* --- rates.c */
bool model_has_rate(void);
/* Bytes that the peer may still say now. */
size_t model_rate_left(struct peer *peer);
void model_charge(struct peer *peer, size_t bytes, size_t lines);
void model_update_rates(void);
/* Ends the rests that are over. */
void model_wake(void);
/* When the next is. */
int64_t model_next_wake(void);

/* --- holds.c */
bool model_held(void);
bool model_stalls(const struct peer *peer);
bool model_lags(const struct peer *peer);
void model_progressed(struct peer *peer, size_t len);
void model_check_served(struct peer *peer);
void model_update_hold(struct peer *peer);
void model_update_budget(void);

#endif
