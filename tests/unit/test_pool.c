#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "faults.h"
#include "party.h"
#include "seam.h"

static void
expect_hears(const struct guest *guest, const char *want)
{
	assert_string_equal(party_hears(guest, NULL), want);
}

/* It heard this as its last words, and was closed. */
static void
expect_last(const struct guest *guest, const char *want)
{
	bool closed;

	assert_string_equal(party_hears(guest, &closed), want);
	assert_true(closed);
	assert_false(party_has(guest));
}

/* Who hears what */

TEST(a_line_reaches_everybody_but_its_origin)
{
	struct guest *a = party_join(NULL), *b = party_join(NULL), *c = party_join(NULL);

	party_say(a, "hello\r\n");
	party_settle();
	expect_hears(a, "");
	expect_hears(b, "hello\r\n");
	expect_hears(c, "hello\r\n");
	assert_int_equal(party.pool.lines, 1);
}

TEST(who_comes_later_hears_what_is_said_later)
{
	struct guest *a = party_join(NULL), *b = party_join(NULL), *c;

	party_say(a, "early\n");
	party_settle();
	c = party_join(NULL);
	party_say(a, "late\n");
	party_settle();
	expect_hears(b, "early\nlate\n");
	expect_hears(c, "late\n");
}

TEST(a_guest_alone_speaks_to_nobody)
{
	struct guest *a = party_join(NULL);

	party_say(a, "anybody?\n");
	party_settle();
	expect_hears(a, "");
	assert_int_equal(party.pool.lines, 1);
	assert_int_equal(party.pool.writers.last, -1);
}

TEST(lines_of_one_pass_are_in_ascending_order_of_descriptors_for_everybody)
{
	struct guest *a = party_join(NULL), *b = party_join(NULL), *c = party_join(NULL);

	party_say(c, "from c\n");
	party_say(a, "from a\n");
	party_say(b, "from b\n");
	party_settle();
	expect_hears(a, "from b\nfrom c\n");
	expect_hears(b, "from a\nfrom c\n");
	expect_hears(c, "from a\nfrom b\n");
}

TEST(torn_lines_of_different_guests_never_mix)
{
	struct guest *a = party_join(NULL), *b = party_join(NULL), *c = party_join(NULL);

	party_say(a, "this is ");
	party_say(b, "and that is ");
	party_settle();
	expect_hears(c, "");
	party_say(b, "b\n");
	party_say(a, "a\n");
	party_settle();
	expect_hears(c, "this is a\nand that is b\n");
}

TEST(one_recv_of_one_guest_is_made_in_a_pass)
{
	struct guest *a = party_join(NULL), *b = party_join(NULL);

	party_say(a, "x\n");
	party_say(b, "y\n");
	seam_reset();
	party_pass();
	assert_int_equal(seam_calls(SEAM_RECV), 2);
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
	assert_int_equal(party.pool.lines, LINES);
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
			party.now += POOL_REST;
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
	expect_hears(b, "\x1b[2J\xff\r\n");
	party_configure("sanitize = true;");
	party_say(a, "\x1b[2J\xff\r\n");
	party_settle();
	expect_hears(b, "?[2J?\r\n");
	/* Also where a character is torn. */
	party_say(a, "gr\xc3");
	party_settle();
	party_say(a, "\xbcn\n");
	party_settle();
	expect_hears(b, "gr\xc3\xbcn\n");
}

/* The trace and the log */

TEST(the_trace_tells_each_read_in_ascending_order)
{
	struct guest *a = party_join(NULL), *b = party_join(NULL);

	party_say(b, "12345\n");
	party_say(a, "1\n");
	party_settle();
	assert_string_equal(party_trace(), "Descriptor A is readable\n"
					   "2 bytes received from sd A\n"
					   "Descriptor B is readable\n"
					   "6 bytes received from sd B\n");
	assert_string_equal(party_log(), "");
}

