"""TLS: the same chat as without."""

import re
import signal
import socket
import ssl

import pytest

from chatd import FAREWELL, needs_systemd, talk
from test_sockets import passing_named, tcp_socket
from tls import V12, V13, TlsClient, alert_of, context, enter, plain_address, stands_still, start_tls


@pytest.mark.parametrize("version", [V12, V13])
def test_both_versions_are_spoken_and_the_log_says_which(start, certs, version):
    d = start_tls(start, certs)
    a, b = enter(d, context(version)), enter(d)
    talk(a, b)
    name = {V12: r"TLSv1\.2 ECDHE-ECDSA-\S+", V13: r"TLSv1\.3 TLS_\S+"}[version]
    assert re.fullmatch(name, a.described)


def test_an_older_version_is_refused(start, certs):
    d = start_tls(start, certs)
    old = context()
    old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
    old.set_ciphers("DEFAULT@SECLEVEL=0")
    assert "PROTOCOL_VERSION" in alert_of(d.address, old)
    d.stderr.wait_for(r"refused: TLS: unsupported protocol\n")


def test_plain_and_secure_clients_share_one_chat(start, certs):
    d = start_tls(start, certs, plain=True)
    plain, new, old = d.client(plain_address(d)), enter(d), enter(d, context(V12))
    talk(plain, new, old)


def test_the_log_names_where_tls_is_spoken(start, certs):
    d = start_tls(start, certs, plain=True)
    assert re.search(r"^listening on tls://127\.0\.0\.1:\d+$", d.stderr.text(), re.M)
    assert re.search(r"^listening on 127\.0\.0\.2:\d+$", d.stderr.text(), re.M)


def test_mode_chat_with_tls(start, certs):
    d = start_tls(start, certs, more='mode = "chat";')
    a, b = enter(d), enter(d)
    b.send(b"/name bob\nhello\n")
    while (line := a.line()) != b"bob: hello\n":
        assert line


def test_http_on_a_tls_port_of_mode_chat_is_told_over_tls(start, certs):
    d = start_tls(start, certs, more='mode = "chat";')
    a = enter(d)
    a.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert a.read_to_end().endswith(b"this is no web server\n")
    assert a.clean


def test_a_report_says_who_speaks_tls(start, certs):
    d = start_tls(start, certs, plain=True)
    a, b = enter(d), d.client(plain_address(d))
    d.signal(signal.SIGUSR1)
    d.stderr.wait_for(rf"sd {a.sd} .* silent for \d+ s, TLS\n")
    d.stderr.wait_for(rf"sd {b.sd} .* silent for \d+ s\n")


def test_the_trace_tells_of_bytes_on_the_wire(start, certs):
    d = start_tls(start, certs)
    since = d.stdout.mark()
    a = enter(d)
    # The log tells that it is in before the trace tells of this pass.
    d.stdout.wait_for(rf"New incoming connection on sd {a.sd}\n", since=since)
    d.stdout.wait_for(rf"Descriptor {a.sd} is readable\n\d+ bytes received from sd {a.sd}\n",
                      since=since)
    since = d.stdout.mark()
    a.send(b"hello\n")
    d.stdout.wait_for(rf"{6 + 22} bytes received from sd {a.sd}\n", since=since)
    a.finish()
    d.stdout.wait_for(rf"Connection closed for sd {a.sd}\nremoving connection with sd {a.sd} \n",
                      since=since)


# --- the wrong port

def test_who_speaks_plain_text_to_a_tls_port_is_told_so(start, certs):
    d = start_tls(start, certs)
    plain = d.client(wait=False)
    plain.send(b"hello\n")
    plain.expect(b"chatd: this port wants TLS\n")
    plain.expect_eof()
    d.stderr.wait_for(re.escape(plain.name) + r" refused: TLS: it spoke something else\n")
    # A person who waits for a greeting hears nothing, until it is too late.
    talk(enter(d), enter(d))


