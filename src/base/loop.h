/*
 * loop: the one select call, and who is served after it.
 *
 * A room that has descriptors of a kind registers a class: what is done when one of them is
 * readable or writable. Each descriptor joins one class. select is asked about the readers and the
 * writers of each class, unless the class is held; those that are ready are served in ascending
 * order, whatever their class: first all that are readable, then all that are writable.
 *
 * A descriptor that leaves is not served any more, also in the pass in which it leaves. Its number
 * may be given to another one only after the pass, or after loop_forget.
 *
 * The sets of a class are the room's to fill, so that asking for a recipient costs no call.
 */
#ifndef CHATD_LOOP_H
#define CHATD_LOOP_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/fdset.h"

#define LOOP_CLASSES 8

typedef void loop_serve(void *room, int fd);

struct loop_class {
	loop_serve *readable; /* NULL: none of them is ever asked */
	loop_serve *writable;
	void *room;           /* what both get */
	bool hold_readers;    /* select is not asked about them for now */
	bool hold_writers;    /* the same */
	struct fdset readers; /* a member leaves and enters this set as its room likes */
	struct fdset writers; /* the same */
	bool asked;     /* select was asked about its readers, and what is not ready is silent */
	uint32_t ready; /* how many of its readers are readable in this pass */
};

struct loop {
	struct loop_class *classes[LOOP_CLASSES];
	uint8_t count;
	uint8_t *class_of;     /* by descriptor: 1 + its class, or 0 */
	int size;              /* of class_of */
	struct fdset readable; /* asked of select, and its answer */
	struct fdset writable;
	sigset_t waiting; /* the signal mask while it waits, see signals.h */
};

void loop_init(struct loop *loop);
/* The sets of the classes too. */
void loop_free(struct loop *loop);

/* The class is the room's, and stays where it is. */
void loop_register(struct loop *loop, struct loop_class *class);

/* Makes room in class for descriptors up to fd. Returns 0, or -1 when memory is refused. */
int loop_reserve(struct loop *loop, struct loop_class *class, int fd);
/* Joins the class, which has room for fd. Its sets are the room's to fill. */
void loop_add(struct loop *loop, const struct loop_class *class, int fd);
/* Leaves its class and the sets of that. */
void loop_remove(struct loop *loop, int fd);

/*
 * Waits until something is ready, a signal comes or until has come, and ticks the clock. Returns 0,
 * or -1 with errno when select fails.
 */
int loop_wait(struct loop *loop, int64_t until);
/* Serves what is readable, and what is writable. */
void loop_read(struct loop *loop);
void loop_write(struct loop *loop);
/*
 * Nobody is ready any more, nor silent: numbers may mean other descriptors now, select will say it
 * again.
 */
void loop_forget(struct loop *loop);

#endif
