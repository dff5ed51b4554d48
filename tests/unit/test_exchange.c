#include "unit.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "faults.h"
#include "party.h"
#include "seam.h"

/* A party of a cluster; the engine is this test. */
static int listener, writer, reader;
static unsigned last; /* number of the last entry that the engine gave out */

#define CHANNEL (party.chat.exchange.channel)

static void
configure(const char *more)
{
	char text[512];

	snprintf(
	    text, sizeof(text), "cluster = { engine = \"%s\"; }; %s", in_folder("engine"), more);
	party_configure(text);
}

static int
setup(void **state)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};

	folder_make();
	strcpy(sun.sun_path, in_folder("engine"));
	listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
	assert_int_equal(bind(listener, (struct sockaddr *)&sun, sizeof(sun)), 0);
	assert_int_equal(listen(listener, 9), 0);
	party_setup(state);
	configure("");
	assert_int_equal(chat_open(&party.chat, 300, faults_take), 0);
	writer = reader = -1;
	last = 0;
	return 0;
}

static int
teardown(void **state)
{
	close(listener);
	close(writer);
	close(reader);
	folder_remove();
	return party_teardown(state);
}

static void
link_up(void)
{
	party_settle();
	writer = accept(listener, NULL, NULL);
	reader = accept(listener, NULL, NULL);
	assert_true(writer >= 0 && reader >= 0);
	set_nonblocking(writer);
	set_nonblocking(reader);
	party_settle();
	put_text(writer, "+OK\r\n");
	put_text(reader, "+OK\r\n*0\r\n");
	party_settle();
	put_text(reader, "*-1\r\n");
	party_settle();
	assert_true(channel_is_open(CHANNEL));
	get_text(writer, NULL);
	get_text(reader, NULL);
}

/* The content of the one entry that was added: "d LINES", "c h"; "": there was none. */
static const char *
added(void)
{
	static char content[4096];
	const char *text = strstr(get_text(writer, NULL), "\r\ns\r\n"), *kind, *data;

	content[0] = '\0';
	if (text == NULL)
		return content;
	kind = strstr(text + 5, "\r\n$1\r\n") + 6;
	data = strstr(kind, "\r\n$");
	data = strstr(data + 3, "\r\n") + 2;
	snprintf(content, sizeof(content), "%c %.*s", kind[0], (int)(strlen(data) - 2), data);
	return content;
}

static void
give(uint64_t epoch, unsigned seq, const char *name, const char *data)
{
	char text[4096], number[16], id[32];

	snprintf(number, sizeof(number), "%u", seq);
	snprintf(id, sizeof(id), "1-%u", ++last);
	snprintf(text, sizeof(text),
	    "*1\r\n*2\r\n$5\r\nchatd\r\n*1\r\n*2\r\n$%zu\r\n%s\r\n*6\r\n$1\r\nn\r\n$16\r\n%"
	    "016" PRIx64 "\r\n$1\r\ns\r\n$%zu\r\n%s\r\n$1\r\n%s\r\n$%zu\r\n%s\r\n",
	    strlen(id), id, epoch, strlen(number), number, name, strlen(data), data);
	put_text(reader, text);
	party_settle();
}

/* The own entry is taken, and comes back. */
static void
give_back(unsigned seq, const char *data)
{
	put_text(writer, "$3\r\n9-9\r\n");
	give(CHANNEL->sender.epoch, seq, "d", data);
}

TEST(everybody_but_its_speaker_hears_what_has_come_back)
{
	struct guest *a = party_join(NULL), *b = party_join(NULL), *c = party_join(NULL);

	link_up();
	party_say(a, "one\n");
	party_say(b, "two\n");
	party_settle();
	assert_string_equal(added(), "d one\ntwo\n");
	party_expect(c, "");
	give_back(1, "one\ntwo\n");
	party_expect(a, "two\n");
	party_expect(b, "one\n");
	party_expect(c, "one\ntwo\n");
	assert_int_equal(party.chat.broadcast.lines, 2);
	assert_int_equal(party_conn(a)->lines, 1);
}

TEST(one_who_spoke_in_several_passes_hears_none_of_it)
{
	struct guest *a = party_join(NULL), *b = party_join(NULL);

	link_up();
	party_say(a, "0\n");
	party_settle();
	added();
	for (int i = 0; i < 3; i++) {
		party_say(a, "a\n");
		party_settle();
		party_say(b, "b\n");
		party_settle();
	}
	give_back(1, "0\n");
	assert_string_equal(added(), "d a\nb\na\nb\na\nb\n");
	give_back(2, "a\nb\na\nb\na\nb\n");
	party_expect(a, "b\nb\nb\n");
	party_expect(b, "0\na\na\na\n");
}

