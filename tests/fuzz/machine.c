/*
 * The machine behind the world: listeners, files, time, signals, names.
 */
#include <errno.h>
#include <linux/sockios.h>
#include <stdarg.h>
#include <sys/param.h>

#include "memory.h"
#include "model.h"
#include "seam.h"
#include "target.h"
#include "world.h"

/* --- listeners */

int
sim_socket(int family, int type, int protocol)
{
	(void)protocol;
	if (fault_due(&world.socket_fault))
		return -1;
	return world_new_fd(
	    3, family == AF_UNIX && (type & SOCK_DGRAM) != 0 ? MANAGER : LISTENER, -1);
}

int
sim_connect(int fd, const struct sockaddr *sa, socklen_t len)
{
	(void)sa;
	(void)len;
	check(world_is(fd, MANAGER));
	return 0;
}

int
sim_setsockopt(int fd, int level, int option, const void *value, socklen_t len)
{
	(void)level;
	(void)option;
	(void)value;
	(void)len;
	check(world_is(fd, LISTENER));
	return 0;
}

/* Port 1000 + n is listener n; the last one is IPv6. */
int
sim_bind(int fd, const struct sockaddr *sa, socklen_t len)
{
	const struct sockaddr_in *in = (const struct sockaddr_in *)sa;
	int index = ntohs(in->sin_port) - 1000;

	check(world_is(fd, LISTENER) && len >= sizeof(*in));
	check(index >= 0 && index < WORLD_LISTENERS);
	check((sa->sa_family == AF_INET6) == (index == WORLD_LISTENERS - 1));
	if (fault_due(&world.bind_fault))
		return -1;
	if (world.listeners[index].open) {
		errno = EADDRINUSE;
		return -1;
	}
	world.files[fd].index = index;
	world.listeners[index].open = true;
	world.listeners[index].fd = fd;
	return 0;
}

int
sim_listen(int fd, int backlog)
{
	check(world_is(fd, LISTENER) && world.files[fd].index >= 0 && backlog > 0);
	return 0;
}

/* The address of a listener, or of a peer of it. */
static void
fill_address(struct sockaddr *sa, socklen_t *len, int listener, uint8_t host, uint16_t port)
{
	struct sockaddr_in in = {.sin_family = AF_INET};
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};

	if (listener == WORLD_LISTENERS - 1) {
		in6.sin6_addr.s6_addr[0] = 0xfd;
		in6.sin6_addr.s6_addr[15] = host;
		in6.sin6_port = htons(port);
		check(*len >= sizeof(in6));
		memcpy(sa, &in6, sizeof(in6));
		*len = sizeof(in6);
	} else {
		in.sin_addr.s_addr = htonl(0x0a000000U + host);
		in.sin_port = htons(port);
		check(*len >= sizeof(in));
		memcpy(sa, &in, sizeof(in));
		*len = sizeof(in);
	}
}

int
sim_getsockname(int fd, struct sockaddr *sa, socklen_t *len)
{
	int index = world.files[fd].index;

	check(world_is(fd, LISTENER) && index >= 0);
	fill_address(sa, len, index, 1, (uint16_t)(1000 + index));
	return 0;
}

static int
take_newcomer(int fd, int index)
{
	int number, sd;

	if (fault_due(&world.accept_fault))
		return -1;
	if (world.listeners[index].waiting == 0) {
		errno = EAGAIN;
		return -1;
	}
	number = world.listeners[index].backlog[0];
	if ((sd = world_new_fd(3, CLIENT, number)) < 0)
		return -1;
	world.listeners[index].waiting--;
	memmove(world.listeners[index].backlog, world.listeners[index].backlog + 1,
	    (size_t)world.listeners[index].waiting * sizeof(int));
	world.peers[number].sd = sd;
	world.progress++;
	tell("accepted at %d", fd);
	return sd;
}

int
sim_accept4(int fd, struct sockaddr *sa, socklen_t *len, int flags)
{
	int index = world.files[fd].index, sd, number;
	bool first = !world.listeners[index].tried;

	check(world_is(fd, LISTENER) && index >= 0 && (flags & SOCK_CLOEXEC) != 0);
	/* One that is ready, in ascending order; a reload and the end empty the backlogs. */
	if (!world.signalled) {
		check(world.listeners[index].readable && fd >= world.served);
		world.served = fd;
	}
	model_accepts();
	world.listeners[index].tried = true;
	if ((sd = take_newcomer(fd, index)) < 0) {
		if (first || errno != EAGAIN)
			model_accept_failed();
		return -1;
	}
	number = world.files[sd].index;
	fill_address(sa, len, index, world.peers[number].host, (uint16_t)(2000 + number));
	model_accepted(&world.peers[number]);
	return sd;
}

int
sim_ioctl(int fd, unsigned long request, ...)
{
	struct peer *peer = world_peer(fd);
	va_list args;
	int *value;

	va_start(args, request);
	value = va_arg(args, int *);
	va_end(args);
	if (request == SIOCOUTQ || request == FIONREAD) {
		check(peer != NULL);
		if (fault_due(&world.query_fault)) {
			peer->query_failed = true;
			return -1;
		}
		*value = (int)(request == SIOCOUTQ ? world_unacked(peer) : world_unread(peer));
		return 0;
	}
	check(request == FIONBIO && *value == 1);
	if (fault_due(&world.ioctl_fault)) {
		if (peer != NULL) {
			peer->not_nonblocking = true;
			model_accept_failed();
		}
		return -1;
	}
	if (peer != NULL)
		model_trace("New incoming connection on sd %d", fd);
	return 0;
}

