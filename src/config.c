#include "config.h"

#include <bsd/libutil.h>
#include <bsd/stdlib.h>
#include <bsd/string.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <libconfig.h>
#include <libgen.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct reader {
	const char *file;
	const char *text; /* of the file */
	uint16_t port;    /* of the command line, or 0 */
	struct config *config;
	config_fault *tell;
	unsigned faults;
};

/* Reads one setting of the file. rule holds what the table says of it. */
struct rule;
typedef void read_setting(struct reader *, config_setting_t *, const struct rule *);

struct rule {
	const char *name;
	read_setting *read;
	size_t field;  /* offset in struct config */
	long long min; /* of a number */
	long long max;
	const char *unit;
	const struct rule *group; /* rules of the settings inside */
};

static read_setting read_bool, read_number, read_port, read_group, read_listen, read_allow,
    read_deny, read_mode, read_owner, read_unix_group;

#define FIELD(name) offsetof(struct config, name)

static const struct rule limit_rules[] = {
    {"clients", read_number, FIELD(limits.clients), 1, CONFIG_MAX_CLIENTS, "clients", NULL},
    {"clients_per_address", read_number, FIELD(limits.clients_per_address), 0, CONFIG_MAX_CLIENTS,
	"clients", NULL},
    {"line", read_number, FIELD(limits.line), 2, CONFIG_MAX_LINE, "bytes", NULL},
    {"queue", read_number, FIELD(limits.queue), CONFIG_MIN_QUEUE, CONFIG_MAX_QUEUE, "bytes", NULL},
    {"stall", read_number, FIELD(limits.stall), 1, CONFIG_MAX_STALL, "seconds", NULL},
    {"idle", read_number, FIELD(limits.idle), 0, CONFIG_MAX_IDLE, "seconds", NULL},
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
    {"trace", read_bool, FIELD(trace), 0, 0, NULL, NULL},
    {"log_connections", read_bool, FIELD(log_connections), 0, 0, NULL, NULL},
    {"sanitize", read_bool, FIELD(sanitize), 0, 0, NULL, NULL},
    {"limits", read_group, 0, 0, 0, NULL, limit_rules},
    {"allow", read_allow, 0, 0, 0, NULL, NULL},
    {"deny", read_deny, 0, 0, 0, NULL, NULL},
    {"unix", read_group, 0, 0, 0, NULL, unix_rules},
    {0},
};

static void report(struct reader *r, const char *file, int line, const char *setting,
    const char *format, va_list args) __attribute__((format(printf, 5, 0)));
