"""Newcomers whose TLS handshake is not over: they cost little, and keep nobody out."""

import re
import resource
import signal
import socket
import ssl
import subprocess
import sys
import time

import pytest

from chatd import (Client, PATIENCE, SANITIZED, needs_systemd, raise_nofile, talk,
                   wait_until)
from test_sockets import passing_named, tcp_socket
from tls import (V12, V13, TlsClient, WireClient, context, enter, plain_address, stands_still,
                 start_tls, wire_client)

VERSIONS = pytest.mark.parametrize("version", [V12, V13])


def crowd(d, number, first=b""):
    """So many that say a few bytes, or none, and then nothing more."""
    made = []
    for _ in range(number):
        made.append(Client(d.address))
        d.own(made[-1])
        if first:
            made[-1].send(first)
    return made


def half_hello():
    """The first half of a client's hello."""
    outgoing = ssl.MemoryBIO()
    half = context().wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="localhost")
    with pytest.raises(ssl.SSLWantReadError):
        half.do_handshake()
    return outgoing.read()[:100]


@pytest.mark.parametrize("first", [b"", b"\x16", "half"], ids=["silent", "one byte", "half"])
def test_a_handshake_that_takes_too_long_is_given_up(start, certs, first):
    d = start_tls(start, certs, more="limits = { handshake = 1; };")
    client, = crowd(d, 1, half_hello() if first == "half" else first)
    stands_still(d, 0.3, within=0.3)
    client.expect_eof()
    d.stderr.wait_for(re.escape(client.name) + " refused: no TLS handshake within 1 seconds\n")
    stands_still(d)


@VERSIONS
def test_a_handshake_may_come_byte_by_byte(start, certs, version):
    d = start_tls(start, certs)
    client = wire_client(d, context(version))
    while not client.step():
        wire = client.wire()
        for i in range(len(wire)):
            client.socket.sendall(wire[i:i + 1])
        client.pull()
    for byte in client.wire():
        client.socket.sendall(bytes([byte]))
    d.stderr.wait_for(re.escape(client.name) + " connected")


@pytest.mark.parametrize("first", ["", "half"], ids=["silent", "half hellos"])
def test_a_crowd_that_says_nothing_keeps_nobody_out(start, certs, first):
    d = start_tls(start, certs, trace=False, more="limits = { clients = 200; };")
    crowd(d, 200, half_hello() if first else b"")
    begun = time.monotonic()
    for _ in range(3):
        enter_patiently(d)
    assert time.monotonic() - begun < 5


def enter_patiently(d):
    """A client that tries again when it is refused."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        try:
            return enter(d)
        except (ssl.SSLError, OSError):
            time.sleep(0.05)
    raise AssertionError("it never came in")


def test_many_half_hellos_leave_a_place_for_a_whole_one(start, certs):
    d = start_tls(start, certs, trace=False)
    crowd(d, 300, half_hello())
    begun = time.monotonic()
    talk(enter(d), enter(d))
    assert time.monotonic() - begun < 5


# Trap: the library's queue of errors is one for all.
def test_bad_handshakes_beside_a_good_client_do_not_disturb_it(start, certs):
    d = start_tls(start, certs)
    a, b = enter(d), enter(d)
    bad = [b"\x16\x03\x01\x00\x05hello", b"\x16\x03\x03\x00\x02\x01\x00",
           b"\x16\xff\xff\xff\xff" + b"x" * 100, half_hello() + b"y" * 1000]
    for i in range(50):
        client, = crowd(d, 1, bad[i % len(bad)])
        a.send(b"hello %d\n" % i)
        b.expect(b"hello %d\n" % i)
        if i % 3 == 0:
            client.close()
    talk(a, b, enter(d))
    assert d.stderr.count(r"removed: ") == 0
    wait_until(lambda: d.stderr.count(r"refused: TLS: ") >= 5)  # the log is limited


# Trap: an answer that does not fit into the socket; a reader then would spin.
@VERSIONS
def test_a_long_chain_of_certificates_passes_a_client_that_reads_slowly(
        start, certs, tmp, version):
    needs_systemd()
    with open(f"{tmp}/chain.pem", "w", encoding="ascii") as chain:
        for name in ["server", *["ca"] * 80]:
            with open(certs.pem(name), encoding="ascii") as file:
                chain.write(file.read())
    settings = (f'tls = {{ certificate = "{tmp}/chain.pem"; '
                f'key = "{certs.key("server")}"; }};')
    with tcp_socket() as listener:
        # Clients inherit it.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        d = start(more=settings, ready=1, **passing_named("tls", listener))
    client = wire_client(d, context(version), window=2048)
    client.step()
    hello = client.wire()
    client.send(hello[:100])
    d.stdout.wait_for(r"^100 bytes received")
    client.send(hello[100:])
    d.stdout.wait_for(rf"^{len(hello) - 100} bytes received")
    stands_still(d)
    # It says more before its turn: not read, and no reason to go round.
    if version == V13:
        client.send(b"\x14\x03\x03\x00\x01\x01")
    stands_still(d)
    while not client.step():
        client.flush()
        client.pull()
    client.flush()
    d.stderr.wait_for(re.escape(client.name) + " connected")


@pytest.mark.parametrize("how", ["close", "reset"])
def test_who_leaves_in_the_handshake_is_forgotten(start, certs, how):
    d = start_tls(start, certs)
    before = set(d.fds())
    for first in (b"", b"\x16", half_hello()):
        client, = crowd(d, 1, first)
        if first:
            d.stdout.wait_for(rf"^{len(first)} bytes received")
        getattr(client, how)()
    d.stdout.wait_for("removing connection", count=3)
    wait_until(lambda: set(d.fds()) == before)
    assert d.stderr.count("refused") == 0


STORM = """
import socket, sys
port, number, hello = int(sys.argv[1]), int(sys.argv[2]), bytes.fromhex(sys.argv[3])
crowd = []
for _ in range(number):
    try:
        crowd.append(socket.create_connection(("127.0.0.1", port), 10))
        crowd[-1].sendall(hello)
    except OSError:
        pass
    if len(crowd) > 200:
        crowd.pop(0).close()
