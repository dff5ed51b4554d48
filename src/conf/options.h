/*
 * options: the command line.
 */
#ifndef CHATD_OPTIONS_H
#define CHATD_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

struct options {
	const char *file; /* NULL: built-in defaults */
	uint16_t port;    /* 0: the file's */
	bool check;       /* -t or -T: do not serve */
	bool print;       /* -T */
};

enum options_outcome {
	OPTIONS_SERVE, /* go on */
	OPTIONS_DONE,  /* -h or -V was answered */
	OPTIONS_BAD,   /* a message was written to standard error */
};

enum options_outcome options_parse(struct options *options, int argc, char **argv);

/* Answers on standard output, for runs that do not serve. Returns 0, or -1 after a message. */
int options_say(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
