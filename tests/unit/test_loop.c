#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/loop.h"
#include "base/signals.h"
#include "seam.h"

#define NOW   (1000 * CLOCK_SECOND)
#define PAIRS 4

/* Two classes, whose descriptors are the second ends of the pairs. */
static struct loop loop;
static struct loop_class one, two;
static int pairs[PAIRS][2];
static char served[256]; /* "1r0 " is pair 0 of class one, readable */
static int leaver;       /* leaves when anybody is served; -1: nobody */

static void
note_served(const char *what, int fd)
{
	for (int i = 0; i < PAIRS; i++)
		if (pairs[i][1] == fd)
			sprintf(strchr(served, '\0'), "%s%d ", what, i);
	if (leaver >= 0)
		loop_remove(&loop, leaver);
}

static void
on_readable(void *room, int fd)
{
	note_served(room == &one ? "1r" : "2r", fd);
}

static void
on_writable(void *room, int fd)
{
	note_served(room == &one ? "1w" : "2w", fd);
}

static int
setup(void **state)
{
	(void)state;
	seam_reset();
	seam_pass_at(NOW);
	leaver = -1;
	served[0] = '\0';
	loop_init(&loop);
	one = (struct loop_class){.readable = on_readable, .writable = on_writable, .room = &one};
	two = (struct loop_class){.readable = on_readable, .writable = on_writable, .room = &two};
	loop_register(&loop, &one);
	loop_register(&loop, &two);
	for (int i = 0; i < PAIRS; i++)
		make_pair(pairs[i]);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	seam_reset();
	loop_free(&loop);
	for (int i = 0; i < PAIRS; i++) {
		close(pairs[i][0]);
		close(pairs[i][1]);
	}
	return 0;
}

static void
join(struct loop_class *class, int fd)
{
	assert_int_equal(loop_reserve(&loop, class, fd), 0);
	loop_add(&loop, class, fd);
	fdset_add(&class->readers, fd);
}

/* Pairs 0 and 2 are of class one, 1 and 3 of class two. */
static void
join_all(void)
{
	for (int i = PAIRS - 1; i >= 0; i--)
		join(i % 2 == 0 ? &one : &two, pairs[i][1]);
}

static void
speak_all(void)
{
	for (int i = 0; i < PAIRS; i++)
		put_text(pairs[i][0], "x");
}

/* Looks, and serves what is ready. */
static const char *
pass(void)
{
	served[0] = '\0';
	assert_int_equal(loop_wait(&loop, 0), 0);
	loop_read(&loop);
	loop_write(&loop);
	return served;
}

/* Who is served */

TEST(those_who_are_ready_are_served_in_ascending_order_whatever_their_class)
{
	join_all();
	assert_string_equal(pass(), "");
	put_text(pairs[3][0], "x");
	put_text(pairs[1][0], "x");
	put_text(pairs[0][0], "x");
	assert_string_equal(pass(), "1r0 2r1 2r3 ");
	put_text(pairs[2][0], "x");
	assert_string_equal(pass(), "1r0 2r1 1r2 2r3 ");
}

TEST(all_that_is_readable_is_served_before_anything_that_is_writable)
{
	join_all();
	fdset_add(&one.writers, pairs[0][1]);
	fdset_add(&two.writers, pairs[3][1]);
	put_text(pairs[3][0], "x");
	assert_string_equal(pass(), "2r3 1w0 2w3 ");
	stuff(pairs[0][1]);
	assert_string_equal(pass(), "2r3 2w3 ");
}

TEST(a_class_knows_how_many_of_its_readers_are_ready)
{
	join_all();
	put_text(pairs[0][0], "x");
	put_text(pairs[2][0], "x");
	put_text(pairs[3][0], "x");
	/* Writers are not counted. */
	fdset_add(&two.writers, pairs[1][1]);
	pass();
	assert_int_equal(one.ready, 2);
	assert_int_equal(two.ready, 1);
	get_text(pairs[0][1], NULL);
	get_text(pairs[2][1], NULL);
	pass();
	assert_int_equal(one.ready, 0);
	assert_int_equal(two.ready, 1);
}

TEST(a_held_class_is_not_asked_about)
{
	join_all();
	speak_all();
	fdset_add(&one.writers, pairs[0][1]);
	fdset_add(&two.writers, pairs[1][1]);
	one.hold_readers = true;
	assert_string_equal(pass(), "2r1 2r3 1w0 2w1 ");
	assert_int_equal(one.ready, 0);
	two.hold_writers = true;
	assert_string_equal(pass(), "2r1 2r3 1w0 ");
	one.hold_readers = two.hold_writers = false;
	assert_string_equal(pass(), "1r0 2r1 1r2 2r3 1w0 2w1 ");
}

