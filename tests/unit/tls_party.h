/*
 * tls_party: guests of a party that speak TLS, and newcomers of its lobby.
 */
#ifndef TLS_PARTY_H
#define TLS_PARTY_H

#include "party.h"
#include "peer.h"

/* Setup and teardown of a group, with meet's certificates; and of each test. */
int tls_party_certs(void **state);
int tls_party_no_certs(void **state);
int tls_party_setup(void **state);
int tls_party_teardown(void **state);

/* Other settings; TLS stays. */
void tls_party_configure(const char *text);

/* Somebody was accepted at a TLS port, from the address. */
struct guest *tls_party_knock(const char *address);
/* The same, with a client that says hello. The handshake begins with the next pass. */
struct guest *tls_party_greet(const char *address, int version);
/* The peer of a guest that has one. */
struct peer *tls_party_peer(const struct guest *guest);
/* Passes in which the handshake goes on, until the client is in. */
void tls_party_finish(const struct guest *guest);
/* Both: a guest that is in. */
struct guest *tls_party_join(int version);
/* Its connection's TLS, while it is in. */
struct tls *tls_party_tls(const struct guest *guest);

/* Whether it waits in the lobby, and whether its handshake has begun. */
bool tls_party_waits(const struct guest *guest);
bool tls_party_has_begun(const struct guest *guest);

/* It says the text, and that is sent. */
void tls_party_say(const struct guest *guest, const char *text);
/* It has heard just this since the last look. */
void tls_party_expect(const struct guest *guest, const char *want);
/* And then the end: close_notify. */
void tls_party_expect_last(const struct guest *guest, const char *want);

#endif
