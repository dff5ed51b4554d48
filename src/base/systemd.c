#include "base/systemd.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <syslog.h>
#include <systemd/sd-daemon.h>
#include <systemd/sd-journal.h>
#include <unistd.h>

int
systemd_descriptors(char ***names)
{
	*names = NULL;
	return sd_listen_fds_with_names(1, names);
}

void
systemd_free_names(char **names)
{
	for (char **name = names; name != NULL && *name != NULL; name++)
		free(*name);
	free(names);
}

/* From version 254 on $FDSTORE says how many. */
bool
systemd_keeps_descriptors(void)
{
	const char *path = getenv("NOTIFY_SOCKET"), *store = getenv("FDSTORE");

	return path != NULL && path[0] != '\0' && (store == NULL || strcmp(store, "0") != 0);
}

int64_t
systemd_watchdog(void)
{
	uint64_t time;

	return sd_watchdog_enabled(0, &time) > 0 ? (int64_t)time : 0;
}

/* sd_journal_stream_fd would wait for a journald that hangs and has a full backlog. */
static bool
journal_is_reached(void)
{
	const struct sockaddr_un sun = {
	    .sun_family = AF_UNIX, .sun_path = "/run/systemd/journal/stdout"};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), reason;
	bool reached;

	if (fd < 0)
		return false;
	reached = connect(fd, (const struct sockaddr *)&sun, sizeof(sun)) == 0;
	reason = errno;
	close(fd);
	errno = reason;
	return reached;
}

int
systemd_journal(void)
{
	int fd;

	if (!journal_is_reached())
		return -1;
	if ((fd = sd_journal_stream_fd("chatd", LOG_INFO, 1)) >= 0)
		return fd;
	errno = -fd;
	return -1;
}
