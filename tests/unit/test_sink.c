#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <syslog.h>
#include <termios.h>
#include <unistd.h>

#include "base/sink.h"
#include "seam.h"

static struct sink sink;

static bool
is_nonblocking(int fd)
{
	return (fcntl(fd, F_GETFL) & O_NONBLOCK) != 0;
}

/* A pipe that holds one page. */
static void
make_pipe(int ends[2])
{
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	fcntl(ends[1], F_SETPIPE_SZ, 4096);
	set_nonblocking(ends[0]);
}

static void
close_both(const int ends[2])
{
	close(ends[0]);
	close(ends[1]);
}

TEST(lines_gather_until_the_flush_and_leave_in_one_write)
{
	int pair[2];
	char packet[64];
	ssize_t n;

	/* Each write is one packet. */
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	sink_open(&sink, pair[1]);
	sink_line(&sink, LOG_INFO, "one");
	sink_line(&sink, LOG_INFO, "%s %d", "two", 2);
	assert_int_equal(recv(pair[0], packet, sizeof(packet), MSG_DONTWAIT), -1);
	assert_true(sink_flush(&sink));
	n = recv(pair[0], packet, sizeof(packet), MSG_DONTWAIT);
	assert_int_equal(n, 10);
	assert_memory_equal(packet, "one\ntwo 2\n", 10);
	/* An empty sink writes nothing. */
	assert_true(sink_flush(&sink));
	assert_int_equal(recv(pair[0], packet, sizeof(packet), MSG_DONTWAIT), -1);
	sink_close(&sink);
	close_both(pair);
}

TEST(a_text_that_is_ready_is_a_line_like_any_other)
{
	int ends[2];
	char text[] = "one and more";

	make_pipe(ends);
	sink_open(&sink, ends[1]);
	sink_text(&sink, LOG_DEBUG, text, 3);
	sink_text(&sink, LOG_DEBUG, "", 0);
	sink_line(&sink, LOG_DEBUG, "two");
	sink.journal = true;
	sink_text(&sink, LOG_DEBUG, "three", 5);
	sink.journal = false;
	sink_close(&sink);
	assert_string_equal(get_text(ends[0], NULL), "one\n\ntwo\n<7>three\n");
	close_both(ends);
}

TEST(a_text_that_fills_the_room_passes_and_one_byte_more_does_not)
{
	static char text[SINK_ROOM];
	int ends[2];

	memset(text, 'x', sizeof(text));
	make_pipe(ends);
	sink_open(&sink, ends[1]);
	sink_text(&sink, LOG_DEBUG, text, SINK_ROOM);
	assert_int_equal(sink.len, 0);
	assert_int_equal(sink_dropped(&sink), 1);
	sink_text(&sink, LOG_DEBUG, text, SINK_ROOM - 1);
	assert_int_equal(sink.len, SINK_ROOM);
	/* It finds no room, but makes some. */
	sink_text(&sink, LOG_DEBUG, "more", 4);
	assert_true(sink.len < SINK_ROOM);
	assert_memory_equal(sink.data + sink.len - 5, "more\n", 5);
	sink.journal = true;
	sink.len = 0;
	sink_text(&sink, LOG_DEBUG, text, SINK_ROOM - 3);
	assert_int_equal(sink.len, 0);
	sink_text(&sink, LOG_DEBUG, text, SINK_ROOM - 4);
	assert_int_equal(sink.len, SINK_ROOM);
	sink.len = 0;
	sink_close(&sink);
	close_both(ends);
}

TEST(closing_writes_what_waits_and_leaves_the_descriptor_open)
{
	int ends[2];

	make_pipe(ends);
	sink_open(&sink, ends[1]);
	sink_line(&sink, LOG_INFO, "last");
	sink_close(&sink);
	assert_string_equal(get_text(ends[0], NULL), "last\n");
	assert_true(is_open(ends[1]));
	close_both(ends);
}

/* What arrived so far: whole lines "line NUMBER", and the piece after them. */
struct arrival {
	char piece[128];
	size_t len;
	long last, count;
};

