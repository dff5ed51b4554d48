#include "heir.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "faults.h"
#include "seam.h"
#include "unit.h"
#include "wire/ledger.h"
#include "wire/relay.h"
#include "wire/safe.h"

/* Numbers above belong to the journal, the safe and the relay, those below to guests. */
#define HIGHEST 299

uint32_t heir_taken, heir_lost;
struct spared heir_spared;
int heir_journal = -1;
unsigned long heir_refused = SEAM_ALWAYS;
static struct takeover *takeover; /* begun */

static struct {
	int safe[2], relay[2]; /* between two processes, or -1 */
} left = {{-1, -1}, {-1, -1}};

static int
raised(int fd)
{
	int high = fcntl(fd, F_DUPFD_CLOEXEC, HIGHEST + 1);

	assert_true(high > HIGHEST);
	return high;
}

static void
raise_own(int *fd)
{
	int low = *fd;

	*fd = raised(low);
	close(low);
}

struct journal_need
heir_need(void)
{
	const struct config *config = party.config;

	return (struct journal_need){
	    .line = config->limits.line,
	    .queue = config->limits.queue,
	    .clients = config->limits.clients,
	    .history = config->history,
	};
}

static int
begin(unsigned index_order)
{
	const struct journal_need need = heir_need();
	char error[JOURNAL_ERROR];

	if (journal_create(&need, index_order, error) < 0 || safe_open() < 0 || relay_open() < 0)
		return -1;
	raise_own(&journal->fd);
	raise_own(&safe.out);
	raise_own(&safe.in);
	raise_own(&relay.out);
	raise_own(&relay.in);
	ledger_resume();
	heir_spared = (struct spared){0};
	return history_restore(&party.chat.speech.history, party.config->history);
}

int
heir_setup(void **state)
{
	const struct heir_how *how = *state;

	party_setup(state);
	if (how != NULL && how->settings != NULL)
		party_configure(how->settings);
	return begin(how != NULL ? how->index_order : 0);
}

int
heir_renew(void)
{
	for (int i = 0; i < party.count; i++)
		close(party.guests[i].fd);
	party.count = 0;
	party_end();
	journal_close();
	safe_close();
	relay_close();
	return begin(0);
}

int
heir_teardown(void **state)
{
	int result = party_teardown(state);

	journal_close();
	safe_close();
	relay_close();
	if (heir_journal >= 0) {
		close(heir_journal);
		for (int i = 0; i < 2; i++) {
			close(left.safe[i]);
			close(left.relay[i]);
		}
	}
	heir_journal = -1;
	return result;
}

/* The file is sparse, and so is the copy. */
int
heir_copy(void)
{
	int copy = memfd_create("copy", MFD_CLOEXEC);
	off_t hole = 0, from;

	assert_true(copy >= 0);
	raise_own(&copy);
	assert_int_equal(ftruncate(copy, (off_t)journal->size), 0);
	while ((from = lseek(journal->fd, hole, SEEK_DATA)) >= 0) {
		hole = lseek(journal->fd, from, SEEK_HOLE);
		for (off_t at = from; at < hole;) {
			ssize_t n = pwrite(copy, journal->base + at, (size_t)(hole - at), at);

			assert_true(n > 0);
			at += n;
		}
	}
	return copy;
}

void
heir_kill_at(int copy)
{
	heir_journal = copy;
	left.safe[0] = raised(safe.out);
	left.safe[1] = raised(safe.in);
	left.relay[0] = raised(relay.out);
	left.relay[1] = raised(relay.in);
	chat_leave(&party.chat);
	takeover_free(takeover);
	takeover = NULL;
	loop_free(&party.loop);
	journal_close();
	safe_close();
	relay_close();
	loop_init(&party.loop);
	chat_init(&party.chat, party.config, NULL, &party.loop);
}

void
heir_kill(void)
{
	heir_kill_at(heir_copy());
}

void
heir_configure(const char *settings)
{
	chat_free(&party.chat);
	loop_free(&party.loop);
	config_free(party.config);
	party.config = config_of(settings);
	loop_init(&party.loop);
	chat_init(&party.chat, party.config, NULL, &party.loop);
}

enum takeover_outcome
heir_begin(void)
{
	const struct journal_need need = heir_need();
	char error[JOURNAL_ERROR] = "";
	enum takeover_outcome outcome;

	seam_pass_at(party.now);
	if (journal_adopt(heir_journal, &need, error) < 0)
		fail_msg("%s", error);
	heir_journal = -1;
	assert_int_equal(safe_adopt(left.safe[0], left.safe[1]), 0);
	assert_int_equal(relay_adopt(left.relay[0], left.relay[1]), 0);
	if (heir_refused != SEAM_ALWAYS)
		seam_fail(SEAM_MEMORY, heir_refused, 1, ENOMEM);
	outcome = takeover_begin(&takeover, &party.chat, HIGHEST, &heir_spared);
	seam_reset();
	return outcome;
}

void
heir_finish(void)
{
	if (takeover != NULL) {
		takeover_finish(takeover);
		heir_taken = takeover_count(takeover);
		heir_lost = takeover_lost(takeover);
	}
	takeover_free(takeover);
	takeover = NULL;
}

void
heir_succeed(void)
{
	enum takeover_outcome outcome = heir_begin();

	if (outcome != TAKEOVER_DONE)
		fail_msg("outcome %d: %s", outcome, journal->fault);
	heir_finish();
}

void
heir_change(void)
{
	heir_kill();
	heir_succeed();
	party_settle();
}
