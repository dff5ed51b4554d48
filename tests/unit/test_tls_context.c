#include "unit.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "certs.h"
#include "faults.h"

static struct cert server = {.name = "server"}, other = {.name = "other"};
static struct cert rsa = {.name = "rsa", .curve = "RSA"},
		   other_rsa = {.name = "rsa2", .curve = "RSA"};
static struct cert locked = {.name = "locked", .password = "secret"};

static int
setup(void **state)
{
	(void)state;
	folder_make();
	cert_make(&server);
	cert_make(&other);
	cert_make(&rsa);
	cert_make(&other_rsa);
	cert_make(&locked);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	cert_free(&server);
	cert_free(&other);
	cert_free(&rsa);
	cert_free(&other_rsa);
	cert_free(&locked);
	folder_remove();
	return 0;
}

/* What loading these files is told, with the folder left out. loaded: whether it comes to
 * something. */
static const char *
load(const char *certificate, const char *key, const char *ca, bool loaded)
{
	struct certificates certificates = cert_settings("server", NULL, TLS_CLIENTS_ANY);
	struct tls_context *context = (void *)&certificates;
	static char said[4096];
	char *at;
	int result;

	free(certificates.certificate.path);
	free(certificates.key.path);
	certificates.certificate.path = strdup(in_folder(certificate));
	certificates.key.path = strdup(in_folder(key));
	if (ca != NULL) {
		certificates.ca.path = strdup(in_folder(ca));
		certificates.ca.where = strdup("FILE:3: tls.ca");
		certificates.clients = TLS_CLIENTS_OPTIONAL;
	}
	result = tls_context_load(&context, &certificates, faults_take);
	assert_int_equal(result, loaded ? 0 : -1);
	assert_true(loaded == (context != NULL));
	tls_context_free(context);
	strcpy(said, faults_taken());
	while ((at = strstr(said, in_folder(""))) != NULL)
		memmove(at, at + strlen(in_folder("")), strlen(at + strlen(in_folder(""))) + 1);
	certificates_clear(&certificates);
	return said;
}

TEST(good_files_are_loaded_without_a_word)
{
	assert_string_equal(load("server.pem", "server.key", NULL, true), "");
	assert_string_equal(load("rsa.pem", "rsa.key", NULL, true), "");
	assert_string_equal(load("server.pem", "server.key", "other.pem", true), "");
}

TEST(where_nothing_is_set_there_is_nothing_to_load)
{
	struct certificates certificates = {0};
	struct tls_context *context = (void *)&certificates;

	assert_int_equal(tls_context_load(&context, &certificates, faults_take), 0);
	assert_null(context);
	assert_string_equal(faults_taken(), "");
	tls_context_free(NULL);
}

TEST(a_file_that_cannot_be_read_is_named)
{
	mkdir(in_folder("folder"), 0700);
	assert_int_equal(mkfifo(in_folder("pipe"), 0600), 0);
	assert_string_equal(load("none", "server.key", NULL, false),
	    "FILE:1: tls.certificate: none: No such file or directory\n");
	assert_string_equal(load("server.pem", "none", NULL, false),
	    "FILE:2: tls.key: none: No such file or directory\n");
	assert_string_equal(load("server.pem", "server.key", "none", false),
	    "FILE:3: tls.ca: none: No such file or directory\n");
	assert_string_equal(load("folder", "server.key", NULL, false),
	    "FILE:1: tls.certificate: folder: is no regular file\n");
	/* It would wait for a writer. */
	assert_string_equal(load("pipe", "server.key", NULL, false),
	    "FILE:1: tls.certificate: pipe: is no regular file\n");
	assert_string_equal(
	    load("server.pem", "pipe", NULL, false), "FILE:2: tls.key: pipe: is no regular file\n");
	assert_string_equal(load("server.pem", "server.key", "pipe", false),
	    "FILE:3: tls.ca: pipe: is no regular file\n");
}

TEST(a_file_that_holds_something_else_is_a_fault)
{
	file_write(in_folder("empty"), "", 0);
	file_write(in_folder("text"), "not PEM\n", 8);
	file_write(in_folder("garbage"),
	    "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
	    "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
	    119);
	assert_string_equal(load("empty", "server.key", NULL, false),
	    "FILE:1: tls.certificate: empty: holds nothing of the kind in PEM\n");
	assert_string_equal(load("text", "server.key", NULL, false),
	    "FILE:1: tls.certificate: text: holds nothing of the kind in PEM\n");
	assert_string_equal(load("server.key", "server.key", NULL, false),
	    "FILE:1: tls.certificate: server.key: holds nothing of the kind in PEM\n");
	assert_string_equal(load("server.pem", "empty", NULL, false),
	    "FILE:2: tls.key: empty: holds nothing of the kind in PEM\n");
	assert_string_equal(load("server.pem", "server.pem", NULL, false),
	    "FILE:2: tls.key: server.pem: holds nothing of the kind in PEM\n");
	assert_string_equal(load("server.pem", "server.key", "text", false),
	    "FILE:3: tls.ca: text: no certificate or crl found\n");
	/* The library's own words. */
	assert_non_null(strstr(load("garbage", "server.key", NULL, false), "garbage: "));
	assert_non_null(strstr(load("server.pem", "garbage", NULL, false), "garbage: "));
	assert_non_null(strstr(load("server.pem", "server.key", "garbage", false), "garbage: "));
}