TEST(the_trace_tells_an_end_and_the_removal)
{
	struct guest *a = party_join(NULL);

	party_leave(a);
	party_settle();
	assert_string_equal(party_trace(), "Descriptor A is readable\n"
					   "Connection closed for sd A\n"
					   "removing connection with sd A \n");
}

TEST(a_read_that_brings_nothing_is_told_as_readable_only)
{
	struct guest *a = party_join(NULL);

	party_read(a);
	assert_string_equal(party_trace(), "Descriptor A is readable\n");
	assert_true(party_has(a));
}

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
	seam_fail(SEAM_RECV, 0, 1, ECONNRESET);
	party_read(b);
	assert_string_equal(party_log(),
	    "192.0.2.1:1 disconnected from sd A: closed by the client\n"
	    "[2001:db8::1]:2 disconnected from sd B: Connection reset by peer\n");
}

/* Who goes */

TEST(an_unfinished_line_is_completed_at_the_end)
{
	struct guest *a = party_join(NULL), *b = party_join(NULL);

	party_say(a, "whole\nunfinished");
	party_leave(a);
	party_settle();
	expect_hears(b, "whole\nunfinished\n");
	assert_false(party_has(a));
	assert_int_equal(party.pool.count, 1);
}

TEST(a_guest_that_only_stops_speaking_gets_what_waits_and_goes)
{
	struct guest *a = party_join(NULL), *b = party_join(NULL);

	party_say(a, "for b\n");
	party_read(a);
	shutdown(b->fd, SHUT_WR);
	party_read(b);
	expect_hears(b, "for b\n");
	pool_reap(&party.pool);
	expect_last(b, "");
}

TEST(a_guest_that_fails_goes_and_the_others_go_on)
{
	struct guest *a = party_join(NULL), *b = party_join(NULL), *c = party_join(NULL);

	seam_fail(SEAM_RECV, 0, 1, ECONNRESET);
	party_read(a);
	assert_false(party_has(a));
	assert_string_equal(
	    party_trace(), "Descriptor A is readable\nremoving connection with sd A \n");
	party_say(b, "still here\n");
	party_settle();
	expect_hears(c, "still here\n");
	expect_hears(b, "");
}

TEST(a_send_that_fails_for_good_removes_that_guest_only)
{
	struct guest *a = party_join(NULL), *b = party_join(NULL), *c = party_join(NULL);

	party_say(a, "hello\n");
	party_read(a);
	seam_fail(SEAM_SEND, 0, 1, EHOSTUNREACH);
	party_write(b);
	assert_false(party_has(b));
	party_settle();
	expect_hears(c, "hello\n");
}

TEST(the_last_words_of_one_that_has_gone_are_heard_though_nothing_reaches_it)
{
	struct guest *a = party_join(NULL), *b = party_join(NULL), *c = party_join(NULL);

	party_say(a, "for those who hear\n");
	party_read(a);
	party_say(b, "last words\n");
	party_leave(b);
	/* It is found out by the write, before the read. */
	party_write(b);
	assert_true(party_has(b));
	party_say(a, "more\n");
	party_settle();
	expect_hears(c, "for those who hear\nmore\nlast words\n");
	expect_hears(a, "last words\n");
	assert_false(party_has(b));
}

TEST(a_number_is_used_again_only_after_the_pass)
{
	struct guest *a = party_join(NULL);
	int sd = a->sd;

	party_leave(a);
	party_read(a);
	assert_false(party_has(a));
	assert_true(is_open(sd));
	assert_true(pool_reap(&party.pool));
	assert_false(is_open(sd));
	assert_false(pool_reap(&party.pool));
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
	pool_free(&party.pool, "the server ends");
	assert_string_equal(party_trace(), "removing connection with sd A \n"
					   "removing connection with sd B \n");
	assert_string_equal(party_log(), "192.0.2.1:1 disconnected from sd A: the server ends\n"
					 "192.0.2.2:2 disconnected from sd B: the server ends\n");
	assert_false(is_open(a->sd) || is_open(b->sd));
	pool_init(&party.pool, party.config);
}

