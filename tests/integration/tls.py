"""The harness for TLS: certificates, and clients that speak it.

    d = start_tls(start, certs)             # listens with TLS; then without, if plain=True
    a = enter(d)                            # a TlsClient, in once chatd says so
    a.send(b"hello\\n")

A TLS 1.3 client believes that it is in before chatd does, so enter() waits for chatd's word.
"""

import ctypes
import ctypes.util
import fcntl
import functools
import hashlib
import hmac
import os
import re
import shutil
import ssl
import struct
import subprocess
import termios

import pytest

from chatd import Client, PATIENCE, come_to_rest, wait_until

V12, V13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3


class Certs:
    """Certificates and keys in one folder: make("alice", by="ca") makes alice.pem and alice.key."""

    def __init__(self, folder):
        self.folder = folder
        self.make("server")
        self.make("ca", cn="the ca")
        self.make("alice", by="ca")

    def pem(self, name):
        return f"{self.folder}/{name}.pem"

    def key(self, name):
        return f"{self.folder}/{name}.key"

    def make(self, name, cn=None, by=None, key="ec", more=()):
        """Nothing where it is there already."""
        if os.path.exists(self.pem(name)):
            return name
        if not shutil.which("openssl"):
            pytest.skip("openssl is missing")
        kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
        if key == "rsa":
            kind = ["-newkey", "rsa:2048"]
        signed = ["-CA", self.pem(by), "-CAkey", self.key(by)] if by else []
        names = ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
        end = ["-addext", "basicConstraints=critical,CA:FALSE"] if by else []
        subprocess.run(["openssl", "req", "-x509", "-nodes", "-utf8", "-days", "2", *kind, *signed,
                        *names, *end, "-keyout", self.key(name), "-out", self.pem(name),
                        "-subj", f"/CN={cn or name}", *more], check=True, capture_output=True)
        os.chmod(self.key(name), 0o600)
        return name

    def make_late(self, name, by):
        """One that has expired, which takes another command."""
        if os.path.exists(self.pem(name)):
            return name
        request, work = f"{self.folder}/request", f"{self.folder}/work"
        os.makedirs(work, exist_ok=True)
        with open(f"{work}/ca.conf", "w", encoding="ascii") as file:
            file.write(f"[ca]\ndefault_ca = own\n[own]\nnew_certs_dir = {work}\n"
                       f"database = {work}/index\nrand_serial = yes\npolicy = any\n"
                       "default_md = sha256\n[any]\ncommonName = supplied\n")
        with open(f"{work}/index", "w", encoding="ascii"):
            pass
        for command in (
                ["req", "-new", "-nodes", "-newkey", "ec", "-pkeyopt",
                 "ec_paramgen_curve:P-256", "-keyout", self.key(name), "-out", request,
                 "-subj", f"/CN={name}"],
                ["ca", "-batch", "-config", f"{work}/ca.conf", "-notext", "-in", request,
                 "-cert", self.pem(by), "-keyfile", self.key(by), "-out", self.pem(name),
                 "-startdate", "20200101000000Z", "-enddate", "20200201000000Z"]):
            subprocess.run(["openssl", *command], check=True, capture_output=True)
        os.chmod(self.key(name), 0o600)
        return name

    def settings(self, name="server", clients=None, ca="ca"):
        """The group `tls` of a settings file."""
        asks = f'ca = "{self.pem(ca)}"; clients = "{clients}"; ' if clients else ""
        return (f'tls = {{ certificate = "{self.pem(name)}"; key = "{self.key(name)}"; '
                f"{asks}}};\n")

    def fingerprint(self, name):
        """SHA-256, as the log shows it."""
        with open(self.pem(name), encoding="ascii") as file:
            der = ssl.PEM_cert_to_DER_cert(file.read())
        return hashlib.sha256(der).hexdigest()


def start_tls(start, certs, *, plain=False, more="", name="server", clients=None, **how):
    """A daemon that listens with TLS, and with plain=True at a second address without."""
    listen = ["tls://127.0.0.1:0", *(["127.0.0.1:0"] if plain else [])]
    # Port 0 twice would be the same place.
    if plain:
        listen[1] = "127.0.0.2:0"
    return start(listen=listen, more=certs.settings(name, clients) + more, **how)


def plain_address(d):
    return d.addresses()[1]


