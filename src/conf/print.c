#include "conf/print.h"

#include <ctype.h>

static const char *
truth(bool value)
{
	return value ? "true" : "false";
}

/* In quotes, as libconfig reads it. */
static void
print_path(const char *path, FILE *out)
{
	fputc('"', out);
	for (; path[0] != '\0'; path++) {
		unsigned char byte = (unsigned char)path[0];

		if (byte == '"' || byte == '\\' || iscntrl(byte))
			fprintf(out, "\\x%02x", byte);
		else
			fputc(byte, out);
	}
	fputc('"', out);
}

/* "localhost" has two endpoints, of which the second, that of IPv6, is the optional one. */
static void
print_endpoint(const struct endpoint *endpoint, FILE *out)
{
	const char *format = endpoint->addr.family == AF_INET ? "\"%s%s:%u\"" : "\"%s[%s]:%u\"";
	char host[ADDR_TEXT];

	if (endpoint->path[0] != '\0')
		print_path(endpoint->path, out);
	else
		fprintf(out, format, endpoint->tls ? ENDPOINT_TLS : "",
		    addr_format_host(&endpoint->addr, host), endpoint->addr.port);
}

static void
print_localhost(const struct endpoint *endpoint, FILE *out)
{
	fprintf(out, "\"%slocalhost:%u\"", endpoint->tls ? ENDPOINT_TLS : "",
	    (unsigned)endpoint->addr.port);
}

static void
print_listen(const struct config *config, FILE *out)
{
	fputs("listen = [", out);
	for (size_t i = 0; i < config->n_endpoints; i++) {
		fputs(i > 0 ? ",\n           " : " ", out);
		if (i + 1 < config->n_endpoints && config->endpoints[i + 1].optional)
			print_localhost(&config->endpoints[i++], out);
		else
			print_endpoint(&config->endpoints[i], out);
	}
	fputs(" ];\n", out);
}

static void
print_networks(const struct config *config, enum access_list list, const char *name, FILE *out)
{
	size_t count = access_count(config->access, list);
	char text[ACCESS_TEXT];

	fprintf(out, "%s = [", name);
	for (size_t i = 0; i < count; i++)
		fprintf(out, "%s\"%s\"", i > 0 ? ",\n          " : " ",
		    access_format(config->access, list, i, text));
	/* Everyone, as a list. */
	if (count == 0 && list == ACCESS_ALLOW)
		fputs(" \"0.0.0.0/0\",\n          \"::/0\"", out);
	fputs(" ];\n", out);
}

static void
print_limits(const struct limits *limits, FILE *out)
{
	fputs("limits = {\n", out);
	fprintf(out, "  clients = %u;\n", limits->clients);
	fprintf(out, "  clients_per_address = %u;\n", limits->clients_per_address);
	fprintf(out, "  line = %u;\n", limits->line);
	fprintf(out, "  queue = %u;\n", limits->queue);
	fprintf(out, "  stall = %u;\n", limits->stall);
	fprintf(out, "  lag = %u;\n", limits->lag);
	fprintf(out, "  idle = %u;\n", limits->idle);
	fprintf(out, "  rate = %u;\n", limits->rate);
	fprintf(out, "  handshake = %u;\n", limits->handshake);
	fputs("};\n", out);
}

static void
print_file(const char *name, const struct named_file *file, FILE *out)
{
	if (file->path == NULL)
		return;
	fprintf(out, "  %s = ", name);
	print_path(file->path, out);
	fputs(";\n", out);
}

static void
print_tls(const struct certificates *tls, FILE *out)
{
	fputs("tls = {\n", out);
	print_file("certificate", &tls->certificate, out);
	print_file("key", &tls->key, out);
	print_file("ca", &tls->ca, out);
	fprintf(out, "  clients = \"%s\";\n};\n", certificates_clients(tls->clients));
}

static void
print_text(const char *name, const char *text, FILE *out)
{
	if (text == NULL)
		return;
	fprintf(out, "  %s = ", name);
	print_path(text, out);
	fputs(";\n", out);
}

static void
print_engines(const struct cluster *cluster, FILE *out)
{
	fputs("  engine = [", out);
	for (size_t i = 0; i < cluster->count; i++) {
		fputs(i > 0 ? ",\n             " : " ", out);
		print_endpoint(&cluster->engines[i], out);
	}
	fputs(" ];\n", out);
}

/* Without an engine the others have no value. */
static void
print_cluster(const struct cluster *cluster, FILE *out)
{
	if (!cluster_is_set(cluster))
		return;
	fputs("cluster = {\n", out);
	print_engines(cluster, out);
	print_text("stream", cluster->stream, out);
	fprintf(out, "  keep = %u;\n", cluster->keep);
	print_text("user", cluster->user, out);
	print_file("password_file", &cluster->password, out);
	fputs("  tls = {\n", out);
	print_file("  ca", &cluster->tls.ca, out);
	print_text("  name", cluster->name, out);
	print_file("  certificate", &cluster->tls.certificate, out);
	print_file("  key", &cluster->tls.key, out);
	fputs("  };\n};\n", out);
}

static void
print_unix(const struct config *config, FILE *out)
{
	fprintf(out, "unix = {\n  mode = \"%04o\";\n", (unsigned)config->unix_mode);
	if (config->unix_owner != (uid_t)-1)
		fprintf(out, "  owner = \"%u\";\n", (unsigned)config->unix_owner);
	if (config->unix_group != (gid_t)-1)
		fprintf(out, "  group = \"%u\";\n", (unsigned)config->unix_group);
	fputs("};\n", out);
}

void
config_print(const struct config *config, FILE *out)
{
	fprintf(out, "port = %u;\n", config->port);
	print_listen(config, out);
	fprintf(out, "mode = \"%s\";\n", config->chat ? "chat" : "lines");
	fprintf(out, "history = %u;\n", config->history);
	print_networks(config, ACCESS_ALLOW, "allow", out);
	print_networks(config, ACCESS_DENY, "deny", out);
	fprintf(out, "log_connections = %s;\n", truth(config->log_connections));
	fprintf(out, "trace = %s;\n", truth(config->trace));
	fprintf(out, "sanitize = %s;\n", truth(config->sanitize));
	print_limits(&config->limits, out);
	print_tls(&config->tls, out);
	print_unix(config, out);
	print_cluster(&config->cluster, out);
}
