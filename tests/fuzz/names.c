/*
 * Mode chat: who is called what, and what all are told of it.
 */
#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "facts.h"
#include "target.h"

#define CHANGE (10 * CLOCK_SECOND) /* between two changes of a name */
#define GATHER (2 * CLOCK_SECOND)  /* what happens in this time makes one line */
#define NOTICE 1024                /* bytes of one at most */

/* --- lists of names */

static void
begin(struct roll *roll, const char *text)
{
	*roll = (struct roll){0};
	roll->len = strlen(text);
	memcpy(roll->text, text, roll->len + 1);
}

/* From the first name on that might not fit they are only counted. */
static void
add(struct roll *roll, const char *name, const char *between, size_t longest)
{
	size_t most = strlen(between) + longest + strlen(" and 4294967295 more\n");

	if (roll->more > 0 || roll->len + most > NOTICE) {
		roll->more++;
		return;
	}
	roll->len +=
	    (size_t)sprintf(roll->text + roll->len, "%s%s", roll->count > 0 ? between : "", name);
	roll->count++;
}

static void
append(struct bytes *text, struct roll *roll)
{
	if (roll->more > 0)
		roll->len += (size_t)sprintf(roll->text + roll->len, " and %u more", roll->more);
	bytes_add(text, roll->text, roll->len);
	bytes_add(text, "\n", 1);
}

static bool
has(const struct roll *roll, const char *name)
{
	char text[sizeof(roll->text)], *rest = text, *word;

	memcpy(text, roll->text, roll->len + 1);
	strsep(&rest, ":");
	while ((word = strsep(&rest, ",")) != NULL)
		if (word[0] == ' ' && strcasecmp(word + 1, name) == 0)
			return true;
	return false;
}

/* The next member behind a descriptor, or NULL. */
static struct peer *
next_member(int *sd)
{
	while (++*sd < WORLD_FDS) {
		struct peer *peer = world_peer(*sd);

		if (peer != NULL && model_is_in(peer))
			return peer;
	}
	return NULL;
}

void
model_list_here(struct bytes *text)
{
	struct roll here;
	struct peer *peer;
	int sd = 2;

	begin(&here, "* here: ");
	while ((peer = next_member(&sd)) != NULL)
		add(&here, peer->name, " ", sizeof(peer->name) - 1);
	append(text, &here);
}

/* --- names */

void
model_call_guest(struct peer *peer)
{
	snprintf(peer->name, sizeof(peer->name), "guest%d", peer->sd);
	peer->chosen = peer->mentioned = peer->spoke = false;
	peer->chosen_at = 0;
}

static bool
is_name(const char *name, size_t len)
{
	if (len < 1 || len > 15 || !isalpha((unsigned char)name[0]))
		return false;
	for (size_t i = 0; i < len; i++)
		if (!isalnum((unsigned char)name[i]) && strchr("-_", name[i]) == NULL)
			return false;
	return true;
}

static bool
is_taken(const struct peer *by, const char *name)
{
	struct peer *peer;
	int sd = 2;

	while ((peer = next_member(&sd)) != NULL)
		if (peer != by && strcasecmp(peer->name, name) == 0)
			return true;
	return false;
}

bool
model_choose(struct peer *peer, const char *wish, size_t len, char answer[MODEL_ANSWER])
{
	char name[sizeof(peer->name)] = "";

	if (!is_name(wish, len)) {
		snprintf(answer, MODEL_ANSWER, "%s",
		    "* a name is a letter and up to 14 letters, digits, - and _\n");
		return false;
	}
	memcpy(name, wish, len);
	snprintf(answer, MODEL_ANSWER, "* you are %s\n", name);
	if (strcmp(name, peer->name) == 0)
		return false;
	if (strcasecmp(name, "chatd") == 0 || strncasecmp(name, "guest", 5) == 0)
		snprintf(answer, MODEL_ANSWER, "* %s is reserved\n", name);
	else if (peer->chosen && world.now < peer->chosen_at + CHANGE)
		snprintf(answer, MODEL_ANSWER, "* not so soon\n");
	else if (is_taken(peer, name))
		snprintf(answer, MODEL_ANSWER, "* %s is taken\n", name);
	else {
		memcpy(peer->name, name, sizeof(name));
		peer->chosen = true;
		peer->chosen_at = world.now;
		return true;
	}
	return false;
}

/* --- notices */

void
model_clear_notices(void)
{
	begin(&model.left, "* left: ");
	model.notices_due = CLOCK_NEVER;
}

void
model_gather(void)
{
	if (world.now + GATHER < model.notices_due)
		model.notices_due = world.now + GATHER;
}

static void
add_left(const char *name)
{
	add(&model.left, name, ", ", strlen(name));
	model_gather();
}

void
model_forget_name(struct peer *peer)
{
	if (model.chat && peer->mentioned)
		add_left(peer->name);
	peer->mentioned = false;
}

bool
model_is_renamed(struct peer *peer, const char *before)
{
	if (!has(&model.left, peer->name))
		return true;
	add_left(before);
	peer->mentioned = false;
	return false;
}

void
model_take_notices(struct bytes *text)
{
	struct roll came;
	struct peer *peer;
	int sd = 2;

	begin(&came, "* came: ");
	while ((peer = next_member(&sd)) != NULL) {
		if (!peer->chosen || peer->mentioned)
			continue;
		add(&came, peer->name, ", ", strlen(peer->name));
		peer->mentioned = true;
	}
	if (model.left.count > 0)
		append(text, &model.left);
	if (came.count > 0)
		append(text, &came);
	model_clear_notices();
}
