#include "unit.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ears.h"
#include "faults.h"
#include "seam.h"
#include "wire/listeners.h"

/* A reload */

static void
change(const struct config *before, const struct config *after)
{
	if (listeners_change(&ears, before, after, NULL, NULL, ears_error) < 0)
		assert_string_equal(ears_error, "");
	assert_int_equal(ear_count(), (int)after->n_endpoints);
}

TEST(endpoints_of_both_configs_keep_their_sockets)
{
	struct config *before = EARS("127.0.0.1:0", "/one", "/two");
	struct config *after = EARS("/three", "/one", "127.0.0.1:0");
	int tcp, one;

	ears_open(before);
	tcp = ear_nth(0)->fd;
	one = ear_nth(1)->fd;
	change(before, after);
	assert_int_equal(ear_nth(0)->fd, tcp);
	assert_int_equal(ear_nth(1)->fd, one);
	assert_string_equal(ear_name(ear_nth(2)), in_folder("three"));
	assert_true(ear_can_reach(in_folder("one")));
	assert_true(ear_can_reach(in_folder("three")));
	assert_int_equal(access(in_folder("two"), F_OK), -1);
	config_free(before);
	config_free(after);
}

TEST(the_same_endpoints_change_nothing)
{
	struct config *before = EARS("127.0.0.1:0", "/one"), *after = EARS("127.0.0.1:0", "/one");
	int tcp, one;

	ears_open(before);
	tcp = ear_nth(0)->fd;
	one = ear_nth(1)->fd;
	seam_reset();
	change(before, after);
	assert_int_equal(ear_nth(0)->fd, tcp);
	assert_int_equal(ear_nth(1)->fd, one);
	assert_int_equal(seam_calls(SEAM_SOCKET), 0);
	config_free(before);
	config_free(after);
}

/* With "unix = { mode }" of that text. */
static struct config *
chat_with_mode(const char *mode)
{
	char text[256];

	snprintf(text, sizeof(text), "listen = \"%s\"; unix = { mode = \"%s\"; };",
	    in_folder("chat"), mode);
	return config_of(text);
}

static mode_t
mode_of(const char *path)
{
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	return st.st_mode & 07777;
}

TEST(a_unix_socket_that_stays_gets_the_new_mode)
{
	struct config *before = chat_with_mode("0600"), *after = chat_with_mode("0666");
	int fd;

	ears_open(before);
	fd = ear_nth(0)->fd;
	change(before, after);
	assert_int_equal(ear_nth(0)->fd, fd);
	assert_int_equal(mode_of(in_folder("chat")), 0666);
	config_free(before);
	config_free(after);
}

TEST(a_change_that_fails_leaves_modes_as_they_were)
{
	struct config *before = chat_with_mode("0600"), *after;
	char text[256];

	snprintf(text, sizeof(text),
	    "listen = [ \"%s\", \"/missing/chat\" ]; unix = { mode = \"0666\"; };",
	    in_folder("chat"));
	after = config_of(text);
	ears_open(before);
	assert_int_equal(listeners_change(&ears, before, after, NULL, NULL, ears_error), -1);
	assert_int_equal(mode_of(in_folder("chat")), 0600);
	config_free(before);
	config_free(after);
}

/* As a user who may change the first file but not the second one. */
TEST(a_mode_that_cannot_be_set_refuses_the_change_and_sets_back_the_others)
{
	struct config *before, *after;
	char text[512], want[LISTENER_ERROR];

	if (getuid() != 0) {
		note("not shown: needs another user\n");
		return;
	}
	snprintf(text, sizeof(text), "listen = [ \"%s\", \"%s\" ]; unix = { mode = \"0600\"; };",
	    in_folder("one"), in_folder("two"));
	before = config_of(text);
	snprintf(text, sizeof(text),
	    "listen = [ \"%s\", \"%s\", \"127.0.0.1:0\" ]; unix = { mode = \"0666\"; };",
	    in_folder("one"), in_folder("two"));
	after = config_of(text);
	ears_open(before);
	assert_int_equal(chmod(in_folder(""), 0755), 0);
	assert_int_equal(chown(in_folder("one"), 65534, 65534), 0);
	assert_int_equal(seteuid(65534), 0);
	assert_int_equal(listeners_change(&ears, before, after, NULL, NULL, ears_error), -1);
	assert_int_equal(seteuid(0), 0);
	snprintf(want, sizeof(want), "chmod %s: Operation not permitted", in_folder("two"));
	assert_string_equal(ears_error, want);
	assert_int_equal(ear_count(), 2);
	assert_int_equal(mode_of(in_folder("one")), 0600);
	assert_int_equal(mode_of(in_folder("two")), 0600);
	config_free(before);
	config_free(after);
}

