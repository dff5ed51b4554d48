"""Clients that mean harm, or do not know where they are: the others notice nothing."""

import os
import random
import resource
import socket
import struct
import threading
import time

import pytest

from chatd import Client, SANITIZED, come_to_rest, exchange, raise_nofile, talk, wait_until

# How often the test of connects and disconnects does it.
CYCLES = int(os.environ.get("CHATD_CYCLES", "20000" if SANITIZED else "100000"))


@pytest.fixture
def chat(start):
    """A daemon with two friends in it."""
    d = start(trace=False, log=True)
    return d, *d.clients(2)


def only_friends_left(d):
    """Wait until chatd has no clients but two."""
    wait_until(lambda: sum(what.startswith("socket:") for what in d.fds().values()) == 3)


def test_a_flood_of_connects_and_resets(chat):
    d, a, b = chat
    for n in range(3000):
        stranger = Client(d.address)
        if n % 3 == 0:
            stranger.send(b"x" * (n % 50))
        stranger.reset()
        if n % 100 == 0:
            a.send(b"fence\n")
            while b.line() != b"fence\n":
                pass
    only_friends_left(d)
    a.send(b"the end\n")
    while b.line() != b"the end\n":
        pass


def test_connects_that_are_gone_before_they_are_accepted(chat):
    d, a, b = chat
    for _ in range(20):
        d.pause()
        for n in range(20):
            stranger = Client(d.address)
            stranger.reset() if n % 2 else stranger.close()
        d.resume()
        talk(a, b)
    only_friends_left(d)


def test_one_byte_at_a_time(chat):
    d, a, b = chat
    stranger = d.client()
    for byte in b"a long line, byte by byte, takes many reads\r\n" * 20:
        stranger.send(bytes([byte]))
    b.expect(b"a long line, byte by byte, takes many reads\r\n" * 20)


def test_a_hundred_clients_that_send_one_byte_at_a_time_in_turn(chat):
    d, a, b = chat
    strangers = d.clients(100)
    for byte in b"piece by piece\n":
        for stranger in strangers:
            stranger.send(bytes([byte]))
    b.expect(b"piece by piece\n" * 100)
    a.expect(b"piece by piece\n" * 100)


def test_a_line_that_never_ends(chat):
    d, a, b = chat
    stranger = d.client()
    try:
        for _ in range(10_000):
            stranger.send(b"never ending " * 500)
    except (ConnectionResetError, BrokenPipeError):
        pass
    else:
        pytest.fail("it was allowed to go on")
    talk(a, b)


def test_a_line_that_never_ends_and_comes_slowly(chat):
    d, a, b = chat
    stranger = d.client()
    for _ in range(8191):
        stranger.send(b"x")
    talk(a, b)
    stranger.send(b"xx")
    assert stranger.read_to_end() == b"hello\nhello\nchatd: line too long, at most 8192 bytes\n"
    talk(a, b)


CLIENT_HELLO = bytes.fromhex(
    "16030100a5010000a10303cc2f6a0b6a1d8e3b6f0a7f5ce1d0b6a3f2e4c58d7796b8a9"
    "0c1d2e3f405162732000112233445566778899aabbccddeeff00112233445566778899"
    "aabbccddeeff0008130213031301c02f010000500000000e000c0000096c6f63616c68"
    "6f7374000b000403000102000a000400020017000d0008000604010403020300170000"
    "002b0003020304002d00020101003300260024001d0020") + bytes(32)


@pytest.mark.parametrize("greeting", [
    CLIENT_HELLO,
    b"GET / HTTP/1.1\r\nHost: localhost:9034\r\nUser-Agent: x\r\nAccept: */*\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0",
    b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n",
    b"\xff\xfd\x03\xff\xfb\x18\xff\xfb\x1f\xff\xfb\x20",
    b"*1\r\n$4\r\nPING\r\n",
    b"\0" * 1000,
    b"\x1b[2J\x1b]0;title\x07\x1b[6n\r\n",
    b"%n%n%s%s\n$(reboot)\n`reboot`\n'; DROP TABLE\n",
    b"\r" * 5000,
], ids=["TLS", "HTTP", "HTTP2", "SSH", "telnet", "redis", "zeros", "escapes", "formats", "returns"])
def test_another_protocol_is_just_bytes(chat, greeting):
    d, a, b = chat
    stranger = d.client()
    stranger.send(greeting)
    stranger.finish()
    stranger.expect_eof()
    end = b"" if greeting.endswith(b"\n") else b"\n"
    a.expect(greeting + end)
    b.expect(greeting + end)
    talk(a, b)


def test_a_client_that_sends_and_never_reads(chat):
    """Both floods go on for everybody who reads, until the one who does not is removed."""
    d, a, b = chat
    d.configure(trace=False, more='limits = { queue = "64K"; stall = 4; };')
    d.reload()
    deaf = d.client()
    deaf.send(b"I do not hear you\n")
    for client in (a, b):
        client.expect(b"I do not hear you\n")
    data = b"".join(b"line %d\n" % n for n in range(1_200_000))
    assert exchange({a: data}, {b: len(data)})[b] == data
    d.stderr.wait_for(r"removed: took nothing for 4 seconds\n")
    talk(a, b)


