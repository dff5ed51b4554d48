/* What stands in the place of TLS where chatd is built without it. */
#include "unit.h"

#include <errno.h>
#include <string.h>

#include "conf/certificates.h"
#include "faults.h"
#include "wire/tls_text.h"

TEST(without_tls_in_the_build_a_certificate_is_a_fault)
{
	struct certificates certificates = {0};
	struct tls_context *context = (void *)&certificates;

	assert_int_equal(tls_context_load(&context, &certificates, faults_take), 0);
	assert_null(context);
	certificates.certificate.path = strdup("/c");
	certificates.certificate.where = strdup("FILE:1: tls.certificate");
	certificates.key.path = strdup("/k");
	assert_int_equal(tls_context_load(&context, &certificates, faults_take), -1);
	assert_string_equal(
	    faults_taken(), "FILE:1: tls.certificate: this chatd was built without TLS\n");
	tls_context_free(context);
	certificates_clear(&certificates);
}

TEST(without_tls_in_the_build_nobody_speaks_it)
{
	char text[TLS_TEXT];

	assert_null(tls_new(NULL, 0));
	tls_free(NULL);
	assert_int_equal(tls_handshake(NULL, true), TLS_FAILED);
	assert_int_equal(tls_recv(NULL, NULL, 0), 0);
	assert_int_equal(tls_send(NULL, NULL, 0), -1);
	assert_int_equal(errno, EPIPE);
	assert_true(tls_shut(NULL));
	tls_unblock(NULL);
	tls_stop_reading(NULL);
	assert_string_equal(tls_describe(NULL, text), "");
	assert_string_equal(tls_reason(NULL, text), "");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(without_tls_in_the_build_a_certificate_is_a_fault),
	    cmocka_unit_test(without_tls_in_the_build_nobody_speaks_it),
	};

	return cmocka_run_group_tests_name("tls_none", tests, NULL, NULL);
}