def context(version=None, cert=None, certs=None, trust=None):
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.check_hostname = False
    made.verify_mode = ssl.CERT_NONE
    # Else an end of file without close_notify looks like one with it.
    made.options &= ~getattr(ssl, "OP_IGNORE_UNEXPECTED_EOF", 0)
    if trust:
        made.verify_mode = ssl.CERT_REQUIRED
        made.load_verify_locations(trust)
    if version:
        made.minimum_version = made.maximum_version = version
    if cert:
        made.load_cert_chain(certs.pem(cert), certs.key(cert))
    return made


class TlsClient(Client):
    """A client that speaks TLS. `clean` is whether the end came with close_notify."""

    def __init__(self, address, how=None, handshake=True, **more):
        super().__init__(address, **more)
        self.clean = None
        self.socket = (how or context()).wrap_socket(
            self.socket, server_hostname="localhost", do_handshake_on_connect=False,
            suppress_ragged_eofs=False)
        if handshake:
            self.socket.do_handshake()

    def receive(self):
        try:
            more = super().receive()
            self.clean = not more
            return more
        except (ssl.SSLEOFError, ConnectionResetError, BrokenPipeError):
            self.clean = False
            return False
        except ssl.SSLError as error:
            if error.reason != "UNEXPECTED_EOF_WHILE_READING":
                raise
            self.clean = False
            return False

    def finish(self):
        """close_notify, and the end of file."""
        self.socket.unwrap()


def enter(d, how=None, to=None, **more):
    """A TlsClient that is in."""
    since = d.stderr.mark()
    client = TlsClient(to or d.address, how, **more)
    d.own(client)
    found = d.stderr.wait_for(re.escape(client.name) + r" connected as sd (\d+), (TLS.*)\n",
                              since=since)
    client.sd, client.described = int(found[1]), found[2].decode()
    return client


class WireClient(Client):
    """A TLS client whose bytes for the wire the test sends, whole or in pieces."""

    def __init__(self, address, how=None, **more):
        super().__init__(address, **more)
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = (how or context()).wrap_bio(self.incoming, self.outgoing,
                                               server_hostname="localhost")

    def step(self):
        """The handshake as far as it goes now. Returns whether it is over."""
        try:
            self.tls.do_handshake()
            return True
        except ssl.SSLWantReadError:
            return False

    def pull(self):
        data = self.socket.recv(1 << 16)
        if data:
            self.incoming.write(data)
        else:
            self.incoming.write_eof()

    def wire(self):
        """The bytes for the wire that lie ready."""
        return self.outgoing.read()

    def shake(self):
        """The handshake up to its last word, which lies ready (TLS 1.3) or is sent (1.2)."""
        while not self.step():
            self.socket.sendall(self.wire())
            self.pull()

    def say(self, data):
        """It lies ready."""
        self.tls.write(data)

    def say_end(self):
        try:
            self.tls.unwrap()
        except ssl.SSLWantReadError:
            pass

    def flush(self):
        self.socket.sendall(self.wire())

    def receive(self):
        """The same as that of Client, through TLS."""
        while True:
            try:
                piece = self.tls.read(1 << 16)
                self.buffer += piece
                return bool(piece)
            except ssl.SSLWantReadError:
                self.pull()
            except ssl.SSLZeroReturnError:
                return False


def wire_client(d, how=None, **more):
    client = WireClient(d.address, how, **more)
    d.own(client)
    return client


@functools.cache
def libssl():
    """OpenSSL itself, for what Python's ssl does not offer."""
    name = ctypes.util.find_library("ssl")
    if not name:
        pytest.skip("libssl is missing")
    library = ctypes.CDLL(name)
    for function in ("TLS_client_method", "SSL_CTX_new", "SSL_new"):
        getattr(library, function).restype = ctypes.c_void_p
    return library


