#include "cluster/command.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/param.h>

#define SMALLEST 4096
#define KEPT     65536 /* bytes of an empty buffer; a larger one is given back */
#define HEADER   32    /* "*", "$" or ":", a number, CR and LF */

void
command_free(struct commands *commands)
{
	free(commands->data);
	*commands = (struct commands){0};
}

void
command_clear(struct commands *commands)
{
	commands->head = commands->tail = 0;
	commands->refused = false;
	if (commands->size > KEPT)
		command_free(commands);
}

void
command_sent(struct commands *commands, size_t len)
{
	commands->head += len;
	if (commands->head == commands->tail && !commands->refused)
		command_clear(commands);
}

/* The place for len more bytes, or NULL. */
static char *
extend(struct commands *commands, size_t len)
{
	size_t need = commands->tail + len, size = MAX(commands->size, SMALLEST);
	char *data = commands->data;

	if (commands->refused)
		return NULL;
	while (size < need)
		size *= 2;
	if (size > commands->size) {
		if ((data = realloc(data, size)) == NULL) {
			commands->refused = true;
			return NULL;
		}
		commands->data = data;
		commands->size = size;
	}
	data += commands->tail;
	commands->tail += len;
	return data;
}

static void
add(struct commands *commands, const char *data, size_t len)
{
	char *place = extend(commands, len);

	if (place != NULL)
		memcpy(place, data, len);
}

static void
add_header(struct commands *commands, char kind, size_t number)
{
	char text[HEADER];
	int len = snprintf(text, sizeof(text), "%c%zu\r\n", kind, number);

	add(commands, text, (size_t)len);
}

void
command_begin(struct commands *commands, unsigned arguments)
{
	add_header(commands, '*', arguments);
}

char *
command_place(struct commands *commands, size_t len)
{
	char *place;

	add_header(commands, '$', len);
	if ((place = extend(commands, len + 2)) != NULL)
		memcpy(place + len, "\r\n", 2);
	return place;
}

void
command_text(struct commands *commands, const char *text)
{
	size_t len = strlen(text);
	char *place = command_place(commands, len);

	if (place != NULL)
		memcpy(place, text, len);
}

void
command_number(struct commands *commands, uint64_t number)
{
	char text[HEADER];

	snprintf(text, sizeof(text), "%" PRIu64, number);
	command_text(commands, text);
}
