#include "unit.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "party.h"
#include "seam.h"

static const char help[] =
    "* /name NAME: your name   /who: who is here   /quit: leave   //...: say /...\n";

static struct guest *a, *b;

static struct guest *
enter(void)
{
	struct guest *guest = party_join(NULL);

	speech_welcome(&party.chat.speech, party_conn(guest));
	party_settle();
	return guest;
}

/* In want, %A and %B are the names that a and b have at first. */
static const char *
with_names(const char *want)
{
	static char text[1 << 20];
	size_t len = 0;

	for (; *want != '\0'; want++)
		if (want[0] == '%' && (want[1] == 'A' || want[1] == 'B'))
			len += (size_t)sprintf(text + len, "guest%d", (*++want == 'A' ? a : b)->sd);
		else
			text[len++] = *want;
	text[len] = '\0';
	return text;
}

static void
expect(const struct guest *guest, const char *want)
{
	party_settle();
	party_expect(guest, with_names(want));
}

static int
setup_with(void **state, const char *config)
{
	party_setup(state);
	party_configure(config);
	a = enter();
	b = enter();
	party_hears(a, NULL);
	party_hears(b, NULL);
	return 0;
}

static int
setup(void **state)
{
	return setup_with(state, "mode = \"chat\"; history = 1000;");
}

TEST(a_line_bears_the_name_of_its_speaker)
{
	party_say(a, "x\r\n\n//y\nalice: z\n");
	expect(b, "%A: x\n%A: /y\n%A: alice: z\n");
	expect(a, "");
	assert_int_equal(party.chat.broadcast.lines, 3);
}

TEST(a_piece_waits_for_its_end_and_gets_one_prefix)
{
	party_say(a, "hel");
	expect(b, "");
	party_say(a, "lo\nx");
	expect(b, "%A: hello\n");
	party_leave(a);
	expect(b, "%A: x\n");
}

TEST(a_name_counts_for_what_follows_it)
{
	party_say(a, "x\n/name alice\ny\n");
	expect(b, "%A: x\nalice: y\n");
	expect(a, "* you are alice\n");
}

TEST(answers_are_for_the_asker_alone_and_behind_what_waits)
{
	party_say(b, "before\n");
	party_receive(b);
	party_say(a, "/who\n/me\n");
	party_receive(a);
	party_deliver();
	expect(a, "%B: before\n* here: %A %B\n* /name NAME: your name   /who: who is here   "
		  "/quit: leave   //...: say /...\n");
	expect(b, "");
}

/* So that the longest answer is still given at the limit, and none past it. */
TEST(answers_end_where_more_than_their_limit_waits)
{
	char line[SPEECH_ANSWERS];
	size_t weight = SPEECH_ANSWERS - QUEUE_SPAN, prefix = strlen(with_names("%B: "));

	for (size_t more = 0; more < 2; more++) {
		size_t len = weight + more - prefix;

		party_configure("mode = \"chat\"; limits = { line = 20000; };");
		memset(line, 'x', len);
		line[len - 1] = '\n';
		line[len] = '\0';
		party_say(b, line);
		party_read(b);
		assert_int_equal(queue_weight(&party_conn(a)->queue), SPEECH_ANSWERS + more);
		party_say(a, "/help\n");
		party_read(a);
		party_settle();
		assert_int_equal(
		    strlen(party_hears(a, NULL)), weight + more + (more == 0 ? strlen(help) : 0));
	}
}

TEST(answers_to_one_recv_have_the_same_limit)
{
	static char asked[6 * 1000 + 1];

	for (size_t i = 0; i < 1000; i++)
		memcpy(&asked[6 * i], "/help\n", sizeof("/help\n"));
	party_say(a, asked);
	party_read(a);
	party_settle();
	assert_in_range(
	    strlen(party_hears(a, NULL)), SPEECH_ANSWERS + 1, SPEECH_ANSWERS + strlen(help));
}

TEST(who_quits_gets_what_waits_and_says_nothing_more)
{
	party_say(b, "for you\n");
	party_receive(b);
	party_say(a, "x\n/quit\ny\n");
	party_receive(a);
	party_deliver();
	party_settle();
	expect(b, "%A: x\n");
	party_expect_last(a, with_names("%B: for you\nchatd: goodbye\n"));
}

TEST(a_browser_is_turned_away_with_its_first_line)
{
	party_say(a, "POST / HTTP/1.1\r\nx\n");
	party_settle();
	party_expect_last(a, "chatd: this is no web server\n");
	party_say(b, "x\nPOST / HTTP/1.1\n");
	party_settle();
	assert_true(party_has(b));
}

