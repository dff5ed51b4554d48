/*
 * storm: kills chatd again and again while clients talk, and checks that nobody notices.
 *
 *	storm [-s SEED] [-k KILLS] [-m MODES] [-c CLIENTS] [-u UNIX] [-g GUESTS] [-w SLOW] [-q
 *QUEUE]
 *	    [-p PAUSE] [-x SETTINGS] [-n] CHATD
 *
 * MODES, from which each kill draws one: k SIGKILL after a random time; i at a random instruction
 * behind a random system call; a the same while it takes over; r SIGUSR2, as systemctl restart
 * does. -n: mode chat. Prints what happened; the exit status says whether it was right.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "dice.h"
#include "manager.h"
#include "party.h"

struct shared {
	volatile int stop;
	struct party_result result;
};

static struct manager manager;
static char directory[] = "/tmp/chatd-storm-XXXXXX";
static unsigned counts[128];

static void
rest(uint64_t microseconds)
{
	struct timespec ts = {.tv_sec = (time_t)(microseconds / 1000000),
	    .tv_nsec = (long)(microseconds % 1000000) * 1000};

	nanosleep(&ts, NULL);
}

static void
fail(const char *what)
{
	fprintf(stderr, "storm: %s (seed in the first line)\n", what);
	if (manager.pid > 0)
		kill(manager.pid, SIGKILL);
	exit(1);
}

/* --- kills */

static void
kill_and_reap(void)
{
	kill(manager.pid, SIGKILL);
	manager_reap(&manager);
}

/* Runs to the next system call, in or out of it. Returns false when it has ended. */
static bool
to_call(void)
{
	int status;

	do {
		if (ptrace(PTRACE_SYSCALL, manager.pid, NULL, NULL) < 0 ||
		    waitpid(manager.pid, &status, 0) < 0)
			return false;
		if (WIFEXITED(status) || WIFSIGNALED(status))
			return false;
	} while (WSTOPSIG(status) != (SIGTRAP | 0x80));
	return true;
}

static void
step(uint64_t steps)
{
	int status;

	for (uint64_t i = 0; i < steps; i++)
		if (ptrace(PTRACE_SINGLESTEP, manager.pid, NULL, NULL) < 0 ||
		    waitpid(manager.pid, &status, 0) < 0 || !WIFSTOPPED(status))
			return;
}

static uint64_t
some_steps(void)
{
	static const uint64_t most[] = {1, 30, 300, 1500, 3000};

	return draw(most[draw(5)]);
}

static bool
is_chosen(long call)
{
	return call == SYS_recvfrom || call == SYS_sendto || call == SYS_sendmsg ||
	       call == SYS_accept4 || call == SYS_close || call == SYS_shutdown ||
	       call == SYS_setsockopt || call == SYS_getsockopt || call == SYS_ioctl ||
	       call == SYS_pselect6;
}

/* Kills at a random instruction behind one of the calls that matter. */
static void
kill_at_instruction(void)
{
	static const long calls[] = {SYS_recvfrom, SYS_sendto, SYS_sendmsg, SYS_accept4, SYS_close,
	    SYS_shutdown, SYS_recvfrom, SYS_sendto, SYS_pselect6};
	long wanted = calls[draw(sizeof(calls) / sizeof(calls[0]))];
	uint64_t skip = draw(20), tries = 400 + draw(400);
	int status;

	rest(draw(5000));
	if (ptrace(PTRACE_SEIZE, manager.pid, NULL, PTRACE_O_TRACESYSGOOD) < 0 ||
	    ptrace(PTRACE_INTERRUPT, manager.pid, NULL, NULL) < 0)
		fail("ptrace");
	waitpid(manager.pid, &status, 0);
	while (tries-- > 0 && to_call()) {
		struct __ptrace_syscall_info info;

		if (ptrace(PTRACE_GET_SYSCALL_INFO, manager.pid, sizeof(info), &info) <= 0 ||
		    info.op != PTRACE_SYSCALL_INFO_ENTRY || !is_chosen((long)info.entry.nr) ||
		    (long)info.entry.nr != wanted)
			continue;
		if (skip-- > 0)
			continue;
		if (draw(8) != 0) {
			to_call();
			step(some_steps());
		}
		break;
	}
	kill_and_reap();
}

/* Kills while a new one starts and takes over. */
static void
kill_at_start(void)
{
	uint64_t calls = draw(draw(2) == 0 ? 1500 : 400);
	int status;

	manager_start(&manager, true);
	waitpid(manager.pid, &status, 0);
	ptrace(PTRACE_SETOPTIONS, manager.pid, NULL, PTRACE_O_TRACESYSGOOD);
	for (uint64_t i = 0; i < calls; i++)
		if (!to_call())
			break;
	step(some_steps());
	kill_and_reap();
}

static void
leave(void)
{
	int status;

	rest(draw(10000));
	kill(manager.pid, SIGUSR2);
	status = manager_reap(&manager);
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		fail("SIGUSR2 did not end it with status 0");
}

static void
kill_once(char mode)
{
	counts[(int)mode]++;
	switch (mode) {
	case 'i':
		kill_at_instruction();
		break;
	case 'r':
		leave();
		break;
	case 'a':
		rest(draw(10000));
		kill_and_reap();
		for (uint64_t i = 1 + draw(2); i > 0; i--)
			kill_at_start();
		break;
	default:
		rest(3000 + draw(22000));
		kill_and_reap();
	}
}

