#include "chat/speech.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/param.h>

#include "base/log.h"
#include "chat/grammar.h"
#include "chat/growth.h"
#include "wire/ledger.h"
#include "wire/line.h"

#define READ_MIN 512

static const char help[] =
    "* /name NAME: your name   /who: who is here   /quit: leave   //...: say /...\n";

void
speech_init(struct speech *speech, struct pressure *pressure, struct notices *notices)
{
	*speech = (struct speech){
	    .broadcast = pressure->broadcast,
	    .pressure = pressure,
	    .notices = notices,
	    .roster = notices->roster,
	};
	speech_reconfigure(speech);
}

/* All newcomers share one copy until somebody speaks. */
static void
forget_shown(struct speech *speech)
{
	if (speech->shown.buf != NULL)
		msg_unref(&speech->shown);
	speech->shown = MSG_NONE;
}

void
speech_free(struct speech *speech)
{
	forget_shown(speech);
	history_free(&speech->history);
	intake_free(&speech->intake);
}

/* --- parts for one client */

static void
show_history(struct speech *speech, struct conn *conn)
{
	struct broadcast *broadcast = speech->broadcast;
	char *text;

	if (speech->history.len == 0)
		return;
	if (speech->shown.buf != NULL &&
	    msg_position(&speech->shown) != broadcast->intake.arena.position)
		forget_shown(speech);
	if (speech->shown.buf == NULL) {
		if ((text = malloc(speech->history.len + HISTORY_MARKS)) == NULL)
			return;
		speech->shown =
		    broadcast_own(broadcast, text, history_show(&speech->history, text));
		free(text);
		if (speech->shown.buf == NULL)
			return;
		msg_ref(&speech->shown);
	}
	broadcast_share(broadcast, conn, &speech->shown);
}

static void
list_here(const struct speech *speech, struct notice *notice)
{
	notice_begin(notice, "* here: ", " ");
	roster_list(speech->roster, notice);
	notice_end(notice);
}

static void
welcome(struct speech *speech, struct conn *conn)
{
	char text[2 * NOTICE_MAX];
	struct notice here;
	int len;

	if (conn->life != CONN_OPEN)
		return;
	list_here(speech, &here);
	len = snprintf(text, sizeof(text),
	    "* welcome, %s; /name NAME gives you a name, /help tells more\n%s",
	    roster_nick(speech->roster, conn)->name, here.text);
	broadcast_tell(speech->broadcast, conn, text, (size_t)len);
	show_history(speech, conn);
}

static void
record_name(const struct speech *speech, const struct conn *conn)
{
	if (conn->kept)
		roster_record(speech->roster, conn, ledger_turn(conn->fd));
}

void
speech_welcome(struct speech *speech, struct conn *conn)
{
	roster_enter(speech->roster, conn);
	record_name(speech, conn);
	welcome(speech, conn);
}

void
speech_restore(struct speech *speech, struct conn *conn)
{
	if (!roster_restore(speech->roster, conn))
		speech_welcome(speech, conn);
}

/* --- the mode */

static void
begin(struct speech *speech)
{
	const struct pool *pool = speech->broadcast->pool;

	FDSET_FOREACH(sd, &pool->members) {
		roster_enter(speech->roster, pool->conns[sd]);
		/* Its first line has most likely been said in mode lines. */
		roster_nick(speech->roster, pool->conns[sd])->spoke = true;
		record_name(speech, pool->conns[sd]);
	}
	FDSET_FOREACH(sd, &pool->members)
		welcome(speech, pool->conns[sd]);
}

static void
end(struct speech *speech)
{
	static const char text[] = "* names end here: from now on lines go out as they come in\n";

	broadcast_announce(speech->broadcast, text, strlen(text));
	notices_clear(speech->notices);
}

