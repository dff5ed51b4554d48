#include "unit.h"

#include <errno.h>
#include <unistd.h>

#include "base/log.h"
#include "base/streams.h"
#include "base/trace.h"
#include "seam.h"

#define NOW  (1000 * CLOCK_SECOND)
#define REST BACKOFF_REST

static struct loop loop;
static struct streams streams;
static int ends[2]; /* who reads standard output and error */

/* Both are sockets, so that a test can refuse their writes. */
static int
setup(void **state)
{
	(void)state;
	unsetenv("JOURNAL_STREAM");
	seam_reset();
	seam_pass_at(NOW);
	for (int fd = STDOUT_FILENO; fd <= STDERR_FILENO; fd++) {
		int pair[2];

		catch_start(fd);
		make_pair(pair);
		ends[fd - STDOUT_FILENO] = pair[0];
		dup2(pair[1], fd);
		close(pair[1]);
	}
	log_open();
	trace_open(true);
	loop_init(&loop);
	return streams_open(&streams, &loop);
}

static int
teardown(void **state)
{
	(void)state;
	seam_reset();
	loop_free(&loop);
	trace_close();
	log_close();
	for (int fd = STDOUT_FILENO; fd <= STDERR_FILENO; fd++) {
		close(ends[fd - STDOUT_FILENO]);
		catch_end(fd);
	}
	return 0;
}

static bool
asked(int fd)
{
	return fdset_has(&streams.class.writers, fd);
}

/* Select calls fd writable, and then comes the flush before the next wait. */
static int64_t
call_writable(int fd)
{
	streams.class.writable(streams.class.room, fd);
	return streams_flush(&streams);
}

/* The log does not leave; it is refused as often as it may be without a rest. */
static void
block_log(void)
{
	seam_fail(SEAM_SEND, 0, SEAM_ALWAYS, EAGAIN);
	log_info("a line");
	assert_int_equal(streams_flush(&streams), CLOCK_NEVER);
	for (int i = 1; i < BACKOFF_REFUSALS; i++) {
		assert_true(asked(STDERR_FILENO));
		assert_int_equal(call_writable(STDERR_FILENO), CLOCK_NEVER);
	}
}

TEST(a_stream_that_takes_everything_is_not_asked_about)
{
	trace_removing(4);
	log_info("a line");
	assert_int_equal(streams_flush(&streams), CLOCK_NEVER);
	assert_false(asked(STDOUT_FILENO) || asked(STDERR_FILENO));
	assert_string_equal(get_text(ends[0], NULL), "removing connection with sd 4 \n");
	assert_string_equal(get_text(ends[1], NULL), "a line\n");
}

TEST(a_blocked_stream_is_asked_about_until_it_takes_what_waits)
{
	trace_removing(4);
	seam_fail(SEAM_SEND, 0, SEAM_ALWAYS, EAGAIN);
	assert_int_equal(streams_flush(&streams), CLOCK_NEVER);
	assert_true(asked(STDOUT_FILENO));
	assert_false(asked(STDERR_FILENO));
	seam_reset();
	assert_int_equal(call_writable(STDOUT_FILENO), CLOCK_NEVER);
	assert_false(asked(STDOUT_FILENO));
	assert_string_equal(get_text(ends[0], NULL), "removing connection with sd 4 \n");
}

TEST(the_loop_serves_it_like_any_other_descriptor)
{
	block_log();
	assert_int_equal(loop_wait(&loop, 0), 0);
	loop_read(&loop);
	loop_write(&loop);
	assert_int_equal(streams_flush(&streams), NOW + REST);
	assert_false(asked(STDERR_FILENO));
}

TEST(a_stream_that_goes_on_refusing_rests)
{
	block_log();
	assert_true(asked(STDERR_FILENO));
	assert_int_equal(call_writable(STDERR_FILENO), NOW + REST);
	assert_false(asked(STDERR_FILENO));
	/* And no shorter. */
	seam_pass_at(NOW + REST - 1);
	assert_int_equal(streams_flush(&streams), NOW + REST);
	assert_false(asked(STDERR_FILENO));
}

TEST(after_each_rest_it_is_asked_about_once)
{
	block_log();
	call_writable(STDERR_FILENO);
	for (int i = 1; i < 100; i++) {
		seam_pass_at(NOW + i * REST);
		assert_int_equal(streams_flush(&streams), CLOCK_NEVER);
		assert_true(asked(STDERR_FILENO));
		assert_int_equal(call_writable(STDERR_FILENO), NOW + (i + 1) * REST);
		assert_false(asked(STDERR_FILENO));
	}
}

TEST(a_stream_that_works_again_may_be_refused_as_often_as_at_first)
{
	for (int i = 0; i < 3; i++) {
		block_log();
		call_writable(STDERR_FILENO);
		seam_reset();
		/* Within its rest, since somebody has something to say. */
		log_info("another line");
		assert_int_equal(streams_flush(&streams), CLOCK_NEVER);
		assert_false(asked(STDERR_FILENO));
		assert_string_equal(get_text(ends[1], NULL), "a line\nanother line\n");
	}
}

TEST(each_stream_rests_by_itself)
{
	trace_removing(4);
	block_log();
	assert_int_equal(call_writable(STDERR_FILENO), NOW + REST);
	assert_true(asked(STDOUT_FILENO));
	seam_pass_at(NOW + REST / 2);
	for (int i = 0; i < BACKOFF_REFUSALS; i++) {
		assert_true(asked(STDOUT_FILENO));
		assert_int_equal(call_writable(STDOUT_FILENO), NOW + REST);
	}
	assert_false(asked(STDOUT_FILENO) || asked(STDERR_FILENO));
	/* The nearer one is told. */
	seam_pass_at(NOW + REST);
	assert_int_equal(streams_flush(&streams), NOW + REST / 2 + REST);
	assert_true(asked(STDERR_FILENO));
	assert_false(asked(STDOUT_FILENO));
}

TEST(refused_memory_is_told_at_the_start)
{
	struct streams other;
	struct loop another;

	/* A table and four sets. */
	for (unsigned long refused = 0; refused < 5; refused++) {
		loop_init(&another);
		seam_fail(SEAM_MEMORY, refused, 1, ENOMEM);
		assert_int_equal(streams_open(&other, &another), -1);
		loop_free(&another);
	}
}

#define STREAMS_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    STREAMS_TEST(a_stream_that_takes_everything_is_not_asked_about),
	    STREAMS_TEST(a_blocked_stream_is_asked_about_until_it_takes_what_waits),
	    STREAMS_TEST(the_loop_serves_it_like_any_other_descriptor),
	    STREAMS_TEST(a_stream_that_goes_on_refusing_rests),
	    STREAMS_TEST(after_each_rest_it_is_asked_about_once),
	    STREAMS_TEST(a_stream_that_works_again_may_be_refused_as_often_as_at_first),
	    STREAMS_TEST(each_stream_rests_by_itself),
	    STREAMS_TEST(refused_memory_is_told_at_the_start),
	};

	return cmocka_run_group_tests_name("streams", tests, NULL, NULL);
}
