#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/param.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "seam.h"
#include "wire/journal.h"
#include "wire/safe.h"

#define START (1000 * CLOCK_SECOND)

static bool live[200000]; /* by number */
static struct safe_batch seen[1024];
static int messages, sockets;

static int
setup(void **state)
{
	static const struct journal_need little = {.queue = 1};
	char error[JOURNAL_ERROR];

	(void)state;
	memset(live, 0, sizeof(live));
	seam_pass_at(START);
	return journal_create(&little, 8, error) < 0 ? -1 : safe_open();
}

static void
drop_seen(void)
{
	for (int i = 0; i < messages; i++)
		for (uint32_t k = 0; k < seen[i].count; k++)
			close(seen[i].fds[k]);
	messages = sockets = 0;
}

static int
teardown(void **state)
{
	(void)state;
	drop_seen();
	safe_close();
	journal_close();
	return 0;
}

static bool
is_live(int fd)
{
	return live[fd];
}

static void
take(struct safe_batch *batch, void *context)
{
	assert_ptr_equal(context, seen);
	assert_in_range(messages, 0, LENGTH(seen) - 1);
	seen[messages++] = *batch;
	sockets += (int)batch->count;
}

static void
look(void)
{
	drop_seen();
	assert_int_equal(safe_each(take, seen), 0);
}

/* A socket, with its number and in the safe. */
static int
put(void)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	live[fd] = true;
	assert_true(safe_put(fd));
	return fd;
}

static void
end(int fd)
{
	live[fd] = false;
	close(fd);
	safe_dead();
}

static bool
is_same(int a, int b)
{
	uint64_t first = 0, second = 1;
	socklen_t len = sizeof(first);

	getsockopt(a, SOL_SOCKET, SO_COOKIE, &first, &len);
	getsockopt(b, SOL_SOCKET, SO_COOKIE, &second, &len);
	return first == second;
}

/* Each of those is in some message, as itself. */
static void
expect_kept(const int *fds, int count)
{
	look();
	for (int i = 0; i < count; i++) {
		bool found = false;

		for (int m = 0; m < messages; m++)
			for (uint32_t k = 0; k < seen[m].count; k++)
				found |= seen[m].numbers[k] == (uint32_t)fds[i] &&
					 is_same(seen[m].fds[k], fds[i]);
		if (!found)
			fail_msg("%d of %d is not in the safe", i, count);
	}
}

TEST(what_was_put_in_is_seen_with_its_number_as_often_as_one_looks)
{
	int fds[3];

	for (int i = 0; i < 3; i++)
		fds[i] = put();
	for (int i = 0; i < 3; i++) {
		expect_kept(fds, 3);
		assert_int_equal(messages, 3);
		assert_int_equal(seen[0].serial, 0);
	}
	assert_int_equal(safe.messages, 3);
	assert_int_equal(safe.live, 3);
	for (int i = 0; i < 3; i++)
		close(fds[i]);
}

TEST(the_highest_number_is_found_and_nothing_changes)
{
	const uint32_t too_high[] = {0, 1, UINT32_MAX}; /* a serial, wide numbers, one */
	struct safe mine = safe;
	int fds[3];

	assert_int_equal(safe_highest(mine.out, mine.in), -1);
	safe = mine;
	for (int i = 0; i < 3; i++)
		fds[i] = put();
	mine = safe;
	assert_int_equal(safe_highest(mine.in, mine.out), MAX(fds[0], MAX(fds[1], fds[2])));
	assert_int_equal(safe.out, -1);
	safe = mine;
	expect_kept(fds, 3);
	assert_int_equal(safe_highest(-1, mine.in), -1);
	safe = mine;
	/* Damaged: nobody has such a number. */
	assert_int_equal(send(mine.in, too_high, sizeof(too_high), 0), sizeof(too_high));
	assert_int_equal(safe_highest(mine.out, mine.in), INT_MAX - 1);
	safe = mine;
	for (int i = 0; i < 3; i++)
		close(fds[i]);
}

TEST(those_for_which_there_is_no_descriptor_are_counted)
{
	struct rlimit limit, less;
	int fds[8];

	for (int i = 0; i < 8; i++)
		fds[i] = put();
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	less = limit;
	less.rlim_cur = (rlim_t)MAX(fds[7], MAX(safe.in, safe.out)) + 4;
	setrlimit(RLIMIT_NOFILE, &less);
	look();
	setrlimit(RLIMIT_NOFILE, &limit);
	assert_int_equal(safe.left, 5);
	look();
	assert_int_equal(safe.left, 0);
	for (int i = 0; i < 8; i++)
		close(fds[i]);
}

