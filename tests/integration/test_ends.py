"""How connections end, and the server: nothing said is lost, nobody is cut in half a line, and who is
sent away is told why."""

import os
import random
import re
import shutil
import signal
import subprocess
import threading
import time

import pytest

from chatd import FAREWELL, Client, Output, SANITIZED, exchange, push, rush, talk, wait_until
from grammar import check_trace

DENIED = b"chatd: your address is not allowed\n"
DENY = 'deny = [ "127.0.0.2" ];\n'


def lines(text, count):
    return b"".join(b"%s %d\n" % (text, number) for number in range(count))


def split_end(heard, end=FAREWELL):
    """What was heard before the last line, which is `end`; all of it whole lines."""
    assert heard.endswith(end), f"ends with {heard[-100:]!r}"
    rest = heard[:-len(end)]
    assert not rest or rest.endswith(b"\n"), f"torn: {heard[-200:]!r}"
    return rest


def without(log, name):
    return b"".join(line for line in log.splitlines(keepends=True)
                    if not line.startswith(name + b" "))


# --- the end of the server

@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_at_the_end_all_hear_the_same_whole_lines_and_then_that_it_ends(start, number):
    d = start(more="limits = { clients = 100; };")
    talkers, listeners = d.clients(6), d.clients(20)
    names = {client: b"talker%d" % n for n, client in enumerate(talkers)}
    heard = rush([*talkers, *listeners], names, 8_000_000, lambda: d.signal(number))
    assert d.wait() == 0
    d.check_reports()
    logs = {split_end(heard[client]) for client in listeners}
    assert len(logs) == 1, "listeners heard different things"
    log = logs.pop()
    for client, name in names.items():
        assert split_end(heard[client]) == without(log, name)
        said = [line for line in log.splitlines() if line.startswith(name + b" ")]
        assert said == [b"%s %d" % (name, n) for n in range(len(said))]
    check_trace(d.stdout.text())


def test_what_is_in_a_receive_buffer_when_the_signal_comes_is_heard(start, tmp):
    d = start(listen=["127.0.0.1:0", f"{tmp}/socket"])
    talkers = d.clients(5) + d.clients(5, to=f"{tmp}/socket")
    listener = d.client()
    d.pause()
    for number, client in enumerate(talkers):
        client.send(lines(b"talker%d" % number, 3000))
    late = d.client(wait=False)  # connected, not accepted
    late.send(lines(b"late", 100))
    gone = d.client(wait=False)
    gone.send(lines(b"gone", 100))
    gone.close()
    d.signal(signal.SIGTERM)
    d.resume()
    everything = rush([*talkers, listener, late], {}, 0, lambda: None)
    heard = split_end(everything[listener])
    assert d.wait() == 0
    spoken = [(b"talker%d" % number, 3000) for number in range(10)] + [(b"late", 100), (b"gone", 100)]
    for name, count in spoken:
        said = [line for line in heard.splitlines(keepends=True) if line.startswith(name + b" ")]
        assert b"".join(said) == lines(name, count)
    assert len(heard.splitlines()) == 10 * 3000 + 200
    for client in [*talkers, late]:
        split_end(everything[client])
    check_trace(d.stdout.text(), listener=4)


def test_a_listener_that_was_asleep_hears_all_before_the_end(start):
    """Nothing is cut at the end of the server, as long as the reader takes it in time."""
    d = start(trace=False, more='limits = { queue = "16M"; };')
    speaker, sleeper = d.clients(2)
    third = d.client()
    data = lines(b"a line of some length, so that it is not too many of them", 150_000)
    exchange({speaker: data}, {third: len(data)})
    d.signal(signal.SIGTERM)
    assert split_end(sleeper.read_to_end()) == data
    assert d.wait() == 0


