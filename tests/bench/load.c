/*
 * Puts load on a chat server and measures what it costs the server.
 *
 *	load [-mt] [-b BACKLOG] PROTOCOL PORT PID COMMAND...
 *
 * Commands run in order on the same connections; each prints one JSON object:
 *
 *	clients=N		connect until N listen
 *	warm=SECONDS		as round=1, without a figure
 *	round=LINES,SECONDS	send so many lines, wait until all have them, again
 *	stream=SECONDS		send as fast as the slowest listener allows
 *	latency=SECONDS		a line every LATENCY_NS: how long until all have it
 *	count=LINES,ROUNDS	rounds in which the server stands still while lines are
 *				sent, so that it always meets the same work
 *	memory			of the server's process
 *	idle=SECONDS		nobody speaks
 *
 * With -m all speak, not only one; with -t they speak TLS. BACKLOG is how many connections the
 * server lets wait for its accept. PORT and PID can be lists with commas: then the clients are
 *dealt out to the ports, and what the processes cost is added up; count stops the first one. Exit
 *status: 0, the figures hold (they tell of lost lines); 1, something failed; 2, not all clients
 *could join.
 */
#include "crowd.h"
#include "meter.h"

#include <err.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
	STREAM_STEP = 256,   /* lines in one send of a single speaker */
	STREAM_WINDOW = 16,  /* steps that a speaker is ahead of the slowest listener */
	STREAM_DUE = 320000, /* lines that one step brings to all listeners, at most */
	SAMPLES = 4096,
};

#define LATENCY_NS 40000000

struct mark {
	uint64_t wall, cpu;
};

static struct mark
mark_now(const struct crowd *crowd)
{
	return (struct mark){clock_ns(), meter_sum(&crowd->servers, meter_cpu)};
}

static uint64_t
to_ns(double seconds)
{
	return (uint64_t)(seconds * 1e9);
}

/* The figures of what was sent since start; false if lines are missing. */
static bool
report(struct crowd *crowd, const char *name, unsigned lines, uint64_t rounds,
    const struct mark *start)
{
	struct mark end = mark_now(crowd);
	uint64_t wall = end.wall - start->wall, cpu = end.cpu - start->cpu;
	uint64_t due = rounds * lines * crowd_gain(crowd) * crowd_listeners(crowd);

	crowd_settle(crowd);
	printf("{\"command\":\"%s\",\"lines\":%u,\"rounds\":%" PRIu64 ",\"due\":%" PRIu64
	       ",\"wall_ns\":%" PRIu64 ",\"cpu_ns\":%" PRIu64 ",\"idle_ns\":%" PRIu64
	       ",\"lost\":%" PRIu64 ",\"reordered\":%" PRIu64 ",\"garbled\":%" PRIu64
	       ",\"closed\":%u}\n",
	    name, lines, rounds, due, wall, cpu, crowd->idle_ns, crowd->faults.lost,
	    crowd->faults.reordered, crowd->faults.garbled, crowd->faults.closed);
	return crowd->faults.lost == 0 && crowd->faults.closed == 0;
}

static bool
wait_for_all(struct crowd *crowd)
{
	while (crowd->waiting > 0 || crowd->pending > 0) {
		crowd_turn(crowd, 0);
		if (crowd_stalled(crowd))
			return false;
	}
	return true;
}

static bool
run_round(struct crowd *crowd, unsigned lines, uint64_t total)
{
	crowd_expect(crowd, total * crowd_gain(crowd));
	crowd_send(crowd, lines);
	return wait_for_all(crowd);
}

static uint64_t
run_rounds(struct crowd *crowd, unsigned lines, double seconds)
{
	uint64_t end = clock_ns() + to_ns(seconds), rounds = 0;

	do {
		rounds++;
		if (!run_round(crowd, lines, rounds * lines))
			break;
	} while (clock_ns() < end);
	return rounds;
}

static bool
command_round(struct crowd *crowd, unsigned lines, double seconds)
{
	struct mark start;
	uint64_t rounds;

	crowd_reset(crowd);
	start = mark_now(crowd);
	rounds = run_rounds(crowd, lines, seconds);
	return report(crowd, "round", lines, rounds, &start);
}

