#include "unit.h"

#include <stdio.h>
#include <string.h>

#include "chat/grammar.h"

/* Reads a line that text and the end make. */
static struct utterance
read_line(const char *text, const char *end)
{
	static char line[1024];
	int len = snprintf(line, sizeof(line), "%s%s", text, end);

	return grammar_read(line, (size_t)len);
}

static void
expect(const char *text, enum utterance_kind kind, const char *want)
{
	static const char *const ends[] = {"\n", "\r\n"};

	for (size_t i = 0; i < LENGTH(ends); i++) {
		struct utterance said = read_line(text, ends[i]);

		assert_int_equal(said.kind, kind);
		assert_int_equal(said.len, strlen(want));
		assert_memory_equal(said.text, want, said.len);
	}
}

TEST(a_line_that_is_no_command_is_text)
{
	static const char *const texts[] = {"a", " ", "hello, all", " /who", "/", "/ who", "/1",
	    "/who?", "/who/", "/etc/passwd", "/-", "/name:", "/w\xc3\xa4", "* left: bob", "\t"};

	for (size_t i = 0; i < LENGTH(texts); i++)
		expect(texts[i], UTTERANCE_TEXT, texts[i]);
}

TEST(of_two_slashes_one_is_said)
{
	expect("//", UTTERANCE_TEXT, "/");
	expect("///", UTTERANCE_TEXT, "//");
	expect("//who", UTTERANCE_TEXT, "/who");
	expect("//etc/passwd changed ", UTTERANCE_TEXT, "/etc/passwd changed ");
}

TEST(commands_take_what_is_behind_the_blanks)
{
	expect("/name", UTTERANCE_NAME, "");
	expect("/name ", UTTERANCE_NAME, "");
	expect("/name alice", UTTERANCE_NAME, "alice");
	expect("/name  \t alice \t ", UTTERANCE_NAME, "alice");
	expect("/name a b", UTTERANCE_NAME, "a b");
	expect("/who", UTTERANCE_WHO, "");
	expect("/who \t", UTTERANCE_WHO, "");
	expect("/who\t", UTTERANCE_WHO, "");
	expect("/quit", UTTERANCE_QUIT, "");
	expect("/quit now", UTTERANCE_QUIT, "now");
}

TEST(an_unknown_command_is_never_text)
{
	static const char *const texts[] = {"/help", "/me waves", "/WHO", "/Quit", "/names", "/nam",
	    "/tmp is full", "/x", "/Z", "/whoo"};

	for (size_t i = 0; i < LENGTH(texts); i++)
		assert_int_equal(read_line(texts[i], "\n").kind, UTTERANCE_HELP);
}

TEST(an_empty_line_means_nothing)
{
	assert_int_equal(read_line("", "\n").kind, UTTERANCE_NOTHING);
	assert_int_equal(read_line("", "\r\n").kind, UTTERANCE_NOTHING);
}

TEST(only_the_last_cr_is_part_of_the_end)
{
	expect("a\rb", UTTERANCE_TEXT, "a?b");
	assert_int_equal(read_line("\r", "\n").kind, UTTERANCE_NOTHING);
	assert_int_equal(read_line("\r", "\r\n").kind, UTTERANCE_TEXT);
	assert_int_equal(read_line("/who\r", "\n").kind, UTTERANCE_WHO);
	assert_int_equal(read_line("/who\r", "\r\n").kind, UTTERANCE_TEXT);
	expect("/name a\rb", UTTERANCE_NAME, "a?b");
}

TEST(the_first_line_of_a_browser_is_known)
{
	static const char *const yes[] = {"GET / HTTP/1.1\r\n", "POST /x HTTP/1.0\n", " HTTP/9.0\n",
	    "a b c HTTP/0.9\r\n", "\r HTTP/1.1\n"};
	static const char *const no[] = {"\n", "\r\n", "HTTP/1.1\n", "GET / HTTP/1.1 \n",
	    "GET / HTTP/1.1\r\r\n", "GET / HTTP/11\n", "GET / HTTP/1.\n", "GET / HTTP/a.1\n",
	    "GET / HTTP/1.a\n", "GET / http/1.1\n", "GET / HTTP/1.10\n", "GET /HTTP/1.1\n",
	    "/1.1\n", "P/1.1\n"};

	for (size_t i = 0; i < LENGTH(yes); i++)
		assert_true(grammar_is_web(yes[i], strlen(yes[i])));
	for (size_t i = 0; i < LENGTH(no); i++)
		assert_false(grammar_is_web(no[i], strlen(no[i])));
}

/* Any bytes: what is said lies in the line, holds no CR, and is never a command or empty. */
TEST(random_lines_mean_what_the_promise_says)
{
	static const char letters[] = "//\r\r whoname1\xff:*";

	random_start();
	for (int i = 0; i < 200000; i++) {
		char line[12];
		size_t len = 1 + random_below(sizeof(line) - 1);
		struct utterance said;

		for (size_t k = 0; k + 1 < len; k++)
			line[k] = letters[random_below(sizeof(letters) - 1)];
		line[len - 1] = '\n';
		said = grammar_read(line, len);
		assert_true(said.text >= line && said.text + said.len < line + len);
		assert_null(memchr(said.text, '\r', said.len));
		if (said.kind == UTTERANCE_NOTHING)
			assert_true(len == 1 || (len == 2 && line[0] == '\r'));
		if (said.kind == UTTERANCE_TEXT)
			assert_true(said.len > 0);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_line_that_is_no_command_is_text),
	    cmocka_unit_test(of_two_slashes_one_is_said),
	    cmocka_unit_test(commands_take_what_is_behind_the_blanks),
	    cmocka_unit_test(an_unknown_command_is_never_text),
	    cmocka_unit_test(an_empty_line_means_nothing),
	    cmocka_unit_test(only_the_last_cr_is_part_of_the_end),
	    cmocka_unit_test(the_first_line_of_a_browser_is_known),
	    cmocka_unit_test(random_lines_mean_what_the_promise_says),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
