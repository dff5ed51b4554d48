#include "unit.h"

#include <stdio.h>
#include <string.h>

#include "conf/setting.h"
#include "faults.h"

/* A struct of the test's own, so that the room is shown apart from chatd's settings. */
static struct values {
	bool flag;
	uint32_t count, size, time;
	char texts[64];
	int n_texts;
} values;

static void
take_text(struct source *source, const config_setting_t *setting, const struct rule *rule,
    const char *text)
{
	(void)source;
	(void)setting;
	assert_string_equal(rule->name, "texts");
	strcat(strcat(values.texts, text), ";");
}

static void
read_texts(struct source *source, const config_setting_t *setting, const struct rule *rule)
{
	values.n_texts = setting_strings(source, setting, rule, "texts", take_text);
}

static void
read_shown(struct source *source, const config_setting_t *setting, const struct rule *rule)
{
	char shown[SETTING_SHOWN];

	(void)rule;
	setting_fault(source, setting, "shows as %s", setting_show(setting, shown));
}

static void
read_warned(struct source *source, const config_setting_t *setting, const struct rule *rule)
{
	(void)rule;
	setting_warn(source, setting, "is %s", "odd");
}

static const struct rule inner_rules[] = {
    {"size", setting_number, offsetof(struct values, size), 0, 4096, "bytes", NULL},
    {"time", setting_number, offsetof(struct values, time), 1, 86400, "seconds", NULL},
    {0},
};

static const struct rule rules[] = {
    {"flag", setting_bool, offsetof(struct values, flag), 0, 0, NULL, NULL},
    {"count", setting_number, offsetof(struct values, count), 3, 5, "apples", NULL},
    {"inner", setting_group, 0, 0, 0, NULL, inner_rules},
    {"texts", read_texts, 0, 0, 0, NULL, NULL},
    {"shown", read_shown, 0, 0, 0, NULL, NULL},
    {"warned", read_warned, 0, 0, 0, NULL, NULL},
    {0},
};

/* Reads the text. Returns how many faults were counted. */
static unsigned
read_text(const char *text)
{
	struct source source = {
	    .file = "FILE", .text = text, .tell = faults_take, .main = "MAIN", .into = &values};

	values = (struct values){.count = 99, .size = 99, .time = 99};
	setting_read_all(&source, rules);
	return source.faults;
}

TEST(values_go_where_the_rules_say_and_nothing_else_changes)
{
	assert_int_equal(read_text("flag = true;"), 0);
	assert_true(values.flag);
	assert_int_equal(values.count, 99);
	assert_int_equal(values.size, 99);
	assert_int_equal(read_text("count = 3; inner = { size = \"1K\"; };"), 0);
	assert_false(values.flag);
	assert_int_equal(values.count, 3);
	assert_int_equal(values.size, 1024);
	assert_int_equal(read_text(""), 0);
	assert_string_equal(faults_taken(), "");
}

TEST(a_fault_leaves_its_field_alone_is_counted_and_reading_goes_on)
{
	assert_int_equal(read_text("count = 6;\nflag = 1;\ninner = { size = 5000; };\n"
				   "texts = [ \"still\", \"read\" ];\n"),
	    3);
	assert_int_equal(values.count, 99);
	assert_int_equal(values.size, 99);
	assert_string_equal(values.texts, "still;read;");
	assert_string_equal(faults_taken(),
	    "FILE:1: count: 6 is out of range, allowed is 3 to 5 apples\n"
	    "FILE:2: flag: is a whole number, allowed are true and false\n"
	    "FILE:3: inner.size: 5000 is out of range, allowed is 0 to 4096 bytes\n");
}

/* The text is refused with just this fault. */
static void
expect_fault(const char *text, const char *want)
{
	assert_int_equal(read_text(text), 1);
	assert_string_equal(faults_taken(), want);
}

