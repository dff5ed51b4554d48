"""A life of chatd, with guests, a service manager, a reload and an end."""

import os
import signal
import subprocess
import tempfile
import time

import chatd
import traced
from party import Party


class EndedError(Exception):
    """chatd has ended by itself."""


class Story:
    """A life of chatd in which each of its calls has a part. faults and how are for the tracer."""

    CLIENTS = 6

    def __init__(self, trace, faults=(), mode="lines", **how):
        self.mode = mode
        self.folder = tempfile.TemporaryDirectory(prefix="chatd-")
        self.path = self.folder.name
        self.manager = chatd.NotifySocket(f"{self.path}/notify")
        self.party = Party(chat=mode == "chat")
        self.staying = []  # who is there when the end comes
        self.daemon = traced.Traced(
            self.path, trace, faults, **how, listen=self.listen("old"), more=self.settings(),
            env={**self.manager.env, "WATCHDOG_USEC": "60000000", "MALLOC_TOP_PAD_": "0",
                 "MALLOC_MMAP_THRESHOLD_": "100000"})

    def listen(self, name):
        return "127.0.0.1:0", f"{self.path}/{name}"

    def settings(self):
        more = 'mode = "chat";\nhistory = "64K";\n' if self.mode == "chat" else ""
        return (f"{more}limits = {{ clients = {self.CLIENTS}; line = 4096; }};\n"
                f"unix = {{ owner = {os.getuid()}; mode = \"0600\"; }};\n"
                'allow = [ "127.0.0.0/8" ];\n')

    def waits(self, since=0):
        return self.daemon.traced("pselect6", since)

    def wait(self, true, what):
        def over():
            if self.daemon.ended():
                raise EndedError
            return true()
        self.party.wait(over, what)

    def start(self):
        """Until it waits for the first time; it may also end."""
        self.daemon.start()
        chatd.wait_until(lambda: self.daemon.ended() or self.waits())
        if self.daemon.ended():
            raise EndedError
        self.tcp = self.daemon.tcp_address()

    def join(self, address, fired=lambda: False):
        """A new guest, who is in as soon as somebody hears it."""
        guest = self.party.add(address)
        self.party.say(guest)

        def heard():
            others = [other for other in self.party.present() if other is not guest]
            return not others or any(other.has(guest.sent[0]) for other in others)

        self.wait(lambda: guest.over or fired() or heard(), lambda: "nobody hears it")
        return guest

    def talk(self):
        self.party.everyone_says()
        self.wait(lambda: not self.party.missing(), lambda: f"lost: {self.party.missing()[:5]}")

    def say_at_once(self):
        """All lines are there when chatd looks, so a queue holds more than one message."""
        self.daemon.signal(signal.SIGSTOP)
        chatd.wait_until(lambda: self.daemon.ended() or self.state() in "tT")
        self.party.everyone_says(size=2000)
        for _ in range(3):
            self.party.pump(0)
        self.daemon.signal(signal.SIGCONT)

    def state(self):
        with open(f"/proc/{self.daemon.pid}/stat", encoding="ascii") as file:
            return file.read().rsplit(")", 1)[1].split()[0]

    def reload(self):
        since = len(self.daemon.trace())
        self.daemon.configure(listen=self.listen("new"), more=self.settings())
        self.daemon.signal(signal.SIGHUP)
        self.wait(lambda: self.reloaded(since), lambda: "it does not reload")

    def reloaded(self, since):
        """It waits again after the signal has come."""
        trace = self.daemon.trace()[since:]
        came = [n for n, line in enumerate(trace) if line.startswith("--- SIGHUP")]
        return came and any(line.startswith("pselect6") for line in trace[came[0]:])

    def unix_path(self):
        """The listener of before the reload or that of after it: one of them and not both."""
        serving = []

        def one():
            serving.clear()
            for name in ("old", "new"):
                try:
                    chatd.Client(f"{self.path}/{name}").close()
                    serving.append(f"{self.path}/{name}")
                except OSError:
                    pass
            return len(serving) == 1

        self.wait(one, lambda: f"listeners: {serving}")
        return serving[0]

    def fill(self):
        """Guests come until one is not let in; then one goes for its too long line."""
        while not self.join(self.tcp).over:
            assert len(self.party.present()) <= self.CLIENTS, "there is no limit"
        guest = self.party.present()[-1]
        guest.pending += b"x" * 5000
        self.wait(lambda: guest.over, lambda: "a line without an end is taken")

    def live(self):
        """One use of a call fails somewhere in here, or of some calls one of each."""
        self.start()
        first, second = self.join(self.tcp), self.join(self.tcp)
        self.join(f"{self.path}/old")
        self.talk()
        self.say_at_once()
        self.talk()
        self.reload()
        self.talk()
        self.join(self.unix_path())
        self.fill()
        self.talk()
        for guest, reset in ((first, False), (second, True)):
            if not guest.over:
                self.party.leave(guest, reset)
        self.join(self.tcp)
        self.join(self.tcp)
        self.talk()
        self.end()

    def suffer(self):
        """Every use of one call fails, from some use on."""
        def fired():
            return bool(self.daemon.failed())

        self.start()
        for address in (self.tcp, self.tcp, f"{self.path}/old"):
            if not fired():
                self.join(address, fired)
        if not fired():
            self.say_at_once()
            self.daemon.configure(listen=self.listen("new"), more=self.settings())
            self.daemon.signal(signal.SIGHUP)
        self.wait(fired, lambda: "the fault does not come")
        begin, before = time.monotonic(), len(self.daemon.trace())
        self.wait(lambda: time.monotonic() > begin + 0.5, lambda: "")
        calls, seconds = len(self.daemon.trace()) - before, time.monotonic() - begin
        # At most 8 x 128 attempts of a listener (acceptor.c) or 8 of each client (pressure.c), then rests
        # of a tenth of a second or more. A slow machine makes fewer calls in that time, never
        # more. Without rests it is thousands a second.
        assert calls < 1200 + 500 * seconds, f"it spins: {calls} calls in {seconds:.2f} s"
        self.daemon.end_faults()
        if self.daemon.ended():
            raise EndedError
        self.party.catch_up()
        for _ in range(3):
            self.join(self.tcp)
        self.talk()
        self.end()

    def end(self):
        self.staying = self.party.present()
        self.daemon.signal(signal.SIGTERM)

    def ends(self):
        """Whether it ends by itself."""
        try:
            self.daemon.process.wait(1)
        except subprocess.TimeoutExpired:
            return False
        return True

    def close(self):
        self.daemon.kill()
        self.party.close()
        self.manager.close()
        self.folder.cleanup()
