#include "base/loop.h"

#include <bsd/stdlib.h>
#include <errno.h>
#include <string.h>
#include <sys/param.h>

#include "base/signals.h"

void
loop_init(struct loop *loop)
{
	*loop = (struct loop){.readable = FDSET_EMPTY, .writable = FDSET_EMPTY};
	sigprocmask(SIG_BLOCK, NULL, &loop->waiting);
}

void
loop_free(struct loop *loop)
{
	for (unsigned i = 0; i < loop->count; i++) {
		fdset_free(&loop->classes[i]->readers);
		fdset_free(&loop->classes[i]->writers);
		fdset_free(&loop->classes[i]->pending);
	}
	fdset_free(&loop->readable);
	fdset_free(&loop->writable);
	free(loop->class_of);
	*loop = (struct loop){.readable = FDSET_EMPTY, .writable = FDSET_EMPTY};
}

void
loop_register(struct loop *loop, struct loop_class *class)
{
	class->readers = class->writers = class->pending = FDSET_EMPTY;
	loop->classes[loop->count++] = class;
}

/* The class of fd, or NULL: it may have left in this pass. */
static struct loop_class *
class_of(const struct loop *loop, int fd)
{
	uint8_t number = loop->class_of[fd];

	return number > 0 ? loop->classes[number - 1] : NULL;
}

int
loop_reserve(struct loop *loop, struct loop_class *class, int fd)
{
	if (fd >= loop->size) {
		int size = MAX(64, MAX(fd + 1, loop->size * 2));
		uint8_t *class_of =
		    recallocarray(loop->class_of, (size_t)loop->size, (size_t)size, 1);

		if (class_of == NULL)
			return -1;
		loop->class_of = class_of;
		loop->size = size;
	}
	if (fdset_reserve(&class->readers, fd) < 0 || fdset_reserve(&class->writers, fd) < 0 ||
	    fdset_reserve(&class->pending, fd) < 0 || fdset_reserve(&loop->readable, fd) < 0)
		return -1;
	return fdset_reserve(&loop->writable, fd);
}

void
loop_add(struct loop *loop, const struct loop_class *class, int fd)
{
	uint8_t number = 1;

	while (loop->classes[number - 1] != class)
		number++;
	loop->class_of[fd] = number;
}

void
loop_remove(struct loop *loop, int fd)
{
	struct loop_class *class = fd < loop->size ? class_of(loop, fd) : NULL;

	if (class == NULL)
		return;
	loop->class_of[fd] = 0;
	fdset_remove(&class->readers, fd);
	fdset_remove(&class->writers, fd);
	fdset_remove(&class->pending, fd);
}

static void
clear_ready(struct loop *loop)
{
	fdset_clear(&loop->readable);
	fdset_clear(&loop->writable);
}

static bool
has_pending(const struct loop_class *class)
{
	return class->pending.last >= 0 && !class->hold_readers &&
	       fdset_common(&class->pending, &class->readers) > 0;
}

/* Fills the sets that select is asked about. Returns whether any reader is pending. */
static bool
ask(struct loop *loop)
{
	bool pending = false;

	clear_ready(loop);
	for (unsigned i = 0; i < loop->count; i++) {
		struct loop_class *class = loop->classes[i];

		class->asked = !class->hold_readers;
		if (class->asked)
			fdset_join(&loop->readable, &class->readers);
		if (!class->hold_writers)
			fdset_join(&loop->writable, &class->writers);
		pending |= has_pending(class);
	}
	return pending;
}

/* Adds the readers that are pending to those that select called readable. */
static void
add_pending(struct loop *loop)
{
	for (unsigned i = 0; i < loop->count; i++) {
		struct loop_class *class = loop->classes[i];

		if (!has_pending(class))
			continue;
		FDSET_FOREACH(fd, &class->pending)
			if (fdset_has(&class->readers, fd))
				fdset_add(&loop->readable, fd);
	}
}

int
loop_wait(struct loop *loop, int64_t until)
{
	int64_t now = clock_now();
	struct timespec timeout = {0};
	bool pending = ask(loop);
	int ready;

	if (pending)
		until = now;
	if (until > now) {
		timeout.tv_sec = (time_t)((until - now) / CLOCK_SECOND);
		timeout.tv_nsec = (long)((until - now) % CLOCK_SECOND * 1000);
	}
	ready = pselect(MAX(loop->readable.last, loop->writable.last) + 1,
	    (fd_set *)loop->readable.bits, (fd_set *)loop->writable.bits, NULL,
	    until == CLOCK_NEVER ? NULL : &timeout, &loop->waiting);
	clock_tick();
	if (ready < 0) {
		loop_forget(loop);
		return errno != EINTR ? -1 : 0;
	}
	/* While a descriptor is ready, pselect returns without delivering a signal. */
	if (ready > 0)
		signals_take();
	else
		clear_ready(loop);
	if (pending)
		add_pending(loop);
	for (unsigned i = 0; i < loop->count; i++)
		loop->classes[i]->ready = fdset_common(&loop->readable, &loop->classes[i]->readers);
	return 0;
}

void
loop_read(struct loop *loop)
{
	FDSET_FOREACH(fd, &loop->readable) {
		struct loop_class *class = class_of(loop, fd);

		if (class != NULL && fdset_has(&class->readers, fd))
			class->readable(class->room, fd);
	}
}

void
loop_write(struct loop *loop)
{
	FDSET_FOREACH(fd, &loop->writable) {
		struct loop_class *class = class_of(loop, fd);

		if (class != NULL && fdset_has(&class->writers, fd))
			class->writable(class->room, fd);
	}
}

void
loop_forget(struct loop *loop)
{
	clear_ready(loop);
	for (unsigned i = 0; i < loop->count; i++) {
		loop->classes[i]->ready = 0;
		loop->classes[i]->asked = false;
	}
}
