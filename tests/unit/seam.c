#include "seam.h"

#include <bsd/stdlib.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/param.h>
#include <sys/socket.h>

static struct {
	unsigned long calls, skip, fail;
	int error;
} seams[SEAMS];

static size_t most;
static seam_select *own_select;
static bool stands; /* the clock */
static int64_t own_time, time_of_pass;
static int64_t step, ahead; /* of what clock_read finds */
static int (*own_journal)(void);

void
seam_fail(enum seam seam, unsigned long skip, unsigned long count, int error)
{
	seams[seam].skip = skip;
	seams[seam].fail = count;
	seams[seam].error = error;
}

void
seam_shorten(size_t max)
{
	most = max;
}

unsigned long
seam_calls(enum seam seam)
{
	return seams[seam].calls;
}

void
seam_reset(void)
{
	memset(seams, 0, sizeof(seams));
	most = 0;
	step = ahead = 0;
	own_select = NULL;
	own_journal = NULL;
}

int
seam_teardown(void **state)
{
	(void)state;
	seam_reset();
	return 0;
}

void
seam_set_select(seam_select *select)
{
	own_select = select;
}

void
seam_set_time(int64_t time)
{
	own_time = time;
	stands = true;
}

void
seam_pass_at(int64_t time)
{
	seam_set_time(time);
	time_of_pass = time;
}

void
seam_set_step(int64_t microseconds)
{
	step = microseconds;
	ahead = 0;
}

void
seam_set_journal(int (*journal)(void))
{
	own_journal = journal;
}

/* Counts a call. Returns whether it is to fail; then errno is set. */
static bool
fails(enum seam seam)
{
	seams[seam].calls++;
	if (seams[seam].skip > 0) {
		seams[seam].skip--;
		return false;
	}
	if (seams[seam].fail == 0)
		return false;
	if (seams[seam].fail != SEAM_ALWAYS)
		seams[seam].fail--;
	errno = seams[seam].error;
	return true;
}

/* __real_NAME is the system's, __wrap_NAME is what chatd calls as NAME. */
#define WRAP(type, name, ...)            \
	type __real_##name(__VA_ARGS__); \
	type __wrap_##name(__VA_ARGS__); \
	type __wrap_##name(__VA_ARGS__)

WRAP(void *, malloc, size_t size)
{
	return fails(SEAM_MEMORY) ? NULL : __real_malloc(size);
}

WRAP(void *, calloc, size_t count, size_t size)
{
	return fails(SEAM_MEMORY) ? NULL : __real_calloc(count, size);
}

WRAP(void *, realloc, void *old, size_t size)
{
	return fails(SEAM_MEMORY) ? NULL : __real_realloc(old, size);
}

WRAP(void *, reallocarray, void *old, size_t count, size_t size)
{
	return fails(SEAM_MEMORY) ? NULL : __real_reallocarray(old, count, size);
}

WRAP(void *, recallocarray, void *old, size_t before, size_t count, size_t size)
{
	return fails(SEAM_MEMORY) ? NULL : __real_recallocarray(old, before, count, size);
}

WRAP(ssize_t, recv, int fd, void *data, size_t len, int flags)
{
	return fails(SEAM_RECV) ? -1 : __real_recv(fd, data, len, flags);
}

WRAP(ssize_t, send, int fd, const void *data, size_t len, int flags)
{
	if (fails(SEAM_SEND))
		return -1;
	return __real_send(fd, data, most > 0 ? MIN(len, most) : len, flags);
}

WRAP(ssize_t, sendmsg, int fd, const struct msghdr *hdr, int flags)
{
	if (fails(SEAM_SEND))
		return -1;
	/* The first piece alone is a short write like any other. */
	if (most > 0)
		return __real_send(
		    fd, hdr->msg_iov[0].iov_base, MIN(hdr->msg_iov[0].iov_len, most), flags);
	return __real_sendmsg(fd, hdr, flags);
}

WRAP(int, accept4, int fd, struct sockaddr *sa, socklen_t *len, int flags)
{
	return fails(SEAM_ACCEPT) ? -1 : __real_accept4(fd, sa, len, flags);
}

WRAP(int, socket, int domain, int type, int protocol)
{
	return fails(SEAM_SOCKET) ? -1 : __real_socket(domain, type, protocol);
}

WRAP(int, malloc_trim, size_t pad)
{
	return fails(SEAM_TRIM) ? 0 : __real_malloc_trim(pad);
}

WRAP(int, pselect, int count, fd_set *readable, fd_set *writable, fd_set *special,
    const struct timespec *timeout, const sigset_t *mask)
{
	if (own_select != NULL)
		return own_select(count, readable, writable, timeout);
	return __real_pselect(count, readable, writable, special, timeout, mask);
}

WRAP(int64_t, clock_now, void)
{
	return stands ? time_of_pass : __real_clock_now();
}

WRAP(int64_t, clock_tick, void)
{
	if (!stands)
		return __real_clock_tick();
	return time_of_pass = own_time;
}

WRAP(int64_t, clock_read, void)
{
	return stands ? own_time + (ahead += step) : __real_clock_read();
}

WRAP(int, systemd_journal, void)
{
	return own_journal != NULL ? own_journal() : __real_systemd_journal();
}
