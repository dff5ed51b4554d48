#include "unit.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/addr.h"

static struct addr
parsed(const char *text, uint16_t port)
{
	struct addr addr;

	assert_int_equal(addr_parse_port(&addr, text, port), 0);
	return addr;
}

static void
expect_text(const struct addr *addr, const char *want)
{
	char text[ADDR_TEXT];

	assert_string_equal(addr_format(addr, text), want);
}

TEST(an_address_alone_gets_the_port_given)
{
	static const char *const cases[][2] = {
	    {"127.0.0.1", "127.0.0.1:9034"},
	    {"0.0.0.0", "0.0.0.0:9034"},
	    {"255.255.255.255", "255.255.255.255:9034"},
	    {"::", "[::]:9034"},
	    {"::1", "[::1]:9034"},
	    {"[::1]", "[::1]:9034"},
	    {"2001:db8::1", "[2001:db8::1]:9034"},
	    {"2001:0DB8:0:0:0:0:0:1", "[2001:db8::1]:9034"},
	    {"2001:db8::1:80", "[2001:db8::1:80]:9034"},
	};

	for (size_t i = 0; i < LENGTH(cases); i++) {
		struct addr addr = parsed(cases[i][0], 9034);

		expect_text(&addr, cases[i][1]);
	}
}

TEST(an_address_with_a_port_reads_back_as_it_is_written)
{
	static const char *const texts[] = {
	    "127.0.0.1:1",
	    "0.0.0.0:0",
	    "192.0.2.255:65535",
	    "[::]:0",
	    "[::1]:9034",
	    "[2001:db8::ffff]:65535",
	    "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535",
	};

	for (size_t i = 0; i < LENGTH(texts); i++) {
		struct addr addr = parsed(texts[i], 7);

		expect_text(&addr, texts[i]);
	}
}

TEST(whatever_is_no_address_is_refused)
{
	static const char *const texts[] = {
	    "",
	    ":",
	    ":80",
	    "[]:80",
	    "[",
	    "]",
	    "[:80",
	    "[::1",
	    "::1]:80",
	    "[::1]80",
	    "[127.0.0.1]",
	    "[[::1]]",
	    "[::1]:",
	    "[127.0.0.1]:80",
	    "localhost",
	    "localhost:80",
	    "127.0.0.1:",
	    "127.0.0.1:-1",
	    "127.0.0.1:+1",
	    "127.0.0.1: 1",
	    "127.0.0.1:1 ",
	    "127.0.0.1:0x50",
	    "127.0.0.1:65536",
	    "127.0.0.1:99999999999999999999",
	    "127.0.0.1:80:80",
	    "127.0.0.1 ",
	    " 127.0.0.1",
	    "127.0.0",
	    "127.0.0.256",
	    "127.0.0.1.1",
	    "127.0.0.1/8",
	    "127.0.0.1%lo",
	    "1::2::3",
	    "12345::1",
	    "::g",
	    "1:2:3:4:5:6:7",
	    "1:2:3:4:5:6:7:8:9",
	    "fe80::1%no-such-device",
	    "fe80::1%",
	};

	for (size_t i = 0; i < LENGTH(texts); i++) {
		struct addr addr;

		if (addr_parse_port(&addr, texts[i], 9034) != -1)
			assert_string_equal(texts[i], "refused");
	}
}

TEST(an_interface_that_is_not_there_is_told_from_a_text_that_is_no_address)
{
	static const char *const gone[] = {
	    "fe80::1%nope0", "[fe80::1%nope0]:80", "[fe80::1%nope0]"};
	static const char *const wrong[] = {"fe80::1%", "fe80::1%nope0:80", "fe80::1%a/b",
	    "fe80::1%a name", "fe80::1%longer-than-any-name", "::ffff:127.0.0.1%nope0", "nope0",
	    "127.0.0.1:65536"};
	struct addr addr;

	for (size_t i = 0; i < LENGTH(gone); i++) {
		errno = 0;
		assert_int_equal(addr_parse_port(&addr, gone[i], 1), -1);
		assert_int_equal(errno, ENODEV);
	}
	for (size_t i = 0; i < LENGTH(wrong); i++) {
		errno = 0;
		assert_int_equal(addr_parse_port(&addr, wrong[i], 1), -1);
		assert_int_equal(errno, EINVAL);
	}
}

