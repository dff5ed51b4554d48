#include "unit.h"

#include <errno.h>
#include <string.h>

#include "seam.h"
#include "wire/queue.h"

#define PLACES 2 /* that a pass wants */

static struct arena arena;

static struct msg
take(const char *text)
{
	size_t len = strlen(text);

	assert_int_equal(arena_reserve(&arena, len, len), len);
	memcpy(arena_tail(&arena), text, len);
	return arena_take(&arena, len);
}

/* Takes a message that goes to somebody else, so that the next one continues nothing. */
static void
gap(void)
{
	take("-");
}

static void
push(struct queue *queue, const char *text)
{
	struct msg msg = take(text);

	queue_push(queue, &msg);
	assert_true(queue_reserve(queue, PLACES));
}

/* What waits, as one string. */
static const char *
waiting(const struct queue *queue)
{
	static char text[1 << 16];
	struct iovec iov[256];
	size_t len = 0;
	int count = queue_iov(queue, iov, LENGTH(iov));

	for (int i = 0; i < count; i++) {
		memcpy(text + len, iov[i].iov_base, iov[i].iov_len);
		len += iov[i].iov_len;
	}
	text[len] = '\0';
	return text;
}

static uint32_t
spans(const struct queue *queue)
{
	return queue->tail - queue->head;
}

static int
setup(void **state)
{
	(void)state;
	seam_reset();
	return 0;
}

/* Whatever the queue did, no reference is left. */
static int
teardown(void **state)
{
	uint32_t refs = arena.filling != NULL ? arena.filling->refs : 0;

	(void)state;
	seam_reset();
	arena_free(&arena);
	return refs == 0 ? 0 : -1;
}

TEST(a_message_that_continues_the_last_one_extends_it)
{
	struct queue queue;

	queue_init(&queue);
	push(&queue, "one\n");
	push(&queue, "two\n");
	push(&queue, "three\n");
	assert_int_equal(spans(&queue), 1);
	assert_int_equal(arena.filling->refs, 1);
	assert_string_equal(waiting(&queue), "one\ntwo\nthree\n");
	queue_clear(&queue);
}

TEST(a_message_after_a_gap_is_a_span_of_its_own)
{
	struct queue queue;

	queue_init(&queue);
	push(&queue, "one\n");
	gap();
	push(&queue, "two\n");
	assert_int_equal(spans(&queue), 2);
	assert_int_equal(arena.filling->refs, 2);
	assert_string_equal(waiting(&queue), "one\ntwo\n");
	queue_clear(&queue);
}

TEST(a_message_of_another_buf_is_a_span_of_its_own)
{
	struct arena other = {0};
	struct queue queue;
	struct msg msg;

	queue_init(&queue);
	push(&queue, "one\n");
	/* Its offset is where a message of the first buf would continue. */
	assert_int_equal(arena_reserve(&other, 8, 8), 8);
	memcpy(arena_tail(&other), "one\ntwo\n", 8);
	arena_take(&other, 4);
	msg = arena_take(&other, 4);
	queue_push(&queue, &msg);
	assert_true(queue_reserve(&queue, PLACES));
	assert_int_equal(spans(&queue), 2);
	assert_string_equal(waiting(&queue), "one\ntwo\n");
	queue_clear(&queue);
	assert_int_equal(msg.buf->refs, 0);
	arena_free(&other);
}

TEST(a_message_in_two_queues_is_there_once_and_goes_with_the_second)
{
	struct queue a, b;
	struct msg msg = take("one\n");

	queue_init(&a);
	queue_init(&b);
	queue_push(&a, &msg);
	queue_push(&b, &msg);
	assert_int_equal(msg.buf->refs, 2);
	queue_consume(&a, 4);
	assert_int_equal(msg.buf->refs, 1);
	assert_string_equal(waiting(&b), "one\n");
	queue_clear(&b);
	assert_int_equal(msg.buf->refs, 0);
}

