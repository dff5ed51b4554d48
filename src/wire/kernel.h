/*
 * kernel: what the kernel counts of a TCP connection, or a unix socket, whatever became of the
 * process that it belonged to.
 *
 * tcpi_bytes_acked and what is not acknowledged yet are all that was ever written to the socket;
 * tcpi_bytes_received without what is unread is all that was ever received from it. An end of file
 * counts as a byte in each. Of a unix socket only the bytes received are known, see ledger.c.
 */
#ifndef CHATD_KERNEL_H
#define CHATD_KERNEL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/addr.h"

struct kernel_counts {
	uint64_t sent;      /* TCP only */
	uint64_t received;  /* unix: its remainder by 1 << 30 */
	bool reset;         /* the connection is no more, but what was received can be read */
	bool end_may_count; /* with reset: received may be one too many, an end of file */
	bool write_shut;    /* the end of file has been sent */
};

/*
 * Whether a TCP connection is open, all that was ever written to it is acknowledged, and what it
 * wrote and what it received are so many bytes: of those received, all were read. One call, where
 * kernel_count takes three and more; false says nothing.
 */
bool kernel_confirms(int fd, uint64_t sent, uint64_t received);
/* Returns false when the kernel does not tell. */
bool kernel_count(int fd, sa_family_t family, struct kernel_counts *counts);

#endif