TEST(a_file_that_has_taken_the_place_of_a_socket_keeps_its_mode)
{
	struct config *before = chat_with_mode("0600"), *after = chat_with_mode("0666");

	ears_open(before);
	/* By a link, as somebody would do it who may write to the folder but not to the file. */
	file_write(in_folder("secret"), "mine", 4);
	assert_int_equal(chmod(in_folder("secret"), 0600), 0);
	assert_int_equal(symlink(in_folder("secret"), in_folder("link")), 0);
	assert_int_equal(rename(in_folder("link"), in_folder("chat")), 0);
	listeners_change(&ears, before, after, NULL, NULL, ears_error);
	assert_int_equal(mode_of(in_folder("secret")), 0600);
	config_free(before);
	config_free(after);
}

TEST(a_unix_socket_whose_file_was_removed_is_opened_anew)
{
	struct config *config = EARS("127.0.0.1:0", "/chat");
	int tcp;

	ears_open(config);
	tcp = ear_nth(0)->fd;
	ear_nth(1)->told = true;
	assert_int_equal(unlink(in_folder("chat")), 0);
	assert_false(ear_can_reach(in_folder("chat")));
	change(config, config);
	assert_int_equal(ear_nth(0)->fd, tcp);
	assert_true(ear_can_reach(in_folder("chat")));
	assert_int_equal(mode_of(in_folder("chat")), 0640);
	assert_false(ear_nth(1)->told);
	/* And its file is its own again. */
	listeners_close(&ears);
	assert_int_equal(access(in_folder("chat"), F_OK), -1);
	config_free(config);
}

TEST(a_change_that_fails_leaves_a_socket_whose_file_was_removed_as_it_was)
{
	struct config *before = EARS("/chat"), *after = EARS("/chat", "/missing/chat");
	int fd;

	ears_open(before);
	fd = ear_nth(0)->fd;
	assert_int_equal(unlink(in_folder("chat")), 0);
	assert_int_equal(listeners_change(&ears, before, after, NULL, NULL, ears_error), -1);
	assert_int_equal(ear_count(), 1);
	assert_int_equal(ear_nth(0)->fd, fd);
	assert_int_equal(access(in_folder("chat"), F_OK), -1);
	change(before, before);
	assert_true(ear_can_reach(in_folder("chat")));
	config_free(before);
	config_free(after);
}

/* Each way from one set of endpoints to another that overlaps it on the same port, and back. */
TEST(overlapping_endpoints_follow_each_other_on_one_port)
{
	static const char *const sets[][3] = {{"[::]"}, {"127.0.0.1"}, {"0.0.0.0"},
	    {"[::]", "0.0.0.0"}, {"[::]", "127.0.0.1"}, {"[::1]", "127.0.0.1"}};
	uint16_t port;

	if (!ears_have_ipv6())
		return;
	port = ear_free_port();
	for (size_t i = 0; i < LENGTH(sets); i++)
		for (size_t k = 0; k < LENGTH(sets); k++) {
			struct config *before, *after;
			bool v4 = sets[k][1] != NULL || sets[k][0][0] != '[' || k == 0;
			bool v6 = sets[k][0][0] == '[';

			before = EARS(at_port(sets[i][0], port),
			    sets[i][1] != NULL ? at_port(sets[i][1], port) : NULL);
			after = EARS(at_port(sets[k][0], port),
			    sets[k][1] != NULL ? at_port(sets[k][1], port) : NULL);
			ears_open(before);
			change(before, after);
			assert_int_equal(ear_can_reach(at_port("127.0.0.1", port)), v4);
			assert_int_equal(ear_can_reach(at_port("[::1]", port)), v6);
			change(after, before);
			listeners_close(&ears);
			config_free(before);
			config_free(after);
		}
}

