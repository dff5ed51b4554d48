"""Settings and units that are others after a restart, while clients are inside."""

import signal
import socket

from chatd import talk
from store import begin, leave, succeed


def crash(d):
    d.signal(signal.SIGKILL)
    d.wait()


# --- limits

def test_a_restart_with_fewer_clients_ends_none_of_those_inside(start, daemon, store):
    d = begin(start, store, trace=False, more="limits = { clients = 400; };")
    clients = d.clients(300)
    d.configure(trace=False, more="limits = { clients = 2; };")
    leave(d)
    where = d.address
    d = succeed(daemon, store, d)
    d.stderr.wait_for("took over 300 clients of the last chatd")
    talk(clients[0], clients[-1])
    late = d.client(where, wait=False)
    late.expect(b"chatd: too many clients, at most 2\n")
    # Nor does another one, or a crash.
    crash(d)
    d = succeed(daemon, store, d)
    d.stderr.wait_for("took over 300 clients of the last chatd")
    talk(clients[0], clients[-1])


# --- who is allowed

def test_who_is_excluded_by_the_settings_of_the_next_one_ends_as_after_a_reload(
        start, daemon, store, tmp):
    listen = ["127.0.0.1:0", f"{tmp}/socket"]
    d = begin(start, store, listen=listen)
    tcp = d.client()
    unix, other = d.client(f"{tmp}/socket"), d.client(f"{tmp}/socket")
    talk(unix, tcp)
    other.expect(b"hello\n")
    d.configure(listen=listen, more='deny = "127.0.0.1";')
    leave(d)
    d = succeed(daemon, store, d)
    tcp.expect(b"chatd: your address is not allowed\n")
    tcp.expect_eof()
    d.stderr.wait_for("removed: address not allowed")
    talk(unix, other)


# --- addresses

def test_while_an_address_is_taken_starts_fail_and_clients_wait(start, daemon, store):
    d = begin(start, store)
    a, b = d.clients(2)
    leave(d)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        where = taken.getsockname()
        d.configure(listen=[f"127.0.0.1:{where[1]}"])
        for _ in range(20):
            heir = daemon(**store.passes(), ready=0, args=["-c", d.file]).start()
            assert heir.wait() == 1
            heir.stderr.wait_for(f"bind 127.0.0.1:{where[1]}: Address already in use")
    a.send(b"nobody heard this yet\n")
    d = succeed(daemon, store, d)
    d.stderr.wait_for("took over 2 clients of the last chatd")
    b.expect(b"nobody heard this yet\n")
    talk(d.client(where), a)


# --- sockets that are passed

def test_a_passed_socket_that_is_called_tls_from_now_on_wants_tls(start, daemon, store, certs):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        where = listener.getsockname()
        d = start(**store.passes(("plain", listener.fileno())), more=certs.settings("server"))
        store.wait_for("READY=1")
        a, b = d.clients(2, where)
        leave(d)
        d = succeed(daemon, store, d, ("tls", listener.fileno()))
        d.stderr.wait_for("listening on tls://")
        talk(a, b)
        late = d.client(where, wait=False)
        late.send(b"is this plain?\n")
        late.expect(b"chatd: this port wants TLS\n")
        # And back.
        leave(d)
        d = succeed(daemon, store, d, ("plain", listener.fileno()))
        late = d.client(where)
        talk(late, a)
