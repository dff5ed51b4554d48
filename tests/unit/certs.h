/*
 * certs: keys and certificates, made as a test wants them, in its folder.
 */
#ifndef CERTS_H
#define CERTS_H

#include <stddef.h>

#include "wire/tls_context.h"

/* How a certificate is to be; what is 0 is the usual: P-256, CN "localhost", signed by itself. */
struct cert {
	const char *name; /* NAME.pem and NAME.key in the folder */
	const char *cn;
	size_t cn_len;                /* 0: cn is a string */
	const char *curve;            /* another one, or "RSA" */
	long from, to;                /* seconds from now; 0: an hour ago, and a day from now */
	const struct cert *signed_by; /* made before */
	const char *password;         /* of the key */
	void *x509, *key;             /* X509, EVP_PKEY: filled in */
};

void cert_make(struct cert *cert);
void cert_free(struct cert *cert);

/* Names the files of cert, and those of the ca, if it is not NULL. */
struct certificates cert_settings(const char *name, const char *ca, enum tls_clients clients);
/* Loads them; the test fails where there is a fault. */
struct tls_context *cert_context(const char *name, const char *ca, enum tls_clients clients);

#endif
