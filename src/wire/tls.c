#include "wire/tls.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/param.h>
#include <sys/socket.h>

#include "wire/tls_context.h"

const char tls_alert[TLS_ALERT] = {SSL3_RT_ALERT, 3, 3, 0, 2, SSL3_AL_FATAL, SSL_AD_ACCESS_DENIED};

/* --- the socket as the library sees it */

static bool
is_temporary(int error)
{
	return error == EAGAIN || error == EINTR || error == ENOBUFS || error == ENOMEM;
}

/*
 * A recv that fails is skipped, like that of a plain client: the next one finds the end. Of a bare
 * end of file the library learns nothing: it would never write again, and what waits is to be
 * written once more.
 */
static int
wire_read(BIO *bio, char *data, int len)
{
	struct tls *tls = BIO_get_data(bio);
	ssize_t n = -1;

	BIO_clear_retry_flags(bio);
	if (!tls->asked)
		n = recv(tls->fd, data, (size_t)len, 0);
	tls->asked = true;
	tls->eof |= n == 0;
	if (n > 0) {
		tls->received += (size_t)n;
		return (int)n;
	}
	BIO_set_retry_read(bio);
	return -1;
}

/* Keeps what the socket did not take. Returns false when there is no room for it. */
static bool
keep(struct tls *tls, const char *data, size_t len)
{
	char *unsent;

	if (tls->unsent_len + len > TLS_UNSENT ||
	    (unsent = realloc(tls->unsent, tls->unsent_len + len)) == NULL)
		return false;
	memcpy(unsent + tls->unsent_len, data, len);
	tls->unsent = unsent;
	tls->unsent_len += len;
	return true;
}

static void
forget_unsent(struct tls *tls)
{
	free(tls->unsent);
	tls->unsent = NULL;
	tls->unsent_len = 0;
}

/* Returns how many bytes the socket took, or -1 when it never takes any again. */
static ssize_t
give(struct tls *tls, const char *data, size_t len)
{
	ssize_t n;

	if (tls->error != 0)
		return -1;
	n = send(tls->fd, data, len, MSG_NOSIGNAL);
	if (n < 0 && !is_temporary(errno)) {
		tls->error = errno;
		forget_unsent(tls);
		return -1;
	}
	n = MAX(n, 0);
	tls->sent += (size_t)n;
	tls->full = (size_t)n < len;
	return n;
}

static void
flush(struct tls *tls)
{
	ssize_t n;

	if (tls->unsent_len == 0 || (n = give(tls, tls->unsent, tls->unsent_len)) < 0)
		return;
	tls->unsent_len -= (size_t)n;
	if (tls->unsent_len == 0)
		forget_unsent(tls);
	else
		memmove(tls->unsent, tls->unsent + n, tls->unsent_len);
}

/*
 * Behind what is unsent. What can be kept counts as written; and so does everything once the socket
 * takes nothing any more: else an answer that is due would keep the library from reading on.
 */
static int
wire_write(BIO *bio, const char *data, int len)
{
	struct tls *tls = BIO_get_data(bio);
	ssize_t n = 0;

	BIO_clear_retry_flags(bio);
	if (tls->unsent_len == 0 && !tls->full && (n = give(tls, data, (size_t)len)) < 0)
		return len;
	if (n == len || keep(tls, data + n, (size_t)(len - n)))
		return len;
	if (n > 0)
		return (int)n;
	BIO_set_retry_write(bio);
	return -1;
}

static long
wire_ctrl(BIO *bio, int command, long number, void *pointer)
{
	(void)bio;
	(void)number;
	(void)pointer;
	return command == BIO_CTRL_FLUSH;
}

static BIO *
wire_new(struct tls *tls)
{
	static BIO_METHOD *wire;
	BIO *bio;

	if (wire == NULL) {
		wire = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "chatd");
		if (wire == NULL)
			return NULL;
		BIO_meth_set_read(wire, wire_read);
		BIO_meth_set_write(wire, wire_write);
		BIO_meth_set_ctrl(wire, wire_ctrl);
	}
	if ((bio = BIO_new(wire)) == NULL)
		return NULL;
	BIO_set_data(bio, tls);
	BIO_set_init(bio, 1);
	return bio;
}

/* --- one connection */

static void
on_message(int out, int version, int type, const void *data, size_t len, SSL *ssl, void *self)
{
	struct tls *tls = self;

	(void)version;
	(void)ssl;
	if (!out && type == SSL3_RT_HANDSHAKE && len > 0 &&
	    *(const unsigned char *)data == SSL3_MT_KEY_UPDATE)
		tls->key_updates++;
	if (out && type == SSL3_RT_ALERT)
		tls->refusals++;
}

/* Which end it is. Returns false when memory is refused. */
static bool
take_side(const struct tls *tls, const char *server)
{
	(server == NULL ? SSL_set_accept_state : SSL_set_connect_state)(tls->ssl);
	return server == NULL || (SSL_set1_host(tls->ssl, server) == 1 &&
				     SSL_set_tlsext_host_name(tls->ssl, server) == 1);
}

struct tls *
tls_new(const struct tls_context *context, int fd)
{
	struct tls *tls = calloc(1, sizeof(*tls));
	BIO *bio = NULL;

	if (tls == NULL)
		return NULL;
	tls->fd = fd;
	if ((tls->ssl = SSL_new(context->ctx)) != NULL && take_side(tls, context->server))
		bio = wire_new(tls);
	ERR_clear_error();
	if (bio == NULL) {
		tls_free(tls);
		return NULL;
	}
	SSL_set_bio(tls->ssl, bio, bio);
	SSL_set_msg_callback(tls->ssl, on_message);
	SSL_set_msg_callback_arg(tls->ssl, tls);
	return tls;
}

