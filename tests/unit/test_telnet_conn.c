#include "unit.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "wire/intake.h"
#include "wire/telnet.h"

#define WILL        "\xff\xfb"
#define WONT        "\xff\xfc"
#define DO          "\xff\xfd"
#define DONT        "\xff\xfe"
#define BEGIN       "\xff\xfa"
#define END         "\xff\xf0"
#define INTERRUPT   "\xff\xf4"
#define TIMING_MARK "\x06"
#define ROOM        4096 /* bytes of one recv */

static const struct addr nobody = {.family = AF_UNIX};

static struct intake intake;
static struct conn *conn;
static int client; /* the other end of it */
static char heard[65536], answered[65536];
static size_t heard_len, answered_len;

static int
setup(void **state)
{
	int pair[2];

	(void)state;
	make_pair(pair);
	client = pair[0];
	conn = conn_new(pair[1], &nobody, NULL);
	intake = (struct intake){.line_max = 64, .telnet = true};
	heard_len = answered_len = 0;
	return conn != NULL ? 0 : -1;
}

static int
teardown(void **state)
{
	(void)state;
	conn_free(conn);
	intake_free(&intake);
	if (client >= 0)
		close(client);
	return 0;
}

static enum conn_outcome
read_once(void)
{
	struct reception got;
	enum conn_outcome outcome;

	assert_true(conn_reserve(conn, &intake, ROOM) > 0);
	outcome = conn_read(conn, &intake, ROOM, &got);
	if (got.msg.buf != NULL) {
		memcpy(heard + heard_len, msg_data(&got.msg), got.msg.len);
		heard_len += got.msg.len;
	}
	if (got.answer_len > 0)
		memcpy(answered + answered_len, got.answer, got.answer_len);
	answered_len += got.answer_len;
	assert_true(conn->unfinished < TELNET_MAX);
	assert_true(conn->unfinished <= conn->line.len);
	return outcome;
}

static enum conn_outcome
send_piece(const char *data, size_t len)
{
	assert_int_equal(send(client, data, len, 0), len);
	return read_once();
}

static enum conn_outcome
send_end(void)
{
	shutdown(client, SHUT_WR);
	return read_once();
}

static void
expect(const char *lines, const char *answer)
{
	assert_int_equal(heard_len, strlen(lines));
	assert_memory_equal(heard, lines, heard_len);
	assert_int_equal(answered_len, strlen(answer));
	assert_memory_equal(answered, answer, answered_len);
	heard_len = answered_len = 0;
}

TEST(commands_may_be_torn_at_every_byte)
{
	static const char text[] = "on" INTERRUPT "e" DO TIMING_MARK "\r\n" BEGIN "\x18\n"
				   "xterm" END WILL "\x1f"
				   "two\xff\n" DO "\n";
	size_t len = strlen(text);

	for (size_t first = 1; first < len; first++)
		for (size_t second = first; second < len; second++) {
			assert_int_equal(send_piece(text, first), CONN_DONE);
			if (second > first)
				send_piece(text + first, second - first);
			assert_int_equal(send_piece(text + second, len - second), CONN_DONE);
			expect("one\r\ntwo\xff\n" DO "\n", WILL TIMING_MARK DONT "\x1f");
			assert_null(conn->line.data);
		}
}

TEST(a_command_is_answered_though_its_line_has_no_end)
{
	assert_int_equal(send_piece("pie", 3), CONN_DONE);
	assert_int_equal(send_piece(INTERRUPT DO TIMING_MARK, 5), CONN_DONE);
	expect("", WILL TIMING_MARK);
	assert_int_equal(send_piece("ce\n", 3), CONN_DONE);
	expect("piece\n", "");
}

TEST(an_unfinished_command_is_text_at_the_end_of_file)
{
	assert_int_equal(send_piece("a" DO, 3), CONN_DONE);
	assert_int_equal(send_end(), CONN_CLOSED);
	expect("a" DO "\n", "");
}

TEST(lines_in_an_unfinished_command_are_heard_at_the_end_of_file)
{
	assert_int_equal(send_piece("a" BEGIN "b\nc\nd", 8), CONN_DONE);
	assert_int_equal(send_end(), CONN_CLOSED);
	expect("a" BEGIN "b\nc\nd\n", "");
}

