#include "unit.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conf/config.h"
#include "faults.h"
#include "seam.h"

/* The endpoints as one string: "127.0.0.1:80 [::]:80(v6only) /run/chat". */
static const char *
endpoints(const struct config *config)
{
	static char all[4096];
	char text[ADDR_TEXT];

	all[0] = '\0';
	for (size_t i = 0; i < config->n_endpoints; i++) {
		strcat(all, i == 0 ? "" : " ");
		strcat(all, endpoint_format(&config->endpoints[i], text));
		strcat(all, config->endpoints[i].v6only ? "(v6only)" : "");
	}
	return all;
}

static void
expect_endpoints(const char *text, const char *want)
{
	struct config *config = config_of(text);

	assert_string_equal(endpoints(config), want);
	config_free(config);
}

static bool
allows(const struct config *config, const char *text)
{
	struct addr addr;

	assert_int_equal(addr_parse(&addr, text), 0);
	return access_allows(config->access, &addr);
}

static void
expect_defaults(const struct config *config)
{
	assert_int_equal(config->port, 9034);
	assert_string_equal(endpoints(config), "[::]:9034");
	assert_true(config->trace);
	assert_false(config->log_connections);
	assert_false(config->sanitize);
	assert_int_equal(config->limits.clients, 1000);
	assert_int_equal(config->limits.clients_per_address, 0);
	assert_int_equal(config->limits.line, 8192);
	assert_int_equal(config->limits.queue, 1048576);
	assert_int_equal(config->limits.stall, 30);
	assert_int_equal(config->limits.lag, 0);
	assert_int_equal(config->limits.idle, 0);
	assert_int_equal(config->limits.rate, 0);
	assert_false(config->chat);
	assert_int_equal(config->history, 0);
	assert_true(allows(config, "203.0.113.9"));
	assert_true(allows(config, "2001:db8::9"));
	assert_int_equal(config->unix_mode, 0660);
	assert_int_equal(config->unix_owner, (uid_t)-1);
	assert_int_equal(config->unix_group, (gid_t)-1);
}

TEST(an_empty_file_and_no_file_give_the_documented_defaults)
{
	struct config *empty = config_of(""), *none = config_load(NULL, 0, faults_take);

	expect_defaults(empty);
	assert_string_equal(empty->file, "FILE");
	assert_non_null(none);
	expect_defaults(none);
	assert_null(none->file);
	config_free(empty);
	config_free(none);
	config_free(NULL);
}

TEST(every_setting_is_read)
{
	struct config *config =
	    config_of("port = 4242;\n"
		      "listen = [ \"192.0.2.1\", \"/run/chat\" ];\n"
		      "trace = false;\n"
		      "log_connections = true;\n"
		      "sanitize = true;\n"
		      "limits = {\n"
		      "  clients = 5; clients_per_address = 2; line = 100;\n"
		      "  queue = 2000; stall = 3; lag = 90; idle = 60;\n"
		      "};\n"
		      "allow = [ \"10.0.0.0/8\" ];\n"
		      "deny = [ \"10.1.0.0/16\" ];\n"
		      "unix = { mode = \"0600\"; owner = \"4\"; group = 5; };\n");

	assert_int_equal(config->port, 4242);
	assert_string_equal(endpoints(config), "192.0.2.1:4242 /run/chat");
	assert_false(config->trace);
	assert_true(config->log_connections);
	assert_true(config->sanitize);
	assert_int_equal(config->limits.clients, 5);
	assert_int_equal(config->limits.clients_per_address, 2);
	assert_int_equal(config->limits.line, 100);
	assert_int_equal(config->limits.queue, 2000);
	assert_int_equal(config->limits.stall, 3);
	assert_int_equal(config->limits.lag, 90);
	assert_int_equal(config->limits.idle, 60);
	assert_true(allows(config, "10.0.0.1"));
	assert_false(allows(config, "10.1.0.1"));
	assert_false(allows(config, "11.0.0.1"));
	assert_int_equal(config->unix_mode, 0600);
	assert_int_equal(config->unix_owner, 4);
	assert_int_equal(config->unix_group, 5);
	config_free(config);
}

/* The port */

