#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "heir.h"
#include "seam.h"
#include "wire/ledger.h"
#include "wire/relay.h"
#include "wire/safe.h"

static struct guest *a, *b, *c;

static int
setup_with(void **state, const char *settings)
{
	struct heir_how how = {.settings = settings};

	*state = &how;
	if (heir_setup(state) < 0)
		return -1;
	a = party_join(NULL);
	b = party_join(NULL);
	c = party_join(NULL);
	party_settle();
	return 0;
}

static int
setup(void **state)
{
	return setup_with(state, NULL);
}

/* a says it, and it waits for b and c. */
static void
speak(const char *text)
{
	party_say(a, text);
	party_read(a);
}

static struct mark *
mark_of(const struct guest *guest)
{
	struct record *record = ledger_record(guest->sd);

	return &record->marks[record->which & 1];
}

/* What is received, and nothing that follows from it is done. */
static void
receive(const struct guest *guest)
{
	struct reception got;
	struct intake *intake = &party.chat.broadcast.intake;

	assert_true(conn_reserve(party_conn(guest), intake, 65536) > 0);
	conn_read(party_conn(guest), intake, 65536, &got);
}

TEST(who_is_there_stays_and_nobody_notices)
{
	party_trace();
	heir_change();
	assert_int_equal(heir_taken, 3);
	assert_int_equal(heir_lost, 0);
	assert_string_equal(party_trace(), "");
	speak("hello\n");
	party_settle();
	party_expect(b, "hello\n");
	party_expect(c, "hello\n");
	party_expect(a, "");
}

TEST(where_nobody_was_there_is_nobody)
{
	for (int i = 0; i < party.count; i++)
		party_leave(&party.guests[i]);
	party_settle();
	heir_change();
	assert_int_equal(heir_taken, 0);
	party.count = 0;
	a = party_join(NULL);
	b = party_join(NULL);
	speak("hello\n");
	party_settle();
	party_expect(b, "hello\n");
}

TEST(what_waits_comes_once)
{
	speak("one\n");
	party_write(b);
	speak("two\n");
	heir_change();
	party_expect(b, "one\ntwo\n");
	party_expect(c, "one\ntwo\n");
	heir_change();
	party_expect(b, "");
}

TEST(what_was_sent_and_not_recorded_is_not_sent_again)
{
	struct iovec iov = {.iov_base = (void *)(uintptr_t) "hello\n", .iov_len = 4};

	speak("hello\n");
	assert_int_equal(relay_send(b->sd, &iov, 1), 4);
	heir_change();
	party_expect(b, "hello\n");
	party_expect(c, "hello\n");
}

TEST(what_was_received_and_not_recorded_is_said_by_the_next_one)
{
	party_say(a, "hello\nand mo");
	receive(a);
	heir_kill();
	heir_succeed();
	party_settle();
	party_expect(b, "hello\n");
	speak("re\n");
	party_settle();
	party_expect(b, "and more\n");
	party_expect(a, "");
}

TEST(a_line_in_three_pieces_outlives_a_kill_after_each)
{
	const char *const pieces[] = {"a li", "ne in th", "ree pieces\n"};

	for (size_t i = 0; i < LENGTH(pieces); i++) {
		party_say(a, pieces[i]);
		if (i == 1)
			receive(a);
		else
			party_receive(a);
		heir_kill();
		heir_succeed();
	}
	party_settle();
	party_expect(b, "a line in three pieces\n");
}

TEST(an_end_that_was_received_and_not_recorded_is_one)
{
	party_say(a, "last wor");
	receive(a);
	party_leave(a);
	heir_change();
	party_expect(b, "last wor\n");
	assert_false(party_has(a));
}

TEST(counters_and_times_go_on)
{
	uint64_t lines;

	speak("one\ntwo\n");
	party.now += 5 * CLOCK_SECOND;
	party_settle();
	lines = party.chat.broadcast.lines;
	assert_int_equal(lines, 2);
	heir_change();
	assert_int_equal(party.chat.broadcast.lines, 2);
	assert_int_equal(party_conn(a)->lines, 2);
	assert_true(party_conn(a)->last_line_at == party.now - 5 * CLOCK_SECOND);
	assert_true(TAILQ_FIRST(&party.chat.pool.by_last_line) != NULL);
}

