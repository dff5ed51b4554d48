/*
 * area: memory at fixed offsets, given out in blocks.
 *
 * A range of memory that outlives the process holds nothing but what is stored in it. Which parts
 * are in use is known here alone, in memory of the process: a successor starts with everything
 * free, and claims the blocks that what it took over refers to. So no crash can leave a block that
 * is neither in use nor free, and nothing that the memory holds can mislead an allocation.
 *
 * Blocks are powers of two of at least AREA_BLOCK bytes, each aligned to its size (buddies). A
 * place names a block: its offset, with the logarithm of its size in the low bits, which the offset
 * leaves free. 0 is no place.
 *
 * Memory once touched stays with the process until area_trim gives back what is free.
 */
#ifndef CHATD_AREA_H
#define CHATD_AREA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define AREA_SMALLEST 8 /* logarithms of sizes */
#define AREA_LARGEST  40
#define AREA_BLOCK    (1U << AREA_SMALLEST)
#define AREA_TRIM     (4U << 20) /* bytes that are worth giving back */

struct area_level {
	unsigned long *free; /* a bit for each block of this size */
	unsigned long *used;
	size_t count;  /* of free blocks */
	size_t lowest; /* no word of free before this one has a bit */
};

struct area {
	char *base;
	unsigned order;         /* logarithm of its size */
	unsigned long *touched; /* AREA_PIECEs that are free and may hold memory */
	size_t touched_bytes;
	struct area_level levels[AREA_LARGEST + 1];
};

/* base has 1 << order bytes. All are free. Returns 0, or -1 when memory is refused. */
int area_init(struct area *area, char *base, unsigned order);
void area_free(struct area *area);

/* A block of at least size bytes, or 0 when there is none. */
uint64_t area_take(struct area *area, size_t size);
void area_give(struct area *area, uint64_t place);
/* Whether place is a possible one; it may come from anywhere. */
bool area_is_possible(const struct area *area, uint64_t place);
/* Takes that very block, if it is free. */
bool area_claim(struct area *area, uint64_t place);
/* Whether that very block is in use. */
bool area_is_used(const struct area *area, uint64_t place);
/* The place of a block in use at data that has size bytes. */
uint64_t area_place(const struct area *area, const void *data, size_t size);

static inline void *
area_at(const struct area *area, uint64_t place)
{
	return area->base + (place & ~(uint64_t)(AREA_BLOCK - 1));
}

/* Bytes of the block. */
static inline uint64_t
area_size(uint64_t place)
{
	return UINT64_C(1) << (place & (AREA_BLOCK - 1));
}

/* Gives free memory back to the system, if that is at least AREA_TRIM. */
void area_trim(struct area *area);

#endif