TEST(whoever_leaves_in_the_pass_is_not_served_any_more)
{
	join_all();
	speak_all();
	fdset_add(&one.writers, pairs[2][1]);
	leaver = pairs[2][1];
	assert_string_equal(pass(), "1r0 2r1 2r3 ");
	assert_false(fdset_has(&one.readers, leaver) || fdset_has(&one.writers, leaver));
	assert_string_equal(pass(), "1r0 2r1 2r3 ");
	/* Also the one that is being served. */
	leaver = pairs[1][1];
	assert_string_equal(pass(), "1r0 2r3 ");
	/* Leaving twice, or without having joined, is nothing. */
	loop_remove(&loop, pairs[1][1]);
	loop_remove(&loop, pairs[1][0]);
	loop_remove(&loop, 1000000);
}

TEST(whoever_is_taken_out_of_the_readers_in_the_pass_is_not_read)
{
	join_all();
	speak_all();
	assert_int_equal(loop_wait(&loop, 0), 0);
	fdset_remove(&one.readers, pairs[0][1]);
	fdset_clear(&two.readers);
	loop_read(&loop);
	assert_string_equal(served, "1r2 ");
}

TEST(whoever_joins_in_the_pass_is_served_in_the_next_one)
{
	speak_all();
	join(&one, pairs[0][1]);
	assert_int_equal(loop_wait(&loop, 0), 0);
	join(&two, pairs[3][1]);
	loop_read(&loop);
	assert_string_equal(served, "1r0 ");
	assert_string_equal(pass(), "1r0 2r3 ");
}

TEST(what_is_forgotten_is_not_served_and_select_says_it_again)
{
	join_all();
	speak_all();
	fdset_add(&one.writers, pairs[0][1]);
	assert_int_equal(loop_wait(&loop, 0), 0);
	loop_forget(&loop);
	assert_int_equal(one.ready + two.ready, 0);
	loop_read(&loop);
	loop_write(&loop);
	assert_string_equal(served, "");
	assert_string_equal(pass(), "1r0 2r1 1r2 2r3 1w0 ");
}

TEST(a_number_may_change_its_class)
{
	join_all();
	put_text(pairs[0][0], "x");
	loop_remove(&loop, pairs[0][1]);
	assert_string_equal(pass(), "");
	join(&two, pairs[0][1]);
	assert_string_equal(pass(), "2r0 ");
}

TEST(a_descriptor_beyond_1024_is_served_like_any_other)
{
	struct rlimit limit, more;
	int high;

	getrlimit(RLIMIT_NOFILE, &limit);
	more = limit;
	more.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &more);
	high = fcntl(pairs[3][1], F_DUPFD, 3000);
	if (high < 0) {
		note("not shown: this machine allows no descriptor of 3000\n");
	} else {
		close(pairs[3][1]);
		pairs[3][1] = high;
		join_all();
		speak_all();
		fdset_add(&two.writers, high);
		assert_string_equal(pass(), "1r0 2r1 1r2 2r3 2w3 ");
		leaver = high;
		assert_string_equal(pass(), "1r0 2r1 1r2 ");
	}
	setrlimit(RLIMIT_NOFILE, &limit);
}

TEST(refused_room_leaves_the_loop_as_it_was)
{
	int number = 200;

	join_all();
	speak_all();
	for (unsigned long i = 0; i < 5; i++, number *= 3) {
		seam_reset();
		seam_fail(SEAM_MEMORY, i, 1, ENOMEM);
		assert_int_equal(loop_reserve(&loop, &two, number), -1);
		assert_int_equal(seam_calls(SEAM_MEMORY), i + 1);
		assert_string_equal(pass(), "1r0 2r1 1r2 2r3 ");
		assert_int_equal(loop_reserve(&loop, &two, number), 0);
	}
}

/* The wait */

static int asked; /* highest number plus 1 */
static int64_t timeout_asked;
static int select_error;

static int
own_select(int count, fd_set *readable, fd_set *writable, const struct timespec *timeout)
{
	(void)readable;
	(void)writable;
	asked = count;
	timeout_asked = timeout == NULL ? -1 : timeout->tv_sec * 1000000000LL + timeout->tv_nsec;
	seam_set_time(NOW + 7);
	errno = select_error;
	return select_error != 0 ? -1 : 0;
}

static int64_t
timeout_of(int64_t until)
{
	seam_pass_at(NOW);
	seam_set_select(own_select);
	select_error = 0;
	assert_int_equal(loop_wait(&loop, until), 0);
	return timeout_asked;
}

TEST(it_waits_until_the_time_it_is_given_and_no_longer)
{
	assert_int_equal(timeout_of(NOW + 1), 1000);
	assert_int_equal(timeout_of(NOW + CLOCK_SECOND - 1), 999999000);
	assert_int_equal(timeout_of(NOW + 90 * CLOCK_SECOND + 500000), 90500000000LL);
	assert_int_equal(timeout_of(CLOCK_NEVER), -1);
	/* What is due already is not waited for. */
	assert_int_equal(timeout_of(NOW), 0);
	assert_int_equal(timeout_of(NOW - 1), 0);
	assert_int_equal(timeout_of(0), 0);
}

