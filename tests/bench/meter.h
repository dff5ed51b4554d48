/*
 * What the kernel knows about the server's process.
 */
#ifndef BENCH_METER_H
#define BENCH_METER_H

#include <stdint.h>
#include <sys/types.h>

enum {
	SERVERS = 8 /* at most */
};

/* The processes that are measured, and the ports on which they serve; mostly one of each. */
struct servers {
	pid_t pids[SERVERS];
	unsigned pid_count;
	uint16_t ports[SERVERS];
	unsigned port_count;
};

uint64_t clock_ns(void);

/* Of all of them together: what one of the functions below says. */
uint64_t meter_sum(const struct servers *servers, uint64_t (*meter)(pid_t pid));

/* User and system time of all threads, in ns; exits when pid is gone. */
uint64_t meter_cpu(pid_t pid);

/* How often its threads went to sleep. */
uint64_t meter_wakeups(pid_t pid);

/* Memory of the process, its part of shared pages included (Pss), in bytes. */
uint64_t meter_memory(pid_t pid);

/* Open descriptors. */
uint64_t meter_fds(pid_t pid);

/* Stops the process and returns when it stands still. */
void meter_freeze(pid_t pid);
void meter_thaw(pid_t pid);

#endif