def test_a_talker_with_a_megabyte_in_flight_is_told_of_the_end(start):
    d = start(trace=False)
    talker, _ = d.clients(2)  # the second one never reads
    push(talker, lines(b"flood", 1_000_000), quiet=0.1)
    d.signal(signal.SIGTERM)
    talker.expect_farewell()
    d.stop()  # the second signal: no need to wait for who never reads


def test_idle_clients_do_not_delay_the_end(start, tmp):
    d = start(listen=["127.0.0.1:0", f"{tmp}/socket"], more="limits = { clients = 200; };")
    clients = d.clients(100) + d.clients(20, to=f"{tmp}/socket")
    begun = time.monotonic()
    d.signal(signal.SIGTERM)
    for client in clients:
        client.expect_farewell()
    print("the end took", time.monotonic() - begun, "s")
    assert time.monotonic() - begun < 4  # it would wait five seconds for what is not delivered
    assert d.wait() == 0
    d.check_reports()
    check_trace(d.stdout.text(), listener=4)
    removed = re.findall(r"removing connection with sd (\d+) \n", d.stdout.text())
    assert removed == [str(sd) for sd in range(5, 125)]


def test_the_end_while_many_connect(start):
    """Each is either told that the server ends, or never came in."""
    d = start(more="limits = { clients = 2000; };", log=False)
    over, told, refused, wrong = threading.Event(), [], [], []

    def connect():
        while not over.is_set():
            try:
                client = Client(d.address)
                client.send(b"hello\n")
                heard = client.read_to_end()
                (told if heard.endswith(FAREWELL) else refused if not heard else wrong).append(heard)
                client.close()
            except OSError:
                return

    threads = [threading.Thread(target=connect) for _ in range(100)]
    for thread in threads:
        thread.start()
    d.stdout.wait_for(r"New incoming connection", count=20)
    d.signal(signal.SIGTERM)
    assert d.wait() == 0
    over.set()
    for thread in threads:
        thread.join()
    assert len(told) >= 20 and not wrong, wrong[:3]
    check_trace(d.stdout.text())


def test_nc_shows_that_the_server_ends(start):
    if not shutil.which("nc"):
        pytest.skip("nc is missing")
    d = start()
    with subprocess.Popen(["nc", "127.0.0.1", str(d.port)], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE) as nc:
        shown = Output(os.dup(nc.stdout.fileno()))
        d.stderr.wait_for(r"connected as sd 4\n")
        d.stop()
        shown.wait_for(r"^chatd: the server ends\n")
        nc.kill()


# --- who is sent away

def deny(d, **how):
    d.configure(more=DENY + how.pop("more", ""), **how)
    d.reload()


def test_who_is_sent_away_with_a_backlog_hears_whole_lines_and_why(start):
    more = 'limits = { queue = "16M"; };'
    d = start(trace=False, more=more)
    speaker, witness = d.clients(2)
    sleepers = d.clients(10, source="127.0.0.2", window=8192)
    data = lines(b"a line that will be torn if it is cut anywhere", 200_000)
    exchange({speaker: data}, {witness: len(data)})
    deny(d, trace=False, more=more)
    for sleeper in sleepers:
        heard = split_end(sleeper.read_to_end(), DENIED)
        assert data.startswith(heard) and len(heard) < len(data)
    talk(speaker, witness)


@pytest.mark.parametrize("where", ["tcp", "unix"])
def test_who_says_too_long_a_line_with_a_backlog_hears_whole_lines_and_why(start, tmp, where):
    listen = "127.0.0.1:0" if where == "tcp" else f"{tmp}/socket"
    d = start(listen=[listen], trace=False, more='limits = { line = 1000; queue = "16M"; };')
    speaker, witness, culprit = d.client(), d.client(), d.client(window=8192)
    data = lines(b"a line that will be torn if it is cut anywhere", 200_000)
    exchange({speaker: data}, {witness: len(data)})
    culprit.send(b"x" * 2000)
    d.stderr.wait_for(r" removed: line too long")
    heard = split_end(culprit.read_to_end(), b"chatd: line too long, at most 1000 bytes\n")
    assert data.startswith(heard) and len(heard) < len(data)
    talk(speaker, witness)


