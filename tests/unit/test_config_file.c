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
	static char text[SETTING_FILE_MAX + 1];
	struct config *config;

	memset(text, '\n', sizeof(text));
	memcpy(text, "port = 4242;", 12);
	file_write(in_folder("full"), text, SETTING_FILE_MAX);
	config = load("full");
	assert_string_equal(faults_taken(), "");
	assert_int_equal(config->port, 4242);
	config_free(config);
	file_write(in_folder("full"), text, SETTING_FILE_MAX + 1);
	expect_load_fault("full", ": is too long, allowed are 1048576 bytes");
}

TEST(an_included_file_is_looked_for_beside_the_file_that_names_it)
{
	struct config *config;

	write_text("main", "port = 80;\n@include \"part\"\ntrace = false;\n");
	write_text("part", "limits = { line = 100; };\n");
	config = load("main");
	assert_string_equal(faults_taken(), "");
	assert_int_equal(config->port, 80);
	assert_int_equal(config->limits.line, 100);
	assert_false(config->trace);
	config_free(config);
}

TEST(an_included_file_may_be_named_by_its_whole_path)
{
	struct config *config;
	char text[256];

	snprintf(text, sizeof(text), "@include \"%s\"\n", in_folder("part"));
	write_text("main", text);
	write_text("part", "port = 80;\n");
	config = load("main");
	assert_string_equal(faults_taken(), "");
	assert_int_equal(config->port, 80);
	config_free(config);
}

/* The included file goes by its path, or, with libconfig before 1.7, by the name it is included by.
 */
static void
expect_part_fault(const char *faults, const char *want)
{
	size_t folder = strlen(in_folder(""));

	if (strncmp(faults, in_folder(""), folder) == 0)
		faults += folder;
	assert_memory_equal(faults, want, strlen(want));
}

TEST(faults_of_an_included_file_name_that_file_and_its_line)
{
	const char *faults, *line;

	write_text("main", "port = 0;\n@include \"part\"\ntrace = 1;\n");
	write_text("part", "\nlimits = {\n  line = 1;\n};\n");
	assert_null(load("main"));
	faults = faults_taken();
	expect_part_fault(faults, "main:1: port: 0 is out of range, allowed is 1 to 65535\n");
	line = strchr(faults, '\n') + 1;
	expect_part_fault(
	    line, "part:3: limits.line: 1 is out of range, allowed is 2 to 1048576 bytes\n");
	line = strchr(line, '\n') + 1;
	expect_part_fault(line, "main:3: trace: is a whole number, allowed are true and false\n");
}

TEST(a_fault_of_syntax_in_an_included_file_names_that_file)
{
	write_text("main", "@include \"part\"\n");
	write_text("part", "\n\nport = = 3;\n");
	assert_null(load("main"));
	expect_part_fault(
	    faults_taken(), "part:3: syntax error here or before, allowed is name = value;\n");
}

/* libconfig before 1.7 would end the process. */
TEST(a_comment_that_does_not_end_in_an_included_file_is_a_fault_of_that_file)
{
	write_text("main", "@include \"part\"\nport = 4242; /* x */\n");
	write_text("part", "trace = false;\n/* x\n");
	assert_null(load("main"));
	expect_part_fault(
	    faults_taken(), "part:2: a comment that does not end, allowed is /* ... */\n");
}

TEST(a_folder_in_the_place_of_an_included_file_is_a_fault)
{
	write_text("main", "port = 80;\n@include \"folder\"\n");
	assert_int_equal(mkdir(in_folder("folder"), 0700), 0);
	expect_load_fault("main", ":2: @include \"folder\" names no file");
	/* Also where an included file names it. */
	write_text("main", "@include \"part\"\n");
	write_text("part", "\n\n@include \"folder\"\n");
	assert_null(load("main"));
	expect_part_fault(faults_taken(), "part:3: @include \"folder\" names no file\n");
}

TEST(an_included_file_that_is_missing_is_a_fault_of_the_line)
{
	const char *faults;

	write_text("main", "port = 80;\n@include \"missing\"\n");
	assert_null(load("main"));
	faults = faults_taken();
	expect_part_fault(faults, "main:2: ");
	/* One fault, one line. */
	assert_ptr_equal(strchr(faults, '\n'), faults + strlen(faults) - 1);
}

TEST(a_file_that_includes_itself_is_a_fault)
{
	write_text("main", "@include \"main\"\n");
	assert_null(load("main"));
	assert_string_not_equal(faults_taken(), "");
}

/* Ten to the tenth ways to the end: a walk through all of them would outlast any time-out. */
TEST(a_file_that_includes_itself_many_times_is_refused_like_one_that_does_so_once)
{
	char text[256] = "";

	for (int i = 0; i < 10; i++)
		strcat(text, "@include \"main\"\n");
	write_text("main", text);
	assert_null(load("main"));
	assert_string_not_equal(faults_taken(), "");
}

TEST(a_number_too_large_for_32_bits_is_found_in_an_included_file_too)
{
	write_text("main", "@include \"part\"\n");
	write_text("part", "port = 4294976330;\n");
	assert_null(load("main"));
	expect_part_fault(
	    faults_taken(), "part:1: port: 4294976330 is out of range, allowed is 1 to 65535\n");
}

/* Each allocation of chatd's own is refused in turn: a value or a fault, and nothing leaks. */
TEST(refused_memory_is_a_fault_like_any_other)
{
	static const char text[] =
	    "listen = [ \"127.0.0.1\", \"::1\" ]; allow = [ \"10.0.0.0/8\" ];"
	    "deny = [ \"10.0.0.1\" ];";
	unsigned long refused = 0;

	for (;; refused++) {
		struct config *config;

		seam_reset();
		seam_fail(SEAM_MEMORY, refused, 1, ENOMEM);
		config = config_parse(text, "FILE", 0, faults_take);
		if (config != NULL) {
			/* None was left to refuse. */
			assert_int_equal(seam_calls(SEAM_MEMORY), refused);
			assert_string_equal(faults_taken(), "");
			config_free(config);
			break;
		}
		assert_non_null(strstr(faults_taken(), "Cannot allocate memory"));
	}
	assert_true(refused >= 5);
	seam_reset();
	seam_fail(SEAM_MEMORY, 0, 1, ENOMEM);
	file_write(in_folder("good"), "", 0);
	expect_load_fault("good", ": Cannot allocate memory");
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
	    FILE_TEST(an_included_file_is_looked_for_beside_the_file_that_names_it),
	    FILE_TEST(an_included_file_may_be_named_by_its_whole_path),
	    FILE_TEST(faults_of_an_included_file_name_that_file_and_its_line),
	    FILE_TEST(a_fault_of_syntax_in_an_included_file_names_that_file),
	    FILE_TEST(a_comment_that_does_not_end_in_an_included_file_is_a_fault_of_that_file),
	    FILE_TEST(a_folder_in_the_place_of_an_included_file_is_a_fault),
	    FILE_TEST(an_included_file_that_is_missing_is_a_fault_of_the_line),
	    FILE_TEST(a_file_that_includes_itself_is_a_fault),
	    FILE_TEST(a_file_that_includes_itself_many_times_is_refused_like_one_that_does_so_once),
	    FILE_TEST(a_number_too_large_for_32_bits_is_found_in_an_included_file_too),
	    FILE_TEST(refused_memory_is_a_fault_like_any_other),
	};

	return cmocka_run_group_tests_name("config: its file", tests, NULL, NULL);
}
