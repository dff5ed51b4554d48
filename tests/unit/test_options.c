#include "unit.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "build.h"
#include "conf/options.h"

static int
setup(void **state)
{
	(void)state;
	catch_start(STDOUT_FILENO);
	catch_start(STDERR_FILENO);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	catch_end(STDERR_FILENO);
	catch_end(STDOUT_FILENO);
	return 0;
}

static struct options options;

/* Parses "chatd" and up to four arguments; NULL ends them. */
static enum options_outcome
parse(const char *a, const char *b, const char *c, const char *d)
{
	char *argv[6] = {(char[]){"chatd"}};
	char copies[4][256];
	const char *given[] = {a, b, c, d};
	int argc = 1;
	enum options_outcome outcome;

	for (; argc < 5 && given[argc - 1] != NULL; argc++) {
		snprintf(copies[argc - 1], sizeof(copies[0]), "%s", given[argc - 1]);
		argv[argc] = copies[argc - 1];
	}
	optind = 0; /* getopt starts anew */
	outcome = options_parse(&options, argc, argv);
	/* The file's name is one of the arguments, or a constant. */
	for (int i = 1; i < argc; i++)
		if (options.file == copies[i - 1])
			options.file = given[i - 1];
	fflush(stdout);
	return outcome;
}

static void
expect(const char *file, uint16_t port, bool check)
{
	if (file == NULL)
		assert_null(options.file);
	else
		assert_string_equal(options.file, file);
	assert_int_equal(options.port, port);
	assert_int_equal(options.check, check);
	assert_string_equal(caught(STDOUT_FILENO), "");
	assert_string_equal(caught(STDERR_FILENO), "");
}

#define USAGE                                       \
	"usage: chatd [-c FILE] [-t | -T] [PORT]\n" \
	"       chatd -h | -V\n"

TEST(alone_it_reads_the_installed_file)
{
	assert_int_equal(parse(NULL, NULL, NULL, NULL), OPTIONS_SERVE);
	expect(CHATD_CONF, 0, false);
}

TEST(a_port_alone_reads_no_file)
{
	assert_int_equal(parse("9034", NULL, NULL, NULL), OPTIONS_SERVE);
	expect(NULL, 9034, false);
}

TEST(a_file_takes_the_place_of_the_installed_one)
{
	assert_int_equal(parse("-c", "other.conf", NULL, NULL), OPTIONS_SERVE);
	expect("other.conf", 0, false);
}

TEST(a_port_beside_a_file_is_both)
{
	assert_int_equal(parse("-c", "other.conf", "80", NULL), OPTIONS_SERVE);
	expect("other.conf", 80, false);
	assert_int_equal(parse("80", "-c", "other.conf", NULL), OPTIONS_SERVE);
	expect("other.conf", 80, false);
}

TEST(checking_is_about_a_file_whatever_the_port)
{
	assert_int_equal(parse("-t", NULL, NULL, NULL), OPTIONS_SERVE);
	expect(CHATD_CONF, 0, true);
	assert_int_equal(parse("-t", "80", NULL, NULL), OPTIONS_SERVE);
	expect(CHATD_CONF, 80, true);
	assert_int_equal(parse("-t", "-c", "other.conf", "80"), OPTIONS_SERVE);
	expect("other.conf", 80, true);
}

TEST(printing_is_checking_and_more)
{
	assert_int_equal(parse("-T", NULL, NULL, NULL), OPTIONS_SERVE);
	assert_true(options.print);
	expect(CHATD_CONF, 0, true);
	assert_int_equal(parse("-tT", "-c", "other.conf", "80"), OPTIONS_SERVE);
	assert_true(options.print);
	expect("other.conf", 80, true);
	assert_int_equal(parse("-t", NULL, NULL, NULL), OPTIONS_SERVE);
	assert_false(options.print);
}

