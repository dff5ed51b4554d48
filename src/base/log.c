#include "base/log.h"

#include <stdarg.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/sink.h"

static struct sink err;

static struct topic {
	const char *what;
	int64_t until;       /* end of the interval that is being counted; CLOCK_NEVER: none is */
	unsigned long count; /* messages in it */
} topics[LOG_TOPICS] = {
    [LOG_REFUSED] = {.what = "refused", .until = CLOCK_NEVER},
    [LOG_REMOVED] = {.what = "removed", .until = CLOCK_NEVER},
    [LOG_KEEP] = {.what = "about the safe", .until = CLOCK_NEVER},
    [LOG_HOLDS] = {.what = "about slow clients", .until = CLOCK_NEVER},
    [LOG_CLUSTER] = {.what = "about the cluster", .until = CLOCK_NEVER},
    [LOG_ACCEPT] = {.what = "about accept", .until = CLOCK_NEVER},
};

void
log_open(void)
{
	sink_open(&err, STDERR_FILENO);
}

/* Writes how many more messages there were in the intervals that end by now. */
static int64_t
end_intervals(int64_t now)
{
	int64_t next = CLOCK_NEVER;

	for (struct topic *t = topics; t < topics + LOG_TOPICS; t++) {
		if (now >= t->until) {
			if (t->count > LOG_BURST)
				log_warn("... and %lu more %s", t->count - LOG_BURST, t->what);
			t->until = CLOCK_NEVER;
			t->count = 0;
		}
		if (t->count > LOG_BURST)
			next = clock_sooner(next, t->until);
	}
	return next;
}

void
log_close(void)
{
	end_intervals(CLOCK_NEVER);
	log_flush();
	sink_close(&err);
}

#define LOG(level, format)                             \
	do {                                           \
		va_list args;                          \
                                                       \
		va_start(args, format);                \
		sink_vline(&err, level, format, args); \
		va_end(args);                          \
		log_flush();                           \
	} while (0)

void
log_error(const char *format, ...)
{
	LOG(LOG_ERR, format);
}

void
log_warn(const char *format, ...)
{
	LOG(LOG_WARNING, format);
}

void
log_fault(int level, const char *text)
{
	if (level == LOG_WARNING)
		log_warn("%s", text);
	else
		log_error("%s", text);
}

void
log_info(const char *format, ...)
{
	LOG(LOG_INFO, format);
}

void
log_debug(const char *format, ...)
{
	LOG(LOG_DEBUG, format);
}

void
log_limited(enum log_topic topic, const char *format, ...)
{
	struct topic *t = &topics[topic];

	log_run_due();
	if (t->until == CLOCK_NEVER)
		t->until = clock_now() + LOG_INTERVAL;
	if (t->count++ < LOG_BURST)
		LOG(LOG_WARNING, format);
}

int64_t
log_run_due(void)
{
	return end_intervals(clock_now());
}

bool
log_progressed(void)
{
	return sink_progressed(&err);
}

int
log_flush(void)
{
	unsigned long dropped;

	if (!sink_flush(&err))
		return err.fd;
	if ((dropped = sink_dropped(&err)) == 0)
		return -1;
	sink_line(&err, LOG_WARNING, "standard error was blocked, %lu lines dropped", dropped);
	return sink_flush(&err) ? -1 : err.fd;
}
