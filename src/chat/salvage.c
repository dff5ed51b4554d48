#include "chat/salvage.h"

#include <bsd/stdlib.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/param.h>
#include <sys/socket.h>
#include <unistd.h>

#include "wire/ledger.h"
#include "wire/registry.h"
#include "wire/safe.h"

#define FIRST 3 /* lower descriptors belong to nobody else */

uint64_t
salvage_cookie(int fd)
{
	uint64_t id = 0;
	socklen_t len = sizeof(id);

	getsockopt(fd, SOL_SOCKET, SO_COOKIE, &id, &len);
	return id;
}

bool
salvage_listens(int fd)
{
	int listens = 0;
	socklen_t len = sizeof(listens);

	return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &len) == 0 && listens != 0;
}

/* Sockets that systemd passed listen for it, too: they are not ended. */
static bool
is_spared(const struct spared *spared, int fd)
{
	uint64_t id = salvage_cookie(fd);

	for (int i = 0; i < spared->count; i++)
		if (salvage_cookie(spared->fds[i]) == id)
			return true;
	return false;
}

void
salvage_end(const struct spared *spared, int fd)
{
	if (!is_spared(spared, fd))
		shutdown(fd, SHUT_RDWR);
	close(fd);
}

/* Whether the journal knows of it: else it has ended, and the safe has not been repacked yet. */
static bool
is_wanted(const struct salvage *salvage, struct found *found, uint32_t number, uint32_t serial)
{
	const struct record *record;

	if (number < FIRST || number > (uint32_t)salvage->highest ||
	    number >= journal->descriptors || fdset_has(&salvage->have, (int)number))
		return false;
	record = ledger_record((int)number);
	found->recorded = record->state != RECORD_FREE && record->id == salvage_cookie(found->fd);
	if (found->recorded)
		return true;
	found->listens = salvage_listens(found->fd);
	if (found->listens)
		return registry_has((int)number);
	return serial != 0 && serial == journal->head->accepted + 1;
}

/* Moves away what has come as that number, and is not yet where it belongs. */
static bool
make_way(struct safe_batch *batch, uint32_t done, int number)
{
	for (uint32_t i = done + 1; i < batch->count; i++)
		if (batch->fds[i] == number) {
			batch->fds[i] = fcntl(number, F_DUPFD_CLOEXEC, FIRST);
			return batch->fds[i] >= 0;
		}
	return true;
}

static bool
is_duplicate(const struct salvage *salvage, int fd, int number)
{
	return number >= FIRST && fdset_has(&salvage->have, number) &&
	       salvage_cookie(fd) == salvage_cookie(number);
}

static void
note(struct salvage *salvage, const struct found *found)
{
	if (salvage->count == salvage->size) {
		size_t size = MAX(64, 2 * salvage->size);

		struct found *more = reallocarray(salvage->found, size, sizeof(*more));

		if (more == NULL) {
			salvage->error = errno;
			return;
		}
		salvage->found = more;
		salvage->size = size;
	}
	if (fdset_reserve(&salvage->have, found->fd) < 0) {
		salvage->error = errno;
		return;
	}
	fdset_add(&salvage->have, found->fd);
	salvage->found[salvage->count++] = *found;
}

/* Puts each socket of a message under its number. */
static void
take(struct safe_batch *batch, void *context)
{
	struct salvage *salvage = context;

	for (uint32_t i = 0; i < batch->count; i++) {
		int fd = batch->fds[i], number = (int)batch->numbers[i];
		struct found found = {.fd = fd};

		if (fd < 0 || salvage->error != 0)
			continue;
		if (!is_wanted(salvage, &found, batch->numbers[i], batch->serial)) {
			/* What ended has been shut down, unless the kill came just before. */
			if (is_duplicate(salvage, fd, number))
				close(fd);
			else
				salvage_end(&salvage->spared, fd);
			continue;
		}
		if (fd != number) {
			if (!make_way(batch, i, number) || dup3(fd, number, O_CLOEXEC) < 0) {
				salvage->error = errno;
				continue;
			}
			close(fd);
		}
		found.fd = number;
		note(salvage, &found);
	}
}

int
salvage_begin(struct salvage *salvage, int highest, const struct spared *spared)
{
	*salvage = (struct salvage){.have = FDSET_EMPTY, .highest = highest, .spared = *spared};
	if (safe_each(take, salvage) < 0)
		return -1;
	errno = salvage->error;
	return salvage->error != 0 ? -1 : 0;
}

void
salvage_free(struct salvage *salvage)
{
	fdset_free(&salvage->have);
	free(salvage->found);
}

static void
end(struct safe_batch *batch, void *context)
{
	for (uint32_t i = 0; i < batch->count; i++)
		salvage_end(context, batch->fds[i]);
}

void
salvage_end_all(const struct spared *spared)
{
	struct spared all = *spared;

	safe_each(end, &all);
}
