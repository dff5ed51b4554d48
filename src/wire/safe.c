#include "wire/safe.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/param.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fdset.h"
#include "wire/journal.h"

#define SNDBUF       (8 << 20) /* the system allows less */
#define MESSAGES_MAX 160 /* of single sockets, mostly; a full safe has fewer, but larger ones */
#define DEAD_MAX     64  /* and a quarter of the live ones */
#define DEAD_TIME    (10 * CLOCK_SECOND)

struct safe safe = {.out = -1, .in = -1, .repack_at = CLOCK_NEVER};

/* What a message says. Small numbers keep a message of many small: the kernel counts its memory. */
struct label {
	uint32_t serial; /* 0: of several, or of a listener */
	uint32_t wide;   /* the numbers are wide */
	union {
		uint16_t small[SAFE_BATCH];
		uint32_t wide[SAFE_BATCH];
	} numbers;
};
#define LABEL offsetof(struct label, numbers)

union control {
	char bytes[CMSG_SPACE(sizeof(int) * SAFE_BATCH)];
	struct cmsghdr header; /* the first, and the only one */
};

static int
put(const int *fds, uint32_t count, uint32_t serial)
{
	struct label label = {.serial = serial};
	union control control = {.bytes = {0}};
	struct iovec iov = {.iov_base = &label};
	struct msghdr hdr = {.msg_iov = &iov,
	    .msg_iovlen = 1,
	    .msg_control = control.bytes,
	    .msg_controllen = CMSG_SPACE(sizeof(int) * count)};
	struct cmsghdr *cmsg = &control.header;

	for (uint32_t i = 0; i < count; i++)
		label.wide |= fds[i] > UINT16_MAX;
	for (uint32_t i = 0; i < count; i++)
		if (label.wide)
			label.numbers.wide[i] = (uint32_t)fds[i];
		else
			label.numbers.small[i] = (uint16_t)fds[i];
	iov.iov_len = LABEL + count * (label.wide ? sizeof(uint32_t) : sizeof(uint16_t));
	cmsg->cmsg_level = SOL_SOCKET;
	cmsg->cmsg_type = SCM_RIGHTS;
	cmsg->cmsg_len = CMSG_LEN(sizeof(int) * count);
	memcpy(CMSG_DATA(cmsg), fds, sizeof(int) * count);
	if (sendmsg(safe.in, &hdr, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		return -1;
	safe.messages++;
	return 0;
}

static uint32_t
numbers(const struct label *label, ssize_t len, uint32_t number[SAFE_BATCH])
{
	size_t size = label->wide != 0 ? sizeof(uint32_t) : sizeof(uint16_t);
	uint32_t count = len > (ssize_t)LABEL ? (uint32_t)(((size_t)len - LABEL) / size) : 0;

	count = MIN(count, SAFE_BATCH);
	for (uint32_t i = 0; i < count; i++)
		number[i] = label->wide != 0 ? label->numbers.wide[i] : label->numbers.small[i];
	return count;
}

static void
seek(int offset)
{
	setsockopt(safe.out, SOL_SOCKET, SO_PEEK_OFF, &offset, sizeof(offset));
}

int
safe_open(void)
{
	int pair[2], size = SNDBUF;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
		return -1;
	setsockopt(pair[1], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	safe = (struct safe){.out = pair[0], .in = pair[1], .repack_at = CLOCK_NEVER};
	return 0;
}

static bool
is_pair_end(int fd)
{
	int domain = 0, type = 0;
	socklen_t len = sizeof(int), peer_len = sizeof(struct sockaddr_storage);
	struct sockaddr_storage peer;

	return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) == 0 && domain == AF_UNIX &&
	       getpeername(fd, (struct sockaddr *)&peer, &peer_len) == 0 &&
	       getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0 && type == SOCK_STREAM;
}

int
safe_adopt(int out, int in)
{
	int swapped = 0;

	if (!is_pair_end(out) || !is_pair_end(in))
		return -1;
	safe = (struct safe){.out = out, .in = in, .repack_at = CLOCK_NEVER};
	/* Nothing is ever sent in the other direction. */
	if (ioctl(in, FIONREAD, &swapped) == 0 && swapped > 0)
		safe = (struct safe){.out = in, .in = out, .repack_at = CLOCK_NEVER};
	return 0;
}

void
safe_close(void)
{
	if (safe.out >= 0)
		close(safe.out);
	if (safe.in >= 0)
		close(safe.in);
	safe = (struct safe){.out = -1, .in = -1, .repack_at = CLOCK_NEVER};
}

bool
safe_put(int fd)
{
	if (put(&fd, 1, 0) < 0) {
		safe.unkept++;
		return false;
	}
	safe.live++;
	return true;
}

bool
safe_put_accepted(int fd)
{
	if (put(&fd, 1, journal->head->accepted + 1) < 0) {
		safe.unkept++;
		return false;
	}
	safe.live++;
	return true;
}

void
safe_forget_accepted(int fd)
{
	shutdown(fd, SHUT_RDWR);
	journal->head->accepted++;
	safe_dead();
}

void
safe_dead(void)
{
	safe.dead++;
	safe.live -= safe.live > 0;
	if (safe.repack_at == CLOCK_NEVER)
		safe.repack_at = clock_now() + DEAD_TIME;
}

/* --- repacking */

struct repack {
	struct fdset done; /* numbers that are in new messages */
	int batch[SAFE_BATCH];
	uint32_t count;
	uint32_t old, peeked, dropped; /* messages there were, looked at, taken out */
};

/* Takes the oldest messages out. What they hold is in newer ones, or dead. */
static void
drop(struct repack *repack, uint32_t until)
{
	struct label label;

	seek(-1);
	for (; repack->dropped < until; repack->dropped++) {
		if (recv(safe.out, &label, sizeof(label), MSG_DONTWAIT) <= 0)
			break;
		safe.messages--;
	}
}

static bool
flush(struct repack *repack)
{
	if (repack->count > 0 && put(repack->batch, repack->count, 0) < 0)
		return false;
	repack->count = 0;
	return true;
}

/* Looks at the next message. All that it holds and that is live goes into the batch. */
static bool
gather(struct repack *repack, safe_is_live *is_live)
{
	struct label label;
	uint32_t number[SAFE_BATCH], count;
	ssize_t len = recv(safe.out, &label, sizeof(label), MSG_DONTWAIT | MSG_PEEK);

	if (len <= 0)
		return false;
	count = numbers(&label, len, number);
	for (uint32_t i = 0; i < count; i++) {
		int fd = (int)number[i];

		if (fdset_reserve(&repack->done, fd) < 0)
			return false;
		if (fdset_has(&repack->done, fd) || !is_live(fd))
			continue;
		fdset_add(&repack->done, fd);
		repack->batch[repack->count++] = fd;
		if (repack->count == SAFE_BATCH && !flush(repack))
			return false;
	}
	return true;
}

static void
repack(safe_is_live *is_live)
{
	struct repack repack = {.done = FDSET_EMPTY, .old = safe.messages};
	bool works = true;

	while (works && repack.peeked < repack.old) {
		/* The offset to peek at counts from the oldest message. */
		if (repack.peeked == repack.dropped)
			seek(0);
		works = gather(&repack, is_live);
		repack.peeked += works;
		/* All but the last is complete where the batch has just begun anew. */
		if (works && repack.count == 0)
			drop(&repack, repack.peeked);
	}
	if (flush(&repack) && works) {
		drop(&repack, repack.old);
		safe.dead = 0;
	}
	seek(-1);
	fdset_free(&repack.done);
}

int64_t
safe_run_due(safe_is_live *is_live)
{
	int64_t now = clock_now();

	if (safe.in < 0)
		return CLOCK_NEVER;
	if (safe.dead > DEAD_MAX + safe.live / 4 || now >= safe.repack_at ||
	    safe.messages > MESSAGES_MAX + safe.live / SAFE_BATCH) {
		repack(is_live);
		safe.repack_at = safe.dead > 0 ? now + DEAD_TIME : CLOCK_NEVER;
	}
	return safe.repack_at;
}

/* --- for a successor */

/* Looks at the next message. Returns what recvmsg returns. */
static ssize_t
peek(struct safe_batch *batch)
{
	struct label label;
	union control control;
	struct iovec iov = {.iov_base = &label, .iov_len = sizeof(label)};
	struct msghdr hdr = {.msg_iov = &iov,
	    .msg_iovlen = 1,
	    .msg_control = control.bytes,
	    .msg_controllen = sizeof(control.bytes)};
	ssize_t len = recvmsg(safe.out, &hdr, MSG_DONTWAIT | MSG_PEEK | MSG_CMSG_CLOEXEC);
	struct cmsghdr *cmsg = len > 0 ? CMSG_FIRSTHDR(&hdr) : NULL;
	uint32_t named;

	*batch = (struct safe_batch){0};
	if (len <= 0)
		return len;
	named = numbers(&label, len, batch->numbers);
	if (cmsg != NULL && cmsg->cmsg_level == SOL_SOCKET && cmsg->cmsg_type == SCM_RIGHTS) {
		batch->count = (uint32_t)((cmsg->cmsg_len - CMSG_LEN(0)) / sizeof(int));
		memcpy(batch->fds, CMSG_DATA(cmsg), sizeof(int) * batch->count);
	}
	if ((hdr.msg_flags & MSG_CTRUNC) != 0 && named > batch->count)
		safe.left += named - batch->count;
	for (uint32_t i = named; i < batch->count; i++)
		batch->numbers[i] = 0;
	batch->serial = batch->count == 1 && named == 1 ? label.serial : 0;
	return len;
}

int
safe_highest(int out, int in)
{
	struct label label;
	uint32_t number[SAFE_BATCH];
	ssize_t len;
	int highest = -1;

	if (out < 0 || in < 0 || safe_adopt(out, in) < 0)
		return -1;
	seek(0);
	while ((len = recv(safe.out, &label, sizeof(label), MSG_DONTWAIT | MSG_PEEK)) > 0)
		for (uint32_t i = numbers(&label, len, number); i > 0; i--)
			highest = MAX(highest, (int)MIN(number[i - 1], INT_MAX - 1));
	seek(-1);
	safe = (struct safe){.out = -1, .in = -1, .repack_at = CLOCK_NEVER};
	return highest;
}

int
safe_each(safe_take *take, void *context)
{
	struct safe_batch batch;
	ssize_t len;

	seek(0);
	safe.messages = safe.left = 0;
	while ((len = peek(&batch)) > 0) {
		safe.messages++;
		take(&batch, context);
	}
	len = len < 0 && errno != EAGAIN ? -1 : 0;
	seek(-1);
	return (int)len;
}

void
safe_count(uint32_t live)
{
	safe.live = live;
	safe.dead = 0;
}
