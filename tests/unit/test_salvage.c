#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "chat/salvage.h"
#include "seam.h"
#include "wire/ledger.h"
#include "wire/registry.h"
#include "wire/safe.h"

static struct salvage salvage;
static struct spared none;

static int
setup(void **state)
{
	static const struct journal_need little = {.queue = 1};
	char error[JOURNAL_ERROR];

	(void)state;
	if (journal_create(&little, 8, error) < 0 || safe_open() < 0)
		return -1;
	ledger_resume();
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	seam_reset();
	for (size_t i = 0; i < salvage.count; i++)
		close(salvage.found[i].fd);
	salvage_free(&salvage);
	salvage = (struct salvage){0};
	safe_close();
	journal_close();
	return 0;
}

/* A client of that number, in the safe and recorded; its far end is in *far. */
static void
put(int number, int *far)
{
	static const struct addr addr = {.family = AF_UNIX};
	int pair[2];

	make_pair(pair);
	*far = fcntl(pair[0], F_DUPFD, 400);
	close(pair[0]);
	if (pair[1] != number) {
		assert_int_equal(dup2(pair[1], number), number);
		close(pair[1]);
	}
	assert_true(safe_put_accepted(number));
	assert_true(ledger_open(number, &addr, 0));
}

static bool
is_ended(int far)
{
	char byte;

	return recv(far, &byte, 1, MSG_DONTWAIT) == 0;
}

static bool
is_found(int number)
{
	for (size_t i = 0; i < salvage.count; i++)
		if (salvage.found[i].fd == number)
			return true;
	return false;
}

TEST(each_gets_its_number_whatever_is_there_now)
{
	int far[3], before = open_descriptors();

	for (int i = 0; i < 3; i++)
		put(50 + i, &far[i]);
	for (int i = 0; i < 3; i++)
		close(50 + i);
	assert_int_equal(salvage_begin(&salvage, 100, &none), 0);
	assert_int_equal(salvage.count, 3);
	for (int i = 0; i < 3; i++) {
		assert_true(is_found(50 + i));
		assert_true(salvage_cookie(50 + i) == ledger_record(50 + i)->id);
		assert_int_equal(fcntl(50 + i, F_GETFD), FD_CLOEXEC);
		assert_false(is_ended(far[i]));
	}
	/* Nothing else is open: three pairs. */
	assert_int_equal(open_descriptors(), before + 6);
	for (int i = 0; i < 3; i++)
		close(far[i]);
}

static bool
is_recorded(int fd)
{
	return ledger_record(fd)->state != RECORD_FREE;
}

/* They come as the lowest numbers that are free, which are those of each other. */
TEST(numbers_that_are_in_the_way_of_each_other_make_way)
{
	int far[4], base = dup(0);

	close(base);
	for (int i = 0; i < 4; i++)
		put(base + 4 - i, &far[i]);
	/* All in one message, the highest first. */
	seam_pass_at(CLOCK_SECOND);
	safe.repack_at = 0;
	safe_run_due(is_recorded);
	assert_int_equal(safe.messages, 1);
	for (int i = 0; i < 4; i++)
		close(base + 4 - i);
	assert_int_equal(salvage_begin(&salvage, 100, &none), 0);
	assert_int_equal(salvage.count, 4);
	for (int i = 0; i < 4; i++) {
		assert_true(salvage_cookie(base + 1 + i) == ledger_record(base + 1 + i)->id);
		assert_false(is_ended(far[i]));
		close(far[i]);
	}
}

TEST(a_number_above_the_highest_belongs_to_others)
{
	int far[2];

	put(50, &far[0]);
	put(51, &far[1]);
	close(50);
	close(51);
	assert_int_equal(salvage_begin(&salvage, 50, &none), 0);
	assert_int_equal(salvage.count, 1);
	assert_true(is_found(50));
	assert_true(is_ended(far[1]));
	close(far[0]);
	close(far[1]);
}

TEST(the_standard_streams_are_nobodys)
{
	int pair[2], far, own;

	make_pair(pair);
	put(60, &far);
	/* A record that says it is number 2. */
	*ledger_record(2) = *ledger_record(60);
	own = dup(2);
	dup2(pair[1], 2);
	assert_true(safe_put(2));
	dup2(own, 2);
	close(own);
	close(60);
	ledger_close(60);
	assert_int_equal(salvage_begin(&salvage, 100, &none), 0);
	assert_int_equal(salvage.count, 0);
	close(pair[0]);
	close(pair[1]);
	close(far);
}

