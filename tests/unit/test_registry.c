#include "unit.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "seam.h"
#include "wire/registry.h"
#include "wire/safe.h"

static const struct journal_listener about = {
    .flags = LISTENER_INHERITED, .device = 3, .inode = 4, .endpoint = {.path = "/run/x"}};
static int ear;

static int
listen_somewhere(int type)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

	/* The kernel finds a name. */
	assert_int_equal(bind(fd, (struct sockaddr *)&sun, sizeof(sa_family_t)), 0);
	assert_int_equal(listen(fd, 1), 0);
	return fd;
}

static int
setup(void **state)
{
	static const struct journal_need little = {.queue = 1};
	char error[JOURNAL_ERROR];

	(void)state;
	ear = listen_somewhere(SOCK_STREAM);
	return journal_create(&little, 8, error) < 0 ? -1 : safe_open();
}

static int
teardown(void **state)
{
	(void)state;
	seam_reset();
	close(ear);
	safe_close();
	journal_close();
	return 0;
}

static struct journal_listener *
nth(unsigned record)
{
	return &journal->listeners[record - 1];
}

static bool
is_found(void)
{
	unsigned record;

	return registry_find(ear, &record) != NULL;
}

TEST(a_listener_is_found_with_what_was_said_about_it)
{
	unsigned record, found = 0;
	const struct journal_listener *kept;

	assert_false(registry_has(ear));
	record = registry_add(ear, &about);
	assert_int_equal(record, 1);
	assert_true(registry_has(ear));
	kept = registry_find(ear, &found);
	assert_non_null(kept);
	assert_int_equal(found, record);
	assert_int_equal(kept->flags, LISTENER_INHERITED);
	assert_int_equal(kept->device, 3);
	assert_int_equal(kept->inode, 4);
	assert_string_equal(kept->endpoint.path, "/run/x");
	assert_int_equal(safe.live, 1);
	registry_remove(record);
	assert_false(registry_has(ear));
	assert_false(is_found());
	assert_int_equal(safe.dead, 1);
}

TEST(so_many_fit_and_not_one_more)
{
	unsigned record = 0;

	for (unsigned i = 1; i <= JOURNAL_LISTENERS; i++) {
		/* The safe itself would be full long before. */
		safe_close();
		assert_int_equal(safe_open(), 0);
		assert_int_equal(registry_add(ear, &about), i);
	}
	assert_int_equal(registry_add(ear, &about), 0);
	assert_true(registry_has(ear));
	registry_remove(JOURNAL_LISTENERS);
	assert_int_equal(registry_add(ear, &about), JOURNAL_LISTENERS);
	registry_remove(1);
	assert_non_null(registry_find(ear, &record));
	assert_int_equal(record, 2);
	assert_int_equal(registry_add(ear, &about), 1);
}

TEST(a_place_in_the_middle_is_used_again_and_hides_nobody)
{
	int other = listen_somewhere(SOCK_STREAM);

	assert_int_equal(registry_add(ear, &about), 1);
	assert_int_equal(registry_add(other, &about), 2);
	registry_remove(1);
	assert_true(registry_has(other));
	assert_false(registry_has(ear));
	assert_int_equal(registry_add(ear, &about), 1);
	close(other);
}

TEST(what_is_not_in_the_safe_is_not_recorded)
{
	seam_fail(SEAM_SEND, 0, 1, ENOBUFS);
	assert_int_equal(registry_add(ear, &about), 0);
	assert_false(registry_has(ear));
	assert_int_equal(safe.unkept, 1);
}

TEST(another_socket_of_that_number_is_not_found)
{
	int other = listen_somewhere(SOCK_STREAM);

	assert_int_equal(registry_add(ear, &about), 1);
	dup2(other, ear);
	assert_true(registry_has(ear));
	assert_false(is_found());
	close(other);
}

TEST(one_that_does_not_listen_is_not_found)
{
	int other = socket(AF_UNIX, SOCK_STREAM, 0), packets = listen_somewhere(SOCK_SEQPACKET);
	unsigned record;

	assert_int_equal(registry_add(other, &about), 1);
	assert_null(registry_find(other, &record));
	assert_int_equal(registry_add(packets, &about), 2);
	assert_null(registry_find(packets, &record));
	close(other);
	close(packets);
}

TEST(damage_is_seen)
{
	struct journal_listener good;

	assert_int_equal(registry_add(ear, &about), 1);
	good = *nth(1);
	nth(1)->flags ^= LISTENER_ABSENT;
	assert_false(is_found());
	*nth(1) = good;
	nth(1)->inode++;
	assert_false(is_found());
	*nth(1) = good;
	nth(1)->endpoint.path[0] = 'x';
	assert_false(is_found());
	*nth(1) = good;
	nth(1)->sum++;
	assert_false(is_found());
	*nth(1) = good;
	assert_true(is_found());
}

/* With a right sum as well: whoever can write it can compute that. */
TEST(a_path_that_does_not_end_is_not_read)
{
	struct journal_listener endless = about;

	memset(endless.endpoint.path, 'x', sizeof(endless.endpoint.path));
	assert_int_equal(registry_add(ear, &endless), 1);
	assert_false(is_found());
	registry_remove(1);
	endless.endpoint.path[sizeof(endless.endpoint.path) - 1] = '\0';
	assert_int_equal(registry_add(ear, &endless), 1);
	assert_true(is_found());
}

#define REGISTRY_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    REGISTRY_TEST(a_listener_is_found_with_what_was_said_about_it),
	    REGISTRY_TEST(so_many_fit_and_not_one_more),
	    REGISTRY_TEST(a_place_in_the_middle_is_used_again_and_hides_nobody),
	    REGISTRY_TEST(what_is_not_in_the_safe_is_not_recorded),
	    REGISTRY_TEST(another_socket_of_that_number_is_not_found),
	    REGISTRY_TEST(one_that_does_not_listen_is_not_found),
	    REGISTRY_TEST(damage_is_seen),
	    REGISTRY_TEST(a_path_that_does_not_end_is_not_read),
	};

	return cmocka_run_group_tests_name("registry", tests, NULL, NULL);
}
