#include "conf/advice.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <syslog.h>
#include <unistd.h>

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

/* --- files of TLS that only root may read */

/* Where systemd puts files for one service, which may read them whatever their mode says. */
#define CREDENTIALS "/run/credentials/"

/* Whether it grants the right to everybody, or to a group that the service can be given. */
static bool
grants(const char *path, mode_t everybody, mode_t group)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return true; /* not what this is about */
	return (st.st_mode & everybody) != 0 || ((st.st_mode & group) != 0 && st.st_gid != 0);
}

/* Whether all folders on the way to the file, and the file, let others than root in. */
static bool
is_open_to_others(const char *path)
{
	char *way = strdup(path);
	bool open = grants(path, S_IROTH, S_IRGRP);

	for (char *slash = way; open && slash != NULL; slash = strchr(slash + 1, '/')) {
		if (slash == way)
			continue;
		*slash = '\0';
		open = grants(way, S_IXOTH, S_IXGRP);
		*slash = '/';
	}
	free(way);
	return open;
}

static void
advise_on_file(const struct named_file *file, source_tell *tell)
{
	char text[1024], *path;
	bool open;

	if (file->path == NULL || strncmp(file->path, CREDENTIALS, strlen(CREDENTIALS)) == 0)
		return;
	/* By links, as those of certbot, the way is another one. */
	path = realpath(file->path, NULL);
	open = is_open_to_others(file->path) && (path == NULL || is_open_to_others(path));
	free(path);
	if (open)
		return;
	snprintf(text, sizeof(text),
	    "%s: warning: %s: only root may read it; the packaged service can if it is of a group, "
	    "see ssl-cert in README.Debian",
	    file->where, file->path);
	tell(LOG_WARNING, text);
}

/* For others than root, what they cannot read is a fault. */
static void
advise_on_certificates(const struct certificates *certificates, source_tell *tell)
{
	if (geteuid() != 0)
		return;
	advise_on_file(&certificates->certificate, tell);
	advise_on_file(&certificates->key, tell);
	if (certificates->clients != TLS_CLIENTS_ANY)
		advise_on_file(&certificates->ca, tell);
}

static void
advise_on_cluster(const struct cluster *cluster, source_tell *tell)
{
	if (geteuid() != 0)
		return;
	advise_on_file(&cluster->password, tell);
	advise_on_file(&cluster->tls.ca, tell);
	advise_on_file(&cluster->tls.certificate, tell);
	advise_on_file(&cluster->tls.key, tell);
}

void
advise(const struct config *config, source_tell *tell)
{
	struct source source = {.tell = tell};

	advise_on_ports(config, &source);
	advise_on_modes(config, &source);
	advise_on_certificates(&config->tls, tell);
	advise_on_cluster(&config->cluster, tell);
}
