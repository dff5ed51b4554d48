/*
 * speech: mode chat, between what is heard and what all are told.
 *
 * A recv of mode chat goes into a staging buffer, the arena of an intake of its own. From there
 * each line that is text is copied once, behind "NAME: ", into the log; none is copied for a
 * recipient. It is sanitized before, always. Commands are carried out in the order in which they
 * stand among the lines; the answers to all of one recv are one part for their speaker alone. While
 * more than SPEECH_ANSWERS bytes wait for it, it gets none: who asks without reading costs no
 * memory and holds nobody up.
 *
 * Lines grow by their prefix, short ones to ten times their length: so much room is reserved in the
 * log before the recv. After it nothing can fail.
 *
 * In mode lines this room does nothing. A reload changes the mode between two passes: whoever is
 * inside becomes guestN and is welcomed like a newcomer, or is told that names end.
 */
#ifndef CHATD_SPEECH_H
#define CHATD_SPEECH_H

#include <stdbool.h>
#include <stddef.h>

#include "chat/history.h"
#include "chat/notices.h"
#include "chat/pressure.h"
#include "chat/roster.h"

#define SPEECH_ROOM    65536 /* bytes of one recv: with 16384 it took twice as long */
#define SPEECH_ANSWERS 16384

struct speech {
	struct broadcast *broadcast;
	struct pressure *pressure;
	struct notices *notices;
	struct roster *roster;
	struct history history;
	struct msg shown; /* the history as newcomers get it at this position of the log */
	struct intake intake;
	uint64_t pass_began; /* position of the log */
	bool on;             /* the mode */
	size_t answers_room; /* bytes that may be answered to this recv */
	size_t answers_len;
	char answers[SPEECH_ANSWERS + NOTICE_MAX + 1];
};

enum speech_end {
	SPEECH_GOES_ON,
	SPEECH_QUITS,
	SPEECH_IS_WEB, /* a browser, which somebody's page sends here */
};

void speech_init(struct speech *speech, struct pressure *pressure, struct notices *notices);
void speech_free(struct speech *speech);
/* After a reload. If the mode is chat now, the roster has room for all members. */
void speech_reconfigure(struct speech *speech);

/* conn has come in. */
void speech_welcome(struct speech *speech, struct conn *conn);

/* Like broadcast_reserve, for a recv into speech->intake. */
size_t speech_reserve(struct speech *speech, struct conn *conn, size_t room);
/* The same whatever the pressure is. */
size_t speech_room(struct speech *speech, struct conn *conn, size_t room);
/* conn has said heard, whole lines in the intake. What follows a line that ends it is dropped. */
enum speech_end speech_hear(struct speech *speech, struct conn *conn, const struct msg *heard);
/* For a successor: conn, a member, has its name, or a welcome if the mode was another one. */
void speech_restore(struct speech *speech, struct conn *conn);
/* After the readers of a pass. */
void speech_delivered(struct speech *speech);

#endif
