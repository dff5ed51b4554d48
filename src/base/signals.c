#include "base/signals.h"

#include <stddef.h>
#include <time.h>

static const int handled[] = {SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2};
#define HANDLED (sizeof(handled) / sizeof(handled[0]))

static volatile sig_atomic_t to_end, to_reload, to_report, to_leave;
static bool hangup_ends, leave_ends;
static sigset_t ours; /* those that are handled: blocked but for the wait */

static void
on_signal(int number)
{
	if (number == SIGUSR1)
		to_report = 1;
	else if (number == SIGUSR2 && !leave_ends)
		to_leave = 1;
	else if (number == SIGHUP && !hangup_ends)
		to_reload = 1;
	else
		to_end++;
}

static bool
is_ignored(int number)
{
	struct sigaction action;

	return sigaction(number, NULL, &action) == 0 && action.sa_handler == SIG_IGN;
}

int
signals_open(sigset_t *waiting, bool can_reload)
{
	struct sigaction action = {.sa_handler = on_signal}, ignore = {.sa_handler = SIG_IGN};

	to_end = to_reload = to_report = to_leave = 0;
	hangup_ends = !can_reload;
	leave_ends = false;
	sigemptyset(&ours);
	for (size_t i = 0; i < HANDLED; i++) {
		if (handled[i] == SIGHUP && hangup_ends && is_ignored(SIGHUP))
			continue;
		if (sigaction(handled[i], &action, NULL) < 0)
			return -1;
		sigaddset(&ours, handled[i]);
	}
	if (sigaction(SIGPIPE, &ignore, NULL) < 0 || sigaction(SIGXFSZ, &ignore, NULL) < 0 ||
	    sigprocmask(SIG_BLOCK, &ours, waiting) < 0)
		return -1;
	for (size_t i = 0; i < HANDLED; i++)
		sigdelset(waiting, handled[i]);
	return 0;
}

void
signals_take(void)
{
	static const struct timespec no_time;
	int number;

	while ((number = sigtimedwait(&ours, NULL, &no_time)) > 0)
		on_signal(number);
}

int
signals_to_end(void)
{
	return to_end;
}

static bool
take(volatile sig_atomic_t *flag)
{
	bool was_set = *flag != 0;

	*flag = 0;
	return was_set;
}

bool
signals_to_reload(void)
{
	return take(&to_reload);
}

void
signals_let_leave_end(void)
{
	leave_ends = true;
}

bool
signals_to_leave(void)
{
	return to_leave != 0;
}

bool
signals_to_report(void)
{
	return take(&to_report);
}
