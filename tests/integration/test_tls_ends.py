"""TLS: last words, and ends that are said."""

import signal
import socket

import pytest

from chatd import FAREWELL, push
from tls import V12, V13, context, enter, plain_address, start_tls, wire_client

VERSIONS = pytest.mark.parametrize("version", [V12, V13])


@VERSIONS
def test_the_last_word_to_a_client_arrives_and_the_end_is_said(start, certs, version):
    d = start_tls(start, certs, more="limits = { line = 100; };")
    a = enter(d, context(version))
    a.send(b"x" * 200)
    assert a.read_to_end() == b"chatd: line too long, at most 100 bytes\n"
    assert a.clean


@VERSIONS
def test_an_end_that_the_client_says_is_answered(start, certs, version):
    d = start_tls(start, certs)
    a, b = enter(d, context(version)), enter(d)
    a.send(b"goodbye")
    a.finish()  # returns when the server has said so, too
    b.expect(b"goodbye\n")
    d.stderr.wait_for(rf"disconnected from sd {a.sd}: closed by the client\n")


@VERSIONS
def test_a_backlog_and_the_farewell_arrive_whole(start, certs, version):
    d = start_tls(start, certs, plain=True, trace=False,
                  more='limits = { queue = "4M"; stall = 60; };')
    slow, sender = enter(d, context(version), window=4096), d.client(plain_address(d))
    data = b"".join(b"line %07d of a backlog\n" % i for i in range(50000))
    assert push(sender, data, quiet=2) == len(data)
    sender.close()
    d.stderr.wait_for(rf"disconnected from sd {sender.sd}")
    d.signal(signal.SIGTERM)
    heard = slow.read_to_end()
    assert heard.endswith(FAREWELL)
    assert data.startswith(heard.removesuffix(FAREWELL))
    assert heard == data + FAREWELL
    assert slow.clean
    assert d.wait() == 0


# What it has begun to get is completed; what has not begun is dropped; then comes the reason.
@VERSIONS
def test_a_client_with_a_backlog_that_is_removed_gets_whole_lines_and_the_reason(
        start, certs, version):
    d = start_tls(start, certs, plain=True, trace=False,
                  more='limits = { queue = "8M"; line = 100; };')
    slow, sender = enter(d, context(version), window=4096), d.client(plain_address(d))
    data = b"".join(b"line %07d of a backlog\n" % i for i in range(200000))
    sent = push(sender, data, quiet=1)
    slow.send(b"x" * 200)
    heard = slow.read_to_end()
    end = b"chatd: line too long, at most 100 bytes\n"
    assert heard.endswith(b"\n" + end)
    lines = heard.removesuffix(end)
    assert data.startswith(lines) and len(lines) <= sent
    assert slow.clean


def test_a_person_that_leaves_says_so_with_quit(start, certs):
    d = start_tls(start, certs, more='mode = "chat";')
    a = enter(d)
    a.send(b"/quit\n")
    assert a.read_to_end().endswith(b"chatd: goodbye\n")
    assert a.clean


# Closing with unread input would make the kernel drop the last word.
def test_the_last_word_arrives_though_the_client_goes_on_sending(start, certs):
    d = start_tls(start, certs, more="limits = { line = 100; };")
    a = enter(d)
    try:
        for _ in range(20):
            a.send(b"x" * 16000)
    except OSError:
        pass
    assert a.read_to_end() == b"chatd: line too long, at most 100 bytes\n"


def test_an_idle_client_is_told_so(start, certs):
    d = start_tls(start, certs, more="limits = { idle = 1; };")
    a = enter(d)
    a.expect(b"chatd: idle for 1 seconds\n")
    a.expect_eof()
    assert a.clean


def test_a_client_that_resets_is_gone(start, certs):
    d = start_tls(start, certs)
    a, b = enter(d), enter(d)
    a.reset()
    b.send(b"hello\n")
    d.stderr.wait_for(rf"disconnected from sd {a.sd}: closed by the client\n")


# Both ways are closed by TCP alone: nothing to answer to.
def test_a_bare_end_of_file_is_an_end(start, certs):
    d = start_tls(start, certs)
    a = wire_client(d)
    a.shake()
    a.flush()
    d.stderr.wait_for("connected")
    a.socket.shutdown(socket.SHUT_WR)
    d.stderr.wait_for("closed by the client")
    assert a.read_to_end() == b""
