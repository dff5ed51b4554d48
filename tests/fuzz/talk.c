/*
 * Mode chat: what lines mean, what newcomers get, and when the mode changes.
 */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "facts.h"
#include "memory.h"
#include "sanitized.h"
#include "target.h"

#define ANSWERS 16384 /* bytes that wait for one, above which it gets no further answer */

static struct bytes said;    /* to all others, by the one whose lines are read */
static struct bytes answers; /* to itself */
static size_t weight;        /* of what waited for it before, or UNKNOWN: it gets no answers */

/* --- history */

/* The last whole lines that fit. */
static void
trim_history(void)
{
	struct bytes *history = &model.history;
	size_t from =
	    history->len - (history->len < model.history_max ? history->len : model.history_max);

	if (from == 0)
		return;
	while (from < history->len && history->data[from - 1] != '\n')
		from++;
	history->len -= from;
	memmove(history->data, history->data + from, history->len);
}

static void
say(const struct peer *peer, const char *text, size_t len)
{
	size_t begin = said.len;

	bytes_add(&said, peer->name, strlen(peer->name));
	bytes_add(&said, ": ", 2);
	bytes_add(&said, text, len);
	bytes_add(&said, "\n", 1);
	bytes_add(&model.history, said.data + begin, said.len - begin);
}

/* --- what a line means */

static bool
has_room(void)
{
	return weight != UNKNOWN && weight + answers.len <= ANSWERS;
}

static void
answer(const char *text)
{
	if (has_room())
		bytes_add(&answers, text, strlen(text));
}

static void
wish_name(struct peer *peer, const char *name, size_t len)
{
	char before[sizeof(peer->name)], text[MODEL_ANSWER];

	memcpy(before, peer->name, sizeof(before));
	if (model_choose(peer, name, len, text)) {
		tell("sd %d is %s now", peer->sd, peer->name);
		if (!peer->mentioned) {
			model_gather();
		} else if (model_is_renamed(peer, before)) {
			char line[64];

			bytes_add(&said, line,
			    (size_t)sprintf(line, "* %s is now %s\n", before, peer->name));
		}
	}
	answer(text);
}

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static bool
is_word(const char *text, size_t len, const char *word)
{
	return strlen(word) == len && memcmp(text, word, len) == 0;
}

/* A slash, letters, and behind them nothing or a space. Returns whether it is a command. */
static bool
obey(struct peer *peer, const char *line, size_t len)
{
	size_t end = 1, from;

	while (len > 0 && is_blank(line[len - 1]))
		len--;
	while (end < len && isalpha((unsigned char)line[end]))
		end++;
	if (len == 0 || line[0] != '/' || end == 1 || (end < len && line[end] != ' '))
		return false;
	for (from = end; from < len && is_blank(line[from]);)
		from++;
	if (is_word(line, end, "/name")) {
		wish_name(peer, line + from, len - from);
	} else if (is_word(line, end, "/who")) {
		if (has_room())
			model_list_here(&answers);
	} else if (is_word(line, end, "/quit")) {
		peer->quits = true;
	} else {
		answer("* /name NAME: your name   /who: who is here   /quit: leave   "
		       "//...: say /...\n");
	}
	return true;
}

static bool
is_of_browser(const char *line, size_t len)
{
	const char *end = line + len - 9;

	return len >= 9 && memcmp(end, " HTTP/", 6) == 0 && isdigit((unsigned char)end[6]) &&
	       end[7] == '.' && isdigit((unsigned char)end[8]);
}

/* A line without its LF. */
static void
take_line(struct peer *peer, char *line, size_t len)
{
	bool first = !peer->spoke;

	peer->spoke = true;
	if (len > 0 && line[len - 1] == '\r')
		len--;
	for (size_t i = 0; i < len; i++)
		if (line[i] == '\r')
			line[i] = '?';
	if (first && is_of_browser(line, len))
		peer->is_web = true;
	else if (len > 0 && !obey(peer, line, len)) {
		bool doubled = len > 1 && line[0] == '/' && line[1] == '/';

		say(peer, line + doubled, len - doubled);
	}
}

