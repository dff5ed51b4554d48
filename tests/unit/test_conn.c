#include "unit.h"

#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "seam.h"
#include "wire/intake.h"

#define MAX  64    /* bytes of a line */
#define ROOM 65536 /* bytes of one recv */

static const struct addr nobody = {.family = AF_UNIX};

static struct intake intake;
static struct conn *conn;
static int client; /* the other end of it */

static int
setup(void **state)
{
	int pair[2];

	(void)state;
	seam_reset();
	make_pair(pair);
	client = pair[0];
	conn = conn_new(pair[1], &nobody, NULL);
	return conn != NULL ? 0 : -1;
}

static int
teardown(void **state)
{
	uint32_t refs;

	(void)state;
	seam_reset();
	conn_free(conn);
	close(client);
	refs = intake.arena.filling != NULL ? intake.arena.filling->refs : 0;
	intake_free(&intake);
	return refs == 0 ? 0 : -1;
}

/* Reads once, as the pool does. */
static enum conn_outcome
read_some(size_t room, size_t max, struct reception *got)
{
	intake.line_max = (uint32_t)max;
	assert_int_equal(conn_reserve(conn, &intake, room), room);
	return conn_read(conn, &intake, room, got);
}

/* Reads once and expects this outcome and message; "" is no message. */
static void
expect_read(enum conn_outcome outcome, const char *want)
{
	struct reception got;

	assert_int_equal(read_some(ROOM, MAX, &got), outcome);
	if (want[0] == '\0') {
		assert_null(got.msg.buf);
		return;
	}
	assert_non_null(got.msg.buf);
	assert_int_equal(got.msg.len, strlen(want));
	assert_memory_equal(msg_data(&got.msg), want, strlen(want));
}

/* Queues text; what lies between two calls went to somebody else. */
static void
queue_text(const char *text)
{
	size_t len = strlen(text);
	struct msg msg;

	assert_int_equal(arena_reserve(&intake.arena, len + 1, len + 1), len + 1);
	arena_tail(&intake.arena)[0] = '-';
	arena_take(&intake.arena, 1);
	assert_int_equal(arena_reserve(&intake.arena, len, len), len);
	memcpy(arena_tail(&intake.arena), text, len);
	msg = arena_take(&intake.arena, len);
	queue_push(&conn->queue, &msg);
	assert_true(queue_reserve(&conn->queue, 2));
}

/* What it sends */

TEST(whole_lines_become_one_message_with_their_bytes_unchanged)
{
	struct reception got;

	put_text(client, "one\r\ntwo\n\n\x80\xff\x1b\n");
	assert_int_equal(read_some(ROOM, MAX, &got), CONN_DONE);
	assert_int_equal(got.bytes, 14);
	assert_int_equal(got.msg.len, 14);
	assert_memory_equal(msg_data(&got.msg), "one\r\ntwo\n\n\x80\xff\x1b\n", 14);
	assert_int_equal(got.msg.buf->refs, 0);
}

TEST(a_line_torn_anywhere_is_put_together)
{
	static const char whole[] = "one\r\ntwo\r\n";

	for (size_t at = 1; at < strlen(whole); at++) {
		char first[16] = "";
		size_t complete = at < 5 ? 0 : 5;

		memcpy(first, whole, at);
		put_text(client, first);
		first[complete] = '\0';
		expect_read(CONN_DONE, first);
		put_text(client, whole + at);
		expect_read(CONN_DONE, whole + complete);
		assert_int_equal(conn->line.len, 0);
	}
}

TEST(single_bytes_make_a_line_when_its_end_comes)
{
	static const char whole[] = "hello\r\n";

	for (size_t i = 0; i < strlen(whole); i++) {
		char byte[2] = {whole[i]};

		put_text(client, byte);
		expect_read(CONN_DONE, whole[i] == '\n' ? whole : "");
	}
}

TEST(a_piece_takes_the_spare_memory_and_gives_it_back_with_its_end)
{
	char *memory;

	intake.line_max = MAX;
	assert_true(conn_reserve(conn, &intake, ROOM) > 0);
	memory = intake.spare.data;
	put_text(client, "pie");
	expect_read(CONN_DONE, "");
	assert_ptr_equal(conn->line.data, memory);
	assert_null(intake.spare.data);
	put_text(client, "ce\n");
	expect_read(CONN_DONE, "piece\n");
	/* An idle client has no memory for a line. */
	assert_null(conn->line.data);
	assert_int_equal(conn->line.size, 0);
}

