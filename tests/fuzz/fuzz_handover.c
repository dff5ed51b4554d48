/*
 * The states that a chatd takes over, damaged and foreign ones too.
 *
 * A chat with up to PEOPLE clients goes on for a while, over real sockets; then its process is as
 * if killed, perhaps in the middle of a recv or a send. What it left is damaged. The next chatd
 * opens it the way that a start does, and goes on, with a newcomer. It must not crash, hang or
 * leak, and each client hears what was said, whole and in order, if nothing was damaged; otherwise
 * nothing but bytes of what was said, or its end.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/param.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "base/systemd.h"
#include "heritage.h"
#include "memory.h"
#include "real.h"
#include "seam.h"
#include "wire/ledger.h"
#include "wire/relay.h"
#include "wire/safe.h"

#define PEOPLE  6
#define HIGHEST 200 /* numbers above belong to the journal and such */
#define OWN     400 /* and those of the clients' ends lie above this */
#define HEARD   65536

static struct {
	int fd; /* its own end, or -1 */
	int sd; /* chatd's */
	bool is_in;
	char *want; /* what it has to hear, of which so much has come */
	size_t len, heard;
	char piece[HEARD]; /* of a line that it has begun */
	size_t begun;
} people[PEOPLE];
static struct loop loop;
static struct chat chat;
static struct config *config;
static struct notify notify;
static int manager; /* the end where what is told arrives */
static unsigned said;
static bool exact; /* what is heard can be foretold */
static int unread; /* who may have said something that was not read yet, or -1 */

static int
raised(int fd, int least)
{
	int high = fcntl(fd, F_DUPFD_CLOEXEC, least);

	check(high >= least);
	close(fd);
	return high;
}

static void
no_fault(int level, const char *text)
{
	die("%d: %s", level, text);
}

static void
configure(struct input *input)
{
	static const char *const settings[] = {
	    "", /* the only ones where nobody is held or told anything */
	    "limits = { line = 64; queue = 1024; };",
	    "sanitize = true;",
	    "mode = \"chat\"; history = 256; limits = { queue = 1024; };",
	    "mode = \"chat\"; limits = { rate = 1000; };",
	};
	uint8_t which = take_byte(input) % (sizeof(settings) / sizeof(settings[0]));

	config = config_parse(settings[which], "fuzz", 0, no_fault);
	check(config != NULL);
	exact = which == 0;
}

static void
begin(void)
{
	loop_init(&loop);
	chat_init(&chat, config, NULL, &loop);
}

/* The manager takes what it is told, and closes what it is given. */
static void
hear_manager(void)
{
	for (;;) {
		char text[256];
		union {
			char bytes[CMSG_SPACE(sizeof(int))];
			struct cmsghdr header;
		} control;
		struct iovec iov = {.iov_base = text, .iov_len = sizeof(text)};
		struct msghdr hdr = {.msg_iov = &iov,
		    .msg_iovlen = 1,
		    .msg_control = control.bytes,
		    .msg_controllen = sizeof(control.bytes)};
		struct cmsghdr *cmsg;
		int fd;

		if (recvmsg(manager, &hdr, MSG_DONTWAIT | MSG_CMSG_CLOEXEC) < 0)
			return;
		if ((cmsg = CMSG_FIRSTHDR(&hdr)) != NULL) {
			memcpy(&fd, CMSG_DATA(cmsg), sizeof(fd));
			close(fd);
		}
	}
}

static void
pass(void)
{
	tell("pass");
	real_now += CLOCK_SECOND / 100;
	pressure_apply(&chat.pressure);
	check(loop_wait(&loop, 0) == 0);
	loop_read(&loop);
	chat_deliver(&chat);
	loop_write(&loop);
	chat_run_due(&chat);
	unread = -1;
}

/* So that what is said is read in that order. */
static void
settle(int speaker)
{
	if (unread >= 0 && unread != speaker)
		pass();
}

