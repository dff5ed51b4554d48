/*
 * TLS: one connection between the room tls and a client of the library, over a wire that cuts and
 * holds back as the input says, and may damage what it carries.
 *
 * What arrives is what was said, in order, and all of it unless the wire was damaged or cut; no
 * byte stays hidden that nothing tells of; the socket is asked once in a call; nothing spins.
 *
 * Input: steps, each a byte that says which and one that says how much.
 */
#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/param.h>

#include "memory.h"
#include "seam.h"
#include "target.h"
#include "wire/tls.h"
#include "wire/tls_context.h"
#include "wire/tls_text.h"

#define ROOM    (1 << 18)
#define STEPS   400
#define SOCKET  7
#define FOREVER 4000 /* calls in which a connection has come to rest */

/* Bytes under way, from begin to end. */
struct pipe {
	size_t begin, end;
	char data[ROOM];
};

static struct {
	struct pipe to_chatd, to_client;
	size_t arrived;  /* of to_chatd, how far recv may read */
	size_t capacity; /* bytes that send takes */
	bool fin;        /* behind to_chatd */
	bool fails;      /* the next recv */
	bool damaged;
	unsigned recvs;   /* in this call */
	unsigned updates; /* of keys, since chatd has read last */
	bool too_many;    /* so many that chatd may end it */
	SSL *client;
	BIO *client_in, *client_out;
	size_t said, heard;          /* bytes of the client, and those that chatd got */
	size_t answered, understood; /* bytes of chatd, and those that the client got */
	bool closed;                 /* the client said that it ends */
	struct tls *tls;
	bool open, over, shut;
} world;

/* --- the socket */

ssize_t
sim_recv(int fd, void *data, size_t len, int flags)
{
	struct pipe *pipe = &world.to_chatd;
	size_t n = MIN(len, world.arrived - pipe->begin);

	check(fd == SOCKET && flags == 0 && world.recvs++ == 0);
	if (world.fails || (n == 0 && !(world.fin && pipe->begin == pipe->end))) {
		errno = world.fails ? ENOBUFS : EAGAIN;
		world.fails = false;
		return -1;
	}
	memcpy(data, pipe->data + pipe->begin, n);
	pipe->begin += n;
	return (ssize_t)n;
}

ssize_t
sim_send(int fd, const void *data, size_t len, int flags)
{
	struct pipe *pipe = &world.to_client;
	size_t n = MIN(MIN(len, world.capacity), ROOM - pipe->end);

	check(fd == SOCKET && flags == MSG_NOSIGNAL);
	if (n == 0) {
		errno = EAGAIN;
		return -1;
	}
	memcpy(pipe->data + pipe->end, data, n);
	pipe->end += n;
	world.capacity -= n;
	return (ssize_t)n;
}

/* --- a certificate, made once */

static void
take_fault(int level, const char *text)
{
	die("%d %s", level, text);
}

static char *
memory_file(void (*write_to)(BIO *, void *), void *what)
{
	static char path[2][64];
	static int count;
	int fd = memfd_create("pem", 0);
	BIO *bio = BIO_new_fd(fd, BIO_NOCLOSE);

	check(fd >= 0 && bio != NULL);
	check(fchmod(fd, 0600) == 0);
	write_to(bio, what);
	BIO_free(bio);
	snprintf(path[count], sizeof(path[count]), "/proc/self/fd/%d", fd);
	return path[count++];
}

static void
write_key(BIO *bio, void *key)
{
	check(PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL) == 1);
}

static void
write_certificate(BIO *bio, void *certificate)
{
	check(PEM_write_bio_X509(bio, certificate) == 1);
}

static struct tls_context *
context(void)
{
	static struct tls_context *made;
	struct certificates files = {0};
	EVP_PKEY *key;
	X509 *certificate;
	char where[] = "FILE:1: tls";

	if (made != NULL)
		return made;
	key = EVP_EC_gen("P-256");
	certificate = X509_new();
	check(key != NULL && certificate != NULL);
	X509_set_pubkey(certificate, key);
	X509_gmtime_adj(X509_getm_notBefore(certificate), -60);
	X509_gmtime_adj(X509_getm_notAfter(certificate), 86400);
	check(X509_sign(certificate, key, EVP_sha256()) > 0);
	files.certificate = (struct named_file){memory_file(write_certificate, certificate), where};
	files.key = (struct named_file){memory_file(write_key, key), where};
	check(tls_context_load(&made, &files, take_fault) == 0 && made != NULL);
	EVP_PKEY_free(key);
	X509_free(certificate);
	return made;
}

/* --- the client */

