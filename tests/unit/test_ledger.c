#include "unit.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "seam.h"
#include "wire/kernel.h"
#include "wire/ledger.h"

static const struct journal_need little = {.line = 4096, .queue = 1 << 20, .clients = 1000};
static const struct addr somebody = {.family = AF_UNIX, .peer = {.pid = 1, .uid = 0}};
static int one[2], two[2]; /* [1] is chatd's end */
static struct arena arena;

/* An index of 256 entries: 128 may wait. */
static int
setup(void **state)
{
	char error[JOURNAL_ERROR];

	(void)state;
	if (journal_create(&little, 8, error) < 0)
		return -1;
	ledger_resume();
	make_pair(one);
	make_pair(two);
	arena = (struct arena){.kept = true};
	return ledger_open(one[1], &somebody, 7) && ledger_open(two[1], &somebody, 8) ? 0 : -1;
}

static int
teardown(void **state)
{
	(void)state;
	seam_reset();
	arena_free(&arena);
	journal_close();
	for (int i = 0; i < 2; i++) {
		close(one[i]);
		close(two[i]);
	}
	return 0;
}

static struct mark
mark_of(int fd)
{
	const struct record *record = ledger_record(fd);

	return record->marks[record->which & 1];
}

/* Somebody says a text, which is in the queues at once. */
static struct msg
say(int owner, const char *text)
{
	size_t len = strlen(text);
	struct msg msg;

	assert_int_equal(arena_reserve(&arena, len, len), len);
	memcpy(arena_tail(&arena), text, len);
	msg = arena_take(&arena, len);
	msg_ref(&msg);
	ledger_add(ENTRY_ALL, owner, &msg);
	ledger_commit();
	ledger_handed();
	return msg;
}

/* Records */

TEST(a_record_has_who_it_is_and_a_sum)
{
	const struct record *record = ledger_record(one[1]);
	uint64_t cookie = 0;
	socklen_t len = sizeof(cookie);

	getsockopt(one[1], SOL_SOCKET, SO_COOKIE, &cookie, &len);
	assert_true(record->id == cookie);
	assert_int_equal(record->state, RECORD_NEW);
	assert_int_equal(record->last_line_at, 7);
	assert_true(record->sum == ledger_record_sum(record));
	assert_true(mark_of(one[1]).sum == ledger_mark_sum(&record->marks[record->which & 1]));
	assert_int_equal(journal->head->accepted, 2);
	ledger_close(one[1]);
	assert_int_equal(record->state, RECORD_FREE);
}

TEST(descriptors_beyond_the_records_are_not_kept)
{
	journal->descriptors = (uint32_t)one[1] + 1;
	assert_true(ledger_open(one[1], &somebody, 0));
	journal->descriptors = (uint32_t)one[1];
	assert_false(ledger_open(one[1], &somebody, 0));
	assert_false(ledger_open(-1, &somebody, 0));
}

TEST(what_is_no_socket_is_not_kept)
{
	int ends[2];

	assert_int_equal(pipe(ends), 0);
	assert_false(ledger_open(ends[0], &somebody, 0));
	close(ends[0]);
	close(ends[1]);
}

TEST(the_kernel_counts_what_a_unix_socket_received)
{
	struct kernel_counts counts;
	char text[16];

	put_text(one[0], "0123456789");
	assert_int_equal(recv(one[1], text, 4, 0), 4);
	assert_true(kernel_count(one[1], AF_UNIX, &counts));
	assert_int_equal(counts.received, 4);
	assert_int_equal(recv(one[1], text, 10, 0), 6);
	assert_true(kernel_count(one[1], AF_UNIX, &counts));
	assert_int_equal(counts.received, 10);
}

/* What is counted there is the remainder by 1 << 30; the offset is set anew when that begins anew.
 */
