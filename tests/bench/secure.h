/*
 * TLS for the load generator and the yardstick: recv and send that encrypt.
 */
#ifndef BENCH_SECURE_H
#define BENCH_SECURE_H

#include <openssl/ssl.h>
#include <stddef.h>
#include <sys/types.h>

/* Of clients; or of a server, with its files. */
SSL_CTX *secure_client(void);
SSL_CTX *secure_server(const char *certificate, const char *key);

/* The handshake on a socket that blocks; exits with a message on failure. */
SSL *secure_connect(SSL_CTX *ctx, int fd);
SSL *secure_accept(SSL_CTX *ctx, int fd);

/* As recv and send with MSG_DONTWAIT, once the socket does not block. */
ssize_t secure_recv(SSL *ssl, char *buf, size_t size);
ssize_t secure_send(SSL *ssl, const char *buf, size_t len);

#endif
