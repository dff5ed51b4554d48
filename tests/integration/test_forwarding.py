"""What one client says reaches all others: whole lines, unchanged, in one order for everybody."""

import random
import socket

import pytest

from chatd import SANITIZED, exchange, has_ipv6, raise_nofile, wait_until


def test_a_line_reaches_the_other_client(start):
    a, b = start().clients(2)
    a.send(b"hello\r\n")
    b.expect(b"hello\r\n")
    b.send(b"hello yourself\r\n")
    a.expect(b"hello yourself\r\n")


def test_a_line_reaches_every_other_client(start):
    clients = start().clients(10)
    for number, speaker in enumerate(clients):
        line = b"from %d\n" % number
        speaker.send(line)
        for other in clients:
            if other is not speaker:
                other.expect(line)


def test_nobody_hears_an_echo(start):
    a, b = start().clients(2)
    for number in range(20):
        a.send(b"mine %d\n" % number)
        b.expect(b"mine %d\n" % number)
        b.send(b"yours %d\n" % number)
        a.expect(b"yours %d\n" % number)  # the first thing a hears: no line of its own before


def test_a_client_alone_hears_nothing(start):
    d = start()
    a = d.client()
    a.send(b"is there anybody?\n")
    d.stdout.wait_for(r"bytes received from sd 4")
    b = d.client()
    b.send(b"now there is\n")
    a.expect(b"now there is\n")
    a.send(b"fine\n")
    b.expect(b"fine\n")  # and no line from before b came


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r\r\n", b"\n\r\n"])
def test_line_ends_stay_as_they_were_sent(start, end):
    a, b = start().clients(2)
    data = end.join([b"one", b"two", b"", b"four", b""])
    a.send(data)
    b.expect(data)


def test_empty_lines_are_lines(start):
    a, b = start().clients(2)
    a.send(b"\n\n\r\n\n")
    b.expect(b"\n\n\r\n\n")


def test_every_byte_value_is_forwarded_unchanged(start):
    a, b = start().clients(2)
    data = bytes(range(256)) * 16 + b"\n"
    a.send(data)
    b.expect(data)


def test_random_bytes_are_forwarded_unchanged(start):
    seed = random.randrange(1 << 32)
    print("seed", seed)
    noise = random.Random(seed)
    a, b, c = start().clients(3)
    data = noise.randbytes(500_000)
    data = b"\n".join(data[at:at + 5000] for at in range(0, len(data), 5000)) + b"\n"
    pieces, at = [], 0
    while at < len(data):
        pieces.append(data[at:at + noise.randint(1, 20000)])
        at += len(pieces[-1])
    for piece in pieces:
        a.send(piece)
    assert exchange({}, {b: len(data), c: len(data)}) == {b: data, c: data}


def test_lines_may_be_torn_anywhere_and_only_whole_ones_are_forwarded(start):
    d = start()
    a, b, fence = d.clients(3)
    data = b"one\r\ntwo\n\n\r\nlonger line, number five\r\n\0\n"
    for cut in range(1, len(data)):
        since = d.stdout.mark()
        a.send(data[:cut])
        d.stdout.wait_for(rf"{cut} bytes received from sd {a.sd}\n", since=since)
        fence.send(b"fence\n")
        whole = data[:cut].rfind(b"\n") + 1
        b.expect(data[:whole] + b"fence\n")
        a.expect(b"fence\n")
        a.send(data[cut:])
        b.expect(data[whole:])
    for other in (b, fence):
        other.send(b"end\n")
    a.expect(b"end\nend\n")


def test_one_byte_at_a_time_makes_whole_lines(start):
    d = start()
    a, b, fence = d.clients(3)
    for at, byte in enumerate(b"slow\r\n"):
        since = d.stdout.mark()
        a.send(bytes([byte]))
        d.stdout.wait_for(rf"1 bytes received from sd {a.sd}\n", since=since)
        if byte != 10:
            fence.send(b"fence %d\n" % at)
            b.expect(b"fence %d\n" % at)
    b.expect(b"slow\r\n")


