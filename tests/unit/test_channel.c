#include "unit.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/log.h"
#include "cluster/channel.h"
#include "faults.h"
#include "seam.h"

/*
 * The engine is this test: it listens on a path, and answers what it is asked. The first link is
 * the writer.
 */
static int64_t now;
static int listener, writer, reader;
static struct loop loop;
static struct loop_class class;
static struct config *config;
static struct channel *channel;
static char heard[4096]; /* "NODE:LINES" of what was accepted */

#define GREETING(name) "CLIENT SETNAME chatd-" name " "
#define LEARN          "XREVRANGE chatd + - COUNT 8 "
#define READ(id)       "XREAD COUNT 8 STREAMS chatd " id " "
#define WAIT(id)       "XREAD COUNT 8 BLOCK 0 STREAMS chatd " id " "
#define NOTHING        "*-1\r\n"

static int
setup(void **state)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	char text[256];

	(void)state;
	seam_reset();
	unsetenv("JOURNAL_STREAM");
	folder_make();
	strcpy(sun.sun_path, in_folder("engine"));
	listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
	assert_int_equal(bind(listener, (struct sockaddr *)&sun, sizeof(sun)), 0);
	assert_int_equal(listen(listener, 9), 0);
	catch_start(STDERR_FILENO);
	log_open();
	snprintf(text, sizeof(text), "cluster = { engine = \"%s\"; };", sun.sun_path);
	config = config_of(text);
	loop_init(&loop);
	seam_pass_at(now = 1000 * CLOCK_SECOND);
	heard[0] = '\0';
	writer = reader = -1;
	channel = channel_new(&config->cluster, &loop, &class, faults_take);
	assert_non_null(channel);
	channel->session.lowest = 100;
	return 0;
}

static int
teardown(void **state)
{
	channel_free(channel);
	loop_free(&loop);
	config_free(config);
	for (int i = 0; i < 3; i++)
		close(i == 0 ? listener : i == 1 ? writer : reader);
	log_close();
	catch_end(STDERR_FILENO);
	folder_remove();
	return seam_teardown(state);
}

static void
take(void)
{
	const struct stream_entry *entry;

	while ((entry = channel_peek(channel)) != NULL) {
		char text[128];

		snprintf(text, sizeof(text), "%s:%.*s",
		    channel_is_own(channel, entry) ? "own" : "other", (int)entry->len, entry->data);
		strcat(heard, text);
		channel_accept(channel);
	}
}

/* Passes until nothing is ready. */
static void
settle(void)
{
	for (int i = 0; i < 20; i++) {
		seam_pass_at(now);
		channel_run_due(channel);
		assert_int_equal(loop_wait(&loop, now), 0);
		loop_read(&loop);
		take();
		channel_make(channel);
		channel_flush(channel);
		outbox_settle(&channel->sender.outbox);
		loop_write(&loop);
	}
}

/* What was asked on the link: the words of all commands. */
static const char *
asked(int link)
{
	static char words[65536];
	const char *text = get_text(link, NULL), *end;

	words[0] = '\0';
	for (; (end = strstr(text, "\r\n")) != NULL; text = end + 2) {
		if ((text[0] == '*' || text[0] == '$') && text[1] != '\r')
			continue;
		strncat(words, text, (size_t)(end - text));
		strcat(words, " ");
	}
	return words;
}

/* The engine accepts both links. */
static void
accept_links(void)
{
	settle();
	if (writer >= 0)
		close(writer);
	if (reader >= 0)
		close(reader);
	writer = accept(listener, NULL, NULL);
	reader = accept(listener, NULL, NULL);
	assert_true(writer >= 0 && reader >= 0);
	set_nonblocking(writer);
	set_nonblocking(reader);
	settle();
	assert_string_equal(asked(writer), GREETING("writer"));
	put_text(writer, "+OK\r\n");
}

