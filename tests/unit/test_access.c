#include "unit.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "conf/access.h"
#include "seam.h"

static struct addr
host(const char *text)
{
	struct addr addr;

	assert_int_equal(addr_parse(&addr, text), 0);
	addr.port = 4242;
	return addr;
}

static bool
allows(const struct access *access, const char *text)
{
	struct addr addr = host(text);

	return access_allows(access, &addr);
}

/* Rules of one kind, the last one NULL. */
static struct access *
rules(enum access_list list, const char *const *networks)
{
	struct access *access = access_new();

	assert_non_null(access);
	for (; *networks != NULL; networks++)
		assert_true(access_add(access, list, *networks) >= 0);
	access_sort(access);
	return access;
}

#define ALLOW(...) rules(ACCESS_ALLOW, (const char *const[]){__VA_ARGS__, NULL})
#define DENY(...)  rules(ACCESS_DENY, (const char *const[]){__VA_ARGS__, NULL})

TEST(without_a_rule_everyone_may_come_in)
{
	struct access *access = access_new();

	assert_true(allows(access, "192.0.2.1"));
	assert_true(allows(access, "2001:db8::1"));
	access_free(access);
	access_free(NULL);
}

TEST(with_an_allow_rule_nobody_else_may)
{
	struct access *access = ALLOW("192.0.2.1", "2001:db8::/32");

	assert_true(allows(access, "192.0.2.1"));
	assert_false(allows(access, "192.0.2.2"));
	assert_true(allows(access, "2001:db8:ffff::1"));
	assert_false(allows(access, "2001:db9::1"));
	access_free(access);
}

TEST(with_only_deny_rules_everyone_else_may)
{
	struct access *access = DENY("192.0.2.1", "2001:db8::/32");

	assert_false(allows(access, "192.0.2.1"));
	assert_true(allows(access, "192.0.2.2"));
	assert_false(allows(access, "2001:db8:ffff::1"));
	assert_true(allows(access, "2001:db9::1"));
	access_free(access);
}

TEST(deny_wins_over_allow_whichever_is_narrower)
{
	struct access *access = ALLOW("10.0.0.0/8", "10.1.2.3");

	assert_int_equal(access_add(access, ACCESS_DENY, "10.1.0.0/16"), 0);
	access_sort(access);
	assert_true(allows(access, "10.0.0.1"));
	assert_false(allows(access, "10.1.2.4"));
	assert_false(allows(access, "10.1.2.3"));
	assert_true(allows(access, "10.2.0.1"));
	access_free(access);
}

