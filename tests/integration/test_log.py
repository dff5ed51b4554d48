"""The log on standard error: one plain line for what an administrator wants to know."""

import os
import re

import pytest

from chatd import Output, free_port, has_ipv6


def test_who_comes_and_goes_is_told_with_address_and_descriptor(start):
    d = start()
    a = d.client()
    a.close()
    d.stderr.wait_for(r"disconnected")
    assert d.stderr.text() == (f"listening on 127.0.0.1:{d.port}\n"
                               f"{a.name} connected as sd 4\n"
                               f"{a.name} disconnected from sd 4: closed by the client\n")


@pytest.mark.parametrize("how, reason", [
    ("close", "closed by the client"),
    ("finish", "closed by the client"),
    ("reset", "closed by the client"),
])
def test_the_reason_of_a_disconnection_is_told(start, how, reason):
    d = start()
    a, _ = d.clients(2)
    getattr(a, how)()
    d.stderr.wait_for(rf"^127\.0\.0\.1:\d+ disconnected from sd 4: {reason}\n")


def test_clients_that_the_end_removes_are_told(start):
    d = start()
    d.clients(3)
    d.stop()
    assert len(re.findall(r"^127\.0\.0\.1:\d+ disconnected from sd [456]: \S.*$",
                          d.stderr.text(), re.M)) == 3


def test_without_log_connections_nobody_is_told_but_who_broke_a_rule(start):
    d = start(log=False, more="limits = { clients = 2; line = 10; };")
    a, b = d.clients(2)
    refused = d.client(wait=False)
    refused.read_to_end()
    a.send(b"x" * 20)
    a.read_to_end()
    b.close()
    d.stdout.wait_for(r"removing connection with sd 5 \n")
    d.stop()
    assert d.stderr.text() == (f"listening on 127.0.0.1:{d.port}\n"
                               f"{refused.name} refused: too many clients, at most 2\n"
                               f"{a.name} removed: line too long, at most 10 bytes\n")


@pytest.mark.skipif(not has_ipv6(), reason="no IPv6 here")
def test_addresses_are_written_as_people_write_them(start):
    d = start(listen=[f"[::]:{free_port()}", "[::1]:0"])
    d.client(to=("127.0.0.1", d.port))
    d.client(to=("::1", d.port))
    first, second = d.stderr.text().splitlines()[-2:]
    assert re.fullmatch(r"127\.0\.0\.1:\d+ connected as sd 5", first)
    assert re.fullmatch(r"\[::1\]:\d+ connected as sd 6", second)
    assert re.search(r"^listening on \[::1\]:\d+$", d.stderr.text(), re.M)


def test_a_reader_of_the_log_who_went_away_does_not_stop_the_chat(start):
    reader, writer = os.pipe()
    port = free_port()
    d = start(stderr=writer, listen=[f"127.0.0.1:{port}"], ready=0)
    os.close(writer)
    d.stdout.wait_for(r"MaxFd 3\n")
    os.close(reader)
    d.log = False  # new clients are seen in the trace
    for _ in range(10):
        a, b = d.clients(2, to=("127.0.0.1", port))
        a.send(b"hello\n")
        b.expect(b"hello\n")
        a.close()
        b.close()


def test_a_log_that_nobody_reads_for_a_while_is_told_to_be_incomplete(start):
    reader, writer = os.pipe()
    port = free_port()
    d = start(stderr=writer, listen=[f"127.0.0.1:{port}"], ready=0, trace=True)
    os.close(writer)
    d.stdout.wait_for(r"MaxFd 3\n")
    d.log = False
    for _ in range(3000):  # of about 100 bytes each: more than the pipe and chatd keep
        d.client(to=("127.0.0.1", port)).close()
    d.stderr = Output(reader)
    d.client(to=("127.0.0.1", port)).close()
    told = d.stderr.wait_for(r"(\d+) lines dropped\n")
    d.stop()
    lines = d.stderr.text().splitlines()
    seen = sum(" sd " in line for line in lines)
    assert seen + int(told[1]) == 2 * 3001, (seen, told[1])
    for line in lines:
        assert re.fullmatch(r"listening on .*|127\.0\.0\.1:\d+ connected as sd \d+"
                            r"|127\.0\.0\.1:\d+ disconnected from sd \d+: .*|.*\d+ lines dropped", line)