static void fault(struct reader *r, const config_setting_t *setting, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static void fault_file(struct reader *r, const char *file, int line, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

static void
report(struct reader *r, const char *file, int line, const char *setting, const char *format,
    va_list args)
{
	char what[1024], where[16] = "", text[2048];

	vsnprintf(what, sizeof(what), format, args);
	if (line > 0)
		snprintf(where, sizeof(where), ":%d", line);
	snprintf(text, sizeof(text), "%s%s: %s%s%s", file, where, setting,
	    setting[0] != '\0' ? ": " : "", what);
	r->faults++;
	r->tell(text);
}

static void
fault_file(struct reader *r, const char *file, int line, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	report(r, file, line, "", format, args);
	va_end(args);
}

/* "limits.clients" of a setting; an element of an array goes by the name of the array. */
static void
full_name(const config_setting_t *setting, char *name, size_t size)
{
	const config_setting_t *parent = config_setting_parent(setting);

	if (parent != NULL && !config_setting_is_root(parent)) {
		full_name(parent, name, size);
		if (config_setting_name(setting) != NULL)
			strlcat(name, ".", size);
	} else {
		name[0] = '\0';
	}
	if (config_setting_name(setting) != NULL)
		strlcat(name, config_setting_name(setting), size);
}

static void
fault(struct reader *r, const config_setting_t *setting, const char *format, ...)
{
	const char *file = config_setting_source_file(setting);
	char name[256];
	va_list args;

	full_name(setting, name, sizeof(name));
	va_start(args, format);
	report(r, file != NULL ? file : r->file, (int)config_setting_source_line(setting), name,
	    format, args);
	va_end(args);
}

static const char *
type_name(const config_setting_t *setting)
{
	switch (config_setting_type(setting)) {
	case CONFIG_TYPE_GROUP:
		return "a group";
	case CONFIG_TYPE_INT:
	case CONFIG_TYPE_INT64:
		return "a whole number";
	case CONFIG_TYPE_FLOAT:
		return "a number with a fraction";
	case CONFIG_TYPE_STRING:
		return "a string";
	case CONFIG_TYPE_BOOL:
		return "a truth value";
	default:
		return "a list";
	}
}

static bool
is_whole_number(const config_setting_t *setting)
{
	return config_setting_type(setting) == CONFIG_TYPE_INT ||
	       config_setting_type(setting) == CONFIG_TYPE_INT64;
}

static void
read_bool(struct reader *r, config_setting_t *setting, const struct rule *rule)
{
	if (config_setting_type(setting) != CONFIG_TYPE_BOOL) {
		fault(r, setting, "is %s, allowed are true and false", type_name(setting));
		return;
	}
	*(bool *)((char *)r->config + rule->field) = config_setting_get_bool(setting) != 0;
}

/* expand_number also takes "0x40", "64Kx" and "64KK". */
static bool
is_size(const char *text)
{
	const char *unit = text + strspn(text, "0123456789");

	return unit > text &&
	       (unit[0] == '\0' || (strchr("KkMmGg", unit[0]) != NULL && unit[1] == '\0'));
}

/*
 * libconfig before 1.7 keeps the low 32 bits of a number that is too large: 4294976330 would become
 * 9034. So the number is read once more where it stands, behind its name. Returns the value.
 */
static long long
whole_number(const struct reader *r, const config_setting_t *setting)
{
	long long value = config_setting_get_int64(setting), written;
	const char *name = config_setting_name(setting), *at = r->text;
	char *end;

	if (config_setting_source_file(setting) != NULL || name == NULL || at == NULL)
		return value;
	for (unsigned line = 1; line < config_setting_source_line(setting); line++)
		if ((at = strchr(at, '\n')) == NULL || *++at == '\0')
			return value;
	if ((at = strstr(at, name)) == NULL)
		return value;
	at += strlen(name);
	at += strspn(at, " \t=:");
	written = strtoll(at, &end, 0);
	return end > at && (int)written == (int)value ? written : value;
}

/* A number, or where bytes are counted a string such as "64K". */
static void
read_number(struct reader *r, config_setting_t *setting, const struct rule *rule)
{
	bool bytes = strcmp(rule->unit, "bytes") == 0;
	const char *sized = bytes ? " or a string such as \"64K\"" : "";
	long long value;

	if (is_whole_number(setting)) {
		value = whole_number(r, setting);
	} else if (bytes && config_setting_type(setting) == CONFIG_TYPE_STRING) {
		const char *text = config_setting_get_string(setting);
		uint64_t size;

		if (!is_size(text) || expand_number(text, &size) < 0) {
			fault(r, setting,
			    "\"%s\" is no size, allowed is a number from %lld to %lld%s", text,
			    rule->min, rule->max, sized);
			return;
		}
		value = size > INT64_MAX ? INT64_MAX : (long long)size;
	} else {
		fault(r, setting, "is %s, allowed is a whole number from %lld to %lld%s",
		    type_name(setting), rule->min, rule->max, sized);
		return;
	}
	if (value < rule->min || value > rule->max) {
		fault(r, setting, "%lld is out of range, allowed is %lld to %lld%s%s", value,
		    rule->min, rule->max, rule->unit[0] != '\0' ? " " : "", rule->unit);
		return;
	}
	*(uint32_t *)((char *)r->config + rule->field) = (uint32_t)value;
}

/* The command line's port is stronger, but the file's is checked all the same. */
static void
read_port(struct reader *r, config_setting_t *setting, const struct rule *rule)
{
	read_number(r, setting, rule);
	if (r->port != 0)
		r->config->port = r->port;
}

static void
unknown_setting(struct reader *r, const config_setting_t *setting, const struct rule *rules)
{
	char names[256] = "";

	for (const struct rule *rule = rules; rule->name != NULL; rule++) {
		strlcat(names, rule == rules ? "" : ", ", sizeof(names));
		strlcat(names, rule->name, sizeof(names));
	}
	fault(r, setting, "unknown setting, allowed here are %s", names);
}

static void
read_settings(struct reader *r, const config_setting_t *group, const struct rule *rules)
{
	int count = config_setting_length(group);

	for (int i = 0; i < count; i++) {
		config_setting_t *setting = config_setting_get_elem(group, (unsigned)i);
		const struct rule *rule = rules;

		while (rule->name != NULL && strcmp(rule->name, config_setting_name(setting)) != 0)
			rule++;
		if (rule->name == NULL)
			unknown_setting(r, setting, rules);
		else
			rule->read(r, setting, rule);
	}
}

static void
read_group(struct reader *r, config_setting_t *setting, const struct rule *rule)
{
	if (!config_setting_is_group(setting))
		fault(r, setting, "is %s, allowed is a group: { ... }", type_name(setting));
	else
		read_settings(r, setting, rule->group);
}

/* Calls take for each string of a list, or for the one string. Returns how many there were. */
static int
each_string(struct reader *r, config_setting_t *setting, const char *allowed,
    void (*take)(struct reader *, const config_setting_t *, const char *))
{
	bool many = config_setting_is_array(setting) || config_setting_is_list(setting);
	int count = many ? config_setting_length(setting) : 1;

	for (int i = 0; i < count; i++) {
		const config_setting_t *element =
		    many ? config_setting_get_elem(setting, (unsigned)i) : setting;

		if (config_setting_type(element) != CONFIG_TYPE_STRING)
			fault(r, element, "is %s, allowed are %s", type_name(element), allowed);
		else
			take(r, element, config_setting_get_string(element));
	}
	return count;
}

#define LISTEN_FORMS                                                                           \
	"\"address\", \"address:port\", \"[v6]:port\", \"localhost:port\" and \"/path\" of a " \
	"unix "                                                                                \
	"socket"

static void
add_endpoint(struct reader *r, const config_setting_t *setting, const struct endpoint *endpoint)
{
	struct config *config = r->config;
	struct endpoint *more;
	char text[ADDR_TEXT];

	for (size_t i = 0; i < config->n_endpoints; i++)
		if (endpoint_same(&config->endpoints[i], endpoint)) {
			fault(r, setting, "%s is named twice", endpoint_format(endpoint, text));
			return;
		}
	more = reallocarray(config->endpoints, config->n_endpoints + 1, sizeof(*more));
	if (more == NULL) {
		fault(r, setting, "%s", strerror(errno));
		return;
	}
	more[config->n_endpoints++] = *endpoint;
	config->endpoints = more;
}

static void
take_listen(struct reader *r, const config_setting_t *setting, const char *text)
{
	static const char localhost[] = "localhost";
	struct endpoint endpoint = {0};
	uint16_t port = (uint16_t)r->config->port;
	char address[ADDR_TEXT];

	if (text[0] == '/') {
		if (strlcpy(endpoint.path, text, sizeof(endpoint.path)) >= sizeof(endpoint.path))
			fault(r, setting, "a path of %zu bytes, allowed are %zu", strlen(text),
			    sizeof(endpoint.path) - 1);
		else
			add_endpoint(r, setting, &endpoint);
		return;
	}
	/* Both of its addresses, without asking a resolver, which could make a reload wait. */
	if (strncmp(text, localhost, strlen(localhost)) == 0) {
		const char *rest = text + strlen(localhost);

		snprintf(address, sizeof(address), "127.0.0.1%s", rest);
		if (addr_parse_port(&endpoint.addr, address, port) == 0) {
			add_endpoint(r, setting, &endpoint);
			snprintf(address, sizeof(address), "[::1]%s", rest);
			addr_parse_port(&endpoint.addr, rest[0] == ':' ? address : "::1", port);
			add_endpoint(r, setting, &endpoint);
			return;
		}
	} else if (addr_parse_port(&endpoint.addr, text, port) == 0) {
		add_endpoint(r, setting, &endpoint);
		return;
	}
	fault(r, setting, "\"%s\" is no address to listen on, allowed are " LISTEN_FORMS, text);
}

static void
read_listen(struct reader *r, config_setting_t *setting, const struct rule *rule)
{
	(void)rule;
	if (each_string(r, setting, LISTEN_FORMS, take_listen) == 0)
		fault(r, setting, "is empty, allowed are " LISTEN_FORMS);
}

#define NETWORK_FORMS \
	"addresses and networks such as \"192.0.2.1\", \"10.0.0.0/8\" and \"fc00::/7\""

static void
take_network(
    struct reader *r, const config_setting_t *setting, const char *text, enum access_list list)
{
	if (access_add(r->config->access, list, text) == 0)
		return;
	if (errno == EINVAL)
		fault(r, setting, "\"%s\" is no network, allowed are " NETWORK_FORMS, text);
	else
		fault(r, setting, "%s", strerror(errno));
}

static void
take_allow(struct reader *r, const config_setting_t *setting, const char *text)
{
	take_network(r, setting, text, ACCESS_ALLOW);
}

static void
take_deny(struct reader *r, const config_setting_t *setting, const char *text)
{
	take_network(r, setting, text, ACCESS_DENY);
}

static void
read_allow(struct reader *r, config_setting_t *setting, const struct rule *rule)
{
	(void)rule;
	if (each_string(r, setting, NETWORK_FORMS, take_allow) == 0)
		fault(r, setting, "is empty, so nobody could come in; allowed are " NETWORK_FORMS);
}

static void
read_deny(struct reader *r, config_setting_t *setting, const struct rule *rule)
{
	(void)rule;
	each_string(r, setting, NETWORK_FORMS, take_deny);
}

/* A string, since libconfig would read 0660 as the decimal number 660. */
static void
read_mode(struct reader *r, config_setting_t *setting, const struct rule *rule)
{
	const char *text = config_setting_get_string(setting);

	(void)rule;
	if (text == NULL || strlen(text) == 0 || strlen(text) > 4 ||
	    strspn(text, "01234567") != strlen(text) || strtol(text, NULL, 8) > 0777) {
		fault(r, setting, "allowed is a string of octal digits, \"0000\" to \"0777\"");
		return;
	}
	r->config->unix_mode = (mode_t)strtol(text, NULL, 8);
}

/* The number that a setting gives in digits, or -1. Ids have 32 bits, and -1 means none. */
static long long
id_number(const config_setting_t *setting)
{
	const char *text = config_setting_get_string(setting), *error = NULL;
	long long id = is_whole_number(setting) ? config_setting_get_int64(setting) : -1;

	if (text != NULL)
		id = strtonum(text, 0, UINT32_MAX - 1, &error);
	return error == NULL && id < UINT32_MAX ? id : -1;
}

static void
read_owner(struct reader *r, config_setting_t *setting, const struct rule *rule)
{
	const char *name = config_setting_get_string(setting);
	const struct passwd *user = name != NULL ? getpwnam(name) : NULL;
	long long id = user != NULL ? (long long)user->pw_uid : id_number(setting);

	(void)rule;
	if (id < 0)
		fault(r, setting, "no such user, allowed is a user's name or number");
	else
		r->config->unix_owner = (uid_t)id;
}

static void
read_unix_group(struct reader *r, config_setting_t *setting, const struct rule *rule)
{
	const char *name = config_setting_get_string(setting);
	const struct group *group = name != NULL ? getgrnam(name) : NULL;
	long long id = group != NULL ? (long long)group->gr_gid : id_number(setting);

	(void)rule;
	if (id < 0)
		fault(r, setting, "no such group, allowed is a group's name or number");
	else
		r->config->unix_group = (gid_t)id;
}

static struct config *
config_new(const char *file)
{
	struct config *config = malloc(sizeof(*config));

	if (config == NULL)
		return NULL;
	*config = (struct config){
	    .file = file != NULL ? strdup(file) : NULL,
	    .port = CONFIG_PORT,
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
static void
default_endpoint(struct reader *r)
{
	struct config *config = r->config;

	if (config->n_endpoints > 0)
		return;
	if ((config->endpoints = calloc(1, sizeof(*config->endpoints))) == NULL) {
		fault_file(r, r->file, 0, "%s", strerror(errno));
		return;
	}
	config->n_endpoints = 1;
	addr_parse_port(&config->endpoints[0].addr, "::", (uint16_t)config->port);
}

/* "::" takes IPv4 as well, unless an IPv4 endpoint of the same port stands beside it. */
static void
share_ports(struct config *config)
{
	static const uint8_t any[16];

	for (size_t i = 0; i < config->n_endpoints; i++) {
		struct endpoint *v6 = &config->endpoints[i];

		if (v6->addr.family != AF_INET6 || memcmp(v6->addr.ip, any, sizeof(any)) != 0)
			continue;
		for (size_t k = 0; k < config->n_endpoints; k++)
			if (config->endpoints[k].addr.family == AF_INET &&
			    config->endpoints[k].addr.port == v6->addr.port)
				v6->v6only = true;
	}
}

/* The port comes first: endpoints that name none take it, wherever it stands in the file. */
static void
read_root(struct reader *r, const config_t *parsed)
{
	const config_setting_t *root = config_root_setting(parsed);
	const config_setting_t *port = config_setting_get_member(root, "port");

	if (r->port != 0)
		r->config->port = r->port;
	else if (port != NULL && is_whole_number(port))
		r->config->port = (uint16_t)config_setting_get_int64(port);
	read_settings(r, root, root_rules);
}

/* @include is relative to the folder of the file. libconfig before 1.7 cannot do both. */
static bool
includes_absolute(const char *text)
{
	return LIBCONFIG_VER_MAJOR == 1 && LIBCONFIG_VER_MINOR < 7 &&
	       strstr(text, "@include \"/") != NULL;
}

static void
read_text(struct reader *r)
{
	char *path = strdup(r->file);
	config_t parsed;

	if (path == NULL) {
		fault_file(r, r->file, 0, "%s", strerror(errno));
		return;
	}
	config_init(&parsed);
	if (!includes_absolute(r->text))
		config_set_include_dir(&parsed, dirname(path));
	if (config_read_string(&parsed, r->text))
		read_root(r, &parsed);
	else
		fault_file(r, config_error_file(&parsed) ? config_error_file(&parsed) : r->file,
		    config_error_line(&parsed), "%s", config_error_text(&parsed));
	config_destroy(&parsed);
	free(path);
}

struct config *
config_parse(const char *text, const char *file, uint16_t port, config_fault *tell)
{
	struct reader r = {
	    .file = file != NULL ? file : "defaults", .text = text, .port = port, .tell = tell};

	if ((r.config = config_new(file)) == NULL) {
		fault_file(&r, r.file, 0, "%s", strerror(errno));
		return NULL;
	}
	if (text != NULL)
		read_text(&r);
	else if (port != 0)
		r.config->port = port;
	default_endpoint(&r);
	share_ports(r.config);
	if (r.faults > 0) {
		config_free(r.config);
		return NULL;
	}
	return r.config;
}

/* Returns the whole file with a NUL behind it, or NULL after a fault. */
static char *
slurp(struct reader *r)
{
	int fd = open(r->file, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	size_t len = 0;
	ssize_t n = -1;
	char *text = NULL;

	if (fd >= 0 && (text = malloc(CONFIG_MAX_FILE + 2)) != NULL)
		while ((n = read(fd, text + len, CONFIG_MAX_FILE + 1 - len)) > 0)
			len += (size_t)n;
	if (n < 0)
		fault_file(r, r->file, 0, "%s", strerror(errno));
	else if (len > CONFIG_MAX_FILE)
		fault_file(r, r->file, 0, "is too long, allowed are %d bytes", CONFIG_MAX_FILE);
	else if (memchr(text, '\0', len) != NULL)
		fault_file(r, r->file, 0, "holds a NUL byte, allowed is text");
	else
		text[len] = '\0';
	if (fd >= 0)
		close(fd);
	if (r->faults > 0) {
		free(text);
		return NULL;
	}
	return text;
}

struct config *
config_load(const char *file, uint16_t port, config_fault *tell)
{
	struct reader r = {.file = file, .tell = tell};
	struct config *config;
	char *text;

	if (file == NULL)
		return config_parse(NULL, NULL, port, tell);
	if ((text = slurp(&r)) == NULL)
		return NULL;
	config = config_parse(text, file, port, tell);
	free(text);
	return config;
}
