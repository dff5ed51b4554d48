/*
 * certificates: the files that TLS needs, by name; wire/tls.h reads them.
 *
 * Each name is kept with the place where it was set, so that what is wrong in a file, which shows
 * only when it is read, is told like a fault of the settings: "FILE:LINE: tls.key: ...".
 */
#ifndef CHATD_CERTIFICATES_H
#define CHATD_CERTIFICATES_H

#include <stdbool.h>

#include "conf/setting.h"

struct named_file {
	char *path;  /* absolute; NULL: not set */
	char *where; /* "FILE:LINE: tls.key" */
};

/* Whether clients show a certificate that the ca has signed. */
enum tls_clients {
	TLS_CLIENTS_ANY,      /* they are not asked for one */
	TLS_CLIENTS_OPTIONAL, /* those who have one show it; a bad one is refused */
	TLS_CLIENTS_REQUIRED,
};

struct certificates {
	struct named_file
	    certificate;       /* PEM: the server's own, then those between it and the root */
	struct named_file key; /* PEM, not encrypted */
	struct named_file ca;  /* PEM: who signs those of clients */
	enum tls_clients clients;
	char *clients_where; /* NULL: not set */
};

/* Readers of one struct named_file, and of the struct certificates itself for clients. */
setting_read certificates_read_file, certificates_read_clients;

/* Whether there is something to serve TLS with. */
bool certificates_are_set(const struct certificates *certificates);
/* What fits together only when everything was read. */
void certificates_check(const struct certificates *certificates, struct source *source);
void certificates_clear(struct certificates *certificates);

/* "any", "optional" or "required". */
const char *certificates_clients(enum tls_clients clients);

#endif
