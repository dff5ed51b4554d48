#include "wire/socketfile.h"

#include <bsd/string.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define TRIES 100 /* to lock a file that others unlink each time */

/* Opens and locks the file. Returns 1, 0 if it has been unlinked meanwhile, or -1. */
static int
lock_file(struct socketlock *lock)
{
	struct stat opened, there;

	/* A pipe in its place does not make us wait, nor does a link lead elsewhere. */
	lock->fd = open(lock->path, O_RDONLY | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600);
	if (lock->fd < 0 || flock(lock->fd, LOCK_EX | LOCK_NB) < 0 || fstat(lock->fd, &opened) < 0)
		return -1;
	if (lstat(lock->path, &there) < 0)
		return errno == ENOENT ? 0 : -1;
	lock->ours = S_ISREG(opened.st_mode) && opened.st_size == 0;
	return opened.st_dev == there.st_dev && opened.st_ino == there.st_ino;
}

int
socketfile_lock(struct socketlock *lock, const char *path)
{
	int locked = 0;

	snprintf(lock->path, sizeof(lock->path), "%s" SOCKETFILE_LOCK, path);
	for (int i = 0; i < TRIES && locked == 0; i++) {
		if ((locked = lock_file(lock)) > 0)
			return 0;
		if (lock->fd >= 0) {
			int reason = errno;

			close(lock->fd);
			lock->fd = -1;
			errno = reason == EWOULDBLOCK ? EADDRINUSE : reason;
		}
	}
	if (locked == 0)
		errno = EADDRINUSE;
	return -1;
}

void
socketfile_unlock(struct socketlock *lock)
{
	int reason = errno;

	/* While it is held, so that it is nobody else's. */
	if (lock->ours)
		unlink(lock->path);
	close(lock->fd);
	lock->fd = -1;
	errno = reason;
}

/*
 * A socket file that nobody listens on any more was left by a process that was killed. Removes it.
 * Returns -1 with EADDRINUSE where somebody does listen, or where the file is something else.
 */
static int
remove_stale(const struct sockaddr_un *sun)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), stale;
	struct stat st;

	if (fd < 0)
		return -1;
	stale = lstat(sun->sun_path, &st) == 0 && S_ISSOCK(st.st_mode) &&
		connect(fd, (const struct sockaddr *)sun, sizeof(*sun)) < 0 &&
		errno == ECONNREFUSED;
	close(fd);
	if (stale)
		return unlink(sun->sun_path);
	errno = EADDRINUSE;
	return -1;
}

int
socketfile_bind(struct socketfile *file, int fd, const char *path)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	const struct sockaddr *sa = (const struct sockaddr *)&sun;
	struct stat st;
	int bound;

	strlcpy(sun.sun_path, path, sizeof(sun.sun_path));
	bound = bind(fd, sa, sizeof(sun));
	if (bound < 0 && errno == EADDRINUSE && remove_stale(&sun) == 0)
		bound = bind(fd, sa, sizeof(sun));
	if (bound < 0 || lstat(path, &st) < 0)
		return -1;
	*file = (struct socketfile){.device = st.st_dev, .inode = st.st_ino};
	return 0;
}

bool
socketfile_present(const struct socketfile *file, const char *path)
{
	struct stat st;

	return file->inode != 0 && lstat(path, &st) == 0 && st.st_dev == file->device &&
	       st.st_ino == file->inode;
}

bool
socketfile_missing(const struct socketfile *file, const char *path)
{
	struct stat st;

	return file->inode != 0 && lstat(path, &st) < 0 && (errno == ENOENT || errno == ENOTDIR);
}

void
socketfile_remove(struct socketfile *file, const char *path)
{
	if (socketfile_present(file, path))
		unlink(path);
	file->inode = 0;
}
