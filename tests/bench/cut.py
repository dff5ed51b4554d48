"""
A link that is cut for three seconds, while people on both sides of it talk.

At each of two servers one speaks and one listens, PACE lines a second each. The link between the
second server and the first, or the engine, is cut and refuses new connections for CUT seconds. Whose
own connection is cut comes back as soon as it can, and says again what it could not say.
"""

import bisect
import selectors
import socket
import time

import peers
import peers_many

PACE = 2000         # lines a second of one speaker
BEFORE, CUT, AFTER = 2, 3, 2
PATIENCE = 15       # seconds until what has not come is lost
SIZE = 64


def line(name, number):
    return b"%s %d " % (name, number)


class Person:
    """Speaks, if it has a name, and listens, if it has none."""

    def __init__(self, port, name=None):
        self.port, self.name = port, name
        self.said = 0
        self.pending = b""
        self.buffer = b""
        self.heard = []     # (speaker, number)
        self.socket = None
        self.next_try = 0
        self.connect()

    def connect(self):
        self.buffer = b""
        try:
            self.socket = socket.create_connection(("127.0.0.1", self.port))
        except OSError:
            self.socket = None
            self.next_try = time.monotonic() + 0.05
            return
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.pending = self.login() + self.pending
        self.socket.setblocking(False)

    def lose(self):
        self.socket.close()
        self.socket = None
        self.next_try = time.monotonic() + 0.05

    def say(self):
        text = line(self.name, self.said).ljust(SIZE - 1, b".")
        self.said += 1
        self.pending += self.wrap(text)

    def work(self):
        if self.socket is None:
            if time.monotonic() >= self.next_try:
                self.connect()
            return
        try:
            if self.pending:
                self.pending = self.pending[self.socket.send(self.pending):]
        except BlockingIOError:
            pass
        except OSError:
            self.lose()

    def receive(self):
        try:
            piece = self.socket.recv(1 << 18)
        except BlockingIOError:
            return
        except OSError:
            piece = b""
        if not piece:
            self.lose()
            return
        self.buffer += piece
        for text in self.items():
            words = text.split(b" ", 2)
            if len(words) == 3 and words[1].isdigit():
                self.heard.append((words[0], int(words[1])))


class Raw(Person):
    def login(self):
        return b""

    def wrap(self, text):
        return text + b"\n"

    def items(self):
        *whole, self.buffer = self.buffer.split(b"\n")
        return whole


class Redis(Person):
    HEAD = b">3\r\n$7\r\nmessage\r\n$1\r\nb\r\n$63\r\n"

    def login(self):
        return b"HELLO 3\r\n" + (b"" if self.name else b"SUBSCRIBE b\r\n")

    def wrap(self, text):
        return b"*3\r\n$7\r\nPUBLISH\r\n$1\r\nb\r\n$63\r\n" + text + b"\r\n"

    def items(self):
        *whole, rest = self.buffer.split(self.HEAD)
        if len(rest) >= SIZE + 1:  # the last one is whole, too
            whole.append(rest)
            rest = b""
        else:
            rest = self.HEAD + rest if whole else rest
        self.buffer = rest
        return [text[:SIZE - 1] for text in whole if text.endswith(b"\r\n")]


class Mqtt(Person):
    qos = 0
    packet = 0

    def login(self):
        name = b"%s%05d" % (b"s" if self.name else b"l", self.port)
        connect = b"\0\4MQTT\4\2\0\0" + len(name).to_bytes(2, "big") + name
        subscribe = b"\0\1\0\1b" + bytes([self.qos])
        return (bytes([0x10, len(connect)]) + connect
                + (b"" if self.name else bytes([0x82, len(subscribe)]) + subscribe))

    def wrap(self, text):
        self.packet = self.packet % 65535 + 1
        number = self.packet.to_bytes(2, "big") if self.qos else b""
        body = b"\0\1b" + number + text
        return bytes([0x30 | self.qos << 1, len(body)]) + body

    def items(self):
        found, at = [], 0
        while len(self.buffer) >= at + 2 and len(self.buffer) >= at + 2 + self.buffer[at + 1]:
            kind, body = self.buffer[at], self.buffer[at + 2:at + 2 + self.buffer[at + 1]]
            at += 2 + len(body)
            if kind & 0xf0 == 0x30:
                if kind & 6:
                    self.pending += b"\x40\x02" + body[3:5]
                found.append(body[1 - SIZE:])
        self.buffer = self.buffer[at:]
        return found


class MqttSafe(Mqtt):
    qos = 1


def talk(people, setup):
    """Everybody, until all have heard all or patience is over."""
    speakers = [p for p in people if p.name]
    listeners = [p for p in people if not p.name]
    begun = time.monotonic()
    end = begun + BEFORE + CUT + AFTER
    is_cut = mended = False
    while True:
        now = time.monotonic()
        if not is_cut and now > begun + BEFORE:
            is_cut = True
            setup.link.refuse()
        if not mended and now > begun + BEFORE + CUT:
            mended = True
            setup.link.mend()
        for each in speakers:
            while now < end and each.said < (now - begun) * PACE:
                each.say()
        for each in people:
            each.work()
        total = sum(s.said for s in speakers)
        if now > end and (all(len(set(p.heard)) == total for p in listeners)
                          or now > end + PATIENCE):
            return
        with selectors.DefaultSelector() as selector:
            for each in people:
                if each.socket:
                    selector.register(each.socket, selectors.EVENT_READ, each)
            for key, _ in selector.select(0.002):
                key.data.receive()


def moved(first, second):
    """How many lines would have to move so that both have the same order (of what both have)."""
    place = {item: at for at, item in enumerate(first)}
    tails = []
    order = [place[item] for item in second if item in place]
    for at in order:
        where = bisect.bisect_left(tails, at)
        tails[where:where + 1] = [at]
    return len(order) - len(tails)


def account(people):
    """(lines to be heard, lost, twice, out of one order)."""
    speakers = [p for p in people if p.name]
    listeners = [p for p in people if not p.name]
    wanted = {(s.name, n) for s in speakers for n in range(s.said)}
    lost = sum(len(wanted - set(p.heard)) for p in listeners)
    twice = sum(len(p.heard) - len(set(p.heard)) for p in listeners)
    first, second = (list(dict.fromkeys(p.heard)) for p in listeners)
    return len(wanted) * len(listeners), lost, twice, moved(first, second)


KINDS = [
    (peers_many.Cluster, Raw), (peers_many.Mosquitto, Mqtt), (peers_many.MosquittoSafe, MqttSafe),
    (peers_many.PubSub, Redis),
]


def table(place):
    rows = [f"| the link cut for {CUT} s | lines to be heard | lost | twice | in another order |",
            "| --- | ---: | ---: | ---: | ---: |"]
    for kind, person in KINDS:
        try:
            setup = kind(place, 2, with_link=True)
        except peers.Missing as why:
            rows.append(f"| {kind.title} | {why} | | | |")
            continue
        try:
            people = [person(port, name) for number, port in enumerate(setup.ports)
                      for name in (None, b"s%d" % number)]
            time.sleep(1.5)  # until bridges and subscriptions stand
            talk(people, setup)
        finally:
            setup.stop()
        rows.append(f"| {kind.title} | " + " | ".join(f"{n:,}" for n in account(people)) + " |")
    return "\n".join(rows)
