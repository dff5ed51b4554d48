#include "unit.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define OWN 510 /* above what tests open, so that numbers are as in a process of its own */
static int own[3] = {-1, -1, -1}; /* what a replaced descriptor was */

void
note(const char *format, ...)
{
	va_list args;

	fflush(stdout);
	va_start(args, format);
	dprintf(own[STDOUT_FILENO] >= 0 ? own[STDOUT_FILENO] : STDOUT_FILENO, "# ");
	vdprintf(own[STDOUT_FILENO] >= 0 ? own[STDOUT_FILENO] : STDOUT_FILENO, format, args);
	va_end(args);
}

/* Tests of these names are left out: what the machine cannot do, see tests/i386. */
__attribute__((constructor)) static void
leave_out(void)
{
	const char *pattern = getenv("CHATD_LEAVE_OUT");

	if (pattern != NULL)
		cmocka_set_skip_filter(pattern);
}

/* Random */

static uint64_t random_state;

void
random_start(void)
{
	const char *given = getenv("CHATD_SEED");
	static uint64_t seed;

	if (seed == 0) {
		seed = given != NULL ? strtoull(given, NULL, 0) : (uint64_t)time(NULL);
		seed = seed != 0 ? seed : 1;
	}
	note("CHATD_SEED=%llu\n", (unsigned long long)seed);
	random_state = seed;
}

/* splitmix64. The bias of the remainder does not matter here. */
uint32_t
random_below(uint32_t end)
{
	uint64_t z = random_state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return (uint32_t)((z ^ (z >> 31)) >> 32) % end;
}

/* Streams */

/* A sanitizer's report must not end in a caught stream. */
void __sanitizer_set_report_fd(void *fd) __attribute__((weak));

void
stream_replace(int fd, int by)
{
	fflush(NULL);
	own[fd] = fcntl(fd, F_DUPFD_CLOEXEC, OWN);
	if (__sanitizer_set_report_fd != NULL && fd == STDERR_FILENO)
		__sanitizer_set_report_fd((void *)(intptr_t)own[fd]);
	dup2(by, fd);
}

void
stream_restore(int fd)
{
	if (own[fd] < 0)
		return;
	fflush(NULL);
	dup2(own[fd], fd);
	close(own[fd]);
	own[fd] = -1;
	if (__sanitizer_set_report_fd != NULL && fd == STDERR_FILENO)
		__sanitizer_set_report_fd((void *)(intptr_t)fd);
}

void
catch_start(int fd)
{
	int memory = memfd_create("caught", MFD_CLOEXEC);

	stream_replace(fd, memory);
	close(memory);
}

void
catch_end(int fd)
{
	stream_restore(fd);
}

const char *
caught(int fd)
{
	static char text[3][1 << 20];
	off_t len = lseek(fd, 0, SEEK_CUR);

	assert_in_range(len, 0, (off_t)sizeof(text[0]) - 1);
	assert_int_equal(pread(fd, text[fd], (size_t)len, 0), len);
	text[fd][len] = '\0';
	assert_int_equal(ftruncate(fd, 0), 0);
	lseek(fd, 0, SEEK_SET);
	return text[fd];
}

/* Sockets */

void
set_nonblocking(int fd)
{
	int on = 1;

	assert_int_equal(ioctl(fd, FIONBIO, &on), 0);
}

void
make_pair(int pair[2])
{
	assert_int_equal(
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), 0);
}

void
put_text(int fd, const char *text)
{
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
}

const char *
get_text(int fd, bool *closed)
{
	static char text[1 << 20];
	size_t len = 0;
	ssize_t n;

	while ((n = read(fd, text + len, sizeof(text) - 1 - len)) > 0)
		len += (size_t)n;
	if (closed != NULL)
		*closed = n == 0;
	text[len] = '\0';
	return text;
}

size_t
stuff(int fd)
{
	char dots[4096];
	size_t len = 0, piece = sizeof(dots);
	ssize_t n;

	memset(dots, '.', sizeof(dots));
	while (piece > 0) {
		while ((n = write(fd, dots, piece)) > 0)
			len += (size_t)n;
		piece /= 2;
	}
	return len;
}

bool
is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

int
open_descriptors(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int count = 0;

	assert_non_null(dir);
	while (readdir(dir) != NULL)
		count++;
	closedir(dir);
	return count;
}

/* Files */

static char folder[64];

const char *
folder_make(void)
{
	strcpy(folder, "/tmp/chatd-unit-XXXXXX");
	assert_non_null(mkdtemp(folder));
	return folder;
}

void
folder_remove(void)
{
	DIR *dir = opendir(folder);
	struct dirent *entry;

	if (dir == NULL)
		return;
	while ((entry = readdir(dir)) != NULL)
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			unlinkat(
			    dirfd(dir), entry->d_name, entry->d_type == DT_DIR ? AT_REMOVEDIR : 0);
	closedir(dir);
	rmdir(folder);
}

const char *
in_folder(const char *name)
{
	static char paths[8][256];
	static unsigned next;
	char *path = paths[next++ % LENGTH(paths)];

	snprintf(path, sizeof(paths[0]), "%s/%s", folder, name);
	return path;
}

void
file_write(const char *path, const void *data, size_t len)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, data, len), len);
	assert_int_equal(close(fd), 0);
}
