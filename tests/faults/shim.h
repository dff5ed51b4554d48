/*
 * What the shims share: libraries to be preloaded into chatd, through which a test makes calls
 * fail.
 *
 * The file that an environment variable names is mapped by chatd and by the test, which may change
 * the numbers in it at any time (see shims.py).
 */
#ifndef FAULTS_SHIM_H
#define FAULTS_SHIM_H

#include <dlfcn.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

/* Maps size bytes of the file. Returns otherwise where that is not possible. */
static void *
map_control(const char *variable, size_t size, void *otherwise)
{
	const char *path = getenv(variable);
	int fd = path != NULL ? open(path, O_RDWR | O_CLOEXEC) : -1;
	void *page;

	if (fd < 0)
		return otherwise;
	page = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	/* Not close: a shim has one of its own. What is left open chatd closes as it starts. */
	return page != MAP_FAILED ? page : otherwise;
}

/* The function that is called when there is no shim. */
static void *
next(const char *name)
{
	void *function = dlsym(RTLD_NEXT, name);

	if (function == NULL)
		abort();
	return function;
}

#define NEXT(name) ((__typeof__(&(name)))next(#name))

#endif
