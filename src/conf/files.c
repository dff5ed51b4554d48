#include "conf/files.h"

#include <bsd/string.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Returns the descriptor of something that can be read again at a reload, or -1 after a fault. */
static int
open_file(struct source *source)
{
	int fd = open(source->file, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0) {
		source_fault(source, 0, "%s", strerror(errno));
	} else if (S_ISFIFO(st.st_mode)) {
		source_fault(
		    source, 0, "is a pipe, allowed is a file, which each reload can read again");
	} else {
		return fd;
	}
	if (fd >= 0)
		close(fd);
	return -1;
}

/* Returns how many bytes of the file are in text, or -1 after a fault. */
static ssize_t
read_text(struct source *source, int fd, char text[FILES_BYTES_MAX + 2])
{
	size_t len = 0;
	ssize_t n;

	while ((n = read(fd, text + len, FILES_BYTES_MAX + 1 - len)) > 0)
		len += (size_t)n;
	if (n < 0)
		source_fault(source, 0, "%s", strerror(errno));
	else if (len > FILES_BYTES_MAX)
		source_fault(source, 0, "is too long, allowed are %d bytes", FILES_BYTES_MAX);
	else if (memchr(text, '\0', len) != NULL)
		source_fault(source, 0, "holds a NUL byte, allowed is text");
	else
		return (ssize_t)len;
	return -1;
}

/* Returns the text of the file, which the caller frees, or NULL after a fault. */
static char *
load(struct source *source)
{
	int fd = open_file(source);
	char *text;
	ssize_t len;

	if (fd < 0)
		return NULL;
	if ((text = malloc(FILES_BYTES_MAX + 2)) == NULL) {
		source_no_memory(source);
		close(fd);
		return NULL;
	}
	len = read_text(source, fd, text);
	close(fd);
	if (len < 0) {
		free(text);
		return NULL;
	}
	/* libconfig wants a newline behind a comment that ends the file. */
	if (len > 0 && text[len - 1] != '\n')
		text[len++] = '\n';
	text[len] = '\0';
	return text;
}

/* Adds a file by its name, folder and all, which becomes that of files. Returns 0 or -1. */
static int
add(struct files *files, char *name)
{
	struct file *more = reallocarray(files->list, files->count + 1, sizeof(*more));

	if (more == NULL || name == NULL) {
		free(name);
		files->list = more != NULL ? more : files->list;
		return -1;
	}
	more[files->count++] = (struct file){.name = name};
	files->list = more;
	return 0;
}

static char *
join(const char *folder, const char *name)
{
	size_t size = strlen(folder) + strlen(name) + 2;
	char *path = malloc(size);

	if (path != NULL)
		snprintf(path, size, "%s/%s", folder, name);
	return path;
}

static bool
is_dropin(const char *name)
{
	size_t len = strlen(name);

	return name[0] != '.' && len > strlen(".conf") &&
	       strcmp(name + len - strlen(".conf"), ".conf") == 0;
}

static int
compare_names(const void *a, const void *b)
{
	return strcmp(((const struct file *)a)->name, ((const struct file *)b)->name);
}

/* Adds the names of the folder, which is the file of source. */
static void
list_folder(struct files *files, struct source *source, DIR *folder)
{
	struct dirent *entry;

	while (errno = 0, (entry = readdir(folder)) != NULL) {
		if (!is_dropin(entry->d_name))
			continue;
		if (files->count > FILES_MAX) {
			source_fault(source, 0, "holds too many files named *.conf, allowed are %d",
			    FILES_MAX);
			return;
		}
		if (add(files, join(source->file, entry->d_name)) < 0) {
			source_no_memory(source);
			return;
		}
	}
	if (errno != 0)
		source_fault(source, 0, "%s", strerror(errno));
	qsort(files->list + 1, files->count - 1, sizeof(*files->list), compare_names);
}

/* No folder is the same as an empty one. */
static void
list_dropins(struct files *files, const char *file, struct source *source)
{
	size_t size = strlen(file) + sizeof(".d");
	char *path = malloc(size);
	DIR *folder;

	if (path == NULL) {
		source_no_memory(source);
		return;
	}
	snprintf(path, size, "%s.d", file);
	source->file = path;
	if ((folder = opendir(path)) != NULL) {
		list_folder(files, source, folder);
		closedir(folder);
	} else if (errno != ENOENT) {
		source_fault(source, 0, "%s", strerror(errno));
	}
	free(path);
}

void
files_load(struct files *files, const char *file, struct source *source)
{
	*files = (struct files){0};
	source->file = file;
	if (add(files, strdup(file)) < 0) {
		source_no_memory(source);
		return;
	}
	list_dropins(files, file, source);
	for (size_t i = 0; i < files->count; i++) {
		source->file = files->list[i].name;
		files->list[i].text = load(source);
	}
}

void
files_free(struct files *files)
{
	for (size_t i = 0; i < files->count; i++) {
		free(files->list[i].name);
		free(files->list[i].text);
	}
	free(files->list);
}
