"""Who holds everybody up: it is named, has to take something in time, and the others go on at its
pace meanwhile."""

import re
import threading
import time

from chatd import PATIENCE, exchange, push, talk, wait_until
from test_pressure import FLOOD_UNIX, QUEUE, speech


def flood_from(sender):
    """A thread that sends for as long as it can."""
    def send():
        try:
            while True:
                sender.socket.send(b"flood, flood, flood\n" * 3000)
        except OSError:
            pass
    threading.Thread(target=send, daemon=True).start()


def take(client, rate, until):
    """Read `rate` bytes a second until until(). Returns what came, in pieces of a 20th."""
    heard = bytearray()
    client.socket.settimeout(0.05)
    begun, deadline = time.monotonic(), time.monotonic() + PATIENCE
    while not until():
        assert time.monotonic() < deadline
        due = int(rate * (time.monotonic() - begun)) - len(heard)
        try:
            heard += client.socket.recv(max(due, 1)) if due > 0 else b""
        except TimeoutError:
            continue
        time.sleep(0.02)  # the pace
    client.socket.settimeout(PATIENCE)
    return bytes(heard)


def test_a_client_that_holds_everybody_up_and_takes_too_little_is_removed(start):
    d = start(trace=False, more=f"limits = {{ queue = {QUEUE}; lag = 2; }};")
    sender, slow = d.client(), d.client(window=8192)
    flood_from(sender)
    told = re.escape(slow.name) + r" removed: held everybody up for 2 seconds\n"
    heard = take(slow, 10_000, lambda: d.stderr.count(told))
    heard += slow.read_to_end()
    end = b"\nchatd: held everybody up for 2 seconds\n"
    assert heard.endswith(end) and set(heard[:-len(end)].split(b"\n")) == {b"flood, flood, flood"}
    assert d.stderr.count(re.escape(slow.name) + r" holds everybody up\n") == 1
    assert d.stderr.count(r"removed: ") == 1


def test_a_client_that_holds_everybody_up_and_takes_enough_stays(start):
    d = start(trace=False, more='limits = { queue = "256K"; lag = 2; };')
    sender, slow = d.client(), d.client(window=65536)
    flood_from(sender)
    begun = time.monotonic()
    heard = take(slow, 1_000_000, lambda: time.monotonic() > begun + 6.5)  # three windows
    assert len(heard) > 2_000_000
    assert d.stderr.count(r"removed: ") == 0
    assert d.stderr.count(re.escape(slow.name) + r" holds everybody up\n") >= 1


def test_without_a_lag_limit_who_takes_a_little_stays(start):
    d = start(trace=False, more=f"limits = {{ queue = {QUEUE}; lag = 0; }};")
    sender, slow = d.client(), d.client(window=8192)
    flood_from(sender)
    d.stderr.wait_for(r" holds everybody up\n")
    begun = time.monotonic()
    take(slow, 10_000, lambda: time.monotonic() > begun + 2.5)
    assert d.stderr.count(r"removed: ") == 0


def test_who_holds_everybody_up_is_named_once_and_again_when_it_has_caught_up(start, tmp):
    d = start(listen=[f"{tmp}/socket"], trace=False, more=f"limits = {{ queue = {QUEUE}; }};")
    sender, slow = d.clients(2)
    data = speech(b"s", FLOOD_UNIX)
    for times in (1, 2):
        sent = push(sender, data, quiet=0.1)
        d.stderr.wait_for(r"^unix.* holds everybody up\n", count=times)
        assert d.stderr.count(r" has caught up\n") == times - 1
        assert exchange({sender: data[sent:]}, {slow: len(data)})[slow] == data
        d.stderr.wait_for(r"^unix.* has caught up\n", count=times)
    assert d.stderr.count(r" holds everybody up\n") == 2
    assert d.stderr.count("removed") == 0


