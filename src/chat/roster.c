#include "chat/roster.h"

#include <assert.h>
#include <bsd/stdlib.h>
#include <bsd/string.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/param.h>

#include "base/clock.h"
#include "wire/ledger.h"

void
roster_init(struct roster *roster, const struct pool *pool)
{
	*roster = (struct roster){.pool = pool};
}

void
roster_free(struct roster *roster)
{
	free(roster->nicks);
	roster->nicks = NULL;
	roster->size = 0;
}

int
roster_reserve(struct roster *roster, int sd)
{
	int size = MAX(64, MAX(sd + 1, roster->size * 2));
	struct nick *nicks;

	if (sd < roster->size)
		return 0;
	nicks = recallocarray(roster->nicks, (size_t)roster->size, (size_t)size, sizeof(*nicks));
	if (nicks == NULL)
		return -1;
	roster->nicks = nicks;
	roster->size = size;
	return 0;
}

const char *
roster_label(const struct roster *roster, const struct conn *conn, char text[ROSTER_LABEL])
{
	char addr[ADDR_TEXT];

	addr_format(&conn->addr, addr);
	if (conn->fd < roster->size && roster_nick(roster, conn)->chosen)
		snprintf(text, ROSTER_LABEL, "%s (%s)", roster_nick(roster, conn)->name, addr);
	else
		strlcpy(text, addr, ROSTER_LABEL);
	return text;
}

static void
call(struct nick *nick, const char *name, size_t len)
{
	memcpy(nick->name, name, len);
	nick->name[len] = '\0';
	nick->len = (uint8_t)len;
}

void
roster_enter(struct roster *roster, const struct conn *conn)
{
	struct nick *nick = roster_nick(roster, conn);
	char name[NOTICE_NAME + 1];
	int len = snprintf(name, sizeof(name), "guest%d", conn->fd);

	*nick = (struct nick){0};
	call(nick, name, (size_t)len);
}

static bool
is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool
is_possible(const char *name, size_t len)
{
	if (len == 0 || len > NOTICE_NAME || !is_letter(name[0]))
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
is_taken(const struct roster *roster, const struct nick *by, const char *name, size_t len)
{
	FDSET_FOREACH(sd, &roster->pool->members) {
		const struct nick *nick = &roster->nicks[sd];

		if (nick != by && nick->len == len && strncasecmp(nick->name, name, len) == 0)
			return true;
	}
	return false;
}

/* What the journal has of a name. */
struct kept {
	uint64_t id;    /* whose it is */
	uint64_t event; /* all have been told of it if this is one of turn->names_told */
	int64_t chosen_at;
	char name[NOTICE_NAME + 1];
	uint8_t len, chosen, spoke;
};

void
roster_record(const struct roster *roster, const struct conn *conn, struct turn *turn)
{
	const struct nick *nick = roster_nick(roster, conn);
	struct kept kept = {
	    .id = turn->id,
	    .event = nick->told ? turn->names_told : ++turn->names,
	    .chosen_at = nick->chosen_at,
	    .len = nick->len,
	    .chosen = nick->chosen,
	    .spoke = nick->spoke,
	};

	static_assert(sizeof(kept) <= JOURNAL_NICK, "a name fits into the journal");
	memcpy(kept.name, nick->name, sizeof(kept.name));
	turn->parts |= TURN_NICK;
	memcpy(turn->nick, &kept, sizeof(kept));
}

bool
roster_restore(struct roster *roster, const struct conn *conn)
{
	struct nick *nick = roster_nick(roster, conn);
	struct kept kept;

	memcpy(&kept, journal->nicks[conn->fd], sizeof(kept));
	if (kept.id == 0 || kept.id != ledger_record(conn->fd)->id)
		return false;
	roster_enter(roster, conn);
	nick->spoke = kept.spoke != 0;
	if (kept.chosen == 0 || !is_possible(kept.name, kept.len) ||
	    is_reserved(kept.name, kept.len) || is_taken(roster, nick, kept.name, kept.len))
		return true;
	call(nick, kept.name, kept.len);
	nick->chosen = true;
	nick->chosen_at = kept.chosen_at;
	nick->told = kept.event <= journal->next->names_told;
	return true;
}

void
roster_forget(struct roster *roster, const struct conn *conn)
{
	if (conn->fd < roster->size)
		*roster_nick(roster, conn) = (struct nick){0};
}

static bool
is_called(const struct nick *nick, const char *name, size_t len)
{
	return nick->len == len && memcmp(nick->name, name, len) == 0;
}

enum roster_outcome
roster_choose(struct roster *roster, const struct conn *conn, const char *name, size_t len)
{
	struct nick *nick = roster_nick(roster, conn);

	if (!is_possible(name, len))
		return ROSTER_IMPOSSIBLE;
	if (is_called(nick, name, len))
		return ROSTER_SAME;
	if (is_reserved(name, len))
		return ROSTER_RESERVED;
	if (nick->chosen && clock_now() - nick->chosen_at < ROSTER_PAUSE)
		return ROSTER_TOO_SOON;
	if (is_taken(roster, nick, name, len))
		return ROSTER_TAKEN;
	call(nick, name, len);
	nick->chosen = true;
	nick->chosen_at = clock_now();
	return ROSTER_CHANGED;
}

void
roster_list(const struct roster *roster, struct notice *notice)
{
	uint32_t left = roster->pool->count;

	FDSET_FOREACH(sd, &roster->pool->members) {
		if (!notice_has_room(notice))
			break;
		notice_add(notice, roster->nicks[sd].name);
		left--;
	}
	notice_more(notice, left);
}
