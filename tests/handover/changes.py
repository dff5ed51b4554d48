#!/usr/bin/python3
"""What changes between two processes: listeners, the settings, and what is half said.

    changes.py CHATD

Plays the service manager, as manager.c does.
"""

import array
import os
import random
import signal
import socket
import sys
import tempfile

PATIENCE = 60  # seconds


class Manager:
    def __init__(self, chatd, directory):
        self.chatd, self.directory = chatd, directory
        self.kept, self.pid = {}, None
        self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.notify.bind(f"{directory}/notify")
        self.notify.settimeout(PATIENCE)

    def configure(self, *listen, more=""):
        with open(f"{self.directory}/conf", "w", encoding="utf-8") as file:
            names = ", ".join(f'"{name}"' for name in listen)
            file.write(f"listen = [ {names} ];\ntrace = false;\n{more}\n")

    def start(self):
        self.pid = os.fork()
        if self.pid == 0:
            high = [os.dup2(fd, 500 + i) for i, fd in enumerate(self.kept.values())]
            for i, fd in enumerate(high):
                os.set_blocking(os.dup2(fd, 3 + i), True)
            os.closerange(3 + len(high), 600)
            env = dict(os.environ, NOTIFY_SOCKET=f"{self.directory}/notify")
            if high:
                env.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(high)),
                           LISTEN_FDNAMES=":".join(self.kept))
            os.execve(self.chatd, ["chatd", "-c", f"{self.directory}/conf"], env)
        self.await_message("READY=1")

    def await_message(self, want):
        while True:
            text, control, _, _ = self.notify.recvmsg(4096, 1000)
            lines = text.decode().split("\n")
            name = [line[7:] for line in lines if line.startswith("FDNAME=")]
            for _, _, data in control:
                self.kept[name[0]] = array.array("i", data[:4])[0]
            if "FDSTOREREMOVE=1" in lines:
                os.close(self.kept.pop(name[0]))
            if want in lines:
                return

    def end(self, number):
        os.kill(self.pid, number)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])

    def reload(self):
        os.kill(self.pid, signal.SIGHUP)
        self.await_message("READY=1")


def free_port():
    """Below those that the kernel gives out to whoever connects somewhere."""
    while True:
        with socket.socket() as s:
            try:
                s.bind(("127.0.0.1", random.randint(10000, 30000)))
                return s.getsockname()[1]
            except OSError:
                continue


def dial(where):
    s = socket.socket(socket.AF_UNIX if isinstance(where, str) else socket.AF_INET)
    s.connect(where if isinstance(where, str) else ("127.0.0.1", where))
    s.settimeout(PATIENCE)
    return s


def hear(s, end):
    heard = b""
    while not heard.endswith(end):
        piece = s.recv(4096)
        assert piece, heard
        heard += piece
    return heard


def talk(speaker, hearer, line):
    """Until both are in. Then nothing of it is still to come."""
    hearer.settimeout(0.2)
    heard = b""
    while not heard.endswith(line):
        speaker.sendall(line)
        try:
            heard += hear(hearer, line)
        except TimeoutError:
            pass
    hearer.settimeout(PATIENCE)
    end = b"end of " + line
    speaker.sendall(end)
    heard += hear(hearer, end)
    assert heard.replace(end, b"").replace(line, b"") == b""


def is_refused(port):
    try:
        dial(port)
    except ConnectionRefusedError:
        return True
    return False


def main(chatd, directory):
    manager = Manager(chatd, directory)
    first, second, third = free_port(), free_port(), free_port()
    manager.configure(f"127.0.0.1:{first}", f"{directory}/u")
    manager.start()
    a, u = dial(first), dial(f"{directory}/u")
    talk(a, u, b"one\n")
    # A reload, and then a kill.
    manager.configure(f"127.0.0.1:{second}", f"{directory}/u", f"{directory}/v")
    manager.reload()
    assert manager.end(signal.SIGKILL) == -signal.SIGKILL
    manager.start()
    b, v = dial(second), dial(f"{directory}/v")
    talk(b, v, b"two\n")
    talk(a, v, b"three\n")
    assert is_refused(first)
    # Other settings for the next one, at which some already wait.
    manager.configure(f"127.0.0.1:{third}", f"{directory}/u")
    assert manager.end(signal.SIGUSR2) == 0
    late, later = dial(second), dial(f"{directory}/u")
    manager.start()
    c = dial(third)
    talk(late, c, b"four\n")
    talk(later, c, b"five\n")
    assert is_refused(second)
    # Half a line survives, and a line that nobody has heard yet.
    a.sendall(b"half")
    talk(b, c, b"six\n")
    manager.end(signal.SIGKILL)
    b.sendall(b"seven\n")
    manager.start()
    assert hear(c, b"seven\n") == b"seven\n"
    # Only now: of two who are readable in one pass, the lower number is served first.
    a.sendall(b" a line\n")
    assert hear(c, b"half a line\n") == b"half a line\n"
    # A stop ends all, and leaves nothing.
    assert manager.end(signal.SIGTERM) == 0
    manager.await_message("FDNAME=chatd-relay-in")
    assert not manager.kept
    assert hear(u, b"chatd: the server ends\n")
    print("ok")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place:
        main(os.path.abspath(sys.argv[1]), place)