TEST(a_port_on_the_command_line_takes_the_place_of_the_files)
{
	struct config *both = config_parse(
	    "listen = [ \"::1\", \"[::1]:80\" ]; port = 4242;", "FILE", 7, faults_take);
	struct config *none = config_load(NULL, 7, faults_take);

	assert_int_equal(both->port, 7);
	assert_string_equal(endpoints(both), "[::1]:7 [::1]:80");
	assert_int_equal(none->port, 7);
	assert_string_equal(endpoints(none), "[::]:7");
	config_free(both);
	config_free(none);
}

TEST(the_port_counts_for_endpoints_that_stand_before_it)
{
	expect_endpoints("listen = \"127.0.0.1\"; port = 4242;", "127.0.0.1:4242");
	expect_endpoints("port = 4242; listen = \"127.0.0.1\";", "127.0.0.1:4242");
}

/* Numbers */

#define TIMES " or a string such as \"30s\", \"5m\" or \"2h\""

static const struct {
	const char *name;
	long long min, max;
	const char *unit, *sized;
	size_t field;
} numbers[] = {
    {"port", 1, 65535, "", "", offsetof(struct config, port)},
    {"clients", 1, 1048576, " clients", "", offsetof(struct config, limits.clients)},
    {"clients_per_address", 0, 1048576, " clients", "",
	offsetof(struct config, limits.clients_per_address)},
    {"line", 2, 1048576, " bytes", " or a string such as \"64K\"",
	offsetof(struct config, limits.line)},
    {"queue", 1024, 1073741824, " bytes", " or a string such as \"64K\"",
	offsetof(struct config, limits.queue)},
    {"stall", 1, 86400, " seconds", TIMES, offsetof(struct config, limits.stall)},
    {"lag", 0, 86400, " seconds", TIMES, offsetof(struct config, limits.lag)},
    {"idle", 0, 31536000, " seconds", TIMES, offsetof(struct config, limits.idle)},
};

/* The file with the i-th number set to value, and its name in a fault. */
static const char *
with_number(size_t i, const char *value, char name[64])
{
	static char text[256];

	if (i == 0) {
		snprintf(text, sizeof(text), "port = %s;", value);
		strcpy(name, "port");
	} else {
		snprintf(text, sizeof(text), "limits = { %s = %s; };", numbers[i].name, value);
		snprintf(name, 64, "limits.%s", numbers[i].name);
	}
	return text;
}

static void
expect_number(size_t i, const char *value, long long want)
{
	char name[64];
	struct config *config = config_of(with_number(i, value, name));

	assert_int_equal(*(uint32_t *)((char *)config + numbers[i].field), want);
	config_free(config);
}

static void
expect_out_of_range(size_t i, const char *written, long long value)
{
	char name[64], want[512];
	const char *text = with_number(i, written, name);

	snprintf(want, sizeof(want),
	    "FILE:1: %s: %lld is out of range, allowed is %lld to %lld%s\n", name, value,
	    numbers[i].min, numbers[i].max, numbers[i].unit);
	assert_string_equal(faults_of(text), want);
}

TEST(a_number_at_its_bounds_passes_and_one_past_them_does_not)
{
	for (size_t i = 0; i < LENGTH(numbers); i++) {
		long long values[] = {numbers[i].min, numbers[i].max, numbers[i].min - 1,
		    numbers[i].max + 1, -9034, INT32_MAX, INT32_MIN};
		char text[32];

		for (size_t k = 0; k < LENGTH(values); k++) {
			snprintf(text, sizeof(text), "%lld", values[k]);
			if (k < 2)
				expect_number(i, text, values[k]);
			else
				expect_out_of_range(i, text, values[k]);
		}
	}
}

TEST(a_number_too_large_for_32_bits_is_out_of_range)
{
	for (size_t i = 0; i < LENGTH(numbers); i++) {
		/* The low 32 bits of these are in range. */
		expect_out_of_range(i, "4294972416", 4294972416);
		expect_out_of_range(i, "4294972416L", 4294972416);
		expect_out_of_range(i, "0x100001400", 4294972416);
		expect_out_of_range(i, "-4294962176", -4294962176);
	}
}

