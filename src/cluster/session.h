/*
 * session: the two links to one engine, and how chatd comes to the next one.
 *
 * The writer adds entries, the reader reads: a read that blocks keeps everything behind it waiting.
 * Both stand, or none: when one fails, or the room above says so, both are dropped, and after a
 * pause the next engine of the list is tried. The pause grows from SESSION_PAUSE to
 * SESSION_PAUSE_MAX, and is short again once an engine has taken something.
 *
 * Time-outs only decide when to look elsewhere: nothing becomes wrong if one is too short.
 */
#ifndef CHATD_SESSION_H
#define CHATD_SESSION_H

#include <stdbool.h>
#include <stdint.h>

#include "base/loop.h"
#include "cluster/link.h"
#include "cluster/reply.h"
#include "cluster/stream.h"
#include "conf/cluster.h"

#define SESSION_DEADLINE  (3 * CLOCK_SECOND) /* for the engine to answer, before it is live */
#define SESSION_PAUSE     (CLOCK_SECOND / 20)
#define SESSION_PAUSE_MAX CLOCK_SECOND
#define SESSION_WHY       256
#define SESSION_STATUS    320

struct session {
	const struct cluster *settings;
	struct tls_context *tls;  /* owned; NULL: without TLS */
	struct loop_class *class; /* the caller's, and outlives the session */
	struct link writer, reader;
	int lowest;            /* descriptor of the links, if possible */
	unsigned greetings[2]; /* replies to the greeting still to come, of writer and reader */
	size_t engine;         /* of the list: this one, or the next one to be tried */
	int64_t retry_at;      /* CLOCK_NEVER: there are links */
	int64_t pause;
	int64_t progressed_at; /* when the engine answered last */
	int64_t down_since;    /* it is not live */
	char why[SESSION_WHY]; /* the same */
	bool stands;           /* both links are open */
	uint64_t number;       /* of the times that they stood */
	bool live;             /* set by the room above: nothing has to be caught up any more */
	bool was_live;
	uint64_t taken;            /* entries that the engine has taken since the links stand, */
	struct stream_id taken_id; /* and the id of the last one, or STREAM_ID_LAST */
};

/*
 * Whether the settings can be used: the files are read. Tells each fault, and that chatd was built
 * without this. Returns 0, or -1.
 */
int session_check(const struct cluster *settings, source_tell *tell);

/* Connects when it is run first. The settings stay the caller's. Returns 0, or -1 after a fault. */
int session_open(struct session *session, const struct cluster *settings, struct loop *loop,
    struct loop_class *class, source_tell *tell);
void session_close(struct session *session);

/* Drops both links. */
void session_fail(struct session *session, const char *reason);
/* Nothing has to be caught up any more: says so in the log. again: entries that are sent again. */
void session_live(struct session *session, uint64_t again);
/* The next reply to a command of the reader, which the caller frees; or NULL. An error is none: it
 * ends the session. */
struct redisReply *session_reply(struct session *session);
/* Sends the commands of both links. */
void session_flush(struct session *session);
/* Reads nothing for now, or again. */
void session_pause(struct session *session, bool paused);

/* "cluster linked", or "held 14 s: 10.0.0.5:6379 refused". Returns text. */
const char *session_status(const struct session *session, char text[SESSION_STATUS]);

/* Connects, if it is time, and drops links that do not answer. Returns when to call again, or
 * CLOCK_NEVER. */
int64_t session_run_due(struct session *session);

#endif
