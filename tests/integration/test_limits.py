"""The limits of the file, each at its value and one past it, told to the client and in the log."""

import os
import re
import subprocess
import sys
import time

import pytest

from chatd import PATIENCE, few_descriptors, free_port, raise_nofile, talk, wait_until


def test_as_many_clients_as_allowed_and_not_one_more(start):
    d = start(more="limits = { clients = 3; };")
    clients = d.clients(3)
    refused = d.client(wait=False)
    assert refused.read_to_end() == b"chatd: too many clients, at most 3\n"
    d.stderr.wait_for(re.escape(refused.name) + r" refused: too many clients, at most 3\n")
    talk(*clients)
    clients.pop().close()
    d.stderr.wait_for(r"disconnected from sd")
    talk(*clients, d.client())


def test_one_client_may_be_all(start):
    d = start(more="limits = { clients = 1; };")
    d.client()
    assert d.client(wait=False).read_to_end() == b"chatd: too many clients, at most 1\n"


def test_a_refused_client_hears_why_even_when_it_speaks_first(start):
    d = start(more="limits = { clients = 1; };")
    d.client()
    for _ in range(20):
        refused = d.client(wait=False)
        try:
            refused.send(b"hello, may I come in?\n" * 100)
        except (ConnectionResetError, BrokenPipeError):
            pass
        assert refused.read_to_end() == b"chatd: too many clients, at most 1\n"


def test_a_refused_client_is_not_counted_and_leaves_nothing(start):
    d = start(more="limits = { clients = 2; };")
    a, b = d.clients(2)
    before = d.fds()
    for _ in range(100):
        d.client(wait=False).expect(b"chatd: too many clients, at most 2\n")
    d.close_clients()
    d.stderr.wait_for(r"disconnected from sd", count=2)
    talk(*d.clients(2))
    assert len(d.fds()) == len(before)


@pytest.mark.parametrize("limit", ["clients = 2", "clients_per_address = 2"])
def test_a_client_that_comes_right_after_another_has_left_is_let_in(start, limit):
    d = start(trace=False, more=f"limits = {{ {limit}; }};")
    stays = d.client()
    heard = b""
    for number in range(200):
        line = b"visit %d\n" % number
        visitor = d.client(wait=False)
        visitor.send(line)
        visitor.close()
        heard += line
    stays.expect(heard)


def test_as_many_clients_of_one_address_as_allowed_and_not_one_more(start):
    d = start(listen=["0.0.0.0:0"], more="limits = { clients_per_address = 2; };")
    clients = d.clients(2) + d.clients(2, source="127.0.0.2")
    for source in ("127.0.0.1", "127.0.0.2"):
        refused = d.client(wait=False, source=source)
        assert refused.read_to_end() == b"chatd: too many clients from your address, at most 2\n"
        d.stderr.wait_for(re.escape(refused.name)
                          + r" refused: too many clients from this address, at most 2\n")
    clients.append(d.client(source="127.0.0.3"))
    talk(*clients)
    clients.pop(0).close()
    d.stderr.wait_for(r"disconnected from sd")
    clients.append(d.client())
    talk(*clients)


def test_ipv4_and_mapped_ipv4_are_one_address(start):
    d = start(listen=[f"[::]:{free_port()}", "127.0.0.1:0"], more="limits = { clients_per_address = 1; };")
    dual, plain = d.addresses()
    d.client(to=("127.0.0.1", dual[1]))
    assert d.client(to=plain, wait=False).read_to_end() \
        == b"chatd: too many clients from your address, at most 1\n"
    d.client(to=("::1", dual[1]))


# Run where ::1 is not the only address of IPv6.
ONE_OF_A_64 = '''
import sys
from chatd import Daemon, talk

d = Daemon(sys.argv[1], listen=["[2001:db8:7::1]:0"], more="limits = { clients_per_address = 2; };")
d.start()
inside = d.clients(1, source="2001:db8:7::1") + d.clients(1, source="2001:db8:7::ffff:0:0:2")
refused = d.client(source="2001:db8:7::3", wait=False)
assert refused.read_to_end() == b"chatd: too many clients from your address, at most 2\\n"
inside += d.clients(2, source="2001:db8:7:1::1")
talk(*inside)
d.stop()
'''


def test_addresses_of_one_ipv6_network_of_64_bits_count_as_one(tmp):
    setup = "ip link set lo up; for a in 7::1 7::ffff:0:0:2 7::3 7:1::1; do " \
            "ip address add 2001:db8:$a/128 dev lo nodad || exit 77; done; exec \"$@\""
    done = subprocess.run(["unshare", "-rn", "sh", "-c", setup, "sh", sys.executable, "-c",
                           ONE_OF_A_64, tmp], cwd=os.path.dirname(os.path.abspath(__file__)),
                          check=False, capture_output=True, text=True)
    if done.returncode == 77 or "unshare" in done.stderr:
        pytest.skip("no network namespaces, or no IPv6 here")
    assert done.returncode == 0, done.stderr


def test_the_log_tells_the_first_refusals_and_counts_the_rest(start):
    d = start(more="limits = { clients = 1; };", trace=False)
    d.client()
    for _ in range(200):
        d.client(wait=False).read_to_end()
    d.stop()
    told = d.stderr.count(r"refused: too many clients, at most 1\n")
    more = re.findall(r"^\.\.\. and (\d+) more refused$", d.stderr.text(), re.M)
    assert 1 <= told <= 20
    assert told + sum(map(int, more)) == 200
    assert len(more) <= 10


