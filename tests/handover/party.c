#include "party.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "dice.h"

#define MEMBERS_MAX 1024
#define LINE_MAX_   600
#define PATIENCE    60 /* seconds */

enum kind {
	TCP,
	UNIX,
	GUEST
};

struct member {
	int fd; /* -1: none */
	enum kind kind;
	bool slow;
	uint32_t id;         /* SPEAKER, of this connection */
	uint32_t said;       /* whole lines */
	uint32_t plans;      /* a guest: lines that it wants to say */
	bool closing;        /* a guest: has sent its end of file */
	char out[LINE_MAX_]; /* the line that is being sent */
	size_t out_len, out_at;
	char in[LINE_MAX_];
	size_t in_len;
	uint32_t born;  /* speakers before that may have begun already */
	uint32_t *next; /* by speaker: the number that comes next; 0: none was heard */
	uint32_t next_size;
	uint64_t not_before; /* microseconds: of a slow one */
};

/* What became of a speaker. */
struct speaker {
	uint32_t said;
	bool ended_well;
	bool present, tcp;
};

static struct member members[MEMBERS_MAX];
static unsigned count;
static struct speaker *speakers;
static uint32_t n_speakers, size_speakers;
static struct party_result *result;
static const struct party_plan *plan;
static bool last_dialed_tcp;

static uint64_t
now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

static size_t
compose(uint32_t speaker, uint32_t number, char *line)
{
	uint64_t mix = (uint64_t)speaker * 0x9e3779b97f4a7c15 + number * 0xff51afd7ed558ccd;
	size_t len = (size_t)sprintf(line, "%u %u ", speaker, number);
	size_t letters = (size_t)((mix >> 20) % ((mix >> 40) % 16 == 0 ? 500 : 40));

	for (size_t i = 0; i < letters; i++)
		line[len++] = (char)('a' + (mix >> (i % 48)) % 26);
	line[len++] = '\n';
	return len;
}

