/*
 * In the place of tls_context.c where chatd is built without TLS.
 */
#include "wire/tls_context.h"

#include <stdio.h>
#include <syslog.h>

static int
refuse(const struct named_file *file, source_tell *tell)
{
	char text[1024];

	snprintf(text, sizeof(text), "%s: this chatd was built without TLS", file->where);
	tell(LOG_ERR, text);
	return -1;
}

int
tls_context_load(
    struct tls_context **context, const struct certificates *certificates, source_tell *tell)
{
	*context = NULL;
	return certificates_are_set(certificates) ? refuse(&certificates->certificate, tell) : 0;
}

int
tls_context_load_client(struct tls_context **context, const struct certificates *certificates,
    const char *server, source_tell *tell)
{
	(void)server;
	*context = NULL;
	return certificates->ca.path != NULL ? refuse(&certificates->ca, tell) : 0;
}

void
tls_context_free(struct tls_context *context)
{
	(void)context;
}