static void
arrive(struct arrival *arrival, const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		long number;
		char end;

		assert_true(arrival->len < sizeof(arrival->piece) - 1);
		arrival->piece[arrival->len++] = text[i];
		if (text[i] != '\n')
			continue;
		arrival->piece[arrival->len] = '\0';
		/* Lines may be missing, but each is whole and none is out of order. */
		assert_int_equal(sscanf(arrival->piece, "line %ld of many%c", &number, &end), 2);
		assert_int_equal(end, '\n');
		assert_true(number > arrival->last);
		arrival->last = number;
		arrival->count++;
		arrival->len = 0;
	}
}

/* Writes many lines for a reader that reads now and then. writer is blocking by itself. */
static void
write_for_a_slow_reader(int reader, int writer)
{
	static char text[1 << 18];
	struct arrival arrival = {.last = -1};
	unsigned long dropped = 0;
	long written = 0;
	bool blocked = false;

	random_start();
	sink_open(&sink, writer);
	for (int pass = 0; pass < 4000; pass++) {
		/* First a reader that sleeps, then one that wakes up sometimes. */
		bool reads = pass > 2500 && random_below(4) == 0;

		for (uint32_t i = random_below(20); i > 0; i--)
			sink_line(&sink, LOG_INFO, "line %ld of many", written++);
		blocked |= !sink_flush(&sink);
		assert_true(sink.len <= SINK_ROOM);
		if (reads) {
			ssize_t n = read(reader, text, 1 + random_below(sizeof(text) - 1));

			if (n > 0)
				arrive(&arrival, text, (size_t)n);
		}
		dropped += sink_dropped(&sink);
	}
	assert_true(blocked);
	while (!sink_flush(&sink)) {
		ssize_t n = read(reader, text, sizeof(text));

		assert_true(n > 0);
		arrive(&arrival, text, (size_t)n);
	}
	for (ssize_t n; (n = read(reader, text, sizeof(text))) > 0;)
		arrive(&arrival, text, (size_t)n);
	dropped += sink_dropped(&sink);
	assert_int_equal(arrival.len, 0);
	assert_true(dropped > 0);
	assert_int_equal((unsigned long)arrival.count + dropped, written);
	sink_close(&sink);
}

TEST(a_full_pipe_never_blocks_and_loses_whole_lines_only_which_are_counted)
{
	int ends[2];

	make_pipe(ends);
	write_for_a_slow_reader(ends[0], ends[1]);
	close_both(ends);
}

