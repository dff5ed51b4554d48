/*
 * socketfile: the file of a unix socket, made by bind and removed with its socket.
 *
 * A socket that is bound but does not listen yet looks like one whose process was killed. So
 * whoever binds holds a lock until it listens, PATH.lock, and finds either a lock that is held or
 * a socket that listens: two instances never both believe that they serve a path. What a killed
 * process has left, a socket file or a lock file, stands in nobody's way.
 *
 * Functions that fail return -1 with errno; EADDRINUSE: somebody serves the path, or is about to.
 */
#ifndef CHATD_SOCKETFILE_H
#define CHATD_SOCKETFILE_H

#include <stdbool.h>
#include <sys/types.h>
#include <sys/un.h>

#define SOCKETFILE_LOCK ".lock" /* behind the path */

struct socketlock {
	int fd;    /* -1: not held */
	bool ours; /* an empty file, which goes with the lock; what somebody wrote stays */
	char path[sizeof(((struct sockaddr_un *)0)->sun_path) + sizeof(SOCKETFILE_LOCK)];
};

/* Which file it is, so that only that one is unlinked. inode 0: none. */
struct socketfile {
	dev_t device;
	ino_t inode;
};

/* Takes the lock of path, without waiting for it. */
int socketfile_lock(struct socketlock *lock, const char *path);
/* Gives it back. errno stays. */
void socketfile_unlock(struct socketlock *lock);

/*
 * Binds the unix socket fd to path, where a file that nobody serves any more gives way. The lock is
 * held, until the socket listens.
 */
int socketfile_bind(struct socketfile *file, int fd, const char *path);

/* Whether the file is still at path, and not another one that took its place. */
bool socketfile_present(const struct socketfile *file, const char *path);
/* Whether nothing is at path any more, though the file was. */
bool socketfile_missing(const struct socketfile *file, const char *path);

/* Unlinks it, if it is still there. */
void socketfile_remove(struct socketfile *file, const char *path);

#endif
