#include "chat/growth.h"

#include <sys/param.h>

#include "chat/notice.h"

#define PREFIX_MAX  (NOTICE_NAME + 2)
/* A recv can bring at most one change of name. */
#define RENAMED_MAX (sizeof("*  is now \n") - 1 + 2UL * NOTICE_NAME)

/* Each text but the first has two bytes. */
size_t
growth_of(size_t held, size_t room)
{
	return held + room + 1 + (room / 2 + 1) * PREFIX_MAX + RENAMED_MAX;
}

size_t
growth_fit(size_t held, size_t bytes)
{
	size_t more = bytes - growth_of(held, 0);

	return more / (2 + PREFIX_MAX) * 2 + MIN(more % (2 + PREFIX_MAX), 1);
}
