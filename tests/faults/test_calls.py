"""Every system call that chatd makes is made to fail, one after the other, by strace.

The table below has a row for each call. A run of chatd is a story (see Story) in which one use of
one call fails with one error, or every use from one on. Whatever fails, these hold:

- chatd does not crash; it ends by itself only where the table says so, with status 1 or 78 and a message
  that tells the error;
- nobody is removed but a client whose own call failed, and only where the table says so;
- no line is lost, torn or out of order for anyone else (party.py);
- it does not spin;
- once the fault is over, all is as before: lines that waited arrive, new guests come in, and
  SIGTERM ends it with status 0.

What strace does: an injected error means that the call has not taken place. That is what an error
means for all calls of the table but close, which closes all the same; so close is made to fail by a
shim (test_pieces.py). An injected return value also means that the call has not taken place. So
these would be lies, not faults, and are left out: a recvfrom that returns bytes (there are none), a
sendto that took some (nobody gets them), an accept4 with a descriptor. Honest short counts come
from the shim. A write to a log or a terminal may vanish, so there it is done here.
"""

import collections
import concurrent.futures
import dataclasses
import errno
import os
import re
import signal
import subprocess
import tempfile
import time

import pytest

import chatd
import traced
from party import Party

EXIT, SERVE = "ends with status 1 and a message", "goes on"
LATE = "the fault did not come"
SETTINGS = "the same with status 78: the settings cannot be read"


@dataclasses.dataclass
class Row:
    """What is to happen when a call fails.

    errors    those that its manual page names; none: the call cannot fail, or not in this way
    start     before the first select: EXIT, SETTINGS, SERVE, or these by what the call is about
    serving   after it, likewise
    removes   whether the client that it is about may be removed
    values    return values beside errors that a kernel may give
    says      what is then to be found in the log, when it fails before the first select
    lasting   of so many of the errors, in their order, it is also tried what happens when each use
              fails from some use on
    allocator whether it is a call of the allocator alone
    """

    call: str
    errors: str = ""
    start: object = EXIT
    serving: object = SERVE
    removes: bool = False
    values: tuple = ()
    says: str = ""
    lasting: int = 2
    allocator: bool = False
    why: str = ""

    def names(self):
        return self.call.split("|")

    def expected(self, phase, line):
        outcome = self.start if phase == "start" else self.serving
        if isinstance(outcome, dict):
            return next(o for pattern, o in outcome.items() if re.search(pattern, line))
        return outcome


