/*
 * nobody: a machine without users, groups and interfaces. No name of a settings file is known, so
 * that a target does not depend on where it runs.
 */
#include "seam.h"

struct passwd *
sim_getpwnam(const char *name)
{
	(void)name;
	return NULL;
}

struct group *
sim_getgrnam(const char *name)
{
	(void)name;
	return NULL;
}

unsigned
sim_if_nametoindex(const char *name)
{
	(void)name;
	return 0;
}