TEST(bytes_leave_from_the_front_one_by_one)
{
	static const char whole[] = "one\ntwo\nthree\n";
	struct queue queue;

	queue_init(&queue);
	push(&queue, "one\n");
	gap();
	push(&queue, "two\n");
	gap();
	push(&queue, "three\n");
	for (size_t i = 0; i < strlen(whole); i++) {
		assert_string_equal(waiting(&queue), whole + i);
		assert_false(queue_empty(&queue));
		queue_consume(&queue, 1);
	}
	assert_true(queue_empty(&queue));
	assert_int_equal(arena.filling->refs, 0);
}

TEST(one_consumption_may_end_anywhere_in_any_span)
{
	static const char whole[] = "one\ntwo\nthree\n";

	for (size_t len = 0; len <= strlen(whole); len++) {
		struct queue queue;

		queue_init(&queue);
		push(&queue, "one\n");
		gap();
		push(&queue, "two\n");
		gap();
		push(&queue, "three\n");
		queue_consume(&queue, len);
		assert_string_equal(waiting(&queue), whole + len);
		assert_int_equal(queue_empty(&queue), len == strlen(whole));
		queue_clear(&queue);
	}
}

TEST(a_span_grows_on_while_its_front_has_left)
{
	struct queue queue;

	queue_init(&queue);
	push(&queue, "one\n");
	queue_consume(&queue, 2);
	push(&queue, "two\n");
	assert_int_equal(spans(&queue), 1);
	assert_string_equal(waiting(&queue), "e\ntwo\n");
	queue_clear(&queue);
}

/* A pass in which a client spoke itself leaves two spans: before and after its own message. */
TEST(passes_of_two_spans_need_no_memory)
{
	struct queue queue;

	queue_init(&queue);
	gap();
	seam_reset();
	for (int i = 0; i < 1000; i++) {
		push(&queue, "one\n");
		gap();
		push(&queue, "two\n");
		queue_consume(&queue, 8);
	}
	assert_int_equal(seam_calls(SEAM_MEMORY), 0);
	assert_ptr_equal(queue.spans, queue.few);
}

TEST(a_queue_that_is_never_empty_stays_as_large_as_its_backlog)
{
	struct queue queue;

	queue_init(&queue);
	push(&queue, "start\n");
	seam_reset();
	for (int i = 0; i < 1000; i++) {
		gap();
		push(&queue, "next\n");
		queue_consume(&queue, i == 0 ? 6 : 5);
	}
	assert_int_equal(seam_calls(SEAM_MEMORY), 1);
	assert_string_equal(waiting(&queue), "next\n");
	queue_clear(&queue);
}

TEST(a_backlog_grows_and_keeps_its_order)
{
	struct queue queue;
	char want[4096] = "";

	queue_init(&queue);
	for (int i = 0; i < 200; i++) {
		char text[8] = {(char)('a' + i % 26), (char)('a' + i / 26), '\n', '\0'};

		push(&queue, text);
		strcat(want, text);
		gap();
	}
	assert_int_equal(spans(&queue), 200);
	assert_string_equal(waiting(&queue), want);
	queue_clear(&queue);
	assert_true(queue_empty(&queue));
}

TEST(an_empty_queue_gives_back_what_a_backlog_needed)
{
	struct queue queue;

	queue_init(&queue);
	for (int i = 0; i < 50; i++) {
		push(&queue, "x\n");
		gap();
	}
	assert_ptr_not_equal(queue.spans, queue.few);
	queue_consume(&queue, 100);
	assert_true(queue_empty(&queue));
	assert_ptr_equal(queue.spans, queue.few);
	assert_int_equal(queue.size, QUEUE_FEW);
}

/* Pushes messages that continue nothing until there are no places after one. Returns how many. */
static int
push_until_full(struct queue *queue, char *want)
{
	int count = 0;
	bool places = true;

	seam_fail(SEAM_MEMORY, 0, SEAM_ALWAYS, ENOMEM);
	while (places) {
		char text[] = {(char)('a' + count++), '\n', '\0'};
		struct msg msg;

		gap();
		msg = take(text);
		queue_push(queue, &msg);
		places = queue_reserve(queue, PLACES);
		strcat(want, text);
		assert_true(count < 26);
	}
	return count;
}

