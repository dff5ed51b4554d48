/*
 * Runs a fuzz target on files, or on all files of folders, without libFuzzer.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "target.h"

static int
compare(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static int
run_file(const char *path)
{
	FILE *file = fopen(path, "rb");
	uint8_t *data;
	size_t len, room = 1 << 20;

	if (file == NULL || (data = malloc(room)) == NULL) {
		perror(path);
		exit(EXIT_FAILURE);
	}
	len = fread(data, 1, room, file);
	fclose(file);
	fprintf(stderr, "%s\n", path);
	/* Memory of the exact size, so that a read past the end is seen. */
	if ((data = realloc(data, len > 0 ? len : 1)) == NULL)
		abort();
	LLVMFuzzerTestOneInput(data, len);
	free(data);
	return 1;
}

static int
run(const char *path)
{
	struct dirent **entries;
	struct stat st;
	int count, done = 0;

	if (stat(path, &st) < 0 || !S_ISDIR(st.st_mode))
		return run_file(path);
	if ((count = scandir(path, &entries, NULL, compare)) < 0) {
		perror(path);
		exit(EXIT_FAILURE);
	}
	for (int i = 0; i < count; i++) {
		char file[4096];

		snprintf(file, sizeof(file), "%s/%s", path, entries[i]->d_name);
		if (entries[i]->d_name[0] != '.')
			done += run_file(file);
		free(entries[i]);
	}
	free(entries);
	return done;
}

int
main(int argc, char **argv)
{
	int done = 0;

	for (int i = 1; i < argc; i++)
		done += run(argv[i]);
	printf("%d inputs\n", done);
	return done > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
