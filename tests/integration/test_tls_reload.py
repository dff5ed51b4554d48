"""Certificates: at the start, by -t, and in a reload, which drops nobody."""

import os
import pty
import re
import shutil
import subprocess
import time

import pytest

from chatd import CHATD, PATIENCE, config, run, talk
from tls import V12, TlsClient, WireClient, alert_of, context, enter, start_tls


def check(tmp, text):
    """What -t says, with its exit status."""
    with open(f"{tmp}/t.conf", "w", encoding="utf-8") as file:
        file.write(text)
    done = run("-t", "-c", f"{tmp}/t.conf")
    return done.returncode, done.stdout + done.stderr


def tls(certs, certificate="server.pem", key="server.key", more=""):
    return (f'tls = {{ certificate = "{certs.folder}/{certificate}"; '
            f'key = "{certs.folder}/{key}"; {more}}};\nlisten = [ "tls://127.0.0.1:0" ];')


def test_good_settings_are_ok(certs, tmp):
    status, said = check(tmp, tls(certs))
    assert status == 0 and f"{tmp}/t.conf: ok\n" in said
    # Root is told that the service may not be able to read what root made.
    assert all("ok" in line or "only root may read it" in line for line in said.splitlines())


@pytest.mark.parametrize("certificate, key, fault", [
    ("none.pem", "server.key", r"tls\.certificate: .*none\.pem: No such file or directory"),
    ("server.pem", "none.key", r"tls\.key: .*none\.key: No such file or directory"),
    ("server.pem", "alice.key", r"tls\.key: .*alice\.key: is not the key of the certificate"),
    ("server.pem", "rsa.key", r"tls\.key: .*rsa\.key: is not the key of the certificate"),
    ("server.key", "server.key", r"tls\.certificate: .*: holds nothing of the kind in PEM"),
    ("server.pem", "server.pem", r"tls\.key: .*: holds nothing of the kind in PEM"),
    ("server.pem", ".", r"tls\.key: .*: is no regular file"),
])
def test_files_that_are_no_good_are_faults(certs, tmp, certificate, key, fault):
    certs.make("rsa", key="rsa")
    status, said = check(tmp, tls(certs, certificate, key))
    assert status == 78
    assert re.fullmatch(rf"{tmp}/t\.conf:1: {fault}\n", said)


def test_settings_that_do_not_fit_together_are_faults(certs, tmp):
    assert "takes tls.certificate and tls.key" in check(tmp, 'listen = [ "tls://[::1]:1" ];')[1]
    assert "takes tls.ca" in check(tmp, tls(certs, more='clients = "required"; '))[1]


def test_a_server_whose_files_are_no_good_does_not_start(daemon, certs):
    d = daemon(more=tls(certs, key="alice.key"), listen=("127.0.0.1:0",), ready=0)
    d.write(tls(certs, key="alice.key"))
    d.start()
    assert d.wait() == 78
    assert "is not the key of the certificate" in d.stderr.text()


# It would ask at the terminal, and wait for ever.
def test_an_encrypted_key_asks_nobody(certs, tmp):
    if not os.path.exists(certs.key("locked")):
        subprocess.run(["openssl", "pkey", "-in", certs.key("server"), "-aes128", "-passout",
                        "pass:secret", "-out", certs.key("locked")], check=True)
        os.chmod(certs.key("locked"), 0o600)
    with open(f"{tmp}/t.conf", "w", encoding="utf-8") as file:
        file.write(tls(certs, key="locked.key"))
    pid, terminal = pty.fork()
    if pid == 0:
        os.execv(CHATD, [CHATD, "-t", "-c", f"{tmp}/t.conf"])
    said, deadline = b"", time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        try:
            piece = os.read(terminal, 4096)
        except OSError:  # its last descriptor is closed
            break
        said += piece
        assert b"pass phrase" not in said
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 78
    assert b"locked.key: is encrypted, allowed is one without a password" in said
    os.close(terminal)


def test_a_late_certificate_and_an_open_key_are_warned_of(certs, tmp):
    certs.make_late("past", by="ca")
    os.chmod(certs.key("past"), 0o604)
    status, said = check(tmp, tls(certs, "past.pem", "past.key"))
    assert status == 0
    assert "past.pem: has expired; most clients will refuse it\n" in said
    assert "past.key: everybody may read it; whoever does can pose as chatd\n" in said


# --- a reload

def copy(certs, name, folder):
    shutil.copy(certs.pem(name), f"{folder}/cert.pem")
    shutil.copy(certs.key(name), f"{folder}/key.pem")


def served(d):
    """The certificate that a new client gets."""
    client = enter(d)
    return client, client.socket.getpeercert(binary_form=True)


@pytest.fixture
def renewing(start, certs, tmp):
    """A daemon whose certificate may be replaced, under the same names."""
    certs.make("renewed")
    copy(certs, "server", tmp)
    files = f'tls = {{ certificate = "{tmp}/cert.pem"; key = "{tmp}/key.pem"; }};'
    return start(listen=["tls://127.0.0.1:0"], more=files)