TEST(who_receives_no_more_is_read_on)
{
	shutdown(b->fd, SHUT_RD);
	speak("hello\n");
	party_settle();
	assert_int_equal(party_conn(b)->life, CONN_WRITE_CLOSED);
	heir_change();
	assert_int_equal(party_conn(b)->life, CONN_WRITE_CLOSED);
	party_say(b, "I can still talk\n");
	party_settle();
	party_expect(a, "I can still talk\n");
}

TEST(who_leaves_gets_its_last_word_and_nothing_new)
{
	speak("before\n");
	leaving_dismiss(&party.chat.leaving, party_conn(b), "go", "go");
	ledger_settle();
	speak("after\n");
	heir_kill();
	heir_succeed();
	party_settle();
	party_expect_last(b, "chatd: go\n");
	party_expect(c, "before\nafter\n");
}

TEST(who_was_removed_and_not_closed_yet_is_closed)
{
	bool closed;

	leaving_remove(&party.chat.leaving, party_conn(b), "gone");
	ledger_settle();
	/* The pass did not come to its end: the socket was not shut down. */
	assert_int_equal(ledger_record(b->sd)->state, RECORD_REMOVED);
	heir_kill_at(heir_copy());
	heir_succeed();
	assert_int_equal(heir_taken, 2);
	assert_false(party_has(b));
	party_hears(b, &closed);
	assert_true(closed);
}

/* Somebody who is in the safe, and no more. */
static struct guest *
almost_join(bool recorded)
{
	struct guest *guest = &party.guests[party.count++];
	struct addr addr = {.family = AF_UNIX};
	int pair[2];

	make_pair(pair);
	*guest = (struct guest){.fd = pair[0], .sd = pair[1]};
	assert_true(safe_put_accepted(guest->sd));
	if (recorded)
		assert_true(ledger_open(guest->sd, &addr, party.now));
	return guest;
}

static void
expect_newcomer(struct guest *guest)
{
	int own = guest->sd;

	heir_kill();
	close(own);
	heir_succeed();
	assert_int_equal(heir_taken, 3);
	party_settle();
	assert_true(party_has(guest));
	party_say(guest, "here I am\n");
	party_settle();
	party_expect(a, "here I am\n");
	heir_change();
	assert_int_equal(heir_taken, 4);
}

TEST(a_newcomer_that_was_only_in_the_safe_is_let_in)
{
	expect_newcomer(almost_join(false));
}

TEST(a_newcomer_that_was_recorded_and_not_let_in_is_let_in)
{
	expect_newcomer(almost_join(true));
}

TEST(one_in_the_safe_whose_time_is_over_is_ended)
{
	struct guest *guest = almost_join(false);
	bool closed;

	/* The journal knows of one that came after it. */
	journal->head->accepted++;
	heir_kill();
	close(guest->sd);
	heir_succeed();
	assert_int_equal(heir_taken, 3);
	party_hears(guest, &closed);
	assert_true(closed);
}

static int
setup_telnet(void **state)
{
	return setup_with(state, "sanitize = true;");
}

TEST(telnet_commands_that_are_not_complete_are_completed)
{
	party_say(a, "x\xff\xfb");
	party_read(a);
	assert_int_equal(party_conn(a)->unfinished, 2);
	heir_change();
	assert_int_equal(party_conn(a)->unfinished, 2);
	party_say(a, "\x01y\n");
	party_settle();
	party_expect(b, "xy\n");
	party_expect(a, "\xff\xfe\x01");
}

static int
setup_chat(void **state)
{
	int result =
	    setup_with(state, "mode = \"chat\"; history = 1000; limits = { rate = 1000; };");

	for (int i = 0; i < party.count; i++)
		speech_welcome(&party.chat.speech, party_conn(&party.guests[i]));
	ledger_settle();
	party_settle();
	party_say(a, "/name anna\n");
	party_settle();
	party.now += 60 * CLOCK_SECOND;
	party_expire();
	party_settle();
	for (int i = 0; i < party.count; i++)
		party_hears(&party.guests[i], NULL);
	return result;
}

