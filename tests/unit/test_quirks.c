#include "unit.h"

#include <libconfig.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "conf/quirks.h"

/* 9034 and 2 to the 32nd: libconfig before 1.7 makes 9034 of it. */
#define LARGE "4294976330"

TEST(a_number_too_large_is_found_wherever_it_stands)
{
	static const char *const texts[] = {LARGE, "port = " LARGE ";", "port=" LARGE,
	    "port:" LARGE, "port =\n\n" LARGE ";", "/* port */ port = " LARGE ";",
	    "port = /* 9034 */ " LARGE ";", "port = # 9034\n" LARGE ";",
	    "port = // 9034\n" LARGE ";", "name = \"text\"; port = " LARGE ";",
	    "name = \"\"; port = " LARGE ";", "name = \"a \\\" b\"; port = " LARGE ";",
	    "name = \"a \\\\\"; port = " LARGE ";", "limits = { a = 1; b = " LARGE "; };",
	    "[ 1, " LARGE " ]", "0x10000234A", "0X10000234a", "+" LARGE, "0" LARGE};

	for (size_t i = 0; i < LENGTH(texts); i++)
		if (quirks_number(texts[i], 9034) != 4294976330)
			assert_string_equal(texts[i], "found");
	assert_int_equal(quirks_number("-4294958262", 9034), -4294958262);
}

TEST(a_number_that_is_as_it_is_written_stays)
{
	static const char *const texts[] = {"", "port = 9034;", "port = 9035;", "port = 0x234A;",
	    "port = 4294976331;", "port = 2147483647; a = -2147483648;", "port = -9034;"};

	for (size_t i = 0; i < LENGTH(texts); i++)
		assert_int_equal(quirks_number(texts[i], 9034), 9034);
}

TEST(numbers_in_strings_and_comments_are_none)
{
	static const char *const texts[] = {"# " LARGE, "# " LARGE "\n",
	    "// " LARGE "\nport = 9034;", "/* " LARGE " */ port = 9034;", "/*\n" LARGE "\n*/",
	    "/* * / " LARGE " */", "/**" LARGE "**/", "a = \"" LARGE "\";",
	    "a = \"\\\"" LARGE "\";", "a = \"\\\\\\\"" LARGE "\";",
	    "a = \"# no comment\"; /* " LARGE " */", "a = \"/* no comment\"; # " LARGE,
	    "# \" no string\n/* " LARGE " */", "/* \" no string */ # " LARGE};

	for (size_t i = 0; i < LENGTH(texts); i++)
		if (quirks_number(texts[i], 9034) != 9034)
			assert_string_equal(texts[i], "passed over");
}

/* What quirks_includes saw, as "1:name 2:name ". */
static char seen[1 << 14];

static void
see(void *context, int line, const char *name)
{
	size_t len = strlen(seen);

	assert_ptr_equal(context, seen);
	snprintf(seen + len, sizeof(seen) - len, "%d:%s ", line, name);
}

static int open_comment;

static const char *
includes(const char *text)
{
	seen[0] = '\0';
	open_comment = quirks_includes(text, see, seen);
	return seen;
}

TEST(each_file_to_be_included_is_seen_with_its_line)
{
	assert_string_equal(includes(""), "");
	assert_string_equal(includes("@include \"part\""), "1:part ");
	assert_string_equal(includes("@include\t \"part\"\n"), "1:part ");
	assert_string_equal(
	    includes("port = 80;\n\n  @include \"a\"\n@include \"b\"\n"), "3:a 4:b ");
	assert_string_equal(includes("/*\n*/\n# x\n@include \"part\""), "4:part ");
	assert_string_equal(includes("a = \"two\nlines\";\n@include \"part\""), "3:part ");
	assert_string_equal(
	    includes("@include \"with \\\"quotes\\\" and \\\\\""), "1:with \"quotes\" and \\ ");
	assert_string_equal(includes("@include \"\""), "1: ");
}

