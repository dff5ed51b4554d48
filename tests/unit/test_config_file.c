#include "unit.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conf/config.h"
#include "faults.h"
#include "seam.h"

static int
setup(void **state)
{
	(void)state;
	return folder_make() != NULL ? 0 : -1;
}

static int
teardown(void **state)
{
	(void)state;
	seam_reset();
	faults_taken();
	folder_remove();
	return 0;
}

/* Loads the file of that name in the folder. */
static struct config *
load(const char *name)
{
	return config_load(in_folder(name), 0, faults_take);
}

/* Loads it, and expects the fault: its path, then rest. */
static void
expect_load_fault(const char *name, const char *rest)
{
	char want[512];

	assert_null(load(name));
	snprintf(want, sizeof(want), "%s%s\n", in_folder(name), rest);
	assert_string_equal(faults_taken(), want);
}

static void
write_text(const char *name, const char *text)
{
	file_write(in_folder(name), text, strlen(text));
}

TEST(a_file_is_read_and_named_in_its_faults)
{
	struct config *config;

	write_text("good", "port = 4242;\n");
	config = load("good");
	assert_int_equal(config->port, 4242);
	assert_string_equal(config->file, in_folder("good"));
	config_free(config);
	write_text("bad", "\nport = 0;\n");
	expect_load_fault("bad", ":2: port: 0 is out of range, allowed is 1 to 65535");
}

TEST(a_file_that_cannot_be_read_is_a_fault)
{
	expect_load_fault("missing", ": No such file or directory");
	expect_load_fault(".", ": Is a directory");
}

TEST(a_file_with_a_nul_byte_is_a_fault)
{
	file_write(in_folder("nul"), "port = 80;\0", 11);
	expect_load_fault("nul", ": holds a NUL byte, allowed is text");
}

TEST(a_comment_may_end_the_file_without_a_newline)
{
	static const char *const texts[] = {"port = 4242; # x", "port = 4242; // x",
	    "port = 4242; /* x */", "port = 4242;", "# x\nport = 4242;#"};

	for (size_t i = 0; i < LENGTH(texts); i++) {
		struct config *config;

		write_text("good", texts[i]);
		config = load("good");
		assert_non_null(config);
		assert_int_equal(config->port, 4242);
		config_free(config);
	}
}

TEST(a_comment_that_does_not_end_is_a_fault)
{
	write_text("bad", "port = 4242;\n\n/* deny = \"127.0.0.1\";\n");
	expect_load_fault("bad", ":3: a comment that does not end, allowed is /* ... */");
}

TEST(a_file_of_the_full_length_passes_and_one_byte_more_does_not)
{
	static char text[FILES_BYTES_MAX + 1];
	struct config *config;

	memset(text, '\n', sizeof(text));
	memcpy(text, "port = 4242;", 12);
	file_write(in_folder("full"), text, FILES_BYTES_MAX);
	config = load("full");
	assert_string_equal(faults_taken(), "");
	assert_int_equal(config->port, 4242);
	config_free(config);
	file_write(in_folder("full"), text, FILES_BYTES_MAX + 1);
	expect_load_fault("full", ": is too long, allowed are 1048576 bytes");
}

/* The folder beside "main", with a file in it. */
static void
write_dropin(const char *name, const char *text)
{
	char path[256];

	mkdir(in_folder("main.d"), 0700);
	snprintf(path, sizeof(path), "main.d/%s", name);
	write_text(path, text);
}

TEST(files_of_the_folder_override_in_the_order_of_their_names)
{
	struct config *config;

	write_text("main", "port = 1; trace = false; sanitize = true;\n");
	write_dropin("90-last.conf", "port = 9;");
	write_dropin("10-first.conf", "port = 2; sanitize = false; log_connections = true;");
	write_dropin("9-after-90.conf", "log_connections = false;");
	config = load("main");
	assert_string_equal(faults_taken(), "");
	assert_int_equal(config->port, 9);
	assert_false(config->trace);
	assert_false(config->sanitize);
	assert_false(config->log_connections);
	assert_string_equal(config->file, in_folder("main"));
	config_free(config);
}

