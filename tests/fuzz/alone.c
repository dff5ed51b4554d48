/*
 * alone: calls of rooms that a target without a world links, but never reaches.
 */
#include <stdlib.h>
#include <sys/stat.h>

int sim_close(int fd);
int sim_fstat(int fd, struct stat *st);

int
sim_close(int fd)
{
	(void)fd;
	abort();
}

int
sim_fstat(int fd, struct stat *st)
{
	(void)fd;
	(void)st;
	abort();
}
