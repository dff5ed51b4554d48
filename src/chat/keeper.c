#include "chat/keeper.h"

#include <sys/param.h>

#include "base/log.h"
#include "wire/ledger.h"
#include "wire/registry.h"
#include "wire/safe.h"

void
keeper_init(struct keeper *keeper, struct leaving *leaving, struct speech *speech)
{
	*keeper = (struct keeper){.leaving = leaving, .speech = speech};
}

static uint64_t
advance(const struct conn *conn, uint64_t tail)
{
	if (!conn->kept || conn->life == CONN_WRITE_CLOSED)
		return tail;
	return MIN(tail, ledger_advance(conn->fd, &conn->queue));
}

static uint64_t
advance_all(const struct keeper *keeper)
{
	const struct pool *pool = keeper->leaving->pool;
	uint64_t tail = journal->handed;

	FDSET_FOREACH(sd, &pool->members)
		tail = advance(pool->conns[sd], tail);
	FDSET_FOREACH(sd, &keeper->leaving->members)
		tail = advance(pool->conns[sd], tail);
	return tail;
}

/* Everything is in the queues, and nothing is pending. */
static void
trim(struct keeper *keeper)
{
	bool jumps = ledger_trim(advance_all(keeper));

	if (jumps)
		ledger_jump();
	history_record(&keeper->speech->history, journal->next->head);
	if (jumps)
		ledger_trim(advance_all(keeper));
}

/* While the index is full nothing is added to it: what was taken is looked at in each pass. */
static bool
is_due(void)
{
	return journal->next->head >= journal->trim_at || !ledger_has_room();
}

static bool
is_live(int fd)
{
	if ((uint32_t)fd < journal->descriptors && ledger_record(fd)->state != RECORD_FREE)
		return true;
	return registry_has(fd);
}

static void
log_unkept(struct keeper *keeper)
{
	if (safe.unkept == keeper->unkept)
		return;
	keeper->unkept = safe.unkept;
	log_limited(LOG_KEEP, "the safe is full: some clients will not live through a restart");
}

int64_t
keeper_run_due(struct keeper *keeper)
{
	const struct pressure *pressure = keeper->leaving->pressure;

	if (journal == NULL)
		return CLOCK_NEVER;
	ledger_settle();
	if (is_due() && journal->handed == journal->next->head)
		trim(keeper);
	if (pressure_holds(pressure))
		pressure_record(pressure);
	log_unkept(keeper);
	return safe_run_due(is_live);
}