TEST(a_gigabyte_more_or_less_is_counted_right)
{
	const uint64_t round = UINT64_C(1) << 30;
	const uint64_t before[] = {round - 2, round - 1, 2 * round - 1, 5 * round - 2};

	for (size_t i = 0; i < LENGTH(before); i++) {
		struct record *record = ledger_record(one[1]);
		struct kernel_counts counts;
		struct line none = {0};
		char text[4];
		int offset = INT32_MAX - (int)(before[i] % round);

		setsockopt(one[1], SOL_SOCKET, SO_PEEK_OFF, &offset, sizeof(offset));
		record->received = before[i];
		put_text(one[0], "abc");
		assert_int_equal(ledger_receive(one[1], text, 3), 3);
		assert_true(kernel_count(one[1], AF_UNIX, &counts));
		assert_true(counts.received == (before[i] + 3) % round);
		ledger_received(one[1], 3, &none, 0);
		ledger_commit();
		assert_true(record->received == before[i] + 3);
		assert_true(kernel_count(one[1], AF_UNIX, &counts));
		assert_true(counts.received == (before[i] + 3) % round);
	}
}

/* Marks */

TEST(a_mark_is_written_beside_the_valid_one)
{
	struct record *record = ledger_record(one[1]);
	struct mark before = mark_of(one[1]);
	unsigned which = record->which & 1;

	ledger_mark(one[1], 100, 5, 20);
	assert_int_equal(record->which, JOURNAL_SHORT(which ^ 1));
	assert_memory_equal(&record->marks[which], &before, sizeof(before));
	assert_int_equal(mark_of(one[1]).sent, 100);
	assert_int_equal(mark_of(one[1]).entry, 5);
	assert_int_equal(mark_of(one[1]).skip, 20);
}

TEST(what_is_sent_is_skipped_until_all_is_sent)
{
	say(one[1], "hello\n");
	ledger_sent(two[1], 4, false);
	assert_int_equal(mark_of(two[1]).sent, 4);
	assert_int_equal(mark_of(two[1]).entry, 0);
	assert_int_equal(mark_of(two[1]).skip, 4);
	ledger_sent(two[1], 2, true);
	assert_int_equal(mark_of(two[1]).sent, 6);
	assert_int_equal(mark_of(two[1]).entry, 1);
	assert_int_equal(mark_of(two[1]).skip, 0);
}

TEST(a_send_of_the_relay_is_noted_until_it_is_recorded_or_not)
{
	struct record *record = ledger_record(one[1]);

	ledger_sends(one[1]);
	assert_true(record->which & RECORD_BUSY);
	ledger_sends_no_more(one[1]);
	assert_false(record->which & RECORD_BUSY);
	ledger_sends(one[1]);
	ledger_sent(one[1], 1, true);
	assert_false(record->which & RECORD_BUSY);
}

/* Turns */

TEST(a_turn_counts_once_it_is_committed)
{
	struct record *record = ledger_record(one[1]);
	struct line none = {0};

	ledger_received(one[1], 10, &none, 0);
	assert_true(journal->pending);
	assert_int_equal(record->received, 0);
	assert_int_equal(journal_turn()->parts, 0);
	ledger_settle();
	assert_false(journal->pending);
	assert_int_equal(record->received, 10);
	assert_true(record->sum == ledger_record_sum(record));
	assert_int_equal(journal->next->parts, 0);
}

TEST(the_turn_of_another_client_is_committed_first)
{
	struct line none = {0};

	ledger_received(one[1], 10, &none, 0);
	ledger_received(two[1], 20, &none, 0);
	assert_int_equal(ledger_record(one[1])->received, 10);
	assert_int_equal(ledger_record(two[1])->received, 0);
	ledger_settle();
	assert_int_equal(ledger_record(two[1])->received, 20);
}

TEST(a_turn_of_nobody_joins_the_one_that_is_prepared)
{
	struct line none = {0};

	ledger_received(one[1], 10, &none, 0);
	ledger_turn(-1)->names = 3;
	assert_int_equal(ledger_record(one[1])->received, 0);
	ledger_settle();
	assert_int_equal(ledger_record(one[1])->received, 10);
	assert_int_equal(journal_turn()->names, 3);
	assert_int_equal(journal->next->names, 3);
}

TEST(a_turn_is_not_carried_out_for_somebody_else)
{
	struct record *record = ledger_record(one[1]);
	struct line none = {0};

	ledger_received(one[1], 10, &none, 0);
	ledger_settle();
	record->received = 5;
	record->id++;
	ledger_apply();
	assert_int_equal(record->received, 5);
	record->id--;
	record->state = RECORD_FREE;
	ledger_apply();
	assert_int_equal(record->received, 5);
	record->state = RECORD_MEMBER;
	ledger_apply();
	assert_int_equal(record->received, 10);
}

