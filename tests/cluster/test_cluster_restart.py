"""A node that is restarted or killed under a service manager that keeps its descriptors."""

import os
import signal
import time

import pytest

from chatd import CHATD, needs_systemd, wait_until
from conftest import settings
from party import Party
from keeper import Keeper


@pytest.fixture
def kept(tmp):
    """kept(ADDRESS) is a node whose manager keeps its descriptors."""
    needs_systemd()
    made = []

    def make(addresses, more=""):
        made.append(Keeper(CHATD, f"{tmp}/{len(made)}", settings(addresses) + more))
        made[-1].start()
        made[-1].log.wait_for("cluster: linked")
        return made[-1]

    yield make
    for each in made:
        each.close()


def again(keeper, number):
    keeper.end(number)
    keeper.start()


@pytest.mark.parametrize("number", [signal.SIGUSR2, signal.SIGKILL])
def test_a_restart_under_load_is_noticed_by_nobody(engine, kept, number):
    e = engine()
    pair = [kept(e.path), kept(e.path)]
    party = Party(pair)
    with party:
        for turn in range(6):
            party.goes_on()
            again(pair[turn % 2], number)
        party.goes_on()
    party.check()


@pytest.mark.parametrize("number", [signal.SIGUSR2, signal.SIGKILL])
def test_a_restart_while_the_engine_is_away(engine, kept, number):
    e = engine(appendonly="yes", appendfsync="always")
    pair = [kept(e.path), kept(e.path)]
    party = Party(pair)
    with party:
        party.goes_on()
        e.kill()
        pair[0].log.wait_for(r"cluster: lost")
        again(pair[0], number)
        again(pair[1], number)
        e.start()
        party.goes_on()
    party.check()


def test_kills_of_all_at_any_time(engine, kept):
    """Nodes and engine, in turn, at once, while people talk."""
    e = engine(appendonly="yes", appendfsync="always")
    trio = [kept(e.path) for _ in range(3)]
    party = Party(trio)
    with party:
        for _ in range(4):
            party.goes_on()
            for each in trio:
                again(each, signal.SIGKILL)
            e.kill()
            e.start()
        party.goes_on()
    party.check()


@pytest.mark.parametrize("number", [signal.SIGUSR2, signal.SIGKILL])
@pytest.mark.parametrize("entries", [0, 1])
def test_a_restart_before_anything_was_said(engine, kept, number, entries):
    """What is said while a node is away reaches its clients, also if that node had heard nothing yet."""
    e = engine()
    for _ in range(entries):
        e.call("XADD", "chatd", "*", "n", "00000000deadbeef", "s", "1", "d", "before\n")
    here, away = kept(e.path), kept(e.path)
    a, beside, far = here.client(), here.client(), away.client()
    away.end(number)
    a.send(b"meanwhile\n")
    beside.expect(b"meanwhile\n")
    away.start()
    far.expect(b"meanwhile\n")


def test_half_a_line_and_what_nobody_has_read_yet_survive(engine, kept):
    e = engine()
    pair = [kept(e.path), kept(e.path)]
    a, b = pair[0].client(), pair[1].client()
    a.send(b"half")
    time.sleep(0.1)
    again(pair[0], signal.SIGKILL)
    again(pair[1], signal.SIGKILL)
    a.send(b" a line\n")
    b.expect(b"half a line\n")


@pytest.mark.parametrize("number", [signal.SIGUSR2, signal.SIGKILL])
@pytest.mark.parametrize("other, why", [("", "no longer set"), ("other", "another stream")])
def test_what_was_on_the_way_to_a_former_stream_is_said_here(engine, kept, number, other, why):
    e = engine()
    keeper = kept(e.path)
    a, b = keeper.client(), keeper.client()
    e.pause()
    a.send(b"on the way\n")

    def accepted():
        os.kill(keeper.pid, signal.SIGUSR1)
        return keeper.log.count(r", 1 line, ")

    wait_until(accepted)
    keeper.configure(settings(e.path, f'stream = "{other}";') if other else "")
    again(keeper, number)
    b.expect(b"on the way\n")
    keeper.log.wait_for(f"cluster: {why}; 1 line that had not come back is said here now")
    e.resume()
    a.send(b"later\n")
    b.expect(b"later\n")
    b.send(b"aye\n")
    a.expect(b"aye\n")


def test_the_identity_of_a_node_outlives_it(engine, kept):
    e = engine()
    keeper = kept(e.path)
    a, b = keeper.client(), keeper.client()
    for number in (signal.SIGUSR2, signal.SIGKILL):
        a.send(b"one\n")
        b.expect(b"one\n")
        again(keeper, number)
    a.send(b"one\n")
    b.expect(b"one\n")
    entries = [fields for _, fields in e.call("XRANGE", "chatd", "-", "+")]
    assert len({fields[1] for fields in entries}) == 1
    assert [int(fields[3]) for fields in entries] == [1, 2, 3]


def test_a_stop_ends_all_of_it(engine, kept):
    e = engine()
    keeper = kept(e.path)
    a = keeper.client()
    keeper.end(signal.SIGTERM)
    a.expect_farewell()
    assert not keeper.kept
