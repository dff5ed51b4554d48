/*
 * In the place of tls_text.c where chatd is built without TLS.
 */
#include "wire/tls_text.h"

const char *
tls_reason(const struct tls *tls, char text[TLS_REASON])
{
	(void)tls;
	text[0] = '\0';
	return text;
}

const char *
tls_describe(const struct tls *tls, char text[TLS_TEXT])
{
	(void)tls;
	text[0] = '\0';
	return text;
}
