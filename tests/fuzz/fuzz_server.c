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
#include <stdarg.h>
#include <string.h>
#include <sys/param.h>

#include "base/log.h"
#include "base/trace.h"
#include "memory.h"
#include "model.h"
#include "seam.h"
#include "server.h"
#include "target.h"
#include "world.h"

#define PROGRAM_MAX 4096
#define FUTILE_MAX  32     /* passes without effect, in which no time passes: it spins */
#define IDLE_MAX    8      /* passes though everything is done */
#define SENT_MAX    400000 /* bytes of one peer */
#define PASSES_MAX  5000   /* after the end of the program: it never comes to rest */

struct server server;

static struct input program;
static bool at_rest; /* the program is over, and the world is kind */

/* --- settings */

static void append(const char *format, ...) __attribute__((format(printf, 1, 2)));

static void
append(const char *format, ...)
{
	size_t len = strlen(world.settings);
	va_list args;

	va_start(args, format);
	vsnprintf(world.settings + len, sizeof(world.settings) - len, format, args);
	va_end(args);
}

static const char *
truth(unsigned value)
{
	return value != 0 ? "true" : "false";
}

/* Writes a settings file that the next bytes of the program describe. */
static void
write_settings(void)
{
	static const char *const endpoints[WORLD_LISTENERS] = {
	    "10.0.0.1:1000", "10.0.0.1:1001", "[fd00::1]:1002"};
	uint8_t flags = take_byte(&program);
	uint8_t which = take_byte(&program);
	struct rules rules = {.allow = which % MODEL_ALLOW, .deny = (which >> 2) % MODEL_DENY};
	struct limits limits = {.clients_per_address = (which >> 4) % 8, .stall = 1 + (flags >> 6)};
	const char *comma = "";
	uint32_t queue;
	int number;

	limits.clients = 1 + take_byte(&program) % 200;
	limits.line = 2 + take_short(&program) % 2000;
	if (limits.line > 1950) /* more than a buf of the arena holds */
		limits.line *= 150;
	limits.idle = take_byte(&program) % 8;
	queue = take_byte(&program);
	limits.queue = 1024 + queue * queue * 8; /* up to half a megabyte, most of them small */
	number = model_settings(rules, &limits);
	world.settings[0] = '\0';
	append("listen = [ ");
	for (int i = 0; i < WORLD_LISTENERS; i++)
		if ((flags >> i & 1) != 0 || (i == 0 && flags % 8 == 0)) {
			append("%s\"%s\"", comma, endpoints[i]);
			comma = ", ";
		}
	append(" ];\ntrace = %s;\nlog_connections = %s;\nsanitize = %s;\n", truth(~flags & 8),
	    truth(flags & 16), truth(flags & 32));
	append("limits = { clients = %u; clients_per_address = %u; line = %u; queue = %u; "
	       "stall = %u; idle = %u; };\n",
	    limits.clients, limits.clients_per_address, limits.line, limits.queue, limits.stall,
	    limits.idle);
	if (rules.allow != 0)
		append("allow = [ %s ];\n", model_allow_text[rules.allow]);
	if (rules.deny != 0)
		append("deny = [ %s ];\n", model_deny_text[rules.deny]);
	append("unix = { mode = \"%04o\"; };\n", (unsigned)number);
	/* A file with a fault is refused whole. */
	if (which >= 0xf0)
		append("limit = 7;\n");
	tell("%s", world.settings);
}

/* --- the program */

static struct peer *
take_peer(void)
{
	int number = take_byte(&program);

	return world.n_peers > 0 ? &world.peers[number % world.n_peers] : NULL;
}

static void
take_fault(struct fault *fault, const int *errors, unsigned count)
{
	uint8_t byte = take_byte(&program);

	fault->error = errors[byte % count];
	byte = take_byte(&program);
	fault->times = byte < 0x80 ? byte % 32 : byte * 4;
}

/* The alphabet over and over, so that a byte that is lost or moved is seen. */
static void
speak(struct peer *peer, size_t len, bool end)
{
	static char pattern[26 + 256];
	size_t at = peer->sent.len;

	if (pattern[0] == '\0')
		for (size_t i = 0; i < sizeof(pattern); i++)
			pattern[i] = (char)('a' + i % 26);
	bytes_add(&peer->sent, pattern + at % 26, len);
	if (end)
		peer->sent.data[at + len - 1] = '\n';
}

static bool
may_speak(const struct peer *peer)
{
	return peer != NULL && peer->state != OVER && !peer->fin && !peer->reset &&
	       peer->sent.len < SENT_MAX;
}

