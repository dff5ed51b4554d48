"""Signals: an orderly end, and none that disturbs the chat."""

import os
import re
import signal
import threading
import time

import pytest

from chatd import FAREWELL, exchange, push, wait_until


def received(d):
    """Bytes that chatd has read from its clients, as the trace tells."""
    return sum(int(n) for n in re.findall(r"^(\d+) bytes received", d.stdout.text(), re.M))


def fill(speaker):
    """Let `speaker` talk until chatd reads no more, as nobody takes it. Returns the bytes sent,
    a part of which chatd has not read yet."""
    return push(speaker, b"0123456789abcde\n" * 2_000_000)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_end_removes_every_client_and_gives_status_0(start, number):
    d = start()
    clients = d.clients(5)
    d.stdout.wait_for(r"MaxFd 8\n")
    since = d.stdout.mark()
    d.stop(number)
    passes = r"(Waiting on select\(\)\.\.\.\nMaxFd 8\n)+"
    removing = "".join(f"removing connection with sd {sd} \n" for sd in range(4, 9))
    assert re.fullmatch(passes + removing, d.stdout.text()[since:])
    for client in clients:
        client.expect_farewell()
    assert d.stderr.count(r"disconnected from sd \d+: ") == 5


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_end_without_clients_takes_no_time(start, number):
    d = start()
    d.stdout.wait_for(r"MaxFd 3\n")
    before = d.stdout.text()
    d.stop(number)
    assert d.stdout.text() == before


def test_what_waits_for_a_slow_reader_is_still_written_at_the_end(start):
    d = start(more='limits = { queue = "256K"; };')
    speaker, reader = d.clients(2)
    fill(speaker)
    read = received(d)
    d.signal(signal.SIGTERM)
    heard = reader.read_to_end()
    assert d.wait() == 0
    d.check_reports()
    # All that was read before the signal, and what came in steps after it; whole lines only.
    assert heard.endswith(FAREWELL)
    lines = (len(heard) - len(FAREWELL)) // 16
    assert heard == b"0123456789abcde\n" * lines + FAREWELL
    assert lines >= read // 16


def test_the_end_does_not_wait_for_ever_for_a_reader_that_sleeps(start):
    d = start(more='limits = { queue = "256K"; };')
    speaker, _ = d.clients(2)
    fill(speaker)
    d.stop(within=20)
    assert d.stdout.count(r"^removing connection with sd [45] \n") == 2


def test_a_second_signal_cuts_the_end_short(start):
    d = start(more='limits = { queue = "256K"; };')
    speaker, _ = d.clients(2)
    fill(speaker)
    begun = time.monotonic()
    d.signal(signal.SIGTERM)
    time.sleep(0.3)
    assert d.running(), "it should still offer what waits"
    d.signal(signal.SIGINT)
    d.stdout.wait_for(r"^removing connection with sd [45] \n", count=2)
    assert time.monotonic() - begun < 4, "the second signal did not hurry it"  # which takes five
    assert d.wait() == 0
    d.check_reports()
    assert d.stdout.count(r"^removing connection with sd [45] \n") == 2


def test_a_hold_stays_in_force_at_the_end_and_then_nobody_is_accepted_or_heard(start, tmp):
    """Also not when what waits is less than the limit again."""
    path = f"{tmp}/socket"  # which takes less at once than waits
    d = start(listen=[path], more='limits = { queue = "2M"; };')
    speaker, reader, third = d.clients(3)
    fill(speaker)
    third.send(b"too late\n")  # not read, since the reader holds everybody back
    d.signal(signal.SIGTERM)
    wait_until(lambda: 3 not in d.fds())
    with pytest.raises(FileNotFoundError):
        d.client(wait=False)
    third.close()  # it takes no part in what is written now
    heard = reader.read_to_end()
    assert heard.endswith(b"\n" + FAREWELL) and b"too late" not in heard
    assert d.wait() == 0
    assert d.stdout.count("New incoming connection") == 3


