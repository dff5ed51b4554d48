/*
 * The settings file: config_parse with any text, any included file, and memory that may be refused.
 *
 * Input: which allocation is refused (0: none), the port of the command line, whether the file has
 * a name with a folder; then the text; behind a NUL the text of a file that it may include as
 * "more".
 */
#include <dlfcn.h>
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>

#include "conf/config.h"
#include "memory.h"
#include "seam.h"
#include "target.h"

#define TEXT 8192

static const char *included; /* the text of the file "more"; NULL: no input is run */
static size_t faults, read_so_far;
static char first_fault[4096];

/*
 * libconfig 1.5 leaks some bytes of a text that it refuses. What chatd allocates is counted here,
 * so LeakSanitizer is not needed.
 */
int __lsan_is_turned_off(void);

int
__lsan_is_turned_off(void)
{
	return 1;
}

/* --- files: none but "more" */

static bool
is_more(const char *path)
{
	const char *slash = strrchr(path, '/');

	return strcmp(slash != NULL ? slash + 1 : path, "more") == 0;
}

/* libconfig's way to an included file. */
FILE *
fopen(const char *path, const char *mode)
{
	FILE *(*real)(const char *, const char *);

	if (included == NULL) {
		real = (FILE * (*)(const char *, const char *)) dlsym(RTLD_NEXT, "fopen");
		return real(path, mode);
	}
	if (is_more(path) && included[0] != '\0')
		return fmemopen((void *)(uintptr_t)included, strlen(included), "r");
	errno = ENOENT;
	return NULL;
}

/* chatd's own. */
int
sim_open(const char *path, int flags, ...)
{
	(void)flags;
	read_so_far = 0;
	if (is_more(path))
		return 3;
	errno = ENOENT;
	return -1;
}

ssize_t
sim_read(int fd, void *data, size_t len)
{
	size_t left = strlen(included) - read_so_far;

	check(fd == 3);
	if (len > left)
		len = left;
	memcpy(data, included + read_so_far, len);
	read_so_far += len;
	return (ssize_t)len;
}

int
sim_close(int fd)
{
	check(fd == 3);
	return 0;
}

/* --- names */

struct passwd *
sim_getpwnam(const char *name)
{
	static struct passwd user = {.pw_uid = 7};

	return strcmp(name, "news") == 0 ? &user : NULL;
}

struct group *
sim_getgrnam(const char *name)
{
	static struct group group = {.gr_gid = 8};

	return strcmp(name, "mail") == 0 ? &group : NULL;
}

unsigned
sim_if_nametoindex(const char *name)
{
	return strcmp(name, "lo") == 0 ? 1 : 0;
}

/* --- what must be true */

static void
take_fault(const char *text)
{
	check(text[0] != '\0' && strlen(text) < sizeof(first_fault));
	if (faults++ == 0)
		strcpy(first_fault, text);
}

static void
check_endpoint(const struct endpoint *endpoint)
{
	const struct addr *addr = &endpoint->addr;

	if (endpoint->path[0] != '\0') {
		check(endpoint->path[0] == '/');
		check(memchr(endpoint->path, '\0', sizeof(endpoint->path)) != NULL);
		return;
	}
	check(addr->family == AF_INET || addr->family == AF_INET6);
	check(!endpoint->v6only || addr->family == AF_INET6);
}

/* A config that was accepted is within every limit that is documented. */
static void
check_config(const struct config *config, const char *file, uint16_t port)
{
	const struct limits *limits = &config->limits;

	check((config->file == NULL) == (file == NULL));
	check(file == NULL || strcmp(config->file, file) == 0);
	check(config->port >= 1 && config->port <= 65535);
	check(port == 0 || config->port == port);
	check(limits->clients >= 1 && limits->clients <= CONFIG_MAX_CLIENTS);
	check(limits->clients_per_address <= CONFIG_MAX_CLIENTS);
	check(limits->line >= 2 && limits->line <= CONFIG_MAX_LINE);
	check(limits->queue >= CONFIG_MIN_QUEUE && limits->queue <= CONFIG_MAX_QUEUE);
	check(limits->stall >= 1 && limits->stall <= CONFIG_MAX_STALL);
	check(limits->idle <= CONFIG_MAX_IDLE);
	check(config->unix_mode <= 0777);
	check(config->access != NULL);
	check(config->n_endpoints > 0);
	for (size_t i = 0; i < config->n_endpoints; i++) {
		check_endpoint(&config->endpoints[i]);
		for (size_t k = 0; k < i; k++)
			check(config->endpoints[i].addr.port == 0 ||
			      !endpoint_same(&config->endpoints[i], &config->endpoints[k]));
	}
}

