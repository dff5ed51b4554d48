/*
 * In the place of tls.c where chatd is built without TLS: there never is a struct tls.
 */
#include "wire/tls.h"

#include <errno.h>

const char tls_alert[TLS_ALERT];

struct tls *
tls_new(const struct tls_context *context, int fd)
{
	(void)context;
	(void)fd;
	return NULL;
}

void
tls_free(struct tls *tls)
{
	(void)tls;
}

enum tls_outcome
tls_handshake(struct tls *tls, bool readable)
{
	(void)tls;
	(void)readable;
	return TLS_FAILED;
}

ssize_t
tls_recv(struct tls *tls, char *data, size_t room)
{
	(void)tls;
	(void)data;
	(void)room;
	return 0;
}

void
tls_unblock(struct tls *tls)
{
	(void)tls;
}

void
tls_stop_reading(struct tls *tls)
{
	(void)tls;
}

ssize_t
tls_send(struct tls *tls, const struct iovec *iov, int count)
{
	(void)tls;
	(void)iov;
	(void)count;
	errno = EPIPE;
	return -1;
}

bool
tls_shut(struct tls *tls)
{
	(void)tls;
	return true;
}
