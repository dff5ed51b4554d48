#include "chat/roster.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"

static void
call(struct conn *conn, const char *name, size_t len)
{
	struct nick *nick = &conn->nick;

	memcpy(nick->name, name, len);
	nick->name[len] = '\0';
	nick->len = (uint8_t)len;
}

void
roster_enter(struct conn *conn)
{
	char name[CONN_NAME + 1];
	int len = snprintf(name, sizeof(name), "guest%d", conn->fd);

	roster_forget(conn);
	call(conn, name, (size_t)len);
}

void
roster_forget(struct conn *conn)
{
	conn->nick = (struct nick){.spoke = conn->nick.spoke};
}

static bool
is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool
is_possible(const char *name, size_t len)
{
	if (len == 0 || len > CONN_NAME || !is_letter(name[0]))
		return false;
	for (size_t i = 1; i < len; i++)
		if (!is_letter(name[i]) && (name[i] < '0' || name[i] > '9') && name[i] != '-' &&
		    name[i] != '_')
			return false;
	return true;
}

static bool
is_reserved(const char *name, size_t len)
{
	return (len == 5 && strncasecmp(name, "chatd", 5) == 0) ||
	       (len >= 5 && strncasecmp(name, "guest", 5) == 0);
}

static bool
is_taken(const struct pool *pool, const struct conn *by, const char *name, size_t len)
{
	FDSET_FOREACH(sd, &pool->members) {
		const struct conn *conn = pool->conns[sd];

		if (conn != by && conn->nick.len == len &&
		    strncasecmp(conn->nick.name, name, len) == 0)
			return true;
	}
	return false;
}

static bool
is_called(const struct nick *nick, const char *name, size_t len)
{
	return nick->len == len && memcmp(nick->name, name, len) == 0;
}

enum roster_outcome
roster_choose(const struct pool *pool, struct conn *conn, const char *name, size_t len)
{
	struct nick *nick = &conn->nick;

	if (!is_possible(name, len))
		return ROSTER_IMPOSSIBLE;
	if (is_called(nick, name, len))
		return ROSTER_SAME;
	if (is_reserved(name, len))
		return ROSTER_RESERVED;
	if (nick->chosen && clock_now() - nick->chosen_at < ROSTER_PAUSE)
		return ROSTER_TOO_SOON;
	if (is_taken(pool, conn, name, len))
		return ROSTER_TAKEN;
	call(conn, name, len);
	nick->chosen = true;
	nick->chosen_at = clock_now();
	return ROSTER_CHANGED;
}

void
roster_list(const struct pool *pool, struct notice *notice)
{
	uint32_t left = pool->count;

	FDSET_FOREACH(sd, &pool->members) {
		if (!notice_has_room(notice))
			break;
		notice_add(notice, pool->conns[sd]->nick.name);
		left--;
	}
	notice_more(notice, left);
}
