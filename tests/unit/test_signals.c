#include "unit.h"

#include <errno.h>
#include <signal.h>
#include <sys/select.h>
#include <unistd.h>

#include "base/signals.h"

static sigset_t waiting, before;

static int
setup(void **state)
{
	(void)state;
	sigprocmask(SIG_SETMASK, NULL, &before);
	return signals_open(&waiting, true);
}

static int
teardown(void **state)
{
	static const int numbers[] = {SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGPIPE};

	(void)state;
	signals_take();
	signals_to_reload();
	for (size_t i = 0; i < LENGTH(numbers); i++)
		signal(numbers[i], SIG_DFL);
	sigprocmask(SIG_SETMASK, &before, NULL);
	return 0;
}

/* Waits as the loop does, for at most no time at all. Returns what pselect does. */
static int
wait_as_the_loop(void)
{
	static const struct timespec no_time;

	return pselect(0, NULL, NULL, NULL, &no_time, &waiting);
}

TEST(a_signal_comes_only_while_the_loop_waits)
{
	int ends = signals_to_end();

	raise(SIGTERM);
	assert_int_equal(signals_to_end(), ends);
	assert_int_equal(wait_as_the_loop(), -1);
	assert_int_equal(errno, EINTR);
	assert_int_equal(signals_to_end(), ends + 1);
	/* And once. */
	assert_int_equal(wait_as_the_loop(), 0);
	assert_int_equal(signals_to_end(), ends + 1);
}

TEST(a_signal_that_the_wait_did_not_tell_of_is_taken_afterwards)
{
	int ends = signals_to_end();

	raise(SIGTERM);
	raise(SIGHUP);
	signals_take();
	assert_int_equal(signals_to_end(), ends + 1);
	assert_true(signals_to_reload());
	/* Nothing is left, and looking again does not wait. */
	signals_take();
	assert_int_equal(signals_to_end(), ends + 1);
	assert_int_equal(wait_as_the_loop(), 0);
}

TEST(each_signal_to_end_counts)
{
	int ends = signals_to_end();

	raise(SIGINT);
	signals_take();
	raise(SIGTERM);
	signals_take();
	assert_int_equal(signals_to_end(), ends + 2);
	assert_false(signals_to_reload());
}

TEST(a_reload_is_asked_for_once_however_many_signals_came)
{
	assert_false(signals_to_reload());
	raise(SIGHUP);
	signals_take();
	raise(SIGHUP);
	assert_int_equal(wait_as_the_loop(), -1);
	assert_true(signals_to_reload());
	assert_false(signals_to_reload());
	raise(SIGHUP);
	signals_take();
	assert_true(signals_to_reload());
}

TEST(opening_forgets_what_came_before)
{
	raise(SIGTERM);
	raise(SIGHUP);
	raise(SIGUSR1);
	signals_take();
	assert_int_equal(signals_open(&waiting, true), 0);
	assert_int_equal(signals_to_end(), 0);
	assert_false(signals_to_reload());
	assert_false(signals_to_report());
}

TEST(a_report_is_asked_for_once_however_many_signals_came)
{
	assert_false(signals_to_report());
	raise(SIGUSR1);
	signals_take();
	raise(SIGUSR1);
	assert_int_equal(wait_as_the_loop(), -1);
	assert_true(signals_to_report());
	assert_false(signals_to_report());
	assert_false(signals_to_reload());
}

TEST(with_nothing_to_reload_a_hangup_ends)
{
	assert_int_equal(signals_open(&waiting, false), 0);
	raise(SIGHUP);
	signals_take();
	assert_int_equal(signals_to_end(), 1);
	assert_false(signals_to_reload());
}

TEST(a_hangup_that_was_ignored_stays_ignored_with_nothing_to_reload)
{
	signal(SIGHUP, SIG_IGN);
	assert_int_equal(signals_open(&waiting, false), 0);
	raise(SIGHUP);
	signals_take();
	assert_int_equal(signals_to_end(), 0);
	/* A file to reload is a reason to listen all the same. */
	assert_int_equal(signals_open(&waiting, true), 0);
	raise(SIGHUP);
	signals_take();
	assert_true(signals_to_reload());
}

TEST(a_broken_pipe_is_an_error_and_no_signal)
{
	int ends[2];

	assert_int_equal(pipe(ends), 0);
	close(ends[0]);
	assert_int_equal(write(ends[1], "x", 1), -1);
	assert_int_equal(errno, EPIPE);
	close(ends[1]);
}

TEST(a_file_too_large_is_an_error_and_no_signal)
{
	assert_int_equal(raise(SIGXFSZ), 0);
}

TEST(signals_that_were_blocked_before_stay_blocked)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGALRM);
	sigprocmask(SIG_BLOCK, &set, NULL);
	assert_int_equal(signals_open(&waiting, true), 0);
	assert_true(sigismember(&waiting, SIGALRM));
	assert_false(sigismember(&waiting, SIGTERM));
}

TEST(signals_that_the_caller_had_blocked_are_heard_all_the_same)
{
	int ends = signals_to_end();

	/* They are: setup was before. */
	assert_int_equal(signals_open(&waiting, true), 0);
	assert_false(sigismember(&waiting, SIGINT));
	raise(SIGINT);
	assert_int_equal(wait_as_the_loop(), -1);
	assert_int_equal(signals_to_end(), ends + 1);
}

#define SIGNALS_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    SIGNALS_TEST(a_signal_comes_only_while_the_loop_waits),
	    SIGNALS_TEST(a_signal_that_the_wait_did_not_tell_of_is_taken_afterwards),
	    SIGNALS_TEST(each_signal_to_end_counts),
	    SIGNALS_TEST(a_reload_is_asked_for_once_however_many_signals_came),
	    SIGNALS_TEST(opening_forgets_what_came_before),
	    SIGNALS_TEST(a_report_is_asked_for_once_however_many_signals_came),
	    SIGNALS_TEST(with_nothing_to_reload_a_hangup_ends),
	    SIGNALS_TEST(a_hangup_that_was_ignored_stays_ignored_with_nothing_to_reload),
	    SIGNALS_TEST(a_broken_pipe_is_an_error_and_no_signal),
	    SIGNALS_TEST(a_file_too_large_is_an_error_and_no_signal),
	    SIGNALS_TEST(signals_that_were_blocked_before_stay_blocked),
	    SIGNALS_TEST(signals_that_the_caller_had_blocked_are_heard_all_the_same),
	};

	return cmocka_run_group_tests_name("signals", tests, NULL, NULL);
}
