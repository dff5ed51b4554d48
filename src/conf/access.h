/*
 * access: who may connect, by address and CIDR network.
 *
 * deny wins over allow. Without an allow rule everyone may connect that no deny rule names. The
 * rules do not apply to unix sockets: there the mode, owner and group of the socket decide.
 */
#ifndef CHATD_ACCESS_H
#define CHATD_ACCESS_H

#include <stdbool.h>

#include "base/addr.h"

struct access; /* opaque; two lists of networks */

enum access_list {
	ACCESS_ALLOW,
	ACCESS_DENY
};

struct access *access_new(void); /* NULL: no memory */
void access_free(struct access *access);

/*
 * Adds an address ("192.0.2.1", "::1") or a network ("10.0.0.0/8", "fc00::/7"). An interface is the
 * one that has this name now. Returns 0; or 1 if bits past the prefix were set, which are ignored;
 * or -1 with errno EINVAL for a text that is neither, ENODEV if there is no such interface, or
 * ENOMEM.
 */
int access_add(struct access *access, enum access_list list, const char *text);
/* Forgets the list. */
void access_clear(struct access *access, enum access_list list);

/* How many there are, and the text of one, "192.0.2.1" or "10.0.0.0/8". Returns text. */
#define ACCESS_TEXT (ADDR_TEXT + 4)
size_t access_count(const struct access *access, enum access_list list);
const char *access_format(
    const struct access *access, enum access_list list, size_t i, char text[ACCESS_TEXT]);

/* To be called after the last access_add and before access_allows. Needs no memory. */
void access_sort(struct access *access);

/* One or two binary searches, however many networks there are. */
bool access_allows(const struct access *access, const struct addr *addr);

#endif
