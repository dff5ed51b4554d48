#include "party.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/trace.h"
#include "faults.h"
#include "seam.h"
#include "unit.h"

struct party party;

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
	pool_init(&party.pool, party.config);
	return 0;
}

int
party_teardown(void **state)
{
	(void)state;
	seam_reset();
	pool_free(&party.pool, "the party is over");
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
party_configure(const char *text)
{
	struct config *before = party.config;

	party.config = config_of(text);
	pool_reconfigure(&party.pool, party.config, party.now);
	config_free(before);
}

struct guest *
party_join(const char *address)
{
	struct guest *guest = &party.guests[party.count++];
	struct addr addr = {.family = AF_UNIX, .peer = {.pid = party.count, .uid = 0}};
	int pair[2];

	assert_true((size_t)party.count <= LENGTH(party.guests));
	if (address != NULL) {
		assert_int_equal(addr_parse(&addr, address), 0);
		addr.port = (uint16_t)party.count;
	}
	make_pair(pair);
	*guest = (struct guest){.fd = pair[0], .sd = pair[1]};
	assert_int_equal(pool_reserve(&party.pool, guest->sd), 0);
	assert_int_equal(pool_add(&party.pool, guest->sd, &addr, party.now), 0);
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

void
party_speak(const struct guest *guest, size_t len)
{
	size_t room = pool_room(&party.pool, 1);

	party_say(guest, party_line('x', len));
	for (size_t have = 0; have < len; have += room)
		party_read(guest);
}

const char *
party_hears(const struct guest *guest, bool *closed)
{
	return get_text(guest->fd, closed);
}

bool
party_has(const struct guest *guest)
{
	return fdset_has(&party.pool.members, guest->sd);
}

bool
party_pass(void)
{
	struct pollfd polls[LENGTH(party.guests)];
	int ready = 0;
	uint32_t readers = 0;
	size_t room;

	/* The guests came one after the other, so they are in ascending order. */
	for (int i = 0; i < party.count; i++) {
		int sd = party.guests[i].sd;
		bool here = fdset_has(&party.pool.members, sd);

		polls[i] = (struct pollfd){.fd = here ? sd : -1};
		if (here && pool_reading(&party.pool))
			polls[i].events |= POLLIN;
		if (here && pool_writing(&party.pool) && fdset_has(&party.pool.writers, sd))
			polls[i].events |= POLLOUT;
		if (polls[i].events == 0)
			polls[i].fd = -1;
		if (i > 0)
			assert_true(sd > party.guests[i - 1].sd);
	}
	poll(polls, (nfds_t)party.count, 0);
	for (int i = 0; i < party.count; i++) {
		if ((polls[i].events & POLLIN) != 0)
			readers += (polls[i].revents & (POLLIN | POLLHUP | POLLERR)) != 0;
		ready += polls[i].revents != 0;
	}
	room = pool_room(&party.pool, readers);
	for (int i = 0; i < party.count; i++)
		if ((polls[i].events & POLLIN) != 0 &&
		    (polls[i].revents & (POLLIN | POLLHUP | POLLERR)) != 0 &&
		    fdset_has(&party.pool.members, polls[i].fd))
			pool_read(&party.pool, polls[i].fd, room, party.now);
	pool_deliver(&party.pool, party.now);
	for (int i = 0; i < party.count; i++)
		if ((polls[i].events & POLLOUT) != 0 &&
		    (polls[i].revents & (POLLOUT | POLLHUP | POLLERR)) != 0 &&
		    fdset_has(&party.pool.writers, polls[i].fd))
			pool_write(&party.pool, polls[i].fd, party.now);
	expiry_run(&party.pool, party.now);
	pool_reap(&party.pool);
	return ready > 0;
}

void
party_settle(void)
{
	int passes = 0;

	while (party_pass())
		assert_true(++passes < 100000);
}

void
party_read(const struct guest *guest)
{
	pool_read(&party.pool, guest->sd, pool_room(&party.pool, 1), party.now);
	pool_deliver(&party.pool, party.now);
}

void
party_write(const struct guest *guest)
{
	pool_write(&party.pool, guest->sd, party.now);
}

void
party_write_some(const struct guest *guest, size_t len)
{
	seam_shorten(len);
	party_write(guest);
	seam_reset();
}

bool
party_reading(void)
{
	return pool_reading(&party.pool);
}

int64_t
party_expire(void)
{
	return expiry_run(&party.pool, party.now);
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
