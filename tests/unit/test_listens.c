#include "unit.h"

#include <stdio.h>
#include <string.h>

#include "conf/config.h"
#include "faults.h"

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

TEST(every_form_of_an_endpoint_is_read)
{
	expect_endpoints("listen = \"127.0.0.1\";", "127.0.0.1:9034");
	expect_endpoints("listen = [ \"127.0.0.1:80\" ];", "127.0.0.1:80");
	expect_endpoints("listen = ( \"::1\" );", "[::1]:9034");
	expect_endpoints("listen = \"[::1]:80\";", "[::1]:80");
	expect_endpoints("listen = \"localhost\";", "127.0.0.1:9034 [::1]:9034");
	expect_endpoints("listen = \"localhost:80\";", "127.0.0.1:80 [::1]:80");
	expect_endpoints("listen = \"localhost:65535\";", "127.0.0.1:65535 [::1]:65535");
	expect_endpoints("listen = \"/run/chat\";", "/run/chat");
	expect_endpoints("listen = [ \"127.0.0.1:0\", \"[::1]:0\" ];", "127.0.0.1:0 [::1]:0");
	expect_endpoints("listen = \"::ffff:127.0.0.1\";", "127.0.0.1:9034");
}

TEST(every_address_of_ipv6_takes_ipv4_too_unless_one_of_that_port_is_named)
{
	expect_endpoints("listen = \"::\";", "[::]:9034");
	expect_endpoints("listen = \"0.0.0.0\";", "0.0.0.0:9034");
	expect_endpoints("listen = [ \"::\", \"0.0.0.0\" ];", "[::]:9034(v6only) 0.0.0.0:9034");
	expect_endpoints("listen = [ \"127.0.0.1\", \"::\" ];", "127.0.0.1:9034 [::]:9034(v6only)");
	expect_endpoints("listen = [ \"127.0.0.1:80\", \"::\" ];", "127.0.0.1:80 [::]:9034");
	expect_endpoints("listen = [ \"127.0.0.1\", \"::1\" ];", "127.0.0.1:9034 [::1]:9034");
	expect_endpoints("listen = [ \"/run/chat\", \"::\" ];", "/run/chat [::]:9034");
}

TEST(a_path_of_107_bytes_passes_and_one_of_108_does_not)
{
	char path[109], text[160], want[160];

	memset(path, 'p', sizeof(path));
	path[0] = '/';
	path[107] = '\0';
	snprintf(text, sizeof(text), "listen = \"%s\";", path);
	expect_endpoints(text, path);
	path[107] = 'p';
	path[108] = '\0';
	snprintf(text, sizeof(text), "listen = \"%s\";", path);
	snprintf(want, sizeof(want), "FILE:1: listen: a path of 108 bytes, allowed are 107\n");
	assert_string_equal(faults_of(text), want);
}

#define LISTEN_FORMS                                                                     \
	"allowed are \"address\", \"address:port\", \"[v6]:port\", \"localhost:port\", " \
	"each also with \"tls://\" in front, and \"/path\" of a unix socket\n"

static void
expect_no_endpoint(const char *endpoint)
{
	char text[256], want[512];

	snprintf(text, sizeof(text), "listen = \"%s\";", endpoint);
	snprintf(want, sizeof(want),
	    "FILE:1: listen: \"%s\" is no address to listen on, " LISTEN_FORMS, endpoint);
	assert_string_equal(faults_of(text), want);
}

TEST(whatever_is_no_endpoint_is_refused)
{
	static const char *const texts[] = {"", "chat.example", "chat.example:80", "::1]:80", ":80",
	    "127.0.0.1:65536", "127.0.0.1:", "[127.0.0.1]:80", "10.0.0.0/8", "relative/path",
	    "localhost:", "localhost:65536", "localhost.", "Localhost"};

	for (size_t i = 0; i < LENGTH(texts); i++)
		expect_no_endpoint(texts[i]);
}

TEST(a_name_that_begins_with_localhost_is_no_address)
{
	char text[ADDR_TEXT + 20];

	expect_no_endpoint("localhost5");
	expect_no_endpoint("localhost5:80");
	expect_no_endpoint("localhosts");
	snprintf(text, sizeof(text), "localhost:%080d", 9034);
	expect_no_endpoint(text);
}

