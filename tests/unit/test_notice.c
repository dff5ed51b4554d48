#include "unit.h"

#include <stdio.h>
#include <string.h>

#include "chat/notice.h"

static struct notice notice;

static void
add_many(int count, const char *format)
{
	char name[32];

	for (int i = 0; i < count; i++) {
		snprintf(name, sizeof(name), format, i);
		notice_add(&notice, name);
	}
}

TEST(names_stand_in_one_line)
{
	notice_begin(&notice, "* came: ", ", ");
	notice_add(&notice, "alice");
	notice_add(&notice, "bob");
	notice_end(&notice);
	assert_string_equal(notice.text, "* came: alice, bob\n");
	assert_int_equal(notice.len, strlen(notice.text));
}

TEST(names_that_do_not_fit_are_counted)
{
	notice_begin(&notice, "* here: ", " ");
	add_many(500, "guest%d");
	assert_int_equal(notice.count + notice.more, 500);
	notice_more(&notice, 7);
	notice_end(&notice);
	assert_non_null(strstr(notice.text, " and "));
	assert_string_equal(notice.text + notice.len - 6, " more\n");
	assert_in_range(notice.len, NOTICE_MAX - 50, NOTICE_MAX);
}

/* The end is as long as it can be. */
TEST(the_longest_notice_has_its_limit)
{
	for (int first = 1; first <= NOTICE_NAME; first++) {
		notice_begin(&notice, "* left: ", ", ");
		notice_add(&notice, &"abcdefghijklmno"[NOTICE_NAME - first]);
		add_many(100, "abcdefghijklm%02d");
		notice_more(&notice, UINT32_MAX - notice.more);
		notice_end(&notice);
		assert_in_range(notice.len, 1, NOTICE_MAX);
		assert_int_equal(strlen(notice.text), notice.len);
	}
}

TEST(once_a_name_is_left_out_all_that_follow_are)
{
	notice_begin(&notice, "* here: ", " ");
	add_many(100, "abcdefghijklm%02d");
	assert_false(notice_has_room(&notice));
	assert_int_not_equal(notice.more, 0);
	notice_add(&notice, "b");
	assert_null(strstr(notice.text, " b"));
}

TEST(a_name_is_found_whole_and_in_any_case)
{
	notice_begin(&notice, "* left: ", ", ");
	notice_add(&notice, "alice");
	notice_add(&notice, "bob");
	assert_true(notice_names(&notice, "Alice"));
	assert_true(notice_names(&notice, "BOB"));
	assert_false(notice_names(&notice, "lice"));
	assert_false(notice_names(&notice, "alic"));
	assert_false(notice_names(&notice, "bo"));
	assert_false(notice_names(&notice, "left"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(names_stand_in_one_line),
	    cmocka_unit_test(names_that_do_not_fit_are_counted),
	    cmocka_unit_test(the_longest_notice_has_its_limit),
	    cmocka_unit_test(once_a_name_is_left_out_all_that_follow_are),
	    cmocka_unit_test(a_name_is_found_whole_and_in_any_case),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
