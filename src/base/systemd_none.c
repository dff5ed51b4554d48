/*
 * In the place of systemd.c where chatd is built without libsystemd.
 */
#include "base/systemd.h"

#include <errno.h>
#include <stddef.h>

int
systemd_descriptors(char ***names)
{
	*names = NULL;
	return 0;
}

void
systemd_free_names(char **names)
{
	(void)names;
}

bool
systemd_keeps_descriptors(void)
{
	return false;
}

int64_t
systemd_watchdog(void)
{
	return 0;
}

int
systemd_journal(void)
{
	errno = ENOSYS;
	return -1;
}
