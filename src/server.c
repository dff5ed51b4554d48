#include "server.h"

#include <bsd/string.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/param.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/signals.h"
#include "base/trace.h"
#include "host/descriptors.h"
#include "host/report.h"
#include "wire/safe.h"

void
server_init(struct server *server, struct config *config, struct tls_context *tls,
    const struct handover *handover)
{
	*server = (struct server){
	    .config = config,
	    .tls = tls,
	    .handover = *handover,
	    .notify = {.fd = -1},
	    .phase_ends = CLOCK_NEVER,
	};
	loop_init(&server->loop);
	chat_init(&server->chat, config, tls, &server->loop);
}

/*
 * Reserves room for the highest descriptor new listeners can receive; the kernel assigns the lowest
 * free ones.
 */
static int
reserve(struct server *server, const struct config *config, source_tell *tell)
{
	int highest =
	    MAX(chat_highest(&server->chat), 0) + (int)config->n_endpoints + DESCRIPTORS_SPARE;
	char text[80];

	if (chat_reserve(&server->chat, config, highest) == 0)
		return 0;
	snprintf(text, sizeof(text), "memory for descriptors: %s", strerror(errno));
	tell(LOG_ERR, text);
	return -1;
}

/* The service manager, and what a former process has left there. */
static int
open_manager(struct server *server)
{
	const int *kept = server->handover.kept;
	/* Clients of the former process keep their numbers, even if it was allowed more of them. */
	rlim_t files = descriptors_raise(server->config, safe_highest(kept[1], kept[2]));
	int highest = (int)MIN(files, CONFIG_MAX_CLIENTS) - 1;

	/* sd_notify(3) recommends serving all the same. */
	if (notify_open(&server->notify, highest) < 0)
		log_warn("notify %s: %s; the service manager gets no news", getenv("NOTIFY_SOCKET"),
		    strerror(errno));
	if (handover_open(
		&server->handover, &server->chat, server->config, &server->notify, highest - 1) < 0)
		return -1;
	clock_tick();
	/* Below the others. */
	return chat_open(&server->chat,
	    MAX(highest - HANDOVER_FDS - EXCHANGE_FDS, STDERR_FILENO + 1), log_fault);
}

static int
open_all(struct server *server)
{
	const struct config *config = server->config;
	struct handover *handover = &server->handover;

	if (signals_open(&server->loop.waiting, config->file != NULL) < 0) {
		log_error("signals: %s", strerror(errno));
		return -1;
	}
	if (open_manager(server) < 0)
		return -1;
	if (acceptor_open(&server->chat.acceptor, config, handover->passed, handover->tls,
		handover->count) < 0) {
		handover_excuse(handover);
		return -1;
	}
	if (reserve(server, config, log_fault) < 0)
		return -1;
	if (streams_open(&server->streams, &server->loop) < 0) {
		log_error("memory for descriptors: %s", strerror(errno));
		return -1;
	}
	acceptor_log(&server->chat.acceptor);
	if (!handover->on)
		signals_let_leave_end();
	return handover_finish(handover, &server->notify);
}

/* What was taken over stays for another attempt. */
int
server_listen(struct server *server)
{
	int result = open_all(server);

	server->leaves = result < 0 && handover_took_over(&server->handover);
	return result;
}

/* Does what is due, frees what was removed. Returns when the next thing is due. */
static int64_t
run_due(struct server *server)
{
	const struct chat *chat = &server->chat;
	int64_t next = clock_sooner(chat_run_due(&server->chat), log_run_due());
	char cluster[SESSION_STATUS];

	return clock_sooner(
	    next, notify_pass(&server->notify, chat->pool.count, chat->broadcast.lines,
		      exchange_status(&chat->exchange, cluster)));
}

/* Waits until something is ready, a signal comes or it is time. Returns 0, or -1 with errno. */
static int
wait_ready(struct server *server, int64_t until)
{
	pressure_apply(&server->chat.pressure);
	trace_waiting(chat_highest(&server->chat));
	until = clock_sooner(until, streams_flush(&server->streams));
	return loop_wait(&server->loop, until);
}

static char first_fault[NOTIFY_REFUSED]; /* of a reload, for the service manager */

static void
tell_fault(int level, const char *text)
{
	log_fault(level, text);
	if (level == LOG_ERR && first_fault[0] == '\0')
		strlcpy(first_fault, text, sizeof(first_fault));
}

/* Opens the new config's listeners, after raising the limit of descriptors for them. */
static int
open_listeners(struct server *server, const struct config *config)
{
	descriptors_raise(config, -1);
	if (reserve(server, config, tell_fault) == 0 &&
	    acceptor_change(&server->chat.acceptor, server->config, config, tell_fault) == 0)
		return 0;
	return -1;
}

/* The cluster stays as it was at the start. */
static void
keep_cluster(struct config *before, struct config *after)
{
	struct cluster cluster = after->cluster;

	if (!cluster_same(&before->cluster, &after->cluster))
		log_warn("%s: cluster: takes a restart, until then the old one stays", after->file);
	after->cluster = before->cluster;
	before->cluster = cluster;
}

/* Puts the new config in the place of the old one. */
static void
apply(struct server *server, struct config *config, struct tls_context *tls)
{
	struct config *before = server->config;
	struct tls_context *tls_before = tls != NULL ? server->tls : NULL;

	acceptor_log(&server->chat.acceptor);
	keep_cluster(before, config);
	handover_reconfigure(&server->handover, config);
	server->config = config;
	/* The old one stays where there is none now: for newcomers who have not begun yet. */
	if (tls != NULL)
		server->tls = tls;
	trace_enable(config->trace);
	chat_reconfigure(&server->chat, config, server->tls);
	tls_context_free(tls_before);
	config_free(before);
}

