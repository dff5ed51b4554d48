/*
 * access: who may come in, by address and CIDR network.
 *
 * deny wins over allow. With no allow rule everyone may come in whom no deny rule names. Clients on
 * unix sockets are not asked: there the mode, owner and group of the socket decide.
 */
#ifndef CHATD_ACCESS_H
#define CHATD_ACCESS_H

#include <stdbool.h>

#include "base/addr.h"

struct access; /* opaque; zero or more rules */

enum access_list {
	ACCESS_ALLOW,
	ACCESS_DENY
};

struct access *access_new(void); /* NULL: no memory */
void access_free(struct access *access);

/*
 * Adds a rule: an address ("192.0.2.1", "::1") or a network ("10.0.0.0/8", "fc00::/7").
 * Returns 0, or -1 with errno EINVAL for a text that is neither, or ENOMEM.
 */
int access_add(struct access *access, enum access_list list, const char *text);

/* To be called when all are added, before anybody asks. Memory is not needed. */
void access_sort(struct access *access);

/* A search or two, however many networks there are. */
bool access_allows(const struct access *access, const struct addr *addr);

#endif