TEST(names_history_and_rates_go_on)
{
	struct guest *d;

	speak("hello\n");
	heir_change();
	party_expect(b, "anna: hello\n");
	assert_string_equal(roster_nick(&party.chat.roster, party_conn(a))->name, "anna");
	/* It has just said something, and pays for that. */
	assert_true(journal->buckets[a->sd].debt > 0);
	d = party_join(NULL);
	speech_welcome(&party.chat.speech, party_conn(d));
	party_settle();
	assert_non_null(
	    strstr(party_hears(d, NULL), "* said before you came:\nanna: hello\n* now:\n"));
}

TEST(a_line_of_chat_that_was_received_and_not_recorded_is_said_with_its_name)
{
	struct reception got;

	party_say(a, "hello\n");
	assert_true(speech_reserve(&party.chat.speech, party_conn(a), 1000) > 0);
	conn_read(party_conn(a), &party.chat.speech.intake, 1000, &got);
	heir_kill();
	heir_succeed();
	party_settle();
	party_expect(b, "anna: hello\n");
	/* It is kept once. */
	assert_int_equal(party.chat.speech.history.len, strlen("anna: hello\n"));
}

TEST(another_mode_in_the_next_process_is_in_force)
{
	speak("hello\n");
	heir_kill();
	heir_configure("mode = \"lines\";");
	heir_succeed();
	party_settle();
	party_expect(b, "anna: hello\n");
	speak("plain\n");
	party_settle();
	party_expect(b, "plain\n");
}

/* Who holds the pool */

static int
setup_held(void **state)
{
	return setup_with(state, "limits = { queue = 2000; stall = 30; };");
}

TEST(who_holds_the_pool_goes_on_holding_it_and_its_time_runs)
{
	party_speak(a, 2001);
	party_write(c);
	assert_true(party_holds());
	party.now += 20 * CLOCK_SECOND;
	party_expire();
	heir_kill();
	heir_succeed();
	assert_true(party_conn(b)->above_high_water);
	assert_true(party_conn(b)->last_progress_at == party.now - 20 * CLOCK_SECOND);
	assert_false(party_conn(c)->above_high_water);
	party.now += 10 * CLOCK_SECOND;
	party_expire();
	assert_false(party_has(b));
	assert_true(party_has(c));
}

TEST(a_hold_that_is_damaged_or_of_somebody_else_begins_anew)
{
	party_speak(a, 2001);
	party.now += 20 * CLOCK_SECOND;
	party_expire();
	journal->holds[b->sd].logged ^= 1;
	journal->holds[c->sd].id++;
	journal->holds[c->sd].sum =
	    journal_sum(&journal->holds[c->sd], offsetof(struct journal_hold, sum));
	heir_kill();
	heir_succeed();
	assert_true(party_holds());
	assert_true(party_conn(b)->last_progress_at == party.now);
	assert_true(party_conn(c)->last_progress_at == party.now);
}

/* What nobody can know */

TEST(one_whose_last_send_nobody_knows_ends_alone)
{
	bool closed;

	speak("hello\n");
	ledger_sends(b->sd);
	journal->head->relay_id = 0;
	heir_kill();
	heir_succeed();
	assert_int_equal(heir_taken, 2);
	assert_int_equal(heir_lost, 1);
	party_settle();
	assert_string_equal(party_hears(b, &closed), "");
	assert_true(closed);
	party_expect(c, "hello\n");
	assert_non_null(
	    strstr(party_log(), "sd B ends: nobody knows what it got of the last send\n"));
}

TEST(one_that_was_read_behind_the_back_of_the_journal_ends_alone)
{
	char text[8];

	party_say(b, "hello\n");
	assert_int_equal(recv(b->sd, text, 3, 0), 3);
	heir_kill();
	heir_succeed();
	assert_int_equal(heir_lost, 1);
	assert_non_null(strstr(party_log(), "sd B ends: nobody knows what it said last\n"));
}

TEST(what_was_received_for_somebody_else_is_not_said_by_another)
{
	party_say(a, "hello\n");
	receive(a);
	journal->head->receiver_id = ledger_record(b->sd)->id;
	heir_kill();
	heir_succeed();
	assert_int_equal(heir_lost, 1);
	assert_non_null(strstr(party_log(), "sd A ends: nobody knows what it said last\n"));
	party_settle();
	party_expect(c, "");
}

