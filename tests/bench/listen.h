/*
 * What the yardsticks have in common.
 */
#ifndef BENCH_LISTEN_H
#define BENCH_LISTEN_H

/* A socket that listens on 127.0.0.1; exits with a message on failure. */
int listen_on(const char *port);

#endif