TEST(only_the_parts_of_a_turn_count)
{
	struct record *record = ledger_record(one[1]);
	struct turn *turn;

	ledger_set_state(one[1], RECORD_MEMBER);
	ledger_commit();
	assert_int_equal(record->state, RECORD_MEMBER);
	turn = ledger_turn(one[1]);
	turn->parts = TURN_NICK;
	turn->nick[0] = 'x';
	turn->received = 99;
	turn->state = RECORD_LEAVING;
	turn->debt = 7;
	ledger_commit();
	assert_int_equal(journal->nicks[one[1]][0], 'x');
	assert_int_equal(record->received, 0);
	assert_int_equal(record->state, RECORD_MEMBER);
	assert_int_equal(journal->buckets[one[1]].debt, 0);
	turn = ledger_turn(one[1]);
	turn->parts = TURN_BUCKET;
	turn->debt = 7;
	turn->nick[0] = 'y';
	ledger_commit();
	assert_int_equal(journal->buckets[one[1]].debt, 7);
	assert_int_equal(journal->nicks[one[1]][0], 'x');
}

TEST(who_leaves_gets_what_waits_and_no_entry_after_that)
{
	struct record *record = ledger_record(two[1]);

	ledger_set_state(two[1], RECORD_MEMBER);
	ledger_joins(two[1]);
	say(one[1], "hello\n");
	ledger_sent(two[1], 2, false);
	ledger_leaves(two[1], 4);
	ledger_commit();
	assert_int_equal(record->state, RECORD_LEAVING);
	assert_int_equal(record->received, 2 + 4);
	assert_int_equal(record->last_line_at, 1);
	assert_int_equal(record->piece, 0);
}

TEST(a_newcomer_that_is_refused_gets_nothing_that_was_said)
{
	say(one[1], "hello\n");
	ledger_leaves(two[1], 0);
	ledger_commit();
	assert_int_equal(mark_of(two[1]).entry, 1);
	assert_int_equal(mark_of(two[1]).sent, 0);
}

/* Receiving */

TEST(what_is_received_lies_in_the_journal_and_says_for_whom)
{
	char text[8] = "";

	put_text(one[0], "hello");
	assert_int_equal(ledger_receive(one[1], text, 4), 4);
	assert_memory_equal(text, "hell", 4);
	assert_memory_equal(journal->raw, "hell", 4);
	assert_int_equal(journal->head->receiver, one[1]);
	assert_true(journal->head->receiver_id == ledger_record(one[1])->id);
}

