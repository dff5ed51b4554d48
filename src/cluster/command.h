/*
 * command: commands for the engine, as bytes that wait to be sent (RESP2: an array of strings).
 *
 * The buffer grows as it has to. If memory is refused, the commands are cut short and refused is
 * set: then the link has to end.
 */
#ifndef CHATD_COMMAND_H
#define CHATD_COMMAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct commands {
	char *data;
	size_t head, tail, size; /* data[head] to data[tail - 1] wait */
	bool refused;
};

void command_free(struct commands *commands);
/* Forgets what waits. */
void command_clear(struct commands *commands);

static inline size_t
command_bytes(const struct commands *commands)
{
	return commands->tail - commands->head;
}
/* The first len bytes have been sent. Gives back the memory of a large command. */
void command_sent(struct commands *commands, size_t len);

/* A command with so many arguments follows, its name included. */
void command_begin(struct commands *commands, unsigned arguments);
void command_text(struct commands *commands, const char *text);
void command_number(struct commands *commands, uint64_t number);
/* An argument of len bytes, which the caller writes to the place that it gets; NULL: refused. */
char *command_place(struct commands *commands, size_t len);

#endif