TEST(one_that_has_ended_is_ended)
{
	int far[2];

	put(50, &far[0]);
	put(51, &far[1]);
	ledger_close(51);
	close(50);
	close(51);
	assert_int_equal(salvage_begin(&salvage, 100, &none), 0);
	assert_int_equal(salvage.count, 1);
	assert_false(is_ended(far[0]));
	assert_true(is_ended(far[1]));
	close(far[0]);
	close(far[1]);
}

TEST(one_that_is_in_two_messages_is_found_once)
{
	int far;

	put(50, &far);
	assert_true(safe_put(50));
	close(50);
	assert_int_equal(salvage_begin(&salvage, 100, &none), 0);
	assert_int_equal(salvage.count, 1);
	assert_false(is_ended(far));
	close(far);
}

TEST(another_socket_of_a_recorded_number_is_ended)
{
	int far, other, pair[2];

	put(50, &far);
	make_pair(pair);
	dup2(pair[1], 50);
	close(pair[1]);
	assert_true(safe_put(50));
	close(50);
	other = pair[0];
	assert_int_equal(salvage_begin(&salvage, 100, &none), 0);
	assert_int_equal(salvage.count, 1);
	assert_false(is_ended(far));
	assert_true(is_ended(other));
	close(far);
	close(other);
}

static int
listen_somewhere(void)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&sun, sizeof(sa_family_t)), 0);
	assert_int_equal(listen(fd, 5), 0);
	return fd;
}

static bool
is_reached(int ear)
{
	struct sockaddr_un sun;
	socklen_t len = sizeof(sun);
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	bool reached;

	assert_int_equal(getsockname(ear, (struct sockaddr *)&sun, &len), 0);
	reached = connect(fd, (struct sockaddr *)&sun, len) == 0;
	close(fd);
	return reached;
}

TEST(a_listener_that_is_not_recorded_stops_listening_unless_it_was_passed)
{
	int ears[3] = {listen_somewhere(), listen_somewhere(), listen_somewhere()};
	int passed[1] = {dup(ears[1])};
	const struct journal_listener about = {0};
	const struct spared spared = {.fds = passed, .count = 1};

	assert_true(safe_put(ears[0]));
	assert_true(safe_put(ears[1]));
	assert_int_equal(registry_add(ears[2], &about), 1);
	assert_int_equal(salvage_begin(&salvage, 100, &spared), 0);
	assert_int_equal(salvage.count, 1);
	assert_true(is_found(ears[2]) && salvage.found[0].listens);
	assert_false(is_reached(ears[0]));
	assert_true(is_reached(ears[1]));
	assert_true(is_reached(ears[2]));
	close(passed[0]);
	close(ears[0]);
	close(ears[1]);
}

TEST(when_nobody_goes_on_all_end_but_what_was_passed)
{
	int far, ear = listen_somewhere();
	const struct spared spared = {.fds = &ear, .count = 1};

	put(50, &far);
	assert_true(safe_put(ear));
	salvage_end_all(&spared);
	assert_true(is_ended(far));
	assert_true(is_reached(ear));
	/* What has its number is open in this process alone. */
	assert_true(is_open(50));
	close(50);
	close(far);
	close(ear);
}

TEST(memory_that_is_refused_is_told_and_the_safe_keeps_all)
{
	int far;

	put(50, &far);
	for (unsigned long n = 0; n < 2; n++) {
		seam_fail(SEAM_MEMORY, n, 1, ENOMEM);
		assert_int_equal(salvage_begin(&salvage, 100, &none), -1);
		assert_int_equal(salvage.error, ENOMEM);
		salvage_free(&salvage);
		seam_reset();
	}
	assert_int_equal(salvage_begin(&salvage, 100, &none), 0);
	assert_int_equal(salvage.count, 1);
	assert_false(is_ended(far));
	close(far);
}

#define SALVAGE_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    SALVAGE_TEST(each_gets_its_number_whatever_is_there_now),
	    SALVAGE_TEST(numbers_that_are_in_the_way_of_each_other_make_way),
	    SALVAGE_TEST(a_number_above_the_highest_belongs_to_others),
	    SALVAGE_TEST(the_standard_streams_are_nobodys),
	    SALVAGE_TEST(one_that_has_ended_is_ended),
	    SALVAGE_TEST(one_that_is_in_two_messages_is_found_once),
	    SALVAGE_TEST(another_socket_of_a_recorded_number_is_ended),
	    SALVAGE_TEST(a_listener_that_is_not_recorded_stops_listening_unless_it_was_passed),
	    SALVAGE_TEST(when_nobody_goes_on_all_end_but_what_was_passed),
	    SALVAGE_TEST(memory_that_is_refused_is_told_and_the_safe_keeps_all),
	};

	return cmocka_run_group_tests_name("salvage", tests, NULL, NULL);
}
