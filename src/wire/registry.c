#include "wire/registry.h"

#include <string.h>
#include <sys/socket.h>

#include "wire/safe.h"

/* Bytes of a record that its sum is about, from its flags on. */
#define SUMMED (offsetof(struct journal_listener, sum) - offsetof(struct journal_listener, flags))

static uint64_t
cookie(int fd)
{
	uint64_t id = 0;
	socklen_t len = sizeof(id);

	getsockopt(fd, SOL_SOCKET, SO_COOKIE, &id, &len);
	return id;
}

static bool
is_listening(int fd)
{
	int listens = 0, type = 0;
	socklen_t len = sizeof(int);

	return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &len) == 0 && listens != 0 &&
	       getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0 && type == SOCK_STREAM;
}

unsigned
registry_add(int fd, const struct journal_listener *about)
{
	struct journal_listener *kept = journal->listeners;
	unsigned i = 0;

	while (i < JOURNAL_LISTENERS && kept[i].fd != 0)
		i++;
	if (i == JOURNAL_LISTENERS || !safe_put(fd))
		return 0;
	kept[i] = *about;
	kept[i].fd = 0;
	kept[i].id = cookie(fd);
	kept[i].sum = journal_sum(&kept[i].flags, SUMMED);
	journal_flip(&kept[i].fd, (uint32_t)fd);
	return i + 1;
}

void
registry_remove(unsigned record)
{
	journal_flip(&journal->listeners[record - 1].fd, 0);
	safe_dead();
}

/* Places are taken in order, so the first that never was ends the search. */
static bool
is_last(unsigned i)
{
	return i == JOURNAL_LISTENERS ||
	       (journal->listeners[i].fd == 0 && journal->listeners[i].sum == 0);
}

bool
registry_has(int fd)
{
	for (unsigned i = 0; !is_last(i); i++)
		if (journal->listeners[i].fd == (uint32_t)fd)
			return true;
	return false;
}

const struct journal_listener *
registry_find(int fd, unsigned *record)
{
	for (unsigned i = 0; !is_last(i); i++) {
		const struct journal_listener *kept = &journal->listeners[i];

		if (kept->fd != (uint32_t)fd || kept->id != cookie(fd) ||
		    kept->sum != journal_sum(&kept->flags, SUMMED) || !is_listening(fd) ||
		    memchr(kept->endpoint.path, '\0', sizeof(kept->endpoint.path)) == NULL)
			continue;
		*record = i + 1;
		return kept;
	}
	return NULL;
}
