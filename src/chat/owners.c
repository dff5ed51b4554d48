#include "chat/owners.h"

#include <bsd/stdlib.h>
#include <sys/param.h>

#include "wire/ledger.h"

#define UNKEPT (UINT64_C(1) << 63) /* no cookie is that large */

void
owners_init(struct owners *owners, struct pool *pool)
{
	*owners = (struct owners){.pool = pool};
}

void
owners_free(struct owners *owners)
{
	free(owners->numbers);
}

bool
owners_reserve(struct owners *owners, int sd)
{
	int size = MAX(64, MAX(sd + 1, owners->size * 2));
	uint64_t *numbers;

	if (sd < owners->size)
		return true;
	numbers =
	    recallocarray(owners->numbers, (size_t)owners->size, (size_t)size, sizeof(*numbers));
	if (numbers == NULL)
		return false;
	owners->numbers = numbers;
	owners->size = size;
	return true;
}

uint64_t
owners_number(struct owners *owners, const struct conn *conn)
{
	uint64_t *number = &owners->numbers[conn->fd];

	if (*number != 0)
		return *number;
	if (owners->count == 0)
		owners->count = UNKEPT | (uint64_t)clock_read();
	*number = conn->kept ? ledger_record(conn->fd)->id : ++owners->count;
	return *number;
}

struct conn *
owners_find(const struct owners *owners, int sd, uint64_t number)
{
	bool is_here = sd >= 0 && sd < owners->size && owners->numbers[sd] == number;

	return is_here ? owners->pool->conns[sd] : NULL;
}

void
owners_forget(struct owners *owners, const struct conn *conn)
{
	if (conn->fd < owners->size)
		owners->numbers[conn->fd] = 0;
}
