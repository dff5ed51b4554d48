#include "heritage.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/param.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "wire/ledger.h"

/* A number that may be near a limit. */
static uint64_t
take_number(struct input *input)
{
	static const uint64_t limits[] = {0, 1, 2, 3, 4, 5, 255, 256, 4096, 65535, 65536, 1 << 20,
	    1 << 28, INT32_MAX, UINT32_MAX, UINT64_C(1) << 38, INT64_MAX, UINT64_MAX};
	uint8_t kind = take_byte(input);

	if (kind < 128)
		return kind;
	if (kind < 200)
		return take_short(input);
	return limits[kind % (sizeof(limits) / sizeof(limits[0]))] +
	       (uint64_t)take_byte(input) % 3 - 1;
}

/* Changes some bytes of a structure, or one field of 4 or 8 bytes. */
static void
change(struct input *input, void *data, size_t size)
{
	uint8_t how = take_byte(input);
	size_t at = take_short(input) % size;
	uint64_t number = take_number(input);
	uint32_t half = (uint32_t)number;
	uint16_t quarter = (uint16_t)number;

	switch (how % 4) {
	case 0:
		((unsigned char *)data)[at] ^= (unsigned char)(1 + number % 255);
		break;
	case 1:
		at = at / 2 * 2;
		memcpy((char *)data + at, &quarter, MIN(size - at, sizeof(quarter)));
		break;
	case 2:
		at = at / 4 * 4;
		memcpy((char *)data + at, &half, MIN(size - at, sizeof(half)));
		break;
	default:
		at = at / 8 * 8;
		memcpy((char *)data + at, &number, MIN(size - at, sizeof(number)));
	}
}

/* The sums are right all the same: what is wrong has to be found by another look. */
static void
sum_record(struct record *record)
{
	record->sum = ledger_record_sum(record);
	for (int i = 0; i < 2; i++)
		record->marks[i].sum = ledger_mark_sum(&record->marks[i]);
}

/* The number of a client, most likely. */
static int
take_client(struct input *input)
{
	return 3 + take_byte(input) % 12;
}

static void
damage_record(struct input *input, bool sums)
{
	int fd = take_client(input);
	struct record *record = ledger_record(fd);

	change(input, record, sizeof(*record));
	if (sums)
		sum_record(record);
}

static void
damage_entry(struct input *input, bool sums)
{
	uint64_t number = journal->next->head - take_byte(input) % 16;
	struct journal_entry *entry = ledger_entry(number);

	change(input, entry, sizeof(*entry));
	if (sums)
		entry->sum = ledger_entry_sum(entry, number);
}

static void
damage_head(struct input *input, bool sums)
{
	struct journal_head *head = journal->head;

	switch (take_byte(input) % 5) {
	case 0:
		change(input, &head->form, sizeof(head->form));
		break;
	case 1: /* what has no sum */
		change(input, &head->attempts,
		    offsetof(struct journal_head, turns) - offsetof(struct journal_head, attempts));
		break;
	case 2:
		change(input, &head->turns[head->turn & 1], sizeof(struct turn));
		break;
	case 3:
		change(input, &head->history,
		    offsetof(struct journal_head, left) - offsetof(struct journal_head, history));
		break;
	default:
		change(input, head->left, sizeof(head->left));
	}
	if (!sums)
		return;
	for (int i = 0; i < 2; i++) {
		head->turns[i].sum = journal_sum(&head->turns[i], offsetof(struct turn, sum));
		head->histories[i].sum =
		    journal_sum(&head->histories[i], offsetof(struct journal_history, sum));
		head->left[i].sum = journal_sum(&head->left[i], offsetof(struct journal_left, sum));
	}
	head->form.sum = journal_sum(&head->form, offsetof(struct journal_form, sum));
}

static void
damage_listener(struct input *input, bool sums)
{
	struct journal_listener *kept = &journal->listeners[take_byte(input) % 4];

	change(input, kept, sizeof(*kept));
	if (sums)
		kept->sum = journal_sum(&kept->flags, offsetof(struct journal_listener, sum) -
							  offsetof(struct journal_listener, flags));
}