/* only_safe: it was accepted, and nothing more. */
static void
come(int i, bool only_safe)
{
	struct addr addr = {.family = AF_UNIX, .peer = {.pid = i, .uid = 1}};
	int pair[2];

	if (people[i].fd >= 0)
		return;
	settle(-1);
	check(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) == 0);
	people[i].fd = raised(pair[0], OWN);
	people[i].sd = pair[1];
	people[i].len = people[i].heard = people[i].begun = 0;
	tell("%d comes as %d%s", i, pair[1], only_safe ? ", only to the safe" : "");
	clock_tick();
	check(safe_put_accepted(pair[1]));
	if (only_safe) {
		close(pair[1]);
		return;
	}
	people[i].is_in = admission_receive(&chat.admission, pair[1], &addr, false);
}

/* Puts down what everybody else has to hear. */
static void
expect(int speaker, const char *text, size_t len)
{
	for (int i = 0; i < PEOPLE; i++)
		if (i != speaker && people[i].is_in && people[i].len + len < HEARD) {
			memcpy(people[i].want + people[i].len, text, len);
			people[i].len += len;
		}
}

static void
close_end(int i)
{
	if (people[i].fd >= 0)
		close(people[i].fd);
	people[i].fd = -1;
	people[i].is_in = false;
}

/* A line that it has begun ends there. */
static void
go(int i)
{
	if (people[i].fd < 0)
		return;
	settle(i);
	if (people[i].begun > 0) {
		people[i].piece[people[i].begun++] = '\n';
		expect(i, people[i].piece, people[i].begun);
	}
	tell("%d goes", i);
	close_end(i);
	/* What it said, perhaps a reset, and its end. */
	for (int k = 0; k < 3; k++)
		pass();
}

/* A line, or a piece of one. */
static void
say(int i, uint8_t how)
{
	char text[64];
	int len;

	if (people[i].fd < 0 || people[i].begun > HEARD / 2)
		return;
	settle(i);
	len = snprintf(text, sizeof(text), "%u said %.*s%s", said++, how % 32,
	    "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz", how % 4 == 0 ? "" : "\n");
	if (send(people[i].fd, text, (size_t)len, MSG_DONTWAIT | MSG_NOSIGNAL) != len)
		return;
	unread = i;
	tell("%d says %s", i, text);
	memcpy(people[i].piece + people[i].begun, text, (size_t)len);
	people[i].begun += (size_t)len;
	if (how % 4 != 0) {
		expect(i, people[i].piece, people[i].begun);
		people[i].begun = 0;
	}
}

/* any: whoever damaged the journal knew how, so that it may be anything. */
static void
hear(int i, bool any)
{
	char text[4096];
	ssize_t n;

	if (people[i].fd < 0)
		return;
	while ((n = recv(people[i].fd, text, sizeof(text), MSG_DONTWAIT)) > 0) {
		for (ssize_t k = 0; k < n && !any; k++)
			if (text[k] != '\n' && (text[k] < ' ' || text[k] > '~'))
				die("%d hears byte %#x", i, (unsigned char)text[k]);
		if (!exact || !people[i].is_in)
			continue;
		if (people[i].heard + (size_t)n > people[i].len ||
		    memcmp(people[i].want + people[i].heard, text, (size_t)n) != 0)
			die("%d hears:\n%.*s\ninstead of:\n%.*s", i, (int)n, text,
			    (int)(people[i].len - people[i].heard),
			    people[i].want + people[i].heard);
		people[i].heard += (size_t)n;
	}
}

/* Life before the kill. Returns how it is killed. */
static uint8_t
live(struct input *input)
{
	for (int steps = take_byte(input) % 32; steps > 0; steps--) {
		uint8_t what = take_byte(input), how = take_byte(input);
		int i = how % PEOPLE;

		switch (what % 8) {
		case 0:
			come(i, false);
			break;
		case 1:
		case 2:
			say(i, how / PEOPLE);
			break;
		case 3:
			if (how < 32)
				go(i);
			break;
		case 4:
			real_now += how * CLOCK_SECOND / 4;
			break;
		case 5:
			hear(i, false);
			break;
		default:
			pass();
		}
	}
	return take_byte(input);
}

