#include "host/handover.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/param.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "base/systemd.h"
#include "host/capacity.h"
#include "wire/journal.h"
#include "wire/ledger.h"
#include "wire/relay.h"
#include "wire/safe.h"

#define FIRST 3

static const char *const names_kept[HANDOVER_KEPT] = {
    "chatd-state", "chatd-safe", "chatd-feed", "chatd-relay-out", "chatd-relay-in"};

static bool
has_option(int fd, int option, int wanted)
{
	int value;
	socklen_t len = sizeof(value);

	return getsockopt(fd, SOL_SOCKET, option, &value, &len) == 0 && value == wanted;
}

static int
find_name(const char *name)
{
	for (int i = 0; i < HANDOVER_KEPT; i++)
		if (strcmp(name, names_kept[i]) == 0)
			return i;
	return -1;
}

static void
sort_one(struct handover *handover, int fd, const char *name)
{
	int which = systemd_keeps_descriptors() ? find_name(name) : -1;

	if (which >= 0 && handover->kept[which] < 0) {
		handover->kept[which] = fd;
	} else if (has_option(fd, SO_TYPE, SOCK_STREAM) && has_option(fd, SO_ACCEPTCONN, 1)) {
		handover->tls[handover->count] = strcmp(name, "tls") == 0;
		handover->passed[handover->count++] = fd;
	} else {
		log_warn("descriptor %d: not a listening stream socket, closed", fd);
		close(fd);
	}
}

int
handover_sort(struct handover *handover, int count, char *const *names)
{
	*handover = HANDOVER_NONE;
	if (count == 0)
		return 0;
	handover->passed = calloc((size_t)count, sizeof(*handover->passed));
	handover->tls = calloc((size_t)count, sizeof(*handover->tls));
	if (handover->passed == NULL || handover->tls == NULL) {
		log_error("memory for descriptors: %s", strerror(errno));
		free(handover->passed);
		free(handover->tls);
		return -1;
	}
	for (int i = 0; i < count; i++)
		sort_one(handover, FIRST + i, names != NULL ? names[i] : "");
	return 0;
}

/* --- what ends one successor after the other */

static const int crashes[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT};
#define CRASHES (sizeof(crashes) / sizeof(crashes[0]))
static struct sigaction usual[CRASHES];

static void
on_crash(int number)
{
	(void)number;
	if (journal != NULL)
		journal->head->crashes++;
}

static void
watch_crashes(struct handover *handover)
{
	struct sigaction action = {.sa_handler = on_crash, .sa_flags = (int)SA_RESETHAND};

	for (size_t i = 0; i < CRASHES; i++)
		sigaction(crashes[i], &action, &usual[i]);
	handover->watches = true;
}

static void
watch_no_more(struct handover *handover)
{
	for (size_t i = 0; handover->watches && i < CRASHES; i++)
		sigaction(crashes[i], &usual[i], NULL);
	handover->watches = false;
}

/* --- taking over */

static int
raise_fd(int fd, int least)
{
	int high = fd >= 0 ? fcntl(fd, F_DUPFD_CLOEXEC, least) : -1;

	if (fd >= 0)
		close(fd);
	return high;
}

/* Out of the way of clients, who get the numbers that they had. */
static void
raise_all(struct handover *handover, int highest)
{
	for (int i = 0; i < HANDOVER_KEPT; i++)
		handover->kept[i] = raise_fd(handover->kept[i], highest + 1);
	for (int i = 0; i < handover->count; i++)
		handover->passed[i] = raise_fd(handover->passed[i], highest + 1);
}

/* Back to the lowest numbers that are free. */
static void
lower_passed(struct handover *handover)
{
	for (int i = 0; i < handover->count; i++)
		handover->passed[i] = raise_fd(handover->passed[i], FIRST);
}

static bool
is_given_up(void)
{
	struct journal_head *head = journal->head;

	if (head->planned != 0) {
		head->planned = head->attempts = head->crashes = 0;
		return false;
	}
	head->attempts++;
	return head->crashes >= HANDOVER_CRASHES || head->attempts > HANDOVER_ATTEMPTS;
}

static enum takeover_outcome
take_over(struct handover *handover, struct chat *chat, const struct config *config, int highest)
{
	const struct journal_need need = capacity_need(config);
	const struct spared spared = {.fds = handover->passed, .count = handover->count};
	char error[JOURNAL_ERROR];
	enum takeover_outcome outcome;

	if (handover->kept[0] < 0 || journal_adopt(handover->kept[0], &need, error) < 0) {
		log_error("what the last chatd left cannot be used: %s; its clients end",
		    handover->kept[0] < 0 ? "a part is missing" : error);
		return TAKEOVER_DAMAGED;
	}
	handover->kept[0] = -1;
	if (is_given_up()) {
		log_error(
		    "what the last chatd left has ended those who took it over: its clients end");
		return TAKEOVER_DAMAGED;
	}
	watch_crashes(handover);
	outcome = takeover_begin(&handover->takeover, chat, highest, &spared);
	if (outcome != TAKEOVER_DAMAGED)
		return outcome;
	watch_no_more(handover);
	log_error("what the last chatd left is damaged, namely %s; its clients end",
	    journal->fault != NULL ? journal->fault : "something");
	return TAKEOVER_DAMAGED;
}