TEST(a_host_is_written_without_its_port_and_with_its_interface_by_name)
{
	struct addr v4 = parsed("192.0.2.1:80", 0), v6 = parsed("[2001:db8::1]:80", 0);
	struct addr lo = parsed("fe80::1%lo", 80), far = lo;
	char text[ADDR_TEXT];

	far.scope = UINT32_MAX;
	assert_string_equal(addr_format_host(&v4, text), "192.0.2.1");
	assert_string_equal(addr_format_host(&v6, text), "2001:db8::1");
	assert_string_equal(addr_format_host(&lo, text), "fe80::1%lo");
	assert_string_equal(addr_format_host(&far, text), "fe80::1%4294967295");
}

TEST(addresses_of_a_kind_are_known_up_to_their_ends)
{
	static const struct {
		const char *text;
		bool any, link_local, multicast;
	} cases[] = {
	    {"0.0.0.0", true, false, false},
	    {"0.0.0.1", false, false, false},
	    {"::", true, false, false},
	    {"::1", false, false, false},
	    {"fe7f::1", false, false, false},
	    {"fe80::1", false, true, false},
	    {"febf::1", false, true, false},
	    {"fec0::1", false, false, false},
	    {"169.254.0.1", false, false, false},
	    {"254.128.0.1", false, false, false},
	    {"223.255.255.255", false, false, false},
	    {"224.0.0.0", false, false, true},
	    {"239.255.255.255", false, false, true},
	    {"240.0.0.0", false, false, false},
	    {"feff::1", false, false, false},
	    {"ff00::", false, false, true},
	};

	for (size_t i = 0; i < LENGTH(cases); i++) {
		struct addr addr = parsed(cases[i].text, 0);

		assert_int_equal(addr_is_any(&addr), cases[i].any);
		assert_int_equal(addr_is_link_local(&addr), cases[i].link_local);
		assert_int_equal(addr_is_multicast(&addr), cases[i].multicast);
	}
}

TEST(a_text_of_any_length_is_read_within_bounds)
{
	char text[400];

	for (size_t len = 1; len < sizeof(text); len++) {
		struct addr addr;

		memset(text, '1', len);
		text[len] = '\0';
		assert_int_equal(addr_parse_port(&addr, text, 1), -1);
		text[len - 1] = ':';
		assert_int_equal(addr_parse_port(&addr, text, 1), -1);
		memset(text, '[', len);
		assert_int_equal(addr_parse_port(&addr, text, 1), -1);
		text[len - 1] = ']';
		assert_int_equal(addr_parse_port(&addr, text, 1), -1);
		memset(text, ':', len);
		assert_int_equal(addr_parse_port(&addr, text, 1), len == 2 ? 0 : -1);
	}
}

TEST(an_ipv4_address_mapped_into_ipv6_is_the_ipv4_address)
{
	struct addr plain = parsed("192.0.2.1", 1), mapped = parsed("::ffff:192.0.2.1", 2);
	struct addr hex = parsed("[::ffff:c000:201]:3", 0), other = parsed("::192.0.2.1", 1);

	expect_text(&mapped, "192.0.2.1:2");
	expect_text(&hex, "192.0.2.1:3");
	assert_int_equal(addr_size(&mapped), 4);
	assert_true(addr_same_host(&plain, &mapped));
	assert_true(addr_same_host(&plain, &hex));
	/* The old compatible form is IPv6 and nothing else. */
	assert_int_equal(other.family, AF_INET6);
	assert_false(addr_same_host(&plain, &other));
}

TEST(one_host_is_known_whatever_its_port)
{
	struct addr a = parsed("192.0.2.1", 1), b = parsed("192.0.2.1", 2);
	struct addr c = parsed("192.0.2.2", 1), d = parsed("2001:db8::1", 1);
	struct addr e = parsed("2001:db8::1", 9), f = parsed("2001:db8::2", 1);

	assert_true(addr_same_host(&a, &b));
	assert_false(addr_same_host(&a, &c));
	assert_false(addr_same_host(&a, &d));
	assert_true(addr_same_host(&d, &e));
	assert_false(addr_same_host(&d, &f));
}

