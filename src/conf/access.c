#include "conf/access.h"

#include <bsd/stdlib.h>
#include <bsd/string.h>
#include <errno.h>
#include <string.h>

struct network {
	struct addr addr;
	int bits; /* of the address that must agree */
};

struct access {
	struct network *networks[2]; /* by enum access_list */
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

static int
parse_network(struct network *network, const char *text)
{
	const char *slash = strchr(text, '/'), *error = NULL;
	char host[ADDR_TEXT];
	bool mapped;
	int width;

	if (strlcpy(host, text, sizeof(host)) >= sizeof(host))
		return -1;
	if (slash != NULL)
		host[slash - text] = '\0';
	if (addr_parse(&network->addr, host) < 0)
		return -1;
	mapped = network->addr.family == AF_INET && strchr(host, ':') != NULL;
	width = mapped ? 128 : addr_size(&network->addr) * 8;
	network->bits = width;
	if (slash != NULL) {
		if (slash[1] < '0' || slash[1] > '9')
			return -1;
		network->bits = (int)strtonum(slash + 1, mapped ? 96 : 0, width, &error);
	}
	/* ::ffff:10.0.0.0/104 is 10.0.0.0/8. */
	if (mapped)
		network->bits -= 96;
	return error == NULL ? 0 : -1;
}

int
access_add(struct access *access, enum access_list list, const char *text)
{
	struct network network, *networks;
	size_t count = access->counts[list];

	if (parse_network(&network, text) < 0) {
		errno = EINVAL;
		return -1;
	}
	if ((networks = reallocarray(access->networks[list], count + 1, sizeof(network))) == NULL)
		return -1;
	networks[count] = network;
	access->networks[list] = networks;
	access->counts[list] = count + 1;
	return 0;
}

static bool
network_holds(const struct network *network, const struct addr *addr)
{
	const uint8_t *a = network->addr.ip, *b = addr->ip;
	int bytes = network->bits / 8, rest = network->bits % 8;

	if (network->addr.family != addr->family ||
	    (network->addr.scope != 0 && network->addr.scope != addr->scope))
		return false;
	return memcmp(a, b, (size_t)bytes) == 0 &&
	       (rest == 0 || (a[bytes] ^ b[bytes]) >> (8 - rest) == 0);
}

static bool
any_holds(const struct access *access, enum access_list list, const struct addr *addr)
{
	for (size_t i = 0; i < access->counts[list]; i++)
		if (network_holds(&access->networks[list][i], addr))
			return true;
	return false;
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
