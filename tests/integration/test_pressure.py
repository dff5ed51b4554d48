"""Readers that are slow, stop, resume or die: nothing is lost for anybody who reads, nobody is
stalled for long, memory stays bounded."""

import re
import threading
import time

import pytest

from chatd import SANITIZED, come_to_rest, exchange, push, talk

QUEUE = 64 * 1024
# More than the kernel keeps for a reader, on TCP (megabytes) and on a unix socket.
FLOOD = 24_000_000
FLOOD_UNIX = 4_000_000


def speech(name, size):
    """About `size` bytes of numbered lines of different lengths."""
    lines, total, number = [], 0, 0
    while total < size:
        lines.append(b"%s %d %s\n" % (name, number, b"x" * (number * 7919 % 400)))
        total += len(lines[-1])
        number += 1
    return b"".join(lines)


def check(heard, spoken):
    """Every line of every sender arrived, once, whole and in its order.

    spoken: {name: what it said}."""
    parts = {name: [] for name in spoken}
    for line in heard.splitlines(keepends=True):
        parts[line.split(b" ", 1)[0]].append(line)
    for name, lines in parts.items():
        assert b"".join(lines) == spoken[name], f"lines of {name} are missing, torn or in disorder"


class Slowly(threading.Thread):
    """Reads `length` bytes in portions with pauses before them; result() is what came."""

    def __init__(self, client, length, portion, pause):
        super().__init__(daemon=True)
        self.client, self.length, self.portion, self.pause = client, length, portion, pause
        self.heard, self.error = bytearray(), None
        self.start()

    def run(self):
        try:
            while len(self.heard) < self.length:
                time.sleep(self.pause)
                wanted = min(self.portion, self.length - len(self.heard))
                portion = self.client.read(wanted)
                assert len(portion) == wanted, "cut off by chatd"
                self.heard += portion
        except (AssertionError, OSError) as error:
            self.error = error

    def result(self):
        self.join(120)
        assert not self.is_alive(), f"{len(self.heard)} of {self.length} bytes came"
        assert self.error is None, self.error
        return bytes(self.heard)


@pytest.fixture(params=["tcp", "unix"])
def place(request, tmp):
    """Where to listen, and how much it takes to fill a reader that does not read."""
    return ("127.0.0.1:0", FLOOD) if request.param == "tcp" else (f"{tmp}/socket", FLOOD_UNIX)


def test_a_stalled_reader_holds_the_senders_back_and_nothing_is_lost(start, place):
    listen, size = place
    d = start(listen=[listen], trace=False, more=f"limits = {{ queue = {QUEUE}; }};")
    sender, fast, stalled = d.clients(3)
    data = speech(b"s", size)
    sent = push(sender, data)
    assert sent < len(data), "nobody was held back"
    heard = exchange({sender: data[sent:]}, {fast: len(data), stalled: len(data)})
    assert heard == {fast: data, stalled: data}
    talk(sender, fast, stalled)


def test_while_one_reader_is_stalled_the_others_have_all_that_was_read(start):
    d = start(more=f"limits = {{ queue = {QUEUE}; }};")
    sender, fast, stalled = d.clients(3)
    data = speech(b"s", FLOOD)
    sent = push(sender, data)
    read = sum(int(n) for n in re.findall(r"^(\d+) bytes received", d.stdout.text(), re.M))
    whole = data.rfind(b"\n", 0, read) + 1
    fast.expect(data[:whole])
    assert sent < len(data)
    stalled.close()  # and that lets everybody go on at once
    assert exchange({sender: data[sent:]}, {fast: len(data) - whole})[fast] == data[whole:]


def test_a_reader_that_takes_nothing_is_removed_and_the_others_go_on(start, place):
    listen, size = place
    d = start(listen=[listen], trace=False, more=f"limits = {{ queue = {QUEUE}; stall = 4; }};")
    sender, fast, stalled = d.clients(3)
    data = speech(b"s", size)
    begun = time.monotonic()
    assert exchange({sender: data}, {fast: len(data)})[fast] == data
    assert time.monotonic() - begun >= 3.9
    name = re.escape(stalled.name or "unix")
    d.stderr.wait_for(name + r".* removed: took nothing for 4 seconds\n")
    assert d.stderr.count(r"removed: ") == 1
    rest = stalled.read_to_end()
    assert data.startswith(rest.removesuffix(b"chatd: took nothing for 4 seconds\n"))
    talk(sender, fast)