TEST(one_that_has_got_more_than_the_journal_has_ends_alone)
{
	speak("hello\n");
	party_settle();
	ledger_mark(b->sd, 2, 0, 0);
	journal->head->relay_id = ledger_record(b->sd)->id;
	journal->head->relay_bytes = 100;
	journal->head->relay_sum = relay_sum(journal->head);
	ledger_sends(b->sd);
	heir_kill();
	heir_succeed();
	assert_int_equal(heir_lost, 1);
	assert_non_null(strstr(party_log(), "sd B ends: the journal does not have what it got\n"));
	party_expect(c, "hello\n");
}

TEST(a_socket_of_another_kind_than_recorded_ends_alone)
{
	struct record *record = ledger_record(b->sd);

	record->addr.family = AF_INET;
	record->sum = ledger_record_sum(record);
	heir_kill();
	heir_succeed();
	assert_int_equal(heir_lost, 1);
	assert_non_null(strstr(party_log(), "sd B ends: the kernel does not tell what it got\n"));
}

/* Memory */

TEST(memory_that_is_refused_at_any_moment_loses_nobody)
{
	unsigned long n = 0;
	enum takeover_outcome outcome;

	speak("one\n");
	party_write(b);
	party_say(a, "two\nthr");
	receive(a);
	heir_kill();
	do {
		heir_refused = n++;
		outcome = heir_begin();
		heir_refused = SEAM_ALWAYS;
		assert_int_not_equal(outcome, TAKEOVER_DAMAGED);
		if (outcome == TAKEOVER_FAILED)
			heir_kill();
	} while (outcome == TAKEOVER_FAILED);
	note("%lu allocations\n", n - 1);
	heir_finish();
	assert_in_range(n, 5, 1000);
	assert_int_equal(heir_taken, 3);
	assert_int_equal(heir_lost, 0);
	party_settle();
	party_expect(b, "one\ntwo\n");
	party_expect(c, "one\ntwo\n");
}

/* Damage */

static void
damage_turn_sum(void)
{
	journal_turn()->sum++;
}

static void
damage_turn_number(void)
{
	journal->head->turn ^= 1;
}

static void
damage_history_number(void)
{
	journal->head->history ^= 1;
}

static void
sum_turn(void)
{
	journal_turn()->sum = journal_sum(journal_turn(), offsetof(struct turn, sum));
}

static void
damage_turn_left(void)
{
	journal_turn()->left = 2;
	sum_turn();
}

static void
damage_turn_parts(void)
{
	journal_turn()->parts = 16;
	sum_turn();
}

static void
damage_turn_fd(void)
{
	journal_turn()->parts = TURN_RECEPTION;
	journal_turn()->fd = journal->descriptors;
	sum_turn();
}

static void
damage_turn_state(void)
{
	journal_turn()->parts = TURN_STATE;
	journal_turn()->state = RECORD_REMOVED + 1;
	sum_turn();
}

static void
damage_record(void)
{
	ledger_record(b->sd)->lines++;
}

static void
damage_record_family(void)
{
	struct record *record = ledger_record(b->sd);

	record->addr.family = AF_PACKET;
	record->sum = ledger_record_sum(record);
}

static void
damage_record_state(void)
{
	ledger_record(b->sd)->state ^= 1;
}

static void
damage_record_which(void)
{
	ledger_record(b->sd)->which ^= 1;
}

static void
damage_mark(void)
{
	mark_of(b)->sent++;
}

static void
damage_mark_ahead(void)
{
	mark_of(b)->entry = journal->next->head + 1;
	mark_of(b)->sum = ledger_mark_sum(mark_of(b));
}

static void
damage_mark_behind(void)
{
	/* By more entries than there are. */
	journal_turn()->head += 2 * journal->ring;
	sum_turn();
}

static void
damage_mark_skip(void)
{
	mark_of(b)->skip = (uint32_t)mark_of(b)->sent + 1;
	mark_of(b)->sum = ledger_mark_sum(mark_of(b));
}

/* The last entry, which waits for b. */
static struct journal_entry *
last_entry(void)
{
	return ledger_entry(journal->next->head - 1);
}

static void
sum_entry(void)
{
	last_entry()->sum = ledger_entry_sum(last_entry(), journal->next->head - 1);
}

