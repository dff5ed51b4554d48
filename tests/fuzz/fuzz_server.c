/*
 * A whole server, from its first listener to its last free, in a world that is made of memory.
 *
 * Input: how the world is to begin with, then a program: what peers, time, memory and the machine
 * do, one action after the other, a byte for each and its arguments behind it. The server runs
 * until it waits in select; there the program goes on until something is ready. When the program
 * has ended, all that is in the way of the server goes away; then everybody must have got
 * everything, the server must end when it is told to, and nothing may be left of it.
 */
#include <errno.h>
#include <string.h>
#include <sys/param.h>

#include "base/log.h"
#include "base/trace.h"
#include "memory.h"
#include "model.h"
#include "program.h"
#include "seam.h"
#include "server.h"
#include "target.h"
#include "world.h"

#define PROGRAM_MAX 4096
#define FUTILE_MAX  32   /* passes without effect, in which no time passes: it spins */
#define IDLE_MAX    8    /* passes though everything is done */
#define PASSES_MAX  5000 /* after the end of the program: it never comes to rest */

struct server server;

static bool at_rest; /* the program is over, and the world is kind */

/* All that is in the way of the server goes away. */
static void
be_kind(void)
{
	const struct fault none = {0};

	at_rest = true;
	memory_refuse(0, 0);
	world.accept_fault = world.ioctl_fault = world.query_fault = world.bind_fault =
	    world.open_fault = world.read_fault = world.select_fault = world.socket_fault =
		world.manager_fault = none;
	world.out.fault = world.err.fault = none;
	world.out.blocked = world.err.blocked = false;
	world.out.write_most = world.err.write_most = SIZE_MAX;
	for (int i = 0; i < world.n_peers; i++) {
		struct peer *peer = &world.peers[i];

		peer->recv_fault = peer->send_fault = none;
		peer->recv_most = peer->send_most = SIZE_MAX;
		peer->window = SIZE_MAX / 2;
		peer->waiting = 0;
	}
}

/* Whether anything has still to happen by itself. */
static bool
is_owed(void)
{
	for (int i = 0; i < WORLD_LISTENERS; i++)
		if (world.listeners[i].waiting > 0)
			return true;
	if (world.ends == 0 && model_tells_later())
		return true;
	for (int i = 0; i < world.n_peers; i++) {
		const struct peer *peer = &world.peers[i];

		if (peer->state == LEAVING && world.ends == 0)
			return true;
		if (peer->state != MEMBER)
			continue;
		if (!peer->deaf && model_missing(peer) > 0)
			return true;
		if (peer->taken < peer->sent.len || peer->fin || peer->reset)
			return true;
	}
	return false;
}

/* --- the loop */

static bool
has(const fd_set *set, int fd)
{
	const unsigned long *words = (const unsigned long *)set;

	return (words[fd / NFDBITS] >> (fd % NFDBITS) & 1) != 0;
}

static void
take_away(fd_set *set, int fd)
{
	unsigned long *words = (unsigned long *)set;

	words[fd / NFDBITS] &= ~(1UL << (fd % NFDBITS));
}

/* What select is asked. */
static void
take_down(int count, const fd_set *readable, const fd_set *writable)
{
	for (int fd = 3; fd < WORLD_FDS; fd++) {
		struct peer *peer = world_peer(fd);
		bool can_read = fd < count && has(readable, fd);
		bool can_write = fd < count && has(writable, fd);

		if (peer != NULL) {
			peer->asked_readable = can_read;
			peer->asked_writable = can_write;
		} else if (world_is(fd, LISTENER)) {
			world.listeners[world.files[fd].index].asked = can_read;
		}
	}
}

/* Nobody is ready any more. */
static void
forget(bool interrupted)
{
	for (int i = 0; i < world.n_peers; i++) {
		struct peer *peer = &world.peers[i];

		peer->readable = peer->writable = peer->received = peer->tried = false;
		peer->asked_readable &= !interrupted;
	}
	for (int i = 0; i < WORLD_LISTENERS; i++)
		world.listeners[i].readable = world.listeners[i].tried = false;
	world.served = -1;
}

/* Leaves in the sets what is ready, less what the mask hides. Returns how much that is. */
static int
look(int count, fd_set *readable, fd_set *writable, unsigned mask)
{
	int ready = 0;

	for (int fd = 0; fd < count; fd++) {
		struct peer *peer = world_peer(fd);
		bool hidden = (mask >> (fd % 6) & 1) != 0, can_read, can_write;

		if (fd < 3)
			hidden = false;
		can_read = has(readable, fd) && !hidden && world_readable(fd);
		can_write = has(writable, fd) && !hidden && world_writable(fd);
		if (!can_read)
			take_away(readable, fd);
		if (!can_write)
			take_away(writable, fd);
		ready += can_read + can_write;
		if (peer != NULL) {
			peer->readable = can_read;
			peer->writable = can_write;
		} else if (world_is(fd, LISTENER)) {
			world.listeners[world.files[fd].index].readable = can_read;
		}
		if (fd == STDOUT_FILENO)
			world.out.awaited = can_write;
		if (fd == STDERR_FILENO)
			world.err.awaited = can_write;
	}
	return ready;
}

static bool
deliver_signals(void)
{
	bool any = world.pending_end > 0 || world.pending_reload > 0;

	for (; world.pending_end > 0; world.pending_end--) {
		world_signal(SIGTERM);
		world.handler(SIGTERM);
	}
	for (; world.pending_reload > 0; world.pending_reload--) {
		world_signal(SIGHUP);
		world.handler(SIGHUP);
	}
	return any;
}

