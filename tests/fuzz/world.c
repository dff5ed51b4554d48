#include "world.h"

#include <errno.h>
#include <sys/param.h>

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
	    .unfinished = {.data = peer->unfinished.data, .size = peer->unfinished.size},
	    .seen = {.data = peer->seen.data, .size = peer->seen.size},
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

int
world_new_fd(int lowest, enum kind kind, int index)
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

bool
world_is(int fd, enum kind kind)
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
	return world_is(fd, CLIENT) ? &world.peers[world.files[fd].index] : NULL;
}

struct stream *
world_stream(int fd)
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
	if (world_is(fd, LISTENER) && world.files[fd].index >= 0) {
		int index = world.files[fd].index;

		model_closes_listener(index);
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

	if (world_is(fd, LISTENER))
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

	if (world_is(fd, STREAM))
		return !world_stream(fd)->blocked;
	check(peer != NULL);
	return peer->waiting < peer->window || peer->deaf_end || peer->send_fault.times > 0;
}

bool
is_temporary(int error)
{
	return error == EAGAIN || error == EINTR || error == ENOBUFS || error == ENOMEM;
}

size_t
world_unread(const struct peer *peer)
{
	return peer->sent.len - peer->taken;
}

/* The end of file counts as a byte. */
size_t
world_unacked(const struct peer *peer)
{
	return peer->waiting + peer->shut;
}

/* A reset is an error once, for whichever call comes first, and then an end of file. */
static bool
meets_reset(struct peer *peer)
{
	bool reset = peer->reset;

	peer->reset = false;
	peer->fin |= reset;
	errno = ECONNRESET;
	world.progress += reset;
	return reset;
}

static ssize_t
end_of_file(struct peer *peer)
{
	world.progress++;
	if (peer->state == LEAVING)
		model_closes(peer);
	else
		model_eof(peer);
	return 0;
}

ssize_t
sim_recv(int fd, void *data, size_t len, int flags)
{
	struct peer *peer = world_peer(fd);
	size_t n, rest;

	(void)flags;
	check(peer != NULL && len > 0);
	/* Only who is ready, each once in a pass, in ascending order. */
	check(peer->readable && fd > world.served);
	world.served = fd;
	model_receives(peer, len);
	peer->received = true;
	model_trace("Descriptor %d is readable", fd);
	n = MIN(MIN(world_unread(peer), len), peer->recv_most);
	if (fault_due(&peer->recv_fault) || (n == 0 && meets_reset(peer))) {
		model_skipped();
		return -1;
	}
	if (n == 0 && peer->fin)
		return end_of_file(peer);
	if (n == 0) {
		model_skipped();
		errno = EAGAIN;
		return -1;
	}
	memcpy(data, peer->sent.data + peer->taken, n);
	rest = MIN(len - n, SCRIBBLE);
	memset((char *)data + n, '\n', rest);
	model_trace("%zu bytes received from sd %d", n, fd);
	if (peer->state == LEAVING)
		model_sends_on(peer);
	peer->taken += n;
	if (peer->state == MEMBER)
		model_received(peer, peer->sent.data + peer->taken - n, n);
	world.progress++;
	return (ssize_t)n;
}

static ssize_t
send_to_peer(struct peer *peer, const struct iovec *iov, size_t count)
{
	size_t total = 0, room, n;

	model_sends(peer);
	peer->tried = true;
	if (fault_due(&peer->send_fault)) {
		model_skipped();
		peer->deaf |= !is_temporary(errno);
		return -1;
	}
	if (peer->deaf_end) {
		if (!meets_reset(peer))
			errno = EPIPE;
		peer->deaf = true;
		return -1;
	}
	room = peer->waiting < peer->window ? peer->window - peer->waiting : 0;
	room = room < peer->send_most ? room : peer->send_most;
	if (room == 0) {
		model_skipped();
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
	world.progress++;
	return (ssize_t)total;
}

/* --- streams and the service manager */

ssize_t
world_write(int fd, const void *data, size_t len)
{
	struct stream *stream = world_stream(fd);

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
	if (world_is(fd, STREAM))
		return world_write(fd, data, len);
	if (world_is(fd, MANAGER))
		return tell_manager(data, len);
	check(world_is(fd, CLIENT));
	return send_to_peer(world_peer(fd), &iov, 1);
}

ssize_t
sim_sendmsg(int fd, const struct msghdr *hdr, int flags)
{
	check((flags & MSG_NOSIGNAL) != 0 && world_is(fd, CLIENT) && hdr->msg_iovlen <= 1024);
	return send_to_peer(world_peer(fd), hdr->msg_iov, hdr->msg_iovlen);
}

int
sim_shutdown(int fd, int how)
{
	check(world_is(fd, CLIENT) && how == SHUT_WR);
	model_shut(world_peer(fd));
	world_peer(fd)->shut = true;
	return 0;
}
