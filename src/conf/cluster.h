/*
 * cluster: the settings of one chat on many machines, see cluster/channel.h.
 *
 *	cluster = {
 *	  engine = [ "10.0.0.5:6379", "10.0.0.6:6379" ];  # or "/run/redis/redis.sock"
 *	  stream = "chatd";  keep = 10000;
 *	  user = "chatd";  password_file = "/etc/chatd/password";
 *	  tls = { ca = "/etc/chatd/ca.pem"; name = "redis.example"; };
 *	};
 *
 * Files are kept with the place where they were named (certificates.h). With tls.ca every address
 * is spoken to in TLS; a unix socket never is.
 */
#ifndef CHATD_CLUSTER_H
#define CHATD_CLUSTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "conf/certificates.h"
#include "conf/setting.h"

#define CLUSTER_PORT         6379
#define CLUSTER_ENGINES      16  /* in the list */
#define CLUSTER_TEXT         200 /* bytes of stream, user and tls.name */
#define CLUSTER_KEEP         10000
#define CLUSTER_MIN_KEEP     10
#define CLUSTER_MAX_KEEP     1000000000
#define CLUSTER_PASSWORD_MAX 1024 /* bytes of the file */

struct cluster {
	struct endpoint engines[CLUSTER_ENGINES]; /* in the order in which they are tried */
	size_t count;                             /* 0: there is no cluster */
	char *stream;                             /* the key */
	uint32_t keep;                            /* entries that the stream keeps */
	char *user;                               /* NULL: that of the engine */
	struct named_file password;
	struct certificates tls; /* ca: who signed that of the engine; the others are its own */
	char *name;              /* in the certificate of the engine */
	char *where;             /* "FILE:LINE: cluster" of the last one */
};

/* The defaults. Returns 0, or -1 when memory is refused. */
int cluster_init(struct cluster *cluster);
/* Reads the group into the struct cluster at the field of the rule. */
setting_read cluster_read;
/* What fits together only when everything was read. chat: with mode = "chat". */
void cluster_check(const struct cluster *cluster, bool chat, struct source *source);
void cluster_clear(struct cluster *cluster);

static inline bool
cluster_is_set(const struct cluster *cluster)
{
	return cluster->count > 0;
}

/* Whether both say the same. */
bool cluster_same(const struct cluster *a, const struct cluster *b);

#endif