TEST(an_unfinished_command_that_ends_a_line_gets_no_second_end)
{
	assert_int_equal(send_piece(BEGIN "b\n", 4), CONN_DONE);
	assert_int_equal(send_end(), CONN_CLOSED);
	expect(BEGIN "b\n", "");
}

TEST(an_unfinished_command_is_text_when_commands_are_no_longer_taken_out)
{
	assert_int_equal(send_piece("a" BEGIN "b\nc" DO, 8), CONN_DONE);
	expect("", "");
	intake.telnet = false;
	assert_int_equal(send_piece(TIMING_MARK "\n", 2), CONN_DONE);
	expect("a" BEGIN "b\nc" DO TIMING_MARK "\n", "");
}

TEST(without_the_setting_nothing_is_taken_out)
{
	intake.telnet = false;
	assert_int_equal(send_piece(INTERRUPT DO TIMING_MARK "\n\xff", 7), CONN_DONE);
	expect(INTERRUPT DO TIMING_MARK "\n", "");
	assert_int_equal(conn->unfinished, 0);
}

TEST(nothing_to_read_leaves_an_unfinished_command_alone)
{
	assert_int_equal(send_piece("a" DO, 3), CONN_DONE);
	assert_int_equal(read_once(), CONN_AGAIN);
	assert_int_equal(send_piece(TIMING_MARK "b\n", 3), CONN_DONE);
	expect("ab\n", WILL TIMING_MARK);
}

/* line_max is 64. */
TEST(the_limit_of_a_line_counts_what_is_left)
{
	char line[65], waiting[63];

	memset(line, 'x', 63);
	strcpy(line + 63, "\n");
	for (int i = 0; i < 63; i++) {
		assert_int_equal(send_piece(line + i, 1), CONN_DONE);
		assert_int_equal(send_piece(DONT "\x01", 3), CONN_DONE);
	}
	/* The longest of what may have to be held. */
	memset(waiting, 'y', 63);
	memcpy(waiting, BEGIN, 2);
	waiting[62] = '\xff';
	assert_int_equal(send_piece(waiting, 63), CONN_DONE);
	assert_int_equal(conn->line.len, 63 + 63);
	assert_int_equal(send_piece("\xf0\n", 2), CONN_DONE);
	expect(line, "");
	assert_int_equal(send_piece(line, 63), CONN_DONE);
	assert_int_equal(send_piece(INTERRUPT "x", 3), CONN_TOO_LONG);
}

TEST(a_command_that_is_none_counts_for_the_limit)
{
	char line[64];

	memset(line, 'x', 63);
	assert_int_equal(send_piece(line, 62), CONN_DONE);
	assert_int_equal(send_piece(DO, 2), CONN_DONE);
	assert_int_equal(send_piece("\n", 1), CONN_TOO_LONG);
}

TEST(an_unfinished_command_may_make_the_last_line_too_long)
{
	char line[64];

	memset(line, 'x', 63);
	assert_int_equal(send_piece(line, 62), CONN_DONE);
	assert_int_equal(send_piece(DO, 2), CONN_DONE);
	assert_int_equal(send_end(), CONN_TOO_LONG);
	expect("", "");
}

/* The model: tries every length, and looks at the whole of what was sent. */

static bool
is_command(const unsigned char *p, size_t len)
{
	bool early = false;

	if (p[0] != 0xff)
		return false;
	if (len == 2)
		return p[1] >= 0xf1 && p[1] <= 0xf9;
	if (len == 3 && p[1] >= 0xfb && p[1] <= 0xfe)
		return p[2] != '\n' && p[2] != '\r';
	for (size_t i = 2; i + 2 < len; i++)
		early |= p[i] == 0xff && p[i + 1] == 0xf0;
	return p[1] == 0xfa && len >= 4 && p[len - 2] == 0xff && p[len - 1] == 0xf0 && !early;
}

/* So many bytes, and no command yet. */
static bool
is_unfinished(const unsigned char *p, size_t left)
{
	if (p[0] != 0xff || left == 1)
		return p[0] == 0xff;
	return p[1] == 0xfa || (p[1] >= 0xfb && p[1] <= 0xfe && left == 2);
}

