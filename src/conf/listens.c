#include "conf/listens.h"

#include <bsd/stdlib.h>
#include <bsd/string.h>
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/param.h>
#include <syslog.h>

#define LISTEN_FORMS                                                                        \
	"\"address\", \"address:port\", \"[v6]:port\", \"localhost:port\", each also with " \
	"\"" ENDPOINT_TLS "\" in front, and \"/path\" of a unix socket"

void
listens_clear(struct listens *listens)
{
	free(listens->entries);
	*listens = (struct listens){0};
}

/* --- one entry */

static void
add(struct source *source, const config_setting_t *setting, struct listens *listens,
    const struct endpoint *endpoint, bool own_port)
{
	struct listen_entry *more = listens->entries;

	/* Grown to twice its size where it is full, which is where the count is a power of two. */
	if ((listens->count & (listens->count - 1)) == 0) {
		more = reallocarray(more, MAX(listens->count * 2, 1), sizeof(*more));
		if (more == NULL) {
			source_no_memory(source);
			return;
		}
	}
	listens->entries = more;
	more[listens->count++] = (struct listen_entry){
	    .endpoint = *endpoint,
	    .own_port = own_port,
	    .file = source->file,
	    .line = (int)config_setting_source_line(setting),
	};
}

static void
take_path(struct source *source, const config_setting_t *setting, struct listens *listens,
    const char *path)
{
	struct endpoint endpoint = {0};

	if (strlcpy(endpoint.path, path, sizeof(endpoint.path)) >= sizeof(endpoint.path))
		setting_fault(source, setting, "a path of %zu bytes, allowed are %zu", strlen(path),
		    sizeof(endpoint.path) - 1);
	else if (path[strlen(path) - 1] == '/')
		setting_fault(source, setting,
		    "\"%s\" is the name of a folder, allowed is \"/path\" of a unix socket", path);
	else
		add(source, setting, listens, &endpoint, true);
}

/* "::1:9034" is an address, but hardly the one that was meant. */
static void
warn_of_port(struct source *source, const config_setting_t *setting, const char *text)
{
	const char *colon = strrchr(text, ':');
	char host[ADDR_TEXT] = "";
	struct addr addr;

	if (colon == NULL || text[0] == '[' || strspn(colon + 1, "0123456789") < 2 ||
	    colon[1 + strspn(colon + 1, "0123456789")] != '\0')
		return;
	memcpy(host, text, MIN((size_t)(colon - text), sizeof(host) - 1));
	if (addr_parse(&addr, host) == 0 && addr.family == AF_INET6)
		setting_warn(source, setting,
		    "\"%s\" is an address without a port; with the port %s it is \"[%s]:%s\"", text,
		    colon + 1, host, colon + 1);
}

/* Faults that bind or a client would find. */
static bool
can_listen(struct source *source, const config_setting_t *setting, const struct addr *addr,
    const char *text)
{
	char name[IF_NAMESIZE];

	if (addr_is_multicast(addr))
		setting_fault(source, setting,
		    "\"%s\" is a multicast address, allowed is one of this machine", text);
	else if (addr_is_link_local(addr) && addr->scope == 0)
		setting_fault(source, setting,
		    "\"%s\" is the same on every link, allowed is one with its interface such as "
		    "\"fe80::1%%eth0\"",
		    text);
	else if (addr->scope != 0 && if_indextoname(addr->scope, name) == NULL)
		setting_fault(source, setting, "\"%s\": no such interface", text);
	else
		return true;
	return false;
}

static void
take_address(struct source *source, const config_setting_t *setting, struct listens *listens,
    const char *text, bool tls)
{
	struct endpoint endpoint = {.tls = tls};
	struct addr again;

	if (addr_parse_port(&endpoint.addr, text, 0) < 0) {
		if (errno == ENODEV)
			setting_fault(source, setting, "\"%s\": no such interface", text);
		else
			setting_fault(source, setting,
			    "\"%s\" is no address to listen on, allowed are " LISTEN_FORMS, text);
		return;
	}
	if (!can_listen(source, setting, &endpoint.addr, text))
		return;
	warn_of_port(source, setting, text);
	/* Other addresses have no interface, whatever the text says. */
	if (!addr_is_link_local(&endpoint.addr))
		endpoint.addr.scope = 0;
	/* Read once more with another port: it gets that one only if it names none. */
	addr_parse_port(&again, text, 1);
	add(source, setting, listens, &endpoint, again.port == endpoint.addr.port);
}

