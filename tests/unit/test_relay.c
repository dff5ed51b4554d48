#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "wire/ledger.h"
#include "wire/relay.h"

static int a[2], b[2]; /* [1] is chatd's end */

static int
setup(void **state)
{
	static const struct journal_need little = {.queue = 1};
	static const struct addr addr = {.family = AF_UNIX};
	char error[JOURNAL_ERROR];

	(void)state;
	if (journal_create(&little, 8, error) < 0 || relay_open() < 0)
		return -1;
	ledger_resume();
	make_pair(a);
	make_pair(b);
	return ledger_open(a[1], &addr, 0) && ledger_open(b[1], &addr, 0) ? 0 : -1;
}

static int
teardown(void **state)
{
	(void)state;
	relay_close();
	journal_close();
	for (int i = 0; i < 2; i++) {
		close(a[i]);
		close(b[i]);
	}
	return 0;
}

static ssize_t
send_text(int fd, const char *text)
{
	struct iovec iov = {.iov_base = (void *)(uintptr_t)text, .iov_len = strlen(text)};

	return relay_send(fd, &iov, 1);
}

static bool
is_busy(int fd)
{
	return (ledger_record(fd)->which & RECORD_BUSY) != 0;
}

static int
left(void)
{
	int bytes = -1;

	ioctl(relay.out, FIONREAD, &bytes);
	return bytes;
}

TEST(what_is_sent_arrives_and_a_successor_can_tell)
{
	assert_int_equal(send_text(a[1], "hello\n"), 6);
	assert_true(is_busy(a[1]));
	assert_int_equal(relay_sent(a[1]), 6);
	assert_string_equal(get_text(a[0], NULL), "hello\n");
	/* Nobody else was sent to. */
	assert_int_equal(relay_sent(b[1]), -1);
	ledger_sent(a[1], 6, true);
	assert_false(is_busy(a[1]));
}

TEST(before_the_kernel_took_it_nothing_was_sent)
{
	/* As if killed between the two calls. */
	assert_int_equal(write(relay.in, "hello\n", 6), 6);
	journal->head->relay_id = ledger_record(a[1])->id;
	journal->head->relay_bytes = 6;
	assert_int_equal(relay_sent(a[1]), -1); /* not all of it is noted */
	journal->head->relay_sum = relay_sum(journal->head);
	assert_int_equal(relay_sent(a[1]), 0);
	relay_end();
	assert_int_equal(left(), 0);
}

TEST(a_part_of_it_is_told_to_the_byte)
{
	static char text[65536];
	struct iovec iov = {.iov_base = text, .iov_len = sizeof(text)};
	ssize_t n = 0, total = 0;
	bool partly = false;

	for (int i = 0; i < 1000 && n >= 0; i++) {
		n = relay_send(a[1], &iov, 1);
		if (n > 0) {
			assert_int_equal(relay_sent(a[1]), n);
			partly |= n < (ssize_t)sizeof(text) && left() > 0;
			total += n;
			ledger_sent(a[1], (size_t)n, false);
			relay_end();
		}
	}
	assert_int_equal(errno, EAGAIN);
	assert_false(is_busy(a[1]));
	assert_int_equal(left(), 0);
	assert_true(total > 0);
	if (!partly)
		note("no send was cut short here\n");
}

TEST(a_client_that_is_gone_is_an_error_and_leaves_the_pipe_empty)
{
	signal(SIGPIPE, SIG_IGN);
	close(a[0]);
	assert_int_equal(send_text(a[1], "hello\n"), -1);
	assert_int_equal(errno, EPIPE);
	assert_int_equal(left(), 0);
	assert_false(is_busy(a[1]));
	a[0] = -1;
}

TEST(more_left_than_there_was_is_no_answer)
{
	assert_int_equal(send_text(a[1], "hello\n"), 6);
	assert_int_equal(write(relay.in, "1234567", 7), 7);
	assert_int_equal(relay_sent(a[1]), -1);
	assert_int_equal(read(relay.out, (char[1]){0}, 1), 1);
	assert_int_equal(relay_sent(a[1]), 0);
}

TEST(only_both_ends_of_one_pipe_are_taken_over)
{
	int other[2], out = relay.out, in = relay.in;

	assert_int_equal(pipe(other), 0);
	assert_int_equal(relay_adopt(in, out), -1);
	assert_int_equal(relay_adopt(out, other[1]), -1);
	assert_int_equal(relay_adopt(out, out), -1);
	assert_int_equal(relay_adopt(-1, in), -1);
	assert_int_equal(relay_adopt(out, -1), -1);
	assert_int_equal(relay_adopt(a[0], in), -1);
	fcntl(out, F_SETFL, 0);
	fcntl(in, F_SETFL, 0);
	assert_int_equal(relay_adopt(out, in), 0);
	/* Nothing waits for it. */
	assert_true(fcntl(out, F_GETFL) & O_NONBLOCK);
	assert_true(fcntl(in, F_GETFL) & O_NONBLOCK);
	close(other[0]);
	close(other[1]);
}

#define RELAY_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    RELAY_TEST(what_is_sent_arrives_and_a_successor_can_tell),
	    RELAY_TEST(before_the_kernel_took_it_nothing_was_sent),
	    RELAY_TEST(a_part_of_it_is_told_to_the_byte),
	    RELAY_TEST(a_client_that_is_gone_is_an_error_and_leaves_the_pipe_empty),
	    RELAY_TEST(more_left_than_there_was_is_no_answer),
	    RELAY_TEST(only_both_ends_of_one_pipe_are_taken_over),
	};

	return cmocka_run_group_tests_name("relay", tests, NULL, NULL);
}
