"""What is to happen when a call fails: a row for each call. And which of its uses fail, and how."""

import collections
import dataclasses
import re

import traced

EXIT, SERVE = "ends with status 1 and a message", "goes on"
SETTINGS = "the same with status 78: the settings cannot be read"


@dataclasses.dataclass(frozen=True, eq=False)
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
    Row("accept4", "EAGAIN ECONNABORTED EMFILE EINTR ENFILE ENOBUFS ENOMEM EPERM EPROTO "
        "ENETDOWN ENOPROTOOPT EHOSTDOWN ENONET EHOSTUNREACH EOPNOTSUPP ENETUNREACH "
        "EBADF EINVAL ENOTSOCK ENOSR ESOCKTNOSUPPORT EPROTONOSUPPORT ETIMEDOUT",
        lasting=3, why="new clients wait"),
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


@dataclasses.dataclass(frozen=True)
class Fault:
    """The use number `when` of a call fails with one effect; or each use from this one on."""

    row: Row
    mode: str
    call: str
    effect: str  # as strace writes it
    when: int
    lasting: bool = False
    phase: str = "serving"  # or "start", or "reload"

    def __str__(self):
        return f"{self.call}:{self.effect}:when={self.when}{'+' * self.lasting}"

    def earlier(self):
        return dataclasses.replace(self, when=self.when // 2)

    def goes_on(self):
        """Whether chatd goes on for certain, and needs nothing but the call itself for that."""
        outcome = self.row.start if self.phase == "start" else self.row.serving
        return outcome == SERVE and not self.lasting and not self.row.allocator


def uses(peace_log, name):
    """How often a call is used by the loader, before the first select, and after it; of these until
    SIGHUP comes, and while it reloads; and before the end, which looks at those who leave as often
    as they take time."""
    count = collections.Counter()
    phase, ends, hup = "loader", False, "before"
    for line in peace_log:
        if traced.MAIN.match(line):
            phase = "start"
        if line.startswith(f"{name}("):
            count[phase] += 1
            count["talk"] += phase == "serving" and not ends
            count[hup] += phase == "serving"
        if line.startswith("pselect6"):
            phase = "serving"
            hup = "after" if hup == "reload" else hup
        if line.startswith("--- SIGHUP"):
            hup = "reload"
        ends |= line.startswith("--- SIGTERM")
    return count


def phase_of(when, count):
    """In which part of a life in peace this use is."""
    serving = when - count["loader"] - count["start"]
    if serving <= 0:
        return "start"
    return "reload" if 0 < serving - count["before"] <= count["reload"] else "serving"


def plan(row, name, count, mode):
    """Which uses fail with which errors. Each error is tried in mode lines; mode chat adds places
    where a call is made."""
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
        when = singles[n % len(singles)]
        faults.append(Fault(row, mode, name, effects[n % len(effects)], when,
                            phase=phase_of(when, count)))
    for n in range(min(lasting, len(effects)) if serving else 0):
        faults.append(Fault(row, mode, name, effects[n], begins[n % len(begins)],
                            lasting=True))
    return faults
