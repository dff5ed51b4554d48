/*
 * files: the files that hold settings, FILE and those of FILE.d, in memory.
 *
 * Of FILE.d, files that are named *.conf and are not hidden count, in the order of their names. All
 * of them are read before any is parsed.
 */
#ifndef CHATD_FILES_H
#define CHATD_FILES_H

#include <stddef.h>

#include "conf/source.h"

#define FILES_BYTES_MAX 1048576 /* of a file: nobody writes more by hand */
#define FILES_MAX       100     /* in FILE.d */

struct files {
	struct file {
		char *name;
		char *text; /* NULL: it could not be read */
	} * list;
	size_t count;
};

/* Faults are reported and counted by source. The caller frees files in any case. */
void files_load(struct files *files, const char *file, struct source *source);
void files_free(struct files *files);

#endif
