/*
 * sockets: a shim that a client's socket seems worse by than it is.
 *
 * What it does is always something that a kernel may do, and nothing that may cost anybody a line:
 * a recv, send or sendmsg takes a few bytes only, or fails before anything has happened, with an
 * error that passes; an accept4 fails, and the client waits on; a close fails, and has closed all
 * the same, as on Linux.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "shim.h"

static struct control {
	uint64_t random; /* state of the generator, never 0 */
	uint64_t pieces; /* of 1000 recv and send calls so many take a few bytes */
	uint64_t errors; /* of 1000 recv, send, accept and close calls so many fail */
	uint64_t given;  /* pieces and errors so far */
} none = {.random = 1}, *control = &none;

#define MAX_FD 1024

static bool accepted[MAX_FD]; /* descriptors of clients */

__attribute__((constructor)) static void
attach(void)
{
	control = map_control("FAULTS_SOCKETS", sizeof(*control), &none);
}

static bool
concerns(int fd)
{
	return fd >= 0 && fd < MAX_FD && accepted[fd];
}

static size_t
random_below(size_t limit)
{
	uint64_t x = control->random;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	control->random = x;
	return (size_t)(x % limit);
}

static bool
happens(uint64_t per_mille)
{
	if (per_mille == 0 || random_below(1000) >= per_mille)
		return false;
	control->given++;
	return true;
}

static int
one_of(const int errors[4])
{
	errno = errors[random_below(4)];
	return -1;
}

static bool
fails(int fd)
{
	return concerns(fd) && happens(control->errors);
}

static size_t
piece(int fd, size_t len)
{
	if (len < 2 || !concerns(fd) || !happens(control->pieces))
		return len;
	return 1 + random_below(len < 16 ? len - 1 : 15);
}

static const int passing[4] = {EINTR, EAGAIN, ENOBUFS, ENOMEM};

ssize_t
recv(int fd, void *data, size_t len, int flags)
{
	return fails(fd) ? one_of(passing) : NEXT(recv)(fd, data, piece(fd, len), flags);
}

/* What recv becomes in a build with _FORTIFY_SOURCE. */
ssize_t __recv_chk(int fd, void *data, size_t len, size_t room, int flags);

ssize_t
__recv_chk(int fd, void *data, size_t len, size_t room, int flags)
{
	if (len > room)
		abort();
	return recv(fd, data, len, flags);
}

ssize_t
send(int fd, const void *data, size_t len, int flags)
{
	return fails(fd) ? one_of(passing) : NEXT(send)(fd, data, piece(fd, len), flags);
}

/* A piece ends somewhere in the first or the second part. */
ssize_t
sendmsg(int fd, const struct msghdr *hdr, int flags)
{
	struct msghdr some = *hdr;
	struct iovec iov[2], *last;

	if (fails(fd))
		return one_of(passing);
	if (hdr->msg_iovlen < 2 || !concerns(fd) || !happens(control->pieces))
		return NEXT(sendmsg)(fd, hdr, flags);
	iov[0] = hdr->msg_iov[0];
	iov[1] = hdr->msg_iov[1];
	some.msg_iov = iov;
	some.msg_iovlen = 1 + random_below(2);
	last = &iov[some.msg_iovlen - 1];
	last->iov_len = 1 + random_below(last->iov_len);
	return NEXT(sendmsg)(fd, &some, flags);
}

int
accept4(int fd, struct sockaddr *restrict addr, socklen_t *restrict len, int flags)
{
	static const int errors[4] = {EINTR, ECONNABORTED, EMFILE, ENOMEM};
	int sd;

	if (happens(control->errors))
		return one_of(errors);
	sd = NEXT(accept4)(fd, addr, len, flags);
	if (sd >= 0 && sd < MAX_FD)
		accepted[sd] = true;
	return sd;
}

int
close(int fd)
{
	static const int errors[4] = {EINTR, EIO, ENOSPC, EDQUOT};
	bool failing = fails(fd);
	int result = NEXT(close)(fd);

	if (fd >= 0 && fd < MAX_FD)
		accepted[fd] = false;
	return failing ? one_of(errors) : result;
}