/* The last thing that it does is a recv, or a send, and that is not recorded. */
static void
do_unrecorded(uint8_t how)
{
	int i = how / 4 % PEOPLE, sd = people[i].sd;
	struct conn *conn;
	struct iovec iov;

	if (how % 4 == 3)
		come(i, true);
	if (how % 4 == 0 || how % 4 == 3 || people[i].fd < 0 || !fdset_has(&chat.pool.members, sd))
		return;
	conn = chat.pool.conns[sd];
	if (how % 4 == 1 && !chat.speech.on) {
		struct reception got;

		if (conn_reserve(conn, &chat.broadcast.intake, 512) > 0)
			conn_read(conn, &chat.broadcast.intake, 512, &got);
	} else if (how % 4 == 2 && queue_iov(&conn->queue, &iov, 1) == 1) {
		ledger_settle();
		relay_send(sd, &iov, 1);
	}
}

/* All that is left of the process is what others have. */
static void
kill_it(struct heritage *heritage, struct input *input)
{
	const int fds[HANDOVER_KEPT] = {journal->fd, safe.out, safe.in, relay.out, relay.in};

	tell("killed");
	chat_leave(&chat);
	loop_free(&loop);
	for (int i = 0; i < HANDOVER_KEPT; i++)
		check((heritage->fds[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, HIGHEST + 50)) > 0);
	heritage_damage(heritage, input);
	journal_close();
	safe_close();
	relay_close();
}

static void
succeed(struct handover *handover, const struct heritage *heritage)
{
	begin();
	*handover = HANDOVER_NONE;
	for (int i = 0; i < HANDOVER_KEPT; i++)
		handover->kept[i] = heritage->fds[i];
	check(handover_open(handover, &chat, config, &notify, HIGHEST) == 0);
	check(chat_reserve(&chat, config, HIGHEST) == 0);
	check(handover_finish(handover, &notify) == 0);
	check(handover->on);
	hear_manager();
}

static void
close_all(struct handover *handover)
{
	chat_free(&chat);
	handover_close(handover, &notify);
	handover_free(handover);
	loop_free(&loop);
	hear_manager();
	notify_close(&notify);
	close(manager);
	for (int i = 0; i < PEOPLE; i++)
		close_end(i);
	config_free(config);
}

static int
open_files(void)
{
	DIR *folder = opendir("/proc/self/fd");
	int count = 0;

	check(folder != NULL);
	while (readdir(folder) != NULL)
		count++;
	closedir(folder);
	return count;
}

static void
open_manager(void)
{
	int pair[2];

	check(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, pair) == 0);
	manager = raised(pair[0], OWN);
	notify = (struct notify){.fd = raised(pair[1], OWN), .path = "@fuzz"};
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char want[PEOPLE][HEARD];
	struct input input = {data, size};
	struct heritage heritage = {.fds = {-1, -1, -1, -1, -1}};
	struct handover handover = HANDOVER_NONE;
	size_t blocks = memory.blocks;
	int files = open_files();

	signal(SIGPIPE, SIG_IGN); /* as signals_open does */
	memory_reset();
	real_now = 1000 * CLOCK_SECOND;
	real_managed = true;
	said = 0;
	unread = -1;
	for (int i = 0; i < PEOPLE; i++) {
		people[i].fd = -1;
		people[i].is_in = false;
		people[i].begun = 0;
		people[i].want = want[i];
	}
	configure(&input);
	open_manager();
	begin();
	check(handover_open(&handover, &chat, config, &notify, HIGHEST) == 0 && handover.on);
	check(chat_reserve(&chat, config, HIGHEST) == 0);
	check(handover_finish(&handover, &notify) == 0);
	hear_manager();
	do_unrecorded(live(&input));
	kill_it(&heritage, &input);
	handover_free(&handover);
	succeed(&handover, &heritage);
	exact &= !heritage.touched;
	for (int i = 0; i < 8; i++)
		pass();
	handover_proved(&handover);
	go(0);
	come(0, false);
	say(0, 1);
	for (int i = 0; i < 4; i++)
		pass();
	for (int i = 0; i < PEOPLE; i++) {
		hear(i, heritage.meant);
		check(!exact || !people[i].is_in || people[i].heard == people[i].len);
	}
	close_all(&handover);
	if (memory.blocks != blocks || open_files() != files)
		die("left: %zu blocks, %d files", memory.blocks - blocks, open_files() - files);
	return 0;
}
