#include "unit.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "party.h"
#include "seam.h"

static struct guest *watcher;

static struct guest *
enter(void)
{
	struct guest *guest = party_join(NULL);

	speech_welcome(&party.chat.speech, party_conn(guest));
	party_settle();
	party_hears(guest, NULL);
	return guest;
}

static int
setup(void **state)
{
	party_setup(state);
	party_configure("mode = \"chat\";");
	watcher = enter();
	return 0;
}

static void
say(struct guest *guest, const char *text)
{
	party_say(guest, text);
	party_settle();
	party_hears(guest, NULL);
}

static struct guest *
enter_as(const char *name)
{
	struct guest *guest = enter();
	char line[64];

	snprintf(line, sizeof(line), "/name %s\n", name);
	say(guest, line);
	return guest;
}

static void
leave(struct guest *guest)
{
	party_leave(guest);
	party_settle();
}

static void
pass_time(int64_t time)
{
	party.now += time;
	party_expire();
	party_settle();
}

TEST(who_came_is_told_after_the_pause_and_not_before)
{
	enter_as("alice");
	pass_time(NOTICES_PAUSE - 1);
	party_expect(watcher, "");
	enter_as("bob");
	pass_time(1);
	party_expect(watcher, "* came: alice, bob\n");
	pass_time(10 * NOTICES_PAUSE);
	party_expect(watcher, "");
	assert_true(party.chat.notices.due == CLOCK_NEVER);
}

TEST(who_leaves_before_is_never_mentioned)
{
	struct guest *a = enter_as("alice");

	leave(a);
	pass_time(NOTICES_PAUSE);
	party_expect(watcher, "");
}

TEST(guests_are_never_mentioned)
{
	leave(enter());
	pass_time(NOTICES_PAUSE);
	party_expect(watcher, "");
}

TEST(who_left_is_told_before_who_came)
{
	struct guest *a = enter_as("alice"), *b = enter(), *c = enter();

	pass_time(NOTICES_PAUSE);
	party_expect(watcher, "* came: alice\n");
	say(b, "/name bob\n");
	leave(a);
	say(c, "/name Alice\n");
	pass_time(NOTICES_PAUSE);
	party_expect(watcher, "* left: alice\n* came: bob, Alice\n");
}

TEST(another_name_is_told_at_once)
{
	struct guest *a = enter_as("alice");

	pass_time(ROSTER_PAUSE);
	party_hears(watcher, NULL);
	party_hears(a, NULL);
	party_say(a, "x\n/name bob\ny\n");
	party_settle();
	party_expect(watcher, "alice: x\n* alice is now bob\nbob: y\n");
	party_expect(a, "* you are bob\n");
	pass_time(NOTICES_PAUSE);
	party_expect(watcher, "");
}

TEST(the_name_of_one_that_has_just_left_makes_nobody_two_people)
{
	struct guest *a = enter_as("alice"), *b = enter_as("bob");

	pass_time(ROSTER_PAUSE);
	party_hears(watcher, NULL);
	leave(a);
	say(b, "/name alice\n");
	party_expect(watcher, "");
	pass_time(NOTICES_PAUSE);
	party_expect(watcher, "* left: alice, bob\n* came: alice\n");
}

TEST(without_memory_it_is_told_later)
{
	enter_as("alice");
	party.now += NOTICES_PAUSE;
	party.chat.broadcast.memory.until = party.now + BACKOFF_REST;
	party_expire();
	assert_true(party.chat.notices.due != CLOCK_NEVER);
	pass_time(2 * BACKOFF_REST);
	party_expect(watcher, "* came: alice\n");
}

TEST(a_rest_that_a_notice_begins_ends_by_itself)
{
	struct guest *a = enter_as("alice");
	const struct queue *queue = &party_conn(watcher)->queue;

	/* Own lines lie between those of others, until one part more needs memory. */
	do {
		party_say(a, "x\n");
		party_read(a);
		party_say(watcher, "y\n");
		party_read(watcher);
	} while (queue->tail + BROADCAST_PLACES < queue->size);
	seam_fail(SEAM_MEMORY, 0, 1, ENOMEM);
	party.now += NOTICES_PAUSE;
	assert_true(party_expire() <= party.now + BACKOFF_REST);
	assert_false(party_reading());
	seam_reset();
	party.now += BACKOFF_REST;
	party_expire();
	assert_true(party_reading());
}

TEST(who_leaves_is_told_however_it_goes)
{
	struct guest *a = enter_as("a1"), *b = enter_as("b1"), *c = enter_as("c1");

	pass_time(NOTICES_PAUSE);
	party_hears(watcher, NULL);
	say(a, "/quit\n");
	party_say(b, party_letters(9000));
	party_settle();
	leave(c);
	pass_time(NOTICES_PAUSE);
	party_expect(watcher, "* left: a1, b1, c1\n");
}

TEST(who_is_removed_for_a_limit_is_told_in_time_though_nothing_else_happens)
{
	struct guest *a = enter_as("alice");
	int64_t next;

	pass_time(NOTICES_PAUSE);
	party_expect(watcher, "* came: alice\n");
	party_configure("mode = \"chat\"; limits = { idle = 5; };");
	party_settle();
	party.now += 2 * CLOCK_SECOND;
	say(watcher, "still here\n");
	party.now += CLOCK_SECOND;
	assert_true(party_has(a));
	next = party_expire();
	assert_false(party_has(a));
	assert_true(next <= party.now + NOTICES_PAUSE);
	pass_time(NOTICES_PAUSE);
	party_expect(watcher, "* left: alice\n");
}

#define NOTICES_TEST(name) cmocka_unit_test_setup_teardown(name, setup, party_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    NOTICES_TEST(who_came_is_told_after_the_pause_and_not_before),
	    NOTICES_TEST(who_leaves_before_is_never_mentioned),
	    NOTICES_TEST(guests_are_never_mentioned),
	    NOTICES_TEST(who_left_is_told_before_who_came),
	    NOTICES_TEST(another_name_is_told_at_once),
	    NOTICES_TEST(the_name_of_one_that_has_just_left_makes_nobody_two_people),
	    NOTICES_TEST(without_memory_it_is_told_later),
	    NOTICES_TEST(a_rest_that_a_notice_begins_ends_by_itself),
	    NOTICES_TEST(who_leaves_is_told_however_it_goes),
	    NOTICES_TEST(who_is_removed_for_a_limit_is_told_in_time_though_nothing_else_happens),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
