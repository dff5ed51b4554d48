#include "conf/config.h"

#include <bsd/stdlib.h>
#include <bsd/string.h>
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/param.h>

#include "conf/setting.h"

static setting_read read_port, read_listen, read_allow, read_deny, read_mode, read_owner,
    read_unix_group;

#define FIELD(name) offsetof(struct config, name)

static const struct rule limit_rules[] = {
    {"clients", setting_number, FIELD(limits.clients), 1, CONFIG_MAX_CLIENTS, "clients", NULL},
    {"clients_per_address", setting_number, FIELD(limits.clients_per_address), 0,
	CONFIG_MAX_CLIENTS, "clients", NULL},
    {"line", setting_number, FIELD(limits.line), 2, CONFIG_MAX_LINE, "bytes", NULL},
    {"queue", setting_number, FIELD(limits.queue), CONFIG_MIN_QUEUE, CONFIG_MAX_QUEUE, "bytes",
	NULL},
    {"stall", setting_number, FIELD(limits.stall), 1, CONFIG_MAX_STALL, "seconds", NULL},
    {"lag", setting_number, FIELD(limits.lag), 0, CONFIG_MAX_STALL, "seconds", NULL},
    {"idle", setting_number, FIELD(limits.idle), 0, CONFIG_MAX_IDLE, "seconds", NULL},
    {0},
};

static const struct rule unix_rules[] = {
    {"mode", read_mode, 0, 0, 0, NULL, NULL},
    {"owner", read_owner, 0, 0, 0, NULL, NULL},
    {"group", read_unix_group, 0, 0, 0, NULL, NULL},
    {0},
};

static const struct rule root_rules[] = {
    {"port", read_port, FIELD(port), 1, UINT16_MAX, "", NULL},
    {"listen", read_listen, 0, 0, 0, NULL, NULL},
    {"trace", setting_bool, FIELD(trace), 0, 0, NULL, NULL},
    {"log_connections", setting_bool, FIELD(log_connections), 0, 0, NULL, NULL},
    {"sanitize", setting_bool, FIELD(sanitize), 0, 0, NULL, NULL},
    {"limits", setting_group, 0, 0, 0, NULL, limit_rules},
    {"allow", read_allow, 0, 0, 0, NULL, NULL},
    {"deny", read_deny, 0, 0, 0, NULL, NULL},
    {"unix", setting_group, 0, 0, 0, NULL, unix_rules},
    {0},
};

static struct config *
config_of(const struct source *source)
{
	return source->into;
}

/* The command line's port is stronger, but the file's is checked all the same. */
static void
read_port(struct source *source, const config_setting_t *setting, const struct rule *rule)
{
	setting_number(source, setting, rule);
	if (config_of(source)->fixed_port != 0)
		config_of(source)->port = config_of(source)->fixed_port;
}

/* The port of endpoints that name none, wherever it stands in the file. */
static uint16_t
default_port(const struct source *source, const config_setting_t *setting)
{
	const config_setting_t *root = setting, *port;
	long long value;

	if (config_of(source)->fixed_port != 0)
		return config_of(source)->fixed_port;
	while (!config_setting_is_root(root))
		root = config_setting_parent(root);
	port = config_setting_get_member(root, "port");
	return port != NULL && setting_whole(source, port, &value) ? (uint16_t)value : CONFIG_PORT;
}

#define LISTEN_FORMS                                                                           \
	"\"address\", \"address:port\", \"[v6]:port\", \"localhost:port\" and \"/path\" of a " \
	"unix "                                                                                \
	"socket"

static void
add_endpoint(
    struct source *source, const config_setting_t *setting, const struct endpoint *endpoint)
{
	struct config *config = config_of(source);
	struct endpoint *more;
	char text[ADDR_TEXT];

	for (size_t i = 0; i < config->n_endpoints; i++)
		if (endpoint_same(&config->endpoints[i], endpoint)) {
			setting_fault(
			    source, setting, "%s is named twice", endpoint_format(endpoint, text));
			return;
		}
	more = reallocarray(config->endpoints, config->n_endpoints + 1, sizeof(*more));
	if (more == NULL) {
		setting_fault(source, setting, "%s", strerror(errno));
		return;
	}
	more[config->n_endpoints++] = *endpoint;
	config->endpoints = more;
}

