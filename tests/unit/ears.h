/*
 * ears: listeners, and clients that find them, for the tests of listeners.
 */
#ifndef EARS_H
#define EARS_H

#include <stdbool.h>
#include <stdint.h>

#include "wire/listeners.h"

extern struct listeners ears;
extern char ears_error[LISTENER_ERROR]; /* of the last function that failed */

int ears_setup(void **state);
int ears_teardown(void **state);

/*
 * A config that listens on each of the endpoints, the last one NULL; "/x" is a path in the test's
 * folder. EARS("127.0.0.1:0", "/x") is shorter.
 */
struct config *ears_config(const char *const *endpoints);
#define EARS(...) ears_config((const char *const[]){__VA_ARGS__, NULL})

/* Opens them, as at the start. */
void ears_open(const struct config *config);

struct listener *ear_nth(int n); /* from 0 */
int ear_count(void);
const char *ear_name(const struct listener *listener);
uint16_t ear_port(const struct listener *listener);

/* A port that nobody listens on, for both families. */
uint16_t ear_free_port(void);
/* "address:port". The last four texts are good. */
const char *at_port(const char *address, uint16_t port);
/* Whether the machine has IPv6; if not, the test's output says so. */
bool ears_have_ipv6(void);

/* Connects to "address:port" or a path. Returns the socket, or -1 with errno. */
int ear_reach(const char *where);
bool ear_can_reach(const char *where);
/* Accepts the one client that waits, whose address begins like that. */
void ear_expect_client(const struct listener *listener, const char *address);

#endif
