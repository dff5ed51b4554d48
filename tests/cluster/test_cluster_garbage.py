"""What is in the stream, and what an engine says, is foreign input."""

import socket
import threading
import time

import pytest

from chatd import SANITIZED, come_to_rest, wait_until
from conftest import LOST

EPOCH = "00000000deadbeef"


@pytest.fixture
def chat(engine, node):
    """An engine, and a client of a node of it that has been heard."""
    e = engine()
    d = node(e.path)
    a, b = d.clients(2)
    a.send(b"first\n")
    b.expect(b"first\n")
    return e, d, a, b


def goes_on(d, a, b):
    """It is as if nothing had been."""
    a.send(b"still here\n")
    b.expect(b"still here\n")
    assert d.running()


def add(e, *fields):
    return e.call("XADD", "chatd", "*", *fields)


def test_an_entry_that_anybody_adds_is_heard(chat):
    e, d, a, b = chat
    add(e, "n", EPOCH, "s", "1", "d", "one\ntwo\n")
    a.expect(b"one\ntwo\n")
    b.expect(b"one\ntwo\n")
    goes_on(d, a, b)


def test_an_entry_that_comes_twice_is_heard_once(chat):
    e, d, a, b = chat
    for number in (1, 1, 2, 1, 2, 3):
        add(e, "n", EPOCH, "s", number, "d", f"{number}\n")
    b.expect(b"1\n2\n3\n")
    goes_on(d, a, b)


def test_an_entry_that_is_missing_is_counted(chat):
    e, d, a, b = chat
    for number in (1, 2, 7):
        add(e, "n", EPOCH, "s", number, "d", f"{number}\n")
    b.expect(b"1\n2\n7\n")
    assert b"4 entries" in d.stderr.wait_for(LOST)[0]
    goes_on(d, a, b)


MALFORMED = {
    "one field": ("x", "y"),
    "foreign fields": ("name", "anna", "age", "7", "town", "ulm"),
    "no number": ("n", EPOCH, "s", "", "d", "evil\n"),
    "number zero": ("n", EPOCH, "s", "0", "d", "evil\n"),
    "a negative number": ("n", EPOCH, "s", "-1", "d", "evil\n"),
    "a number that is too large": ("n", EPOCH, "s", "99999999999999999999999", "d", "evil\n"),
    "a number and more": ("n", EPOCH, "s", "1x", "d", "evil\n"),
    "no epoch": ("n", "", "s", "1", "d", "evil\n"),
    "an epoch of letters": ("n", "zzzz", "s", "1", "d", "evil\n"),
    "an epoch that is too long": ("n", "1" * 40, "s", "1", "d", "evil\n"),
    "another order": ("d", "evil\n", "s", "1", "n", EPOCH),
    "no data": ("n", EPOCH, "s", "1"),
    "empty data": ("n", EPOCH, "s", "1", "d", ""),
    "no newline": ("n", EPOCH, "s", "1", "d", "evil"),
    "an unfinished last line": ("n", EPOCH, "s", "1", "d", "good\nevil"),
    "unknown control": ("n", EPOCH, "s", "1", "c", "evil\n"),
    "long control": ("n", EPOCH, "s", "1", "c", "h" * 1000),
    "too many fields": ("n", EPOCH, "s", "1", "d", "evil\n", "x", "y"),
    "more than a MiB": ("n", EPOCH, "s", "1", "d", b"evil\n" + b"x" * (1 << 20) + b"\n"),
    "much": ("n", EPOCH, "s", "1", "d", b"evil\n" * 6_000_000),
}


@pytest.mark.parametrize("kind", MALFORMED)
def test_a_malformed_entry_is_passed_over(chat, kind):
    e, d, a, b = chat
    add(e, *MALFORMED[kind])
    goes_on(d, a, b)
    assert not d.stderr.count("evil")
    assert d.status("VmHWM") < 100_000 or SANITIZED


def test_what_is_added_is_sanitized_again(engine, node):
    e = engine()
    d = node(e.path, more="sanitize = true;")
    a = d.client()
    add(e, "n", EPOCH, "s", "1", "d", b"red \x1b[31m\x00\xff \xe2\x80\xae\n")
    line = a.line()
    assert line.startswith(b"red ") and line.endswith(b"\n")
    assert not any(c in line for c in (b"\x1b", b"\x00", b"\xff", b"\xe2\x80\xae"))


def test_thousands_of_strangers_cost_little_and_hide_nobody(chat):
    e, d, a, b = chat
    before = d.status("VmRSS")
    for number in range(1, 3001):
        add(e, "n", f"{number:016x}", "s", "1", "d", f"{number}\n")
    b.expect(b"".join(b"%d\n" % n for n in range(1, 3001)))
    assert d.status("VmRSS") - before < 4000 or SANITIZED
    a.read(len(b"".join(b"%d\n" % n for n in range(1, 3001))))
    goes_on(d, a, b)


def test_a_stranger_who_asks_for_a_hold_gets_no_more_than_a_lease(chat):
    e, d, a, b = chat
    add(e, "n", EPOCH, "s", "1", "c", "h")
    begun = time.monotonic()
    wait_until(lambda: d.stderr.count("cluster: .*hold") > 0)
    a.send(b"late\n")
    b.expect(b"late\n")
    assert time.monotonic() - begun < 15  # which is three seconds


