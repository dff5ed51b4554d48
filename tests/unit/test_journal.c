#include "unit.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conf/config.h"
#include "wire/journal.h"

#define IS_WIDE (sizeof(void *) > 4)

static char error[JOURNAL_ERROR];
static const struct journal_need little = {.line = 4096, .queue = 1 << 20, .clients = 1000};

static int
setup(void **state)
{
	(void)state;
	return journal_create(&little, 8, error);
}

static int
teardown(void **state)
{
	(void)state;
	journal_close();
	return 0;
}

/* The process is gone; what is left is its file. */
static int
leave(void)
{
	int fd = dup(journal->fd);

	assert_true(fd >= 0);
	journal_close();
	return fd;
}

static uint64_t
size_of_area(void)
{
	return UINT64_C(1) << journal->area.order;
}

static void
expect_refused(int fd, const char *why)
{
	assert_int_equal(journal_adopt(fd, &little, error), -1);
	assert_null(journal);
	assert_string_equal(error, why);
}

static void
put_at(int fd, size_t at, const void *data, size_t len)
{
	assert_int_equal(pwrite(fd, data, len, (off_t)at), len);
}

/* Gives the form a right sum, so that something else has to find what is wrong. */
static void
sum_up(int fd)
{
	struct journal_form form;

	assert_int_equal(pread(fd, &form, sizeof(form), 0), sizeof(form));
	form.sum = journal_sum(&form, offsetof(struct journal_form, sum));
	put_at(fd, 0, &form, sizeof(form));
}

TEST(a_successor_finds_what_was_written)
{
	uint64_t place = area_take(&journal->area, 100);
	int fd;

	strcpy(area_at(&journal->area, place), "hello");
	journal->head->started = 5;
	fd = leave();
	assert_int_equal(journal_adopt(fd, &little, error), 0);
	assert_string_equal(area_at(&journal->area, place), "hello");
	assert_int_equal(journal->head->started, 5);
	assert_int_equal(journal->ring, 256);
	/* Blocks are free until they are claimed. */
	assert_false(area_is_used(&journal->area, place));
	assert_true(area_claim(&journal->area, place));
}

TEST(two_turns_are_sound_from_the_beginning)
{
	for (int i = 0; i < 2; i++) {
		const struct turn *turn = &journal->head->turns[i];

		assert_true(turn->sum == journal_sum(turn, offsetof(struct turn, sum)));
		assert_int_equal(turn->parts, 0);
	}
}

TEST(memory_is_used_only_for_what_was_written)
{
	struct stat st;

	journal->records[journal->descriptors - 1].lines = 1;
	assert_int_equal(fstat(journal->fd, &st), 0);
	assert_in_range(st.st_blocks * 512, 1, 1 << 20);
	assert_true((uint64_t)st.st_size == journal->size);
}

TEST(the_area_is_as_large_as_the_limits_need_and_a_successor_enlarges_it)
{
	struct journal_need much = little;
	uint64_t before = size_of_area();
	uint64_t place = area_take(&journal->area, 1 << 20);
	int fd;

	memset(area_at(&journal->area, place), 'x', 1 << 20);
	assert_true(journal_suffices(&little));
	/* As much as the whole area at most, and one byte more does not fit. */
	much = (struct journal_need){.queue = journal_queue() - 64};
	assert_true(journal_suffices(&much));
	much.queue = journal_queue() + 1;
	assert_false(journal_suffices(&much));
	fd = leave();
	assert_int_equal(journal_adopt(fd, &much, error), 0);
	assert_true(size_of_area() == 2 * before);
	assert_true(journal_suffices(&much));
	assert_true(journal_queue() >= much.queue);
	assert_int_equal(((char *)area_at(&journal->area, place))[(1 << 20) - 1], 'x');
	/* It never becomes smaller. */
	fd = leave();
	assert_int_equal(journal_adopt(fd, &little, error), 0);
	assert_true(size_of_area() == 2 * before);
}

TEST(each_limit_counts)
{
	const struct journal_need needs[] = {
	    {.queue = CONFIG_MAX_QUEUE},
	    {.history = CONFIG_MAX_QUEUE / CONFIG_HISTORY_SHARE},
	    {.line = CONFIG_MAX_LINE, .clients = 1000},
	    {.line = 1, .clients = CONFIG_MAX_CLIENTS},
	};

	for (size_t i = 0; i < LENGTH(needs); i++)
		assert_false(journal_suffices(&needs[i]));
}

