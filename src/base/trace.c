#include "base/trace.h"

#include <string.h>
#include <syslog.h>
#include <unistd.h>

#include "base/log.h"
#include "base/sink.h"

static struct sink out;
static bool on;
static int told; /* the error of standard output that was logged last */

/* The table of the required lines. The space after the last one belongs to it. */
#define WAITING        "Waiting on select()..."
#define MAXFD          "MaxFd %d"
#define ACCEPTED       "New incoming connection on sd %d"
/* Descriptor %d is readable */
#define READABLE_BEGIN "Descriptor "
#define READABLE_END   " is readable"
/* %zu bytes received from sd %d */
#define RECEIVED       " bytes received from sd "
#define CLOSED         "Connection closed for sd %d"
#define REMOVING       "removing connection with sd %d "

#define LINE(...)                                                \
	do {                                                     \
		if (on)                                          \
			sink_line(&out, LOG_DEBUG, __VA_ARGS__); \
	} while (0)

/*
 * The two lines that come with each recv are put together here: printf would take as long as all
 * the rest that chatd itself does for a line of 100 people.
 */
struct text {
	char data[100];
	size_t len;
};

static inline void
add(struct text *text, const char *words, size_t len)
{
	memcpy(text->data + text->len, words, len);
	text->len += len;
}

static void
add_number(struct text *text, size_t number)
{
	char digits[24];
	size_t at = sizeof(digits);

	do {
		digits[--at] = (char)('0' + number % 10);
		number /= 10;
	} while (number > 0);
	add(text, digits + at, sizeof(digits) - at);
}

void
trace_open(bool enabled)
{
	sink_open(&out, STDOUT_FILENO);
	on = enabled;
	told = 0;
}

void
trace_enable(bool enabled)
{
	on = enabled;
}

void
trace_close(void)
{
	trace_flush();
	sink_close(&out);
}

void
trace_waiting(int maxfd)
{
	LINE(WAITING);
	LINE(MAXFD, maxfd);
}

void
trace_accepted(int sd)
{
	LINE(ACCEPTED, sd);
}

void
trace_readable(int sd)
{
	struct text text;

	if (!on)
		return;
	text.len = 0;
	add(&text, READABLE_BEGIN, sizeof(READABLE_BEGIN) - 1);
	add_number(&text, (size_t)sd);
	add(&text, READABLE_END, sizeof(READABLE_END) - 1);
	sink_text(&out, LOG_DEBUG, text.data, text.len);
}

void
trace_received(size_t len, int sd)
{
	struct text text;

	if (!on)
		return;
	text.len = 0;
	add_number(&text, len);
	add(&text, RECEIVED, sizeof(RECEIVED) - 1);
	add_number(&text, (size_t)sd);
	sink_text(&out, LOG_DEBUG, text.data, text.len);
}

void
trace_closed(int sd)
{
	LINE(CLOSED, sd);
}

void
trace_removing(int sd)
{
	LINE(REMOVING, sd);
}

/* Logs a full disk once when it begins, and a closed pipe once and for all. */
static void
tell_error(int error)
{
	if (error != 0 && error != told && on)
		log_warn("standard output: %s; the trace %s", strerror(error),
		    out.ended ? "ends" : "loses lines");
	told = error;
}

bool
trace_progressed(void)
{
	return sink_progressed(&out);
}

int
trace_flush(void)
{
	unsigned long dropped;

	if (!sink_flush(&out))
		return out.fd;
	tell_error(out.error);
	if ((dropped = sink_dropped(&out)) > 0)
		log_warn("standard output was blocked, %lu trace lines dropped", dropped);
	return -1;
}
