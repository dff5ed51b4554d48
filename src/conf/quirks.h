/*
 * quirks: surprises of libconfig, above all before 1.7 (Debian 12 has 1.5).
 *
 * These functions look at the text of a file themselves, and skip strings and comments.
 */
#ifndef CHATD_QUIRKS_H
#define CHATD_QUIRKS_H

/*
 * A number that is too large for 32 bits keeps its low ones only, so that 4294976330 would become
 * 9034, or where long has 32 bits becomes the largest that there is, which of hexadecimal ones is
 * -1. Returns the number as it is written, if the text holds such a one for value, or else value.
 */
long long quirks_number(const char *text, long long value);

enum quirk {
	QUIRK_COMMENT, /* one without an end would swallow the rest of the file */
	QUIRK_INCLUDE, /* @include reads other files; a folder there ends the process */
};

/* Returns the line of the first of these and which one it is, or 0. */
int quirks_find(const char *text, enum quirk *quirk);

#endif
