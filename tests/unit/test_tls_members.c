/* Members that speak TLS: what is pending, what blocks, how they leave. */
#include "unit.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "seam.h"
#include "tls_party.h"

static struct loop_class *const class = &party.chat.pool.class;

/* Reading */

TEST(one_record_of_many_lines_is_read_in_many_passes)
{
	struct guest *plain = party_join(NULL), *secure;
	char record[16001] = "";
	int passes = 0;

	tls_party_configure("limits = { queue = 1024; };");
	secure = tls_party_join(TLS1_3_VERSION);
	for (int i = 0; i < 1000; i++)
		strcpy(record + 16 * i, i % 7 == 0 ? "the seventh one\n" : "another of them\n");
	tls_party_say(secure, record);
	while (party_pass())
		assert_true(++passes < 1000);
	assert_true(passes > 5);
	party_expect(plain, record);
	assert_false(fdset_has(&class->pending, secure->sd));
}

/* Each pass of a held pool would find it pending, and read nothing. */
TEST(while_the_pool_is_held_a_pending_client_does_not_spin)
{
	struct guest *secure, *slow = party_join(NULL);

	tls_party_configure("limits = { queue = 2000; };");
	secure = tls_party_join(TLS1_3_VERSION);
	stuff(slow->sd);
	for (int i = 0; i < 8; i++)
		tls_party_say(secure, party_line('x', 1000));
	party_settle();
	assert_true(party_holds());
	assert_true(tls_party_tls(secure)->pending);
	assert_false(party_asks(secure));
	assert_false(party_pass());
	party_hears(slow, NULL);
	party_settle();
	assert_int_equal(strlen(party_hears(slow, NULL)), 8000);
}

TEST(a_pending_client_that_is_dismissed_in_the_same_pass_is_not_read)
{
	struct guest *first, *second;

	tls_party_configure("limits = { line = 100; queue = 1024; };");
	first = tls_party_join(TLS1_3_VERSION);
	second = tls_party_join(TLS1_3_VERSION);
	for (int i = 0; i < 3; i++)
		peer_say_bytes(tls_party_peer(second), party_letters(600), 600);
	peer_send(tls_party_peer(second));
	party_settle();
	tls_party_expect_last(second, "chatd: line too long, at most 100 bytes\n");
	assert_false(fdset_has(&class->pending, second->sd));
	tls_party_expect(first, "");
	/* Also by somebody else's doing. */
	peer_say_bytes(tls_party_peer(first), party_line('x', 50), 50);
	seam_pass_at(party.now);
	for (int i = 0; i < 20; i++)
		peer_say_bytes(tls_party_peer(first), party_line('x', 100), 100);
	peer_send(tls_party_peer(first));
	party_pass();
	assert_true(tls_party_tls(first)->pending);
	leaving_dismiss(&party.chat.leaving, party_conn(first), "enough", "enough");
	assert_false(fdset_has(&class->pending, first->sd));
	party_settle();
	tls_party_expect_last(first, "chatd: enough\n");
}

TEST(a_part_of_a_record_is_no_refusal)
{
	struct guest *guest = tls_party_join(TLS1_3_VERSION);
	struct peer *peer = tls_party_peer(guest);
	const char *byte;
	size_t len;

	peer_say(peer, "hello\n");
	while (byte = peer_take(peer, 1, &len), len == 1) {
		assert_int_equal(write(guest->fd, byte, 1), 1);
		party_pass();
		assert_int_equal(party_conn(guest)->refusals, 0);
	}
	assert_true(party_reading());
	assert_int_equal(party_conn(guest)->lines, 1);
}

TEST(the_rate_of_a_pending_client_is_limited_and_it_rests_without_spinning)
{
	struct guest *plain = party_join(NULL), *secure;

	tls_party_configure("limits = { rate = 10000; };");
	secure = tls_party_join(TLS1_3_VERSION);
	for (int i = 0; i < 150; i++)
		peer_say(tls_party_peer(secure), party_line('x', 1000));
	peer_send(tls_party_peer(secure));
	party_settle();
	assert_false(party_asks(secure));
	assert_true(strlen(party_hears(plain, NULL)) < 150000);
	assert_false(party_pass());
	party.now += 100 * CLOCK_SECOND;
	party_expire();
	party_settle();
	assert_true(strlen(party_hears(plain, NULL)) > 0);
}