/* The first and the last address of a network, and those just before and after it. */
TEST(a_network_ends_exactly_where_its_prefix_says)
{
	static const struct {
		const char *network, *first, *last, *before, *after;
	} cases[] = {
	    {"192.0.2.1/32", "192.0.2.1", "192.0.2.1", "192.0.2.0", "192.0.2.2"},
	    {"192.0.2.2/31", "192.0.2.2", "192.0.2.3", "192.0.2.1", "192.0.2.4"},
	    {"192.0.2.128/25", "192.0.2.128", "192.0.2.255", "192.0.2.127", "192.0.3.0"},
	    {"192.0.2.0/24", "192.0.2.0", "192.0.2.255", "192.0.1.255", "192.0.3.0"},
	    {"192.0.2.0/23", "192.0.2.0", "192.0.3.255", "192.0.1.255", "192.0.4.0"},
	    {"172.16.0.0/12", "172.16.0.0", "172.31.255.255", "172.15.255.255", "172.32.0.0"},
	    {"100.64.0.0/10", "100.64.0.0", "100.127.255.255", "100.63.255.255", "100.128.0.0"},
	    {"10.0.0.0/8", "10.0.0.0", "10.255.255.255", "9.255.255.255", "11.0.0.0"},
	    {"2.0.0.0/7", "2.0.0.0", "3.255.255.255", "1.255.255.255", "4.0.0.0"},
	    {"128.0.0.0/1", "128.0.0.0", "255.255.255.255", "127.255.255.255", NULL},
	    {"2001:db8::1/128", "2001:db8::1", "2001:db8::1", "2001:db8::", "2001:db8::2"},
	    {"2001:db8::2/127", "2001:db8::2", "2001:db8::3", "2001:db8::1", "2001:db8::4"},
	    {"2001:db8::/64", "2001:db8::", "2001:db8::ffff:ffff:ffff:ffff",
		"2001:db7:ffff:ffff:ffff:ffff:ffff:ffff", "2001:db8:0:1::"},
	    {"2001:db8::/33", "2001:db8::", "2001:db8:7fff:ffff:ffff:ffff:ffff:ffff",
		"2001:db7:ffff::", "2001:db8:8000::"},
	    {"fe80::/10", "fe80::", "febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
		"fe7f:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "fec0::"},
	    {"fc00::/7", "fc00::", "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
		"fbff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "fe00::"},
	    {"8000::/1", "8000::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
		"7fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", NULL},
	};

	for (size_t i = 0; i < LENGTH(cases); i++) {
		struct access *access = ALLOW(cases[i].network);

		if (!allows(access, cases[i].first) || !allows(access, cases[i].last) ||
		    allows(access, cases[i].before) ||
		    (cases[i].after != NULL && allows(access, cases[i].after)))
			assert_string_equal(cases[i].network, "kept");
		access_free(access);
	}
}

TEST(a_prefix_of_0_is_everyone_of_its_family_and_nobody_of_the_other)
{
	struct access *v4 = ALLOW("0.0.0.0/0"), *v6 = ALLOW("::/0");

	assert_true(allows(v4, "0.0.0.0"));
	assert_true(allows(v4, "255.255.255.255"));
	assert_false(allows(v4, "::1"));
	assert_true(allows(v6, "::"));
	assert_true(allows(v6, "ffff::1"));
	assert_false(allows(v6, "127.0.0.1"));
	access_free(v4);
	access_free(v6);
}

TEST(bits_past_the_prefix_do_not_matter)
{
	struct access *access = ALLOW("10.99.88.77/8", "2001:db8:aaaa::5/32");

	assert_true(allows(access, "10.1.1.1"));
	assert_true(allows(access, "2001:db8:bbbb::6"));
	access_free(access);
}

TEST(a_mapped_network_is_the_ipv4_network)
{
	struct access *access = ALLOW("::ffff:10.0.0.0/104", "::ffff:192.0.2.1");

	assert_true(allows(access, "10.255.255.255"));
	assert_false(allows(access, "11.0.0.0"));
	assert_true(allows(access, "192.0.2.1"));
	assert_true(allows(access, "::ffff:192.0.2.1"));
	assert_false(allows(access, "192.0.2.2"));
	access_free(access);
	access = ALLOW("::ffff:0.0.0.0/96");
	assert_true(allows(access, "255.255.255.255"));
	assert_false(allows(access, "::1"));
	access_free(access);
}

TEST(a_mapped_client_meets_the_ipv4_rules)
{
	struct access *access = DENY("192.0.2.0/24");

	assert_false(allows(access, "::ffff:192.0.2.9"));
	assert_true(allows(access, "::ffff:192.0.3.9"));
	access_free(access);
}

TEST(a_rule_with_an_interface_means_that_interface_only)
{
	struct access *access = ALLOW("fe80::1%lo");
	struct addr addr = host("fe80::1%lo");

	assert_true(access_allows(access, &addr));
	addr.scope++;
	assert_false(access_allows(access, &addr));
	addr.scope = 0;
	assert_false(access_allows(access, &addr));
	access_free(access);
}

TEST(a_rule_without_an_interface_means_every_one)
{
	struct access *access = ALLOW("fe80::/10");

	assert_true(allows(access, "fe80::1%lo"));
	assert_true(allows(access, "fe80::1"));
	access_free(access);
}

TEST(clients_on_unix_sockets_are_not_asked)
{
	struct access *access = ALLOW("192.0.2.1");
	struct addr addr = {.family = AF_UNIX, .peer = {.pid = 1, .uid = 2}};

	assert_int_equal(access_add(access, ACCESS_DENY, "0.0.0.0/0"), 0);
	assert_int_equal(access_add(access, ACCESS_DENY, "::/0"), 0);
	access_sort(access);
	assert_true(access_allows(access, &addr));
	access_free(access);
}

TEST(whatever_is_no_network_is_refused)
{
	static const char *const texts[] = {
	    "",
	    "/",
	    "/8",
	    "localhost",
	    "10",
	    "10.0.0.0/",
	    "10.0.0.0/33",
	    "10.0.0.0/-1",
	    "10.0.0.0/+8",
	    "10.0.0.0/ 8",
	    "10.0.0.0/8 ",
	    "10.0.0.0/8/8",
	    "10.0.0.0/255.0.0.0",
	    "10.0.0.0/99999999999999999999",
	    "10.0.0.0 /8",
	    "10.0.0/8",
	    "10.0.0.256",
	    "10.0.0.1:80",
	    "::/129",
	    "::/-1",
	    "[::1]",
	    "::ffff:10.0.0.0/129",
	    "::ffff:10.0.0.0/95",
	    "fe80::%lo%lo/10",
	    "1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa:bbbb:cccc:dddd:eeee:ffff:0000/128",
	};
	struct access *access = access_new();

	for (size_t i = 0; i < LENGTH(texts); i++) {
		errno = 0;
		if (access_add(access, ACCESS_ALLOW, texts[i]) != -1 || errno != EINVAL)
			assert_string_equal(texts[i], "refused");
	}
	/* And has left no rule behind. */
	access_sort(access);
	assert_true(allows(access, "203.0.113.1"));
	access_free(access);
}

TEST(networks_within_others_and_beside_them_are_found)
{
	struct access *access = ALLOW("10.1.2.3", "10.0.0.0/8", "10.200.0.0/16", "10.0.0.0/24",
	    "9.255.255.255", "11.0.0.0/31", "10.0.0.0/8", "10.255.255.255");

	assert_true(allows(access, "10.1.2.3"));
	assert_true(allows(access, "10.1.2.4"));
	assert_true(allows(access, "10.255.255.255"));
	assert_true(allows(access, "10.200.0.1"));
	assert_true(allows(access, "9.255.255.255"));
	assert_false(allows(access, "9.255.255.254"));
	assert_true(allows(access, "11.0.0.1"));
	assert_false(allows(access, "11.0.0.2"));
	access_free(access);
}

/* A network of one interface neither hides nor widens one of every interface. */
TEST(networks_with_and_without_an_interface_stand_beside_each_other)
{
	struct access *access = DENY("fe80::%lo/64", "fe80::1", "fe80::2:0/112", "fe80::1:5%lo");
	struct addr lo = host("fe80::9%lo"), other = host("fe80::9"), one = host("fe80::1");

	other.scope = one.scope = lo.scope + 1;
	assert_false(access_allows(access, &lo));
	assert_true(access_allows(access, &other));
	assert_false(access_allows(access, &one));
	one.scope = lo.scope;
	assert_false(access_allows(access, &one));
	assert_false(allows(access, "fe80::2:9"));
	assert_true(allows(access, "fe80::3:9"));
	access_free(access);
}

TEST(forty_thousand_networks_are_searched_not_walked)
{
	struct access *access = access_new();
	struct addr addr;
	char text[32];

	for (unsigned i = 0; i < 40000; i++) {
		snprintf(text, sizeof(text), "10.%u.%u.%u/31", (i * 7) % 160, i / 160, i % 64 * 4);
		assert_int_equal(access_add(access, ACCESS_DENY, text), 0);
	}
	access_sort(access);
	addr = host("192.0.2.1");
	/* Walked through, these would take a minute. */
	for (unsigned i = 0; i < 1000000; i++) {
		addr.ip[2] = (uint8_t)i;
		assert_true(access_allows(access, &addr));
	}
	assert_false(allows(access, "10.7.0.5"));
	assert_true(allows(access, "10.7.0.6"));
	access_free(access);
}

TEST(an_interface_that_is_not_there_is_another_fault)
{
	struct access *access = access_new();

	assert_int_equal(access_add(access, ACCESS_ALLOW, "fe80::1%nope0"), -1);
	assert_int_equal(errno, ENODEV);
	assert_int_equal(access_add(access, ACCESS_ALLOW, "fe80::%nope0/10"), -1);
	assert_int_equal(errno, ENODEV);
	assert_int_equal(access_count(access, ACCESS_ALLOW), 0);
	access_free(access);
}

TEST(a_network_is_written_by_its_first_address)
{
	static const char *const cases[][2] = {{"10.1.2.3/8", "10.0.0.0/8"},
	    {"192.0.2.1", "192.0.2.1"}, {"192.0.2.1/32", "192.0.2.1"}, {"0.0.0.0/0", "0.0.0.0/0"},
	    {"2001:db8::1/127", "2001:db8::/127"}, {"::1/128", "::1"},
	    {"fe80::1%lo/64", "fe80::%lo/64"}, {"fe80::1%lo", "fe80::1%lo"},
	    {"::ffff:10.9.9.9/104", "10.0.0.0/8"}};
	char text[ACCESS_TEXT];

	for (size_t i = 0; i < LENGTH(cases); i++) {
		struct access *access = access_new();

		assert_true(access_add(access, ACCESS_DENY, cases[i][0]) >= 0);
		assert_int_equal(access_count(access, ACCESS_DENY), 1);
		assert_string_equal(access_format(access, ACCESS_DENY, 0, text), cases[i][1]);
		access_free(access);
	}
}

TEST(a_list_can_be_forgotten)
{
	struct access *access = ALLOW("10.0.0.0/8");

	assert_int_equal(access_add(access, ACCESS_DENY, "10.0.0.1"), 0);
	access_clear(access, ACCESS_ALLOW);
	access_sort(access);
	assert_true(allows(access, "192.0.2.1"));
	assert_false(allows(access, "10.0.0.1"));
	assert_int_equal(access_add(access, ACCESS_ALLOW, "10.0.0.2"), 0);
	access_sort(access);
	assert_false(allows(access, "192.0.2.1"));
	access_free(access);
}

TEST(refused_memory_keeps_the_rules_that_are_there)
{
	struct access *access = ALLOW("10.0.0.0/8");

	seam_fail(SEAM_MEMORY, 0, 1, ENOMEM);
	assert_int_equal(access_add(access, ACCESS_ALLOW, "192.0.2.0/24"), -1);
	assert_int_equal(errno, ENOMEM);
	access_sort(access);
	assert_true(allows(access, "10.0.0.1"));
	assert_false(allows(access, "192.0.2.1"));
	access_free(access);
	seam_fail(SEAM_MEMORY, 0, 1, ENOMEM);
	assert_null(access_new());
}

/* Bit by bit. */
static bool
naive_match(const struct addr *network, int bits, const struct addr *addr)
{
	if (network->family != addr->family)
		return false;
	for (int i = 0; i < bits; i++)
		if ((network->ip[i / 8] >> (7 - i % 8) & 1) != (addr->ip[i / 8] >> (7 - i % 8) & 1))
			return false;
	return true;
}

static struct addr
random_addr(void)
{
	struct addr addr = {.family = random_below(2) == 0 ? AF_INET : AF_INET6};

	/* Few values, so that addresses often meet. */
	for (int i = 0; i < addr_size(&addr); i++)
		addr.ip[i] = (uint8_t)(random_below(8) == 0 ? random_below(256) : 0x20);
	return addr;
}

TEST(random_rules_agree_with_a_comparison_bit_by_bit)
{
	random_start();
	for (int round = 0; round < 3000; round++) {
		struct access *access = access_new();
		struct {
			struct addr network;
			int bits;
			enum access_list list;
		} model[12];
		size_t count = random_below(LENGTH(model) + 1), n_allow = 0;

		for (size_t i = 0; i < count; i++) {
			char text[ADDR_TEXT], rule[ADDR_TEXT + 8];
			struct addr *network = &model[i].network;

			*network = random_addr();
			model[i].bits = (int)random_below((uint32_t)addr_size(network) * 8 + 1);
			model[i].list = random_below(2) == 0 ? ACCESS_ALLOW : ACCESS_DENY;
			n_allow += model[i].list == ACCESS_ALLOW;
			addr_format(network, text);
			/* "[address]:0" or "address:0" without its port. */
			*strrchr(text, ':') = '\0';
			text[strcspn(text, "]")] = '\0';
			snprintf(
			    rule, sizeof(rule), "%s/%d", text + (text[0] == '['), model[i].bits);
			assert_true(access_add(access, model[i].list, rule) >= 0);
		}
		access_sort(access);
		for (int probe = 0; probe < 20; probe++) {
			struct addr addr = random_addr();
			bool want = n_allow == 0;

			for (size_t i = 0; i < count; i++)
				want |= model[i].list == ACCESS_ALLOW &&
					naive_match(&model[i].network, model[i].bits, &addr);
			for (size_t i = 0; i < count; i++)
				want &= model[i].list == ACCESS_ALLOW ||
					!naive_match(&model[i].network, model[i].bits, &addr);
			assert_int_equal(access_allows(access, &addr), want);
		}
		access_free(access);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(without_a_rule_everyone_may_come_in),
	    cmocka_unit_test(with_an_allow_rule_nobody_else_may),
	    cmocka_unit_test(with_only_deny_rules_everyone_else_may),
	    cmocka_unit_test(deny_wins_over_allow_whichever_is_narrower),
	    cmocka_unit_test(a_network_ends_exactly_where_its_prefix_says),
	    cmocka_unit_test(a_prefix_of_0_is_everyone_of_its_family_and_nobody_of_the_other),
	    cmocka_unit_test(bits_past_the_prefix_do_not_matter),
	    cmocka_unit_test(a_mapped_network_is_the_ipv4_network),
	    cmocka_unit_test(a_mapped_client_meets_the_ipv4_rules),
	    cmocka_unit_test(a_rule_with_an_interface_means_that_interface_only),
	    cmocka_unit_test(a_rule_without_an_interface_means_every_one),
	    cmocka_unit_test(clients_on_unix_sockets_are_not_asked),
	    cmocka_unit_test(whatever_is_no_network_is_refused),
	    cmocka_unit_test(networks_within_others_and_beside_them_are_found),
	    cmocka_unit_test(networks_with_and_without_an_interface_stand_beside_each_other),
	    cmocka_unit_test(forty_thousand_networks_are_searched_not_walked),
	    cmocka_unit_test(an_interface_that_is_not_there_is_another_fault),
	    cmocka_unit_test(a_network_is_written_by_its_first_address),
	    cmocka_unit_test(a_list_can_be_forgotten),
	    cmocka_unit_test_teardown(refused_memory_keeps_the_rules_that_are_there, seam_teardown),
	    cmocka_unit_test(random_rules_agree_with_a_comparison_bit_by_bit),
	};

	return cmocka_run_group_tests_name("access", tests, NULL, NULL);
}