@pytest.mark.parametrize("more", ["", 'mode = "chat";', "sanitize = true;"])
def test_who_speaks_tls_to_a_plain_port_does_no_harm(start, certs, more):
    d = start_tls(start, certs, plain=True, more=more)
    a = d.client(plain_address(d))
    lost = TlsClient(plain_address(d), handshake=False)
    lost.socket.settimeout(0.3)
    with pytest.raises((ssl.SSLError, TimeoutError, OSError)):
        lost.socket.do_handshake()
    stands_still(d)
    lost.close()
    b = d.client(plain_address(d))
    b.send(b"hello\n")
    while not (line := a.line()).endswith(b"hello\n"):
        assert line


# --- limits: a refusal is an alert

def test_a_refusal_for_limits_clients_is_an_alert(start, certs):
    d = start_tls(start, certs, more="limits = { clients = 2; };")
    talk(enter(d), enter(d))
    for version in (V12, V13):
        assert "ACCESS_DENIED" in alert_of(d.address, context(version))
    d.stderr.wait_for(r"refused: too many clients, at most 2\n", count=2)


def test_a_refusal_for_clients_per_address_is_an_alert(start, certs):
    d = start_tls(start, certs, more="limits = { clients_per_address = 1; };")
    enter(d)
    assert "ACCESS_DENIED" in alert_of(d.address)
    enter(d, source="127.0.0.3")
    d.stderr.wait_for(r"refused: too many clients from this address, at most 1\n")


def test_a_refusal_for_an_address_is_an_alert(start, certs):
    d = start_tls(start, certs, more='deny = [ "127.0.0.3" ];')
    assert "ACCESS_DENIED" in alert_of(d.address, source="127.0.0.3")
    d.stderr.wait_for(r"127\.0\.0\.3:\d+ refused: address not allowed\n")
    enter(d)


# --- passed sockets

def test_a_passed_socket_named_tls_is_one(start, certs):
    with tcp_socket() as secure, tcp_socket() as plain:
        d = start(more=certs.settings(), ready=2, **passing_named("tls:chat", secure, plain))
        a, b = enter(d, to=secure.getsockname()), d.client(plain.getsockname())
        talk(a, b)
        d.reload()
        talk(a, enter(d, to=secure.getsockname()), b)
        # A reload cannot take away what it needs.
        d.configure()
        assert "a socket named tls was passed" in d.reload(accepted=False)
        talk(a, enter(d, to=secure.getsockname()))


def test_a_passed_socket_named_tls_takes_a_certificate(daemon, certs):
    needs_systemd()
    with tcp_socket() as secure:
        d = daemon(ready=0, **passing_named("tls", secure)).start()
        assert d.wait() == 78
        assert "it takes tls.certificate and tls.key" in d.stderr.text()


# A client that takes nothing any more is read to its end (SHUT_RD tells only on unix sockets).
def test_a_secure_client_that_no_longer_receives_is_read_to_its_end(start, certs, tmp):
    with socket.socket(socket.AF_UNIX) as listener, tcp_socket() as plain:
        listener.bind(f"{tmp}/tls")
        listener.listen()
        d = start(more=certs.settings(), ready=2, **passing_named("tls:chat", listener, plain))
        b = d.client(plain.getsockname())
        since = d.stderr.mark()
        a = TlsClient(f"{tmp}/tls")
        d.stderr.wait_for("connected as sd .*, TLS", since=since)
        socket.socket.shutdown(a.socket, socket.SHUT_RD)  # not that of TLS
        b.send(b"into the void\n" * 3)
        d.stdout.wait_for("42 bytes received")
        a.send(b"still here\n")
        b.expect(b"still here\n")
        stands_still(d)
        a.close()
        d.stderr.wait_for("disconnected from sd .*: closed by the client\n")


def test_everybody_hears_the_end_of_the_server(start, certs):
    d = start_tls(start, certs, plain=True)
    clients = [enter(d), enter(d, context(V12)), d.client(plain_address(d))]
    d.signal(signal.SIGTERM)
    for client in clients:
        client.expect(FAREWELL)
        client.expect_eof()
    assert clients[0].clean and clients[1].clean
    assert d.wait() == 0