TEST(a_full_socket_never_blocks_and_loses_whole_lines_only_which_are_counted)
{
	int pair[2], small = 4096;

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	setsockopt(pair[1], SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
	set_nonblocking(pair[0]);
	write_for_a_slow_reader(pair[0], pair[1]);
	assert_false(is_nonblocking(pair[1]));
	close_both(pair);
}

TEST(drops_are_told_once_and_not_before_there_is_room)
{
	int ends[2];
	long dropped;

	make_pipe(ends);
	stuff(ends[0]); /* the reading end takes nothing */
	sink_open(&sink, ends[1]);
	stuff(ends[1]);
	for (int i = 0; i < SINK_ROOM; i++)
		sink_line(&sink, LOG_INFO, "x");
	/* Two bytes each: half of them found room. */
	assert_false(sink_flush(&sink));
	assert_int_equal(sink_dropped(&sink), 0);
	while (!sink_flush(&sink))
		get_text(ends[0], NULL);
	dropped = (long)sink_dropped(&sink);
	assert_int_equal(dropped, SINK_ROOM / 2);
	assert_int_equal(sink_dropped(&sink), 0);
	sink_close(&sink);
	close_both(ends);
}

TEST(a_line_that_fills_the_room_passes_and_one_byte_more_does_not)
{
	static char text[SINK_ROOM + 1];
	int memory = memfd_create("file", MFD_CLOEXEC);

	memset(text, 'x', SINK_ROOM);
	sink_open(&sink, memory);
	text[SINK_ROOM - 1] = '\0'; /* and its line end */
	sink_line(&sink, LOG_INFO, "%s", text);
	assert_int_equal(sink.len, SINK_ROOM);
	assert_true(sink_flush(&sink));
	assert_int_equal(lseek(memory, 0, SEEK_CUR), SINK_ROOM);
	text[SINK_ROOM - 1] = 'x';
	sink_line(&sink, LOG_INFO, "%s", text);
	assert_true(sink_flush(&sink));
	assert_int_equal(lseek(memory, 0, SEEK_CUR), SINK_ROOM);
	assert_int_equal(sink_dropped(&sink), 1);
	sink_close(&sink);
	close(memory);
}

TEST(a_line_that_finds_no_room_makes_some_where_the_reader_is_awake)
{
	static char text[SINK_ROOM];
	int memory = memfd_create("file", MFD_CLOEXEC);

	memset(text, 'x', SINK_ROOM - 1);
	sink_open(&sink, memory);
	for (int i = 0; i < 5; i++)
		sink_line(&sink, LOG_INFO, "%s", text);
	assert_true(sink_flush(&sink));
	assert_int_equal(lseek(memory, 0, SEEK_CUR), 5 * SINK_ROOM);
	assert_int_equal(sink_dropped(&sink), 0);
	sink_close(&sink);
	close(memory);
}

TEST(a_pipe_shared_with_others_stays_blocking_for_them)
{
	int ends[2], theirs;

	make_pipe(ends);
	theirs = dup(ends[1]);
	sink_open(&sink, ends[1]);
	assert_false(is_nonblocking(theirs));
	assert_true(is_nonblocking(ends[1]));
	sink_line(&sink, LOG_INFO, "text");
	sink_close(&sink);
	assert_false(is_nonblocking(theirs));
	assert_string_equal(get_text(ends[0], NULL), "text\n");
	close(theirs);
	close_both(ends);
}

/* A named pipe without a reader cannot be opened once more. */
TEST(where_opening_anew_is_refused_the_shared_flag_is_given_back)
{
	const char *fifo;
	int reader, writer, theirs;

	folder_make();
	fifo = in_folder("fifo");
	assert_int_equal(mkfifo(fifo, 0600), 0);
	reader = open(fifo, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	writer = open(fifo, O_WRONLY | O_CLOEXEC);
	assert_true(reader >= 0 && writer >= 0);
	close(reader);
	theirs = dup(writer);
	sink_open(&sink, writer);
	assert_true(is_nonblocking(theirs));
	sink_close(&sink);
	assert_false(is_nonblocking(theirs));
	/* Somebody else's flag is not taken away. */
	set_nonblocking(theirs);
	sink_open(&sink, writer);
	sink_close(&sink);
	assert_true(is_nonblocking(theirs));
	close(theirs);
	close(writer);
	folder_remove();
}

static void
expect_end(int error)
{
	sink_line(&sink, LOG_INFO, "lost");
	assert_true(sink_flush(&sink));
	assert_int_equal(sink.error, error);
	assert_true(sink.ended);
	/* From now on lines cost nothing. */
	for (int i = 0; i < 100000; i++)
		sink_line(&sink, LOG_INFO, "lost");
	assert_int_equal(sink.len, 0);
	assert_true(sink_flush(&sink));
	assert_int_equal(sink_dropped(&sink), 0);
	sink_close(&sink);
}

TEST(a_reader_that_has_gone_ends_the_sink)
{
	int ends[2];

	make_pipe(ends);
	sink_open(&sink, ends[1]);
	close(ends[0]);
	expect_end(EPIPE);
	close(ends[1]);
	make_pipe(ends);
	sink_open(&sink, ends[1]);
	close(ends[1]);
	expect_end(EBADF);
	close(ends[0]);
	make_pair(ends);
	sink_open(&sink, ends[1]);
	close(ends[0]);
	expect_end(EPIPE);
	close(ends[1]);
}

/* A timer is a descriptor that is not for writing. */
TEST(what_cannot_be_written_to_ends_the_sink)
{
	int timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);

	assert_true(timer >= 0);
	sink_open(&sink, timer);
	expect_end(EINVAL);
	close(timer);
}

TEST(a_sink_that_has_ended_can_be_opened_anew)
{
	int ends[2];

	make_pipe(ends);
	sink_open(&sink, ends[1]);
	close(ends[0]);
	expect_end(EPIPE);
	close(ends[1]);
	make_pipe(ends);
	sink_open(&sink, ends[1]);
	assert_int_equal(sink.error, 0);
	sink_line(&sink, LOG_INFO, "again");
	assert_true(sink_flush(&sink));
	assert_string_equal(get_text(ends[0], NULL), "again\n");
	sink_close(&sink);
	close_both(ends);
}

TEST(opening_leaves_no_descriptor_behind)
{
	int ends[2], before;

	make_pipe(ends);
	before = open_descriptors();
	sink_open(&sink, ends[1]);
	assert_int_equal(open_descriptors(), before);
	sink_close(&sink);
	close_both(ends);
}

TEST(a_descriptor_that_is_not_open_ends_the_sink)
{
	int ends[2];

	make_pipe(ends);
	close_both(ends);
	sink_open(&sink, ends[1]);
	assert_int_equal(sink.error, EBADF);
	expect_end(EBADF);
}

TEST(a_full_disk_costs_lines_and_the_sink_goes_on_when_there_is_room)
{
	int full = open("/dev/full", O_WRONLY | O_CLOEXEC), memory;

	sink_open(&sink, full);
	for (int i = 0; i < 3; i++)
		sink_line(&sink, LOG_INFO, "lost");
	assert_true(sink_flush(&sink));
	assert_int_equal(sink.error, ENOSPC);
	assert_false(sink.ended);
	assert_int_equal(sink_dropped(&sink), 0);
	/* Somebody has made room. */
	memory = memfd_create("disk", MFD_CLOEXEC);
	dup2(memory, full);
	sink_line(&sink, LOG_INFO, "kept");
	assert_true(sink_flush(&sink));
	assert_int_equal(sink.error, 0);
	assert_int_equal(sink_dropped(&sink), 3);
	assert_int_equal(lseek(memory, 0, SEEK_CUR), 5);
	sink_close(&sink);
	close(full);
	close(memory);
}

TEST(a_line_that_a_full_disk_has_cut_is_completed_when_there_is_room)
{
	struct rlimit before, few = {.rlim_cur = 10};
	char text[64] = "";
	int fd = memfd_create("full", MFD_CLOEXEC);

	/* What ignores a full disk is told of this one in the same way. */
	signal(SIGXFSZ, SIG_IGN);
	getrlimit(RLIMIT_FSIZE, &before);
	few.rlim_max = before.rlim_max;
	sink_open(&sink, fd);
	sink_line(&sink, LOG_INFO, "first");
	sink_line(&sink, LOG_INFO, "second");
	sink_line(&sink, LOG_INFO, "third");
	setrlimit(RLIMIT_FSIZE, &few);
	sink_flush(&sink);
	sink_flush(&sink);
	setrlimit(RLIMIT_FSIZE, &before);
	sink_line(&sink, LOG_INFO, "fourth");
	assert_true(sink_flush(&sink));
	assert_int_equal(pread(fd, text, sizeof(text) - 1, 0), 20);
	assert_string_equal(text, "first\nsecond\nfourth\n");
	assert_int_equal(sink_dropped(&sink), 1);
	sink_close(&sink);
	close(fd);
}

TEST(a_file_is_written_where_it_ends)
{
	int memory = memfd_create("file", MFD_CLOEXEC);
	char text[32] = "";

	assert_int_equal(write(memory, "before\n", 7), 7);
	sink_open(&sink, memory);
	sink_line(&sink, LOG_INFO, "after");
	sink_close(&sink);
	assert_int_equal(pread(memory, text, sizeof(text), 0), 13);
	assert_string_equal(text, "before\nafter\n");
	assert_false(is_nonblocking(memory));
	close(memory);
}

TEST(a_terminal_shows_the_lines_and_stays_blocking_for_its_shell)
{
	int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC), terminal, shell;
	struct termios raw;

	assert_true(master >= 0);
	assert_int_equal(grantpt(master), 0);
	assert_int_equal(unlockpt(master), 0);
	shell = open(ptsname(master), O_RDWR | O_NOCTTY | O_CLOEXEC);
	assert_true(shell >= 0);
	tcgetattr(shell, &raw);
	cfmakeraw(&raw);
	tcsetattr(shell, TCSANOW, &raw);
	terminal = dup(shell);
	set_nonblocking(master);
	sink_open(&sink, terminal);
	assert_false(is_nonblocking(shell));
	sink_line(&sink, LOG_INFO, "seen");
	assert_true(sink_flush(&sink));
	assert_string_equal(get_text(master, NULL), "seen\n");
	/* A terminal that is held with ^S or not read takes only so much. */
	for (int i = 0; i < SINK_ROOM; i++)
		sink_line(&sink, LOG_INFO, "xxxxxxxxxxxxxxx");
	assert_false(sink_flush(&sink));
	sink_close(&sink);
	close(terminal);
	close(shell);
	close(master);
}

