#include "unit.h"

#include "cluster/filter.h"

static struct filter filter;

static int
setup(void **state)
{
	(void)state;
	filter = (struct filter){.count = 0};
	return 0;
}

/* How many were lost before it, or -1: it is not new. */
static int64_t
pass(uint64_t epoch, uint64_t seq)
{
	uint64_t lost;
	bool is_new = filter_is_new(&filter, epoch, seq);

	assert_int_equal(filter_pass(&filter, epoch, seq, &lost), is_new);
	return is_new ? (int64_t)lost : -1;
}

TEST(every_entry_counts_once)
{
	assert_int_equal(pass(1, 1), 0);
	assert_int_equal(pass(1, 1), -1);
	assert_int_equal(pass(1, 2), 0);
	assert_int_equal(pass(1, 1), -1);
	assert_int_equal(pass(1, 3), 0);
}

TEST(nodes_count_for_themselves)
{
	assert_int_equal(pass(1, 5), 0);
	assert_int_equal(pass(2, 5), 0);
	assert_int_equal(pass(2, 6), 0);
	assert_int_equal(pass(1, 6), 0);
}

TEST(a_jump_counts_what_is_lost)
{
	assert_int_equal(pass(1, 1), 0);
	assert_int_equal(pass(1, 5), 3);
	assert_int_equal(pass(1, 4), -1);
	assert_int_equal(pass(1, UINT64_MAX), (int64_t)(UINT64_MAX - 6));
	assert_int_equal(pass(1, UINT64_MAX), -1);
}

TEST(the_first_number_of_a_node_may_be_any)
{
	assert_int_equal(pass(1, 1000), 0);
	assert_int_equal(pass(1, 999), -1);
}

TEST(what_was_learned_is_no_loss_and_not_new)
{
	filter_learn(&filter, 1, 7);
	filter_learn(&filter, 1, 5);
	assert_int_equal(pass(1, 7), -1);
	assert_int_equal(pass(1, 8), 0);
}

TEST(the_node_that_was_silent_for_longest_makes_room)
{
	for (uint64_t epoch = 1; epoch <= FILTER_NODES; epoch++)
		assert_int_equal(pass(epoch, 1), 0);
	/* All are known still, and 1 has spoken again. */
	for (uint64_t epoch = FILTER_NODES; epoch > 0; epoch--)
		assert_false(filter_is_new(&filter, epoch, 1));
	assert_int_equal(pass(1, 2), 0);
	assert_int_equal(pass(FILTER_NODES + 1, 1), 0);
	assert_int_equal(filter.count, FILTER_NODES);
	assert_false(filter_is_new(&filter, 1, 2));
	assert_true(filter_is_new(&filter, 2, 1));
	assert_false(filter_is_new(&filter, 3, 1));
}

/* Nodes, numbers and repetitions in any order; a plain table says what must come out. */
TEST(any_order_gives_what_a_table_gives)
{
	uint64_t last[5] = {0};

	random_start();
	for (int i = 0; i < 200000; i++) {
		uint64_t epoch = random_below(5), seq = 1 + last[epoch] + random_below(4);

		seq -= random_below(3) < 1 && seq > 3 ? 3 : 0;
		if (last[epoch] == 0)
			assert_int_equal(pass(epoch + 1, seq), 0);
		else if (seq <= last[epoch])
			assert_int_equal(pass(epoch + 1, seq), -1);
		else
			assert_int_equal(pass(epoch + 1, seq), seq - last[epoch] - 1);
		last[epoch] = seq > last[epoch] ? seq : last[epoch];
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup(every_entry_counts_once, setup),
	    cmocka_unit_test_setup(nodes_count_for_themselves, setup),
	    cmocka_unit_test_setup(a_jump_counts_what_is_lost, setup),
	    cmocka_unit_test_setup(the_first_number_of_a_node_may_be_any, setup),
	    cmocka_unit_test_setup(what_was_learned_is_no_loss_and_not_new, setup),
	    cmocka_unit_test_setup(the_node_that_was_silent_for_longest_makes_room, setup),
	    cmocka_unit_test_setup(any_order_gives_what_a_table_gives, setup),
	};

	return cmocka_run_group_tests_name("filter", tests, NULL, NULL);
}
