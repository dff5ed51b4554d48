#include "unit.h"

#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "faults.h"
#include "host/capacity.h"
#include "seam.h"

static struct config *config;

static int
setup(void **state)
{
	const struct journal_need need = {.line = 100, .queue = 1024, .clients = 1};
	char error[JOURNAL_ERROR];

	(void)state;
	seam_reset();
	unsetenv("JOURNAL_STREAM");
	catch_start(STDERR_FILENO);
	log_open();
	assert_int_equal(journal_create(&need, 8, error), 0);
	return 0;
}

static int
teardown(void **state)
{
	config_free(config);
	journal_close();
	log_close();
	catch_end(STDERR_FILENO);
	return seam_teardown(state);
}

TEST(more_than_any_journal_has_room_for_is_told)
{
	config = config_of("limits = { queue = 67108865; };");
	capacity_check(config, 67108864);
	assert_string_equal(caught(STDERR_FILENO),
	    "limits.queue is 67108865, but on this machine a journal has room for 67108864: that "
	    "counts\n");
}

TEST(as_much_as_a_journal_has_room_for_is_not_worth_a_line)
{
	config = config_of("limits = { queue = 67108864; };");
	capacity_check(config, 67108864);
	assert_string_equal(caught(STDERR_FILENO), "");
}

/* The area of a small one has some 32 or 256 MiB. */
TEST(after_a_reload_it_is_told_as_well)
{
	const char *said;

	config = config_of("limits = { queue = 1073741824; };");
	capacity_reconfigure(config);
	said = caught(STDERR_FILENO);
	assert_non_null(strstr(said, "the journal has no room for the new limits"));
	if (journal_queue_most() < 1073741824)
		assert_non_null(strstr(said, "limits.queue is 1073741824, but "));
	else
		assert_null(strstr(said, "limits.queue"));
}

int
main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
	    CASE(more_than_any_journal_has_room_for_is_told),
	    CASE(as_much_as_a_journal_has_room_for_is_not_worth_a_line),
	    CASE(after_a_reload_it_is_told_as_well),
	};

	return cmocka_run_group_tests_name("capacity", tests, NULL, NULL);
}
