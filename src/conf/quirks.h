/*
 * quirks: what libconfig, above all before 1.7 (Debian 12 has 1.5), does in ways nobody expects.
 *
 * These functions look at the text of a file on their own, past strings and comments.
 */
#ifndef CHATD_QUIRKS_H
#define CHATD_QUIRKS_H

/*
 * A number that is too large for 32 bits keeps its low ones only, so that 4294976330 would become
 * 9034, or where long has 32 bits becomes the largest that there is. Returns the number as it is
 * written, if the text holds such a one for value, or else value.
 */
long long quirks_number(const char *text, long long value);

enum quirk {
	QUIRK_COMMENT, /* one that does not end would be taken for the rest of the file */
	QUIRK_INCLUDE, /* @include reads other files, of which a folder ends the process */
};

/* Returns the line of the first of these, which quirk then is, or 0. */
int quirks_find(const char *text, enum quirk *quirk);

#endif
