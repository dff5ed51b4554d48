#include "conf/access.h"

#include <bsd/stdlib.h>
#include <bsd/string.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/param.h>

struct network {
	struct addr addr;
	int bits; /* of the address that must agree */
};

struct access {
	/* By enum access_list; sorted, and none within another one, by access_sort. */
	struct network *networks[2];
	size_t counts[2];
};

struct access *
access_new(void)
{
	return calloc(1, sizeof(struct access));
}

void
access_free(struct access *access)
{
	if (access == NULL)
		return;
	free(access->networks[ACCESS_ALLOW]);
	free(access->networks[ACCESS_DENY]);
	free(access);
}

/* Returns 0, or -1 with errno. */
static int
parse_network(struct network *network, const char *text)
{
	const char *slash = strchr(text, '/'), *error = NULL;
	char host[ADDR_TEXT];
	bool mapped;
	int width;

	errno = EINVAL;
	if (strlcpy(host, text, sizeof(host)) >= sizeof(host))
		return -1;
	if (slash != NULL)
		host[slash - text] = '\0';
	if (addr_parse(&network->addr, host) < 0)
		return -1;
	mapped = network->addr.family == AF_INET && strchr(host, ':') != NULL;
	width = mapped ? 128 : addr_size(&network->addr) * 8;
	network->bits = width;
	errno = EINVAL;
	if (slash != NULL) {
		if (slash[1] < '0' || slash[1] > '9')
			return -1;
		network->bits = (int)strtonum(slash + 1, mapped ? 96 : 0, width, &error);
	}
	/* ::ffff:10.0.0.0/104 is 10.0.0.0/8. */
	if (mapped)
		network->bits -= 96;
	if (error == NULL)
		return 0;
	errno = EINVAL;
	return -1;
}

/* Whether there were any. */
static bool
clear_host_bits(struct network *network)
{
	struct addr before = network->addr;

	for (int bit = network->bits; bit < addr_size(&network->addr) * 8; bit++)
		network->addr.ip[bit / 8] &= (uint8_t) ~(0x80 >> bit % 8);
	return !addr_same_host(&before, &network->addr);
}

int
access_add(struct access *access, enum access_list list, const char *text)
{
	struct network network, *networks;
	size_t count = access->counts[list];
	bool cleared;

	if (parse_network(&network, text) < 0)
		return -1;
	/* Grown to twice its size where it is full, which is where the count is a power of two. */
	if ((count & (count - 1)) == 0) {
		networks =
		    reallocarray(access->networks[list], MAX(count * 2, 1), sizeof(*networks));
		if (networks == NULL)
			return -1;
		access->networks[list] = networks;
	}
	cleared = clear_host_bits(&network);
	access->networks[list][access->counts[list]++] = network;
	return cleared;
}

void
access_clear(struct access *access, enum access_list list)
{
	free(access->networks[list]);
	access->networks[list] = NULL;
	access->counts[list] = 0;
}

size_t
access_count(const struct access *access, enum access_list list)
{
	return access->counts[list];
}

const char *
access_format(const struct access *access, enum access_list list, size_t i, char text[ACCESS_TEXT])
{
	const struct network *network = &access->networks[list][i];
	size_t len = strlen(addr_format_host(&network->addr, text));

	if (network->bits < addr_size(&network->addr) * 8)
		snprintf(text + len, ACCESS_TEXT - len, "/%d", network->bits);
	return text;
}

/* Addresses that are compared by their bits: of one family and one interface. */
static bool
same_space(const struct addr *a, const struct addr *b)
{
	return a->family == b->family && a->scope == b->scope;
}

static bool
network_holds(const struct network *network, const struct addr *addr)
{
	const uint8_t *a = network->addr.ip, *b = addr->ip;
	int bytes = network->bits / 8, rest = network->bits % 8;

	return memcmp(a, b, (size_t)bytes) == 0 &&
	       (rest == 0 || (a[bytes] ^ b[bytes]) >> (8 - rest) == 0);
}

/* The order of families, then interfaces, then addresses. */
static int
compare_addr(const struct addr *a, const struct addr *b)
{
	if (a->family != b->family)
		return a->family < b->family ? -1 : 1;
	if (a->scope != b->scope)
		return a->scope < b->scope ? -1 : 1;
	return memcmp(a->ip, b->ip, sizeof(a->ip));
}

/* Of networks that begin alike the widest comes first. */
static int
compare_network(const void *a, const void *b)
{
	const struct network *x = a, *y = b;
	int order = compare_addr(&x->addr, &y->addr);

	return order != 0 ? order : x->bits - y->bits;
}

void
access_sort(struct access *access)
{
	for (int list = ACCESS_ALLOW; list <= ACCESS_DENY; list++) {
		struct network *networks = access->networks[list];
		size_t kept = 0;

		if (access->counts[list] > 0)
			qsort(networks, access->counts[list], sizeof(*networks), compare_network);
		for (size_t i = 0; i < access->counts[list]; i++)
			if (kept == 0 || !same_space(&networks[kept - 1].addr, &networks[i].addr) ||
			    !network_holds(&networks[kept - 1], &networks[i].addr))
				networks[kept++] = networks[i];
		access->counts[list] = kept;
	}
}

/* Networks apart from each other: only the last one that begins at or before addr can hold it. */
static bool
search(const struct access *access, enum access_list list, const struct addr *addr)
{
	const struct network *networks = access->networks[list];
	size_t first = 0, end = access->counts[list];

	while (first < end) {
		size_t middle = first + (end - first) / 2;

		if (compare_addr(&networks[middle].addr, addr) <= 0)
			first = middle + 1;
		else
			end = middle;
	}
	return first > 0 && same_space(&networks[first - 1].addr, addr) &&
	       network_holds(&networks[first - 1], addr);
}

/* Networks of the client's own interface, and those of every one, whose scope is 0. */
static bool
any_holds(const struct access *access, enum access_list list, const struct addr *addr)
{
	struct addr anywhere = *addr;

	anywhere.scope = 0;
	return search(access, list, &anywhere) || search(access, list, addr);
}

bool
access_allows(const struct access *access, const struct addr *addr)
{
	if (addr->family == AF_UNIX)
		return true;
	if (any_holds(access, ACCESS_DENY, addr))
		return false;
	return access->counts[ACCESS_ALLOW] == 0 || any_holds(access, ACCESS_ALLOW, addr);
}