static const char *
entry_of(const char *id, uint64_t epoch, unsigned seq, const char *name, const char *data)
{
	static char text[4][512];
	static int next;
	char number[16], *at = text[next++ % 4];

	snprintf(number, sizeof(number), "%u", seq);
	snprintf(at, sizeof(text[0]),
	    "*2\r\n$%zu\r\n%s\r\n*6\r\n$1\r\nn\r\n$16\r\n%016" PRIx64
	    "\r\n$1\r\ns\r\n$%zu\r\n%s\r\n$1\r\n%s\r\n$%zu\r\n%s\r\n",
	    strlen(id), id, epoch, strlen(number), number, name, strlen(data), data);
	return at;
}

/* The reply to an XREAD, with the entries. */
static const char *
reply_of(int count, const char *entries)
{
	static char text[8192];

	snprintf(text, sizeof(text), "*1\r\n*2\r\n$5\r\nchatd\r\n*%d\r\n%s", count, entries);
	return text;
}

/* The engine has nothing, and both links stand. */
static void
link_up(void)
{
	accept_links();
	assert_string_equal(asked(reader), GREETING("reader") LEARN);
	put_text(reader, "+OK\r\n*0\r\n");
	settle();
	assert_string_equal(asked(reader), READ("0-0"));
	put_text(reader, NOTHING);
	settle();
	assert_string_equal(asked(reader), WAIT("0-0"));
	assert_true(channel_is_open(channel));
	caught(STDERR_FILENO);
}

static void
say(const char *lines)
{
	outbox_add(&channel->sender.outbox, 1, 7, lines, strlen(lines));
	settle();
}

static void
expect_added(unsigned seq, const char *content)
{
	char want[256];

	snprintf(want, sizeof(want), "XADD chatd MAXLEN ~ 10000 * n %016" PRIx64 " s %u %s ",
	    channel->sender.epoch, seq, content);
	assert_string_equal(asked(writer), want);
}

/* The own entry is in the stream, and comes back. */
static void
give_back(const char *id, unsigned seq, const char *data)
{
	put_text(writer, "$3\r\n9-9\r\n");
	put_text(reader, reply_of(1, entry_of(id, channel->sender.epoch, seq, "d", data)));
	settle();
}

static void
expect_heard(const char *want)
{
	assert_string_equal(heard, want);
	heard[0] = '\0';
}

TEST(at_first_it_is_held_and_says_so)
{
	char text[SESSION_STATUS];

	assert_false(channel_is_open(channel));
	assert_non_null(
	    strstr(session_status(&channel->session, text), "held 0 s: connecting to /"));
	link_up();
	assert_string_equal(session_status(&channel->session, text), "cluster linked");
}

TEST(what_is_said_is_heard_once_it_has_come_back)
{
	link_up();
	say("one\n");
	expect_added(1, "d one\n");
	expect_heard("");
	assert_false(channel_is_settled(channel));
	give_back("1-0", 1, "one\n");
	expect_heard("own:one\n");
	assert_string_equal(asked(reader), WAIT("1-0"));
	assert_true(channel_is_settled(channel));
}

TEST(one_is_on_the_way_and_the_others_gather)
{
	link_up();
	say("one\n");
	say("two\n");
	say("three\n");
	expect_added(1, "d one\n");
	give_back("1-0", 1, "one\n");
	expect_added(2, "d two\nthree\n");
}

TEST(others_are_heard_in_the_order_of_the_stream)
{
	char entries[2048];

	link_up();
	snprintf(entries, sizeof(entries), "%s%s%s", entry_of("1-0", 5, 1, "d", "a\n"),
	    entry_of("1-1", 6, 1, "d", "b\n"), entry_of("1-2", 5, 2, "d", "c\n"));
	put_text(reader, reply_of(3, entries));
	settle();
	expect_heard("other:a\nother:b\nother:c\n");
	assert_string_equal(asked(reader), WAIT("1-2"));
}