TEST(an_ipv6_network_is_the_first_64_bits_and_an_ipv4_one_the_whole_address)
{
	struct addr a = parsed("2001:db8:0:7::1", 1), b = parsed("2001:db8:0:7:ffff::2", 2);
	struct addr c = parsed("2001:db8:0:6:ffff::1", 1), d = parsed("192.0.2.1", 1);
	struct addr e = parsed("192.0.2.1", 2), f = parsed("192.0.2.0", 1), scoped = a;

	assert_true(addr_same_network(&a, &b));
	assert_false(addr_same_network(&a, &c));
	assert_true(addr_same_network(&d, &e));
	assert_false(addr_same_network(&d, &f));
	assert_false(addr_same_network(&a, &d));
	scoped.scope = 1;
	assert_false(addr_same_network(&a, &scoped));
}

TEST(clients_on_unix_sockets_are_never_one_host)
{
	struct addr a = {.family = AF_UNIX, .peer = {.pid = 1, .uid = 2}};

	assert_false(addr_same_host(&a, &a));
	assert_false(addr_same_network(&a, &a));
}

TEST(a_link_local_address_belongs_to_its_interface)
{
	struct addr lo, bare, other;

	assert_int_equal(addr_parse(&lo, "fe80::1%lo"), 0);
	assert_int_equal(addr_parse(&bare, "fe80::1"), 0);
	assert_int_equal(lo.scope, if_nametoindex("lo"));
	assert_int_equal(bare.scope, 0);
	other = lo;
	other.scope++;
	assert_true(addr_same_host(&lo, &lo));
	assert_false(addr_same_host(&lo, &bare));
	assert_false(addr_same_host(&lo, &other));
}

TEST(a_scope_reads_back_as_it_is_written)
{
	struct addr lo, back;
	char text[ADDR_TEXT];

	assert_int_equal(addr_parse_port(&lo, "[fe80::1%lo]:9034", 0), 0);
	addr_format(&lo, text);
	assert_int_equal(addr_parse_port(&back, text, 0), 0);
	assert_true(addr_same_host(&lo, &back));
	assert_int_equal(back.port, 9034);
}

