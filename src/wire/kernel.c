#include "wire/kernel.h"

#include <errno.h>
#include <limits.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stddef.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#define TRIES 1000 /* acknowledgements may come while one looks */

/* Of <netinet/tcp.h>, which does not go together with <linux/tcp.h>. */
enum {
	ESTABLISHED = 1,
	FIN_WAIT1 = 4,
	FIN_WAIT2 = 5,
	TIME_WAIT = 6,
	CLOSED = 7,
	CLOSE_WAIT = 8,
	LAST_ACK = 9,
	CLOSING = 11,
};

static bool
ask(int fd, struct tcp_info *info)
{
	socklen_t len = sizeof(*info);

	memset(info, 0, sizeof(*info));
	/* Kernels before 4.6 do not have tcpi_notsent_bytes. */
	return getsockopt(fd, IPPROTO_TCP, TCP_INFO, info, &len) == 0 &&
	       len >=
		   offsetof(struct tcp_info, tcpi_notsent_bytes) + sizeof(info->tcpi_notsent_bytes);
}

/*
 * Nothing waits and nothing is in flight, so what was written is what was acknowledged. What was
 * read cannot be more than what was received, nor less than what the caller knows to be read.
 */
bool
kernel_confirms(int fd, uint64_t sent, uint64_t received)
{
	struct tcp_info info;

	return ask(fd, &info) && info.tcpi_state == ESTABLISHED && info.tcpi_unacked == 0 &&
	       info.tcpi_notsent_bytes == 0 && info.tcpi_bytes_acked == sent &&
	       info.tcpi_bytes_received == received;
}

static bool
is_same(const struct tcp_info *a, const struct tcp_info *b)
{
	return a->tcpi_state == b->tcpi_state && a->tcpi_bytes_acked == b->tcpi_bytes_acked &&
	       a->tcpi_bytes_received == b->tcpi_bytes_received;
}

static bool
count_tcp(int fd, struct kernel_counts *counts)
{
	struct tcp_info info, after;
	int out = 0, in = 0, error = 0;
	socklen_t len = sizeof(error);

	for (int i = 0; i < TRIES; i++) {
		if (ioctl(fd, SIOCOUTQ, &out) < 0 || !ask(fd, &info) || ioctl(fd, SIOCINQ, &in) < 0)
			return false;
		/* In this order, nothing can have moved where both are 0. */
		if (out == 0 && in == 0)
			break;
		if (ioctl(fd, SIOCOUTQ, &out) < 0 || !ask(fd, &after))
			return false;
		if (is_same(&info, &after))
			break;
	}
	counts->sent = info.tcpi_bytes_acked + (unsigned)out;
	counts->received = info.tcpi_bytes_received - (unsigned)in;
	switch (info.tcpi_state) {
	case CLOSED:
		counts->reset = true;
		getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len);
		/* A reset behind an end of file; another one says ECONNRESET. */
		if (error == EPIPE)
			counts->received--;
		counts->end_may_count = error == 0;
		break;
	case CLOSE_WAIT:
		counts->received--;
		break;
	case LAST_ACK:
	case CLOSING:
	case TIME_WAIT:
		counts->received--;
		counts->sent--;
		counts->write_shut = true;
		break;
	case FIN_WAIT1:
	case FIN_WAIT2:
		counts->sent--;
		counts->write_shut = true;
		break;
	default:
		break;
	}
	return true;
}

bool
kernel_count(int fd, sa_family_t family, struct kernel_counts *counts)
{
	int offset;
	socklen_t len = sizeof(offset);

	*counts = (struct kernel_counts){0};
	if (family != AF_UNIX)
		return count_tcp(fd, counts);
	if (getsockopt(fd, SOL_SOCKET, SO_PEEK_OFF, &offset, &len) < 0)
		return false;
	counts->received = (uint64_t)(INT_MAX - offset) % (1U << 30);
	return true;
}