TEST(a_push_after_which_there_are_no_places_says_so_and_loses_nothing)
{
	struct queue queue;
	char want[64] = "";

	queue_init(&queue);
	gap();
	assert_int_equal(push_until_full(&queue, want), QUEUE_FEW - PLACES + 1);
	assert_string_equal(waiting(&queue), want);
	assert_false(queue_reserve(&queue, PLACES));
	assert_string_equal(waiting(&queue), want);
	seam_reset();
	assert_true(queue_reserve(&queue, PLACES));
	assert_string_equal(waiting(&queue), want);
	gap();
	push(&queue, "after\n");
	assert_string_equal(waiting(&queue), strcat(want, "after\n"));
	queue_clear(&queue);
}

TEST(the_places_of_a_pass_are_there_whatever_the_allocator_says)
{
	struct queue queue;
	char want[64] = "";

	queue_init(&queue);
	gap();
	for (int i = 0; i < QUEUE_FEW - PLACES; i++) {
		push(&queue, "before\n");
		gap();
		strcat(want, "before\n");
	}
	/* The last answer was yes. */
	seam_fail(SEAM_MEMORY, 0, SEAM_ALWAYS, ENOMEM);
	for (int i = 0; i < PLACES; i++) {
		struct msg msg = take("last\n");

		queue_push(&queue, &msg);
		assert_false(queue_reserve(&queue, PLACES));
		gap();
		strcat(want, "last\n");
	}
	assert_string_equal(waiting(&queue), want);
	queue_clear(&queue);
}

TEST(a_full_queue_finds_places_when_spans_have_left)
{
	struct queue queue;
	char want[64] = "";
	int count;

	queue_init(&queue);
	gap();
	count = push_until_full(&queue, want);
	while (!queue_reserve(&queue, PLACES)) {
		queue_consume(&queue, 2);
		assert_true(--count >= 0);
	}
	gap();
	push(&queue, "after\n");
	strcat(want, "after\n");
	assert_string_equal(waiting(&queue), want + strlen(want) - strlen(waiting(&queue)));
	queue_clear(&queue);
}

TEST(reserved_places_are_not_asked_for_again)
{
	struct queue queue;

	queue_init(&queue);
	push(&queue, "x\n");
	assert_true(queue_reserve(&queue, PLACES));
	seam_reset();
	for (int i = 0; i < 10; i++)
		assert_true(queue_reserve(&queue, PLACES));
	assert_int_equal(seam_calls(SEAM_MEMORY), 0);
	queue_clear(&queue);
}

TEST(as_many_places_as_are_asked_for_are_made_at_once)
{
	for (uint32_t places = 1; places < 100; places++) {
		struct queue queue;

		queue_init(&queue);
		push(&queue, "first\n");
		assert_true(queue_reserve(&queue, places));
		seam_fail(SEAM_MEMORY, 0, SEAM_ALWAYS, ENOMEM);
		for (uint32_t i = 0; i < places; i++) {
			struct msg msg;

			gap();
			msg = take("x\n");
			queue_push(&queue, &msg);
		}
		assert_int_equal(spans(&queue), 1 + places);
		assert_true(queue.tail <= queue.size);
		seam_reset();
		queue_clear(&queue);
	}
}

TEST(no_more_spans_are_shown_than_there_is_room_for)
{
	struct iovec iov[3] = {0};
	struct queue queue;

	queue_init(&queue);
	assert_int_equal(queue_iov(&queue, iov, 3), 0);
	for (int i = 0; i < 3; i++) {
		push(&queue, "ab\n");
		gap();
	}
	assert_int_equal(queue_iov(&queue, iov, 2), 2);
	assert_null(iov[2].iov_base);
	assert_int_equal(queue_iov(&queue, iov, 3), 3);
	queue_clear(&queue);
}

