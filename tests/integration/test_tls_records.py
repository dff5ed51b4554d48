"""TLS: whatever the bytes on the wire look like, what was said arrives, and nothing spins."""

import re
import socket

import pytest

from chatd import PATIENCE, come_to_rest, push, talk, wait_until
from test_programs import people  # noqa: F401 (a fixture)
from tls import (V12, V13, RecordClient, context, enter, key_client, passes, plain_address,
                 stands_still, start_tls, wire_client)

VERSIONS = pytest.mark.parametrize("version", [V12, V13])


def enter_wire(d, version=None, **how):
    """A WireClient that is in."""
    client = wire_client(d, context(version), **how)
    client.shake()
    client.flush()
    d.stderr.wait_for(re.escape(client.name) + r" connected as sd (\d+)")
    return client


# Trap: bytes that were decrypted, but not read, are hidden from select.
@VERSIONS
def test_all_lines_of_one_record_arrive_though_little_is_read_at_a_time(start, certs, version):
    d = start_tls(start, certs, more="limits = { queue = 1024; line = 100; };", trace=False)
    a, b = enter(d, context(version)), enter(d)
    record = b"".join(b"line %03d of a record\n" % i for i in range(780))
    assert 16000 < len(record) < 16384
    a.send(record)
    b.expect(record)


@VERSIONS
def test_many_records_in_one_segment_arrive(start, certs, version):
    d = start_tls(start, certs)
    a, b = enter_wire(d, version), enter(d)
    lines = [b"record %d\n" % i for i in range(100)]
    for line in lines:
        a.say(line)
    a.flush()
    b.expect(b"".join(lines))


# Trap: a part of a record is no refusal; else everybody would rest for a tenth of a second.
@VERSIONS
def test_a_record_arrives_byte_by_byte(start, certs, version):
    d = start_tls(start, certs)
    a, b = enter_wire(d, version), enter(d)
    a.say(b"in very small pieces\n")
    wire = a.wire()
    since = d.stdout.mark()
    for i in range(len(wire)):
        a.socket.sendall(wire[i:i + 1])
        d.stdout.wait_for(r"^1 bytes received", count=i + 1, since=since)
        if i % 8 == 0:
            b.send(b"x\n")  # is heard at once all the same
    b.expect(b"in very small pieces\n")


# Trap: the client that is removed has more hidden bytes.
def test_a_client_with_hidden_bytes_that_is_removed_is_not_read_any_more(start, certs):
    d = start_tls(start, certs, more="limits = { queue = 1024; line = 100; };")
    a, b = enter(d), enter(d)
    a.send(b"short\n" * 100 + b"x" * 600 + b"not heard\n" * 900)
    b.expect(b"short\n" * 100)
    assert a.read_to_end() == b"chatd: line too long, at most 100 bytes\n"
    assert a.clean
    stands_still(d)
    b.send(b"hello\n")
    assert d.stderr.count("removed: line too long") == 1
    talk(b, enter(d))


# Trap: what comes together with the client's last word of the handshake.
def test_data_together_with_the_end_of_the_handshake_arrives(start, certs):
    d = start_tls(start, certs)
    b = enter(d)
    a = wire_client(d)
    a.shake()
    a.say(b"in a hurry\n")
    a.flush()
    b.expect(b"in a hurry\n")
    talk_wire(a, b)


def talk_wire(wire, other):
    wire.say(b"hello\n")
    wire.flush()
    other.expect(b"hello\n")
    other.send(b"hello\n")
    wire.expect(b"hello\n")


@pytest.mark.parametrize("early", [True, False])
@VERSIONS
def test_an_end_in_the_segment_of_the_data_is_seen_though_tcp_stays_open(
        start, certs, version, early):
    d = start_tls(start, certs)
    b = enter(d)
    a = wire_client(d, context(version))
    a.shake()
    if not early:
        a.flush()
        d.stderr.wait_for(re.escape(a.name) + " connected")
    a.say(b"the last line, unfinished")
    a.say_end()
    a.flush()
    b.expect(b"the last line, unfinished\n")
    d.stderr.wait_for(re.escape(a.name) + " disconnected from sd .*: closed by the client\n")
    assert a.socket.recv(1000) is not None


