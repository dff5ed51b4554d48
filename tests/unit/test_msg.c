#include "unit.h"

#include <errno.h>
#include <string.h>

#include "seam.h"
#include "wire/msg.h"

/* Receives text into the arena, as conn_read does. */
static struct msg
take(struct arena *arena, const char *text)
{
	size_t len = strlen(text);

	assert_int_equal(arena_reserve(arena, len, len), len);
	memcpy(arena_tail(arena), text, len);
	return arena_take(arena, len);
}

/* Takes a message of len bytes and holds it. */
static struct msg
hold(struct arena *arena, size_t len)
{
	struct msg msg;

	assert_int_equal(arena_reserve(arena, len, len), len);
	memset(arena_tail(arena), 'h', len);
	msg = arena_take(arena, len);
	msg_ref(&msg);
	return msg;
}

/* Fills a buf but for left bytes, and keeps a part of it. */
static struct msg
fill(struct arena *arena, size_t left)
{
	struct msg first = hold(arena, ARENA_BUF / 2);
	struct msg rest = hold(arena, ARENA_BUF / 2 - left);

	assert_ptr_equal(first.buf, rest.buf);
	msg_unref(&first);
	return rest;
}

TEST(messages_lie_one_after_the_other_and_keep_their_bytes)
{
	struct arena arena = {0};
	struct msg a = take(&arena, "one\n"), b;

	msg_ref(&a);
	b = take(&arena, "two\n");
	msg_ref(&b);
	assert_ptr_equal(a.buf, b.buf);
	assert_int_equal(b.off, a.off + a.len);
	assert_memory_equal(msg_data(&a), "one\ntwo\n", 8);
	assert_int_equal(a.buf->refs, 2);
	msg_unref(&a);
	msg_unref(&b);
	assert_int_equal(a.buf->refs, 0);
	arena_free(&arena);
}

TEST(positions_number_every_byte_ever_taken)
{
	struct arena arena = {0};
	struct msg a = take(&arena, "12345"), b, c;

	assert_int_equal(msg_position(&a), 0);
	b = take(&arena, "678");
	assert_int_equal(msg_position(&b), 5);
	msg_ref(&b);
	c = take(&arena, "9");
	assert_int_equal(msg_position(&c), 8);
	assert_int_equal(arena.position, 9);
	msg_unref(&b);
	arena_free(&arena);
}

TEST(a_buf_that_nobody_holds_starts_over_at_its_front)
{
	struct arena arena = {0};
	struct msg a = take(&arena, "one\n"), b;
	char *front = msg_data(&a);

	msg_ref(&a);
	msg_unref(&a);
	b = take(&arena, "two\n");
	assert_ptr_equal(msg_data(&b), front);
	assert_int_equal(b.off, 0);
	assert_int_equal(msg_position(&b), 4);
	arena_free(&arena);
}

TEST(a_buf_that_somebody_holds_does_not_start_over)
{
	struct arena arena = {0};
	struct msg held = take(&arena, "held\n"), b;

	msg_ref(&held);
	b = take(&arena, "next\n");
	assert_int_equal(b.off, 5);
	assert_memory_equal(msg_data(&held), "held\n", 5);
	msg_unref(&held);
	arena_free(&arena);
}

TEST(the_room_of_a_buf_can_be_used_to_its_last_byte)
{
	struct arena arena = {0};
	struct msg a = fill(&arena, 1), b = hold(&arena, 1), c;

	assert_ptr_equal(a.buf, b.buf);
	assert_int_equal(b.off + b.len, b.buf->size);
	c = hold(&arena, 1);
	assert_ptr_not_equal(c.buf, a.buf);
	assert_int_equal(c.off, 0);
	assert_int_equal(msg_position(&c), ARENA_BUF);
	msg_unref(&a);
	msg_unref(&b);
	msg_unref(&c);
	arena_free(&arena);
}

TEST(the_last_reference_gives_a_full_buf_back_for_use_again)
{
	struct arena arena = {0};
	struct msg a = fill(&arena, 0), b = hold(&arena, 1), c;

	assert_null(arena.spare);
	msg_unref(&a);
	assert_ptr_equal(arena.spare, a.buf);
	seam_reset();
	c = hold(&arena, ARENA_BUF);
	assert_ptr_equal(c.buf, a.buf);
	assert_null(arena.spare);
	assert_int_equal(seam_calls(SEAM_MEMORY), 0);
	msg_unref(&b);
	msg_unref(&c);
	arena_free(&arena);
}

TEST(one_spare_is_kept_and_more_are_freed)
{
	struct arena arena = {0};
	struct msg a = hold(&arena, ARENA_BUF), b = hold(&arena, ARENA_BUF), c = hold(&arena, 1);

	msg_unref(&a);
	msg_unref(&b); /* freed: LeakSanitizer and valgrind would tell */
	assert_ptr_equal(arena.spare, a.buf);
	msg_unref(&c);
	assert_ptr_equal(arena.filling, c.buf);
	arena_free(&arena);
	assert_null(arena.filling);
	assert_null(arena.spare);
}

TEST(steady_load_never_asks_the_allocator)
{
	struct arena arena = {0};
	struct msg held = hold(&arena, 60000), next;

	/* Each message goes when the one after it has come, so a buf is never quite free. */
	for (int i = 0; i < 1000; i++) {
		if (i == 10)
			seam_reset();
		next = hold(&arena, 60000);
		msg_unref(&held);
		held = next;
	}
	assert_int_equal(seam_calls(SEAM_MEMORY), 0);
	msg_unref(&held);
	arena_free(&arena);
}

