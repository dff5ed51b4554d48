#include "unit.h"

#include <openssl/x509.h>
#include <stdio.h>
#include <string.h>

#include "meet.h"
#include "wire/tls_text.h"

/* What the log says of a client with such a certificate, up to the fingerprint. */
static const char *
name_of(const char *cn, size_t len)
{
	static char text[TLS_TEXT];
	struct cert cert = {.name = "named", .cn = cn, .cn_len = len, .signed_by = &meet_ca};
	struct tls_context *context = cert_context("server", "ca", TLS_CLIENTS_REQUIRED);
	unsigned char hash[EVP_MAX_MD_SIZE];
	char want[80] = " SHA-256 ", *end;

	meet_teardown(NULL);
	meet_setup(NULL);
	cert_make(&cert);
	meet_begin(TLS1_3_VERSION, context, &cert);
	assert_int_equal(meet_handshake(), TLS_OPEN);
	tls_describe(meet.tls, text);
	X509_digest(cert.x509, EVP_sha256(), hash, NULL);
	for (int i = 0; i < 32; i++)
		snprintf(want + strlen(want), 3, "%02x", hash[i]);
	end = strstr(text, "\" SHA-256 ");
	assert_non_null(end);
	assert_string_equal(++end, want);
	*end = '\0';
	cert_free(&cert);
	tls_context_free(context);
	return strstr(text, "CN ");
}

TEST(a_client_with_a_certificate_is_named_with_its_fingerprint)
{
	assert_string_equal(name_of("alice", 0), "CN \"alice\"");
}

TEST(a_name_cannot_fake_anything_in_the_log)
{
	assert_string_equal(name_of("a\" SHA-256 \"b", 0), "CN \"a? SHA-256 ?b\"");
	assert_string_equal(name_of("a\nb\tc\x1b[0m\x7f", 0), "CN \"a?b?c?[0m?\"");
	assert_string_equal(name_of("Zo\xc3\xab", 0), "CN \"Zo??\"");
	/* A NUL byte does not make it "alice". */
	assert_string_equal(name_of("alice\0.evil", 11), "CN \"alice?.evil\"");
	assert_string_equal(name_of("\0", 1), "CN \"?\"");
}

/* X.520 allows 64 letters. */
TEST(a_long_name_is_whole)
{
	char name[65], want[80];

	memset(name, 'n', 64);
	name[64] = '\0';
	snprintf(want, sizeof(want), "CN \"%s\"", name);
	assert_string_equal(name_of(name, 0), want);
}

static const char *
refusal(const struct tls_context *context, const struct cert *cert)
{
	static char text[TLS_REASON];

	meet_teardown(NULL);
	meet_setup(NULL);
	meet_begin(TLS1_3_VERSION, context, cert);
	assert_int_equal(meet_handshake(), TLS_FAILED);
	return tls_reason(meet.tls, text);
}

TEST(a_bad_certificate_is_refused_and_the_reason_names_it)
{
	struct cert stranger = {.name = "stranger", .cn = "stranger"};
	struct cert late = {.name = "late", .from = -7200, .to = -3600, .signed_by = &meet_ca};
	struct tls_context *required = cert_context("server", "ca", TLS_CLIENTS_REQUIRED);
	struct tls_context *optional = cert_context("server", "ca", TLS_CLIENTS_OPTIONAL);

	cert_make(&stranger);
	cert_make(&late);
	assert_string_equal(refusal(required, NULL), "peer did not return a certificate");
	assert_string_equal(refusal(required, &stranger), "self-signed certificate");
	assert_string_equal(refusal(optional, &stranger), "self-signed certificate");
	assert_string_equal(refusal(required, &late), "certificate has expired");
	meet_teardown(NULL);
	meet_setup(NULL);
	meet_begin(TLS1_3_VERSION, optional, NULL);
	assert_int_equal(meet_handshake(), TLS_OPEN);
	tls_context_free(required);
	tls_context_free(optional);
	cert_free(&stranger);
	cert_free(&late);
}

TEST(where_nobody_asks_for_a_certificate_none_is_seen)
{
	char text[TLS_TEXT];

	meet_begin(TLS1_3_VERSION, NULL, &meet_client);
	assert_int_equal(meet_handshake(), TLS_OPEN);
	assert_string_equal(tls_describe(meet.tls, text), "TLSv1.3 TLS_AES_256_GCM_SHA384");
}

#define TEXT_TEST(name) cmocka_unit_test_setup_teardown(name, meet_setup, meet_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEXT_TEST(a_client_with_a_certificate_is_named_with_its_fingerprint),
	    TEXT_TEST(a_name_cannot_fake_anything_in_the_log),
	    TEXT_TEST(a_long_name_is_whole),
	    TEXT_TEST(a_bad_certificate_is_refused_and_the_reason_names_it),
	    TEXT_TEST(where_nobody_asks_for_a_certificate_none_is_seen),
	};

	return cmocka_run_group_tests_name("tls_text", tests, meet_certs, meet_no_certs);
}