/* Many short lines, a long line without its end, or so much that it fills a buf of the arena. */
static void
speak_much(struct peer *peer, size_t much)
{
	if (much >= 0xf0) {
		for (size_t i = 0; i < (much & 7) * 128 && may_speak(peer); i++)
			speak(peer, 200, much < 0xf8 && i % 2 == 0);
	} else {
		for (size_t i = 0; i < much && may_speak(peer); i++)
			speak(peer, much % 2 == 0 ? 1 + i % 40 : 64, much % 2 == 0);
	}
}

static const int socket_errors[] = {
    EAGAIN, EINTR, ENOBUFS, ENOMEM, ECONNRESET, EPIPE, ETIMEDOUT, EHOSTUNREACH};
static const int accept_errors[] = {
    EMFILE, ENFILE, ENOMEM, ENOBUFS, ECONNABORTED, EINTR, EAGAIN, EPERM};
static const int stream_errors[] = {EAGAIN, EINTR, ENOSPC, EIO, EPIPE};
static const int file_errors[] = {ENOENT, EMFILE, EIO, EACCES};
static const int manager_errors[] = {EAGAIN, ENOBUFS, ECONNREFUSED, ENOTCONN};
static const int select_errors[] = {EINTR, EINTR, ENOMEM, EBADF};

static void
peer_acts(int action)
{
	struct peer *peer = take_peer();
	size_t len;

	if (peer == NULL || peer->state == OVER)
		return;
	switch (action) {
	case 0: /* says bytes of the program */
		len = take_byte(&program);
		len = MIN(len, program.left);
		if (may_speak(peer))
			bytes_add(&peer->sent, program.data, len);
		program.data += len;
		program.left -= len;
		break;
	case 1: /* says a line */
		len = take_byte(&program);
		if (may_speak(peer))
			speak(peer, MAX(len, 1), true);
		break;
	case 2: /* says a lot */
		speak_much(peer, take_byte(&program));
		break;
	case 3:
		peer->fin = true;
		break;
	case 4:
		peer->reset = peer->deaf_end = true;
		break;
	case 5:
		world_close(peer);
		break;
	case 6: /* takes what the kernel keeps for it */
		len = take_byte(&program) * 16U;
		peer->waiting -= MIN(peer->waiting, len);
		break;
	case 7:
		peer->window = take_byte(&program) * 16U + 1;
		break;
	case 8:
		peer->recv_most = take_byte(&program) + 1;
		break;
	case 9:
		peer->send_most = take_byte(&program) + 1;
		break;
	case 10:
		take_fault(&peer->recv_fault, socket_errors, 8);
		break;
	default:
		take_fault(&peer->send_fault, socket_errors, 8);
		break;
	}
}

static void
stream_acts(struct stream *stream)
{
	uint8_t how = take_byte(&program);

	stream->disturbed = true;
	stream->blocked = how % 4 == 1;
	stream->write_most = how % 4 == 2 ? how : SIZE_MAX;
	if (how % 4 == 3)
		take_fault(&stream->fault, stream_errors, 5);
}

static void
machine_acts(int action)
{
	switch (action) {
	case 0:
		take_fault(&world.accept_fault, accept_errors, 8);
		break;
	case 1:
		take_fault(&world.ioctl_fault, file_errors, 4);
		break;
	case 2:
		stream_acts(&world.out);
		break;
	case 3:
		stream_acts(&world.err);
		break;
	case 4:
		world.manager_disturbed = true;
		take_fault(&world.manager_fault, manager_errors, 4);
		break;
	case 5:
		memory_refuse(1 + take_byte(&program) % 16, 1 + take_byte(&program) % 16);
		break;
	case 6: /* no memory at all, or memory again */
		memory_refuse(take_byte(&program) % 2, FOREVER);
		if (memory.from == memory.asked)
			memory_refuse(0, 0);
		break;
	case 7:
		take_fault(&world.open_fault, file_errors, 4);
		break;
	case 8:
		take_fault(&world.read_fault, file_errors, 4);
		break;
	case 9:
		take_fault(&world.bind_fault, file_errors, 4);
		break;
	case 10:
		take_fault(&world.socket_fault, file_errors, 4);
		break;
	default: /* an interruption comes with a signal, so there are only some of them */
		take_fault(&world.select_fault, select_errors, 4);
		world.select_fault.times %= 32;
		break;
	}
}

