/*
 * real: a target whose rooms call the system itself. Only the clock is the target's, and what goes
 * to standard error is dropped.
 */
#include "real.h"

#include <stdarg.h>

#include "seam.h"

int64_t real_now;
bool real_managed;

int
sim_open(const char *path, int flags, ...)
{
	return open(path, flags);
}

ssize_t
sim_read(int fd, void *data, size_t len)
{
	return read(fd, data, len);
}

ssize_t
sim_write(int fd, const void *data, size_t len)
{
	return fd <= STDERR_FILENO ? (ssize_t)len : write(fd, data, len);
}

int
sim_close(int fd)
{
	return close(fd);
}

int
sim_dup2(int fd, int onto)
{
	return dup2(fd, onto);
}

/* All of its commands take a number, or nothing. */
int
sim_fcntl(int fd, int command, ...)
{
	va_list args;
	int value;

	va_start(args, command);
	value = va_arg(args, int);
	va_end(args);
	return fcntl(fd, command, value);
}

int
sim_fstat(int fd, struct stat *st)
{
	return fstat(fd, st);
}

int
sim_socket(int family, int type, int protocol)
{
	return socket(family, type, protocol);
}

int
sim_setsockopt(int fd, int level, int option, const void *value, socklen_t len)
{
	return setsockopt(fd, level, option, value, len);
}

int
sim_bind(int fd, const struct sockaddr *sa, socklen_t len)
{
	return bind(fd, sa, len);
}

int
sim_listen(int fd, int backlog)
{
	return listen(fd, backlog);
}

int
sim_connect(int fd, const struct sockaddr *sa, socklen_t len)
{
	return connect(fd, sa, len);
}

int
sim_getsockname(int fd, struct sockaddr *sa, socklen_t *len)
{
	return getsockname(fd, sa, len);
}

int
sim_accept4(int fd, struct sockaddr *sa, socklen_t *len, int flags)
{
	return accept4(fd, sa, len, flags);
}

int
sim_ioctl(int fd, unsigned long request, ...)
{
	va_list args;
	int *value;

	va_start(args, request);
	value = va_arg(args, int *);
	va_end(args);
	return ioctl(fd, request, value);
}

ssize_t
sim_recv(int fd, void *data, size_t len, int flags)
{
	return recv(fd, data, len, flags);
}

ssize_t
sim_send(int fd, const void *data, size_t len, int flags)
{
	return send(fd, data, len, flags);
}

ssize_t
sim_sendmsg(int fd, const struct msghdr *hdr, int flags)
{
	return sendmsg(fd, hdr, flags);
}

int
sim_shutdown(int fd, int how)
{
	return shutdown(fd, how);
}

/* Never waits. */
int
sim_pselect(int count, fd_set *readable, fd_set *writable, fd_set *failed,
    const struct timespec *timeout, const sigset_t *mask)
{
	const struct timespec none = {0};

	(void)timeout;
	(void)mask;
	return pselect(count, readable, writable, failed, &none, NULL);
}

/* What catches crashes would hide them. */
int
sim_sigaction(int number, const struct sigaction *action, struct sigaction *old)
{
	(void)number;
	(void)action;
	(void)old;
	return 0;
}

int
sim_sigprocmask(int how, const sigset_t *set, sigset_t *old)
{
	return sigprocmask(how, set, old);
}

int
sim_sigtimedwait(const sigset_t *set, siginfo_t *info, const struct timespec *timeout)
{
	return sigtimedwait(set, info, timeout);
}

int
sim_clock_gettime(clockid_t clock, struct timespec *now)
{
	(void)clock;
	now->tv_sec = (time_t)(real_now / 1000000);
	now->tv_nsec = (long)(real_now % 1000000 * 1000);
	return 0;
}

int
sim_getrlimit(int resource, struct rlimit *limit)
{
	return getrlimit((__rlimit_resource_t)resource, limit);
}

int
sim_setrlimit(int resource, const struct rlimit *limit)
{
	return setrlimit((__rlimit_resource_t)resource, limit);
}

char *
sim_getenv(const char *name)
{
	static char path[] = "@fuzz";

	return real_managed && strcmp(name, "NOTIFY_SOCKET") == 0 ? path : NULL;
}

int
sim_sd_watchdog_enabled(int unset, uint64_t *usec)
{
	(void)unset;
	*usec = 0;
	return 0;
}