TEST(the_end_of_one_line_and_the_start_of_the_next_come_together)
{
	put_text(client, "first ha");
	expect_read(CONN_DONE, "");
	put_text(client, "lf\nsecond ha");
	expect_read(CONN_DONE, "first half\n");
	assert_int_equal(conn->line.len, 9);
	put_text(client, "lf\n");
	expect_read(CONN_DONE, "second half\n");
}

TEST(one_recv_is_made_however_much_has_come)
{
	struct reception got;

	put_text(client, "one\ntwo\n");
	assert_int_equal(read_some(4, MAX, &got), CONN_DONE);
	assert_int_equal(got.bytes, 4);
	assert_int_equal(seam_calls(SEAM_RECV), 1);
	assert_memory_equal(msg_data(&got.msg), "one\n", 4);
	expect_read(CONN_DONE, "two\n");
	assert_int_equal(seam_calls(SEAM_RECV), 2);
}

TEST(end_of_file_completes_an_unfinished_line)
{
	put_text(client, "no end");
	expect_read(CONN_DONE, "");
	shutdown(client, SHUT_WR);
	expect_read(CONN_CLOSED, "no end\n");
}

TEST(end_of_file_after_a_whole_line_adds_nothing)
{
	struct reception got;

	put_text(client, "end\n");
	expect_read(CONN_DONE, "end\n");
	shutdown(client, SHUT_WR);
	assert_int_equal(read_some(ROOM, MAX, &got), CONN_CLOSED);
	assert_null(got.msg.buf);
	assert_int_equal(got.bytes, 0);
}

/* Text of len bytes, without a line end. */
static const char *
letters(size_t len)
{
	static char text[MAX + 2];

	memset(text, 'x', len);
	text[len] = '\0';
	return text;
}

TEST(a_line_of_the_full_length_passes_whole_or_torn)
{
	char want[MAX + 1];

	memset(want, 'x', MAX - 1);
	want[MAX - 1] = '\n';
	want[MAX] = '\0';
	put_text(client, want);
	expect_read(CONN_DONE, want);
	put_text(client, letters(MAX - 1));
	expect_read(CONN_DONE, "");
	put_text(client, "\n");
	expect_read(CONN_DONE, want);
	/* And completed by end of file. */
	put_text(client, letters(MAX - 1));
	expect_read(CONN_DONE, "");
	shutdown(client, SHUT_WR);
	expect_read(CONN_CLOSED, want);
}

TEST(a_line_of_one_byte_more_is_too_long_whole_or_torn)
{
	put_text(client, letters(MAX));
	put_text(client, "\n");
	expect_read(CONN_TOO_LONG, "");
	put_text(client, letters(MAX));
	expect_read(CONN_TOO_LONG, "");
	put_text(client, letters(MAX - 1));
	expect_read(CONN_DONE, "");
	put_text(client, "x");
	expect_read(CONN_TOO_LONG, "");
}

TEST(the_lines_before_one_that_is_too_long_are_not_lost)
{
	put_text(client, "pie");
	expect_read(CONN_DONE, "");
	put_text(client, "ce\nshort\n");
	put_text(client, letters(MAX));
	expect_read(CONN_TOO_LONG, "piece\nshort\n");
}

TEST(a_limit_that_shrinks_below_a_held_piece_makes_it_too_long)
{
	struct reception got;

	put_text(client, letters(20));
	expect_read(CONN_DONE, "");
	put_text(client, "\n");
	assert_int_equal(read_some(ROOM, 10, &got), CONN_TOO_LONG);
	assert_null(got.msg.buf);
}

TEST(end_of_file_completes_a_piece_only_within_the_limit)
{
	struct reception got;

	put_text(client, letters(20));
	expect_read(CONN_DONE, "");
	shutdown(client, SHUT_WR);
	/* The limit has shrunk meanwhile. */
	assert_int_equal(read_some(ROOM, 20, &got), CONN_TOO_LONG);
	assert_null(got.msg.buf);
	assert_int_equal(read_some(ROOM, 21, &got), CONN_CLOSED);
	assert_int_equal(got.msg.len, 21);
}