/* --- files */

int
sim_open(const char *path, int flags, ...)
{
	(void)flags;
	if (fault_due(&world.open_fault))
		return -1;
	if (strcmp(path, WORLD_CONF) == 0) {
		world.settings_read = 0;
		return world_new_fd(3, SETTINGS, 0);
	}
	check(strncmp(path, "/proc/self/fd/", 14) == 0);
	return world_new_fd(3, STREAM, atoi(path + 14));
}

ssize_t
sim_read(int fd, void *data, size_t len)
{
	size_t left = strlen(world.settings) - world.settings_read;

	check(world_is(fd, SETTINGS));
	if (fault_due(&world.read_fault))
		return -1;
	len = len < left ? len : left;
	memcpy(data, world.settings + world.settings_read, len);
	world.settings_read += len;
	return (ssize_t)len;
}

ssize_t
sim_write(int fd, const void *data, size_t len)
{
	check(world_is(fd, STREAM));
	return world_write(fd, data, len);
}

int
sim_dup2(int fd, int onto)
{
	check(world_is(fd, STREAM) && world_is(onto, STREAM) && onto < 3);
	return onto;
}

int
sim_fcntl(int fd, int command, ...)
{
	va_list args;
	int lowest;

	if (command == F_DUPFD_CLOEXEC) {
		va_start(args, command);
		lowest = va_arg(args, int);
		va_end(args);
		check(world_is(fd, MANAGER));
		return world_new_fd(lowest, MANAGER, 0);
	}
	check(world_is(fd, STREAM) && (command == F_GETFL || command == F_SETFL));
	return 0;
}

int
sim_fstat(int fd, struct stat *st)
{
	memset(st, 0, sizeof(*st));
	st->st_mode = S_IFREG;
	if (world_is(fd, SETTINGS))
		return 0;
	check(world_is(fd, STREAM) && fd < 3);
	st->st_mode = world_stream(fd)->mode;
	return 0;
}

/* --- the rest of the machine */

int
sim_clock_gettime(clockid_t clock, struct timespec *now)
{
	check(clock == CLOCK_MONOTONIC);
	now->tv_sec = (time_t)(world.now / CLOCK_SECOND);
	now->tv_nsec = (long)(world.now % CLOCK_SECOND * 1000);
	return 0;
}

int
sim_getrlimit(int resource, struct rlimit *limit)
{
	check(resource == RLIMIT_NOFILE);
	*limit = (struct rlimit){.rlim_cur = WORLD_FDS, .rlim_max = WORLD_FDS};
	return 0;
}

int
sim_setrlimit(int resource, const struct rlimit *limit)
{
	(void)limit;
	check(resource == RLIMIT_NOFILE);
	errno = EPERM;
	return -1;
}

int
sim_sigaction(int number, const struct sigaction *action, struct sigaction *old)
{
	(void)number;
	(void)old;
	if (action->sa_handler != SIG_IGN)
		world.handler = action->sa_handler;
	return 0;
}

int
sim_sigprocmask(int how, const sigset_t *set, sigset_t *old)
{
	(void)set; /* or NULL, to ask which are blocked: none before the server blocks its own */
	check(how == SIG_BLOCK && old != NULL);
	sigemptyset(old);
	return 0;
}

void
world_signal(int number)
{
	world.signalled = true;
	world.forgets |= world.ends == 0;
	if (number != SIGTERM || world.ends++ > 0)
		return;
	world.end_at = world.now;
	world.n_at_end = world.n_peers;
	for (int i = 0; i < world.n_peers; i++) {
		world.peers[i].owed = world.peers[i].sent.len;
		world.peers[i].owed_fin = world.peers[i].fin || world.peers[i].reset;
	}
}

int
sim_sigtimedwait(const sigset_t *set, siginfo_t *info, const struct timespec *timeout)
{
	(void)info;
	check(set != NULL && timeout->tv_sec == 0 && timeout->tv_nsec == 0);
	if (world.pending_end > 0) {
		world.pending_end--;
		world_signal(SIGTERM);
		return SIGTERM;
	}
	if (world.pending_reload > 0) {
		world.pending_reload--;
		world_signal(SIGHUP);
		return SIGHUP;
	}
	errno = EAGAIN;
	return -1;
}

char *
sim_getenv(const char *name)
{
	static char none[] = "0";
	static char path[] = "@fuzz";
	if (strcmp(name, "FDSTORE") == 0)
		return none; /* nothing is kept: tests/handover is about that */
	return world.managed && strcmp(name, "NOTIFY_SOCKET") == 0 ? path : NULL;
}

int
sim_sd_watchdog_enabled(int unset, uint64_t *usec)
{
	(void)unset;
	*usec = (uint64_t)world.watchdog;
	return world.watchdog > 0;
}