TEST(another_key_is_a_fault_also_of_another_kind)
{
	assert_string_equal(load("server.pem", "other.key", NULL, false),
	    "FILE:2: tls.key: other.key: is not the key of the certificate\n");
	assert_string_equal(load("rsa.pem", "rsa2.key", NULL, false),
	    "FILE:2: tls.key: rsa2.key: is not the key of the certificate\n");
	assert_string_equal(load("server.pem", "rsa.key", NULL, false),
	    "FILE:2: tls.key: rsa.key: is not the key of the certificate\n");
	assert_string_equal(load("rsa.pem", "server.key", NULL, false),
	    "FILE:2: tls.key: server.key: is not the key of the certificate\n");
}

/* Without a terminal the library would read standard input instead; here it must not look. */
TEST(an_encrypted_file_is_a_fault_and_nobody_is_asked_for_a_password)
{
	static const char encrypted[] = "-----BEGIN CERTIFICATE-----\n"
					"Proc-Type: 4,ENCRYPTED\n"
					"DEK-Info: AES-128-CBC,00112233445566778899AABBCCDDEEFF\n\n"
					"AAAAAAAAAAAAAAAAAAAAAA==\n"
					"-----END CERTIFICATE-----\n";
	int pair[2];

	make_pair(pair);
	put_text(pair[0], "secret\nsecret\nsecret\nsecret\n");
	stream_replace(0, pair[1]);
	file_write(in_folder("encrypted"), encrypted, strlen(encrypted));
	assert_string_equal(load("server.pem", "locked.key", NULL, false),
	    "FILE:2: tls.key: locked.key: is encrypted, allowed is one without a password\n");
	assert_string_equal(load("encrypted", "server.key", NULL, false),
	    "FILE:1: tls.certificate: encrypted: is encrypted, allowed is one without a "
	    "password\n");
	assert_non_null(strstr(load("server.pem", "server.key", "encrypted", false), "tls.ca"));
	assert_string_equal(get_text(pair[1], NULL), "secret\nsecret\nsecret\nsecret\n");
	stream_restore(0);
	close(pair[0]);
	close(pair[1]);
	/* And it is forgotten. */
	assert_string_equal(load("server.pem", "empty", NULL, false),
	    "FILE:2: tls.key: empty: holds nothing of the kind in PEM\n");
}

TEST(a_certificate_out_of_its_time_is_a_warning)
{
	struct cert late = {.name = "late", .from = -7200, .to = -10};
	struct cert early = {.name = "early", .from = 3600};

	cert_make(&late);
	cert_make(&early);
	assert_string_equal(load("late.pem", "late.key", NULL, true),
	    "FILE:1: tls.certificate: warning: late.pem: "
	    "has expired; most clients will refuse it\n");
	assert_string_equal(load("early.pem", "early.key", NULL, true),
	    "FILE:1: tls.certificate: warning: early.pem: is not valid yet; most clients will "
	    "refuse it\n");
	cert_free(&late);
	cert_free(&early);
}

TEST(a_key_that_everybody_can_read_is_a_warning)
{
	chmod(in_folder("server.key"), 0604);
	assert_string_equal(load("server.pem", "server.key", NULL, true),
	    "FILE:2: tls.key: warning: server.key: everybody may read it; whoever does can pose as "
	    "chatd\n");
	/* A group that may is one for it, such as ssl-cert. */
	chmod(in_folder("server.key"), 0640);
	assert_string_equal(load("server.pem", "server.key", NULL, true), "");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(good_files_are_loaded_without_a_word),
	    cmocka_unit_test(where_nothing_is_set_there_is_nothing_to_load),
	    cmocka_unit_test(a_file_that_cannot_be_read_is_named),
	    cmocka_unit_test(a_file_that_holds_something_else_is_a_fault),
	    cmocka_unit_test(another_key_is_a_fault_also_of_another_kind),
	    cmocka_unit_test(an_encrypted_file_is_a_fault_and_nobody_is_asked_for_a_password),
	    cmocka_unit_test(a_certificate_out_of_its_time_is_a_warning),
	    cmocka_unit_test(a_key_that_everybody_can_read_is_a_warning),
	};

	umask(077);
	return cmocka_run_group_tests_name("tls_context", tests, setup, teardown);
}