def test_what_was_sent_before_the_signal_to_end_is_heard(start):
    d = start()
    a, b = d.clients(2)
    d.pause()
    a.send(b"in time\n")
    late = d.client(wait=False)
    late.send(b"me too\n")
    d.signal(signal.SIGTERM)
    d.resume()
    assert d.wait() == 0
    assert b.read_to_end() == b"in time\nme too\n" + FAREWELL
    assert a.read_to_end() == b"me too\n" + FAREWELL
    assert late.read_to_end() == b"in time\n" + FAREWELL


def test_a_hangup_during_the_end_does_not_bring_it_back(start, notify):
    d = start(more='limits = { queue = "256K"; };', env=notify.env)
    speaker, reader = d.clients(2)
    fill(speaker)
    d.signal(signal.SIGTERM)
    notify.wait_for("STOPPING=1")
    d.signal(signal.SIGHUP)
    reader.read_to_end()  # it goes on writing all the same
    assert d.wait() == 0
    assert d.stderr.count("listening on") == 1
    assert d.stderr.count("reloaded") == 0
    notify.socket.setblocking(False)
    with pytest.raises(BlockingIOError):
        while True:
            assert b"READY=1" not in notify.socket.recv(65536)


def test_a_line_that_is_unfinished_at_the_end_is_dropped(start):
    d = start()
    a, b = d.clients(2)
    a.send(b"unfin")
    d.stdout.wait_for(r"5 bytes received from sd 4\n")
    d.stop()
    a.expect_farewell()
    b.expect_farewell()


def test_broken_pipes_do_not_end_it(start):
    d = start()
    a, b, c = d.clients(3)
    for _ in range(10):
        d.signal(signal.SIGPIPE)
        b.send(b"x\n")
        a.expect(b"x\n")
        c.expect(b"x\n")
    c.reset()
    b.send(b"y\n")
    a.expect(b"y\n")


@pytest.mark.parametrize("number", [signal.SIGWINCH, signal.SIGCHLD, signal.SIGCONT, signal.SIGURG,
                                    signal.SIGHUP])
def test_a_storm_of_signals_disturbs_nothing(start, number):
    d = start(trace=False)
    a, b, c = d.clients(3)
    over = threading.Event()

    def storm():
        while not over.is_set():
            os.kill(d.pid, number)
            time.sleep(0.0001)

    thread = threading.Thread(target=storm)
    thread.start()
    try:
        data = b"".join(b"line %d\n" % n for n in range(500_000))
        heard = exchange({a: data, b: data}, {c: 2 * len(data), a: len(data), b: len(data)})
        late = d.client()
    finally:
        over.set()
        thread.join()
    assert heard[a] == heard[b] == data
    assert sorted(heard[c].splitlines()) == sorted(data.splitlines() * 2)
    late.send(b"end\n")
    for client in (a, b, c):
        client.expect(b"end\n")


def test_a_stopped_daemon_continues_where_it_was(start):
    d = start()
    a, b = d.clients(2)
    d.pause()
    a.send(b"while you slept\n")
    waiting = d.client(wait=False)
    d.resume()
    b.expect(b"while you slept\n")
    waiting.send(b"me too\n")
    b.expect(b"me too\n")


@pytest.mark.parametrize("number", [signal.SIGALRM, signal.SIGVTALRM])
def test_no_other_signal_is_swallowed(start, number):
    """They end it as they end every program: none of them means anything to chatd."""
    d = start()
    d.signal(number)
    assert d.wait() == -number


def test_without_a_successor_the_signal_to_leave_ends_it(start):
    """Nobody keeps anything for the next chatd: then it is a signal to end like any other."""
    d = start()
    a = d.client()
    d.signal(signal.SIGUSR2)
    a.expect(b"chatd: the server ends\n")
    a.close()
    assert d.wait() == 0