/* Both of its addresses, without asking a resolver, which could make a reload wait. */
static bool
take_localhost(struct source *source, const config_setting_t *setting, struct listens *listens,
    const char *text, bool tls)
{
	static const char localhost[] = "localhost";
	const char *rest = text + MIN(strlen(text), strlen(localhost));
	struct endpoint v4 = {.tls = tls}, v6 = {.tls = tls, .optional = true};
	char address[ADDR_TEXT];

	if (strncmp(text, localhost, strlen(localhost)) != 0 ||
	    (rest[0] != '\0' && rest[0] != ':') || strlen(rest) > strlen(":65535"))
		return false;
	snprintf(address, sizeof(address), "127.0.0.1%s", rest);
	if (addr_parse_port(&v4.addr, address, 0) < 0)
		return false;
	addr_parse(&v6.addr, "::1");
	v6.addr.port = v4.addr.port;
	add(source, setting, listens, &v4, rest[0] != '\0');
	add(source, setting, listens, &v6, rest[0] != '\0');
	return true;
}

static struct listens *
listens_of(const struct source *source, const struct rule *rule)
{
	return (struct listens *)((char *)source->into + rule->field);
}

static void
take(struct source *source, const config_setting_t *setting, const struct rule *rule,
    const char *text)
{
	struct listens *listens = listens_of(source, rule);
	size_t prefix = strlen(ENDPOINT_TLS);
	bool tls = strncmp(text, ENDPOINT_TLS, prefix) == 0;
	const char *place = tls ? text + prefix : text;

	if (tls && place[0] == '/')
		setting_fault(source, setting,
		    "\"%s\" is a unix socket, on which nobody listens in; allowed is \"%s\"", text,
		    place);
	else if (place[0] == '/')
		take_path(source, setting, listens, place);
	else if (!take_localhost(source, setting, listens, place, tls))
		take_address(source, setting, listens, place, tls);
}

void
listens_read(struct source *source, const config_setting_t *setting, const struct rule *rule)
{
	listens_clear(listens_of(source, rule));
	if (setting_strings(source, setting, rule, LISTEN_FORMS, take) == 0)
		setting_fault(source, setting, "is empty, allowed are " LISTEN_FORMS);
}

/* --- all of them */

/* Addresses by port, IPv4 first, "every address" before others; then paths. */
static int
compare(const void *a, const void *b)
{
	const struct listen_entry *const *one = a, *const *two = b;
	const struct endpoint *x = &(*one)->endpoint, *y = &(*two)->endpoint;
	int order = strcmp(x->path, y->path);

	if (order == 0)
		order = x->addr.port - y->addr.port;
	if (order == 0)
		order = x->addr.family - y->addr.family;
	if (order == 0)
		order = memcmp(x->addr.ip, y->addr.ip, sizeof(x->addr.ip));
	if (order == 0 && x->addr.port == 0)
		order = x->tls - y->tls;
	if (order == 0 && x->addr.scope != y->addr.scope)
		order = x->addr.scope < y->addr.scope ? -1 : 1;
	/* As they stand, where they are the same. */
	return order != 0 ? order : *one < *two ? -1 : *one > *two;
}

/* Whether a socket bound to one prevents the other: both are of one family and port. */
static bool
covers(const struct endpoint *one, const struct endpoint *other)
{
	return one->path[0] == '\0' && other->path[0] == '\0' && one->addr.port != 0 &&
	       one->addr.port == other->addr.port && one->addr.family == other->addr.family &&
	       addr_is_any(&one->addr);
}

/* Port 0 is another one each time, but which is which shows only the kind. */
static bool
clashes(const struct endpoint *one, const struct endpoint *other)
{
	return endpoint_same_place(one, other) &&
	       (one->tls == other->tls || one->addr.port != 0 || one->path[0] != '\0');
}