def test_the_count_of_refusals_is_told_though_nothing_else_happens(start):
    d = start(more="limits = { clients = 1; };", trace=False)
    d.client()
    for _ in range(30):
        d.client(wait=False).read_to_end()
    # A client has its answer before the log has its line. On a slow machine thirty of them take
    # more than one interval of the log, each of which ends with a count of its own.

    def told():
        more = re.findall(r"^\.\.\. and (\d+) more refused$", d.stderr.text(), re.M)
        assert len(more) <= 30 // 6
        return d.stderr.count(r"refused: too many clients") + sum(map(int, more))
    wait_until(lambda: told() == 30)
    assert d.stderr.count(r"^\.\.\. and \d+ more refused$") > 0


def test_the_log_of_too_long_lines_is_limited_too(start):
    d = start(more="limits = { line = 10; };", trace=False)
    for _ in range(100):
        a = d.client()
        a.send(b"x" * 11)
        a.read_to_end()
    d.stop()
    told = d.stderr.count(r"removed: line too long, at most 10 bytes\n")
    more = re.findall(r"^\.\.\. and (\d+) more removed$", d.stderr.text(), re.M)
    assert 1 <= told <= 20
    assert told + sum(map(int, more)) == 100


def test_whoever_goes_on_after_too_long_a_line_hears_why_and_then_the_end(start):
    """Input that is not read must not become a reset, which could take the reason back."""
    d = start(trace=False)
    for _ in range(20):
        client = d.client()
        try:
            client.socket.sendall(b"x" * 300_000)
        except OSError:
            pass
        client.expect(b"chatd: line too long, at most 8192 bytes\n")
        client.expect_eof()


def test_the_shortest_limit_of_a_line_works(start):
    d = start(more="limits = { line = 2; };")
    a, b = d.clients(2)
    a.send(b"a\n\nb\n")
    b.expect(b"a\n\nb\n")
    a.send(b"ab\n")
    assert a.read_to_end() == b"chatd: line too long, at most 2 bytes\n"


def test_an_endless_line_ends_its_client_long_before_it_fills_memory(start):
    d = start(more="limits = { line = 1000; };", trace=False)
    a, b = d.clients(2)
    try:
        for _ in range(1000):
            a.send(b"x" * 100_000)
    except (ConnectionResetError, BrokenPipeError):
        pass
    else:
        pytest.fail("100 MB without a line end were taken")
    c = d.client()
    talk(b, c)


def test_too_long_a_line_counts_as_a_piece_as_soon_as_it_cannot_end_in_time(start):
    d = start(more="limits = { line = 100; };")
    a = d.client()
    a.send(b"x" * 101)  # no end yet, and too long whatever comes
    assert a.read_to_end() == b"chatd: line too long, at most 100 bytes\n"


def test_a_client_that_says_nothing_is_removed_after_the_idle_time(start):
    d = start(more="limits = { idle = 2; };")
    begun = time.monotonic()
    a = d.client()
    assert a.read_to_end() == b"chatd: idle for 2 seconds\n"
    assert time.monotonic() - begun >= 1.9
    d.stderr.wait_for(re.escape(a.name) + r" removed: idle for 2 seconds\n")
    d.stdout.wait_for(r"removing connection with sd 4 \n")


def test_lines_keep_a_client_from_being_idle_and_pieces_do_not(start):
    d = start(more="limits = { idle = 2; };")
    talker, dripper, listener = d.clients(3)
    begun = time.monotonic()
    told = r"removed: idle for 2 seconds\n"
    while d.stderr.count(told) < 2:
        assert time.monotonic() - begun < 20
        talker.send(b"line\n")
        try:
            dripper.send(b"x")
        except (BrokenPipeError, ConnectionResetError):
            pass
        time.sleep(0.05)
    assert time.monotonic() - begun >= 1.9
    for client in (dripper, listener):
        d.stderr.wait_for(re.escape(client.name) + " " + told)
        assert client.read_to_end().endswith(b"line\nchatd: idle for 2 seconds\n")
    fresh = d.client()
    talker.send(b"still here\n")
    fresh.expect(b"still here\n")


def test_idle_0_removes_nobody(start):
    d = start(more="limits = { idle = 0; };")
    a, b = d.clients(2)
    a.socket.settimeout(1.5)
    with pytest.raises(AssertionError):
        a.receive()
    a.socket.settimeout(PATIENCE)
    talk(a, b)


def test_a_limit_above_what_the_machine_allows_is_told_and_the_possible_is_served(start):
    d = start(more="limits = { clients = 1000; };",
              under=few_descriptors(40))
    d.stderr.wait_for(r".*\b40\b.*")
    clients = d.clients(20)
    talk(*clients[:3])


def test_the_limit_of_clients_raises_the_limit_of_descriptors(start):
    if not raise_nofile(2100):
        pytest.skip("the machine allows too few descriptors")
    d = start(more="limits = { clients = 2000; };", trace=False,
              under=["sh", "-c", 'ulimit -Sn 100; exec "$@"', "sh"])
    clients = d.clients(2000)
    assert d.client(wait=False).read_to_end() == b"chatd: too many clients, at most 2000\n"
    clients[0].send(b"hello\n")
    clients[-1].expect(b"hello\n")
    d.configure(more="limits = { clients = 2010; };", trace=False)
    d.reload()
    d.clients(10)


def test_a_reload_raises_the_limit_of_descriptors_before_it_opens_listeners(start):
    d = start(more="limits = { clients = 50; };", under=["prlimit", "--nofile=20:"])
    d.clients(50)
    listen = [f"127.0.0.{n}:{free_port()}" for n in range(1, 20)]
    d.configure(listen=listen, more="limits = { clients = 50; };")
    d.reload()
    assert len(d.addresses()) == 20
