/*
 * tls: what stands between a connection and its socket where the client speaks TLS 1.2 or 1.3.
 *
 * tls_recv and tls_send stand in the place of recv and sendmsg; beside them are the questions that
 * select cannot answer any more. Only the rooms whose names begin with tls know the library,
 * OpenSSL; where chatd is built without it, tls_none.c takes the place of tls.c, and there never is
 * a struct tls.
 *
 * The library reaches the socket through calls of our own: so one tls_recv receives at most once,
 * and no signal is raised. What the socket does not take waits here, TLS_UNSENT bytes at most: for
 * the library a record has left as a whole. It could not answer a key update with a record under
 * way, which would be the end of a client that reads slowly.
 *
 * Bytes are of two kinds: those of the client, and those on the wire, which are more (22 for each
 * record) and come and go in other portions. Progress is counted in those on the wire: a part of a
 * record is progress.
 */
#ifndef CHATD_TLS_H
#define CHATD_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "wire/tls_context.h"

#define TLS_RECORD   16384 /* bytes of one record, RFC 8446, 5.1 */
#define TLS_UNSENT   65536 /* more than a record, or a chain of certificates */
/* Key updates of one recv, or renegotiations, each of which is refused; more is no use, and costs
 * more than it costs to send. */
#define TLS_REQUESTS 32

/* Others only read it. */
struct tls {
	struct ssl_st *ssl; /* SSL of OpenSSL */
	int fd;             /* the caller's */
	bool pending;       /* tls_recv has something, whatever select says */
	bool blocked;   /* tls_recv goes on when the socket is writable: it has to answer first */
	bool unblocked; /* it was writable, and tls_recv has not gone on yet */
	bool closed;    /* no byte comes any more */
	bool failed;    /* that came unexpectedly: a bare FIN, which may be forged, or see broken */
	bool broken;    /* the client broke the protocol */
	/* Of the last call: */
	bool full;             /* the socket took less than it was given: another call is no use */
	bool eof;              /* the socket has ended */
	size_t received, sent; /* bytes on the wire */
	size_t unsent_len;     /* bytes for the wire that the socket did not take yet */
	/* For tls.c alone: */
	bool asked; /* the socket was asked in this call, which it is only once */
	char *unsent;
	bool shut;            /* close_notify was said */
	unsigned key_updates; /* in this call; and alerts that were sent */
	unsigned refusals;
	int error;              /* errno of a call on the socket that failed for good, or 0 */
	unsigned long reason;   /* the library's */
	const char *own_reason; /* chatd's own, or NULL */
};

/* Of a server, or with such a context of a client, on a non-blocking socket, which stays the
 * caller's. NULL: memory is refused. */
struct tls *tls_new(const struct tls_context *context, int fd);
void tls_free(struct tls *tls);

enum tls_outcome {
	TLS_OPEN,
	TLS_WANTS_READ,
	TLS_WANTS_WRITE, /* and not to be readable: it would read nothing */
	TLS_FAILED,      /* the client has been told why by an alert */
};

/* Goes on with the handshake; receives only if the socket is readable. */
enum tls_outcome tls_handshake(struct tls *tls, bool readable);

/*
 * Returns bytes; 0 for the end, after which it is not called again; or -1: nothing can be read now,
 * and nothing is wrong.
 */
ssize_t tls_recv(struct tls *tls, char *data, size_t room);
/* It is writable: tls_recv may go on, and is pending. */
void tls_unblock(struct tls *tls);
/* tls_recv will not be called any more: nothing is pending or blocked. */
void tls_stop_reading(struct tls *tls);

/*
 * Sends what is unsent, and then one record of what iov offers, TLS_RECORD bytes at most. Returns
 * how many bytes of the client are on their way; or -1 with errno: EAGAIN, none, or the same bytes
 * have to be offered again.
 */
ssize_t tls_send(struct tls *tls, const struct iovec *iov, int count);

/*
 * Says that nothing comes any more (close_notify), behind all that was sent. Returns false if a
 * part of that is unsent.
 */
bool tls_shut(struct tls *tls);

/* For a client that is refused before a handshake, in the place of a line: the fatal alert
 * access_denied. */
#define TLS_ALERT 7
extern const char tls_alert[TLS_ALERT];

#endif