/* libconfig before 1.7 would keep the low 32 bits. */
TEST(a_number_too_large_for_32_bits_is_found_wherever_it_stands)
{
	static const char *const texts[] = {
	    "limits = { clients_per_address = 5; clients = 4294967301; };",
	    "limits = { clients = 5; clients_per_address = 4294967301; };",
	    "limits : { clients : 4294967301, }",
	    "/* port */ port = 4294976330;",
	    "port = /* 9034 */ 4294976330;",
	    "port =\n4294976330;",
	    "port # the port\n = 4294976330;",
	    "trace = true; port=4294976330",
	    "port = 04294976330;",
	    "port = 0x10000234A;",
	    "port = -4294958262;",
	    "unix = { owner = 4294967296; };",
	    "unix = { group = 8589934592; };",
	};

	for (size_t i = 0; i < LENGTH(texts); i++) {
		struct config *config = config_parse(texts[i], "FILE", 0, faults_take);
		const char *faults = faults_taken();

		if (config != NULL)
			assert_string_equal(texts[i], "refused");
		assert_true(
		    strncmp(faults, "FILE:1: ", 8) == 0 || strncmp(faults, "FILE:2: ", 8) == 0);
	}
}

TEST(large_numbers_in_comments_and_strings_do_no_harm)
{
	struct config *config = config_of("# 4294976330\n"
					  "port = 9034; /* port = 4294976330; */ // 4294976330\n"
					  "listen = \"/run/\\\"4294976330\";\n");

	assert_int_equal(config->port, 9034);
	config_free(config);
}

TEST(a_number_is_written_in_decimal_or_hexadecimal)
{
	for (size_t i = 0; i < LENGTH(numbers); i++) {
		expect_number(i, "5120", 5120);
		expect_number(i, "0x1400", 5120);
		expect_number(i, "5120L", 5120);
		expect_number(i, "+5120", 5120);
	}
}

TEST(a_number_of_a_wrong_type_is_refused)
{
	static const char *const cases[][2] = {{"true", "a truth value"},
	    {"1.5", "a number with a fraction"}, {"[ 1 ]", "a list"}, {"( )", "a list"},
	    {"{ }", "a group"}, {"\"10\"", "a string"}};

	for (size_t i = 0; i < LENGTH(numbers); i++)
		for (size_t k = 0; k < LENGTH(cases); k++) {
			char name[64], want[512];
			const char *text = with_number(i, cases[k][0], name);

			/* A string is in order where bytes or seconds are counted. */
			if (k == LENGTH(cases) - 1 && numbers[i].sized[0] != '\0')
				continue;
			snprintf(want, sizeof(want),
			    "FILE:1: %s: is %s, allowed is a whole number from %lld to %lld%s\n",
			    name, cases[k][1], numbers[i].min, numbers[i].max, numbers[i].sized);
			assert_string_equal(faults_of(text), want);
		}
}

TEST(a_size_may_bear_a_unit)
{
	static const struct {
		const char *text;
		long long want;
	} cases[] = {{"\"5120\"", 5120}, {"\"5K\"", 5120}, {"\"5k\"", 5120}, {"\"1M\"", 1048576},
	    {"\"1m\"", 1048576}, {"\"1024K\"", 1048576}};

	for (size_t i = 3; i <= 4; i++)
		for (size_t k = 0; k < LENGTH(cases); k++)
			expect_number(i, cases[k].text, cases[k].want);
	expect_number(4, "\"1G\"", 1073741824);
	expect_out_of_range(3, "\"1025K\"", 1049600);
	expect_out_of_range(4, "\"2G\"", 2147483648);
	expect_out_of_range(3, "\"1\"", 1);
}

TEST(whatever_is_no_size_is_refused)
{
	static const char *const texts[] = {"", "K", "x", "-1", "+1", " 1", "1 ", "1.5K", "64Kx",
	    "64KK", "64KB", "0x40", "0100", "010K", "00", "1T", "1E", "1e3", "64 K",
	    "99999999999999999999", "18446744073709551616K"};

	for (size_t i = 0; i < LENGTH(texts); i++) {
		char text[128], want[512];
		const char *faults;

		snprintf(text, sizeof(text), "limits = { line = \"%s\"; };", texts[i]);
		snprintf(want, sizeof(want),
		    "FILE:1: limits.line: \"%s\" is no size, allowed is a number from 2 to "
		    "1048576 or a string such as \"64K\"\n",
		    texts[i]);
		faults = faults_of(text);
		/* Digits without end are a size, but one out of range. */
		if (strstr(faults, "is out of range") == NULL)
			assert_string_equal(faults, want);
		else
			assert_true(strlen(texts[i]) > 19);
	}
}

