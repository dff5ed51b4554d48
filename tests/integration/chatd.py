"""The harness: start a chatd, talk to it, stop it.

    d = Daemon(directory, more="limits = { clients = 2; };")
    d.start()                       # returns once it listens
    a, b = d.client(), d.client()   # each returns once chatd has accepted it
    a.send(b"hello\\n")
    b.expect(b"hello\\n")
    d.stop()                        # SIGTERM; exit status 0, no sanitizer report

Tests get Daemon through the fixture `start` (conftest.py), which also stops it.

Environment:
    CHATD            the binary (default: build/src/chatd of this checkout)
    CHATD_UNDER      a command to run it under, such as "valgrind -q --leak-check=full"
    CHATD_PATIENCE   seconds until a wait counts as failed (30); more for valgrind
    CHATD_SYSTEMD    0: the binary is built without libsystemd
    CHATD_TLS        0: the binary is built without OpenSSL
    CHATD_SANITIZED  1: the binary is built with sanitizers, so memory figures mean nothing

Every wait has a deadline, and ends by an event. Nothing sleeps in the hope that something
has happened meanwhile.
"""

import functools
import os
import random
import re
import resource
import select
import selectors
import shlex
from signal import SIGCONT, SIGHUP, SIGSTOP, SIGTERM
import socket
import struct
import subprocess
import threading
import time

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
CHATD = os.path.abspath(os.environ.get("CHATD") or os.path.join(ROOT, "build", "src", "chatd"))
UNDER = shlex.split(os.environ.get("CHATD_UNDER", ""))
SANITIZED = os.environ.get("CHATD_SANITIZED") == "1"

def needs_systemd():
    """Skips the test where chatd cannot do what it is about."""
    if os.environ.get("CHATD_SYSTEMD") == "0":
        pytest.skip("built without libsystemd")


def needs_tls():
    """The same where it is about TLS."""
    if os.environ.get("CHATD_TLS") == "0":
        pytest.skip("built without TLS")


# Nothing takes so long when all is well.
PATIENCE = float(os.environ.get("CHATD_PATIENCE", "30"))

# libconfig leaks a byte or two at syntax errors.
os.environ.setdefault("LSAN_OPTIONS", "print_suppressions=0:suppressions='"
                      + os.path.join(os.path.dirname(os.path.abspath(__file__)), "lsan.supp") + "'")