TEST(an_endpoint_named_twice_is_refused)
{
	assert_string_equal(faults_of("port = 80;\n"
				      "listen = [ \"127.0.0.1\",\n"
				      "  \"127.0.0.1:80\" ];"),
	    "FILE:3: listen: 127.0.0.1:80 is named twice\n");
	assert_string_equal(faults_of("listen = [ \"localhost\", \"::1\" ];"),
	    "FILE:1: listen: [::1]:9034 is named twice\n");
	assert_string_equal(faults_of("listen = [ \"/a\", \"/b\", \"/a\" ];"),
	    "FILE:1: listen: /a is named twice\n");
}

static void
expect_overlap(const char *listen, const char *one, const char *all)
{
	char text[256], want[256];

	snprintf(text, sizeof(text), "listen = %s;", listen);
	snprintf(want, sizeof(want),
	    "FILE:1: listen: %s is one of the addresses of %s, allowed is one of the two\n", one,
	    all);
	assert_string_equal(faults_of(text), want);
}

TEST(endpoints_of_which_one_is_part_of_the_other_are_refused)
{
	expect_overlap("[ \"0.0.0.0\", \"127.0.0.1\" ]", "127.0.0.1:9034", "0.0.0.0:9034");
	expect_overlap("[ \"127.0.0.1:1\", \"0.0.0.0:1\" ]", "127.0.0.1:1", "0.0.0.0:1");
	expect_overlap("[ \"::1\", \"::\" ]", "[::1]:9034", "[::]:9034");
	expect_overlap("[ \"::\", \"localhost\" ]", "[::1]:9034", "[::]:9034");
	/* IPv4 keeps it apart from "::", but not from the other IPv6 address. */
	expect_overlap("[ \"::\", \"0.0.0.0\", \"::1\" ]", "[::1]:9034", "[::]:9034");
	/* Neither another port nor one that the kernel chooses is in the way. */
	expect_endpoints("listen = [ \"0.0.0.0:1\", \"127.0.0.1:2\" ];", "0.0.0.0:1 127.0.0.1:2");
	expect_endpoints("listen = [ \"0.0.0.0:0\", \"127.0.0.1:0\" ];", "0.0.0.0:0 127.0.0.1:0");
}

TEST(addresses_that_nobody_can_listen_on_are_refused)
{
	assert_string_equal(faults_of("listen = \"224.0.0.1\";"),
	    "FILE:1: listen: \"224.0.0.1\" is a multicast address, allowed is one of this "
	    "machine\n");
	assert_non_null(
	    strstr(faults_of("listen = \"[ff02::1%lo]:80\";"), "is a multicast address"));
	assert_non_null(
	    strstr(faults_of("listen = \"239.255.255.255:1\";"), "is a multicast address"));
	assert_string_equal(faults_of("listen = [ \"fe80::1\", \"[febf::1]:80\" ];"),
	    "FILE:1: listen: \"fe80::1\" is the same on every link, allowed is one with its "
	    "interface such as \"fe80::1%eth0\"\n"
	    "FILE:1: listen: \"[febf::1]:80\" is the same on every link, allowed is one with its "
	    "interface such as \"fe80::1%eth0\"\n");
	expect_endpoints(
	    "listen = [ \"fe80::1%1\", \"fec0::1\", \"223.255.255.255\", \"240.0.0.1\" ];",
	    "[fe80::1%1]:9034 [fec0::1]:9034 223.255.255.255:9034 240.0.0.1:9034");
	assert_string_equal(faults_of("listen = \"/run/chat/\";"),
	    "FILE:1: listen: \"/run/chat/\" is the name of a folder, allowed is \"/path\" of a "
	    "unix "
	    "socket\n");
}

TEST(an_interface_that_is_not_there_is_called_that)
{
	static const char *const settings[] = {"listen", "allow", "deny"};
	char text[128], want[128];

	for (size_t i = 0; i < LENGTH(settings); i++) {
		snprintf(text, sizeof(text), "%s = \"fe80::1%%nope0\";", settings[i]);
		snprintf(want, sizeof(want), "FILE:1: %s: \"fe80::1%%nope0\": no such interface\n",
		    settings[i]);
		assert_string_equal(faults_of(text), want);
	}
	assert_non_null(strstr(faults_of("listen = \"[fe80::1%nope0]:80\";"), "no such interface"));
	assert_non_null(strstr(faults_of("listen = \"fe80::1%4294967295\";"), "no such interface"));
	assert_non_null(strstr(faults_of("allow = \"fe80::%nope0/64\";"), "no such interface"));
	assert_non_null(strstr(faults_of("listen = \"fe80::1%nope0:80\";"), "is no address"));
}