TEST(a_time_may_bear_a_unit)
{
	static const struct {
		const char *text;
		uint32_t want;
	} cases[] = {{"30", 30}, {"\"30\"", 30}, {"\"30s\"", 30}, {"\"5m\"", 300}, {"\"2h\"", 7200},
	    {"\"24h\"", 86400}, {"\"1440m\"", 86400}};
	static const char *const bad[] = {
	    "", "s", "m5", "5M", "5d", "5 m", "5ms", "1h30m", "-5s", "05m", "1.5h", "0x5s"};
	char text[64], want[256];

	for (size_t i = 0; i < LENGTH(cases); i++) {
		snprintf(text, sizeof(text), "inner = { time = %s; };", cases[i].text);
		assert_int_equal(read_text(text), 0);
		assert_int_equal(values.time, cases[i].want);
	}
	for (size_t i = 0; i < LENGTH(bad); i++) {
		snprintf(text, sizeof(text), "inner = { time = \"%s\"; };", bad[i]);
		snprintf(want, sizeof(want),
		    "FILE:1: inner.time: \"%s\" is no time, allowed is a number from 1 to 86400 "
		    "or a string such as \"30s\", \"5m\" or \"2h\"\n",
		    bad[i]);
		expect_fault(text, want);
	}
	expect_fault("inner = { time = \"1441m\"; };",
	    "FILE:1: inner.time: 86460 is out of range, allowed is 1 to 86400 seconds\n");
	expect_fault("inner = { time = \"0s\"; };",
	    "FILE:1: inner.time: 0 is out of range, allowed is 1 to 86400 seconds\n");
	/* Too large for any number. */
	expect_fault("inner = { time = \"9999999999999999999h\"; };",
	    "FILE:1: inner.time: 9223372036854775807 is out of range, allowed is 1 to 86400 "
	    "seconds\n");
}

TEST(a_setting_that_is_there_twice_is_named_with_both_lines)
{
	expect_fault("count = 3;\n\ncount = 4;", "FILE:3: count: is there already, in line 1\n");
	expect_fault("count = 3; count = 4;", "FILE:1: count: is there already, in line 1\n");
	expect_fault("count = 3;\ninner = {\n size = 1;\n  size : 2;\n};",
	    "FILE:4: inner.size: is there already, in line 3\n");
	expect_fault("inner = { size = 1; };\ncount = 3;\ninner = { time = 2; };",
	    "FILE:3: inner: is there already, in line 1\n");
	expect_fault("discount = 1;\ncount = 3;\n  count=4;",
	    "FILE:3: count: is there already, in line 2\n");
	/* Where the line does not say it: past what is looked at, or torn. */
	expect_fault("count = 3;\ncount\n= 4;", "FILE:2: a setting that is there already\n");
}

TEST(a_word_that_is_no_value_is_named_with_those_that_are)
{
	static const char *const words[] = {
	    "on", "yes", "off", "no", "enabled", "localhost", "truely"};
	char text[64], want[256];

	for (size_t i = 0; i < LENGTH(words); i++) {
		snprintf(text, sizeof(text), "count = 3;\nflag = %s;\n", words[i]);
		snprintf(want, sizeof(want),
		    "FILE:2: flag: %s is no value, allowed are true, false, a number, and text in "
		    "\"double quotes\"\n",
		    words[i]);
		expect_fault(text, want);
	}
	expect_fault("inner = { size = much }",
	    "FILE:1: inner.size: much is no value, allowed are true, false, a number, and text in "
	    "\"double quotes\"\n");
	/* All that libconfig takes for a truth value. */
	assert_int_equal(read_text("flag = TRUE;"), 0);
	assert_true(values.flag);
	/* Other faults are left to themselves. */
	expect_fault(
	    "count = = 3;", "FILE:1: syntax error here or before, allowed is name = value;\n");
	expect_fault(
	    "count on;", "FILE:1: syntax error here or before, allowed is name = value;\n");
	expect_fault(
	    "count = 3x;", "FILE:1: syntax error here or before, allowed is name = value;\n");
}

TEST(a_very_long_line_with_a_fault_of_syntax_is_told_as_well)
{
	static char text[100000];

	memset(text, ' ', sizeof(text) - 1);
	memcpy(text, "flag = true;", 12);
	memcpy(text + sizeof(text) - 20, "flag = on;", 10);
	expect_fault(text, "FILE:1: a setting that is there already\n");
	memcpy(text, "           =", 12);
	expect_fault(text, "FILE:1: syntax error here or before, allowed is name = value;\n");
}

TEST(an_include_is_refused_and_the_folder_is_named)
{
	expect_fault("count = 3;\n@include \"more\"\n",
	    "FILE:2: @include is not read; more settings go into the folder MAIN.d, in files named "
	    "*.conf\n");
}

