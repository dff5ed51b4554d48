/*
 * handshakes: how a newcomer of the lobby becomes a member.
 *
 * Handshakes that have begun go on first, in the order in which they began; new ones begin in the
 * order in which the newcomers came. Both get HANDSHAKES_SLICE in each pass, since a signature
 * takes long, and may follow any byte: so a crowd of newcomers leaves time to those inside. Who
 * speaks something else is told in plain text that this port wants TLS. If a handshake fails, the
 * library has sent an alert; the newcomer leaves like others, so that it arrives.
 */
#ifndef CHATD_HANDSHAKES_H
#define CHATD_HANDSHAKES_H

#include "chat/leaving.h"
#include "chat/lobby.h"
#include "wire/tls.h"

#define HANDSHAKES_SLICE (CLOCK_SECOND / 1000)

/* A newcomer has become a member: conn is in no set yet. */
typedef void handshakes_enter(void *room, struct conn *conn);

struct handshakes {
	struct lobby *lobby;
	struct leaving *leaving;
	const struct tls_context *context; /* the server's; replaced by a reload; NULL: none */
	handshakes_enter *enter;           /* set by the room above */
	void *room;                        /* its first argument */
};

void handshakes_init(struct handshakes *handshakes, struct lobby *lobby, struct leaving *leaving,
    const struct tls_context *context);
/* After the readers of a pass: goes on with the handshakes for which bytes have come, and begins
 * those of newcomers whose first byte has come. */
void handshakes_run(struct handshakes *handshakes);

#endif
