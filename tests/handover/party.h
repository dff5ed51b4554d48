/*
 * party: clients that talk to each other through chatd, and check every byte.
 *
 * Each line is "SPEAKER NUMBER LETTERS\n", and follows from speaker and number alone. So whoever
 * hears it knows whether it is whole, and whether it is the next one of that speaker: a line that
 * is lost, torn, doubled or in the wrong order is found by its first hearer.
 *
 * Some clients speak in pieces, some read slowly, some come, say a few lines and go. Those that
 * stay are connected over TCP or a unix socket. A connection that ends without having asked for it
 * is counted: a guest that has just come, one on a unix socket, or one over TCP that stays, which
 * must never happen.
 */
#ifndef PARTY_H
#define PARTY_H

#include <stdbool.h>
#include <stdint.h>

struct party_plan {
	const char *path; /* of the unix socket */
	uint16_t port;    /* on 127.0.0.1 */
	unsigned tcp;     /* clients that stay; */
	unsigned unixes;  /* the same over the unix socket */
	unsigned guests;  /* that come and go, at the same time */
	unsigned slow;    /* of those over TCP: read little */
	unsigned pause;   /* microseconds between two rounds of speaking */
	bool named; /* mode chat: a line comes behind "NAME: ", and lines of chatd's own do not
		       count */
	uint64_t seed;
};

struct party_result {
	uint64_t said, heard, guests;
	uint64_t lost, torn, twice, own; /* lines; own: a client has heard itself */
	uint64_t order;                  /* hearers that did not hear the same in the same order */
	uint64_t dropped_tcp, dropped_unix, dropped_guests;
};

/*
 * Goes on until *stop is set; then everybody stops speaking, and the party ends when everybody has
 * heard everything, or after so many seconds without a new byte.
 */
void party(const struct party_plan *plan, volatile int *stop, struct party_result *result);

#endif
