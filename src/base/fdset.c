#include "base/fdset.h"

#include <bsd/stdlib.h>
#include <string.h>
#include <sys/param.h>

_Static_assert(sizeof(unsigned long) == sizeof(fd_mask), "a word is an fd_mask");

int
fdset_reserve(struct fdset *set, int fd)
{
	size_t words = howmany((size_t)fd + 1, NFDBITS);
	unsigned long *bits;

	if (words <= set->words)
		return 0;
	words = MAX(words, set->words * 2);
	bits = recallocarray(set->bits, set->words, words, sizeof(*bits));
	if (bits == NULL)
		return -1;
	set->bits = bits;
	set->words = words;
	return 0;
}

void
fdset_free(struct fdset *set)
{
	free(set->bits);
	*set = FDSET_EMPTY;
}

void
fdset_remove(struct fdset *set, int fd)
{
	size_t word = FDSET_WORD(fd);

	if (fd > set->last)
		return;
	set->bits[word] &= ~FDSET_BIT(fd);
	if (fd < set->last)
		return;
	while (set->bits[word] == 0 && word > 0)
		word--;
	set->last = set->bits[word] == 0
			? -1
			: (int)(word * NFDBITS + NFDBITS - 1) - __builtin_clzl(set->bits[word]);
}

void
fdset_clear(struct fdset *set)
{
	if (set->last >= 0)
		memset(set->bits, 0, (FDSET_WORD(set->last) + 1) * sizeof(*set->bits));
	set->last = -1;
}

void
fdset_join(struct fdset *set, const struct fdset *other)
{
	if (other->last < 0)
		return;
	for (size_t i = 0; i <= FDSET_WORD(other->last); i++)
		set->bits[i] |= other->bits[i];
	set->last = MAX(set->last, other->last);
}

unsigned
fdset_common(const struct fdset *a, const struct fdset *b)
{
	int last = MIN(a->last, b->last);
	unsigned count = 0;

	if (last < 0)
		return 0;
	for (size_t i = 0; i <= FDSET_WORD(last); i++)
		count += (unsigned)__builtin_popcountl(a->bits[i] & b->bits[i]);
	return count;
}
