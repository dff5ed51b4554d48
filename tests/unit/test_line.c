#include "unit.h"

#include <errno.h>
#include <string.h>

#include "seam.h"
#include "wire/line.h"

/* Cutting */

struct cut_case {
	const char *data;
	size_t held, max, whole;
	bool too_long;
};

static void
check_cuts(const struct cut_case *cases, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		const struct cut_case *c = &cases[i];
		struct line_cut cut = line_cut(c->data, strlen(c->data), c->held, c->max);

		assert_int_equal(cut.whole, c->whole);
		assert_int_equal(cut.too_long, c->too_long);
	}
}

TEST(whole_lines_are_cut_off_and_the_piece_after_them_is_left)
{
	static const struct cut_case cases[] = {
	    {"\n", 0, 8, 1, false},
	    {"a", 0, 8, 0, false},
	    {"a\n", 0, 8, 2, false},
	    {"a\nb", 0, 8, 2, false},
	    {"a\nb\n", 0, 8, 4, false},
	    {"a\r\nb\r\nc", 0, 8, 6, false},
	    {"\n\n\n", 0, 8, 3, false},
	    {"end\n", 4, 8, 4, false},
	};

	check_cuts(cases, LENGTH(cases));
}

TEST(a_line_of_the_full_length_passes_and_one_byte_more_does_not)
{
	static const struct cut_case cases[] = {
	    {"1234567\n", 0, 8, 8, false},
	    {"12345678\n", 0, 8, 0, true},
	    {"123456\r\n", 0, 8, 8, false},
	    {"1234567\r\n", 0, 8, 0, true},
	    {"34567\n", 2, 8, 6, false},
	    {"345678\n", 2, 8, 0, true},
	    {"\n", 7, 8, 1, false},
	    {"8\n", 7, 8, 0, true},
	    {"1234567\n1234567\n", 0, 8, 16, false},
	    {"1234567\n12345678\n", 0, 8, 8, true},
	};

	check_cuts(cases, LENGTH(cases));
}

TEST(a_piece_is_too_long_as_soon_as_no_end_can_fit)
{
	static const struct cut_case cases[] = {
	    {"1234567", 0, 8, 0, false},
	    {"12345678", 0, 8, 0, true},
	    {"34567", 2, 8, 0, false},
	    {"345678", 2, 8, 0, true},
	    {"a\n1234567", 0, 8, 2, false},
	    {"a\n12345678", 0, 8, 2, true},
	};

	check_cuts(cases, LENGTH(cases));
}

/* A reload may lower the limit below what a client has already sent of its line. */
TEST(a_held_piece_longer_than_a_lowered_limit_is_too_long)
{
	static const struct cut_case cases[] = {
	    {"\n", 8, 8, 0, true},
	    {"x", 8, 8, 0, true},
	    {"\n", 100, 8, 0, true},
	};

	check_cuts(cases, LENGTH(cases));
}

/* The same, one byte at a time. */
static struct line_cut
naive_cut(const char *data, size_t len, size_t held, size_t max)
{
	struct line_cut cut = {0};
	size_t line = held;

	if (line >= max)
		cut.too_long = true;
	for (size_t i = 0; i < len && !cut.too_long; i++) {
		line++;
		if (data[i] == '\n') {
			cut.whole = i + 1;
			line = 0;
		} else if (line == max) {
			cut.too_long = true;
		}
	}
	return cut;
}

TEST(random_bytes_are_cut_as_by_a_reader_of_single_bytes)
{
	char data[200];

	random_start();
	for (int round = 0; round < 200000; round++) {
		size_t len = 1 + random_below(sizeof(data)), max = 2 + random_below(60);
		size_t held = random_below((uint32_t)max + 3);
		uint32_t often = 1 + random_below(50);
		struct line_cut want, cut;

		for (size_t i = 0; i < len; i++)
			data[i] = random_below(often) == 0 ? '\n' : 'x';
		want = naive_cut(data, len, held, max);
		cut = line_cut(data, len, held, max);
		assert_int_equal(cut.whole, want.whole);
		assert_int_equal(cut.too_long, want.too_long);
	}
}