/* What has to be written before it can be read */

/* A client that never takes the answers to its key updates. */
static void
block(const struct guest *guest)
{
	struct peer *peer = tls_party_peer(guest);

	seam_fail(SEAM_SEND, 0, SEAM_ALWAYS, EAGAIN);
	for (int i = 0; !conn_blocked(party_conn(guest)); i++) {
		assert_true(i < 1000);
		peer_update_keys(peer, TLS_REQUESTS);
		peer_send(peer);
		party_receive(guest);
	}
}

TEST(a_client_that_takes_no_answers_is_not_asked_until_it_does)
{
	struct guest *other = tls_party_join(TLS1_3_VERSION);
	struct guest *guest = tls_party_join(TLS1_3_VERSION);

	block(guest);
	assert_false(party_asks(guest));
	assert_true(fdset_has(&class->writers, guest->sd));
	/* Not even when all that were parked are asked again. */
	for (int i = 0; i < 2 * BACKOFF_REFUSALS; i++) {
		party.chat.pressure.parked = true;
		pressure_apply(&party.chat.pressure);
		party_receive(guest);
		assert_false(party_asks(guest));
		assert_true(party_reading()); /* it is no refusal either, for which all rest */
	}
	seam_reset();
	tls_party_say(guest, "at last\n");
	party_settle();
	assert_true(party_asks(guest));
	tls_party_expect(other, "at last\n");
	tls_party_expect(guest, ""); /* only answers, of which the socket is full */
	tls_party_say(other, "hello\n");
	party_settle();
	tls_party_expect(guest, "hello\n");
}

TEST(it_is_idle_all_the_same)
{
	struct guest *guest;

	tls_party_configure("limits = { idle = 60; };");
	guest = tls_party_join(TLS1_3_VERSION);
	block(guest);
	party.now += 60 * CLOCK_SECOND - 1;
	party_expire();
	assert_true(party_has(guest));
	party.now += 1;
	party_expire();
	assert_false(party_has(guest));
	assert_non_null(strstr(party_log(), "removed: idle for 60 seconds\n"));
}

TEST(a_client_that_updates_its_keys_too_often_is_told_so)
{
	struct guest *guest = tls_party_join(TLS1_3_VERSION);

	peer_update_keys(tls_party_peer(guest), TLS_REQUESTS);
	peer_send(tls_party_peer(guest));
	party_settle();
	assert_true(party_has(guest));
	peer_update_keys(tls_party_peer(guest), TLS_REQUESTS + 1);
	peer_send(tls_party_peer(guest));
	party_settle();
	tls_party_expect_last(guest, "chatd: TLS: too many key updates\n");
	assert_non_null(strstr(party_log(), "removed: TLS: too many key updates\n"));
}

/* Ends */

TEST(an_unfinished_line_counts_only_before_a_clean_end)
{
	for (int clean = 0; clean < 2; clean++) {
		struct guest *other = tls_party_join(TLS1_3_VERSION);
		struct guest *guest = tls_party_join(TLS1_3_VERSION);

		peer_say(tls_party_peer(guest), "whole\nunfinished");
		if (clean)
			peer_say_end(tls_party_peer(guest));
		peer_send(tls_party_peer(guest));
		shutdown(guest->fd, SHUT_WR);
		party_settle();
		tls_party_expect(other, clean ? "whole\nunfinished\n" : "whole\n");
		assert_false(party_has(guest));
	}
}

TEST(what_waits_for_a_client_that_has_closed_is_written_once_more)
{
	struct guest *guest = tls_party_join(TLS1_3_VERSION), *other = party_join(NULL);
	enum peer_end end;

	party_say(other, "the last thing it hears\n");
	party_read(other);
	shutdown(guest->fd, SHUT_WR);
	party_pass();
	party_settle();
	assert_string_equal(peer_hears(tls_party_peer(guest), &end), "the last thing it hears\n");
	assert_int_equal(end, PEER_CLOSED);
}

