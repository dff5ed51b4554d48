#include "host.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/addr.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/trace.h"
#include "conf/config.h"
#include "server.h"
#include "unit.h"

#define CONTROL 500  /* descriptors of the child for the test, far above the server's own */
#define HIGHEST 1023 /* descriptor that a report tells of */

enum order_kind {
	ORDER_PASS,
	ORDER_AWAIT,
	ORDER_EXPIRE,
	ORDER_INTERRUPT,
	ORDER_PASS_WITH,
	ORDER_FAIL_WAIT,
	ORDER_ADVANCE,
	ORDER_FAIL,
};

struct order {
	enum order_kind kind;
	int number; /* of a signal or an error */
	int64_t microseconds;
	enum seam seam;
	unsigned long skip, count;
};

struct report {
	int ready;       /* of the wait before */
	int64_t timeout; /* microseconds, -1: none */
	bool reads[HIGHEST + 1], writes[HIGHEST + 1];
};

static pid_t child = -1;
static int orders = -1, reports = -1; /* the test's ends */
static struct report last;
static int status = -1;
static struct order at_start;        /* what is to fail then */
static struct rlimit files_at_start; /* 0: as the test has it */

/* The child */

static int64_t now;
static int ready;

static void
advance(int64_t microseconds)
{
	now += microseconds;
	seam_set_time(now);
}

static bool
is_set(int fd, int count, const fd_set *set)
{
	return fd < count && (set->fds_bits[fd / NFDBITS] >> (fd % NFDBITS) & 1) != 0;
}

static void
tell(int count, const fd_set *readable, const fd_set *writable, const struct timespec *timeout)
{
	static struct report report;

	report.ready = ready;
	report.timeout = -1;
	if (timeout != NULL)
		report.timeout = timeout->tv_sec * CLOCK_SECOND + timeout->tv_nsec / 1000;
	for (int fd = 0; fd <= HIGHEST; fd++) {
		report.reads[fd] = is_set(fd, count, readable);
		report.writes[fd] = is_set(fd, count, writable);
	}
	if (write(CONTROL + 1, &report, sizeof(report)) != sizeof(report))
		_exit(99);
}

/* The signal is delivered, as pselect does with the mask it was given. */
static int
interrupt(int number)
{
	sigset_t open, before;

	sigfillset(&open);
	sigdelset(&open, number);
	raise(number);
	sigprocmask(SIG_SETMASK, &open, &before);
	sigemptyset(&open);
	sigprocmask(SIG_SETMASK, &open, NULL);
	sigprocmask(SIG_SETMASK, &before, NULL);
	errno = EINTR;
	return -1;
}

static int
obey(int count, fd_set *readable, fd_set *writable, const struct timespec *timeout)
{
	struct timespec wait = {0};
	struct order order;

	tell(count, readable, writable, timeout);
	for (;;) {
		if (read(CONTROL, &order, sizeof(order)) != sizeof(order))
			_exit(98);
		switch (order.kind) {
		case ORDER_AWAIT:
			wait.tv_sec = 20;
			/* fallthrough */
		case ORDER_PASS:
			ready = select(count, readable, writable, NULL,
			    &(struct timeval){.tv_sec = wait.tv_sec});
			return ready;
		case ORDER_PASS_WITH:
			raise(order.number);
			ready = select(count, readable, writable, NULL, &(struct timeval){0});
			return ready;
		case ORDER_EXPIRE:
			if (timeout == NULL)
				_exit(97);
			advance(timeout->tv_sec * CLOCK_SECOND + timeout->tv_nsec / 1000);
			return ready = 0;
		case ORDER_INTERRUPT:
			ready = 0;
			return interrupt(order.number);
		case ORDER_FAIL_WAIT:
			ready = 0;
			errno = order.number;
			return -1;
		case ORDER_ADVANCE:
			advance(order.microseconds);
			break;
		case ORDER_FAIL:
			seam_fail(order.seam, order.skip, order.count, order.number);
			break;
		}
	}
}

static void
limit_files(void)
{
	if (files_at_start.rlim_max == 0)
		return;
	if (setrlimit(RLIMIT_NOFILE, &files_at_start) < 0)
		_exit(HOST_TOO_FEW_FILES);
	/* Whom a hard limit binds. Not seteuid: LeakSanitizer could not trace the process then. */
	if (geteuid() == 0 && setuid(65534) < 0)
		_exit(95);
}

