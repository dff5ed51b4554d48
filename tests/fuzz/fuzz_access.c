/*
 * Access rules: access_add and access_allows against a model that compares bit by bit.
 *
 * Input: rules as text, each with its list and its length in front; a length of 0 ends them. What
 * is left are addresses that ask to come in.
 */
#include <arpa/inet.h>
#include <bsd/stdlib.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "conf/access.h"
#include "seam.h"
#include "target.h"

#define RULES 32

/* An address as 128 bits; IPv4 has its own kind, whether it came mapped or not. */
struct bits {
	bool v4;
	uint32_t scope;
	char bit[128];
};

struct model_rule {
	struct bits network;
	int count; /* of the bits that must agree */
	enum access_list list;
};

unsigned
sim_if_nametoindex(const char *name)
{
	return strcmp(name, "lo") == 0 ? 1 : strcmp(name, "eth0") == 0 ? 2 : 0;
}

static void
set_bits(struct bits *bits, const uint8_t ip[16])
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

	bits->v4 = memcmp(ip, mapped, 12) == 0;
	for (int i = 0; i < 128; i++)
		bits->bit[i] = (char)(ip[i / 8] >> (7 - i % 8) & 1);
}

/* "address", "address%interface" by name or number. Whether it is one; colons tells how it was
 * written. */
static bool
model_parse(struct bits *bits, char *text, bool *colons)
{
	uint8_t ip[16] = {[10] = 0xff, [11] = 0xff};
	char *percent = strchr(text, '%');
	const char *error = NULL;

	memset(bits, 0, sizeof(*bits));
	*colons = strchr(text, ':') != NULL;
	if (!*colons) {
		if (inet_pton(AF_INET, text, ip + 12) != 1)
			return false;
		set_bits(bits, ip);
		return true;
	}
	if (percent != NULL)
		*percent = '\0';
	if (inet_pton(AF_INET6, text, ip) != 1)
		return false;
	set_bits(bits, ip);
	if (percent == NULL)
		return true;
	bits->scope = sim_if_nametoindex(percent + 1);
	if (bits->scope == 0)
		bits->scope = (uint32_t)strtonum(percent + 1, 1, UINT32_MAX, &error);
	return !bits->v4 && error == NULL;
}

/* A decimal number up to most, or -1. */
static int
model_number(const char *text, int most)
{
	int number = 0;

	if (text[0] == '\0')
		return -1;
	for (; text[0] != '\0'; text++) {
		if (text[0] < '0' || text[0] > '9')
			return -1;
		number = number * 10 + (text[0] - '0');
		if (number > most)
			return -1;
	}
	return number;
}

static bool
model_rule(struct model_rule *rule, const char *text)
{
	char host[256], *slash;
	bool colons;
	int number;

	strcpy(host, text);
	if ((slash = strchr(host, '/')) != NULL)
		*slash = '\0';
	/* Longer than any address can be written with a network behind it. */
	if (strlen(text) >= ADDR_TEXT || !model_parse(&rule->network, host, &colons))
		return false;
	rule->count = 128;
	if (slash == NULL)
		return true;
	number = model_number(slash + 1, colons ? 128 : 32);
	if (number < 0 || (colons && rule->network.v4 && number < 96))
		return false;
	rule->count = colons ? number : number + 96;
	return true;
}

static bool
model_matches(const struct model_rule *rule, const struct bits *bits)
{
	if (rule->network.v4 != bits->v4 ||
	    (rule->network.scope != 0 && rule->network.scope != bits->scope))
		return false;
	for (int i = 0; i < rule->count; i++)
		if (rule->network.bit[i] != bits->bit[i])
			return false;
	return true;
}

static bool
model_allows(const struct model_rule *rules, int count, const struct bits *bits)
{
	bool any_allow = false, allowed = false;

	for (int i = 0; i < count; i++) {
		bool matches = model_matches(&rules[i], bits);

		if (rules[i].list == ACCESS_DENY && matches)
			return false;
		any_allow = any_allow || rules[i].list == ACCESS_ALLOW;
		allowed = allowed || (rules[i].list == ACCESS_ALLOW && matches);
	}
	return !any_allow || allowed;
}

/* An address as accept brings it, near the rules as often as not. */
static void
take_address(struct input *input, struct addr *addr, struct bits *bits,
    const struct model_rule *rules, int count)
{
	struct sockaddr_storage sa = {0};
	uint8_t ip[16] = {[10] = 0xff, [11] = 0xff}, kind = take_byte(input);

	if (kind & 1 && count > 0) {
		/* That of a rule, with one bit turned. */
		const struct bits *near = &rules[take_byte(input) % count].network;
		int turned = take_byte(input);

		for (int i = 0; i < 128; i++)
			ip[i / 8] = (uint8_t)(ip[i / 8] & ~(0x80 >> i % 8)) |
				    (uint8_t)(near->bit[i] << (7 - i % 8));
		if (turned < 128)
			ip[turned / 8] ^= (uint8_t)(0x80 >> turned % 8);
	} else {
		for (int i = kind & 2 ? 0 : 12; i < 16; i++)
			ip[i] = take_byte(input);
	}
	set_bits(bits, ip);
	if (kind & 4 && bits->v4) {
		struct sockaddr_in *in = (struct sockaddr_in *)&sa;

		in->sin_family = AF_INET;
		memcpy(&in->sin_addr, ip + 12, 4);
	} else {
		struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&sa;

		in6->sin6_family = AF_INET6;
		memcpy(&in6->sin6_addr, ip, 16);
		in6->sin6_scope_id = bits->scope = kind >> 3 & 3;
	}
	addr_from_peer(addr, &sa, -1);
}

/* Its text leads to the same address again. */
static void
check_text(const struct addr *addr)
{
	char text[ADDR_TEXT];
	struct addr again;

	if (addr->scope != 0)
		return; /* written as a number, which is no name of an interface */
	check(addr_parse_port(&again, addr_format(addr, text), 1) == 0);
	check(addr_same_host(addr, &again) && again.port == addr->port);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct model_rule rules[RULES];
	struct input input = {data, size};
	struct access *access = access_new();
	int count = 0;
	size_t len;

	if (access == NULL)
		abort();
	while (count < RULES && (len = take_byte(&input)) > 0 && input.left > 0) {
		enum access_list list = take_byte(&input) & 1 ? ACCESS_DENY : ACCESS_ALLOW;
		char text[256] = "";
		bool good;

		if (len > input.left)
			len = input.left;
		memcpy(text, input.data, len);
		input.data += len;
		input.left -= len;
		rules[count].list = list;
		good = model_rule(&rules[count], text);
		errno = 0;
		check((access_add(access, list, text) >= 0) == good);
		check(good || errno == EINVAL || errno == ENODEV);
		count += good;
	}
	access_sort(access);
	do {
		struct addr addr;
		struct bits bits;

		take_address(&input, &addr, &bits, rules, count);
		check(access_allows(access, &addr) == model_allows(rules, count, &bits));
		check_text(&addr);
	} while (input.left > 0);
	access_free(access);
	return 0;
}
