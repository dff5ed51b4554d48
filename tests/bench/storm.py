#!/usr/bin/python3
"""
What a storm of TLS hellos does to a chat that goes on.

Clients connect, say hello and nothing more: each hello costs chatd a signature and some 50 KiB.
Meanwhile a plain client says a line 50 times a second, and others wait for it. Prints how long a
line takes until the last one has it, without and with the storm, and what memory the storm takes.

  tests/bench/storm.py CHATD [HELLOS]
"""

import re
import resource
import select
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

LISTENERS = 10
PAUSE = 0.02       # seconds between two lines
CALM = 2           # seconds of the first measurement
UNDER_WAY = 1000   # hellos that wait at the same time


def start(chatd, folder):
    """The process, and the ports of its plain and its TLS listener."""
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
                    "-subj", "/CN=localhost", "-keyout", folder / "key.pem",
                    "-out", folder / "cert.pem"], check=True, capture_output=True)
    (folder / "chatd.conf").write_text(
        'listen = [ "127.0.0.1:0", "tls://127.0.0.1:0" ]; limits = { clients = 8000; };\n'
        f'tls = {{ certificate = "{folder}/cert.pem"; key = "{folder}/key.pem"; }};\n')
    with open(folder / "log", "wb") as log:
        server = subprocess.Popen([chatd, "-c", folder / "chatd.conf"], stdin=subprocess.DEVNULL,
                                  stdout=subprocess.DEVNULL, stderr=log)
    while True:
        text = (folder / "log").read_text()
        ports = re.findall(r"^listening on (?:tls://)?127\.0\.0\.1:(\d+)$", text, re.MULTILINE)
        if len(ports) == 2:
            return server, int(ports[0]), int(ports[1])
        if server.poll() is not None:
            sys.exit(text)
        time.sleep(0.01)


def hello():
    """The first bytes of a client."""
    into, out = ssl.MemoryBIO(), ssl.MemoryBIO()
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).wrap_bio(
            into, out, server_hostname="localhost").do_handshake()
    except ssl.SSLWantReadError:
        pass
    return out.read()


def resident(pid):
    """Bytes."""
    for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    return 0


class Storm:
    """Connections that are opened bit by bit, whenever there is time."""

    def __init__(self, port, count):
        self.port, self.left, self.hello = port, count, hello()
        self.open = []

    def go_on(self, seconds):
        end = time.monotonic() + seconds
        while self.left > 0 and time.monotonic() < end:
            while len(self.open) >= UNDER_WAY:
                self.open.pop(0).close()
            sock = socket.socket()
            sock.setblocking(False)
            try:
                sock.connect(("127.0.0.1", self.port))
            except BlockingIOError:
                select.select([], [sock], [], 0.1)
            try:
                sock.send(self.hello)
            except OSError:
                pass
            self.open.append(sock)
            self.left -= 1
        time.sleep(max(end - time.monotonic(), 0))


def measure(speaker, listeners, between, goes_on):
    """Milliseconds of each line."""
    took = []
    while goes_on():
        between(PAUSE)
        begin = time.monotonic()
        speaker.sendall(b"hello\n")
        for listener in listeners:
            listener.recv(100)
        took.append((time.monotonic() - begin) * 1000)
    return took


def main():
    chatd, hellos = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 5000
    resource.setrlimit(resource.RLIMIT_NOFILE, (8192, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    with tempfile.TemporaryDirectory() as folder:
        server, plain, tls = start(chatd, Path(folder))
        clients = [socket.create_connection(("127.0.0.1", plain)) for _ in range(LISTENERS + 1)]
        speaker, listeners = clients[0], clients[1:]
        time.sleep(0.2)
        until = time.monotonic() + CALM
        calm = measure(speaker, listeners, time.sleep, lambda: time.monotonic() < until)
        before, most = resident(server.pid), 0
        storm = Storm(tls, hellos)

        def goes_on():
            nonlocal most
            most = max(most, resident(server.pid))
            return storm.left > 0

        begin = time.monotonic()
        loud = measure(speaker, listeners, storm.go_on, goes_on)
        seconds = time.monotonic() - begin
        server.terminate()
        server.wait()
    for name, took in (("calm", calm), (f"{hellos} hellos in {seconds:.1f} s", loud)):
        print(f"{name}: median {statistics.median(took):.2f} ms, "
              f"95 of 100 {sorted(took)[len(took) * 95 // 100]:.2f} ms, most {max(took):.2f} ms")
    print(f"memory: {before / 1e6:.1f} MB before, {(most - before) / 1e6:.1f} MB more in the storm")


if __name__ == "__main__":
    main()