static void
take_listen(struct source *source, const config_setting_t *setting, const char *text)
{
	static const char localhost[] = "localhost";
	struct endpoint endpoint = {0};
	uint16_t port = default_port(source, setting);
	char address[ADDR_TEXT];
	const char *rest = text + MIN(strlen(text), strlen(localhost));

	if (text[0] == '/') {
		if (strlcpy(endpoint.path, text, sizeof(endpoint.path)) >= sizeof(endpoint.path))
			setting_fault(source, setting, "a path of %zu bytes, allowed are %zu",
			    strlen(text), sizeof(endpoint.path) - 1);
		else
			add_endpoint(source, setting, &endpoint);
		return;
	}
	/* Both of its addresses, without asking a resolver, which could make a reload wait. */
	if (strncmp(text, localhost, strlen(localhost)) == 0 &&
	    (rest[0] == '\0' || rest[0] == ':') && strlen(rest) <= strlen(":65535")) {

		snprintf(address, sizeof(address), "127.0.0.1%s", rest);
		if (addr_parse_port(&endpoint.addr, address, port) == 0) {
			add_endpoint(source, setting, &endpoint);
			snprintf(address, sizeof(address), "[::1]%s", rest);
			addr_parse_port(&endpoint.addr, rest[0] == ':' ? address : "::1", port);
			endpoint.optional = true;
			add_endpoint(source, setting, &endpoint);
			return;
		}
	} else if (addr_parse_port(&endpoint.addr, text, port) == 0) {
		add_endpoint(source, setting, &endpoint);
		return;
	}
	setting_fault(
	    source, setting, "\"%s\" is no address to listen on, allowed are " LISTEN_FORMS, text);
}

static void
read_listen(struct source *source, const config_setting_t *setting, const struct rule *rule)
{
	(void)rule;
	if (setting_strings(source, setting, LISTEN_FORMS, take_listen) == 0)
		setting_fault(source, setting, "is empty, allowed are " LISTEN_FORMS);
}

#define NETWORK_FORMS \
	"addresses and networks such as \"192.0.2.1\", \"10.0.0.0/8\" and \"fc00::/7\""

static void
take_network(
    struct source *source, const config_setting_t *setting, const char *text, enum access_list list)
{
	if (access_add(config_of(source)->access, list, text) == 0)
		return;
	if (errno == EINVAL)
		setting_fault(
		    source, setting, "\"%s\" is no network, allowed are " NETWORK_FORMS, text);
	else
		setting_fault(source, setting, "%s", strerror(errno));
}

static void
take_allow(struct source *source, const config_setting_t *setting, const char *text)
{
	take_network(source, setting, text, ACCESS_ALLOW);
}

static void
take_deny(struct source *source, const config_setting_t *setting, const char *text)
{
	take_network(source, setting, text, ACCESS_DENY);
}

static void
read_allow(struct source *source, const config_setting_t *setting, const struct rule *rule)
{
	(void)rule;
	if (setting_strings(source, setting, NETWORK_FORMS, take_allow) == 0)
		setting_fault(source, setting,
		    "is empty, so nobody could come in; allowed are " NETWORK_FORMS);
}

static void
read_deny(struct source *source, const config_setting_t *setting, const struct rule *rule)
{
	(void)rule;
	setting_strings(source, setting, NETWORK_FORMS, take_deny);
}

/* A string, since libconfig would read 0660 as the decimal number 660. */
static void
read_mode(struct source *source, const config_setting_t *setting, const struct rule *rule)
{
	const char *text = config_setting_get_string(setting);
	char shown[SETTING_SHOWN];

	(void)rule;
	if (text == NULL || strlen(text) == 0 || strlen(text) > 4 ||
	    strspn(text, "01234567") != strlen(text) || strtol(text, NULL, 8) > 0777) {
		setting_fault(source, setting,
		    "%s is no mode, allowed is a string of octal digits, \"0000\" to \"0777\"",
		    setting_show(setting, shown));
		return;
	}
	config_of(source)->unix_mode = (mode_t)strtol(text, NULL, 8);
}

/*
 * The id of a user or a group: known, unless that is -1, or the number that the setting gives.
 * Returns -1 after a fault. Ids have 32 bits, and the last one means none.
 */
