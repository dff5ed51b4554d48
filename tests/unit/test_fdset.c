#include "unit.h"

#include <bsd/stdlib.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/fdset.h"
#include "seam.h"

static const int edges[] = {0, 1, 62, 63, 64, 65, 127, 128, 1022, 1023, 1024, 1025, 4095, 4096};

static struct fdset
set_with_room(int fd)
{
	struct fdset set = FDSET_EMPTY;

	assert_int_equal(fdset_reserve(&set, fd), 0);
	return set;
}

TEST(an_empty_set_has_no_member_and_needs_no_room)
{
	struct fdset set = FDSET_EMPTY;

	assert_int_equal(set.last, -1);
	assert_false(fdset_has(&set, 0));
	assert_int_equal(fdset_next(&set, 0), -1);
	fdset_remove(&set, 0);
	fdset_clear(&set);
	FDSET_FOREACH(fd, &set)
		assert_int_equal(fd, -1);
	fdset_free(&set);
}

TEST(each_descriptor_at_the_edge_of_a_word_stands_alone)
{
	struct fdset set = set_with_room(4096);

	for (size_t i = 0; i < LENGTH(edges); i++) {
		int fd = edges[i];

		fdset_add(&set, fd);
		assert_true(fdset_has(&set, fd));
		assert_int_equal(set.last, fd);
		assert_int_equal(fdset_next(&set, 0), fd);
		assert_int_equal(fdset_next(&set, fd), fd);
		assert_int_equal(fdset_next(&set, fd + 1), -1);
		for (size_t k = 0; k < LENGTH(edges); k++)
			assert_int_equal(fdset_has(&set, edges[k]), k == i);
		fdset_remove(&set, fd);
		assert_false(fdset_has(&set, fd));
		assert_int_equal(set.last, -1);
	}
	fdset_free(&set);
}

TEST(the_last_member_is_found_again_when_the_highest_goes)
{
	struct fdset set = set_with_room(4096);

	for (size_t i = 0; i < LENGTH(edges); i++)
		fdset_add(&set, edges[i]);
	for (size_t i = LENGTH(edges); i-- > 0;) {
		assert_int_equal(set.last, edges[i]);
		fdset_remove(&set, edges[i]);
	}
	assert_int_equal(set.last, -1);
	fdset_free(&set);
}

TEST(a_set_that_grows_keeps_its_members_and_gains_none)
{
	struct fdset set = set_with_room(10);

	fdset_add(&set, 3);
	for (int fd = 11; fd < 70000; fd = fd * 3 / 2) {
		assert_int_equal(fdset_reserve(&set, fd), 0);
		assert_true(set.words * NFDBITS > (size_t)fd);
		assert_int_equal(set.last, 3);
		assert_int_equal(fdset_next(&set, 0), 3);
		/* Words past the last member are select's to read as well. */
		for (size_t i = 1; i < set.words; i++)
			assert_int_equal(set.bits[i], 0);
	}
	fdset_free(&set);
}

TEST(room_that_is_there_is_not_asked_for_again)
{
	struct fdset set = set_with_room(1023);

	seam_reset();
	assert_int_equal(fdset_reserve(&set, 0), 0);
	assert_int_equal(fdset_reserve(&set, 1023), 0);
	assert_int_equal(seam_calls(SEAM_MEMORY), 0);
	assert_int_equal(fdset_reserve(&set, 1024), 0);
	assert_int_equal(seam_calls(SEAM_MEMORY), 1);
	fdset_free(&set);
}

TEST(refused_growth_leaves_the_set_as_it_was)
{
	struct fdset set = set_with_room(63);
	unsigned long *bits = set.bits;
	size_t words = set.words;

	fdset_add(&set, 63);
	seam_fail(SEAM_MEMORY, 0, 1, ENOMEM);
	assert_int_equal(fdset_reserve(&set, 64), -1);
	assert_ptr_equal(set.bits, bits);
	assert_int_equal(set.words, words);
	assert_true(fdset_has(&set, 63));
	assert_int_equal(fdset_reserve(&set, 64), 0);
	assert_true(fdset_has(&set, 63));
	fdset_free(&set);
}