void
model_talk(struct peer *peer, char *lines, size_t len)
{
	const char *last = lines + len;

	said.len = answers.len = 0;
	weight = peer->deaf ? UNKNOWN : (size_t)queue_weight(&model_conn(peer)->queue);
	if (weight > ANSWERS)
		weight = UNKNOWN;
	model_sanitize(lines, len);
	while (lines < last && !peer->quits && !peer->is_web) {
		char *end = memchr(lines, '\n', (size_t)(last - lines));

		take_line(peer, lines, (size_t)(end - lines));
		lines = end + 1;
	}
	trim_history();
	if (said.len > 0)
		model_add(model_index(peer), -1, said.data, said.len);
	if (answers.len > 0)
		model_offer(peer, answers.data, answers.len, false);
}

/* --- newcomers, and the mode */

static void
greet(struct peer *peer)
{
	char welcome[100];

	if (peer->deaf)
		return;
	answers.len = 0;
	bytes_add(&answers, welcome,
	    (size_t)sprintf(welcome,
		"* welcome, %s; /name NAME gives you a name, /help tells more\n", peer->name));
	model_list_here(&answers);
	model_offer(peer, answers.data, answers.len, false);
	if (model.history.len == 0)
		return;
	answers.len = 0;
	bytes_add(&answers, "* said before you came:\n", 24);
	bytes_add(&answers, model.history.data, model.history.len);
	bytes_add(&answers, "* now:\n", 7);
	model_offer(peer, answers.data, answers.len, false);
}

void
model_welcome(struct peer *peer)
{
	model_call_guest(peer);
	greet(peer);
}

static void
begin(void)
{
	for (int i = 0; i < world.n_peers; i++)
		if (model_is_in(&world.peers[i])) {
			model_call_guest(&world.peers[i]);
			world.peers[i].spoke = true;
		}
	for (int i = 0; i < world.n_peers; i++)
		if (model_is_in(&world.peers[i]))
			greet(&world.peers[i]);
}

/* All are told, if there is memory. */
static void
end(void)
{
	static const char text[] = "* names end here: from now on lines go out as they come in\n";

	if (server.chat.broadcast.intake.arena.position != model.position)
		model_add(-1, -1, text, strlen(text));
	else
		check(memory.refused != model.pass_refused || model.rested);
	model_clear_notices();
	for (int i = 0; i < world.n_peers; i++)
		world.peers[i].mentioned = false;
}

void
model_update_mode(void)
{
	const struct speech *speech = &server.chat.speech;

	if (speech->history.max != model.history_max) {
		model.history_max = speech->history.max;
		trim_history();
	}
	if (speech->on == model.chat)
		return;
	tell("--- mode %s", speech->on ? "chat" : "lines");
	model.chat = speech->on;
	if (speech->on)
		begin();
	else
		end();
}

/* --- notices */

bool
model_tells_later(void)
{
	return model.notices_due != CLOCK_NEVER;
}

void
model_update_notices(void)
{
	static struct bytes text;

	if (model.notices_due > world.now || server.chat.notices.due <= world.now)
		return;
	text.len = 0;
	model_take_notices(&text);
	if (text.len == 0)
		return;
	tell("told to all: %.*s", (int)text.len, text.data);
	model_add(-1, -1, text.data, text.len);
	model.announced += text.len;
	model.extra += text.len;
}

/* The server is about to wait. */
void
model_check_notices(void)
{
	const struct history *history = &server.chat.speech.history;

	check(model.notices_due == server.chat.notices.due);
	if (model.notices_due <= world.now)
		check(memory.refused != model.pass_refused || world.now < model.rest_until);
	check(history->max == server.config->history || (history->max == 0 && memory.refused > 0));
}
