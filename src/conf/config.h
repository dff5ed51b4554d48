/*
 * config: the settings, read from FILE and FILE.d into one validated value.
 *
 * Each file is in the format of libconfig. A later one overrides an earlier one: a group setting by
 * setting, a list as a whole.
 *
 * config_load reads everything, reports every fault it finds, and returns either a complete struct
 * config or nothing. The value is not changed afterwards: a reload loads another one and frees the
 * old one.
 */
#ifndef CHATD_CONFIG_H
#define CHATD_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/addr.h"
#include "conf/access.h"
#include "conf/certificates.h"
#include "conf/cluster.h"
#include "conf/files.h"
#include "conf/source.h"

#define CONFIG_PORT 9034

/* The largest value of each limit, and with it the largest memory the limit can be made to cost. */
#define CONFIG_MAX_CLIENTS   1048576    /* nr_open of Linux: more descriptors no process has */
#define CONFIG_MAX_LINE      1048576    /* every client may keep one unfinished line */
#define CONFIG_MIN_QUEUE     1024       /* less would hold senders back for single lines */
#define CONFIG_MAX_QUEUE     1073741824 /* offsets in a buf have 32 bits */
#define CONFIG_HISTORY_SHARE 4          /* so the history alone holds nobody up */
#define CONFIG_MAX_STALL     86400      /* a day */
#define CONFIG_MAX_HANDSHAKE 86400
#define CONFIG_MAX_LAG       86400
#define CONFIG_MAX_IDLE      31536000   /* a year */
#define CONFIG_MAX_RATE      1073741824 /* 1G a second: more than a core can say */

struct limits {
	uint32_t clients;
	uint32_t clients_per_address; /* 0: no limit */
	uint32_t line;                /* bytes, the line's end included */
	uint32_t queue;               /* bytes that wait for one client before senders are held */
	uint32_t stall;               /* seconds */
	uint32_t lag;       /* seconds to take queue bytes while others are held; 0: any */
	uint32_t idle;      /* seconds; 0: never */
	uint32_t rate;      /* bytes a second of one client, see rate.h; 0: any */
	uint32_t handshake; /* seconds of a TLS handshake */
};

struct config {
	char *file;          /* NULL: built-in defaults */
	bool has_settings;   /* in file itself, whatever FILE.d holds */
	bool names_listen;   /* some file has port or listen */
	uint16_t fixed_port; /* of the command line, stronger than the file's; 0: none */
	uint32_t port;
	struct endpoint *endpoints;
	size_t n_endpoints;
	bool trace;
	bool log_connections;
	bool sanitize;
	bool chat;        /* the mode; false: bare lines */
	uint32_t history; /* bytes, at most limits.queue / CONFIG_HISTORY_SHARE; 0: none */
	struct limits limits;
	struct certificates tls;
	struct cluster cluster;
	struct access *access;
	mode_t unix_mode;
	uid_t unix_owner; /* (uid_t)-1: as created */
	gid_t unix_group; /* (gid_t)-1: as created */
};

/*
 * file NULL gives the defaults. port is that of the command line, or 0.
 * Returns NULL after at least one fault, with errno ENOMEM if memory was refused, else EINVAL. The
 * caller frees the value.
 */
struct config *config_load(const char *file, uint16_t port, source_tell *tell);
/* The same from texts: FILE, then those of FILE.d. One that is NULL was faulty and was reported. */
struct config *config_merge(
    const struct file *files, size_t count, uint16_t port, source_tell *tell);
/* The same from one text, that of file. NULL: the defaults. */
struct config *config_parse(const char *text, const char *file, uint16_t port, source_tell *tell);
void config_free(struct config *config);

#endif