TEST(a_byte_order_mark_is_passed_over_at_the_start_alone)
{
	assert_int_equal(read_text("\xef\xbb\xbf"
				   "count = 4;"),
	    0);
	assert_int_equal(values.count, 4);
	expect_fault("count = 4;\n\xef\xbb\xbf",
	    "FILE:2: syntax error here or before, allowed is name = value;\n");
}

TEST(a_warning_is_told_and_not_counted)
{
	assert_int_equal(read_text("inner = {\n};\nwarned = 1;"), 0);
	assert_string_equal(faults_taken(), "FILE:3: warned: warning: is odd\n");
}

TEST(strings_come_one_by_one_from_an_array_a_list_or_alone)
{
	assert_int_equal(read_text("texts = [ \"a\", \"b\" ];"), 0);
	assert_int_equal(values.n_texts, 2);
	assert_string_equal(values.texts, "a;b;");
	assert_int_equal(read_text("texts = ( \"a\" );"), 0);
	assert_int_equal(values.n_texts, 1);
	assert_int_equal(read_text("texts = \"a\";"), 0);
	assert_int_equal(values.n_texts, 1);
	assert_int_equal(read_text("texts = [ ];"), 0);
	assert_int_equal(values.n_texts, 0);
	assert_int_equal(read_text("texts = ( \"a\", 1, \"b\" );"), 1);
	assert_int_equal(values.n_texts, 3);
	assert_string_equal(values.texts, "a;b;");
	assert_string_equal(
	    faults_taken(), "FILE:1: texts: is a whole number, allowed are texts\n");
}

TEST(what_stands_there_is_shown_as_a_quoted_string_or_by_its_type)
{
	static const char *const cases[][2] = {
	    {"shown = \"text\";", "\"text\""},
	    {"shown = \"\";", "\"\""},
	    {"shown = 1;", "a whole number"},
	    {"shown = 1L;", "a whole number"},
	    {"shown = 1.5;", "a number with a fraction"},
	    {"shown = true;", "a truth value"},
	    {"shown = [ 1 ];", "a list"},
	    {"shown = ( );", "a list"},
	    {"shown = { };", "a group"},
	};

	for (size_t i = 0; i < LENGTH(cases); i++) {
		char want[64] = "FILE:1: shown: shows as ";

		assert_int_equal(read_text(cases[i][0]), 1);
		assert_string_equal(faults_taken(), strcat(strcat(want, cases[i][1]), "\n"));
	}
}

TEST(a_long_text_is_shown_within_its_room)
{
	char text[400] = "shown = \"";
	const char *faults;

	memset(text + strlen(text), 'x', 300);
	strcpy(text + 309, "\";");
	assert_int_equal(read_text(text), 1);
	faults = faults_taken();
	assert_true(strlen(faults) <= strlen("FILE:1: shown: shows as \n") + SETTING_SHOWN - 1);
}

TEST(a_fault_of_the_whole_file_has_no_line)
{
	struct source source = {.file = "FILE", .tell = faults_take};

	source_fault(&source, 0, "is %s", "odd");
	source_fault(&source, 7, "is odd");
	assert_int_equal(source.faults, 2);
	assert_string_equal(faults_taken(), "FILE: is odd\nFILE:7: is odd\n");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(values_go_where_the_rules_say_and_nothing_else_changes),
	    cmocka_unit_test(a_fault_leaves_its_field_alone_is_counted_and_reading_goes_on),
	    cmocka_unit_test(a_time_may_bear_a_unit),
	    cmocka_unit_test(a_setting_that_is_there_twice_is_named_with_both_lines),
	    cmocka_unit_test(a_word_that_is_no_value_is_named_with_those_that_are),
	    cmocka_unit_test(a_very_long_line_with_a_fault_of_syntax_is_told_as_well),
	    cmocka_unit_test(an_include_is_refused_and_the_folder_is_named),
	    cmocka_unit_test(a_byte_order_mark_is_passed_over_at_the_start_alone),
	    cmocka_unit_test(a_warning_is_told_and_not_counted),
	    cmocka_unit_test(strings_come_one_by_one_from_an_array_a_list_or_alone),
	    cmocka_unit_test(what_stands_there_is_shown_as_a_quoted_string_or_by_its_type),
	    cmocka_unit_test(a_long_text_is_shown_within_its_room),
	    cmocka_unit_test(a_fault_of_the_whole_file_has_no_line),
	};

	return cmocka_run_group_tests_name("setting", tests, NULL, NULL);
}
