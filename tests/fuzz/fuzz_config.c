/*
 * The settings: config_merge with any texts of the file and of two files of its folder, and memory
 * that may be refused.
 *
 * Input: which allocation is refused (0: none), the port of the command line, the name of the file;
 * then the texts, each behind a NUL but the first.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <syslog.h>

#include "conf/config.h"
#include "conf/print.h"
#include "memory.h"
#include "seam.h"
#include "target.h"

#define TEXT 8192

static size_t faults;
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

/* --- files: none is opened, all texts are here */

int
sim_open(const char *path, int flags, ...)
{
	die("%s is opened, flags %d", path, flags);
}

int
sim_fstat(int fd, struct stat *st)
{
	(void)st;
	die("fstat %d", fd);
}

ssize_t
sim_read(int fd, void *data, size_t len)
{
	(void)data;
	die("read %d, %zu bytes", fd, len);
}

int
sim_close(int fd)
{
	die("close %d", fd);
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
take_fault(int level, const char *text)
{
	check(text[0] != '\0' && strlen(text) < sizeof(first_fault));
	check(level == LOG_ERR || level == LOG_WARNING);
	if (level == LOG_WARNING)
		return;
	if (faults++ == 0)
		strcpy(first_fault, text);
}

static bool
same_file(const struct named_file *a, const struct named_file *b)
{
	if (a->path == NULL || b->path == NULL)
		return a->path == b->path;
	return a->path[0] == '/' && strcmp(a->path, b->path) == 0;
}

static void
check_endpoint(const struct endpoint *endpoint, const struct config *config)
{
	const struct addr *addr = &endpoint->addr;

	if (endpoint->path[0] != '\0') {
		check(endpoint->path[0] == '/');
		check(memchr(endpoint->path, '\0', sizeof(endpoint->path)) != NULL);
		return;
	}
	check(addr->family == AF_INET || addr->family == AF_INET6);
	check(!endpoint->v6only || addr->family == AF_INET6);
	check(!endpoint->tls || certificates_are_set(&config->tls));
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
	check(limits->lag <= CONFIG_MAX_LAG);
	check(limits->idle <= CONFIG_MAX_IDLE);
	check(limits->handshake >= 1 && limits->handshake <= CONFIG_MAX_HANDSHAKE);
	check(config->unix_mode <= 0777);
	check(config->access != NULL);
	check(config->n_endpoints > 0);
	for (size_t i = 0; i < config->n_endpoints; i++) {
		check_endpoint(&config->endpoints[i], config);
		for (size_t k = 0; k < i; k++)
			check(config->endpoints[i].addr.port == 0 ||
			      !endpoint_same(&config->endpoints[i], &config->endpoints[k]));
	}
}

/* Printed as a file, a config is read as the same config. */
static void
check_again(const struct config *config, uint16_t port)
{
	static char text[TEXT * 8];
	const struct limits *limits = &config->limits;
	FILE *out = fmemopen(text, sizeof(text), "w");
	struct config *again;

	check(out != NULL);
	config_print(config, out);
	fclose(out);
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
	check(same_file(&again->tls.certificate, &config->tls.certificate));
	check(same_file(&again->tls.key, &config->tls.key));
	check(same_file(&again->tls.ca, &config->tls.ca));
	check(again->tls.clients == config->tls.clients);
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
	struct file files[3] = {{(char *)(uintptr_t)file, (char[]){""}}, {(char[]){"1.conf"}, NULL},
	    {(char[]){"2.conf"}, NULL}};
	size_t count = 0;
	char text[TEXT + 1] = "";
	struct config *config;

	if (input.left >= TEXT)
		return 0;
	memcpy(text, input.data, input.left);
	for (const char *next = text; count < 3 && next < text + input.left;
	     next += strlen(next) + 1)
		files[count++].text = (char *)(uintptr_t)next;
	faults = 0;
	memory_reset();
	if (refused > 0)
		memory_refuse(refused, 1);
	config = config_merge(files, count > 0 ? count : 1, port, take_fault);
	memory_refuse(0, 0);
	check((config == NULL) == (faults > 0));
	if (config != NULL) {
		check_config(config, file, port);
		check_again(config, port);
	}
	config_free(config);
	check(memory.blocks == 0);
	return 0;
}