static const char *
journal_stream(int fd, int change)
{
	static char text[64];
	struct stat st;

	fstat(fd, &st);
	snprintf(text, sizeof(text), "%ju:%ju", (uintmax_t)st.st_dev,
	    (uintmax_t)st.st_ino + (uintmax_t)change);
	return text;
}

TEST(lines_bear_their_level_where_the_stream_is_the_journals)
{
	int pair[2];

	make_pair(pair);
	setenv("JOURNAL_STREAM", journal_stream(pair[1], 0), 1);
	sink_open(&sink, pair[1]);
	sink_line(&sink, LOG_DEBUG, "trace");
	sink_line(&sink, LOG_ERR, "error");
	sink_close(&sink);
	assert_string_equal(get_text(pair[0], NULL), "<7>trace\n<3>error\n");
	close_both(pair);
}

TEST(lines_bear_no_level_where_it_is_not)
{
	int pair[2];

	make_pair(pair);
	for (int i = 0; i < 5; i++) {
		switch (i) {
		case 0:
			unsetenv("JOURNAL_STREAM");
			break;
		case 1:
			setenv("JOURNAL_STREAM", journal_stream(pair[1], 1), 1);
			break;
		case 2:
			setenv("JOURNAL_STREAM", "", 1);
			break;
		case 3:
			setenv("JOURNAL_STREAM", "nonsense", 1);
			break;
		case 4:
			setenv("JOURNAL_STREAM", "8:", 1);
			break;
		}
		sink_open(&sink, pair[1]);
		sink_line(&sink, LOG_DEBUG, "trace");
		sink_close(&sink);
		assert_string_equal(get_text(pair[0], NULL), "trace\n");
	}
	close_both(pair);
}

