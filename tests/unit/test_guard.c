#include "unit.h"

#include <stdio.h>
#include <string.h>

#include "cluster/guard.h"

static char passed[1 << 22];
static size_t passed_len;

static int
take(void *context, const char *data, size_t len)
{
	(void)context;
	assert_true(passed_len + len < sizeof(passed));
	memcpy(passed + passed_len, data, len);
	passed_len += len;
	passed[passed_len] = '\0';
	return 0;
}

static int
refuse(void *context, const char *data, size_t len)
{
	(void)context;
	(void)data;
	(void)len;
	return -1;
}

/* What passes of the text, which comes in pieces of so many bytes; or NULL: it is no reply. */
static const char *
pass_in(const char *text, size_t len, size_t piece)
{
	struct guard guard = {.len = 0};

	passed_len = 0;
	passed[0] = '\0';
	for (size_t at = 0; at < len; at += piece)
		if (guard_feed(&guard, text + at, len - at < piece ? len - at : piece, take, NULL) <
		    0)
			return NULL;
	return passed;
}

/* The same, in pieces of any size. */
static const char *
pass(const char *text)
{
	const char *whole = pass_in(text, strlen(text), 1);

	for (size_t piece = 2; piece < 9 && whole != NULL; piece++) {
		char *before = strdup(whole);

		whole = pass_in(text, strlen(text), piece);
		assert_string_equal(whole, before);
		free(before);
	}
	return whole;
}

static void
expect_whole(const char *text)
{
	assert_string_equal(pass(text), text);
}

TEST(replies_pass_as_they_are)
{
	expect_whole("+OK\r\n");
	expect_whole("-ERR no\r\n");
	expect_whole(":42\r\n:-1\r\n");
	expect_whole("$5\r\na\r\nbc\r\n$0\r\n\r\n$-1\r\n");
	expect_whole("*-1\r\n*0\r\n*2\r\n$1\r\na\r\n*1\r\n:1\r\n+OK\r\n");
}

TEST(what_is_no_reply_ends_the_link)
{
	static const char *const wrong[] = {"\r\n", "\n", "OK\r\n", "+OK\n", "$\r\n", "$x\r\n",
	    "$-2\r\n", "*-2\r\n", "*1x\r\n", "$12345678901\r\n", "*12345678901\r\n", "%1\r\n",
	    "_\r\n", "$ 1\r\n", "$--1\r\n", "*1\r\n+\n"};

	for (size_t i = 0; i < LENGTH(wrong); i++)
		assert_null(pass(wrong[i]));
}

TEST(a_line_has_its_limit)
{
	char text[GUARD_LINE + 2];

	memset(text, 'e', sizeof(text));
	text[0] = '-';
	memcpy(text + GUARD_LINE - 2, "\r\n", 3);
	expect_whole(text);
	memcpy(text + GUARD_LINE - 2, "e\r\n", 4);
	assert_null(pass(text));
}

/* A string of len bytes within a list, and a number behind it. */
static const char *
with_string(size_t len)
{
	static char text[GUARD_STRING + 128];
	int head = snprintf(text, sizeof(text), "*2\r\n$%zu\r\n", len);

	memset(text + head, 's', len);
	strcpy(text + head + len, "\r\n:7\r\n");
	return text;
}

TEST(a_string_that_is_too_long_is_left_out)
{
	const char *text = with_string(GUARD_STRING);

	assert_string_equal(pass_in(text, strlen(text), 65536), text);
	text = with_string(GUARD_STRING + 1);
	assert_string_equal(pass_in(text, strlen(text), 65536), "*2\r\n$0\r\n\r\n:7\r\n");
}

TEST(a_list_that_is_too_long_is_left_out)
{
	expect_whole("*8\r\n:1\r\n:2\r\n:3\r\n:4\r\n:5\r\n:6\r\n:7\r\n:8\r\n+OK\r\n");
	assert_string_equal(
	    pass("*2\r\n*9\r\n:1\r\n:2\r\n:3\r\n*2\r\n$3\r\nabc\r\n:4\r\n*0\r\n$-1\r\n:7\r\n"
		 "*9\r\n:1\r\n:1\r\n:1\r\n:1\r\n:1\r\n:1\r\n:1\r\n:1\r\n+x\r\n:9\r\n+OK\r\n:5\r\n"),
	    "*2\r\n*0\r\n+OK\r\n:5\r\n");
}