TEST(nothing_to_read_is_no_failure_and_keeps_the_piece)
{
	static const int errors[] = {EAGAIN, EINTR, ENOBUFS, ENOMEM};

	put_text(client, "pie");
	expect_read(CONN_DONE, "");
	expect_read(CONN_AGAIN, "");
	for (size_t i = 0; i < LENGTH(errors); i++) {
		seam_fail(SEAM_RECV, 0, 1, errors[i]);
		expect_read(CONN_AGAIN, "");
	}
	put_text(client, "ce\n");
	expect_read(CONN_DONE, "piece\n");
}

/* After a reset the next recv finds the end of file. */
TEST(a_failed_recv_is_skipped_and_the_next_one_completes_the_line)
{
	static const int errors[] = {
	    ECONNRESET, ETIMEDOUT, EHOSTUNREACH, ENETDOWN, EBADF, ENOTCONN, EIO};

	put_text(client, "no end");
	expect_read(CONN_DONE, "");
	for (size_t i = 0; i < LENGTH(errors); i++) {
		struct reception got = {.bytes = 1};

		seam_fail(SEAM_RECV, 0, 1, errors[i]);
		assert_int_equal(read_some(ROOM, MAX, &got), CONN_AGAIN);
		assert_null(got.msg.buf);
		assert_int_equal(got.bytes, 0);
	}
	shutdown(client, SHUT_WR);
	expect_read(CONN_CLOSED, "no end\n");
}

TEST(unread_bytes_are_counted_and_an_end_of_file_is_none)
{
	assert_int_equal(conn_unread(conn), 0);
	put_text(client, "12345");
	assert_int_equal(conn_unread(conn), 5);
	shutdown(client, SHUT_WR);
	assert_int_equal(conn_unread(conn), 5);
	expect_read(CONN_DONE, "");
	assert_int_equal(conn_unread(conn), 0);
	expect_read(CONN_CLOSED, "12345\n");
}

TEST(what_is_thrown_away_is_received_once)
{
	put_text(client, "never heard\n");
	assert_int_equal(conn_discard(conn), 12);
	assert_int_equal(conn_discard(conn), -1);
	assert_int_equal(errno, EAGAIN);
	shutdown(client, SHUT_WR);
	assert_int_equal(conn_discard(conn), 0);
}

TEST(receiving_asks_for_no_memory_that_was_not_reserved)
{
	struct reception got;

	intake.line_max = MAX;
	for (int i = 0; i < 50; i++) {
		put_text(client, i % 3 == 0 ? "a" : i % 3 == 1 ? "b\nc" : "d\n");
		assert_int_equal(conn_reserve(conn, &intake, 50), 50);
		seam_fail(SEAM_MEMORY, 0, SEAM_ALWAYS, ENOMEM);
		assert_int_equal(conn_read(conn, &intake, 50, &got), CONN_DONE);
		seam_reset();
	}
}

TEST(what_receiving_needs_is_reserved_or_nothing_may_be_received)
{
	struct reception got;
	struct msg held;

	/* The spare line, and a buf. */
	intake.line_max = MAX;
	for (unsigned long refused = 0; refused < 2; refused++) {
		seam_fail(SEAM_MEMORY, refused, 1, ENOMEM);
		assert_int_equal(conn_reserve(conn, &intake, ROOM), 0);
	}
	put_text(client, "pie");
	expect_read(CONN_DONE, "");
	/* A longer line: the spare and the piece. */
	intake.line_max = 2 * MAX;
	for (unsigned long refused = 0; refused < 2; refused++) {
		line_free(&intake.spare);
		seam_fail(SEAM_MEMORY, refused, 1, ENOMEM);
		assert_int_equal(conn_reserve(conn, &intake, ROOM), 0);
	}
	/* Less room than was asked for is better than none, but the piece and a byte must fit. */
	assert_int_equal(arena_reserve(&intake.arena, ARENA_BUF, ARENA_BUF), ARENA_BUF);
	held = arena_take(&intake.arena, ARENA_BUF - 4);
	msg_ref(&held);
	assert_true(conn->line.len == 3 && line_reserve(&intake.spare, 2 * MAX + TELNET_MAX) == 0);
	assert_int_equal(line_reserve(&conn->line, 2 * MAX + TELNET_MAX), 0);
	seam_fail(SEAM_MEMORY, 0, SEAM_ALWAYS, ENOMEM);
	assert_int_equal(conn_reserve(conn, &intake, ROOM), 1);
	put_text(client, "ce\n");
	assert_int_equal(conn_read(conn, &intake, 1, &got), CONN_DONE);
	assert_int_equal(conn_reserve(conn, &intake, ROOM), 0);
	seam_reset();
	expect_read(CONN_DONE, "piece\n");
	msg_unref(&held);
}