def test_a_key_that_is_no_stream(engine, node):
    e = engine()
    e.call("SET", "chatd", "evil")
    d = node(e.path, linked=False)
    a, b = d.clients(2)
    a.send(b"wait\n")
    d.stderr.wait_for(r"cluster: .*WRONGTYPE")
    e.call("DEL", "chatd")
    b.expect(b"wait\n")


def test_a_key_that_becomes_no_stream(chat):
    e, d, a, b = chat
    e.call("SET", "chatd", "evil")
    a.send(b"wait\n")
    d.stderr.wait_for(r"cluster: .*WRONGTYPE")
    e.call("DEL", "chatd")
    b.expect(b"wait\n")


# --- an engine that is none

class Impostor:
    """Says the same to everybody who says anything."""

    def __init__(self, answer):
        self.answer = answer
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.count = 0
        self.open = []
        threading.Thread(target=self.work, daemon=True).start()

    @property
    def tcp(self):
        return "%s:%d" % self.listener.getsockname()

    def work(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.count += 1
            self.open.append(connection)
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        try:
            while connection.recv(65536):
                connection.sendall(self.answer)
        except OSError:
            pass

    def close(self):
        self.listener.close()
        for each in self.open:
            each.close()


ANSWERS = {
    "no protocol": b"HTTP/1.1 400 Bad Request\r\n\r\n",
    "binary": bytes(range(256)) * 20,
    "newlines": b"\r\n" * 1000,
    "a bulk that is too large": b"$999999999999\r\n",
    "a bulk of nearly all memory": b"$2000000000\r\n",
    "an array that is too large": b"*999999999999\r\n",
    "a large array": b"*10000000\r\n",
    "deep arrays": b"*1\r\n" * 1000,
    "a status for all": b"+OK\r\n" * 50,
    "numbers": b":1\r\n" * 50,
    "nil": b"$-1\r\n" * 50,
    "nil arrays": b"*-1\r\n" * 50,
    "empty arrays": b"*0\r\n" * 50,
    "arrays of wrong types": b"*1\r\n*2\r\n:5\r\n+no\r\n" * 50,
    "entries of wrong types": b"+OK\r\n*1\r\n*2\r\n$3\r\n1-1\r\n*6\r\n:1\r\n:1\r\n:1\r\n:1\r\n:1\r\n:1\r\n" * 20,
    "an entry with a nil": b"+OK\r\n*1\r\n*2\r\n$-1\r\n*-1\r\n" * 20,
    "an id that is long": b"+OK\r\n*1\r\n*2\r\n$200\r\n" + b"1" * 200 + b"\r\n*0\r\n" * 20,
    "an error with control characters": b"-ERR \x1b[31m\x07evil <3>forged\r\n" * 5,
    "an error that is long": b"-ERR " + b"x" * 100_000 + b"\r\n",
    "moved": b"-MOVED 3999 127.0.0.1:6381\r\n",
}


@pytest.mark.parametrize("kind", ANSWERS)
def test_an_engine_that_talks_nonsense(node, kind):
    impostor = Impostor(ANSWERS[kind])
    try:
        d = node(impostor.tcp, linked=False)
        a = d.client()
        a.send(b"hello\n")
        wait_until(lambda: impostor.count >= 2)
        come_to_rest(d, seconds=0.7, share=0.3)
        assert d.status("VmHWM") < 60_000 or SANITIZED
        assert d.client()  # chatd is there, and lets people in
        assert not any(c in d.stderr.text() for c in "\x1b\x07")
        assert len(d.stderr.text()) < 20_000
    finally:
        impostor.close()


def test_an_engine_that_accepts_and_is_mute(node):
    impostor = Impostor(b"")
    try:
        d = node(impostor.tcp, linked=False)
        wait_until(lambda: impostor.count >= 4)  # given up and tried again
        assert d.running()
    finally:
        impostor.close()


# --- somebody who writes to the stream in the name of a node

def name_of(e):
    """The name under which the last entry was said."""
    return e.call("XREVRANGE", "chatd", "+", "-", "COUNT", "1")[0][1][1]


@pytest.mark.parametrize("what", [("d", "evil\n"), ("c", "h")], ids=["lines", "hold"])
@pytest.mark.parametrize("number", [1000, 2 ** 64 - 1])
def test_a_number_that_a_node_never_gave_silences_nobody(engine, nodes, number, what):
    e = engine()
    one, two = nodes(e.path, 2)
    a, b, c = one.client(), one.client(), two.client()
    a.send(b"first\n")
    b.expect(b"first\n")
    c.expect(b"first\n")
    taken = name_of(e)
    add(e, "n", taken, "s", number, *what)
    for client in (a, b, c) if what[0] == "d" else ():
        client.expect(b"evil\n")
    for line in (b"one\n", b"two\n", b"three\n"):
        a.send(line)
        b.expect(line)
        c.expect(line)
    assert name_of(e) != taken
    assert one.stderr.count("cluster: somebody uses the name") == 1
