#include "unit.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/param.h>

#include "heir.h"
#include "seam.h"
#include "wire/ledger.h"

/* An index of 4096 entries, of which so many may wait: a quarter is kept for what chatd says. */
#define ORDER 12
#define ROOM  (4096 - 1024 - 64)

static struct guest *a, *b, *c;

/* a says "0\n", "1\n"... of which each is an entry, until the index takes no more. */
static unsigned
fill(unsigned from)
{
	char text[16];
	unsigned count = from;

	for (;; count++) {
		snprintf(text, sizeof(text), "%u\n", count);
		party_say(a, text);
		party_read(a);
		if (conn_unread(party_conn(a)) > 0)
			return count;
		assert_true(count - from <= ROOM);
		chat_run_due(&party.chat);
	}
}

static void
expect_numbers(const struct guest *guest, unsigned from, unsigned end)
{
	const char *text = party_hears(guest, NULL);
	char want[16];

	for (unsigned i = from; i < end; i++) {
		size_t len = (size_t)snprintf(want, sizeof(want), "%u\n", i);

		if (strncmp(text, want, len) != 0)
			fail_msg("%.20s instead of %u", text, i);
		text += len;
	}
	assert_string_equal(text, "");
}

static int
setup(void **state)
{
	static struct heir_how how = {.index_order = ORDER};

	*state = &how;
	heir_setup(state);
	a = party_join(NULL);
	b = party_join(NULL);
	c = party_join(NULL);
	return 0;
}

/* Time for a rest. */
static void
wait_a_rest(void)
{
	party.now += BACKOFF_REST;
	party_expire();
}

TEST(a_full_index_holds_the_pool_and_nothing_is_lost)
{
	unsigned said = fill(0);

	assert_int_equal(said, ROOM + 1);
	assert_true(party_holds());
	/* Whatever time passes, nothing more is received while it is full. */
	for (int i = 0; i < 100; i++) {
		wait_a_rest();
		party_receive(a);
	}
	assert_true(conn_unread(party_conn(a)) > 0);
	assert_int_equal(journal->next->head - journal->tail, ROOM + 1);
	/* Once all was taken, it goes on. */
	for (int i = 0; i < 10 && conn_unread(party_conn(a)) > 0; i++) {
		party_settle();
		wait_a_rest();
	}
	party_settle();
	expect_numbers(b, 0, said + 1);
	expect_numbers(c, 0, said + 1);
}

TEST(a_full_index_lives_through_a_kill)
{
	unsigned said = fill(0);

	heir_kill();
	heir_succeed();
	assert_int_equal(heir_taken, 3);
	for (int i = 0; i < 10 && conn_unread(party_conn(a)) > 0; i++) {
		party_settle();
		wait_a_rest();
	}
	party_settle();
	expect_numbers(b, 0, said + 1);
	expect_numbers(c, 0, said + 1);
}

TEST(who_takes_nothing_of_a_full_index_holds_the_pool_and_is_removed_at_last)
{
	unsigned said;

	party_configure("limits = { stall = 10; };");
	said = fill(0);
	party_write(c);
	expect_numbers(c, 0, said);
	wait_a_rest();
	party_deliver();
	assert_true(party_holds());
	assert_true(party_conn(b)->above_high_water);
	assert_false(party_conn(c)->above_high_water);
	seam_fail(SEAM_SEND, 0, SEAM_ALWAYS, EAGAIN);
	party.now += 10 * CLOCK_SECOND;
	party_expire();
	assert_false(party_has(b));
	seam_reset();
	wait_a_rest();
	party_settle();
	expect_numbers(c, said, said + 1);
}

TEST(what_chatd_says_itself_never_overwrites_what_waits)
{
	unsigned said = fill(0);

	for (unsigned i = 0; i < 2 * 4096; i++)
		broadcast_tell(&party.chat.broadcast, party_conn(c), "chatd: hm\n", 10);
	assert_int_equal(journal->next->head - journal->tail, 4096 - 64);
	heir_kill();
	heir_succeed();
	assert_int_equal(heir_taken, 3);
	party_settle();
	wait_a_rest();
	party_settle();
	expect_numbers(b, 0, said + 1);
}

