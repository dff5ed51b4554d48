/*
 * sanitized: what `sanitize` makes of a text, the plain way: one code point after the other.
 */
#ifndef FUZZ_SANITIZED_H
#define FUZZ_SANITIZED_H

#include <stddef.h>

/* In place: control characters but tab, CR and LF, and what is no UTF-8, become '?'. */
void model_sanitize(char *data, size_t len);

#endif
