#include "meet.h"

#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "seam.h"
#include "unit.h"

struct meet meet;
struct cert meet_ca = {.name = "ca", .cn = "the ca"};
struct cert meet_client = {.name = "client", .cn = "alice", .signed_by = &meet_ca};
static struct cert server = {.name = "server"};
static struct tls_context *usual;

int
meet_certs(void **state)
{
	(void)state;
	signal(SIGPIPE, SIG_DFL); /* chatd's end raises none */
	folder_make();
	cert_make(&meet_ca);
	cert_make(&meet_client);
	cert_make(&server);
	usual = cert_context("server", NULL, TLS_CLIENTS_ANY);
	return 0;
}

int
meet_no_certs(void **state)
{
	(void)state;
	tls_context_free(usual);
	cert_free(&server);
	cert_free(&meet_client);
	cert_free(&meet_ca);
	folder_remove();
	return 0;
}

int
meet_setup(void **state)
{
	(void)state;
	seam_reset();
	meet = (struct meet){.fd = -1, .peer = {.fd = -1}};
	return 0;
}

int
meet_teardown(void **state)
{
	(void)state;
	seam_reset();
	tls_free(meet.tls);
	peer_free(&meet.peer);
	close(meet.fd);
	close(meet.peer.fd);
	return 0;
}

void
meet_begin(int version, const struct tls_context *context, const struct cert *cert)
{
	int pair[2];

	make_pair(pair);
	meet.fd = pair[1];
	peer_open(&meet.peer, pair[0], version, cert);
	meet.tls = tls_new(context != NULL ? context : usual, meet.fd);
	assert_non_null(meet.tls);
}

enum tls_outcome
meet_handshake(void)
{
	enum tls_outcome outcome = TLS_WANTS_READ;
	int steps = 0;

	while (outcome == TLS_WANTS_READ) {
		assert_true(++steps < 10);
		peer_handshake(&meet.peer);
		peer_send(&meet.peer);
		outcome = tls_handshake(meet.tls, true);
	}
	peer_handshake(&meet.peer);
	return outcome;
}

void
meet_open(int version)
{
	meet_begin(version, NULL, NULL);
	assert_int_equal(meet_handshake(), TLS_OPEN);
	assert_true(peer_handshake(&meet.peer));
	assert_false(meet.tls->pending);
}

const char *
meet_recv(size_t room, ssize_t *n)
{
	static char text[1 << 17];
	ssize_t got;

	assert_true(room < sizeof(text));
	got = tls_recv(meet.tls, text, room);
	text[got > 0 ? got : 0] = '\0';
	if (n != NULL)
		*n = got;
	return text;
}

const char *
meet_recv_all(void)
{
	static char all[1 << 18];
	size_t len = 0;

	do {
		ssize_t n;
		const char *text = meet_recv(65536, &n);

		strcpy(all + len, text);
		len += n > 0 ? (size_t)n : 0;
	} while (meet.tls->pending);
	return all;
}

ssize_t
meet_send(const char *text)
{
	char copy[1 << 16];
	struct iovec iov = {.iov_base = copy, .iov_len = strlen(text)};

	strcpy(copy, text);
	return tls_send(meet.tls, &iov, 1);
}