static void
client_new(bool old_version)
{
	static SSL_CTX *ctx;

	if (ctx == NULL)
		ctx = SSL_CTX_new(TLS_client_method());
	world.client = SSL_new(ctx);
	check(world.client != NULL);
	if (old_version)
		SSL_set_max_proto_version(world.client, TLS1_2_VERSION);
	world.client_in = BIO_new(BIO_s_mem());
	world.client_out = BIO_new(BIO_s_mem());
	SSL_set_bio(world.client, world.client_in, world.client_out);
	SSL_set_connect_state(world.client);
}

/* What it wants to send is under way. */
static void
client_flush(void)
{
	struct pipe *pipe = &world.to_chatd;
	int n;

	while (
	    pipe->end < ROOM && !world.fin &&
	    (n = BIO_read(world.client_out, pipe->data + pipe->end, (int)(ROOM - pipe->end))) > 0)
		pipe->end += (size_t)n;
}

/* Takes len bytes from the wire, and all that they mean. */
static void
client_read(size_t len)
{
	struct pipe *pipe = &world.to_client;
	char text[4096];
	int n;

	len = MIN(len, pipe->end - pipe->begin);
	if (len > 0)
		BIO_write(world.client_in, pipe->data + pipe->begin, (int)len);
	pipe->begin += len;
	ERR_clear_error();
	while ((n = SSL_read(world.client, text, sizeof(text))) > 0)
		for (int i = 0; i < n; i++)
			check((unsigned char)text[i] == (unsigned char)(3 * world.understood++));
	ERR_clear_error();
	check(world.understood <= world.answered);
	client_flush();
}

static void
client_say(size_t len)
{
	static char text[70000];

	if (!SSL_is_init_finished(world.client) || world.closed || len == 0)
		return;
	for (size_t i = 0; i < len; i++)
		text[i] = (char)(world.said + i);
	if (world.to_chatd.end + len + 1024 < ROOM &&
	    SSL_write(world.client, text, (int)len) == (int)len)
		world.said += len;
	ERR_clear_error();
	client_flush();
}

static void
client_update(bool both)
{
	if (!SSL_is_init_finished(world.client) || world.closed ||
	    SSL_version(world.client) != TLS1_3_VERSION)
		return;
	SSL_key_update(
	    world.client, both ? SSL_KEY_UPDATE_REQUESTED : SSL_KEY_UPDATE_NOT_REQUESTED);
	SSL_do_handshake(world.client);
	ERR_clear_error();
	if (++world.updates > TLS_REQUESTS)
		world.too_many = true;
	client_flush();
}

/* --- chatd */

static void
fits_limits(void)
{
	check(world.tls->unsent_len <= TLS_UNSENT);
	world.recvs = 0;
}

static void
chatd_shake_hands(bool readable)
{
	char text[TLS_REASON];

	switch (tls_handshake(world.tls, readable)) {
	case TLS_OPEN:
		world.open = true;
		break;
	case TLS_FAILED:
		world.over = true;
		check(strlen(tls_reason(world.tls, text)) > 0);
		break;
	default:
		break;
	}
	check(readable || world.recvs == 0);
	fits_limits();
}

/* Nothing is hidden, or it is known. */
static void
check_hidden(void)
{
	char byte;
	size_t arrived = world.arrived;

	if (world.tls->pending || world.tls->blocked || world.tls->closed)
		return;
	world.arrived = world.to_chatd.begin;
	if (!(world.fin && world.to_chatd.begin == world.to_chatd.end))
		check(tls_recv(world.tls, &byte, 1) == -1 && !world.tls->pending);
	world.arrived = arrived;
	fits_limits();
}

/* Returns whether anything has changed. */
static bool
chatd_read(size_t room)
{
	static char text[70000];
	ssize_t n = tls_recv(world.tls, text, room);

	fits_limits();
	if (world.to_chatd.begin == world.to_chatd.end && !world.tls->pending)
		world.updates = 0;
	for (ssize_t i = 0; i < n; i++)
		check((unsigned char)text[i] == (unsigned char)world.heard++);
	check(world.heard <= world.said);
	if (n == 0) {
		check(world.tls->closed);
		world.over = true;
		if (!world.damaged && !world.too_many && !world.tls->failed)
			check(world.closed && world.heard == world.said);
		if (world.tls->broken && !world.damaged && !world.too_many)
			die("broken: %s", tls_reason(world.tls, (char[TLS_REASON]){""}));
		return true;
	}
	check_hidden();
	return n > 0 || world.tls->received > 0;
}