TABLE = [
    # --- clients
    Row("accept4", "EAGAIN ECONNABORTED EINTR EMFILE ENFILE ENOBUFS ENOMEM EPERM EPROTO "
        "ENETDOWN ENOPROTOOPT EHOSTDOWN ENONET EHOSTUNREACH EOPNOTSUPP ENETUNREACH "
        "EBADF EINVAL ENOTSOCK ENOSR ESOCKTNOSUPPORT EPROTONOSUPPORT ETIMEDOUT",
        why="new clients wait"),
    Row("ioctl", "EBADF EFAULT EINVAL ENOTTY", removes=True, values=(0,),
        why="FIONBIO; FIONREAD and SIOCOUTQ, without which somebody is read or closed too early"),
    Row("getsockopt", "EBADF EFAULT EINVAL ENOPROTOOPT ENOTSOCK",
        lasting=0, why="who it is on a unix socket, for the log alone"),
    Row("recvfrom", "EAGAIN EINTR ENOMEM ENOBUFS EBADF ECONNREFUSED ECONNRESET EFAULT EINVAL "
        "ENOTCONN ENOTSOCK ETIMEDOUT EHOSTUNREACH ENETDOWN EPIPE",
        why="skipped: the next one says whether it is the end"),
    Row("sendto", "EAGAIN EINTR ENOBUFS ENOMEM EACCES EALREADY EBADF ECONNRESET EDESTADDRREQ "
        "EFAULT EINVAL EISCONN EMSGSIZE ENOTCONN ENOTSOCK EOPNOTSUPP EPIPE ETIMEDOUT ENETDOWN "
        "EHOSTUNREACH", start=SERVE, removes=True,
        why="the client gets the end of file and is read until its own; also to the service manager"),
    Row("sendmsg", "EAGAIN EINTR ENOBUFS ENOMEM EACCES EBADF ECONNRESET EFAULT EINVAL EMSGSIZE "
        "ENOTCONN ENOTSOCK EOPNOTSUPP EPIPE ETIMEDOUT", removes=True),
    Row("shutdown", "EBADF EINVAL ENOTCONN ENOTSOCK", removes=True, lasting=0,
        why="of a client that is not let in or has gone"),
    Row("close", "EBADF EINTR EIO ENOSPC EDQUOT", start=SERVE, lasting=0,
        why="while it serves: test_pieces.py, since a close that fails does close"),
    # --- the loop
    Row("pselect6", "EINTR EBADF EINVAL ENOMEM", serving={r"= -1 EINTR|= 0 ": SERVE, "": EXIT},
        values=(0,), lasting=0, why="a signal interrupts it, once"),
    Row("write", "EAGAIN EINTR EBADF EDESTADDRREQ EDQUOT EFAULT EFBIG EINVAL EIO ENOSPC EPERM "
        "EPIPE", start=SERVE, values=(0, 1), why="trace and log: lines are lost, never time"),
    # --- listeners
    Row("socket", "EACCES EINVAL EMFILE ENFILE ENOBUFS ENOMEM EPROTONOSUPPORT",
        start={"SOCK_DGRAM": SERVE, "": EXIT}, why="SOCK_DGRAM: to the service manager"),
    Row("setsockopt", "EBADF EFAULT EINVAL ENOPROTOOPT ENOTSOCK ENOMEM"),
    Row("bind", "EACCES EADDRINUSE EBADF EINVAL ENOTSOCK EADDRNOTAVAIL EFAULT ELOOP ENAMETOOLONG "
        "ENOENT ENOMEM ENOTDIR EROFS", start={r"AF_INET.*EADDRNOTAVAIL": SERVE, "": EXIT},
        why="an address may come later"),
    Row("listen", "EADDRINUSE EBADF ENOTSOCK EOPNOTSUPP"),
    Row("getsockname", "EBADF EFAULT EINVAL ENOBUFS ENOTSOCK", start=SERVE,
        why="for the log alone"),
    Row("connect", "EACCES EADDRINUSE EADDRNOTAVAIL EAFNOSUPPORT EAGAIN ECONNREFUSED EINPROGRESS "
        "EINTR ENETUNREACH ENOENT EPERM EPROTOTYPE ETIMEDOUT", start=SERVE,
        says="notify .*; the service manager gets no news", why="to the service manager"),
    Row("chmod|fchmodat", "EACCES EIO ELOOP ENAMETOOLONG ENOENT ENOMEM ENOTDIR EPERM EROFS"),
    Row("lchown|fchownat", "EACCES EIO ELOOP ENAMETOOLONG ENOENT ENOMEM ENOTDIR EPERM EROFS"),
    Row("unlink|unlinkat", "EACCES EBUSY EIO EISDIR ELOOP ENOENT ENOMEM ENOTDIR EPERM EROFS",
        start=SERVE, lasting=0, why="when a listener goes; a lock file that stays is in nobody's way"),
    Row("flock", "EBADF EINTR EINVAL ENOLCK", why="EWOULDBLOCK: somebody else has the lock"),
    # --- files
    Row("openat", "EACCES EDQUOT EEXIST EINTR EINVAL EISDIR ELOOP EMFILE ENAMETOOLONG ENFILE "
        "ENODEV ENOENT ENOMEM ENOSPC ENOTDIR ENXIO EOVERFLOW EPERM EROFS ETXTBSY EAGAIN",
        start={"/proc/self/fd": SERVE, r"\.conf\.d.*ENOENT": SERVE, r"\.conf": SETTINGS, "": EXIT}),
    Row("read", "EAGAIN EBADF EFAULT EINTR EINVAL EIO EISDIR", start=SETTINGS),
    Row("newfstatat|fstat|lstat", "EACCES EBADF EFAULT ELOOP ENAMETOOLONG ENOENT ENOMEM ENOTDIR "
        "EOVERFLOW", start={r"\([12], ": SERVE, r"\.lock\".*ENOENT": SERVE, r"\(3, ": SETTINGS, "": EXIT}),
    Row("dup2|dup3", "EBADF EBUSY EINTR EMFILE", start=SERVE,
        why="standard streams are made non-blocking in another way"),
    Row("fcntl", "EACCES EAGAIN EBADF EINVAL EMFILE EPERM", start=SERVE,
        says="notify .*; the service manager gets no news"),
    Row("close_range", "EBADF EINVAL EMFILE ENOMEM ENOSYS", start=SERVE),
    # --- the process
    Row("prlimit64", "EFAULT EINVAL EPERM ESRCH", start=SERVE),
    Row("rt_sigaction", "EFAULT EINVAL"),
    Row("rt_sigprocmask", "EFAULT EINVAL", start={"SIG_BLOCK, NULL": SERVE, "": EXIT},
        why="NULL: a question whose answer comes again with the blocking"),
    Row("brk", start=SERVE, values=(0,), allocator=True,
        why="the kernel returns no error but a break below the one that was asked for; then the "
        "allocator asks mmap instead"),
    Row("mmap", "EACCES EAGAIN EBADF EINVAL ENFILE ENODEV ENOMEM EPERM", start=SERVE,
        allocator=True, why="the allocator asks brk instead; both at once are test_memory.py"),
    Row("munmap", "EINVAL ENOMEM", start=SERVE, lasting=0, allocator=True),
    Row("getrandom", "EAGAIN EFAULT EINTR EINVAL ENOSYS", start=SERVE, allocator=True),
    Row("rt_sigtimedwait", "EAGAIN EINTR EINVAL", why="a look for signals while clients are busy"),
    Row("rt_sigreturn", why="cannot fail"),
    Row("restart_syscall", why="the kernel's, after a stop"),
    Row("exit_group", why="cannot fail"),
]

