/*
 * memory: a shim in which allocations are refused, the n-th or all from the n-th on.
 *
 * They are counted from the start of main. Those inside libconfig's parser are neither counted nor
 * refused: that library does not look at what malloc returns, and chatd can do nothing about it.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>

#include "shim.h"

static struct control {
	uint64_t count;       /* allocations so far; the first is number 1 */
	uint64_t from, until; /* from <= number < until is refused */
	uint64_t refused;
} none = {.from = UINT64_MAX}, *control = &none;

static bool in_main;
static int in_libconfig; /* depth: its functions call each other */

/* glibc's own names for its functions: the way of dlsym would allocate. */
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *old, size_t size);

static bool
refused(void)
{
	uint64_t number;

	if (!in_main || in_libconfig > 0)
		return false;
	number = ++control->count;
	if (number < control->from || number >= control->until)
		return false;
	control->refused++;
	errno = ENOMEM;
	return true;
}

void *
malloc(size_t size)
{
	return refused() ? NULL : __libc_malloc(size);
}

void *
calloc(size_t count, size_t size)
{
	return refused() ? NULL : __libc_calloc(count, size);
}

void *
realloc(void *old, size_t size)
{
	return refused() ? NULL : __libc_realloc(old, size);
}

void *
reallocarray(void *old, size_t count, size_t size)
{
	size_t bytes;

	if (__builtin_mul_overflow(count, size, &bytes)) {
		errno = ENOMEM;
		return NULL;
	}
	return realloc(old, bytes);
}

/* All of libconfig that chatd calls and that allocates. Its header is not needed for a shim. */
void config_init(void *config);
void config_set_include_dir(void *config, const char *folder);
int config_read_string(void *config, const char *text);

void
config_init(void *config)
{
	in_libconfig++;
	NEXT(config_init)(config);
	in_libconfig--;
}

void
config_set_include_dir(void *config, const char *folder)
{
	in_libconfig++;
	NEXT(config_set_include_dir)(config, folder);
	in_libconfig--;
}

int
config_read_string(void *config, const char *text)
{
	int result;

	in_libconfig++;
	result = NEXT(config_read_string)(config, text);
	in_libconfig--;
	return result;
}

typedef int main_function(int argc, char **argv, char **env);

static main_function *real_main;

static int
counted_main(int argc, char **argv, char **env)
{
	control = map_control("FAULTS_MEMORY", sizeof(*control), &none);
	in_main = true;
	return real_main(argc, argv, env);
}

int __libc_start_main(main_function *entry, int argc, char **argv, void (*init)(void),
    void (*fini)(void), void (*rtld_fini)(void), void *stack_end);

int
__libc_start_main(main_function *entry, int argc, char **argv, void (*init)(void),
    void (*fini)(void), void (*rtld_fini)(void), void *stack_end)
{
	real_main = entry;
	return NEXT(__libc_start_main)(counted_main, argc, argv, init, fini, rtld_fini, stack_end);
}