static void
damage_entry(void)
{
	last_entry()->len++;
}

static void
damage_entry_place(void)
{
	last_entry()->place += UINT64_C(1) << journal->area.order;
	sum_entry();
}

static void
damage_entry_len(void)
{
	last_entry()->len = 1 << 20;
	sum_entry();
}

static void
damage_entry_position(void)
{
	last_entry()->position++;
	sum_entry();
}

/* Within the buf that the entry before it has claimed. */
static void
damage_entry_overlap(void)
{
	last_entry()->place = (last_entry()->place & ~UINT64_C(255)) | 10;
	sum_entry();
}

static struct record *
piece_of(const struct guest *guest, uint64_t place, uint32_t len)
{
	struct record *record = ledger_record(guest->sd);

	record->piece = place;
	record->piece_len = len;
	record->sum = ledger_record_sum(record);
	journal_turn()->parts = 0;
	sum_turn();
	return record;
}

static void
damage_piece_place(void)
{
	piece_of(b, (UINT64_C(1) << journal->area.order) | 12, 10);
}

static void
damage_piece_alone(void)
{
	piece_of(b, 0, 10);
}

static void
damage_piece_empty(void)
{
	piece_of(b, UINT64_C(1) << 27 | 12, 0);
}

static void
damage_piece_len(void)
{
	piece_of(b, UINT64_C(1) << 26 | 12, 4097);
}

static void
damage_piece_unfinished(void)
{
	piece_of(b, UINT64_C(1) << 26 | 12, 3 | 4U << 24);
}

static void
damage_piece_telnet(void)
{
	piece_of(b, UINT64_C(1) << 26 | 12, 4000 | (uint32_t)TELNET_MAX << 24);
}

static void
damage_piece_twice(void)
{
	piece_of(b, last_entry()->place, 10);
}

static struct journal_history *
valid_history(void)
{
	return &journal->head->histories[journal->head->history & 1];
}

static void
damage_history(void)
{
	valid_history()->entry = 5;
}

static void
damage_history_entry(void)
{
	valid_history()->place = UINT64_C(1) << 26 | 12;
	valid_history()->max = 1000;
	valid_history()->entry = journal->next->head + 1;
	valid_history()->sum = journal_sum(valid_history(), offsetof(struct journal_history, sum));
}

static void
damage_history_len(void)
{
	valid_history()->place = UINT64_C(1) << 26 | 12;
	valid_history()->max = 1000;
	valid_history()->len = 1001;
	valid_history()->entry = journal->next->head;
	valid_history()->sum = journal_sum(valid_history(), offsetof(struct journal_history, sum));
}

static const struct damage {
	void (*damage)(void);
	const char *fault;
} damages[] = {
    {damage_turn_sum, "its last turn"},
    {damage_turn_number, "its last turn"},
    {damage_history_number, "its last turn"},
    {damage_turn_left, "its last turn"},
    {damage_turn_parts, "what its last turn says"},
    {damage_turn_fd, "what its last turn says"},
    {damage_turn_state, "what its last turn says"},
    {damage_record, "a record"},
    {damage_record_family, "what a record says"},
    {damage_record_state, "what a record says"},
    {damage_record_which, "what a record says"},
    {damage_mark, "a mark"},
    {damage_mark_ahead, "what a mark says"},
    {damage_mark_behind, "what a mark says"},
    {damage_mark_skip, "what a mark says"},
    {damage_entry, "an entry"},
    {damage_entry_place, "what an entry says"},
    {damage_entry_len, "what an entry says"},
    {damage_entry_position, "what an entry says"},
    {damage_entry_overlap, "what an entry says"},
    {damage_piece_place, "where a piece of a line is"},
    {damage_piece_alone, "where a piece of a line is"},
    {damage_piece_empty, "where a piece of a line is"},
    {damage_piece_len, "where a piece of a line is"},
    {damage_piece_unfinished, "where a piece of a line is"},
    {damage_piece_telnet, "where a piece of a line is"},
    {damage_piece_twice, "where a piece of a line is"},
    {damage_history, "the history"},
    {damage_history_entry, "the history"},
    {damage_history_len, "the history"},
};