/* Rules */

/* len bytes without a line end. */
static const char *
letters(size_t len)
{
	static char text[20000];

	memset(text, 'x', len);
	text[len] = '\0';
	return text;
}

TEST(a_line_of_the_full_length_is_heard_and_one_byte_more_removes_the_speaker)
{
	struct guest *a = party_join("192.0.2.1"), *b = party_join("192.0.2.2");

	party_configure("limits = { line = 100; };");
	party_say(a, letters(99));
	party_say(a, "\n");
	party_settle();
	assert_int_equal(strlen(party_hears(b, NULL)), 100);
	party_say(a, "before\n");
	party_say(a, letters(100));
	party_settle();
	expect_hears(b, "before\n");
	expect_last(a, "chatd: line too long, at most 100 bytes\n");
	assert_string_equal(party_log(), "192.0.2.1:1 removed: line too long, at most 100 bytes\n");
	assert_non_null(strstr(party_trace(), "removing connection with sd A \n"));
}

TEST(a_dismissed_guest_gets_what_waits_for_it_before_the_reason)
{
	struct guest *a = party_join(NULL), *b = party_join(NULL);

	party_configure("limits = { line = 10; };");
	party_say(b, "for a\n");
	party_read(b);
	party_say(a, letters(10));
	party_read(a);
	pool_reap(&party.pool);
	expect_last(a, "for a\nchatd: line too long, at most 10 bytes\n");
}

TEST(a_dismissed_guest_hears_what_was_said_before_in_its_pass)
{
	struct guest *a = party_join(NULL), *b = party_join(NULL), *c = party_join(NULL);

	party_configure("limits = { line = 10; };");
	party_say(a, "from a\n");
	party_say(b, "from b\n");
	party_say(b, letters(10));
	party_say(c, "from c\n");
	party_pass();
	expect_last(b, "from a\nchatd: line too long, at most 10 bytes\n");
	party_settle();
	expect_hears(a, "from b\nfrom c\n");
	expect_hears(c, "from a\nfrom b\n");
}

TEST(a_dismissal_for_which_memory_is_refused_is_one_without_words)
{
	struct guest *a = party_join(NULL), *b = party_join(NULL);

	party_configure("limits = { line = 10; };");
	party_say(a, "ok\n");
	party_settle();
	expect_hears(b, "ok\n");
	party_say(a, letters(10));
	/* The piece of a line has its memory; only the message has none. */
	seam_fail(SEAM_MEMORY, 0, SEAM_ALWAYS, ENOMEM);
	party_read(a);
	seam_reset();
	pool_reap(&party.pool);
	expect_last(a, "");
}

TEST(a_lowered_line_limit_removes_whoever_is_past_it_with_the_next_bytes)
{
	struct guest *a = party_join(NULL), *b = party_join(NULL);

	party_say(a, letters(500));
	party_settle();
	party_configure("limits = { line = 100; };");
	party_settle();
	assert_true(party_has(a));
	party_say(a, "\n");
	party_settle();
	expect_last(a, "chatd: line too long, at most 100 bytes\n");
	expect_hears(b, "");
}

TEST(a_raised_line_limit_counts_for_a_line_that_has_begun)
{
	struct guest *a = party_join(NULL), *b = party_join(NULL);

	party_configure("limits = { line = 100; };");
	party_say(a, letters(99));
	party_settle();
	party_configure("limits = { line = 10000; };");
	party_say(a, letters(5000));
	party_settle();
	party_say(a, letters(4900));
	party_say(a, "\n");
	party_settle();
	assert_int_equal(strlen(party_hears(b, NULL)), 10000);
}

