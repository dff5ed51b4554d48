#include "tls_party.h"

#include <string.h>
#include <sys/param.h>
#include <unistd.h>

#include "faults.h"
#include "meet.h"
#include "seam.h"
#include "unit.h"

static struct tls_context *context;
static struct peer peers[LENGTH(party.guests)]; /* of the guest of that number */

int
tls_party_certs(void **state)
{
	meet_certs(state);
	context = cert_context("server", NULL, TLS_CLIENTS_ANY);
	return 0;
}

int
tls_party_no_certs(void **state)
{
	tls_context_free(context);
	return meet_no_certs(state);
}

int
tls_party_setup(void **state)
{
	party_setup(state);
	party.chat.handshakes.context = context;
	memset(peers, 0, sizeof(peers));
	return 0;
}

int
tls_party_teardown(void **state)
{
	for (int i = 0; i < party.count; i++)
		if (peers[i].ssl != NULL)
			peer_free(&peers[i]);
	return party_teardown(state);
}

void
tls_party_configure(const char *text)
{
	struct config *before = party.config;

	party.config = config_of(text);
	seam_pass_at(party.now);
	assert_int_equal(
	    chat_reserve(&party.chat, party.config, MAX(chat_highest(&party.chat), 0)), 0);
	chat_reconfigure(&party.chat, party.config, context);
	config_free(before);
}

struct guest *
tls_party_knock(const char *address)
{
	struct guest *guest = &party.guests[party.count++];
	struct addr addr;
	int pair[2];

	assert_true((size_t)party.count <= LENGTH(party.guests));
	assert_int_equal(addr_parse(&addr, address), 0);
	addr.port = (uint16_t)party.count;
	make_pair(pair);
	*guest = (struct guest){.fd = pair[0], .sd = pair[1]};
	seam_pass_at(party.now);
	admission_receive(&party.chat.admission, guest->sd, &addr, true);
	return guest;
}

struct peer *
tls_party_peer(const struct guest *guest)
{
	return &peers[guest - party.guests];
}

struct guest *
tls_party_greet(const char *address, int version)
{
	struct guest *guest = tls_party_knock(address);
	struct peer *peer = tls_party_peer(guest);

	peer_open(peer, guest->fd, version, NULL);
	peer_handshake(peer);
	peer_send(peer);
	return guest;
}

void
tls_party_finish(const struct guest *guest)
{
	struct peer *peer = tls_party_peer(guest);

	for (int i = 0; !party_has(guest) || !peer_handshake(peer); i++) {
		assert_true(i < 10);
		peer_handshake(peer);
		peer_send(peer);
		party_pass();
	}
}

struct guest *
tls_party_join(int version)
{
	struct guest *guest = tls_party_greet("192.0.2.1", version);

	tls_party_finish(guest);
	return guest;
}

struct tls *
tls_party_tls(const struct guest *guest)
{
	return party_conn(guest)->tls[0];
}

bool
tls_party_waits(const struct guest *guest)
{
	return fdset_has(&party.chat.lobby.members, guest->sd);
}

bool
tls_party_has_begun(const struct guest *guest)
{
	return tls_party_waits(guest) && party.chat.lobby.newcomers[guest->sd]->tls != NULL;
}

void
tls_party_say(const struct guest *guest, const char *text)
{
	peer_tell(tls_party_peer(guest), text);
}

void
tls_party_expect(const struct guest *guest, const char *want)
{
	enum peer_end end;

	assert_string_equal(peer_hears(tls_party_peer(guest), &end), want);
	assert_int_equal(end, PEER_OPEN);
}

void
tls_party_expect_last(const struct guest *guest, const char *want)
{
	enum peer_end end;

	assert_string_equal(peer_hears(tls_party_peer(guest), &end), want);
	assert_int_equal(end, PEER_CLOSED);
	assert_false(party_has(guest));
}