"""


def storm(d, number):
    """Hellos as fast as they go, by another program; of those clients 200 stay for a while."""
    return subprocess.Popen([sys.executable, "-c", STORM, str(d.port), str(number),
                             whole_hello().hex()])


def whole_hello():
    outgoing = ssl.MemoryBIO()
    whole = context().wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="localhost")
    with pytest.raises(ssl.SSLWantReadError):
        whole.do_handshake()
    return outgoing.read()


def test_a_storm_of_hellos_leaves_time_and_memory_to_the_chat(start, certs):
    d = start_tls(start, certs, plain=True, trace=False, log=False)
    a, b = d.client(plain_address(d), wait=False), d.client(plain_address(d), wait=False)
    talk(a, b)
    memory = d.status("VmRSS")
    running = storm(d, 2000)
    times = []
    while running.poll() is None:
        begun = time.monotonic()
        a.send(b"how long?\n")
        b.expect(b"how long?\n")
        times.append(time.monotonic() - begun)
        time.sleep(0.005)
    times.sort()
    print(f"median {times[len(times) // 2] * 1000:.1f} ms, longest {times[-1] * 1000:.1f} ms, "
          f"memory {d.status('VmRSS') - memory} KiB")
    assert times[len(times) // 2] < 0.1
    if not SANITIZED:
        assert d.status("VmHWM") - memory < 16 << 10


def test_thousands_of_silent_newcomers_cost_little(start, certs):
    if not raise_nofile(4200):
        pytest.skip("descriptors cannot be limited here")
    d = start_tls(start, certs, trace=False, log=False, more="limits = { clients = 4000; };")
    crowd(d, 1)
    memory = d.status("VmRSS")
    crowd(d, 1900)
    wait_until(lambda: len(d.fds()) > 1900)
    if not SANITIZED:
        assert d.status("VmRSS") - memory < 1 << 10
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert soft <= hard


# --- ends

@pytest.mark.parametrize("first", [b"", "half"], ids=["silent", "half"])
def test_a_handshake_under_way_does_not_hold_up_the_end_of_the_server(start, certs, first):
    d = start_tls(start, certs)
    newcomer, = crowd(d, 1, half_hello() if first else b"")
    d.stdout.wait_for("New incoming connection")
    a = enter(d)
    begun = time.monotonic()
    d.signal(signal.SIGTERM)
    a.expect_farewell()
    a.close()
    newcomer.expect_eof()
    assert d.wait() == 0
    assert time.monotonic() - begun < 5


def test_newcomers_count_for_limits_clients_also_for_plain_ones(start, certs):
    d = start_tls(start, certs, plain=True, more="limits = { clients = 2; };")
    a = d.client(plain_address(d))
    crowd(d, 1)
    d.stdout.wait_for("New incoming connection", count=2)
    time.sleep(0.55)  # half a second is the promise
    b = d.client(plain_address(d))
    talk(a, b)
    d.stderr.wait_for("refused: no TLS handshake so far, and others wait\n")
    c = d.client(plain_address(d), wait=False)
    c.expect(b"chatd: too many clients, at most 2\n")


def test_newcomers_are_unseen_by_the_others(start, certs):
    d = start_tls(start, certs, more='mode = "chat";')
    assert WireClient and TlsClient
    crowd(d, 3, half_hello())
    a = enter(d)
    a.send(b"/who\n")
    while not (line := a.line()).startswith(b"* here: "):
        assert line
    assert line.count(b"guest") == 1