pytestmark = [
    pytest.mark.skipif(not traced.possible(), reason="strace is missing or may not trace"),
    pytest.mark.skipif(bool(chatd.UNDER), reason="one tracer at a time"),
]
sanitizers_call = pytest.mark.skipif(
    chatd.SANITIZED, reason="sanitizers make system calls of their own")


class Story:
    """A life of chatd in which each of its calls has a part. faults are for strace."""

    CLIENTS = 6

    def __init__(self, trace, faults=(), mode="lines"):
        self.mode = mode
        self.folder = tempfile.TemporaryDirectory(prefix="chatd-")
        self.path = self.folder.name
        self.manager = chatd.NotifySocket(f"{self.path}/notify")
        self.party = Party(chat=mode == "chat")
        self.staying = []  # who is there when the end comes
        self.daemon = traced.Traced(
            self.path, trace, faults, files=16, listen=self.listen("old"), more=self.settings(),
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
            return not others or any(guest.sent[0] in other.received for other in others)

        self.wait(lambda: guest.over or fired() or heard(), lambda: "nobody hears it")
        return guest

    def talk(self):
        self.party.everyone_says()
        self.wait(lambda: not self.party.missing(), lambda: f"lost: {self.party.missing()[:5]}")

    def say_at_once(self):
        """All lines are there when chatd looks, so a queue holds more than one message."""
        self.daemon.signal(signal.SIGSTOP)
        chatd.wait_until(lambda: self.state() in "tT")
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
        """One use of one call fails somewhere in here."""
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
            return bool(traced.injected(self.daemon.trace()))

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


class EndedError(Exception):
    """chatd has ended by itself."""


def check(story, row, ended):
    """What is left of a run is as the table says."""
    d, party = story.daemon, story.party
    status = d.wait()
    d.check_reports()
    trace = d.trace()
    faults = traced.injected(trace)
    assert faults, LATE
    number, line = faults[0]
    waited = any(text.startswith("pselect6") for text in trace[:number + 1])
    expected = row.expected("serving" if waited else "start", line)
    if expected != SERVE:
        # It may be the last wait that fails, as SIGTERM comes: the status tells one from the other.
        assert status == (1 if expected == EXIT else 78), f"status {status} after {line}"
        name = re.search(r"= -1 (E\w+)", line)[1]
        reason = os.strerror(getattr(errno, name))
        assert re.search(rf": {re.escape(reason)}$", d.stderr.text(), re.M), d.stderr.text()
        return
    assert not ended, f"it ended with status {status} after {line}"
    assert status == 0, f"status {status} after {line}"
    if row.says and not waited:
        assert re.search(row.says, d.stderr.text()), f"nothing is said of {line}"
    hurt = traced.concerned(trace) if row.removes else set()
    removed = re.compile(rb"chatd: (too many clients|line too long)")
    for guest in party.guests:
        # Those who left have closed their socket, and were not removed.
        if guest.over and guest.connection.socket.fileno() >= 0:
            assert removed.search(guest.received) or (guest.port() or "unix") in hurt, (
                f"{guest.name} was removed after {line}")
    party.check()
    if row.allocator:
        return  # without memory there are no last words
    party.wait(lambda: all(guest.over for guest in story.staying), lambda: "no end of file")
    for guest in story.staying:
        if (guest.port() or "unix") not in hurt:
            assert guest.received.endswith(chatd.FAREWELL), f"{guest.name} was not told of the end"


def run(row, trace, fault, lasting, mode):
    """One life. If a busy machine does not come to the use that is to fail, an earlier one is
    tried. Returns what is wrong, as a text."""
    while True:
        wrong = run_once(row, trace, fault, lasting, mode)
        call, number = re.fullmatch(r"(.*when=)(\d+)\+?", fault).groups()
        if LATE not in wrong or int(number) < 2:
            return wrong
        fault = f"{call}{int(number) // 2}" + "+" * lasting


def run_once(row, trace, fault, lasting, mode):
    story = Story(trace, [fault], mode)
    ended = False
    try:
        try:
            if lasting:
                story.suffer()
            else:
                story.live()
        except Exception:  # pylint: disable=broad-except
            # When chatd ends, its connections do first, and then anything may go wrong here.
            ended = story.ends()
            if not ended:
                raise
        check(story, row, ended)
    except Exception as error:  # pylint: disable=broad-except
        said = story.daemon.stderr.text()[-500:] if story.daemon.stderr else ""
        return f"inject={fault}: {type(error).__name__}: {error}\n{said}"
    finally:
        story.close()
    return ""


def live_in_peace(mode):
    """The log of a story without a fault."""
    story = Story("all", mode=mode)
    try:
        story.live()
        assert story.daemon.wait() == 0
        story.party.check()
        return story.daemon.trace()
    finally:
        story.close()


@pytest.fixture(scope="module")
def peace():
    return live_in_peace("lines")


@pytest.fixture(scope="module")
def peace_in_chat():
    return live_in_peace("chat")


def uses(peace_log, name):
    """How often a call is used by the loader, before the first select, and after it; and of these
    before the end, which looks at those who leave as often as they take time."""
    count = collections.Counter()
    phase, ends = "loader", False
    for line in peace_log:
        if traced.MAIN.match(line):
            phase = "start"
        if line.startswith(f"{name}("):
            count[phase] += 1
            count["talk"] += phase == "serving" and not ends
        if line.startswith("pselect6"):
            phase = "serving"
        ends |= line.startswith("--- SIGTERM")
    return count


def plan(row, name, count, mode):
    """Which uses fail with which errors: [(fault for strace, whether it lasts)]. Each error is
    tried in mode lines; mode chat adds places where a call is made."""
    loader, start, serving = count["loader"], count["start"], count["serving"]
    singles = [loader + n for n in (range(1, start + 1) if start <= 8 else
                                    (1, 2, start // 2, start - 1, start))]
    if name != "close":
        # Far from the last one: on a busy machine the same life takes fewer calls, or more.
        most = count["talk"] or serving
        later = sorted({1, 2, most // 4, most // 3} & set(range(1, serving + 1)))
        singles += [loader + start + n for n in later]
    begins = [loader + start + n for n in (1, count["talk"] // 8) if 0 < n and name != "close"]
    effects = [f"error={error}" for error in row.errors.split()]
    effects += [f"retval={value}" for value in row.values]
    lasting = row.lasting
    if mode == "chat":
        effects, lasting = effects[:4], min(lasting, 1)
    faults = []
    if not effects or not singles:
        return faults
    # Each use and each error at least once.
    for n in range(max(len(singles), len(effects))):
        faults.append((f"{name}:{effects[n % len(effects)]}:when={singles[n % len(singles)]}",
                       False))
    for n in range(min(lasting, len(effects)) if serving else 0):
        faults.append((f"{name}:{effects[n]}:when={begins[n % len(begins)]}+", True))
    return faults


@sanitizers_call
def test_the_table_has_a_row_for_every_call(peace):
    known = {name for row in TABLE for name in row.names()}
    main = next(n for n, line in enumerate(peace) if traced.MAIN.match(line))
    made = {line.split("(")[0] for line in peace[main:] if re.match(r"\w+\(", line)}
    assert made - known == set()


@sanitizers_call
def test_every_row_has_a_call_that_is_made(peace):
    made = {line.split("(")[0] for line in peace}
    optional = {"restart_syscall", "close_range", "getrandom"}
    assert [row.call for row in TABLE if not made & set(row.names()) | optional & set(row.names())
            ] == []


def suffer_each(row, peace_log, mode):
    faults = []
    for name in row.names():  # strace counts the uses of each
        faults += plan(row, name, uses(peace_log, name), mode)
    if not faults:
        pytest.skip("not called by main here")
    names = {*row.names(), "accept4", "pselect6"}
    trace = ",".join(f"?{name}" for name in sorted(names | {"openat"}))
    with concurrent.futures.ThreadPoolExecutor(8) as threads:
        wrong = threads.map(lambda fault: run(row, trace, *fault, mode), faults)
    wrong = [text for text in wrong if text]
    assert not wrong, "\n".join(wrong)


def rows(*calls):
    """Of these calls, or of all."""
    return [pytest.param(row, id=row.call, marks=sanitizers_call if row.allocator else ())
            for row in TABLE if (row.errors or row.values) and (not calls or row.call in calls)]


@pytest.mark.parametrize("row", rows())
def test_a_failure_of(row, peace):
    suffer_each(row, peace, "lines")


# Those that mode chat makes at other times, or in another number.
@pytest.mark.parametrize("row", rows("accept4", "ioctl", "recvfrom", "sendto", "sendmsg",
                                     "shutdown", "pselect6", "brk", "mmap", "munmap"))
def test_in_mode_chat_a_failure_of(row, peace_in_chat):
    suffer_each(row, peace_in_chat, "chat")