static void
chatd_say(size_t len, size_t cut)
{
	static char text[70000];
	struct iovec iov[2] = {{text, MIN(cut, len)}, {text + MIN(cut, len), len - MIN(cut, len)}};
	ssize_t n;

	if (world.shut || world.answered + len + 4096 > ROOM / 2)
		return;
	for (size_t i = 0; i < len; i++)
		text[i] = (char)(3 * (world.answered + i));
	n = tls_send(world.tls, iov, iov[1].iov_len > 0 ? 2 : 1);
	check(n <= (ssize_t)MIN(len, TLS_RECORD) && world.recvs == 0);
	if (n > 0)
		world.answered += (size_t)n;
	fits_limits();
}

static void
chatd_flush(void)
{
	tls_send(world.tls, NULL, 0);
	check(world.recvs == 0);
	fits_limits();
}

/* --- steps */

static void
damage(size_t at)
{
	struct pipe *pipe = &world.to_chatd;

	if (pipe->begin == pipe->end)
		return;
	pipe->data[pipe->begin + at % (pipe->end - pipe->begin)] ^= 1;
	world.damaged = true;
}

static void
end_wire(void)
{
	client_flush();
	world.fin = true;
}

static void
step_chatd(size_t much, bool readable)
{
	if (world.over)
		return;
	if (!world.open)
		chatd_shake_hands(readable);
	else if (world.tls->blocked)
		tls_unblock(world.tls);
	else if (readable)
		chatd_read(1 + much * 8);
	else
		chatd_flush();
}

static void
step(unsigned which, size_t much)
{
	switch (which % 16) {
	case 0:
		client_say(much);
		break;
	case 1:
		client_say(much * 256);
		break;
	case 2:
		client_read(much);
		break;
	case 3:
	case 4:
		world.arrived =
		    MIN(world.arrived + much * (which % 16 == 3 ? 1 : 64), world.to_chatd.end);
		break;
	case 5:
	case 6:
	case 7:
		step_chatd(much, true);
		break;
	case 8:
		step_chatd(much, false);
		break;
	case 9:
	case 10:
		if (world.open && !world.over)
			chatd_say(much * (which % 16 == 9 ? 1 : 250), much * 40);
		break;
	case 11:
		world.capacity = much * 16;
		break;
	case 12:
		for (size_t i = 0; i <= much % 48; i++)
			client_update(much >= 128);
		break;
	case 13:
		world.closed |=
		    SSL_is_init_finished(world.client) && SSL_shutdown(world.client) >= 0;
		client_flush();
		break;
	case 14:
		if (much > 250)
			damage(much * 7);
		else if (much > 240)
			end_wire();
		else
			world.fails = true;
		break;
	case 15:
		if (world.open && !world.over && much > 200) {
			tls_shut(world.tls);
			world.shut = true;
			fits_limits();
		}
		break;
	}
}

/* The wire carries everything now: the connection comes to rest, with all that was said. */
static void
settle(void)
{
	unsigned calls = 0;

	world.fails = false;

	for (bool moved = true; moved && !world.over; calls++) {
		size_t begin = world.to_chatd.begin, end = world.to_client.end;

		check(calls < FOREVER);
		client_read(ROOM);
		world.arrived = world.to_chatd.end;
		world.capacity = ROOM;
		moved = world.tls->blocked || world.tls->pending;
		step_chatd(255, true);
		if (!world.over)
			step_chatd(255, false);
		moved |= world.tls->blocked || world.tls->pending ||
			 begin != world.to_chatd.begin || end != world.to_client.end ||
			 world.arrived != world.to_chatd.end;
	}
	client_read(ROOM);
	if (world.damaged || world.too_many || world.over)
		return;
	tell("open %d, closed %d, fin %d; said %zu heard %zu, answered %zu understood %zu, unsent "
	     "%zu",
	    world.open, world.closed, world.fin, world.said, world.heard, world.answered,
	    world.understood, world.tls->unsent_len);
	check(world.heard == world.said && world.tls->unsent_len == 0);
	check(world.shut || world.understood == world.answered);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input input = {data, size};
	struct tls_context *shared = context();

	memset(&world.arrived, 0, sizeof(world) - offsetof(typeof(world), arrived));
	world.to_chatd.begin = world.to_chatd.end = 0;
	world.to_client.begin = world.to_client.end = 0;
	world.capacity = ROOM;
	memory_reset();
	client_new(take_byte(&input) % 4 == 0);
	world.tls = tls_new(shared, SOCKET);
	check(world.tls != NULL);
	client_read(0);
	for (int i = 0; i < STEPS && input.left > 0; i++) {
		unsigned which = take_byte(&input);

		step(which, take_byte(&input));
	}
	settle();
	tls_free(world.tls);
	SSL_free(world.client);
	check(memory.blocks == 1); /* the context */
	return 0;
}