# Trap: a bare end of file may be forged.
@VERSIONS
def test_before_a_bare_end_of_file_only_whole_lines_count(start, certs, version):
    d = start_tls(start, certs)
    a, b = enter_wire(d, version), enter(d)
    a.say(b"whole\npay 100")
    a.flush()
    a.socket.shutdown(socket.SHUT_WR)
    b.expect(b"whole\n")
    d.stderr.wait_for(re.escape(a.name) + " disconnected from sd .*: closed by the client\n")
    b.send(b"next\n")
    c = enter(d)
    talk(b, c)
    assert b.buffer == b""


# It has only closed its own way; the library would write no more after a bare end of file.
@VERSIONS
def test_what_waits_for_a_client_with_a_bare_end_of_file_is_written(start, certs, version):
    d = start_tls(start, certs)
    a, b = enter_wire(d, version), enter(d)
    d.pause()
    b.send(b"the last thing it hears\n")
    a.socket.shutdown(socket.SHUT_WR)
    d.resume()
    heard = a.read_to_end()
    assert heard in (b"the last thing it hears\n", b"")
    # Who is served first depends on the numbers: the client came first.
    assert d.stderr.count("broken|TLS: ") == 0


@VERSIONS
def test_a_broken_record_ends_its_client_alone(start, certs, version):
    d = start_tls(start, certs)
    a, b, c = enter_wire(d, version), enter(d), enter(d)
    a.say(b"fine\n")
    a.say(b"forged\n")
    wire = bytearray(a.wire())
    wire[-1] ^= 1
    a.socket.sendall(wire)
    b.expect(b"fine\n")
    d.stderr.wait_for(r" removed: TLS: decryption failed or bad record mac\n")
    c.expect(b"fine\n")
    talk(b, c)


# --- keys

def test_a_client_may_update_its_keys(start, certs):
    d = start_tls(start, certs)
    a, b = key_client(d), enter(d)
    for _ in range(5):
        a.update_keys(1)
        a.say(b"hello\n")
        b.expect(b"hello\n")
        b.send(b"hello\n")


# Trap: each costs more to answer than to send.
@pytest.mark.parametrize("times, stays", [(32, True), (33, False)])
def test_of_key_updates_at_most_32_may_come_at_once(start, certs, times, stays):
    d = start_tls(start, certs)
    a, b = key_client(d), enter(d)
    d.pause()
    a.update_keys(times)
    a.say(b"still here\n")
    a.arrived()
    d.resume()
    b.expect(b"still here\n")
    if not stays:
        d.stderr.wait_for(r" removed: TLS: too many key updates\n")
    talk(b, enter(d))


# Trap: each is refused by an alert, in a call of its own.
@pytest.mark.parametrize("times, stays", [(32, True), (33, False)])
def test_of_renegotiations_at_most_32_may_come_at_once(start, certs, tmp, times, stays):
    d = start_tls(start, certs)
    b = enter(d)
    a = RecordClient(d.address, tmp)
    d.own(a)
    d.stderr.wait_for(re.escape(a.name) + " connected")
    hellos = b"".join(a.record(22, b"\x01\0\0\0") for _ in range(times))
    a.socket.sendall(hellos + a.record(23, b"still here\n"))
    b.expect(b"still here\n")
    if not stays:
        d.stderr.wait_for(r" removed: TLS: too many renegotiations\n")
    talk(b, enter(d))
    assert d.stderr.count("removed") == 0 + (not stays)


# Who breaks the protocol and closes is told of as one that broke it.
def test_the_log_says_what_was_broken_though_the_client_has_closed(start, certs):
    d = start_tls(start, certs)
    a, b = enter_wire(d, V13), enter(d)
    d.pause()
    a.socket.sendall(b"no record at all")
    a.close()
    d.resume()
    d.stderr.wait_for(r" removed: TLS: wrong version number\n")
    talk(b, enter(d))


# Trap: the end comes in the call that also brings what was hidden behind the handshake.
@VERSIONS
def test_who_speaks_and_closes_in_one_go_has_broken_nothing(start, certs, version):
    d = start_tls(start, certs)
    b = enter(d)
    d.pause()
    a = []
    for _ in range(3):
        a.append(wire_client(d, context(version)))
        a[-1].step()
        a[-1].flush()
    for client in a:
        d.resume()
        client.shake()
        d.pause()
        client.say(b"in a hurry\n")
        client.flush()
        client.socket.shutdown(socket.SHUT_WR)
    d.resume()
    b.expect(b"in a hurry\n" * len(a))
    for client in a:
        d.stderr.wait_for(re.escape(client.name) +
                          r" disconnected from sd \d+: closed by the client\n")
    assert d.stderr.count("removed") == 0


