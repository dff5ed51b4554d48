#include "memory.h"

#include <errno.h>
#include <malloc.h>
#include <stdbool.h>
#include <string.h>

#if __has_include(<sanitizer/asan_interface.h>)
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(block, size)   ((void)(block))
#define ASAN_UNPOISON_MEMORY_REGION(block, size) ((void)(block))
#endif

#include "seam.h"
#include "target.h"

struct memory memory;

void
memory_reset(void)
{
	memory.asked = memory.refused = 0;
	memory.from = memory.until = 0;
}

void
memory_refuse(uint64_t first, uint64_t count)
{
	memory.from = memory.asked + first;
	memory.until = count < UINT64_MAX - memory.from ? memory.from + count : UINT64_MAX;
}

static bool
refused(void)
{
	memory.asked++;
	if (memory.asked < memory.from || memory.asked >= memory.until)
		return false;
	memory.refused++;
	errno = ENOMEM;
	return true;
}

/*
 * Large blocks are kept for the next one of their size: to map and clear them anew would take more
 * time than everything else. While nobody has one, whoever touches it is caught all the same.
 */
#define LARGE 100000
#define KEPT  8

static struct {
	void *block;
	size_t size;
} kept[KEPT];

static void *
take_kept(size_t size)
{
	for (int i = 0; i < KEPT; i++)
		if (kept[i].block != NULL && kept[i].size == size) {
			void *block = kept[i].block;

			kept[i].block = NULL;
			ASAN_UNPOISON_MEMORY_REGION(block, size);
			return block;
		}
	return malloc(size);
}

static void
keep(void *block, size_t size)
{
	for (int i = 0; i < KEPT && size >= LARGE; i++)
		if (kept[i].block == NULL) {
			kept[i].block = block;
			kept[i].size = size;
			ASAN_POISON_MEMORY_REGION(block, size);
			return;
		}
	free(block);
}

static void *
counted(void *block)
{
	if (block == NULL)
		abort();
	memory.blocks++;
	memory.bytes += malloc_usable_size(block);
	return block;
}

/* Not zero: whoever reads what was never written is to get something odd. */
void *
sim_malloc(size_t size)
{
	void *block;

	if (refused())
		return NULL;
	block = counted(size < LARGE ? malloc(size) : take_kept(size));
	memset(block, 0xa5, size < 64 ? size : 64);
	return block;
}

void *
sim_calloc(size_t count, size_t size)
{
	void *block;

	if (refused())
		return NULL;
	if (count * size < LARGE)
		return counted(calloc(count, size));
	block = counted(take_kept(count * size));
	return memset(block, 0, count * size);
}

void *
sim_realloc(void *old, size_t size)
{
	if (refused())
		return NULL;
	if (old != NULL) {
		memory.blocks--;
		memory.bytes -= malloc_usable_size(old);
	}
	return counted(realloc(old, size));
}

void *
sim_reallocarray(void *old, size_t count, size_t size)
{
	check(size == 0 || count <= SIZE_MAX / size);
	return sim_realloc(old, count * size);
}

void *
sim_recallocarray(void *old, size_t had, size_t count, size_t size)
{
	char *block = sim_calloc(count, size);

	if (block == NULL)
		return NULL;
	if (old != NULL) {
		memcpy(block, old, (had < count ? had : count) * size);
		sim_free(old);
	}
	return block;
}

char *
sim_strdup(const char *text)
{
	size_t size = strlen(text) + 1;
	char *copy = sim_malloc(size);

	return copy != NULL ? memcpy(copy, text, size) : NULL;
}

void
sim_free(void *block)
{
	if (block == NULL)
		return;
	memory.blocks--;
	memory.bytes -= malloc_usable_size(block);
	keep(block, malloc_usable_size(block));
}

/* Whatever is given back is not counted here. */
int
sim_malloc_trim(size_t pad)
{
	(void)pad;
	return 0;
}