TEST(new_rules_remove_those_whom_they_shut_out_and_tell_them)
{
	struct guest *a = party_join("192.0.2.1"), *b = party_join("198.51.100.1");
	struct guest *c = party_join(NULL);

	party_configure("allow = \"192.0.2.0/24\";");
	assert_true(party_has(a) && party_has(c));
	pool_reap(&party.pool);
	expect_last(b, "chatd: your address is not allowed\n");
	assert_string_equal(party_log(), "198.51.100.1:2 removed: address not allowed\n");
	assert_string_equal(party_trace(), "removing connection with sd B \n");
	party_say(a, "still here\n");
	party_settle();
	expect_hears(c, "still here\n");
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
	assert_int_equal(pool_count_host(&party.pool, &addr), 2);
	addr_parse(&addr, "::ffff:192.0.2.1");
	assert_int_equal(pool_count_host(&party.pool, &addr), 2);
	addr_parse(&addr, "2001:db8::1");
	assert_int_equal(pool_count_host(&party.pool, &addr), 1);
	addr_parse(&addr, "192.0.2.3");
	assert_int_equal(pool_count_host(&party.pool, &addr), 0);
	party_leave(gone);
	party_settle();
	addr_parse(&addr, "192.0.2.1");
	assert_int_equal(pool_count_host(&party.pool, &addr), 1);
	assert_int_equal(party.pool.count, 4);
}

TEST(readers_share_what_one_pass_may_bring)
{
	party_configure("limits = { queue = \"1M\"; };");
	assert_int_equal(pool_room(&party.pool, 0), 65536);
	assert_int_equal(pool_room(&party.pool, 1), 65536);
	assert_int_equal(pool_room(&party.pool, 16), 65536);
	assert_int_equal(pool_room(&party.pool, 32), 32768);
	assert_int_equal(pool_room(&party.pool, 2048), 512);
	assert_int_equal(pool_room(&party.pool, 1000000), 512);
	party_configure("limits = { queue = 1024; };");
	assert_int_equal(pool_room(&party.pool, 1), 1024);
	assert_int_equal(pool_room(&party.pool, 2), 512);
}

/* Room and memory */

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
		assert_int_equal(pool_reserve(&party.pool, high), 0);
		assert_int_equal(pool_add(&party.pool, high, &addr, party.now), 0);
		put_text(pair[0], "from far above\n");
		pool_read(&party.pool, high, 512, party.now);
		pool_deliver(&party.pool, party.now);
		party_settle();
		expect_hears(b, "from far above\n");
		party_say(a, "hello up there\n");
		party_settle();
		pool_write(&party.pool, high, party.now);
		assert_string_equal(get_text(pair[0], NULL), "hello up there\n");
	}
	close(pair[0]);
	setrlimit(RLIMIT_NOFILE, &limit);
}

TEST(room_for_a_descriptor_is_room_for_each_one_up_to_it)
{
	for (int sd = 0; sd < 700; sd++) {
		assert_int_equal(pool_reserve(&party.pool, sd), 0);
		assert_true(party.pool.size > sd);
		assert_true(party.pool.members.words * NFDBITS > (size_t)sd);
		assert_true(party.pool.writers.words * NFDBITS > (size_t)sd);
		assert_null(party.pool.conns[sd]);
	}
}

TEST(refused_room_for_a_descriptor_leaves_the_pool_as_it_was)
{
	static const int numbers[] = {5000, 20000, 80000};
	struct guest *a = party_join(NULL), *b = party_join(NULL);

	/* One table and two sets grow. */
	for (size_t i = 0; i < LENGTH(numbers); i++) {
		seam_reset();
		seam_fail(SEAM_MEMORY, i, 1, ENOMEM);
		assert_int_equal(pool_reserve(&party.pool, numbers[i]), -1);
		assert_int_equal(seam_calls(SEAM_MEMORY), i + 1);
		party_say(a, "hello\n");
		party_settle();
		expect_hears(b, "hello\n");
		assert_int_equal(pool_reserve(&party.pool, numbers[i]), 0);
	}
}

