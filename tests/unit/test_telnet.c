#include "unit.h"

#include <string.h>

#include "wire/telnet.h"

#define WILL        "\xff\xfb"
#define WONT        "\xff\xfc"
#define DO          "\xff\xfd"
#define DONT        "\xff\xfe"
#define BEGIN       "\xff\xfa"
#define END         "\xff\xf0"
#define INTERRUPT   "\xff\xf4"
#define TIMING_MARK "\x06"

static struct telnet_answers answers;

/* Strips text; what is left and the answers are strings. Returns how much is unfinished. */
static size_t
strip(const char *text, size_t len, char *left)
{
	size_t unfinished;

	answers.len = 0;
	memcpy(left, text, len);
	len = telnet_strip(left, len, &answers, &unfinished);
	left[len] = answers.data[answers.len] = '\0';
	return unfinished;
}

struct strip_case {
	const char *given, *left, *answered;
	size_t unfinished;
};

static void
check_strips(const struct strip_case *cases, size_t count)
{
	char left[256];

	for (size_t i = 0; i < count; i++) {
		const struct strip_case *c = &cases[i];

		assert_int_equal(strip(c->given, strlen(c->given), left), c->unfinished);
		assert_string_equal(left, c->left);
		assert_string_equal(answers.data, c->answered);
	}
}

TEST(text_without_commands_stays_as_it_is)
{
	static const struct strip_case cases[] = {
	    {"", "", "", 0},
	    {"hello\r\n", "hello\r\n", "", 0},
	    {"\xfe\xfd\xf0\x80 \xc3\xbc\n", "\xfe\xfd\xf0\x80 \xc3\xbc\n", "", 0},
	};

	check_strips(cases, LENGTH(cases));
}

TEST(commands_are_taken_out_and_what_stood_around_them_joins)
{
	static const struct strip_case cases[] = {
	    {INTERRUPT, "", "", 0},
	    {"ab" INTERRUPT "cd\n", "abcd\n", "", 0},
	    {"\xff\xf1"
	     "a\xff\xf9\n",
		"a\n", "", 0},
	    {WONT "\x01" DONT "\x03\n", "\n", "", 0},
	    {"a" BEGIN "\x18\x01xterm" END "b\n", "ab\n", "", 0},
	    {"a" BEGIN END "b\n", "ab\n", "", 0},
	    {BEGIN "a\nb\r\n" END "c\n", "c\n", "", 0},
	    {"1" INTERRUPT "2\n3" INTERRUPT INTERRUPT "4\n", "12\n34\n", "", 0},
	    {WONT "\xff\n", "\n", "", 0},
	};

	check_strips(cases, LENGTH(cases));
}

TEST(options_are_declined_but_a_timing_mark_is_given)
{
	static const struct strip_case cases[] = {
	    {DO "\x01\n", "\n", WONT "\x01", 0},
	    {WILL "\x1f\n", "\n", DONT "\x1f", 0},
	    {DO TIMING_MARK "\n", "\n", WILL TIMING_MARK, 0},
	    {WILL TIMING_MARK "\n", "\n", DONT TIMING_MARK, 0},
	    {"a" DO "\xff" WILL "\xfe\n", "a\n", WONT "\xff" DONT "\xfe", 0},
	    {INTERRUPT DO TIMING_MARK, "", WILL TIMING_MARK, 0},
	};

	check_strips(cases, LENGTH(cases));
}

TEST(what_is_no_command_is_text)
{
	static const struct strip_case cases[] = {
	    {"\xff\n", "\xff\n", "", 0},
	    {"a\xff"
	     "b\n",
		"a\xff"
		"b\n",
		"", 0},
	    {"\xff\xf0\xff\xef\n", "\xff\xf0\xff\xef\n", "", 0},
	    {DO "\n", DO "\n", "", 0},
	    {WILL "\r\n", WILL "\r\n", "", 0},
	    {"\xff\xff\n", "\xff\xff\n", "", 0},
	    {"\xff" DO TIMING_MARK "\n", "\xff\n", WILL TIMING_MARK, 0},
	};

	check_strips(cases, LENGTH(cases));
}

TEST(what_may_become_a_command_waits_for_more)
{
	static const struct strip_case cases[] = {
	    {"a\xff", "a\xff", "", 1},
	    {"a\n" DO, "a\n" DO, "", 2},
	    {INTERRUPT "a" WONT, "a" WONT, "", 2},
	    {BEGIN, BEGIN, "", 2},
	    {"a" BEGIN "b\nc\xff", "a" BEGIN "b\nc\xff", "", 6},
	};

	check_strips(cases, LENGTH(cases));
}

/* A subnegotiation of len bytes in all. */
static const char *
subnegotiation(size_t len)
{
	static char text[TELNET_MAX + 8];

	memset(text, 'x', len);
	memcpy(text, BEGIN, 2);
	memcpy(text + len - 2, END, 3);
	return text;
}

TEST(a_subnegotiation_has_64_bytes_and_not_65)
{
	char left[256];

	assert_int_equal(strip(subnegotiation(64), 64, left), 0);
	assert_string_equal(left, "");
	assert_int_equal(strip(subnegotiation(65), 65, left), 0);
	assert_string_equal(left, subnegotiation(65));
	/* Without its end it waits until no end can come in time. */
	assert_int_equal(strip(subnegotiation(66), 63, left), 63);
	assert_int_equal(strip(subnegotiation(66), 64, left), 0);
	/* What it held are commands then. */
	memcpy(left, subnegotiation(70), 70);
	memcpy(left + 10, DO TIMING_MARK, 3);
	assert_int_equal(strip(left, 70, left), 0);
	assert_int_equal(strlen(left), 67);
	assert_string_equal(answers.data, WILL TIMING_MARK);
}

TEST(more_answers_than_there_is_room_for_are_left_out)
{
	static char data[TELNET_ANSWERS_MAX + 30];
	size_t unfinished, count = TELNET_ANSWERS_MAX / 3;

	for (size_t i = 0; i < sizeof(data) / 3; i++)
		memcpy(data + i * 3, DO TIMING_MARK, 3);
	answers.len = 0;
	assert_int_equal(telnet_strip(data, count * 3, &answers, &unfinished), 0);
	assert_int_equal(answers.len, count * 3);
	for (size_t i = 0; i < sizeof(data) / 3; i++)
		memcpy(data + i * 3, DO TIMING_MARK, 3);
	answers.len = 0;
	assert_int_equal(telnet_strip(data, sizeof(data) / 3 * 3, &answers, &unfinished), 0);
	assert_int_equal(answers.len, count * 3);
	assert_memory_equal(answers.data, WILL TIMING_MARK WILL, 5);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(text_without_commands_stays_as_it_is),
	    cmocka_unit_test(commands_are_taken_out_and_what_stood_around_them_joins),
	    cmocka_unit_test(options_are_declined_but_a_timing_mark_is_given),
	    cmocka_unit_test(what_is_no_command_is_text),
	    cmocka_unit_test(what_may_become_a_command_waits_for_more),
	    cmocka_unit_test(a_subnegotiation_has_64_bytes_and_not_65),
	    cmocka_unit_test(more_answers_than_there_is_room_for_are_left_out),
	};

	return cmocka_run_group_tests_name("telnet", tests, NULL, NULL);
}
