#include "chat/takeover.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/param.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "chat/refill.h"
#include "chat/remains.h"
#include "chat/salvage.h"
#include "wire/kernel.h"
#include "wire/ledger.h"
#include "wire/relay.h"
#include "wire/safe.h"

struct takeover {
	struct chat *chat;
	struct salvage sockets;
	int memory; /* errno, when it was refused */
	uint32_t taken, lost;
	struct conn *receiver; /* for which something is unread */
	size_t unread;
	uint32_t listeners;
	bool joined; /* clients are in the chat */
};

/* --- clients */

static void
log_lost(struct takeover *takeover, int fd, const char *why)
{
	takeover->lost++;
	log_warn("sd %d ends: %s", fd, why);
}

/* What the kernel took and gave after it was recorded. Returns why that is not known, or NULL. */
static const char *
compare(struct takeover *takeover, struct found *found, uint64_t *sent)
{
	const struct record *record = ledger_record(found->fd);
	const struct journal_head *head = journal->head;
	sa_family_t family = record->addr.family;
	struct kernel_counts counts;
	uint64_t unread;

	*sent = record->marks[record->which & 1].sent;
	if (family != AF_UNIX && record->state == RECORD_MEMBER &&
	    kernel_confirms(found->fd, *sent, record->received))
		return NULL;
	if (!kernel_count(found->fd, family, &counts))
		return "the kernel does not tell what it got";
	if (family == AF_UNIX) {
		int64_t more = (record->which & RECORD_BUSY) != 0 ? relay_sent(found->fd) : 0;

		if (more < 0)
			return "nobody knows what it got of the last send";
		*sent += (uint64_t)more;
		unread = (counts.received - record->received) & ((1U << 30) - 1);
	} else {
		if (!counts.reset && counts.sent < *sent)
			return "the kernel has another count of what it got";
		if (!counts.reset)
			*sent = counts.sent;
		unread = counts.received - record->received;
	}
	if ((counts.reset || counts.write_shut) && found->conn->life == CONN_OPEN)
		found->conn->life = CONN_WRITE_CLOSED;
	if (record->state == RECORD_LEAVING)
		unread = 0;
	if (counts.end_may_count && unread == 1 && journal->raw[0] == 0)
		unread = 0;
	if (unread == 0)
		return NULL;
	if (head->receiver != (uint32_t)found->fd || head->receiver_id != record->id ||
	    unread > JOURNAL_RAW)
		return "nobody knows what it said last";
	takeover->receiver = found->conn;
	takeover->unread = (size_t)unread;
	return NULL;
}

/* Returns false when the journal is damaged. */
static bool
restore(struct takeover *takeover, struct found *found)
{
	const struct record *record = ledger_record(found->fd);
	const char *why;
	uint64_t sent;

	if (!refill_is_sound(record))
		return false;
	if ((found->conn = conn_restore(found->fd)) == NULL) {
		takeover->memory = errno;
		return true;
	}
	why = compare(takeover, found, &sent);
	if (why == NULL) {
		switch (refill_queue(&takeover->chat->broadcast, found->conn, sent)) {
		case REFILL_DONE:
			return true;
		case REFILL_DAMAGED:
			return false;
		case REFILL_NO_MEMORY:
			takeover->memory = ENOMEM;
			return true;
		case REFILL_UNKNOWN:
			why = "the journal does not have what it got";
		}
	}
	log_lost(takeover, found->fd, why);
	conn_free(found->conn);
	found->conn = NULL;
	found->fd = -1;
	return true;
}

static int
by_last_line(const void *a, const void *b)
{
	const struct found *first = a, *second = b;
	int64_t left = first->conn != NULL ? first->conn->last_line_at : INT64_MAX;
	int64_t right = second->conn != NULL ? second->conn->last_line_at : INT64_MAX;

	if (left != right)
		return left < right ? -1 : 1;
	return first->fd < second->fd ? -1 : first->fd > second->fd;
}

/* Nothing can be damaged or refused any more. */
static void
join(struct takeover *takeover, struct conn *conn)
{
	struct chat *chat = takeover->chat;

	if (ledger_record(conn->fd)->state == RECORD_LEAVING) {
		leaving_restore(&chat->leaving, conn);
		return;
	}
	pool_add(&chat->pool, conn);
	rate_restore(&chat->rate, conn);
	/* For whom nothing waits, nothing was recorded: to look at it would only take memory. */
	if (!queue_empty(&conn->queue)) {
		fdset_add(&chat->pool.class.writers, conn->fd);
		pressure_restore(&chat->pressure, conn);
	}
	if (exchange_restore_name(&chat->exchange, conn) < 0)
		takeover->memory = ENOMEM;
	takeover->taken++;
}

/* Returns false when the journal is damaged. */
static bool
restore_all(struct takeover *takeover)
{
	for (size_t i = 0; i < takeover->sockets.count && takeover->memory == 0; i++) {
		struct found *found = &takeover->sockets.found[i];
		uint32_t state = ledger_record(found->fd)->state;

		/* A newcomer has no record yet, or one that is not complete. */
		if (!found->recorded || state == RECORD_NEW)
			continue;
		if (state == RECORD_REMOVED) {
			shutdown(found->fd, SHUT_RDWR);
			ledger_close(found->fd);
			close(found->fd);
			found->fd = -1;
		} else if (!restore(takeover, found)) {
			return false;
		}
	}
	relay_end();
	for (size_t i = 0; i < takeover->sockets.count && takeover->memory == 0; i++)
		if (takeover->sockets.found[i].conn != NULL &&
		    !refill_piece(takeover->sockets.found[i].conn))
			return false;
	return true;
}

