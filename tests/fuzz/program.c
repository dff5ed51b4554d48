/*
 * The program of an input: what peers, time, memory and the machine do.
 */
#include "program.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <sys/param.h>

#include "memory.h"
#include "model.h"
#include "target.h"
#include "world.h"

#define SENT_MAX 400000 /* bytes of one peer */

struct input program;

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
void
program_write_settings(void)
{
	static const char *const endpoints[WORLD_LISTENERS] = {
	    "10.0.0.1:1000", "10.0.0.1:1001", "[fd00::1]:1002"};
	uint8_t flags = take_byte(&program);
	uint8_t which = take_byte(&program);
	struct rules rules = {.allow = which % MODEL_ALLOW, .deny = (which >> 2) % MODEL_DENY};
	struct limits limits = {.clients_per_address = (which >> 4) % 8, .stall = 1 + (flags >> 6)};
	static const uint32_t rates[] = {0, 500, 8192, 1000000};
	const char *comma = "";
	uint32_t queue, history = 0;
	bool chat;
	int number;

	limits.clients = 1 + take_byte(&program) % 200;
	limits.line = 2 + take_short(&program) % 2000;
	if (limits.line > 1950) /* more than a buf of the arena holds */
		limits.line *= 150;
	limits.idle = take_byte(&program);
	limits.lag = limits.idle / 8 % 4;
	limits.rate = rates[limits.idle / 32 % 4];
	chat = limits.idle >= 128;
	limits.idle %= 8;
	queue = take_byte(&program);
	limits.queue = 1024 + queue * queue * 8; /* up to half a megabyte, most of them small */
	if (chat)                                /* of which a quarter of the queue is allowed */
		history = limits.queue / 4 * take_byte(&program) / 255;
	number = model_settings(rules, &limits, history, chat);
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
	       "stall = %u; lag = %u; idle = %u; rate = %u; };\n",
	    limits.clients, limits.clients_per_address, limits.line, limits.queue, limits.stall,
	    limits.lag, limits.idle, limits.rate);
	append("mode = \"%s\";\nhistory = %u;\n", chat ? "chat" : "lines", history);
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

/* Commands of telnet, and what looks like one. */
static void
speak_telnet(struct peer *peer, uint8_t how)
{
	static const char *const commands[] = {"\377\375\006", "\377\364\377\375\006",
	    "\377\373\001", "\377\372\030\001\377\360", "\377\375", "\377", "\377\372", "\n"};
	const char *command = commands[how % 8];

	for (int i = how < 0xf8 ? how / 8 : 2000; i >= 0 && may_speak(peer); i--)
		bytes_add(&peer->sent, command, strlen(command));
}

/* What means something in mode chat, and what tries to look like something else. */
static void
speak_chat(struct peer *peer, uint8_t how)
{
	static const char *const phrases[] = {"/name alice\n", "/name ALICE \r\n", "/name bob\n",
	    "/name guest5\n", "/name Chatd\n", "/name fifteen-letters\n",
	    "/name sixteen_letters1\n", "/name \303\245sa\n", "/name al\377\373\001ice\n",
	    "/name\n", "/who\n", "/help\n", "/shrug\n", "//who\n", "/quit\n", "/etc/passwd\n",
	    "POST /x HTTP/1.1\r\n", "\n", "\r\n", "bob: hello\rbob\n", "* left: alice\n",
	    " chatd: the server ends\n", "\342\200\256x\342\201\246\342\200\250y\302\205\n",
	    "\300\257\355\240\200\377\033[2J\n", "/", "/na", "me x\n", "a line\n", "x\n"};
	const size_t count = sizeof(phrases) / sizeof(phrases[0]);

	if (how < 0xe0) {
		bytes_add(&peer->sent, phrases[how % count], strlen(phrases[how % count]));
		return;
	}
	/* Many of one kind. */
	for (int i = 0; i < 300 && may_speak(peer); i++) {
		const char *phrase = phrases[(10 + how % 32) % count];

		bytes_add(&peer->sent, phrase, strlen(phrase));
	}
}

/* All want a name that nobody else has, or the same one. */
static void
all_speak_names(uint8_t how)
{
	char text[32];

	for (int i = 0; i < world.n_peers; i++)
		if (may_speak(&world.peers[i]))
			bytes_add(&world.peers[i].sent, text,
			    (size_t)sprintf(text, "/name a-long-name%d\n", i % (how + 1)));
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
	case 11:
		take_fault(&peer->send_fault, socket_errors, 8);
		break;
	case 12:
		if (may_speak(peer))
			speak_chat(peer, take_byte(&program));
		break;
	default:
		speak_telnet(peer, take_byte(&program));
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
	uint64_t count;

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
		count = 1 + take_byte(&program) % 16;
		memory_refuse(count, 1 + take_byte(&program) % 16);
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
bool
program_act(unsigned *mask)
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
	} else if (action < 0xcf) {
		peer_acts((action - 0x60) % 12);
	} else if (action < 0xd0) {
		peer_acts(13);
	} else if (action == 0xe5) {
		all_speak_names(take_byte(&program));
	} else if (action == 0xe6) {
		peer_acts(12);
	} else if (action < 0xe7) {
		machine_acts((action - 0xd0) % 12);
	} else if (action < 0xe8) {
		take_fault(&world.query_fault, file_errors, 4);
	} else if (action < 0xf0) {
		world.now += take_byte(&program) * 10000;
	} else if (action < 0xfd) {
		for (int i = 0; i < world.n_peers; i++)
			if (may_speak(&world.peers[i]))
				speak(&world.peers[i], 1 + action % 8, true);
	} else if (action < 0xfe) { /* reload */
		program_write_settings();
		world.pending_reload = 1;
	} else {
		world.pending_end++;
	}
	return false;
}
