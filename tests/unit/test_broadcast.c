#include "unit.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "party.h"
#include "seam.h"

TEST(a_line_reaches_everybody_but_its_origin)
{
	struct guest *a = party_join(NULL), *b = party_join(NULL), *c = party_join(NULL);

	party_say(a, "hello\r\n");
	party_settle();
	party_expect(a, "");
	party_expect(b, "hello\r\n");
	party_expect(c, "hello\r\n");
	assert_int_equal(party.chat.broadcast.lines, 1);
}

TEST(who_comes_later_hears_what_is_said_later)
{
	struct guest *a = party_join(NULL), *b = party_join(NULL), *c;

	party_say(a, "early\n");
	party_settle();
	c = party_join(NULL);
	party_say(a, "late\n");
	party_settle();
	party_expect(b, "early\nlate\n");
	party_expect(c, "late\n");
}

TEST(a_guest_alone_speaks_to_nobody)
{
	struct guest *a = party_join(NULL);

	party_say(a, "anybody?\n");
	party_settle();
	party_expect(a, "");
	assert_int_equal(party.chat.broadcast.lines, 1);
	assert_int_equal(party.chat.pool.class.writers.last, -1);
}

TEST(lines_of_one_pass_are_in_ascending_order_of_descriptors_for_everybody)
{
	struct guest *a = party_join(NULL), *b = party_join(NULL), *c = party_join(NULL);

	party_say(c, "from c\n");
	party_say(a, "from a\n");
	party_say(b, "from b\n");
	party_settle();
	party_expect(a, "from b\nfrom c\n");
	party_expect(b, "from a\nfrom c\n");
	party_expect(c, "from a\nfrom b\n");
}

TEST(torn_lines_of_different_guests_never_mix)
{
	struct guest *a = party_join(NULL), *b = party_join(NULL), *c = party_join(NULL);

	party_say(a, "this is ");
	party_say(b, "and that is ");
	party_settle();
	party_expect(c, "");
	party_say(b, "b\n");
	party_say(a, "a\n");
	party_settle();
	party_expect(c, "this is a\nand that is b\n");
}

TEST(a_pass_of_many_speakers_leaves_in_one_send_for_each_guest)
{
	struct guest *guests[20];

	for (size_t i = 0; i < LENGTH(guests); i++)
		guests[i] = party_join(NULL);
	for (size_t i = 0; i < LENGTH(guests); i++)
		party_say(guests[i], "hello from somebody\n");
	party_pass();
	seam_reset();
	party_settle();
	assert_int_equal(seam_calls(SEAM_SEND), LENGTH(guests));
	assert_int_equal(seam_calls(SEAM_MEMORY), 0);
	for (size_t i = 0; i < LENGTH(guests); i++)
		assert_int_equal(strlen(party_hears(guests[i], NULL)), 19 * 20);
}

/* What one who never speaks hears is the order, and everybody hears that without their own lines.
 */
TEST(random_talk_reaches_everybody_whole_and_in_one_order)
{
	enum {
		GUESTS = 12,
		LINES = 1500
	};
	static char heard[GUESTS + 1][LINES * 24], want[LINES * 24];
	struct guest *guests[GUESTS + 1];
	char *ends[GUESTS + 1];
	int said[GUESTS] = {0}, spoken = 0;

	random_start();
	for (int i = 0; i <= GUESTS; i++) {
		guests[i] = party_join(NULL);
		ends[i] = heard[i];
	}
	while (spoken < LINES) {
		for (int i = 0; i < GUESTS && spoken < LINES; i++) {
			char text[64];

			if (random_below(3) != 0)
				continue;
			snprintf(text, sizeof(text), "%d says %d%s", i, said[i]++,
			    random_below(2) == 0 ? " and more\r\n" : "\n");
			/* In two pieces, the second one sometimes later. */
			assert_int_equal(write(guests[i]->fd, text, 3), 3);
			if (random_below(2) == 0)
				party_pass();
			put_text(guests[i]->fd, text + 3);
			spoken++;
		}
		party_pass();
		for (int i = 0; i <= GUESTS; i++)
			ends[i] = stpcpy(ends[i], party_hears(guests[i], NULL));
	}
	party_settle();
	for (int i = 0; i <= GUESTS; i++)
		stpcpy(ends[i], party_hears(guests[i], NULL));
	for (int i = 0; i < GUESTS; i++) {
		const char *line = heard[GUESTS], *end;
		char *tail = want;
		int own = 0;

		for (; (end = strchr(line, '\n')) != NULL; line = end + 1) {
			if (atoi(line) != i)
				tail = mempcpy(tail, line, (size_t)(end - line) + 1);
			else
				assert_int_equal(atoi(strchr(line, 's') + 5), own++);
		}
		*tail = '\0';
		assert_int_equal(own, said[i]);
		assert_int_equal(strcmp(heard[i], want), 0);
	}
	assert_int_equal(party.chat.broadcast.lines, LINES);
}

