"""What chatd tells systemd through sd_notify(3)."""

import os
import re
import signal
import time

import pytest

from chatd import Client, NotifySocket, free_port, needs_systemd


def test_ready_is_told_once_every_socket_listens(start, notify, tmp):
    one, two = free_port(), free_port()
    start(env=notify.env, ready=0,
          listen=[f"127.0.0.1:{one}", f"127.0.0.1:{two}", f"{tmp}/socket"])
    notify.wait_for("READY=1")
    for address in (("127.0.0.1", one), ("127.0.0.1", two), f"{tmp}/socket"):
        Client(address).close()


def test_ready_is_told_to_an_abstract_socket_too(start):
    notify = NotifySocket(f"@chatd-test-{os.getpid()}")
    start(env=notify.env)
    notify.wait_for("READY=1")
    notify.close()


def test_the_managers_descriptor_lies_above_those_of_all_clients(start, notify):
    d = start(env=notify.env, more="limits = { clients = 50; };")
    assert d.client().sd == 4
    others = set(d.fds()) - {0, 1, 2, 3, 4}
    assert len(others) == 1 and min(others) > 3 + 50


def test_a_failed_start_is_not_ready(start, notify):
    d = start(env=notify.env, listen=["/nonexistent/socket"], ready=0)
    assert d.wait() == 1
    notify.socket.setblocking(False)
    with pytest.raises(BlockingIOError):
        while True:
            assert b"READY=1" not in notify.socket.recv(65536)


@pytest.mark.parametrize("address", ["", "/nonexistent/notify", "relative", "@gone"])
def test_without_somebody_who_listens_the_chat_works(start, address):
    d = start(env={"NOTIFY_SOCKET": address, "FDSTORE": "0", "WATCHDOG_USEC": "20000"})
    a, b = d.clients(2)
    a.send(b"hello\n")
    b.expect(b"hello\n")


def test_the_status_tells_clients_and_lines(start, notify):
    d = start(env=notify.env)
    a, b = d.clients(2)
    for number in range(5):
        a.send(b"one\ntwo\n")
        b.expect(b"one\ntwo\n")
    # Only one a second, but the last one is true.
    status = notify.wait_for(r"STATUS=.*\b2 clients.*\b10 lines.*")
    print(status)
    a.close()
    notify.wait_for(r"STATUS=.*\b1 client\b.*\b10 lines.*")
    b.close()
    notify.wait_for(r"STATUS=.*\b(0|no) clients.*\b10 lines.*")


def test_the_status_is_told_at_most_once_a_second(start, notify):
    d = start(env=notify.env, trace=False)
    a, b = d.clients(2)
    begun = time.monotonic()
    number = 0
    while time.monotonic() - begun < 2.5:
        a.send(b"%d\n" % number)
        b.expect(b"%d\n" % number)
        number += 1
    took = time.monotonic() - begun
    d.close_clients()
    d.stop()
    seen = 0
    notify.socket.setblocking(False)
    try:
        while True:
            seen += notify.socket.recv(65536).count(b"STATUS=")
    except BlockingIOError:
        pass
    # One at the start and one at the end may be beside those of each second.
    assert 2 <= seen <= took + 3


def test_a_quiet_daemon_tells_nothing(start, notify):
    d = start(env=notify.env)
    d.clients(2)
    notify.wait_for(r"STATUS=.*2 clients.*")
    with pytest.raises(TimeoutError):
        print(notify.message(within=1.5))


@pytest.mark.parametrize("accepted", [True, False])
def test_a_reload_is_told_with_its_time_and_ready_follows(start, notify, accepted):
    d = start(env=notify.env)
    notify.wait_for("READY=1")
    if not accepted:
        d.write("port = 0;")
    for _ in range(3):
        before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        d.signal(signal.SIGHUP)
        lines = notify.wait_for("RELOADING=1")
        stamp = next(int(line[15:]) for line in lines if line.startswith("MONOTONIC_USEC="))
        after = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        assert before <= stamp <= after
        notify.wait_for("READY=1")
    d.stderr.wait_for("reloaded", count=3)