TEST(the_first_and_the_last_port_pass_and_those_beside_them_do_not)
{
	static const char *const cases[][2] = {{"0", "too small"}, {"65536", "too large"},
	    {"-1", NULL}, {"99999999999999999999", "too large"}, {"", "invalid"},
	    {"http", "invalid"}, {"80x", "invalid"}, {"8 0", "invalid"}, {"0x50", "invalid"},
	    {"80.5", "invalid"}};

	assert_int_equal(parse("1", NULL, NULL, NULL), OPTIONS_SERVE);
	expect(NULL, 1, false);
	assert_int_equal(parse("65535", NULL, NULL, NULL), OPTIONS_SERVE);
	expect(NULL, 65535, false);
	for (size_t i = 0; i < LENGTH(cases); i++) {
		char want[128];

		assert_int_equal(parse(cases[i][0], NULL, NULL, NULL), OPTIONS_BAD);
		if (cases[i][1] == NULL) {
			/* getopt takes it for an option. */
			assert_non_null(strstr(caught(STDERR_FILENO), USAGE));
			continue;
		}
		snprintf(want, sizeof(want), "chatd: port \"%s\" is %s, allowed is 1 to 65535\n",
		    cases[i][0], cases[i][1]);
		assert_string_equal(caught(STDERR_FILENO), want);
	}
	assert_string_equal(caught(STDOUT_FILENO), "");
}

TEST(a_wrong_command_line_shows_the_usage_on_standard_error)
{
	static const char *const cases[][4] = {
	    {"-x"}, {"-c"}, {"80", "81"}, {"-c", "a", "80", "81"}, {"--port"}};

	for (size_t i = 0; i < LENGTH(cases); i++) {
		const char *const *c = cases[i];
		const char *text;

		assert_int_equal(parse(c[0], c[1], c[2], c[3]), OPTIONS_BAD);
		text = caught(STDERR_FILENO);
		assert_true(strlen(text) >= strlen(USAGE));
		assert_string_equal(text + strlen(text) - strlen(USAGE), USAGE);
		assert_string_equal(caught(STDOUT_FILENO), "");
	}
}

TEST(help_goes_to_standard_output_and_begins_with_the_usage)
{
	const char *text;

	assert_int_equal(parse("-h", NULL, NULL, NULL), OPTIONS_DONE);
	text = caught(STDOUT_FILENO);
	assert_memory_equal(text, USAGE, strlen(USAGE));
	assert_non_null(strstr(text, CHATD_CONF));
	assert_int_equal(text[strlen(text) - 1], '\n');
	assert_string_equal(caught(STDERR_FILENO), "");
}

TEST(the_version_is_one_line_on_standard_output)
{
	assert_int_equal(parse("-V", NULL, NULL, NULL), OPTIONS_DONE);
	assert_string_equal(caught(STDOUT_FILENO), "chatd " CHATD_VERSION " " CHATD_FEATURES "\n");
	assert_string_equal(caught(STDERR_FILENO), "");
}

TEST(an_answer_that_cannot_be_written_is_a_failure)
{
	int full = open("/dev/full", O_WRONLY | O_CLOEXEC);

	dup2(full, STDOUT_FILENO);
	close(full);
	assert_int_equal(parse("-V", NULL, NULL, NULL), OPTIONS_BAD);
	assert_string_equal(caught(STDERR_FILENO), "standard output: No space left on device\n");
}

#define OPTIONS_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    OPTIONS_TEST(alone_it_reads_the_installed_file),
	    OPTIONS_TEST(a_port_alone_reads_no_file),
	    OPTIONS_TEST(a_file_takes_the_place_of_the_installed_one),
	    OPTIONS_TEST(a_port_beside_a_file_is_both),
	    OPTIONS_TEST(checking_is_about_a_file_whatever_the_port),
	    OPTIONS_TEST(printing_is_checking_and_more),
	    OPTIONS_TEST(the_first_and_the_last_port_pass_and_those_beside_them_do_not),
	    OPTIONS_TEST(a_wrong_command_line_shows_the_usage_on_standard_error),
	    OPTIONS_TEST(help_goes_to_standard_output_and_begins_with_the_usage),
	    OPTIONS_TEST(the_version_is_one_line_on_standard_output),
	    OPTIONS_TEST(an_answer_that_cannot_be_written_is_a_failure),
	};

	return cmocka_run_group_tests_name("options", tests, NULL, NULL);
}