/* Only of link-local addresses the interface makes a difference. */
TEST(an_address_with_an_interface_that_it_does_not_need_is_the_same_address)
{
	assert_string_equal(faults_of("listen = [ \"::1\", \"::1%lo\" ];"),
	    "FILE:1: listen: [::1]:9034 is named twice\n");
	expect_endpoints(
	    "listen = [ \"fe80::1%1\", \"[fe80::1%1]:1\" ];", "[fe80::1%1]:9034 [fe80::1%1]:1");
}

static void
expect_warning(const char *text, const char *want)
{
	struct config *config = config_parse(text, "FILE", 0, faults_take);

	assert_non_null(config);
	assert_string_equal(faults_taken(), want);
	config_free(config);
}

TEST(an_address_that_looks_like_one_with_a_port_is_doubted)
{
	expect_warning("listen = \"::1:9034\";", "FILE:1: listen: warning: \"::1:9034\" is an "
						 "address without a port; with the port 9034 "
						 "it is \"[::1]:9034\"\n");
	expect_warning("listen = \"2001:db8::5:80\";",
	    "FILE:1: listen: warning: \"2001:db8::5:80\" is an address without a port; with the "
	    "port 80 it is \"[2001:db8::5]:80\"\n");
	expect_warning("listen = [ \"2001:db8::80\", \"2001:db8::1:1\", \"::1:ab1\", "
		       "\"1:2:3:4:5:6:7:8000\", \"::1\", \"[::1:9034]\", \"::ffff:127.0.0.1\" ];",
	    "");
}

/* One by one beside each other this took seconds. */
TEST(ten_thousand_endpoints_are_checked_by_sorting)
{
	static char text[400000];
	struct config *config;
	size_t len = (size_t)sprintf(text, "listen = [ \"127.0.0.1\"");

	for (int i = 0; i < 10000; i++)
		len += (size_t)sprintf(text + len, ", \"10.%d.%d.1\"", i / 250, i % 250);
	strcpy(text + len, " ];");
	config = config_of(text);
	assert_int_equal(config->n_endpoints, 10001);
	config_free(config);
	strcpy(text + len, ",\n\"10.5.5.1\",\n\"127.0.0.1:9034\" ];");
	assert_string_equal(faults_of(text), "FILE:2: listen: 10.5.5.1:9034 is named twice\n"
					     "FILE:3: listen: 127.0.0.1:9034 is named twice\n");
}

TEST(a_list_of_no_endpoint_is_refused)
{
	assert_string_equal(faults_of("listen = [ ];"), "FILE:1: listen: is empty, " LISTEN_FORMS);
	assert_string_equal(faults_of("listen = ( );"), "FILE:1: listen: is empty, " LISTEN_FORMS);
	assert_string_equal(
	    faults_of("listen = 80;"), "FILE:1: listen: is a whole number, " LISTEN_FORMS);
	assert_string_equal(
	    faults_of("listen = { };"), "FILE:1: listen: is a group, " LISTEN_FORMS);
	assert_string_equal(faults_of("listen = ( \"::\", true, 1.5, [ \"::1\" ] );"),
	    "FILE:1: listen: is a truth value, " LISTEN_FORMS
	    "FILE:1: listen: is a number with a fraction, " LISTEN_FORMS
	    "FILE:1: listen: is a list, " LISTEN_FORMS);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_form_of_an_endpoint_is_read),
	    cmocka_unit_test(every_address_of_ipv6_takes_ipv4_too_unless_one_of_that_port_is_named),
	    cmocka_unit_test(a_path_of_107_bytes_passes_and_one_of_108_does_not),
	    cmocka_unit_test(whatever_is_no_endpoint_is_refused),
	    cmocka_unit_test(a_name_that_begins_with_localhost_is_no_address),
	    cmocka_unit_test(an_endpoint_named_twice_is_refused),
	    cmocka_unit_test(endpoints_of_which_one_is_part_of_the_other_are_refused),
	    cmocka_unit_test(addresses_that_nobody_can_listen_on_are_refused),
	    cmocka_unit_test(an_interface_that_is_not_there_is_called_that),
	    cmocka_unit_test(
		an_address_with_an_interface_that_it_does_not_need_is_the_same_address),
	    cmocka_unit_test(an_address_that_looks_like_one_with_a_port_is_doubted),
	    cmocka_unit_test(ten_thousand_endpoints_are_checked_by_sorting),
	    cmocka_unit_test(a_list_of_no_endpoint_is_refused),
	};

	return cmocka_run_group_tests_name("listens", tests, NULL, NULL);
}
