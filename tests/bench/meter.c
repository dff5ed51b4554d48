#include "meter.h"

#include <dirent.h>
#include <err.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static uint64_t
to_ns(const struct timespec *ts)
{
	return (uint64_t)ts->tv_sec * 1000000000u + (uint64_t)ts->tv_nsec;
}

uint64_t
clock_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return to_ns(&ts);
}

uint64_t
meter_sum(const struct servers *servers, uint64_t (*meter)(pid_t pid))
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < servers->pid_count; i++)
		sum += meter(servers->pids[i]);
	return sum;
}

/* The clock counts in ns; the ticks of /proc/PID/stat would be too coarse. */
uint64_t
meter_cpu(pid_t pid)
{
	struct timespec ts;
	clockid_t clock;
	int error = clock_getcpuclockid(pid, &clock);

	if (error != 0)
		errx(1, "process %d: %s", (int)pid, strerror(error));
	if (clock_gettime(clock, &ts) != 0)
		err(1, "process %d", (int)pid);
	return to_ns(&ts);
}

/* The number behind key in a file such as /proc/PID/status. */
static uint64_t
proc_number(const char *path, const char *key)
{
	char line[256];
	uint64_t value = 0;
	FILE *file = fopen(path, "re");

	if (file == NULL)
		return 0;
	while (fgets(line, sizeof(line), file) != NULL)
		if (strncmp(line, key, strlen(key)) == 0) {
			value = strtoull(line + strlen(key), NULL, 10);
			break;
		}
	fclose(file);
	return value;
}

static uint64_t
each_entry(const char *path, uint64_t (*value)(const char *dir, const char *name))
{
	uint64_t sum = 0;
	struct dirent *entry;
	DIR *dir = opendir(path);

	if (dir == NULL)
		return 0;
	while ((entry = readdir(dir)) != NULL)
		if (entry->d_name[0] != '.')
			sum += value(path, entry->d_name);
	closedir(dir);
	return sum;
}

static uint64_t
task_wakeups(const char *dir, const char *name)
{
	char path[512];

	(void)snprintf(path, sizeof(path), "%s/%s/status", dir, name);
	return proc_number(path, "voluntary_ctxt_switches:");
}

uint64_t
meter_wakeups(pid_t pid)
{
	char path[64];

	(void)snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
	return each_entry(path, task_wakeups);
}

uint64_t
meter_memory(pid_t pid)
{
	char path[64];

	(void)snprintf(path, sizeof(path), "/proc/%d/smaps_rollup", (int)pid);
	return proc_number(path, "Pss:") * 1024;
}

static uint64_t
one(const char *dir, const char *name)
{
	(void)dir, (void)name;
	return 1;
}

uint64_t
meter_fds(pid_t pid)
{
	char path[64];
	struct stat st;

	(void)snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
	if (stat(path, &st) == 0 && st.st_size > 0) /* since Linux 6.2 */
		return (uint64_t)st.st_size;
	return each_entry(path, one);
}

void
meter_freeze(pid_t pid)
{
	char path[64], text[512], *end;
	ssize_t len;
	FILE *file;

	(void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	if (kill(pid, SIGSTOP) != 0)
		err(1, "process %d", (int)pid);
	do {
		file = fopen(path, "re");
		if (file == NULL)
			err(1, "%s", path);
		len = (ssize_t)fread(text, 1, sizeof(text) - 1, file);
		fclose(file);
		text[len > 0 ? len : 0] = '\0';
		end = strrchr(text, ')');
	} while (end == NULL || end[1] != ' ' || end[2] != 'T');
}

void
meter_thaw(pid_t pid)
{
	if (kill(pid, SIGCONT) != 0)
		err(1, "process %d", (int)pid);
}
