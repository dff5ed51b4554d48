"""Listeners: passed by systemd (or who plays it), and unix sockets of its own."""

import grp
import os
import pwd
import re
import shutil
import socket
import stat
import subprocess
import sys

import pytest

from chatd import (PATIENCE, Client, free_port, has_ipv6, needs_systemd, run, talk,
                   wait_until)

# Runs a command with the given descriptors as 3, 4, ..., as systemd does.
PASS = """
import os, sys
descriptors = [int(n) for n in sys.argv[1].split(",")]
high = [os.dup2(n, 100 + i) for i, n in enumerate(descriptors)]
os.closerange(3, 100)
for i, n in enumerate(high):
    os.dup2(n, 3 + i)
os.closerange(100, 200)
os.environ["LISTEN_FDS"] = str(len(high))
os.environ.setdefault("LISTEN_PID", str(os.getpid()))
os.execvp(sys.argv[2], sys.argv[2:])
"""


def passing(*sockets):
    """Arguments for start() that pass these sockets."""
    needs_systemd()
    numbers = [s.fileno() for s in sockets]
    return {"under": [sys.executable, "-c", PASS, ",".join(map(str, numbers))],
            "pass_fds": numbers}


def passing_named(names, *sockets):
    """The same with names, "tls:chat"."""
    how = passing(*sockets)
    how["under"] = ["env", f"LISTEN_FDNAMES={names}", *how["under"]]
    return how


def tcp_socket(backlog=100):
    s = socket.socket()
    s.bind(("127.0.0.1", 0))
    s.listen(backlog)
    return s


def unix_socket(path):
    s = socket.socket(socket.AF_UNIX)
    s.bind(path)
    s.listen(100)
    return s


def test_a_passed_socket_is_served_in_place_of_the_ports_of_the_file(start):
    unused = free_port()
    with tcp_socket() as passed:
        d = start(listen=[f"127.0.0.1:{unused}"], **passing(passed))
        assert d.addresses() == [passed.getsockname()]
        a, b = d.clients(2)
        a.send(b"hello\n")
        b.expect(b"hello\n")
        assert (a.sd, b.sd) == (4, 5)
        with pytest.raises(ConnectionRefusedError):
            Client(("127.0.0.1", unused))


def test_several_sockets_of_any_kind_may_be_passed(start, tmp):
    sockets = [tcp_socket(), unix_socket(f"{tmp}/passed"), tcp_socket()]
    if has_ipv6():
        sockets.append(socket.create_server(("::1", 0), family=socket.AF_INET6))
    d = start(ready=len(sockets), **passing(*sockets))
    clients = [d.client(to=s.getsockname()[:2] if s.family != socket.AF_UNIX else s.getsockname())
               for s in sockets]
    assert clients[0].sd == 3 + len(sockets)
    for speaker in clients:
        speaker.send(b"hello\n")
        for other in clients:
            if other is not speaker:
                other.expect(b"hello\n")
    for s in sockets:
        s.close()


def test_a_client_that_came_before_the_start_is_served(start):
    with tcp_socket() as passed:
        early = Client(passed.getsockname())
        early.send(b"first!\n")
        d = start(**passing(passed))
        d.stdout.wait_for(r"New incoming connection on sd 4\n")
        late = d.client()
        late.send(b"hello\n")
        early.expect(b"hello\n")
        early.close()


def test_a_passed_socket_outlives_chatd(start, tmp):
    """It belongs to systemd, which goes on listening: neither shut down nor unlinked."""
    with tcp_socket() as tcp, unix_socket(f"{tmp}/passed") as local:
        d = start(ready=2, **passing(tcp, local))
        d.clients(2)
        d.close_clients()
        d.stop()
        assert os.path.exists(f"{tmp}/passed")
        for listener in (tcp, local):
            address = listener.getsockname()
            client = Client(address)
            listener.settimeout(PATIENCE)
            connection, _ = listener.accept()
            connection.close()
            client.close()
        d = start(ready=2, **passing(tcp, local))
        d.clients(2)


def test_a_reload_keeps_passed_sockets(start):
    with tcp_socket() as passed:
        d = start(**passing(passed))
        a, b = d.clients(2)
        d.configure(listen=[f"127.0.0.1:{free_port()}"])
        d.reload()
        a.send(b"hello\n")
        b.expect(b"hello\n")
        c = d.client(to=passed.getsockname())
        c.send(b"hello too\n")
        a.expect(b"hello too\n")