def test_several_stalled_readers_are_removed_in_one_stall_time(start):
    d = start(trace=False, more=f"limits = {{ queue = {QUEUE}; stall = 4; }};")
    sender, fast = d.clients(2)
    d.clients(30, window=4096)
    data = speech(b"s", FLOOD)
    begun = time.monotonic()
    assert exchange({sender: data}, {fast: len(data)})[fast] == data
    assert time.monotonic() - begun < 90  # not thirty times four seconds
    d.stop()
    told = d.stderr.count(r"removed: took nothing for 4 seconds\n")
    more = re.findall(r"^\.\.\. and (\d+) more removed$", d.stderr.text(), re.M)
    assert told + sum(map(int, more)) == 30


def test_a_stalled_reader_below_the_limit_is_left_alone(start, tmp):
    """A terminal that is stopped in a quiet chat may sleep as long as it likes."""
    d = start(listen=[f"{tmp}/socket"], trace=False, more="limits = { queue = 10000000; stall = 1; };")
    sender, stalled = d.clients(2)
    data = speech(b"s", 3_000_000)  # more than the kernel keeps, less than the limit
    sender.send(data)
    time.sleep(2.5)
    stalled.expect(data)


def test_a_reader_that_takes_a_part_of_what_waits_does_not_stop_the_chat(start, place):
    listen, size = place
    d = start(listen=[listen], trace=False, more="limits = { queue = 100000000; };")
    a, b = d.clients(2)
    sleepy = d.client()
    data = speech(b"s", size)
    exchange({a: data}, {b: len(data)})
    sleepy.read(size // 4)  # chatd may write now, but not all that waits
    for _ in range(10):
        talk(a, b)
    sleepy.expect(data[size // 4:] + b"hello\n" * 20)


def test_a_reader_that_takes_a_little_now_and_then_is_not_removed(start):
    """Not enough to make the socket writable for chatd, but it does take: nothing may be lost."""
    d = start(trace=False, more="limits = { stall = 4; };")
    sender, slow = d.client(), d.client(window=65536)
    data = speech(b"s", FLOOD // 2)
    sent = push(sender, data)
    heard = b""
    for _ in range(90):
        time.sleep(0.1)
        heard += slow.socket.recv(20_000)
    heard += exchange({sender: data[sent:]}, {slow: len(data) - len(heard)})[slow]
    assert heard == data
    assert d.stderr.count("removed: ") == 0


def test_readers_that_stop_and_resume_get_every_line(start, place):
    listen, size = place
    d = start(listen=[listen], trace=False, more=f"limits = {{ queue = {QUEUE}; stall = 10; }};")
    sender, fast, *nappers = d.clients(4)
    data = speech(b"s", size)
    naps = [Slowly(client, len(data), len(data) // 8, 0.2) for client in nappers]
    assert exchange({sender: data}, {fast: len(data)})[fast] == data
    for nap in naps:
        assert nap.result() == data


@pytest.mark.parametrize("how", ["close", "reset"])
def test_a_reader_that_dies_in_the_middle_harms_nobody(start, place, how):
    listen, size = place
    d = start(listen=[listen], trace=False, more=f"limits = {{ queue = {QUEUE}; }};")
    sender, fast, *mortals = d.clients(6)
    data = speech(b"s", size)
    sent = push(sender, data, quiet=0.3)
    assert sent < size
    for number, mortal in enumerate(mortals):
        mortal.read(1000 * number)
        mortal.close() if how == "close" else mortal.reset()
    assert exchange({sender: data[sent:]}, {fast: len(data)})[fast] == data
    d.stderr.wait_for(r"disconnected from sd", count=4)
    talk(sender, fast)


def test_last_words_are_heard_though_nobody_could_be_read_when_they_were_said(start, place):
    """The one who spoke is gone when chatd reads it, and could not be written to before."""
    listen, size = place
    d = start(listen=[listen], trace=False, more=f"limits = {{ queue = {QUEUE}; }};")
    flooder, stalled, *leaving = d.clients(6)
    data = speech(b"s", size)
    sent = push(flooder, data)
    assert sent < size
    for client in leaving:
        client.send(b"last words\n")
        client.close()
    end = b"the end\n"
    heard = exchange({flooder: data[sent:] + end}, {stalled: size + len(leaving) * 11})[stalled]
    while not heard.endswith(end):
        heard += stalled.line()
    assert heard.count(b"last words\n") == len(leaving)
    assert heard.replace(b"last words\n", b"") == data + end


def test_senders_that_close_right_after_sending_are_heard_in_full_by_a_slow_reader(start, place):
    listen, _ = place
    d = start(listen=[listen], trace=False, more=f"limits = {{ queue = {QUEUE}; clients = 200; }};")
    slow, fast = d.clients(2)
    # As much as the kernel takes at once from one who does not wait for it to arrive.
    spoken = {b"%d" % n: speech(b"%d" % n, 30_000) for n in range(150)}
    total = sum(map(len, spoken.values()))
    nap = Slowly(slow, total, 100_000, 0.02)
    hearing = Slowly(fast, total, 1 << 20, 0)
    for data in spoken.values():
        sender = d.client()
        sender.send(data)
        sender.close()
    heard = hearing.result()
    check(heard, spoken)
    assert nap.result() == heard


def test_many_senders_and_many_slow_readers(start):
    d = start(trace=False, more=f"limits = {{ queue = {QUEUE}; stall = 20; }};")
    senders, readers = d.clients(10), d.clients(10)
    spoken = {b"%d" % n: speech(b"%d" % n, 1_000_000) for n in range(10)}
    total = sum(map(len, spoken.values()))
    naps = [Slowly(reader, total, total // (n + 3), 0.1) for n, reader in enumerate(readers)]
    own = dict(zip(senders, spoken.values()))
    heard = exchange(own, {sender: total - len(data) for sender, data in own.items()})
    everything = naps[0].result()
    check(everything, spoken)
    for nap in naps:
        assert nap.result() == everything
    for number, sender in enumerate(senders):
        prefix = b"%d " % number
        assert heard[sender] == b"".join(
            line for line in everything.splitlines(keepends=True) if not line.startswith(prefix))


def test_everybody_sends_first_and_reads_later(start, tmp):
    """Each is a sender held back and a reader that is late at the same time."""
    d = start(listen=[f"{tmp}/socket"], trace=False,
              more=f"limits = {{ queue = {QUEUE}; stall = 20; }};")
    clients = d.clients(5)
    spoken = {b"%d" % n: speech(b"%d" % n, 2_000_000) for n in range(5)}
    rest = {client: data[push(client, data, quiet=0.1):]
            for client, data in zip(clients, spoken.values())}
    assert any(rest.values())
    total = sum(map(len, spoken.values()))
    wants = {client: total - len(data) for client, data in zip(clients, spoken.values())}
    heard = exchange(rest, wants)
    for client, own in zip(clients, spoken):
        check(heard[client], {name: data for name, data in spoken.items() if name != own})


def test_memory_stays_bounded_in_a_flood(start):
    """64 MB to 10 readers, one of them slow: what waits is limits.queue and one pass at most,
    and it waits once, not for each reader."""
    d = start(trace=False, more='limits = { queue = "1M"; };')
    sender, slow, *fast = d.clients(11)
    talk(sender, slow)
    for client in fast:
        client.expect(b"hello\nhello\n")
    before = d.status("VmHWM")
    data = speech(b"s", 8_000_000) * 8
    nap = Slowly(slow, len(data), 1_000_000, 0.02)
    heard = exchange({sender: data}, {client: len(data) for client in fast})
    for client in fast:
        assert heard[client] == data
    assert nap.result() == data
    grown = d.status("VmHWM") - before
    print("peak memory grew by", grown, "KiB")
    if not SANITIZED:
        assert grown <= 2 * 1024 + 512  # twice the limit and some room


def test_memory_stays_bounded_when_many_have_something_to_say_at_once(start, tmp):
    """One pass brings no more than about limits.queue, however many are readable in it."""
    d = start(listen=[f"{tmp}/socket"], trace=False, more='limits = { queue = "256K"; };')
    senders, stalled = d.clients(20), d.client()
    talk(senders[0], stalled)
    for client in senders[1:]:
        client.expect(b"hello\nhello\n")
    before = d.status("VmHWM")
    spoken = {b"%d" % number: speech(b"%d" % number, 500_000) for number in range(20)}
    rest = {}
    d.pause()
    for sender, data in zip(senders, spoken.values()):
        rest[sender] = data[push(sender, data, quiet=0.05):]
    assert all(rest.values())
    d.resume()
    total = sum(map(len, spoken.values()))
    wants = {sender: total - len(data) for sender, data in zip(senders, spoken.values())}
    heard = exchange(rest, {**wants, stalled: total})
    check(heard[stalled], spoken)
    grown = d.status("VmHWM") - before
    print("peak memory grew by", grown, "KiB")
    if not SANITIZED:
        assert grown <= 2 * 256 + 20 * 16 + 512  # twice the limit, a line for each, some room


def test_an_unfinished_line_keeps_no_memory_alive_with_each_byte(start, tmp):
    """The room for the rest of it must not be given up for a few bytes that wait for a reader."""
    d = start(listen=[f"{tmp}/socket"], trace=False, more='limits = { line = "1M"; };')
    _, holder, speaker = d.clients(3)  # the first one never reads
    for _ in range(50):
        speaker.send(b"x" * 9999 + b"\n")
        holder.read(10_000)
    holder.send(b"y" * 900_000)
    speaker.send(b"\n")
    holder.read(1)
    before = d.status("VmHWM")
    for _ in range(1500):
        holder.send(b"z")
        speaker.send(b"\n")
        holder.read(1)
    grown = d.status("VmHWM") - before
    print("peak memory grew by", grown, "KiB")
    if not SANITIZED:
        assert grown <= 4 * 1024


def test_memory_does_not_grow_from_flood_to_flood(start, tmp):
    d = start(listen=[f"{tmp}/socket"], trace=False, more=f"limits = {{ queue = {QUEUE}; }};")
    sender, reader = d.clients(2)
    data = speech(b"s", FLOOD_UNIX)
    peaks = []
    for _ in range(8):
        sent = push(sender, data, quiet=0.05)
        assert exchange({sender: data[sent:]}, {reader: len(data)})[reader] == data
        peaks.append(d.status("VmHWM"))
    if not SANITIZED:
        assert peaks[-1] - peaks[1] <= 256, peaks


def test_new_clients_are_served_while_one_reader_is_stalled(start):
    d = start(trace=False, more=f"limits = {{ queue = {QUEUE}; clients = 4; }};")
    sender, stalled = d.clients(2)
    data = speech(b"s", FLOOD)
    sent = push(sender, data)
    assert sent < len(data)
    newcomers = d.clients(2)
    since = d.stderr.mark()
    late = [d.client(wait=False) for _ in range(3)]  # whoever finds no place waits for one
    for client in newcomers:
        client.close()
    d.stderr.wait_for(r" connected as sd", count=2, since=since)
    for client in late:
        client.close()
    d.stderr.wait_for(r" disconnected from sd", count=5, since=since)
    assert d.stderr.count("refused") == 0
    assert exchange({sender: data[sent:]}, {stalled: len(data)})[stalled] == data
    talk(sender, stalled, d.client())


def test_a_reload_with_a_larger_queue_lets_the_senders_go_on(start, tmp):
    path = f"{tmp}/socket"
    d = start(listen=[path], trace=False, more=f"limits = {{ queue = {QUEUE}; }};")
    sender, stalled = d.clients(2)
    data = speech(b"s", FLOOD_UNIX)
    sent = push(sender, data)
    assert sent < len(data)
    d.configure(listen=[path], trace=False, more='limits = { queue = "64M"; };')
    d.reload()
    sender.send(data[sent:])
    stalled.expect(data)


def test_a_reload_with_a_shorter_stall_removes_the_stalled_reader(start, tmp):
    path = f"{tmp}/socket"
    d = start(listen=[path], trace=False, more=f"limits = {{ queue = {QUEUE}; stall = 3600; }};")
    sender, fast, _ = d.clients(3)
    data = speech(b"s", FLOOD_UNIX)
    hearing = Slowly(fast, len(data), 1 << 20, 0)  # all the while, or it would be stalled as well
    sent = push(sender, data)
    assert sent < len(data)
    d.configure(listen=[path], trace=False, more=f"limits = {{ queue = {QUEUE}; stall = 4; }};")
    d.reload()
    sender.send(data[sent:])
    assert hearing.result() == data
    d.stderr.wait_for(r"removed: took nothing for 4 seconds\n")


def test_while_the_pool_is_held_who_is_silent_is_idle_and_who_is_not_read_is_not(start, tmp):
    def settings(idle):
        return {"listen": [f"{tmp}/socket"], "trace": False,
                "more": f"limits = {{ queue = {QUEUE}; stall = 3600; idle = {idle}; }};"}

    d = start(**settings(3600))
    sender, stalled, held = d.clients(3)
    data = speech(b"s", FLOOD_UNIX)
    sent = push(sender, data)
    assert sent < len(data)
    held.send(b"I said something\n")
    d.configure(**settings(2))  # once all has happened that may take longer
    d.reload()
    d.stderr.wait_for(r"unix.* removed: idle for 2 seconds\n")
    d.configure(**settings(3600))
    d.reload()
    assert exchange({sender: data[sent:]}, {held: len(data)})[held] == data
    assert d.stderr.count("removed: ") == 1
    sender.expect(b"I said something\n")
    talk(sender, held)
    heard = stalled.read_to_end().removesuffix(b"chatd: idle for 2 seconds\n")
    assert data.startswith(heard) and heard.endswith(b"\n")


def test_holding_the_senders_back_costs_no_cpu(start, tmp):
    d = start(listen=[f"{tmp}/socket"], trace=False, more=f"limits = {{ queue = {QUEUE}; }};")
    sender, _, third = d.clients(3)
    data = speech(b"s", FLOOD_UNIX)
    assert push(sender, data) < len(data)
    third.finish()  # an end of file that may not be read yet must not spin either
    come_to_rest(d, seconds=1)