/* The window grows with the run, so a slow server is not given work for minutes. */
static bool
command_stream(struct crowd *crowd, double seconds)
{
	unsigned step = crowd->many ? 1 : STREAM_DUE / crowd_listeners(crowd);
	uint64_t sent = 0, got, end = clock_ns() + to_ns(seconds);
	struct mark start;

	if (step > STREAM_STEP)
		step = STREAM_STEP;
	crowd_reset(crowd);
	start = mark_now(crowd);
	do {
		uint64_t ahead = sent / step < STREAM_WINDOW ? sent / 2 : STREAM_WINDOW * step;

		sent += step;
		got = sent - step - ahead;
		crowd_send(crowd, step);
		crowd_expect(crowd, got * crowd_gain(crowd));
	} while (wait_for_all(crowd) && clock_ns() < end);
	crowd_expect(crowd, sent * crowd_gain(crowd));
	wait_for_all(crowd);
	return report(crowd, "stream", step, sent / step, &start);
}

static bool
command_count(struct crowd *crowd, unsigned lines, unsigned rounds)
{
	struct mark start;

	crowd_reset(crowd);
	start = mark_now(crowd);
	for (unsigned i = 1; i <= rounds; i++) {
		meter_freeze(crowd->servers.pids[0]);
		crowd_expect(crowd, (uint64_t)i * lines * crowd_gain(crowd));
		crowd_send(crowd, lines);
		meter_thaw(crowd->servers.pids[0]);
		if (!wait_for_all(crowd))
			break;
	}
	return report(crowd, "count", lines, rounds, &start);
}

static int
compare(const void *a, const void *b)
{
	uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;

	return (left > right) - (left < right);
}

static bool
command_latency(struct crowd *crowd, double seconds)
{
	static uint64_t samples[SAMPLES];
	uint64_t begin, now, count = 0;

	crowd_reset(crowd);
	begin = clock_ns();
	while (count < SAMPLES && (double)(count * LATENCY_NS) < seconds * 1e9) {
		while ((now = clock_ns()) < begin + count * LATENCY_NS)
			crowd_turn(crowd, (int)((begin + count * LATENCY_NS - now) / 1000000));
		crowd->quiet_since = 0;
		if (!run_round(crowd, 1, count + 1))
			break;
		samples[count++] = clock_ns() - now;
	}
	crowd_settle(crowd);
	if (count == 0)
		return false;
	qsort(samples, count, sizeof(samples[0]), compare);
	printf("{\"command\":\"latency\",\"samples\":%" PRIu64 ",\"median_ns\":%" PRIu64
	       ",\"p95_ns\":%" PRIu64 ",\"max_ns\":%" PRIu64 ",\"lost\":%" PRIu64
	       ",\"closed\":%u}\n",
	    count, samples[count / 2], samples[count * 95 / 100], samples[count - 1],
	    crowd->faults.lost, crowd->faults.closed);
	return crowd->faults.lost == 0 && crowd->faults.closed == 0;
}

static bool
command_clients(struct crowd *crowd, unsigned listeners)
{
	struct mark start = mark_now(crowd), end;
	unsigned from = crowd->size, size = crowd->many ? listeners : listeners + 1;

	if (!crowd_connect(crowd, size)) {
		warnx("the server did not accept %u clients", size);
		return false;
	}
	end = mark_now(crowd);
	if (!crowd_join(crowd, from)) {
		warnx("not all of %u clients could join (%u were closed)", size,
		    crowd->faults.closed);
		return false;
	}
	printf("{\"command\":\"clients\",\"accepted\":%u,\"wall_ns\":%" PRIu64
	       ",\"cpu_ns\":%" PRIu64 "}\n",
	    size - from, end.wall - start.wall, end.cpu - start.cpu);
	return true;
}

static bool
command_memory(const struct crowd *crowd)
{
	printf("{\"command\":\"memory\",\"clients\":%u,\"bytes\":%" PRIu64 "}\n", crowd->size,
	    meter_sum(&crowd->servers, meter_memory));
	return true;
}