def test_who_holds_everybody_up_for_less_than_a_second_is_not_named(start, tmp):
    d = start(listen=[f"{tmp}/socket"], trace=False, more=f"limits = {{ queue = {QUEUE}; }};")
    sender, reader = d.clients(2)
    data = speech(b"s", FLOOD_UNIX)
    deadline = time.monotonic() + PATIENCE
    while True:  # until the machine is fast enough for what this is about
        assert time.monotonic() < deadline
        since, begun = d.stderr.mark(), time.monotonic()
        sent = push(sender, data, quiet=0.05)
        assert sent < len(data)
        rest = data[sent:data.index(b"\n", sent) + 1]
        said = sent + len(rest)
        assert exchange({sender: rest}, {reader: said})[reader] == data[:said]
        talk(sender, reader)
        if time.monotonic() - begun < 1:
            break
    assert d.stderr.count("everybody|caught up", since) == 0


def test_a_silent_client_is_idle_beside_a_slow_reader(start):
    d = start(trace=False, more=f"limits = {{ queue = {QUEUE}; idle = 2; }};")
    sender, slow, silent = d.client(), d.client(window=65536), d.client()
    flood_from(sender)
    heard = []
    reader = threading.Thread(target=lambda: heard.append(silent.read_to_end()))
    reader.start()
    until = re.escape(silent.name) + r" removed: idle for 2 seconds\n"

    def speak():
        slow.socket.send(b"I am slow, not idle\n")
        return d.stderr.count(until)

    take(slow, 500_000, speak)
    assert d.stderr.count(r"removed: ") == 1
    reader.join(PATIENCE)
    assert heard[0].endswith(b"\nchatd: idle for 2 seconds\n")


def test_the_others_go_on_at_the_pace_of_a_slow_reader(start):
    """They are not silent until half of what waits is gone. A clock would measure the machine, so
    this counts what the slow one takes from when a line is sent until another one has it."""
    d = start(trace=False)  # with the limits of the program: 1 MiB may wait
    flooder, slow, polite, friend = d.client(), d.client(), d.client(), d.client()
    flood_from(flooder)
    over = threading.Event()
    taken, heard = [0], []

    def take_slowly():
        begun = time.monotonic()
        while not over.is_set():
            due = int(100_000 * (time.monotonic() - begun)) - taken[0]
            taken[0] += len(slow.socket.recv(due)) if due > 0 else 0
            time.sleep(0.02)  # the pace

    def take_all(client, see):
        rest = b""
        while data := client.socket.recv(1 << 20):
            *whole, rest = (rest + data).split(b"\n")
            see(whole)

    def listen(whole):
        heard.extend(taken[0] for line in whole if line.startswith(b"polite"))

    for target, args in ((take_slowly, ()), (take_all, (polite, len)), (take_all, (friend, listen))):
        threading.Thread(target=quietly, args=(target, *args), daemon=True).start()
    d.stderr.wait_for(r" holds everybody up\n")
    took = []
    for number in range(1, 6):
        before = taken[0]
        polite.socket.send(b"polite line\n")
        wait_until(lambda count=number: len(heard) >= count, within=2 * PATIENCE)
        took.append(heard[-1] - before)
    over.set()
    d.kill()
    print("meanwhile the slow one took", sorted(took))
    assert sorted(took)[2] < 400_000, took  # more than a MB when nobody was read until half was gone


def quietly(target, *args):
    """Runs it until its connection ends."""
    try:
        target(*args)
    except OSError:
        pass


def test_while_the_pool_is_held_the_end_of_a_silent_client_is_seen(start, tmp):
    d = start(listen=[f"{tmp}/socket"], more=f"limits = {{ queue = {QUEUE}; }};")
    sender, stalled, silent, talker = d.clients(4)
    data = speech(b"s", FLOOD_UNIX)
    sent = push(sender, data, quiet=0.1)
    assert sent < len(data)
    talker.send(b"words\n")  # which wait for the next step
    talker.close()
    silent.close()
    d.stdout.wait_for(r"removing connection with sd 6 \n")
    assert d.stdout.count(r"removing connection") == 1
    heard = exchange({sender: data[sent:]}, {stalled: len(data) + 6})[stalled]
    assert heard.count(b"words\n") == 1 and heard.replace(b"words\n", b"") == data
    d.stdout.wait_for(r"removing connection with sd 7 \n")
    sender.expect(b"words\n")
