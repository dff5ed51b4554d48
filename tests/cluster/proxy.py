"""A link that can be made to fail: Proxy(target) listens on a port of its own and hands on.

    p.cut()         ends all connections
    p.silence()     hands nothing on, and ends nothing, as when a cable is pulled; also newcomers
    p.refuse()      ends all connections, and refuses new ones
    p.delay(0.2)    hands on so many seconds later
    p.dribble(7)    hands on in pieces of so many bytes
    p.hold_back()   what is on its way in the present connections arrives only when
    p.let_go()      is called, though the side that receives it has long closed or come anew
    p.mend()        back to work; what was silenced is handed on late
"""

import selectors
import socket
import threading
import time
from collections import deque

from chatd import free_port


class Side:
    """One direction of a connection."""

    def __init__(self, source, sink):
        self.source, self.sink = source, sink
        self.waiting = deque()  # (when it may go, bytes)
        self.ended = False      # nothing more comes
        self.held = False


class Proxy:
    def __init__(self, target):
        self.target = target  # (host, port) or a path
        # Of those that the kernel gives out, one might be taken by the time it is to listen again.
        self.listener = socket.create_server(("127.0.0.1", free_port()), backlog=64)
        self.address = self.listener.getsockname()
        self.pairs = []  # lists of two Sides
        self.lock = threading.RLock()
        self.silent = False
        self.lag = 0.0
        self.piece = 1 << 18
        self.accepted = 0
        self.over = False
        self.alarm, self.bell = socket.socketpair()
        self.thread = threading.Thread(target=self.work, daemon=True)
        self.thread.start()

    @property
    def tcp(self):
        return "%s:%d" % self.address

    # --- what tests ask for

    def cut(self):
        with self.lock:
            for pair in list(self.pairs):
                self.drop(pair)
        self.bell.send(b"-")

    def silence(self):
        self.change(silent=True)

    def refuse(self):
        with self.lock:
            self.listener.close()
            self.cut()

    def delay(self, seconds):
        self.change(lag=seconds)

    def dribble(self, size):
        self.change(piece=size)

    def hold_back(self):
        with self.lock:
            for pair in self.pairs:
                for side in pair:
                    side.held = True

    def let_go(self):
        with self.lock:
            for pair in self.pairs:
                for side in pair:
                    side.held = False
        self.bell.send(b"-")

    def mend(self):
        with self.lock:
            if self.listener.fileno() < 0:
                self.listener = socket.create_server(self.address, backlog=64)
        self.change(silent=False, lag=0.0, piece=1 << 18)

    def close(self):
        self.over = True
        self.bell.send(b"-")
        self.thread.join()
        self.cut()
        for each in (self.listener, self.alarm, self.bell):
            each.close()

    def change(self, **what):
        with self.lock:
            self.__dict__.update(what)
        self.bell.send(b"-")

    # --- its thread

    def drop(self, pair):
        if pair in self.pairs:
            self.pairs.remove(pair)
        for side in pair:
            side.source.close()

    def accept(self):
        try:
            client, _ = self.listener.accept()
        except OSError:
            return
        self.accepted += 1
        family = socket.AF_UNIX if isinstance(self.target, str) else socket.AF_INET
        server = socket.socket(family, socket.SOCK_STREAM)
        try:
            server.connect(self.target)
        except OSError:
            client.close()
            server.close()
            return
        for each in (client, server):
            each.setblocking(False)
            if each.family == socket.AF_INET:
                each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.pairs.append([Side(client, server), Side(server, client)])

    def receive(self, side):
        try:
            data = side.source.recv(1 << 18)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        when = time.monotonic() + self.lag
        side.ended = side.ended or not data
        for at in range(0, len(data), self.piece):
            side.waiting.append((when, data[at:at + self.piece]))

    def send(self, side):
        """False: the connection is over."""
        while side.waiting and side.waiting[0][0] <= time.monotonic():
            when, data = side.waiting[0]
            try:
                sent = side.sink.send(data)
            except BlockingIOError:
                return True
            except OSError:
                return False
            side.waiting.popleft()
            if sent < len(data):
                side.waiting.appendleft((when, data[sent:]))
            if self.piece < 1 << 18:  # each by itself
                return True
        return bool(side.waiting) or not side.ended

    def events(self):
        """What select is to watch: {socket: events}, and the next time something is due."""
        watched, due = {self.alarm: selectors.EVENT_READ}, None
        if self.listener.fileno() >= 0:
            watched[self.listener] = selectors.EVENT_READ
        for pair in self.pairs:
            for side in pair:
                if not side.ended and not self.silent:
                    watched[side.source] = watched.get(side.source, 0) | selectors.EVENT_READ
                if not side.waiting or self.silent or side.held:
                    continue
                if side.waiting[0][0] <= time.monotonic():
                    watched[side.sink] = watched.get(side.sink, 0) | selectors.EVENT_WRITE
                elif due is None or side.waiting[0][0] < due:
                    due = side.waiting[0][0]
        return watched, due

    def work(self):
        while not self.over:
            with self.lock, selectors.DefaultSelector() as selector:
                watched, due = self.events()
                for each, what in watched.items():
                    selector.register(each, what)
                wait = None if due is None else max(0, due - time.monotonic())
                self.lock.release()
                try:
                    ready = {key.fileobj: what for key, what in selector.select(wait)}
                finally:
                    self.lock.acquire()
                if self.alarm in ready:
                    self.alarm.recv(4096)
                if self.listener in ready:
                    self.accept()
                for pair in list(self.pairs):
                    self.serve(pair, ready)

    def serve(self, pair, ready):
        for side in pair:
            if ready.get(side.source, 0) & selectors.EVENT_READ:
                self.receive(side)
        for side in pair:
            if self.silent or side.held:
                continue
            if not self.send(side):
                self.drop(pair)
                return