TEST(a_change_that_fails_leaves_everything_as_it_was)
{
	struct config *before = EARS("127.0.0.1:0", "/one");
	struct config *after = EARS("127.0.0.1:0", "/new", "/missing/chat");
	char want[LISTENER_ERROR];
	int tcp, one;

	ears_open(before);
	tcp = ear_nth(0)->fd;
	one = ear_nth(1)->fd;
	assert_int_equal(listeners_change(&ears, before, after, NULL, NULL, ears_error), -1);
	snprintf(
	    want, sizeof(want), "bind %s: No such file or directory", in_folder("missing/chat"));
	assert_string_equal(ears_error, want);
	assert_int_equal(ear_count(), 2);
	assert_int_equal(ear_nth(0)->fd, tcp);
	assert_int_equal(ear_nth(1)->fd, one);
	assert_true(ear_can_reach(in_folder("one")));
	assert_int_equal(access(in_folder("new"), F_OK), -1);
	config_free(before);
	config_free(after);
}

/* The new endpoint overlaps, so the old ones had to be stopped before it was known to fail. */
TEST(a_change_that_fails_after_the_old_ones_were_stopped_starts_them_again)
{
	struct config *before, *after, *other = EARS("/busy");
	struct listeners others = TAILQ_HEAD_INITIALIZER(others);
	char want[LISTENER_ERROR];
	uint16_t port;

	if (!ears_have_ipv6())
		return;
	port = ear_free_port();
	before = EARS(at_port("[::]", port), "/one");
	after = EARS(at_port("127.0.0.1", port), "/busy");
	assert_int_equal(listeners_open(&others, other, ears_error), 0);
	ears_open(before);
	assert_int_equal(listeners_change(&ears, before, after, NULL, NULL, ears_error), -1);
	snprintf(want, sizeof(want), "bind %s: Address already in use", in_folder("busy"));
	assert_string_equal(ears_error, want);
	assert_int_equal(ear_count(), 2);
	assert_true(ear_can_reach(at_port("127.0.0.1", port)));
	assert_true(ear_can_reach(at_port("[::1]", port)));
	assert_true(ear_can_reach(in_folder("one")));
	listeners_close(&others);
	config_free(before);
	config_free(after);
	config_free(other);
}

/* Somebody took the address, or the last descriptor, in between. */
TEST(a_listener_that_could_not_be_started_again_is_started_by_the_next_change)
{
	struct config *before, *after;
	char want[LISTENER_ERROR];
	uint16_t port;

	if (!ears_have_ipv6())
		return;
	port = ear_free_port();
	before = EARS(at_port("[::]", port));
	after = EARS(at_port("127.0.0.1", port), "/missing/chat");
	ears_open(before);
	ear_nth(0)->told = true;
	/* Sockets for both new endpoints, the first one twice, and then the old one again. */
	seam_fail(SEAM_SOCKET, 3, 1, EMFILE);
	assert_int_equal(listeners_change(&ears, before, after, NULL, NULL, ears_error), -1);
	/* Both are told. */
	snprintf(want, sizeof(want),
	    "bind %s: No such file or directory; socket [::]:%u: Too many open files",
	    in_folder("missing/chat"), port);
	assert_string_equal(ears_error, want);
	assert_int_equal(ear_count(), 1);
	assert_int_equal(ear_nth(0)->fd, -1);
	assert_false(ear_can_reach(at_port("127.0.0.1", port)));
	change(before, before);
	assert_true(ear_nth(0)->fd >= 0);
	assert_false(ear_nth(0)->told);
	assert_true(ear_can_reach(at_port("127.0.0.1", port)));
	config_free(before);
	config_free(after);
}

TEST(refused_memory_fails_a_change_and_leaves_everything_as_it_was)
{
	struct config *before = EARS("127.0.0.1:0"), *after = EARS("/one", "/two");
	int tcp;

	ears_open(before);
	tcp = ear_nth(0)->fd;
	for (unsigned long skip = 0; skip < 2; skip++) {
		seam_fail(SEAM_MEMORY, skip, 1, ENOMEM);
		assert_int_equal(
		    listeners_change(&ears, before, after, NULL, NULL, ears_error), -1);
		assert_int_equal(ear_count(), 1);
		assert_int_equal(ear_nth(0)->fd, tcp);
		assert_int_equal(access(in_folder("one"), F_OK), -1);
	}
	config_free(before);
	config_free(after);
}

/* Accepts all; nobody new may come meanwhile. */
static void
accept_all(struct listener *listener, void *context)
{
	int *accepted = context, sd;
	struct addr addr;

	if (listener->endpoint.path[0] != '\0')
		assert_false(ear_can_reach(listener->endpoint.path));
	while ((sd = listener_accept(listener, &addr)) >= 0) {
		close(sd);
		++*accepted;
	}
	assert_int_equal(errno, EAGAIN);
}