TEST(a_broken_record_ends_the_client_and_the_log_says_why)
{
	struct guest *guest = tls_party_join(TLS1_3_VERSION), *other = party_join(NULL);
	size_t len;

	tls_party_say(guest, "before\n");
	peer_say(tls_party_peer(guest), "broken\n");
	peer_take(tls_party_peer(guest), 3, &len);
	peer_send(tls_party_peer(guest));
	party_settle();
	party_expect(other, "before\n");
	assert_false(party_has(guest));
	assert_non_null(strstr(party_log(), "removed: TLS: "));
	peer_hears(tls_party_peer(guest), NULL);
	assert_true(peer_alert(tls_party_peer(guest))[0] != '\0');
	/* It is not waited for either. */
	party.now += LEAVING_TIME;
	party_expire();
	assert_false(is_open(guest->sd));
}

/* Nothing said that it is closed, so it would have been written to again and again. */
TEST(a_client_that_takes_nothing_any_more_leaves_without_a_refusal)
{
	struct guest *guest = tls_party_join(TLS1_3_VERSION), *other = party_join(NULL);

	party_say(other, "lost\n");
	party_read(other);
	seam_fail(SEAM_SEND, 0, SEAM_ALWAYS, EPIPE);
	party_write(guest);
	assert_int_equal(party_conn(guest)->life, CONN_WRITE_CLOSED);
	leaving_dismiss(&party.chat.leaving, party_conn(guest), "enough", "enough");
	assert_false(fdset_has(&party.chat.leaving.class.writers, guest->sd));
	for (int i = 0; i < 2 * BACKOFF_REFUSALS; i++)
		party_pass();
	assert_true(party_writing());
}

TEST(the_last_word_arrives_behind_a_record_that_has_begun_to_leave)
{
	struct guest *guest = tls_party_join(TLS1_3_VERSION), *other = party_join(NULL);
	char want[3100];

	party_speak(other, 3000);
	seam_shorten(1000);
	party_write(guest);
	party_say(other, "cut\n");
	party_read(other);
	leaving_dismiss(&party.chat.leaving, party_conn(guest), "enough", "enough");
	for (int i = 0; i < 10; i++)
		party_pass();
	seam_reset();
	party_settle();
	snprintf(want, sizeof(want), "%schatd: enough\n", party_line('x', 3000));
	tls_party_expect_last(guest, want);
}

TEST(when_the_server_ends_everybody_hears_all_and_the_end)
{
	struct guest *guest = tls_party_join(TLS1_2_VERSION), *other = party_join(NULL);

	party_say(other, "one\ntwo\n");
	party_read(other);
	seam_shorten(7);
	seam_pass_at(party.now);
	leaving_end_all(&party.chat.leaving, "the server ends");
	for (int i = 0; i < 100; i++)
		party_pass();
	tls_party_expect_last(guest, "one\ntwo\nchatd: the server ends\n");
}

TEST(a_plain_client_has_no_room_for_tls)
{
	assert_int_equal(sizeof(struct conn), sizeof(void *) == 8 ? 200 : sizeof(struct conn));
}

#define MEMBER_TEST(name) cmocka_unit_test_setup_teardown(name, tls_party_setup, tls_party_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    MEMBER_TEST(one_record_of_many_lines_is_read_in_many_passes),
	    MEMBER_TEST(while_the_pool_is_held_a_pending_client_does_not_spin),
	    MEMBER_TEST(a_pending_client_that_is_dismissed_in_the_same_pass_is_not_read),
	    MEMBER_TEST(a_part_of_a_record_is_no_refusal),
	    MEMBER_TEST(the_rate_of_a_pending_client_is_limited_and_it_rests_without_spinning),
	    MEMBER_TEST(a_client_that_takes_no_answers_is_not_asked_until_it_does),
	    MEMBER_TEST(it_is_idle_all_the_same),
	    MEMBER_TEST(a_client_that_updates_its_keys_too_often_is_told_so),
	    MEMBER_TEST(an_unfinished_line_counts_only_before_a_clean_end),
	    MEMBER_TEST(what_waits_for_a_client_that_has_closed_is_written_once_more),
	    MEMBER_TEST(a_broken_record_ends_the_client_and_the_log_says_why),
	    MEMBER_TEST(a_client_that_takes_nothing_any_more_leaves_without_a_refusal),
	    MEMBER_TEST(the_last_word_arrives_behind_a_record_that_has_begun_to_leave),
	    MEMBER_TEST(when_the_server_ends_everybody_hears_all_and_the_end),
	    MEMBER_TEST(a_plain_client_has_no_room_for_tls),
	};

	return cmocka_run_group_tests_name(
	    "tls_members", tests, tls_party_certs, tls_party_no_certs);
}
