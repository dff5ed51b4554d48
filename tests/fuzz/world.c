#include "world.h"

#include <errno.h>
#include <linux/sockios.h>
#include <stdarg.h>
#include <sys/un.h>

#include "memory.h"
#include "model.h"
#include "seam.h"
#include "target.h"

struct world world;

/* Bytes that a recv leaves behind what it brought, which nobody may look at. */
#define SCRIBBLE 16

void
bytes_add(struct bytes *bytes, const void *data, size_t len)
{
	if (len > bytes->size - bytes->len) {
		bytes->size = (bytes->len + len) * 2;
		if ((bytes->data = realloc(bytes->data, bytes->size)) == NULL)
			abort();
	}
	if (len > 0)
		memcpy(bytes->data + bytes->len, data, len);
	bytes->len += len;
}

bool
fault_due(struct fault *fault)
{
	if (fault->times == 0)
		return false;
	fault->times--;
	errno = fault->error;
	return true;
}

static void
reset_peer(struct peer *peer)
{
	struct peer fresh = {
	    .sent = {.data = peer->sent.data, .size = peer->sent.size},
	    .held = {.data = peer->held.data, .size = peer->held.size},
	    .candidates = peer->candidates,
	    .candidates_size = peer->candidates_size,
	    .sd = -1,
	    .window = SIZE_MAX / 2,
	    .recv_most = SIZE_MAX,
	    .send_most = SIZE_MAX,
	};

	*peer = fresh;
}

void
world_reset(void)
{
	for (int i = 0; i < world.n_peers; i++)
		reset_peer(&world.peers[i]);
	memset((char *)&world + sizeof(world.peers), 0, sizeof(world) - sizeof(world.peers));
	world.now = 1000 * CLOCK_SECOND;
	world.out = world.err = (struct stream){.mode = S_IFREG, .write_most = SIZE_MAX};
	for (int fd = 0; fd < 3; fd++)
		world.files[fd].kind = STREAM;
}

/* --- descriptors */

static int
new_fd(int lowest, enum kind kind, int index)
{
	for (int fd = lowest; fd < WORLD_FDS; fd++)
		if (world.files[fd].kind == CLOSED) {
			world.files[fd].kind = kind;
			world.files[fd].index = index;
			return fd;
		}
	errno = EMFILE;
	return -1;
}

static bool
is_kind(int fd, enum kind kind)
{
	return fd >= 0 && fd < WORLD_FDS && world.files[fd].kind == kind;
}

int
world_open_files(void)
{
	int count = 0;

	for (int fd = 3; fd < WORLD_FDS; fd++)
		count += world.files[fd].kind != CLOSED;
	return count;
}

struct peer *
world_peer(int fd)
{
	return is_kind(fd, CLIENT) ? &world.peers[world.files[fd].index] : NULL;
}

static struct stream *
stream_of(int fd)
{
	return fd == STDERR_FILENO ? &world.err : &world.out;
}

int
sim_close(int fd)
{
	struct peer *peer = world_peer(fd);

	check(fd >= 3 && fd < WORLD_FDS && world.files[fd].kind != CLOSED);
	if (peer != NULL) {
		model_closed(peer);
		peer->state = OVER;
	}
	if (is_kind(fd, LISTENER) && world.files[fd].index >= 0) {
		int index = world.files[fd].index;

		for (int i = 0; i < world.listeners[index].waiting; i++)
			world.peers[world.listeners[index].backlog[i]].state = OVER;
		world.listeners[index].open = false;
		world.listeners[index].waiting = 0;
	}
	world.files[fd].kind = CLOSED;
	world.progress++;
	return 0;
}

/* --- peers */

struct peer *
world_connect(int listener, uint8_t host)
{
	struct peer *peer;

	if (world.n_peers == WORLD_PEERS || !world.listeners[listener].open)
		return NULL;
	peer = &world.peers[world.n_peers];
	if (peer->window == 0)
		reset_peer(peer);
	peer->state = CONNECTING;
	peer->listener = listener;
	peer->host = host;
	world.listeners[listener].backlog[world.listeners[listener].waiting++] = world.n_peers++;
	return peer;
}

void
world_close(struct peer *peer)
{
	peer->fin = peer->deaf_end = true;
	peer->waiting = 0;
}

bool
world_readable(int fd)
{
	const struct peer *peer = world_peer(fd);

	if (is_kind(fd, LISTENER))
		return world.listeners[world.files[fd].index].waiting > 0 ||
		       world.accept_fault.times > 0;
	check(peer != NULL);
	return peer->taken < peer->sent.len || peer->fin || peer->reset ||
	       peer->recv_fault.times > 0;
}

bool
world_writable(int fd)
{
	const struct peer *peer = world_peer(fd);

	if (is_kind(fd, STREAM))
		return !stream_of(fd)->blocked;
	check(peer != NULL);
	return peer->waiting < peer->window || peer->deaf_end || peer->send_fault.times > 0;
}

static bool
passes(int error)
{
	return error == EAGAIN || error == EINTR || error == ENOBUFS || error == ENOMEM;
}

