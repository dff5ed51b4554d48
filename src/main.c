/*
 * chatd: each line that one client sends reaches all other clients.
 */
#include <bsd/unistd.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "base/log.h"
#include "base/systemd.h"
#include "base/trace.h"
#include "cluster/session.h"
#include "conf/advice.h"
#include "conf/config.h"
#include "conf/options.h"
#include "conf/print.h"
#include "server.h"

/* Descriptors 0 to 2 that are missing would otherwise become a client's. */
static int
open_standard(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDWR);
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd < 0)
		return -1;
	close(fd);
	return 0;
}

/* Takes over config and tls. */
static int
serve(struct config *config, struct tls_context *tls, const struct handover *handover)
{
	struct server server;
	int result = -1;

	trace_open(config->trace);
	server_init(&server, config, tls, handover);
	if (server_listen(&server) == 0)
		result = server_run(&server);
	server_close(&server);
	trace_close();
	return result;
}

static int
say_settings(const struct config *config)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);
	int result = -1;

	if (out != NULL)
		config_print(config, out);
	if (out != NULL && fclose(out) == 0)
		result = options_say("%s", text);
	else
		perror("settings");
	free(text);
	return result;
}

/* What -t and -T want. Takes over config. */
static int
say(const struct options *options, struct config *config)
{
	int result;

	if (options->print) {
		result = say_settings(config);
	} else {
		advise(config, log_fault);
		result = options_say("%s: ok\n", options->file);
	}
	config_free(config);
	return result;
}

/* A passed socket for TLS stands for an address of the settings with tls:// in front. */
static bool
lacks_certificate(const struct config *config, int passed, char *const *names)
{
	if (certificates_are_set(&config->tls))
		return false;
	for (int i = 0; i < passed && names != NULL; i++)
		if (strcmp(names[i], "tls") == 0) {
			log_error("a socket named tls was passed: it takes tls.certificate and "
				  "tls.key");
			return true;
		}
	return false;
}

/* Takes over config and tls. */
static int
begin(struct config *config, struct tls_context *tls, int passed, char *const *names)
{
	struct handover handover;

	/* Other descriptors that the caller left open are of no use here; the main socket is to be
	 * 3. */
	closefrom(STDERR_FILENO + 1 + passed);
	if (handover_sort(&handover, passed, names) == 0)
		return serve(config, tls, &handover);
	tls_context_free(tls);
	config_free(config);
	return -1;
}

/* Returns the exit status. */
static int
run(const struct options *options, int passed, char *const *names)
{
	/* Before anything is closed: the file may be one that the caller has open, "/dev/fd/3". */
	struct config *config = config_load(options->file, options->port, log_fault);
	struct tls_context *tls = NULL;
	int result;

	if (config == NULL)
		return errno == ENOMEM ? EXIT_FAILURE : EX_CONFIG;
	if (!options->print && (lacks_certificate(config, passed, names) ||
				   tls_context_load(&tls, &config->tls, log_fault) < 0 ||
				   session_check(&config->cluster, log_fault) < 0)) {
		tls_context_free(tls);
		config_free(config);
		return EX_CONFIG;
	}
	if (options->check) {
		tls_context_free(tls);
		result = say(options, config);
	} else {
		result = begin(config, tls, passed, names);
	}
	return result == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

int
main(int argc, char **argv)
{
	struct options options;
	char **names;
	int passed, status;

	if (open_standard() < 0) {
		perror("open /dev/null");
		return EXIT_FAILURE;
	}
	switch (options_parse(&options, argc, argv)) {
	case OPTIONS_DONE:
		return EXIT_SUCCESS;
	case OPTIONS_BAD:
		return EXIT_FAILURE;
	case OPTIONS_SERVE:
		break;
	}
	passed = systemd_descriptors(&names);
	log_open();
	if (passed < 0) {
		log_error("sd_listen_fds: %s", strerror(-passed));
		return EXIT_FAILURE;
	}
	status = run(&options, passed, names);
	systemd_free_names(names);
	log_close();
	return status;
}