/* Returns the length of the text that is heard, with the end of file. */
static size_t
model(const unsigned char *data, size_t len, char *text, char *answer, size_t *answer_len)
{
	size_t n = 0;

	*answer_len = 0;
	for (size_t i = 0, size; i < len; i += size) {
		for (size = 2; size <= 64 && i + size <= len; size++)
			if (is_command(data + i, size))
				break;
		if (i + size > len && size <= 64 && is_unfinished(data + i, len - i)) {
			/* Nothing comes any more: text, all of it. */
			memcpy(text + n, data + i, len - i);
			n += size = len - i;
		} else if (size > 64 || i + size > len) {
			text[n++] = (char)data[i];
			size = 1;
		} else if (data[i + 1] == 0xfd || data[i + 1] == 0xfb) {
			char *to = answer + *answer_len;

			memcpy(to, data[i + 1] == 0xfd ? WONT : DONT, 2);
			if (data[i + 1] == 0xfd && data[i + 2] == 6)
				memcpy(to, WILL, 2);
			to[2] = (char)data[i + 2];
			*answer_len += 3;
		}
	}
	if (n > 0 && text[n - 1] != '\n')
		text[n++] = '\n';
	return n;
}

static size_t
random_bytes(unsigned char *data, size_t size)
{
	static const unsigned char edges[] = {0xff, 0xff, 0xff, 0xff, 0xf0, 0xf0, 0xf1, 0xf4, 0xf9,
	    0xfa, 0xfa, 0xfb, 0xfc, 0xfd, 0xfd, 0xfe, 0xef, 6, 1, 0, 'a', 'b', '\r', '\n', '\n'};
	size_t len = random_below((uint32_t)size);
	uint32_t plain = random_below(40);

	for (size_t i = 0; i < len; i++)
		data[i] = random_below(plain + 1) > 0 ? 'x' : edges[random_below(LENGTH(edges))];
	return len;
}

TEST(random_bytes_torn_at_random_are_stripped_as_the_model_says)
{
	random_start();
	for (int round = 0; round < 2000; round++) {
		unsigned char data[400];
		char text[401], answer[1200];
		size_t len = random_bytes(data, sizeof(data)), answer_len;
		size_t text_len = model(data, len, text, answer, &answer_len);
		uint32_t most = 1 + random_below(100);

		teardown(NULL);
		setup(NULL);
		intake.line_max = 1000;
		for (size_t at = 0, n; at < len; at += n) {
			n = 1 + random_below(most);
			n = n < len - at ? n : len - at;
			assert_int_equal(send_piece((char *)data + at, n), CONN_DONE);
		}
		assert_int_equal(send_end(), CONN_CLOSED);
		assert_int_equal(heard_len, text_len);
		assert_memory_equal(heard, text, text_len);
		assert_int_equal(answered_len, answer_len);
		assert_memory_equal(answered, answer, answer_len);
	}
}

#define CONN_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    CONN_TEST(commands_may_be_torn_at_every_byte),
	    CONN_TEST(a_command_is_answered_though_its_line_has_no_end),
	    CONN_TEST(an_unfinished_command_is_text_at_the_end_of_file),
	    CONN_TEST(lines_in_an_unfinished_command_are_heard_at_the_end_of_file),
	    CONN_TEST(an_unfinished_command_that_ends_a_line_gets_no_second_end),
	    CONN_TEST(an_unfinished_command_is_text_when_commands_are_no_longer_taken_out),
	    CONN_TEST(without_the_setting_nothing_is_taken_out),
	    CONN_TEST(nothing_to_read_leaves_an_unfinished_command_alone),
	    CONN_TEST(the_limit_of_a_line_counts_what_is_left),
	    CONN_TEST(a_command_that_is_none_counts_for_the_limit),
	    CONN_TEST(an_unfinished_command_may_make_the_last_line_too_long),
	    CONN_TEST(random_bytes_torn_at_random_are_stripped_as_the_model_says),
	};

	return cmocka_run_group_tests_name("telnet_conn", tests, NULL, NULL);
}