TEST(lines_are_counted_by_their_ends)
{
	assert_int_equal(line_count("", 0), 0);
	assert_int_equal(line_count("a", 1), 0);
	assert_int_equal(line_count("a\n", 2), 1);
	assert_int_equal(line_count("\n\n\n", 3), 3);
	assert_int_equal(line_count("a\nb\nc", 5), 2);
	/* Not a byte past the end is looked at. */
	assert_int_equal(line_count("a\n\n\n", 2), 1);
}

/* A line that waits for its end */

TEST(a_reserved_line_takes_max_bytes_and_gathers_pieces_in_order)
{
	struct line line = {0};

	assert_int_equal(line_reserve(&line, 8), 0);
	assert_true(line.size >= 8);
	line_append(&line, "123", 3);
	line_append(&line, "", 0);
	line_append(&line, "45678", 5);
	assert_int_equal(line.len, 8);
	assert_memory_equal(line.data, "12345678", 8);
	line_free(&line);
	assert_null(line.data);
	assert_int_equal(line.len, 0);
	assert_int_equal(line.size, 0);
	line_free(&line);
}

TEST(growing_keeps_what_waits_and_a_smaller_limit_asks_for_nothing)
{
	struct line line = {0};

	assert_int_equal(line_reserve(&line, 4), 0);
	line_append(&line, "abcd", 4);
	assert_int_equal(line_reserve(&line, 4000), 0);
	assert_memory_equal(line.data, "abcd", 4);
	assert_int_equal(line.len, 4);
	seam_reset();
	assert_int_equal(line_reserve(&line, 4000), 0);
	assert_int_equal(line_reserve(&line, 2), 0);
	assert_int_equal(seam_calls(SEAM_MEMORY), 0);
	line_free(&line);
}

#define MIB ((size_t)1 << 20)

/* Four lines of so many bytes come and go. Returns how often memory went back meanwhile. */
static unsigned long
trims_of(size_t size)
{
	struct line lines[4] = {{0}};

	seam_reset();
	for (size_t i = 0; i < LENGTH(lines); i++) {
		assert_int_equal(line_reserve(&lines[i], size), 0);
		line_trim();
	}
	for (size_t i = 0; i < LENGTH(lines); i++) {
		line_free(&lines[i]);
		line_trim();
	}
	return seam_calls(SEAM_TRIM);
}

TEST(memory_goes_back_once_4_mib_of_lines_were_freed_and_not_before)
{
	assert_int_equal(trims_of(MIB - 1), 0);
	/* What was freed since the last time counts: no more than there was at once. */
	for (int i = 0; i < 10; i++)
		assert_int_equal(trims_of(MIB / 2), 0);
	assert_int_equal(trims_of(MIB), 1);
	assert_int_equal(trims_of(2 * MIB), 2);
	for (int i = 0; i < 10; i++)
		assert_int_equal(trims_of(MIB - 1), 0);
}

TEST(a_line_that_grows_counts_with_what_it_has)
{
	struct line line = {0};

	seam_reset();
	for (size_t size = 1; size < 4 * MIB; size *= 2)
		assert_int_equal(line_reserve(&line, size), 0);
	line_free(&line);
	line_trim();
	assert_int_equal(seam_calls(SEAM_TRIM), 0);
	assert_int_equal(line_reserve(&line, 4 * MIB), 0);
	line_trim();
	assert_int_equal(seam_calls(SEAM_TRIM), 0);
	line_free(&line);
	line_trim();
	line_trim();
	assert_int_equal(seam_calls(SEAM_TRIM), 1);
}

TEST(refused_memory_leaves_the_line_as_it_was)
{
	struct line line = {0};

	seam_fail(SEAM_MEMORY, 0, 1, ENOMEM);
	assert_int_equal(line_reserve(&line, 4), -1);
	assert_null(line.data);
	assert_int_equal(line_reserve(&line, 4), 0);
	line_append(&line, "abcd", 4);
	seam_fail(SEAM_MEMORY, 0, 1, ENOMEM);
	assert_int_equal(line_reserve(&line, 5), -1);
	assert_int_equal(line.size, 4);
	assert_memory_equal(line.data, "abcd", 4);
	line_free(&line);
}