TEST(a_reply_has_so_many_values_at_most)
{
	static char text[65536];

	/* Lists within lists: 1 + 8 + 8 * 8 + ... */
	text[0] = '\0';
	for (int i = 0; i < 585; i++)
		strcat(text, "*8\r\n");
	assert_non_null(pass_in(text, strlen(text), 4096));
	for (int i = 0; i < 3511; i++)
		strcat(text, ":1\r\n");
	assert_non_null(pass_in(text, strlen(text), 4096));
	strcat(text, ":1\r\n");
	assert_null(pass_in(text, strlen(text), 4096));
}

static int
ignore(void *context, const char *data, size_t len)
{
	(void)context;
	(void)data;
	(void)len;
	return 0;
}

/* The largest reply of an engine in order passes: 8 entries, each with an id and 8 such strings. */
TEST(the_strings_of_a_reply_have_so_many_bytes_at_most)
{
	struct guard guard = {.len = 0};
	const char *text = with_string(GUARD_STRING - 2);
	size_t head = strlen("*2\r\n"), len = strlen(text) - strlen(":7\r\n") - head;

	for (int i = 0; i < 9; i++)
		assert_int_equal(guard_feed(&guard, "*8\r\n", 4, ignore, NULL), 0);
	for (unsigned i = 0; i < GUARD_BYTES / GUARD_STRING; i++) {
		if (i > 0 && i % 7 == 0)
			assert_int_equal(guard_feed(&guard, "*8\r\n", 4, ignore, NULL), 0);
		assert_int_equal(guard_feed(&guard, text + head, len, ignore, NULL), 0);
	}
	assert_int_equal(guard_feed(&guard, "$-1\r\n:1\r\n", 9, ignore, NULL), 0);
	assert_int_equal(guard_feed(&guard, "$0\r\n", 4, ignore, NULL), -1);
}

TEST(values_of_another_reply_count_anew)
{
	struct guard guard = {.len = 0};

	passed_len = 0;
	for (int i = 0; i < 2 * GUARD_VALUES; i++)
		assert_int_equal(guard_feed(&guard, ":1\r\n", 4, take, NULL), 0);
}

TEST(bytes_of_another_reply_count_anew)
{
	struct guard guard = {.len = 0};
	const char *text = with_string(GUARD_STRING - 2);

	for (unsigned i = 0; i < 2 * GUARD_BYTES / GUARD_STRING; i++)
		assert_int_equal(guard_feed(&guard, text, strlen(text), ignore, NULL), 0);
}

TEST(a_library_that_fails_ends_the_link)
{
	struct guard guard = {.len = 0};

	assert_int_equal(guard_feed(&guard, "+OK\r\n", 5, refuse, NULL), -1);
}

TEST(any_bytes_are_either_passed_or_refused)
{
	static const char letters[] = "+-:$*0123456789\r\n\r\nax";
	char text[64];

	random_start();
	for (int i = 0; i < 100000; i++) {
		size_t len = random_below(sizeof(text) - 1);

		for (size_t k = 0; k < len; k++)
			text[k] = letters[random_below(sizeof(letters) - 1)];
		pass_in(text, len, 1 + random_below(9));
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(replies_pass_as_they_are),
	    cmocka_unit_test(what_is_no_reply_ends_the_link),
	    cmocka_unit_test(a_line_has_its_limit),
	    cmocka_unit_test(a_string_that_is_too_long_is_left_out),
	    cmocka_unit_test(a_list_that_is_too_long_is_left_out),
	    cmocka_unit_test(a_reply_has_so_many_values_at_most),
	    cmocka_unit_test(the_strings_of_a_reply_have_so_many_bytes_at_most),
	    cmocka_unit_test(values_of_another_reply_count_anew),
	    cmocka_unit_test(bytes_of_another_reply_count_anew),
	    cmocka_unit_test(a_library_that_fails_ends_the_link),
	    cmocka_unit_test(any_bytes_are_either_passed_or_refused),
	};

	return cmocka_run_group_tests_name("guard", tests, NULL, NULL);
}
