#include "unit.h"

#include <string.h>

#include "cluster/outbox.h"
#include "seam.h"

static struct outbox outbox;

static int
setup(void **state)
{
	(void)state;
	seam_reset();
	return outbox_open(&outbox, NULL);
}

static int
teardown(void **state)
{
	outbox_close(&outbox);
	return seam_teardown(state);
}

/* A line of len bytes, its end included. Good until the next. */
static const char *
line_of(size_t len)
{
	static char line[2 * STREAM_DATA + 1];

	memset(line, 'l', len);
	line[len - 1] = '\n';
	return line;
}

static void
say(uint64_t owner, const char *lines)
{
	assert_true(outbox_reserve(&outbox, strlen(lines)));
	outbox_add(&outbox, owner, (int)owner, lines, strlen(lines));
}

/* The parts of an entry: "OWNER:LINES" one behind the other. */
static const char *
parts_of(uint64_t seq)
{
	static char text[4096];
	uint64_t place = outbox_begin(&outbox, seq);
	struct outbox_part part;
	size_t len = 0;

	while (place < outbox_end(&outbox, seq)) {
		uint64_t next = outbox_part(&outbox, place, &part);

		assert_int_equal(part.fd, part.owner);
		text[len++] = (char)('0' + part.owner);
		text[len++] = ':';
		outbox_copy(&outbox, place, 0, text + len, part.len);
		len += part.len;
		place = next;
	}
	text[len] = '\0';
	return text;
}

TEST(what_is_said_becomes_an_entry_with_its_owners)
{
	assert_false(outbox_has_open(&outbox));
	say(1, "one\n");
	say(2, "two\nthree\n");
	assert_true(outbox_has_open(&outbox));
	assert_int_equal(outbox_make(&outbox, STREAM_LINES), 1);
	assert_false(outbox_has_open(&outbox));
	assert_string_equal(parts_of(1), "1:one\n2:two\nthree\n");
	assert_int_equal(outbox_size(&outbox, 1), strlen("one\ntwo\nthree\n"));
	assert_int_equal(outbox_kind(&outbox, 1), STREAM_LINES);
}

TEST(an_entry_never_changes_once_made)
{
	say(1, "one\n");
	outbox_make(&outbox, STREAM_LINES);
	say(2, "two\n");
	assert_string_equal(parts_of(1), "1:one\n");
	assert_int_equal(outbox_make(&outbox, STREAM_LINES), 2);
	assert_string_equal(parts_of(2), "2:two\n");
}

TEST(a_hold_has_no_part_and_leaves_what_is_open)
{
	say(1, "one\n");
	assert_int_equal(outbox_make(&outbox, STREAM_HOLD), 1);
	assert_string_equal(parts_of(1), "");
	assert_int_equal(outbox_make(&outbox, STREAM_LINES), 2);
	assert_string_equal(parts_of(2), "1:one\n");
}

TEST(pending_is_what_has_not_come_back)
{
	assert_int_equal(outbox_pending(&outbox), 0);
	say(1, "one\n");
	assert_true(outbox_pending(&outbox) > 0);
	outbox_make(&outbox, STREAM_LINES);
	assert_true(outbox_pending(&outbox) > 0);
	outbox_confirm(&outbox, 1);
	assert_int_equal(outbox_pending(&outbox), 0);
	/* It is kept. */
	assert_int_equal(outbox.first, 1);
	assert_string_equal(parts_of(1), "1:one\n");
}

TEST(a_number_that_was_never_made_confirms_nothing_else)
{
	say(1, "one\n");
	outbox_make(&outbox, STREAM_LINES);
	outbox_confirm(&outbox, 99);
	assert_int_equal(outbox.confirmed, 1);
}

TEST(an_entry_has_so_many_bytes_at_most)
{
	outbox_add(&outbox, 1, 1, line_of(STREAM_DATA - 4), STREAM_DATA - 4);
	say(2, "two\n");
	say(3, "3\n");
	assert_int_equal(outbox_size(&outbox, outbox_make(&outbox, STREAM_LINES)), STREAM_DATA);
	assert_int_equal(outbox_make(&outbox, STREAM_LINES), 2);
	assert_string_equal(parts_of(2), "3:3\n");
}

/* A piece of the longest line, and what came with its end. */
TEST(a_part_that_is_larger_becomes_two)
{
	static char lines[STREAM_DATA + 8];

	memcpy(lines, line_of(STREAM_DATA), STREAM_DATA);
	memcpy(lines + STREAM_DATA, "more\n", 5);
	outbox_add(&outbox, 1, 1, lines, STREAM_DATA + 5);
	assert_int_equal(outbox_size(&outbox, outbox_make(&outbox, STREAM_LINES)), STREAM_DATA);
	assert_int_equal(outbox_make(&outbox, STREAM_LINES), 2);
	assert_string_equal(parts_of(2), "1:more\n");
}

TEST(a_mebibyte_of_what_came_back_is_kept)
{
	for (int i = 0; i < 64; i++) {
		outbox_add(&outbox, 1, 1, line_of(65536 - 16), 65536 - 16);
		outbox_confirm(&outbox, outbox_make(&outbox, STREAM_LINES));
		outbox_settle(&outbox);
	}
	/* Each takes 64 KiB with its head. */
	assert_int_equal(outbox.last - outbox.first + 1, OUTBOX_KEPT / 65536);
}

TEST(only_so_many_small_ones_are_kept)
{
	for (int i = 0; i < 3 * OUTBOX_ENTRIES; i++) {
		say((uint64_t)(i % 9), "x\n");
		outbox_confirm(&outbox, outbox_make(&outbox, STREAM_LINES));
		outbox_settle(&outbox);
	}
	assert_int_equal(outbox.last - outbox.first + 1, OUTBOX_ENTRIES / 2);
	assert_string_equal(parts_of(outbox.first), "4:x\n");
	assert_string_equal(parts_of(outbox.last), "2:x\n");
}

