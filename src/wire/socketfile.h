/*
 * socketfile: the file of a unix socket, made by bind and removed with its socket.
 *
 * Functions that fail return -1 with errno.
 */
#ifndef CHATD_SOCKETFILE_H
#define CHATD_SOCKETFILE_H

#include <stdbool.h>
#include <sys/types.h>

/* Which file it is, so that only that one is unlinked. inode 0: none. */
struct socketfile {
	dev_t device;
	ino_t inode;
};

/* Binds the unix socket fd to path, where a file that nobody serves any more gives way. */
int socketfile_bind(struct socketfile *file, int fd, const char *path);

/* Whether the file is still at path, and not another one that took its place. */
bool socketfile_present(const struct socketfile *file, const char *path);

/* Unlinks it, if it is still there. */
void socketfile_remove(struct socketfile *file, const char *path);

#endif