TEST(those_who_wait_at_a_listener_that_goes_can_be_accepted_first)
{
	uint16_t port = ear_free_port();
	struct config *before = EARS(at_port("0.0.0.0", port), "/one", "/two");
	struct config *others = EARS("/two"), *overlapping = EARS(at_port("127.0.0.1", port));
	int accepted = 0, clients[6];

	ears_open(before);
	for (int i = 0; i < 6; i++)
		clients[i] = ear_reach(i < 4 ? at_port("127.0.0.1", port) : in_folder("one"));
	assert_int_equal(
	    listeners_change(&ears, before, others, accept_all, &accepted, ears_error), 0);
	assert_int_equal(accepted, 6);
	assert_false(ear_can_reach(at_port("127.0.0.1", port)));
	for (int i = 0; i < 6; i++)
		close(clients[i]);
	/* Also where the new one can come only after the old one is closed. */
	change(others, before);
	clients[0] = ear_reach(at_port("127.0.0.1", port));
	assert_int_equal(
	    listeners_change(&ears, before, overlapping, accept_all, &accepted, ears_error), 0);
	assert_int_equal(accepted, 7);
	assert_true(ear_can_reach(at_port("127.0.0.1", port)));
	close(clients[0]);
	config_free(before);
	config_free(others);
	config_free(overlapping);
}

TEST(a_family_that_the_machine_lacks_is_tried_again_by_the_next_change)
{
	struct config *before = EARS("127.0.0.1:0"), *after = EARS("127.0.0.1:0", "[::1]:0");
	struct config *alone = EARS("[::1]:0");
	int tcp;

	ears_open(before);
	tcp = ear_nth(0)->fd;
	seam_fail(SEAM_SOCKET, 0, 1, EAFNOSUPPORT);
	change(before, after);
	assert_int_equal(ear_nth(0)->fd, tcp);
	assert_int_equal(ear_nth(1)->fd, -1);
	/* Nobody would serve. */
	seam_fail(SEAM_SOCKET, 0, 1, EAFNOSUPPORT);
	assert_int_equal(listeners_change(&ears, after, alone, NULL, NULL, ears_error), -1);
	assert_string_equal(ears_error, "socket [::1]:0: Address family not supported by protocol");
	assert_int_equal(ear_count(), 2);
	if (ears_have_ipv6()) {
		change(after, after);
		assert_true(ear_nth(1)->fd >= 0);
	}
	config_free(before);
	config_free(after);
	config_free(alone);
}

#define CHANGE_TEST(name) cmocka_unit_test_setup_teardown(name, ears_setup, ears_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    CHANGE_TEST(endpoints_of_both_configs_keep_their_sockets),
	    CHANGE_TEST(the_same_endpoints_change_nothing),
	    CHANGE_TEST(a_unix_socket_that_stays_gets_the_new_mode),
	    CHANGE_TEST(a_change_that_fails_leaves_modes_as_they_were),
	    CHANGE_TEST(a_mode_that_cannot_be_set_refuses_the_change_and_sets_back_the_others),
	    CHANGE_TEST(a_file_that_has_taken_the_place_of_a_socket_keeps_its_mode),
	    CHANGE_TEST(a_unix_socket_whose_file_was_removed_is_opened_anew),
	    CHANGE_TEST(a_change_that_fails_leaves_a_socket_whose_file_was_removed_as_it_was),
	    CHANGE_TEST(overlapping_endpoints_follow_each_other_on_one_port),
	    CHANGE_TEST(a_change_that_fails_leaves_everything_as_it_was),
	    CHANGE_TEST(a_change_that_fails_after_the_old_ones_were_stopped_starts_them_again),
	    CHANGE_TEST(a_listener_that_could_not_be_started_again_is_started_by_the_next_change),
	    CHANGE_TEST(those_who_wait_at_a_listener_that_goes_can_be_accepted_first),
	    CHANGE_TEST(a_family_that_the_machine_lacks_is_tried_again_by_the_next_change),
	    CHANGE_TEST(refused_memory_fails_a_change_and_leaves_everything_as_it_was),
	};

	return cmocka_run_group_tests_name("listener: a reload", tests, NULL, NULL);
}