TEST(a_guest_for_whom_memory_is_refused_is_not_taken_in)
{
	const struct addr addr = {.family = AF_UNIX};
	int pair[2];

	make_pair(pair);
	assert_int_equal(pool_reserve(&party.pool, pair[1]), 0);
	seam_fail(SEAM_MEMORY, 0, 1, ENOMEM);
	assert_int_equal(pool_add(&party.pool, pair[1], &addr, party.now), -1);
	assert_int_equal(party.pool.count, 0);
	assert_int_equal(party.pool.members.last, -1);
	assert_true(is_open(pair[1]));
	close(pair[0]);
	close(pair[1]);
}

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
		assert_int_equal(party.pool.arena.filling->refs, 0);
	}
	assert_int_equal(seam_calls(SEAM_MEMORY), 0);
}

TEST(without_memory_nobody_is_read_and_nothing_is_lost)
{
	struct guest *a = party_join(NULL), *b = party_join(NULL);

	party_say(a, "first\n");
	seam_fail(SEAM_MEMORY, 0, SEAM_ALWAYS, ENOMEM);
	party_pass();
	assert_int_equal(seam_calls(SEAM_RECV), 0);
	assert_false(pool_reading(&party.pool));
	assert_string_equal(party_trace(), "");
	/* It is tried again after a rest, not at once. */
	assert_int_equal(expiry_run(&party.pool, party.now), party.now + POOL_REST);
	assert_int_equal(expiry_run(&party.pool, party.now + POOL_REST - 1), party.now + POOL_REST);
	assert_false(pool_reading(&party.pool));
	party.now += POOL_REST;
	expiry_run(&party.pool, party.now);
	assert_true(pool_reading(&party.pool));
	party_pass();
	assert_false(pool_reading(&party.pool));
	seam_reset();
	party.now += POOL_REST;
	expiry_run(&party.pool, party.now);
	party_settle();
	expect_hears(b, "first\n");
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
			party.now += POOL_REST;
			party_pass();
		}
		calls = seam_calls(SEAM_MEMORY);
		seam_reset();
		party.now += POOL_REST;
		expiry_run(&party.pool, party.now);
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
		pool_read(&party.pool, a->sd, 512, party.now);
		pool_read(&party.pool, b->sd, 512, party.now);
		pool_deliver(&party.pool, party.now);
		/* Only the queue of b, who spoke last, has to grow. */
		party_write(a);
		seam_reset();
		if (!pool_reading(&party.pool)) {
			party.now += POOL_REST;
			expiry_run(&party.pool, party.now);
		}
	}
	party_settle();
	assert_int_equal(strlen(party_hears(a, NULL)), 40);
	assert_int_equal(strlen(party_hears(b, NULL)), 42);
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
			pool_read(&party.pool, g->sd, 512, party.now);
		pool_deliver(&party.pool, party.now);
	}
	assert_false(pool_reading(&party.pool));
	party.config = after;
	seam_reset();
	seam_fail(SEAM_MEMORY, 0, 1, ENOMEM);
	pool_reconfigure(&party.pool, after, party.now);
	seam_reset();
	config_free(before);
	assert_false(party_has(b));
	pool_reap(&party.pool);
	party_settle();
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
		party_say(a, party_line('a', 65500));
		party_say(b, "b\n");
		if (i == 2) {
			party_say(c, "c\n");
			party_say(d, "d\n");
		}
		for (int k = 0; k < 4; k++) {
			if (i == 2 && k == 3)
				seam_fail(SEAM_MEMORY, 1, SEAM_ALWAYS, ENOMEM);
			pool_read(&party.pool, all[k]->sd, k == 3 ? 70000 : 65536, party.now);
		}
		pool_deliver(&party.pool, party.now);
	}
	assert_false(pool_reading(&party.pool));
	seam_reset();
	party.now += POOL_REST;
	expiry_run(&party.pool, party.now);
	party_settle();
	assert_non_null(strstr(party_hears(c, NULL), "b\nd\n"));
}

