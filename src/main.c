/*
 * chatd: each line that one client sends reaches all other clients.
 */
#include <bsd/unistd.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/systemd.h"
#include "base/trace.h"
#include "conf/config.h"
#include "conf/options.h"
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

static int
serve(struct config *config, int inherited)
{
	struct server server;
	int result = -1;

	trace_open(config->trace);
	server_init(&server, config);
	if (server_listen(&server, inherited) == 0)
		result = server_run(&server);
	server_close(&server);
	trace_close();
	return result;
}

int
main(int argc, char **argv)
{
	struct options options;
	struct config *config;
	int inherited, result = 0;

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
	/* What the caller left open is nobody's business here, and the main socket is to be 3. */
	inherited = systemd_sockets();
	closefrom(STDERR_FILENO + 1 + (inherited > 0 ? inherited : 0));
	log_open();
	if (inherited < 0) {
		log_error("sd_listen_fds: %s", strerror(-inherited));
		return EXIT_FAILURE;
	}
	if ((config = config_load(options.file, options.port, log_fault)) == NULL) {
		result = -1;
	} else if (options.check) {
		result = options_say("%s: ok\n", options.file);
		config_free(config);
	} else {
		result = serve(config, inherited);
	}
	log_close();
	return result == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
