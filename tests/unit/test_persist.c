#include "unit.h"

#include <string.h>

#include "cluster/persist.h"
#include "faults.h"
#include "seam.h"
#include "wire/ledger.h"

static struct loop loop;
static struct loop_class class, class_after;
static struct config *config;
static struct channel *channel;
static struct persist_rest rest;

static struct channel *
make(struct loop_class *of)
{
	struct channel *made = channel_new(&config->cluster, &loop, of, faults_take);

	assert_non_null(made);
	return made;
}

static int
setup(void **state)
{
	const struct journal_need need = {.line = 100, .queue = 1024, .clients = 1};
	char error[JOURNAL_ERROR];

	(void)state;
	seam_reset();
	seam_pass_at(1000 * CLOCK_SECOND);
	config = config_of("cluster = { engine = \"127.0.0.1\"; };");
	loop_init(&loop);
	assert_int_equal(journal_create(&need, 8, error), 0);
	ledger_resume();
	channel = make(&class);
	return 0;
}

static int
teardown(void **state)
{
	channel_free(channel);
	loop_free(&loop);
	config_free(config);
	journal_close();
	return seam_teardown(state);
}

static void
record(void)
{
	persist_record(channel);
	ledger_commit();
	persist_settled(channel);
}

/* A successor, to which the journal is all that there is. */
static enum persist_outcome
succeed(void)
{
	channel_free(channel);
	channel = make(&class_after);
	ledger_resume();
	rest = (struct persist_rest){0};
	return persist_restore(channel, &rest);
}

/* Something of everything. */
static void
live(void)
{
	outbox_add(&channel->sender.outbox, 7, 9, "one\n", 4);
	outbox_confirm(&channel->sender.outbox, outbox_make(&channel->sender.outbox, STREAM_LINES));
	outbox_add(&channel->sender.outbox, 7, 9, "two\n", 4);
	outbox_make(&channel->sender.outbox, STREAM_LINES);
	outbox_add(&channel->sender.outbox, 8, 10, "three\n", 6);
	filter_learn(&channel->filter, 5, 55);
	channel->learned = true;
	channel->read = (struct channel_place){.id = {3, 4}, .epoch = 5, .seq = 55};
	channel->origin = (struct stream_id){1, 2};
	channel->saying = (struct channel_place){.epoch = 6, .seq = 66};
	channel->said = 77;
}

TEST(a_successor_goes_on_under_the_same_name_from_the_same_place)
{
	uint64_t epoch = channel->sender.epoch, lost;
	struct outbox *outbox;

	live();
	record();
	assert_int_equal(succeed(), PERSIST_DONE);
	outbox = &channel->sender.outbox;
	assert_true(channel->sender.epoch == epoch);
	assert_int_equal(outbox->confirmed, 1);
	assert_int_equal(outbox->last, 2);
	assert_int_equal(outbox_size(outbox, 2), 4);
	assert_int_equal(outbox_make(outbox, STREAM_LINES), 3);
	assert_int_equal(outbox_size(outbox, 3), 6);
	assert_true(channel->learned);
	assert_int_equal(channel->read.id.number, 4);
	assert_int_equal(channel->read.seq, 55);
	assert_int_equal(channel->origin.time, 1);
	assert_int_equal(channel->saying.seq, 66);
	assert_int_equal(channel->said, 77);
	assert_false(filter_pass(&channel->filter, 5, 55, &lost));
}

TEST(what_was_not_committed_never_happened)
{
	live();
	record();
	outbox_add(&channel->sender.outbox, 8, 10, "four\n", 5);
	persist_record(channel);
	assert_int_equal(succeed(), PERSIST_DONE);
	assert_int_equal(outbox_make(&channel->sender.outbox, STREAM_LINES), 3);
	assert_int_equal(outbox_size(&channel->sender.outbox, 3), 6);
}

TEST(without_a_cluster_before_it_begins_anew)
{
	assert_int_equal(succeed(), PERSIST_NOTHING);
	assert_false(channel->learned);
}

