#include "wire/intake.h"

#include <string.h>
#include <sys/socket.h>

#include "wire/ledger.h"

void
intake_free(struct intake *intake)
{
	arena_free(&intake->arena);
	line_free(&intake->spare);
	line_free(&intake->aside);
}

size_t
conn_reserve(struct conn *conn, struct intake *intake, size_t room)
{
	size_t max = intake->line_max + TELNET_MAX, held = conn->line.len;

	line_free(&intake->aside);
	if (line_reserve(&intake->spare, max) < 0)
		return 0;
	if (conn->line.data != NULL && !conn->kept && line_reserve(&conn->line, max) < 0)
		return 0;
	room = arena_reserve(&intake->arena, held + 1, held + room);
	return room > 0 ? room - held : 0;
}

/* Keeps the piece of a line. Gives back the memory for one when there is none. */
static void
keep(struct conn *conn, struct intake *intake, const char *piece, size_t len)
{
	if (conn->line.len + len == 0) {
		line_free(&conn->line);
		return;
	}
	if (conn->line.data == NULL) {
		conn->line = intake->spare;
		intake->spare = (struct line){0};
	}
	line_append(&conn->line, piece, len);
}

/*
 * The same for one in the journal. The piece stays as it is there until the next one is recorded:
 * bytes are added behind it, or else the next one goes to another place.
 */
static void
keep_recorded(struct conn *conn, struct intake *intake, const char *piece, size_t len)
{
	struct line *line = &conn->line, before = *line;

	if (before.data == NULL || before.len + len == 0 || before.len + len > before.size ||
	    before.len < PIECE_LEN(ledger_record(conn->fd)->piece_len)) {
		intake->aside = before;
		*line = (struct line){0};
		if (before.len + len == 0)
			return;
		*line = intake->spare;
		intake->spare = (struct line){0};
		if (before.len > 0)
			line_append(line, before.data, before.len);
	}
	line_append(line, piece, len);
}

/* Puts the held piece in front of what follows it at the tail. */
static struct msg
take_lines(struct conn *conn, struct arena *arena, size_t len)
{
	size_t held = conn->line.len;

	if (held > 0)
		memcpy(arena_tail(arena), conn->line.data, held);
	conn->line.len = 0;
	return arena_take(arena, held + len);
}

/*
 * Puts the unfinished command at the tail, in front of what came behind it, and counts its bytes as
 * received, not as held. Returns how many.
 */
static size_t
rejoin(struct conn *conn, struct arena *arena)
{
	size_t len = conn->unfinished;

	conn->unfinished = 0;
	conn->line.len -= (uint32_t)len;
	memcpy(arena_tail(arena) + conn->line.len, conn->line.data + conn->line.len, len);
	return len;
}

/* Cuts the len bytes behind the place of the held piece, and takes the whole lines. */
static struct line_cut
cut_lines(struct conn *conn, struct intake *intake, size_t len, struct reception *got)
{
	size_t held = conn->line.len;
	const char *data = arena_tail(&intake->arena) + held;
	struct line_cut cut = line_cut(data, len, held, intake->line_max);

	if (cut.whole > 0)
		got->msg = take_lines(conn, &intake->arena, cut.whole);
	return cut;
}

/* Completes the line that the client left unfinished. An unfinished command counts as text. */
static enum conn_outcome
finish(struct conn *conn, struct intake *intake, struct reception *got)
{
	size_t len = conn->unfinished > 0 ? rejoin(conn, &intake->arena) : 0;
	char *data = arena_tail(&intake->arena) + conn->line.len;

	if (conn->line.len + len == 0)
		return CONN_CLOSED;
	if (len == 0 || data[len - 1] != '\n')
		data[len++] = '\n';
	return cut_lines(conn, intake, len, got).too_long ? CONN_TOO_LONG : CONN_CLOSED;
}

static size_t
strip(struct intake *intake, char *data, size_t len, size_t *unfinished, struct reception *got)
{
	intake->answers.len = 0;
	len = telnet_strip(data, len, &intake->answers, unfinished);
	got->answer = intake->answers.data;
	got->answer_len = intake->answers.len;
	return len;
}

/* The end of file, or with TLS another end. */
static enum conn_outcome
end(struct conn *conn, struct intake *intake, struct reception *got)
{
	if (conn->secure && conn->tls[0]->broken)
		return CONN_BROKEN;
	if (conn->secure && conn->tls[0]->failed)
		return CONN_CLOSED;
	return finish(conn, intake, got);
}

/* n bytes lie behind the place of the held piece, or n says what recv has returned. */
static enum conn_outcome
take(struct conn *conn, struct intake *intake, ssize_t n, struct reception *got)
{
	char *data = arena_tail(&intake->arena) + conn->line.len;
	size_t len, unfinished = 0;
	struct line_cut cut;

	if (n < 0)
		return CONN_AGAIN;
	if (n == 0)
		return end(conn, intake, got);
	got->bytes = len = (size_t)n;
	if (conn->unfinished > 0) {
		size_t more = rejoin(conn, &intake->arena);

		data -= more;
		len += more;
	}
	if (intake->telnet)
		len = strip(intake, data, len, &unfinished, got);
	cut = cut_lines(conn, intake, len - unfinished, got);
	if (cut.too_long)
		return CONN_TOO_LONG;
	(conn->kept ? keep_recorded : keep)(conn, intake, data + cut.whole, len - cut.whole);
	conn->unfinished = (uint8_t)unfinished;
	return CONN_DONE;
}

enum conn_outcome
conn_replay(struct conn *conn, struct intake *intake, size_t len, struct reception *got)
{
	enum conn_outcome outcome;

	*got = (struct reception){.msg = MSG_NONE};
	memcpy(arena_tail(&intake->arena) + conn->line.len, journal->raw, len);
	outcome = take(conn, intake, (ssize_t)len, got);
	ledger_received(conn->fd, len, &conn->line, conn->unfinished);
	return outcome;
}

/*
 * A part of a record is progress; and what was pending may have been a part of one. One that is
 * blocked was not called ready: it is asked where all are asked that are in.
 */
static enum conn_outcome
read_secure(struct conn *conn, struct intake *intake, size_t room, struct reception *got)
{
	struct tls *tls = conn->tls[0];
	bool was_pending = tls->pending, was_blocked = tls->blocked;
	ssize_t n = tls_recv(tls, arena_tail(&intake->arena) + conn->line.len, room);
	enum conn_outcome outcome = take(conn, intake, n, got);

	got->wire = tls->received;
	if (outcome == CONN_AGAIN &&
	    (got->wire > 0 || was_blocked || (was_pending && !tls->blocked)))
		return CONN_DONE;
	return outcome;
}

enum conn_outcome
conn_read(struct conn *conn, struct intake *intake, size_t room, struct reception *got)
{
	char *data = arena_tail(&intake->arena) + conn->line.len;
	enum conn_outcome outcome;
	ssize_t n;

	*got = (struct reception){.msg = MSG_NONE};
	if (conn->secure)
		return read_secure(conn, intake, room, got);
	n = conn->kept ? ledger_receive(conn->fd, data, room) : recv(conn->fd, data, room, 0);
	outcome = take(conn, intake, n, got);
	got->wire = got->bytes;
	if (conn->kept && n >= 0)
		ledger_received(conn->fd, got->bytes, &conn->line, conn->unfinished);
	return outcome;
}
