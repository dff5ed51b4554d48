/*
 * loop: the one select call, and who is served after it.
 *
 * A room with descriptors of one kind registers a class: what to do when one of them is readable or
 * writable. Each descriptor joins one class. select is asked about the readers and the writers of
 * each class, unless the class is held; those that are ready are served in ascending order,
 * whatever their class: first all that are readable, then all that are writable.
 *
 * A descriptor that leaves is no longer served, not even in the pass in which it leaves. Its number
 * may be given to another one only after the pass, or after loop_forget.
 *
 * The room fills the sets of its class itself, so that watching a recipient costs no call.
 *
 * Bytes that were received and not yet read, as TLS keeps them, are hidden from select. A reader
 * that has some is pending: while there is one that may be read, the loop does not wait, and serves
 * it as if it were readable.
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
	loop_serve *readable; /* NULL: none is ever in readers */
	loop_serve *writable;
	void *room;           /* the first argument of both */
	bool hold_readers;    /* select is not asked about them for now */
	bool hold_writers;    /* the same */
	struct fdset readers; /* of the members; the room changes it as it likes */
	struct fdset writers; /* the same */
	struct fdset pending; /* the same; counts only for those that are readers too */
	bool asked;           /* select was asked about its readers: those not ready are silent */
	uint32_t ready;       /* how many of its readers are readable in this pass */
};

struct loop {
	struct loop_class *classes[LOOP_CLASSES];
	uint8_t count;
	uint8_t *class_of;     /* by descriptor: 1 + its class, or 0 */
	int size;              /* of class_of */
	struct fdset readable; /* the question to select, then its answer */
	struct fdset writable;
	sigset_t waiting; /* the signal mask while it waits, see signals.h */
};

void loop_init(struct loop *loop);
/* Frees the sets of the classes too. */
void loop_free(struct loop *loop);

/* The class belongs to the room, and must not move. */
void loop_register(struct loop *loop, struct loop_class *class);

/* Makes room in class for descriptors up to fd. Returns 0, or -1 when memory is refused. */
int loop_reserve(struct loop *loop, struct loop_class *class, int fd);
/* fd joins the class, which has room for it, but none of its sets. */
void loop_add(struct loop *loop, const struct loop_class *class, int fd);
/* fd leaves its class and the sets of that class. */
void loop_remove(struct loop *loop, int fd);

/*
 * Waits until something is ready, a signal comes or the time until is reached, and ticks the clock.
 * Returns 0, or -1 with errno when select fails.
 */
int loop_wait(struct loop *loop, int64_t until);
/* Serves what is readable, and what is writable. */
void loop_read(struct loop *loop);
void loop_write(struct loop *loop);
/*
 * Forgets who is ready and who is silent: numbers may mean other descriptors now, and select will
 * tell again.
 */
void loop_forget(struct loop *loop);

#endif