/* Truth values */

TEST(a_truth_value_is_true_or_false_and_nothing_else)
{
	static const char *const names[] = {"trace", "log_connections", "sanitize"};
	static const char *const cases[][2] = {{"1", "a whole number"}, {"\"true\"", "a string"},
	    {"[ true ]", "a list"}, {"{ }", "a group"}, {"1.0", "a number with a fraction"}};

	for (size_t i = 0; i < LENGTH(names); i++)
		for (size_t k = 0; k < LENGTH(cases); k++) {
			char text[64], want[128];

			snprintf(text, sizeof(text), "%s = %s;", names[i], cases[k][0]);
			snprintf(want, sizeof(want),
			    "FILE:1: %s: is %s, allowed are true and false\n", names[i],
			    cases[k][1]);
			assert_string_equal(faults_of(text), want);
		}
}

TEST(a_mode_is_lines_or_chat)
{
	struct config *lines = config_of("mode = \"lines\";"),
		      *chat = config_of("mode = \"chat\";");

	assert_false(lines->chat);
	assert_true(chat->chat);
	config_free(lines);
	config_free(chat);
	assert_string_equal(faults_of("mode = \"Chat\";"),
	    "FILE:1: mode: \"Chat\" is no mode, allowed are \"lines\" and \"chat\"\n");
	assert_string_equal(faults_of("mode = true;"),
	    "FILE:1: mode: a truth value is no mode, allowed are \"lines\" and \"chat\"\n");
}

TEST(a_history_is_for_mode_chat_and_a_quarter_of_the_queue_at_most)
{
	struct config *config =
	    config_of("history = \"1K\"; limits = { queue = 4096; }; mode = \"chat\";");

	assert_int_equal(config->history, 1024);
	config_free(config);
	config_free(config_of("history = 0;"));
	assert_string_equal(faults_of("\nhistory = 1;"),
	    "FILE:2: history: 1 is for mode = \"chat\", allowed in mode \"lines\" is 0\n");
	assert_string_equal(
	    faults_of("mode = \"chat\"; limits = { queue = 4099; };\nhistory = 1025;"),
	    "FILE:2: history: 1025 is out of range, allowed is a quarter of limits.queue: 0 to 1024"
	    " bytes\n");
	assert_string_equal(faults_of("mode = \"chat\"; history = 268435457;"),
	    "FILE:1: history: 268435457 is out of range, allowed is 0 to 268435456 bytes\n");
}

TEST(a_rate_has_its_limit)
{
	struct config *config = config_of("limits = { rate = \"1G\"; };");

	assert_int_equal(config->limits.rate, 1073741824);
	config_free(config);
	assert_string_equal(faults_of("limits = { rate = 1073741825; };"),
	    "FILE:1: limits.rate: 1073741825 is out of range, allowed is 0 to 1073741824 bytes\n");
}

/* Groups */

TEST(an_unknown_setting_is_refused_and_the_known_ones_are_named)
{
	assert_string_equal(faults_of("\nprot = 80;\n"),
	    "FILE:2: prot: unknown setting, allowed here are port, listen, mode, history, trace, "
	    "log_connections, sanitize, limits, allow, deny, tls, unix, cluster\n");
	assert_string_equal(faults_of("limits = {\n  client = 80;\n};\n"),
	    "FILE:2: limits.client: unknown setting, allowed here are clients, "
	    "clients_per_address, line, queue, stall, lag, idle, rate, handshake\n");
	assert_string_equal(faults_of("unix = { mod = \"0600\"; };\n"),
	    "FILE:1: unix.mod: unknown setting, allowed here are mode, owner, group\n");
	/* Upper and lower case are not the same. */
	assert_string_equal(faults_of("Port = 80;"),
	    "FILE:1: Port: unknown setting, allowed here are port, listen, mode, history, trace, "
	    "log_connections, sanitize, limits, allow, deny, tls, unix, cluster\n");
}