TEST(one_who_has_left_is_nobody_any_more)
{
	struct guest *a = party_join(NULL), *b = party_join(NULL);
	const struct owners *owners = &party.chat.exchange.owners;
	uint64_t number;

	link_up();
	party_say(a, "one\n");
	party_settle();
	number = owners->numbers[a->sd];
	assert_ptr_equal(owners_find(owners, a->sd, number), party_conn(a));
	assert_null(owners_find(owners, a->sd, number + 1));
	party_leave(a);
	party_settle();
	assert_null(owners_find(owners, a->sd, number));
	give_back(1, "one\n");
	party_expect(b, "one\n");
}

TEST(what_others_say_is_sanitized_here_as_the_setting_says)
{
	struct guest *a = party_join(NULL);

	link_up();
	give(5, 1, "d", "\033[2Jx\n");
	party_expect(a, "\033[2Jx\n");
	configure("sanitize = true;");
	give(5, 2, "d", "\033[2Jx\n");
	party_expect(a, "?[2Jx\n");
}

TEST(while_the_engine_is_away_nobody_is_read)
{
	struct guest *a = party_join(NULL), *b = party_join(NULL);

	party_say(a, "early\n");
	party_settle();
	assert_int_equal(exchange_pending(&party.chat.exchange), 0);
	link_up();
	party_settle();
	assert_true(exchange_pending(&party.chat.exchange) > 0);
	give_back(1, "early\n");
	party_expect(b, "early\n");
	party_expect(a, "");
}

TEST(while_the_engine_is_away_ends_are_noticed)
{
	struct guest *a = party_join(NULL), *b = party_join(NULL);

	link_up();
	party_say(a, "half");
	party_settle();
	close(reader);
	reader = -1;
	party_settle();
	assert_false(channel_is_open(CHANNEL));
	party_leave(a);
	party_settle();
	assert_false(party_has(a));
	assert_true(party_has(b));
	assert_true(exchange_pending(&party.chat.exchange) > 0);
	assert_false(exchange_is_settled(&party.chat.exchange));
}

TEST(while_another_node_holds_nobody_is_read)
{
	struct guest *a = party_join(NULL);

	link_up();
	give(5, 1, "c", "h");
	party_say(a, "one\n");
	party_settle();
	assert_string_equal(added(), "");
	give(5, 2, "c", "g");
	party_settle();
	assert_string_equal(added(), "d one\n");
}

TEST(a_slow_guest_holds_the_others)
{
	struct guest *slow = party_join(NULL), *a = party_join(NULL);
	char line[1025];

	configure("limits = { queue = 1024; };");
	link_up();
	stuff(slow->sd);
	memset(line, 'x', sizeof(line) - 2);
	strcpy(line + sizeof(line) - 2, "\n");
	give(5, 1, "d", line);
	assert_string_equal(added(), "");
	give(5, 2, "d", "more\n");
	assert_string_equal(added(), "c h");
	assert_int_equal(party.chat.pressure.ceiling, 0);
	party_say(a, "one\n");
	party_settle();
	assert_string_equal(added(), "");
	party_leave(slow);
	party_settle();
	put_text(writer, "$3\r\n9-9\r\n");
	give(CHANNEL->sender.epoch, 1, "c", "h");
	assert_string_equal(added(), "c g");
}

TEST(what_has_no_room_is_taken_later)
{
	struct guest *a = party_join(NULL);

	link_up();
	backoff_begin(&party.chat.broadcast.memory, BACKOFF_REST);
	give(5, 1, "d", "one\n");
	party_expect(a, "");
	assert_true(CHANNEL->session.reader.paused);
	party.now += BACKOFF_REST;
	for (int i = 0; i < 3; i++)
		party_settle();
	party_expect(a, "one\n");
	assert_false(CHANNEL->session.reader.paused);
}

TEST(the_report_knows_how_it_is)
{
	char text[SESSION_STATUS];

	assert_non_null(strstr(exchange_status(&party.chat.exchange, text), "held 0 s"));
	link_up();
	assert_string_equal(exchange_status(&party.chat.exchange, text), "cluster linked");
	give(5, 1, "c", "h");
	assert_string_equal(
	    exchange_status(&party.chat.exchange, text), "cluster linked, another node holds");
}

int
main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
	    CASE(everybody_but_its_speaker_hears_what_has_come_back),
	    CASE(one_who_spoke_in_several_passes_hears_none_of_it),
	    CASE(one_who_has_left_is_nobody_any_more),
	    CASE(what_others_say_is_sanitized_here_as_the_setting_says),
	    CASE(while_the_engine_is_away_nobody_is_read),
	    CASE(while_the_engine_is_away_ends_are_noticed),
	    CASE(while_another_node_holds_nobody_is_read),
	    CASE(a_slow_guest_holds_the_others),
	    CASE(what_has_no_room_is_taken_later),
	    CASE(the_report_knows_how_it_is),
	};

	return cmocka_run_group_tests_name("exchange", tests, NULL, NULL);
}