TEST(lag_counts_from_the_oldest_byte_that_waits)
{
	struct queue queue;

	queue_init(&queue);
	assert_int_equal(queue_lag(&queue, arena.position), 0);
	gap();
	assert_int_equal(queue_lag(&queue, arena.position), 0);
	push(&queue, "12345\n");
	assert_int_equal(queue_lag(&queue, arena.position), 6);
	/* What others received meanwhile is kept in memory by it as well. */
	gap();
	assert_int_equal(queue_lag(&queue, arena.position), 7);
	queue_consume(&queue, 2);
	assert_int_equal(queue_lag(&queue, arena.position), 5);
	push(&queue, "x\n");
	queue_consume(&queue, 4);
	assert_int_equal(queue_lag(&queue, arena.position), 2);
	queue_consume(&queue, 2);
	assert_int_equal(queue_lag(&queue, arena.position), 0);
}

/* So much of three lines in two spans has left, and the rest is cut to this. */
static void
expect_cut(size_t left, const char *want)
{
	struct queue queue;

	queue_init(&queue);
	push(&queue, "one\ntwo\n");
	take("its own\n");
	push(&queue, "three\n");
	queue_consume(&queue, left);
	queue_cut(&queue);
	assert_string_equal(waiting(&queue), want);
	assert_int_equal(queue_empty(&queue), want[0] == '\0');
	/* It serves on. */
	assert_true(queue_reserve(&queue, PLACES));
	take("its own\n");
	push(&queue, "why\n");
	assert_memory_equal(waiting(&queue), want, strlen(want));
	assert_string_equal(waiting(&queue) + strlen(want), "why\n");
	queue_clear(&queue);
	assert_int_equal(arena.filling->refs, 0);
}

TEST(a_cut_leaves_the_rest_of_the_line_that_has_begun_to_leave)
{
	static const char *const rests[] = {"", "ne\n", "e\n", "\n", "", "wo\n", "o\n", "\n", "",
	    "hree\n", "ree\n", "ee\n", "e\n", "\n", ""};

	for (size_t left = 0; left < LENGTH(rests); left++)
		expect_cut(left, rests[left]);
}

/* An answer to telnet's commands: the first span, of a buf of its own, without a line end. */
TEST(a_cut_leaves_the_rest_of_a_message_that_has_no_line_end)
{
	for (size_t left = 0; left <= 6; left++) {
		struct queue queue;
		struct msg told = msg_new(&arena, "answer", 6);

		queue_init(&queue);
		queue_push(&queue, &told);
		push(&queue, "line\n");
		queue_consume(&queue, left);
		queue_cut(&queue);
		assert_string_equal(waiting(&queue), left == 0 ? "" : &"answer"[left]);
		queue_clear(&queue);
	}
}

TEST(a_backlog_of_many_spans_is_cut_too)
{
	struct queue queue;

	queue_init(&queue);
	for (int i = 0; i < 100; i++) {
		push(&queue, "line\n");
		gap();
	}
	queue_consume(&queue, 51);
	assert_int_equal(arena.filling->refs, 90);
	queue_cut(&queue);
	assert_string_equal(waiting(&queue), "ine\n");
	assert_int_equal(arena.filling->refs, 1);
	queue_clear(&queue);
}

TEST(the_weight_counts_what_waits_and_each_span)
{
	struct queue queue;

	queue_init(&queue);
	assert_int_equal(queue_weight(&queue), 0);
	push(&queue, "12345");
	assert_int_equal(queue_weight(&queue), 5 + QUEUE_SPAN);
	push(&queue, "678");
	assert_int_equal(queue_weight(&queue), 8 + QUEUE_SPAN);
	gap();
	push(&queue, "9");
	assert_int_equal(queue_weight(&queue), 9 + 2 * QUEUE_SPAN);
	queue_consume(&queue, 3);
	assert_int_equal(queue_weight(&queue), 6 + 2 * QUEUE_SPAN);
	queue_consume(&queue, 5);
	assert_int_equal(queue_weight(&queue), 1 + QUEUE_SPAN);
	queue_clear(&queue);
}

TEST(clearing_drops_every_reference_and_the_queue_serves_again)
{
	struct queue queue;

	queue_init(&queue);
	queue_clear(&queue);
	for (int i = 0; i < 50; i++) {
		push(&queue, "x\n");
		gap();
	}
	queue_consume(&queue, 5);
	queue_clear(&queue);
	assert_true(queue_empty(&queue));
	assert_int_equal(arena.filling->refs, 0);
	push(&queue, "again\n");
	assert_string_equal(waiting(&queue), "again\n");
	queue_clear(&queue);
}