class KeyClient(Client):
    """A TLS 1.3 client that updates its keys as often as one likes. It does not read."""

    def __init__(self, address, **more):
        super().__init__(address, **more)
        library = libssl()
        self.socket.setblocking(True)
        ctx = ctypes.c_void_p(library.SSL_CTX_new(ctypes.c_void_p(library.TLS_client_method())))
        self.ssl = ctypes.c_void_p(library.SSL_new(ctx))
        assert library.SSL_set_fd(self.ssl, self.socket.fileno()) == 1
        assert library.SSL_connect(self.ssl) == 1

    def update_keys(self, times):
        for _ in range(times):
            assert libssl().SSL_key_update(self.ssl, 1) == 1
            assert libssl().SSL_do_handshake(self.ssl) == 1

    def arrived(self):
        """Once all that was sent lies in chatd's socket."""
        def unacknowledged():
            return struct.unpack("i", fcntl.ioctl(self.socket, termios.TIOCOUTQ, b"\0" * 4))[0]
        wait_until(lambda: unacknowledged() == 0)

    def say(self, data):
        assert libssl().SSL_write(self.ssl, data, len(data)) == len(data)


def derive(secret, label, seed, length):
    """The PRF of TLS 1.2, RFC 5246, 5."""
    def mac(data):
        return hmac.digest(secret, data, "sha256")
    made, a = b"", mac(label + seed)
    while len(made) < length:
        made += mac(a + label + seed)
        a = mac(a)
    return made[:length]


def seal(key, nonce, data, beside):
    """AES-128 in GCM."""
    name = ctypes.util.find_library("crypto")
    if not name:
        pytest.skip("libcrypto is missing")
    library = ctypes.CDLL(name)
    for function in ("EVP_CIPHER_CTX_new", "EVP_aes_128_gcm"):
        getattr(library, function).restype = ctypes.c_void_p
    ctx = ctypes.c_void_p(library.EVP_CIPHER_CTX_new())
    out, tag = ctypes.create_string_buffer(len(data) + 16), ctypes.create_string_buffer(16)
    length = ctypes.c_int()
    library.EVP_EncryptInit_ex(ctx, ctypes.c_void_p(library.EVP_aes_128_gcm()), None, key, nonce)
    library.EVP_EncryptUpdate(ctx, None, ctypes.byref(length), beside, len(beside))
    library.EVP_EncryptUpdate(ctx, out, ctypes.byref(length), data, len(data))
    library.EVP_EncryptFinal_ex(ctx, None, ctypes.byref(length))
    library.EVP_CIPHER_CTX_ctrl(ctx, 0x10, 16, tag)
    library.EVP_CIPHER_CTX_free(ctx)
    return out.raw[:len(data)] + tag.raw


class RecordClient(WireClient):
    """A TLS 1.2 client that says records of any kind, once it has its keys."""

    def __init__(self, address, folder, **more):
        how = context(V12)
        how.set_ciphers("ECDHE-ECDSA-AES128-GCM-SHA256")
        how.keylog_filename = f"{folder}/keys"
        super().__init__(address, how, **more)
        hello = bytearray()
        while not self.step():
            self.flush()
            data = self.socket.recv(1 << 16)
            hello += data
            self.incoming.write(data)
        self.flush()
        with open(how.keylog_filename, encoding="ascii") as file:
            own, secret = map(bytes.fromhex, file.read().split()[-2:])
        keys = derive(secret, b"key expansion", bytes(hello[11:43]) + own, 40)
        self.key, self.salt, self.number = keys[:16], keys[32:36], 1

    def record(self, kind, data):
        number = struct.pack(">Q", self.number)
        self.number += 1
        sealed = seal(self.key, self.salt + number, data,
                      number + struct.pack(">BHH", kind, 0x303, len(data)))
        return struct.pack(">BHH", kind, 0x303, 8 + len(sealed)) + number + sealed


def key_client(d, **more):
    since = d.stderr.mark()
    client = KeyClient(d.address, **more)
    d.own(client)
    d.stderr.wait_for(re.escape(client.name) + r" connected as sd ", since=since)
    return client


def passes(d):
    """How often it has waited so far."""
    return d.stdout.count(r"Waiting on select")


def stands_still(d, seconds=0.5, at_most=5, within=PATIENCE):
    """It does not go round and round: there are so many seconds in which it waits hardly ever, and
    works not. within: how long it stays in the state that this is about."""
    come_to_rest(d, seconds=seconds, share=0.2, at_most=at_most, count=passes, within=within)


def alert_of(address, how=None, within=PATIENCE, **more):
    """The alert with which a client is refused, as OpenSSL names it."""
    client = TlsClient(address, how, handshake=False, **more)
    client.socket.settimeout(within)
    with pytest.raises(ssl.SSLError) as caught:
        client.socket.do_handshake()
        client.socket.recv(1)
    client.close()
    return caught.value.reason
