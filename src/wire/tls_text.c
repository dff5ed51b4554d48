#include "wire/tls_text.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <string.h>

const char *
tls_reason(const struct tls *tls, char text[TLS_REASON])
{
	const char *reason = ERR_reason_error_string(tls->reason);
	long verdict = SSL_get_verify_result(tls->ssl);

	/* Who breaks the protocol and closes at once has broken it. */
	if (tls->own_reason != NULL)
		reason = tls->own_reason;
	else if (verdict != X509_V_OK)
		reason = X509_verify_cert_error_string(verdict);
	else if (tls->reason == 0 && tls->eof)
		reason = SSL_is_server(tls->ssl) ? "closed by the client" : "closed by the server";
	else if (tls->reason == 0 && tls->error != 0)
		reason = strerror(tls->error);
	snprintf(text, TLS_REASON, "%s", reason != NULL ? reason : "failed");
	return text;
}

const char *
tls_describe(const struct tls *tls, char text[TLS_TEXT])
{
	X509 *peer = SSL_get0_peer_certificate(tls->ssl);
	unsigned char hash[EVP_MAX_MD_SIZE];
	char name[65] = "", hex[2 * EVP_MAX_MD_SIZE + 1] = "";
	unsigned size = 0;
	int cn, len = snprintf(text, TLS_TEXT, "%s %s", SSL_get_version(tls->ssl),
		    SSL_get_cipher_name(tls->ssl));

	if (peer == NULL || X509_digest(peer, EVP_sha256(), hash, &size) != 1) {
		ERR_clear_error();
		return text;
	}
	cn = X509_NAME_get_text_by_NID(
	    X509_get_subject_name(peer), NID_commonName, name, sizeof(name));
	/* A NUL byte ends no name: "alice" is not who has one behind that. */
	for (int i = 0; i < cn; i++)
		if (name[i] < ' ' || name[i] > '~' || name[i] == '"')
			name[i] = '?';
	for (size_t i = 0; i < size; i++)
		snprintf(hex + 2 * i, 3, "%02x", hash[i]);
	snprintf(text + len, TLS_TEXT - (size_t)len, " CN \"%s\" SHA-256 %s", name, hex);
	return text;
}