static void
damage_others(struct input *input, bool sums)
{
	int fd = take_client(input);
	struct journal_hold *hold = &journal->holds[fd];

	switch (take_byte(input) % 4) {
	case 0:
		change(input, hold, sizeof(*hold));
		if (sums)
			hold->sum = journal_sum(hold, offsetof(struct journal_hold, sum));
		break;
	case 1:
		change(input, &journal->nicks[fd], JOURNAL_NICK);
		break;
	case 2:
		change(input, &journal->buckets[fd], sizeof(journal->buckets[fd]));
		break;
	default: /* who came is there twice, or in the place of another one */
		*ledger_record(fd) = *ledger_record(take_client(input));
	}
}

static int
other_file(struct input *input)
{
	static const char magic[] = "chatd\n\032";
	int fd, ends[2], which;

	switch (take_byte(input) % 6) {
	case 0:
		return -1;
	case 1:
		return open("/dev/null", O_RDWR | O_CLOEXEC);
	case 2:
		if (pipe2(ends, O_CLOEXEC) < 0)
			return -1;
		which = take_byte(input) % 2;
		close(ends[which]);
		return ends[1 - which];
	case 3:
		return socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	default:
		fd = memfd_create("junk", MFD_CLOEXEC);
		check(fd >= 0 && write(fd, magic, sizeof(magic)) == sizeof(magic));
		while (input->left > 0) {
			uint8_t byte = take_byte(input);

			check(write(fd, &byte, 1) == 1);
		}
		return fd;
	}
}

/* A message that chatd would never put into the safe: numbers without sockets, or the reverse. */
static void
put_foreign(struct heritage *heritage, struct input *input)
{
	uint32_t words[40];
	size_t len = 1 + take_byte(input) % sizeof(words);
	union {
		char bytes[CMSG_SPACE(sizeof(int) * 2)];
		struct cmsghdr header;
	} control = {.bytes = {0}};
	struct iovec iov = {.iov_base = words, .iov_len = len};
	struct msghdr hdr = {.msg_iov = &iov, .msg_iovlen = 1};
	int fds[2] = {-1, -1};

	for (size_t i = 0; i < 40; i++)
		words[i] = (uint32_t)take_number(input);
	if (take_byte(input) % 2 == 0 &&
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0) {
		hdr.msg_control = control.bytes;
		hdr.msg_controllen = sizeof(control.bytes);
		control.header.cmsg_level = SOL_SOCKET;
		control.header.cmsg_type = SCM_RIGHTS;
		control.header.cmsg_len = CMSG_LEN(sizeof(fds));
		memcpy(CMSG_DATA(&control.header), fds, sizeof(fds));
	}
	sendmsg(heritage->fds[2], &hdr, MSG_DONTWAIT | MSG_NOSIGNAL);
	for (int i = 0; i < 2; i++)
		if (fds[i] >= 0)
			close(fds[i]);
}

/* What is passed is not what was stored. */
static void
damage_files(struct heritage *heritage, struct input *input)
{
	int i = take_byte(input) % HANDOVER_KEPT, other = take_byte(input) % HANDOVER_KEPT, fd;
	struct stat st;

	switch (take_byte(input) % 5) {
	case 0:
		if (heritage->fds[i] >= 0)
			close(heritage->fds[i]);
		heritage->fds[i] = other_file(input);
		break;
	case 1:
		fd = heritage->fds[i];
		heritage->fds[i] = heritage->fds[other];
		heritage->fds[other] = fd;
		break;
	case 2: /* bytes that are in the relay or the feed for no reason */
		if (heritage->fds[4] >= 0)
			fd = (int)write(heritage->fds[4], "junk", 4);
		break;
	case 3:
		if (heritage->fds[2] >= 0)
			put_foreign(heritage, input);
		break;
	default:
		if (heritage->fds[0] >= 0 && fstat(heritage->fds[0], &st) == 0 && st.st_size > 0 &&
		    ftruncate(heritage->fds[0], (off_t)take_number(input)) < 0)
			return;
	}
}

void
heritage_damage(struct heritage *heritage, struct input *input)
{
	static void (*const kinds[])(struct input *, bool) = {
	    damage_record, damage_entry, damage_head, damage_listener, damage_others};
	const size_t count = sizeof(kinds) / sizeof(kinds[0]);
	uint8_t how = take_byte(input);

	heritage->touched = how % 16 > 0;
	heritage->meant = how >= 128;
	for (int i = how % 8; i > 0; i--)
		kinds[take_byte(input) % count](input, heritage->meant);
	if (how % 16 >= 14)
		damage_files(heritage, input);
}
