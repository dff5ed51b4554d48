/*
 * advice: what -t says beyond faults, with the packaged service in mind.
 *
 * That service runs as a user of its own without any right. Whoever runs the check may be root, for
 * whom everything works.
 */
#ifndef CHATD_ADVICE_H
#define CHATD_ADVICE_H

#include "conf/config.h"

/* Warns about settings that were read from config->file. */
void advise(const struct config *config, source_tell *tell);

#endif
