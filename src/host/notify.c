#include "host/notify.h"

#include <bsd/string.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/param.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/systemd.h"

/* Connects to the manager; called again if it rebinds its socket. Returns 0, or -1 with errno. */
static int
connect_manager(int fd, const char *path)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	size_t len = strlcpy(sun.sun_path, path, sizeof(sun.sun_path));

	if (len >= sizeof(sun.sun_path) || (path[0] != '/' && path[0] != '@')) {
		errno = EINVAL;
		return -1;
	}
	if (path[0] == '@')
		sun.sun_path[0] = '\0'; /* an abstract name, which ends where its length says */
	return connect(
	    fd, (struct sockaddr *)&sun, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len));
}

int
notify_open(struct notify *notify, int highest)
{
	const char *path = getenv("NOTIFY_SOCKET");
	int fd;

	*notify = (struct notify){.fd = -1, .path = path, .clients = UINT32_MAX};
	if (path == NULL || path[0] == '\0')
		return 0;
	if ((fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)) < 0)
		return -1;
	if (connect_manager(fd, path) == 0)
		notify->fd = fcntl(fd, F_DUPFD_CLOEXEC, highest);
	close(fd);
	if (notify->fd < 0)
		return -1;
	notify->watchdog = systemd_watchdog() / 2;
	return 0;
}

void
notify_close(struct notify *notify)
{
	if (notify->fd >= 0)
		close(notify->fd);
	notify->fd = -1;
}

/* Returns -1 when the manager has no room for the message now. If it is gone, the message is lost.
 */
static int
tell(const struct notify *notify, const char *text)
{
	const int flags = MSG_DONTWAIT | MSG_NOSIGNAL;

	if (notify->fd < 0 || send(notify->fd, text, strlen(text), flags) >= 0)
		return 0;
	if (errno != EAGAIN && errno != ENOBUFS && connect_manager(notify->fd, notify->path) == 0 &&
	    send(notify->fd, text, strlen(text), flags) >= 0)
		return 0;
	return errno == EAGAIN || errno == ENOBUFS ? -1 : 0;
}

static int
deliver(const struct notify *notify, const struct msghdr *hdr)
{
	const struct timeval patience = {.tv_sec = NOTIFY_PATIENCE};

	if (notify->fd < 0)
		return 0;
	setsockopt(notify->fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	return sendmsg(notify->fd, hdr, MSG_NOSIGNAL) < 0 ? -1 : 0;
}

int
notify_store(const struct notify *notify, const char *name, int fd)
{
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = {{0}};
	char text[64];
	struct iovec iov = {.iov_base = text};
	struct msghdr hdr = {.msg_iov = &iov,
	    .msg_iovlen = 1,
	    .msg_control = control.bytes,
	    .msg_controllen = sizeof(control.bytes)};
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(&hdr);

	/* The manager must not drop a socket that was reset: somebody may still read its last
	 * words. */
	iov.iov_len = (size_t)snprintf(text, sizeof(text), "FDSTORE=1\nFDPOLL=0\nFDNAME=%s", name);
	cmsg->cmsg_level = SOL_SOCKET;
	cmsg->cmsg_type = SCM_RIGHTS;
	cmsg->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(cmsg), &fd, sizeof(int));
	return deliver(notify, &hdr);
}

int
notify_unstore(const struct notify *notify, const char *name)
{
	char text[64];
	struct iovec iov = {.iov_base = text};
	struct msghdr hdr = {.msg_iov = &iov, .msg_iovlen = 1};

	iov.iov_len = (size_t)snprintf(text, sizeof(text), "FDSTOREREMOVE=1\nFDNAME=%s", name);
	return deliver(notify, &hdr);
}

void
notify_ready(struct notify *notify)
{
	notify->owes_ready = tell(notify, "READY=1") < 0;
}

void
notify_reloading(struct notify *notify, int64_t now)
{
	char text[64];

	snprintf(text, sizeof(text), "RELOADING=1\nMONOTONIC_USEC=%" PRId64, now);
	tell(notify, text);
}

void
notify_stopping(struct notify *notify)
{
	tell(notify, "STOPPING=1");
}

/* Returns -1 when the manager has no room for it now. */
static int
tell_refused(struct notify *notify)
{
	char text[sizeof("STATUS=reload refused: ") + NOTIFY_REFUSED];
	int told;

	snprintf(text, sizeof(text), "STATUS=reload refused: %s", notify->refused);
	told = tell(notify, text);
	notify->owes_status = told < 0;
	return told;
}

/* A line end would begin another message, and the manager shows no text that is not UTF-8. */
void
notify_refused(struct notify *notify, const char *why)
{
	strlcpy(notify->refused, why, sizeof(notify->refused));
	for (char *c = notify->refused; *c != '\0'; c++)
		if (*c < ' ' || *c > '~')
			*c = '?';
	tell_refused(notify);
}

void
notify_accepted(struct notify *notify)
{
	if (notify->refused[0] != '\0')
		notify->clients = UINT32_MAX; /* the next status is another one in any case */
	notify->refused[0] = '\0';
	notify->owes_status = false;
}

static void
tell_status(struct notify *notify, uint32_t clients, uint64_t lines, const char *cluster)
{
	char text[80 + NOTIFY_CLUSTER];

	notify->status = clock_now() + CLOCK_SECOND;
	if (notify->refused[0] != '\0') {
		tell_refused(notify);
		return;
	}
	snprintf(text, sizeof(text), "STATUS=%" PRIu32 " client%s, %" PRIu64 " line%s%s%s", clients,
	    clients == 1 ? "" : "s", lines, lines == 1 ? "" : "s", cluster != NULL ? "; " : "",
	    cluster != NULL ? cluster : "");
	if (tell(notify, text) == 0) {
		notify->clients = clients;
		notify->lines = lines;
		strlcpy(notify->cluster, cluster != NULL ? cluster : "", sizeof(notify->cluster));
	}
}

static bool
owes_status(const struct notify *notify, uint32_t clients, uint64_t lines, const char *cluster)
{
	if (notify->refused[0] != '\0')
		return notify->owes_status;
	return clients != notify->clients || lines != notify->lines ||
	       (cluster != NULL && strcmp(cluster, notify->cluster) != 0);
}

int64_t
notify_pass(struct notify *notify, uint32_t clients, uint64_t lines, const char *cluster)
{
	int64_t now = clock_now(), next = CLOCK_NEVER;

	if (notify->fd < 0)
		return next;
	if (notify->watchdog > 0 && now >= notify->alive) {
		tell(notify, "WATCHDOG=1");
		notify->alive = now + notify->watchdog;
	}
	if (notify->watchdog > 0)
		next = notify->alive;
	if (notify->owes_ready)
		notify_ready(notify);
	if (owes_status(notify, clients, lines, cluster) && now >= notify->status)
		tell_status(notify, clients, lines, cluster);
	if (owes_status(notify, clients, lines, cluster) || notify->owes_ready)
		next = MIN(next, MAX(notify->status, now + CLOCK_SECOND / 10));
	return next;
}