# Added to the environment under strace, where LeakSanitizer cannot work.
NO_LEAK_CHECK = {"ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":detect_leaks=0"}

# What sanitizers and valgrind write when they found something.
REPORT = re.compile(
    rb"(AddressSanitizer|LeakSanitizer|UndefinedBehaviorSanitizer|runtime error:"
    rb"|^==\d+== (Invalid|Conditional|Use of|Syscall param|.*definitely lost))", re.M)

# Every line that may appear on standard output.
TRACE_LINE = re.compile(
    r"Waiting on select\(\)\.\.\.|MaxFd \d+|New incoming connection on sd \d+"
    r"|Descriptor \d+ is readable|\d+ bytes received from sd \d+"
    r"|Connection closed for sd \d+|removing connection with sd \d+ ")


# The last line for everybody who is there when the server ends.
FAREWELL = b"chatd: the server ends\n"


def monotonic_deadline(within):
    return time.monotonic() + within


class Output:
    """One output stream of a daemon, collected by a thread so that it never fills up. Who asks what
    it holds gets all that has been written so far, also what the thread has not come to yet."""

    def __init__(self, descriptor):
        self._data = bytearray()
        self.ended = False
        self.news = threading.Condition()
        self._descriptor = descriptor
        self._thread = threading.Thread(target=self._collect, daemon=True)
        self._thread.start()

    def _collect(self):
        poll = self._poll()
        while not self.ended:
            poll.poll()
            with self.news:
                self._take()
        os.close(self._descriptor)

    def _poll(self):
        poll = select.poll()
        poll.register(self._descriptor, select.POLLIN)
        return poll

    def _take(self):
        """What lies in it now; more than a pipe holds."""
        if self.ended or not self._poll().poll(0):
            return
        try:
            piece = os.read(self._descriptor, 1 << 20)
        except OSError:  # a terminal whose other side is gone
            piece = b""
        self._data += piece
        self.ended = not piece
        self.news.notify_all()

    @property
    def data(self):
        with self.news:
            self._take()
            return bytes(self._data)

    def text(self):
        return self.data.decode("utf-8", "backslashreplace")

    def mark(self):
        """The present end, to be given as `since` to wait_for()."""
        with self.news:
            self._take()
            return len(self._data)

    def wait_for(self, pattern, count=1, since=0, within=PATIENCE):
        """Wait until `pattern` matches `count` times in whole lines after `since`.

        Returns the last of these matches (of bytes)."""
        regex = re.compile(pattern.encode(), re.M)
        deadline = monotonic_deadline(within)
        left, at, found = count, since, None
        with self.news:
            while True:
                whole = self._data.rfind(b"\n") + 1
                for found in regex.finditer(bytes(self._data[at:whole])):
                    left -= 1
                    if left == 0:
                        return found
                if found is not None:
                    at, found = at + found.end(), None
                patience = deadline - time.monotonic()
                if self.ended or patience <= 0:
                    why = "the stream ended" if self.ended else f"not within {within} s"
                    raise AssertionError(
                        f"{why}: {pattern!r}, {left} of {count} missing after "
                        f"{bytes(self._data[since:])[-2000:]!r}")
                self.news.wait(patience)

    def wait_for_end(self, within=PATIENCE):
        """Everything that was written, once the last writer has closed the stream."""
        self._thread.join(within)
        assert not self._thread.is_alive(), "the stream is still open"
        return self.text()

    def count(self, pattern, since=0):
        return len(re.findall(pattern.encode(), self.data[since:], re.M))


def config(listen=("127.0.0.1:0",), trace=True, log=True, more=""):
    """The text of a settings file. `more` is put after the three settings every test needs."""
    addresses = ", ".join(f'"{address}"' for address in listen)
    return (f"listen = [ {addresses} ];\n"
            f"trace = {str(trace).lower()};\n"
            f"log_connections = {str(log).lower()};\n"
            f"{more}\n")


class Daemon:
    """One chatd, started with a settings file made of listen, trace, log and more (see
    config()), or with `args` alone.

    env      added to the environment; a value None removes the variable
    under    a command that execs chatd, such as [ "sh", "-c", 'ulimit -n 20; exec "$@"', "sh" ]
    stdout   a descriptor to use instead of collecting the stream; likewise stderr
    ready    number of listeners to wait for in start(); 0: do not wait
    """

    def __init__(self, directory, *, listen=("127.0.0.1:0",), trace=True, log=True, more="",
                 args=None, env=None, under=(), stdout=None, stderr=None, pass_fds=(),
                 ready=None):
        self.directory = str(directory)
        self.file = os.path.join(self.directory, "chatd.conf")
        self.log = log and args is None
        self.ready = ready
        if ready is None:
            self.ready = len(listen) if args is None else 1
        if args is None:
            self.configure(listen=listen, trace=trace, log=log, more=more)
            args = ["-c", self.file]
        self.command = [*under, *UNDER, CHATD, *args]
        self.env = {**os.environ, **(env or {})}
        self.env = {name: value for name, value in self.env.items() if value is not None}
        self.pass_fds = pass_fds
        self._streams = [subprocess.PIPE if s is None else s for s in (stdout, stderr)]
        self.process = self.stdout = self.stderr = None
        self.clients_made = []

    def configure(self, **settings):
        """Write the settings file anew, for a reload."""
        self.write(config(**settings))

    def write(self, text):
        with open(self.file, "w", encoding="utf-8") as file:
            file.write(text)

    # --- its life

    def start(self):
        self.__dict__.pop("address", None)  # of an earlier start
        self.process = subprocess.Popen(
            self.command, env=self.env, cwd=self.directory, pass_fds=self.pass_fds,
            stdin=subprocess.DEVNULL, stdout=self._streams[0], stderr=self._streams[1])
        if self.process.stdout:
            self.stdout = Output(os.dup(self.process.stdout.fileno()))
            self.process.stdout.close()
        if self.process.stderr:
            self.stderr = Output(os.dup(self.process.stderr.fileno()))
            self.process.stderr.close()
        if self.ready:
            self.stderr.wait_for(r"^(<\d>)?listening on ", count=self.ready)
        return self

    @property
    def pid(self):
        return self.process.pid

    def signal(self, number):
        self.process.send_signal(number)

    def pause(self):
        """Stop it like ^Z, so that what happens meanwhile comes to it in one pass."""
        self.signal(SIGSTOP)
        wait_until(lambda: self._state() == "T")

    def resume(self):
        self.signal(SIGCONT)

    def _state(self):
        with open(f"/proc/{self.pid}/stat", encoding="ascii") as file:
            return file.read().rsplit(") ")[1][0]

    def wait(self, within=PATIENCE):
        """The exit status, once it has ended; then the collected streams are complete."""
        status = self.process.wait(within)
        for stream in (self.stdout, self.stderr):
            if stream:
                stream.wait_for_end()
        return status

    def stop(self, number=SIGTERM, within=PATIENCE):
        """End it as an administrator would; check that nothing was wrong."""
        self.signal(number)
        status = self.wait(within)
        self.check_reports()
        assert status == 0, f"exit status {status}"

    def check_reports(self):
        if self.stderr:
            report = REPORT.search(bytes(self.stderr.data))
            assert not report, self.stderr.text()

    def running(self):
        return self.process is not None and self.process.poll() is None

    def kill(self):
        if self.running():
            self.process.kill()
            self.process.wait()
        self.close_clients()

    def close_clients(self):
        for client in self.clients_made:
            client.close()

    def reload(self, accepted=True):
        """SIGHUP; returns the log lines of this reload once it is done."""
        since = self.stderr.mark()
        self.signal(SIGHUP)
        answer = r"reloaded .*\n" if accepted else r"not reloaded, .*\n"
        end = self.stderr.wait_for(answer, since=since)
        return bytes(self.stderr.data[since:since + end.end()]).decode()

    # --- where it listens

    def addresses(self):
        """Where it listens, in the order of the log: ("127.0.0.1", 41234) or "/a/path"."""
        found = re.findall(r"^(?:<\d>)?listening on (.*)$", self.stderr.text(), re.M)
        return [parse_address(text) for text in found]

    @functools.cached_property
    def address(self):
        """The first of them."""
        return self.addresses()[0]

    @property
    def port(self):
        return next(a[1] for a in self.addresses() if not isinstance(a, str))

    # --- clients

    def own(self, client):
        """It is closed with this one."""
        self.clients_made.append(client)
        client.daemon = self
        return client

    def client(self, to=None, wait=True, **how):
        """A new client. `to` is an address, by default that of the first listener.

        wait: return only when chatd has accepted it (its descriptor there is client.sd)."""
        stream, since = self._arrivals()
        client = self.own(Client(to or self.address, **how))
        if wait:
            client.sd = int(stream.wait_for(self._arrival(client), since=since)[1])
        return client

    def clients(self, number, to=None, **how):
        """`number` clients, all of them accepted."""
        stream, since = self._arrivals()
        to = to or self.address
        made = []
        for _ in range(number):
            made.append(self.own(Client(to, **how)))
        if number:
            stream.wait_for(self._arrival(), count=number, since=since)
            # Connections wait for accept in the order in which they were made.
            arrived = re.findall(self._arrival().encode(), bytes(stream.data[since:]))
            for client, sd in zip(made, arrived):
                client.sd = int(sd)
        return made

    def _arrivals(self):
        """The stream that tells of new clients: the log, or else the trace."""
        stream = self.stderr if self.log else self.stdout
        return stream, stream.mark() if stream else 0

    def _arrival(self, client=None):
        if not self.log:
            return r"New incoming connection on sd (\d+)\n"
        name = client.name if client else None
        return (re.escape(name) if name else r".*") + r" connected as sd (\d+)(?:, TLS.*)?\n"

    # --- what /proc says about it

    def fds(self):
        """Its open descriptors: {number: what it is}."""
        directory, found = f"/proc/{self.pid}/fd", {}
        for number in os.listdir(directory):
            try:
                found[int(number)] = os.readlink(f"{directory}/{number}")
            except FileNotFoundError:  # closed since it was listed
                pass
        return found

    def cpu(self):
        """Seconds of CPU time it has used."""
        with open(f"/proc/{self.pid}/schedstat", encoding="ascii") as file:
            return int(file.read().split()[0]) / 1e9

    def asleep(self):
        """Whether it waits for something to happen."""
        return self._state() in "ST"

    def woken(self):
        """How often something has ended its wait."""
        return self.status("voluntary_ctxt_switches")

    def status(self, field):
        """A number of /proc/PID/status: VmHWM (peak memory, KiB), voluntary_ctxt_switches..."""
        with open(f"/proc/{self.pid}/status", encoding="ascii") as file:
            return int(re.search(rf"^{field}:\s+(\d+)", file.read(), re.M)[1])

    def limit_descriptors(self, number):
        """Allow the running process only so many descriptors (the hard limit stays)."""
        _, hard = resource.prlimit(self.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(self.pid, resource.RLIMIT_NOFILE, (number, hard))


class Client:
    """One chat client: a plain socket. `address` is (host, port) or the path of a unix socket.

    source   the local address to come from: all of 127.0.0.0/8 may be used
    window   size of the receive buffer; small: the kernel holds little for a slow reader
    """

    def __init__(self, address, source=None, window=None):
        if isinstance(address, str):
            self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        else:
            family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
            self.socket = socket.socket(family, socket.SOCK_STREAM)
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if window:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)
        if source:
            self.socket.bind((source, 0))
        self.socket.settimeout(PATIENCE)
        self.socket.connect(address)
        self.buffer = bytearray()
        self.name = self._name()  # as chatd's log writes its address; None for a unix socket
        self.sd = None  # its descriptor in chatd, once that is known
        self.daemon = None  # whose client it is, if a Daemon has made it

    def _name(self):
        if self.socket.family == socket.AF_UNIX:
            return None
        host, port = self.socket.getsockname()[:2]
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    def send(self, data):
        self.socket.sendall(data)

    def receive(self):
        """Read once into the buffer; False at the end (closed or reset by chatd)."""
        try:
            piece = self.socket.recv(1 << 18)
        except ConnectionResetError:
            piece = b""
        except TimeoutError:
            raise AssertionError(f"nothing more after {bytes(self.buffer)[-500:]!r}") from None
        self.buffer += piece
        return bool(piece)

    def take(self, length):
        """Take so many bytes out of the buffer."""
        taken = bytes(self.buffer[:length])
        del self.buffer[:length]
        return taken

    def read(self, length):
        """The next `length` bytes; fewer only when chatd ended the connection."""
        while len(self.buffer) < length and self.receive():
            pass
        return self.take(length)

    def line(self):
        """The next line with its end; b"" when chatd ended the connection before it."""
        while b"\n" not in self.buffer and self.receive():
            pass
        return self.take(self.buffer.find(b"\n") + 1)

    def lines(self, number):
        return [self.line() for _ in range(number)]

    def read_to_end(self):
        """All that comes until chatd ends the connection."""
        while self.receive():
            pass
        return self.take(len(self.buffer))

    def expect(self, data):
        """The next bytes must be these."""
        got = self.read(len(data))
        assert got == data, f"got {got!r}, expected {data!r}"

    def expect_eof(self):
        """chatd must end the connection, and send nothing more before."""
        rest = self.read_to_end()
        assert rest == b"", f"got {rest!r}, expected the end"

    def expect_farewell(self):
        """The server must end, say so, and send nothing else before."""
        self.expect(FAREWELL)
        self.expect_eof()

    def finish(self):
        """Say nothing more, but go on reading."""
        self.socket.shutdown(socket.SHUT_WR)

    def close(self):
        self.socket.close()

    def reset(self):
        """End the connection the hard way (RST)."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()


def exchange(sends, wants):
    """Many clients send and read at the same time, as a crowd does.

    sends: {client: bytes}; wants: {client: number of bytes}. Returns {client: those bytes}
    once all is sent and read. What came beyond stays in the client's buffer. How long all of it takes
    is up to the machine; only that nothing moves any more counts as failed."""
    out = {client: memoryview(data) for client, data in sends.items() if data}
    need = {client for client, number in wants.items() if len(client.buffer) < number}

    def events(client):
        return ((selectors.EVENT_WRITE if client in out else 0)
                | (selectors.EVENT_READ if client in need else 0))

    with selectors.DefaultSelector() as selector:
        for client in {*out, *need}:
            client.socket.setblocking(False)
            selector.register(client.socket, events(client), client)
        while out or need:
            ready = selector.select(PATIENCE)
            if not ready:
                missing = {c.name: wants[c] - len(c.buffer) for c in need}
                raise AssertionError(f"nothing moves, {len(out)} clients still have to send, "
                                     f"and bytes are missing: {missing}")
            for key, what in ready:
                client = key.data
                if what & selectors.EVENT_WRITE:
                    out[client] = out[client][client.socket.send(out[client]):]
                    if not out[client]:
                        del out[client]
                if what & selectors.EVENT_READ:
                    assert client.receive(), f"{client.name} was cut off by chatd"
                    if len(client.buffer) >= wants[client]:
                        need.remove(client)
                if not events(client):
                    selector.unregister(client.socket)
                    client.socket.settimeout(PATIENCE)
                elif what:
                    selector.modify(client.socket, events(client), client)
    return {client: client.take(number) for client, number in wants.items()}


def rush(clients, speech, enough, then):
    """All say their speech, over and over, and read, until their end; then() is called as soon as
    `enough` bytes were read by them together. speech: {client: bytes of a line}, each may be read
    as often as it could be sent. Returns {client: what it has heard}."""
    heard = {client: bytearray() for client in clients}
    out = {client: b"" for client in speech}
    numbers = dict.fromkeys(speech, 0)
    total, called, deadline = 0, False, None
    with selectors.DefaultSelector() as selector:
        for client in clients:
            client.socket.setblocking(False)
            both = selectors.EVENT_READ | (selectors.EVENT_WRITE if client in speech else 0)
            selector.register(client.socket, both, client)
        while selector.get_map():
            ready = selector.select(PATIENCE)
            assert ready and (not called or time.monotonic() < deadline), "it does not end"
            for key, what in ready:
                client = key.data
                if what & selectors.EVENT_WRITE:
                    if not out[client]:
                        first = numbers[client]
                        numbers[client] += 100
                        out[client] = b"".join(b"%s %d\n" % (speech[client], n)
                                               for n in range(first, first + 100))
                    try:
                        out[client] = out[client][client.socket.send(out[client]):]
                    except OSError:
                        selector.modify(client.socket, selectors.EVENT_READ, client)
                if what & selectors.EVENT_READ:
                    try:
                        piece = client.socket.recv(1 << 18)
                    except BlockingIOError:
                        continue
                    except ConnectionResetError:
                        piece = b""
                    heard[client] += piece
                    total += len(piece)
                    if not piece:
                        selector.unregister(client.socket)
            if total >= enough and not called:
                called, deadline = True, monotonic_deadline(2 * PATIENCE)
                then()
    return {client: bytes(data) for client, data in heard.items()}


def push(client, data, quiet=0.5):
    """Send until nothing more is taken for `quiet` seconds in which chatd slept, having nothing to do;
    where the machine is busy with others, it does not sleep, but waits. Returns how many bytes were
    taken."""
    client.socket.settimeout(quiet / 2)
    sent, view = 0, memoryview(data)
    rests, deadline = 0, None
    while sent < len(data) and rests < 2:
        try:
            sent += client.socket.send(view[sent:sent + 65536])
            rests, deadline = 0, None
        except TimeoutError:
            rests = rests + 1 if client.daemon is None or client.daemon.asleep() else 0
            deadline = deadline or monotonic_deadline(PATIENCE)
            assert time.monotonic() < deadline, "chatd takes nothing, and does not rest"
    client.socket.settimeout(PATIENCE)
    return sent


def come_to_rest(*daemons, seconds=0.5, share=0.1, at_most=None, count=Daemon.woken,
                 within=PATIENCE):
    """Until each of them has done next to nothing for so many seconds: it used this share of a
    processor, and count() grew by that much at most. One that goes round and round never comes to
    that, and on a busy machine what was to do before takes its time."""
    deadline = monotonic_deadline(within)

    def look():
        return [(d.cpu(), count(d)) for d in daemons]

    while True:
        before = look()
        time.sleep(seconds)  # the promise is about a time
        did = [(cpu - cpu0, n - n0) for (cpu, n), (cpu0, n0) in zip(look(), before)]
        if all(cpu < seconds * share and (at_most is None or n <= at_most) for cpu, n in did):
            return
        assert time.monotonic() < deadline, f"in {seconds} s each used so much, and did so often: {did}"


def talk(*clients):
    """Each says a line that all others must hear next."""
    for speaker in clients:
        speaker.send(b"hello\n")
        for other in clients:
            if other is not speaker:
                other.expect(b"hello\n")


class NotifySocket:
    """The other end of sd_notify(3): what systemd would hear."""

    def __init__(self, address):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind("\0" + address[1:] if address[0] == "@" else address)
        self.env = {"NOTIFY_SOCKET": address, "FDSTORE": "0"}

    def message(self, within=PATIENCE):
        """The next message, as a list of its lines."""
        self.socket.settimeout(within)
        return self.socket.recv(65536).decode().split("\n")

    def wait_for(self, pattern):
        """Skip messages until one has a line that matches wholly; returns its lines."""
        deadline = monotonic_deadline(PATIENCE)
        seen = []
        while time.monotonic() < deadline:
            try:
                lines = self.message(deadline - time.monotonic())
            except (TimeoutError, ValueError):
                break
            if any(re.fullmatch(pattern, line) for line in lines):
                return lines
            seen.append(lines)
        raise AssertionError(f"no {pattern!r} among {seen[-20:]}")

    def close(self):
        self.socket.close()


def parse_address(text):
    """An address as chatd's log writes it, for Client(). A wildcard becomes loopback."""
    text = text.removeprefix("tls://")
    if text.startswith("/"):
        return text
    host, port = text.rsplit(":", 1)
    host = host.strip("[]")
    return {"0.0.0.0": "127.0.0.1", "::": "127.0.0.1"}.get(host, host), int(port)


def run(*args, under=(), env=None, within=PATIENCE):
    """Run chatd to its end, for -t, -h and errors: .returncode, .stdout, .stderr (text)."""
    done = subprocess.run([*under, *UNDER, CHATD, *args], stdin=subprocess.DEVNULL,
                          capture_output=True, timeout=within, check=False,
                          env={**os.environ, **(env or {})}, encoding="utf-8")
    assert not REPORT.search(done.stderr.encode()), done.stderr
    return done


def wait_until(true, within=PATIENCE):
    """For what no event tells: ask again and again until it is true."""
    deadline = monotonic_deadline(within)
    while not true():
        assert time.monotonic() < deadline, f"not true within {within} s"
        time.sleep(0.005)


def has_ipv6():
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as s:
            s.bind(("::1", 0))
        return True
    except OSError:
        return False


# Sockets that stand for ports: who has one of a port may use it.
_reserved = []


def free_port(host="127.0.0.1"):
    """A port nobody uses, below those that the kernel gives out by itself. Other tests that run at
    the same time get other ones, until this process ends."""
    while True:
        port = random.randint(10000, 30000)
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        claim = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            claim.bind(f"\0chatd-test-port-{port}")
            with socket.socket(family, socket.SOCK_STREAM) as s:
                s.bind((host, port))
        except OSError:
            claim.close()
            continue
        _reserved.append(claim)
        return port


def reachable(port):
    """Whether somebody listens there."""
    try:
        socket.create_connection(("127.0.0.1", port), PATIENCE).close()
        return True
    except OSError:
        return False


def few_descriptors(number):
    """A command for `under` that allows so many descriptors for good: root might raise the limit
    again, unless it gives up the right to."""
    limit = ["sh", "-c", f'ulimit -n {number}; exec "$@"', "sh"]
    for drop in ([], ["setpriv", "--bounding-set=-sys_resource"]):
        allowed = subprocess.run([*drop, *limit, "sh", "-c", f"ulimit -n && ulimit -n {number + 1}"],
                                 capture_output=True, check=False)
        if allowed.stdout == b"%d\n" % number and allowed.returncode != 0:
            return [*drop, *limit]
    pytest.skip("descriptors cannot be limited here")


def raise_nofile(number):
    """Allow this process `number` descriptors; False where the machine forbids it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft >= number:
        return True
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (number, max(number, hard)))
    except (OSError, ValueError):
        return False
    return True