/* What holds whenever the server waits. */
static void
check_waiting(const struct timespec *timeout)
{
	int64_t until = timeout != NULL
			    ? world.now + timeout->tv_sec * CLOCK_SECOND + timeout->tv_nsec / 1000
			    : INT64_MAX;

	model_pass_ends();
	if (!world.managed)
		return;
	check(world.told_ready || world.manager_disturbed);
	check(!world.reloading || world.manager_disturbed);
	/* It has told that it is alive, and wakes up in time to tell so again. */
	if (world.watchdog > 0 && !world.manager_disturbed) {
		check(world.now < world.alive + world.watchdog / 2);
		check(until <= world.alive + world.watchdog / 2);
	}
}

/* When nothing is left to be done, it waits. */
static void
check_rest(int ready)
{
	bool idle = at_rest && ready > 0 && !is_owed();

	world.idle_passes = idle ? world.idle_passes + 1 : 0;
	if (world.idle_passes > IDLE_MAX)
		die("it never comes to rest");
}

/* It must do something with what it is told is ready, or let time pass. */
static void
check_progress(void)
{
	static uint64_t progress;
	static int64_t now;

	world.futile = progress == world.progress && now == world.now ? world.futile + 1 : 0;
	progress = world.progress;
	now = world.now;
	if (world.futile > FUTILE_MAX)
		die("it spins: %u passes without any effect", world.futile);
}

/* Everybody has got everything. */
static void
check_complete(void)
{
	for (int i = 0; i < world.n_peers; i++) {
		const struct peer *peer = &world.peers[i];

		if (peer->state == MEMBER && !peer->deaf)
			check(model_missing(peer) == 0);
	}
}

/* Select was interrupted, or has failed. */
static int
interrupt(int error)
{
	world.progress++;
	forget(true);
	model_pass_begins(false);
	world.cut_short |= error != EINTR;
	errno = error;
	return -1;
}

static int
answer(int ready)
{
	model_pass_begins(true);
	return ready;
}

/* The program goes on until select is to look, or has ended. */
static void
go_on(unsigned *hidden)
{
	while (program.left > 0 && !program_act(hidden))
		;
	if (program.left == 0 && !at_rest)
		be_kind();
	/* At the end it counts who is silent. */
	if (at_rest || world.ends > 0)
		*hidden = 0;
	for (int i = 0; at_rest && i < world.n_peers; i++)
		world.peers[i].waiting = 0;
}

int
sim_pselect(int count, fd_set *readable, fd_set *writable, fd_set *failed,
    const struct timespec *timeout, const sigset_t *mask)
{
	size_t words = howmany((size_t)count, NFDBITS) * sizeof(unsigned long);
	unsigned long asked[2][WORLD_FDS / NFDBITS];
	int64_t wait =
	    timeout != NULL ? timeout->tv_sec * CLOCK_SECOND + timeout->tv_nsec / 1000 : -1;
	unsigned hidden = 0;
	int ready;

	check(failed == NULL && mask != NULL && count <= WORLD_FDS);
	check_waiting(timeout);
	take_down(count, readable, writable);
	model_asks(wait);
	check_progress();
	check(!at_rest || ++world.passes < PASSES_MAX);
	/* The sets are NULL as long as nothing was ever in them, and then count is 0. */
	memcpy(asked[0], readable, words);
	memcpy(asked[1], writable, words);
	forget(false);
	world.signalled = world.forgets = false;
	for (;;) {
		go_on(&hidden);
		if (fault_due(&world.select_fault))
			return interrupt(errno);
		memcpy(readable, asked[0], words);
		memcpy(writable, asked[1], words);
		ready = look(count, readable, writable, hidden);
		tell("--- select at %lld ms: %d ready, timeout %lld ms",
		    (long long)world.now / 1000, ready, wait < 0 ? -1 : (long long)wait / 1000);
		check_rest(ready);
		if (ready > 0)
			return answer(ready);
		if (deliver_signals())
			return interrupt(EINTR);
		if (at_rest && !is_owed() && world.ends == 0) {
			check_complete();
			world.pending_end = 1;
			continue;
		}
		if (timeout != NULL) {
			world.now += wait;
			return answer(0);
		}
		if (at_rest)
			die("it waits for ever, and something is owed");
	}
}

/* --- a run */

static void
begin(void)
{
	static const mode_t modes[] = {S_IFREG, S_IFIFO, S_IFSOCK, S_IFREG};
	uint8_t flags = take_byte(&program);
	uint8_t refuse = take_byte(&program);

	at_rest = false;
	world_reset();
	model_reset();
	memory_reset();
	world.out.mode = modes[flags & 3];
	world.err.mode = modes[flags >> 2 & 3];
	world.managed = (flags & 16) != 0;
	world.watchdog = (flags & 32) != 0 ? 2 * CLOCK_SECOND : 0;
	program_write_settings();
	if (refuse > 0 && refuse < 64)
		memory_refuse(refuse, 1);
}

static void
serve(struct config *config)
{
	trace_open(config->trace);
	server_init(&server, config, NULL, &HANDOVER_NONE);
	if (server_listen(&server) == 0) {
		world.alive = world.now;
		server_run(&server);
	}
	world.closing = true;
	server_close(&server);
	trace_close();
	model_trace_ends();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct config *config;

	if (size > PROGRAM_MAX)
		return 0;
	program = (struct input){data, size};
	begin();
	log_open();
	if ((config = config_load(WORLD_CONF, 0, log_fault)) != NULL)
		serve(config);
	log_close();
	check(memory.blocks == 0 && memory.bytes == 0);
	check(world_open_files() == 0);
	return 0;
}
