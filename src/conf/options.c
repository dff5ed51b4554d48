#include "conf/options.h"

#include <bsd/stdlib.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>

#include "build.h"

static const char usage[] = "usage: chatd [-c FILE] [-t | -T] [PORT]\n"
			    "       chatd -h | -V\n";

static const char help[] = "\n"
			   "Forwards each line that a TCP client sends to all other clients.\n"
			   "\n"
			   "  PORT     serve on this port; without -c no file is read\n"
			   "  -c FILE  read FILE and FILE.d/*.conf instead of " CHATD_CONF "\n"
			   "  -t       check the settings, say what is wrong in them, and exit\n"
			   "  -T       print the settings in force, and exit\n"
			   "  -h       show this help\n"
			   "  -V       show the version and what was built in\n"
			   "\n"
			   "Signals: HUP reads the file again, USR1 reports to the log;\n"
			   "         INT and TERM end the server, USR2 leaves it to the next one.\n"
			   "Try it:  chatd 9034   and in two other terminals   nc localhost 9034\n"
			   "See chatd(8) and chatd.conf(5).\n";

int
options_say(const char *format, ...)
{
	va_list args;
	int written;

	va_start(args, format);
	written = vprintf(format, args);
	va_end(args);
	if (written >= 0 && fflush(stdout) == 0)
		return 0;
	perror("standard output");
	return -1;
}

static enum options_outcome
bad_usage(void)
{
	fputs(usage, stderr);
	return OPTIONS_BAD;
}

static enum options_outcome
parse_port(struct options *options, const char *text)
{
	const char *error;

	options->port = (uint16_t)strtonum(text, 1, UINT16_MAX, &error);
	if (error == NULL)
		return OPTIONS_SERVE;
	fprintf(stderr, "chatd: port \"%s\" is %s, allowed is 1 to %d\n", text, error, UINT16_MAX);
	return OPTIONS_BAD;
}

enum options_outcome
options_parse(struct options *options, int argc, char **argv)
{
	static const struct option names[] = {
	    {"help", no_argument, NULL, 'h'},
	    {"version", no_argument, NULL, 'V'},
	    {0},
	};
	int option;

	*options = (struct options){0};
	while ((option = getopt_long(argc, argv, "c:tThV", names, NULL)) != -1) {
		switch (option) {
		case 'c':
			options->file = optarg;
			break;
		case 't':
			options->check = true;
			break;
		case 'T':
			options->check = options->print = true;
			break;
		case 'h':
			return options_say("%s%s", usage, help) == 0 ? OPTIONS_DONE : OPTIONS_BAD;
		case 'V':
			return options_say("chatd %s %s\n", CHATD_VERSION, CHATD_FEATURES) == 0
				   ? OPTIONS_DONE
				   : OPTIONS_BAD;
		default:
			return bad_usage();
		}
	}
	if (argc - optind > 1)
		return bad_usage();
	if (options->file == NULL && (optind == argc || options->check))
		options->file = CHATD_CONF;
	if (optind == argc)
		return OPTIONS_SERVE;
	return parse_port(options, argv[optind]);
}
