"""What may happen between a node and its engine: nothing is lost, nothing comes twice, one order."""

import signal
import time

import pytest

from chatd import wait_until
from party import Party


@pytest.fixture
def apart(engine, proxy, node):
    """Two nodes, the first of which reaches the engine through a proxy: (proxy, first, second)."""
    e = engine()
    p = proxy(e.path)
    return p, node(p.tcp), node(e.path)


def test_a_link_that_is_cut_again_and_again(apart):
    p, *pair = apart
    party = Party(pair, batch=10)
    with party:
        for _ in range(10):
            party.goes_on()
            p.cut()
        party.goes_on()
    party.check()


def test_a_link_that_falls_silent(apart):
    """Only the confirmation that does not come tells."""
    p, *pair = apart
    party = Party(pair)
    with party:
        party.goes_on()
        p.silence()
        pair[0].stderr.wait_for(r"cluster: lost")
        p.mend()
        party.goes_on()
    party.check()


def test_a_link_that_is_refused_for_a_while(apart):
    p, *pair = apart
    party = Party(pair)
    with party:
        party.goes_on()
        p.refuse()
        pair[0].stderr.wait_for(r"cluster: .*refused")
        time.sleep(1)
        p.mend()
        party.goes_on()
    party.check()


def test_a_link_on_which_everything_comes_late(apart):
    p, *pair = apart
    party = Party(pair)
    with party:
        party.goes_on()
        p.delay(0.3)
        party.goes_on()
        party.goes_on()
        p.mend()
        party.goes_on()
    party.check()


def test_replies_in_pieces_of_any_size(apart):
    p, *pair = apart
    for size in (1, 2, 3, 5, 7, 100):
        party = Party(pair, total=20, batch=2)
        p.dribble(size)
        with party:
            pass
        party.talk()
        party.check()
        for guest in party.guests:
            guest.client.close()


def test_late_bytes_of_an_old_link(apart):
    """What was under way arrives after it has been sent again over a new link."""
    p, *pair = apart
    party = Party(pair)
    with party:
        for _ in range(2):
            party.goes_on()
            p.hold_back()
            before = p.accepted
            wait_until(lambda: p.accepted >= before + 2)  # both links anew, after 3 s
            party.goes_on()
            p.let_go()
            party.goes_on()
    party.check()


# The second one is longer than a confirmation takes.
@pytest.mark.parametrize("seconds", [0.5, 4])
def test_a_node_that_stands_still_is_no_loss_to_the_others(apart, seconds):
    p, *pair = apart
    party = Party(pair)
    with party:
        party.goes_on()
        pair[0].pause()
        time.sleep(seconds)
        pair[0].resume()
        party.goes_on()
    party.check()


def test_a_node_that_is_killed_takes_only_its_own_clients_along(engine, nodes):
    trio = nodes(engine().path, 3)
    party = Party(trio, batch=20)
    with party:
        party.goes_on()
        trio[0].signal(signal.SIGKILL)
        party.goes_on(2000)
    survivors_agree(party, dead=0)


def survivors_agree(party, dead):
    """All others heard the same, whole lines, each speaker in its order, without a gap but at the
    end of one that died."""
    party.account()
    first, second = (g.lines() for g in party.listeners if g.node != dead)
    assert first == second
    for speaker in party.speakers:
        got = [line for line in first if line.startswith(speaker.name + b" ")]
        assert got == [party.line(speaker, n)[:-1] for n in range(len(got))]
        assert speaker.node == dead or len(got) == speaker.said


def test_a_link_that_comes_back_after_more_was_said_than_is_kept(engine, proxy, node):
    e = engine()
    p = proxy(e.path)
    away, here = node(p.tcp), node(e.path, cluster="keep = 100;")
    speaker, beside, far = here.client(), here.client(), away.client()
    speaker.send(b"first\n")
    far.expect(b"first\n")
    beside.expect(b"first\n")
    p.refuse()
    away.stderr.wait_for(r"cluster: .*refused")
    for number in range(1000):  # an entry each
        speaker.send(b"%d\n" % number)
        beside.expect(b"%d\n" % number)
    p.mend()
    lost = int(away.stderr.wait_for(r"cluster: .*?(\d+) entries .*lost")[1])
    heard = [int(line) for line in far.lines(1000 - lost)]
    assert heard == list(range(lost, 1000))
    speaker.send(b"last\n")
    far.expect(b"last\n")