TEST(a_level_counts_for_the_room_of_a_line)
{
	static char text[SINK_ROOM];
	int memory = memfd_create("file", MFD_CLOEXEC);

	memset(text, 'x', SINK_ROOM - 1);
	setenv("JOURNAL_STREAM", journal_stream(memory, 0), 1);
	sink_open(&sink, memory);
	text[SINK_ROOM - 4] = '\0';
	sink_line(&sink, LOG_DEBUG, "%s", text);
	assert_int_equal(sink.len, SINK_ROOM);
	assert_true(sink_flush(&sink));
	text[SINK_ROOM - 4] = 'x';
	text[SINK_ROOM - 3] = '\0';
	sink_line(&sink, LOG_DEBUG, "%s", text);
	assert_int_equal(sink_dropped(&sink), 1);
	assert_int_equal(lseek(memory, 0, SEEK_CUR), SINK_ROOM);
	sink_close(&sink);
	close(memory);
}

/* A journal whose stream breaks. next: what opening it anew gives, or -1. */
static int stream[2], next, asked;
static int64_t now;

static int
open_journal(void)
{
	int fd = next;

	asked++;
	next = -1;
	errno = ECONNREFUSED;
	return fd;
}

static void
set_time(int64_t time)
{
	now = time;
	seam_pass_at(now);
}

