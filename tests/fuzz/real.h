/*
 * real: see real.c.
 */
#ifndef FUZZ_REAL_H
#define FUZZ_REAL_H

#include <stdbool.h>
#include <stdint.h>

extern int64_t real_now;  /* microseconds */
extern bool real_managed; /* there is a service manager that keeps descriptors */

#endif