TEST(select_is_asked_up_to_the_highest_descriptor_and_no_further)
{
	timeout_of(0);
	assert_int_equal(asked, 0);
	join_all();
	timeout_of(0);
	assert_int_equal(asked, pairs[3][1] + 1);
	two.hold_readers = true;
	timeout_of(0);
	assert_int_equal(asked, pairs[2][1] + 1);
	fdset_add(&two.writers, pairs[3][1]);
	timeout_of(0);
	assert_int_equal(asked, pairs[3][1] + 1);
}

TEST(after_every_wait_it_is_later)
{
	timeout_of(CLOCK_NEVER);
	assert_int_equal(clock_now(), NOW + 7);
	seam_pass_at(NOW);
	select_error = EINTR;
	assert_int_equal(loop_wait(&loop, 0), 0);
	assert_int_equal(clock_now(), NOW + 7);
}

TEST(a_wait_that_brings_nothing_serves_nobody)
{
	static const int errors[] = {0, EINTR};

	join_all();
	speak_all();
	/* The sets still hold what was asked. */
	for (size_t i = 0; i < LENGTH(errors); i++) {
		seam_set_select(own_select);
		select_error = errors[i];
		assert_int_equal(loop_wait(&loop, 0), 0);
		loop_read(&loop);
		loop_write(&loop);
		assert_string_equal(served, "");
		assert_int_equal(one.ready + two.ready, 0);
	}
}

TEST(a_wait_that_fails_says_why_and_serves_nobody)
{
	static const int errors[] = {EBADF, EINVAL, ENOMEM};

	join_all();
	speak_all();
	for (size_t i = 0; i < LENGTH(errors); i++) {
		seam_set_select(own_select);
		select_error = errors[i];
		assert_int_equal(loop_wait(&loop, 0), -1);
		assert_int_equal(errno, errors[i]);
		loop_read(&loop);
		assert_string_equal(served, "");
	}
}

/* Signals */

TEST(a_signal_ends_the_wait)
{
	assert_int_equal(signals_open(&loop.waiting, true), 0);
	raise(SIGHUP);
	assert_false(signals_to_reload());
	assert_int_equal(loop_wait(&loop, CLOCK_NEVER), 0);
	assert_true(signals_to_reload());
}

TEST(a_signal_that_comes_with_a_ready_descriptor_is_taken_in_the_same_pass)
{
	assert_int_equal(signals_open(&loop.waiting, true), 0);
	join_all();
	speak_all();
	raise(SIGHUP);
	raise(SIGTERM);
	assert_int_equal(loop_wait(&loop, CLOCK_NEVER), 0);
	loop_read(&loop);
	/* The kernel may tell of the signals first; then the descriptors are ready all the same. */
	if (served[0] == '\0')
		pass();
	assert_true(signals_to_reload());
	assert_int_equal(signals_to_end(), 1);
	assert_string_equal(served, "1r0 2r1 1r2 2r3 ");
}

#define LOOP_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    LOOP_TEST(those_who_are_ready_are_served_in_ascending_order_whatever_their_class),
	    LOOP_TEST(all_that_is_readable_is_served_before_anything_that_is_writable),
	    LOOP_TEST(a_class_knows_how_many_of_its_readers_are_ready),
	    LOOP_TEST(a_held_class_is_not_asked_about),
	    LOOP_TEST(whoever_leaves_in_the_pass_is_not_served_any_more),
	    LOOP_TEST(whoever_is_taken_out_of_the_readers_in_the_pass_is_not_read),
	    LOOP_TEST(whoever_joins_in_the_pass_is_served_in_the_next_one),
	    LOOP_TEST(what_is_forgotten_is_not_served_and_select_says_it_again),
	    LOOP_TEST(a_number_may_change_its_class),
	    LOOP_TEST(a_descriptor_beyond_1024_is_served_like_any_other),
	    LOOP_TEST(refused_room_leaves_the_loop_as_it_was),
	    LOOP_TEST(it_waits_until_the_time_it_is_given_and_no_longer),
	    LOOP_TEST(select_is_asked_up_to_the_highest_descriptor_and_no_further),
	    LOOP_TEST(after_every_wait_it_is_later),
	    LOOP_TEST(a_wait_that_brings_nothing_serves_nobody),
	    LOOP_TEST(a_wait_that_fails_says_why_and_serves_nobody),
	    LOOP_TEST(a_signal_ends_the_wait),
	    LOOP_TEST(a_signal_that_comes_with_a_ready_descriptor_is_taken_in_the_same_pass),
	};

	return cmocka_run_group_tests_name("loop", tests, NULL, NULL);
}