static void
open_stream(void)
{
	make_pair(stream);
	setenv("JOURNAL_STREAM", journal_stream(stream[1], 0), 1);
	sink_open(&sink, stream[1]);
	seam_set_journal(open_journal);
	asked = 0;
	next = -1;
	set_time(1000 * CLOCK_SECOND);
}

static void
break_stream(void)
{
	close(stream[0]);
}

/* The journal listens again. */
static void
mend_stream(void)
{
	int pair[2];

	make_pair(pair);
	stream[0] = pair[0];
	next = pair[1];
}

static void
close_stream(void)
{
	sink_close(&sink);
	seam_reset();
	close_both(stream);
}

TEST(a_stream_of_the_journal_that_breaks_is_opened_anew_and_nothing_is_lost)
{
	int before;

	open_stream();
	before = open_descriptors();
	break_stream();
	mend_stream();
	sink_line(&sink, LOG_INFO, "one");
	assert_true(sink_flush(&sink));
	assert_string_equal(get_text(stream[0], NULL), "<6>one\n");
	sink_line(&sink, LOG_INFO, "two");
	assert_true(sink_flush(&sink));
	assert_string_equal(get_text(stream[0], NULL), "<6>two\n");
	/* Under its number, and no other one stays. */
	assert_int_equal(sink.fd, stream[1]);
	assert_int_equal(open_descriptors(), before);
	assert_int_equal(asked, 1);
	assert_int_equal(sink_dropped(&sink), 0);
	close_stream();
}

TEST(a_journal_that_is_away_is_asked_at_most_once_a_second_and_only_for_a_line)
{
	open_stream();
	break_stream();
	sink_line(&sink, LOG_INFO, "one");
	/* There is nothing to wait for. */
	assert_true(sink_flush(&sink));
	assert_int_equal(asked, 1);
	for (int i = 0; i < 10; i++) {
		sink_line(&sink, LOG_INFO, "line %d", i);
		assert_true(sink_flush(&sink));
	}
	set_time(now + SINK_AGAIN - 1);
	assert_true(sink_flush(&sink));
	assert_int_equal(asked, 1);
	set_time(now + 1);
	assert_true(sink_flush(&sink));
	assert_int_equal(asked, 2);
	mend_stream();
	set_time(now + SINK_AGAIN);
	assert_true(sink_flush(&sink));
	assert_int_equal(asked, 3);
	assert_memory_equal(get_text(stream[0], NULL), "<6>one\n<6>line 0\n", 17);
	/* With nothing to write, nothing is asked. */
	break_stream();
	set_time(now + 10 * SINK_AGAIN);
	assert_true(sink_flush(&sink));
	assert_int_equal(asked, 3);
	sink_close(&sink);
	assert_int_equal(asked, 3);
	seam_reset();
	close(stream[1]);
}

TEST(what_waits_for_the_journal_is_bounded_and_what_was_dropped_is_told)
{
	open_stream();
	break_stream();
	for (int i = 0; i < SINK_ROOM; i++)
		sink_line(&sink, LOG_INFO, "x");
	assert_true(sink_flush(&sink));
	assert_int_equal(sink_dropped(&sink), 0);
	mend_stream();
	set_time(now + SINK_AGAIN);
	while (!sink_flush(&sink))
		get_text(stream[0], NULL);
	/* Five bytes each. */
	assert_int_equal(sink_dropped(&sink), SINK_ROOM - SINK_ROOM / 5);
	close_stream();
}

