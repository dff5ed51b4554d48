#include "wire/area.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/param.h>

#define WORD        (8 * sizeof(unsigned long))
#define PIECE_ORDER 16 /* memory is given back in pieces of 64 KiB */
#define PIECE       ((size_t)1 << PIECE_ORDER)

static inline bool
has(const unsigned long *bits, uint64_t index)
{
	return (bits[index / WORD] >> (index % WORD) & 1) != 0;
}

static inline void
set(unsigned long *bits, uint64_t index)
{
	bits[index / WORD] |= 1UL << (index % WORD);
}

static inline void
clear(unsigned long *bits, uint64_t index)
{
	bits[index / WORD] &= ~(1UL << (index % WORD));
}

static void
add_free(struct area *area, unsigned order, uint64_t index)
{
	struct area_level *level = &area->levels[order];

	set(level->free, index);
	level->count++;
	level->lowest = MIN(level->lowest, (size_t)(index / WORD));
}

static void
remove_free(struct area *area, unsigned order, uint64_t index)
{
	clear(area->levels[order].free, index);
	area->levels[order].count--;
}

static size_t
words(uint64_t bits)
{
	return (size_t)((bits + WORD - 1) / WORD);
}

int
area_init(struct area *area, char *base, unsigned order)
{
	*area = (struct area){.base = base, .order = order};
	area->touched = calloc(words(UINT64_C(1) << order >> PIECE_ORDER), sizeof(unsigned long));
	for (unsigned i = AREA_SMALLEST; i <= order; i++) {
		struct area_level *level = &area->levels[i];
		size_t count = words(UINT64_C(1) << (order - i));

		level->free = calloc(count, sizeof(unsigned long));
		level->used = calloc(count, sizeof(unsigned long));
		level->lowest = SIZE_MAX;
		if (level->free == NULL || level->used == NULL)
			break;
	}
	if (area->touched == NULL || area->levels[order].used == NULL ||
	    area->levels[order].free == NULL) {
		area_free(area);
		return -1;
	}
	add_free(area, order, 0);
	return 0;
}

void
area_free(struct area *area)
{
	for (unsigned i = AREA_SMALLEST; i <= area->order; i++) {
		free(area->levels[i].free);
		free(area->levels[i].used);
	}
	free(area->touched);
	*area = (struct area){0};
}

static unsigned
order_of(size_t size)
{
	unsigned order = AREA_SMALLEST;

	while (order < AREA_LARGEST && (UINT64_C(1) << order) < size)
		order++;
	return order;
}

/* What is free and lies in the range holds memory, perhaps, or no longer. */
static void
mark_touched(struct area *area, uint64_t offset, unsigned order, bool touched)
{
	uint64_t first = offset >> PIECE_ORDER,
		 last = (offset + (UINT64_C(1) << order) - 1) >> PIECE_ORDER;

	for (uint64_t i = first; i <= last; i++) {
		if (has(area->touched, i) == touched)
			continue;
		if (touched) {
			set(area->touched, i);
			area->touched_bytes += PIECE;
		} else {
			clear(area->touched, i);
			area->touched_bytes -= PIECE;
		}
	}
}

/* Takes the block out of a free one of from, which contains it. */
static void
split(struct area *area, unsigned from, uint64_t offset, unsigned order)
{
	remove_free(area, from, offset >> from);
	while (from > order) {
		from--;
		add_free(area, from, offset >> from ^ 1);
	}
	set(area->levels[order].used, offset >> order);
	mark_touched(area, offset, order, false);
}

/* The lowest free block of the level, which has one. */
static uint64_t
lowest(struct area_level *level)
{
	size_t word = level->lowest;

	while (level->free[word] == 0)
		word++;
	level->lowest = word;
	return word * WORD + (unsigned)__builtin_ctzl(level->free[word]);
}

uint64_t
area_take(struct area *area, size_t size)
{
	unsigned order = order_of(size), from = order;
	uint64_t offset;

	while (from <= area->order && area->levels[from].count == 0)
		from++;
	if (from > area->order)
		return 0;
	offset = lowest(&area->levels[from]) << from;
	split(area, from, offset, order);
	return offset | order;
}

void
area_give(struct area *area, uint64_t place)
{
	unsigned order = place & (AREA_BLOCK - 1), given = order;
	uint64_t offset = place - order, index = offset >> order;

	clear(area->levels[order].used, index);
	while (order < area->order && has(area->levels[order].free, index ^ 1)) {
		remove_free(area, order, index ^ 1);
		index >>= 1;
		order++;
	}
	add_free(area, order, index);
	if (order >= PIECE_ORDER)
		mark_touched(area, offset, given, true);
}

bool
area_is_possible(const struct area *area, uint64_t place)
{
	unsigned order = place & (AREA_BLOCK - 1);
	uint64_t offset = place - order, size = UINT64_C(1) << area->order;

	if (order < AREA_SMALLEST || order > area->order)
		return false;
	return offset < size && offset % (UINT64_C(1) << order) == 0;
}

bool
area_claim(struct area *area, uint64_t place)
{
	unsigned order = place & (AREA_BLOCK - 1);
	uint64_t offset = place - order;

	for (unsigned from = order; from <= area->order; from++)
		if (has(area->levels[from].free, offset >> from)) {
			split(area, from, offset, order);
			return true;
		}
	return false;
}

bool
area_is_used(const struct area *area, uint64_t place)
{
	unsigned order = place & (AREA_BLOCK - 1);

	return has(area->levels[order].used, (place - order) >> order);
}

uint64_t
area_place(const struct area *area, const void *data, size_t size)
{
	return (uint64_t)((const char *)data - area->base) | order_of(size);
}

/* A touched piece may have become part of smaller blocks only by a take, which has cleared it. */
void
area_trim(struct area *area)
{
	uint64_t count = UINT64_C(1) << area->order >> PIECE_ORDER;

	if (area->touched_bytes < AREA_TRIM)
		return;
	for (uint64_t i = 0; i < count; i++) {
		if (area->touched[i / WORD] == 0) {
			i |= WORD - 1;
			continue;
		}
		if (has(area->touched, i))
			madvise(area->base + (i << PIECE_ORDER), PIECE, MADV_REMOVE);
	}
	memset(area->touched, 0, words(count) * sizeof(unsigned long));
	area->touched_bytes = 0;
}