TEST(an_entry_that_comes_twice_is_heard_once_and_a_gap_is_logged)
{
	char entries[2048];

	link_up();
	snprintf(entries, sizeof(entries), "%s%s%s", entry_of("1-0", 5, 1, "d", "a\n"),
	    entry_of("1-1", 5, 1, "d", "a\n"), entry_of("1-2", 5, 4, "d", "c\n"));
	put_text(reader, reply_of(3, entries));
	settle();
	expect_heard("other:a\nother:c\n");
	assert_string_equal(
	    caught(STDERR_FILENO), "cluster: 2 entries lost, of node 0000000000000005\n");
}

TEST(strange_entries_are_left_out)
{
	char entries[4096];

	link_up();
	snprintf(entries, sizeof(entries), "%s%s%s%s",
	    "*2\r\n$3\r\n1-0\r\n*2\r\n$1\r\na\r\n$1\r\nb\r\n", entry_of("1-1", 5, 1, "d", "no end"),
	    entry_of("1-2", 5, 0, "d", "zero\n"), entry_of("1-3", 5, 2, "d", "good\n"));
	put_text(reader, reply_of(4, entries));
	settle();
	expect_heard("other:good\n");
	assert_string_equal(asked(reader), WAIT("1-3"));
	assert_non_null(strstr(caught(STDERR_FILENO), "none of chatd's"));
}

TEST(what_was_there_before_is_learned_and_not_heard)
{
	char page[2048];

	accept_links();
	asked(reader);
	snprintf(page, sizeof(page), "+OK\r\n*2\r\n%s%s", entry_of("9-0", 5, 7, "d", "g\n"),
	    entry_of("8-0", 5, 6, "d", "f\n"));
	put_text(reader, page);
	settle();
	assert_string_equal(asked(reader), READ("9-0"));
	put_text(reader, reply_of(1, entry_of("9-1", 5, 7, "d", "g\n")));
	settle();
	assert_string_equal(asked(reader), READ("9-1"));
	expect_heard("");
}

/* Links that were dropped come back after a pause. */
static void
link_again(void)
{
	settle();
	assert_false(channel_is_open(channel));
	now += SESSION_PAUSE_MAX;
	accept_links();
}

TEST(an_entry_that_did_not_come_back_is_sent_again)
{
	link_up();
	say("one\n");
	give_back("1-0", 1, "one\n");
	asked(writer);
	asked(reader);
	say("two\n");
	close(reader);
	reader = -1;
	link_again();
	assert_string_equal(asked(reader), GREETING("reader") "XRANGE chatd 1-0 1-0 ");
	put_text(reader, "+OK\r\n*1\r\n");
	put_text(reader, entry_of("1-0", channel->sender.epoch, 1, "d", "one\n"));
	settle();
	assert_string_equal(asked(reader), READ("1-0"));
	put_text(reader, NOTHING);
	settle();
	expect_added(2, "d two\n");
	expect_heard("own:one\n");
	assert_non_null(strstr(caught(STDERR_FILENO), ", 1 sent again\n"));
}

TEST(an_entry_that_did_arrive_is_not_sent_again)
{
	link_up();
	say("one\n");
	close(writer);
	writer = -1;
	link_again();
	put_text(reader, "+OK\r\n");
	put_text(reader, reply_of(1, entry_of("1-0", channel->sender.epoch, 1, "d", "one\n")));
	settle();
	put_text(reader, NOTHING);
	settle();
	assert_string_equal(asked(writer), "");
	expect_heard("own:one\n");
	assert_true(channel_is_settled(channel));
}