/* Refused or not, the pass goes on in another buf, or with what is left of this one. */
static void
speak_more_than_a_buf(unsigned long refused)
{
	enum {
		GUESTS = 8,
		LEN = 60000
	};
	static char heard[GUESTS][GUESTS * 2 * LEN + 1];
	struct guest *guests[GUESTS];
	char *ends[GUESTS];

	party_configure("limits = { line = \"64K\"; queue = \"16M\"; };");
	for (int i = 0; i < GUESTS; i++) {
		guests[i] = party_join(NULL);
		ends[i] = heard[i];
	}
	for (int round = 0; round < 2; round++) {
		for (int i = 0; i < GUESTS; i++)
			party_say(guests[i], party_line((char)('a' + i), LEN));
		seam_reset();
		if (refused > 0)
			seam_fail(SEAM_MEMORY, refused - 1, 1, ENOMEM);
		for (int pass = 0; pass < 10; pass++) {
			party_pass();
			party.now += BACKOFF_REST;
			for (int i = 0; i < GUESTS; i++)
				ends[i] = stpcpy(ends[i], party_hears(guests[i], NULL));
		}
		seam_reset();
		party_settle();
	}
	for (int i = 0; i < GUESTS; i++) {
		const char *at = heard[i];

		ends[i] = stpcpy(ends[i], party_hears(guests[i], NULL));
		assert_int_equal(ends[i] - at, 2 * (GUESTS - 1) * LEN);
		for (int k = 0; k < 2 * (GUESTS - 1); k++, at += LEN)
			assert_memory_equal(at, party_line(at[0], LEN), LEN);
	}
}

TEST(a_pass_larger_than_a_buf_reaches_everybody_whole)
{
	for (unsigned long refused = 0; refused < 12; refused++) {
		party_teardown(NULL);
		party_setup(NULL);
		speak_more_than_a_buf(refused);
	}
}

TEST(bytes_are_forwarded_unchanged_unless_they_are_to_be_sanitized)
{
	struct guest *a = party_join(NULL), *b = party_join(NULL);

	party_say(a, "\x1b[2J\xff\r\n");
	party_settle();
	party_expect(b, "\x1b[2J\xff\r\n");
	party_configure("sanitize = true;");
	party_say(a, "\x1b[2J\xff\r\n");
	party_settle();
	party_expect(b, "?[2J?\r\n");
	/* Also where a character is torn. */
	party_say(a, "gr\xc3");
	party_settle();
	party_say(a, "\xbcn\n");
	party_settle();
	party_expect(b, "gr\xc3\xbcn\n");
}

/* What is for one alone */

static void
tell(const struct guest *guest, const char *text)
{
	broadcast_tell(&party.chat.broadcast, party_conn(guest), text, strlen(text));
}

TEST(what_is_told_to_one_reaches_nobody_else)
{
	struct guest *a = party_join(NULL), *b = party_join(NULL), *c = party_join(NULL);

	tell(b, "for b alone\n");
	party_say(a, "for all\n");
	party_settle();
	party_expect(a, "");
	party_expect(b, "for b alone\nfor all\n");
	party_expect(c, "for all\n");
}

TEST(what_is_told_lies_behind_all_that_was_said_before)
{
	struct guest *a = party_join(NULL), *b = party_join(NULL), *c = party_join(NULL);

	party_say(a, "from a\n");
	party_say(b, "from b\n");
	party_say(c, "from c\n");
	/* In the middle of a pass, and b has spoken itself. */
	party_receive(a);
	party_receive(b);
	tell(b, "for b alone\n");
	party_receive(c);
	party_deliver();
	party_settle();
	party_expect(a, "from b\nfrom c\n");
	party_expect(b, "from a\nfor b alone\nfrom c\n");
	party_expect(c, "from a\nfrom b\n");
	assert_int_equal(party.chat.broadcast.intake.arena.filling->refs, 0);
}

TEST(what_is_told_leaves_though_nobody_speaks)
{
	struct guest *a = party_join(NULL), *b = party_join(NULL);

	tell(b, "for b alone\n");
	party_settle();
	party_expect(b, "for b alone\n");
	party_expect(a, "");
}

/* The queue of whoever is told much while it takes nothing keeps the places of the next pass. */
TEST(whatever_is_told_the_places_of_a_pass_stay_reserved)
{
	struct guest *a = party_join(NULL), *b = party_join(NULL), *c = party_join(NULL);
	static char want[100 * 100];
	char *end = want;

	for (int i = 0; i < 100; i++) {
		const struct queue *queue = &party_conn(b)->queue;

		party_say(a, "from a\n");
		party_say(b, "from b\n");
		party_say(c, "from c\n");
		tell(c, "x\n");
		tell(b, "for b alone\n");
		assert_true(queue->tail + BROADCAST_PLACES <= queue->size);
		party_receive(a);
		party_receive(b);
		party_receive(c);
		party_deliver();
		assert_true(queue->tail + BROADCAST_PLACES <= queue->size);
		end = stpcpy(end, "for b alone\nfrom a\nfrom c\n");
	}
	party_settle();
	party_expect(b, want);
}

