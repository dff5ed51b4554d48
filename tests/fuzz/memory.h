/*
 * memory: the allocator of a fuzz target. It counts what is in use, and refuses when told to.
 */
#ifndef FUZZ_MEMORY_H
#define FUZZ_MEMORY_H

#include <stddef.h>
#include <stdint.h>

struct memory {
	size_t blocks; /* in use */
	size_t bytes;
	uint64_t asked; /* allocations so far; the first is number 1 */
	uint64_t from;  /* those with a number from <= n < until are refused */
	uint64_t until;
	uint64_t refused; /* so many were */
};

extern struct memory memory;

/* Nothing is refused. What is in use stays. */
void memory_reset(void);
/* Refuses the first-th allocation from now on, and so many after it. */
void memory_refuse(uint64_t first, uint64_t count);

#endif
