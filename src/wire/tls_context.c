#include "wire/tls_context.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <syslog.h>

#define FFDHE     1 /* the first byte of the groups of finite fields */
#define OTHER_KEY "is not the key of the certificate"

static void
say(source_tell *tell, int level, const struct named_file *file, const char *what)
{
	char text[1024];

	snprintf(text, sizeof(text), "%s: %s%s: %s", file->where,
	    level == LOG_WARNING ? "warning: " : "", file->path, what);
	tell(level, text);
}

static bool is_locked; /* the file that was read last */

/* Without it the library would ask at the terminal, and wait. */
static int
no_password(char *text, int size, int writing, void *context)
{
	(void)text;
	(void)size;
	(void)writing;
	(void)context;
	is_locked = true;
	return -1;
}

/* What the library has against the file: the first error is the one that says most. */
static const char *
reason(void)
{
	unsigned long code = ERR_peek_error();
	const char *text = ERR_reason_error_string(code);

	if (is_locked)
		return "is encrypted, allowed is one without a password";
	if (ERR_SYSTEM_ERROR(code))
		return strerror(ERR_GET_REASON(code));
	if (ERR_GET_LIB(code) == ERR_LIB_X509 && ERR_GET_REASON(code) == X509_R_KEY_VALUES_MISMATCH)
		return OTHER_KEY;
	if ((ERR_GET_LIB(code) == ERR_LIB_PEM && ERR_GET_REASON(code) == PEM_R_NO_START_LINE) ||
	    (ERR_GET_LIB(code) == ERR_LIB_OSSL_DECODER &&
		ERR_GET_REASON(code) == ERR_R_UNSUPPORTED))
		return "holds nothing of the kind in PEM";
	return text != NULL ? text : "cannot be used";
}

/* A pipe would make chatd wait. Returns whether it can be read as a file. */
static bool
is_file(const struct named_file *file, struct stat *st, source_tell *tell)
{
	is_locked = false;
	if (stat(file->path, st) < 0)
		say(tell, LOG_ERR, file, strerror(errno));
	else if (!S_ISREG(st->st_mode))
		say(tell, LOG_ERR, file, "is no regular file");
	else
		return true;
	return false;
}

static int
load_certificate(SSL_CTX *ctx, const struct named_file *file, source_tell *tell)
{
	struct stat st;
	const X509 *certificate;

	if (!is_file(file, &st, tell))
		return -1;
	if (SSL_CTX_use_certificate_chain_file(ctx, file->path) != 1) {
		say(tell, LOG_ERR, file, reason());
		return -1;
	}
	certificate = SSL_CTX_get0_certificate(ctx);
	if (X509_cmp_current_time(X509_get0_notAfter(certificate)) < 0)
		say(tell, LOG_WARNING, file, "has expired; most clients will refuse it");
	else if (X509_cmp_current_time(X509_get0_notBefore(certificate)) > 0)
		say(tell, LOG_WARNING, file, "is not valid yet; most clients will refuse it");
	return 0;
}

static int
load_key(SSL_CTX *ctx, const struct named_file *file, source_tell *tell)
{
	struct stat st;

	if (!is_file(file, &st, tell))
		return -1;
	if (SSL_CTX_use_PrivateKey_file(ctx, file->path, SSL_FILETYPE_PEM) != 1) {
		say(tell, LOG_ERR, file, reason());
		return -1;
	}
	/* A key of another kind goes beside the certificate, for one that may still come. */
	if (SSL_CTX_check_private_key(ctx) != 1) {
		say(tell, LOG_ERR, file, OTHER_KEY);
		return -1;
	}
	if ((st.st_mode & S_IROTH) != 0)
		say(tell, LOG_WARNING, file,
		    "everybody may read it; whoever does can pose as chatd");
	return 0;
}

static int
load_ca(SSL_CTX *ctx, const struct certificates *certificates, source_tell *tell)
{
	const struct named_file *file = &certificates->ca;
	int verify = SSL_VERIFY_PEER;
	STACK_OF(X509_NAME) * names;
	struct stat st;

	if (certificates->clients == TLS_CLIENTS_ANY)
		return 0;
	if (!is_file(file, &st, tell))
		return -1;
	if (SSL_CTX_load_verify_file(ctx, file->path) != 1 ||
	    (names = SSL_load_client_CA_file(file->path)) == NULL) {
		say(tell, LOG_ERR, file, reason());
		return -1;
	}
	SSL_CTX_set_client_CA_list(ctx, names);
	if (certificates->clients == TLS_CLIENTS_REQUIRED)
		verify |= SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
	SSL_CTX_set_verify(ctx, verify, NULL);
	return 0;
}

