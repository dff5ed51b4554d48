"""Every allocation is refused in turn, and memory is gone for a while, by a shim (memory.c).

Before it serves, chatd then ends with status 1 and a message. Later nobody loses a line, nobody
but a newcomer is turned away, and all goes on when memory is back. In mode chat each line bears its
name all the same; what chatd itself says to somebody may be left out.
"""

import concurrent.futures
import re
import tempfile
import time

import pytest

import chatd
import shims
from party import Party

pytestmark = [
    pytest.mark.skipif(chatd.SANITIZED, reason="sanitizers have an allocator of their own"),
    pytest.mark.skipif(bool(chatd.UNDER), reason="valgrind has an allocator of its own"),
]


class Session:
    """A life of chatd that asks for all kinds of memory."""

    def __init__(self, first=None, number=1, crowd=0, mode="lines"):
        """The first-th allocation from the start on is refused, and so many."""
        self.mode = mode
        self.folder = tempfile.TemporaryDirectory(prefix="chatd-")
        self.path = self.folder.name
        self.shim = shims.memory(self.path)
        if first:
            shims.refuse(self.shim, first, number)
        self.crowd = crowd
        self.outsiders = []
        self.party = Party(chat=mode == "chat")
        self.daemon = chatd.Daemon(self.path, listen=self.listen("old"), more=self.settings(),
                                   env=self.shim.env, ready=0)

    def listen(self, name):
        return "127.0.0.1:0", f"{self.path}/{name}"

    def settings(self, history=100000):
        more = f'mode = "chat";\nhistory = {history};\n' if self.mode == "chat" else ""
        return more + ('limits = { line = 70000; queue = 10000000; };\n'
                       'allow = [ "127.0.0.0/8" ];\ndeny = "127.9.0.0/16";\n')

    def start(self):
        """Whether it serves. If not, it has ended."""
        self.daemon.start()
        try:
            self.daemon.stderr.wait_for(r"^listening on .*/old\n")
        except AssertionError:
            assert self.daemon.stderr.ended, "it neither listens nor ends"
            return False
        self.address = self.daemon.addresses()[0]
        return True

    def join(self, address):
        """A guest comes in; it tries again where it is told that there is no memory."""
        for _ in range(20):
            since = self.daemon.stderr.mark()
            guest = self.party.add(address)
            # Outsiders come in as well, and what the log says of them may be read late.
            name = guest.connection.name
            who = re.escape(name) if name else r"unix\(.*\)"
            answer = self.daemon.stderr.wait_for(who + r" (connected|refused).*\n", since=since)
            if answer[1] == b"connected":
                return guest
            self.party.wait(lambda g=guest: g.over, lambda: "it stays")
            assert guest.received == b"chatd: out of memory\n", guest.received
        raise AssertionError("no guest comes in")

    def talk(self, **how):
        self.party.everyone_says(**how)
        self.party.catch_up()

    def live(self):
        first, second = self.join(self.address), self.join(self.address)
        slow = self.join(f"{self.path}/old")
        self.talk()
        # Lines in two parts.
        for guest in (first, second):
            guest.connection.send(b"x" * 40)
            guest.sent.append(b"x" * 40 + b" by " + guest.name.encode() + b"\n")
            self.party.expect(guest, guest.sent[-1])
        self.party.say(slow)
        self.party.wait(lambda: first.has(slow.sent[-1]), lambda: "a line is lost")
        for guest in (first, second):
            guest.connection.send(guest.sent[-1][40:])
        self.party.catch_up()
        # One who does not read, whose own lines lie between those of others.
        slow.reads = False
        for _ in range(10):
            self.party.say(first, size=70000)
        for _ in range(8):
            for guest in (slow, second):
                self.party.say(guest)
                self.party.wait(lambda g=guest: first.has(g.sent[-1]), lambda: "a line is lost")
        slow.reads = True
        self.party.catch_up()
        if self.mode == "chat":
            for guest in (first, second):
                guest.pending += b"/who\n/help\n"
            self.talk()
        self.daemon.configure(listen=self.listen("new"), more=self.settings(history=200000))
        since = self.daemon.stderr.mark()
        self.daemon.signal(1)
        self.daemon.stderr.wait_for(r"reloaded.*\n", since=since)
        for _ in range(self.crowd):
            self.outsiders.append(chatd.Client(self.address))
        self.talk()
        self.party.leave(first)
        self.join(self.address)
        self.talk()

    def end(self):
        self.daemon.stop()
        removed = [guest for guest in self.party.guests if guest.over and guest.expected
                   and guest.connection.socket.fileno() >= 0]
        assert not removed, "somebody was removed"
        self.party.check()

    def close(self):
        self.daemon.kill()
        self.party.close()
        for outsider in self.outsiders:
            outsider.close()
        self.folder.cleanup()


