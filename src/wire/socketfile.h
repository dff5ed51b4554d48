/*
 * socketfile: the file of a unix socket, made by bind and removed with its socket.
 *
 * A socket that is bound but does not listen yet looks like one whose process was killed. So an
 * instance that binds holds a lock, PATH.lock, until it listens. Another one finds either the lock
 * held or a socket that listens: two never both believe that they serve a path. A socket file or a
 * lock file that a killed process has left is in nobody's way.
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
	bool ours; /* an empty file, removed with the lock; one with content stays */
	char path[sizeof(((struct sockaddr_un *)0)->sun_path) + sizeof(SOCKETFILE_LOCK)];
};

/* Which file it is, so that only that one is unlinked. inode 0: none. */
struct socketfile {
	dev_t device;
	ino_t inode;
};

/* Takes the lock of path, or fails at once. */
int socketfile_lock(struct socketlock *lock, const char *path);
/* Releases it. Keeps errno. */
void socketfile_unlock(struct socketlock *lock);

/*
 * Binds the unix socket fd to path; a file that nobody serves any more gives way. The caller holds
 * the lock until the socket listens.
 */
int socketfile_bind(struct socketfile *file, int fd, const char *path);

/* Whether the file is still at path, and not another one that took its place. */
bool socketfile_present(const struct socketfile *file, const char *path);
/* Whether nothing is at path any more, though the file was. */
bool socketfile_missing(const struct socketfile *file, const char *path);

/* Unlinks it, if it is still there. */
void socketfile_remove(struct socketfile *file, const char *path);

#endif
