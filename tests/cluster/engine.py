"""An engine of one's own: redis-server or valkey-server, on a unix socket and a loopback port.

    e = Engine(folder, appendonly="yes", appendfsync="always")
    e.start()
    e.call("XLEN", "chatd")         # the reply; an error of the engine is an EngineError
    e.kill(); e.start()             # as after a power cut: what the disk had

Its folder is new and its configuration complete, so one that the machine runs as a service has
nothing to do with it. CHATD_ENGINE names the program, redis-server or valkey-server; without it,
whichever is there.
"""

import os
import shutil
import signal
import socket
import subprocess
import time

import pytest

from chatd import PATIENCE, Output, free_port



def program():
    """(file, name), or None. The server is what redis-check-rdb of redis-tools is under another name,
    and the same holds for Valkey. So it can be had without the package that starts a service."""
    wanted = os.environ.get("CHATD_ENGINE")
    for name in [wanted] if wanted else ["redis-server", "valkey-server"]:
        for each in (name, name.replace("server", "check-rdb")):
            found = shutil.which(each, path="/usr/sbin:/usr/bin:/usr/local/bin")
            if found:
                return found, name
    return None


PROGRAM = program()


def needs_engine():
    """Skips the test where there is none."""
    if not PROGRAM:
        pytest.skip("redis-server and valkey-server are missing")


class EngineError(Exception):
    """What the engine answered with a minus."""


class Connection:
    """A client of the engine that does one thing at a time."""

    def __init__(self, address, wrap=None):
        family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
        self.socket = socket.socket(family, socket.SOCK_STREAM)
        self.socket.settimeout(PATIENCE)
        self.socket.connect(address)
        if wrap:
            self.socket = wrap.wrap_socket(self.socket, server_hostname="localhost")
        self.stream = self.socket.makefile("rb")

    def call(self, *words):
        words = [w if isinstance(w, bytes) else str(w).encode() for w in words]
        self.socket.sendall(b"*%d\r\n" % len(words)
                            + b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in words))
        return self.reply()

    def reply(self):
        line = self.stream.readline()
        if not line:
            raise ConnectionError("the engine closed")
        kind, rest = line[:1], line[1:-2]
        if kind == b"+":
            return rest.decode()
        if kind == b"-":
            raise EngineError(rest.decode())
        if kind == b":":
            return int(rest)
        if kind == b"$":
            return None if rest == b"-1" else self.stream.read(int(rest) + 2)[:-2]
        assert kind == b"*", line
        return None if rest == b"-1" else [self.reply() for _ in range(int(rest))]

    def close(self):
        self.stream.close()
        self.socket.close()


class Engine:
    """options: lines of its configuration, `_` standing for `-`."""

    def __init__(self, folder, **options):
        needs_engine()
        self.folder = folder
        self.port = free_port()
        self.path = f"{folder}/redis.sock"
        self.options = {"bind": "127.0.0.1", "port": self.port, "unixsocket": self.path,
                        "dir": folder, "save": "", "appendonly": "no", "daemonize": "no",
                        "repl_diskless_sync_delay": "0", "enable_debug_command": "yes",
                        "enable_protected_configs": "yes"}
        self.options.update(options)
        self.process = self.said = None

    @property
    def tcp(self):
        """As a setting of chatd."""
        return f"127.0.0.1:{self.port}"

    def start(self, ready=True):
        """Returns once it accepts connections; ready=False: once it accepts, but may still load."""
        args = []
        for name, value in self.options.items():
            args += ["--" + name.replace("_", "-"), *str(value).split(" ")]
        self.process = subprocess.Popen([PROGRAM[1], *args], executable=PROGRAM[0],
                                        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT)
        self.said = Output(os.dup(self.process.stdout.fileno()))
        self.process.stdout.close()
        self.said.wait_for(r"eady to accept connections" if ready else r"Server initialized")
        return self

    def call(self, *words):
        connection = Connection(self.path)
        try:
            return connection.call(*words)
        finally:
            connection.close()

    def set(self, name, value):
        self.call("CONFIG", "SET", name, value)

    def wait(self, true, *words):
        """Asks until true(reply)."""
        deadline = time.monotonic() + PATIENCE
        while not true(self.call(*words)):
            assert time.monotonic() < deadline, words
            time.sleep(0.01)

    def info(self, field):
        """A line of INFO."""
        for line in self.call("INFO", "everything").decode().splitlines():
            name, _, value = line.partition(":")
            if name == field:
                return value
        raise KeyError(field)

    def follow(self, other):
        """Becomes its replica; returns once the link is up."""
        self.call("REPLICAOF", "127.0.0.1", other.port)
        self.wait(lambda text: b"master_link_status:up" in text, "INFO", "replication")

    def pause(self):
        self.process.send_signal(signal.SIGSTOP)

    def resume(self):
        self.process.send_signal(signal.SIGCONT)

    def kill(self, number=signal.SIGKILL):
        if self.process and self.process.poll() is None:
            self.process.send_signal(number)
            self.process.send_signal(signal.SIGCONT)
            self.process.wait(PATIENCE)
