#include "unit.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "party.h"
#include "seam.h"

TEST(steady_talk_asks_for_no_memory)
{
	struct guest *guests[8];

	for (size_t i = 0; i < LENGTH(guests); i++)
		guests[i] = party_join(NULL);
	for (int round = 0; round < 200; round++) {
		if (round == 10)
			seam_reset();
		for (size_t i = 0; i < LENGTH(guests); i++)
			party_say(guests[i], party_line('x', 1000));
		party_pass();
		party_settle();
		for (size_t i = 0; i < LENGTH(guests); i++)
			party_hears(guests[i], NULL);
		/* Nobody holds what everybody has heard. */
		assert_int_equal(party.chat.broadcast.intake.arena.filling->refs, 0);
	}
	assert_int_equal(seam_calls(SEAM_MEMORY), 0);
}

TEST(without_memory_nobody_is_read_and_nothing_is_lost)
{
	struct guest *a = party_join(NULL), *b = party_join(NULL);
	int64_t again;

	party_say(a, "first\n");
	seam_fail(SEAM_MEMORY, 0, SEAM_ALWAYS, ENOMEM);
	party_pass();
	assert_int_equal(seam_calls(SEAM_RECV), 0);
	assert_false(party_reading());
	assert_string_equal(party_trace(), "");
	/* It is tried again after a rest, not at once. */
	again = party.now + BACKOFF_REST;
	assert_int_equal(party_expire(), again);
	party.now = again - 1;
	assert_int_equal(party_expire(), again);
	assert_false(party_reading());
	party.now = again;
	party_expire();
	assert_true(party_reading());
	party_pass();
	assert_false(party_reading());
	seam_reset();
	party.now += BACKOFF_REST;
	party_expire();
	party_settle();
	party_expect(b, "first\n");
}

/* Each allocation is refused in turn while some talk goes on: every line arrives all the same. */
TEST(whichever_allocation_is_refused_every_line_arrives)
{
	for (unsigned long refused = 0;; refused++) {
		struct guest *guests[3];
		char want[3][512] = {"", "", ""}, heard[3][512] = {"", "", ""};
		unsigned long calls;

		party_teardown(NULL);
		party_setup(NULL);
		for (int i = 0; i < 3; i++)
			guests[i] = party_join(NULL);
		seam_reset();
		seam_fail(SEAM_MEMORY, refused, 1 + refused % 3, ENOMEM);
		for (int round = 0; round < 8; round++) {
			for (int i = 0; i < 3; i++) {
				char text[32];

				snprintf(text, sizeof(text), "%d says %d\n", i, round);
				/* Torn, so that pieces have to be kept as well. */
				assert_int_equal(write(guests[i]->fd, text, 4), 4);
				party_pass();
				put_text(guests[i]->fd, text + 4);
				for (int k = 0; k < 3; k++)
					if (k != i)
						strcat(want[k], text);
			}
			/* Reads without writes, so that queues have to grow. */
			for (int i = 0; i < 3 && round % 2 == 0; i++)
				party_read(guests[i]);
			party.now += BACKOFF_REST;
			party_pass();
		}
		calls = seam_calls(SEAM_MEMORY);
		seam_reset();
		party.now += BACKOFF_REST;
		party_expire();
		party_settle();
		for (int i = 0; i < 3; i++) {
			char *line;

			strcat(heard[i], party_hears(guests[i], NULL));
			assert_int_equal(strlen(heard[i]), strlen(want[i]));
			line = strtok(want[i], "\n");
			while (line != NULL) {
				assert_non_null(strstr(heard[i], line));
				line = strtok(NULL, "\n");
			}
		}
		if (calls <= refused) {
			assert_true(refused > 5);
			return;
		}
	}
}

/* What a guest says last in a pass leaves nothing after it, so the places hang on what is before.
 */
TEST(a_refused_place_is_not_forgotten_when_the_guest_spoke_last)
{
	struct guest *a = party_join(NULL), *b = party_join(NULL);

	party_say(a, "a\n");
	party_settle();
	for (int round = 0; round < 20; round++) {
		party_say(a, "a\n");
		party_say(b, "b\n");
		seam_fail(SEAM_MEMORY, 0, SEAM_ALWAYS, ENOMEM);
		party_receive(a);
		party_receive(b);
		party_deliver();
		/* Only the queue of b, who spoke last, has to grow. */
		party_write(a);
		seam_reset();
		if (!party_reading()) {
			party.now += BACKOFF_REST;
			party_expire();
		}
	}
	party_settle();
	assert_int_equal(strlen(party_hears(a, NULL)), 40);
	assert_int_equal(strlen(party_hears(b, NULL)), 42);
}

/* A full buf makes what is fresh leave in the middle of a pass; a queue that then has no place ends
 * the reading. */
TEST(without_memory_a_full_buf_ends_the_reading_of_its_pass)
{
	struct guest *a = party_join(NULL), *b = party_join(NULL), *c = party_join(NULL);
	struct guest *d = party_join(NULL);
	const struct guest *all[] = {a, b, c, d};

	party_configure("limits = { line = 70000; queue = 10000000; };");
	for (int i = 0; i < 3; i++) {
		party_say(a, party_line('a', 65536));
		party_say(b, "b\n");
		if (i == 2) {
			party_say(c, "c\n");
			party_say(d, "d\n");
		}
		for (int k = 0; k < 4; k++) {
			if (i == 2 && k == 3)
				seam_fail(SEAM_MEMORY, 1, SEAM_ALWAYS, ENOMEM);
			party_receive(all[k]);
		}
		party_deliver();
	}
	assert_false(party_reading());
	seam_reset();
	party.now += BACKOFF_REST;
	party_expire();
	party_settle();
	assert_non_null(strstr(party_hears(c, NULL), "b\nd\n"));
}

#define MEMORY_TEST(name) cmocka_unit_test_setup_teardown(name, party_setup, party_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    MEMORY_TEST(steady_talk_asks_for_no_memory),
	    MEMORY_TEST(without_memory_nobody_is_read_and_nothing_is_lost),
	    MEMORY_TEST(whichever_allocation_is_refused_every_line_arrives),
	    MEMORY_TEST(a_refused_place_is_not_forgotten_when_the_guest_spoke_last),
	    MEMORY_TEST(without_memory_a_full_buf_ends_the_reading_of_its_pass),
	};

	return cmocka_run_group_tests_name("broadcast and memory", tests, NULL, NULL);
}
