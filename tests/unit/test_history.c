#include "unit.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "chat/history.h"
#include "seam.h"

static struct history history;

static int
teardown(void **state)
{
	(void)state;
	seam_reset();
	history_free(&history);
	return 0;
}

static void
keep(const char *lines)
{
	history_keep(&history, lines, strlen(lines));
}

static void
expect(const char *want)
{
	char text[4096], full[4096];
	size_t len = history_show(&history, text);

	snprintf(full, sizeof(full), HISTORY_BEGIN "%s" HISTORY_END, want);
	assert_int_equal(len, want[0] != '\0' ? strlen(full) : 0);
	assert_memory_equal(text, full, len);
	assert_true(history.len <= history.max);
}

TEST(where_nothing_was_said_there_are_no_marks)
{
	expect("");
	keep("a\n");
	expect("");
	assert_int_equal(history_resize(&history, 10), 0);
	expect("");
}

TEST(lines_that_fit_exactly_stay)
{
	history_resize(&history, 6);
	keep("a\n");
	keep("bcd\n");
	expect("a\nbcd\n");
}

TEST(one_byte_more_costs_the_oldest_line)
{
	history_resize(&history, 6);
	keep("a\n");
	keep("bcde\n");
	expect("bcde\n");
	keep("\n");
	expect("bcde\n\n");
	keep("\n");
	expect("\n\n");
}

TEST(many_lines_at_once_are_cut_at_a_line)
{
	history_resize(&history, 6);
	keep("x\na\nbc\nd\n");
	expect("bc\nd\n");
	keep("12345\n");
	expect("12345\n");
}

TEST(a_line_that_does_not_fit_leaves_nothing_behind_it)
{
	history_resize(&history, 6);
	keep("a\n");
	keep("123456\n");
	expect("");
	keep("b\n");
	expect("b\n");
	keep("123456\nc\n");
	expect("c\n");
}

TEST(another_limit_keeps_the_newest_lines)
{
	history_resize(&history, 100);
	keep("a\nb\nc\n");
	assert_int_equal(history_resize(&history, 5), 0);
	expect("b\nc\n");
	assert_int_equal(history_resize(&history, 50), 0);
	expect("b\nc\n");
	assert_int_equal(history_resize(&history, 0), 0);
	assert_null(history.data);
	expect("");
}

TEST(without_memory_nothing_is_kept)
{
	seam_fail(SEAM_MEMORY, 0, 1, ENOMEM);
	assert_int_equal(history_resize(&history, 100), -1);
	keep("a\n");
	expect("");
	assert_int_equal(history_resize(&history, 100), 0);
	keep("a\n");
	expect("a\n");
}

/* Beside a slow model: all lines, and how many of the last fit. */
TEST(random_lines_are_as_the_model_says)
{
	static char all[1 << 20];

	random_start();
	for (size_t max = 1; max < 40; max++) {
		size_t len = 0;

		history_resize(&history, 0);
		history_resize(&history, max);
		for (int i = 0; i < 300; i++) {
			size_t before = len, from;

			for (uint32_t lines = 1 + random_below(4); lines > 0; lines--) {
				for (uint32_t n = random_below(20); n > 0; n--)
					all[len++] = (char)('a' + random_below(26));
				all[len++] = '\n';
			}
			history_keep(&history, all + before, len - before);
			for (from = len > max ? len - max : 0; from > 0 && from < len; from++)
				if (all[from - 1] == '\n')
					break;
			assert_int_equal(history.len, len - from);
			assert_memory_equal(history.data + history.start, all + from, history.len);
		}
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_teardown(where_nothing_was_said_there_are_no_marks, teardown),
	    cmocka_unit_test_teardown(lines_that_fit_exactly_stay, teardown),
	    cmocka_unit_test_teardown(one_byte_more_costs_the_oldest_line, teardown),
	    cmocka_unit_test_teardown(many_lines_at_once_are_cut_at_a_line, teardown),
	    cmocka_unit_test_teardown(a_line_that_does_not_fit_leaves_nothing_behind_it, teardown),
	    cmocka_unit_test_teardown(another_limit_keeps_the_newest_lines, teardown),
	    cmocka_unit_test_teardown(without_memory_nothing_is_kept, teardown),
	    cmocka_unit_test_teardown(random_lines_are_as_the_model_says, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