TEST(a_group_that_is_none_is_refused)
{
	static const char *const names[] = {"limits", "unix"};

	for (size_t i = 0; i < LENGTH(names); i++) {
		char text[64], want[128];

		snprintf(text, sizeof(text), "%s = 5;", names[i]);
		snprintf(want, sizeof(want),
		    "FILE:1: %s: is a whole number, allowed is a group: { ... }\n", names[i]);
		assert_string_equal(faults_of(text), want);
		snprintf(text, sizeof(text), "%s = { };", names[i]);
		config_free(config_of(text));
	}
}

TEST(settings_that_are_left_out_of_a_group_keep_their_defaults)
{
	struct config *config = config_of("limits = { line = 100; };");

	assert_int_equal(config->limits.line, 100);
	assert_int_equal(config->limits.clients, 1000);
	assert_int_equal(config->limits.stall, 30);
	config_free(config);
}

/* Access */

#define NETWORK_FORMS                                                                   \
	"allowed are addresses and networks such as \"192.0.2.1\", \"10.0.0.0/8\" and " \
	"\"fc00::/7\"\n"

TEST(networks_are_read_from_a_list_or_a_string)
{
	struct config *config = config_of("allow = \"10.0.0.0/8\"; deny = ( \"10.0.0.1\", "
					  "\"10.0.0.2\" );");

	assert_true(allows(config, "10.0.0.3"));
	assert_false(allows(config, "10.0.0.1"));
	assert_false(allows(config, "10.0.0.2"));
	config_free(config);
}

TEST(a_bad_network_is_refused_with_its_line)
{
	assert_string_equal(faults_of("allow = [ \"10.0.0.0/8\",\n"
				      "          \"10.0.0.0/33\",\n"
				      "          \"everyone\" ];\n"
				      "deny = \"::/129\";\n"
				      "deny2 = 1;"),
	    "FILE:2: allow: \"10.0.0.0/33\" is no network, " NETWORK_FORMS
	    "FILE:3: allow: \"everyone\" is no network, " NETWORK_FORMS
	    "FILE:4: deny: \"::/129\" is no network, " NETWORK_FORMS
	    "FILE:5: deny2: unknown setting, allowed here are port, listen, mode, history, trace, "
	    "log_connections, sanitize, limits, allow, deny, tls, unix, cluster\n");
	assert_string_equal(faults_of("allow = ( 10, \"::\" );"),
	    "FILE:1: allow: is a whole number, " NETWORK_FORMS);
	assert_string_equal(
	    faults_of("deny = true;"), "FILE:1: deny: is a truth value, " NETWORK_FORMS);
}

TEST(nobody_allowed_is_a_mistake_and_nobody_denied_is_none)
{
	struct config *config = config_of("deny = [ ];");

	assert_true(allows(config, "192.0.2.1"));
	config_free(config);
	assert_string_equal(faults_of("allow = [ ];"),
	    "FILE:1: allow: is empty, so nobody could come in; " NETWORK_FORMS);
}

static void
expect_warning(const char *text, const char *want)
{
	struct config *config = config_parse(text, "FILE", 0, faults_take);

	assert_non_null(config);
	assert_string_equal(faults_taken(), want);
	config_free(config);
}

TEST(bits_past_a_prefix_are_doubted_and_not_looked_at)
{
	expect_warning("allow = [ \"10.0.0.1/8\",\n \"10.0.0.0/8\", \"10.0.0.1\" ];",
	    "FILE:1: allow: warning: \"10.0.0.1/8\" has bits past its prefix, it means "
	    "10.0.0.0/8\n");
	expect_warning("deny = \"2001:db8::1/64\";",
	    "FILE:1: deny: warning: \"2001:db8::1/64\" has bits past its prefix, it means "
	    "2001:db8::/64\n");
	expect_warning("deny = \"::ffff:10.0.0.1/104\";",
	    "FILE:1: deny: warning: \"::ffff:10.0.0.1/104\" has bits past its prefix, it means "
	    "10.0.0.0/8\n");
}

