#include "wire/journal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/param.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAGIC   "chatd\n\032"
#define VERSION 1

/* Addresses are scarce with 32 bits. */
#define IS_WIDE         (sizeof(void *) > 4)
#define INDEX_ORDER     (IS_WIDE ? 20U : 17U)
#define INDEX_ORDER_MAX 24U
#define INDEX_ORDER_MIN 8U
#define AREA_ORDER_MIN  (IS_WIDE ? 28U : 25U)
#define AREA_ORDER_MAX  (IS_WIDE ? 38U : 29U)
#define DESCRIPTORS     (IS_WIDE ? 1U << 20 : 1U << 16)

struct journal *journal;

uint32_t
journal_sum(const void *data, size_t len)
{
	const unsigned char *p = data;
	uint64_t sum = UINT64_C(0x9e3779b97f4a7c15) ^ len;
	uint32_t word;

	for (; len >= sizeof(word); len -= sizeof(word), p += sizeof(word)) {
		memcpy(&word, p, sizeof(word));
		sum = (sum ^ word) * UINT64_C(0xff51afd7ed558ccd);
		sum ^= sum >> 32;
	}
	return (uint32_t)sum;
}

static void
fill_form(struct journal_form *form, unsigned index_order)
{
	const size_t sizes[] = {sizeof(struct journal_head), sizeof(struct record),
	    sizeof(struct journal_entry), sizeof(struct turn), sizeof(struct journal_listener),
	    sizeof(struct journal_hold), sizeof(struct journal_left), sizeof(struct endpoint),
	    sizeof(void *), JOURNAL_NICK};

	memset(form, 0, sizeof(*form));
	memcpy(form->magic, MAGIC, sizeof(form->magic));
	form->version = VERSION;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		form->sizes[i] = (uint32_t)sizes[i];
	form->index_order = index_order;
	form->descriptors = DESCRIPTORS;
	form->sum = journal_sum(form, offsetof(struct journal_form, sum));
}

/* Gives the next range of the file, and returns where it begins. */
static char *
range(const struct journal *new, uint64_t *at, uint64_t count, size_t size)
{
	uint64_t begin = *at;

	*at = roundup(begin + count * size, UINT64_C(65536));
	return new->base != NULL ? new->base + begin : NULL;
}

/* Returns where the area begins. With base NULL, nothing else is good for anything. */
static uint64_t
lay_out(struct journal *new, const struct journal_form *form)
{
	uint64_t at = 0;

	new->descriptors = form->descriptors;
	new->ring = 1U << form->index_order;
	new->head = (void *)range(new, &at, 1, sizeof(*new->head));
	new->raw = range(new, &at, 1, JOURNAL_RAW);
	new->listeners = (void *)range(new, &at, JOURNAL_LISTENERS, sizeof(*new->listeners));
	new->records = (void *)range(new, &at, new->descriptors, sizeof(*new->records));
	new->nicks = (void *)range(new, &at, new->descriptors, sizeof(*new->nicks));
	new->buckets = (void *)range(new, &at, new->descriptors, sizeof(*new->buckets));
	new->holds = (void *)range(new, &at, new->descriptors, sizeof(*new->holds));
	new->entries = (void *)range(new, &at, new->ring, sizeof(*new->entries));
	new->outbox = range(new, &at, 1, JOURNAL_OUTBOX);
	new->area.base = range(new, &at, 0, 0);
	return at;
}

/*
 * What may wait: twice limits.queue in the bufs of the log, which may be kept alive by a part of
 * what they hold; the history, and a copy for newcomers; a line of each client, and one more.
 * Rounded up to powers of two, all of it.
 */
static unsigned
order_for(const struct journal_need *need)
{
	uint64_t bytes = JOURNAL_SHARE * (need->queue + need->history) +
			 need->clients * (2 * (need->line + 128) + 2048) + 64 * need->line;
	unsigned order = AREA_ORDER_MIN;

	while (order < AREA_ORDER_MAX && (UINT64_C(1) << order) < bytes)
		order++;
	return order;
}

uint64_t
journal_queue_most(void)
{
	return (UINT64_C(1) << AREA_ORDER_MAX) / JOURNAL_SHARE;
}

bool
journal_suffices(const struct journal_need *need)
{
	return order_for(need) <= journal->area.order;
}

static int
fail(char *error, const char *what, int reason)
{
	snprintf(error, JOURNAL_ERROR, "%s: %s", what, strerror(reason));
	errno = reason;
	return -1;
}

