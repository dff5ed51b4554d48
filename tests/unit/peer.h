/*
 * peer: a TLS client, the far end of a socket, for the tests of TLS.
 *
 * What it says lies ready as bytes for the wire until the test sends them, whole or in pieces.
 */
#ifndef PEER_H
#define PEER_H

#include <openssl/ssl.h>
#include <stddef.h>

#include "certs.h"

struct peer {
	SSL *ssl;
	int fd;
};

/* version: TLS1_2_VERSION or TLS1_3_VERSION. cert: what it shows, or NULL. */
void peer_open(struct peer *peer, int fd, int version, const struct cert *cert);
/* Its descriptor stays open. */
void peer_free(struct peer *peer);

/* Goes on with the handshake as far as it can. Returns whether it is over for the client. */
bool peer_handshake(struct peer *peer);
/* Bytes for the wire that lie ready, at most max. Good until the next; len gets how many. */
const char *peer_take(struct peer *peer, size_t max, size_t *len);
/* Sends what lies ready. */
void peer_send(struct peer *peer);

/* What it says lies ready. */
void peer_say(struct peer *peer, const char *text);
void peer_say_bytes(struct peer *peer, const char *data, size_t len);
void peer_update_keys(struct peer *peer, int times);
/* close_notify lies ready. */
void peer_say_end(struct peer *peer);
/* Says and sends. */
void peer_tell(struct peer *peer, const char *text);

/* What it can hear now, as a string; good until the next. end gets how it ended, if it did. */
enum peer_end {
	PEER_OPEN,
	PEER_CLOSED, /* close_notify */
	PEER_CUT,    /* a bare end of file */
	PEER_BROKEN, /* an alert, or worse */
};
const char *peer_hears(struct peer *peer, enum peer_end *end);
/* The alert that came, as OpenSSL says it: "access denied"; or "". */
const char *peer_alert(const struct peer *peer);

#endif