def test_a_hangup_without_a_file_is_told_as_the_end(start, notify):
    d = start(args=[str(free_port())], env=notify.env)
    notify.wait_for("READY=1")
    d.signal(signal.SIGHUP)
    notify.wait_for("STOPPING=1")
    assert d.wait() == 0


def with_own_pid():
    """WATCHDOG_PID has to be chatd's, which only its own process knows before."""
    needs_systemd()
    return ["sh", "-c", 'WATCHDOG_PID=$$; export WATCHDOG_PID; exec "$@"', "sh"]


def test_the_watchdog_is_fed_at_half_its_time(start, notify):
    start(env={**notify.env, "WATCHDOG_USEC": "600000"}, under=with_own_pid())
    notify.wait_for("READY=1")
    notify.wait_for("WATCHDOG=1")
    times = []
    for _ in range(7):
        notify.wait_for("WATCHDOG=1")
        times.append(time.monotonic())
    gaps = sorted(after - before for before, after in zip(times, times[1:]))
    print(gaps)
    assert 0.2 < gaps[3] < 0.45  # the middle one, so that one slow moment of the machine is none


def test_the_watchdog_is_fed_while_everybody_talks(start, notify):
    d = start(env={**notify.env, "WATCHDOG_USEC": "600000"}, under=with_own_pid(), trace=False)
    a, b = d.clients(2)
    notify.socket.setblocking(False)
    begun, fed = time.monotonic(), 0
    while time.monotonic() - begun < 2:
        a.send(b"line\n")
        b.expect(b"line\n")
        try:
            fed += notify.socket.recv(65536).count(b"WATCHDOG=1")
        except BlockingIOError:
            pass
    assert 3 <= fed <= 1 + (time.monotonic() - begun) / 0.3


def test_the_watchdog_of_another_process_is_left_alone(start, notify):
    start(env={**notify.env, "WATCHDOG_USEC": "100000", "WATCHDOG_PID": "1"})
    notify.wait_for("READY=1")
    begun = time.monotonic()
    while time.monotonic() - begun < 0.7:
        try:
            assert "WATCHDOG=1" not in notify.message(within=0.2)
        except TimeoutError:
            pass


def test_without_a_watchdog_none_is_fed(start, notify):
    d = start(env={**notify.env, "WATCHDOG_USEC": None, "WATCHDOG_PID": None})
    d.client()
    notify.wait_for(r"STATUS=.*1 client.*")
    d.stop()
    assert "WATCHDOG=1" not in notify.wait_for("STOPPING=1")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_end_is_told(start, notify, number):
    d = start(env=notify.env)
    notify.wait_for("READY=1")
    d.signal(number)
    notify.wait_for("STOPPING=1")
    assert d.wait() == 0


def test_a_reload_is_not_told_as_an_end(start, notify):
    d = start(env=notify.env)
    notify.wait_for("READY=1")
    d.signal(signal.SIGHUP)
    seen = notify.wait_for("RELOADING=1") + notify.wait_for("READY=1")
    assert "STOPPING=1" not in seen
    d.stop()
    notify.wait_for("STOPPING=1")


def test_messages_are_well_formed(start, notify):
    d = start(env={**notify.env, "WATCHDOG_USEC": "100000"}, under=with_own_pid())
    d.client()
    d.reload()
    d.stop()
    notify.socket.setblocking(False)
    seen = b""
    try:
        while True:
            seen += notify.socket.recv(65536).rstrip(b"\n") + b"\n"
    except BlockingIOError:
        pass
    for line in seen.decode().splitlines():
        assert re.fullmatch(r"(READY|RELOADING|STOPPING|WATCHDOG)=1|MONOTONIC_USEC=\d+|MAINPID=\d+"
                            r"|STATUS=[ -~]+", line), line


def test_a_manager_that_does_not_read_does_not_stop_the_chat(start, notify):
    """A busy systemd lets messages wait; there is room for a few only."""
    d = start(env={**notify.env, "WATCHDOG_USEC": "10000"}, under=with_own_pid(), trace=False)
    a, b = d.clients(2)
    begun = time.monotonic()
    while time.monotonic() - begun < 1.5:
        a.send(b"line\n")
        b.expect(b"line\n")
