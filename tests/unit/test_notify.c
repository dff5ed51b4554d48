#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "build.h"
#include "host/notify.h"
#include "seam.h"

#define NOW (1000 * CLOCK_SECOND)

static int manager = -1;
static struct notify notify;

/* A manager that listens on path; "@name" is an abstract one. */
static void
listen_at(const char *path)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	size_t len = strlen(path);

	manager = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	memcpy(sun.sun_path, path, len + 1);
	if (path[0] == '@')
		sun.sun_path[0] = '\0';
	assert_int_equal(bind(manager, (struct sockaddr *)&sun,
			     (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len)),
	    0);
	setenv("NOTIFY_SOCKET", path, 1);
}

static int
setup(void **state)
{
	(void)state;
	folder_make();
	unsetenv("WATCHDOG_USEC");
	unsetenv("WATCHDOG_PID");
	listen_at(in_folder("notify"));
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	notify_close(&notify);
	close(manager);
	manager = -1;
	unsetenv("NOTIFY_SOCKET");
	unsetenv("WATCHDOG_USEC");
	unsetenv("WATCHDOG_PID");
	folder_remove();
	return 0;
}

/* The oldest message that the manager was sent, or "". */
static const char *
told(void)
{
	static char text[512];
	ssize_t n = recv(manager, text, sizeof(text) - 1, 0);

	text[n > 0 ? n : 0] = '\0';
	return text;
}

static void
open_and_start(void)
{
	assert_int_equal(notify_open(&notify, 100), 0);
	notify_ready(&notify);
	assert_string_equal(told(), "READY=1");
}

static int64_t
pass_at(int64_t now, uint32_t clients, uint64_t lines)
{
	seam_pass_at(now);
	return notify_pass(&notify, clients, lines, NULL);
}

TEST(without_a_manager_nothing_is_told)
{
	unsetenv("NOTIFY_SOCKET");
	assert_int_equal(notify_open(&notify, 100), 0);
	notify_ready(&notify);
	notify_reloading(&notify, NOW);
	assert_int_equal(pass_at(NOW, 1, 1), CLOCK_NEVER);
	notify_stopping(&notify);
	assert_int_equal(notify.fd, -1);
	assert_string_equal(told(), "");
}

TEST(a_manager_that_cannot_be_reached_is_an_error)
{
	char longer[200];

	memset(longer, 'x', sizeof(longer) - 1);
	longer[0] = '/';
	longer[sizeof(longer) - 1] = '\0';
	for (int i = 0; i < 3; i++) {
		const char *paths[] = {in_folder("missing"), "relative", longer};

		setenv("NOTIFY_SOCKET", paths[i], 1);
		errno = 0;
		assert_int_equal(notify_open(&notify, 100), -1);
		assert_int_not_equal(errno, 0);
		assert_int_equal(notify.fd, -1);
		notify_ready(&notify);
		assert_int_equal(pass_at(NOW, 1, 1), CLOCK_NEVER);
	}
}

TEST(the_states_have_the_text_of_sd_notify)
{
	open_and_start();
	notify_reloading(&notify, 12345678);
	assert_string_equal(told(), "RELOADING=1\nMONOTONIC_USEC=12345678");
	notify_stopping(&notify);
	assert_string_equal(told(), "STOPPING=1");
	assert_string_equal(told(), "");
}

TEST(a_path_that_is_none_is_refused_as_such)
{
	char path[109];

	setenv("NOTIFY_SOCKET", "relative", 1);
	assert_int_equal(notify_open(&notify, 100), -1);
	assert_int_equal(errno, EINVAL);
	/* The longest one that fits is only not there, and one byte more does not fit. */
	memset(path, 'x', sizeof(path));
	path[0] = '/';
	path[107] = '\0';
	setenv("NOTIFY_SOCKET", path, 1);
	assert_int_equal(notify_open(&notify, 100), -1);
	assert_int_equal(errno, ENOENT);
	path[107] = 'x';
	path[108] = '\0';
	setenv("NOTIFY_SOCKET", path, 1);
	assert_int_equal(notify_open(&notify, 100), -1);
	assert_int_equal(errno, EINVAL);
}

TEST(without_a_descriptor_opening_is_an_error_and_nothing_is_left_open)
{
	int before = open_descriptors();

	seam_fail(SEAM_SOCKET, 0, 1, EMFILE);
	assert_int_equal(notify_open(&notify, 100), -1);
	assert_int_equal(errno, EMFILE);
	assert_int_equal(open_descriptors(), before);
	assert_int_equal(notify_open(&notify, 100), 0);
	assert_int_equal(open_descriptors(), before + 1);
	notify_close(&notify);
	assert_int_equal(open_descriptors(), before);
}

TEST(a_manager_with_an_abstract_name_is_told)
{
	char name[64];

	close(manager);
	snprintf(name, sizeof(name), "@chatd-unit-%d", (int)getpid());
	listen_at(name);
	open_and_start();
}

