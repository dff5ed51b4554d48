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

struct model {
	struct entry *entries;
	uint32_t count, size;
	uint32_t pass; /* first entry of this pass */
	struct bytes text;
	size_t position; /* bytes that were said to all */
	struct rules rules[SETTINGS_MAX];
	int n_rules;
	int valid;             /* number of the settings in force when the pass began */
	struct peer *newcomer; /* accepted, and perhaps not let in */
	struct peer *actor;    /* who has begun to leave, or is at its end, just now */
	struct peer *answered; /* the last entry is an answer to it, if there was memory */
	uint64_t refused;      /* allocations until the last event */
	uint64_t pass_refused; /* and until the pass began */
	bool skipped;          /* in this pass a call failed */
	int64_t rest_until;    /* until then the server may rest */
	int64_t pause_until;   /* or not accept */
	uint64_t extra;        /* bytes received beyond what the holds allow */
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
	uint32_t most_line, most_queue, most_members;
};

extern struct model model;

const struct limits *model_limits(void);
/* The server's own connection, or NULL. */
struct conn *model_conn(const struct peer *peer);
/* Something happens, to peer or to nobody in particular. */
void model_event(struct peer *peer);
bool model_is_in(const struct peer *peer);
uint32_t model_members(void);

/* --- model.c: who may come in */
bool model_allows(const struct peer *peer);
bool model_too_many(void);
bool model_too_many_from(const struct peer *peer);

/* --- said.c */
struct lag {
	size_t least, most; /* the same, but as long as it is unknown where the peer began */
};

struct lag model_lag(const struct peer *peer);
size_t model_lag_at(const struct peer *peer, struct cursor cursor);
/* Cuts what peer gets: now, or behind the line that has begun. */
void model_cut(struct peer *peer, bool now);
/* Puts the cursors of a peer where it goes on, and those at the same place together. */
void model_settle(struct peer *peer);
void model_settle_answer(void);
/* The bytes behind all that the peer was to get. */
size_t model_advance(struct peer *peer, const char *data, size_t len);

/* --- last_words.c */
/* Whether the server has let the peer leave just now; takes down why it may have. */
void model_touch(struct peer *peer);
void model_take_told(struct peer *peer, const char *data, size_t len);
bool model_told_all(const struct peer *peer);
bool model_is_idle(const struct peer *peer);
void model_check_leaving(const struct peer *peer);

/* --- holds.c */
bool model_held(void);
bool model_stalls(const struct peer *peer);
bool model_lags(const struct peer *peer);
void model_progressed(struct peer *peer, size_t len);
void model_check_served(struct peer *peer);
void model_update_hold(struct peer *peer);
void model_update_budget(void);

#endif