TEST(clearing_forgets_every_member_and_keeps_the_room)
{
	struct fdset set = set_with_room(4096);
	size_t words = set.words;

	for (size_t i = 0; i < LENGTH(edges); i++)
		fdset_add(&set, edges[i]);
	fdset_clear(&set);
	assert_int_equal(set.last, -1);
	assert_int_equal(set.words, words);
	for (size_t i = 0; i < words; i++)
		assert_int_equal(set.bits[i], 0);
	/* Also of descriptor 0 alone. */
	fdset_add(&set, 0);
	fdset_clear(&set);
	assert_int_equal(set.last, -1);
	assert_int_equal(set.bits[0], 0);
	fdset_free(&set);
}

TEST(joining_adds_the_members_of_a_shorter_and_of_a_longer_set)
{
	struct fdset a = set_with_room(2000), b = set_with_room(2000), none = FDSET_EMPTY;

	fdset_add(&a, 5);
	fdset_add(&a, 1500);
	fdset_add(&b, 64);
	fdset_join(&a, &b);
	assert_int_equal(a.last, 1500);
	assert_true(fdset_has(&a, 5) && fdset_has(&a, 64) && fdset_has(&a, 1500));
	fdset_join(&b, &a);
	assert_int_equal(b.last, 1500);
	assert_true(fdset_has(&b, 5) && fdset_has(&b, 64) && fdset_has(&b, 1500));
	fdset_join(&a, &none);
	assert_int_equal(a.last, 1500);
	fdset_free(&a);
	fdset_free(&b);
}

TEST(common_members_are_counted_in_sets_of_any_length)
{
	struct fdset a = set_with_room(4096), b = set_with_room(70), none = FDSET_EMPTY;

	assert_int_equal(fdset_common(&a, &b), 0);
	assert_int_equal(fdset_common(&a, &none), 0);
	assert_int_equal(fdset_common(&none, &none), 0);
	for (size_t i = 0; i < LENGTH(edges); i++)
		fdset_add(&a, edges[i]);
	assert_int_equal(fdset_common(&a, &a), LENGTH(edges));
	assert_int_equal(fdset_common(&a, &b), 0);
	fdset_add(&b, 0);
	fdset_add(&b, 2);
	fdset_add(&b, 63);
	fdset_add(&b, 64);
	fdset_add(&b, 66);
	assert_int_equal(fdset_common(&a, &b), 3);
	assert_int_equal(fdset_common(&b, &a), 3);
	assert_int_equal(fdset_common(&b, &none), 0);
	fdset_free(&a);
	fdset_free(&b);
}

TEST(a_visit_goes_upwards_and_may_remove_the_member_it_is_at)
{
	struct fdset set = set_with_room(4096);
	size_t seen = 0;

	for (size_t i = 0; i < LENGTH(edges); i++)
		fdset_add(&set, edges[LENGTH(edges) - 1 - i]);
	FDSET_FOREACH(fd, &set) {
		assert_int_equal(fd, edges[seen++]);
		fdset_remove(&set, fd);
	}
	assert_int_equal(seen, LENGTH(edges));
	assert_int_equal(set.last, -1);
	fdset_free(&set);
}

TEST(the_bits_lie_where_fd_isset_looks_for_them)
{
	struct fdset set = set_with_room(FD_SETSIZE - 1);

	for (int fd = 0; fd < FD_SETSIZE; fd++) {
		fdset_add(&set, fd);
		assert_true(FD_ISSET(fd, (fd_set *)set.bits));
		fdset_remove(&set, fd);
		assert_false(FD_ISSET(fd, (fd_set *)set.bits));
	}
	fdset_free(&set);
}

