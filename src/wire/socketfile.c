#include "wire/socketfile.h"

#include <bsd/string.h>
#include <errno.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

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

void
socketfile_remove(struct socketfile *file, const char *path)
{
	if (socketfile_present(file, path))
		unlink(path);
	file->inode = 0;
}