# Trap: a read that has to write first. It is not read, it is not waited for, and it is idle.
def test_who_takes_no_answers_to_its_key_updates_does_not_make_it_spin(start, certs):
    d = start_tls(start, certs)
    a = key_client(d, window=4096)
    a.socket.settimeout(PATIENCE)
    since, sent = d.stdout.mark(), 0

    def received():
        return sum(map(int, re.findall(rb"(\d+) bytes received", bytes(d.stdout.data[since:]))))
    while sent < 2000 * 16 * 27:
        a.update_keys(16)
        sent += 16 * 27
        wait_until(lambda: received() >= sent or d.asleep())
        if received() < sent:
            come_to_rest(d, seconds=0.3)
            if received() < sent:
                break
    # How many answers the kernel takes first depends on how it packs them.
    assert received() < sent, "it is read without end"
    assert d.stderr.count("removed") == 0
    stands_still(d)
    d.configure(listen=["tls://127.0.0.1:0"], more=certs.settings() + "limits = { idle = 1; };")
    d.reload()
    d.stderr.wait_for(r" removed: idle for 1 seconds\n")
    d.configure(listen=["tls://127.0.0.1:0"], more=certs.settings())
    d.reload()
    talk(enter(d), enter(d))


# --- while others hold the pool

QUEUE = '"64K"'


def fill(d, slow_by):
    """A flood from a secure client, and a slow one that holds everybody up."""
    sender, slow = enter(d), slow_by()
    data = b"".join(b"flood %07d, flood, flood\n" % i for i in range(300000))
    sent = push(sender, data, quiet=1)
    return sender, slow, data, sent


@pytest.mark.parametrize("secure", [True, False])
def test_while_the_pool_is_held_hidden_bytes_do_not_make_it_spin(start, certs, secure):
    d = start_tls(start, certs, plain=True, more=f"limits = {{ queue = {QUEUE}; }};")
    def slow_by():
        if secure:
            return enter(d, window=4096)
        return d.client(plain_address(d), window=4096)
    sender, slow, data, sent = fill(d, slow_by)
    d.stderr.wait_for(" holds everybody up\n")
    stands_still(d)
    # And all of it arrives, in order, once it reads again.
    heard = slow.read(sent // 2)
    assert data.startswith(heard)


def test_a_secure_client_that_takes_nothing_stalls(start, certs):
    d = start_tls(start, certs, trace=False, more=f"limits = {{ queue = {QUEUE}; stall = 1; }};")
    sender, slow, data, sent = fill(d, lambda: enter(d, window=4096))
    d.stderr.wait_for(re.escape(slow.name) + " removed: took nothing for 1 seconds?\n")
    heard = slow.read_to_end()
    end = b"chatd: took nothing for 1 seconds\n"
    # The record that had begun is whole, and so is its last line.
    assert heard[-len(end):] == end or data.startswith(heard)
    assert data.startswith(heard.removesuffix(end))


def test_a_secure_client_that_takes_too_little_lags(start, certs):
    d = start_tls(start, certs, trace=False, more=f"limits = {{ queue = {QUEUE}; lag = 1; }};")
    _, slow, _, _ = fill(d, lambda: enter(d, window=4096))
    d.stderr.wait_for(re.escape(slow.name) + " removed: held everybody up for 1 seconds?\n")


def test_the_rate_of_a_secure_client_is_limited(start, certs):
    d = start_tls(start, certs, more="limits = { rate = 4000; };")
    a, b = enter(d), enter(d)
    record = b"fifteen letters\n" * 1000
    a.send(record)
    b.read(8000)
    stands_still(d, at_most=15, within=1.5)
    b.read(8000)
    talk(b, enter(d))


def test_nothing_spins_while_everybody_is_silent(start, certs):
    d = start_tls(start, certs)
    talk(*[enter(d, context(version)) for version in (V12, V13, None)])
    stands_still(d)
    before = passes(d)
    stands_still(d)
    assert passes(d) == before
