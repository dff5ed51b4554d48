#include "party.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/param.h>
#include <unistd.h>

#include "base/log.h"
#include "base/trace.h"
#include "faults.h"
#include "seam.h"
#include "unit.h"
#include "wire/ledger.h"
#include "wire/safe.h"

struct party party;

static void
begin(void)
{
	loop_init(&party.loop);
	chat_init(&party.chat, party.config, NULL, &party.loop);
}

int
party_setup(void **state)
{
	(void)state;
	unsetenv("JOURNAL_STREAM");
	signal(SIGPIPE, SIG_IGN);
	seam_reset();
	party = (struct party){.now = 1000 * CLOCK_SECOND, .config = config_of("")};
	catch_start(STDERR_FILENO);
	catch_start(STDOUT_FILENO);
	log_open();
	trace_open(true);
	seam_pass_at(party.now);
	begin();
	return 0;
}

int
party_teardown(void **state)
{
	(void)state;
	seam_reset();
	chat_free(&party.chat);
	loop_free(&party.loop);
	for (int i = 0; i < party.count; i++)
		if (party.guests[i].fd >= 0)
			close(party.guests[i].fd);
	config_free(party.config);
	trace_close();
	log_close();
	catch_end(STDOUT_FILENO);
	catch_end(STDERR_FILENO);
	return 0;
}

void
party_end(void)
{
	chat_free(&party.chat);
	loop_free(&party.loop);
	begin();
}

void
party_configure(const char *text)
{
	struct config *before = party.config;

	party.config = config_of(text);
	seam_pass_at(party.now);
	assert_int_equal(
	    chat_reserve(&party.chat, party.config, MAX(chat_highest(&party.chat), 0)), 0);
	chat_reconfigure(&party.chat, party.config, NULL);
	config_free(before);
}

struct guest *
party_join(const char *address)
{
	struct guest *guest = &party.guests[party.count++];
	struct addr addr = {.family = AF_UNIX, .peer = {.pid = party.count, .uid = 0}};
	struct conn *conn;
	int pair[2];

	assert_true((size_t)party.count <= LENGTH(party.guests));
	if (address != NULL) {
		assert_int_equal(addr_parse(&addr, address), 0);
		addr.port = (uint16_t)party.count;
	}
	make_pair(pair);
	*guest = (struct guest){.fd = pair[0], .sd = pair[1]};
	/* So that they are served in the order in which they came. */
	assert_true(guest == party.guests || guest->sd > guest[-1].sd);
	seam_pass_at(party.now);
	assert_int_equal(chat_reserve(&party.chat, party.config, guest->sd), 0);
	if (journal != NULL)
		assert_true(safe_put_accepted(guest->sd));
	assert_non_null(conn = conn_new(guest->sd, &addr, NULL));
	pool_add(&party.chat.pool, conn);
	if (conn->kept) {
		ledger_joins(conn->fd);
		ledger_set_state(conn->fd, RECORD_MEMBER);
		ledger_commit();
	}
	party.chat.admission.unannounced++;
	acceptor_run_due(&party.chat.acceptor, false);
	return guest;
}

void
party_leave(struct guest *guest)
{
	close(guest->fd);
	guest->fd = -1;
}

void
party_say(const struct guest *guest, const char *text)
{
	put_text(guest->fd, text);
}

const char *
party_line(char letter, size_t len)
{
	static char text[70000];

	assert_true(len < sizeof(text));
	memset(text, letter, len);
	text[len - 1] = '\n';
	text[len] = '\0';
	return text;
}

const char *
party_letters(size_t len)
{
	static char text[20000];

	assert_true(len < sizeof(text));
	memset(text, 'x', len);
	text[len] = '\0';
	return text;
}

void
party_speak(const struct guest *guest, size_t len)
{
	party_say(guest, party_line('x', len));
	for (int unread = 1; unread > 0;) {
		int before = unread = conn_unread(party_conn(guest));

		party_read(guest);
		unread = conn_unread(party_conn(guest));
		assert_true(unread < before);
	}
}

const char *
party_hears(const struct guest *guest, bool *closed)
{
	return get_text(guest->fd, closed);
}

void
party_expect(const struct guest *guest, const char *want)
{
	assert_string_equal(party_hears(guest, NULL), want);
}

void
party_expect_last(const struct guest *guest, const char *want)
{
	bool closed;

	assert_string_equal(party_hears(guest, &closed), want);
	assert_true(closed);
	assert_false(party_has(guest));
}

struct conn *
party_conn(const struct guest *guest)
{
	return party.chat.pool.conns[guest->sd];
}

bool
party_has(const struct guest *guest)
{
	return fdset_has(&party.chat.pool.members, guest->sd);
}

/* Asks what is ready, and does not wait. */
static void
look(void)
{
	seam_set_time(party.now);
	pressure_apply(&party.chat.pressure);
	assert_int_equal(loop_wait(&party.loop, 0), 0);
}

bool
party_pass(void)
{
	struct loop *loop = &party.loop;
	bool ready;

	look();
	ready = loop->readable.last >= 0 || loop->writable.last >= 0;
	loop_read(loop);
	chat_deliver(&party.chat);
	loop_write(loop);
	chat_run_due(&party.chat);
	return ready;
}

void
party_settle(void)
{
	int passes = 0;

	while (party_pass())
		assert_true(++passes < 100000);
}

void
party_receive(const struct guest *guest)
{
	struct loop_class *class = &party.chat.pool.class;

	seam_pass_at(party.now);
	pressure_apply(&party.chat.pressure);
	class->ready = 1;
	class->readable(class->room, guest->sd);
	class->ready = 0;
}

void
party_deliver(void)
{
	struct loop_class *class = &party.chat.pool.class;

	class->ready = 1;
	chat_deliver(&party.chat);
	class->ready = 0;
}

void
party_read(const struct guest *guest)
{
	party_receive(guest);
	party_deliver();
}

void
party_write(const struct guest *guest)
{
	struct loop_class *class = &party.chat.pool.class;

	seam_pass_at(party.now);
	class->writable(class->room, guest->sd);
}

void
party_write_some(const struct guest *guest, size_t len)
{
	seam_shorten(len);
	party_write(guest);
	seam_reset();
}

bool
party_holds(void)
{
	return pressure_holds(&party.chat.pressure);
}

bool
party_asks(const struct guest *guest)
{
	return fdset_has(&party.chat.pool.class.readers, guest->sd);
}

bool
party_reading(void)
{
	return pressure_reading(&party.chat.pressure);
}

bool
party_writing(void)
{
	return !backoff_rests(&party.chat.pressure.kernel);
}

int64_t
party_expire(void)
{
	look();
	return chat_run_due(&party.chat);
}

/* Descriptor numbers differ from run to run: guests go by letters, A the first. */
static const char *
with_letters(char *text)
{
	static const char *const before[] = {"sd ", "Descriptor "};

	for (size_t i = 0; i < LENGTH(before); i++)
		for (char *at = text; (at = strstr(at, before[i])) != NULL;) {
			char *end;
			long sd = strtol(at += strlen(before[i]), &end, 10);

			for (int k = 0; k < party.count; k++)
				if (end > at && sd == party.guests[k].sd) {
					*at = (char)('A' + k);
					memmove(at + 1, end, strlen(end) + 1);
					break;
				}
		}
	return text;
}

const char *
party_trace(void)
{
	static char text[1 << 20];

	trace_flush();
	strcpy(text, caught(STDOUT_FILENO));
	return with_letters(text);
}

const char *
party_log(void)
{
	static char text[1 << 20];

	strcpy(text, caught(STDERR_FILENO));
	return with_letters(text);
}
