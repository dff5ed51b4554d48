#include "unit.h"

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

TEST(a_number_of_64_bits_is_what_it_says)
{
	assert_int_equal(quirks_number("a = 4294967294L; b = -2;", -2), -2);
	assert_int_equal(quirks_number("a = 4294967294; b = 1;", -2), 4294967294);
}

/* Where long has 32 bits libconfig takes the largest one for a number past it. */
TEST(a_number_past_the_largest_one_is_found_as_well)
{
	assert_int_equal(quirks_number("owner = 4294967296;", INT_MAX), 4294967296);
	assert_int_equal(quirks_number("owner = -4294967296;", INT_MIN), -4294967296);
	assert_int_equal(quirks_number("owner = 0x100000000;", -1), 4294967296);
	assert_int_equal(quirks_number("owner = 2147483647;", INT_MAX), INT_MAX);
	assert_int_equal(quirks_number("owner = 0x7FFFFFFF;", INT_MAX), INT_MAX);
	assert_int_equal(quirks_number("a = 4294967296; b = 5;", 5), 5);
	assert_int_equal(quirks_number("a = 4294967296; b = -1;", -1), -1);
}

static const struct {
	const char *text;
	int line;
	enum quirk quirk;
} finds[] = {
    {"", 0, 0},
    {"/* x */", 0, 0},
    {"/**/", 0, 0},
    {"a = \"/*\";\n", 0, 0},
    {"# /*\n// /*\n", 0, 0},
    {"*/ /", 0, 0},
    {"/* x", 1, QUIRK_COMMENT},
    {"/*", 1, QUIRK_COMMENT},
    {"/*/", 1, QUIRK_COMMENT},
    {"a = 1;\n/* x */\n  /* y *\n/", 3, QUIRK_COMMENT},
    {"a = \"two\nlines\";\n/*", 3, QUIRK_COMMENT},
    {"# @include \"part\"", 0, 0},
    {"// @include \"part\"\n", 0, 0},
    {"/* @include \"part\" */", 0, 0},
    {"a = \"@include \\\"part\\\"\";", 0, 0},
    {"@inclu", 0, 0},
    {"@ include \"part\"", 0, 0},
    {"@include \"part\"", 1, QUIRK_INCLUDE},
    {"@include part", 1, QUIRK_INCLUDE},
    {"@include", 1, QUIRK_INCLUDE},
    {"a = 1; @include \"part\"", 1, QUIRK_INCLUDE},
    {"port = 80;\n\n  @include \"a\"\n@include \"b\"\n", 3, QUIRK_INCLUDE},
    {"/*\n*/\n# x\n@include \"part\"", 4, QUIRK_INCLUDE},
    {"a = \"two\nlines\";\n@include \"part\"", 3, QUIRK_INCLUDE},
    {"@include \"a\"\n/*\n", 1, QUIRK_INCLUDE},
    {"\n/*\n@include \"b\"\n", 2, QUIRK_COMMENT},
};

TEST(a_comment_that_does_not_end_and_an_include_are_found_with_their_line)
{
	for (size_t i = 0; i < LENGTH(finds); i++) {
		enum quirk quirk;

		assert_int_equal(quirks_find(finds[i].text, &quirk), finds[i].line);
		if (finds[i].line > 0)
			assert_int_equal(quirk, finds[i].quirk);
	}
}

/* Whatever is cut off anywhere: not a byte past the end is looked at. */
TEST(random_texts_are_read_within_bounds)
{
	static const char *const pieces[] = {"\"", "\\", "/*", "*/", "/", "*", "#", "//", "\n",
	    "@include", "@include \"", " ", "4294976330", "-", "+", "0x", "1", "x"};

	random_start();
	for (int round = 0; round < 20000; round++) {
		char text[200] = "", *exact;
		enum quirk quirk;

		for (uint32_t i = random_below(12); i > 0; i--)
			strcat(text, pieces[random_below(LENGTH(pieces))]);
		/* A copy that ends where the text does, so that sanitizers see the end. */
		exact = strdup(text);
		quirks_number(exact, 9034);
		quirks_find(exact, &quirk);
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
	    cmocka_unit_test(a_number_of_64_bits_is_what_it_says),
	    cmocka_unit_test(a_number_past_the_largest_one_is_found_as_well),
	    cmocka_unit_test(a_comment_that_does_not_end_and_an_include_are_found_with_their_line),
	    cmocka_unit_test(random_texts_are_read_within_bounds),
	};

	return cmocka_run_group_tests_name("quirks", tests, NULL, NULL);
}