TEST(select_answers_for_a_descriptor_beyond_1024)
{
	struct fdset set = FDSET_EMPTY;
	struct timespec at_once = {0};
	struct rlimit limit, more;
	int pair[2], low, high;

	getrlimit(RLIMIT_NOFILE, &limit);
	more = limit;
	more.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &more);
	make_pair(pair);
	low = fcntl(pair[0], F_DUPFD, 2000);
	high = fcntl(pair[0], F_DUPFD, 2100);
	if (low < 0 || high < 0) {
		note("not shown: this machine allows no descriptor of 2100\n");
	} else {
		assert_int_equal(fdset_reserve(&set, high), 0);
		fdset_add(&set, high);
		assert_int_equal(
		    pselect(high + 1, (fd_set *)set.bits, NULL, NULL, &at_once, NULL), 0);
		assert_false(fdset_has(&set, high));
		put_text(pair[1], "x");
		fdset_clear(&set);
		fdset_add(&set, low);
		fdset_add(&set, high);
		assert_int_equal(
		    pselect(high + 1, (fd_set *)set.bits, NULL, NULL, &at_once, NULL), 2);
		assert_int_equal(fdset_next(&set, 0), low);
		assert_int_equal(fdset_next(&set, low + 1), high);
	}
	fdset_free(&set);
	close(low);
	close(high);
	close(pair[0]);
	close(pair[1]);
	setrlimit(RLIMIT_NOFILE, &limit);
}

#define MODEL 5000

static int
model_next(const bool *model, int fd)
{
	while (fd < MODEL && !model[fd])
		fd++;
	return fd < MODEL ? fd : -1;
}

TEST(random_changes_agree_with_a_plain_array)
{
	static bool model[MODEL];
	struct fdset set = FDSET_EMPTY, other = FDSET_EMPTY;

	random_start();
	assert_int_equal(fdset_reserve(&other, MODEL), 0);
	for (int step = 0; step < 50000; step++) {
		int fd = (int)random_below(MODEL), from = (int)random_below(MODEL),
		    last = MODEL - 1;

		switch (random_below(step < 25000 ? 3 : 5)) {
		case 0:
		case 1:
			assert_int_equal(fdset_reserve(&set, fd), 0);
			fdset_add(&set, fd);
			model[fd] = true;
			break;
		case 2:
			assert_int_equal(fdset_reserve(&set, MODEL), 0);
			fdset_add(&other, fd);
			fdset_join(&set, &other);
			fdset_clear(&other);
			model[fd] = true;
			break;
		default:
			fdset_remove(&set, fd);
			model[fd] = false;
		}
		while (last >= 0 && !model[last])
			last--;
		assert_int_equal(set.last, last);
		assert_int_equal(fdset_has(&set, from), model[from]);
		assert_int_equal(fdset_next(&set, from), model_next(model, from));
	}
	fdset_free(&set);
	fdset_free(&other);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(an_empty_set_has_no_member_and_needs_no_room),
	    cmocka_unit_test(each_descriptor_at_the_edge_of_a_word_stands_alone),
	    cmocka_unit_test(the_last_member_is_found_again_when_the_highest_goes),
	    cmocka_unit_test(a_set_that_grows_keeps_its_members_and_gains_none),
	    cmocka_unit_test(room_that_is_there_is_not_asked_for_again),
	    cmocka_unit_test_teardown(refused_growth_leaves_the_set_as_it_was, seam_teardown),
	    cmocka_unit_test(clearing_forgets_every_member_and_keeps_the_room),
	    cmocka_unit_test(joining_adds_the_members_of_a_shorter_and_of_a_longer_set),
	    cmocka_unit_test(common_members_are_counted_in_sets_of_any_length),
	    cmocka_unit_test(a_visit_goes_upwards_and_may_remove_the_member_it_is_at),
	    cmocka_unit_test(the_bits_lie_where_fd_isset_looks_for_them),
	    cmocka_unit_test(select_answers_for_a_descriptor_beyond_1024),
	    cmocka_unit_test(random_changes_agree_with_a_plain_array),
	};

	return cmocka_run_group_tests_name("fdset", tests, NULL, NULL);
}
