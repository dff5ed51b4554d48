"""What an administrator asks for: SIGUSR1, and a terminal that closes."""

import signal
import subprocess

import pytest

from chatd import CHATD, PATIENCE, free_port, push, wait_until


def report(d):
    """Asks for a report. Returns its lines."""
    since = d.stderr.mark()
    d.signal(signal.SIGUSR1)
    d.stderr.wait_for(r"report: .*\n", since=since)
    count = int(d.stderr.text()[since:].split("report: ")[1].split()[0])
    d.stderr.wait_for(r"(sd \d+|and \d+ more clients?).*\n", min(count, 101), since=since)
    return d.stderr.text()[since:].splitlines()


def test_the_report_says_who_is_here_and_what_was_said(start):
    d = start(log=False)
    a, b = d.clients(2)
    a.send(b"one\ntwo\n")
    b.expect(b"one\ntwo\n")
    first, *clients = report(d)
    assert first.startswith("report: 2 clients, 2 lines, up for ")
    assert first.endswith(" s, nobody holds")
    assert sorted(line.rsplit(" for ", 1)[0] for line in clients) == sorted([
        f"sd 4 {a.name}, 2 lines, 0 bytes wait, silent", f"sd 5 {b.name}, 0 lines, 0 bytes wait, silent"])
    a.send(b"three\n")
    b.expect(b"three\n")


def test_the_report_names_who_holds_and_shows_those_for_whom_most_waits_first(start):
    d = start(log=False, more='limits = { queue = "64K"; };')
    speaker, idle, slow = d.clients(3)
    idle.finish()
    push(speaker, b"0123456789abcde\n" * 1_000_000)
    first, *clients = report(d)
    assert first.endswith("1 holds everybody up")
    assert clients[0].startswith(f"sd 6 {slow.name}, 0 lines, ")
    assert clients[0].endswith("holds everybody up")
    assert not any("holds" in line for line in clients[1:])


def test_the_report_ends_after_a_hundred_clients(start):
    d = start(log=False)
    d.clients(100)
    assert len(report(d)) == 101
    d.clients(1)
    lines = report(d)
    assert len(lines) == 102
    assert lines[-1] == "and 1 more client"


@pytest.fixture
def plain():
    """chatd PORT, without a file."""
    begun = []

    def begin(*before):
        port = free_port()
        d = subprocess.Popen([*before, CHATD, str(port)], stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE, text=True)
        begun.append(d)
        wait_until(lambda: "Waiting" in d.stdout.readline())
        return d

    yield begin
    for d in begun:
        d.kill()
        d.communicate()


def test_without_a_file_a_terminal_that_closes_ends_chatd(plain):
    d = plain()
    d.send_signal(signal.SIGHUP)
    assert d.wait(PATIENCE) == 0


def test_where_hangups_were_ignored_they_still_are(plain):
    d = plain("/bin/sh", "-c", 'trap "" HUP; exec "$@"', "sh")
    d.send_signal(signal.SIGHUP)
    d.send_signal(signal.SIGUSR1)
    assert any("report: 0 clients" in d.stderr.readline() for _ in range(5))
    assert d.poll() is None