static bool
refuse(const struct config *after, const char *why)
{
	char text[NOTIFY_REFUSED];

	snprintf(text, sizeof(text), "%s: %s", after->file, why);
	tell_fault(LOG_ERR, text);
	return true;
}

/* A file that had settings and now has none is most likely being written. */
static bool
is_emptied(const struct config *before, const struct config *after)
{
	if (!before->has_settings || after->has_settings)
		return false;
	return refuse(after, "holds no settings any more");
}

/* Sockets that were passed stay, whatever the settings say. */
static bool
lacks_certificate(const struct server *server, const struct config *after)
{
	if (!acceptor_inherited_tls(&server->chat.acceptor) || certificates_are_set(&after->tls))
		return false;
	return refuse(after, "a socket named tls was passed: it takes tls.certificate");
}

/* And so does the cluster. */
static bool
mixes_modes(const struct server *server, const struct config *after)
{
	if (!exchange_is_on(&server->chat.exchange) || !after->chat)
		return false;
	return refuse(after,
	    "mode: \"chat\" does not go together with cluster, which stays until a "
	    "restart");
}

/* Everything is checked before anything is changed. Returns whether the new settings are in force.
 */
static bool
load_anew(struct server *server)
{
	const char *file = server->config->file;
	struct config *config = config_load(file, server->config->fixed_port, tell_fault);
	struct tls_context *tls = NULL;

	if (config == NULL || is_emptied(server->config, config) ||
	    lacks_certificate(server, config) || mixes_modes(server, config) ||
	    tls_context_load(&tls, &config->tls, tell_fault) < 0 ||
	    session_check(&config->cluster, tell_fault) < 0 || open_listeners(server, config) < 0) {
		log_error("%s: not reloaded, the old settings stay", file);
		tls_context_free(tls);
		config_free(config);
		return false;
	}
	apply(server, config, tls);
	log_info("reloaded %s", config->file);
	return true;
}

static void
reload(struct server *server)
{
	/* The manager wants a time that is not before its signal. */
	notify_reloading(&server->notify, clock_tick());
	first_fault[0] = '\0';
	if (load_anew(server))
		notify_accepted(&server->notify);
	else
		notify_refused(&server->notify, first_fault);
	notify_ready(&server->notify);
	loop_forget(&server->loop);
}

static void
enter(struct server *server, enum server_phase phase, int64_t time)
{
	server->phase = phase;
	server->phase_ends = clock_now() + time;
}

static void
begin_end(struct server *server)
{
	if (server->phase != SERVER_SERVES)
		return;
	notify_stopping(&server->notify);
	chat_begin_end(&server->chat);
	enter(server, SERVER_LISTENS, SERVER_LISTEN);
	/*
	 * Words may have come between select's look and the signal, and of those who have just come
	 * in it knows nothing: it has to look again.
	 */
	loop_forget(&server->loop);
}

/* What was sent before the signal has been read, or that takes too long: everybody leaves. */
static void
begin_drain(struct server *server)
{
	chat_say_goodbye(&server->chat);
	enter(server, SERVER_DRAINS, SERVER_DRAIN);
}

/* Asked after each pass. */
static bool
has_ended(const struct server *server)
{
	if (signals_to_end() > 1)
		return true;
	if (server->phase != SERVER_DRAINS)
		return false;
	return (chat_is_over(&server->chat) && chat_is_settled(&server->chat)) ||
	       clock_now() >= server->phase_ends;
}

/* Whether what was sent before the signal was read, and heard by all. */
static bool
has_listened(const struct server *server)
{
	return (chat_is_quiet(&server->chat) && chat_is_settled(&server->chat)) ||
	       clock_now() >= server->phase_ends;
}

/* When the next pass begins at the latest: at once while it looks for what was sent before. */
static int64_t
next_pass(const struct server *server, int64_t due)
{
	if (server->phase == SERVER_LISTENS && !chat_holds_words(&server->chat) &&
	    !chat_is_quiet(&server->chat))
		return clock_now();
	return clock_sooner(due, server->phase_ends);
}

/* Whether it was asked to leave everything to a successor, and can. */
static bool
leaves(struct server *server)
{
	server->leaves = signals_to_leave() && server->handover.on;
	if (server->leaves)
		log_info("leaving %u clients to the next chatd", server->chat.pool.count);
	return server->leaves;
}

int
server_run(struct server *server)
{
	server->started = handover_started(&server->handover, clock_tick());
	notify_ready(&server->notify);
	for (;;) {
		int64_t due;

		if (server->phase == SERVER_LISTENS && has_listened(server))
			begin_drain(server);
		due = run_due(server);
		if (has_ended(server))
			return 0;
		if (wait_ready(server, next_pass(server, due)) < 0) {
			log_error("select: %s", strerror(errno));
			return -1;
		}
		if (server->phase == SERVER_SERVES && leaves(server))
			return 0;
		if (signals_to_end() > 0)
			begin_end(server);
		if (signals_to_reload() && server->phase == SERVER_SERVES)
			reload(server);
		if (signals_to_report())
			report_write(&server->chat, server->started);
		loop_read(&server->loop);
		chat_deliver(&server->chat);
		loop_write(&server->loop);
		handover_proved(&server->handover);
	}
}

void
server_close(struct server *server)
{
	if (server->leaves) {
		handover_leave(&server->handover);
		chat_leave(&server->chat);
	} else {
		chat_free(&server->chat);
		handover_close(&server->handover, &server->notify);
	}
	handover_free(&server->handover);
	loop_free(&server->loop);
	notify_close(&server->notify);
	tls_context_free(server->tls);
	config_free(server->config);
}
