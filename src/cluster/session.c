#include "cluster/session.h"

#include <bsd/string.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/param.h>
#include <syslog.h>

#include "base/log.h"
#include "cluster/greeting.h"

static loop_serve on_readable, on_writable;

static const struct endpoint *
engine_of(const struct session *session)
{
	return &session->settings->engines[session->engine];
}

/* --- the links */

/* Errors of the engine may repeat what they are about. */
static void
clean(char *text)
{
	char *echo = strstr(text, ", with args");

	if (echo != NULL)
		*echo = '\0';
	for (; *text != '\0'; text++)
		if (*text < ' ' || *text > '~')
			*text = '?';
}

void
session_fail(struct session *session, const char *reason)
{
	char place[ADDR_TEXT], why[SESSION_WHY];

	snprintf(
	    why, sizeof(why), "%.110s %.140s", endpoint_format(engine_of(session), place), reason);
	clean(why);
	if (session->live)
		session->down_since = clock_now();
	if (session->live || strcmp(why, session->why) != 0)
		log_limited(LOG_CLUSTER, "cluster: %s%s", session->live ? "lost " : "", why);
	strlcpy(session->why, why, sizeof(session->why));
	link_close(&session->writer);
	link_close(&session->reader);
	session->stands = session->live = false;
	session->retry_at = clock_now() + session->pause;
	session->pause = MIN(2 * session->pause, SESSION_PAUSE_MAX);
	session->engine = (session->engine + 1) % session->settings->count;
}

static bool
connect_link(struct session *session, struct link *link)
{
	if (link_connect(link, engine_of(session), session->tls, session->lowest) == 0)
		return true;
	session_fail(session, link->why);
	return false;
}

static void
connect_both(struct session *session)
{
	session->retry_at = CLOCK_NEVER;
	session->progressed_at = clock_now();
	if (connect_link(session, &session->writer))
		connect_link(session, &session->reader);
}

static void
greet(struct session *session, struct link *link)
{
	bool is_writer = link == &session->writer;
	char why[GREETING_WHY];
	int count = greeting_say(
	    &link->commands, session->settings, is_writer ? "chatd-writer" : "chatd-reader", why);

	if (count < 0) {
		session_fail(session, why);
		return;
	}
	session->greetings[is_writer ? 0 : 1] = (unsigned)count;
	session->progressed_at = clock_now();
	session->stands = session->writer.state == LINK_OPEN && session->reader.state == LINK_OPEN;
	session->number += session->stands;
	session->taken = 0;
	session->taken_id = STREAM_ID_LAST;
}

/* What an engine says about AUTH may repeat the password, so only its first word is told. */
static void
fail_auth(struct session *session, const char *error)
{
	char why[64];

	snprintf(why, sizeof(why), "refused AUTH: %.*s",
	    (int)MIN(strspn(error, "ABCDEFGHIJKLMNOPQRSTUVWXYZ"), 20), error);
	session_fail(session, why);
}

/*
 * The next reply of the link that is none to its greeting, and no error. Without its name a link
 * does as well.
 */
static struct redisReply *
next_reply(struct session *session, struct link *link)
{
	unsigned *greetings = &session->greetings[link == &session->writer ? 0 : 1];
	struct redisReply *reply;
	size_t len;

	while (link->state == LINK_OPEN) {
		if (reply_next(&link->replies, &reply) < 0)
			session_fail(session, "sent what is no reply");
		if (reply == NULL)
			break;
		session->progressed_at = clock_now();
		if (reply_kind(reply) == REPLY_ERROR && *greetings > 1)
			fail_auth(session, reply_text(reply, &len));
		else if (reply_kind(reply) == REPLY_ERROR && *greetings == 0)
			session_fail(session, reply_text(reply, &len));
		else if (*greetings == 0)
			return reply;
		else
			--*greetings;
		reply_free(reply);
	}
	return NULL;
}

struct redisReply *
session_reply(struct session *session)
{
	struct redisReply *reply = session->stands ? next_reply(session, &session->reader) : NULL;

	/* One thing is asked at a time, so what is still to be asked has no reply yet. */
	if (reply == NULL || command_bytes(&session->reader.commands) == 0)
		return reply;
	reply_free(reply);
	session_fail(session, "answers what it was not asked");
	return NULL;
}

/* Each one means that an entry was taken. */
static void
take_writers_replies(struct session *session)
{
	struct redisReply *reply;

	while ((reply = next_reply(session, &session->writer)) != NULL) {
		session->taken++;
		if (!stream_read_id(reply, &session->taken_id))
			session->taken_id = STREAM_ID_LAST;
		session->pause = SESSION_PAUSE;
		reply_free(reply);
	}
}

