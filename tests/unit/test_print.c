#include "unit.h"

#include <stdio.h>
#include <string.h>

#include "conf/config.h"
#include "conf/print.h"
#include "faults.h"

static const char *
printed(const struct config *config)
{
	static char text[1 << 16];
	FILE *out = fmemopen(text, sizeof(text), "w");

	config_print(config, out);
	fclose(out);
	return text;
}

TEST(the_defaults_are_printed_with_every_setting)
{
	struct config *config = config_of("");

	assert_string_equal(printed(config), "port = 9034;\n"
					     "listen = [ \"[::]:9034\" ];\n"
					     "mode = \"lines\";\n"
					     "history = 0;\n"
					     "allow = [ \"0.0.0.0/0\",\n"
					     "          \"::/0\" ];\n"
					     "deny = [ ];\n"
					     "log_connections = false;\n"
					     "trace = true;\n"
					     "sanitize = false;\n"
					     "limits = {\n"
					     "  clients = 1000;\n"
					     "  clients_per_address = 0;\n"
					     "  line = 8192;\n"
					     "  queue = 1048576;\n"
					     "  stall = 30;\n"
					     "  lag = 0;\n"
					     "  idle = 0;\n"
					     "  rate = 0;\n"
					     "  handshake = 10;\n"
					     "};\n"
					     "tls = {\n"
					     "  clients = \"any\";\n"
					     "};\n"
					     "unix = {\n"
					     "  mode = \"0660\";\n"
					     "};\n");
	config_free(config);
}

TEST(what_is_printed_is_read_as_the_same)
{
	static const char *const texts[] = {
	    "",
	    "listen = [ \"localhost\", \"[fe80::1%lo]:7\", \"/a \\\"b\\\\ \\x01\\xff;#\" ];",
	    "listen = [ \"::\", \"0.0.0.0\", \"localhost:80\" ]; port = 4242;",
	    "listen = [ \"tls://localhost\", \"tls://[fe80::1%lo]:7\", \"192.0.2.1:9\" ];"
	    " tls = { certificate = \"/a \\\"b\"; key = \"/k\"; ca = \"/ca\"; clients = "
	    "\"required\"; };",
	    "allow = [ \"10.0.0.1/8\", \"fe80::%lo/64\" ]; deny = [ \"::1\", \"192.0.2.1\" ];",
	    "limits = { stall = \"5m\"; lag = \"2h\"; queue = \"2M\"; clients = 7; idle = 5;"
	    " clients_per_address = 3; line = 99; handshake = 3; rate = \"1G\"; };",
	    "mode = \"chat\"; history = \"256K\";",
	    "unix = { mode = \"7\"; owner = 4294967294L; group = 5; };"
	    "trace = false; sanitize = true; log_connections = true;",
	};

	for (size_t i = 0; i < LENGTH(texts); i++) {
		struct config *config = config_parse(texts[i], "FILE", 0, faults_take), *again;
		static char first[1 << 16];

		assert_non_null(config);
		faults_taken();
		strcpy(first, printed(config));
		again = config_of(first);
		assert_string_equal(printed(again), first);
		assert_int_equal(again->n_endpoints, config->n_endpoints);
		for (size_t k = 0; k < config->n_endpoints; k++) {
			assert_true(endpoint_same(&again->endpoints[k], &config->endpoints[k]));
			assert_int_equal(
			    again->endpoints[k].optional, config->endpoints[k].optional);
		}
		assert_memory_equal(&again->limits, &config->limits, sizeof(config->limits));
		assert_int_equal(again->unix_owner, config->unix_owner);
		assert_int_equal(again->unix_group, config->unix_group);
		assert_int_equal(again->unix_mode, config->unix_mode);
		config_free(config);
		config_free(again);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(the_defaults_are_printed_with_every_setting),
	    cmocka_unit_test(what_is_printed_is_read_as_the_same),
	};

	return cmocka_run_group_tests_name("print", tests, NULL, NULL);
}