/* However a stream is torn, the messages are the stream, and each ends with a line end. */
TEST(a_randomly_torn_stream_arrives_whole)
{
	static char stream[1 << 20], arrived[sizeof(stream)];
	size_t len = 0, sent = 0, have = 0;
	struct reception got;

	random_start();
	while (len < sizeof(stream) - MAX) {
		size_t line = random_below(MAX - 1);

		for (size_t i = 0; i < line; i++)
			stream[len++] = (char)('a' + random_below(26));
		stream[len++] = '\n';
	}
	while (have < len) {
		size_t piece = 1 + random_below(random_below(2) == 0 ? 5 : 3 * MAX);

		if (piece > len - sent)
			piece = len - sent;
		if (piece > 0)
			assert_int_equal(write(client, stream + sent, piece), piece);
		sent += piece;
		for (;;) {
			enum conn_outcome outcome = read_some(1 + random_below(2 * MAX), MAX, &got);

			if (outcome == CONN_AGAIN)
				break;
			assert_int_equal(outcome, CONN_DONE);
			if (got.msg.buf == NULL)
				continue;
			assert_int_equal(msg_data(&got.msg)[got.msg.len - 1], '\n');
			memcpy(arrived + have, msg_data(&got.msg), got.msg.len);
			have += got.msg.len;
		}
	}
	assert_int_equal(have, len);
	assert_memory_equal(arrived, stream, len);
}

/* What waits for it */

TEST(all_that_waits_leaves_in_one_call)
{
	size_t written;

	for (int i = 0; i < 64; i++)
		queue_text("line\n");
	assert_int_equal(conn_write(conn, &written), CONN_DONE);
	assert_int_equal(written, 64 * 5);
	assert_int_equal(seam_calls(SEAM_SEND), 1);
	assert_true(queue_empty(&conn->queue));
	assert_int_equal(strlen(get_text(client, NULL)), 64 * 5);
	assert_int_equal(intake.arena.filling->refs, 0);
}

TEST(a_backlog_of_very_many_pieces_leaves_too)
{
	static char want[5 * 1000 + 1];
	size_t written;

	for (int i = 0; i < 1000; i++) {
		char text[6] = {(char)('a' + i % 26), (char)('a' + i / 26 % 26),
		    (char)('a' + i / 676), '.', '\n', '\0'};

		queue_text(text);
		memcpy(want + 5 * i, text, 5);
	}
	assert_int_equal(conn_write(conn, &written), CONN_DONE);
	assert_int_equal(written, 5000);
	assert_string_equal(get_text(client, NULL), want);
}

TEST(writing_goes_on_where_a_short_write_has_ended)
{
	char got[64] = "";
	size_t written;
	int calls = 0;

	queue_text("one\n");
	queue_text("two\n");
	queue_text("three\n");
	seam_shorten(3);
	while (conn_write(conn, &written) == CONN_AGAIN) {
		assert_int_equal(written, calls == 1 || calls == 3 ? 1 : 3);
		strcat(got, get_text(client, NULL));
		/* A short write has filled the socket, so it is not tried twice. */
		assert_int_equal(seam_calls(SEAM_SEND), ++calls);
	}
	assert_int_equal(calls, 5);
	strcat(got, get_text(client, NULL));
	assert_string_equal(got, "one\ntwo\nthree\n");
	assert_int_equal(intake.arena.filling->refs, 0);
}

