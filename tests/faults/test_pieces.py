"""Sockets that take and give little at a time, and calls that fail for no lasting reason: all of it
at random, from a shim (sockets.c). Nobody may lose a line by it, and nobody may be removed."""

import os
import random

import pytest

import chatd
import shims
from party import Party

SEEDS = [int(seed) for seed in os.environ.get("FAULTS_SEEDS", "1 2 3 4 5 6").split()]

pytestmark = pytest.mark.skipif(bool(chatd.UNDER), reason="valgrind has the calls already")


@pytest.fixture
def party(mode):
    party = Party(chat=mode == "chat")
    yield party
    party.close()


@pytest.mark.parametrize("mode", ["lines", "chat"])
@pytest.mark.parametrize("seed", SEEDS)
def test_pieces_and_errors_that_pass_cost_nobody_a_line(start, party, tmp, mode, seed):
    shim = shims.sockets(tmp, seed, pieces=400, errors=60)
    d = start(listen=("127.0.0.1:0", f"{tmp}/s"), env=shim.env, trace=False,
              more=f'mode = "{mode}"; limits = {{ line = 5000; queue = 20000; }};')
    dice = random.Random(seed)
    for number in range(6):
        party.add(d.addresses()[number % 2])
    d.stderr.wait_for(r" connected as sd ", count=6)
    rounds = 0
    # How many calls the talk takes differs from run to run.
    while rounds < 25 or shim.given < 300:
        rounds += 1
        assert rounds < 500, f"the shim gave {shim.given} pieces and errors only"
        for guest in party.present():
            for _ in range(dice.randrange(4)):
                party.say(guest, size=dice.choice([64, 64, 300, 5000]))
        party.catch_up()
    guest = party.guests[3]
    party.leave(guest)
    party.everyone_says()
    party.catch_up()
    assert all(guest.over == (guest is party.guests[3]) for guest in party.guests)
    party.check()
    d.stop()


@pytest.mark.parametrize("seed", SEEDS[:2])
def test_a_close_that_fails_has_closed_all_the_same(start, tmp, seed):
    shim = shims.sockets(tmp, seed, pieces=0, errors=0)
    d = start(env=shim.env)
    before = d.fds()
    for _ in range(5):
        some = d.clients(10)
        shim.errors = 500
        for client in some:
            client.close()
        chatd.wait_until(lambda: d.fds() == before)
        shim.errors = 0
    assert shim.given > 10
    a, b = d.clients(2)
    a.send(b"still here\n")
    b.expect(b"still here\n")
