/*
 * fdset: a set of descriptors of any size, laid out as select reads it.
 *
 * FD_SET ends at 1024 descriptors, and aborts there under _FORTIFY_SOURCE. The kernel takes
 * sets of any length, so these few lines of bit arithmetic do the same without the end:
 * howmany(maxfd + 1, NFDBITS) words, a word being the fd_mask of <sys/select.h>.
 *
 * A set owns its words. Only fdset_reserve allocates; everything else needs the room to be there.
 */
#ifndef CHATD_FDSET_H
#define CHATD_FDSET_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/select.h>

struct fdset {
	unsigned long *bits;
	size_t words; /* room, in words of NFDBITS */
	int last;     /* highest member, -1 when empty */
};

#define FDSET_EMPTY ((struct fdset){.last = -1})

/* Makes room for descriptors up to fd. Returns 0, or -1 with the set unchanged. */
int fdset_reserve(struct fdset *set, int fd);
void fdset_free(struct fdset *set);

/* Adds every member of other; the set must have room up to other->last. */
void fdset_join(struct fdset *set, const struct fdset *other);
/* How many members both have. */
unsigned fdset_common(const struct fdset *a, const struct fdset *b);
void fdset_remove(struct fdset *set, int fd);
void fdset_clear(struct fdset *set);

/* Inline, since the loop asks for every member in every pass. */
#define FDSET_WORD(fd) ((size_t)(fd) / NFDBITS)
#define FDSET_BIT(fd)  (1UL << ((size_t)(fd) % NFDBITS))

static inline void
fdset_add(struct fdset *set, int fd)
{
	set->bits[FDSET_WORD(fd)] |= FDSET_BIT(fd);
	if (fd > set->last)
		set->last = fd;
}

static inline bool
fdset_has(const struct fdset *set, int fd)
{
	return fd <= set->last && (set->bits[FDSET_WORD(fd)] & FDSET_BIT(fd)) != 0;
}

/* The lowest member that is not below fd, or -1. */
static inline int
fdset_next(const struct fdset *set, int fd)
{
	size_t word = FDSET_WORD(fd);
	unsigned long bits;

	if (fd > set->last)
		return -1;
	bits = set->bits[word] & ~(FDSET_BIT(fd) - 1);
	while (bits == 0) {
		if (++word > FDSET_WORD(set->last))
			return -1;
		bits = set->bits[word];
	}
	return (int)(word * NFDBITS) + __builtin_ctzl(bits);
}

/* Visits the members in ascending order. The body may remove the current member. */
#define FDSET_FOREACH(fd, set) \
	for (int fd = fdset_next((set), 0); fd >= 0; fd = fdset_next((set), fd + 1))

#endif
