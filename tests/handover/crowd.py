#!/usr/bin/python3
"""More clients than most tests have: as many as this machine allows, up to 17000, so that their
numbers go beyond 16384. A restart and a kill, and each of them is still there and hears each line
once.

    crowd.py CHATD [CLIENTS]
"""

import os
import resource
import select
import signal
import sys
import tempfile

from changes import Manager, dial

MOST = 17000


def allowed():
    """How many clients open files allow; sockets in flight count for all processes of a user."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return min(MOST, hard - 1000 if os.geteuid() == 0 else hard // 2 - 500)


def hear_all(clients, line):
    """Each hears just this."""
    poll = select.poll()
    waiting = {}
    for s in clients:
        waiting[s.fileno()] = (s, b"")
        poll.register(s, select.POLLIN)
    while waiting:
        ready = poll.poll(60000)
        assert ready, f"{len(waiting)} hear nothing"
        for fd, _ in ready:
            s, heard = waiting[fd]
            piece = s.recv(4096)
            heard += piece
            assert piece and line.startswith(heard), (fd, heard)
            waiting[fd] = (s, heard)
            if heard == line:
                poll.unregister(fd)
                del waiting[fd]


def main(chatd, directory, count):
    manager = Manager(chatd, directory)
    path = f"{directory}/u"
    manager.configure(path, more=f"limits = {{ clients = {count + 100}; }}; log_connections = false;")
    manager.start()
    clients = [dial(path) for _ in range(count)]
    clients[-1].sendall(b"all are in\n")
    hear_all(clients[:-1], b"all are in\n")
    for number, how in enumerate([signal.SIGUSR2, signal.SIGKILL, signal.SIGKILL, signal.SIGUSR2]):
        assert manager.end(how) == (0 if how == signal.SIGUSR2 else -how)
        manager.start()
        line = f"after {number}\n".encode()
        clients[number].sendall(line)
        hear_all(clients[:number] + clients[number + 1:], line)
    # Half of them go, and their places are taken by others.
    for s in clients[::2]:
        s.close()
    left = clients[1::2]
    left += [dial(path) for _ in range(100)]
    manager.end(signal.SIGKILL)
    manager.start()
    left[-1].sendall(b"new\n")
    hear_all(left[:-1], b"new\n")
    assert manager.end(signal.SIGTERM) == 0
    print(f"{count} clients\nok")


if __name__ == "__main__":
    wanted = int(sys.argv[2]) if len(sys.argv) > 2 else allowed()
    allowed()
    with tempfile.TemporaryDirectory() as place:
        main(os.path.abspath(sys.argv[1]), place, wanted)