void
tls_free(struct tls *tls)
{
	if (tls == NULL)
		return;
	SSL_free(tls->ssl);
	free(tls->unsent);
	free(tls);
}

/* The queue of errors is one for all connections: it is empty before each call and after it. */
static void
begin(struct tls *tls)
{
	ERR_clear_error();
	tls->asked = tls->full = false;
	tls->received = tls->sent = 0;
	tls->key_updates = tls->refusals = 0;
}

/* The first error of the queue, but rather one of TLS itself: it says more than one of a cipher. */
static unsigned long
take_reason(void)
{
	unsigned long first = ERR_peek_error(), code = first;

	while (code != 0 && ERR_GET_LIB(code) != ERR_LIB_SSL) {
		ERR_get_error();
		code = ERR_peek_error();
	}
	return code != 0 ? code : first;
}

/* What a call that returned result came to: an SSL_ERROR. */
static int
judge(struct tls *tls, int result)
{
	int error = SSL_get_error(tls->ssl, result);

	if (error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE &&
	    error != SSL_ERROR_ZERO_RETURN && error != SSL_ERROR_NONE) {
		tls->failed = tls->broken = true;
		tls->reason = take_reason();
	}
	ERR_clear_error();
	return error;
}

enum tls_outcome
tls_handshake(struct tls *tls, bool readable)
{
	int result, error;

	begin(tls);
	tls->asked = !readable;
	flush(tls);
	result = SSL_do_handshake(tls->ssl);
	error = judge(tls, result);
	tls->failed |= tls->eof || tls->error != 0;
	if (tls->failed)
		return TLS_FAILED;
	/* What follows its last message may have come with it. */
	tls->pending = result == 1 && SSL_has_pending(tls->ssl) != 0;
	if (result == 1)
		return TLS_OPEN;
	/* The client answers only when it has got everything. */
	return error == SSL_ERROR_WANT_READ && tls->unsent_len == 0 ? TLS_WANTS_READ
								    : TLS_WANTS_WRITE;
}

/* --- reading */

static void
check_requests(struct tls *tls)
{
	if (tls->key_updates > TLS_REQUESTS)
		tls->own_reason = "too many key updates";
	else if (tls->refusals > TLS_REQUESTS)
		tls->own_reason = "too many renegotiations";
	else
		return;
	tls->failed = tls->broken = true;
}

ssize_t
tls_recv(struct tls *tls, char *data, size_t room)
{
	size_t len = 0, n;
	int error = SSL_ERROR_NONE;

	begin(tls);
	tls->unblocked = false;
	while (len < room && error == SSL_ERROR_NONE && !tls->closed && !tls->failed) {
		if (SSL_read_ex(tls->ssl, data + len, room - len, &n) == 1)
			len += n;
		else
			error = judge(tls, 0);
	}
	check_requests(tls);
	tls->failed |= tls->eof;
	tls->closed |= error == SSL_ERROR_ZERO_RETURN || tls->failed;
	tls->blocked = error == SSL_ERROR_WANT_WRITE;
	/* Stopped for lack of room, or an end is known. */
	tls->pending = len > 0 && (tls->closed || error == SSL_ERROR_NONE);
	if (len > 0 || tls->closed)
		return (ssize_t)len;
	errno = EAGAIN;
	return -1;
}

void
tls_unblock(struct tls *tls)
{
	tls->blocked = false;
	tls->pending = tls->unblocked = true;
}

void
tls_stop_reading(struct tls *tls)
{
	tls->blocked = tls->unblocked = tls->pending = false;
}

/* --- writing */

/* The first len bytes of iov in one piece. One that does not lie so already is gathered: a record
 * for each span would cost more. */
static const char *
gather(const struct iovec *iov, int count, size_t len)
{
	static char record[TLS_RECORD];
	size_t got = 0;

	if (iov->iov_len >= len)
		return iov->iov_base;
	for (int i = 0; i < count && got < len; i++) {
		size_t n = MIN(iov[i].iov_len, len - got);

		memcpy(record + got, iov[i].iov_base, n);
		got += n;
	}
	return record;
}

static size_t
record_len(const struct iovec *iov, int count)
{
	size_t len = 0;

	for (int i = 0; i < count && len < TLS_RECORD; i++)
		len += iov[i].iov_len;
	return MIN(len, TLS_RECORD);
}

ssize_t
tls_send(struct tls *tls, const struct iovec *iov, int count)
{
	size_t len = record_len(iov, count), n;
	int error;

	begin(tls);
	tls->asked = true;
	errno = EAGAIN;
	flush(tls);
	if (tls->error != 0)
		errno = tls->error;
	if (tls->error != 0 || tls->full)
		return -1;
	if (len == 0)
		return 0;
	if (SSL_write_ex(tls->ssl, gather(iov, count, len), len, &n) == 1 && tls->error == 0)
		return (ssize_t)n;
	error = SSL_get_error(tls->ssl, 0);
	ERR_clear_error();
	if (tls->error != 0)
		errno = tls->error;
	else
		errno =
		    error == SSL_ERROR_WANT_WRITE || error == SSL_ERROR_WANT_READ ? EAGAIN : EPIPE;
	return -1;
}

bool
tls_shut(struct tls *tls)
{
	bool able = !tls->broken || tls->own_reason != NULL;

	if (!tls->shut && able && tls->error == 0 && SSL_is_init_finished(tls->ssl)) {
		begin(tls);
		tls->asked = true;
		SSL_shutdown(tls->ssl);
		ERR_clear_error();
		tls->shut = true;
	}
	return tls->unsent_len == 0;
}