TEST(the_largest_limits_are_laid_out_as_far_as_addresses_go)
{
	const struct journal_need all = {.line = CONFIG_MAX_LINE,
	    .queue = CONFIG_MAX_QUEUE,
	    .clients = CONFIG_MAX_CLIENTS,
	    .history = CONFIG_MAX_QUEUE / CONFIG_HISTORY_SHARE};

	journal_close();
	if (journal_create(&all, 0, error) < 0) {
		/* Addresses or memory may be limited here. */
		note("%s\n", error);
		assert_null(journal);
		return;
	}
	assert_int_equal(journal->area.order, IS_WIDE ? 38 : 29);
	assert_int_equal(journal->ring, IS_WIDE ? 1 << 20 : 1 << 17);
	assert_true(journal_suffices(&all));
}

TEST(with_32_bits_a_queue_has_64_mib_at_most)
{
	const struct journal_need most = {.queue = CONFIG_MAX_QUEUE};

	if (IS_WIDE) {
		assert_true(journal_queue_most() >= CONFIG_MAX_QUEUE);
		return;
	}
	assert_int_equal(journal_queue_most(), 64 << 20);
	journal_close();
	if (journal_create(&most, 0, error) == 0)
		assert_int_equal(journal_queue(), journal_queue_most());
}

TEST(what_is_no_journal_is_refused)
{
	int ends[2], fd = memfd_create("empty", MFD_CLOEXEC);
	char junk[65536];

	journal_close();
	assert_int_equal(pipe(ends), 0);
	memset(junk, 0xa5, sizeof(junk));
	expect_refused(fd, "it is no journal of chatd");
	put_at(fd, 0, "chatd\n\032", 8); /* and nothing behind it */
	expect_refused(fd, "it is no journal of chatd");
	put_at(fd, 0, junk, sizeof(junk));
	expect_refused(fd, "it is no journal of chatd");
	expect_refused(ends[0], "it is no journal of chatd");
	expect_refused(-1, "it is no journal of chatd");
	close(ends[0]);
	close(ends[1]);
	close(fd);
}

TEST(another_magic_is_none)
{
	int fd = leave();

	put_at(fd, 0, "C", 1);
	sum_up(fd);
	expect_refused(fd, "it is no journal of chatd");
	close(fd);
}

TEST(another_layout_is_that_of_another_version)
{
	static const char why[] = "it is the journal of another version of chatd";
	struct journal_form form;
	const struct {
		size_t at;
		uint32_t value;
	} changes[] = {
	    {offsetof(struct journal_form, version), 0},
	    {offsetof(struct journal_form, version), 2},
	    {offsetof(struct journal_form, descriptors), IS_WIDE ? 1 << 16 : 1 << 20},
	    {offsetof(struct journal_form, descriptors), 0},
	};
	int fd = leave();

	assert_int_equal(pread(fd, &form, sizeof(form), 0), sizeof(form));
	for (size_t i = 0; i < LENGTH(changes); i++) {
		put_at(fd, changes[i].at, &changes[i].value, 4);
		sum_up(fd);
		expect_refused(fd, why);
		put_at(fd, 0, &form, sizeof(form));
	}
	for (size_t i = 0; i < LENGTH(form.sizes); i++) {
		uint32_t size = form.sizes[i] + 8;

		put_at(fd, offsetof(struct journal_form, sizes) + 4 * i, &size, 4);
		sum_up(fd);
		expect_refused(fd, why);
		put_at(fd, 0, &form, sizeof(form));
	}
	assert_int_equal(journal_adopt(fd, &little, error), 0);
}

TEST(a_damaged_header_is_seen)
{
	static const char why[] = "its header is damaged";
	const uint32_t orders[] = {7, 25, 0, 64, UINT32_MAX};
	struct journal_form form;
	struct stat st;
	int fd = leave();
	uint32_t sum;

	assert_int_equal(pread(fd, &form, sizeof(form), 0), sizeof(form));
	assert_int_equal(fstat(fd, &st), 0);
	sum = form.sum ^ 1;
	put_at(fd, offsetof(struct journal_form, sum), &sum, 4);
	expect_refused(fd, why);
	put_at(fd, 0, &form, sizeof(form));
	for (size_t i = 0; i < LENGTH(orders); i++) {
		put_at(fd, offsetof(struct journal_form, index_order), &orders[i], 4);
		sum_up(fd);
		expect_refused(fd, why);
		put_at(fd, 0, &form, sizeof(form));
	}
	/* Of no size that a journal can have. */
	for (int i = 0; i < 4; i++) {
		const off_t sizes[] = {st.st_size - 1, st.st_size + 1, 65536, st.st_size / 2};

		assert_int_equal(ftruncate(fd, sizes[i]), 0);
		expect_refused(fd, why);
	}
	assert_int_equal(ftruncate(fd, st.st_size), 0);
	put_at(fd, 0, &form, sizeof(form));
	assert_int_equal(journal_adopt(fd, &little, error), 0);
}

