"""The harness for what outlives the process: a service manager that keeps descriptors.

    d = begin(start, store)                 # the first one
    leave(d)                                # as before a restart
    d = succeed(daemon, store, d)           # the next one, with the file of the one before
"""

import array
import os
import signal
import sys

from chatd import PATIENCE, NotifySocket, needs_systemd

# Runs a command with the given descriptors as 3, 4, ..., as systemd does. Each start makes its sockets
# block again, also for whoever has them in another way; here, all of them.
PASS = """
import os, sys
descriptors = [int(n) for n in sys.argv[1].split(",") if n]
high = [os.dup2(n, 300 + i) for i, n in enumerate(descriptors)]
os.closerange(3, 300)
for i, n in enumerate(high):
    os.set_blocking(os.dup2(n, 3 + i), True)
os.closerange(300, 400)
if high:
    os.environ.update(LISTEN_FDS=str(len(high)), LISTEN_PID=str(os.getpid()))
os.execvp(sys.argv[2], sys.argv[2:])
"""

KEPT = ["chatd-state", "chatd-safe", "chatd-feed", "chatd-relay-out", "chatd-relay-in"]


class Store(NotifySocket):
    """A service manager that keeps descriptors."""

    def __init__(self, address):
        super().__init__(address)
        self.env = {"NOTIFY_SOCKET": address, "FDSTORE": None}
        self.kept = {}

    def message(self, within=PATIENCE):
        self.socket.settimeout(within)
        text, control, _, _ = self.socket.recvmsg(65536, 1000)
        lines = text.decode().split("\n")
        name = [line[7:] for line in lines if line.startswith("FDNAME=")]
        for _, _, data in control:
            self.kept[name[0]] = array.array("i", data[:4])[0]
        if "FDSTOREREMOVE=1" in lines and name[0] in self.kept:
            os.close(self.kept.pop(name[0]))
        return lines

    def drain(self):
        """What was told before does not count."""
        try:
            while True:
                self.message(within=0)
        except BlockingIOError:
            pass

    def passes(self, *more):
        """Arguments for start(): what is kept, and more descriptors as (name, number)."""
        needs_systemd()
        all_of_them = [*self.kept.items(), *more]
        numbers = [number for _, number in all_of_them]
        names = ":".join(name for name, _ in all_of_them)
        return {"env": {**self.env, "LISTEN_FDNAMES": names},
                "under": [sys.executable, "-c", PASS, ",".join(map(str, numbers))],
                "pass_fds": numbers}

    def close(self):
        for number in self.kept.values():
            os.close(number)
        super().close()


def begin(start, store, **how):
    d = start(**store.passes(), **how)
    store.wait_for("READY=1")
    assert sorted(store.kept) == sorted(KEPT)
    return d


def succeed(daemon, store, before, *more, ready=0, **how):
    """The next one, which reads the file of the one before."""
    d = daemon(**store.passes(*more), ready=ready, args=["-c", before.file], **how)
    d.file, d.log = before.file, True
    store.drain()
    d.start()
    store.wait_for("READY=1")
    for each in before.clients_made:
        each.daemon = d
    return d


def leave(d):
    d.signal(signal.SIGUSR2)
    assert d.wait() == 0