/* Nobody goes on with what the manager has. */
static void
let_go(struct handover *handover, const struct notify *notify)
{
	const struct spared spared = {.fds = handover->passed, .count = handover->count};

	if (safe.out >= 0)
		salvage_end_all(&spared);
	/* Whatever was passed under a wrong name may be the safe. */
	for (int i = 0; i < HANDOVER_KEPT; i++)
		if (handover->kept[i] >= 0 && safe.out < 0 &&
		    safe_adopt(handover->kept[i], handover->kept[i]) == 0) {
			salvage_end_all(&spared);
			safe.out = safe.in = -1;
		}
	takeover_free(handover->takeover);
	handover->takeover = NULL;
	journal_close();
	safe_close();
	relay_close();
	for (int i = 0; i < HANDOVER_KEPT; i++) {
		if (handover->kept[i] >= 0)
			close(handover->kept[i]);
		handover->kept[i] = -1;
		notify_unstore(notify, names_kept[i]);
	}
}

/* Without a journal chatd serves as ever, but a restart ends its clients. */
static void
begin(struct handover *handover, struct chat *chat, const struct config *config, int highest)
{
	const struct journal_need need = capacity_need(config);
	char error[JOURNAL_ERROR];

	if (journal_create(&need, 0, error) < 0) {
		log_warn("%s; a restart will end all clients", error);
		return;
	}
	if (safe_open() < 0 || relay_open() < 0) {
		log_warn(
		    "a pair of descriptors: %s; a restart will end all clients", strerror(errno));
		safe_close();
		journal_close();
		return;
	}
	journal->fd = raise_fd(journal->fd, highest + 1);
	safe.out = raise_fd(safe.out, highest + 1);
	safe.in = raise_fd(safe.in, highest + 1);
	relay.out = raise_fd(relay.out, highest + 1);
	relay.in = raise_fd(relay.in, highest + 1);
	ledger_resume();
	journal->head->started = clock_now();
	if (history_restore(&chat->speech.history, config->history) < 0)
		log_warn("history: no memory for %u bytes, none is kept", config->history);
	handover->on = handover->fresh = true;
}

/* The safe, which is to be ended in any case, and the relay. */
static bool
adopt_pairs(struct handover *handover)
{
	int *kept = handover->kept;

	if (safe_adopt(kept[1], kept[2]) < 0)
		return false;
	kept[1] = kept[2] = -1;
	if (relay_adopt(kept[3], kept[4]) < 0)
		return false;
	kept[3] = kept[4] = -1;
	return true;
}

static bool
was_passed_any(const struct handover *handover)
{
	for (int i = 0; i < HANDOVER_KEPT; i++)
		if (handover->kept[i] >= 0)
			return true;
	return false;
}

int
handover_open(struct handover *handover, struct chat *chat, const struct config *config,
    const struct notify *notify, int highest)
{
	enum takeover_outcome outcome = TAKEOVER_DAMAGED;

	if (!systemd_keeps_descriptors() || notify->fd < 0)
		return 0;
	handover->began = clock_tick();
	highest -= HANDOVER_KEPT + handover->count;
	if (was_passed_any(handover)) {
		raise_all(handover, highest);
		if (adopt_pairs(handover))
			outcome = take_over(handover, chat, config, highest);
		else
			log_error("what the last chatd left cannot be used: its clients end");
		handover->on = outcome != TAKEOVER_DAMAGED;
		if (outcome == TAKEOVER_FAILED)
			return -1;
		lower_passed(handover);
		if (!handover->on)
			let_go(handover, notify);
	}
	if (!handover->on)
		begin(handover, chat, config, highest);
	if (handover->on)
		capacity_check(config, journal_queue_most());
	return 0;
}

static int
store_all(const struct notify *notify)
{
	const int fds[HANDOVER_KEPT] = {journal->fd, safe.out, safe.in, relay.out, relay.in};

	for (int i = 0; i < HANDOVER_KEPT; i++)
		if (notify_store(notify, names_kept[i], fds[i]) < 0)
			return -1;
	return 0;
}

int
handover_finish(struct handover *handover, const struct notify *notify)
{
	if (!handover->on)
		return 0;
	if (handover->fresh && store_all(notify) < 0)
		log_warn("notify: %s; a restart will end all clients", strerror(errno));
	handover->fresh = false;
	if (handover->takeover == NULL)
		return 0;
	takeover_finish(handover->takeover);
	log_info("took over %u clients of the last chatd in %" PRId64 " ms",
	    takeover_count(handover->takeover),
	    (clock_tick() - handover->began + CLOCK_SECOND / 1000 - 1) / (CLOCK_SECOND / 1000));
	takeover_free(handover->takeover);
	handover->takeover = NULL;
	return 0;
}

void
handover_excuse(const struct handover *handover)
{
	if (handover->on)
		journal->head->attempts = 0;
}

void
handover_proved(struct handover *handover)
{
	if (!handover->watches)
		return;
	watch_no_more(handover);
	journal->head->attempts = journal->head->crashes = 0;
}

void
handover_reconfigure(const struct handover *handover, const struct config *config)
{
	if (handover->on)
		capacity_reconfigure(config);
}

bool
handover_took_over(const struct handover *handover)
{
	return handover->on && !handover->fresh;
}

int64_t
handover_started(const struct handover *handover, int64_t now)
{
	return handover->on ? MIN(journal->head->started, now) : now;
}

void
handover_leave(struct handover *handover)
{
	if (!handover->on)
		return;
	ledger_settle();
	if (handover->takeover == NULL)
		journal->head->planned = 1;
}

void
handover_close(struct handover *handover, const struct notify *notify)
{
	if (handover->on)
		for (int i = 0; i < HANDOVER_KEPT; i++)
			notify_unstore(notify, names_kept[i]);
}

void
handover_free(struct handover *handover)
{
	watch_no_more(handover);
	takeover_free(handover->takeover);
	journal_close();
	safe_close();
	relay_close();
	free(handover->passed);
	free(handover->tls);
	*handover = HANDOVER_NONE;
}
