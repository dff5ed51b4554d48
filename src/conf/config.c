#include "conf/config.h"

#include <bsd/stdlib.h>
#include <bsd/string.h>
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>

#include "conf/listens.h"
#include "conf/setting.h"

static setting_read read_port, read_networks, read_mode, read_owner, read_unix_group;
static setting_read read_chat, read_history;

/* Filled by the rules: the value, and what can be resolved only after all files were read. */
struct draft {
	struct config config;
	struct listens listens;
	const char *history_file; /* where the history was set; NULL: nowhere */
	int history_line;
};

#define FIELD(name) offsetof(struct draft, config.name)

static const struct rule limit_rules[] = {
    {"clients", setting_number, FIELD(limits.clients), 1, CONFIG_MAX_CLIENTS, "clients", NULL},
    {"clients_per_address", setting_number, FIELD(limits.clients_per_address), 0,
	CONFIG_MAX_CLIENTS, "clients", NULL},
    {"line", setting_number, FIELD(limits.line), 2, CONFIG_MAX_LINE, "bytes", NULL},
    {"queue", setting_number, FIELD(limits.queue), CONFIG_MIN_QUEUE, CONFIG_MAX_QUEUE, "bytes",
	NULL},
    {"stall", setting_number, FIELD(limits.stall), 1, CONFIG_MAX_STALL, "seconds", NULL},
    {"lag", setting_number, FIELD(limits.lag), 0, CONFIG_MAX_LAG, "seconds", NULL},
    {"idle", setting_number, FIELD(limits.idle), 0, CONFIG_MAX_IDLE, "seconds", NULL},
    {"rate", setting_number, FIELD(limits.rate), 0, CONFIG_MAX_RATE, "bytes", NULL},
    {"handshake", setting_number, FIELD(limits.handshake), 1, CONFIG_MAX_HANDSHAKE, "seconds",
	NULL},
    {0},
};

static const struct rule tls_rules[] = {
    {"certificate", certificates_read_file, FIELD(tls.certificate), 0, 0, NULL, NULL},
    {"key", certificates_read_file, FIELD(tls.key), 0, 0, NULL, NULL},
    {"ca", certificates_read_file, FIELD(tls.ca), 0, 0, NULL, NULL},
    {"clients", certificates_read_clients, FIELD(tls), 0, 0, NULL, NULL},
    {0},
};

static const struct rule unix_rules[] = {
    {"mode", read_mode, 0, 0, 0, NULL, NULL},
    {"owner", read_owner, 0, 0, 0, NULL, NULL},
    {"group", read_unix_group, 0, 0, 0, NULL, NULL},
    {0},
};

static const struct rule root_rules[] = {
    {"port", read_port, FIELD(port), 1, UINT16_MAX, "", NULL},
    {"listen", listens_read, offsetof(struct draft, listens), 0, 0, NULL, NULL},
    {"mode", read_chat, 0, 0, 0, NULL, NULL},
    {"history", read_history, FIELD(history), 0, CONFIG_MAX_QUEUE / CONFIG_HISTORY_SHARE, "bytes",
	NULL},
    {"trace", setting_bool, FIELD(trace), 0, 0, NULL, NULL},
    {"log_connections", setting_bool, FIELD(log_connections), 0, 0, NULL, NULL},
    {"sanitize", setting_bool, FIELD(sanitize), 0, 0, NULL, NULL},
    {"limits", setting_group, 0, 0, 0, NULL, limit_rules},
    {"allow", read_networks, ACCESS_ALLOW, 0, 0, NULL, NULL},
    {"deny", read_networks, ACCESS_DENY, 0, 0, NULL, NULL},
    {"tls", setting_group, 0, 0, 0, NULL, tls_rules},
    {"unix", setting_group, 0, 0, 0, NULL, unix_rules},
    {"cluster", cluster_read, FIELD(cluster), 0, 0, NULL, NULL},
    {0},
};

static struct config *
config_of(const struct source *source)
{
	return &((struct draft *)source->into)->config;
}

/* The command line's port overrides the file's, which is checked all the same. */
static void
read_port(struct source *source, const config_setting_t *setting, const struct rule *rule)
{
	config_of(source)->names_listen = true;
	setting_number(source, setting, rule);
	if (config_of(source)->fixed_port != 0)
		config_of(source)->port = config_of(source)->fixed_port;
}

#define NETWORK_FORMS \
	"addresses and networks such as \"192.0.2.1\", \"10.0.0.0/8\" and \"fc00::/7\""