/* The engine came back without its tail: what others have kept as well as this node is sent. */
TEST(what_the_engine_has_lost_is_sent_again_and_not_heard_again)
{
	link_up();
	say("one\n");
	give_back("1-0", 1, "one\n");
	say("two\n");
	give_back("2-0", 2, "two\n");
	expect_heard("own:one\nown:two\n");
	close(writer);
	writer = -1;
	link_again();
	assert_string_equal(asked(reader), GREETING("reader") "XRANGE chatd 2-0 2-0 ");
	put_text(reader, "+OK\r\n*0\r\n");
	settle();
	assert_string_equal(asked(reader), READ("0-0"));
	put_text(reader, reply_of(1, entry_of("1-0", channel->sender.epoch, 1, "d", "one\n")));
	settle();
	/* A link fails meanwhile: it is still to be sent. */
	close(writer);
	writer = -1;
	link_again();
	assert_string_equal(asked(reader), GREETING("reader") "XRANGE chatd 1-0 1-0 ");
	put_text(reader, "+OK\r\n*1\r\n");
	put_text(reader, entry_of("1-0", channel->sender.epoch, 1, "d", "one\n"));
	settle();
	put_text(reader, NOTHING);
	settle();
	expect_added(2, "d two\n");
	give_back("2-1", 2, "two\n");
	expect_heard("");
}

TEST(an_error_drops_both_links_and_is_told)
{
	char text[SESSION_STATUS];

	link_up();
	say("one\n");
	put_text(writer, "-OOM command not allowed, with args beginning with: 'secret'\r\n");
	settle();
	assert_false(channel_is_open(channel));
	assert_null(strstr(session_status(&channel->session, text), "secret"));
	assert_non_null(strstr(text, "OOM command not allowed"));
	assert_non_null(strstr(caught(STDERR_FILENO), "cluster: lost "));
}

TEST(bytes_that_are_no_reply_end_the_links)
{
	link_up();
	put_text(reader, "HTTP/1.1 200 OK\r\n");
	settle();
	assert_false(channel_is_open(channel));
	link_again();
	put_text(reader, "+OK\r\n:7\r\n");
	settle();
	assert_false(channel_is_open(channel));
}

/* Otherwise each would be answered with another question, and nobody reads them. */
TEST(replies_to_nothing_end_the_links)
{
	link_up();
	put_text(reader, NOTHING);
	settle();
	assert_string_equal(asked(reader), WAIT("0-0"));
	assert_true(channel_is_open(channel));
	put_text(reader, NOTHING NOTHING);
	settle();
	assert_non_null(strstr(caught(STDERR_FILENO), "answers what it was not asked"));
	assert_false(channel_is_open(channel));
}

TEST(a_number_that_this_node_never_gave_costs_it_its_name)
{
	uint64_t epoch = channel->sender.epoch;
	char entries[1024];

	link_up();
	say("one\n");
	expect_added(1, "d one\n");
	/* What was on its way comes behind that, so all nodes leave it out. */
	snprintf(entries, sizeof(entries), "%s%s", entry_of("1-0", epoch, 9, "d", "evil\n"),
	    entry_of("1-1", epoch, 1, "d", "one\n"));
	put_text(writer, "$3\r\n1-1\r\n");
	put_text(reader, reply_of(2, entries));
	settle();
	expect_heard("other:evil\n");
	assert_int_not_equal(channel->sender.epoch, epoch);
	assert_non_null(strstr(caught(STDERR_FILENO), "somebody uses the name of this node"));
	expect_added(1, "d one\n");
	give_back("1-2", 1, "one\n");
	expect_heard("own:one\n");
	assert_true(channel_is_settled(channel));
}

TEST(an_entry_has_three_seconds_to_come_back)
{
	link_up();
	say("one\n");
	assert_int_equal(channel_run_due(channel), now + SENDER_DEADLINE);
	now += SENDER_DEADLINE - 1;
	settle();
	assert_true(channel_is_open(channel));
	now += 1;
	settle();
	assert_false(channel_is_open(channel));
}

TEST(an_engine_has_three_seconds_to_answer)
{
	accept_links();
	settle();
	now += SESSION_DEADLINE - 1;
	settle();
	assert_string_equal(caught(STDERR_FILENO), "");
	now += 1;
	settle();
	assert_non_null(strstr(caught(STDERR_FILENO), "does not answer"));
}

