/*
 * admission: whether a newcomer comes in. Lets it into the pool, with TLS into the lobby first; or
 * refuses it with one line, or an alert.
 */
#ifndef CHATD_ADMISSION_H
#define CHATD_ADMISSION_H

#include <stdbool.h>
#include <stdint.h>

#include "chat/handshakes.h"
#include "chat/speech.h"

struct admission {
	struct pool *pool;
	struct leaving *leaving;
	struct lobby *lobby;
	struct speech *speech;
	uint32_t unannounced; /* of those who came in in this pass, see admission_announce */
};

void admission_init(
    struct admission *admission, struct handshakes *handshakes, struct speech *speech);

/* Takes over sd, a newcomer that was just accepted. Returns whether it is in, or in the lobby. */
bool admission_receive(struct admission *admission, int sd, const struct addr *addr, bool tls);
/* Whether limits.clients leaves no place, those of the lobby included. */
bool admission_is_full(const struct admission *admission);
/*
 * Whether a limit might turn the next newcomer away. Its address is not known yet; most likely it
 * is that of the one before, if there was one.
 */
bool admission_is_scarce(const struct admission *admission, const struct addr *before);
/* After a pass: logs who came in, but for those who have gone already without a word: health
 * checks. */
void admission_announce(struct admission *admission);

#endif