TEST(what_is_taken_out_is_closed_at_an_exec)
{
	int fd = put();

	look();
	assert_int_equal(fcntl(seen[0].fds[0], F_GETFD), FD_CLOEXEC);
	close(fd);
}

TEST(one_just_accepted_has_its_serial_number)
{
	int pair[2];

	make_pair(pair);
	journal->head->accepted = 41;
	assert_true(safe_put_accepted(pair[0]));
	look();
	assert_int_equal(seen[0].serial, 42);
	safe_forget_accepted(pair[0]);
	assert_int_equal(journal->head->accepted, 42);
	assert_int_equal(safe.dead, 1);
	/* Its end was told to the other side. */
	assert_int_equal(recv(pair[1], pair, 1, 0), 0);
	close(pair[0]);
	close(pair[1]);
}

TEST(a_large_number_is_kept_whole)
{
	const int large[] = {UINT16_MAX, UINT16_MAX + 1};
	struct rlimit limit;
	int kept = 0, fds[2];

	getrlimit(RLIMIT_NOFILE, &limit);
	for (int i = 0; i < 2; i++) {
		int fd = socket(AF_UNIX, SOCK_STREAM, 0);

		if ((fds[kept] = fcntl(fd, F_DUPFD, large[i])) == large[i]) {
			assert_true(safe_put(fds[kept]));
			live[fds[kept++]] = true;
		}
		close(fd);
	}
	if (kept == 0)
		note("only %ju open files here\n", (uintmax_t)limit.rlim_cur);
	expect_kept(fds, kept);
	while (kept > 0)
		close(fds[--kept]);
}