static int (*library_allows)(const SSL *, const SSL_CTX *, int, int, int, void *, void *);

/*
 * Diffie-Hellman in a finite field may cost 150 ms, for which a client need not calculate anything,
 * and nobody needs it: all know a curve. Everything else is as openssl.cnf says.
 */
static int
allows(const SSL *ssl, const SSL_CTX *ctx, int op, int bits, int nid, void *other, void *self)
{
	const unsigned char *group = other; /* its number, RFC 8446, 4.2.7 */

	if (((unsigned)op & SSL_SECOP_OTHER_TYPE) == SSL_SECOP_OTHER_CURVE && group[0] == FFDHE)
		return 0;
	return library_allows(ssl, ctx, op, bits, nid, other, self);
}

/*
 * A write may offer other memory than before, with the same bytes at its front. RELEASE_BUFFERS:
 * idle clients cost half the memory. read_ahead: many records come in one recv.
 */
static void
set_up(SSL_CTX *ctx)
{
	SSL_CTX_set_default_passwd_cb(ctx, no_password);
	SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
	SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_TICKET |
				     SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE);
	SSL_CTX_set_num_tickets(ctx, 0);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
				  SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_set_read_ahead(ctx, 1);
	SSL_CTX_set_max_cert_list(ctx, TLS_CERTIFICATES);
	if (library_allows == NULL)
		library_allows = SSL_CTX_get_security_callback(ctx);
	SSL_CTX_set_security_callback(ctx, allows);
}

static struct tls_context *
context_new(const SSL_METHOD *method)
{
	struct tls_context *context = calloc(1, sizeof(*context));

	if (context != NULL && (context->ctx = SSL_CTX_new(method)) == NULL) {
		free(context);
		return NULL;
	}
	return context;
}

int
tls_context_load(
    struct tls_context **context, const struct certificates *certificates, source_tell *tell)
{
	int result = -1;

	*context = NULL;
	if (!certificates_are_set(certificates))
		return 0;
	ERR_clear_error();
	if ((*context = context_new(TLS_server_method())) == NULL) {
		say(tell, LOG_ERR, &certificates->certificate, strerror(ENOMEM));
	} else {
		SSL_CTX *ctx = (*context)->ctx;

		set_up(ctx);
		if (load_certificate(ctx, &certificates->certificate, tell) == 0 &&
		    load_key(ctx, &certificates->key, tell) == 0 &&
		    load_ca(ctx, certificates, tell) == 0)
			result = 0;
	}
	ERR_clear_error();
	if (result < 0) {
		tls_context_free(*context);
		*context = NULL;
	}
	return result;
}

/* Whose certificates a client believes. */
static int
load_server_ca(SSL_CTX *ctx, const struct named_file *file, source_tell *tell)
{
	struct stat st;

	if (!is_file(file, &st, tell))
		return -1;
	if (SSL_CTX_load_verify_file(ctx, file->path) != 1) {
		say(tell, LOG_ERR, file, reason());
		return -1;
	}
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
	return 0;
}

int
tls_context_load_client(struct tls_context **context, const struct certificates *certificates,
    const char *server, source_tell *tell)
{
	int result = -1;

	*context = NULL;
	if (certificates->ca.path == NULL)
		return 0;
	ERR_clear_error();
	if ((*context = context_new(TLS_client_method())) == NULL) {
		say(tell, LOG_ERR, &certificates->ca, strerror(ENOMEM));
	} else {
		SSL_CTX *ctx = (*context)->ctx;

		(*context)->server = server;
		set_up(ctx);
		if (load_server_ca(ctx, &certificates->ca, tell) == 0 &&
		    (!certificates_are_set(certificates) ||
			(load_certificate(ctx, &certificates->certificate, tell) == 0 &&
			    load_key(ctx, &certificates->key, tell) == 0)))
			result = 0;
	}
	ERR_clear_error();
	if (result < 0) {
		tls_context_free(*context);
		*context = NULL;
	}
	return result;
}

void
tls_context_free(struct tls_context *context)
{
	if (context == NULL)
		return;
	SSL_CTX_free(context->ctx);
	free(context);
}