def test_what_is_passed_and_does_not_listen_is_closed_with_a_line_in_the_log(start, tmp):
    datagram = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    datagram.bind(("127.0.0.1", 0))
    silent = socket.socket()
    silent.bind(("127.0.0.1", 0))
    reader, writer = socket.socketpair()
    with open(f"{tmp}/file", "wb") as file:
        for wrong in (datagram, silent, reader, file):
            d = start(**passing(wrong))
            assert "descriptor 3: not a listening stream socket, closed\n" in d.stderr.text()
            d.client()
            d.stop()
    for s in (datagram, silent, reader, writer):
        s.close()


def test_sockets_passed_to_another_process_are_left_alone(start):
    with tcp_socket() as passed:
        d = start(env={"LISTEN_PID": "1"}, **passing(passed))
        assert d.addresses() != [passed.getsockname()]
        d.client()


@pytest.mark.skipif(not shutil.which("ss"), reason="ss is missing")
@pytest.mark.parametrize("passed", [False, True])
def test_a_client_that_is_silent_for_five_minutes_is_probed(start, passed):
    with tcp_socket() as s:
        d = start(**(passing(s) if passed else {}))
        d.client()
        shown = subprocess.run(["ss", "-tnoH", "state", "established", f"sport = :{d.port}"],
                               capture_output=True, check=True, encoding="ascii").stdout
        minutes, seconds = re.search(r"timer:\(keepalive,(?:(\d+)min)?(?:([\d.]+)sec)?,0\)",
                                     shown).groups(default="0")
        assert 240 < int(minutes) * 60 + float(seconds) <= 300


@pytest.mark.skipif(not shutil.which("systemd-socket-activate"),
                    reason="systemd-socket-activate is missing")