TEST(no_more_than_the_journal_has_room_for_is_received)
{
	static char text[JOURNAL_RAW + 10];
	int size = 1 << 20;

	setsockopt(one[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	stuff(one[0]);
	assert_int_equal(ledger_receive(one[1], text, sizeof(text)), JOURNAL_RAW);
}

TEST(before_something_is_received_the_last_turn_is_committed)
{
	struct line none = {0};
	char text[8];

	ledger_received(two[1], 10, &none, 0);
	assert_int_equal(ledger_receive(one[1], text, 4), -1);
	assert_int_equal(errno, EAGAIN);
	assert_int_equal(ledger_record(two[1])->received, 10);
}

/* The index */

TEST(an_entry_says_who_where_and_how_much)
{
	struct msg msg = say(one[1], "hello\n");
	const struct journal_entry *entry = ledger_entry(0);

	assert_true(entry->owner == ledger_record(one[1])->id);
	assert_int_equal(entry->len, 6);
	assert_int_equal(entry->position, 0);
	assert_ptr_equal(ledger_text(entry), msg_data(&msg));
	assert_true(entry->sum == ledger_entry_sum(entry, 0));
	assert_int_not_equal(entry->sum, ledger_entry_sum(entry, 1));
	assert_int_equal(journal->next->position, 6);
	msg_unref(&msg);
}

TEST(an_entry_that_cannot_be_has_no_text)
{
	struct msg msg = say(-1, "hello\n");
	struct journal_entry entry = *ledger_entry(0);
	const uint64_t size = area_size(entry.place) - sizeof(struct buf);

	entry.off = 0;
	entry.len = (uint32_t)size;
	assert_non_null(ledger_text(&entry));
	entry.len++;
	assert_null(ledger_text(&entry));
	entry.off = 1;
	entry.len = (uint32_t)size - 1;
	assert_non_null(ledger_text(&entry));
	entry.len = (uint32_t)size;
	assert_null(ledger_text(&entry));
	entry.off = UINT32_MAX;
	entry.len = UINT32_MAX;
	assert_null(ledger_text(&entry));
	entry.off = entry.len = 0;
	assert_null(ledger_text(&entry));
	entry.len = 1;
	assert_non_null(ledger_text(&entry));
	entry.place = AREA_SMALLEST - 1;
	assert_null(ledger_text(&entry));
	entry.place = (UINT64_C(1) << journal->area.order) + AREA_SMALLEST;
	assert_null(ledger_text(&entry));
	entry.place = UINT64_MAX;
	assert_null(ledger_text(&entry));
	msg_unref(&msg);
}

TEST(there_is_room_until_three_quarters_are_taken_and_places_beyond)
{
	struct msg msg = say(-1, "x");

	for (uint64_t count = 1; count <= 256 - 64; count++) {
		assert_true(journal->next->head == count);
		assert_true(ledger_has_room() == (count <= 128));
		assert_true(ledger_has_place() == (count < 256 - 64));
		ledger_add(ENTRY_ALONE, one[1], &msg);
	}
	ledger_settle();
	ledger_trim(1 + 256 - 64 - 128);
	assert_true(ledger_has_room());
	ledger_trim(256 - 64 - 128);
	assert_false(ledger_has_room());
	msg_unref(&msg);
}

TEST(who_has_taken_half_of_the_room_lags_no_more)
{
	struct msg msg = say(-1, "x");

	for (int i = 1; i < 65; i++)
		ledger_add(ENTRY_ALONE, one[1], &msg);
	ledger_settle();
	assert_true(ledger_lags(two[1]));
	ledger_mark(two[1], 0, 1, 0);
	assert_false(ledger_lags(two[1]));
	msg_unref(&msg);
}

TEST(a_mark_moves_up_to_what_waits_first)
{
	struct msg first = say(one[1], "one\n"), second = say(one[1], "two\n");
	struct queue queue;

	queue_init(&queue);
	queue_push(&queue, &first);
	queue_push(&queue, &second);
	queue_consume(&queue, 6);
	ledger_sent(two[1], 6, false);
	assert_int_equal(ledger_advance(two[1], &queue), 1);
	assert_int_equal(mark_of(two[1]).entry, 1);
	assert_int_equal(mark_of(two[1]).skip, 2);
	assert_int_equal(mark_of(two[1]).sent, 6);
	queue_consume(&queue, 2);
	ledger_sent(two[1], 2, true);
	assert_int_equal(ledger_advance(two[1], &queue), 2);
	queue_clear(&queue);
	msg_unref(&first);
	msg_unref(&second);
}

TEST(a_mark_moves_up_to_a_part_for_one_alone)
{
	struct msg first = say(one[1], "one\n"), last = say(one[1], "two\n"),
		   other = msg_new(&arena, "for one\n", 8), own = msg_new(&arena, "for two\n", 8);
	struct queue queue;

	msg_ref(&other);
	msg_ref(&own);
	ledger_add(ENTRY_ALONE, one[1], &other);
	ledger_add(ENTRY_ALONE, two[1], &own);
	ledger_commit();
	ledger_handed();
	queue_init(&queue);
	queue_push(&queue, &own);
	queue_consume(&queue, 3);
	ledger_mark(two[1], 8 + 3, 0, 8 + 3);
	assert_int_equal(ledger_advance(two[1], &queue), 3);
	assert_int_equal(mark_of(two[1]).skip, 3);
	/* It is not in the index, as after a text that was dropped: the mark stays. */
	ledger_mark(one[1], 0, 0, 0);
	assert_int_equal(ledger_advance(one[1], &queue), 0);
	queue_clear(&queue);
	msg_unref(&first);
	msg_unref(&last);
	msg_unref(&other);
	msg_unref(&own);
}

TEST(a_jump_goes_on_at_the_beginning_of_the_ring)
{
	uint64_t number;

	journal->next->head = 250;
	ledger_turn(-1);
	ledger_commit();
	journal->handed = 250;
	number = ledger_jump();
	assert_int_equal(number, 256);
	assert_int_equal(journal->next->head, 256);
	assert_int_equal(journal->tail, 256);
	assert_int_equal(ledger_entry(250)->kind, ENTRY_JUMP);
	assert_true(ledger_entry(250)->sum == ledger_entry_sum(ledger_entry(250), 250));
	assert_int_equal(ledger_next(250), 256);
	assert_int_equal(ledger_next(249), 250);
	assert_int_equal(ledger_next(255), 256);
}

TEST(a_jump_is_worth_while_past_what_fits_the_cache_and_only_if_nobody_needs_anything)
{
	char error[JOURNAL_ERROR];

	journal_close();
	assert_int_equal(journal_create(&little, 12, error), 0);
	ledger_resume();
	journal->next->head = 2047;
	assert_false(ledger_trim(2047));
	journal->next->head = 2048;
	assert_true(ledger_trim(2048));
	assert_false(ledger_trim(2047));
	journal->next->head = 4096 + 2047;
	assert_false(ledger_trim(4096 + 2047));
	assert_int_equal(journal->trim_at, 4096 + 2047 + 2048);
}

TEST(a_successor_goes_on_with_the_valid_turn)
{
	struct msg msg = say(one[1], "hello\n");

	journal->next->names = 77; /* never committed */
	ledger_resume();
	assert_int_equal(journal->next->names, 0);
	assert_int_equal(journal->next->head, 1);
	assert_int_equal(journal->next->position, 6);
	assert_int_equal(journal->handed, 1);
	assert_false(journal->pending);
	msg_unref(&msg);
}

#define LEDGER_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    LEDGER_TEST(a_record_has_who_it_is_and_a_sum),
	    LEDGER_TEST(descriptors_beyond_the_records_are_not_kept),
	    LEDGER_TEST(what_is_no_socket_is_not_kept),
	    LEDGER_TEST(the_kernel_counts_what_a_unix_socket_received),
	    LEDGER_TEST(a_gigabyte_more_or_less_is_counted_right),
	    LEDGER_TEST(a_mark_is_written_beside_the_valid_one),
	    LEDGER_TEST(what_is_sent_is_skipped_until_all_is_sent),
	    LEDGER_TEST(a_send_of_the_relay_is_noted_until_it_is_recorded_or_not),
	    LEDGER_TEST(a_turn_counts_once_it_is_committed),
	    LEDGER_TEST(the_turn_of_another_client_is_committed_first),
	    LEDGER_TEST(a_turn_of_nobody_joins_the_one_that_is_prepared),
	    LEDGER_TEST(a_turn_is_not_carried_out_for_somebody_else),
	    LEDGER_TEST(only_the_parts_of_a_turn_count),
	    LEDGER_TEST(who_leaves_gets_what_waits_and_no_entry_after_that),
	    LEDGER_TEST(a_newcomer_that_is_refused_gets_nothing_that_was_said),
	    LEDGER_TEST(what_is_received_lies_in_the_journal_and_says_for_whom),
	    LEDGER_TEST(no_more_than_the_journal_has_room_for_is_received),
	    LEDGER_TEST(before_something_is_received_the_last_turn_is_committed),
	    LEDGER_TEST(an_entry_says_who_where_and_how_much),
	    LEDGER_TEST(an_entry_that_cannot_be_has_no_text),
	    LEDGER_TEST(there_is_room_until_three_quarters_are_taken_and_places_beyond),
	    LEDGER_TEST(who_has_taken_half_of_the_room_lags_no_more),
	    LEDGER_TEST(a_mark_moves_up_to_what_waits_first),
	    LEDGER_TEST(a_mark_moves_up_to_a_part_for_one_alone),
	    LEDGER_TEST(a_jump_goes_on_at_the_beginning_of_the_ring),
	    LEDGER_TEST(
		a_jump_is_worth_while_past_what_fits_the_cache_and_only_if_nobody_needs_anything),
	    LEDGER_TEST(a_successor_goes_on_with_the_valid_turn),
	};

	return cmocka_run_group_tests_name("ledger", tests, NULL, NULL);
}