@pytest.mark.parametrize("where", ["tcp", "unix"])
def test_who_is_sent_away_with_a_megabyte_in_flight_hears_why(start, tmp, where):
    listen = "127.0.0.1:0" if where == "tcp" else f"{tmp}/socket"
    d = start(listen=[listen], more="limits = { line = 1000; };")
    clients = d.clients(20)
    for client in clients:
        client.send(b"x" * 1_000_000)  # to its end, without a reset
        assert client.read_to_end() == b"chatd: line too long, at most 1000 bytes\n"
        client.close()
    d.stdout.wait_for(r"removing connection", count=20)
    received = sum(int(n) for n in re.findall(r"(\d+) bytes received", d.stdout.text()))
    assert received <= 20_000_000
    d.stop()
    check_trace(d.stdout.text())


def test_two_hundred_who_are_sent_away_at_once_are_all_told(start):
    limits = "limits = { clients = 300; };"
    d = start(more=limits, log=False)
    a, b = d.clients(2)
    crowd = d.clients(200, source="127.0.0.2")
    a.send(b"hello\n")
    for client in [b, *crowd]:
        client.expect(b"hello\n")
    deny(d, log=False, more=limits)
    for client in crowd:
        assert client.read_to_end() == DENIED
    talk(a, b)
    wait_until(lambda: len(d.fds()) == 6)
    d.stop()
    check_trace(d.stdout.text())


def test_those_who_never_close_after_they_are_sent_away_take_no_place_and_no_time(start):
    d = start(more="limits = { clients = 2; line = 100; };")
    a, b = d.clients(2)
    others = []
    for _ in range(20):
        others.append(d.client(wait=False))
        assert others[-1].read_to_end() == b"chatd: too many clients, at most 2\n"
    b.send(b"x" * 101)
    assert b.read_to_end() == b"chatd: line too long, at most 100 bytes\n"
    wait_until(lambda: d.fds().keys() <= {0, 1, 2, 3, 4})
    c = d.client()
    talk(a, c)
    d.stop()
    check_trace(d.stdout.text())


def test_who_reads_nothing_and_closes_nothing_is_gone_after_two_seconds(start):
    more = 'limits = { queue = "16M"; };'
    d = start(more=more, trace=False)
    speaker, witness = d.clients(2)
    d.client(source="127.0.0.2", window=4096)
    data = lines(b"more than the kernel keeps", 200_000)
    exchange({speaker: data}, {witness: len(data)})
    begun, cpu = time.monotonic(), d.cpu()
    deny(d, trace=False, more=more)
    wait_until(lambda: len(d.fds()) == 6)
    assert time.monotonic() - begun < 10
    assert d.cpu() - cpu < 0.2 or SANITIZED
    talk(speaker, witness)


def test_who_floods_on_after_it_was_sent_away_is_gone_before_long(start):
    d = start(more="limits = { line = 100; };", trace=False)
    a, b, flooder = d.clients(3)
    begun = time.monotonic()
    try:
        while time.monotonic() - begun < 20:
            flooder.send(b"x" * 100_000)
    except (ConnectionResetError, BrokenPipeError):
        pass
    assert time.monotonic() - begun < 10
    d.stderr.wait_for(r" removed: line too long")
    talk(a, b)


# --- who goes by itself

def test_what_a_client_said_before_it_reset_its_connection_is_heard(start):
    d = start()
    a, b = d.clients(2)
    d.pause()
    a.send(lines(b"last words", 3000))
    a.reset()
    d.resume()
    b.expect(lines(b"last words", 3000))
    d.stdout.wait_for(r"Connection closed for sd 4\nremoving connection with sd 4 \n")
    d.stop()
    check_trace(d.stdout.text())