static void
serve(struct session *session, struct link *link, enum link_outcome outcome)
{
	switch (outcome) {
	case LINK_WAITS:
		break;
	case LINK_OPENED:
		greet(session, link);
		break;
	case LINK_FED:
		if (link == &session->writer)
			take_writers_replies(session);
		break;
	case LINK_FAILED:
		session_fail(session, link->why);
		break;
	}
}

static struct link *
link_of(struct session *session, int fd)
{
	return session->writer.fd == fd ? &session->writer : &session->reader;
}

static void
on_readable(void *room, int fd)
{
	struct link *link = link_of(room, fd);

	serve(room, link, link_readable(link));
}

static void
on_writable(void *room, int fd)
{
	struct link *link = link_of(room, fd);

	serve(room, link, link_writable(link));
}

void
session_flush(struct session *session)
{
	if (link_flush(&session->writer) == LINK_FAILED)
		session_fail(session, session->writer.why);
	if (link_flush(&session->reader) == LINK_FAILED)
		session_fail(session, session->reader.why);
}

void
session_pause(struct session *session, bool paused)
{
	if (session->reader.paused && !paused)
		session->progressed_at = clock_now();
	link_pause(&session->reader, paused);
}

/* --- as a whole */

int
session_check(const struct cluster *settings, source_tell *tell)
{
	char why[GREETING_WHY], text[1024];
	struct tls_context *tls;

	if (!cluster_is_set(settings))
		return 0;
	if (!reply_is_built()) {
		snprintf(text, sizeof(text), "%s: this chatd was built without cluster",
		    settings->where);
		tell(LOG_ERR, text);
		return -1;
	}
	if (greeting_check(settings, why) < 0) {
		snprintf(text, sizeof(text), "%s: %s: %s", settings->password.where,
		    settings->password.path, why);
		tell(LOG_ERR, text);
		return -1;
	}
	if (tls_context_load_client(&tls, &settings->tls, settings->name, tell) < 0)
		return -1;
	tls_context_free(tls);
	return 0;
}

int
session_open(struct session *session, const struct cluster *settings, struct loop *loop,
    struct loop_class *class, source_tell *tell)
{
	*session = (struct session){
	    .settings = settings,
	    .class = class,
	    .pause = SESSION_PAUSE,
	    .retry_at = clock_now(),
	    .down_since = clock_now(),
	};
	if (tls_context_load_client(&session->tls, &settings->tls, settings->name, tell) < 0)
		return -1;
	*class =
	    (struct loop_class){.readable = on_readable, .writable = on_writable, .room = session};
	loop_register(loop, class);
	link_init(&session->writer, loop, class);
	link_init(&session->reader, loop, class);
	return 0;
}

void
session_close(struct session *session)
{
	link_close(&session->writer);
	link_close(&session->reader);
	tls_context_free(session->tls);
}

void
session_live(struct session *session, uint64_t again)
{
	char place[ADDR_TEXT];
	const char *engine = endpoint_format(engine_of(session), place);

	session->live = true;
	if (session->was_live)
		log_limited(
		    LOG_CLUSTER, "cluster: resumed at %s, %" PRIu64 " sent again", engine, again);
	else
		log_info("cluster: linked to %s, stream %s", engine, session->settings->stream);
	session->was_live = true;
}

const char *
session_status(const struct session *session, char text[SESSION_STATUS])
{
	int64_t seconds = (clock_now() - session->down_since) / CLOCK_SECOND;
	char place[ADDR_TEXT];

	if (session->live)
		strlcpy(text, "cluster linked", SESSION_STATUS);
	else if (session->why[0] != '\0')
		snprintf(text, SESSION_STATUS, "held %" PRId64 " s: %s", seconds, session->why);
	else
		snprintf(text, SESSION_STATUS, "held %" PRId64 " s: connecting to %.110s", seconds,
		    endpoint_format(engine_of(session), place));
	return text;
}

int64_t
session_run_due(struct session *session)
{
	int64_t late = session->live || session->reader.paused || session->retry_at != CLOCK_NEVER
			   ? CLOCK_NEVER
			   : session->progressed_at + SESSION_DEADLINE;

	if (clock_now() >= late) {
		session_fail(session, "does not answer");
		late = CLOCK_NEVER;
	}
	if (clock_now() >= session->retry_at) {
		connect_both(session);
		late = session->progressed_at + SESSION_DEADLINE;
	}
	return clock_sooner(session->retry_at, late);
}
