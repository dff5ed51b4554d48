/*
 * tls_context: what all TLS connections share: certificate, key, and who may come.
 *
 * A reload loads another one; those inside keep the one they came in with. Versions are 1.2 and
 * 1.3; ciphers and curves are those of the library, or of the machine's openssl.cnf. There is no
 * resumption: a connection lives long, and a new one is checked anew.
 *
 * Where chatd is built without TLS, tls_context_none.c takes the place of tls_context.c, and
 * loading fails if there is something to load.
 *
 * chatd itself is a client of TLS where it speaks to the engine of a cluster.
 */
#ifndef CHATD_TLS_CONTEXT_H
#define CHATD_TLS_CONTEXT_H

#include "conf/certificates.h"

/* Bytes of the certificates that a client may show: each takes time to read. */
#define TLS_CERTIFICATES 16384

struct tls_context {
	struct ssl_ctx_st *ctx; /* SSL_CTX of OpenSSL */
	const char *server;     /* of a client: the name in the certificate of the other end */
};

/*
 * Reads the files, if any are set. Tells each fault, with the place where the file was named, and
 * warns of what is not yet one: a certificate that has expired, a key that everybody can read.
 * Returns 0 with a context that the caller frees, or NULL where nothing is set; -1 after a fault.
 */
int tls_context_load(
    struct tls_context **context, const struct certificates *certificates, source_tell *tell);
/*
 * The same of a client, to the one server that has that name, and whose certificate the ca has
 * signed. certificate and key are its own, where both are set. The name stays the caller's.
 */
int tls_context_load_client(struct tls_context **context, const struct certificates *certificates,
    const char *server, source_tell *tell);
void tls_context_free(struct tls_context *context);

#endif