TEST(groups_merge_setting_by_setting_and_lists_are_replaced)
{
	struct config *config;

	write_text("main", "limits = { clients = 5; line = 100; };\n"
			   "unix = { mode = \"0600\"; owner = 7; };\n"
			   "listen = [ \"127.0.0.1:1\", \"127.0.0.2:1\" ];\n"
			   "allow = [ \"10.0.0.0/8\" ]; deny = [ \"10.0.0.1\" ];\n");
	write_dropin("a.conf", "limits = { clients = 6; idle = 9; };\nunix = { owner = 8; };\n"
			       "listen = [ \"127.0.0.3:3\" ];\nallow = [ \"192.0.2.0/24\" ];");
	config = load("main");
	assert_string_equal(faults_taken(), "");
	assert_int_equal(config->limits.clients, 6);
	assert_int_equal(config->limits.line, 100);
	assert_int_equal(config->limits.idle, 9);
	assert_int_equal(config->unix_mode, 0600);
	assert_int_equal(config->unix_owner, 8);
	assert_int_equal(config->n_endpoints, 1);
	assert_int_equal(config->endpoints[0].addr.port, 3);
	assert_int_equal(access_count(config->access, ACCESS_ALLOW), 1);
	assert_int_equal(access_count(config->access, ACCESS_DENY), 1);
	config_free(config);
	write_dropin("b.conf", "deny = [ ];");
	config = load("main");
	assert_int_equal(access_count(config->access, ACCESS_DENY), 0);
	config_free(config);
}

TEST(the_port_of_any_file_counts_for_the_endpoints_of_any_other)
{
	struct config *config;

	write_text("main", "listen = [ \"127.0.0.1\", \"127.0.0.1:80\" ];\n");
	write_dropin("a.conf", "port = 4242;");
	config = load("main");
	assert_int_equal(config->endpoints[0].addr.port, 4242);
	assert_int_equal(config->endpoints[1].addr.port, 80);
	config_free(config);
	/* And makes two of them one, told where the later one stands. */
	write_dropin("a.conf", "port = 80;");
	expect_load_fault("main", ":1: listen: 127.0.0.1:80 is named twice");
	write_dropin("b.conf", "\nlisten = [ \"127.0.0.2:80\",\n \"127.0.0.2\" ];");
	expect_load_fault("main", ".d/b.conf:3: listen: 127.0.0.2:80 is named twice");
}

TEST(faults_name_the_file_of_the_folder_and_those_of_all_files_are_told)
{
	char want[1024];

	write_text("main", "\nport = 0;\n");
	write_dropin("a.conf", "\n\nsyntax\n");
	write_dropin("b.conf", "limits = {\n  line = 1; };");
	assert_null(load("main"));
	snprintf(want, sizeof(want),
	    "%s:2: port: 0 is out of range, allowed is 1 to 65535\n"
	    "%s.d/a.conf:4: syntax error here or before, allowed is name = value;\n"
	    "%s.d/b.conf:2: limits.line: 1 is out of range, allowed is 2 to 1048576 bytes\n",
	    in_folder("main"), in_folder("main"), in_folder("main"));
	assert_string_equal(faults_taken(), want);
}

TEST(what_is_hidden_or_not_named_conf_is_passed_over)
{
	static const char *const names[] = {".hidden.conf", ".conf", "a.conf~", "a.conf.dpkg-new",
	    "README", "conf", "aconf", "a.CONF"};

	write_text("main", "port = 80;\n");
	for (size_t i = 0; i < LENGTH(names); i++)
		write_dropin(names[i], "nonsense");
	config_free(load("main"));
	assert_string_equal(faults_taken(), "");
	write_dropin("a.conf", "nonsense");
	assert_null(load("main"));
	faults_taken();
}

TEST(a_file_of_the_folder_that_cannot_be_read_is_a_fault)
{
	write_text("main", "port = 80;\n");
	write_dropin("a.conf", "");
	assert_int_equal(mkdir(in_folder("main.d/b.conf"), 0700), 0);
	expect_load_fault("main", ".d/b.conf: Is a directory");
	rmdir(in_folder("main.d/b.conf"));
	assert_int_equal(symlink("missing", in_folder("main.d/b.conf")), 0);
	expect_load_fault("main", ".d/b.conf: No such file or directory");
	unlink(in_folder("main.d/b.conf"));
	file_write(in_folder("main.d/b.conf"), "x\0", 2);
	expect_load_fault("main", ".d/b.conf: holds a NUL byte, allowed is text");
	/* The way to switch one off. */
	unlink(in_folder("main.d/b.conf"));
	assert_int_equal(symlink("/dev/null", in_folder("main.d/b.conf")), 0);
	config_free(load("main"));
	assert_string_equal(faults_taken(), "");
}

TEST(a_folder_that_is_none_is_a_fault)
{
	write_text("main", "port = 80;\n");
	write_text("main.d", "");
	expect_load_fault("main", ".d: Not a directory");
}