/* The field of the rule is the list. */
static void
take_network(struct source *source, const config_setting_t *setting, const struct rule *rule,
    const char *text)
{
	struct access *access = config_of(source)->access;
	enum access_list list = (enum access_list)rule->field;
	char means[ACCESS_TEXT];
	int result = access_add(access, list, text);

	if (result > 0)
		setting_warn(source, setting, "\"%s\" has bits past its prefix, it means %s", text,
		    access_format(access, list, access_count(access, list) - 1, means));
	else if (result < 0 && errno == EINVAL)
		setting_fault(
		    source, setting, "\"%s\" is no network, allowed are " NETWORK_FORMS, text);
	else if (result < 0 && errno == ENODEV)
		setting_fault(source, setting, "\"%s\": no such interface", text);
	else if (result < 0)
		source_no_memory(source);
}

static void
read_networks(struct source *source, const config_setting_t *setting, const struct rule *rule)
{
	enum access_list list = (enum access_list)rule->field;

	access_clear(config_of(source)->access, list);
	if (setting_strings(source, setting, rule, NETWORK_FORMS, take_network) == 0 &&
	    list == ACCESS_ALLOW)
		setting_fault(source, setting,
		    "is empty, so nobody could come in; allowed are " NETWORK_FORMS);
}

static void
read_chat(struct source *source, const config_setting_t *setting, const struct rule *rule)
{
	const char *text = config_setting_get_string(setting);
	char shown[SETTING_SHOWN];

	(void)rule;
	if (text == NULL || (strcmp(text, "lines") != 0 && strcmp(text, "chat") != 0))
		setting_fault(source, setting, "%s is no mode, allowed are \"lines\" and \"chat\"",
		    setting_show(setting, shown));
	else
		config_of(source)->chat = strcmp(text, "chat") == 0;
}

/* What else it may be depends on other settings, see check_history. */
static void
read_history(struct source *source, const config_setting_t *setting, const struct rule *rule)
{
	struct draft *draft = source->into;

	setting_number(source, setting, rule);
	draft->history_file = source->file;
	draft->history_line = (int)config_setting_source_line(setting);
}

/* A string, since libconfig would read 0660 as the decimal number 660. */
static void
read_mode(struct source *source, const config_setting_t *setting, const struct rule *rule)
{
	const char *text = config_setting_get_string(setting);
	char shown[SETTING_SHOWN];

	(void)rule;
	if (text == NULL || strlen(text) == 0 || strlen(text) > 4 ||
	    strspn(text, "01234567") != strlen(text) || strtol(text, NULL, 8) > 0777) {
		setting_fault(source, setting,
		    "%s is no mode, allowed is a string of octal digits, \"0000\" to \"0777\"",
		    setting_show(setting, shown));
		return;
	}
	config_of(source)->unix_mode = (mode_t)strtol(text, NULL, 8);
}

/*
 * The id of a user or a group: known, unless that is -1, or the number that the setting gives.
 * Returns -1 after a fault. Ids have 32 bits, and the last one means none.
 */
static long long
id_of(struct source *source, const config_setting_t *setting, long long known, const char *what)
{
	const char *text = config_setting_get_string(setting), *error = NULL;
	char shown[SETTING_SHOWN];
	long long id = known;

	if (known < 0 && text != NULL)
		id = strtonum(text, 0, UINT32_MAX - 1, &error);
	else if (known < 0 && !setting_whole(source, setting, &id))
		id = -1;
	if (error == NULL && id >= 0 && id < UINT32_MAX)
		return id;
	setting_fault(source, setting, "%s is no %s, allowed is a %s's name or number",
	    setting_show(setting, shown), what, what);
	return -1;
}

static void
read_owner(struct source *source, const config_setting_t *setting, const struct rule *rule)
{
	const char *name = config_setting_get_string(setting);
	const struct passwd *user = name != NULL ? getpwnam(name) : NULL;

	(void)rule;
	config_of(source)->unix_owner =
	    (uid_t)id_of(source, setting, user != NULL ? (long long)user->pw_uid : -1, "user");
}

static void
read_unix_group(struct source *source, const config_setting_t *setting, const struct rule *rule)
{
	const char *name = config_setting_get_string(setting);
	const struct group *group = name != NULL ? getgrnam(name) : NULL;

	(void)rule;
	config_of(source)->unix_group =
	    (gid_t)id_of(source, setting, group != NULL ? (long long)group->gr_gid : -1, "group");
}