ssize_t
sim_recv(int fd, void *data, size_t len, int flags)
{
	struct peer *peer = world_peer(fd);
	size_t n, rest;

	(void)flags;
	model_admit();
	check(peer != NULL && peer->state == MEMBER && peer->removed == STAYS);
	check(world.ends == 0);
	/* Only who is ready, each once in a pass, in ascending order. */
	check(peer->readable && fd > world.served && len > 0);
	world.served = fd;
	model_trace("Descriptor %d is readable", fd);
	if (fault_due(&peer->recv_fault)) {
		if (!passes(errno))
			model_ended(peer, FAILED);
		return -1;
	}
	n = peer->sent.len - peer->taken;
	if (n == 0 && peer->reset) {
		model_ended(peer, FAILED);
		errno = ECONNRESET;
		return -1;
	}
	if (n == 0 && peer->fin) {
		model_ended(peer, LEFT);
		return 0;
	}
	if (n == 0) {
		errno = EAGAIN;
		return -1;
	}
	n = n < len ? n : len;
	n = n < peer->recv_most ? n : peer->recv_most;
	memcpy(data, peer->sent.data + peer->taken, n);
	rest = len - n < SCRIBBLE ? len - n : SCRIBBLE;
	memset((char *)data + n, '\n', rest);
	model_trace("%zu bytes received from sd %d", n, fd);
	model_received(peer, peer->sent.data + peer->taken, n);
	peer->taken += n;
	world.progress++;
	return (ssize_t)n;
}

static ssize_t
send_to_peer(struct peer *peer, const struct iovec *iov, size_t count)
{
	size_t total = 0, room, n;

	if (peer->state != ACCEPTED)
		model_admit();
	if (fault_due(&peer->send_fault)) {
		if (errno == EPIPE || errno == ECONNRESET)
			peer->deaf = true;
		else if (!passes(errno) && peer->removed == STAYS)
			peer->removed = FAILED;
		return -1;
	}
	if (peer->deaf_end || peer->shut) {
		model_refused(peer);
		peer->deaf = true;
		errno = EPIPE;
		return -1;
	}
	room = peer->waiting < peer->window ? peer->window - peer->waiting : 0;
	room = room < peer->send_most ? room : peer->send_most;
	if (room == 0) {
		errno = EAGAIN;
		return -1;
	}
	for (size_t i = 0; i < count && total < room; i++) {
		n = iov[i].iov_len < room - total ? iov[i].iov_len : room - total;
		check(iov[i].iov_len > 0);
		model_sent(peer, iov[i].iov_base, n);
		total += n;
	}
	peer->waiting += total;
	peer->took = world.now;
	world.progress++;
	return (ssize_t)total;
}

/* --- streams and the service manager */

static ssize_t
write_stream(int fd, const void *data, size_t len)
{
	struct stream *stream = stream_of(fd);

	check(len > 0);
	if (fault_due(&stream->fault))
		return -1;
	if (stream->blocked) {
		errno = EAGAIN;
		return -1;
	}
	len = len < stream->write_most ? len : stream->write_most;
	if (stream == &world.out)
		model_traced(data, len);
	world.progress += stream->awaited;
	stream->awaited = false;
	return (ssize_t)len;
}

static ssize_t
tell_manager(const char *text, size_t len)
{
	if (fault_due(&world.manager_fault))
		return -1;
	if (strncmp(text, "READY=1", 7) == 0) {
		world.told_ready = true;
		world.reloading = false;
	} else if (strncmp(text, "RELOADING=1\nMONOTONIC_USEC=", 27) == 0) {
		world.reloading = true;
	} else if (strncmp(text, "WATCHDOG=1", 10) == 0) {
		world.alive = world.now;
	} else {
		check(strncmp(text, "STATUS=", 7) == 0 || strncmp(text, "STOPPING=1", 10) == 0);
	}
	return (ssize_t)len;
}

ssize_t
sim_send(int fd, const void *data, size_t len, int flags)
{
	struct iovec iov = {.iov_base = (void *)(uintptr_t)data, .iov_len = len};

	check((flags & MSG_NOSIGNAL) != 0);
	if (is_kind(fd, STREAM))
		return write_stream(fd, data, len);
	if (is_kind(fd, MANAGER))
		return tell_manager(data, len);
	check(is_kind(fd, CLIENT));
	return send_to_peer(world_peer(fd), &iov, 1);
}

ssize_t
sim_sendmsg(int fd, const struct msghdr *hdr, int flags)
{
	check((flags & MSG_NOSIGNAL) != 0 && is_kind(fd, CLIENT) && hdr->msg_iovlen <= 1024);
	return send_to_peer(world_peer(fd), hdr->msg_iov, hdr->msg_iovlen);
}

int
sim_shutdown(int fd, int how)
{
	check(is_kind(fd, CLIENT) && how == SHUT_WR);
	model_shut(world_peer(fd));
	world_peer(fd)->shut = true;
	return 0;
}

/* --- listeners */

