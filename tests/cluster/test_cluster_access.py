"""Who the engine lets in, and whom chatd takes for its engine."""

import os
import socket

import pytest

from chatd import needs_tls, run, talk
from conftest import settings

# As SECURITY.md gives it.
RIGHTS = ("-@all +auth +client|setname +xadd +xread +xrange +xrevrange ~chatd resetchannels")


@pytest.fixture
def secret(tmp):
    """secret("text") is a file with a password, as a setting."""
    def write(text="s3cret\n", mode=0o600):
        path = f"{tmp}/password"
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(path, mode)
        return f'password_file = "{path}";'
    return write


def waits_for(d, word):
    """Not let in: says why, and people wait."""
    d.stderr.wait_for(rf"cluster: .*{word}")
    assert not d.stderr.count("cluster: linked")
    assert "s3cret" not in d.stderr.text()


@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_a_password_from_a_file(engine, nodes, secret, end):
    e = engine(requirepass="s3cret", start=False)
    e.start()
    talk(*(n.client() for n in nodes(e.path, 2, cluster=secret("s3cret" + end))))


def test_a_wrong_password(engine, node, secret):
    e = engine(requirepass="other")
    waits_for(node(e.path, linked=False, cluster=secret()), "WRONGPASS")


def test_an_engine_that_repeats_the_password(node, secret):
    listener = socket.create_server(("127.0.0.1", 0))
    d = node("%s:%d" % listener.getsockname(), linked=False, cluster='user = "u"; ' + secret())
    connection, _ = listener.accept()
    connection.sendall(b"-ERR wrong request: AUTH u s3cret\r\n")
    waits_for(d, "refused AUTH: ERR")
    connection.close()
    listener.close()


def test_no_password(engine, node):
    e = engine(requirepass="other")
    waits_for(node(e.path, linked=False), "NOAUTH")


def test_a_user_with_these_rights_and_no_more(engine, nodes, secret):
    e = engine()
    e.call("ACL", "SETUSER", "chat", "on", ">s3cret", *RIGHTS.split())
    pair = nodes(e.path, 2, cluster='user = "chat"; ' + secret())
    people = [n.client() for n in pair]
    talk(*people)
    e.call("CLIENT", "KILL", "TYPE", "normal")  # the rights are enough to come back
    for each in pair:
        each.stderr.wait_for(r"cluster: resumed")
    talk(*people)


@pytest.mark.parametrize("less", ["-xadd", "-xread", "-xrange", "-xrevrange", "resetkeys"])
def test_a_user_with_fewer_rights_is_told(engine, node, secret, less):
    e = engine()
    e.call("ACL", "SETUSER", "chat", "on", ">s3cret", *RIGHTS.split(), less)
    d = node(e.path, linked=False, cluster='user = "chat"; ' + secret())
    a, b = d.clients(2)
    a.send(b"hello\n")
    if less == "-xrange":  # used only when it comes back, to what it had read
        b.expect(b"hello\n")
        e.call("CLIENT", "KILL", "TYPE", "normal")
    d.stderr.wait_for(r"cluster: .*NOPERM")


def test_a_user_who_loses_its_rights_and_gets_them_back(engine, node, secret):
    e = engine()
    e.call("ACL", "SETUSER", "chat", "on", ">s3cret", *RIGHTS.split())
    d = node(e.path, cluster='user = "chat"; ' + secret())
    a, b = d.clients(2)
    e.call("ACL", "SETUSER", "chat", "-xadd")
    a.send(b"wait\n")
    d.stderr.wait_for(r"cluster: .*NOPERM")
    e.call("ACL", "SETUSER", "chat", "+xadd")
    b.expect(b"wait\n")


# --- TLS

@pytest.fixture
def safe(engine, certs):
    """safe("redis") is an engine that speaks TLS, with the certificate of that name, by "ca"."""
    def make(name="redis", by="ca"):
        certs.make(by, cn=f"the {by}")
        certs.make(name, by=by)
        e = engine(start=False)
        e.options.update(port=0, tls_port=e.port, tls_cert_file=certs.pem(name),
                         tls_key_file=certs.key(name), tls_ca_cert_file=certs.pem(by),
                         tls_auth_clients="no")
        return e.start()
    return make


def trust(certs, ca="ca", name="localhost"):
    return f'tls = {{ ca = "{certs.pem(ca)}"; name = "{name}"; }};'


def test_an_engine_with_tls(safe, nodes, certs):
    e = safe()
    talk(*(n.client() for n in nodes(e.tcp, 2, cluster=trust(certs))))


def test_much_comes_through_tls_at_once(safe, nodes, certs):
    e = safe()
    a, b = (n.client() for n in nodes(e.tcp, 2, cluster=trust(certs)))
    for _ in range(3):
        a.send(b"0123456789abcde\n" * 50_000)
        b.expect(b"0123456789abcde\n" * 50_000)


def test_an_engine_of_another_authority(safe, node, certs):
    certs.make("other ca".replace(" ", "-"), cn="the other")
    e = safe(name="other", by="other-ca")
    waits_for(node(e.tcp, linked=False, cluster=trust(certs)), "certificate")


def test_an_engine_of_another_name(safe, node, certs):
    e = safe()
    waits_for(node(e.tcp, linked=False, cluster=trust(certs, name="redis.example")), "TLS: hostname mismatch")


def test_an_engine_that_speaks_no_tls(engine, node, certs):
    d = node(engine().tcp, linked=False, cluster=trust(certs))
    d.stderr.wait_for(r"cluster: ")
    assert not d.stderr.count("cluster: linked")


def test_an_engine_that_speaks_only_tls(safe, node):
    d = node(safe().tcp, linked=False)
    d.stderr.wait_for(r"cluster: ")
    assert not d.stderr.count("cluster: linked")


def test_the_password_goes_to_no_impostor(safe, node, certs, secret):
    """Before the certificate is verified, nothing is said."""
    e = safe(name="other", by="other-ca")
    e.call("CONFIG", "SET", "requirepass", "s3cret")
    d = node(e.tcp, linked=False, cluster=trust(certs) + secret())
    d.stderr.wait_for(r"cluster: .*certificate")
    assert not e.said.count("s3cret")


def test_an_engine_with_tls_that_is_killed(safe, nodes, certs):
    from party import Party
    e = safe()
    party = Party(nodes(e.tcp, 2, cluster=trust(certs)))
    with party:
        for _ in range(2):
            party.goes_on()
            e.kill()
            e.start()
        party.goes_on()
    party.check(one_order=False)  # this engine forgets all


def test_settings_print_the_file_and_not_the_password(tmp, secret):
    needs_tls()
    with open(f"{tmp}/conf", "w", encoding="utf-8") as file:
        file.write(settings("127.0.0.1:6379", secret()))
    said = run("-T", "-c", f"{tmp}/conf")
    assert "password_file" in said.stdout and "s3cret" not in said.stdout + said.stderr
