/*
 * meet: a TLS connection whose two ends a test drives: chatd's, and that of a peer.
 */
#ifndef MEET_H
#define MEET_H

#include "peer.h"
#include "wire/tls.h"

struct meet {
	struct tls *tls;
	struct peer peer;
	int fd; /* of tls; peer.fd is the other end */
};

extern struct meet meet;

/* Setup and teardown of a group: certificates "server", and "client", which "ca" has signed. */
int meet_certs(void **state);
int meet_no_certs(void **state);
extern struct cert meet_ca, meet_client;
/* Of each test. */
int meet_setup(void **state);
int meet_teardown(void **state);

/* Both ends, before the handshake. context: the usual one, if it is NULL. */
void meet_begin(int version, const struct tls_context *context, const struct cert *cert);
/* The handshake, in as many steps as it takes. What chatd's end says last. */
enum tls_outcome meet_handshake(void);
/* The same, and it is over. */
void meet_open(int version);

/* tls_recv with so much room. What came, as a string; good until the next. n gets the result. */
const char *meet_recv(size_t room, ssize_t *n);
/* tls_recv until nothing is pending. */
const char *meet_recv_all(void);
/* tls_send of the text. Its result. */
ssize_t meet_send(const char *text);

#endif