TEST(a_line_of_which_the_old_stream_has_a_part_is_not_continued_in_the_new_one)
{
	int small = 4096;

	open_stream();
	setsockopt(stream[1], SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
	for (int i = 0; i < 3; i++) {
		char text[20000];

		memset(text, 'a' + i, sizeof(text) - 1);
		text[sizeof(text) - 1] = '\0';
		sink_line(&sink, LOG_INFO, "%s", text);
	}
	assert_false(sink_flush(&sink));
	assert_true(sink.torn);
	break_stream();
	mend_stream();
	while (!sink_flush(&sink))
		assert_true(get_text(stream[0], NULL)[0] != '\0');
	assert_int_equal(sink_dropped(&sink), 1);
	close_stream();
}

TEST(closing_tries_the_journal_once_more)
{
	open_stream();
	break_stream();
	sink_line(&sink, LOG_INFO, "last");
	assert_true(sink_flush(&sink));
	mend_stream();
	sink_close(&sink);
	assert_string_equal(get_text(stream[0], NULL), "<6>last\n");
	seam_reset();
	close_both(stream);
}

static int
no_journal(void)
{
	errno = ENOSYS;
	return -1;
}

TEST(without_a_way_to_the_journal_its_stream_ends_like_any_other)
{
	open_stream();
	seam_set_journal(no_journal);
	break_stream();
	expect_end(EPIPE);
	seam_reset();
	close(stream[1]);
}

static int
setup(void **state)
{
	(void)state;
	unsetenv("JOURNAL_STREAM");
	return 0;
}

#define SINK_TEST(name) cmocka_unit_test_setup(name, setup)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    SINK_TEST(lines_gather_until_the_flush_and_leave_in_one_write),
	    SINK_TEST(a_text_that_is_ready_is_a_line_like_any_other),
	    SINK_TEST(a_text_that_fills_the_room_passes_and_one_byte_more_does_not),
	    SINK_TEST(closing_writes_what_waits_and_leaves_the_descriptor_open),
	    SINK_TEST(a_full_pipe_never_blocks_and_loses_whole_lines_only_which_are_counted),
	    SINK_TEST(a_full_socket_never_blocks_and_loses_whole_lines_only_which_are_counted),
	    SINK_TEST(drops_are_told_once_and_not_before_there_is_room),
	    SINK_TEST(a_line_that_fills_the_room_passes_and_one_byte_more_does_not),
	    SINK_TEST(a_line_that_finds_no_room_makes_some_where_the_reader_is_awake),
	    SINK_TEST(a_pipe_shared_with_others_stays_blocking_for_them),
	    SINK_TEST(where_opening_anew_is_refused_the_shared_flag_is_given_back),
	    SINK_TEST(a_reader_that_has_gone_ends_the_sink),
	    SINK_TEST(what_cannot_be_written_to_ends_the_sink),
	    SINK_TEST(a_sink_that_has_ended_can_be_opened_anew),
	    SINK_TEST(opening_leaves_no_descriptor_behind),
	    SINK_TEST(a_descriptor_that_is_not_open_ends_the_sink),
	    SINK_TEST(a_full_disk_costs_lines_and_the_sink_goes_on_when_there_is_room),
	    SINK_TEST(a_line_that_a_full_disk_has_cut_is_completed_when_there_is_room),
	    SINK_TEST(a_file_is_written_where_it_ends),
	    SINK_TEST(a_terminal_shows_the_lines_and_stays_blocking_for_its_shell),
	    SINK_TEST(lines_bear_their_level_where_the_stream_is_the_journals),
	    SINK_TEST(lines_bear_no_level_where_it_is_not),
	    SINK_TEST(a_level_counts_for_the_room_of_a_line),
	    SINK_TEST(a_stream_of_the_journal_that_breaks_is_opened_anew_and_nothing_is_lost),
	    SINK_TEST(a_journal_that_is_away_is_asked_at_most_once_a_second_and_only_for_a_line),
	    SINK_TEST(what_waits_for_the_journal_is_bounded_and_what_was_dropped_is_told),
	    SINK_TEST(a_line_of_which_the_old_stream_has_a_part_is_not_continued_in_the_new_one),
	    SINK_TEST(closing_tries_the_journal_once_more),
	    SINK_TEST(without_a_way_to_the_journal_its_stream_ends_like_any_other),
	};

	/* As the server does. */
	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests_name("sink", tests, NULL, NULL);
}
