#include "wire/relay.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "wire/ledger.h"

struct relay relay = {.out = -1, .in = -1};

int
relay_open(void)
{
	int ends[2];

	if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0)
		return -1;
	relay = (struct relay){.out = ends[0], .in = ends[1]};
	return 0;
}

static bool
is_end(int fd, int mode, struct stat *st)
{
	return fd >= 0 && fstat(fd, st) == 0 && S_ISFIFO(st->st_mode) &&
	       (fcntl(fd, F_GETFL) & O_ACCMODE) == mode;
}

int
relay_adopt(int out, int in)
{
	struct stat from, to;

	if (!is_end(out, O_RDONLY, &from) || !is_end(in, O_WRONLY, &to) ||
	    from.st_ino != to.st_ino || from.st_dev != to.st_dev)
		return -1;
	fcntl(out, F_SETFL, O_NONBLOCK);
	fcntl(in, F_SETFL, O_NONBLOCK);
	relay = (struct relay){.out = out, .in = in};
	return 0;
}

void
relay_close(void)
{
	if (relay.out >= 0)
		close(relay.out);
	if (relay.in >= 0)
		close(relay.in);
	relay = (struct relay){.out = -1, .in = -1};
}

uint32_t
relay_sum(const struct journal_head *head)
{
	return journal_sum(&head->relay_id, sizeof(head->relay_id)) ^ head->relay_bytes;
}

ssize_t
relay_send(int fd, const struct iovec *iov, int count)
{
	struct journal_head *head = journal->head;
	ssize_t len = writev(relay.in, iov, count), n;

	if (len <= 0)
		return -1;
	head->relay_id = ledger_record(fd)->id;
	head->relay_bytes = (uint32_t)len;
	head->relay_sum = relay_sum(head);
	ledger_sends(fd);
	n = splice(relay.out, NULL, fd, NULL, (size_t)len, SPLICE_F_NONBLOCK);
	if (n <= 0) {
		int reason = errno;

		ledger_sends_no_more(fd);
		relay_end();
		errno = n < 0 ? reason : EAGAIN;
		return -1;
	}
	return n;
}

/* What is left was not sent. */
void
relay_end(void)
{
	static char nowhere[65536];
	int left = 0;

	while (ioctl(relay.out, FIONREAD, &left) == 0 && left > 0 &&
	       read(relay.out, nowhere, sizeof(nowhere)) > 0)
		;
}

int64_t
relay_sent(int fd)
{
	const struct journal_head *head = journal->head;
	int left;

	if (head->relay_sum != relay_sum(head) || head->relay_id != ledger_record(fd)->id ||
	    ioctl(relay.out, FIONREAD, &left) < 0 || (uint32_t)left > head->relay_bytes)
		return -1;
	return head->relay_bytes - (uint32_t)left;
}
