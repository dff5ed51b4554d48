#include "base/sink.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/systemd.h"

/* systemd sets JOURNAL_STREAM to "device:inode" of the stream it connected to the journal. */
static bool
is_journal(const struct stat *st)
{
	const char *stream = getenv("JOURNAL_STREAM");
	uintmax_t dev, ino;

	return stream != NULL && sscanf(stream, "%ju:%ju", &dev, &ino) == 2 && dev == st->st_dev &&
	       ino == st->st_ino;
}

static void
open_nonblocking(struct sink *sink)
{
	char path[sizeof("/proc/self/fd/") + 11];
	int flags, own;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", sink->fd);
	own = open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (own >= 0) {
		int replaced = dup2(own, sink->fd);

		close(own);
		if (replaced >= 0)
			return;
	}
	flags = fcntl(sink->fd, F_GETFL);
	if (flags >= 0 && (flags & O_NONBLOCK) == 0)
		sink->restore = fcntl(sink->fd, F_SETFL, flags | O_NONBLOCK) == 0;
}

void
sink_open(struct sink *sink, int fd)
{
	struct stat st;

	sink->fd = fd;
	sink->socket = sink->journal = sink->restore = sink->ended = false;
	sink->torn = sink->progressed = sink->broken = false;
	sink->again = 0;
	sink->error = 0;
	sink->dropped = 0;
	sink->len = 0;
	if (fstat(fd, &st) < 0) {
		sink->error = errno;
		sink->ended = true;
		return;
	}
	sink->journal = is_journal(&st);
	sink->socket = S_ISSOCK(st.st_mode);
	if (!sink->socket && !S_ISREG(st.st_mode))
		open_nonblocking(sink);
}

void
sink_close(struct sink *sink)
{
	sink->again = 0;
	sink_flush(sink);
	if (sink->restore)
		fcntl(sink->fd, F_SETFL, fcntl(sink->fd, F_GETFL) & ~O_NONBLOCK);
	sink->restore = false;
}

/* Formats the line at the end of the buffer. Returns whether it fitted. */
static bool
append(struct sink *sink, int level, const char *format, va_list args)
{
	size_t room = sizeof(sink->data) - sink->len;
	char *end = sink->data + sink->len;
	int prefix = 0, text;

	if (sink->journal)
		prefix = snprintf(end, room, "<%d>", level);
	if (prefix < 0 || (size_t)prefix >= room)
		return false;
	text = vsnprintf(end + prefix, room - (size_t)prefix, format, args);
	if (text < 0 || (size_t)prefix + (size_t)text >= room)
		return false;
	sink->len += (size_t)prefix + (size_t)text;
	sink->data[sink->len++] = '\n';
	return true;
}

void
sink_vline(struct sink *sink, int level, const char *format, va_list args)
{
	va_list again;

	if (sink->ended)
		return;
	va_copy(again, args);
	if (!append(sink, level, format, args)) {
		sink_flush(sink);
		if (!append(sink, level, format, again))
			sink->dropped++;
	}
	va_end(again);
}

void
sink_line(struct sink *sink, int level, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	sink_vline(sink, level, format, args);
	va_end(args);
}

static bool
append_text(struct sink *sink, int level, const char *text, size_t len)
{
	const char prefix[] = {'<', (char)('0' + level), '>'};
	size_t before = sink->journal ? sizeof(prefix) : 0;
	char *end = sink->data + sink->len;

	if (before + len >= sizeof(sink->data) - sink->len)
		return false;
	memcpy(end, prefix, before);
	memcpy(end + before, text, len);
	end[before + len] = '\n';
	sink->len += before + len + 1;
	return true;
}

void
sink_text(struct sink *sink, int level, const char *text, size_t len)
{
	if (sink->ended || append_text(sink, level, text, len))
		return;
	sink_flush(sink);
	if (!append_text(sink, level, text, len))
		sink->dropped++;
}

/* Drops what waits, except the rest of a torn line: on a full disk, new lines matter more. */
static void
drop_lines(struct sink *sink)
{
	const char *end = sink->torn ? memchr(sink->data, '\n', sink->len) : NULL;
	size_t kept = end != NULL ? (size_t)(end - sink->data) + 1 : 0;

	for (size_t i = kept; i < sink->len; i++)
		sink->dropped += sink->data[i] == '\n';
	sink->len = kept;
}

/* Drops the rest of a line whose beginning went to the stream that broke. */
static void
drop_torn(struct sink *sink)
{
	const char *end = sink->torn ? memchr(sink->data, '\n', sink->len) : NULL;
	size_t rest = end != NULL ? (size_t)(end - sink->data) + 1 : 0;

	sink->dropped += rest > 0;
	sink->torn = false;
	sink->len -= rest;
	memmove(sink->data, sink->data + rest, sink->len);
}

/* Opens the journal's stream anew, unless that was tried just now. Returns whether it is open. */
static bool
reopen(struct sink *sink)
{
	int64_t now = clock_now();
	int fd;

	if (now < sink->again)
		return false;
	sink->again = now + SINK_AGAIN;
	if ((fd = systemd_journal()) < 0) {
		sink->ended = errno == ENOSYS;
		return false;
	}
	sink->broken = dup2(fd, sink->fd) < 0;
	close(fd);
	return !sink->broken;
}

/* Returns 0 when all is written, or errno. */
static int
write_out(struct sink *sink)
{
	size_t done = 0;
	int error = 0;

	while (done < sink->len && error == 0) {
		const char *data = sink->data + done;
		size_t len = sink->len - done;
		ssize_t n = sink->socket ? send(sink->fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL)
					 : write(sink->fd, data, len);

		if (n > 0)
			done += (size_t)n;
		else
			error = n < 0 ? errno : EAGAIN;
	}
	if (done > 0) {
		sink->progressed = true;
		sink->torn = sink->data[done - 1] != '\n';
	}
	sink->len -= done;
	memmove(sink->data, sink->data + done, sink->len);
	return error;
}

/* For a broken stream of the journal. Returns whether to write again. */
static bool
mend(struct sink *sink)
{
	sink->error = 0;
	if (!sink->broken)
		drop_torn(sink);
	sink->broken = true;
	return reopen(sink);
}

bool
sink_flush(struct sink *sink)
{
	int error;

	if (sink->len == 0)
		return true;
	if (sink->broken && !reopen(sink))
		return true;
	error = write_out(sink);
	if (sink->journal && (error == EPIPE || error == ECONNRESET || error == ENOTCONN) &&
	    mend(sink))
		error = write_out(sink);
	if (sink->broken && !sink->ended)
		return true;
	if (error == EAGAIN || error == EINTR)
		return false;
	sink->error = error;
	if (error != 0)
		drop_lines(sink);
	sink->ended = error == EPIPE || error == ECONNRESET || error == EBADF || error == EINVAL;
	return true;
}

bool
sink_progressed(struct sink *sink)
{
	bool progressed = sink->progressed;

	sink->progressed = false;
	return progressed;
}

unsigned long
sink_dropped(struct sink *sink)
{
	unsigned long dropped = sink->dropped;

	if (sink->error != 0 || sink->len > 0)
		return 0;
	sink->dropped = 0;
	return dropped;
}
