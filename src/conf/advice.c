#include "conf/advice.h"

#include <stdio.h>
#include <sys/stat.h>
#include <syslog.h>

#include "conf/files.h"

/* Ports below this one need a privilege. */
static int
first_free_port(void)
{
	FILE *file = fopen("/proc/sys/net/ipv4/ip_unprivileged_port_start", "re");
	int port;

	if (file == NULL)
		return 1024;
	if (fscanf(file, "%d", &port) != 1)
		port = 1024;
	fclose(file);
	return port;
}

static void
advise_on_ports(const struct config *config, struct source *source)
{
	int first = first_free_port();
	char text[ADDR_TEXT];

	source->file = config->file;
	for (size_t i = 0; i < config->n_endpoints; i++) {
		int port = config->endpoints[i].addr.port;

		if (port > 0 && port < first)
			source_say(source, LOG_WARNING, 0, "listen",
			    "%s: a port below %d takes CAP_NET_BIND_SERVICE, which the packaged "
			    "service does not have",
			    endpoint_format(&config->endpoints[i], text), first);
	}
}

static void
advise_on_modes(const struct config *config, struct source *source)
{
	struct files files;
	struct stat st;

	files_load(&files, config->file, source);
	for (size_t i = 0; i < files.count; i++) {
		source->file = files.list[i].name;
		if (stat(source->file, &st) == 0 && (st.st_mode & S_IROTH) == 0)
			source_say(source, LOG_WARNING, 0, "",
			    "not everybody may read it; the packaged service cannot either");
	}
	files_free(&files);
}

void
advise(const struct config *config, source_tell *tell)
{
	struct source source = {.tell = tell};

	advise_on_ports(config, &source);
	advise_on_modes(config, &source);
}