TEST(whatever_grows_has_room)
{
	static char want[1 << 20], said[2 * 30000 + 1];
	size_t len = 0;

	party_say(a, "/name abcdefghijklmno\n");
	party_settle();
	party.now += NOTICES_PAUSE;
	party_expire();
	party_settle();
	party_hears(b, NULL);
	for (size_t i = 0; i < 30000; i++) {
		memcpy(&said[2 * i], "x\n", sizeof("x\n"));
		len += (size_t)sprintf(want + len, "abcdefghijklmno: x\n");
	}
	party_say(a, said);
	for (size_t have = 0; have < len;) {
		const char *heard;

		party_pass();
		heard = party_hears(b, NULL);
		assert_memory_equal(heard, want + have, strlen(heard));
		have += strlen(heard);
	}
}

TEST(while_memory_is_refused_nothing_is_received_and_nothing_lost)
{
	for (unsigned long skip = 0; skip < 6; skip++) {
		party_say(a, "x\n");
		seam_fail(SEAM_MEMORY, skip, SEAM_ALWAYS, ENOMEM);
		party_pass();
		party_pass();
		seam_reset();
		party.now += 2 * BACKOFF_REST;
		party_expire();
		expect(b, "%A: x\n");
	}
}

TEST(a_newcomer_gets_welcome_and_history)
{
	struct guest *c;
	char want[256];

	party_say(a, "one\n/name alice\ntwo\n/who\n");
	party_settle();
	party.now += ROSTER_PAUSE;
	party_say(a, "/name alicia\nthree\n");
	party_settle();
	c = enter();
	snprintf(want, sizeof(want),
	    "* welcome, guest%d; /name NAME gives you a name, /help tells more\n"
	    "* here: alicia %%B guest%d\n" HISTORY_BEGIN
	    "%%A: one\nalice: two\nalicia: three\n" HISTORY_END,
	    c->sd, c->sd);
	expect(c, want);
}

TEST(newcomers_share_one_copy_of_the_history)
{
	struct guest *c, *d;

	party_say(a, "one\n");
	party_settle();
	c = party_join(NULL);
	d = party_join(NULL);
	speech_welcome(&party.chat.speech, party_conn(c));
	speech_welcome(&party.chat.speech, party_conn(d));
	assert_ptr_equal(party_conn(c)->queue.spans[1].buf, party_conn(d)->queue.spans[1].buf);
	assert_true(broadcast_lag(&party.chat.broadcast, party_conn(d)) == 0);
}

TEST(mode_lines_gives_no_names_and_a_reload_takes_them)
{
	party_say(a, "/name alice\n");
	party_settle();
	party_hears(a, NULL);
	party_configure("");
	expect(a, "* names end here: from now on lines go out as they come in\n");
	expect(b, "* names end here: from now on lines go out as they come in\n");
	party_say(a, "/who\r\n\n");
	expect(b, "/who\r\n\n");
	assert_null(party.chat.speech.history.data);
	party.now += 10 * CLOCK_SECOND;
	expect(b, "");
	party_configure("mode = \"chat\";");
	expect(b, "* welcome, %B; /name NAME gives you a name, /help tells more\n"
		  "* here: %A %B\n");
}

TEST(a_half_line_outlives_a_change_of_the_mode)
{
	party_say(a, "half ");
	party_settle();
	party_configure("");
	party_settle();
	party_hears(b, NULL);
	party_say(a, "a line\nanother ");
	expect(b, "half a line\n");
	party_configure("mode = \"chat\";");
	party_settle();
	party_hears(b, NULL);
	party_say(a, "one\n");
	expect(b, "%A: another one\n");
}

#define SPEECH_TEST(name) cmocka_unit_test_setup_teardown(name, setup, party_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    SPEECH_TEST(a_line_bears_the_name_of_its_speaker),
	    SPEECH_TEST(a_piece_waits_for_its_end_and_gets_one_prefix),
	    SPEECH_TEST(a_name_counts_for_what_follows_it),
	    SPEECH_TEST(answers_are_for_the_asker_alone_and_behind_what_waits),
	    SPEECH_TEST(answers_end_where_more_than_their_limit_waits),
	    SPEECH_TEST(answers_to_one_recv_have_the_same_limit),
	    SPEECH_TEST(who_quits_gets_what_waits_and_says_nothing_more),
	    SPEECH_TEST(a_browser_is_turned_away_with_its_first_line),
	    SPEECH_TEST(whatever_grows_has_room),
	    SPEECH_TEST(while_memory_is_refused_nothing_is_received_and_nothing_lost),
	    SPEECH_TEST(a_newcomer_gets_welcome_and_history),
	    SPEECH_TEST(newcomers_share_one_copy_of_the_history),
	    SPEECH_TEST(mode_lines_gives_no_names_and_a_reload_takes_them),
	    SPEECH_TEST(a_half_line_outlives_a_change_of_the_mode),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
