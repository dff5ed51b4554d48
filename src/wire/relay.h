/*
 * relay: sends to unix sockets in such a way that the kernel knows afterwards how much was sent.
 *
 * TCP counts what was sent, a unix socket does not: after a kill nobody could tell whether the last
 * send happened. So what is to be sent is written to a pipe first, and the kernel moves it from
 * there to the socket (splice). What is left in the pipe says how much was sent. The service
 * manager keeps the pipe for a successor.
 *
 * It costs a copy and two more calls. Only clients in the journal are served like that.
 */
#ifndef CHATD_RELAY_H
#define CHATD_RELAY_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "wire/journal.h"

struct relay {
	int out, in; /* the ends of the pipe, or -1 */
};

extern struct relay relay;

/* Returns 0, or -1 with errno. */
int relay_open(void);
/* The pipe of a former process. Returns 0, or -1 if it is none. */
int relay_adopt(int out, int in);
void relay_close(void);

/*
 * Sends what the pipe takes of it to fd, a client in the journal, as sendmsg does. relay_end
 * follows when that is recorded.
 */
ssize_t relay_send(int fd, const struct iovec *iov, int count);
void relay_end(void);

/* For a successor: how many bytes of a send to fd were sent that was not recorded; or -1. */
int64_t relay_sent(int fd);
/* Of what the journal has of the last send. */
uint32_t relay_sum(const struct journal_head *head);

#endif
