"""Guests who talk through one chatd, and the account of every line.

The rule for every guest: it receives each line that any other guest sends while it is there, whole,
once, and in one order that is the same for all. Faults may take a guest away; then chatd closes its
connection, and only then may lines of it be missing, or those that it was still to get.

In mode chat each guest has a name, and each line that it receives begins with the name of the one
who said it; the lines of chatd itself are looked at, and do not count.
"""

import itertools
import re
import select
import time

import chatd


class Guest:
    def __init__(self, name, address):
        self.name = name
        self.connection = chatd.Client(address)
        self.connection.socket.setblocking(False)
        self.received = bytearray()
        self.whole = 0       # so many bytes of what it received are whole lines
        self.heard = []      # these, as somebody has said them
        self.sent = []       # its lines
        self.expected = []   # lines of others, in the order in which they were sent
        self.awaited = {}    # those of them that have not come yet: who says them
        self.pending = bytearray()
        self.sd = None
        self.over = False    # chatd ended the connection
        self.reads = True

    def port(self):
        name = self.connection.socket.getsockname()
        return name[1] if isinstance(name, tuple) else None

    def expect(self, speaker, line):
        self.expected.append((speaker, line))
        self.awaited[line] = speaker

    def take(self, piece):
        """What has come: only what is new is looked at, since much may come in many pieces."""
        self.received += piece
        end = self.received.rfind(b"\n", len(self.received) - len(piece)) + 1
        if end == 0:
            return
        lines = bytes(self.received[self.whole:end]).splitlines(keepends=True)
        self.whole = end
        for line in filter(None, map(self.said, lines)):
            self.heard.append(line)
            self.awaited.pop(line, None)

    def said(self, line):
        return line

    def has(self, line):
        """Whether it has received a line that it is to get."""
        return line not in self.awaited

    def lines(self):
        """All that it has received. The last one may have no end."""
        rest = bytes(self.received[self.whole:])
        return [*self.heard, rest] if rest else list(self.heard)

    def send_some(self):
        try:
            sent = self.connection.socket.send(self.pending)
        except BlockingIOError:
            return
        except OSError:  # it was removed; what was sent before may still wait to be read
            self.pending.clear()
            return
        del self.pending[:sent]

    def receive_some(self):
        try:
            piece = self.connection.socket.recv(1 << 16)
        except BlockingIOError:
            return
        except OSError:
            piece = b""
        self.take(piece)
        self.over = self.over or not piece


class NamedGuest(Guest):
    """A guest of mode chat, called pN from its first line on."""

    def __init__(self, name, address):
        super().__init__(name, address)
        self.pending += b"/name " + self.called().encode() + b"\n"

    def called(self):
        return "p" + self.name.removeprefix("guest")

    def said(self, line):
        """What another guest has said, in the history too, and last words."""
        if line.startswith(b"* "):
            return None
        if line.startswith(b"chatd: "):
            return line
        said = re.fullmatch(rb"([A-Za-z][\w-]{0,14}): (.*\n)", line, re.S)
        assert said, f"{self.name} got {line!r}, which bears no name"
        speaker = re.search(rb"guest(\d+)(?: says |\n)", said[2])
        assert speaker and said[1] == b"p" + speaker[1], f"{line!r} bears a wrong name"
        return said[2]

    def lines(self):
        return list(self.heard)


class Party:
    def __init__(self, chat=False):
        self.guests = []
        self.numbers = itertools.count()
        self.kind = NamedGuest if chat else Guest

    def present(self):
        return [guest for guest in self.guests if not guest.over]

    def add(self, address):
        guest = self.kind(f"guest{next(self.numbers)}", address)
        self.guests.append(guest)
        return guest

    def leave(self, guest, reset=False):
        """The guest goes of its own will; what it has received is checked with the others'."""
        guest.over = True
        if reset:
            guest.connection.reset()
        else:
            guest.connection.close()

    def say(self, guest, size=64):
        line = f"{guest.name} says {next(self.numbers)} ".encode().ljust(size - 1, b".") + b"\n"
        guest.sent.append(line)
        guest.pending += line
        self.expect(guest, line)

    def expect(self, guest, line):
        """The others are to get this line of the guest's."""
        for other in self.present():
            if other is not guest:
                other.expect(guest, line)

    def everyone_says(self, **how):
        for guest in self.present():
            self.say(guest, **how)

    def missing(self):
        """What is still to come: [(to whom, from whom, line)]."""
        return [(guest.name, speaker.name, line) for guest in self.present()
                for line, speaker in guest.awaited.items() if not speaker.over]

    def pump(self, timeout):
        """Send and receive what is possible now, or within timeout."""
        guests = {guest.connection.socket: guest for guest in self.present()}
        writers = [s for s, guest in guests.items() if guest.pending]
        readers = [s for s, guest in guests.items() if guest.reads]
        readable, writable, _ = select.select(readers, writers, [], timeout)
        for each in writable:
            guests[each].send_some()
        for each in readable:
            guests[each].receive_some()

    def wait(self, true, what, within=chatd.PATIENCE):
        """Talk on until true()."""
        deadline = time.monotonic() + within
        while not true():
            assert time.monotonic() < deadline, f"not within {within} s: {what()}"
            self.pump(0.02)

    def catch_up(self, within=chatd.PATIENCE):
        """Until everyone has everything."""
        self.wait(lambda: not self.missing(), lambda: f"lines are lost: {self.missing()[:5]}",
                  within)

    def check(self):
        """Whole lines, each once, in one order for all."""
        everything = {line for guest in self.guests for line in guest.sent}
        logs = []
        for guest in self.guests:
            lines = guest.lines()
            if lines and guest.over and not lines[-1].endswith(b"\n"):
                lines.pop()  # cut off with the connection
            if lines and guest.over and lines[-1].startswith(b"chatd: "):
                lines.pop()
            for line in lines:
                assert line in everything, f"{guest.name} got {line!r}, which nobody has sent"
                assert line not in guest.sent, f"{guest.name} got its own {line!r}"
            assert len(lines) == len(set(lines)), f"{guest.name} got a line twice"
            logs.append((guest.name, lines, set(lines)))
        for (one, a, in_a), (two, b, in_b) in itertools.combinations(logs, 2):
            assert [x for x in a if x in in_b] == [x for x in b if x in in_a], (
                f"{one} and {two} saw another order")
        for guest, (name, lines, there) in zip(self.guests, logs):
            for speaker in self.guests:
                assert [line for line in speaker.sent if line in there] == [
                    line for line in lines if line in set(speaker.sent)], (
                    f"{name} got the lines of {speaker.name} in another order")
                wanted = [line for by, line in guest.expected if by is speaker]
                got = [line for line in wanted if line in there]
                assert got == wanted[:len(got)], f"{name} missed a line of {speaker.name}"

    def close(self):
        for guest in self.guests:
            guest.connection.close()