/* Making lines harmless */

struct clean_case {
	const char *given, *wanted;
};

static void
check_clean(const struct clean_case *cases, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		size_t len = strlen(cases[i].given);
		char data[64];

		memcpy(data, cases[i].given, len + 1);
		line_sanitize(data, len);
		assert_string_equal(data, cases[i].wanted);
	}
}

TEST(valid_text_stays_as_it_is)
{
	static const char *const texts[] = {
	    "plain ASCII ~\n", "tab\tand\r\n", "gr\xc3\xbc\xc3\x9f\n",
	    "\xc2\xa0\n",                           /* U+00A0, the first after the C1 controls */
	    "\xdf\xbf\n",                           /* U+07FF, the last of two bytes */
	    "\xe0\xa0\x80\n",                       /* U+0800, the first of three */
	    "\xe2\x82\xac\n",                       /* the euro sign */
	    "\xed\x9f\xbf\n",                       /* U+D7FF, the last before the surrogates */
	    "\xee\x80\x80\n",                       /* U+E000, the first after them */
	    "\xef\xbf\xbf\n",                       /* U+FFFF, the last of three */
	    "\xf0\x90\x80\x80\n",                   /* U+10000, the first of four */
	    "\xf0\x9f\x98\x80\n",                   /* a face */
	    "\xf4\x8f\xbf\xbf\n",                   /* U+10FFFF, the last of all */
	    "e\xcc\x81 \xe4\xbd\xa0\xe5\xa5\xbd\n", /* a combining accent, Chinese */
	};

	for (size_t i = 0; i < LENGTH(texts); i++)
		check_clean(&(struct clean_case){texts[i], texts[i]}, 1);
}

TEST(control_characters_become_question_marks)
{
	static const struct clean_case cases[] = {
	    {"\x1b[2J\n", "?[2J\n"}, {"\a\b\v\f\n", "????\n"}, {"\x01\x1f\x7f\n", "???\n"},
	    {"\xc2\x80\n", "??\n"},       /* U+0080, the first C1 control */
	    {"\xc2\x9b[2J\n", "??[2J\n"}, /* CSI in one character */
	    {"\xc2\x9f\n", "??\n"},       /* U+009F, the last */
	};
	char nul[] = "a\0b\n";

	check_clean(cases, LENGTH(cases));
	line_sanitize(nul, 4);
	assert_memory_equal(nul, "a?b\n", 4);
}

TEST(what_makes_a_line_look_like_another_one_becomes_question_marks)
{
	static const struct clean_case cases[] = {
	    {"\xe2\x80\xa7\n", "\xe2\x80\xa7\n"}, /* U+2027, the last before them */
	    {"\xe2\x80\xa8\n", "???\n"},          /* U+2028, a line separator */
	    {"\xe2\x80\xa9\n", "???\n"},          /* U+2029, a paragraph separator */
	    {"\xe2\x80\xaa\n", "???\n"},          /* U+202A, the first embedding */
	    {"\xe2\x80\xae\n", "???\n"},          /* U+202E, the last override */
	    {"\xe2\x80\xaf\n", "\xe2\x80\xaf\n"}, /* U+202F */
	    {"\xe2\x81\xa5\n", "\xe2\x81\xa5\n"}, /* U+2065 */
	    {"\xe2\x81\xa6\n", "???\n"},          /* U+2066, the first isolate */
	    {"\xe2\x81\xa9\n", "???\n"},          /* U+2069, the end of isolates */
	    {"\xe2\x81\xaa\n", "\xe2\x81\xaa\n"}, /* U+206A */
	    {"\xe3\x80\xa8\n", "\xe3\x80\xa8\n"}, /* U+3028, which ends the same */
	    {"a\xe2\x80\xae"
	     "cb\n",
		"a???cb\n"},
	};

	check_clean(cases, LENGTH(cases));
}

