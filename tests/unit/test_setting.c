#include "unit.h"

#include <string.h>

#include "conf/setting.h"
#include "faults.h"

/* A struct of the test's own, so that the room is shown apart from chatd's settings. */
static struct values {
	bool flag;
	uint32_t count, size;
	char texts[64];
	int n_texts;
} values;

static void
take_text(struct source *source, const config_setting_t *setting, const char *text)
{
	(void)source;
	(void)setting;
	strcat(strcat(values.texts, text), ";");
}

static void
read_texts(struct source *source, const config_setting_t *setting, const struct rule *rule)
{
	(void)rule;
	values.n_texts = setting_strings(source, setting, "texts", take_text);
}

static void
read_shown(struct source *source, const config_setting_t *setting, const struct rule *rule)
{
	char shown[SETTING_SHOWN];

	(void)rule;
	setting_fault(source, setting, "shows as %s", setting_show(setting, shown));
}

static const struct rule inner_rules[] = {
    {"size", setting_number, offsetof(struct values, size), 0, 4096, "bytes", NULL},
    {0},
};

static const struct rule rules[] = {
    {"flag", setting_bool, offsetof(struct values, flag), 0, 0, NULL, NULL},
    {"count", setting_number, offsetof(struct values, count), 3, 5, "apples", NULL},
    {"inner", setting_group, 0, 0, 0, NULL, inner_rules},
    {"texts", read_texts, 0, 0, 0, NULL, NULL},
    {"shown", read_shown, 0, 0, 0, NULL, NULL},
    {0},
};

/* Reads the text. Returns how many faults were counted. */
static unsigned
read_text(const char *text)
{
	struct source source = {.file = "FILE", .text = text, .tell = faults_take, .into = &values};

	values = (struct values){.count = 99, .size = 99};
	source_read(&source, rules);
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
	    cmocka_unit_test(strings_come_one_by_one_from_an_array_a_list_or_alone),
	    cmocka_unit_test(what_stands_there_is_shown_as_a_quoted_string_or_by_its_type),
	    cmocka_unit_test(a_long_text_is_shown_within_its_room),
	    cmocka_unit_test(a_fault_of_the_whole_file_has_no_line),
	};

	return cmocka_run_group_tests_name("setting", tests, NULL, NULL);
}
