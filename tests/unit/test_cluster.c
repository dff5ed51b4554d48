#include "unit.h"

#include <stdio.h>
#include <string.h>

#include "conf/config.h"
#include "conf/print.h"
#include "faults.h"

#define ENGINE "engine = \"127.0.0.1\"; "

static const char *
faults_of_cluster(const char *group)
{
	static char text[65536];

	snprintf(text, sizeof(text), "cluster = { %s};\n", group);
	return faults_of(text);
}

static struct config *
config_of_cluster(const char *group)
{
	static char text[65536];

	snprintf(text, sizeof(text), "cluster = { %s};\n", group);
	return config_of(text);
}

TEST(by_default_there_is_no_cluster)
{
	struct config *config = config_of("");

	assert_false(cluster_is_set(&config->cluster));
	config_free(config);
}

TEST(every_setting_is_read)
{
	struct config *config = config_of_cluster(
	    "engine = [ \"10.0.0.5:7\", \"[fc00::1]\", \"/run/redis.sock\" ];\n"
	    "stream = \"room\"; keep = 99; user = \"u\"; password_file = \"/p\";\n"
	    "tls = { ca = \"/ca\"; name = \"redis.example\"; certificate = \"/c\"; key = \"/k\"; "
	    "};");
	const struct cluster *cluster = &config->cluster;
	char text[ADDR_TEXT];

	assert_int_equal(cluster->count, 3);
	assert_string_equal(endpoint_format(&cluster->engines[0], text), "10.0.0.5:7");
	assert_string_equal(endpoint_format(&cluster->engines[1], text), "[fc00::1]:6379");
	assert_string_equal(endpoint_format(&cluster->engines[2], text), "/run/redis.sock");
	assert_string_equal(cluster->stream, "room");
	assert_int_equal(cluster->keep, 99);
	assert_string_equal(cluster->user, "u");
	assert_string_equal(cluster->password.path, "/p");
	assert_string_equal(cluster->password.where, "FILE:2: cluster.password_file");
	assert_string_equal(cluster->tls.ca.path, "/ca");
	assert_string_equal(cluster->tls.ca.where, "FILE:3: cluster.tls.ca");
	assert_string_equal(cluster->tls.certificate.path, "/c");
	assert_string_equal(cluster->tls.key.path, "/k");
	assert_string_equal(cluster->name, "redis.example");
	config_free(config);
}

TEST(an_engine_is_enough)
{
	struct config *config = config_of_cluster(ENGINE);

	assert_string_equal(config->cluster.stream, "chatd");
	assert_int_equal(config->cluster.keep, 10000);
	assert_null(config->cluster.user);
	config_free(config);
}

TEST(a_cluster_takes_an_engine)
{
	assert_string_equal(faults_of_cluster(""),
	    "FILE:1: cluster: takes engine, the addresses of Redis or Valkey\n");
	assert_non_null(strstr(faults_of_cluster("engine = [ ]; "), "cluster.engine: is empty"));
}

TEST(an_engine_is_an_address_or_a_path)
{
	static const char *const wrong[] = {"redis.example:6379", "10.0.0.5:0", "10.0.0.5:65536",
	    "0.0.0.0", "::", "224.0.0.1", "tls://10.0.0.5", "run/redis.sock", "",
	    "10.0.0.5:", "[::1]:x"};

	for (size_t i = 0; i < LENGTH(wrong); i++) {
		char group[128], want[128];

		snprintf(group, sizeof(group), "engine = \"%s\"; ", wrong[i]);
		snprintf(want, sizeof(want),
		    "FILE:1: cluster.engine: \"%s\" is no address of an engine, allowed are ",
		    wrong[i]);
		assert_memory_equal(faults_of_cluster(group), want, strlen(want));
	}
}

TEST(a_path_has_at_most_107_bytes)
{
	char group[256], path[110];

	memset(path, 'p', sizeof(path));
	path[0] = '/';
	path[107] = '\0';
	snprintf(group, sizeof(group), "engine = \"%s\"; ", path);
	config_free(config_of_cluster(group));
	path[107] = 'p';
	path[108] = '\0';
	snprintf(group, sizeof(group), "engine = \"%s\"; ", path);
	assert_non_null(strstr(faults_of_cluster(group), "is too long"));
}

static const char *
engines(unsigned count)
{
	static char group[1024];

	strcpy(group, "engine = [ ");
	for (unsigned i = 0; i < count; i++)
		snprintf(group + strlen(group), sizeof(group) - strlen(group), "%s\"10.0.0.%u\"",
		    i > 0 ? ", " : "", i + 1);
	return strcat(group, " ]; ");
}

TEST(sixteen_engines_are_enough)
{
	struct config *config = config_of_cluster(engines(CLUSTER_ENGINES));

	assert_int_equal(config->cluster.count, CLUSTER_ENGINES);
	config_free(config);
	assert_string_equal(faults_of_cluster(engines(CLUSTER_ENGINES + 1)),
	    "FILE:1: cluster.engine: \"10.0.0.17\" is one too many, at most 16\n");
	assert_string_equal(faults_of_cluster("engine = [ \"::1\", \"[::1]:6379\" ]; "),
	    "FILE:1: cluster.engine: \"[::1]:6379\" is named twice\n");
}