TEST(the_descriptor_lies_above_those_of_clients)
{
	notify_open(&notify, 500);
	assert_int_equal(notify.fd, 500);
	assert_int_equal(fcntl(notify.fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	notify_ready(&notify);
	assert_string_equal(told(), "READY=1");
	notify_close(&notify);
	assert_int_equal(notify.fd, -1);
	assert_false(is_open(500));
}

TEST(the_status_says_clients_and_lines)
{
	open_and_start();
	pass_at(NOW, 0, 0);
	assert_string_equal(told(), "STATUS=0 clients, 0 lines");
	pass_at(NOW + CLOCK_SECOND, 1, 1);
	assert_string_equal(told(), "STATUS=1 client, 1 line");
	pass_at(NOW + 2 * CLOCK_SECOND, 2, 18446744073709551615U);
	assert_string_equal(told(), "STATUS=2 clients, 18446744073709551615 lines");
}

TEST(the_status_is_sent_when_it_has_changed_and_no_timer_ticks_otherwise)
{
	open_and_start();
	assert_int_equal(pass_at(NOW, 1, 5), CLOCK_NEVER);
	assert_string_equal(told(), "STATUS=1 client, 5 lines");
	for (int i = 1; i < 10; i++)
		assert_int_equal(pass_at(NOW + i * CLOCK_SECOND, 1, 5), CLOCK_NEVER);
	assert_string_equal(told(), "");
}

TEST(the_status_is_sent_at_most_once_a_second)
{
	int64_t due;

	open_and_start();
	pass_at(NOW, 1, 0);
	assert_string_equal(told(), "STATUS=1 client, 0 lines");
	for (int i = 1; i < 1000; i++) {
		due = pass_at(NOW + i * CLOCK_SECOND / 1000, 1, (uint64_t)i);
		/* It asks to be called when the second is over, give or take a tenth. */
		assert_in_range(due, NOW + CLOCK_SECOND, NOW + CLOCK_SECOND + CLOCK_SECOND / 10);
	}
	assert_string_equal(told(), "");
	assert_int_equal(pass_at(NOW + CLOCK_SECOND, 1, 1000), CLOCK_NEVER);
	assert_string_equal(told(), "STATUS=1 client, 1000 lines");
}

TEST(a_refused_reload_is_the_status_until_one_is_accepted)
{
	open_and_start();
	pass_at(NOW, 1, 1);
	assert_string_equal(told(), "STATUS=1 client, 1 line");
	/* At once, so that whoever waits for the reload finds it. */
	notify_refused(&notify, "/etc/chatd.conf:3: port: 0 is too small");
	assert_string_equal(
	    told(), "STATUS=reload refused: /etc/chatd.conf:3: port: 0 is too small");
	assert_int_equal(pass_at(NOW + 2 * CLOCK_SECOND, 2, 2), CLOCK_NEVER);
	assert_string_equal(told(), "");
	notify_refused(&notify, "bind 0.0.0.0:9034: Address already in use");
	assert_string_equal(
	    told(), "STATUS=reload refused: bind 0.0.0.0:9034: Address already in use");
	notify_accepted(&notify);
	/* Also when nothing has happened since. */
	pass_at(NOW + 3 * CLOCK_SECOND, 1, 1);
	assert_string_equal(told(), "STATUS=1 client, 1 line");
	notify_accepted(&notify);
	assert_int_equal(pass_at(NOW + 5 * CLOCK_SECOND, 1, 1), CLOCK_NEVER);
	assert_string_equal(told(), "");
}

TEST(a_reason_is_cut_to_its_room_and_is_one_line_of_plain_text)
{
	char why[NOTIFY_REFUSED + 1], want[sizeof(why) + 64];

	open_and_start();
	notify_refused(&notify, "a\nREADY=1\tb\xfc\xff\x7f");
	assert_string_equal(told(), "STATUS=reload refused: a?READY=1?b???");
	for (size_t len = NOTIFY_REFUSED - 1; len <= NOTIFY_REFUSED; len++) {
		memset(why, 'x', sizeof(why));
		why[len] = '\0';
		notify_refused(&notify, why);
		snprintf(
		    want, sizeof(want), "STATUS=reload refused: %.*s", NOTIFY_REFUSED - 1, why);
		assert_string_equal(told(), want);
	}
}

TEST(the_watchdog_is_fed_at_half_of_its_time)
{
	if (strstr(CHATD_FEATURES, "+systemd") == NULL) {
		note("not shown: built without libsystemd\n");
		return;
	}
	setenv("WATCHDOG_USEC", "10000000", 1);
	open_and_start();
	assert_int_equal(pass_at(NOW, UINT32_MAX, 0), NOW + 5 * CLOCK_SECOND);
	assert_string_equal(told(), "WATCHDOG=1");
	assert_int_equal(
	    pass_at(NOW + 5 * CLOCK_SECOND - 1, UINT32_MAX, 0), NOW + 5 * CLOCK_SECOND);
	assert_string_equal(told(), "");
	assert_int_equal(pass_at(NOW + 5 * CLOCK_SECOND, UINT32_MAX, 0), NOW + 10 * CLOCK_SECOND);
	assert_string_equal(told(), "WATCHDOG=1");
}

TEST(a_watchdog_of_somebody_else_is_not_fed)
{
	setenv("WATCHDOG_USEC", "10000000", 1);
	setenv("WATCHDOG_PID", "1", 1);
	open_and_start();
	assert_int_equal(pass_at(NOW, UINT32_MAX, 0), CLOCK_NEVER);
	assert_string_equal(told(), "");
}

/* Fills the manager's queue with its own messages. */
static int
fill(void)
{
	int count = 0;

	while (send(notify.fd, "x", 1, MSG_DONTWAIT) == 1)
		count++;
	assert_int_equal(errno, EAGAIN);
	return count;
}

TEST(a_manager_that_does_not_read_is_not_waited_for_and_hears_ready_later)
{
	int64_t due;

	notify_open(&notify, 100);
	fill();
	notify_ready(&notify);
	due = pass_at(NOW, 1, 1);
	/* Soon, but not at once, again and again. */
	assert_in_range(due, NOW + CLOCK_SECOND / 100, NOW + CLOCK_SECOND);
	while (told()[0] != '\0')
		;
	due = pass_at(due, 1, 1);
	assert_string_equal(told(), "READY=1");
	/* The status was not lost either. */
	if (due != CLOCK_NEVER)
		assert_int_equal(pass_at(due, 1, 1), CLOCK_NEVER);
	assert_string_equal(told(), "STATUS=1 client, 1 line");
	assert_string_equal(told(), "");
}

TEST(a_refused_reload_that_finds_no_room_is_told_later)
{
	int64_t due;

	open_and_start();
	fill();
	notify_refused(&notify, "why");
	due = pass_at(NOW, 1, 1);
	assert_in_range(due, NOW + CLOCK_SECOND / 100, NOW + CLOCK_SECOND);
	while (told()[0] != '\0')
		;
	assert_int_equal(pass_at(NOW + CLOCK_SECOND, 1, 1), CLOCK_NEVER);
	assert_string_equal(told(), "STATUS=reload refused: why");
	assert_string_equal(told(), "");
	/* One that was accepted meanwhile is not told. */
	fill();
	notify_refused(&notify, "why");
	notify_accepted(&notify);
	while (told()[0] != '\0')
		;
	pass_at(NOW + 3 * CLOCK_SECOND, 1, 1);
	assert_string_equal(told(), "STATUS=1 client, 1 line");
	assert_string_equal(told(), "");
}

TEST(a_manager_that_has_gone_is_not_told_again_and_again)
{
	open_and_start();
	pass_at(NOW, 1, 1);
	close(manager);
	for (int i = 1; i < 5; i++)
		pass_at(NOW + i * CLOCK_SECOND, 2, 2);
	assert_int_equal(pass_at(NOW + 5 * CLOCK_SECOND, 2, 2), CLOCK_NEVER);
}

TEST(a_manager_that_binds_its_socket_anew_is_found_again)
{
	char path[128];

	strcpy(path, in_folder("notify"));
	open_and_start();
	close(manager);
	unlink(path);
	listen_at(path);
	notify_reloading(&notify, 7);
	assert_string_equal(told(), "RELOADING=1\nMONOTONIC_USEC=7");
	notify_ready(&notify);
	assert_string_equal(told(), "READY=1");
	assert_string_equal(told(), "");
}

#define NOTIFY_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    NOTIFY_TEST(without_a_manager_nothing_is_told),
	    NOTIFY_TEST(a_manager_that_cannot_be_reached_is_an_error),
	    NOTIFY_TEST(the_states_have_the_text_of_sd_notify),
	    NOTIFY_TEST(a_path_that_is_none_is_refused_as_such),
	    NOTIFY_TEST(without_a_descriptor_opening_is_an_error_and_nothing_is_left_open),
	    NOTIFY_TEST(a_manager_with_an_abstract_name_is_told),
	    NOTIFY_TEST(the_descriptor_lies_above_those_of_clients),
	    NOTIFY_TEST(the_status_says_clients_and_lines),
	    NOTIFY_TEST(the_status_is_sent_when_it_has_changed_and_no_timer_ticks_otherwise),
	    NOTIFY_TEST(the_status_is_sent_at_most_once_a_second),
	    NOTIFY_TEST(a_refused_reload_is_the_status_until_one_is_accepted),
	    NOTIFY_TEST(a_reason_is_cut_to_its_room_and_is_one_line_of_plain_text),
	    NOTIFY_TEST(a_refused_reload_that_finds_no_room_is_told_later),
	    NOTIFY_TEST(the_watchdog_is_fed_at_half_of_its_time),
	    NOTIFY_TEST(a_watchdog_of_somebody_else_is_not_fed),
	    NOTIFY_TEST(a_manager_that_does_not_read_is_not_waited_for_and_hears_ready_later),
	    NOTIFY_TEST(a_manager_that_has_gone_is_not_told_again_and_again),
	    NOTIFY_TEST(a_manager_that_binds_its_socket_anew_is_found_again),
	};

	return cmocka_run_group_tests_name("notify", tests, NULL, NULL);
}