def test_systemd_socket_activate_starts_it_for_the_first_client(start, tmp):
    needs_systemd()
    port = free_port()
    keep = [f"-E{name}" for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS") if name in os.environ]
    d = start(ready=0, listen=["192.0.2.1:1"], under=[
        "systemd-socket-activate", *keep, "-l", f"127.0.0.1:{port}", "-l", f"{tmp}/socket"])
    d.stderr.wait_for(r"Listening on", count=2)
    a = Client(("127.0.0.1", port))
    a.send(b"too early for anybody\n")
    d.stdout.wait_for(r"MaxFd 5\n")
    b = d.client(to=f"{tmp}/socket")
    a.send(b"hello\n")
    if b.line() != b"hello\n":
        b.expect(b"hello\n")
    b.send(b"hello yourself\n")
    a.expect(b"hello yourself\n")
    a.close()


# --- unix sockets

def mode(path):
    return stat.S_IMODE(os.stat(path).st_mode)


def test_a_unix_socket_of_its_own_is_removed_at_the_end(start, tmp):
    path = f"{tmp}/socket"
    d = start(listen=[path])
    assert stat.S_ISSOCK(os.stat(path).st_mode)
    a, b = d.clients(2)
    a.send(b"hello\n")
    b.expect(b"hello\n")
    d.stop()
    assert not os.path.exists(path)


def test_the_mode_of_a_unix_socket_is_as_set_whatever_the_umask(start, tmp):
    path = f"{tmp}/socket"
    for umask in ("000", "077"):
        d = start(listen=[path], more='unix = { mode = "0640"; };',
                  under=["sh", "-c", f'umask {umask}; exec "$@"', "sh"])
        assert mode(path) == 0o640
        d.stop()


@pytest.mark.skipif(os.getuid() != 0, reason="only root may give files away")
def test_the_owner_and_group_of_a_unix_socket_are_as_set(start, tmp):
    path = f"{tmp}/socket"
    user, group = pwd.getpwnam("nobody"), grp.getgrgid(1)
    start(listen=[path], more=f'unix = {{ owner = "nobody"; group = "{group.gr_name}"; }};')
    status = os.stat(path)
    assert (status.st_uid, status.st_gid) == (user.pw_uid, 1)


@pytest.mark.skipif(os.getuid() != 0 or not shutil.which("setpriv"), reason="needs root and setpriv")
def test_the_mode_of_a_unix_socket_keeps_strangers_out(start, tmp):
    path = f"{tmp}/socket"
    os.chmod(tmp, 0o755)
    d = start(listen=[path], more='unix = { mode = "0600"; };')
    os.chmod(d.directory, 0o755)
    knock = [sys.executable, "-c", "import socket; socket.socket(socket.AF_UNIX).connect(%r)" % path]
    stranger = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", *knock]
    done = subprocess.run(stranger, capture_output=True, check=False, cwd="/")
    assert b"PermissionError" in done.stderr
    subprocess.run(knock, check=True)


def test_the_socket_file_of_a_dead_daemon_is_replaced(start, tmp):
    path = f"{tmp}/socket"
    d = start(listen=[path])
    d.kill()
    assert os.path.exists(path)
    d = start(listen=[path])
    a, b = d.clients(2)
    a.send(b"hello\n")
    b.expect(b"hello\n")


def test_the_socket_of_a_living_daemon_is_not_taken(start, tmp):
    path = f"{tmp}/socket"
    d = start(listen=[path])
    with open(f"{tmp}/conf", "w", encoding="utf-8") as file:
        file.write(f'listen = [ "{path}" ];')
    second = run("-c", f"{tmp}/conf")
    assert second.returncode == 1 and second.stdout == ""
    assert second.stderr == f"bind {path}: Address already in use\n"
    a, b = d.clients(2)
    a.send(b"hello\n")
    b.expect(b"hello\n")


@pytest.mark.parametrize("stale", [False, True])
def test_of_many_that_start_at_once_on_one_path_exactly_one_serves(tmp, daemon, stale):
    path = f"{tmp}/socket"
    for _ in range(10):
        if stale:
            with socket.socket(socket.AF_UNIX) as left:
                left.bind(path)
        crowd = [daemon(listen=[path], ready=0) for _ in range(12)]
        for each in crowd:
            each.start()
        wait_until(lambda: sum(not each.running() for each in crowd) >= 11)
        (server,) = [each for each in crowd if each.running()]
        server.stderr.wait_for(f"listening on {path}\n")
        for each in crowd:
            if each is not server:
                assert each.wait() == 1
                assert each.stderr.text() == f"bind {path}: Address already in use\n"
        server.address = path
        talk(*server.clients(2))
        server.close_clients()
        server.stop()
        assert not [name for name in os.listdir(tmp) if name.startswith("socket")]


def test_a_socket_file_that_somebody_removed_comes_back_by_a_reload(start, tmp):
    path = f"{tmp}/socket"
    d = start(listen=[path], more='unix = { mode = "0640"; };')
    a = d.client()
    os.unlink(path)
    d.reload()
    assert mode(path) == 0o640
    talk(a, d.client())


@pytest.mark.parametrize("what", ["file", "directory", "link"])
def test_what_is_no_socket_is_not_replaced(tmp, what):
    path = f"{tmp}/socket"
    if what == "file":
        with open(path, "w", encoding="utf-8") as file:
            file.write("precious")
    elif what == "directory":
        os.mkdir(path)
    else:
        os.symlink(f"{tmp}/nowhere", path)
    with open(f"{tmp}/conf", "w", encoding="utf-8") as file:
        file.write(f'listen = [ "{path}" ];')
    result = run("-c", f"{tmp}/conf")
    assert result.returncode == 1
    assert result.stderr == f"bind {path}: Address already in use\n"
    assert os.path.lexists(path)
    if what == "file":
        with open(path, encoding="utf-8") as file:
            assert file.read() == "precious"


def test_the_socket_of_a_successor_is_not_removed_at_the_end(start, tmp):
    path = f"{tmp}/socket"
    first = start(listen=[path])
    os.unlink(path)
    second = start(listen=[path])
    first.stop()
    second.client()


def test_a_unix_socket_in_a_relative_place_is_no_address(tmp):
    with open(f"{tmp}/conf", "w", encoding="utf-8") as file:
        file.write('listen = [ "socket/of/mine" ];')
    assert run("-t", "-c", f"{tmp}/conf").returncode == 78


def test_clients_of_a_unix_socket_are_known_by_their_process_in_the_log(start, tmp):
    d = start(listen=[f"{tmp}/socket"])
    a = d.client()
    d.stderr.wait_for(rf"\b{os.getpid()}\b.* connected as sd 4\n")
    a.close()
    d.stderr.wait_for(rf"\b{os.getpid()}\b.* disconnected from sd 4: closed by the client\n")
    wait_until(lambda: 4 not in d.fds())
