#include "chat/leaving.h"

#include <stdio.h>

void
leaving_init(struct leaving *leaving, struct pressure *pressure)
{
	*leaving = (struct leaving){.broadcast = pressure->broadcast, .pressure = pressure};
}

void
leaving_remove(struct leaving *leaving, struct conn *conn, const char *reason)
{
	pressure_release(leaving->pressure, conn);
	pool_remove(leaving->broadcast->pool, conn, reason);
}

static void
say_farewell(struct leaving *leaving, struct conn *conn, const char *told)
{
	char line[128];
	int len = snprintf(line, sizeof(line), "chatd: %s\n", told);
	size_t written;

	broadcast_tell(leaving->broadcast, conn, line, (size_t)len);
	conn_write(conn, &written);
	conn_close_write(conn);
}

void
leaving_dismiss(struct leaving *leaving, struct conn *conn, enum log_topic topic, const char *told,
    const char *reason)
{
	char text[ADDR_TEXT];

	if (told != NULL)
		say_farewell(leaving, conn, told);
	log_limited(topic, "%s %s: %s", addr_format(&conn->addr, text),
	    topic == LOG_REFUSED ? "refused" : "removed", reason);
	leaving_remove(leaving, conn, reason);
}
