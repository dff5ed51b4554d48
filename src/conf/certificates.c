#include "conf/certificates.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

#define PLACE 1024 /* room for one; longer ones are cut */

static const char *const names[] = {
    [TLS_CLIENTS_ANY] = "any",
    [TLS_CLIENTS_OPTIONAL] = "optional",
    [TLS_CLIENTS_REQUIRED] = "required",
};

const char *
certificates_clients(enum tls_clients clients)
{
	return names[clients];
}

/* The place of the setting, for a fault that is found later. */
static void
keep_place(struct source *source, const config_setting_t *setting, char **where)
{
	char name[SETTING_SHOWN], text[PLACE];

	source_name(setting, name, sizeof(name));
	snprintf(text, sizeof(text), "%s:%d: %s", source->file,
	    (int)config_setting_source_line(setting), name);
	free(*where);
	if ((*where = strdup(text)) == NULL)
		source_no_memory(source);
}

void
certificates_read_file(
    struct source *source, const config_setting_t *setting, const struct rule *rule)
{
	struct named_file *file = (struct named_file *)((char *)source->into + rule->field);
	const char *text = config_setting_get_string(setting);
	char shown[SETTING_SHOWN];

	if (text == NULL || text[0] != '/') {
		setting_fault(source, setting, "%s is no file, allowed is an absolute path",
		    setting_show(setting, shown));
		return;
	}
	keep_place(source, setting, &file->where);
	free(file->path);
	if ((file->path = strdup(text)) == NULL)
		source_no_memory(source);
}

void
certificates_read_clients(
    struct source *source, const config_setting_t *setting, const struct rule *rule)
{
	struct certificates *certificates =
	    (struct certificates *)((char *)source->into + rule->field);
	const char *text = config_setting_get_string(setting);
	char shown[SETTING_SHOWN];

	for (unsigned i = 0; text != NULL && i <= TLS_CLIENTS_REQUIRED; i++)
		if (strcmp(text, names[i]) == 0) {
			certificates->clients = (enum tls_clients)i;
			keep_place(source, setting, &certificates->clients_where);
			return;
		}
	setting_fault(source, setting,
	    "%s is unknown, allowed are \"any\", \"optional\" and \"required\"",
	    setting_show(setting, shown));
}

bool
certificates_are_set(const struct certificates *certificates)
{
	return certificates->certificate.path != NULL && certificates->key.path != NULL;
}

static void
say(struct source *source, int level, const char *where, const char *what)
{
	char text[PLACE + 128];

	/* Otherwise memory was refused, which is a fault already. */
	if (where == NULL)
		return;
	snprintf(
	    text, sizeof(text), "%s: %s%s", where, level == LOG_WARNING ? "warning: " : "", what);
	source->tell(level, text);
	source->faults += level != LOG_WARNING;
}

static void
fault(struct source *source, const char *where, const char *what)
{
	say(source, LOG_ERR, where, what);
}

void
certificates_check(const struct certificates *certificates, struct source *source)
{
	const struct named_file *certificate = &certificates->certificate,
				*key = &certificates->key;

	if (certificate->path != NULL && key->path == NULL)
		fault(source, certificate->where, "takes tls.key as well");
	if (key->path != NULL && certificate->path == NULL)
		fault(source, key->where, "takes tls.certificate as well");
	if (certificates->clients != TLS_CLIENTS_ANY && certificates->ca.path == NULL)
		fault(source, certificates->clients_where,
		    "takes tls.ca, the file of those who sign the certificates of clients");
	/* Whoever names those who may come in most likely wants nobody else. */
	if (certificates->clients == TLS_CLIENTS_ANY && certificates->ca.path != NULL &&
	    certificates->clients_where == NULL)
		say(source, LOG_WARNING, certificates->ca.where,
		    "is not read, and no client is asked for a certificate, unless tls.clients is "
		    "\"optional\" or \"required\"");
}

static void
clear_file(struct named_file *file)
{
	free(file->path);
	free(file->where);
}

void
certificates_clear(struct certificates *certificates)
{
	clear_file(&certificates->certificate);
	clear_file(&certificates->key);
	clear_file(&certificates->ca);
	free(certificates->clients_where);
	*certificates = (struct certificates){0};
}