def test_lines_of_different_clients_never_mix(start):
    d = start()
    a, b, c = d.clients(3)
    for speaker, piece in ((a, b"a-one "), (b, b"b-one "), (a, b"a-two "), (b, b"b-two ")):
        since = d.stdout.mark()
        speaker.send(piece)
        d.stdout.wait_for(rf"6 bytes received from sd {speaker.sd}\n", since=since)
    b.send(b"b-end\n")
    c.expect(b"b-one b-two b-end\n")
    a.send(b"a-end\n")
    c.expect(b"a-one a-two a-end\n")


def test_many_lines_in_one_piece_all_arrive(start):
    a, b = start().clients(2)
    data = b"".join(b"line %d\n" % number for number in range(5000))
    assert exchange({a: data}, {b: len(data)})[b] == data


@pytest.mark.parametrize("last, completed", [
    (b"unfinished", b"unfinished\n"),
    (b"carriage\r", b"carriage\r\n"),
    (b"\0", b"\0\n"),
    (b"whole\nand a bit", b"whole\nand a bit\n"),
    (b"whole\n", b"whole\n"),
    (b"", b""),
])
def test_an_unfinished_last_line_is_completed_at_end_of_file(start, last, completed):
    a, b, fence = start().clients(3)
    if last:
        a.send(last)
    a.finish()
    a.expect_eof()
    fence.send(b"fence\n")
    b.expect(completed + b"fence\n")


def test_an_unfinished_line_is_completed_when_it_came_long_before_the_end(start):
    d = start()
    a, b = d.clients(2)
    a.send(b"part")
    d.stdout.wait_for(rf"4 bytes received from sd {a.sd}\n")
    a.close()
    b.expect(b"part\n")


@pytest.mark.parametrize("kind", ["tcp", "unix"])
def test_an_unfinished_line_is_completed_when_its_client_closes_without_reading(start, tmp, kind):
    """What it has not read makes its close a reset."""
    d = start(listen=["127.0.0.1:0", f"{tmp}/s"])
    b = d.client()
    a = d.client(to=d.addresses()[kind == "unix"])
    b.send(b"for nobody\n")
    wait_until(lambda: a.socket.recv(100, socket.MSG_PEEK) == b"for nobody\n")
    a.send(b"whole\npart")
    a.close()
    b.expect(b"whole\npart\n")


def test_a_client_that_closes_right_after_sending_is_heard_in_full(start):
    d = start(trace=False)
    b = d.client()
    data = b"".join(b"last words %d\n" % number for number in range(2000)) + b"end"
    for _ in range(20):
        a = d.client()
        a.send(data)
        a.close()
        b.expect(data + b"\n")


def test_a_half_closed_client_gets_what_already_waits_for_it(start):
    d = start()
    b, a = d.clients(2)
    d.pause()  # one pass is to read both: first the line of b, then the end of a
    b.send(b"farewell\n")
    a.finish()
    d.resume()
    a.expect(b"farewell\n")
    a.expect_eof()


def test_a_line_at_the_limit_passes(start):
    a, b = start(more="limits = { line = 100; };").clients(2)
    for line in (b"x" * 99 + b"\n", b"x" * 98 + b"\r\n"):
        a.send(line)
        b.expect(line)
    a.send((b"y" * 99 + b"\n") * 50)
    b.expect((b"y" * 99 + b"\n") * 50)


def test_a_line_at_the_limit_passes_when_it_comes_in_pieces(start):
    d = start(more="limits = { line = 100; };")
    a, b = d.clients(2)
    for cut in (1, 50, 98, 99):
        since = d.stdout.mark()
        a.send(b"x" * cut)
        d.stdout.wait_for(rf"{cut} bytes received from sd {a.sd}\n", since=since)
        a.send(b"x" * (99 - cut) + b"\n")
        b.expect(b"x" * 99 + b"\n")


