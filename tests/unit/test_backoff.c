#include "unit.h"

#include "base/backoff.h"
#include "seam.h"

#define NOW  (1000 * CLOCK_SECOND)
#define REST BACKOFF_REST

static struct backoff backoff;

static int
setup(void **state)
{
	(void)state;
	seam_pass_at(NOW);
	backoff = BACKOFF_NONE;
	return 0;
}

static void
refuse(int count)
{
	while (count-- > 0)
		backoff_refused(&backoff, REST);
}

static int64_t
due_at(int64_t now)
{
	seam_pass_at(now);
	return backoff_run_due(&backoff);
}

TEST(at_first_there_is_no_rest)
{
	assert_false(backoff_rests(&backoff));
	assert_int_equal(backoff_run_due(&backoff), CLOCK_NEVER);
}

TEST(as_many_refusals_as_are_allowed_bring_a_rest_and_one_less_does_not)
{
	refuse(BACKOFF_REFUSALS - 1);
	assert_false(backoff_rests(&backoff));
	refuse(1);
	assert_true(backoff_rests(&backoff));
	assert_int_equal(backoff.until, NOW + REST);
}

TEST(a_rest_ends_when_it_is_over_and_not_before)
{
	refuse(BACKOFF_REFUSALS);
	assert_int_equal(due_at(NOW + REST - 1), NOW + REST);
	assert_true(backoff_rests(&backoff));
	assert_int_equal(due_at(NOW + REST), CLOCK_NEVER);
	assert_false(backoff_rests(&backoff));
}

TEST(after_a_rest_each_refusal_brings_the_next_one)
{
	refuse(BACKOFF_REFUSALS);
	for (int i = 1; i <= 1000; i++) {
		assert_int_equal(due_at(NOW + i * REST), CLOCK_NEVER);
		refuse(1);
		assert_int_equal(backoff.until, NOW + (i + 1) * REST);
	}
}

TEST(whoever_works_again_may_be_refused_as_often_as_at_first)
{
	for (int i = 0; i < 100; i++) {
		refuse(BACKOFF_REFUSALS - 1);
		backoff_worked(&backoff);
		assert_false(backoff_rests(&backoff));
	}
	refuse(BACKOFF_REFUSALS);
	due_at(NOW + REST);
	backoff_worked(&backoff);
	refuse(BACKOFF_REFUSALS - 1);
	assert_false(backoff_rests(&backoff));
}

TEST(success_alone_does_not_end_a_rest)
{
	refuse(BACKOFF_REFUSALS);
	backoff_worked(&backoff);
	assert_true(backoff_rests(&backoff));
	backoff_end(&backoff);
	assert_false(backoff_rests(&backoff));
	assert_int_equal(due_at(NOW), CLOCK_NEVER);
}

TEST(a_rest_that_goes_on_begins_anew)
{
	backoff_begin(&backoff, REST);
	seam_pass_at(NOW + REST / 2);
	backoff_begin(&backoff, 2 * REST);
	assert_int_equal(due_at(NOW + REST), NOW + REST / 2 + 2 * REST);
	assert_true(backoff_rests(&backoff));
}

TEST(a_counter_kept_elsewhere_stays_at_the_limit)
{
	uint8_t refusals = 0;

	for (int i = 1; i < 1000; i++) {
		assert_int_equal(backoff_count(&refusals), i >= BACKOFF_REFUSALS);
		assert_true(refusals <= BACKOFF_REFUSALS);
	}
}

#define BACKOFF_TEST(name) cmocka_unit_test_setup(name, setup)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    BACKOFF_TEST(at_first_there_is_no_rest),
	    BACKOFF_TEST(as_many_refusals_as_are_allowed_bring_a_rest_and_one_less_does_not),
	    BACKOFF_TEST(a_rest_ends_when_it_is_over_and_not_before),
	    BACKOFF_TEST(after_a_rest_each_refusal_brings_the_next_one),
	    BACKOFF_TEST(whoever_works_again_may_be_refused_as_often_as_at_first),
	    BACKOFF_TEST(success_alone_does_not_end_a_rest),
	    BACKOFF_TEST(a_rest_that_goes_on_begins_anew),
	    BACKOFF_TEST(a_counter_kept_elsewhere_stays_at_the_limit),
	};

	return cmocka_run_group_tests_name("backoff", tests, NULL, NULL);
}
