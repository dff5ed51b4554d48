"""Guests of many nodes who talk at the same time, and the account of every line.

    party = Party(nodes, speakers=3)      # 3 speakers and one listener at each node
    with party:                           # they speak, all at once, in a thread of their own
        engine.kill()                     # whatever is to happen meanwhile
        party.goes_on()                   # returns when lines that are said now are heard everywhere
    party.check()                         # everything was heard, once, in one order

Each line is "SPEAKER NUMBER DOTS". A listener says nothing, so it hears everything; what each of
them hears is the order of its node. All of these must be the same, and what a speaker hears must be
that order without its own lines.
"""

import collections
import selectors
import threading
import time

from chatd import PATIENCE

PACE = 0.005  # seconds between two rounds of speaking


class Guest:
    def __init__(self, client, node, name=None):
        self.client = client
        self.node = node      # its number
        self.name = name      # None: a listener
        self.said = 0         # lines
        self.heard = bytearray()
        self.pending = b""    # what its socket has not taken yet
        self.reads = True
        self.over = None      # why it ended, or b"" at an end of file

    def lines(self):
        return bytes(self.heard).split(b"\n")[:-1]


class Party:
    def __init__(self, nodes, speakers=2, batch=5, size=40, total=None):
        """batch: lines of each speaker in a round; total: ends by itself after so many of each."""
        self.batch, self.size, self.total = batch, size, total
        self.listeners, self.speakers = [], []
        for number, node in enumerate(nodes):
            self.listeners.append(Guest(node.client(), number))
            self.speakers += [Guest(node.client(), number, b"%d-%d" % (number, i))
                              for i in range(speakers)]
        self.thread = None
        self.stopping = False
        self.error = None

    @property
    def guests(self):
        return self.listeners + self.speakers

    # --- the thread

    def __enter__(self):
        self.stopping = False
        self.thread = threading.Thread(target=self.guarded, daemon=True)
        self.thread.start()
        return self

    def __exit__(self, kind, *_):
        self.stopping = True
        self.thread.join()
        if kind is None and self.error:
            raise self.error

    def guarded(self):
        try:
            self.talk()
        except Exception as error:  # it is raised again where the test waits
            self.error = error

    def talk(self):
        due = time.monotonic()
        with selectors.DefaultSelector() as selector:
            for guest in self.guests:
                if guest.over is None:
                    guest.client.socket.setblocking(False)
                    selector.register(guest.client.socket, selectors.EVENT_READ, guest)
            while not self.stopping and not self.finished():
                for key, _ in selector.select(max(0, due - time.monotonic())):
                    if key.data.reads and not self.hear(key.data):
                        selector.unregister(key.fileobj)
                if time.monotonic() >= due:
                    due = max(due + PACE, time.monotonic() - PACE)
                    for speaker in self.speakers:
                        self.speak(speaker)

    def finished(self):
        return self.total is not None and all(
            s.said >= self.total and not s.pending for s in self.speakers)

    def hear(self, guest):
        try:
            piece = guest.client.socket.recv(1 << 18)
        except BlockingIOError:
            return True
        except OSError:
            piece = b""
        guest.heard += piece
        if not piece:
            guest.over = b""
        return bool(piece)

    def line(self, speaker, number):
        return (b"%s %d " % (speaker.name, number)).ljust(self.size - 1, b".") + b"\n"

    def speak(self, speaker):
        if speaker.over is not None:
            return
        if not speaker.pending and (self.total is None or speaker.said < self.total):
            speaker.pending = b"".join(self.line(speaker, speaker.said + n)
                                       for n in range(self.batch))
            speaker.said += self.batch
        self.push(speaker)

    @staticmethod
    def push(speaker):
        try:
            speaker.pending = speaker.pending[speaker.client.socket.send(speaker.pending):]
        except BlockingIOError:
            pass
        except OSError:
            speaker.pending = b""

    # --- what a test waits for

    def goes_on(self, lines=200):
        """Until every listener has heard so many lines more, however long that takes, as long as any
        of them hears something."""
        wanted = {g: len(g.heard) + lines * self.size for g in self.listeners}
        deadline, before = time.monotonic() + PATIENCE, None
        while not all(g.over is not None or len(g.heard) >= n for g, n in wanted.items()):
            assert not self.error, self.error
            if (came := [len(g.heard) for g in wanted]) != before:
                deadline, before = time.monotonic() + PATIENCE, came
            assert time.monotonic() < deadline, \
                ["%d missing" % (length - len(g.heard)) for g, length in wanted.items()]
            time.sleep(0.005)

    def settle(self, within=PATIENCE):
        """Everybody has stopped speaking: what is under way is said to its end and heard by all."""
        deadline, before = time.monotonic() + within, None
        total = sum(s.said for s in self.speakers)
        while True:
            for speaker in self.speakers:
                if speaker.over is None and speaker.pending:
                    self.push(speaker)
            for guest in self.guests:
                while guest.over is None and self.hear(guest) and self.more(guest):
                    pass
            missing = [(g.name, (total - g.said) * self.size - len(g.heard))
                       for g in self.guests if g.over is None]
            if all(number <= 0 for _, number in missing) \
                    and not any(s.pending for s in self.speakers):
                return
            if missing != before:
                deadline, before = time.monotonic() + within, missing
            if time.monotonic() > deadline:
                raise AssertionError(f"bytes are missing, and none have come for {within} s: {missing}")
            time.sleep(0.005)

    def account(self, quiet=4.5):
        """Where lines may be lost: reads until nothing came for longer than a confirmation takes. Returns how many are
        missing, by guest; none may come twice or out of its speaker's order."""
        last = time.monotonic()
        while time.monotonic() < last + quiet:
            for guest in self.guests:
                if guest.pending:
                    self.push(guest)
                if guest.over is None and self.more(guest) and self.hear(guest):
                    last = time.monotonic()
            time.sleep(0.005)
        missing = {}
        for guest in self.guests:
            numbers = collections.defaultdict(list)
            for line in guest.lines():
                name, number, _ = line.split(b" ", 2)
                numbers[name].append(int(number))
            for speaker in self.speakers:
                got = numbers[speaker.name]
                assert got == sorted(set(got)), f"{guest.name} about {speaker.name}"
                if speaker is not guest and len(got) < speaker.said:
                    missing[guest.node, guest.name, speaker.name] = speaker.said - len(got)
        return missing

    @staticmethod
    def more(guest):
        with selectors.DefaultSelector() as selector:
            selector.register(guest.client.socket, selectors.EVENT_READ)
            return bool(selector.select(0))

    def check(self, one_order=True, within=PATIENCE):
        """Everybody heard everything, once; one_order=False: each speaker in its order at least,
        and whole lines. Returns how many lines were delivered."""
        self.settle(within)
        for guest in self.guests:
            self.check_count(guest)
        if one_order:
            first = self.listeners[0].lines()
            for other in self.listeners[1:]:
                assert other.lines() == first, difference(first, other.lines())
            for speaker in self.speakers:
                mine = speaker.name + b" "
                without = [line for line in first if not line.startswith(mine)]
                assert speaker.lines() == without, difference(without, speaker.lines())
        return sum(len(g.lines()) for g in self.guests)

    def check_count(self, guest):
        """Each line once, whole, and those of one speaker in its order."""
        by_speaker = collections.defaultdict(list)
        for line in guest.lines():
            name, _, rest = line.partition(b" ")
            by_speaker[name].append((line, rest))
        for speaker in self.speakers:
            got = [line for line, _ in by_speaker.pop(speaker.name, [])]
            wanted = [] if speaker is guest else [
                self.line(speaker, n)[:-1] for n in range(speaker.said)]
            assert got == wanted, (f"{guest.name} of node {guest.node} about {speaker.name}: "
                                   + difference(wanted, got))
        assert not by_speaker, f"{guest.name} heard of {list(by_speaker)[:5]}"


def difference(wanted, got):
    """In a few words: where two lists of lines part."""
    counts = collections.Counter(wanted)
    counts.subtract(collections.Counter(got))
    lost = sum(n for n in counts.values() if n > 0)
    more = -sum(n for n in counts.values() if n < 0)
    at = next((i for i, (a, b) in enumerate(zip(wanted, got)) if a != b), min(len(wanted), len(got)))
    return (f"{len(wanted)} wanted, {len(got)} heard; {lost} lost, {more} too many; "
            f"they part at {at}: {wanted[at:at + 3]} and {got[at:at + 3]}")
