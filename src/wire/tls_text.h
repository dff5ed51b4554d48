/*
 * tls_text: what the log says of a TLS connection. Where chatd is built without TLS,
 * tls_text_none.c takes the place of tls_text.c.
 */
#ifndef CHATD_TLS_TEXT_H
#define CHATD_TLS_TEXT_H

#include "wire/tls.h"

#define TLS_REASON 160
#define TLS_TEXT   256

/* Why it failed, without a byte of the client. Returns text. */
const char *tls_reason(const struct tls *tls, char text[TLS_REASON]);
/*
 * "TLSv1.3 TLS_AES_256_GCM_SHA384"; and where the client has shown a certificate, its name, cut to
 * printable ASCII, and its fingerprint: ' CN "alice" SHA-256 690e...'. Returns text.
 */
const char *tls_describe(const struct tls *tls, char text[TLS_TEXT]);

#endif