TEST(a_wish_larger_than_a_buf_gets_a_larger_one)
{
	struct arena arena = {0};
	struct msg a = hold(&arena, 1), b;

	assert_int_equal(a.buf->size, ARENA_BUF);
	b = hold(&arena, ARENA_BUF + 1);
	assert_ptr_not_equal(a.buf, b.buf);
	assert_true(b.buf->size >= ARENA_BUF + 1);
	msg_unref(&a);
	msg_unref(&b);
	/* Also where the buf at hand, free as it is, or the spare one is too small. */
	b = hold(&arena, 2 * ARENA_BUF);
	assert_true(b.buf->size >= 2 * ARENA_BUF);
	assert_int_equal(b.off, 0);
	msg_unref(&b);
	arena_free(&arena);
}

TEST(where_memory_is_refused_the_room_that_is_left_serves)
{
	struct arena arena = {0};
	struct msg a = fill(&arena, 100);

	seam_fail(SEAM_MEMORY, 0, SEAM_ALWAYS, ENOMEM);
	assert_int_equal(arena_reserve(&arena, 100, 101), 100);
	assert_int_equal(arena_reserve(&arena, 1, 5000), 100);
	/* One byte too few. */
	assert_int_equal(arena_reserve(&arena, 101, 5000), 0);
	/* And nothing was lost by it. */
	assert_int_equal(arena_reserve(&arena, 100, 100), 100);
	assert_ptr_equal(arena.filling, a.buf);
	assert_int_equal(a.buf->refs, 1);
	seam_reset();
	assert_int_equal(arena_reserve(&arena, 101, 5000), 5000);
	msg_unref(&a);
	arena_free(&arena);
}

TEST(an_arena_without_memory_works_as_soon_as_there_is_some)
{
	struct arena arena = {0};
	struct msg a;

	seam_fail(SEAM_MEMORY, 0, 1, ENOMEM);
	assert_int_equal(arena_reserve(&arena, 1, 10), 0);
	a = take(&arena, "there\n");
	assert_memory_equal(msg_data(&a), "there\n", 6);
	arena_free(&arena);
}

TEST(reserving_twice_gives_the_same_room)
{
	struct arena arena = {0};
	char *tail;

	assert_int_equal(arena_reserve(&arena, 1, 1000), 1000);
	tail = arena_tail(&arena);
	assert_int_equal(arena_reserve(&arena, 1, 1000), 1000);
	assert_ptr_equal(arena_tail(&arena), tail);
	assert_int_equal(arena.position, 0);
	arena_free(&arena);
}

/* Many holders take and drop messages in any order; every byte stays until its last holder goes. */
TEST(random_holders_find_their_bytes_unchanged_and_leave_nothing_behind)
{
	struct {
		struct msg msg;
		char fill;
		uint64_t position;
	} held[50] = {0};
	struct arena arena = {0};
	uint64_t position = 0;

	random_start();
	for (int step = 0; step < 20000; step++) {
		size_t i = random_below(LENGTH(held)), len = 1 + random_below(70000);

		if (held[i].msg.buf != NULL) {
			const char *data = msg_data(&held[i].msg);

			/* Both ends and the middle: memory that was used again would show. */
			assert_int_equal(data[0], held[i].fill);
			assert_int_equal(data[held[i].msg.len / 2], held[i].fill);
			assert_int_equal(data[held[i].msg.len - 1], held[i].fill);
			assert_int_equal(msg_position(&held[i].msg), held[i].position);
			msg_unref(&held[i].msg);
			held[i].msg = MSG_NONE;
			continue;
		}
		held[i].fill = (char)random_below(256);
		held[i].position = position;
		assert_int_equal(arena_reserve(&arena, len, len), len);
		memset(arena_tail(&arena), held[i].fill, len);
		held[i].msg = arena_take(&arena, len);
		msg_ref(&held[i].msg);
		position += len;
		assert_int_equal(arena.position, position);
	}
	for (size_t i = 0; i < LENGTH(held); i++)
		if (held[i].msg.buf != NULL)
			msg_unref(&held[i].msg);
	assert_int_equal(arena.filling->refs, 0);
	arena_free(&arena);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(messages_lie_one_after_the_other_and_keep_their_bytes),
	    cmocka_unit_test(positions_number_every_byte_ever_taken),
	    cmocka_unit_test(a_buf_that_nobody_holds_starts_over_at_its_front),
	    cmocka_unit_test(a_buf_that_somebody_holds_does_not_start_over),
	    cmocka_unit_test(the_room_of_a_buf_can_be_used_to_its_last_byte),
	    cmocka_unit_test(the_last_reference_gives_a_full_buf_back_for_use_again),
	    cmocka_unit_test(one_spare_is_kept_and_more_are_freed),
	    cmocka_unit_test(steady_load_never_asks_the_allocator),
	    cmocka_unit_test(a_wish_larger_than_a_buf_gets_a_larger_one),
	    cmocka_unit_test_teardown(
		where_memory_is_refused_the_room_that_is_left_serves, seam_teardown),
	    cmocka_unit_test_teardown(
		an_arena_without_memory_works_as_soon_as_there_is_some, seam_teardown),
	    cmocka_unit_test(reserving_twice_gives_the_same_room),
	    cmocka_unit_test(random_holders_find_their_bytes_unchanged_and_leave_nothing_behind),
	};

	return cmocka_run_group_tests_name("msg", tests, NULL, NULL);
}
