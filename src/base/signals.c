#include "base/signals.h"

#include <stddef.h>
#include <time.h>

static const int handled[] = {SIGINT, SIGTERM, SIGHUP};
#define HANDLED (sizeof(handled) / sizeof(handled[0]))

static volatile sig_atomic_t to_end, to_reload;

static void
on_signal(int number)
{
	if (number == SIGHUP)
		to_reload = 1;
	else
		to_end++;
}

static void
fill(sigset_t *set)
{
	sigemptyset(set);
	for (size_t i = 0; i < HANDLED; i++)
		sigaddset(set, handled[i]);
}

int
signals_open(sigset_t *waiting)
{
	struct sigaction action = {.sa_handler = on_signal}, ignore = {.sa_handler = SIG_IGN};
	sigset_t blocked;

	to_end = to_reload = 0;
	fill(&blocked);
	for (size_t i = 0; i < HANDLED; i++)
		if (sigaction(handled[i], &action, NULL) < 0)
			return -1;
	if (sigaction(SIGPIPE, &ignore, NULL) < 0 || sigaction(SIGXFSZ, &ignore, NULL) < 0 ||
	    sigprocmask(SIG_BLOCK, &blocked, waiting) < 0)
		return -1;
	for (size_t i = 0; i < HANDLED; i++)
		sigdelset(waiting, handled[i]);
	return 0;
}

void
signals_take(void)
{
	static const struct timespec no_time;
	sigset_t set;
	int number;

	fill(&set);
	while ((number = sigtimedwait(&set, NULL, &no_time)) > 0)
		on_signal(number);
}

int
signals_to_end(void)
{
	return to_end;
}

bool
signals_to_reload(void)
{
	bool reload = to_reload != 0;

	to_reload = 0;
	return reload;
}