void
speech_reconfigure(struct speech *speech)
{
	const struct config *config = speech->broadcast->pool->config;
	bool was_on = speech->on;

	speech->on = config->chat;
	speech->intake.line_max = config->limits.line;
	speech->intake.telnet = true;
	forget_shown(speech);
	if (history_resize(&speech->history, config->history) < 0)
		log_warn("history: no memory for %u bytes, none is kept", config->history);
	if (speech->on && !was_on)
		begin(speech);
	else if (!speech->on && was_on)
		end(speech);
	if (!speech->on)
		roster_free(speech->roster);
}

/* --- what everyone is sent */

/* Very short lines grow to ten times their length. To keep a pass near its budget, one recv gets a
 * part of it, and little once much has been said. */
static size_t
room_of_pass(const struct speech *speech)
{
	uint64_t said = speech->broadcast->intake.arena.position - speech->pass_began;
	size_t budget = speech->pressure->budget;

	return said > 2 * (uint64_t)budget ? READ_MIN : MIN(SPEECH_ROOM, MAX(READ_MIN, budget / 4));
}

size_t
speech_reserve(struct speech *speech, struct conn *conn, size_t room)
{
	return speech_room(speech, conn, MIN(room, room_of_pass(speech)));
}

size_t
speech_room(struct speech *speech, struct conn *conn, size_t room)
{
	size_t held = conn->line.len, bytes;

	room = conn_reserve(conn, &speech->intake, room);
	if (room == 0) {
		broadcast_starve(speech->broadcast);
		return 0;
	}
	bytes = broadcast_room(speech->broadcast, growth_of(held, 2), growth_of(held, room));
	return bytes == 0 ? 0 : MIN(room, growth_fit(held, bytes));
}

/* Where the lines of one recv are written. */
struct writing {
	struct speech *speech;
	struct conn *conn;
	struct nick *nick; /* that of conn */
	char *run;         /* text from here on is not in the history yet */
	char *out;         /* where the next one goes */
};

__attribute__((format(printf, 2, 3))) static void
answer(struct speech *speech, const char *format, ...)
{
	va_list args;

	if (speech->answers_len > speech->answers_room)
		return;
	va_start(args, format);
	speech->answers_len +=
	    (size_t)vsnprintf(speech->answers + speech->answers_len, NOTICE_MAX + 1, format, args);
	va_end(args);
}

static void
end_run(struct writing *writing)
{
	history_note(
	    &writing->speech->history, writing->run, (size_t)(writing->out - writing->run));
	writing->run = writing->out;
}

static void
say(struct writing *writing, const char *text, size_t len)
{
	const struct nick *nick = writing->nick;

	writing->out = (char *)mempcpy(writing->out, nick->name, nick->len);
	*writing->out++ = ':';
	*writing->out++ = ' ';
	writing->out = (char *)mempcpy(writing->out, text, len);
	*writing->out++ = '\n';
	writing->speech->broadcast->lines++;
	writing->conn->lines++;
}

static void
log_renamed(const struct speech *speech, const struct conn *conn, const char *label)
{
	if (speech->broadcast->pool->config->log_connections)
		log_info("%s on sd %d is now %s", label, conn->fd,
		    roster_nick(speech->roster, conn)->name);
}

/* The next notices tell the others of a first name; a later change is told at once. */
static void
tell_renamed(struct writing *writing, const struct nick *before)
{
	struct notices *notices = writing->speech->notices;
	struct nick *nick = writing->nick;

	if (!nick->told) {
		notices_came(notices);
		return;
	}
	if (!notices_renamed(notices, nick, before->name))
		return;
	end_run(writing);
	writing->out += sprintf(writing->out, "* %s is now %s\n", before->name, nick->name);
	writing->run = writing->out;
}

