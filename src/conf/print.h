/*
 * print: the settings in force, in the format of the file.
 */
#ifndef CHATD_PRINT_H
#define CHATD_PRINT_H

#include <stdio.h>

#include "conf/config.h"

/*
 * Every setting; read again, the text gives the same config. Times are in seconds, sizes in bytes.
 * Owner and group are left out if none is set. The caller checks out for errors.
 */
void config_print(const struct config *config, FILE *out);

#endif