/* Returns 0, or -1 where there is no memory. */
static int
draft_init(struct draft *draft, const char *file, uint16_t port)
{
	*draft = (struct draft){
	    .config =
		{
		    .file = file != NULL ? strdup(file) : NULL,
		    .fixed_port = port,
		    .port = port != 0 ? port : CONFIG_PORT,
		    .trace = true,
		    .limits = {.clients = 1000,
			.line = 8192,
			.queue = 1048576,
			.stall = 30,
			.handshake = 10},
		    .access = access_new(),
		    .unix_mode = 0660,
		    .unix_owner = (uid_t)-1,
		    .unix_group = (gid_t)-1,
		},
	};
	if (cluster_init(&draft->config.cluster) < 0 || draft->config.access == NULL)
		return -1;
	return file == NULL || draft->config.file != NULL ? 0 : -1;
}

static void
free_parts(struct config *config)
{
	access_free(config->access);
	certificates_clear(&config->tls);
	cluster_clear(&config->cluster);
	free(config->endpoints);
	free(config->file);
}

void
config_free(struct config *config)
{
	if (config == NULL)
		return;
	free_parts(config);
	free(config);
}

static void
check_history(const struct draft *draft, struct source *source)
{
	const struct config *config = &draft->config;
	uint32_t most = config->limits.queue / CONFIG_HISTORY_SHARE;
	struct source where = {.file = draft->history_file, .tell = source->tell};

	if (config->history > 0 && !config->chat)
		source_say(&where, LOG_ERR, draft->history_line, "history",
		    "%u is for mode = \"chat\", allowed in mode \"lines\" is 0", config->history);
	else if (config->history > most)
		source_say(&where, LOG_ERR, draft->history_line, "history",
		    "%u is out of range, allowed is a quarter of limits.queue: 0 to %u bytes",
		    config->history, most);
	source->faults += where.faults;
}

/* What fits together only when everything was read. Returns the value, or NULL for no memory. */
static struct config *
draft_finish(struct draft *draft, struct source *source)
{
	struct config *config = &draft->config, *value = malloc(sizeof(*value));

	config->names_listen |= draft->listens.count > 0;
	config->endpoints =
	    listens_resolve(&draft->listens, (uint16_t)config->port, source, &config->n_endpoints);
	access_sort(config->access);
	check_history(draft, source);
	certificates_check(&config->tls, source);
	cluster_check(&config->cluster, config->chat, source);
	if (!certificates_are_set(&config->tls))
		listens_refuse_tls(&draft->listens, source);
	if (value == NULL || config->endpoints == NULL) {
		free(value);
		return NULL;
	}
	*value = *config;
	*config = (struct config){0};
	return value;
}

/* Reads the texts into draft, as far as there are any. */
static void
read_all(struct draft *draft, struct source *source, const struct file *files, size_t count)
{
	const char *name = source->file;

	for (size_t i = 0; i < count; i++) {
		source->file = i == 0 ? name : files[i].name;
		source->text = files[i].text;
		source->settings = 0;
		if (source->text != NULL)
			setting_read_all(source, root_rules);
		if (i == 0)
			draft->config.has_settings = source->settings > 0;
	}
	source->file = name;
}

/* Faults that were told before are in source. */
static struct config *
merge(struct source *source, const struct file *files, size_t count, uint16_t port)
{
	const char *file = count > 0 ? files[0].name : NULL;
	struct config *config = NULL;
	struct draft draft;

	source->main = source->file = file != NULL ? file : "defaults";
	source->into = &draft;
	if (draft_init(&draft, file, port) == 0) {
		read_all(&draft, source, files, count);
		config = draft_finish(&draft, source);
	}
	if (config == NULL)
		source_no_memory(source);
	listens_clear(&draft.listens);
	free_parts(&draft.config);
	if (source->faults == 0)
		return config;
	config_free(config);
	errno = source->no_memory ? ENOMEM : EINVAL;
	return NULL;
}

struct config *
config_merge(const struct file *files, size_t count, uint16_t port, source_tell *tell)
{
	struct source source = {.tell = tell};

	return merge(&source, files, count, port);
}

struct config *
config_parse(const char *text, const char *file, uint16_t port, source_tell *tell)
{
	struct file one = {(char *)file, (char *)text};

	return config_merge(&one, text != NULL, port, tell);
}

struct config *
config_load(const char *file, uint16_t port, source_tell *tell)
{
	struct source source = {.tell = tell};
	struct files files = {0};
	struct config *config;
	int reason;

	if (file != NULL)
		files_load(&files, file, &source);
	config = merge(&source, files.list, files.count, port);
	reason = errno;
	files_free(&files);
	errno = reason;
	return config;
}
