"""TLS when calls fail, when sockets take and give little at a time, and when memory is refused.

Half of the guests speak TLS. The plain ones lose nothing, whatever happens. The others lose nothing
by what passes; a call that fails for good, or memory that the library does not get, may cost such a
guest its connection, never a line in the middle.
"""

import random
import re
import ssl
import subprocess

import pytest

import chatd
import shims
import traced
from party import Guest, Party

if "+tls" not in subprocess.run([chatd.CHATD, "-V"], capture_output=True, text=True,
                                check=True).stdout:
    pytest.skip("chatd is built without TLS", allow_module_level=True)

PASSING = ("EAGAIN", "EINTR", "ENOMEM", "ENOBUFS")
LASTING = ("ECONNRESET", "ETIMEDOUT", "EPIPE")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    folder = tmp_path_factory.mktemp("certificate")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                    "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=localhost",
                    "-keyout", folder / "key.pem", "-out", folder / "cert.pem"],
                   check=True, capture_output=True)
    return folder


def settings(certificate, more=""):
    return (f'tls = {{ certificate = "{certificate}/cert.pem"; key = "{certificate}/key.pem"; }};'
            f"\n{more}\n")


class SecureGuest(Guest):
    """Raises OSError where the handshake fails."""

    def __init__(self, name, address, certificate):
        super().__init__(name, address)
        context = ssl.create_default_context(cafile=certificate / "cert.pem")
        context.check_hostname = False
        self.connection.socket.settimeout(chatd.PATIENCE)
        self.connection.socket = context.wrap_socket(self.connection.socket)
        self.connection.socket.setblocking(False)

    def send_some(self):
        try:
            sent = self.connection.socket.send(self.pending)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return
        except OSError:
            self.pending.clear()
            return
        del self.pending[:sent]

    def receive_some(self):
        """Until there is no more: select does not see what the library holds."""
        try:
            while piece := self.connection.socket.recv(1 << 18):
                self.take(piece)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return
        except OSError:
            pass
        self.over = True


class SecureParty(Party):
    def __init__(self, daemon, certificate):
        super().__init__()
        self.certificate = certificate
        self.plain, self.secure = (
            ("127.0.0.1", int(port)) for port in re.findall(
                r"^listening on (?:tls://)?127\.0\.0\.1:(\d+)$", daemon.stderr.text(), re.M))

    def join(self, secure):
        guest = (SecureGuest(f"guest{next(self.numbers)}", self.secure, self.certificate)
                 if secure else Guest(f"guest{next(self.numbers)}", self.plain))
        self.guests.append(guest)
        return guest

    def gone(self):
        """Names of those who were removed, and of those among them who speak plain text."""
        gone = [guest for guest in self.guests if guest.over]
        return ([guest.name for guest in gone],
                [guest.name for guest in gone if not isinstance(guest, SecureGuest)])


@pytest.fixture
def serve(start, certificate):
    def serve(more="", **how):
        return start(listen=("127.0.0.1:0", "tls://127.0.0.1:0"),
                     more=settings(certificate, more), **how)
    return serve


@pytest.mark.skipif(bool(chatd.UNDER), reason="valgrind has the calls already")
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_pieces_and_errors_that_pass_cost_nobody_a_line(serve, certificate, tmp, seed):
    shim = shims.sockets(tmp, seed, pieces=400, errors=60)
    d = serve("limits = { line = 5000; queue = 20000; };", env=shim.env, trace=False)
    party = SecureParty(d, certificate)
    dice = random.Random(seed)
    try:
        for number in range(6):
            party.join(number % 2 == 1)
        d.stderr.wait_for(r" connected as sd ", count=6)
        rounds = 0
        while rounds < 25 or shim.given < 300:
            rounds += 1
            assert rounds < 500, f"the shim gave {shim.given} pieces and errors only"
            for guest in party.present():
                for _ in range(dice.randrange(4)):
                    party.say(guest, size=dice.choice([64, 64, 300, 5000]))
            party.catch_up()
        assert not any(guest.over for guest in party.guests)
        party.check()
    finally:
        party.close()
    d.stop()


def life(daemon, certificate, then=lambda: None):
    """Guests come, the plain ones before then() and the others after it; all talk, and are
    returned. Of the others some may be refused."""
    party = SecureParty(daemon, certificate)
    try:
        for number, secure in enumerate((False, False, True, True)):
            since = daemon.stderr.mark()
            if number == 2:
                then()
            try:
                guest = party.join(secure)
            except OSError:
                assert secure
                continue
            # Not the word of a refusal, which the log holds back for ten seconds after the first.
            name = f":{guest.port()} connected as sd "
            party.wait(lambda g=guest, n=name, s=since: g.over or daemon.stderr.count(n, s),
                       lambda n=name: f"neither {n} nor refused")
        for size in (64, 3000, 64):
            party.everyone_says(size=size)
            party.catch_up()
        party.check()
        return party
    except BaseException:
        party.close()
        raise


@pytest.mark.skipif(not traced.possible() or bool(chatd.UNDER), reason="strace may not trace")
@pytest.mark.parametrize("call", ["recvfrom", "sendto"])
@pytest.mark.parametrize("error", PASSING + LASTING)
def test_a_call_that_fails_costs_the_others_nothing(tmp, certificate, call, error):
    for when in (3, 6, 9, 14):
        daemon = traced.Traced(
            tmp, "recvfrom,sendto,accept4", [f"{call}:error={error}:when={when}"], stays=True,
            listen=("127.0.0.1:0", "tls://127.0.0.1:0"), more=settings(certificate))
        daemon.start()
        daemon.stderr.wait_for(r"^listening on tls://")
        try:
            party = life(daemon, certificate)
            assert len(party.gone()[0]) <= (error in LASTING)
            party.close()
            daemon.stop()
        finally:
            daemon.kill()


@pytest.mark.skipif(chatd.SANITIZED, reason="sanitizers have an allocator of their own")
@pytest.mark.skipif(bool(chatd.UNDER), reason="valgrind has an allocator of its own")
def test_memory_that_is_refused_costs_the_others_nothing(serve, certificate, tmp):
    shim = shims.memory(tmp)
    d = serve(env=shim.env)
    begin = []
    life(d, certificate, lambda: begin.append(shim.count)).close()
    used = shim.count - begin[0]
    assert used > 200
    # Spread over all of them, since the library asks for much at once.
    for first in range(1, used, used // 24):
        number = 1 + first % 3
        party = life(d, certificate, lambda f=first, n=number: shims.refuse(shim, f, n))
        assert not party.gone()[1]
        party.close()
        shims.refuse(shim, 1, 0)
    assert shim.refused > 20
    party = life(d, certificate)
    assert len(party.guests) == 4 and not party.gone()[0]
    party.close()
    d.stop()
