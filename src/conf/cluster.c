#include "conf/cluster.h"

#include <bsd/string.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

#define ENGINE_FORMS                                                                             \
	"addresses such as \"10.0.0.5:6379\" and \"[fc00::1]:6379\", and paths of unix sockets " \
	"such as \"/run/redis/redis.sock\""
#define PLACE 1024 /* room for one; longer ones are cut */

static setting_read read_engines, read_text;

#define FIELD(name) offsetof(struct cluster, name)

static const struct rule tls_rules[] = {
    {"ca", certificates_read_file, FIELD(tls.ca), 0, 0, NULL, NULL},
    {"name", read_text, FIELD(name), 0, 0, NULL, NULL},
    {"certificate", certificates_read_file, FIELD(tls.certificate), 0, 0, NULL, NULL},
    {"key", certificates_read_file, FIELD(tls.key), 0, 0, NULL, NULL},
    {0},
};

static const struct rule rules[] = {
    {"engine", read_engines, 0, 0, 0, NULL, NULL},
    {"stream", read_text, FIELD(stream), 0, 0, NULL, NULL},
    {"keep", setting_number, FIELD(keep), CLUSTER_MIN_KEEP, CLUSTER_MAX_KEEP, "", NULL},
    {"user", read_text, FIELD(user), 0, 0, NULL, NULL},
    {"password_file", certificates_read_file, FIELD(password), 0, 0, NULL, NULL},
    {"tls", setting_group, 0, 0, 0, NULL, tls_rules},
    {0},
};

/* --- one engine */

static bool
take_path(struct source *source, const config_setting_t *setting, struct endpoint *engine,
    const char *text)
{
	if (strlcpy(engine->path, text, sizeof(engine->path)) < sizeof(engine->path))
		return true;
	setting_fault(source, setting,
	    "\"%s\" is too long, a unix socket's path has at most %zu bytes", text,
	    sizeof(engine->path) - 1);
	return false;
}

static bool
take_address(struct source *source, const config_setting_t *setting, struct endpoint *engine,
    const char *text)
{
	struct addr *addr = &engine->addr;
	int result = addr_parse_port(addr, text, CLUSTER_PORT);

	if (result < 0 && errno == ENODEV)
		setting_fault(source, setting, "\"%s\": no such interface", text);
	else if (result < 0 || addr->port == 0 || addr_is_any(addr) || addr_is_multicast(addr))
		setting_fault(source, setting,
		    "\"%s\" is no address of an engine, allowed are " ENGINE_FORMS, text);
	else
		return true;
	return false;
}

static void
take_engine(struct source *source, const config_setting_t *setting, const struct rule *rule,
    const char *text)
{
	struct cluster *cluster = source->into;
	struct endpoint engine = {0};

	(void)rule;
	if (!(text[0] == '/' ? take_path : take_address)(source, setting, &engine, text))
		return;
	for (size_t i = 0; i < cluster->count; i++)
		if (endpoint_same_place(&cluster->engines[i], &engine)) {
			setting_fault(source, setting, "\"%s\" is named twice", text);
			return;
		}
	if (cluster->count == CLUSTER_ENGINES)
		setting_fault(
		    source, setting, "\"%s\" is one too many, at most %d", text, CLUSTER_ENGINES);
	else
		cluster->engines[cluster->count++] = engine;
}

static void
read_engines(struct source *source, const config_setting_t *setting, const struct rule *rule)
{
	struct cluster *cluster = source->into;

	cluster->count = 0;
	if (setting_strings(source, setting, rule, ENGINE_FORMS, take_engine) == 0)
		setting_fault(source, setting, "is empty, allowed are " ENGINE_FORMS);
}

/* --- the others */

/* Nothing that a message, a rule of the engine or a certificate could misread. */
static bool
is_plain(const char *text)
{
	size_t len = strlen(text);

	if (len == 0 || len > CLUSTER_TEXT)
		return false;
	for (; *text != '\0'; text++)
		if (*text <= ' ' || *text > '~')
			return false;
	return true;
}