/* With a file, the settings are read from there, else they are text. */
static int
serve(const char *file, const char *text)
{
	struct config *config;
	struct server server;
	int result = -1;

	seam_reset();
	seam_set_select(obey);
	advance(1000 * CLOCK_SECOND);
	log_open();
	config =
	    file != NULL ? config_load(file, 0, log_fault) : config_parse(text, NULL, 0, log_fault);
	if (config != NULL) {
		seam_fail(at_start.seam, at_start.skip, at_start.count, at_start.number);
		trace_open(config->trace);
		server_init(&server, config, NULL, &HANDOVER_NONE);
		if (server_listen(&server) == 0)
			result = server_run(&server);
		server_close(&server);
		trace_close();
	}
	log_close();
	return result == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* The test */

int
host_setup(void **state)
{
	(void)state;
	unsetenv("JOURNAL_STREAM");
	unsetenv("NOTIFY_SOCKET");
	folder_make();
	child = -1;
	status = -1;
	at_start = (struct order){0};
	files_at_start = (struct rlimit){0};
	catch_start(STDERR_FILENO);
	catch_start(STDOUT_FILENO);
	return 0;
}

/* Waits for the next report, or for the end. */
static void
await_report(void)
{
	int result = 0;

	if (read(reports, &last, sizeof(last)) == sizeof(last))
		return;
	waitpid(child, &result, 0);
	child = -1;
	status = WIFEXITED(result) ? WEXITSTATUS(result) : 128 + WTERMSIG(result);
}

static void
give(const struct order *order)
{
	assert_int_equal(status, -1);
	assert_int_equal(write(orders, order, sizeof(*order)), sizeof(*order));
}

/* Gives an order that ends the wait. */
static void
go(const struct order *order)
{
	give(order);
	await_report();
}

int
host_teardown(void **state)
{
	(void)state;
	/* Ended by two signals, so that it frees everything: sanitizers look at that. */
	for (int i = 0; i < 10 && child > 0 && status < 0; i++) {
		const struct order end = {.kind = ORDER_INTERRUPT, .number = SIGTERM};

		if (write(orders, &end, sizeof(end)) == sizeof(end))
			await_report();
	}
	if (orders >= 0)
		close(orders);
	if (reports >= 0)
		close(reports);
	orders = reports = -1;
	catch_end(STDOUT_FILENO);
	catch_end(STDERR_FILENO);
	folder_remove();
	/* 0: an end in order; 1: one that the test asked for. */
	return status <= 1 || status == HOST_TOO_FEW_FILES ? 0 : -1;
}

/* The settings with a place to listen at. Good until the next call. */
static const char *
complete(const char *settings)
{
	static char text[4096];

	text[0] = '\0';
	if (strstr(settings, "listen") == NULL)
		snprintf(text, sizeof(text), "listen = \"%s\"; ", in_folder("chat"));
	return strcat(text, settings);
}

void
host_settings(const char *settings)
{
	const char *text = complete(settings);

	file_write(in_folder("chatd.conf"), text, strlen(text));
}

static void
start(const char *file, const char *text)
{
	int to_child[2], from_child[2];

	assert_int_equal(pipe(to_child), 0);
	assert_int_equal(pipe(from_child), 0);
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		dup2(to_child[0], CONTROL);
		dup2(from_child[1], CONTROL + 1);
		/* Those of the caught streams lie higher. */
		close_range(STDERR_FILENO + 1, CONTROL - 1, 0);
		limit_files();
		exit(serve(file, text));
	}
	close(to_child[0]);
	close(from_child[1]);
	orders = to_child[1];
	reports = from_child[0];
	await_report();
}

void
host_start(const char *settings)
{
	host_settings(settings);
	start(in_folder("chatd.conf"), NULL);
}

void
host_start_without_file(const char *settings)
{
	start(NULL, complete(settings));
}

void
host_fail_start(enum seam seam, unsigned long skip, unsigned long count, int error)
{
	at_start = (struct order){.seam = seam, .skip = skip, .count = count, .number = error};
}

