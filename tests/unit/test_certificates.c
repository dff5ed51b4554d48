#include "unit.h"

#include <stdio.h>
#include <string.h>

#include "conf/config.h"
#include "conf/print.h"
#include "faults.h"

#define CERTIFICATE "certificate = \"/c\"; "
#define KEY         "key = \"/k\"; "

static const char *
faults_of_tls(const char *group)
{
	char text[512];

	snprintf(text, sizeof(text), "tls = { %s};\n", group);
	return faults_of(text);
}

/* Two settings of the file */

TEST(by_default_there_is_nothing_to_serve_tls_with)
{
	struct config *config = config_of("");

	assert_false(certificates_are_set(&config->tls));
	assert_int_equal(config->tls.clients, TLS_CLIENTS_ANY);
	config_free(config);
}

TEST(files_are_known_with_their_place)
{
	struct config *config = config_of("tls = {\n" CERTIFICATE "\n" KEY "\nca = \"/ca\";\n"
					  "clients = \"required\"; };\n");

	assert_true(certificates_are_set(&config->tls));
	assert_string_equal(config->tls.certificate.path, "/c");
	assert_string_equal(config->tls.certificate.where, "FILE:2: tls.certificate");
	assert_string_equal(config->tls.key.path, "/k");
	assert_string_equal(config->tls.key.where, "FILE:3: tls.key");
	assert_string_equal(config->tls.ca.path, "/ca");
	assert_string_equal(config->tls.ca.where, "FILE:4: tls.ca");
	assert_int_equal(config->tls.clients, TLS_CLIENTS_REQUIRED);
	config_free(config);
}

TEST(of_certificate_and_key_none_is_enough)
{
	assert_string_equal(
	    faults_of_tls(CERTIFICATE), "FILE:1: tls.certificate: takes tls.key as well\n");
	assert_string_equal(faults_of_tls(KEY), "FILE:1: tls.key: takes tls.certificate as well\n");
}

TEST(certificates_of_clients_take_a_ca)
{
	assert_string_equal(faults_of_tls(CERTIFICATE KEY "clients = \"optional\"; "),
	    "FILE:1: tls.clients: takes tls.ca, the file of those who sign the certificates of "
	    "clients\n");
	assert_string_equal(faults_of_tls("clients = \"required\"; "),
	    "FILE:1: tls.clients: takes tls.ca, the file of those who sign the certificates of "
	    "clients\n");
	config_free(config_of("tls = { clients = \"any\"; };"));
	config_free(config_of("tls = { ca = \"/ca\"; clients = \"any\"; };"));
}

TEST(a_file_is_an_absolute_path)
{
	assert_string_equal(faults_of_tls(CERTIFICATE "key = \"k\"; "),
	    "FILE:1: tls.key: \"k\" is no file, allowed is an absolute path\n"
	    "FILE:1: tls.certificate: takes tls.key as well\n");
	assert_non_null(strstr(faults_of_tls("ca = \"\"; "), "tls.ca: \"\" is no file"));
	assert_non_null(strstr(faults_of_tls("ca = 7; "), "tls.ca: a whole number is no file"));
	assert_non_null(strstr(faults_of_tls("ca = [ \"/a\" ]; "), "tls.ca: "));
	assert_non_null(strstr(faults_of_tls("ca = true; "), "tls.ca: "));
}

TEST(clients_is_one_of_three_words)
{
	const char *allowed = " is unknown, allowed are \"any\", \"optional\" and \"required\"\n";

	assert_non_null(strstr(faults_of_tls("clients = \"all\"; "), allowed));
	assert_non_null(strstr(faults_of_tls("clients = \"Any\"; "), allowed));
	assert_non_null(strstr(faults_of_tls("clients = 1; "), allowed));
	assert_non_null(strstr(faults_of_tls("clients = {}; "), allowed));
}

TEST(what_is_unknown_in_the_group_is_a_fault)
{
	assert_non_null(strstr(faults_of_tls("cert = \"/c\"; "), "tls.cert"));
}

/* With what listens */

TEST(tls_on_an_endpoint_takes_a_certificate_and_a_key)
{
	assert_string_equal(faults_of("listen = [ \"127.0.0.1:1\",\n\"tls://127.0.0.1:2\" ];"),
	    "FILE:2: listen: tls://127.0.0.1:2 takes tls.certificate and tls.key\n");
	assert_string_equal(
	    faults_of("listen = [ \"tls://127.0.0.1:2\" ]; tls = { " CERTIFICATE "};"),
	    "FILE:1: tls.certificate: takes tls.key as well\n"
	    "FILE:1: listen: tls://127.0.0.1:2 takes tls.certificate and tls.key\n");
}