TEST(what_is_told_is_left_out_where_memory_is_refused)
{
	struct guest *a = party_join(NULL), *b = party_join(NULL);

	seam_fail(SEAM_MEMORY, 0, 1, ENOMEM);
	tell(b, "lost\n");
	assert_true(queue_empty(&party_conn(b)->queue));
	party_say(a, "not lost\n");
	party_settle();
	party_expect(b, "not lost\n");
}

TEST(how_far_one_is_behind_leaves_out_what_others_were_told)
{
	struct guest *a = party_join(NULL), *b = party_join(NULL), *c = party_join(NULL);
	const struct broadcast *broadcast = &party.chat.broadcast;

	assert_int_equal(broadcast_lag(broadcast, party_conn(b)), 0);
	party_speak(a, 10);
	assert_int_equal(broadcast_lag(broadcast, party_conn(a)), 0);
	assert_int_equal(broadcast_lag(broadcast, party_conn(b)), 10);
	tell(c, "12345\n");
	assert_int_equal(broadcast_lag(broadcast, party_conn(b)), 10);
	party_write_some(b, 4);
	assert_int_equal(broadcast_lag(broadcast, party_conn(b)), 6);
	party_write(b);
	assert_int_equal(broadcast_lag(broadcast, party_conn(b)), 0);
	assert_int_equal(broadcast_lag(broadcast, party_conn(c)), 10);
}

/* In each pass each guest speaks or not; its queue leaves out its own part, and nothing else. */
TEST(the_own_part_is_left_out_wherever_it_lies)
{
	struct guest *guests[3];

	for (int i = 0; i < 3; i++)
		guests[i] = party_join(NULL);
	for (unsigned speakers = 1; speakers < 8; speakers++) {
		for (int i = 0; i < 3; i++)
			if ((speakers >> i & 1) != 0)
				party_say(guests[i], (const char *[]){"a\n", "b\n", "c\n"}[i]);
		party_settle();
		for (unsigned i = 0; i < 3; i++) {
			char want[8] = "";

			for (unsigned k = 0; k < 3; k++)
				if (k != i && (speakers >> k & 1) != 0)
					strcat(want, (const char *[]){"a\n", "b\n", "c\n"}[k]);
			party_expect(guests[i], want);
			assert_int_equal(party_conn(guests[i])->own.len, 0);
		}
	}
}

TEST(whoever_is_written_to_no_more_gets_nothing_into_its_queue)
{
	struct guest *a = party_join(NULL), *b = party_join(NULL);

	conn_close_write(party_conn(b));
	for (int i = 0; i < 10; i++)
		party_speak(a, 100);
	assert_true(queue_empty(&party_conn(b)->queue));
	assert_false(fdset_has(&party.chat.pool.class.writers, b->sd));
	assert_true(party_has(b));
}

#define BROADCAST_TEST(name) cmocka_unit_test_setup_teardown(name, party_setup, party_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    BROADCAST_TEST(a_line_reaches_everybody_but_its_origin),
	    BROADCAST_TEST(who_comes_later_hears_what_is_said_later),
	    BROADCAST_TEST(a_guest_alone_speaks_to_nobody),
	    BROADCAST_TEST(lines_of_one_pass_are_in_ascending_order_of_descriptors_for_everybody),
	    BROADCAST_TEST(torn_lines_of_different_guests_never_mix),
	    BROADCAST_TEST(a_pass_of_many_speakers_leaves_in_one_send_for_each_guest),
	    BROADCAST_TEST(random_talk_reaches_everybody_whole_and_in_one_order),
	    BROADCAST_TEST(a_pass_larger_than_a_buf_reaches_everybody_whole),
	    BROADCAST_TEST(bytes_are_forwarded_unchanged_unless_they_are_to_be_sanitized),
	    BROADCAST_TEST(what_is_told_to_one_reaches_nobody_else),
	    BROADCAST_TEST(what_is_told_lies_behind_all_that_was_said_before),
	    BROADCAST_TEST(what_is_told_leaves_though_nobody_speaks),
	    BROADCAST_TEST(whatever_is_told_the_places_of_a_pass_stay_reserved),
	    BROADCAST_TEST(what_is_told_is_left_out_where_memory_is_refused),
	    BROADCAST_TEST(how_far_one_is_behind_leaves_out_what_others_were_told),
	    BROADCAST_TEST(the_own_part_is_left_out_wherever_it_lies),
	    BROADCAST_TEST(whoever_is_written_to_no_more_gets_nothing_into_its_queue),
	};

	return cmocka_run_group_tests_name("broadcast", tests, NULL, NULL);
}
