"""chatd under strace, which makes system calls fail, and what its log tells of them."""

import os
import re
import resource
import shutil
import signal
import subprocess

import chatd

# The first call that main() makes. Those before it are of the dynamic loader and of constructors
# of libraries.
MAIN = re.compile(r'^openat\(AT_FDCWD, "/dev/null", O_RDWR\)')
PID = re.compile(r"^\d+ +(?=\D)")


def possible():
    """Whether strace is here, may trace, and can make calls fail."""
    return shutil.which("strace") is not None and subprocess.run(
        ["strace", "-D", "-I2", "-f", "--seccomp-bpf", "-o", "/dev/null", "-e",
         "inject=getpid:error=EIO", "true"],
        check=False, capture_output=True).returncode == 0


class Traced(chatd.Daemon):
    """A daemon whose strace runs beside it, so that its process id is that of chatd itself.

    faults: strace's inject= expressions. files: at most so many descriptors, as a soft limit.
    stays: the tracer is there to the end. Then the kernel's filter lets all calls but those of
    trace pass without a stop, which takes a quarter of the time off; without a tracer, though,
    these would fail."""

    def __init__(self, directory, trace, faults=(), files=None, stays=False, **how):
        self.trace_file = os.path.join(str(directory), "strace")
        self.lines, self.injected = [], []
        self.begun = b""  # what is read of the line after these
        self.log_file = None
        under = ["strace", "-D", "-I2", "-a1", "-s200", "-o", self.trace_file, "-e",
                 f"trace={trace}"]
        if stays:
            under += ["-f", "--seccomp-bpf"]
        for fault in faults:
            under += ["-e", f"inject={fault}"]
        if files:
            _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
            under = ["prlimit", f"--nofile={files}:{hard}", *under]
        super().__init__(directory, under=under, ready=0, **how)
        options = os.environ.get("ASAN_OPTIONS", "")
        self.env["ASAN_OPTIONS"] = f"{options}:detect_leaks=0"  # it cannot work under a tracer

    def trace(self):
        """The log so far; the last line is that of a call that has begun and may not have ended.

        It is asked for again and again, so only what is new is read."""
        if self.log_file is None:
            try:
                self.log_file = open(self.trace_file, "rb", buffering=0)
            except FileNotFoundError:
                return []
        *whole, self.begun = (self.begun + self.log_file.readall()).split(b"\n")
        for line in map(self.text, whole):
            if "(INJECTED)" in line:
                self.injected.append((len(self.lines), line))
            self.lines.append(line)
        return [*self.lines, self.text(self.begun)] if self.begun else list(self.lines)

    @staticmethod
    def text(line):
        """A line of the log without the process id, which strace -f puts before it."""
        text = line.decode("ascii", "backslashreplace")
        return PID.sub("", text) if text[:1].isdigit() else text

    def failed(self):
        """The calls that were made to fail: [(line number, text)]."""
        self.trace()
        return self.injected

    def traced(self, pattern, since=0):
        return any(re.match(pattern, line) for line in self.trace()[since:])

    def kill(self):
        super().kill()
        if self.log_file:
            self.log_file.close()

    def ended(self):
        return self.process.poll() is not None

    def end_faults(self):
        """The tracer goes, and with it every fault."""
        tracer = self.status("TracerPid")
        if tracer:
            os.kill(tracer, signal.SIGTERM)
            chatd.wait_until(lambda: self.ended() or not self.status("TracerPid"))

    def tcp_address(self):
        """Where it listens. Its log may be what has failed; then the kernel says so, slowly."""
        said = re.search(r"^listening on (127\.0\.0\.1):(\d+)$", self.stderr.text(), re.M)
        if said:
            return said[1], int(said[2])
        sockets = {target.removeprefix("socket:[").rstrip("]") for target in self.fds().values()}
        with open(f"/proc/{self.pid}/net/tcp", encoding="ascii") as file:
            for line in file.readlines()[1:]:
                fields = line.split()
                if fields[3] == "0A" and fields[9] in sockets:
                    return "127.0.0.1", int(fields[1].split(":")[1], 16)
        raise AssertionError("it does not listen")


def concerned(trace, calls):
    """The client ports whose own calls, of those with these names, were made to fail, from a log
    that has accept4 too.

    A client on a unix socket has no port; it is named by the path of no one: "unix"."""
    owners, ports = {}, set()
    for line in trace:
        accepted = re.match(r"accept4\(\d+, \{sa_family=AF_(\w+)(?:, sin_port=htons\((\d+)\))?"
                            r".* = (\d+)$", line)
        if accepted:
            owners[int(accepted[3])] = int(accepted[2]) if accepted[2] else "unix"
        failed = re.match(r"(\w+)\((\d+)", line)
        if (failed and "(INJECTED)" in line and failed[1] in calls
                and int(failed[2]) in owners):
            ports.add(owners[int(failed[2])])
    return ports
