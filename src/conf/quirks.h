/*
 * quirks: what libconfig, above all before 1.7 (Debian 12 has 1.5), does in ways nobody expects.
 *
 * These functions look at the text of a file on their own, past strings and comments.
 */
#ifndef CHATD_QUIRKS_H
#define CHATD_QUIRKS_H

#include <stdbool.h>

#define QUIRKS_DEPTH 10 /* files that include each other, as libconfig has it */

/*
 * A number that is too large keeps its low 32 bits only: 4294976330 would become 9034. Returns the
 * number as it is written, if the text holds such a one for value, or else value.
 */
long long quirks_number(const char *text, long long value);

/* Whether @include names an absolute path, which libconfig takes only without a folder to look in.
 */
bool quirks_absolute(const char *text);

/*
 * Calls see for each file that is to be included. Returns the line of a comment that does not end,
 * which libconfig would take for the rest of the file, or 0.
 */
int quirks_includes(
    const char *text, void (*see)(void *context, int line, const char *name), void *context);

#endif
