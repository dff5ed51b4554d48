#include "unit.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "chat/roster.h"
#include "party.h"
#include "seam.h"

static int
setup(void **state)
{
	party_setup(state);
	party_configure("mode = \"chat\";");
	return 0;
}

static struct guest *
enter(void)
{
	struct guest *guest = party_join(NULL);

	roster_enter(&party.chat.roster, party_conn(guest));
	return guest;
}

static enum roster_outcome
choose(const struct guest *guest, const char *name)
{
	seam_pass_at(party.now);
	return roster_choose(&party.chat.roster, party_conn(guest), name, strlen(name));
}

static const struct nick *
nick_of(const struct guest *guest)
{
	return roster_nick(&party.chat.roster, party_conn(guest));
}

static const char *
name_of(const struct guest *guest)
{
	return nick_of(guest)->name;
}

TEST(at_first_a_client_is_called_by_its_descriptor)
{
	struct guest *a = enter();
	char want[32];

	snprintf(want, sizeof(want), "guest%d", a->sd);
	assert_string_equal(name_of(a), want);
	assert_int_equal(nick_of(a)->len, strlen(want));
	assert_false(nick_of(a)->chosen);
	assert_int_equal(choose(a, want), ROSTER_SAME);
}

TEST(names_have_an_alphabet_and_a_length)
{
	static const char *const possible[] = {
	    "a", "Z", "a1", "a-_9", "abcdefghijklmno", "chatd1", "gues", "xguest"};
	static const char *const impossible[] = {
	    "", "1a", "-a", "_a", "a b", "a:", "a*", "a.", "\xc3\xa4", "abcdefghijklmnop", "a\n"};
	static const char *const reserved[] = {"chatd", "CHATD", "guest", "guest5", "GuestHouse"};

	for (size_t i = 0; i < LENGTH(possible); i++)
		assert_int_equal(choose(enter(), possible[i]), ROSTER_CHANGED);
	for (size_t i = 0; i < LENGTH(impossible); i++)
		assert_int_equal(choose(enter(), impossible[i]), ROSTER_IMPOSSIBLE);
	for (size_t i = 0; i < LENGTH(reserved); i++)
		assert_int_equal(choose(enter(), reserved[i]), ROSTER_RESERVED);
}

TEST(a_name_is_unique_whatever_its_case)
{
	struct guest *a = enter(), *b = enter();

	assert_int_equal(choose(a, "alice"), ROSTER_CHANGED);
	assert_int_equal(choose(b, "ALICE"), ROSTER_TAKEN);
	assert_int_equal(choose(b, "alic"), ROSTER_CHANGED);
}

TEST(a_name_is_free_when_its_owner_goes)
{
	struct guest *a = enter(), *b = enter();

	choose(a, "alice");
	party_leave(a);
	party_settle();
	assert_int_equal(choose(b, "Alice"), ROSTER_CHANGED);
}

TEST(a_change_is_possible_after_the_pause_and_not_before)
{
	struct guest *a = enter(), *b = enter();

	assert_int_equal(choose(a, "alice"), ROSTER_CHANGED);
	choose(b, "bob");
	party.now += ROSTER_PAUSE - 1;
	assert_int_equal(choose(a, "alice"), ROSTER_SAME);
	assert_int_equal(choose(a, "Alice"), ROSTER_TOO_SOON);
	assert_string_equal(name_of(a), "alice");
	party.now++;
	assert_int_equal(choose(a, "Bob"), ROSTER_TAKEN);
	assert_int_equal(choose(a, "Alice"), ROSTER_CHANGED);
	assert_string_equal(name_of(a), "Alice");
	assert_int_equal(choose(a, "alicia"), ROSTER_TOO_SOON);
}

TEST(all_are_listed_in_the_order_of_their_descriptors)
{
	struct notice notice;
	struct guest *a = enter(), *b = enter();
	char want[64];

	choose(b, "bob");
	notice_begin(&notice, "* here: ", " ");
	roster_list(&party.chat.roster, &notice);
	notice_end(&notice);
	snprintf(want, sizeof(want), "* here: guest%d bob\n", a->sd);
	assert_string_equal(notice.text, want);
}

TEST(who_goes_leaves_no_name_behind)
{
	struct guest *a = enter();

	choose(a, "alice");
	party_leave(a);
	party_settle();
	assert_int_equal(party.chat.roster.nicks[a->sd].len, 0);
	assert_false(party.chat.roster.nicks[a->sd].chosen);
}

TEST(where_memory_is_refused_the_names_stay)
{
	struct roster *roster = &party.chat.roster;
	struct guest *a = enter();
	int size = roster->size;

	choose(a, "alice");
	seam_fail(SEAM_MEMORY, 0, SEAM_ALWAYS, ENOMEM);
	assert_int_equal(roster_reserve(roster, size - 1), 0);
	assert_int_equal(roster_reserve(roster, size), -1);
	seam_reset();
	assert_string_equal(name_of(a), "alice");
	assert_int_equal(roster_reserve(roster, size), 0);
	assert_string_equal(name_of(a), "alice");
	assert_int_equal(roster->nicks[size].len, 0);
}

TEST(mode_lines_keeps_no_names)
{
	struct guest *a = enter();
	char with[ROSTER_LABEL], without[ROSTER_LABEL];

	choose(a, "alice");
	roster_label(&party.chat.roster, party_conn(a), with);
	party_configure("");
	assert_null(party.chat.roster.nicks);
	party_join(NULL);
	assert_null(party.chat.roster.nicks);
	roster_label(&party.chat.roster, party_conn(a), without);
	assert_memory_equal(with, "alice (", 7);
	assert_memory_equal(with + 7, without, strlen(without));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(
		at_first_a_client_is_called_by_its_descriptor, setup, party_teardown),
	    cmocka_unit_test_setup_teardown(
		names_have_an_alphabet_and_a_length, setup, party_teardown),
	    cmocka_unit_test_setup_teardown(
		a_name_is_unique_whatever_its_case, setup, party_teardown),
	    cmocka_unit_test_setup_teardown(
		a_name_is_free_when_its_owner_goes, setup, party_teardown),
	    cmocka_unit_test_setup_teardown(
		a_change_is_possible_after_the_pause_and_not_before, setup, party_teardown),
	    cmocka_unit_test_setup_teardown(
		all_are_listed_in_the_order_of_their_descriptors, setup, party_teardown),
	    cmocka_unit_test_setup_teardown(who_goes_leaves_no_name_behind, setup, party_teardown),
	    cmocka_unit_test_setup_teardown(
		where_memory_is_refused_the_names_stay, setup, party_teardown),
	    cmocka_unit_test_setup_teardown(mode_lines_keeps_no_names, setup, party_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
