"""A client that does not read holds the senders of all nodes, and no longer than it lives."""

import select
import signal
import time

import pytest

from chatd import PATIENCE, come_to_rest, exchange, push, talk

LIMITS = 'limits = { queue = "64K"; stall = 4; };'
LINE = b"0123456789abcde\n"


@pytest.fixture
def held(engine, node):
    """Two nodes, a speaker at the first and a client that does not read at the second, for which
    more waits than its limit: (first, second, speaker, sleeper, number of bytes said)."""
    e = engine()
    first, second = node(e.path), node(e.path, more='limits = { queue = "64K"; stall = 60; };')
    speaker, sleeper = first.client(), second.client(window=4096)
    said = push(speaker, LINE * 2_000_000)
    assert said < 32_000_000
    return first, second, speaker, sleeper, said


def test_a_client_that_does_not_read_holds_the_senders_of_all_nodes(held):
    first, second, speaker, sleeper, said = held
    first.stderr.wait_for(r"cluster: .*holds")
    heard = sleeper.read(said // 16 * 16)  # now it reads, and nothing was lost
    assert heard == LINE * (said // 16)
    speaker.send(b"x" * 16 + b"\n")
    rest = sleeper.line()
    while not rest.endswith(b"x\n"):
        rest = sleeper.line()


def test_it_is_removed_by_its_own_node_and_the_others_go_on(engine, node):
    e = engine()
    first, second = node(e.path), node(e.path, more=LIMITS)
    speaker, beside = first.clients(2)
    second.client(window=4096)
    far = second.client()
    said = LINE * 1_000_000
    heard = exchange({speaker: said}, {beside: len(said), far: len(said)})
    assert heard[beside] == heard[far] == said
    assert second.stderr.count("removed: took nothing for 4 seconds") == 1
    assert not first.stderr.count("took nothing")


def test_a_node_that_dies_while_it_holds_costs_no_more_than_its_lease(held):
    first, second, speaker, sleeper, said = held
    beside = first.client()
    second.signal(signal.SIGKILL)
    begun = time.monotonic()
    rest = LINE[said % 16:] + LINE * 10_000
    exchange({speaker: rest}, {beside: len(rest)})
    assert time.monotonic() - begun < 20  # the reader might be stalled for sixty


def test_a_node_that_is_asked_to_end_while_it_holds_lets_the_others_go(held):
    first, second, speaker, sleeper, said = held
    second.signal(signal.SIGTERM)
    sleeper.read_to_end()
    beside = first.client()
    begun = time.monotonic()
    speaker.send(LINE[said % 16:] + LINE * 10_000)
    while beside.line() != LINE:
        pass
    assert time.monotonic() - begun < 20


def until_heard(line, listener, other):
    """Both read all the while, so that neither holds everybody up."""
    end = b""
    while line not in end:
        ready, _, _ = select.select([listener.socket, other.socket], [], [], PATIENCE)
        assert ready, f"{line} does not come"
        for each in ready:
            piece = each.recv(1 << 18)
            assert piece, "the end of file comes"
            if each is listener.socket:
                end = end[-len(line):] + piece


def test_who_speaks_again_when_nobody_holds_is_heard_at_once(held):
    first, second, speaker, sleeper, said = held
    sleeper.close()
    a, b = first.client(), second.client()
    speaker.close()
    a.send(b"bye\n")
    until_heard(b"bye\n", b, a)
    b.send(b"hello\n")
    until_heard(b"hello\n", a, b)


def test_without_an_engine_nobody_is_heard_and_nobody_is_removed(engine, node):
    e = engine()
    a = node(e.path, more="limits = { stall = 1; lag = 1; };")
    speaker, beside = a.clients(2)
    e.kill()
    a.stderr.wait_for(r"cluster: lost")
    taken = push(speaker, LINE * 2_000_000)
    assert taken < 32_000_000  # the rest waits in its own socket
    time.sleep(2)
    assert not a.stdout.count("removing")
    e.start()
    assert beside.read(taken // 16 * 16) == LINE * (taken // 16)


def test_a_node_that_waits_for_its_engine_hardly_works(engine, node):
    e = engine()
    a = node(e.path)
    e.kill()
    a.stderr.wait_for(r"cluster: lost")
    speaker = a.client()
    push(speaker, LINE * 1_000_000, quiet=0.2)
    come_to_rest(a, seconds=3, share=0.03)


def test_everybody_goes_on_after_an_engine_was_away(engine, nodes):
    e = engine()
    pair = nodes(e.path, 2)
    e.kill()
    people = [n.client() for n in pair]
    for each in pair:
        each.stderr.wait_for(r"cluster: lost")
    e.start()
    talk(*people)