static int
dial(enum kind kind)
{
	struct sockaddr_in in = {.sin_family = AF_INET,
	    .sin_port = htons(plan->port),
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	bool is_unix = kind == UNIX || (kind == GUEST && draw(4) == 0);
	int fd = socket(is_unix ? AF_UNIX : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), result_;

	snprintf(un.sun_path, sizeof(un.sun_path), "%s", plan->path);
	result_ = is_unix ? connect(fd, (struct sockaddr *)&un, sizeof(un))
			  : connect(fd, (struct sockaddr *)&in, sizeof(in));
	if (result_ < 0) {
		close(fd);
		return -1;
	}
	fcntl(fd, F_SETFL, O_NONBLOCK);
	last_dialed_tcp = !is_unix;
	return fd;
}

static uint32_t
new_speaker(void)
{
	if (n_speakers == size_speakers) {
		size_speakers = size_speakers > 0 ? 2 * size_speakers : 1024;
		speakers = realloc(speakers, size_speakers * sizeof(*speakers));
	}
	speakers[n_speakers] = (struct speaker){.present = true};
	return n_speakers++;
}

static void
enter(struct member *member)
{
	if ((member->fd = dial(member->kind)) < 0)
		return;
	member->born = n_speakers;
	member->id = new_speaker();
	speakers[member->id].tcp = last_dialed_tcp;
	member->said = 0;
	member->out_len = member->out_at = member->in_len = 0;
	member->closing = false;
	member->plans = (uint32_t)(draw(8));
	memset(member->next, 0, member->next_size * sizeof(uint32_t));
	if (member->kind == GUEST)
		result->guests++;
}

static void
gone(struct member *member, bool well)
{
	speakers[member->id].said = member->said;
	speakers[member->id].present = false;
	speakers[member->id].ended_well = well;
	close(member->fd);
	member->fd = -1;
}

static void
dropped(struct member *member)
{
	if (member->kind == TCP) {
		result->dropped_tcp++;
		fprintf(stderr, "speaker %u was dropped\n", member->id);
	} else if (member->kind == UNIX) {
		result->dropped_unix++;
	} else {
		result->dropped_guests++;
	}
	gone(member, false);
}

static void
complain(const struct member *member, const char *what, const char *line, size_t len, uint32_t want)
{
	static int said;

	if (said++ >= 20)
		return;
	fprintf(stderr, "%u hears: %s (wants %u, %zu bytes): ", member->id, what, want, len);
	for (size_t i = 0; i < len && i < 70; i++)
		fprintf(stderr, line[i] >= ' ' && line[i] <= '~' ? "%c" : "\\%02x",
		    (unsigned char)line[i]);
	fputc('\n', stderr);
}

static void
hear_line(struct member *member, const char *line, size_t len)
{
	char want[LINE_MAX_ + 64];
	unsigned speaker, number;
	uint32_t next;

	if (plan->named) {
		const char *text = memmem(line, len, ": ", 2);

		if (line[0] == '*')
			return;
		if (text != NULL) {
			len -= (size_t)(text + 2 - line);
			line = text + 2;
		}
	}
	result->heard++;
	if (sscanf(line, "%u %u ", &speaker, &number) != 2 || speaker >= n_speakers ||
	    compose(speaker, number, want) != len || memcmp(want, line, len) != 0) {
		result->torn++;
		complain(member, "torn", line, len, 0);
		return;
	}
	if (speaker == member->id) {
		result->own++;
		complain(member, "own", line, len, 0);
		return;
	}
	if (speaker >= member->next_size) {
		uint32_t size = 2 * speaker + 1024;

		member->next = realloc(member->next, size * sizeof(uint32_t));
		memset(member->next + member->next_size, 0,
		    (size - member->next_size) * sizeof(uint32_t));
		member->next_size = size;
	}
	next = member->next[speaker];
	if (next == 0 && speaker < member->born)
		next = number; /* it spoke before */
	if (number < next) {
		result->twice++;
		complain(member, "twice", line, len, next);
	} else if (number > next) {
		result->lost += number - next;
		complain(member, "lost", line, len, next);
	}
	member->next[speaker] = number + 1;
}

static bool
hear(struct member *member)
{
	static char buf[65536 + LINE_MAX_];
	size_t room = member->slow ? 700 : 65536, len, at = 0;
	ssize_t n;
	char *end;

	if (member->slow) {
		if (now() < member->not_before)
			return false;
		member->not_before = now() + 1500;
	}
	memcpy(buf, member->in, member->in_len);
	n = recv(member->fd, buf + member->in_len, room, 0);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	if (n <= 0) {
		if (member->closing && n == 0)
			gone(member, true);
		else
			dropped(member);
		return true;
	}
	len = member->in_len + (size_t)n;
	while ((end = memchr(buf + at, '\n', len - at)) != NULL) {
		hear_line(member, buf + at, (size_t)(end + 1 - (buf + at)));
		at = (size_t)(end + 1 - buf);
	}
	member->in_len = len - at;
	if (member->in_len > sizeof(member->in)) {
		result->torn++;
		member->in_len = 0;
	}
	memcpy(member->in, buf + at, member->in_len);
	return true;
}

static void
speak(struct member *member, bool stopping)
{
	size_t len;
	ssize_t n;

	if (member->closing)
		return;
	if (member->out_at == member->out_len) {
		if (member->kind == GUEST && (stopping || member->said >= member->plans)) {
			member->closing = true;
			shutdown(member->fd, SHUT_WR);
			return;
		}
		if (stopping || draw(4) != 0)
			return;
		member->out_len = compose(member->id, member->said, member->out);
		member->out_at = 0;
	}
	len = member->out_len - member->out_at;
	if (draw(4) == 0)
		len = 1 + (size_t)draw(len); /* in pieces */
	n = send(member->fd, member->out + member->out_at, len, MSG_NOSIGNAL);
	if (n < 0)
		return; /* the end is heard */
	member->out_at += (size_t)n;
	if (member->out_at == member->out_len) {
		member->said++;
		result->said++;
	}
}

/* Whether everybody has heard everything. */
static bool
is_done(bool count_lost)
{
	bool done = true;

	for (unsigned i = 0; i < count; i++)
		if (members[i].fd >= 0) {
			if (members[i].kind == GUEST || members[i].out_at != members[i].out_len)
				return false;
			speakers[members[i].id].said = members[i].said;
		}
	for (unsigned i = 0; i < count; i++) {
		const struct member *member = &members[i];

		if (member->fd < 0)
			continue;
		for (uint32_t s = member->born; s < n_speakers; s++) {
			uint32_t next = s < member->next_size ? member->next[s] : 0;

			if (s == member->id || (!speakers[s].present && !speakers[s].ended_well) ||
			    next >= speakers[s].said)
				continue;
			done = false;
			if (count_lost) {
				result->lost += speakers[s].said - next;
				if (i < 2)
					fprintf(stderr,
					    "%u: speaker %u said %u lines, heard %u, %s %s\n",
					    member->id, s, speakers[s].said, next,
					    speakers[s].present ? "is here" : "has gone",
					    speakers[s].tcp ? "tcp" : "unix");
			}
		}
	}
	return done;
}

static void
set_up(void)
{
	count = plan->tcp + plan->unixes + plan->guests;
	for (unsigned i = 0; i < count; i++) {
		members[i] = (struct member){.fd = -1, .kind = GUEST};
		if (i < plan->tcp)
			members[i].kind = TCP;
		else if (i < plan->tcp + plan->unixes)
			members[i].kind = UNIX;
		members[i].slow = i < plan->slow;
	}
}

void
party(const struct party_plan *the_plan, volatile int *stop, struct party_result *the_result)
{
	static struct pollfd polled[MEMBERS_MAX];
	uint64_t last_byte = now(), next_round = 0;

	plan = the_plan;
	result = the_result;
	dice_seed(plan->seed * 2);
	set_up();
	for (;;) {
		bool stopping = *stop != 0, any = false;

		for (unsigned i = 0; i < count; i++) {
			struct member *member = &members[i];

			if (member->fd < 0 && !stopping)
				enter(member);
			polled[i] = (struct pollfd){.fd = member->fd, .events = POLLIN};
			if (member->slow && now() < member->not_before)
				polled[i].fd = -1;
		}
		poll(polled, count, 1);
		for (unsigned i = 0; i < count; i++)
			if (members[i].fd >= 0 && polled[i].revents != 0)
				any |= hear(&members[i]);
		if (any)
			last_byte = now();
		if (now() >= next_round) {
			next_round = now() + plan->pause;
			for (unsigned i = 0; i < count; i++)
				if (members[i].fd >= 0)
					speak(&members[i], stopping);
		}
		if (stopping && is_done(false))
			break;
		if (stopping && now() - last_byte > PATIENCE * UINT64_C(1000000)) {
			is_done(true);
			break;
		}
	}
}