TEST(what_only_looks_like_an_include_is_not_seen)
{
	static const char *const texts[] = {"# @include \"part\"", "// @include \"part\"\n",
	    "/* @include \"part\" */", "a = \"@include \\\"part\\\"\";", "@include part",
	    "@include", "@inclu", "@ include \"part\""};

	for (size_t i = 0; i < LENGTH(texts); i++)
		assert_string_equal(includes(texts[i]), "");
}

TEST(a_comment_that_does_not_end_is_told_with_its_line)
{
	static const struct {
		const char *text;
		int line;
	} cases[] = {
	    {"", 0},
	    {"/* x */", 0},
	    {"/**/", 0},
	    {"/* x", 1},
	    {"/*", 1},
	    {"/*/", 1},
	    {"a = 1;\n/* x */\n  /* y *\n/", 3},
	    {"a = \"/*\";\n", 0},
	    {"# /*\n// /*\n", 0},
	    {"a = \"two\nlines\";\n/*", 3},
	    {"*/ /", 0},
	};

	for (size_t i = 0; i < LENGTH(cases); i++) {
		includes(cases[i].text);
		assert_int_equal(open_comment, cases[i].line);
	}
	assert_string_equal(includes("@include \"a\"\n/*\n@include \"b\"\n"), "1:a ");
	assert_int_equal(open_comment, 2);
}

TEST(a_name_of_any_length_is_kept_within_its_room)
{
	static char text[PATH_MAX + 100];

	for (size_t len = PATH_MAX - 3; len < PATH_MAX + 3; len++) {
		size_t kept = len < PATH_MAX - 1 ? len : PATH_MAX - 1;

		strcpy(text, "@include \"");
		memset(text + 10, 'x', len);
		strcpy(text + 10 + len, "\"\n");
		assert_int_equal(strlen(includes(text)), kept + strlen("1: "));
	}
}

TEST(an_absolute_include_is_a_quirk_of_old_versions_only)
{
	bool old = LIBCONFIG_VER_MAJOR == 1 && LIBCONFIG_VER_MINOR < 7;

	assert_int_equal(quirks_absolute("@include \"/etc/part\""), old);
	assert_false(quirks_absolute("@include \"part\""));
	assert_false(quirks_absolute(""));
}

/* Whatever is cut off anywhere: not a byte past the end is looked at. */
TEST(random_texts_are_read_within_bounds)
{
	static const char *const pieces[] = {"\"", "\\", "/*", "*/", "/", "*", "#", "//", "\n",
	    "@include", "@include \"", " ", "4294976330", "-", "+", "0x", "1", "x"};

	random_start();
	for (int round = 0; round < 20000; round++) {
		char text[200] = "", *exact;

		for (uint32_t i = random_below(12); i > 0; i--)
			strcat(text, pieces[random_below(LENGTH(pieces))]);
		/* A copy that ends where the text does, so that sanitizers see the end. */
		exact = strdup(text);
		quirks_number(exact, 9034);
		quirks_absolute(exact);
		includes(exact);
		free(exact);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_number_too_large_is_found_wherever_it_stands),
	    cmocka_unit_test(a_number_that_is_as_it_is_written_stays),
	    cmocka_unit_test(numbers_in_strings_and_comments_are_none),
	    cmocka_unit_test(each_file_to_be_included_is_seen_with_its_line),
	    cmocka_unit_test(what_only_looks_like_an_include_is_not_seen),
	    cmocka_unit_test(a_comment_that_does_not_end_is_told_with_its_line),
	    cmocka_unit_test(a_name_of_any_length_is_kept_within_its_room),
	    cmocka_unit_test(an_absolute_include_is_a_quirk_of_old_versions_only),
	    cmocka_unit_test(random_texts_are_read_within_bounds),
	};

	return cmocka_run_group_tests_name("quirks", tests, NULL, NULL);
}