TEST(a_hundred_files_pass_and_one_more_does_not)
{
	struct config *config;
	char name[32], text[32];

	write_text("main", "");
	for (int i = 1; i <= FILES_MAX; i++) {
		snprintf(name, sizeof(name), "%03d.conf", i);
		snprintf(text, sizeof(text), "port = %d;", i);
		write_dropin(name, text);
	}
	config = load("main");
	assert_string_equal(faults_taken(), "");
	assert_int_equal(config->port, FILES_MAX);
	config_free(config);
	write_dropin("more.conf", "");
	expect_load_fault("main", ".d: holds too many files named *.conf, allowed are 100");
}

TEST(a_pipe_is_no_file)
{
	assert_int_equal(mkfifo(in_folder("pipe"), 0600), 0);
	expect_load_fault(
	    "pipe", ": is a pipe, allowed is a file, which each reload can read again");
}

TEST(whether_the_file_itself_has_settings_is_known)
{
	struct config *config;

	write_text("main", "# port = 80;\n");
	write_dropin("a.conf", "port = 80;");
	config = load("main");
	assert_false(config->has_settings);
	config_free(config);
	write_text("main", "limits = { };\n");
	config = load("main");
	assert_true(config->has_settings);
	config_free(config);
}

/* Refuses each allocation of chatd's own in turn: a value or a fault, and nothing leaks. */
static unsigned long
refuse_each(struct config *(*make)(void))
{
	struct config *config = NULL;
	unsigned long refused = 0;

	for (; config == NULL; refused++) {
		seam_reset();
		seam_fail(SEAM_MEMORY, refused, 1, ENOMEM);
		config = make();
		if (config == NULL) {
			assert_int_equal(errno, ENOMEM);
			assert_non_null(strstr(faults_taken(), "Cannot allocate memory"));
		}
	}
	/* None was left to refuse. */
	assert_int_equal(seam_calls(SEAM_MEMORY), refused - 1);
	assert_string_equal(faults_taken(), "");
	config_free(config);
	return refused;
}

static struct config *
make_of_text(void)
{
	return config_parse("listen = [ \"127.0.0.1\", \"::1\" ]; allow = [ \"10.0.0.0/8\" ];"
			    "deny = [ \"10.0.0.1\" ];",
	    "FILE", 0, faults_take);
}

static struct config *
make_of_files(void)
{
	return load("main");
}

TEST(refused_memory_is_a_fault_like_any_other)
{
	assert_true(refuse_each(make_of_text) >= 5);
	write_text("main", "port = 80;\n");
	write_dropin("a.conf", "port = 81;");
	assert_true(refuse_each(make_of_files) >= 8);
}

TEST(a_fault_that_is_not_memory_says_so)
{
	write_text("main", "port = 0;\n");
	assert_null(load("main"));
	assert_int_equal(errno, EINVAL);
	assert_null(load("missing"));
	assert_int_equal(errno, EINVAL);
	faults_taken();
}

#define FILE_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    FILE_TEST(a_file_is_read_and_named_in_its_faults),
	    FILE_TEST(a_file_that_cannot_be_read_is_a_fault),
	    FILE_TEST(a_file_with_a_nul_byte_is_a_fault),
	    FILE_TEST(a_comment_may_end_the_file_without_a_newline),
	    FILE_TEST(a_comment_that_does_not_end_is_a_fault),
	    FILE_TEST(a_file_of_the_full_length_passes_and_one_byte_more_does_not),
	    FILE_TEST(files_of_the_folder_override_in_the_order_of_their_names),
	    FILE_TEST(groups_merge_setting_by_setting_and_lists_are_replaced),
	    FILE_TEST(the_port_of_any_file_counts_for_the_endpoints_of_any_other),
	    FILE_TEST(faults_name_the_file_of_the_folder_and_those_of_all_files_are_told),
	    FILE_TEST(what_is_hidden_or_not_named_conf_is_passed_over),
	    FILE_TEST(a_file_of_the_folder_that_cannot_be_read_is_a_fault),
	    FILE_TEST(a_folder_that_is_none_is_a_fault),
	    FILE_TEST(a_hundred_files_pass_and_one_more_does_not),
	    FILE_TEST(a_pipe_is_no_file),
	    FILE_TEST(whether_the_file_itself_has_settings_is_known),
	    FILE_TEST(refused_memory_is_a_fault_like_any_other),
	    FILE_TEST(a_fault_that_is_not_memory_says_so),
	};

	return cmocka_run_group_tests_name("config: its file", tests, NULL, NULL);
}
