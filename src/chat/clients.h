/*
 * clients: what happens when the socket of a client is ready.
 *
 * A readable client gets one recv in each pass, and what it sent goes to all others. A writable one
 * gets what waits for it. If writing fails because the peer no longer receives, the queue is
 * discarded but the client is read until its end of file: it may have sent lines first.
 */
#ifndef CHATD_CLIENTS_H
#define CHATD_CLIENTS_H

#include "chat/leaving.h"
#include "chat/speech.h"

struct clients {
	struct pool *pool;
	struct broadcast *broadcast;
	struct pressure *pressure;
	struct leaving *leaving;
	struct speech *speech;
	struct exchange *exchange;
	bool plain; /* what is said goes straight to all: there is no mode chat, and no cluster */
};

/* Serves the connections of the pool from now on. */
void clients_init(struct clients *clients, struct leaving *leaving, struct speech *speech);
/* After a reload, and once it is known whether there is a cluster. */
void clients_reconfigure(struct clients *clients);

/*
 * conn has sent len bytes that a former process received, but could not record; they lie in
 * journal->raw. Returns false when there is no memory for them.
 */
bool clients_replay(struct clients *clients, struct conn *conn, size_t len);

/* After the readers of a pass: puts what they said into the queues, and holds the pool if needed.
 */
void clients_deliver(struct clients *clients);

#endif