def test_clients_that_send_and_never_read_do_not_hold_each_other_for_ever(chat):
    """Each fills the queue of the other, so nobody is read any more, until one is removed."""
    d, a, b = chat
    d.configure(trace=False, more='limits = { queue = "64K"; stall = 4; };')
    d.reload()
    deaf = d.clients(2)
    for client in deaf:
        client.socket.setblocking(False)
    friends = [threading.Thread(target=skip_to, args=(client, b"at last\n")) for client in (a, b)]
    for friend in friends:
        friend.start()
    while d.stderr.count(r"removed: took nothing for 4 seconds\n") == 0:
        for client in deaf:
            try:
                client.socket.send(b"I never listen\n" * 5000)
            except BlockingIOError:
                time.sleep(0.001)
            except (BrokenPipeError, ConnectionResetError):
                pass
    for client in deaf:
        client.close()
    end = d.client()
    end.send(b"at last\n")
    for friend in friends:
        friend.join(60)
        assert not friend.is_alive()


def skip_to(client, wanted):
    while client.line() not in (wanted, b""):
        pass


def test_half_closed_clients_leave(chat):
    d, a, b = chat
    for n in range(50):
        stranger = d.client()
        stranger.send(b"line %d\nand more" % n)
        stranger.finish()
        b.expect(b"line %d\nand more\n" % n)
        stranger.expect_eof()
        stranger.close()
    only_friends_left(d)


@pytest.mark.parametrize("place", ["tcp", "unix"])
def test_a_client_that_only_stops_reading_may_still_speak(start, tmp, place):
    d = start(listen=["127.0.0.1:0" if place == "tcp" else f"{tmp}/socket"])
    a, b = d.clients(2)
    a.socket.shutdown(socket.SHUT_RD)
    b.send(b"do you hear me?\n")
    for n in range(100):
        a.send(b"line %d\n" % n)
        b.expect(b"line %d\n" % n)


def test_out_of_band_data_harms_nobody(chat):
    d, a, b = chat
    stranger = d.client()
    stranger.send(b"before ")
    stranger.socket.send(b"!", socket.MSG_OOB)
    come_to_rest(d, share=0.2)  # exceptional data that nobody reads must not spin
    stranger.send(b"after\n")
    assert b.line() in (b"before after\n", b"before !after\n")
    for _ in range(1000):
        stranger.socket.send(b"!\n", socket.MSG_OOB)
    stranger.close()
    only_friends_left(d)
    a.send(b"the end\n")
    while b.line() != b"the end\n":
        pass


def test_noise_from_many_sides_at_once(chat):
    d, a, b = chat
    seed = random.randrange(1 << 32)
    print("seed", seed)
    noise = random.Random(seed)
    for _ in range(10):
        strangers = d.clients(10)
        for _ in range(20):
            stranger = noise.choice(strangers)
            try:
                stranger.send(noise.randbytes(noise.randint(1, 3000)))
                if noise.random() < 0.3:
                    stranger.send(b"\n")
            except (ConnectionResetError, BrokenPipeError):
                pass
        for stranger in strangers:
            noise.choice((stranger.close, stranger.reset))()
    only_friends_left(d)
    a.send(b"the end\n")
    while b.line() != b"the end\n":
        pass


def test_ten_thousand_idle_clients(start):
    number = 10_000
    if not raise_nofile(number + 200):
        pytest.skip("the machine allows too few descriptors")
    if resource.getrlimit(resource.RLIMIT_NOFILE)[1] < number + 200:
        pytest.skip("the machine allows the daemon too few descriptors")
    d = start(trace=False, more=f"limits = {{ clients = {number + 10}; }};")
    a, b = d.clients(2)
    before = d.status("VmRSS")
    crowd = d.clients(number)
    each = (d.status("VmRSS") - before) * 1024 / number
    print(f"{each:.0f} bytes of memory for each")
    if not SANITIZED:
        assert each <= 1000
    come_to_rest(d, seconds=1, share=0.05, at_most=1)
    a.send(b"hello, crowd\n")
    assert set(exchange({}, {client: 13 for client in [b, *crowd]}).values()) == {b"hello, crowd\n"}
    crowd[-1].send(b"hello from afar\n")
    a.expect(b"hello from afar\n")


def test_connects_and_disconnects_without_growth(start):
    """Some are closed, most reset (so that they do not use up the ports), some say a line."""
    d = start(trace=False, log=False, ready=1)
    a = Client(d.address)
    linger = struct.pack("ii", 1, 0)

    def cycles(number):
        for n in range(number):
            with socket.create_connection(d.address) as stranger:
                if n % 50 == 0:
                    stranger.sendall(b"hello and goodbye\n")
                if n % 10:
                    stranger.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            if n % 1000 == 999:
                wait_until(lambda: len(d.fds()) == 5)  # until chatd has seen them all go
        wait_until(lambda: len(d.fds()) == 5)

    cycles(CYCLES // 10)
    descriptors, memory = d.fds(), d.status("VmRSS")
    begun = time.monotonic()
    cycles(CYCLES - CYCLES // 10)
    print(f"{CYCLES} cycles, {(time.monotonic() - begun) * 1e6 / CYCLES:.0f} us each, memory",
          memory, "to", d.status("VmRSS"), "KiB")
    assert d.fds() == descriptors
    if not SANITIZED:
        assert d.status("VmRSS") - memory <= 64
    heard = a.socket.recv(1 << 20)
    assert heard == b"hello and goodbye\n" * (len(heard) // 18)
