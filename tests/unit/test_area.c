#include "unit.h"

#include <string.h>
#include <sys/mman.h>

#include "wire/area.h"

#define ORDER 20

static struct area area;
static char *memory;

static int
setup(void **state)
{
	(void)state;
	memory = mmap(NULL, 1 << ORDER, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	return memory == MAP_FAILED ? -1 : area_init(&area, memory, ORDER);
}

static int
teardown(void **state)
{
	(void)state;
	area_free(&area);
	return munmap(memory, 1 << ORDER);
}

static void
blocks_are_powers_of_two_and_aligned(void **state)
{
	uint64_t small = area_take(&area, 1), large = area_take(&area, 5000);

	(void)state;
	assert_int_equal(area_size(small), AREA_BLOCK);
	assert_int_equal(area_size(large), 8192);
	assert_int_equal(((char *)area_at(&area, large) - memory) % 8192, 0);
	assert_int_equal(area_place(&area, area_at(&area, large), 5000), large);
}

static void
all_of_it_can_be_taken_and_no_more(void **state)
{
	unsigned count = 0;

	(void)state;
	while (area_take(&area, AREA_BLOCK) != 0)
		count++;
	assert_int_equal(count, (1 << ORDER) / AREA_BLOCK);
}

static void
what_is_given_back_becomes_whole_again(void **state)
{
	uint64_t places[64];

	(void)state;
	for (int i = 0; i < 64; i++)
		places[i] = area_take(&area, 1000);
	assert_int_equal(area_take(&area, 1 << ORDER), 0);
	for (int i = 0; i < 64; i++)
		area_give(&area, places[(i * 7) % 64]);
	assert_int_equal(area_take(&area, 1 << ORDER), ORDER);
}

static void
a_block_is_claimed_once(void **state)
{
	uint64_t place = 65536 | 12;

	(void)state;
	assert_true(area_is_possible(&area, place));
	assert_true(area_claim(&area, place));
	assert_true(area_is_used(&area, place));
	assert_false(area_claim(&area, place));
	assert_false(area_claim(&area, 65536 | 10)); /* a part of it */
	assert_false(area_claim(&area, 65536 | 16)); /* what contains it */
	assert_true(area_claim(&area, (65536 + 4096) | 12));
}

static void
places_that_cannot_be_are_told_apart(void **state)
{
	(void)state;
	assert_false(area_is_possible(&area, 0));
	assert_false(area_is_possible(&area, 65536 | 7));
	assert_false(area_is_possible(&area, 65536 | (ORDER + 1)));
	assert_false(area_is_possible(&area, 4096 | 13));
	assert_false(area_is_possible(&area, (1 << ORDER) | 8));
	assert_true(area_is_possible(&area, ((1 << ORDER) - AREA_BLOCK) | AREA_SMALLEST));
	assert_true(area_is_possible(&area, ORDER));
}

static void
memory_goes_back_and_what_is_used_stays(void **state)
{
	struct area big;
	size_t size = 8 * AREA_TRIM;
	char *base = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	uint64_t first, second;

	(void)state;
	assert_int_equal(area_init(&big, base, 25), 0);
	first = area_take(&big, 2 * AREA_TRIM);
	second = area_take(&big, 1000);
	memset(area_at(&big, first), 1, 2 * AREA_TRIM);
	memset(area_at(&big, second), 2, 1000);
	area_give(&big, first);
	area_trim(&big);
	assert_int_equal(*(char *)area_at(&big, first), 0);
	assert_int_equal(*(char *)area_at(&big, second), 2);
	area_free(&big);
	munmap(base, size);
}

#define AREA_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    AREA_TEST(blocks_are_powers_of_two_and_aligned),
	    AREA_TEST(all_of_it_can_be_taken_and_no_more),
	    AREA_TEST(what_is_given_back_becomes_whole_again),
	    AREA_TEST(a_block_is_claimed_once),
	    AREA_TEST(places_that_cannot_be_are_told_apart),
	    AREA_TEST(memory_goes_back_and_what_is_used_stays),
	};

	return cmocka_run_group_tests_name("area", tests, NULL, NULL);
}