TEST(idle_it_has_no_deadline)
{
	link_up();
	assert_int_equal(channel_run_due(channel), CLOCK_NEVER);
	say("one\n");
	give_back("1-0", 1, "one\n");
	assert_int_equal(channel_run_due(channel), CLOCK_NEVER);
}

/* Another node holds, or lets go. */
static void
other_says(const char *id, unsigned seq, const char *what)
{
	put_text(reader, reply_of(1, entry_of(id, 5, seq, "c", what)));
	settle();
}

TEST(a_hold_of_another_node_is_good_for_three_seconds)
{
	link_up();
	other_says("1-0", 1, "h");
	assert_false(channel_is_open(channel));
	now += HOLDS_LEASE - 1;
	settle();
	assert_false(channel_is_open(channel));
	now += 1;
	settle();
	assert_true(channel_is_open(channel));
	other_says("1-1", 2, "h");
	assert_false(channel_is_open(channel));
	other_says("1-2", 3, "g");
	assert_true(channel_is_open(channel));
}

/* The entry without lines has come back. */
static void
control_back(const char *id, unsigned seq, const char *what)
{
	put_text(writer, "$3\r\n9-9\r\n");
	put_text(reader, reply_of(1, entry_of(id, channel->sender.epoch, seq, "c", what)));
	settle();
}

TEST(the_own_hold_is_told_again_each_second_and_then_go)
{
	link_up();
	channel_hold(channel, true);
	settle();
	expect_added(1, "c h");
	control_back("1-0", 1, "h");
	assert_int_equal(channel_run_due(channel), now + HOLDS_RENEW);
	assert_string_equal(asked(writer), "");
	now += HOLDS_RENEW;
	settle();
	expect_added(2, "c h");
	/* It is over while that one is on the way. */
	channel_hold(channel, false);
	settle();
	assert_string_equal(asked(writer), "");
	assert_false(channel_is_settled(channel));
	control_back("1-1", 2, "h");
	expect_added(3, "c g");
	control_back("1-2", 3, "g");
	assert_true(channel_is_settled(channel));
	assert_true(channel_is_open(channel));
}

TEST(a_node_that_cannot_read_holds_the_others_all_the_same)
{
	link_up();
	channel_pause(channel, true);
	channel_hold(channel, true);
	settle();
	expect_added(1, "c h");
	put_text(writer, "$3\r\n9-9\r\n");
	say("one\n");
	now += HOLDS_RENEW;
	settle();
	expect_added(2, "c h");
	/* Nothing is late meanwhile. */
	now += 10 * SENDER_DEADLINE;
	seam_pass_at(now);
	channel_run_due(channel);
	assert_true(channel->session.live);
}

/* Longer than the outbox has numbers for. */
TEST(a_hold_is_renewed_for_as_long_as_it_takes)
{
	uint64_t epoch = channel->sender.epoch;

	link_up();
	say("one\n");
	expect_added(1, "d one\n");
	put_text(writer, "$3\r\n9-9\r\n");
	channel_pause(channel, true);
	channel_hold(channel, true);
	for (unsigned i = 2; i < OUTBOX_ENTRIES + 100; i++) {
		settle();
		expect_added(i <= SENDER_HOLDS ? i : SENDER_HOLDS, "c h");
		assert_int_equal(channel_run_due(channel), CLOCK_NEVER);
		put_text(writer, "$3\r\n9-9\r\n");
		settle();
		assert_string_equal(asked(writer), "");
		assert_int_equal(channel_run_due(channel), now + HOLDS_RENEW);
		now += HOLDS_RENEW;
	}
	channel_hold(channel, false);
	channel_pause(channel, false);
	put_text(reader, reply_of(1, entry_of("1-1", epoch, 1, "d", "one\n")));
	for (unsigned i = 2; i <= SENDER_HOLDS; i++) {
		settle();
		assert_string_equal(asked(writer), "");
		put_text(reader, reply_of(1, entry_of("1-2", epoch, i, "c", "h")));
	}
	settle();
	expect_added(SENDER_HOLDS + 1, "c g");
	expect_heard("own:one\n");
	/* Those that were sent again. */
	put_text(reader, reply_of(1, entry_of("1-3", epoch, SENDER_HOLDS, "c", "h")));
	settle();
	control_back("1-4", SENDER_HOLDS + 1, "g");
	assert_true(channel_is_settled(channel) && channel_is_open(channel));
}

