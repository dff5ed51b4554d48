#include "unit.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conf/advice.h"
#include "faults.h"

#define GROUP 4242 /* any but that of root */

static int
setup(void **state)
{
	(void)state;
	return folder_make() != NULL && chmod(in_folder("."), 0755) == 0 ? 0 : -1;
}

static int
teardown(void **state)
{
	(void)state;
	faults_taken();
	unlink(in_folder("private/key"));
	unlink(in_folder("archive/key"));
	folder_remove();
	return 0;
}

/* A file of the folder, of root and the group. */
static void
make_file(const char *name, gid_t group, mode_t mode)
{
	file_write(in_folder(name), "x", 1);
	assert_int_equal(chown(in_folder(name), 0, group), 0);
	assert_int_equal(chmod(in_folder(name), mode), 0);
}

static void
make_folder(const char *name, gid_t group, mode_t mode)
{
	assert_int_equal(mkdir(in_folder(name), 0755), 0);
	assert_int_equal(chown(in_folder(name), 0, group), 0);
	assert_int_equal(chmod(in_folder(name), mode), 0);
}

/* What is said of a key at the path, or NULL where nothing is. */
static const char *
said_of(const char *path)
{
	struct config *config;
	char text[512];
	const char *said;

	snprintf(text, sizeof(text),
	    "listen = \"tls://127.0.0.1:9035\";\n"
	    "tls = {\n  certificate = \"/etc/passwd\";\n  key = \"%s\";\n};\n",
	    path);
	file_write(in_folder("chatd.conf"), text, strlen(text));
	assert_int_equal(chmod(in_folder("chatd.conf"), 0644), 0);
	config = config_load(in_folder("chatd.conf"), 0, faults_take);
	assert_non_null(config);
	advise(config, faults_take);
	config_free(config);
	said = faults_taken();
	return said[0] != '\0' ? said : NULL;
}

static void
expect_warning(const char *name)
{
	char want[512];
	const char *said = said_of(in_folder(name));

	snprintf(want, sizeof(want),
	    "%s:4: tls.key: warning: %s: only root may read it; the packaged service can if it is "
	    "of a group, see ssl-cert in README.Debian\n",
	    in_folder("chatd.conf"), in_folder(name));
	assert_non_null(said);
	assert_string_equal(said, want);
}

/* Only root can make such files, and only root needs the advice. */
static void
need_root(void)
{
	if (geteuid() != 0)
		skip();
}

TEST(a_key_that_only_root_may_read_is_pointed_out)
{
	need_root();
	make_file("key", GROUP, 0600);
	expect_warning("key");
	make_file("key", 0, 0640);
	expect_warning("key");
}

TEST(a_key_of_another_group_is_none_of_these)
{
	need_root();
	make_file("key", GROUP, 0640);
	assert_null(said_of(in_folder("key")));
	make_file("key", 0, 0644);
	assert_null(said_of(in_folder("key")));
}

TEST(a_folder_on_the_way_may_shut_others_out)
{
	need_root();
	make_folder("private", 0, 0700);
	make_file("private/key", GROUP, 0640);
	expect_warning("private/key");
	assert_int_equal(chown(in_folder("private"), 0, GROUP), 0);
	expect_warning("private/key");
	assert_int_equal(chmod(in_folder("private"), 0710), 0);
	assert_null(said_of(in_folder("private/key")));
}

TEST(so_may_one_behind_a_link)
{
	need_root();
	make_folder("archive", 0, 0700);
	make_file("archive/key", 0, 0644);
	assert_int_equal(symlink("archive/key", in_folder("key")), 0);
	expect_warning("key");
	assert_int_equal(chmod(in_folder("archive"), 0755), 0);
	assert_null(said_of(in_folder("key")));
}

TEST(a_file_that_systemd_gives_to_the_service_is_as_it_should_be)
{
	/* The service may read it, whether it is there now or not. */
	assert_null(said_of("/run/credentials/chatd.service/key.pem"));
}

TEST(the_file_for_certificates_of_clients_counts_where_it_is_read)
{
	static const char text[] = "listen = \"tls://127.0.0.1:9035\";\n"
				   "tls = { certificate = \"/etc/passwd\"; key = \"/etc/passwd\";"
				   " ca = \"%s\"; clients = \"%s\"; };\n";
	static const char *const clients[] = {"any", "optional", "required"};

	need_root();
	make_file("ca", 0, 0600);
	for (size_t i = 0; i < LENGTH(clients); i++) {
		char settings[512];
		struct config *config;
		bool said;

		snprintf(settings, sizeof(settings), text, in_folder("ca"), clients[i]);
		file_write(in_folder("chatd.conf"), settings, strlen(settings));
		assert_int_equal(chmod(in_folder("chatd.conf"), 0644), 0);
		config = config_load(in_folder("chatd.conf"), 0, faults_take);
		assert_non_null(config);
		advise(config, faults_take);
		config_free(config);
		said = strstr(faults_taken(), ":2: tls.ca: warning: ") != NULL;
		assert_int_equal(said, i > 0);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(
		a_key_that_only_root_may_read_is_pointed_out, setup, teardown),
	    cmocka_unit_test_setup_teardown(
		a_key_of_another_group_is_none_of_these, setup, teardown),
	    cmocka_unit_test_setup_teardown(
		a_folder_on_the_way_may_shut_others_out, setup, teardown),
	    cmocka_unit_test_setup_teardown(so_may_one_behind_a_link, setup, teardown),
	    cmocka_unit_test_setup_teardown(
		a_file_that_systemd_gives_to_the_service_is_as_it_should_be, setup, teardown),
	    cmocka_unit_test_setup_teardown(
		the_file_for_certificates_of_clients_counts_where_it_is_read, setup, teardown),
	};

	return cmocka_run_group_tests_name("advice", tests, NULL, NULL);
}