/* Maps fd, which is laid out as the form says, with an area of the order. */
static int
map(int fd, const struct journal_form *form, unsigned order, char *error)
{
	struct journal *new = calloc(1, sizeof(*new));
	uint64_t size;

	if (new == NULL)
		return fail(error, "memory for a journal", errno);
	size = lay_out(new, form) + (UINT64_C(1) << order);
	if (size > SIZE_MAX / 2) {
		free(new);
		return fail(error, "memory for a journal", EFBIG);
	}
	new->size = (size_t)size;
	if (ftruncate(fd, (off_t)size) < 0 ||
	    (new->base = mmap(NULL, new->size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE,
		 fd, 0)) == MAP_FAILED) {
		int reason = errno;

		free(new);
		return fail(error, "memory for a journal", reason);
	}
	/* A core would hold all of it, even what was never used. */
	madvise(new->base, new->size, MADV_DONTDUMP);
	lay_out(new, form);
	new->fd = fd;
	if (area_init(&new->area, new->area.base, order) < 0) {
		munmap(new->base, new->size);
		free(new);
		return fail(error, "memory for a journal", ENOMEM);
	}
	journal = new;
	return 0;
}

int
journal_create(const struct journal_need *need, unsigned index_order, char error[JOURNAL_ERROR])
{
	unsigned order = order_for(need);
	int fd = memfd_create("chatd", MFD_CLOEXEC);
	struct journal_form form;

	if (fd < 0)
		return fail(error, "memfd_create", errno);
	if (index_order == 0)
		index_order = INDEX_ORDER;
	fill_form(&form, index_order);
	if (map(fd, &form, order, error) < 0) {
		close(fd);
		return -1;
	}
	journal->next = &journal->head->turns[1];
	for (int i = 0; i < 2; i++) {
		struct turn *turn = &journal->head->turns[i];

		turn->sum = journal_sum(turn, offsetof(struct turn, sum));
	}
	journal->head->turn = journal->head->history = JOURNAL_WORD(0);
	journal->head->form = form;
	return 0;
}

/* The logarithm of the size of the area, or 0 if it has none that is possible. */
static unsigned
find_order(const struct journal_form *form, uint64_t file)
{
	struct journal plan = {0};
	uint64_t begin = lay_out(&plan, form);

	for (unsigned order = AREA_ORDER_MIN; order <= AREA_ORDER_MAX; order++)
		if (file == begin + (UINT64_C(1) << order))
			return order;
	return 0;
}

/* Reads the form without a look at what it describes, and checks it. */
static int
read_form(int fd, struct journal_form *form, unsigned *order, char *error)
{
	struct journal_form want;
	struct stat st;

	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) ||
	    pread(fd, form, sizeof(*form), 0) != (ssize_t)sizeof(*form) ||
	    memcmp(form->magic, MAGIC, sizeof(form->magic)) != 0) {
		snprintf(error, JOURNAL_ERROR, "it is no journal of chatd");
		return -1;
	}
	fill_form(&want, form->index_order);
	if (form->version != VERSION || memcmp(form->sizes, want.sizes, sizeof(want.sizes)) != 0 ||
	    form->descriptors != want.descriptors) {
		snprintf(error, JOURNAL_ERROR, "it is the journal of another version of chatd");
		return -1;
	}
	if (form->sum != want.sum || form->index_order < INDEX_ORDER_MIN ||
	    form->index_order > INDEX_ORDER_MAX ||
	    (*order = find_order(form, (uint64_t)st.st_size)) == 0) {
		snprintf(error, JOURNAL_ERROR, "its header is damaged");
		return -1;
	}
	return 0;
}

int
journal_adopt(int fd, const struct journal_need *need, char error[JOURNAL_ERROR])
{
	struct journal_form form;
	unsigned order;

	if (read_form(fd, &form, &order, error) < 0)
		return -1;
	/* Everything else stays where it is. */
	return map(fd, &form, MAX(order, order_for(need)), error);
}

void
journal_close(void)
{
	if (journal == NULL)
		return;
	area_free(&journal->area);
	munmap(journal->base, journal->size);
	close(journal->fd);
	free(journal);
	journal = NULL;
}

void *
journal_alloc(size_t size)
{
	uint64_t place = area_take(&journal->area, size);

	return place != 0 ? area_at(&journal->area, place) : NULL;
}

void
journal_free(void *data, size_t size)
{
	area_give(&journal->area, area_place(&journal->area, data, size));
}