/* Says lines of a megabyte, one after the other, and takes note of the letters. */
static char said[512];
static unsigned
say_megabytes(void)
{
	static char line[CONFIG_MAX_LINE + 1];
	unsigned count = 0;
	size_t sent;

	for (;; count++) {
		said[count] = (char)('a' + count % 26);
		memset(line, said[count], CONFIG_MAX_LINE - 1);
		line[CONFIG_MAX_LINE - 1] = '\n';
		for (sent = 0; sent < CONFIG_MAX_LINE; sent += 65536) {
			char piece[65537] = "";

			memcpy(piece, line + sent, 65536);
			party_say(a, piece);
			party_read(a);
			chat_run_due(&party.chat);
			assert_true(party_reading());
			if (conn_unread(party_conn(a)) > 0)
				return count;
		}
	}
}

/* b takes what waits, all of it, with kills now and then. Returns how many lines. */
static unsigned
take_megabytes(void)
{
	unsigned lines = 0;
	size_t len = 0;

	for (int i = 0; party_pass() || i < 10; i++) {
		const char *text = party_hears(b, NULL);

		if (*text == '\0')
			wait_a_rest();
		else
			i = 0;
		for (; *text != '\0'; text++, len++)
			if (len == CONFIG_MAX_LINE - 1) {
				assert_int_equal(*text, '\n');
				lines++;
				len = (size_t)-1;
			} else if (*text != said[lines]) {
				fail_msg("line %u at %zu: %c", lines, len, *text);
			}
	}
	return lines;
}

static int
setup_with(void **state, const char *settings)
{
	struct heir_how how = {.settings = settings};

	*state = &how;
	heir_setup(state);
	a = party_join(NULL);
	b = party_join(NULL);
	return 0;
}

static int
setup_large(void **state)
{
	return setup_with(state, "limits = { queue = \"100M\"; line = 1048576; };");
}

static int
setup_small(void **state)
{
	return setup_with(state, "limits = { clients = 10; line = 1048576; };");
}

TEST(a_hundred_megabytes_in_lines_of_one_wait_and_live_through_a_kill)
{
	unsigned count = say_megabytes();

	/* As much as that is, or as addresses allow, and no refusal of memory. */
	assert_in_range(count, sizeof(void *) > 4 ? 99 : 63, sizeof(void *) > 4 ? 102 : 66);
	assert_true(party_holds());
	heir_kill();
	heir_succeed();
	assert_int_equal(heir_taken, 2);
	/* The piece that a has sent is completed by nobody. */
	assert_int_equal(take_megabytes(), count);
}

TEST(what_a_reload_raises_beyond_the_journal_counts_from_a_restart_on)
{
	uint64_t room = journal_queue();

	party_configure("limits = { clients = 10; line = 1048576; queue = 1073741824; };");
	assert_true(journal_queue() == room && room < 1073741824);
	assert_in_range(say_megabytes(), room / 1048576 - 1, room / 1048576 + 1);
	assert_true(party_holds());
	heir_change();
	if (sizeof(void *) > 4)
		assert_in_range(journal_queue(), 1073741824, UINT64_MAX);
	assert_false(party_holds());
}

#define LARGE_TEST(name) cmocka_unit_test_setup_teardown(name, setup_large, heir_teardown)
#define SMALL_TEST(name) cmocka_unit_test_setup_teardown(name, setup_small, heir_teardown)
#define INDEX_TEST(name) cmocka_unit_test_setup_teardown(name, setup, heir_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    INDEX_TEST(a_full_index_holds_the_pool_and_nothing_is_lost),
	    INDEX_TEST(a_full_index_lives_through_a_kill),
	    INDEX_TEST(who_takes_nothing_of_a_full_index_holds_the_pool_and_is_removed_at_last),
	    INDEX_TEST(what_chatd_says_itself_never_overwrites_what_waits),
	    LARGE_TEST(a_hundred_megabytes_in_lines_of_one_wait_and_live_through_a_kill),
	    SMALL_TEST(what_a_reload_raises_beyond_the_journal_counts_from_a_restart_on),
	};

	return cmocka_run_group_tests_name("index", tests, NULL, NULL);
}