TEST(every_byte_that_is_no_utf8_becomes_a_question_mark_of_its_own)
{
	static const struct clean_case cases[] = {
	    {"\x80\n", "?\n"},                /* a continuation alone */
	    {"\xbf\xbf\n", "??\n"},           /* two of them */
	    {"\xc0\xaf\n", "??\n"},           /* "/" in two bytes */
	    {"\xc1\xbf\n", "??\n"},           /* U+007F in two bytes */
	    {"\xe0\x80\xaf\n", "???\n"},      /* "/" in three */
	    {"\xe0\x9f\xbf\n", "???\n"},      /* U+07FF in three */
	    {"\xf0\x80\x80\xaf\n", "????\n"}, /* "/" in four */
	    {"\xf0\x8f\xbf\xbf\n", "????\n"}, /* U+FFFF in four */
	    {"\xed\xa0\x80\n", "???\n"},      /* U+D800, a surrogate */
	    {"\xed\xbf\xbf\n", "???\n"},      /* U+DFFF */
	    {"\xf4\x90\x80\x80\n", "????\n"}, /* U+110000 */
	    {"\xf5\x80\x80\x80\n", "????\n"}, /* beyond every code point */
	    {"\xf8\x88\x80\x80\x80\n", "?????\n"},
	    {"\xfe\xff\n", "??\n"},
	};

	check_clean(cases, LENGTH(cases));
}

TEST(a_character_cut_short_takes_nothing_after_it_along)
{
	static const struct clean_case cases[] = {
	    {"\xc3\n", "?\n"},
	    {"\xe2\x82\n", "??\n"},
	    {"\xf0\x9f\x98\n", "???\n"},
	    {"\xc3"
	     "A\n",
		"?A\n"},
	    {"\xe2\x82"
	     "A\n",
		"??A\n"},
	    {"\xf0\x9f\x98"
	     "A\n",
		"???A\n"},
	    {"\xc3\xc3\xbc\n", "?\xc3\xbc\n"},
	    {"\xe2\xe2\x82\xac\n", "?\xe2\x82\xac\n"},
	    {"\xf0\x9f\xf0\x9f\x98\x80\n", "??\xf0\x9f\x98\x80\n"},
	    {"\xe2\x82\x1b[A\n", "???[A\n"},
	    {"\xe2\x82", "??"},
	    {"\xf0", "?"},
	};

	check_clean(cases, LENGTH(cases));
}

/*
 * The code point of the character at p, written down from RFC 3629 by arithmetic instead of byte
 * ranges; -1 where there is none. size is its length.
 */
static long
decode(const unsigned char *p, size_t len, size_t *size)
{
	static const long smallest[] = {0, 0, 0x80, 0x800, 0x10000};
	long code;

	*size = p[0] < 0x80       ? 1
		: p[0] >> 5 == 6  ? 2
		: p[0] >> 4 == 14 ? 3
		: p[0] >> 3 == 30 ? 4
				  : 0;
	if (*size == 0 || *size > len)
		return -1;
	code = *size == 1 ? p[0] : p[0] & (0x7f >> *size);
	for (size_t i = 1; i < *size; i++) {
		if (p[i] >> 6 != 2)
			return -1;
		code = code << 6 | (p[i] & 0x3f);
	}
	if (code < smallest[*size] || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff))
		return -1;
	return code;
}

static void
naive_clean(unsigned char *p, size_t len)
{
	while (len > 0) {
		size_t size;
		long code = decode(p, len, &size);
		bool control = (code >= 0 && code < 0x20) || (code >= 0x7f && code < 0xa0);
		bool disguise =
		    (code >= 0x2028 && code <= 0x202e) || (code >= 0x2066 && code <= 0x2069);

		if (code < 0)
			size = 1;
		if (code < 0 || disguise ||
		    (control && code != '\t' && code != '\r' && code != '\n'))
			memset(p, '?', size);
		p += size;
		len -= size;
	}
}

