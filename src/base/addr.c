#include "base/addr.h"

#include <arpa/inet.h>
#include <bsd/stdlib.h>
#include <bsd/string.h>
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>

static const uint8_t v4_mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

int
addr_size(const struct addr *addr)
{
	return addr->family == AF_INET ? 4 : 16;
}

/* Whether the first bytes of both agree. */
static bool
same_start(const struct addr *a, const struct addr *b, int bytes)
{
	return a->family == b->family && a->family != AF_UNIX && a->scope == b->scope &&
	       memcmp(a->ip, b->ip, (size_t)bytes) == 0;
}

bool
addr_same_host(const struct addr *a, const struct addr *b)
{
	return same_start(a, b, addr_size(a));
}

bool
addr_same_network(const struct addr *a, const struct addr *b)
{
	return same_start(a, b, a->family == AF_INET ? 4 : 8);
}

const char *
addr_format_host(const struct addr *addr, char text[ADDR_TEXT])
{
	char ip[INET6_ADDRSTRLEN], name[IF_NAMESIZE];

	inet_ntop(addr->family, addr->ip, ip, sizeof(ip));
	if (addr->scope == 0)
		strlcpy(text, ip, ADDR_TEXT);
	else if (if_indextoname(addr->scope, name) != NULL)
		snprintf(text, ADDR_TEXT, "%s%%%s", ip, name);
	else
		snprintf(text, ADDR_TEXT, "%s%%%u", ip, addr->scope);
	return text;
}

const char *
addr_format(const struct addr *addr, char text[ADDR_TEXT])
{
	char ip[INET6_ADDRSTRLEN], scope[16] = "";

	if (addr->family == AF_UNIX) {
		snprintf(text, ADDR_TEXT, "unix(pid %d, uid %d)", addr->peer.pid, addr->peer.uid);
		return text;
	}
	inet_ntop(addr->family, addr->ip, ip, sizeof(ip));
	if (addr->scope != 0)
		snprintf(scope, sizeof(scope), "%%%u", addr->scope);
	snprintf(text, ADDR_TEXT, addr->family == AF_INET ? "%s%s:%u" : "[%s%s]:%u", ip, scope,
	    addr->port);
	return text;
}

static void
set_ipv6(struct addr *addr, const struct in6_addr *in6)
{
	if (memcmp(in6, v4_mapped, sizeof(v4_mapped)) == 0) {
		addr->family = AF_INET;
		memcpy(addr->ip, in6->s6_addr + 12, 4);
	} else {
		addr->family = AF_INET6;
		memcpy(addr->ip, in6, 16);
	}
}

/* The interface, by name or, as addr_format writes it, by number. */
static int
parse_scope(struct addr *addr, const char *text)
{
	const char *error = NULL;

	addr->scope = if_nametoindex(text);
	if (addr->scope == 0)
		addr->scope = (uint32_t)strtonum(text, 1, UINT32_MAX, &error);
	if (error == NULL)
		return 0;
	/* A text that cannot be a name is no missing interface. */
	errno =
	    text[0] != '\0' && text[strcspn(text, ":/%[] ")] == '\0' && strlen(text) < IF_NAMESIZE
		? ENODEV
		: EINVAL;
	return -1;
}

int
addr_parse(struct addr *addr, const char *text)
{
	char ip[INET6_ADDRSTRLEN];
	struct in6_addr in6;
	size_t len = strcspn(text, "%");

	memset(addr, 0, sizeof(*addr));
	errno = EINVAL;
	if (inet_pton(AF_INET, text, addr->ip) == 1) {
		addr->family = AF_INET;
		return 0;
	}
	if (len >= sizeof(ip))
		return -1;
	strlcpy(ip, text, len + 1);
	if (inet_pton(AF_INET6, ip, &in6) != 1)
		return -1;
	set_ipv6(addr, &in6);
	if (text[len] == '\0')
		return 0;
	return addr->family == AF_INET6 ? parse_scope(addr, text + len + 1) : -1;
}

/* "[v6]" in the first len bytes of text. */
static int
parse_bracketed(struct addr *addr, const char *text, size_t len)
{
	char host[ADDR_TEXT];

	if (len < 2 || len >= sizeof(host) || text[0] != '[' || text[len - 1] != ']')
		return -1;
	strlcpy(host, text + 1, len - 1);
	return strchr(host, ':') != NULL ? addr_parse(addr, host) : -1;
}