TEST(the_longest_text_fits)
{
	struct addr addr = parsed("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 65535);
	struct addr peer = {.family = AF_UNIX, .peer = {.pid = INT32_MIN, .uid = INT32_MIN}};
	char text[ADDR_TEXT];

	addr.scope = UINT32_MAX;
	expect_text(&addr, "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff%4294967295]:65535");
	addr_format(&peer, text);
	assert_true(strlen(text) < ADDR_TEXT - 1);
	assert_int_equal(text[strlen(text) - 1], ')');
}

TEST(a_socket_address_goes_both_ways)
{
	static const char *const texts[] = {"192.0.2.1:80", "[2001:db8::1]:443", "[::]:65535"};

	for (size_t i = 0; i < LENGTH(texts); i++) {
		struct addr addr = parsed(texts[i], 0), back;
		struct sockaddr_storage sa;
		socklen_t len = addr_to_sockaddr(&addr, &sa);

		assert_int_equal(len, addr.family == AF_INET ? sizeof(struct sockaddr_in)
							     : sizeof(struct sockaddr_in6));
		addr_from_peer(&back, &sa, -1);
		expect_text(&back, texts[i]);
		assert_true(addr_same_host(&addr, &back));
	}
}

TEST(the_scope_of_a_peer_is_kept)
{
	struct sockaddr_storage sa = {0};
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&sa;
	struct addr addr;

	in6->sin6_family = AF_INET6;
	in6->sin6_scope_id = 7;
	in6->sin6_port = htons(9);
	inet_pton(AF_INET6, "fe80::2", &in6->sin6_addr);
	addr_from_peer(&addr, &sa, -1);
	expect_text(&addr, "[fe80::2%7]:9");
	assert_int_equal(addr_to_sockaddr(&addr, &sa), sizeof(*in6));
	assert_int_equal(in6->sin6_scope_id, 7);
}

TEST(a_mapped_peer_is_an_ipv4_peer)
{
	struct sockaddr_storage sa = {0};
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&sa;
	struct addr addr;

	in6->sin6_family = AF_INET6;
	in6->sin6_port = htons(4242);
	inet_pton(AF_INET6, "::ffff:127.0.0.1", &in6->sin6_addr);
	addr_from_peer(&addr, &sa, -1);
	expect_text(&addr, "127.0.0.1:4242");
}

TEST(a_peer_on_a_unix_socket_is_known_by_process_and_user)
{
	struct sockaddr_storage sa = {.ss_family = AF_UNIX};
	char want[ADDR_TEXT];
	struct addr addr;
	int pair[2];

	make_pair(pair);
	addr_from_peer(&addr, &sa, pair[0]);
	snprintf(want, sizeof(want), "unix(pid %d, uid %d)", (int)getpid(), (int)getuid());
	expect_text(&addr, want);
	close(pair[0]);
	close(pair[1]);
}

TEST(an_endpoint_is_its_path_or_its_address_and_port)
{
	struct endpoint tcp = {.addr = parsed("[::1]:9034", 0)}, path = {.path = "/run/chat"};
	char text[ADDR_TEXT];

	assert_string_equal(endpoint_format(&tcp, text), "[::1]:9034");
	assert_string_equal(endpoint_format(&path, text), "/run/chat");
}

TEST(endpoints_are_the_same_only_when_every_part_is)
{
	struct endpoint a = {.addr = parsed("[::]:9034", 0)}, b = a, path = {.path = "/run/a"};
	struct endpoint other = {.path = "/run/b"}, same = {.path = "/run/a"};

	assert_true(endpoint_same(&a, &b));
	b.addr.port = 9035;
	assert_false(endpoint_same(&a, &b));
	b = a;
	b.v6only = true;
	assert_false(endpoint_same(&a, &b));
	b = a;
	b.addr = parsed("0.0.0.0:9034", 0);
	assert_false(endpoint_same(&a, &b));
	assert_true(endpoint_same(&path, &same));
	assert_false(endpoint_same(&path, &other));
	assert_false(endpoint_same(&path, &a));
	assert_false(endpoint_same(&a, &path));
}

TEST(random_addresses_read_back_as_they_are_written)
{
	random_start();
	for (int round = 0; round < 20000; round++) {
		struct addr addr = {.family = random_below(2) == 0 ? AF_INET : AF_INET6}, back;
		char text[ADDR_TEXT];

		/* Many zeros, so that "::" stands everywhere it can. */
		for (int i = 0; i < addr_size(&addr); i++)
			addr.ip[i] = (uint8_t)(random_below(2) == 0 ? 0 : random_below(256));
		addr.port = (uint16_t)random_below(65536);
		addr_format(&addr, text);
		assert_int_equal(addr_parse_port(&back, text, 0), 0);
		assert_int_equal(back.port, addr.port);
		assert_memory_equal(back.ip, addr.ip, (size_t)addr_size(&addr));
		assert_true(addr_same_host(&addr, &back));
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(an_address_alone_gets_the_port_given),
	    cmocka_unit_test(an_address_with_a_port_reads_back_as_it_is_written),
	    cmocka_unit_test(whatever_is_no_address_is_refused),
	    cmocka_unit_test(an_interface_that_is_not_there_is_told_from_a_text_that_is_no_address),
	    cmocka_unit_test(a_host_is_written_without_its_port_and_with_its_interface_by_name),
	    cmocka_unit_test(addresses_of_a_kind_are_known_up_to_their_ends),
	    cmocka_unit_test(a_text_of_any_length_is_read_within_bounds),
	    cmocka_unit_test(an_ipv4_address_mapped_into_ipv6_is_the_ipv4_address),
	    cmocka_unit_test(one_host_is_known_whatever_its_port),
	    cmocka_unit_test(
		an_ipv6_network_is_the_first_64_bits_and_an_ipv4_one_the_whole_address),
	    cmocka_unit_test(clients_on_unix_sockets_are_never_one_host),
	    cmocka_unit_test(a_link_local_address_belongs_to_its_interface),
	    cmocka_unit_test(a_scope_reads_back_as_it_is_written),
	    cmocka_unit_test(the_longest_text_fits),
	    cmocka_unit_test(a_socket_address_goes_both_ways),
	    cmocka_unit_test(the_scope_of_a_peer_is_kept),
	    cmocka_unit_test(a_mapped_peer_is_an_ipv4_peer),
	    cmocka_unit_test(a_peer_on_a_unix_socket_is_known_by_process_and_user),
	    cmocka_unit_test(an_endpoint_is_its_path_or_its_address_and_port),
	    cmocka_unit_test(endpoints_are_the_same_only_when_every_part_is),
	    cmocka_unit_test(random_addresses_read_back_as_they_are_written),
	};

	return cmocka_run_group_tests_name("addr", tests, NULL, NULL);
}