def test_a_reload_takes_the_new_certificate_and_keeps_old_clients(renewing, certs, tmp):
    d = renewing
    old, before = served(d)
    copy(certs, "renewed", tmp)
    d.reload()
    new, after = served(d)
    assert before != after
    talk(old, new)


def test_a_reload_with_a_mismatch_changes_nothing(renewing, certs, tmp):
    d = renewing
    old, before = served(d)
    shutil.copy(certs.pem("renewed"), f"{tmp}/cert.pem")
    assert "is not the key of the certificate" in d.reload(accepted=False)
    new, after = served(d)
    assert before == after
    talk(old, new)
    os.remove(f"{tmp}/key.pem")
    assert "No such file or directory" in d.reload(accepted=False)
    talk(old, new, served(d)[0])


# The change is all or nothing: the rest of the file is not taken either.
def test_a_reload_that_is_refused_for_a_certificate_leaves_other_settings(renewing, certs, tmp):
    d = renewing
    a = enter(d)
    os.remove(f"{tmp}/key.pem")
    d.configure(listen=["tls://127.0.0.1:0"], more=f'deny = [ "127.0.0.0/8" ]; tls = {{ certificate = '
                f'"{tmp}/cert.pem"; key = "{tmp}/key.pem"; }};')
    d.reload(accepted=False)
    talk(a, enter(d))


def test_a_handshake_that_has_begun_before_a_reload_is_finished_after_it(renewing, certs, tmp):
    d = renewing
    client = WireClient(d.address)
    d.own(client)
    client.step()
    client.flush()
    client.pull()
    copy(certs, "renewed", tmp)
    d.reload()
    while not client.step():
        client.flush()
        client.pull()
    client.flush()
    d.stderr.wait_for(re.escape(client.name) + " connected")
    talk(client_of(client), enter(d))


def client_of(wire):
    """Its send goes through TLS."""
    def send(data):
        wire.say(data)
        wire.flush()
    wire.send = send
    return wire


def test_tls_comes_and_goes_at_the_same_address(start, certs):
    d = start(listen=["127.0.0.1:0"])
    port = d.port
    plain = d.client()
    secure_too = {"listen": [f"tls://127.0.0.1:{port}"], "more": certs.settings()}
    d.configure(listen=[f"127.0.0.1:{port}"])
    d.reload()
    d.configure(**secure_too)
    d.reload()
    secure = enter(d, to=("127.0.0.1", port))
    talk(plain, secure)
    d.configure(listen=[f"127.0.0.1:{port}"])
    d.reload()
    again = d.client(to=("127.0.0.1", port))
    talk(plain, secure, again)


# They had come before TLS went: without a certificate their first byte ended the server.
def test_a_newcomer_that_was_silent_when_tls_went_is_served_all_the_same(start, certs):
    d = start_tls(start, certs)
    address = d.address
    silent = WireClient(address)
    d.own(silent)
    d.stdout.wait_for(r"New incoming connection")
    d.configure(listen=["127.0.0.2:0"])
    d.reload()
    silent.shake()
    silent.flush()
    d.stderr.wait_for(re.escape(silent.name) + " connected as sd .*, TLS")
    plain = d.client(to=d.addresses()[-1])
    talk(client_of(silent), plain)


def test_a_reload_that_asks_for_certificates_asks_newcomers(start, certs):
    d = start_tls(start, certs)
    old = enter(d)
    d.configure(listen=["tls://127.0.0.1:0"], more=certs.settings(clients="required"))
    d.reload()
    new = enter(d, context(cert="alice", certs=certs))
    talk(old, new)
    assert "HANDSHAKE_FAILURE" in alert_of(d.address, context(V12))


def test_a_reload_with_deny_removes_secure_clients_with_a_reason(start, certs):
    d = start_tls(start, certs)
    a, b = enter(d), enter(d, source="127.0.0.3")
    newcomer = TlsClient(d.address, handshake=False, source="127.0.0.3")
    d.own(newcomer)
    d.stdout.wait_for(r"New incoming connection", count=3)
    d.configure(listen=["tls://127.0.0.1:0"], more=certs.settings() + 'deny = [ "127.0.0.3" ];')
    d.reload()
    b.expect(b"chatd: your address is not allowed\n")
    b.expect_eof()
    assert b.clean
    assert d.stderr.count(r"127\.0\.0\.3:\d+ refused: address not allowed\n") == 1
    talk(a, enter(d))


def test_settings_with_tls_read_the_same_when_they_are_printed(certs, tmp):
    text = config(listen=["tls://127.0.0.1:7", "tls://localhost:8", "127.0.0.1:9"],
                  more=certs.settings(clients="optional"))
    with open(f"{tmp}/a.conf", "w", encoding="utf-8") as file:
        file.write(text)
    once = run("-T", "-c", f"{tmp}/a.conf").stdout
    with open(f"{tmp}/b.conf", "w", encoding="utf-8") as file:
        file.write(once)
    assert run("-T", "-c", f"{tmp}/b.conf").stdout == once
    assert '"tls://127.0.0.1:7"' in once and 'clients = "optional"' in once
