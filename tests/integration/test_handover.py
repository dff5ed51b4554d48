"""What outlives the process, as far as settings and passed descriptors go. Kills and restarts under
load are in tests/handover."""

import os
import re
import signal
import socket
import struct

import pytest

from chatd import free_port, push
from store import KEPT, Store, begin, leave, succeed


def has_journal(d):
    with open(f"/proc/{d.pid}/maps", encoding="ascii") as file:
        return "memfd:chatd" in file.read()


# --- limits

ROOM = 32 << 20 if struct.calcsize("P") > 4 else 4 << 20


def settings(queue):
    return f'limits = {{ clients = 10; queue = "{queue}"; stall = 3600; }};'


def take_all(client, size):
    """Reads that many bytes and returns whether they are lines of x and nothing else."""
    return client.read(size) == (b"x" * 1023 + b"\n") * (size // 1024)


def fill(sender):
    """Sends lines of a KiB until nothing more is taken. Returns how many bytes were."""
    return push(sender, (b"x" * 1023 + b"\n") * (192 << 10))


def test_a_reload_that_raises_limits_beyond_the_journal_says_what_that_takes(start, store):
    d = begin(start, store, more=settings("1M"))
    d.configure(more=settings("2M"))
    assert "no room" not in d.reload()
    d.configure(more=settings("1024M"))
    log = d.reload()
    assert ("the journal has no room for the new limits: senders wait earlier, until chatd is "
            "restarted, which disconnects nobody") in log
    d.configure(more=settings("1M"))
    assert "no room" not in d.reload()


def test_until_the_restart_senders_wait_earlier_and_nothing_is_lost(start, daemon, store):
    d = begin(start, store, trace=False, more=settings("1M"))
    sender, reader = d.clients(2)
    d.configure(trace=False, more=settings("160M"))
    assert "no room" in d.reload()
    sent = fill(sender)
    # What the journal has room for, and what both kernels keep.
    assert ROOM <= sent < ROOM + (24 << 20)
    d.stderr.wait_for("holds everybody up|holds up")
    leave(d)
    d = succeed(daemon, store, d)
    more = fill(sender)
    assert sent + more > 2 * ROOM
    assert take_all(reader, (sent + more) // 1024 * 1024)


def test_the_restart_enlarges_the_journal_and_the_next_reload_is_silent(start, daemon, store):
    d = begin(start, store, more=settings("1M"))
    a, b = d.clients(2)
    d.configure(more=settings("1024M"))
    assert "no room" in d.reload()
    leave(d)
    d = succeed(daemon, store, d)
    assert "no room" not in d.reload()
    a.send(b"hello\n")
    b.expect(b"hello\n")


# --- what is passed

def strangers(tmp):
    """Descriptors that nobody has a use for, by what they are."""
    pipe = os.pipe()
    pair = socket.socketpair()
    datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    datagrams.bind(("127.0.0.1", 0))
    unbound = socket.socket()
    packets = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    packets.bind(f"{tmp}/packets")
    packets.listen(1)
    file = os.open("/dev/null", os.O_RDWR)
    memory = os.memfd_create("other")
    return [pipe, pair, datagrams, unbound, packets], \
        [pipe[0], pipe[1], pair[0].fileno(), datagrams.fileno(), unbound.fileno(),
         packets.fileno(), file, memory]


def test_unknown_descriptors_are_closed_with_a_line_in_the_log_and_do_no_harm(start, store, tmp):
    keep, numbers = strangers(tmp)
    passed = [(f"stranger-{i}", number) for i, number in enumerate(numbers)]
    d = start(**store.passes(*passed))
    store.wait_for("READY=1")
    for i in range(len(numbers)):
        d.stderr.wait_for(rf"descriptor {3 + i}: not a listening stream socket, closed\n")
    a, b = d.clients(2)
    a.send(b"hello\n")
    b.expect(b"hello\n")
    assert sorted(d.fds())[:6] == [0, 1, 2, 3, a.sd, b.sd]
    assert len(d.fds()) == 6 + 1 + len(KEPT)
    del keep


def test_beside_clients_unknown_descriptors_do_no_harm_either(start, daemon, store, tmp):
    d = begin(start, store)
    a, b = d.clients(2)
    leave(d)
    keep, numbers = strangers(tmp)
    # Also with names that are taken already.
    passed = [(KEPT[i] if i < 5 else "x", number) for i, number in enumerate(numbers)]
    d = succeed(daemon, store, d, *passed)
    d.stderr.wait_for("closed\n", count=len(numbers))
    d.stderr.wait_for("took over 2 clients of the last chatd")
    a.send(b"hello\n")
    b.expect(b"hello\n")
    del keep


def test_a_listening_socket_of_any_name_is_served(start, store):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        d = start(**store.passes(("whatever", listener.fileno())), listen=["127.0.0.1:1"])
        store.wait_for("READY=1")
        assert d.addresses() == [listener.getsockname()]
        a, b = d.clients(2)
        a.send(b"hello\n")
        b.expect(b"hello\n")


@pytest.mark.parametrize("kind", ["passed", "opened"])
def test_a_listener_that_a_start_made_block_lets_in_newcomers_and_ends(start, daemon, store, kind):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        passed = [("web", listener.fileno())] if kind == "passed" else []
        d = start(**store.passes(*passed))
        store.wait_for("READY=1")
        address, a = d.address, d.client()
        leave(d)
        d = succeed(daemon, store, d, *passed)
        d.stderr.wait_for("took over 1 clients of the last chatd")
        b = d.client(address)
        a.send(b"hello\n")
        b.expect(b"hello\n")
        d.stop()  # which looks whether somebody waits


# --- other journals

def expect_new_start(daemon, store, d, why):
    """The next one says why it cannot use what is there, ends the clients and serves new ones."""
    a, b = d.clients(2)
    leave(d)
    d = succeed(daemon, store, d, ready=1)
    d.stderr.wait_for(re.escape(why) + "\n")
    a.expect_eof()
    b.expect_eof()
    assert sorted(store.kept) == sorted(KEPT)
    c, e = d.clients(2)
    c.send(b"hello\n")
    e.expect(b"hello\n")
    # What it keeps itself is good.
    leave(d)
    d = succeed(daemon, store, d)
    d.stderr.wait_for("took over 2 clients of the last chatd")
    c.send(b"still there\n")
    e.expect(b"still there\n")
    d.close_clients()
    d.stop()
    while store.kept:
        store.message()


def change_state(store, at, data):
    os.pwrite(store.kept["chatd-state"], data, at)


def test_the_journal_of_another_version_is_a_new_start(start, daemon, store):
    d = begin(start, store)
    change_state(store, 8, struct.pack("I", 999))
    expect_new_start(daemon, store, d, "what the last chatd left cannot be used: it is the "
                     "journal of another version of chatd; its clients end")


def test_a_file_that_is_no_journal_is_a_new_start(start, daemon, store):
    d = begin(start, store)
    change_state(store, 0, b"something else")
    expect_new_start(daemon, store, d, "what the last chatd left cannot be used: it is no journal "
                     "of chatd; its clients end")


def test_a_journal_that_was_cut_is_a_new_start(start, daemon, store):
    d = begin(start, store)
    a, b = d.clients(2)
    leave(d)
    os.ftruncate(store.kept["chatd-state"], 65536)
    d = succeed(daemon, store, d, ready=1)
    d.stderr.wait_for("what the last chatd left cannot be used: its header is damaged; its "
                      "clients end\n")
    a.expect_eof()
    b.expect_eof()


@pytest.mark.parametrize("lost", KEPT)
def test_when_one_descriptor_is_missing_the_clients_end_and_a_new_start_follows(
        start, daemon, store, lost):
    d = begin(start, store)
    a, b = d.clients(2)
    leave(d)
    os.close(store.kept.pop(lost))
    d = succeed(daemon, store, d, ready=1)
    d.stderr.wait_for("what the last chatd left cannot be used: .*its clients end\n")
    if lost not in ("chatd-safe", "chatd-feed"):
        a.expect_eof()
        b.expect_eof()
    assert sorted(store.kept) == sorted(KEPT)
    c, e = d.clients(2)
    c.send(b"hello\n")
    e.expect(b"hello\n")


def test_a_state_that_ended_two_processes_is_given_up(start, daemon, store):
    d = begin(start, store)
    a, b = d.clients(2)
    d.process.kill()
    d.wait()
    # As if two had crashed on it: magic, version, ten sizes, two more, a sum; then attempts.
    at = 8 + 4 * (1 + 10 + 2 + 1) + 4
    change_state(store, at, struct.pack("I", 2))
    d = succeed(daemon, store, d, ready=1)
    d.stderr.wait_for("what the last chatd left has ended those who took it over: its clients end")
    a.expect_eof()
    b.expect_eof()


# --- no store

@pytest.mark.parametrize("env", [
    {"NOTIFY_SOCKET": None},
    {"NOTIFY_SOCKET": ""},
    {"FDSTORE": "0"},  # as systemd 254 and later say that there is no store
])
def test_where_nothing_is_kept_there_is_no_journal_and_a_leave_is_an_end(start, notify, env):
    d = start(env={**notify.env, "FDSTORE": None, **env})
    a, b = d.clients(2)
    assert not has_journal(d)
    manager = 1 if env.get("FDSTORE") else 0
    assert len(d.fds()) == 3 + 1 + 2 + manager
    a.send(b"hello\n")
    b.expect(b"hello\n")
    d.signal(signal.SIGUSR2)
    a.expect(b"chatd: the server ends\n")
    b.expect(b"chatd: the server ends\n")
    d.close_clients()
    assert d.wait() == 0


@pytest.mark.parametrize("said", [None, "1", "16"])
def test_where_something_may_be_kept_there_is_a_journal(start, store, said):
    store.env["FDSTORE"] = said
    d = begin(start, store)
    assert has_journal(d)


def test_without_a_store_a_reload_of_any_limit_says_nothing_of_a_restart(start, notify):
    d = start(env=notify.env, more=settings("1M"))
    d.configure(more=settings("1024M"))
    assert "restart" not in d.reload()


def test_unknown_descriptors_without_a_store_do_no_harm(start, notify, tmp):
    store = Store(f"{tmp}/none")
    keep, numbers = strangers(tmp)
    how = store.passes(*[(KEPT[i % 5], number) for i, number in enumerate(numbers)])
    store.close()
    how["env"] = {**how["env"], **notify.env}
    d = start(listen=[f"127.0.0.1:{free_port()}"], **how)
    d.stderr.wait_for("closed\n", count=len(numbers))
    a, b = d.clients(2)
    a.send(b"hello\n")
    b.expect(b"hello\n")
    del keep