static void
choose(struct writing *writing, const char *name, size_t len)
{
	struct speech *speech = writing->speech;
	struct conn *conn = writing->conn;
	struct nick before = *writing->nick;
	char label[ROSTER_LABEL];

	roster_label(speech->roster, conn, label);
	switch (roster_choose(speech->roster, conn, name, len)) {
	case ROSTER_CHANGED:
		log_renamed(speech, conn, label);
		tell_renamed(writing, &before);
		answer(speech, "* you are %s\n", writing->nick->name);
		break;
	case ROSTER_SAME:
		answer(speech, "* you are %s\n", writing->nick->name);
		break;
	case ROSTER_IMPOSSIBLE:
		answer(speech, "* a name is a letter and up to %d letters, digits, - and _\n",
		    NOTICE_NAME - 1);
		break;
	case ROSTER_RESERVED:
		answer(speech, "* %.*s is reserved\n", (int)len, name);
		break;
	case ROSTER_TAKEN:
		answer(speech, "* %.*s is taken\n", (int)len, name);
		break;
	case ROSTER_TOO_SOON:
		answer(speech, "* not so soon\n");
		break;
	}
}

static void
who(struct speech *speech)
{
	struct notice here;

	if (speech->answers_len > speech->answers_room)
		return;
	list_here(speech, &here);
	answer(speech, "%s", here.text);
}

static enum speech_end
take_line(struct writing *writing, char *line, size_t len)
{
	struct nick *nick = writing->nick;
	struct utterance said;

	if (!nick->spoke && grammar_is_web(line, len))
		return SPEECH_IS_WEB;
	nick->spoke = true;
	said = grammar_read(line, len);
	switch (said.kind) {
	case UTTERANCE_NOTHING:
		break;
	case UTTERANCE_TEXT:
		say(writing, said.text, said.len);
		break;
	case UTTERANCE_NAME:
		choose(writing, said.text, said.len);
		break;
	case UTTERANCE_WHO:
		who(writing->speech);
		break;
	case UTTERANCE_HELP:
		answer(writing->speech, "%s", help);
		break;
	case UTTERANCE_QUIT:
		return SPEECH_QUITS;
	}
	return SPEECH_GOES_ON;
}

/* Adds what was written to the log. */
static void
add(struct writing *writing)
{
	struct broadcast *broadcast = writing->speech->broadcast;
	size_t len = (size_t)(writing->out - arena_tail(&broadcast->intake.arena));
	struct msg msg;

	if (len == 0)
		return;
	end_run(writing);
	msg = arena_take(&broadcast->intake.arena, len);
	broadcast_add(broadcast, writing->conn, &msg);
	if (journal != NULL)
		history_index(&writing->speech->history, &msg);
}

enum speech_end
speech_hear(struct speech *speech, struct conn *conn, const struct msg *heard)
{
	char *tail = arena_tail(&speech->broadcast->intake.arena);
	char *line = msg_data(heard), *last = line + heard->len, *next;
	struct writing writing = {
	    .speech = speech,
	    .conn = conn,
	    .nick = roster_nick(speech->roster, conn),
	    .run = tail,
	    .out = tail,
	};
	enum speech_end result = SPEECH_GOES_ON;
	uint64_t weight = queue_weight(&conn->queue);
	bool answered = conn->life == CONN_OPEN && weight <= SPEECH_ANSWERS;

	speech->answers_len = answered ? 0 : 1;
	speech->answers_room = answered ? SPEECH_ANSWERS - (size_t)weight : 0;
	line_sanitize(line, heard->len);
	pool_heard(speech->broadcast->pool, conn);
	for (; line < last && result == SPEECH_GOES_ON; line = next) {
		next = (char *)memchr(line, '\n', (size_t)(last - line)) + 1;
		result = take_line(&writing, line, (size_t)(next - line));
	}
	add(&writing);
	if (answered && speech->answers_len > 0)
		broadcast_tell(speech->broadcast, conn, speech->answers, speech->answers_len);
	return result;
}

void
speech_delivered(struct speech *speech)
{
	speech->pass_began = speech->broadcast->intake.arena.position;
}