static void
read_text(struct source *source, const config_setting_t *setting, const struct rule *rule)
{
	char **field = (char **)((char *)source->into + rule->field);
	const char *text = config_setting_get_string(setting);
	char shown[SETTING_SHOWN];

	if (text == NULL || !is_plain(text)) {
		setting_fault(source, setting,
		    "%s is not allowed, allowed is a string of 1 to %d printable characters "
		    "without "
		    "spaces",
		    setting_show(setting, shown), CLUSTER_TEXT);
		return;
	}
	free(*field);
	if ((*field = strdup(text)) == NULL)
		source_no_memory(source);
}

void
cluster_read(struct source *source, const config_setting_t *setting, const struct rule *rule)
{
	struct cluster *cluster = (struct cluster *)((char *)source->into + rule->field);
	const struct rule group = {.name = rule->name, .group = rules};
	struct source inner;
	char text[PLACE];

	snprintf(text, sizeof(text), "%s:%d: %s", source->file,
	    (int)config_setting_source_line(setting), rule->name);
	free(cluster->where);
	if ((cluster->where = strdup(text)) == NULL)
		source_no_memory(source);
	inner = *source;
	inner.into = cluster;
	setting_group(&inner, setting, &group);
	source->faults = inner.faults;
	source->no_memory = inner.no_memory;
}

static void
fault(struct source *source, const char *where, const char *what)
{
	char text[PLACE + 256];

	/* Otherwise memory was refused, which is a fault already. */
	if (where == NULL)
		return;
	snprintf(text, sizeof(text), "%s: %s", where, what);
	source->tell(LOG_ERR, text);
	source->faults++;
}

static void
check_tls(const struct cluster *cluster, struct source *source)
{
	const struct named_file *ca = &cluster->tls.ca, *key = &cluster->tls.key;
	const struct named_file *certificate = &cluster->tls.certificate;

	if (ca->path != NULL && cluster->name == NULL)
		fault(source, ca->where,
		    "takes cluster.tls.name as well, the name in the certificate of the engine");
	if (cluster->name != NULL && ca->path == NULL)
		fault(source, cluster->where,
		    "tls.name takes tls.ca as well, the file of those who sign the certificate of "
		    "the engine");
	if (certificate->path != NULL && key->path == NULL)
		fault(source, certificate->where, "takes cluster.tls.key as well");
	if (key->path != NULL && certificate->path == NULL)
		fault(source, key->where, "takes cluster.tls.certificate as well");
	if (certificate->path != NULL && key->path != NULL && ca->path == NULL)
		fault(source, certificate->where, "takes cluster.tls.ca as well");
}

void
cluster_check(const struct cluster *cluster, bool chat, struct source *source)
{
	if (cluster->where == NULL)
		return;
	if (cluster->count == 0 && source->faults == 0)
		fault(source, cluster->where, "takes engine, the addresses of Redis or Valkey");
	if (cluster->user != NULL && cluster->password.path == NULL)
		fault(source, cluster->where, "user takes password_file as well");
	check_tls(cluster, source);
	if (chat)
		fault(source, cluster->where,
		    "does not go together with mode = \"chat\", whose names are those of one "
		    "machine; "
		    "allowed is mode = \"lines\"");
}

/* --- as a whole */

int
cluster_init(struct cluster *cluster)
{
	*cluster = (struct cluster){.stream = strdup("chatd"), .keep = CLUSTER_KEEP};
	return cluster->stream != NULL ? 0 : -1;
}

void
cluster_clear(struct cluster *cluster)
{
	certificates_clear(&cluster->tls);
	free(cluster->password.path);
	free(cluster->password.where);
	free(cluster->stream);
	free(cluster->user);
	free(cluster->name);
	free(cluster->where);
	*cluster = (struct cluster){0};
}

static bool
same_text(const char *a, const char *b)
{
	return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

bool
cluster_same(const struct cluster *a, const struct cluster *b)
{
	if (a->count != b->count)
		return false;
	for (size_t i = 0; i < a->count; i++)
		if (!endpoint_same(&a->engines[i], &b->engines[i]))
			return false;
	return a->keep == b->keep && same_text(a->stream, b->stream) &&
	       same_text(a->user, b->user) && same_text(a->password.path, b->password.path) &&
	       same_text(a->tls.ca.path, b->tls.ca.path) &&
	       same_text(a->tls.certificate.path, b->tls.certificate.path) &&
	       same_text(a->tls.key.path, b->tls.key.path) && same_text(a->name, b->name);
}