TEST(a_full_socket_keeps_what_waits)
{
	size_t written;

	stuff(conn->fd);
	queue_text("kept\n");
	assert_int_equal(conn_write(conn, &written), CONN_AGAIN);
	assert_int_equal(written, 0);
	assert_false(queue_empty(&conn->queue));
	get_text(client, NULL);
	assert_int_equal(conn_write(conn, &written), CONN_DONE);
	assert_int_equal(written, 5);
	assert_string_equal(get_text(client, NULL), "kept\n");
}

TEST(a_refused_send_is_no_failure)
{
	static const int errors[] = {EAGAIN, EINTR, ENOBUFS, ENOMEM};
	size_t written;

	queue_text("kept\n");
	for (size_t i = 0; i < LENGTH(errors); i++) {
		seam_fail(SEAM_SEND, 0, 1, errors[i]);
		assert_int_equal(conn_write(conn, &written), CONN_AGAIN);
		assert_int_equal(written, 0);
	}
	assert_int_equal(conn_write(conn, &written), CONN_DONE);
	assert_string_equal(get_text(client, NULL), "kept\n");
}

TEST(a_failed_send_says_why)
{
	size_t written;

	queue_text("lost\n");
	close(client);
	assert_int_equal(conn_write(conn, &written), CONN_FAILED);
	assert_int_equal(errno, EPIPE);
	assert_int_equal(written, 0);
	queue_text("lost\n");
	assert_int_equal(conn_write(conn, &written), CONN_FAILED);
	assert_int_equal(errno, EPIPE);
	client = conn->fd; /* closed once, by conn_free */
}

TEST(nothing_to_write_makes_no_call)
{
	size_t written = 99;

	assert_int_equal(conn_write(conn, &written), CONN_DONE);
	assert_int_equal(written, 0);
	assert_int_equal(seam_calls(SEAM_SEND), 0);
}

TEST(a_client_that_is_written_to_no_more_hears_the_end_and_may_still_speak)
{
	bool closed;

	queue_text("never heard\n");
	conn_close_write(conn);
	assert_int_equal(conn->life, CONN_WRITE_CLOSED);
	assert_true(queue_empty(&conn->queue));
	assert_string_equal(get_text(client, &closed), "");
	assert_true(closed);
	put_text(client, "last words\n");
	expect_read(CONN_DONE, "last words\n");
}

TEST(what_the_kernel_keeps_shrinks_when_the_client_takes_some)
{
	size_t written;
	int before;

	assert_int_equal(conn_unacked(conn), 0);
	queue_text("some text\n");
	conn_write(conn, &written);
	before = conn_unacked(conn);
	assert_true(before > 0);
	get_text(client, NULL);
	assert_int_equal(conn_unacked(conn), 0);
}

/* Its life */

TEST(a_client_that_goes_takes_its_descriptor_its_piece_and_its_queue_along)
{
	struct conn *other;
	int pair[2];

	make_pair(pair);
	seam_pass_at(42);
	other = conn_new(pair[1], &nobody, NULL);
	assert_int_equal(other->fd, pair[1]);
	assert_int_equal(other->last_line_at, 42);
	queue_text("shared\n");
	queue_push(&other->queue, &conn->queue.spans[0]);
	assert_int_equal(intake.arena.filling->refs, 2);
	assert_int_equal(line_reserve(&other->line, 10), 0);
	conn_free(other);
	assert_int_equal(intake.arena.filling->refs, 1);
	assert_false(is_open(pair[1]));
	close(pair[0]);
	conn_free(NULL);
}

TEST(a_client_for_which_memory_is_refused_keeps_its_descriptor)
{
	int pair[2];

	make_pair(pair);
	seam_fail(SEAM_MEMORY, 0, 1, ENOMEM);
	assert_null(conn_new(pair[0], &nobody, NULL));
	assert_true(is_open(pair[0]));
	close(pair[0]);
	close(pair[1]);
}

/* A connection over loopback: ends[0] is chatd's. */
static void
connect_tcp(int ends[2])
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
	socklen_t len = sizeof(in);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&in, len), 0);
	assert_int_equal(listen(fd, 1), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&in, &len), 0);
	ends[1] = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(connect(ends[1], (struct sockaddr *)&in, len), 0);
	assert_true((ends[0] = accept(fd, NULL, NULL)) >= 0);
	close(fd);
}