#define TLS "tls = { " CERTIFICATE KEY "};"

TEST(every_form_of_an_address_may_have_tls_in_front)
{
	struct config *config = config_of("port = 5; listen = [ \"tls://192.0.2.1\", "
					  "\"tls://[::1]:6\", \"tls://localhost:7\", "
					  "\"192.0.2.1:8\" ]; " TLS);

	assert_int_equal(config->n_endpoints, 5);
	for (size_t i = 0; i < config->n_endpoints; i++)
		assert_true(config->endpoints[i].tls == (config->endpoints[i].addr.port != 8));
	assert_int_equal(config->endpoints[0].addr.port, 5);
	assert_int_equal(config->endpoints[1].addr.port, 6);
	assert_true(config->endpoints[3].optional);
	config_free(config);
}

TEST(a_path_has_no_tls)
{
	assert_string_equal(faults_of("listen = [ \"tls:///run/chat\" ]; " TLS),
	    "FILE:1: listen: \"tls:///run/chat\" is a unix socket, on which nobody listens in; "
	    "allowed is \"/run/chat\"\n");
}

TEST(what_is_no_address_behind_tls_is_a_fault)
{
	assert_non_null(strstr(faults_of("listen = [ \"tls://\" ]; " TLS), "is no address"));
	assert_non_null(strstr(faults_of("listen = [ \"tls://x\" ]; " TLS), "is no address"));
	assert_non_null(strstr(faults_of("listen = [ \"TLS://::1\" ]; " TLS), "is no address"));
	assert_non_null(
	    strstr(faults_of("listen = [ \"tls://tls://::1\" ]; " TLS), "is no address"));
}

/* One port is one thing. */
TEST(the_same_address_with_and_without_tls_is_named_twice)
{
	assert_string_equal(faults_of("listen = [ \"127.0.0.1:1\",\n\"tls://127.0.0.1:1\" ]; " TLS),
	    "FILE:2: listen: tls://127.0.0.1:1 is named twice\n");
	assert_string_equal(faults_of("listen = [ \"tls://127.0.0.1:1\",\n\"127.0.0.1:1\" ]; " TLS),
	    "FILE:2: listen: 127.0.0.1:1 is named twice\n");
	assert_non_null(strstr(faults_of("listen = [ \"0.0.0.0:1\", \"tls://127.0.0.1:1\" ]; " TLS),
	    "is one of the addresses of 0.0.0.0:1"));
}

TEST(what_is_printed_reads_the_same)
{
	struct config *config = config_of(
	    "listen = [ \"tls://127.0.0.1:1\", \"tls://[::1]:2\", \"192.0.2.1:3\", \"/s\" ];"
	    "tls = { certificate = \"/a \\\"b\\\\\"; key = \"/k\"; ca = \"/ca\";"
	    " clients = \"optional\"; }; limits = { handshake = 77; };");
	char *text[2] = {NULL};
	size_t size;

	for (int i = 0; i < 2; i++) {
		FILE *out = open_memstream(&text[i], &size);

		config_print(config, out);
		fclose(out);
		config_free(config);
		config = config_of(text[i]);
		assert_string_equal(config->tls.certificate.path, "/a \"b\\");
		assert_int_equal(config->tls.clients, TLS_CLIENTS_OPTIONAL);
		assert_int_equal(config->limits.handshake, 77);
		assert_int_equal(config->n_endpoints, 4);
		assert_true(config->endpoints[0].tls && config->endpoints[1].tls);
		assert_false(config->endpoints[2].tls || config->endpoints[3].tls);
	}
	assert_string_equal(text[0], text[1]);
	free(text[0]);
	free(text[1]);
	config_free(config);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(by_default_there_is_nothing_to_serve_tls_with),
	    cmocka_unit_test(files_are_known_with_their_place),
	    cmocka_unit_test(of_certificate_and_key_none_is_enough),
	    cmocka_unit_test(certificates_of_clients_take_a_ca),
	    cmocka_unit_test(a_file_is_an_absolute_path),
	    cmocka_unit_test(clients_is_one_of_three_words),
	    cmocka_unit_test(what_is_unknown_in_the_group_is_a_fault),
	    cmocka_unit_test(tls_on_an_endpoint_takes_a_certificate_and_a_key),
	    cmocka_unit_test(every_form_of_an_address_may_have_tls_in_front),
	    cmocka_unit_test(a_path_has_no_tls),
	    cmocka_unit_test(what_is_no_address_behind_tls_is_a_fault),
	    cmocka_unit_test(the_same_address_with_and_without_tls_is_named_twice),
	    cmocka_unit_test(what_is_printed_reads_the_same),
	};

	return cmocka_run_group_tests_name("certificates", tests, NULL, NULL);
}
