#include "unit.h"

#include <string.h>
#include <unistd.h>

#include "faults.h"
#include "heir.h"
#include "wire/ledger.h"

/* A party of a cluster whose engine does not answer, and its successor with other settings. */
#define CLUSTER "cluster = { engine = \"/nowhere\"; }; "
#define OTHER   "cluster = { engine = \"/nowhere\"; stream = \"other\"; }; "

static struct guest *a, *b, *c;

#define EXCHANGE (&party.chat.exchange)
#define OUTBOX   (&EXCHANGE->channel->sender.outbox)

static void
enter(void)
{
	assert_int_equal(chat_open(&party.chat, 290, faults_take), 0);
	a = party_join(NULL);
	b = party_join(NULL);
	c = party_join(NULL);
	party_settle();
}

static int
setup_with(void **state, unsigned index_order)
{
	struct heir_how how = {.settings = CLUSTER, .index_order = index_order};

	*state = &how;
	if (heir_setup(state) < 0)
		return -1;
	enter();
	return 0;
}

static int
setup(void **state)
{
	return setup_with(state, 0);
}

static int
setup_small(void **state)
{
	return setup_with(state, 8);
}

static void
hear(const struct guest *guest, const char *lines)
{
	struct conn *conn = party_conn(guest);

	assert_true(owners_reserve(&EXCHANGE->owners, conn->fd));
	outbox_add(OUTBOX, owners_number(&EXCHANGE->owners, conn), conn->fd, lines, strlen(lines));
}

static void
record(void)
{
	persist_record(EXCHANGE->channel);
	ledger_settle();
	party_log();
}

/* "zero" has come back, "one" is on the way, the others are open. */
static void
speak(void)
{
	hear(a, "zero\n");
	outbox_confirm(OUTBOX, outbox_make(OUTBOX, STREAM_LINES));
	hear(a, "one\n");
	outbox_make(OUTBOX, STREAM_LINES);
	hear(b, "two\ntwo\n");
	hear(a, "three\n");
	record();
}

static void
change(const char *settings)
{
	heir_kill();
	heir_configure(settings);
	heir_succeed();
	assert_int_equal(chat_open(&party.chat, 290, faults_take), 0);
	party_settle();
}

static void
expect_said(const char *why)
{
	char want[128];

	party_expect(a, "two\ntwo\n");
	party_expect(b, "one\nthree\n");
	party_expect(c, "one\ntwo\ntwo\nthree\n");
	snprintf(want, sizeof(want),
	    "cluster: %s; 4 lines that had not come back are said here now\n", why);
	assert_non_null(strstr(party_log(), want));
}

TEST(what_was_on_the_way_to_another_stream_is_said_here_once)
{
	speak();
	change(OTHER);
	expect_said("another stream");
	assert_int_equal(exchange_pending(EXCHANGE), 0);
	change(OTHER);
	change(CLUSTER);
	party_expect(c, "");
	assert_null(strstr(party_log(), "stream"));
}

TEST(what_was_on_the_way_to_a_cluster_that_is_no_longer_set_is_said_here_once)
{
	speak();
	change("");
	expect_said("no longer set");
	change("");
	party_expect(c, "");
	/* And if it is set again, nothing is sent. */
	change(CLUSTER);
	party_expect(c, "");
	assert_int_equal(exchange_pending(EXCHANGE), 0);
	assert_null(strstr(party_log(), "come back"));
}

TEST(what_was_said_meanwhile_comes_behind_it)
{
	speak();
	party_say(a, "four\n");
	change("");
	party_expect(c, "one\ntwo\ntwo\nthree\nfour\n");
}

TEST(what_somebody_said_who_has_left_is_said_to_all)
{
	speak();
	party_leave(a);
	party_settle();
	change("");
	party_expect(b, "one\nthree\n");
	party_expect(c, "one\ntwo\ntwo\nthree\n");
}

TEST(what_has_no_room_in_the_journal_is_lost_and_the_log_tells)
{
	const char *heard;

	for (int i = 0; i < 200; i++)
		hear(a, "x\n");
	record();
	change(OTHER);
	heard = party_hears(c, NULL);
	assert_true(strlen(heard) >= 2 * 100 && strlen(heard) < 2 * 200);
	assert_int_equal(strspn(heard, "x\n"), strlen(heard));
	assert_non_null(strstr(party_log(), " bytes that had not come back are lost\n"));
	assert_int_equal(exchange_pending(EXCHANGE), 0);
}

TEST(in_mode_chat_nobody_hears_bare_lines_and_the_log_tells)
{
	speak();
	change("mode = \"chat\";");
	assert_null(strstr(party_hears(c, NULL), "one"));
	assert_non_null(strstr(
	    party_log(), "cluster: no longer set; 18 bytes that had not come back are lost\n"));
	change("");
	assert_null(strstr(party_hears(c, NULL), "one"));
}

TEST(nothing_on_the_way_is_not_worth_a_line)
{
	change(OTHER);
	change("");
	assert_null(strstr(party_log(), "come back"));
}

int
main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, heir_teardown)
	const struct CMUnitTest tests[] = {
	    CASE(what_was_on_the_way_to_another_stream_is_said_here_once),
	    CASE(what_was_on_the_way_to_a_cluster_that_is_no_longer_set_is_said_here_once),
	    CASE(what_was_said_meanwhile_comes_behind_it),
	    CASE(what_somebody_said_who_has_left_is_said_to_all),
	    {"what_has_no_room_in_the_journal_is_lost_and_the_log_tells",
		what_has_no_room_in_the_journal_is_lost_and_the_log_tells, setup_small,
		heir_teardown, NULL},
	    CASE(in_mode_chat_nobody_hears_bare_lines_and_the_log_tells),
	    CASE(nothing_on_the_way_is_not_worth_a_line),
	};

	return cmocka_run_group_tests_name("remains", tests, NULL, NULL);
}