TEST(who_closes_without_a_word_has_said_nothing)
{
	const struct addr addr = {.family = AF_INET};
	const char *words[] = {NULL, "hello\n"};

	for (size_t i = 0; i < LENGTH(words); i++) {
		struct conn *tcp;
		int ends[2];

		connect_tcp(ends);
		assert_non_null(tcp = conn_new(ends[0], &addr, NULL));
		assert_false(conn_said_nothing(tcp));
		if (words[i] != NULL)
			put_text(ends[1], words[i]);
		assert_false(conn_said_nothing(tcp));
		close(ends[1]);
		assert_int_equal(conn_said_nothing(tcp), words[i] == NULL);
		conn_free(tcp);
	}
}

TEST(of_a_unix_client_nobody_knows_early_that_it_said_nothing)
{
	int ends[2];
	struct conn *other;
	const struct addr addr = {.family = AF_UNIX};

	make_pair(ends);
	assert_non_null(other = conn_new(ends[0], &addr, NULL));
	close(ends[1]);
	assert_false(conn_said_nothing(other));
	conn_free(other);
}

#define CONN_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    CONN_TEST(who_closes_without_a_word_has_said_nothing),
	    CONN_TEST(of_a_unix_client_nobody_knows_early_that_it_said_nothing),
	    CONN_TEST(whole_lines_become_one_message_with_their_bytes_unchanged),
	    CONN_TEST(a_line_torn_anywhere_is_put_together),
	    CONN_TEST(single_bytes_make_a_line_when_its_end_comes),
	    CONN_TEST(a_piece_takes_the_spare_memory_and_gives_it_back_with_its_end),
	    CONN_TEST(the_end_of_one_line_and_the_start_of_the_next_come_together),
	    CONN_TEST(one_recv_is_made_however_much_has_come),
	    CONN_TEST(end_of_file_completes_an_unfinished_line),
	    CONN_TEST(end_of_file_after_a_whole_line_adds_nothing),
	    CONN_TEST(a_line_of_the_full_length_passes_whole_or_torn),
	    CONN_TEST(a_line_of_one_byte_more_is_too_long_whole_or_torn),
	    CONN_TEST(the_lines_before_one_that_is_too_long_are_not_lost),
	    CONN_TEST(a_limit_that_shrinks_below_a_held_piece_makes_it_too_long),
	    CONN_TEST(end_of_file_completes_a_piece_only_within_the_limit),
	    CONN_TEST(nothing_to_read_is_no_failure_and_keeps_the_piece),
	    CONN_TEST(a_failed_recv_is_skipped_and_the_next_one_completes_the_line),
	    CONN_TEST(unread_bytes_are_counted_and_an_end_of_file_is_none),
	    CONN_TEST(what_is_thrown_away_is_received_once),
	    CONN_TEST(receiving_asks_for_no_memory_that_was_not_reserved),
	    CONN_TEST(what_receiving_needs_is_reserved_or_nothing_may_be_received),
	    CONN_TEST(a_randomly_torn_stream_arrives_whole),
	    CONN_TEST(all_that_waits_leaves_in_one_call),
	    CONN_TEST(a_backlog_of_very_many_pieces_leaves_too),
	    CONN_TEST(writing_goes_on_where_a_short_write_has_ended),
	    CONN_TEST(a_full_socket_keeps_what_waits),
	    CONN_TEST(a_refused_send_is_no_failure),
	    CONN_TEST(a_failed_send_says_why),
	    CONN_TEST(nothing_to_write_makes_no_call),
	    CONN_TEST(a_client_that_is_written_to_no_more_hears_the_end_and_may_still_speak),
	    CONN_TEST(what_the_kernel_keeps_shrinks_when_the_client_takes_some),
	    CONN_TEST(a_client_that_goes_takes_its_descriptor_its_piece_and_its_queue_along),
	    CONN_TEST(a_client_for_which_memory_is_refused_keeps_its_descriptor),
	};

	return cmocka_run_group_tests_name("conn", tests, NULL, NULL);
}
