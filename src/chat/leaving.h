/*
 * leaving: how a connection ends, whatever ends it.
 */
#ifndef CHATD_LEAVING_H
#define CHATD_LEAVING_H

#include "base/log.h"
#include "chat/broadcast.h"
#include "chat/pressure.h"

struct leaving {
	struct broadcast *broadcast;
	struct pressure *pressure;
};

void leaving_init(struct leaving *leaving, struct pressure *pressure);

/* Removes the connection; reason is for the log. */
void leaving_remove(struct leaving *leaving, struct conn *conn, const char *reason);
/*
 * The same for one that chatd turns away. told: the last line it gets, without "chatd: ", or NULL.
 * topic says in the log whether it was refused or removed. A refused one is in no pool yet.
 */
void leaving_dismiss(struct leaving *leaving, struct conn *conn, enum log_topic topic,
    const char *told, const char *reason);

#endif