TEST(a_hold_that_the_engine_does_not_take_is_not_looked_at_again_and_again)
{
	link_up();
	channel_hold(channel, true);
	settle();
	expect_added(1, "c h");
	now += HOLDS_RENEW;
	seam_pass_at(now);
	assert_int_equal(channel_run_due(channel), now - HOLDS_RENEW + SENDER_DEADLINE);
	channel_pause(channel, true);
	now += 100 * HOLDS_RENEW;
	seam_pass_at(now);
	assert_int_equal(channel_run_due(channel), CLOCK_NEVER);
}

TEST(a_hold_of_another_node_that_comes_again_is_renewed)
{
	link_up();
	for (int i = 0; i < 5; i++) {
		other_says("1-1", 1, "h");
		now += HOLDS_LEASE - 1;
		settle();
		assert_false(channel_is_open(channel));
	}
	now += 1;
	settle();
	assert_true(channel_is_open(channel));
	/* It counts no more when that node has said something since. */
	other_says("1-2", 2, "g");
	other_says("1-3", 1, "h");
	assert_true(channel_is_open(channel));
}

TEST(an_engine_that_refuses_is_tried_after_growing_pauses)
{
	int64_t pause = SESSION_PAUSE;

	link_up();
	close(listener);
	close(reader);
	reader = -1;
	settle();
	for (int i = 0; i < 7; i++) {
		assert_int_equal(channel_run_due(channel), now + pause);
		now += pause;
		pause = pause * 2 < SESSION_PAUSE_MAX ? pause * 2 : SESSION_PAUSE_MAX;
		seam_pass_at(now);
		channel_run_due(channel);
	}
	assert_non_null(strstr(caught(STDERR_FILENO), "engine refused\n"));
	listener = -1;
}

int
main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
	    CASE(at_first_it_is_held_and_says_so),
	    CASE(what_is_said_is_heard_once_it_has_come_back),
	    CASE(one_is_on_the_way_and_the_others_gather),
	    CASE(others_are_heard_in_the_order_of_the_stream),
	    CASE(an_entry_that_comes_twice_is_heard_once_and_a_gap_is_logged),
	    CASE(strange_entries_are_left_out),
	    CASE(what_was_there_before_is_learned_and_not_heard),
	    CASE(an_entry_that_did_not_come_back_is_sent_again),
	    CASE(an_entry_that_did_arrive_is_not_sent_again),
	    CASE(what_the_engine_has_lost_is_sent_again_and_not_heard_again),
	    CASE(an_error_drops_both_links_and_is_told),
	    CASE(bytes_that_are_no_reply_end_the_links),
	    CASE(replies_to_nothing_end_the_links),
	    CASE(a_number_that_this_node_never_gave_costs_it_its_name),
	    CASE(an_entry_has_three_seconds_to_come_back),
	    CASE(an_engine_has_three_seconds_to_answer),
	    CASE(idle_it_has_no_deadline),
	    CASE(a_hold_of_another_node_is_good_for_three_seconds),
	    CASE(the_own_hold_is_told_again_each_second_and_then_go),
	    CASE(a_node_that_cannot_read_holds_the_others_all_the_same),
	    CASE(a_hold_is_renewed_for_as_long_as_it_takes),
	    CASE(a_hold_that_the_engine_does_not_take_is_not_looked_at_again_and_again),
	    CASE(a_hold_of_another_node_that_comes_again_is_renewed),
	    CASE(an_engine_that_refuses_is_tried_after_growing_pauses),
	};

	return cmocka_run_group_tests_name("channel", tests, NULL, NULL);
}