/* Listeners leave the list. */
static void
find_listeners(struct takeover *takeover)
{
	size_t kept = 0;

	for (size_t i = 0; i < takeover->sockets.count; i++) {
		struct found found = takeover->sockets.found[i];

		if (!found.listens)
			takeover->sockets.found[kept++] = found;
		else if (acceptor_restore(&takeover->chat->acceptor, found.fd))
			takeover->listeners++;
		else /* it will be opened anew */
			salvage_end(&takeover->sockets.spared, found.fd);
	}
	takeover->sockets.count = kept;
}

static void
end_all(struct takeover *takeover)
{
	for (size_t i = 0; i < takeover->sockets.count; i++) {
		struct found *found = &takeover->sockets.found[i];

		if (found->conn != NULL) {
			conn_free(found->conn);
		} else if (found->fd >= 0) {
			shutdown(found->fd, SHUT_RDWR);
			close(found->fd);
		}
	}
	takeover->sockets.count = 0;
	acceptor_close(&takeover->chat->acceptor);
	history_free(&takeover->chat->speech.history);
	exchange_abandon(&takeover->chat->exchange);
	refill_abandon(&takeover->chat->broadcast);
}

static enum takeover_outcome
refused(const struct takeover *takeover)
{
	log_error("memory to take over the clients: %s", strerror(takeover->memory));
	return TAKEOVER_FAILED;
}

enum takeover_outcome
takeover_begin(
    struct takeover **pointer, struct chat *chat, int highest, const struct spared *spared)
{
	struct takeover *takeover = calloc(1, sizeof(*takeover));

	*pointer = takeover;
	if (takeover == NULL)
		return TAKEOVER_FAILED;
	takeover->chat = chat;
	if (!refill_begin(&chat->broadcast))
		return TAKEOVER_DAMAGED;
	if (salvage_begin(&takeover->sockets, highest, spared) < 0) {
		takeover->memory = takeover->sockets.error;
		if (takeover->memory != 0)
			return refused(takeover);
		journal_fault("the safe");
		end_all(takeover);
		return TAKEOVER_DAMAGED;
	}
	if (chat_reserve(chat, chat->pool.config, MAX(takeover->sockets.have.last, 0)) < 0)
		takeover->memory = errno;
	if (takeover->memory == 0 && exchange_restore(&chat->exchange) < 0) {
		if (journal->fault == NULL)
			return TAKEOVER_FAILED;
		end_all(takeover);
		return TAKEOVER_DAMAGED;
	}
	clients_reconfigure(&chat->clients);
	if (takeover->memory != 0)
		return refused(takeover);
	find_listeners(takeover);
	if (!restore_all(takeover) ||
	    (takeover->memory == 0 &&
		history_restore(&chat->speech.history, chat->pool.config->history) < 0)) {
		end_all(takeover);
		return TAKEOVER_DAMAGED;
	}
	if (takeover->memory != 0)
		return refused(takeover);
	if (takeover->sockets.count > 0)
		qsort(takeover->sockets.found, takeover->sockets.count,
		    sizeof(*takeover->sockets.found), by_last_line);
	takeover->joined = true;
	for (size_t i = 0; i < takeover->sockets.count; i++)
		if (takeover->sockets.found[i].conn != NULL)
			join(takeover, takeover->sockets.found[i].conn);
	if (takeover->memory != 0)
		return refused(takeover);
	if (chat->speech.on) {
		notices_restore(&chat->notices);
		FDSET_FOREACH(sd, &chat->pool.members)
			speech_restore(&chat->speech, chat->pool.conns[sd]);
	}
	remains_say(&chat->exchange);
	pressure_hold(&chat->pressure);
	if (takeover->receiver != NULL &&
	    !clients_replay(&chat->clients, takeover->receiver, takeover->unread)) {
		takeover->memory = ENOMEM;
		return refused(takeover);
	}
	return TAKEOVER_DONE;
}

static void
let_in(struct takeover *takeover, int fd)
{
	struct sockaddr_storage sa = {0};
	socklen_t len = sizeof(sa);
	struct addr addr;
	int on = 1;

	if (ledger_record(fd)->state != RECORD_FREE)
		ledger_close(fd);
	if (getpeername(fd, (struct sockaddr *)&sa, &len) < 0 || ioctl(fd, FIONBIO, &on) < 0) {
		safe_forget_accepted(fd);
		close(fd);
		return;
	}
	addr_from_peer(&addr, &sa, fd);
	acceptor_receive(&takeover->chat->acceptor, fd, &addr);
}

enum takeover_outcome
takeover_finish(struct takeover *takeover)
{
	/* The settings may be others than those they came in with. */
	chat_exclude(takeover->chat);
	for (size_t i = 0; i < takeover->sockets.count; i++)
		if (takeover->sockets.found[i].conn == NULL && takeover->sockets.found[i].fd >= 0)
			let_in(takeover, takeover->sockets.found[i].fd);
	if (safe.left > 0)
		log_warn("too few open files: %u clients of the last chatd wait for a restart with "
			 "more",
		    safe.left);
	ledger_settle();
	safe_count((uint32_t)takeover->sockets.count + takeover->listeners);
	return TAKEOVER_DONE;
}

uint32_t
takeover_count(const struct takeover *takeover)
{
	return takeover->taken;
}

uint32_t
takeover_lost(const struct takeover *takeover)
{
	return takeover->lost;
}

void
takeover_free(struct takeover *takeover)
{
	if (takeover == NULL)
		return;
	for (size_t i = 0; !takeover->joined && i < takeover->sockets.count; i++)
		conn_leave(takeover->sockets.found[i].conn);
	salvage_free(&takeover->sockets);
	free(takeover);
}