def test_what_a_client_said_is_heard_though_a_send_to_it_fails_first(start, tmp):
    """It holds everybody up, so it is not read; then it resets, and the send sees that first."""
    d = start(trace=False, more='limits = { queue = "64K"; stall = 100; };')
    flooder, witness, mute = d.client(), d.client(), d.client(window=8192)
    data = lines(b"flood", 2_000_000)
    sent = push(flooder, data, quiet=0.3)
    assert sent < len(data)
    mute.send(lines(b"last words", 3000))
    mute.reset()
    flooder.close()
    heard = b""
    while b"last words 2999\n" not in heard[-30_000:] or b"flood" not in heard:
        heard += witness.line()
    said = [line for line in heard.splitlines(keepends=True) if line.startswith(b"last words")]
    assert b"".join(said) == lines(b"last words", 3000)


def test_a_half_closed_client_is_removed_when_all_was_offered(start):
    d = start()
    a, b = d.clients(2)
    a.send(b"the last li")
    a.finish()
    b.expect(b"the last li\n")
    a.expect_eof()
    d.stdout.wait_for(r"Connection closed for sd 4\nremoving connection with sd 4 \n")


def test_memory_for_unfinished_lines_goes_back(start):
    d = start(trace=False, log=False, listen=["127.0.0.1:0"],
              more='limits = { line = "1M"; clients = 200; };')
    d.log = False
    before = d.status("VmRSS")
    crowd = [d.client(wait=False) for _ in range(100)]
    for client in crowd:
        client.send(b"x" * 900_000)
    wait_until(lambda: d.status("VmRSS") > before + 80_000)
    for client in crowd:
        client.reset()
    wait_until(lambda: len(d.fds()) == 4)
    if not SANITIZED:
        wait_until(lambda: d.status("VmRSS") < before + 8_000)


# --- storms

def storm(d, seconds, seed):
    """Clients come, speak, overflow, reset, half-close and go, in any order. Returns who stays."""
    dice = random.Random(seed)
    over = time.monotonic() + seconds
    crowd = []
    while time.monotonic() < over:
        deed = dice.randrange(10)
        if deed < 3 and len(crowd) < 60:
            crowd.append(d.client(wait=False, source=f"127.0.0.{dice.choice([1, 2])}"))
            crowd[-1].socket.setblocking(False)
            continue
        if not crowd:
            continue
        client = dice.choice(crowd)
        try:
            if deed < 7:
                client.socket.send(b"hello\n" * dice.randrange(1, 200))
                client.socket.recv(1 << dice.randrange(2, 18))
                continue
            if deed == 7:
                client.socket.send(b"x" * dice.choice([1, 101, 5000, 200_000]))
                continue
            if deed == 8:
                client.finish()
        except BlockingIOError:
            continue
        except OSError:
            pass
        crowd.remove(client)
        client.reset() if dice.randrange(2) else client.close()
    return crowd


@pytest.mark.parametrize("seed", [1, 2])
def test_the_trace_of_a_storm_keeps_its_grammar(start, tmp, seed):
    """The trace goes into a file, which takes all of it: a pipe that is full would cost lines."""
    limits = 'limits = { clients = 40; line = 100; queue = "16K"; stall = 1; idle = 1; };'
    trace = open(f"{tmp}/trace", "w+", encoding="ascii")  # pylint: disable=consider-using-with
    d = start(more=limits, log=False, stdout=trace.fileno())
    crowd = storm(d, 0.5, seed)
    deny(d, more=limits, log=False)
    crowd += storm(d, 0.5, seed + 100)
    d.configure(more=limits, log=False)
    d.reload()
    crowd += storm(d, 0.5, seed + 200)
    rush(crowd, {}, 0, lambda: d.signal(signal.SIGTERM))
    assert d.wait() == 0
    d.check_reports()
    with trace:
        trace.seek(0)
        text = trace.read()
    check_trace(text)
    print(text.count("New incoming"), "came,", text.count("bytes received"), "reads")