TEST(the_smallest_and_the_largest_index_are_taken_over)
{
	const unsigned orders[] = {8, 24};

	for (size_t i = 0; i < LENGTH(orders); i++) {
		int fd;

		journal_close();
		if (journal_create(&little, orders[i], error) < 0) {
			note("%s\n", error);
			continue;
		}
		fd = leave();
		assert_int_equal(journal_adopt(fd, &little, error), 0);
		assert_int_equal(journal->ring, 1U << orders[i]);
	}
}

TEST(a_file_that_may_not_be_written_or_not_grow_is_refused)
{
	struct journal_need much = little;
	int fd = memfd_create("sealed", MFD_CLOEXEC | MFD_ALLOW_SEALING), other;
	char path[40];

	assert_int_equal(ftruncate(fd, (off_t)journal->size), 0);
	put_at(fd, 0, journal->head, sizeof(*journal->head));
	journal_close();
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	other = open(path, O_RDONLY | O_CLOEXEC);
	expect_refused(other, "memory for a journal: Invalid argument");
	close(other);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_GROW), 0);
	much.queue = CONFIG_MAX_QUEUE;
	assert_int_equal(journal_adopt(fd, &much, error), -1);
	assert_null(journal);
	assert_int_equal(journal_adopt(fd, &little, error), 0);
}

TEST(memory_of_the_journal_is_told_apart)
{
	char *data = journal_alloc(1000), other;

	assert_true(journal_owns(data));
	assert_true(journal_owns(journal->area.base));
	assert_false(journal_owns(journal->area.base - 1));
	assert_true(journal_owns(journal->base + journal->size - 1));
	assert_false(journal_owns(journal->base + journal->size));
	assert_false(journal_owns(&other));
	assert_false(journal_owns(NULL));
	journal_free(data, 1000);
	assert_ptr_equal(journal_alloc(1000), data);
	assert_null(journal_alloc((size_t)size_of_area()));
}

TEST(the_sum_depends_on_every_bit_and_the_length)
{
	char data[64] = {0};
	uint32_t sum = journal_sum(data, sizeof(data));

	for (size_t i = 0; i < 8 * sizeof(data); i++) {
		data[i / 8] ^= (char)(1 << i % 8);
		assert_int_not_equal(journal_sum(data, sizeof(data)), sum);
		data[i / 8] ^= (char)(1 << i % 8);
	}
	assert_int_not_equal(journal_sum(data, sizeof(data) - 4), sum);
	assert_int_equal(journal_sum(data, sizeof(data)), sum);
}

TEST(of_several_faults_the_first_is_told)
{
	assert_false(journal_fault("one"));
	assert_false(journal_fault("two"));
	assert_string_equal(journal->fault, "one");
}

#define JOURNAL_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    JOURNAL_TEST(a_successor_finds_what_was_written),
	    JOURNAL_TEST(two_turns_are_sound_from_the_beginning),
	    JOURNAL_TEST(memory_is_used_only_for_what_was_written),
	    JOURNAL_TEST(the_area_is_as_large_as_the_limits_need_and_a_successor_enlarges_it),
	    JOURNAL_TEST(each_limit_counts),
	    JOURNAL_TEST(the_largest_limits_are_laid_out_as_far_as_addresses_go),
	    JOURNAL_TEST(with_32_bits_a_queue_has_64_mib_at_most),
	    JOURNAL_TEST(what_is_no_journal_is_refused),
	    JOURNAL_TEST(another_magic_is_none),
	    JOURNAL_TEST(another_layout_is_that_of_another_version),
	    JOURNAL_TEST(a_damaged_header_is_seen),
	    JOURNAL_TEST(the_smallest_and_the_largest_index_are_taken_over),
	    JOURNAL_TEST(a_file_that_may_not_be_written_or_not_grow_is_refused),
	    JOURNAL_TEST(memory_of_the_journal_is_told_apart),
	    JOURNAL_TEST(the_sum_depends_on_every_bit_and_the_length),
	    JOURNAL_TEST(of_several_faults_the_first_is_told),
	};

	return cmocka_run_group_tests_name("journal", tests, NULL, NULL);
}