TEST(when_it_is_full_what_was_kept_goes_and_then_nothing_fits)
{
	size_t len = 65536 - 16, parts = 0;

	outbox_add(&outbox, 1, 1, line_of(len), len);
	outbox_confirm(&outbox, outbox_make(&outbox, STREAM_LINES));
	for (;;) {
		if (!outbox_reserve(&outbox, len)) {
			outbox_settle(&outbox);
			if (!outbox_reserve(&outbox, len))
				break;
		}
		outbox_add(&outbox, 1, 1, line_of(len), len);
		parts++;
	}
	assert_int_equal(outbox.first, 2);
	assert_true(parts >= OUTBOX_BYTES / 65536 - 1);
	/* What is there is still whole. */
	for (size_t left = parts; left > 0;) {
		uint64_t seq = outbox_make(&outbox, STREAM_LINES);

		assert_int_equal(outbox_size(&outbox, seq) % len, 0);
		left -= outbox_size(&outbox, seq) / len;
	}
	assert_false(outbox_has_open(&outbox));
	outbox_confirm(&outbox, outbox.last);
	/* Not before that is recorded. */
	assert_false(outbox_reserve(&outbox, len));
	outbox_settle(&outbox);
	assert_true(outbox_reserve(&outbox, len));
}

/* Round and round. */
TEST(parts_of_any_size_come_out_as_they_went_in)
{
	static char out[70000];

	random_start();
	for (int i = 0; i < 2000; i++) {
		size_t len = 1 + random_below(65536);
		const char *in = line_of(len);
		struct outbox_part part;
		uint64_t seq;

		assert_true(outbox_reserve(&outbox, len));
		outbox_add(&outbox, 7, 9, in, len);
		seq = outbox_make(&outbox, STREAM_LINES);
		assert_int_equal(outbox_part(&outbox, outbox_begin(&outbox, seq), &part),
		    outbox_end(&outbox, seq));
		assert_int_equal(part.len, len);
		outbox_copy(&outbox, outbox_begin(&outbox, seq), 0, out, len);
		assert_memory_equal(out, in, len);
		outbox_confirm(&outbox, seq);
		assert_true(outbox_is_sound(&outbox));
		outbox_settle(&outbox);
	}
}

TEST(what_does_not_fit_together_is_not_sound)
{
	char *memory = calloc(1, OUTBOX_MEMORY);
	struct outbox good, bad;

	outbox_close(&outbox);
	assert_int_equal(outbox_open(&outbox, memory), 0);
	say(1, "one\n");
	outbox_make(&outbox, STREAM_LINES);
	outbox_make(&outbox, STREAM_GO);
	say(2, "two\n");
	outbox_confirm(&outbox, 1);
	assert_true(outbox_is_sound(&outbox));
	good = outbox;
#define WRONG(change)                                \
	do {                                         \
		bad = good;                          \
		change;                              \
		assert_false(outbox_is_sound(&bad)); \
	} while (0)
	WRONG(bad.first = 0);
	WRONG(bad.first = 3);
	WRONG(bad.confirmed = 3);
	WRONG(bad.last = 3);
	WRONG(bad.last = UINT64_MAX);
	WRONG(bad.end++);
	WRONG(bad.end -= 16);
	WRONG(bad.end += OUTBOX_BYTES);
	outbox.bytes[16 + 3] = 'x'; /* its line has no end any more */
	WRONG(bad.owns = true);
	outbox.bytes[16 + 3] = '\n';
	outbox.entries[1].kind = STREAM_STRANGE;
	WRONG(bad.owns = true);
	outbox.entries[1].kind = STREAM_HOLD;
	WRONG(bad.owns = true);
	free(memory);
}

TEST(without_memory_there_is_none)
{
	struct outbox other;

	seam_fail(SEAM_MEMORY, 0, 1, 12);
	assert_int_equal(outbox_open(&other, NULL), -1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(
		what_is_said_becomes_an_entry_with_its_owners, setup, teardown),
	    cmocka_unit_test_setup_teardown(an_entry_never_changes_once_made, setup, teardown),
	    cmocka_unit_test_setup_teardown(
		a_hold_has_no_part_and_leaves_what_is_open, setup, teardown),
	    cmocka_unit_test_setup_teardown(pending_is_what_has_not_come_back, setup, teardown),
	    cmocka_unit_test_setup_teardown(
		a_number_that_was_never_made_confirms_nothing_else, setup, teardown),
	    cmocka_unit_test_setup_teardown(an_entry_has_so_many_bytes_at_most, setup, teardown),
	    cmocka_unit_test_setup_teardown(a_part_that_is_larger_becomes_two, setup, teardown),
	    cmocka_unit_test_setup_teardown(a_mebibyte_of_what_came_back_is_kept, setup, teardown),
	    cmocka_unit_test_setup_teardown(only_so_many_small_ones_are_kept, setup, teardown),
	    cmocka_unit_test_setup_teardown(
		when_it_is_full_what_was_kept_goes_and_then_nothing_fits, setup, teardown),
	    cmocka_unit_test_setup_teardown(
		parts_of_any_size_come_out_as_they_went_in, setup, teardown),
	    cmocka_unit_test_setup_teardown(
		what_does_not_fit_together_is_not_sound, setup, teardown),
	    cmocka_unit_test_setup_teardown(without_memory_there_is_none, setup, teardown),
	};

	return cmocka_run_group_tests_name("outbox", tests, NULL, NULL);
}