static bool
command_idle(const struct crowd *crowd, double seconds)
{
	struct timespec span = {.tv_sec = (time_t)seconds};
	struct mark start, end;
	uint64_t wakeups;

	span.tv_nsec = (long)((seconds - (double)span.tv_sec) * 1e9);
	sleep(1); /* what the last command set off has come to rest */
	wakeups = meter_sum(&crowd->servers, meter_wakeups);
	start = mark_now(crowd);
	nanosleep(&span, NULL);
	end = mark_now(crowd);
	printf("{\"command\":\"idle\",\"clients\":%u,\"wall_ns\":%" PRIu64 ",\"cpu_ns\":%" PRIu64
	       ",\"wakeups\":%" PRIu64 "}\n",
	    crowd->size, end.wall - start.wall, end.cpu - start.cpu,
	    meter_sum(&crowd->servers, meter_wakeups) - wakeups);
	return true;
}

static bool
run(struct crowd *crowd, const char *command)
{
	unsigned lines, rounds;
	double seconds;

	if (sscanf(command, "clients=%u", &lines) == 1) {
		if (!command_clients(crowd, lines))
			exit(2);
		return true;
	}
	if (sscanf(command, "warm=%lf", &seconds) == 1) {
		crowd_reset(crowd);
		run_rounds(crowd, 1, seconds);
		return true;
	}
	if (sscanf(command, "round=%u,%lf", &lines, &seconds) == 2)
		return command_round(crowd, lines, seconds);
	if (sscanf(command, "stream=%lf", &seconds) == 1)
		return command_stream(crowd, seconds);
	if (sscanf(command, "latency=%lf", &seconds) == 1)
		return command_latency(crowd, seconds);
	if (sscanf(command, "count=%u,%u", &lines, &rounds) == 2)
		return command_count(crowd, lines, rounds);
	if (sscanf(command, "idle=%lf", &seconds) == 1)
		return command_idle(crowd, seconds);
	if (strcmp(command, "memory") == 0)
		return command_memory(crowd);
	errx(1, "unknown command %s", command);
}

/* The largest crowd that the commands ask for. */
static unsigned
room_for(char *const *commands)
{
	unsigned room = 0, listeners;

	for (; *commands != NULL; commands++)
		if (sscanf(*commands, "clients=%u", &listeners) == 1 && listeners >= room)
			room = listeners + 1;
	if (room < 2)
		errx(1, "clients=N is missing");
	return room;
}

/* Numbers with commas in between. */
static unsigned
read_numbers(const char *text, long numbers[SERVERS])
{
	unsigned count = 0;
	char *end;

	do {
		if (count == SERVERS)
			errx(1, "%s: more than %d", text, SERVERS);
		numbers[count++] = strtol(text, &end, 10);
		text = end + 1;
	} while (*end == ',');
	return count;
}

static void
read_servers(struct servers *servers, const char *ports, const char *pids)
{
	long numbers[SERVERS];

	servers->port_count = read_numbers(ports, numbers);
	for (unsigned i = 0; i < servers->port_count; i++)
		servers->ports[i] = (uint16_t)numbers[i];
	servers->pid_count = read_numbers(pids, numbers);
	for (unsigned i = 0; i < servers->pid_count; i++)
		servers->pids[i] = (pid_t)numbers[i];
}

int
main(int argc, char **argv)
{
	const struct proto *proto;
	struct servers servers;
	struct crowd crowd;
	bool many = false, tls = false;
	unsigned backlog = 1000;
	int option;

	while ((option = getopt(argc, argv, "b:mt")) != -1) {
		if (option == 'm')
			many = true;
		else if (option == 't')
			tls = true;
		else if (option == 'b')
			backlog = (unsigned)atoi(optarg);
		else
			return 1;
	}
	argv += optind;
	if (argc - optind < 4)
		errx(1, "usage: load [-mt] [-b BACKLOG] PROTOCOL PORT PID COMMAND...");
	proto = proto_find(argv[0]);
	if (proto == NULL)
		errx(1, "unknown protocol %s", argv[0]);
	setvbuf(stdout, NULL, _IOLBF, 0);
	read_servers(&servers, argv[1], argv[2]);
	crowd_init(&crowd, proto, &servers, many, room_for(argv + 3));
	crowd.backlog = backlog;
	if (tls)
		crowd.tls = secure_client();
	for (char **command = argv + 3; *command != NULL; command++)
		if (!run(&crowd, *command))
			break; /* lines are missing: what follows would not hold */
	crowd_free(&crowd);
	SSL_CTX_free(crowd.tls);
	return 0;
}
