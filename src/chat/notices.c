#include "chat/notices.h"

#include <assert.h>
#include <string.h>

#include "wire/ledger.h"

static void
forget(struct notices *notices)
{
	notice_begin(&notices->left, "* left: ", ", ");
	notices->due = CLOCK_NEVER;
}

void
notices_init(struct notices *notices, struct broadcast *broadcast, struct roster *roster)
{
	*notices = (struct notices){.broadcast = broadcast, .roster = roster};
	forget(notices);
}

/* Into the turn. */
static void
record(const struct notices *notices)
{
	struct journal_head *head = journal->head;
	uint32_t spare = journal_turn()->left ^ 1;
	struct journal_left *left = &head->left[spare];

	memset(left, 0, sizeof(*left));
	left->due = notices->due;
	left->count = notices->left.count;
	left->more = notices->left.more;
	left->len = (uint32_t)notices->left.len;
	memcpy(left->text, notices->left.text, notices->left.len);
	left->sum = journal_sum(left, offsetof(struct journal_left, sum));
	ledger_turn(-1)->left = spare;
}

void
notices_restore(struct notices *notices)
{
	const struct journal_head *head = journal->head;
	const struct journal_left *left = &head->left[journal->next->left & 1];

	static_assert(JOURNAL_TEXT >= NOTICE_MAX, "a notice fits into the journal");
	if (left->sum != journal_sum(left, offsetof(struct journal_left, sum)) ||
	    left->len > NOTICE_MAX || left->len < notices->left.len)
		return;
	notices->due = left->due;
	notices->left.count = left->count;
	notices->left.more = left->more;
	notices->left.len = left->len;
	memcpy(notices->left.text, left->text, left->len);
}

void
notices_clear(struct notices *notices)
{
	forget(notices);
	if (journal != NULL)
		record(notices);
}

static void
gather(struct notices *notices)
{
	notices->due = clock_sooner(notices->due, clock_now() + NOTICES_PAUSE);
	if (journal != NULL)
		record(notices);
}

void
notices_came(struct notices *notices)
{
	gather(notices);
}

static void
add_left(struct notices *notices, const char *name)
{
	notice_add(&notices->left, name);
	gather(notices);
}

bool
notices_renamed(struct notices *notices, struct nick *nick, const char *before)
{
	if (!notice_names(&notices->left, nick->name))
		return true;
	add_left(notices, before);
	nick->told = false;
	return false;
}

void
notices_left(struct notices *notices, const struct conn *conn)
{
	const struct roster *roster = notices->roster;

	if (conn->fd < roster->size && roster_nick(roster, conn)->told)
		add_left(notices, roster_nick(roster, conn)->name);
}

static bool
is_new(const struct nick *nick)
{
	return nick->chosen && !nick->told;
}

/* Writes both lines, leaving out an empty one. Returns their length. */
static size_t
compose(struct notices *notices, char text[2 * NOTICE_MAX])
{
	const struct roster *roster = notices->roster;
	struct notice left = notices->left, came;
	size_t len = 0;

	notice_begin(&came, "* came: ", ", ");
	FDSET_FOREACH(sd, &roster->pool->members)
		if (is_new(&roster->nicks[sd]))
			notice_add(&came, roster->nicks[sd].name);
	if (left.count > 0) {
		notice_end(&left);
		memcpy(text, left.text, left.len);
		len = left.len;
	}
	if (came.count > 0) {
		notice_end(&came);
		memcpy(text + len, came.text, came.len);
		len += came.len;
	}
	return len;
}

static void
mark_told(struct roster *roster)
{
	FDSET_FOREACH(sd, &roster->pool->members)
		if (is_new(&roster->nicks[sd]))
			roster->nicks[sd].told = true;
}

int64_t
notices_run_due(struct notices *notices)
{
	char text[2 * NOTICE_MAX];
	size_t len;

	if (clock_now() < notices->due)
		return notices->due;
	len = compose(notices, text);
	if (len > 0 && !broadcast_announce(notices->broadcast, text, len))
		return notices->broadcast->memory.until;
	mark_told(notices->roster);
	notices_clear(notices);
	if (journal != NULL) {
		journal->next->names_told = journal->next->names;
		ledger_commit();
	}
	return CLOCK_NEVER;
}