TEST(a_safe_that_is_full_says_so_and_keeps_what_it_has)
{
	int fds[4096], count = 0, fd, size = 65536;

	setsockopt(safe.in, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	while (count < 4096) {
		fds[count] = fd = socket(AF_UNIX, SOCK_STREAM, 0);
		if (fd < 0 || !safe_put(fd))
			break;
		live[fd] = true;
		count++;
	}
	assert_in_range(count, 10, 4095);
	assert_int_equal(safe.unkept, 1);
	assert_false(safe_put_accepted(fds[count]));
	assert_int_equal(safe.unkept, 2);
	close(fds[count]);
	assert_int_equal(safe.live, count);
	expect_kept(fds, count);
	/* Repacking needs room as well: it changes nothing while there is none. */
	safe.repack_at = START;
	safe_run_due(is_live);
	expect_kept(fds, count);
	assert_int_equal(sockets, count);
	while (count > 0)
		close(fds[--count]);
}

/* Repacking */

TEST(more_than_64_dead_and_a_quarter_of_the_live_are_repacked)
{
	int fds[8], dead[66];

	for (int i = 0; i < 8; i++)
		fds[i] = put();
	for (int i = 0; i < 66; i++)
		dead[i] = put();
	for (int i = 0; i < 66; i++) {
		assert_true(
		    safe_run_due(is_live) == (i == 0 ? CLOCK_NEVER : START + 10 * CLOCK_SECOND));
		assert_int_equal(safe.dead, i);
		end(dead[i]);
	}
	/* 64, and a quarter of 8. */
	assert_int_equal(safe.messages, 74);
	safe_run_due(is_live);
	assert_int_equal(safe.messages, 74);
	end(put());
	safe_run_due(is_live);
	assert_int_equal(safe.messages, 1);
	assert_int_equal(safe.dead, 0);
	expect_kept(fds, 8);
	assert_int_equal(sockets, 8);
	for (int i = 0; i < 8; i++)
		close(fds[i]);
}

TEST(few_dead_are_repacked_after_ten_seconds)
{
	int fd = put();

	end(put());
	seam_pass_at(START + 10 * CLOCK_SECOND - 1);
	assert_true(safe_run_due(is_live) == START + 10 * CLOCK_SECOND);
	assert_int_equal(safe.messages, 2);
	seam_pass_at(START + 10 * CLOCK_SECOND);
	assert_true(safe_run_due(is_live) == CLOCK_NEVER);
	assert_int_equal(safe.messages, 1);
	expect_kept(&fd, 1);
	close(fd);
}

TEST(more_than_160_messages_become_few)
{
	int fds[161];

	for (int i = 0; i < 160; i++)
		fds[i] = put();
	safe_run_due(is_live);
	assert_int_equal(safe.messages, 160);
	fds[160] = put();
	safe_run_due(is_live);
	assert_int_equal(safe.messages, 1);
	expect_kept(fds, 161);
	for (int i = 0; i < 161; i++)
		close(fds[i]);
}

/* Batches that are just full, and one more or less. */
TEST(crowds_are_packed_into_full_messages)
{
	static int fds[3 * SAFE_BATCH];
	const int crowds[] = {SAFE_BATCH - 1, SAFE_BATCH, SAFE_BATCH + 1, 2 * SAFE_BATCH};

	for (size_t c = 0; c < LENGTH(crowds); c++) {
		for (int i = 0; i < crowds[c]; i++) {
			fds[i] = put();
			safe_run_due(is_live);
		}
		for (int i = 0; i < 200; i++)
			end(put());
		safe_run_due(is_live);
		assert_int_equal(safe.messages, (crowds[c] + SAFE_BATCH - 1) / SAFE_BATCH);
		expect_kept(fds, crowds[c]);
		assert_int_equal(sockets, crowds[c]);
		for (int i = 0; i < crowds[c]; i++)
			end(fds[i]);
		seam_pass_at(clock_now() + 20 * CLOCK_SECOND);
		safe_run_due(is_live);
		assert_int_equal(safe.messages, 0);
	}
}

TEST(a_number_that_is_used_again_is_in_the_safe_once_as_the_new_one)
{
	int fd = put(), again, none[2];

	end(fd);
	make_pair(none); /* takes the number */
	again = none[0];
	assert_int_equal(again, fd);
	live[again] = true;
	assert_true(safe_put(again));
	seam_pass_at(START + 10 * CLOCK_SECOND);
	safe_run_due(is_live);
	expect_kept(&again, 1);
	assert_int_equal(sockets, 1);
	close(none[0]);
	close(none[1]);
}

TEST(while_memory_for_it_is_refused_nothing_leaves_the_safe)
{
	int fds[2] = {put(), put()};

	end(put());
	seam_pass_at(START + 10 * CLOCK_SECOND);
	seam_fail(SEAM_SEND, 0, SEAM_ALWAYS, ENOBUFS);
	safe_run_due(is_live);
	seam_reset();
	expect_kept(fds, 2);
	assert_int_equal(safe.dead, 1);
	assert_true(safe.repack_at == START + 20 * CLOCK_SECOND);
	seam_fail(SEAM_MEMORY, 0, SEAM_ALWAYS, ENOMEM);
	seam_pass_at(START + 20 * CLOCK_SECOND);
	safe_run_due(is_live);
	seam_reset();
	expect_kept(fds, 2);
	seam_pass_at(START + 30 * CLOCK_SECOND);
	safe_run_due(is_live);
	expect_kept(fds, 2);
	assert_int_equal(safe.dead, 0);
	assert_int_equal(sockets, 2);
	close(fds[0]);
	close(fds[1]);
}

TEST(without_a_safe_nothing_is_due)
{
	safe_close();
	assert_true(safe_run_due(is_live) == CLOCK_NEVER);
	assert_int_equal(safe.in, -1);
}

/* Successors */

TEST(the_ends_are_told_apart_once_something_is_in)
{
	int fd = put(), out = dup(safe.out), in = dup(safe.in);

	safe_close();
	assert_int_equal(safe_adopt(in, out), 0);
	assert_int_equal(safe.out, out);
	assert_int_equal(safe.in, in);
	expect_kept(&fd, 1);
	safe = (struct safe){.out = -1, .in = -1};
	assert_int_equal(safe_adopt(out, in), 0);
	expect_kept(&fd, 1);
	close(fd);
}

TEST(what_is_no_end_of_a_pair_is_refused)
{
	int fd = safe.out, ends[2], tcp = socket(AF_INET, SOCK_STREAM, 0),
	    lone = socket(AF_UNIX, SOCK_STREAM, 0), packets[2];

	assert_int_equal(pipe(ends), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, packets), 0);
	assert_int_equal(safe_adopt(fd, -1), -1);
	assert_int_equal(safe_adopt(-1, fd), -1);
	assert_int_equal(safe_adopt(fd, ends[0]), -1);
	assert_int_equal(safe_adopt(tcp, fd), -1);
	assert_int_equal(safe_adopt(fd, lone), -1);
	assert_int_equal(safe_adopt(packets[0], packets[1]), -1);
	assert_int_equal(safe.out, fd);
	close(ends[0]);
	close(ends[1]);
	close(tcp);
	close(lone);
	close(packets[0]);
	close(packets[1]);
}