/* The rest begins with that part of the journal's outbox. */
static void
expect_rest(const char *lines)
{
	struct outbox_part part;
	char data[16] = "";

	outbox_part(&rest.outbox, rest.from, &part);
	outbox_copy(&rest.outbox, rest.from, 0, data, part.len);
	assert_string_equal(data, lines);
}

TEST(another_stream_begins_anew_and_what_was_for_the_last_one_is_handed_out)
{
	uint64_t epoch = channel->sender.epoch;
	struct outbox *outbox;

	live();
	record();
	config_free(config);
	config = config_of("cluster = { engine = \"127.0.0.1\"; stream = \"other\"; };");
	assert_int_equal(succeed(), PERSIST_OTHER);
	assert_false(channel->learned);
	assert_true(channel->sender.epoch != epoch);
	assert_int_equal(outbox_pending(&channel->sender.outbox), 0);
	assert_int_equal(outbox_pending(&rest.outbox), 48 + 16);
	expect_rest("two\n");
	/* It is not overwritten before that counts. */
	outbox = &channel->sender.outbox;
	assert_true(outbox->floor <= 2 && outbox->first > outbox->last);
	record();
	assert_int_equal(succeed(), PERSIST_DONE);
	assert_int_equal(outbox_pending(&channel->sender.outbox), 0);
}

TEST(of_an_entry_that_was_said_in_part_the_rest_is_handed_out)
{
	live();
	channel->saying = (struct channel_place){.epoch = channel->sender.epoch, .seq = 2};
	channel->said = 32;
	record();
	config_free(config);
	config = config_of("cluster = { engine = \"127.0.0.1\"; stream = \"other\"; };");
	assert_int_equal(succeed(), PERSIST_OTHER);
	expect_rest("three\n");
}

TEST(without_a_cluster_after_it_the_outbox_is_handed_out_and_forgotten)
{
	live();
	record();
	assert_int_equal(persist_restore(NULL, &rest), PERSIST_OTHER);
	expect_rest("two\n");
	persist_forget();
	ledger_commit();
	assert_int_equal(persist_restore(NULL, &rest), PERSIST_NOTHING);
	/* It is set again, much later. */
	assert_int_equal(succeed(), PERSIST_NOTHING);
	assert_true(outbox_is_sound(&channel->sender.outbox));
	assert_int_equal(outbox_pending(&channel->sender.outbox), 0);
	record();
	assert_int_equal(succeed(), PERSIST_DONE);
}

/* Each byte of the state, and of the heads of parts. */
TEST(a_state_that_is_damaged_is_not_used)
{
	struct journal_channel *kept;
	size_t size = offsetof(struct journal_channel, filter) + sizeof(kept->filter[0]);

	live();
	record();
	kept = &journal->head->channels[journal_turn()->channel];
	for (size_t i = 0; i < size; i++) {
		char *byte = (char *)kept + i;

		*byte = (char)(*byte ^ 4);
		if (kept->epoch != 0)
			assert_int_equal(persist_restore(channel, &rest), PERSIST_DAMAGED);
		*byte = (char)(*byte ^ 4);
		/* That has begun anew in the outbox. */
		channel->sender.outbox.first = 1;
	}
	journal->fault = NULL;
	journal->outbox[12] = 99; /* the length of the first part */
	assert_int_equal(persist_restore(channel, &rest), PERSIST_DAMAGED);
	assert_string_equal(journal->fault, "what was said to the cluster");
}

int
main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
	    CASE(a_successor_goes_on_under_the_same_name_from_the_same_place),
	    CASE(what_was_not_committed_never_happened),
	    CASE(without_a_cluster_before_it_begins_anew),
	    CASE(another_stream_begins_anew_and_what_was_for_the_last_one_is_handed_out),
	    CASE(of_an_entry_that_was_said_in_part_the_rest_is_handed_out),
	    CASE(without_a_cluster_after_it_the_outbox_is_handed_out_and_forgotten),
	    CASE(a_state_that_is_damaged_is_not_used),
	};

	return cmocka_run_group_tests_name("persist", tests, NULL, NULL);
}