def test_a_line_far_longer_than_one_read_passes_where_the_limit_allows_it(start):
    a, b = start(more='limits = { line = "256K"; };').clients(2)
    line = b"0123456789abcde " * (256 * 1024 // 16)
    line = line[:-1] + b"\n"
    assert exchange({a: b"short\n" + line + b"short\n"}, {b: len(line) + 12})[b] \
        == b"short\n" + line + b"short\n"


def test_a_line_one_past_the_limit_ends_the_client_and_is_not_forwarded(start):
    d = start(more="limits = { line = 100; };")
    a, b, fence = d.clients(3)
    a.send(b"good\n" + b"x" * 100 + b"\n" + b"never\n")
    assert a.read_to_end() == b"chatd: line too long, at most 100 bytes\n"
    fence.send(b"fence\n")
    b.expect(b"good\nfence\n")
    d.stderr.wait_for(r"127\.0\.0\.1:\d+ removed: line too long, at most 100 bytes\n")


def test_an_unfinished_last_line_at_the_limit_is_completed(start):
    a, b = start(more="limits = { line = 100; };").clients(2)
    a.send(b"x" * 99)
    a.close()
    b.expect(b"x" * 99 + b"\n")


def test_an_unfinished_last_line_one_past_the_limit_is_not(start):
    d = start(more="limits = { line = 100; };")
    a, b, fence = d.clients(3)
    a.send(b"x" * 100)
    a.finish()
    assert a.read_to_end() == b"chatd: line too long, at most 100 bytes\n"
    fence.send(b"fence\n")
    b.expect(b"fence\n")


def test_the_default_limit_of_a_line_is_8192_bytes(start):
    a, b, c = start().clients(3)
    a.send(b"x" * 8191 + b"\n")
    b.expect(b"x" * 8191 + b"\n")
    a.send(b"x" * 8192 + b"\n")
    assert a.read_to_end() == b"chatd: line too long, at most 8192 bytes\n"
    c.send(b"fence\n")
    b.expect(b"fence\n")


def test_a_hundred_clients_talk_at_once_and_all_see_the_same_order(start):
    d = start(trace=False)
    number, each = 100, 50 if SANITIZED else 100
    clients = d.clients(number)
    observer = d.client()
    speech = {client: b"".join(b"%d: line %d of %d\r\n" % (n, line, n) for line in range(each))
              for n, client in enumerate(clients)}
    total = sum(map(len, speech.values()))
    wants = {client: total - len(speech[client]) for client in clients}
    heard = exchange(speech, {**wants, observer: total})

    everything = heard[observer].splitlines(keepends=True)
    assert len(everything) == number * each
    for n, client in enumerate(clients):
        prefix = b"%d: " % n
        assert b"".join(l for l in everything if l.startswith(prefix)) == speech[client]
        assert heard[client] == b"".join(l for l in everything if not l.startswith(prefix))
    observer.send(b"over\n")
    for client in clients:
        client.expect(b"over\n")  # and nothing twice


def test_more_than_1024_clients_are_served(start):
    number = 1100
    if not raise_nofile(number + 100):
        pytest.skip("the machine allows too few descriptors")
    # The soft limit of a login shell: chatd must raise it by itself.
    d = start(more=f"limits = {{ clients = {number}; }};",
              under=["sh", "-c", 'ulimit -Sn 1024; exec "$@"', "sh"])
    clients = d.clients(number)
    assert max(d.fds()) > 1024
    for speaker in (clients[0], clients[-1], clients[number // 2]):
        others = [client for client in clients if client is not speaker]
        speaker.send(b"to everybody\n")
        heard = exchange({}, {other: 13 for other in others})
        assert set(heard.values()) == {b"to everybody\n"}
    d.stdout.wait_for(rf"^MaxFd {max(d.fds())}\n")
    for client in clients[10:]:
        client.close()
    d.stdout.wait_for(r"^removing connection with sd ", count=number - 10)
    clients[0].send(b"still here\n")
    clients[9].expect(b"still here\n")


@pytest.mark.skipif(not has_ipv6(), reason="no IPv6 here")
def test_ipv4_and_ipv6_clients_talk_to_each_other(start):
    d = start(listen=["[::]:0"])
    four = d.client(to=("127.0.0.1", d.port))
    six = d.client(to=("::1", d.port))
    four.send(b"from four\n")
    six.expect(b"from four\n")
    six.send(b"from six\n")
    four.expect(b"from six\n")


def test_unix_and_tcp_clients_talk_to_each_other(start, tmp):
    d = start(listen=["127.0.0.1:0", f"{tmp}/socket"])
    tcp = d.client()
    local = d.client(to=f"{tmp}/socket")
    tcp.send(b"from tcp\n")
    local.expect(b"from tcp\n")
    local.send(b"from a unix socket\n")
    tcp.expect(b"from a unix socket\n")