static long long
id_of(struct source *source, const config_setting_t *setting, long long known, const char *what)
{
	const char *text = config_setting_get_string(setting), *error = NULL;
	char shown[SETTING_SHOWN];
	long long id = known;

	if (known < 0 && text != NULL)
		id = strtonum(text, 0, UINT32_MAX - 1, &error);
	else if (known < 0 && !setting_whole(source, setting, &id))
		id = -1;
	if (error == NULL && id >= 0 && id < UINT32_MAX)
		return id;
	setting_fault(source, setting, "%s is no %s, allowed is a %s's name or number",
	    setting_show(setting, shown), what, what);
	return -1;
}

static void
read_owner(struct source *source, const config_setting_t *setting, const struct rule *rule)
{
	const char *name = config_setting_get_string(setting);
	const struct passwd *user = name != NULL ? getpwnam(name) : NULL;

	(void)rule;
	config_of(source)->unix_owner =
	    (uid_t)id_of(source, setting, user != NULL ? (long long)user->pw_uid : -1, "user");
}

static void
read_unix_group(struct source *source, const config_setting_t *setting, const struct rule *rule)
{
	const char *name = config_setting_get_string(setting);
	const struct group *group = name != NULL ? getgrnam(name) : NULL;

	(void)rule;
	config_of(source)->unix_group =
	    (gid_t)id_of(source, setting, group != NULL ? (long long)group->gr_gid : -1, "group");
}

static struct config *
config_new(const char *file, uint16_t port)
{
	struct config *config = malloc(sizeof(*config));

	if (config == NULL)
		return NULL;
	*config = (struct config){
	    .file = file != NULL ? strdup(file) : NULL,
	    .fixed_port = port,
	    .port = port != 0 ? port : CONFIG_PORT,
	    .trace = true,
	    .limits = {.clients = 1000, .line = 8192, .queue = 1048576, .stall = 30},
	    .access = access_new(),
	    .unix_mode = 0660,
	    .unix_owner = (uid_t)-1,
	    .unix_group = (gid_t)-1,
	};
	if (config->access == NULL || (file != NULL && config->file == NULL)) {
		config_free(config);
		return NULL;
	}
	return config;
}

void
config_free(struct config *config)
{
	if (config == NULL)
		return;
	access_free(config->access);
	free(config->endpoints);
	free(config->file);
	free(config);
}

/* Where nothing is named: every address of both families. */
static int
default_endpoint(struct config *config)
{
	if (config->n_endpoints > 0)
		return 0;
	if ((config->endpoints = calloc(1, sizeof(*config->endpoints))) == NULL)
		return -1;
	config->n_endpoints = 1;
	return addr_parse_port(&config->endpoints[0].addr, "::", (uint16_t)config->port);
}

/* "::" takes IPv4 as well, unless an IPv4 endpoint of the same port stands beside it. */
static void
share_ports(struct config *config)
{
	const struct addr any = {.family = AF_INET6};

	for (size_t i = 0; i < config->n_endpoints; i++) {
		struct endpoint *v6 = &config->endpoints[i];

		if (!addr_same_host(&v6->addr, &any))
			continue;
		for (size_t k = 0; k < config->n_endpoints; k++)
			if (config->endpoints[k].addr.family == AF_INET &&
			    config->endpoints[k].addr.port == v6->addr.port)
				v6->v6only = true;
	}
}

struct config *
config_parse(const char *text, const char *file, uint16_t port, setting_tell *tell)
{
	struct source source = {
	    .file = file != NULL ? file : "defaults", .text = text, .tell = tell};
	struct config *config = config_new(file, port);

	if (config != NULL && text != NULL) {
		source.into = config;
		source_read(&source, root_rules);
	}
	if (config == NULL || default_endpoint(config) < 0)
		source_fault(&source, 0, "%s", strerror(errno));
	if (source.faults > 0) {
		config_free(config);
		return NULL;
	}
	access_sort(config->access);
	share_ports(config);
	return config;
}

struct config *
config_load(const char *file, uint16_t port, setting_tell *tell)
{
	struct source source = {.file = file, .tell = tell};
	struct config *config;
	char *text;

	if (file == NULL)
		return config_parse(NULL, NULL, port, tell);
	if ((text = source_load(&source)) == NULL)
		return NULL;
	config = config_parse(text, file, port, tell);
	free(text);
	return config;
}