/* Against a plain string, with the allocator refusing now and then. */
TEST(random_pushes_and_consumptions_agree_with_a_string)
{
	static char model[1 << 16];
	size_t len = 0;
	struct queue queue;
	bool place = true;

	random_start();
	queue_init(&queue);
	gap();
	for (int step = 0; step < 50000; step++) {
		uint32_t pushes = random_below(3), gone;

		if (random_below(20) == 0)
			seam_fail(SEAM_MEMORY, 0, random_below(5), ENOMEM);
		if (!place)
			place = queue_reserve(&queue, PLACES);
		if (random_below(3) == 0)
			seam_fail(SEAM_MEMORY, 0, 0, 0);
		if (random_below(4) == 0 && arena_reserve(&arena, 1, 1) == 1)
			gap();
		for (uint32_t i = 0; i < pushes && place && len < 2000; i++) {
			size_t size = 1 + random_below(20);
			struct msg msg;

			if (arena_reserve(&arena, size, size) < size)
				break;
			for (size_t k = 0; k < size; k++)
				arena_tail(&arena)[k] = (char)('a' + random_below(26));
			memcpy(model + len, arena_tail(&arena), size);
			len += size;
			msg = arena_take(&arena, size);
			queue_push(&queue, &msg);
			place = queue_reserve(&queue, PLACES);
		}
		gone = random_below((uint32_t)len + 1) / (1 + random_below(4));
		queue_consume(&queue, gone);
		len -= gone;
		memmove(model, model + gone, len);
		model[len] = '\0';
		assert_int_equal(queue_empty(&queue), len == 0);
		if (spans(&queue) <= 256)
			assert_string_equal(waiting(&queue), model);
		assert_true(arena.filling->refs <= spans(&queue));
	}
	queue_clear(&queue);
}

#define QUEUE_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    QUEUE_TEST(a_message_that_continues_the_last_one_extends_it),
	    QUEUE_TEST(a_message_after_a_gap_is_a_span_of_its_own),
	    QUEUE_TEST(a_message_of_another_buf_is_a_span_of_its_own),
	    QUEUE_TEST(a_message_in_two_queues_is_there_once_and_goes_with_the_second),
	    QUEUE_TEST(bytes_leave_from_the_front_one_by_one),
	    QUEUE_TEST(one_consumption_may_end_anywhere_in_any_span),
	    QUEUE_TEST(a_span_grows_on_while_its_front_has_left),
	    QUEUE_TEST(passes_of_two_spans_need_no_memory),
	    QUEUE_TEST(a_queue_that_is_never_empty_stays_as_large_as_its_backlog),
	    QUEUE_TEST(a_backlog_grows_and_keeps_its_order),
	    QUEUE_TEST(an_empty_queue_gives_back_what_a_backlog_needed),
	    QUEUE_TEST(a_push_after_which_there_are_no_places_says_so_and_loses_nothing),
	    QUEUE_TEST(the_places_of_a_pass_are_there_whatever_the_allocator_says),
	    QUEUE_TEST(a_full_queue_finds_places_when_spans_have_left),
	    QUEUE_TEST(reserved_places_are_not_asked_for_again),
	    QUEUE_TEST(as_many_places_as_are_asked_for_are_made_at_once),
	    QUEUE_TEST(no_more_spans_are_shown_than_there_is_room_for),
	    QUEUE_TEST(lag_counts_from_the_oldest_byte_that_waits),
	    QUEUE_TEST(a_cut_leaves_the_rest_of_the_line_that_has_begun_to_leave),
	    QUEUE_TEST(a_cut_leaves_the_rest_of_a_message_that_has_no_line_end),
	    QUEUE_TEST(a_backlog_of_many_spans_is_cut_too),
	    QUEUE_TEST(the_weight_counts_what_waits_and_each_span),
	    QUEUE_TEST(clearing_drops_every_reference_and_the_queue_serves_again),
	    QUEUE_TEST(random_pushes_and_consumptions_agree_with_a_string),
	};

	return cmocka_run_group_tests_name("queue", tests, NULL, NULL);
}
