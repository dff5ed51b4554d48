/*
 * speech: mode chat, between what is received and what everyone is sent.
 *
 * In mode chat a recv fills a staging buffer, the arena of a separate intake. Lines are always
 * sanitized there. Each line of text is then copied once, after "NAME: ", into the log; nothing is
 * copied for a recipient. Commands are carried out in the order in which they occur among the
 * lines; the answers to one recv form one part for its speaker alone. While more than
 * SPEECH_ANSWERS bytes wait for the speaker, it gets no answers: a client that asks without reading
 * costs no memory and holds nobody up.
 *
 * Lines grow by their prefix, short ones to ten times their length; that much room is reserved in
 * the log before the recv. After it nothing can fail.
 *
 * In mode lines this room does nothing. A reload changes the mode between two passes: all members
 * become guestN and are welcomed like newcomers, or are told that names end.
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
	struct msg shown; /* the history for newcomers at its position of the log */
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
	SPEECH_IS_WEB, /* a browser, on behalf of some web page */
};

void speech_init(struct speech *speech, struct pressure *pressure, struct notices *notices);
void speech_free(struct speech *speech);
/* After a reload. If the mode is chat now, the roster already has room for all members. */
void speech_reconfigure(struct speech *speech);

/* conn has come in. */
void speech_welcome(struct speech *speech, struct conn *conn);

/* Like broadcast_reserve, for a recv into speech->intake. */
size_t speech_reserve(struct speech *speech, struct conn *conn, size_t room);
/* The same whatever the pressure is. */
size_t speech_room(struct speech *speech, struct conn *conn, size_t room);
/* conn has said heard: whole lines in the intake. Lines after one that ends it are dropped. */
enum speech_end speech_hear(struct speech *speech, struct conn *conn, const struct msg *heard);
/* For a successor: conn, a member, has its name, or a welcome if the mode was another one. */
void speech_restore(struct speech *speech, struct conn *conn);
/* After the readers of a pass. */
void speech_delivered(struct speech *speech);

#endif