static void
check_against_model(const unsigned char *bytes, size_t len)
{
	unsigned char got[16], want[16];

	memcpy(got, bytes, len);
	memcpy(want, bytes, len);
	line_sanitize((char *)got, len);
	naive_clean(want, len);
	assert_memory_equal(got, want, len);
}

TEST(all_two_bytes_and_all_threes_of_a_leading_byte_agree_with_the_rfc)
{
	for (unsigned first = 0; first < 256; first++)
		for (unsigned second = 0; second < 256; second++) {
			unsigned char bytes[] = {(unsigned char)first, (unsigned char)second, '\n'};

			check_against_model(bytes, sizeof(bytes));
		}
	for (unsigned first = 0xe0; first < 0xf0; first++)
		for (unsigned second = 0x7f; second < 0xc1; second++)
			for (unsigned third = 0; third < 256; third++) {
				unsigned char bytes[] = {(unsigned char)first,
				    (unsigned char)second, (unsigned char)third, '\n'};

				check_against_model(bytes, sizeof(bytes));
			}
}

TEST(random_bytes_near_the_edges_agree_with_the_rfc)
{
	static const unsigned char edges[] = {0x00, 0x09, 0x0a, 0x0d, 0x1b, 0x1f, 0x20, 0x7e, 0x7f,
	    0x80, 0x81, 0x8f, 0x90, 0x9f, 0xa0, 0xa5, 0xa6, 0xa7, 0xa8, 0xa9, 0xaa, 0xae, 0xaf,
	    0xbf, 0xc0, 0xc1, 0xc2, 0xdf, 0xe0, 0xe1, 0xe2, 0xec, 0xed, 0xee, 0xef, 0xf0, 0xf1,
	    0xf3, 0xf4, 0xf5, 0xff};

	random_start();
	for (int round = 0; round < 200000; round++) {
		unsigned char bytes[12];
		size_t len = 1 + random_below(sizeof(bytes));

		for (size_t i = 0; i < len; i++)
			bytes[i] = edges[random_below(LENGTH(edges))];
		check_against_model(bytes, len);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(whole_lines_are_cut_off_and_the_piece_after_them_is_left),
	    cmocka_unit_test(a_line_of_the_full_length_passes_and_one_byte_more_does_not),
	    cmocka_unit_test(a_piece_is_too_long_as_soon_as_no_end_can_fit),
	    cmocka_unit_test(a_held_piece_longer_than_a_lowered_limit_is_too_long),
	    cmocka_unit_test(random_bytes_are_cut_as_by_a_reader_of_single_bytes),
	    cmocka_unit_test(lines_are_counted_by_their_ends),
	    cmocka_unit_test(a_reserved_line_takes_max_bytes_and_gathers_pieces_in_order),
	    cmocka_unit_test(growing_keeps_what_waits_and_a_smaller_limit_asks_for_nothing),
	    cmocka_unit_test_teardown(
		memory_goes_back_once_4_mib_of_lines_were_freed_and_not_before, seam_teardown),
	    cmocka_unit_test_teardown(a_line_that_grows_counts_with_what_it_has, seam_teardown),
	    cmocka_unit_test_teardown(refused_memory_leaves_the_line_as_it_was, seam_teardown),
	    cmocka_unit_test(valid_text_stays_as_it_is),
	    cmocka_unit_test(control_characters_become_question_marks),
	    cmocka_unit_test(what_makes_a_line_look_like_another_one_becomes_question_marks),
	    cmocka_unit_test(every_byte_that_is_no_utf8_becomes_a_question_mark_of_its_own),
	    cmocka_unit_test(a_character_cut_short_takes_nothing_after_it_along),
	    cmocka_unit_test(all_two_bytes_and_all_threes_of_a_leading_byte_agree_with_the_rfc),
	    cmocka_unit_test(random_bytes_near_the_edges_agree_with_the_rfc),
	};

	return cmocka_run_group_tests_name("line", tests, NULL, NULL);
}
