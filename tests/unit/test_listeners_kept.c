#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "ears.h"
#include "seam.h"
#include "wire/listeners.h"
#include "wire/registry.h"
#include "wire/safe.h"

/* Listeners that outlive the process. A successor has them under the numbers that they had. */

static int
setup(void **state)
{
	static const struct journal_need little = {.queue = 1};
	char error[JOURNAL_ERROR];

	if (ears_setup(state) < 0 || journal_create(&little, 8, error) < 0)
		return -1;
	return safe_open();
}

static int
teardown(void **state)
{
	int result = ears_teardown(state);

	safe_close();
	journal_close();
	return result;
}

/* The process goes, and the next one finds them. */
static void
succeed(void)
{
	int fds[8], count = 0;
	struct listener *listener;

	TAILQ_FOREACH(listener, &ears, entry)
		if (listener->fd >= 0)
			fds[count++] = listener->fd;
	for (int i = 0; i < count; i++) {
		int copy = fcntl(fds[i], F_DUPFD_CLOEXEC, 100);

		listener = TAILQ_FIRST(&ears);
		while (listener->fd != fds[i])
			listener = TAILQ_NEXT(listener, entry);
		TAILQ_REMOVE(&ears, listener, entry);
		listener_leave(listener);
		free(listener);
		dup2(copy, fds[i]);
		close(copy);
		fcntl(fds[i], F_SETFL, 0); /* the manager makes it block */
	}
	for (int i = 0; i < count; i++)
		assert_true(listeners_restore(&ears, fds[i]));
}

static int
pass_socket(void)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&sun, sizeof(sa_family_t)), 0);
	assert_int_equal(listen(fd, 5), 0);
	return fd;
}

TEST(own_listeners_are_as_they_were)
{
	struct config *config = EARS("127.0.0.1:0", "/one");
	struct listener before;

	ears_open(config);
	before = *ear_nth(1);
	listeners_keep(&ears);
	assert_int_equal(ear_nth(0)->record, 1);
	assert_int_equal(ear_nth(1)->record, 2);
	listeners_keep(&ears);
	assert_int_equal(ear_nth(1)->record, 2);
	assert_int_equal(safe.live, 2);
	succeed();
	assert_int_equal(ear_count(), 2);
	assert_false(ear_nth(0)->inherited || ear_nth(1)->inherited);
	assert_true(ear_nth(0)->told);
	assert_true((fcntl(before.fd, F_GETFL) & O_NONBLOCK) != 0);
	assert_true(endpoint_same(&ear_nth(0)->endpoint, &config->endpoints[0]));
	assert_int_equal(ear_nth(1)->file.inode, before.file.inode);
	assert_true(ear_can_reach(in_folder("one")));
	/* The next process knows which file is its own. */
	listeners_close(&ears);
	assert_int_equal(access(in_folder("one"), F_OK), -1);
	assert_false(registry_has(before.fd));
	config_free(config);
}

TEST(one_that_is_not_kept_is_not_restored)
{
	int fd = pass_socket();

	assert_false(listeners_restore(&ears, fd));
	assert_int_equal(ear_count(), 0);
	assert_true(is_open(fd));
	close(fd);
}

TEST(without_memory_one_is_not_restored_and_stays_open)
{
	int fd = pass_socket(), fds[1] = {fd};

	assert_int_equal(listeners_inherit(&ears, fds, NULL, 1, ears_error), 0);
	listeners_keep(&ears);
	seam_fail(SEAM_MEMORY, 0, 1, ENOMEM);
	assert_false(listeners_restore(&ears, fd));
	assert_true(is_open(fd));
}

TEST(a_passed_one_that_is_passed_again_stays_and_its_copy_is_closed)
{
	int fd = pass_socket(), fds[1] = {fd}, passed[3];
	bool tls[3] = {false};

	assert_int_equal(listeners_inherit(&ears, fds, NULL, 1, ears_error), 0);
	listeners_keep(&ears);
	succeed();
	assert_true(ear_nth(0)->inherited);
	passed[0] = -1;
	passed[1] = pass_socket();
	passed[2] = fcntl(fd, F_DUPFD_CLOEXEC, 50);
	listeners_match(&ears, passed, tls, 3);
	assert_true(ear_nth(0)->inherited);
	assert_true(passed[1] >= 0 && is_open(passed[1]));
	assert_int_equal(passed[2], -1);
	assert_false(is_open(50));
	close(passed[1]);
}

TEST(a_passed_one_speaks_tls_if_its_name_says_so_now)
{
	int fd = pass_socket(), fds[1] = {fd}, passed[1];
	bool tls[1];

	assert_int_equal(listeners_inherit(&ears, fds, NULL, 1, ears_error), 0);
	listeners_keep(&ears);
	/* From plain text to TLS, it stays, back, it stays. */
	for (int i = 0; i < 4; i++) {
		tls[0] = i < 2;
		succeed();
		passed[0] = fcntl(fd, F_DUPFD_CLOEXEC, 50);
		listeners_match(&ears, passed, tls, 1);
		assert_true(ear_nth(0)->inherited);
		assert_int_equal(ear_nth(0)->endpoint.tls, tls[0]);
		assert_int_equal(ear_nth(0)->told, i % 2 != 0);
		listeners_keep(&ears);
		assert_true(registry_has(ear_nth(0)->fd));
	}
}

TEST(a_passed_one_that_is_passed_no_more_counts_as_chatds_own)
{
	int fd = pass_socket(), fds[1] = {fd}, passed[1] = {pass_socket()};
	bool tls[1] = {false};

	assert_int_equal(listeners_inherit(&ears, fds, NULL, 1, ears_error), 0);
	listeners_keep(&ears);
	succeed();
	listeners_match(&ears, passed, tls, 1);
	assert_false(ear_nth(0)->inherited);
	assert_true(is_open(passed[0]));
	/* And none at all. */
	ear_nth(0)->inherited = true;
	listeners_match(&ears, NULL, NULL, 0);
	assert_false(ear_nth(0)->inherited);
	listeners_retire(&ears, NULL, NULL);
	assert_int_equal(ear_count(), 0);
	assert_false(is_open(fd));
	close(passed[0]);
}

TEST(chatds_own_is_not_taken_for_a_passed_one)
{
	struct config *config = EARS("/one");
	int passed[1];
	bool tls[1] = {false};

	ears_open(config);
	listeners_keep(&ears);
	succeed();
	passed[0] = fcntl(ear_nth(0)->fd, F_DUPFD_CLOEXEC, 50);
	listeners_match(&ears, passed, tls, 1);
	assert_false(ear_nth(0)->inherited);
	assert_int_equal(passed[0], 50);
	close(passed[0]);
	config_free(config);
}

#define KEPT_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    KEPT_TEST(own_listeners_are_as_they_were),
	    KEPT_TEST(one_that_is_not_kept_is_not_restored),
	    KEPT_TEST(without_memory_one_is_not_restored_and_stays_open),
	    KEPT_TEST(a_passed_one_that_is_passed_again_stays_and_its_copy_is_closed),
	    KEPT_TEST(a_passed_one_speaks_tls_if_its_name_says_so_now),
	    KEPT_TEST(a_passed_one_that_is_passed_no_more_counts_as_chatds_own),
	    KEPT_TEST(chatds_own_is_not_taken_for_a_passed_one),
	};

	return cmocka_run_group_tests_name("listeners_kept", tests, NULL, NULL);
}