int
addr_parse_port(struct addr *addr, const char *text, uint16_t port)
{
	const char *colon = strrchr(text, ':'), *error = NULL;
	char host[ADDR_TEXT];
	size_t len;

	len = strlen(text);
	if (addr_parse(addr, text) == 0 || parse_bracketed(addr, text, len) == 0) {
		addr->port = port;
		return 0;
	}
	if (colon == NULL || (len = (size_t)(colon - text)) >= sizeof(host) || colon[1] < '0' ||
	    colon[1] > '9')
		return -1;
	strlcpy(host, text, len + 1);
	if (parse_bracketed(addr, text, len) < 0 &&
	    (strchr(host, ':') != NULL || addr_parse(addr, host) < 0))
		return -1;
	addr->port = (uint16_t)strtonum(colon + 1, 0, UINT16_MAX, &error);
	if (error == NULL)
		return 0;
	errno = EINVAL;
	return -1;
}

void
addr_from_peer(struct addr *addr, const struct sockaddr_storage *sa, int sd)
{
	memset(addr, 0, sizeof(*addr));
	addr->family = sa->ss_family;
	if (sa->ss_family == AF_INET) {
		const struct sockaddr_in *in = (const struct sockaddr_in *)sa;

		memcpy(addr->ip, &in->sin_addr, 4);
		addr->port = ntohs(in->sin_port);
	} else if (sa->ss_family == AF_INET6) {
		const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)sa;

		set_ipv6(addr, &in6->sin6_addr);
		addr->port = ntohs(in6->sin6_port);
		addr->scope = in6->sin6_scope_id;
	} else {
		struct ucred cred = {.pid = -1, .uid = (uid_t)-1};
		socklen_t len = sizeof(cred);

		getsockopt(sd, SOL_SOCKET, SO_PEERCRED, &cred, &len);
		addr->family = AF_UNIX;
		addr->peer.pid = cred.pid;
		addr->peer.uid = (int)cred.uid;
	}
}

socklen_t
addr_to_sockaddr(const struct addr *addr, struct sockaddr_storage *sa)
{
	memset(sa, 0, sizeof(*sa));
	sa->ss_family = addr->family;
	if (addr->family == AF_INET) {
		struct sockaddr_in *in = (struct sockaddr_in *)sa;

		memcpy(&in->sin_addr, addr->ip, 4);
		in->sin_port = htons(addr->port);
		return sizeof(*in);
	}
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)sa;

	memcpy(&in6->sin6_addr, addr->ip, 16);
	in6->sin6_port = htons(addr->port);
	in6->sin6_scope_id = addr->scope;
	return sizeof(*in6);
}

bool
addr_is_any(const struct addr *addr)
{
	static const uint8_t any[16];

	return memcmp(addr->ip, any, (size_t)addr_size(addr)) == 0;
}

bool
addr_is_link_local(const struct addr *addr)
{
	return addr->family == AF_INET6 && addr->ip[0] == 0xfe && (addr->ip[1] & 0xc0) == 0x80;
}

bool
addr_is_multicast(const struct addr *addr)
{
	return addr->family == AF_INET ? (addr->ip[0] & 0xf0) == 0xe0 : addr->ip[0] == 0xff;
}

const char *
endpoint_format(const struct endpoint *endpoint, char text[ADDR_TEXT])
{
	char address[ADDR_TEXT];

	if (endpoint->path[0] != '\0')
		return endpoint->path;
	strlcpy(text, endpoint->tls ? ENDPOINT_TLS : "", ADDR_TEXT);
	strlcat(text, addr_format(&endpoint->addr, address), ADDR_TEXT);
	return text;
}

bool
endpoint_same_place(const struct endpoint *a, const struct endpoint *b)
{
	if (a->path[0] != '\0' || b->path[0] != '\0')
		return strcmp(a->path, b->path) == 0;
	return addr_same_host(&a->addr, &b->addr) && a->addr.port == b->addr.port;
}

bool
endpoint_same(const struct endpoint *a, const struct endpoint *b)
{
	return endpoint_same_place(a, b) && a->v6only == b->v6only && a->tls == b->tls;
}
