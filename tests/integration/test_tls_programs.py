"""The programs people use for TLS: openssl, ncat, socat, gnutls-cli, stunnel, Python's ssl."""

import re
import shutil
import subprocess

import pytest

from chatd import FAREWELL
from test_programs import people  # noqa: F401 (a fixture)
from tls import V13, context, enter, start_tls, wire_client

CERTIFICATE = {
    "openssl": ["-cert", "{pem}", "-key", "{key}"],
    "ncat": ["--ssl-cert", "{pem}", "--ssl-key", "{key}"],
    "gnutls-cli": ["--x509certfile={pem}", "--x509keyfile={key}"],
}

COMMANDS = {
    "openssl 1.2": ["openssl", "s_client", "-quiet", "-no_ign_eof", "-tls1_2",
                    "-connect", "{host}:{port}"],
    "openssl 1.3": ["openssl", "s_client", "-quiet", "-no_ign_eof", "-tls1_3",
                    "-connect", "{host}:{port}"],
    "ncat": ["ncat", "--ssl", "{host}", "{port}"],
    "socat": ["socat", "-", "OPENSSL:{host}:{port},verify=0"],
    "gnutls-cli": ["gnutls-cli", "--insecure", "--no-ca-verification", "--logfile=/dev/null",
                   "-p", "{port}", "{host}"],
    "gnutls-cli 1.2": ["gnutls-cli", "--insecure", "--no-ca-verification", "--logfile=/dev/null",
                       "--priority", "NORMAL:-VERS-ALL:+VERS-TLS1.2", "-p", "{port}", "{host}"],
    "python": ["/usr/bin/python3", "-c", """
import socket, ssl, sys, threading
c = ssl.create_default_context(); c.check_hostname = False; c.verify_mode = ssl.CERT_NONE
s = c.wrap_socket(socket.create_connection(("{host}", {port})))
def show():
    while (data := s.recv(4096)):
        sys.stdout.buffer.write(data); sys.stdout.buffer.flush()
threading.Thread(target=show, daemon=True).start()
for line in sys.stdin.buffer:
    s.sendall(line)
s.unwrap()
"""],
}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_program_chats(start, certs, people, name):
    d = start_tls(start, certs)
    other = enter(d)
    program = people(d, COMMANDS[name])
    program.type(b"hello from a program\n")
    other.expect(b"hello from a program\n")
    other.send(b"hello yourself\n")
    program.shown.wait_for(r"hello yourself\n")
    program.leave()
    d.stderr.wait_for(rf"disconnected from sd {program.sd}: closed by the client\n")
    program.process.wait(30)


@pytest.mark.parametrize("name", COMMANDS)
def test_a_program_shows_the_end_of_the_server(start, certs, people, name):
    d = start_tls(start, certs)
    program = people(d, COMMANDS[name])
    d.stop()
    program.shown.wait_for(FAREWELL.decode())


@pytest.mark.parametrize("name", ["openssl 1.2", "openssl 1.3", "ncat", "gnutls-cli"])
def test_a_program_shows_its_certificate(start, certs, people, name):
    d = start_tls(start, certs, clients="required")
    more = [part.format(pem=certs.pem("alice"), key=certs.key("alice"))
            for part in CERTIFICATE[name.split()[0]]]
    command = COMMANDS[name]
    head = 2 if command[0] == "openssl" else 1
    program = people(d, [*command[:head], *more, *command[head:]])
    d.stderr.wait_for(rf'connected as sd {program.sd}, TLSv1.* CN "alice" SHA-256 '
                      rf'{certs.fingerprint("alice")}\n')


def test_socat_shows_its_certificate(start, certs, people):
    d = start_tls(start, certs, clients="required")
    place = "OPENSSL:{host}:{port},verify=0,cert=%s,key=%s" % (certs.pem("alice"),
                                                              certs.key("alice"))
    people(d, ["socat", "-", place])
    d.stderr.wait_for(r'CN "alice" SHA-256 ')


def test_stunnel_with_a_certificate_carries_a_plain_client(start, certs, tmp, people):
    d = start_tls(start, certs, clients="required")
    if not shutil.which("stunnel"):
        pytest.skip("stunnel is missing")
    file = f"{tmp}/stunnel.conf"
    with open(file, "w", encoding="ascii") as out:
        out.write("foreground = yes\npid =\nclient = yes\nsyslog = no\n"
                  f"cert = {certs.pem('alice')}\nkey = {certs.key('alice')}\n"
                  f"CAfile = {certs.pem('server')}\nverifyPeer = yes\n"
                  f"connect = 127.0.0.1:{d.port}\n")
    # Without [service] it is as inetd starts it: standard input and output are the plain side.
    program = people(d, ["stunnel", file])
    other = enter(d, context(cert="alice", certs=certs))
    program.type(b"through a tunnel\n")
    other.expect(b"through a tunnel\n")
    other.send(b"and back\n")
    program.shown.wait_for(r"and back\n")
    assert d.stderr.count(rf'connected as sd {program.sd}, TLSv1.* CN "alice"') == 1
    program.leave()
    d.stderr.wait_for(rf"disconnected from sd {program.sd}")


# They would come behind the handshake, before anything else.
def test_nothing_comes_between_the_handshake_and_the_chat(start, certs):
    d = start_tls(start, certs)
    a = wire_client(d, context(V13))
    a.shake()
    a.flush()
    d.stderr.wait_for(" connected as sd ")
    enter(d).send(b"x\n")
    assert len(a.socket.recv(1000)) == 2 + 22


def test_openssl_finds_neither_tickets_nor_renegotiation(start, certs):
    d = start_tls(start, certs)
    if not shutil.which("openssl"):
        pytest.skip("openssl is missing")
    for version, stdin in (("-tls1_3", b"Q\n"), ("-tls1_2", b"R\n")):
        done = subprocess.run(["openssl", "s_client", version, "-connect", f"127.0.0.1:{d.port}"],
                              input=stdin, capture_output=True, timeout=30, check=False)
        said = (done.stdout + done.stderr).decode()
        assert "New Session Ticket arrived" not in said
        assert not re.search(r"TLS session ticket:", said)
        if version == "-tls1_2":
            assert "no renegotiation" in said


# Trap: the library would calculate 150 ms in a field of 8192 bits for one hello.
@pytest.mark.parametrize("groups, fits", [("ffdhe8192", False), ("ffdhe2048:ffdhe3072", False),
                                          ("ffdhe2048:P-256", True), ("X25519", True)])
def test_keys_are_agreed_on_with_curves_alone(start, certs, groups, fits):
    d = start_tls(start, certs)
    if not shutil.which("openssl"):
        pytest.skip("openssl is missing")
    done = subprocess.run(["openssl", "s_client", "-groups", groups, "-connect",
                           f"127.0.0.1:{d.port}"],
                          stdin=subprocess.DEVNULL, capture_output=True, timeout=30, check=False)
    assert (done.returncode == 0) == fits
    if not fits:
        d.stderr.wait_for(r" refused: TLS: no suitable key share\n")