def all_of(numbers, check):
    """Runs check(number) for each, some at a time; fails with all that failed."""
    def one(number):
        try:
            check(number)
        except Exception as error:  # pylint: disable=broad-except
            return f"allocation {number}: {type(error).__name__}: {error}"
        return ""

    with concurrent.futures.ThreadPoolExecutor(4) as threads:
        wrong = [text for text in threads.map(one, numbers) if text]
    assert not wrong, "\n".join(wrong)


def session(first, number, crowd=0, mode="lines"):
    """One session with a fault; what the start does is another test's."""
    s = Session(first, number, crowd, mode)
    try:
        assert s.start()
        s.live()
        assert s.shim.refused > 0, "nothing was refused"
        s.end()
    except Exception as error:
        raise AssertionError(f"{error}\n{s.daemon.stderr.text()[-400:]}") from error
    finally:
        s.close()


def count(**how):
    """Allocations until it serves, and until it ends."""
    s = Session(**how)
    try:
        assert s.start()
        begin = s.shim.count
        s.live()
        end = s.shim.count
        s.end()
    finally:
        s.close()
    return begin, end


@pytest.fixture(scope="module")
def counts():
    """Allocations until it serves, and until it ends; the same with a crowd."""
    return *count(), *count(crowd=70)


@pytest.mark.parametrize("number", [1, shims.FOREVER], ids=["once", "for good"])
def test_without_memory_at_the_start_it_says_so_and_ends(counts, number):
    def check(first):
        s = Session(first, number)
        try:
            if s.start():
                # What was refused is something that can be done without.
                shims.refuse(s.shim, 1, 0)
                s.join(s.address)
                s.join(s.address)
                s.talk()
                s.end()
                return
            assert s.daemon.wait() == 1, f"status {s.daemon.process.returncode}"
            assert re.search(r"^.*: Cannot allocate memory$", s.daemon.stderr.text(), re.M), (
                s.daemon.stderr.text())
        finally:
            s.close()
    all_of(range(1, counts[0] + 1), check)


def test_an_allocation_that_is_refused_costs_nobody_a_line(counts):
    all_of(range(counts[0] + 1, counts[1] - 3), lambda first: session(first, 1))


def test_some_refused_allocations_in_a_row_cost_nobody_a_line(counts):
    all_of(range(counts[0] + 1, counts[1] - 3, 3), lambda first: session(first, 4))


def test_in_mode_chat_a_refused_allocation_costs_neither_a_line_nor_its_name():
    begin, end = count(mode="chat")
    all_of(range(begin + 1, end - 3), lambda first: session(first, 1, mode="chat"))
    all_of(range(begin + 1, end - 3, 5), lambda first: session(first, 4, mode="chat"))


def test_one_more_descriptor_than_there_is_memory_for_is_turned_away(counts):
    start, end = counts[1] - 10, counts[3] - 3
    all_of(range(start, end), lambda first: session(first, 1, crowd=70))


def test_while_memory_is_gone_it_rests_and_nobody_is_idle(start, tmp):
    shim = shims.memory(tmp)
    d = start(env=shim.env, more="limits = { idle = 1; };")
    party = Party()
    try:
        for _ in range(3):
            party.add(d.addresses()[0])
        d.stderr.wait_for(r"connected as sd 6\n")
        shims.refuse(shim, 1)
        party.everyone_says()
        party.pump(0)
        since, begin = d.stdout.mark(), time.monotonic()
        newcomer = chatd.Client(d.addresses()[0])
        assert newcomer.read_to_end() == b"chatd: out of memory\n"
        newcomer.close()
        cpu = d.cpu()
        party.wait(lambda: time.monotonic() > begin + 1.5, lambda: "")
        seconds = time.monotonic() - begin
        assert d.stdout.count("Waiting on", since) < 20 + 50 * seconds
        assert d.cpu() - cpu < seconds / 4
        assert len(party.missing()) == 6 and len(party.present()) == 3
        shims.refuse(shim, 1, 0)
        party.catch_up()
        party.check()
        assert d.stderr.count("removed") == 0
        # From here on they may well be idle for a second.
    finally:
        party.close()