TEST(a_ca_that_is_not_read_is_doubted_unless_that_is_said)
{
	expect_warning("tls = {\n  ca = \"/ca\"; };",
	    "FILE:2: tls.ca: warning: is not read, and no client is asked for a certificate, "
	    "unless tls.clients is \"optional\" or \"required\"\n");
	config_free(config_of("tls = { ca = \"/ca\"; clients = \"any\"; };"));
	config_free(config_of("tls = { ca = \"/ca\"; clients = \"optional\"; };"));
	config_free(config_of("tls = { ca = \"/ca\"; clients = \"required\"; };"));
}

/* Unix sockets */

TEST(a_mode_is_a_string_of_octal_digits)
{
	static const struct {
		const char *text;
		mode_t want;
	} good[] = {{"0", 0}, {"0000", 0}, {"7", 7}, {"660", 0660}, {"0666", 0666}, {"777", 0777},
	    {"0777", 0777}};
	static const char *const bad[] = {"\"\"", "\"1000\"", "\"1777\"", "\"00660\"", "\"0680\"",
	    "\"rw\"", "\"-1\"", "\" 660\"", "\"660 \"", "\"0x1b\"", "660", "0660", "true", "[ ]"};

	for (size_t i = 0; i < LENGTH(good); i++) {
		struct config *config;
		char text[64];

		snprintf(text, sizeof(text), "unix = { mode = \"%s\"; };", good[i].text);
		config = config_of(text);
		assert_int_equal(config->unix_mode, good[i].want);
		config_free(config);
	}
	for (size_t i = 0; i < LENGTH(bad); i++) {
		char text[64];

		snprintf(text, sizeof(text), "unix = { mode = %s; };", bad[i]);
		assert_non_null(strstr(faults_of(text),
		    " is no mode, allowed is a string of octal digits, \"0000\" to \"0777\"\n"));
	}
}

TEST(an_owner_and_a_group_go_by_name_or_number)
{
	struct config *config = config_of("unix = { owner = \"nobody\"; group = \"root\"; };");

	assert_int_equal(config->unix_owner, getpwnam("nobody")->pw_uid);
	assert_int_equal(config->unix_group, 0);
	config_free(config);
	config = config_of("unix = { owner = 0; group = \"4294967294\"; };");
	assert_int_equal(config->unix_owner, 0);
	assert_int_equal(config->unix_group, 4294967294);
	config_free(config);
	config = config_of("unix = { owner = 4294967294L; };");
	assert_int_equal(config->unix_owner, 4294967294);
	config_free(config);
}

TEST(an_unknown_owner_or_group_is_refused)
{
	static const char *const bad[] = {"\"no-such-name\"", "\"\"", "\"-1\"", "\"4294967295\"",
	    "4294967295L", "-1", "true", "1.5", "[ ]", "{ }"};

	for (size_t i = 0; i < LENGTH(bad); i++) {
		char text[64];

		snprintf(text, sizeof(text), "unix = { owner = %s; };", bad[i]);
		assert_non_null(
		    strstr(faults_of(text), " is no user, allowed is a user's name or number\n"));
		snprintf(text, sizeof(text), "unix = { group = %s; };", bad[i]);
		assert_non_null(
		    strstr(faults_of(text), " is no group, allowed is a group's name or number\n"));
	}
}

/* Faults and files */

#define LISTEN_FORMS                                                                     \
	"allowed are \"address\", \"address:port\", \"[v6]:port\", \"localhost:port\", " \
	"each also with \"tls://\" in front, and \"/path\" of a unix socket\n"

TEST(several_faults_are_told_in_one_run_in_the_order_of_the_file)
{
	assert_string_equal(faults_of("port = 0;\n"
				      "trace = 1;\n"
				      "limits = {\n"
				      "  line = 1;\n"
				      "  nonsense = 2;\n"
				      "};\n"
				      "listen = \"nowhere\";\n"),
	    "FILE:1: port: 0 is out of range, allowed is 1 to 65535\n"
	    "FILE:2: trace: is a whole number, allowed are true and false\n"
	    "FILE:4: limits.line: 1 is out of range, allowed is 2 to 1048576 bytes\n"
	    "FILE:5: limits.nonsense: unknown setting, allowed here are clients, "
	    "clients_per_address, line, queue, stall, lag, idle, rate, handshake\n"
	    "FILE:7: listen: \"nowhere\" is no address to listen on, " LISTEN_FORMS);
}