/* --- */

/* Below those that the kernel gives out to whoever connects somewhere. */
static uint16_t
free_port(void)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	do
		in.sin_port = htons((uint16_t)(10000 + draw(20000)));
	while (bind(fd, (struct sockaddr *)&in, sizeof(in)) < 0);
	close(fd);
	return ntohs(in.sin_port);
}

static void
configure(char *config, const struct party_plan *plan, const char *queue, const char *more)
{
	FILE *file = fopen(config, "w");

	if (file == NULL)
		fail(strerror(errno));
	fprintf(file,
	    "listen = [ \"127.0.0.1:%u\", \"%s\" ];\ntrace = false;\n"
	    "log_connections = false;\nlimits = { queue = \"%s\"; stall = 86400; };\n%s\n",
	    plan->port, plan->path, queue, more);
	fclose(file);
}

static bool
report(const struct party_result *r, unsigned kills)
{
	bool good = r->lost + r->torn + r->twice + r->own + r->dropped_tcp == 0 &&
		    r->dropped_unix + r->dropped_guests <= kills;

	printf("%u kills", kills);
	for (int i = 0; i < 128; i++)
		if (counts[i] > 0)
			printf(", %c %u", i, counts[i]);
	printf(
	    "\n%ju lines said, %ju heard, %ju guests\n"
	    "%ju lost, %ju torn, %ju twice, %ju own; dropped: %ju over TCP, %ju on unix sockets, "
	    "%ju that had just come\n%s\n",
	    (uintmax_t)r->said, (uintmax_t)r->heard, (uintmax_t)r->guests, (uintmax_t)r->lost,
	    (uintmax_t)r->torn, (uintmax_t)r->twice, (uintmax_t)r->own, (uintmax_t)r->dropped_tcp,
	    (uintmax_t)r->dropped_unix, (uintmax_t)r->dropped_guests, good ? "ok" : "WRONG");
	return good;
}

static void
start(void)
{
	manager_start(&manager, false);
	if (!manager_await(&manager))
		fail("chatd did not get ready");
}

int
main(int argc, char **argv)
{
	struct party_plan plan = {.tcp = 24, .unixes = 6, .guests = 6, .slow = 3, .pause = 2000};
	char config[64], log[64], path[64], command[80];
	const char *modes = "kiar", *queue = "64K", *more = "";
	unsigned kills = 100;
	uint64_t seed = (uint64_t)time(NULL) * 1000003 + (uint64_t)getpid();
	struct shared *shared;
	pid_t child;
	int option;
	bool good;

	while ((option = getopt(argc, argv, "s:k:m:c:u:g:w:q:p:x:n")) > 0)
		switch (option) {
		case 's':
			seed = strtoull(optarg, NULL, 10);
			break;
		case 'k':
			kills = (unsigned)atoi(optarg);
			break;
		case 'm':
			modes = optarg;
			break;
		case 'c':
			plan.tcp = (unsigned)atoi(optarg);
			break;
		case 'u':
			plan.unixes = (unsigned)atoi(optarg);
			break;
		case 'g':
			plan.guests = (unsigned)atoi(optarg);
			break;
		case 'w':
			plan.slow = (unsigned)atoi(optarg);
			break;
		case 'q':
			queue = optarg;
			break;
		case 'p':
			plan.pause = (unsigned)atoi(optarg);
			break;
		case 'n':
			plan.named = true;
			more = "mode = \"chat\"; history = 4096;";
			break;
		case 'x':
			more = optarg;
			break;
		default:
			return 2;
		}
	if (optind >= argc)
		return 2;
	printf("seed %ju\n", (uintmax_t)seed);
	fflush(stdout);
	plan.seed = seed | 1;
	dice_seed(plan.seed);
	if (mkdtemp(directory) == NULL)
		fail(strerror(errno));
	snprintf(config, sizeof(config), "%s/chatd.conf", directory);
	snprintf(log, sizeof(log), "%s/log", directory);
	snprintf(path, sizeof(path), "%s/chat", directory);
	plan.path = path;
	plan.port = free_port();
	configure(config, &plan, queue, more);
	manager = (struct manager){.chatd = argv[optind], .config = config, .log = log};
	manager_open(&manager, directory);
	start();
	shared =
	    mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if ((child = fork()) == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		party(&plan, &shared->stop, &shared->result);
		_exit(0);
	}
	rest(200000);
	for (unsigned i = 0; i < kills; i++) {
		int status;

		kill_once(modes[draw(strlen(modes))]);
		start();
		if (waitpid(child, &status, WNOHANG) != 0)
			fail("the party has ended");
	}
	shared->stop = 1;
	waitpid(child, NULL, 0);
	good = report(&shared->result, kills);
	kill(manager.pid, SIGTERM);
	manager_reap(&manager);
	if (manager.count != 0) {
		printf("%d descriptors are still kept after SIGTERM\n", manager.count);
		good = false;
	}
	manager_close(&manager);
	snprintf(command, sizeof(command), good ? "rm -rf %s" : "echo see %s", directory);
	return system(command) == 0 && good ? 0 : 1;
}