static const char *
truth(bool value)
{
	return value ? "true" : "false";
}

static void append(char *text, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void
append(char *text, const char *format, ...)
{
	size_t len = strlen(text);
	va_list args;

	va_start(args, format);
	vsnprintf(text + len, TEXT * 4 - len, format, args);
	va_end(args);
}

/* Whether an endpoint can be written in a file: not every byte, and no interface by number. */
static bool
can_write(const struct endpoint *endpoint)
{
	return endpoint->addr.scope == 0 && strpbrk(endpoint->path, "\"\\") == NULL;
}

/* Written out as a file, a config is read as the same config. */
static void
check_again(const struct config *config, uint16_t port)
{
	static char text[TEXT * 4];
	const struct limits *limits = &config->limits;
	const char *comma = "";
	char name[ADDR_TEXT];
	struct config *again;

	text[0] = '\0';
	append(text, "port = %u;\ntrace = %s;\nlog_connections = %s;\nsanitize = %s;\n",
	    config->port, truth(config->trace), truth(config->log_connections),
	    truth(config->sanitize));
	append(text,
	    "limits = { clients = %u; clients_per_address = %u; line = %u; queue = %u; "
	    "stall = %u; idle = %u; };\n",
	    limits->clients, limits->clients_per_address, limits->line, limits->queue,
	    limits->stall, limits->idle);
	append(text, "unix = { mode = \"%04o\";", config->unix_mode);
	if (config->unix_owner != (uid_t)-1)
		append(text, " owner = \"%u\";", config->unix_owner);
	if (config->unix_group != (gid_t)-1)
		append(text, " group = \"%u\";", config->unix_group);
	append(text, " };\nlisten = [ ");
	for (size_t i = 0; i < config->n_endpoints; i++, comma = ", ") {
		if (!can_write(&config->endpoints[i]))
			return;
		append(text, "%s\"%s\"", comma, endpoint_format(&config->endpoints[i], name));
	}
	append(text, " ];\n");
	if (strlen(text) >= sizeof(text) - 1)
		return;
	faults = 0;
	again = config_parse(text, config->file, port, take_fault);
	if (again == NULL)
		die("refused: %s\n%s", first_fault, text);
	check(faults == 0);
	check(again->port == config->port && again->trace == config->trace);
	check(again->log_connections == config->log_connections);
	check(again->sanitize == config->sanitize);
	check(memcmp(&again->limits, limits, sizeof(*limits)) == 0);
	check(again->unix_mode == config->unix_mode);
	check(again->unix_owner == config->unix_owner);
	check(again->unix_group == config->unix_group);
	check(again->n_endpoints == config->n_endpoints);
	for (size_t i = 0; i < config->n_endpoints; i++)
		check(endpoint_same(&again->endpoints[i], &config->endpoints[i]));
	config_free(again);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const names[] = {NULL, "chatd.conf", "/etc/chatd.conf", "/chatd.conf"};
	struct input input = {data, size};
	uint64_t refused = take_byte(&input);
	uint16_t port = (uint16_t)take_short(&input);
	const char *file = names[take_byte(&input) % 4];
	char text[TEXT + 1] = "";
	struct config *config;

	if (input.left >= TEXT)
		return 0;
	memcpy(text, input.data, input.left);
	included = memchr(text, '\0', input.left) != NULL ? text + strlen(text) + 1 : "";
	faults = 0;
	memory_reset();
	if (refused > 0)
		memory_refuse(refused, 1);
	config = config_parse(text, file, port, take_fault);
	memory_refuse(0, 0);
	check((config == NULL) == (faults > 0));
	if (config != NULL) {
		check_config(config, file, port);
		check_again(config, port);
	}
	config_free(config);
	check(memory.blocks == 0);
	included = NULL;
	return 0;
}
