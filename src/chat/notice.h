/*
 * notice: one line of chatd's own with names in it, such as
 *
 *	* here: alice bob and 12 more
 *
 * A notice has at most NOTICE_MAX bytes, including its end; names that do not fit are counted.
 */
#ifndef CHATD_NOTICE_H
#define CHATD_NOTICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NOTICE_MAX  1024
#define NOTICE_NAME 15 /* bytes of a name */

struct notice {
	const char *between; /* two names */
	uint32_t count;      /* of the names in text */
	uint32_t more;       /* that did not fit */
	size_t len;
	char text[NOTICE_MAX + 1];
};

/* begin: the text before the first name. between: what separates two names. */
void notice_begin(struct notice *notice, const char *begin, const char *between);
void notice_add(struct notice *notice, const char *name);
/* Counts names without adding them. */
void notice_more(struct notice *notice, uint32_t count);
/* Whether one more name of any length would fit. */
bool notice_has_room(const struct notice *notice);
/* Whether the text contains the name, ignoring case. */
bool notice_names(const struct notice *notice, const char *name);
/* Ends the line. */
void notice_end(struct notice *notice);

#endif