/*
 * Goes through the entries in order. For an entry that conflicts with another one, clash gets that
 * one; and "::" leaves IPv4 to entries of its port.
 */
static void
look_through(struct listen_entry **sorted, size_t count, const struct listen_entry **clash,
    const struct listen_entry *entries)
{
	const struct listen_entry *any = NULL, *v4 = NULL;

	for (size_t i = 0; i < count; i++) {
		struct endpoint *endpoint = &sorted[i]->endpoint;

		if (endpoint->path[0] == '\0' && endpoint->addr.family == AF_INET)
			v4 = sorted[i];
		if (endpoint->addr.family == AF_INET6 && addr_is_any(&endpoint->addr))
			endpoint->v6only =
			    v4 != NULL && v4->endpoint.addr.port == endpoint->addr.port;
		if (i > 0 && clashes(&sorted[i - 1]->endpoint, endpoint))
			clash[sorted[i] - entries] = sorted[i - 1];
		else if (any != NULL && covers(&any->endpoint, endpoint))
			clash[sorted[i] - entries] = any;
		else if (endpoint->path[0] == '\0' && addr_is_any(&endpoint->addr))
			any = sorted[i];
	}
}

static void
tell(const struct listen_entry *entry, const struct listen_entry *other, struct source *source)
{
	struct source where = {.file = entry->file, .tell = source->tell};
	char text[ADDR_TEXT], by[ADDR_TEXT];

	if (endpoint_same_place(&entry->endpoint, &other->endpoint))
		source_say(&where, LOG_ERR, entry->line, "listen", "%s is named twice",
		    endpoint_format(&entry->endpoint, text));
	else
		source_say(&where, LOG_ERR, entry->line, "listen",
		    "%s is one of the addresses of %s, allowed is one of the two",
		    endpoint_format(&entry->endpoint, text), endpoint_format(&other->endpoint, by));
	source->faults += where.faults;
}

/* Where nothing is named: every address of both families. */
static struct endpoint *
every_address(uint16_t port, size_t *count)
{
	struct endpoint *endpoint = calloc(1, sizeof(*endpoint));

	*count = 1;
	if (endpoint != NULL)
		endpoint->addr = (struct addr){.family = AF_INET6, .port = port};
	return endpoint;
}

void
listens_refuse_tls(const struct listens *listens, struct source *source)
{
	char text[ADDR_TEXT];

	for (size_t i = 0; i < listens->count; i++) {
		const struct listen_entry *entry = &listens->entries[i];
		struct source where = {.file = entry->file, .tell = source->tell};

		if (!entry->endpoint.tls)
			continue;
		source_say(&where, LOG_ERR, entry->line, "listen",
		    "%s takes tls.certificate and tls.key",
		    endpoint_format(&entry->endpoint, text));
		source->faults += where.faults;
		return;
	}
}

struct endpoint *
listens_resolve(struct listens *listens, uint16_t port, struct source *source, size_t *count)
{
	size_t n = listens->count;
	struct listen_entry **sorted, *entries = listens->entries;
	const struct listen_entry **clash;
	struct endpoint *endpoints;

	if (n == 0)
		return every_address(port, count);
	sorted = calloc(n, sizeof(*sorted));
	clash = calloc(n, sizeof(*clash));
	endpoints = calloc(n, sizeof(*endpoints));
	if (sorted != NULL && clash != NULL && endpoints != NULL) {
		for (size_t i = 0; i < n; i++) {
			if (!entries[i].own_port)
				entries[i].endpoint.addr.port = port;
			sorted[i] = &entries[i];
		}
		qsort(sorted, n, sizeof(*sorted), compare);
		look_through(sorted, n, clash, entries);
		for (size_t i = 0; i < n; i++) {
			if (clash[i] != NULL)
				tell(&entries[i], clash[i], source);
			endpoints[i] = entries[i].endpoint;
		}
	} else {
		free(endpoints);
		endpoints = NULL;
	}
	free(sorted);
	free(clash);
	*count = n;
	return endpoints;
}