/* What a failed assertion says would be caught. */
static void
fail_with(const char *got, const char *want)
{
	note("%s instead of %s\n", got, want);
	fail();
}

TEST(whatever_is_damaged_is_named_and_nobody_gets_anything_of_it)
{
	struct spared none = {0};

	for (size_t i = 0; i < LENGTH(damages); i++) {
		bool closed;
		char heard[64];

		speak("one\n");
		party_settle();
		speak("a secret\n");
		speak("another one\n");
		damages[i].damage();
		heir_kill();
		if (heir_begin() != TAKEOVER_DAMAGED)
			fail_with("not seen", damages[i].fault);
		if (journal->fault == NULL || strcmp(journal->fault, damages[i].fault) != 0)
			fail_with(journal->fault, damages[i].fault);
		salvage_end_all(&none);
		heir_finish();
		assert_int_equal(party.chat.pool.count, 0);
		strcpy(heard, party_hears(b, &closed));
		assert_string_equal(heard, "one\n");
		assert_true(closed);
		/* The next ones get a party of their own. */
		assert_int_equal(heir_renew(), 0);
		a = party_join(NULL);
		b = party_join(NULL);
		c = party_join(NULL);
		party_settle();
	}
}

#define TAKEOVER_TEST(name) cmocka_unit_test_setup_teardown(name, setup, heir_teardown)
#define TELNET_TEST(name)   cmocka_unit_test_setup_teardown(name, setup_telnet, heir_teardown)
#define CHAT_TEST(name)     cmocka_unit_test_setup_teardown(name, setup_chat, heir_teardown)
#define HELD_TEST(name)     cmocka_unit_test_setup_teardown(name, setup_held, heir_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TAKEOVER_TEST(who_is_there_stays_and_nobody_notices),
	    TAKEOVER_TEST(where_nobody_was_there_is_nobody),
	    TAKEOVER_TEST(what_waits_comes_once),
	    TAKEOVER_TEST(what_was_sent_and_not_recorded_is_not_sent_again),
	    TAKEOVER_TEST(what_was_received_and_not_recorded_is_said_by_the_next_one),
	    TAKEOVER_TEST(a_line_in_three_pieces_outlives_a_kill_after_each),
	    TAKEOVER_TEST(an_end_that_was_received_and_not_recorded_is_one),
	    TAKEOVER_TEST(counters_and_times_go_on),
	    TAKEOVER_TEST(who_receives_no_more_is_read_on),
	    TAKEOVER_TEST(who_leaves_gets_its_last_word_and_nothing_new),
	    TAKEOVER_TEST(who_was_removed_and_not_closed_yet_is_closed),
	    TAKEOVER_TEST(a_newcomer_that_was_only_in_the_safe_is_let_in),
	    TAKEOVER_TEST(a_newcomer_that_was_recorded_and_not_let_in_is_let_in),
	    TAKEOVER_TEST(one_in_the_safe_whose_time_is_over_is_ended),
	    TELNET_TEST(telnet_commands_that_are_not_complete_are_completed),
	    CHAT_TEST(names_history_and_rates_go_on),
	    CHAT_TEST(a_line_of_chat_that_was_received_and_not_recorded_is_said_with_its_name),
	    CHAT_TEST(another_mode_in_the_next_process_is_in_force),
	    HELD_TEST(who_holds_the_pool_goes_on_holding_it_and_its_time_runs),
	    HELD_TEST(a_hold_that_is_damaged_or_of_somebody_else_begins_anew),
	    TAKEOVER_TEST(one_whose_last_send_nobody_knows_ends_alone),
	    TAKEOVER_TEST(one_that_was_read_behind_the_back_of_the_journal_ends_alone),
	    TAKEOVER_TEST(what_was_received_for_somebody_else_is_not_said_by_another),
	    TAKEOVER_TEST(one_that_has_got_more_than_the_journal_has_ends_alone),
	    TAKEOVER_TEST(a_socket_of_another_kind_than_recorded_ends_alone),
	    TAKEOVER_TEST(memory_that_is_refused_at_any_moment_loses_nobody),
	    TAKEOVER_TEST(whatever_is_damaged_is_named_and_nobody_gets_anything_of_it),
	};

	return cmocka_run_group_tests_name("takeover", tests, NULL, NULL);
}