/* Does the next action. Returns whether select is to look for what is ready, and how closely. */
static bool
act(unsigned *mask)
{
	uint8_t action = take_byte(&program);
	int count;

	tell("action %#x", action);
	*mask = 0;
	if (action < 0x40) {
		*mask = action;
		return true;
	}
	if (action < 0x60) { /* one newcomer, or many */
		count = action < 0x58 ? 1 : take_byte(&program) % 100;
		for (int i = 0; i < count; i++)
			world_connect(action % WORLD_LISTENERS, action / 3 % 8);
	} else if (action < 0xd0) {
		peer_acts((action - 0x60) % 12);
	} else if (action < 0xe8) {
		machine_acts((action - 0xd0) % 12);
	} else if (action < 0xf0) {
		world.now += take_byte(&program) * 10000;
	} else if (action < 0xfd) {
		for (int i = 0; i < world.n_peers; i++)
			if (may_speak(&world.peers[i]))
				speak(&world.peers[i], 1 + action % 8, true);
	} else if (action < 0xfe) { /* reload */
		write_settings();
		world.pending_reload = 1;
	} else {
		world.pending_end++;
	}
	return false;
}

/* All that is in the way of the server goes away. */
static void
be_kind(void)
{
	const struct fault none = {0};

	at_rest = true;
	memory_refuse(0, 0);
	world.accept_fault = world.ioctl_fault = world.bind_fault = world.open_fault =
	    world.read_fault = world.select_fault = world.socket_fault = world.manager_fault = none;
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
	for (int i = 0; i < world.n_peers; i++) {
		const struct peer *peer = &world.peers[i];

		if (peer->state != MEMBER)
			continue;
		if (!peer->deaf && model_missing(peer) > 0)
			return true;
		if (world.ends == 0 && (peer->taken < peer->sent.len || peer->fin || peer->reset))
			return true;
	}
	return false;
}

/* --- the loop */

static bool
has(const fd_set *set, int fd)
{
	const unsigned long *words = (const unsigned long *)set;

	return (words[fd / 64] >> (fd % 64) & 1) != 0;
}

static void
take_away(fd_set *set, int fd)
{
	unsigned long *words = (unsigned long *)set;

	words[fd / 64] &= ~(1UL << (fd % 64));
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
		world.ends++;
		world.handler(SIGTERM);
	}
	for (; world.pending_reload > 0; world.pending_reload--)
		world.handler(SIGHUP);
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

int
sim_pselect(int count, fd_set *readable, fd_set *writable, fd_set *failed,
    const struct timespec *timeout, const sigset_t *mask)
{
	size_t words = (size_t)(count + 63) / 64 * sizeof(unsigned long);
	unsigned long asked[2][WORLD_FDS / 64];
	unsigned hidden = 0;
	int ready;

	check(failed == NULL && mask != NULL && count <= WORLD_FDS);
	check_waiting(timeout);
	check_progress();
	check(!at_rest || ++world.passes < PASSES_MAX);
	/* The sets are NULL as long as nothing was ever in them, and then count is 0. */
	memcpy(asked[0], readable, words);
	memcpy(asked[1], writable, words);
	world.served = -1;
	model_pass_begins();
	for (;;) {
		while (program.left > 0 && !act(&hidden))
			;
		if (program.left == 0 && !at_rest)
			be_kind();
		if (at_rest)
			hidden = 0;
		for (int i = 0; at_rest && i < world.n_peers; i++)
			world.peers[i].waiting = 0;
		if (fault_due(&world.select_fault)) {
			world.progress++;
			if (errno != EINTR)
				world.closing = true;
			return -1;
		}
		memcpy(readable, asked[0], words);
		memcpy(writable, asked[1], words);
		ready = look(count, readable, writable, hidden);
		tell("--- select at %lld ms: %d ready, timeout %lld ms",
		    (long long)world.now / 1000, ready,
		    timeout != NULL ? (long long)timeout->tv_sec * 1000 + timeout->tv_nsec / 1000000
				    : -1);
		check_rest(ready);
		if (ready > 0)
			return ready;
		if (deliver_signals()) {
			world.progress++;
			errno = EINTR;
			return -1;
		}
		if (at_rest && !is_owed() && world.ends == 0) {
			check_complete();
			world.pending_end = 1;
			continue;
		}
		if (timeout != NULL) {
			world.now += timeout->tv_sec * CLOCK_SECOND + timeout->tv_nsec / 1000;
			return 0;
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
	write_settings();
	if (refuse > 0 && refuse < 64)
		memory_refuse(refuse, 1);
}

static void
serve(struct config *config)
{
	trace_open(config->trace);
	server_init(&server, config);
	if (server_listen(&server, 0) == 0) {
		world.alive = world.now;
		if (server_run(&server) == 0 && world.ends == 1 && world.now < server.drained &&
		    at_rest)
			check_complete();
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
