/*
 * In the place of tls_context.c where chatd is built without TLS.
 */
#include "wire/tls_context.h"

#include <stdio.h>
#include <syslog.h>

int
tls_context_load(
    struct tls_context **context, const struct certificates *certificates, source_tell *tell)
{
	char text[1024];

	*context = NULL;
	if (!certificates_are_set(certificates))
		return 0;
	snprintf(text, sizeof(text), "%s: this chatd was built without TLS",
	    certificates->certificate.where);
	tell(LOG_ERR, text);
	return -1;
}

void
tls_context_free(struct tls_context *context)
{
	(void)context;
}
