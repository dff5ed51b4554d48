#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ears.h"
#include "faults.h"
#include "wire/socketfile.h"

static struct socketlock first, second;

/* Whether a listener of the path starts; if not, why not. */
static const char *
start_at_chat(void)
{
	struct config *config = EARS("/chat");
	int opened = listeners_open(&ears, config, ears_error);

	config_free(config);
	return opened == 0 ? "" : ears_error;
}

static const char *
in_use(void)
{
	static char text[LISTENER_ERROR];

	snprintf(text, sizeof(text), "bind %s: Address already in use", in_folder("chat"));
	return text;
}

TEST(a_lock_is_had_by_one_at_a_time)
{
	assert_int_equal(socketfile_lock(&first, in_folder("chat")), 0);
	assert_int_equal(socketfile_lock(&second, in_folder("chat")), -1);
	assert_int_equal(errno, EADDRINUSE);
	/* Each path has its own. */
	assert_int_equal(socketfile_lock(&second, in_folder("other")), 0);
	socketfile_unlock(&second);
	socketfile_unlock(&first);
	assert_int_equal(socketfile_lock(&second, in_folder("chat")), 0);
	socketfile_unlock(&second);
}

TEST(a_lock_leaves_no_file_and_no_descriptor_behind)
{
	int before = open_descriptors();

	assert_int_equal(socketfile_lock(&first, in_folder("chat")), 0);
	assert_int_equal(access(in_folder("chat.lock"), F_OK), 0);
	assert_int_equal(fcntl(first.fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	assert_int_equal(socketfile_lock(&second, in_folder("chat")), -1);
	errno = EPERM;
	socketfile_unlock(&first);
	assert_int_equal(errno, EPERM);
	assert_int_equal(access(in_folder("chat.lock"), F_OK), -1);
	assert_int_equal(open_descriptors(), before);
	assert_string_equal(start_at_chat(), "");
	assert_int_equal(access(in_folder("chat.lock"), F_OK), -1);
	assert_int_equal(open_descriptors(), before + 1);
}

TEST(a_path_that_is_about_to_be_served_is_in_use)
{
	assert_int_equal(socketfile_lock(&first, in_folder("chat")), 0);
	assert_string_equal(start_at_chat(), in_use());
	socketfile_unlock(&first);
	assert_string_equal(start_at_chat(), "");
}

TEST(the_lock_file_of_a_killed_process_is_in_nobodys_way)
{
	file_write(in_folder("chat.lock"), "", 0);
	assert_string_equal(start_at_chat(), "");
	assert_int_equal(access(in_folder("chat.lock"), F_OK), -1);
}

TEST(a_file_that_somebody_wrote_stays)
{
	file_write(in_folder("chat.lock"), "mine", 4);
	assert_string_equal(start_at_chat(), "");
	assert_int_equal(access(in_folder("chat.lock"), F_OK), 0);
}

TEST(what_cannot_be_a_lock_is_an_error_that_names_it)
{
	char want[LISTENER_ERROR];

	/* A link, so that nobody lets a file be made where the service may write and he may not. */
	assert_int_equal(symlink(in_folder("made"), in_folder("chat.lock")), 0);
	snprintf(want, sizeof(want), "lock %s: Too many levels of symbolic links",
	    in_folder("chat.lock"));
	assert_string_equal(start_at_chat(), want);
	assert_int_equal(access(in_folder("made"), F_OK), -1);
	unlink(in_folder("chat.lock"));
	assert_int_equal(mkdir(in_folder("chat.lock"), 0700), 0);
	snprintf(want, sizeof(want), "lock %s: Is a directory", in_folder("chat.lock"));
	assert_string_equal(start_at_chat(), want);
	rmdir(in_folder("chat.lock"));
	/* Nobody writes to it, and still it is not waited for. */
	assert_int_equal(mkfifo(in_folder("chat.lock"), 0600), 0);
	assert_string_equal(start_at_chat(), "");
	assert_int_equal(access(in_folder("chat.lock"), F_OK), 0);
}

TEST(the_longest_path_has_a_lock_too)
{
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)], name[sizeof(path)];
	size_t len = strlen(in_folder(""));

	memset(name, 'x', sizeof(name));
	name[sizeof(path) - 1 - len] = '\0';
	snprintf(path, sizeof(path), "%s", in_folder(name));
	assert_int_equal(strlen(path), sizeof(path) - 1);
	assert_int_equal(socketfile_lock(&first, path), 0);
	assert_int_equal(strlen(first.path), strlen(path) + 5);
	assert_int_equal(access(first.path, F_OK), 0);
	socketfile_unlock(&first);
}

#define SOCKETFILE_TEST(name) cmocka_unit_test_setup_teardown(name, ears_setup, ears_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    SOCKETFILE_TEST(a_lock_is_had_by_one_at_a_time),
	    SOCKETFILE_TEST(a_lock_leaves_no_file_and_no_descriptor_behind),
	    SOCKETFILE_TEST(a_path_that_is_about_to_be_served_is_in_use),
	    SOCKETFILE_TEST(the_lock_file_of_a_killed_process_is_in_nobodys_way),
	    SOCKETFILE_TEST(a_file_that_somebody_wrote_stays),
	    SOCKETFILE_TEST(what_cannot_be_a_lock_is_an_error_that_names_it),
	    SOCKETFILE_TEST(the_longest_path_has_a_lock_too),
	};

	return cmocka_run_group_tests_name("socketfile", tests, NULL, NULL);
}
