"""Plays the service manager for one chatd, and keeps its descriptors, as tests/handover does.

    k = Keeper(CHATD, directory, settings)
    k.start()                   # once it is ready
    k.end(signal.SIGKILL)       # its status; the next start() gets what it had stored
"""

import array
import os
import signal
import socket

from chatd import PATIENCE, REPORT, Client, Output, free_port, wait_until

LAST = 600  # above all descriptors that are passed on


class Keeper:
    def __init__(self, program, directory, more):
        os.mkdir(directory)
        self.program, self.directory = program, directory
        self.port = free_port()
        self.kept, self.pid, self.log = {}, None, None
        self.clients = []
        self.past = ""  # what those before this one said
        self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.notify.bind(f"{directory}/notify")
        self.notify.settimeout(PATIENCE)
        self.configure(more)

    def configure(self, more):
        """For the next start."""
        with open(f"{self.directory}/conf", "w", encoding="utf-8") as file:
            file.write(f'listen = [ "127.0.0.1:{self.port}" ];\ntrace = false;\n' + more)

    def start(self):
        reading, writing = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            self.become(writing)
        os.close(writing)
        self.log = Output(reading)
        self.listen_until("READY=1")

    def become(self, log):
        os.dup2(os.open("/dev/null", os.O_RDWR), 1)
        os.dup2(log, 2)
        high = [os.dup2(fd, LAST + i) for i, fd in enumerate(self.kept.values())]
        for i, fd in enumerate(high):
            os.set_blocking(os.dup2(fd, 3 + i), True)
        os.closerange(3 + len(high), 2 * LAST)
        env = dict(os.environ, NOTIFY_SOCKET=f"{self.directory}/notify")
        if high:
            env.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(high)),
                       LISTEN_FDNAMES=":".join(self.kept))
        os.execve(self.program, ["chatd", "-c", f"{self.directory}/conf"], env)

    def listen_until(self, want):
        while self.listen() != want:
            pass

    def listen(self):
        """One message; returns READY=1, if it says so, or else its first line."""
        text, control, _, _ = self.notify.recvmsg(4096, 1000)
        lines = text.decode().split("\n")
        name = [line[7:] for line in lines if line.startswith("FDNAME=")]
        for _, _, data in control:
            fd = array.array("i", data[:4])[0]
            if name[0] in self.kept:  # a name stands for one
                os.close(self.kept.pop(name[0]))
            self.kept[name[0]] = fd
        if "FDSTOREREMOVE=1" in lines and name[0] in self.kept:
            os.close(self.kept.pop(name[0]))
        return next((line for line in lines if line.startswith("READY=")), lines[0])

    def end(self, number):
        os.kill(self.pid, number)
        return self.reap()

    def reap(self):
        status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        self.pid = None
        self.log.wait_for_end()
        self.past += self.log.text() + f"--- ended by {-status}\n"
        assert not REPORT.search(bytes(self.log.data)), self.log.text()
        self.notify.setblocking(False)
        try:
            while True:
                self.listen()
        except BlockingIOError:
            self.notify.settimeout(PATIENCE)
            return status

    def client(self):
        made = Client(("127.0.0.1", self.port))
        self.clients.append(made)
        # In once it appears among the descriptors of chatd.
        name = made.socket.getsockname()[1]
        wait_until(lambda: self.has(name))
        return made

    def has(self, port):
        """Whether chatd's end of the connection from that port has been accepted."""
        wanted = {}
        with open("/proc/net/tcp", encoding="ascii") as file:
            for line in file.readlines()[1:]:
                _, local, remote, *rest = line.split()
                if int(local[-4:], 16) == self.port and int(remote[-4:], 16) == port:
                    wanted[rest[6]] = True
        inodes = set()
        for fd in os.listdir(f"/proc/{self.pid}/fd"):
            try:
                inodes.add(os.readlink(f"/proc/{self.pid}/fd/{fd}"))
            except FileNotFoundError:
                pass
        return any(f"socket:[{inode}]" in inodes for inode in wanted)

    def close(self):
        for each in self.clients:
            each.close()
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        for fd in self.kept.values():
            os.close(fd)
        self.notify.close()
