#include "secure.h"

#include <err.h>
#include <errno.h>
#include <openssl/err.h>

static SSL_CTX *
context(const SSL_METHOD *method)
{
	SSL_CTX *ctx = SSL_CTX_new(method);

	if (ctx == NULL)
		errx(1, "SSL_CTX_new");
	SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
	SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
				  SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_set_options(ctx, SSL_OP_IGNORE_UNEXPECTED_EOF);
	return ctx;
}

SSL_CTX *
secure_client(void)
{
	return context(TLS_client_method());
}

SSL_CTX *
secure_server(const char *certificate, const char *key)
{
	SSL_CTX *ctx = context(TLS_server_method());

	SSL_CTX_set_num_tickets(ctx, 0);
	if (SSL_CTX_use_certificate_chain_file(ctx, certificate) != 1 ||
	    SSL_CTX_use_PrivateKey_file(ctx, key, SSL_FILETYPE_PEM) != 1)
		errx(1, "%s, %s: cannot be used", certificate, key);
	return ctx;
}

static SSL *
shake_hands(SSL_CTX *ctx, int fd, int (*call)(SSL *))
{
	SSL *ssl = SSL_new(ctx);

	if (ssl == NULL || SSL_set_fd(ssl, fd) != 1 || call(ssl) != 1) {
		ERR_print_errors_fp(stderr);
		errx(1, "TLS handshake");
	}
	return ssl;
}

SSL *
secure_connect(SSL_CTX *ctx, int fd)
{
	return shake_hands(ctx, fd, SSL_connect);
}

SSL *
secure_accept(SSL_CTX *ctx, int fd)
{
	return shake_hands(ctx, fd, SSL_accept);
}

/* Until there is no more, since epoll does not see what the library holds. */
ssize_t
secure_recv(SSL *ssl, char *buf, size_t size)
{
	size_t len = 0;
	int got = 1;

	ERR_clear_error();
	while (len < size && (got = SSL_read(ssl, buf + len, (int)(size - len))) > 0)
		len += (size_t)got;
	if (len > 0)
		return (ssize_t)len;
	errno = SSL_get_error(ssl, got) == SSL_ERROR_WANT_READ ? EAGAIN : EPIPE;
	return errno == EAGAIN ? -1 : 0;
}

ssize_t
secure_send(SSL *ssl, const char *buf, size_t len)
{
	size_t sent = 0;
	int put = 1;

	ERR_clear_error();
	while (sent < len && (put = SSL_write(ssl, buf + sent, (int)(len - sent))) > 0)
		sent += (size_t)put;
	if (sent > 0 || len == 0)
		return (ssize_t)sent;
	errno = SSL_get_error(ssl, put) == SSL_ERROR_WANT_WRITE ? EAGAIN : EPIPE;
	return -1;
}
