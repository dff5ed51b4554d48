/*
 * greeting: how a link begins: who chatd is (AUTH), and what the link is for (CLIENT SETNAME).
 *
 * The file of the password is read anew each time, so a new one is used as soon as the engine ends
 * a link. It holds one line.
 */
#ifndef CHATD_GREETING_H
#define CHATD_GREETING_H

#include "cluster/command.h"
#include "conf/cluster.h"

#define GREETING_WHY 160

/*
 * Adds the commands, and returns how many there are; or -1 with why: the password cannot be read.
 * name: of the link, for those who look at the engine.
 */
int greeting_say(struct commands *commands, const struct cluster *settings, const char *name,
    char why[GREETING_WHY]);

/* Whether the file of the password can be used, if one is set; if not, why. */
int greeting_check(const struct cluster *settings, char why[GREETING_WHY]);

#endif