void
host_limit_files(unsigned long soft, unsigned long hard)
{
	files_at_start = (struct rlimit){.rlim_cur = soft, .rlim_max = hard};
	/* The child may be nobody then, and wants to bind its socket all the same. */
	assert_int_equal(chmod(in_folder(""), 0777), 0);
}

int
host_pass(void)
{
	go(&(struct order){.kind = ORDER_PASS});
	return last.ready;
}

void
host_settle(void)
{
	int passes = 0;

	while (host_pass() > 0)
		assert_true(++passes < 10000);
}

void
host_await(void)
{
	go(&(struct order){.kind = ORDER_AWAIT});
	assert_true(last.ready > 0);
}

void
host_expire(void)
{
	go(&(struct order){.kind = ORDER_EXPIRE});
}

void
host_interrupt(int number)
{
	go(&(struct order){.kind = ORDER_INTERRUPT, .number = number});
}

void
host_pass_with(int number)
{
	go(&(struct order){.kind = ORDER_PASS_WITH, .number = number});
}

void
host_fail_wait(int error)
{
	go(&(struct order){.kind = ORDER_FAIL_WAIT, .number = error});
}

int64_t
host_timeout(void)
{
	return last.timeout;
}

bool
host_reads(int fd)
{
	return last.reads[fd];
}

bool
host_writes(int fd)
{
	return last.writes[fd];
}

unsigned long
host_files(void)
{
	char path[64], line[128];
	unsigned long limit = 0;
	FILE *limits;

	snprintf(path, sizeof(path), "/proc/%d/limits", (int)child);
	assert_non_null(limits = fopen(path, "r"));
	while (fgets(line, sizeof(line), limits) != NULL)
		if (sscanf(line, "Max open files %lu", &limit) == 1)
			break;
	fclose(limits);
	return limit;
}

int
host_status(void)
{
	return status;
}

void
host_advance(int64_t microseconds)
{
	give(&(struct order){.kind = ORDER_ADVANCE, .microseconds = microseconds});
}

void
host_fail(enum seam seam, unsigned long skip, unsigned long count, int error)
{
	give(&(struct order){
	    .kind = ORDER_FAIL, .seam = seam, .skip = skip, .count = count, .number = error});
}

int
host_connect(void)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	strcpy(sun.sun_path, in_folder("chat"));
	assert_int_equal(connect(fd, (struct sockaddr *)&sun, sizeof(sun)), 0);
	set_nonblocking(fd);
	return fd;
}

int
host_connect_tcp(const char *where)
{
	struct sockaddr_storage sa;
	struct addr addr;
	socklen_t len;
	int fd;

	assert_int_equal(addr_parse_port(&addr, where, 0), 0);
	len = addr_to_sockaddr(&addr, &sa);
	fd = socket(sa.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&sa, len), 0);
	set_nonblocking(fd);
	return fd;
}

const char *
host_listens(void)
{
	static char where[64];

	assert_int_equal(sscanf(host_log(), "listening on %63s", where), 1);
	return where;
}

const char *
host_trace(void)
{
	return caught(STDOUT_FILENO);
}

const char *
host_log(void)
{
	return caught(STDERR_FILENO);
}

int
host_enter(void)
{
	int fd = host_connect();

	host_settle();
	return fd;
}

void
host_start_quiet(const char *settings)
{
	host_start(settings);
	assert_int_equal(host_status(), -1);
	host_log();
	host_trace();
}

void
host_expect_log(const char *format)
{
	static char want[4096];
	char self[64];

	snprintf(self, sizeof(self), "unix(pid %d, uid %d)", (int)getpid(), (int)getuid());
	want[0] = '\0';
	for (const char *at = format; *at != '\0'; at++)
		if (at[0] == '%' && at[1] == 's') {
			strcat(want, self);
			at++;
		} else {
			strncat(want, at, 1);
		}
	assert_string_equal(host_log(), want);
}

void
host_expect(int fd, const char *want)
{
	assert_string_equal(get_text(fd, NULL), want);
}

void
host_expect_last(int fd, const char *want)
{
	bool closed;

	assert_string_equal(get_text(fd, &closed), want);
	assert_true(closed);
	close(fd);
}
