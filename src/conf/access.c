#include "conf/access.h"

#include <bsd/stdlib.h>
#include <bsd/string.h>
#include <errno.h>
#include <string.h>

struct rule {
	struct addr network;
	int bits; /* of the address that must agree */
};

struct access {
	struct rule *rules[2]; /* by enum access_list */
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
	free(access->rules[ACCESS_ALLOW]);
	free(access->rules[ACCESS_DENY]);
	free(access);
}

static int
parse_rule(struct rule *rule, const char *text)
{
	const char *slash = strchr(text, '/'), *error = NULL;
	char host[ADDR_TEXT];
	bool mapped;
	int width;

	if (strlcpy(host, text, sizeof(host)) >= sizeof(host))
		return -1;
	if (slash != NULL)
		host[slash - text] = '\0';
	if (addr_parse(&rule->network, host) < 0)
		return -1;
	mapped = rule->network.family == AF_INET && strchr(host, ':') != NULL;
	width = mapped ? 128 : addr_size(&rule->network) * 8;
	rule->bits = width;
	if (slash != NULL) {
		if (slash[1] < '0' || slash[1] > '9')
			return -1;
		rule->bits = (int)strtonum(slash + 1, mapped ? 96 : 0, width, &error);
	}
	/* ::ffff:10.0.0.0/104 is 10.0.0.0/8. */
	if (mapped)
		rule->bits -= 96;
	return error == NULL ? 0 : -1;
}

int
access_add(struct access *access, enum access_list list, const char *network)
{
	struct rule rule, *rules;
	size_t count = access->counts[list];

	if (parse_rule(&rule, network) < 0) {
		errno = EINVAL;
		return -1;
	}
	if ((rules = reallocarray(access->rules[list], count + 1, sizeof(rule))) == NULL)
		return -1;
	rules[count] = rule;
	access->rules[list] = rules;
	access->counts[list] = count + 1;
	return 0;
}

static bool
rule_matches(const struct rule *rule, const struct addr *addr)
{
	const uint8_t *a = rule->network.ip, *b = addr->ip;
	int bytes = rule->bits / 8, rest = rule->bits % 8;

	if (rule->network.family != addr->family ||
	    (rule->network.scope != 0 && rule->network.scope != addr->scope))
		return false;
	return memcmp(a, b, (size_t)bytes) == 0 &&
	       (rest == 0 || (a[bytes] ^ b[bytes]) >> (8 - rest) == 0);
}

static bool
any_matches(const struct access *access, enum access_list list, const struct addr *addr)
{
	for (size_t i = 0; i < access->counts[list]; i++)
		if (rule_matches(&access->rules[list][i], addr))
			return true;
	return false;
}

bool
access_allows(const struct access *access, const struct addr *addr)
{
	if (addr->family == AF_UNIX)
		return true;
	if (any_matches(access, ACCESS_DENY, addr))
		return false;
	return access->counts[ACCESS_ALLOW] == 0 || any_matches(access, ACCESS_ALLOW, addr);
}