TEST(keep_has_its_limits)
{
	config_free(config_of_cluster(ENGINE "keep = 10; "));
	config_free(config_of_cluster(ENGINE "keep = 1000000000; "));
	assert_string_equal(faults_of_cluster(ENGINE "keep = 9; "),
	    "FILE:1: cluster.keep: 9 is out of range, allowed is 10 to 1000000000\n");
	assert_string_equal(faults_of_cluster(ENGINE "keep = 1000000001; "),
	    "FILE:1: cluster.keep: 1000000001 is out of range, allowed is 10 to 1000000000\n");
}

TEST(a_stream_is_a_short_word)
{
	char group[512], word[CLUSTER_TEXT + 2] = "";

	memset(word, 's', CLUSTER_TEXT);
	snprintf(group, sizeof(group), ENGINE "stream = \"%s\"; ", word);
	config_free(config_of_cluster(group));
	word[CLUSTER_TEXT] = 's';
	snprintf(group, sizeof(group), ENGINE "stream = \"%s\"; ", word);
	assert_non_null(strstr(faults_of_cluster(group), "allowed is a string of 1 to 200"));
	assert_non_null(strstr(faults_of_cluster(ENGINE "stream = \"\"; "), "is not allowed"));
	assert_non_null(strstr(faults_of_cluster(ENGINE "stream = \"a b\"; "), "is not allowed"));
	assert_non_null(strstr(faults_of_cluster(ENGINE "stream = 7; "), "a whole number is not"));
}

TEST(some_settings_take_another_one)
{
	assert_string_equal(faults_of_cluster(ENGINE "user = \"u\"; "),
	    "FILE:1: cluster: user takes password_file as well\n");
	assert_string_equal(faults_of_cluster(ENGINE "tls = { ca = \"/ca\"; }; "),
	    "FILE:1: cluster.tls.ca: takes cluster.tls.name as well, the name in the certificate "
	    "of the engine\n");
	assert_string_equal(faults_of_cluster(ENGINE "tls = { name = \"x\"; }; "),
	    "FILE:1: cluster: tls.name takes tls.ca as well, the file of those who sign the "
	    "certificate of the engine\n");
	assert_string_equal(faults_of_cluster(ENGINE "tls = { certificate = \"/c\"; }; "),
	    "FILE:1: cluster.tls.certificate: takes cluster.tls.key as well\n");
	assert_string_equal(faults_of_cluster(ENGINE "tls = { key = \"/k\"; }; "),
	    "FILE:1: cluster.tls.key: takes cluster.tls.certificate as well\n");
	assert_string_equal(
	    faults_of_cluster(ENGINE "tls = { certificate = \"/c\"; key = \"/k\"; }; "),
	    "FILE:1: cluster.tls.certificate: takes cluster.tls.ca as well\n");
}

TEST(mode_chat_and_a_cluster_do_not_go_together)
{
	assert_string_equal(faults_of("cluster = { " ENGINE "};\nmode = \"chat\";\n"),
	    "FILE:1: cluster: does not go together with mode = \"chat\", whose names are those of "
	    "one machine; allowed is mode = \"lines\"\n");
}

TEST(what_is_printed_is_read_as_the_same)
{
	struct config *config = config_of_cluster(
	    "engine = [ \"10.0.0.5:7\", \"[fc00::1]\", \"/run/a \\\"b\" ]; keep = 11;"
	    "user = \"u\"; password_file = \"/p\"; tls = { ca = \"/ca\"; name = \"n\"; };");
	static char text[1 << 16];
	FILE *out = fmemopen(text, sizeof(text), "w");
	struct config *again;

	config_print(config, out);
	fclose(out);
	again = config_of(text);
	assert_true(cluster_same(&config->cluster, &again->cluster));
	config_free(config);
	config_free(again);
}

TEST(each_difference_is_seen)
{
	static const char *const others[] = {
	    "engine = \"127.0.0.2\"; ",
	    "engine = \"127.0.0.1:7\"; ",
	    "engine = [ \"127.0.0.1\", \"127.0.0.2\" ]; ",
	    ENGINE "keep = 11; ",
	    ENGINE "stream = \"other\"; ",
	    ENGINE "password_file = \"/p\"; ",
	    ENGINE "user = \"u\"; password_file = \"/p\"; ",
	    ENGINE "tls = { ca = \"/ca\"; name = \"n\"; }; ",
	};
	struct config *config = config_of_cluster(ENGINE);

	for (size_t i = 0; i < LENGTH(others); i++) {
		struct config *other = config_of_cluster(others[i]);

		assert_false(cluster_same(&config->cluster, &other->cluster));
		config_free(other);
	}
	config_free(config);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(by_default_there_is_no_cluster),
	    cmocka_unit_test(every_setting_is_read),
	    cmocka_unit_test(an_engine_is_enough),
	    cmocka_unit_test(a_cluster_takes_an_engine),
	    cmocka_unit_test(an_engine_is_an_address_or_a_path),
	    cmocka_unit_test(a_path_has_at_most_107_bytes),
	    cmocka_unit_test(sixteen_engines_are_enough),
	    cmocka_unit_test(keep_has_its_limits),
	    cmocka_unit_test(a_stream_is_a_short_word),
	    cmocka_unit_test(some_settings_take_another_one),
	    cmocka_unit_test(mode_chat_and_a_cluster_do_not_go_together),
	    cmocka_unit_test(what_is_printed_is_read_as_the_same),
	    cmocka_unit_test(each_difference_is_seen),
	};

	return cmocka_run_group_tests_name("cluster", tests, NULL, NULL);
}