TEST(a_fault_of_syntax_is_told_with_its_line)
{
	assert_string_equal(faults_of("port = 80;\ntrace false;\n"),
	    "FILE:2: syntax error here or before, allowed is name = value;\n");
	assert_string_equal(faults_of("limits = {\n"),
	    "FILE:2: syntax error here or before, allowed is name = value;\n");
	assert_string_equal(
	    faults_of("port = 80;\n\nport = 81;\n"), "FILE:3: port: is there already, in line 1\n");
}

TEST(comments_are_passed_over)
{
	struct config *config = config_of("# port = 1;\n"
					  "// port = 2;\n"
					  "/* port = 3;\n"
					  "*/ port = 4; # port = 5;\n");

	assert_int_equal(config->port, 4);
	config_free(config);
}

TEST(a_very_long_text_in_a_fault_does_no_harm)
{
	static char text[100000], want[64];
	const char *faults;

	memset(text, 'x', sizeof(text) - 1);
	memcpy(text, "listen = \"", 10);
	strcpy(text + sizeof(text) - 3, "\";");
	faults = faults_of(text);
	strcpy(want, "FILE:1: listen: \"xxxx");
	assert_memory_equal(faults, want, strlen(want));
	assert_true(strlen(faults) < 4096);
	/* And a name as long. */
	memset(text, 'n', sizeof(text) - 1);
	strcpy(text + sizeof(text) - 5, "= 1;");
	faults = faults_of(text);
	assert_memory_equal(faults, "FILE:1: nnnn", 12);
	assert_true(strlen(faults) < 4096);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(an_empty_file_and_no_file_give_the_documented_defaults),
	    cmocka_unit_test(every_setting_is_read),
	    cmocka_unit_test(a_port_on_the_command_line_takes_the_place_of_the_files),
	    cmocka_unit_test(the_port_counts_for_endpoints_that_stand_before_it),
	    cmocka_unit_test(bits_past_a_prefix_are_doubted_and_not_looked_at),
	    cmocka_unit_test(a_ca_that_is_not_read_is_doubted_unless_that_is_said),
	    cmocka_unit_test(a_number_at_its_bounds_passes_and_one_past_them_does_not),
	    cmocka_unit_test(a_number_too_large_for_32_bits_is_out_of_range),
	    cmocka_unit_test(a_number_too_large_for_32_bits_is_found_wherever_it_stands),
	    cmocka_unit_test(large_numbers_in_comments_and_strings_do_no_harm),
	    cmocka_unit_test(a_number_is_written_in_decimal_or_hexadecimal),
	    cmocka_unit_test(a_number_of_a_wrong_type_is_refused),
	    cmocka_unit_test(a_size_may_bear_a_unit),
	    cmocka_unit_test(whatever_is_no_size_is_refused),
	    cmocka_unit_test(a_truth_value_is_true_or_false_and_nothing_else),
	    cmocka_unit_test(a_mode_is_lines_or_chat),
	    cmocka_unit_test(a_history_is_for_mode_chat_and_a_quarter_of_the_queue_at_most),
	    cmocka_unit_test(a_rate_has_its_limit),
	    cmocka_unit_test(an_unknown_setting_is_refused_and_the_known_ones_are_named),
	    cmocka_unit_test(a_group_that_is_none_is_refused),
	    cmocka_unit_test(settings_that_are_left_out_of_a_group_keep_their_defaults),
	    cmocka_unit_test(networks_are_read_from_a_list_or_a_string),
	    cmocka_unit_test(a_bad_network_is_refused_with_its_line),
	    cmocka_unit_test(nobody_allowed_is_a_mistake_and_nobody_denied_is_none),
	    cmocka_unit_test(a_mode_is_a_string_of_octal_digits),
	    cmocka_unit_test(an_owner_and_a_group_go_by_name_or_number),
	    cmocka_unit_test(an_unknown_owner_or_group_is_refused),
	    cmocka_unit_test(several_faults_are_told_in_one_run_in_the_order_of_the_file),
	    cmocka_unit_test(a_fault_of_syntax_is_told_with_its_line),
	    cmocka_unit_test(comments_are_passed_over),
	    cmocka_unit_test(a_very_long_text_in_a_fault_does_no_harm),
	};

	return cmocka_run_group_tests_name("config", tests, NULL, NULL);
}
