#include "certs.h"

#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "faults.h"
#include "unit.h"

static const char *
file_of(const char *name, const char *end)
{
	char file[64];

	snprintf(file, sizeof(file), "%s.%s", name, end);
	return in_folder(file);
}

static void
write_pem(const struct cert *cert)
{
	FILE *file = fopen(file_of(cert->name, "pem"), "w");
	char password[32] = "";

	assert_non_null(file);
	assert_int_equal(PEM_write_X509(file, cert->x509), 1);
	fclose(file);
	assert_non_null(file = fopen(file_of(cert->name, "key"), "w"));
	assert_int_equal(fchmod(fileno(file), 0600), 0);
	if (cert->password != NULL)
		snprintf(password, sizeof(password), "%s", cert->password);
	assert_int_equal(
	    PEM_write_PrivateKey(file, cert->key, cert->password != NULL ? EVP_aes_128_cbc() : NULL,
		NULL, 0, NULL, password),
	    1);
	fclose(file);
}

void
cert_make(struct cert *cert)
{
	const char *cn = cert->cn != NULL ? cert->cn : "localhost";
	const struct cert *by = cert->signed_by != NULL ? cert->signed_by : cert;
	static long serial;
	X509 *x509 = X509_new();
	X509_NAME *name = X509_get_subject_name(x509);

	cert->x509 = x509;
	if (cert->curve != NULL && strcmp(cert->curve, "RSA") == 0)
		cert->key = EVP_RSA_gen(2048);
	else
		cert->key = EVP_EC_gen(cert->curve != NULL ? cert->curve : "P-256");
	assert_non_null(cert->key);
	X509_set_version(x509, X509_VERSION_3);
	ASN1_INTEGER_set(X509_get_serialNumber(x509), ++serial);
	X509_gmtime_adj(X509_getm_notBefore(x509), cert->from != 0 ? cert->from : -3600);
	X509_gmtime_adj(X509_getm_notAfter(x509), cert->to != 0 ? cert->to : 86400);
	assert_int_equal(X509_NAME_add_entry_by_NID(name, NID_commonName, V_ASN1_UTF8STRING,
			     (const unsigned char *)cn,
			     (int)(cert->cn_len > 0 ? cert->cn_len : strlen(cn)), -1, 0),
	    1);
	X509_set_issuer_name(x509, X509_get_subject_name(by->x509));
	X509_set_pubkey(x509, cert->key);
	if (by == cert) { /* it may sign others */
		X509_EXTENSION *ca =
		    X509V3_EXT_conf_nid(NULL, NULL, NID_basic_constraints, "critical,CA:TRUE");

		X509_add_ext(x509, ca, -1);
		X509_EXTENSION_free(ca);
	}
	assert_true(X509_sign(x509, by->key, EVP_sha256()) > 0);
	write_pem(cert);
}

void
cert_free(struct cert *cert)
{
	X509_free(cert->x509);
	EVP_PKEY_free(cert->key);
}

static struct named_file
named(const char *path, const char *where)
{
	return (struct named_file){.path = strdup(path), .where = strdup(where)};
}

struct certificates
cert_settings(const char *name, const char *ca, enum tls_clients clients)
{
	struct certificates certificates = {
	    .certificate = named(file_of(name, "pem"), "FILE:1: tls.certificate"),
	    .key = named(file_of(name, "key"), "FILE:2: tls.key"),
	    .clients = clients,
	};

	if (ca != NULL)
		certificates.ca = named(file_of(ca, "pem"), "FILE:3: tls.ca");
	return certificates;
}

struct tls_context *
cert_context(const char *name, const char *ca, enum tls_clients clients)
{
	struct certificates certificates = cert_settings(name, ca, clients);
	struct tls_context *context;

	assert_int_equal(tls_context_load(&context, &certificates, faults_take), 0);
	assert_string_equal(faults_taken(), "");
	certificates_clear(&certificates);
	return context;
}
