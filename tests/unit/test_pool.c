#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "party.h"
#include "seam.h"

TEST(the_log_tells_who_comes_and_goes_where_it_is_asked_to)
{
	struct guest *a, *b;

	party_configure("log_connections = true;");
	a = party_join("192.0.2.1");
	b = party_join("2001:db8::1");
	assert_string_equal(party_log(), "192.0.2.1:1 connected as sd A\n"
					 "[2001:db8::1]:2 connected as sd B\n");
	party_leave(a);
	party_settle();
	party_configure("log_connections = true; deny = \"2001:db8::1\";");
	assert_string_equal(party_log(),
	    "192.0.2.1:1 disconnected from sd A: closed by the client\n"
	    "[2001:db8::1]:2 removed: address not allowed\n"
	    "[2001:db8::1]:2 disconnected from sd B: address not allowed\n");
	/* That is when it begins to leave; the end of that is no news. */
	party_hears(b, NULL);
	party_expire();
	assert_false(is_open(b->sd));
	assert_string_equal(party_log(), "");
}

TEST(a_number_is_used_again_only_after_the_pass)
{
	struct guest *a = party_join(NULL);
	int sd = a->sd;

	party_leave(a);
	party_read(a);
	assert_false(party_has(a));
	assert_true(is_open(sd));
	assert_true(pool_reap(&party.chat.pool));
	assert_false(is_open(sd));
	assert_false(pool_reap(&party.chat.pool));
}

TEST(guests_are_counted_by_their_address)
{
	struct addr addr;
	struct guest *gone;

	party_join("192.0.2.1");
	gone = party_join("192.0.2.1");
	party_join("192.0.2.2");
	party_join("2001:db8::1");
	party_join(NULL);
	addr_parse(&addr, "192.0.2.1");
	assert_int_equal(pool_count_host(&party.chat.pool, &addr), 2);
	addr_parse(&addr, "::ffff:192.0.2.1");
	assert_int_equal(pool_count_host(&party.chat.pool, &addr), 2);
	addr_parse(&addr, "2001:db8::1");
	assert_int_equal(pool_count_host(&party.chat.pool, &addr), 1);
	addr_parse(&addr, "192.0.2.3");
	assert_int_equal(pool_count_host(&party.chat.pool, &addr), 0);
	party_leave(gone);
	party_settle();
	addr_parse(&addr, "192.0.2.1");
	assert_int_equal(pool_count_host(&party.chat.pool, &addr), 1);
	assert_int_equal(party.chat.pool.count, 4);
}

TEST(a_descriptor_beyond_1024_is_one_like_any_other)
{
	struct guest *a = party_join(NULL), *b = party_join(NULL);
	const struct addr addr = {.family = AF_UNIX};
	struct rlimit limit, more;
	int pair[2], high;

	getrlimit(RLIMIT_NOFILE, &limit);
	more = limit;
	more.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &more);
	make_pair(pair);
	high = fcntl(pair[1], F_DUPFD, 3000);
	close(pair[1]);
	if (high < 0) {
		note("not shown: this machine allows no descriptor of 3000\n");
	} else {
		assert_int_equal(pool_reserve(&party.chat.pool, high), 0);
		pool_add(&party.chat.pool, conn_new(high, &addr, NULL));
		put_text(pair[0], "from far above\n");
		party_settle();
		party_expect(b, "from far above\n");
		party_say(a, "hello up there\n");
		party_settle();
		assert_string_equal(get_text(pair[0], NULL), "hello up there\n");
	}
	close(pair[0]);
	setrlimit(RLIMIT_NOFILE, &limit);
}

TEST(room_for_a_descriptor_is_room_for_each_one_up_to_it)
{
	for (int sd = 0; sd < 700; sd++) {
		assert_int_equal(pool_reserve(&party.chat.pool, sd), 0);
		assert_true(party.chat.pool.size > sd);
		assert_true(party.chat.pool.members.words * NFDBITS > (size_t)sd);
		assert_true(party.chat.pool.class.readers.words * NFDBITS > (size_t)sd);
		assert_true(party.chat.pool.class.writers.words * NFDBITS > (size_t)sd);
		assert_null(party.chat.pool.conns[sd]);
	}
}

TEST(refused_room_for_a_descriptor_leaves_the_pool_as_it_was)
{
	struct guest *a = party_join(NULL), *b = party_join(NULL);
	int number = 200;

	/* Two tables and six sets grow. */
	for (size_t i = 0; i < 8; i++, number *= 3) {
		seam_reset();
		seam_fail(SEAM_MEMORY, i, 1, ENOMEM);
		assert_int_equal(pool_reserve(&party.chat.pool, number), -1);
		assert_int_equal(seam_calls(SEAM_MEMORY), i + 1);
		party_say(a, "hello\n");
		party_settle();
		party_expect(b, "hello\n");
		assert_int_equal(pool_reserve(&party.chat.pool, number), 0);
	}
	seam_reset();
	assert_int_equal(pool_reserve(&party.chat.pool, number), 0);
	assert_int_equal(seam_calls(SEAM_MEMORY), 8);
}

#define POOL_TEST(name) cmocka_unit_test_setup_teardown(name, party_setup, party_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    POOL_TEST(the_log_tells_who_comes_and_goes_where_it_is_asked_to),
	    POOL_TEST(a_number_is_used_again_only_after_the_pass),
	    POOL_TEST(guests_are_counted_by_their_address),
	    POOL_TEST(a_descriptor_beyond_1024_is_one_like_any_other),
	    POOL_TEST(room_for_a_descriptor_is_room_for_each_one_up_to_it),
	    POOL_TEST(refused_room_for_a_descriptor_leaves_the_pool_as_it_was),
	};

	return cmocka_run_group_tests_name("pool", tests, NULL, NULL);
}
