/*
 * target: what a fuzz target is, and what it does when it has found something.
 */
#ifndef FUZZ_TARGET_H
#define FUZZ_TARGET_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/* What libFuzzer, or replay.c, calls for each input. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define die(...)                              \
	do {                                  \
		fprintf(stderr, __VA_ARGS__); \
		fputc('\n', stderr);          \
		abort();                      \
	} while (0)

#define check(what)                                                            \
	do {                                                                   \
		if (!(what))                                                   \
			die("%s:%d: not true: %s", __FILE__, __LINE__, #what); \
	} while (0)

/* Tells what happens, where $FUZZ_TELL is set: to read what a found input does. */
#define tell(...)                                            \
	do {                                                 \
		static int told_ = -1;                       \
		if (told_ < 0)                               \
			told_ = getenv("FUZZ_TELL") != NULL; \
		if (told_ > 0) {                             \
			fprintf(stderr, __VA_ARGS__);        \
			fputc('\n', stderr);                 \
		}                                            \
	} while (0)

/* The bytes of an input, taken one after the other; zeroes when they have ended. */
struct input {
	const uint8_t *data;
	size_t left;
};

static inline uint8_t
take_byte(struct input *input)
{
	if (input->left == 0)
		return 0;
	input->left--;
	return *input->data++;
}

/* A number of two bytes. */
static inline uint32_t
take_short(struct input *input)
{
	uint32_t high = take_byte(input);

	return high << 8 | take_byte(input);
}

#endif
