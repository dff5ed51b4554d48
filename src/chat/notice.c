#include "chat/notice.h"

#include <bsd/string.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define END_MAX (sizeof(" and 4294967295 more\n") - 1)

__attribute__((format(printf, 2, 3))) static void
add(struct notice *notice, const char *format, ...)
{
	size_t left = sizeof(notice->text) - notice->len;
	va_list args;

	va_start(args, format);
	notice->len += (size_t)vsnprintf(notice->text + notice->len, left, format, args);
	va_end(args);
}

void
notice_begin(struct notice *notice, const char *begin, const char *between)
{
	*notice = (struct notice){.between = between};
	add(notice, "%s", begin);
}

static bool
fits(const struct notice *notice, size_t len)
{
	return notice->more == 0 &&
	       notice->len + strlen(notice->between) + len + END_MAX <= NOTICE_MAX;
}

bool
notice_has_room(const struct notice *notice)
{
	return fits(notice, NOTICE_NAME);
}

void
notice_add(struct notice *notice, const char *name)
{
	if (!fits(notice, strlen(name))) {
		notice->more++;
		return;
	}
	add(notice, "%s%s", notice->count > 0 ? notice->between : "", name);
	notice->count++;
}

void
notice_more(struct notice *notice, uint32_t count)
{
	notice->more += count;
}

bool
notice_names(const struct notice *notice, const char *name)
{
	size_t len = strlen(name);

	for (const char *at = notice->text; (at = strcasestr(at, name)) != NULL; at++)
		if (at > notice->text && at[-1] == ' ' && (at[len] == '\0' || at[len] == ','))
			return true;
	return false;
}

void
notice_end(struct notice *notice)
{
	if (notice->more > 0)
		add(notice, " and %u more", notice->more);
	add(notice, "\n");
}