int
sim_socket(int family, int type, int protocol)
{
	(void)protocol;
	if (fault_due(&world.socket_fault))
		return -1;
	return new_fd(3, family == AF_UNIX && (type & SOCK_DGRAM) != 0 ? MANAGER : LISTENER, -1);
}

int
sim_connect(int fd, const struct sockaddr *sa, socklen_t len)
{
	(void)sa;
	(void)len;
	check(is_kind(fd, MANAGER));
	return 0;
}

int
sim_setsockopt(int fd, int level, int option, const void *value, socklen_t len)
{
	(void)level;
	(void)option;
	(void)value;
	(void)len;
	check(is_kind(fd, LISTENER));
	return 0;
}

/* Port 1000 + n is listener n; the last one is IPv6. */
int
sim_bind(int fd, const struct sockaddr *sa, socklen_t len)
{
	const struct sockaddr_in *in = (const struct sockaddr_in *)sa;
	int index = ntohs(in->sin_port) - 1000;

	check(is_kind(fd, LISTENER) && len >= sizeof(*in));
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
	check(is_kind(fd, LISTENER) && world.files[fd].index >= 0 && backlog > 0);
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

	check(is_kind(fd, LISTENER) && index >= 0);
	fill_address(sa, len, index, 1, (uint16_t)(1000 + index));
	return 0;
}

int
sim_accept4(int fd, struct sockaddr *sa, socklen_t *len, int flags)
{
	int index = world.files[fd].index, number, sd;

	model_admit();
	check(is_kind(fd, LISTENER) && index >= 0 && (flags & SOCK_CLOEXEC) != 0);
	check(world.ends == 0);
	check(fd >= world.served);
	world.served = fd;
	if (fault_due(&world.accept_fault))
		return -1;
	if (world.listeners[index].waiting == 0) {
		errno = EAGAIN;
		return -1;
	}
	number = world.listeners[index].backlog[0];
	if ((sd = new_fd(3, CLIENT, number)) < 0)
		return -1;
	world.listeners[index].waiting--;
	memmove(world.listeners[index].backlog, world.listeners[index].backlog + 1,
	    (size_t)world.listeners[index].waiting * sizeof(int));
	fill_address(sa, len, index, world.peers[number].host, (uint16_t)(2000 + number));
	world.peers[number].sd = sd;
	model_accepted(&world.peers[number]);
	world.progress++;
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
	if (request == SIOCOUTQ) {
		check(peer != NULL);
		*value = (int)peer->waiting;
		return 0;
	}
	check(request == FIONBIO && *value == 1);
	if (fault_due(&world.ioctl_fault)) {
		if (peer != NULL)
			peer->not_nonblocking = true;
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
		return new_fd(3, SETTINGS, 0);
	}
	check(strncmp(path, "/proc/self/fd/", 14) == 0);
	return new_fd(3, STREAM, atoi(path + 14));
}

ssize_t
sim_read(int fd, void *data, size_t len)
{
	size_t left = strlen(world.settings) - world.settings_read;

	check(is_kind(fd, SETTINGS));
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
	check(is_kind(fd, STREAM));
	return write_stream(fd, data, len);
}

int
sim_dup2(int fd, int onto)
{
	check(is_kind(fd, STREAM) && is_kind(onto, STREAM) && onto < 3);
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
		check(is_kind(fd, MANAGER));
		return new_fd(lowest, MANAGER, 0);
	}
	check(is_kind(fd, STREAM) && (command == F_GETFL || command == F_SETFL));
	return 0;
}

int
sim_fstat(int fd, struct stat *st)
{
	memset(st, 0, sizeof(*st));
	st->st_mode = S_IFREG;
	if (is_kind(fd, SETTINGS))
		return 0;
	check(is_kind(fd, STREAM) && fd < 3);
	st->st_mode = stream_of(fd)->mode;
	return 0;
}

/* --- the rest of the machine */

int
sim_clock_gettime(clockid_t clock, struct timespec *now)
{
	check(clock == CLOCK_MONOTONIC);
	now->tv_sec = world.now / CLOCK_SECOND;
	now->tv_nsec = world.now % CLOCK_SECOND * 1000;
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

int
sim_sigtimedwait(const sigset_t *set, siginfo_t *info, const struct timespec *timeout)
{
	(void)info;
	check(set != NULL && timeout->tv_sec == 0 && timeout->tv_nsec == 0);
	if (world.pending_end > 0) {
		world.pending_end--;
		world.ends++;
		return SIGTERM;
	}
	if (world.pending_reload > 0) {
		world.pending_reload--;
		return SIGHUP;
	}
	errno = EAGAIN;
	return -1;
}

char *
sim_getenv(const char *name)
{
	static char path[] = "@fuzz";

	return world.managed && strcmp(name, "NOTIFY_SOCKET") == 0 ? path : NULL;
}

int
sim_sd_watchdog_enabled(int unset, uint64_t *usec)
{
	(void)unset;
	*usec = (uint64_t)world.watchdog;
	return world.watchdog > 0;
}

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