/* Puts a message of bytes and descriptors into the safe that chatd would never put there. */
static void
put_foreign(const void *bytes, size_t len, const int *fds, size_t count)
{
	union {
		char bytes[CMSG_SPACE(sizeof(int) * SAFE_BATCH)];
		struct cmsghdr header;
	} control = {.bytes = {0}};
	struct iovec iov = {.iov_base = (void *)(uintptr_t)bytes, .iov_len = len};
	struct msghdr hdr = {.msg_iov = &iov, .msg_iovlen = 1};

	if (count > 0) {
		hdr.msg_control = control.bytes;
		hdr.msg_controllen = CMSG_SPACE(sizeof(int) * count);
		control.header.cmsg_level = SOL_SOCKET;
		control.header.cmsg_type = SCM_RIGHTS;
		control.header.cmsg_len = CMSG_LEN(sizeof(int) * count);
		memcpy(CMSG_DATA(&control.header), fds, sizeof(int) * count);
	}
	assert_true(sendmsg(safe.in, &hdr, MSG_DONTWAIT) > 0);
}

TEST(foreign_messages_name_nobody)
{
	uint32_t words[600];
	int fds[SAFE_BATCH], fd = put();

	for (int i = 0; i < SAFE_BATCH; i++)
		fds[i] = fd;
	memset(words, 0xff, sizeof(words));
	/* Only bytes: as many as a label, and far more. */
	put_foreign(words, sizeof(words), NULL, 0);
	put_foreign(words, 1, fds, 1);
	/* More sockets than numbers. */
	words[0] = words[1] = 0;
	put_foreign(words, 10, fds, SAFE_BATCH);
	/* More numbers than sockets: the serial number is for one alone. */
	words[0] = 7;
	put_foreign(words, 12, fds, 1);
	look();
	/* Pieces of a stream: some are seen twice, and none as one that was just accepted. */
	assert_in_range(sockets, 1 + 1 + SAFE_BATCH + 1, 2 * SAFE_BATCH);
	assert_int_equal(seen[0].numbers[0], fd);
	for (int i = 1; i < messages; i++) {
		assert_int_equal(seen[i].serial, 0);
		for (uint32_t k = 0; k < seen[i].count; k++)
			assert_true(is_open(seen[i].fds[k]));
	}
	close(fd);
}

#define SAFE_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    SAFE_TEST(what_was_put_in_is_seen_with_its_number_as_often_as_one_looks),
	    SAFE_TEST(the_highest_number_is_found_and_nothing_changes),
	    SAFE_TEST(those_for_which_there_is_no_descriptor_are_counted),
	    SAFE_TEST(what_is_taken_out_is_closed_at_an_exec),
	    SAFE_TEST(one_just_accepted_has_its_serial_number),
	    SAFE_TEST(a_large_number_is_kept_whole),
	    SAFE_TEST(a_safe_that_is_full_says_so_and_keeps_what_it_has),
	    SAFE_TEST(more_than_64_dead_and_a_quarter_of_the_live_are_repacked),
	    SAFE_TEST(few_dead_are_repacked_after_ten_seconds),
	    SAFE_TEST(more_than_160_messages_become_few),
	    SAFE_TEST(crowds_are_packed_into_full_messages),
	    SAFE_TEST(a_number_that_is_used_again_is_in_the_safe_once_as_the_new_one),
	    SAFE_TEST(while_memory_for_it_is_refused_nothing_leaves_the_safe),
	    SAFE_TEST(without_a_safe_nothing_is_due),
	    SAFE_TEST(the_ends_are_told_apart_once_something_is_in),
	    SAFE_TEST(what_is_no_end_of_a_pair_is_refused),
	    SAFE_TEST(foreign_messages_name_nobody),
	};

	return cmocka_run_group_tests_name("safe", tests, NULL, NULL);
}
