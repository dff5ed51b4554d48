#include "peer.h"

#include <openssl/err.h>
#include <string.h>
#include <unistd.h>

#include "unit.h"

static const char *alert;

static void
on_info(const SSL *ssl, int where, int value)
{
	(void)ssl;
	if (where == SSL_CB_READ_ALERT && value != SSL_AD_CLOSE_NOTIFY)
		alert = SSL_alert_desc_string_long(value);
}

void
peer_open(struct peer *peer, int fd, int version, const struct cert *cert)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());

	SSL_CTX_set_min_proto_version(ctx, version);
	SSL_CTX_set_max_proto_version(ctx, version);
	if (cert != NULL) {
		assert_int_equal(SSL_CTX_use_certificate(ctx, cert->x509), 1);
		assert_int_equal(SSL_CTX_use_PrivateKey(ctx, cert->key), 1);
	}
	*peer = (struct peer){.ssl = SSL_new(ctx), .fd = fd};
	assert_non_null(peer->ssl);
	SSL_set_info_callback(peer->ssl, on_info);
	SSL_set_connect_state(peer->ssl);
	SSL_set_bio(peer->ssl, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
	BIO_set_mem_eof_return(SSL_get_rbio(peer->ssl), -1);
	SSL_CTX_free(ctx);
	alert = "";
}

void
peer_free(struct peer *peer)
{
	SSL_free(peer->ssl);
	peer->ssl = NULL;
	ERR_clear_error();
}

/* Takes in what is there. */
static void
pull(struct peer *peer)
{
	char data[4096];
	ssize_t n;

	while ((n = read(peer->fd, data, sizeof(data))) > 0)
		assert_int_equal(BIO_write(SSL_get_rbio(peer->ssl), data, (int)n), n);
	if (n == 0)
		BIO_set_mem_eof_return(SSL_get_rbio(peer->ssl), 0);
}

bool
peer_handshake(struct peer *peer)
{
	int result;

	pull(peer);
	result = SSL_do_handshake(peer->ssl);
	ERR_clear_error();
	return result == 1;
}

const char *
peer_take(struct peer *peer, size_t max, size_t *len)
{
	static char data[1 << 20];
	int n =
	    BIO_read(SSL_get_wbio(peer->ssl), data, (int)(max < sizeof(data) ? max : sizeof(data)));

	*len = n > 0 ? (size_t)n : 0;
	return data;
}

void
peer_send(struct peer *peer)
{
	size_t len;
	const char *data = peer_take(peer, 1 << 20, &len);

	assert_int_equal(write(peer->fd, data, len), len);
}

void
peer_say_bytes(struct peer *peer, const char *data, size_t len)
{
	assert_int_equal(SSL_write(peer->ssl, data, (int)len), len);
}

void
peer_say(struct peer *peer, const char *text)
{
	peer_say_bytes(peer, text, strlen(text));
}

void
peer_tell(struct peer *peer, const char *text)
{
	peer_say(peer, text);
	peer_send(peer);
}

void
peer_update_keys(struct peer *peer, int times)
{
	for (int i = 0; i < times; i++) {
		assert_int_equal(SSL_key_update(peer->ssl, SSL_KEY_UPDATE_REQUESTED), 1);
		assert_int_equal(SSL_do_handshake(peer->ssl), 1);
	}
}

void
peer_say_end(struct peer *peer)
{
	assert_true(SSL_shutdown(peer->ssl) >= 0);
}

const char *
peer_hears(struct peer *peer, enum peer_end *end)
{
	static char text[1 << 20];
	size_t len = 0;
	int n;

	pull(peer);
	while ((n = SSL_read(peer->ssl, text + len, (int)(sizeof(text) - 1 - len))) > 0)
		len += (size_t)n;
	text[len] = '\0';
	if (end != NULL)
		switch (SSL_get_error(peer->ssl, n)) {
		case SSL_ERROR_WANT_READ:
			*end = PEER_OPEN;
			break;
		case SSL_ERROR_ZERO_RETURN:
			*end = PEER_CLOSED;
			break;
		default:
			*end = alert[0] != '\0' ? PEER_BROKEN : PEER_CUT;
		}
	ERR_clear_error();
	return text;
}

const char *
peer_alert(const struct peer *peer)
{
	(void)peer;
	return alert;
}
