#include "unit.h"

#include <errno.h>
#include <string.h>

#include "faults.h"
#include "party.h"
#include "seam.h"

TEST(a_dismissed_guest_gets_what_waits_for_it_before_the_reason)
{
	struct guest *a = party_join(NULL), *b = party_join(NULL);

	party_configure("limits = { line = 10; };");
	party_say(b, "for a\n");
	party_read(b);
	party_say(a, party_letters(10));
	party_read(a);
	pool_reap(&party.chat.pool);
	party_expect_last(a, "for a\nchatd: line too long, at most 10 bytes\n");
}

TEST(a_dismissed_guest_hears_what_was_said_before_in_its_pass)
{
	struct guest *a = party_join(NULL), *b = party_join(NULL), *c = party_join(NULL);

	party_configure("limits = { line = 10; };");
	party_say(a, "from a\n");
	party_say(b, "from b\n");
	party_say(b, party_letters(10));
	party_say(c, "from c\n");
	party_pass();
	party_expect_last(b, "from a\nchatd: line too long, at most 10 bytes\n");
	party_settle();
	party_expect(a, "from b\nfrom c\n");
	party_expect(c, "from a\nfrom b\n");
}

TEST(a_dismissal_for_which_memory_is_refused_is_one_without_words)
{
	struct guest *a = party_join(NULL), *b = party_join(NULL);
	size_t heard = 0;

	party_configure("limits = { line = 60000; queue = 10000000; };");
	for (int i = 0; i < 4; i++)
		party_speak(a, 60000);
	/* b holds the buf, and there is no other one. */
	seam_fail(SEAM_MEMORY, 0, SEAM_ALWAYS, ENOMEM);
	party_speak(a, ARENA_BUF - 4 * 60000 - 20);
	seam_reset();
	party_configure("limits = { line = 10; };");
	party_say(a, party_letters(10));
	seam_fail(SEAM_MEMORY, 0, SEAM_ALWAYS, ENOMEM);
	party_read(a);
	seam_reset();
	assert_false(party_has(a));
	pool_reap(&party.chat.pool);
	party_expect_last(a, "");
	while (heard < ARENA_BUF - 20) {
		party_settle();
		heard += strlen(party_hears(b, NULL));
	}
	assert_int_equal(heard, ARENA_BUF - 20);
}

TEST(new_rules_remove_those_whom_they_shut_out_and_tell_them)
{
	struct guest *a = party_join("192.0.2.1"), *b = party_join("198.51.100.1");
	struct guest *c = party_join(NULL);

	party_configure("allow = \"192.0.2.0/24\";");
	assert_true(party_has(a) && party_has(c));
	pool_reap(&party.chat.pool);
	party_expect_last(b, "chatd: your address is not allowed\n");
	assert_string_equal(party_log(), "198.51.100.1:2 removed: address not allowed\n");
	assert_string_equal(party_trace(), "removing connection with sd B \n");
	party_say(a, "still here\n");
	party_settle();
	party_expect(c, "still here\n");
}

/* Its queue is full and cannot grow: then it goes without a word. */
TEST(without_memory_one_that_is_shut_out_is_not_told)
{
	struct guest *a = party_join("192.0.2.1"), *b = party_join("192.0.2.2");
	struct guest *c = party_join("192.0.2.3");
	struct config *after = config_of("deny = \"192.0.2.2\";"), *before = party.config;

	seam_fail(SEAM_SEND, 0, SEAM_ALWAYS, EAGAIN);
	for (int i = 0; i < 3; i++) {
		party_say(a, "a\n");
		party_say(b, "b\n");
		if (i == 2) {
			party_say(c, "c\n");
			seam_reset();
			seam_fail(SEAM_MEMORY, 0, SEAM_ALWAYS, ENOMEM);
		}
		for (struct guest *g = a; g <= c; g++)
			party_receive(g);
		party_deliver();
	}
	assert_false(party_reading());
	party.config = after;
	seam_reset();
	seam_fail(SEAM_MEMORY, 0, 1, ENOMEM);
	chat_reconfigure(&party.chat, after);
	seam_reset();
	config_free(before);
	assert_false(party_has(b));
	pool_reap(&party.chat.pool);
	party_settle();
}

TEST(the_end_of_the_pool_removes_everybody_in_ascending_order)
{
	struct guest *a, *b;

	party_configure("log_connections = true;");
	a = party_join("192.0.2.1");
	b = party_join("192.0.2.2");
	party_say(a, "unheard\n");
	party_read(a);
	party_trace();
	party_log();
	party_end("the server ends");
	assert_string_equal(party_trace(), "removing connection with sd A \n"
					   "removing connection with sd B \n");
	assert_string_equal(party_log(), "192.0.2.1:1 disconnected from sd A: the server ends\n"
					 "192.0.2.2:2 disconnected from sd B: the server ends\n");
	assert_false(is_open(a->sd) || is_open(b->sd));
}

#define LEAVING_TEST(name) cmocka_unit_test_setup_teardown(name, party_setup, party_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    LEAVING_TEST(a_dismissed_guest_gets_what_waits_for_it_before_the_reason),
	    LEAVING_TEST(a_dismissed_guest_hears_what_was_said_before_in_its_pass),
	    LEAVING_TEST(a_dismissal_for_which_memory_is_refused_is_one_without_words),
	    LEAVING_TEST(new_rules_remove_those_whom_they_shut_out_and_tell_them),
	    LEAVING_TEST(without_memory_one_that_is_shut_out_is_not_told),
	    LEAVING_TEST(the_end_of_the_pool_removes_everybody_in_ascending_order),
	};

	return cmocka_run_group_tests_name("leaving", tests, NULL, NULL);
}
