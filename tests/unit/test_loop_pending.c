/* Readers that are pending: bytes wait for them that select does not see. */
#include "unit.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/loop.h"
#include "base/signals.h"
#include "seam.h"

#define NOW   (1000 * CLOCK_SECOND)
#define PAIRS 3

static struct loop loop;
static struct loop_class class;
static int pairs[PAIRS][2];
static char served[256];

static void
on_readable(void *room, int fd)
{
	(void)room;
	for (int i = 0; i < PAIRS; i++)
		if (pairs[i][1] == fd)
			sprintf(strchr(served, '\0'), "%d ", i);
}

static int
setup(void **state)
{
	(void)state;
	seam_reset();
	seam_pass_at(NOW);
	loop_init(&loop);
	class = (struct loop_class){.readable = on_readable};
	loop_register(&loop, &class);
	for (int i = 0; i < PAIRS; i++) {
		make_pair(pairs[i]);
		assert_int_equal(loop_reserve(&loop, &class, pairs[i][1]), 0);
		loop_add(&loop, &class, pairs[i][1]);
		fdset_add(&class.readers, pairs[i][1]);
	}
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

/* Waits at most until the time, serves who is ready. */
static const char *
pass(int64_t until)
{
	served[0] = '\0';
	assert_int_equal(loop_wait(&loop, until), 0);
	loop_read(&loop);
	return served;
}

static void
hide(int i)
{
	fdset_add(&class.pending, pairs[i][1]);
}

TEST(who_is_pending_is_served_without_a_wait)
{
	hide(1);
	assert_string_equal(pass(CLOCK_NEVER), "1 ");
	assert_int_equal(class.ready, 1);
	assert_string_equal(pass(CLOCK_NEVER), "1 ");
	fdset_remove(&class.pending, pairs[1][1]);
	assert_string_equal(pass(0), "");
	assert_int_equal(class.ready, 0);
}

TEST(who_is_pending_is_served_beside_those_whom_select_calls_ready)
{
	hide(1);
	put_text(pairs[2][0], "x");
	assert_string_equal(pass(CLOCK_NEVER), "1 2 ");
	assert_int_equal(class.ready, 2);
	/* Both at once is one. */
	hide(2);
	assert_string_equal(pass(CLOCK_NEVER), "1 2 ");
	assert_int_equal(class.ready, 2);
}

TEST(who_is_no_reader_is_not_pending_either)
{
	hide(1);
	fdset_remove(&class.readers, pairs[1][1]);
	assert_string_equal(pass(0), "");
	put_text(pairs[0][0], "x");
	assert_string_equal(pass(CLOCK_NEVER), "0 ");
}

static int64_t timeout_asked;

static int
own_select(int count, fd_set *readable, fd_set *writable, const struct timespec *timeout)
{
	(void)count;
	(void)readable;
	(void)writable;
	timeout_asked = timeout == NULL ? -1 : timeout->tv_sec * 1000000000LL + timeout->tv_nsec;
	return 0;
}

/* Else a held pool would be a loop at full speed. */
TEST(while_the_class_is_held_nobody_is_pending_and_the_wait_is_long)
{
	hide(1);
	seam_set_select(own_select);
	class.hold_readers = true;
	assert_string_equal(pass(CLOCK_NEVER), "");
	assert_int_equal(timeout_asked, -1);
	assert_string_equal(pass(NOW + 5), "");
	assert_int_equal(timeout_asked, 5000);
	class.hold_readers = false;
	fdset_remove(&class.readers, pairs[1][1]);
	pass(NOW + 5);
	assert_int_equal(timeout_asked, 5000);
	fdset_add(&class.readers, pairs[1][1]);
	/* What the set held when select found nothing is no answer. */
	assert_string_equal(pass(NOW + 5), "1 ");
	assert_int_equal(timeout_asked, 0);
}

TEST(who_leaves_is_not_pending_any_more)
{
	hide(1);
	loop_remove(&loop, pairs[1][1]);
	assert_string_equal(pass(0), "");
	loop_add(&loop, &class, pairs[1][1]);
	fdset_add(&class.readers, pairs[1][1]);
	assert_string_equal(pass(0), "");
}

TEST(who_is_forgotten_in_the_pass_is_served_in_the_next_one)
{
	hide(1);
	assert_int_equal(loop_wait(&loop, 0), 0);
	loop_forget(&loop);
	loop_read(&loop);
	assert_string_equal(served, "");
	assert_string_equal(pass(CLOCK_NEVER), "1 ");
}

/* A client that always has more must not keep an administrator waiting. */
TEST(a_signal_comes_through_though_somebody_is_always_pending)
{
	assert_int_equal(signals_open(&loop.waiting, true), 0);
	hide(1);
	raise(SIGHUP);
	for (int i = 0; !signals_to_reload(); i++) {
		assert_true(i < 2);
		pass(CLOCK_NEVER);
	}
	put_text(pairs[2][0], "x");
	raise(SIGHUP);
	for (int i = 0; !signals_to_reload(); i++) {
		assert_true(i < 2);
		pass(CLOCK_NEVER);
	}
	assert_string_equal(pass(CLOCK_NEVER), "1 2 ");
}

static int
failing_select(int count, fd_set *readable, fd_set *writable, const struct timespec *timeout)
{
	(void)count;
	(void)readable;
	(void)writable;
	(void)timeout;
	errno = EINTR;
	return -1;
}

TEST(a_wait_that_was_interrupted_serves_nobody_and_the_next_one_does)
{
	hide(1);
	seam_set_select(failing_select);
	assert_string_equal(pass(CLOCK_NEVER), "");
	seam_reset();
	assert_string_equal(pass(CLOCK_NEVER), "1 ");
}

#define PENDING_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    PENDING_TEST(who_is_pending_is_served_without_a_wait),
	    PENDING_TEST(who_is_pending_is_served_beside_those_whom_select_calls_ready),
	    PENDING_TEST(who_is_no_reader_is_not_pending_either),
	    PENDING_TEST(while_the_class_is_held_nobody_is_pending_and_the_wait_is_long),
	    PENDING_TEST(who_leaves_is_not_pending_any_more),
	    PENDING_TEST(who_is_forgotten_in_the_pass_is_served_in_the_next_one),
	    PENDING_TEST(a_signal_comes_through_though_somebody_is_always_pending),
	    PENDING_TEST(a_wait_that_was_interrupted_serves_nobody_and_the_next_one_does),
	};

	return cmocka_run_group_tests_name("loop_pending", tests, NULL, NULL);
}
