/*
 * faults: what config_load and config_parse complained about, for the tests of both.
 */
#ifndef FAULTS_H
#define FAULTS_H

#include <stddef.h>

#include "conf/config.h"

/* Takes one fault or warning. */
void faults_take(int level, const char *text);
/* All of them, each with '\n' behind it, and forgets them. Good until the next look. */
const char *faults_taken(void);

/* Reads the text as the file "FILE". Fails the test where there is a fault. The caller frees. */
struct config *config_of(const char *text);
/* Reads the text as the file "FILE", which must be refused. Returns the faults. */
const char *faults_of(const char *text);

#endif
