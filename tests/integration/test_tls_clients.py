"""Certificates of clients: who may come, and what the log says of them."""

import re
import ssl

import pytest

from chatd import talk
from tls import V12, V13, TlsClient, alert_of, context, enter, start_tls


def show(certs, name, version=None):
    return context(version, name, certs)


@pytest.mark.parametrize("version", [V12, V13])
def test_any_asks_nobody(start, certs, version):
    d = start_tls(start, certs)
    a, b = enter(d, context(version)), enter(d, show(certs, "alice", version))
    talk(a, b)
    assert "CN" not in a.described + b.described


@pytest.mark.parametrize("version", [V12, V13])
def test_optional_takes_none_or_a_good_one(start, certs, version):
    d = start_tls(start, certs, clients="optional")
    a, b = enter(d, context(version)), enter(d, show(certs, "alice", version))
    talk(a, b)
    assert "CN" not in a.described
    assert b.described.endswith(f'CN "alice" SHA-256 {certs.fingerprint("alice")}')
    certs.make("stranger")
    assert "UNKNOWN_CA" in alert_of(d.address, show(certs, "stranger", version))
    d.stderr.wait_for(r"refused: TLS: self-signed certificate\n")


# A TLS 1.3 client believes that it is in, until it reads.
@pytest.mark.parametrize("version", [V12, V13])
def test_required_takes_a_good_one_only(start, certs, version):
    d = start_tls(start, certs, clients="required")
    a, b = enter(d, show(certs, "alice", version)), enter(d, show(certs, "alice"))
    talk(a, b)
    reason = alert_of(d.address, context(version))
    assert "CERTIFICATE_REQUIRED" in reason or "HANDSHAKE_FAILURE" in reason
    d.stderr.wait_for(r"refused: TLS: peer did not return a certificate\n")


def test_one_of_another_ca_is_refused(start, certs):
    d = start_tls(start, certs, clients="required")
    certs.make("other ca")
    certs.make("mallory", by="other ca")
    assert "UNKNOWN_CA" in alert_of(d.address, show(certs, "mallory"))
    d.stderr.wait_for(r"refused: TLS: unable to get local issuer certificate\n")


def test_a_late_one_is_refused(start, certs):
    d = start_tls(start, certs, clients="required")
    certs.make_late("late", by="ca")
    assert "CERTIFICATE_EXPIRED" in alert_of(d.address, show(certs, "late"))
    d.stderr.wait_for(r"refused: TLS: certificate has expired\n")


@pytest.mark.parametrize("cn, shown", [
    ('al"ice', "al?ice"),
    ("tab\there", "tab?here"),
    ("zoë", "zo??"),
    ("n" * 64, "n" * 64),
    ("two\\nlines", "twonlines"),
    ('x" SHA-256 0000', "x? SHA-256 0000"),
], ids=["quote", "tab", "utf-8", "long", "line", "fake"])
def test_a_name_is_cut_to_printable_ascii_on_one_line(start, certs, cn, shown):
    d = start_tls(start, certs, clients="optional")
    name = certs.make(f"named-{abs(hash(cn))}", cn=cn, by="ca")
    a = enter(d, show(certs, name))
    assert a.described.endswith(f' CN "{shown}" SHA-256 {certs.fingerprint(name)}')
    assert re.search(rf" connected as sd {a.sd}, .*[0-9a-f]{{64}}$", d.stderr.text(), re.M)


def test_without_log_connections_nobody_is_named(start, certs):
    d = start_tls(start, certs, clients="required", log=False)
    since = d.stdout.mark()
    a = TlsClient(d.address, show(certs, "alice"))
    d.stdout.wait_for(r"New incoming", since=since)
    a.finish()
    d.stdout.wait_for(r"removing connection", since=since)
    assert "alice" not in d.stderr.text()


def test_a_client_can_check_the_server(start, certs):
    d = start_tls(start, certs)
    trusting = context(trust=certs.pem("server"))
    trusting.check_hostname = True
    enter(d, trusting)
    suspicious = context(trust=certs.pem("ca"))
    with pytest.raises(ssl.SSLCertVerificationError):
        TlsClient(d.address, suspicious)
    d.stderr.wait_for(r"refused: TLS: .*alert unknown ca\n")


def chain_of(certs, length):
    """A certificate that ca has signed, and behind it another one that is as long as it takes
    for both to be a message of `length` bytes. Returns the context of its owner."""
    def sized(name, comment):
        certs.make(name, cn="filler", key="rsa", more=["-set_serial", "1", "-addext",
                                          "nsComment=" + "x" * comment])
        with open(certs.pem(name), encoding="ascii") as file:
            return file.read()
    with open(certs.pem("alice"), encoding="ascii") as file:
        alice = file.read()
    # TLS 1.3: 4 bytes of the message, 5 for each certificate.
    rest = length - 4 - 5 - len(ssl.PEM_cert_to_DER_cert(alice)) - 5
    beside = len(ssl.PEM_cert_to_DER_cert(sized("filler", 8000))) - 8000
    path = f"{certs.folder}/chain-{length}.pem"
    with open(path, "w", encoding="ascii") as file:
        file.write(alice + sized(f"filler-{length}", rest - beside))
    made = context(V13)
    made.load_cert_chain(path, certs.key("alice"))
    return made


# Trap: the library reads a hundred KiB of them, for a tenth of a second, before it verifies any.
@pytest.mark.parametrize("clients", ["optional", "required"])
def test_the_certificates_of_a_client_are_at_most_16_kib(start, certs, clients):
    d = start_tls(start, certs, clients=clients)
    a, b = enter(d, chain_of(certs, 16384)), enter(d, show(certs, "alice"))
    talk(a, b)
    assert "ILLEGAL_PARAMETER" in alert_of(d.address, chain_of(certs, 16385))
    d.stderr.wait_for(r"refused: TLS: excessive message size\n")
    talk(a, b)