#define POOL_TEST(name) cmocka_unit_test_setup_teardown(name, party_setup, party_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    POOL_TEST(a_line_reaches_everybody_but_its_origin),
	    POOL_TEST(who_comes_later_hears_what_is_said_later),
	    POOL_TEST(a_guest_alone_speaks_to_nobody),
	    POOL_TEST(lines_of_one_pass_are_in_ascending_order_of_descriptors_for_everybody),
	    POOL_TEST(torn_lines_of_different_guests_never_mix),
	    POOL_TEST(one_recv_of_one_guest_is_made_in_a_pass),
	    POOL_TEST(a_pass_of_many_speakers_leaves_in_one_send_for_each_guest),
	    POOL_TEST(random_talk_reaches_everybody_whole_and_in_one_order),
	    POOL_TEST(a_pass_larger_than_a_buf_reaches_everybody_whole),
	    POOL_TEST(bytes_are_forwarded_unchanged_unless_they_are_to_be_sanitized),
	    POOL_TEST(the_trace_tells_each_read_in_ascending_order),
	    POOL_TEST(the_trace_tells_an_end_and_the_removal),
	    POOL_TEST(a_read_that_brings_nothing_is_told_as_readable_only),
	    POOL_TEST(the_log_tells_who_comes_and_goes_where_it_is_asked_to),
	    POOL_TEST(an_unfinished_line_is_completed_at_the_end),
	    POOL_TEST(a_guest_that_only_stops_speaking_gets_what_waits_and_goes),
	    POOL_TEST(a_guest_that_fails_goes_and_the_others_go_on),
	    POOL_TEST(a_send_that_fails_for_good_removes_that_guest_only),
	    POOL_TEST(the_last_words_of_one_that_has_gone_are_heard_though_nothing_reaches_it),
	    POOL_TEST(a_number_is_used_again_only_after_the_pass),
	    POOL_TEST(the_end_of_the_pool_removes_everybody_in_ascending_order),
	    POOL_TEST(a_line_of_the_full_length_is_heard_and_one_byte_more_removes_the_speaker),
	    POOL_TEST(a_dismissed_guest_gets_what_waits_for_it_before_the_reason),
	    POOL_TEST(a_dismissed_guest_hears_what_was_said_before_in_its_pass),
	    POOL_TEST(a_dismissal_for_which_memory_is_refused_is_one_without_words),
	    POOL_TEST(a_lowered_line_limit_removes_whoever_is_past_it_with_the_next_bytes),
	    POOL_TEST(a_raised_line_limit_counts_for_a_line_that_has_begun),
	    POOL_TEST(new_rules_remove_those_whom_they_shut_out_and_tell_them),
	    POOL_TEST(guests_are_counted_by_their_address),
	    POOL_TEST(readers_share_what_one_pass_may_bring),
	    POOL_TEST(a_descriptor_beyond_1024_is_one_like_any_other),
	    POOL_TEST(room_for_a_descriptor_is_room_for_each_one_up_to_it),
	    POOL_TEST(refused_room_for_a_descriptor_leaves_the_pool_as_it_was),
	    POOL_TEST(a_guest_for_whom_memory_is_refused_is_not_taken_in),
	    POOL_TEST(steady_talk_asks_for_no_memory),
	    POOL_TEST(without_memory_nobody_is_read_and_nothing_is_lost),
	    POOL_TEST(whichever_allocation_is_refused_every_line_arrives),
	    POOL_TEST(a_refused_place_is_not_forgotten_when_the_guest_spoke_last),
	    POOL_TEST(without_memory_one_that_is_shut_out_is_not_told),
	    POOL_TEST(without_memory_a_full_buf_ends_the_reading_of_its_pass),
	};

	return cmocka_run_group_tests_name("pool", tests, NULL, NULL);
}
