"""What may happen to the engine, while people talk: nothing is lost, nothing comes twice, one order."""

import time

import pytest

from chatd import talk, wait_until
from conftest import LOST
from party import Party

DISK = {
    "everysec": {"appendonly": "yes", "appendfsync": "everysec"},
    "always": {"appendonly": "yes", "appendfsync": "always"},
    "none": {},
}


def held(*nodes):
    """Until each of them has said that its link is lost."""
    for each in nodes:
        each.stderr.wait_for(r"cluster: lost")


@pytest.mark.parametrize("disk", DISK)
def test_an_engine_that_is_killed(engine, nodes, disk):
    e = engine(**DISK[disk])
    party = Party(nodes(e.path, 2))
    with party:
        for _ in range(2):
            party.goes_on()
            e.kill()
            e.start()
        party.goes_on()
    # What one node had read already and another had not is gone, unless it was on the disk before
    # anybody could read it: it is said again.
    party.check(one_order=disk == "always")


def test_an_engine_that_forgets_all_when_it_is_killed_and_is_away_for_a_while(engine, nodes):
    e = engine()
    pair = nodes(e.path, 2)
    party = Party(pair)
    with party:
        party.goes_on()
        e.kill()
        held(*pair)
        e.start()
        party.goes_on()
    party.check(one_order=False)


def test_an_engine_that_stops_for_longer_than_a_confirmation_takes(engine, nodes):
    e = engine()
    pair = nodes(e.path, 2)
    party = Party(pair)
    with party:
        party.goes_on()
        e.pause()
        held(*pair)  # 3 s
        e.resume()
        party.goes_on()
    party.check()


def test_an_engine_that_stops_for_a_moment_is_not_given_up(engine, nodes):
    e = engine()
    pair = nodes(e.path, 2)
    party = Party(pair)
    with party:
        party.goes_on()
        e.pause()
        time.sleep(1)
        e.resume()
        party.goes_on()
    party.check()
    assert not any(n.stderr.count(r"cluster: lost") for n in pair)


def test_an_engine_whose_memory_is_full(engine, nodes):
    """The window: were more than one entry in flight, some would be refused and later ones taken."""
    e = engine(maxmemory_policy="noeviction")
    pair = nodes(e.path, 2)
    party = Party(pair, batch=20)
    with party:
        for _ in range(5):
            party.goes_on(1000)
            e.set("maxmemory", "1")
            time.sleep(0.2)  # of load against a full engine
            wait_until(lambda: any(n.stderr.count(r"cluster: .*OOM") for n in pair))
            e.set("maxmemory", "0")
        party.goes_on(1000)
    party.check()


def test_memory_that_runs_full_by_itself_in_the_middle_of_a_flood(engine, nodes):
    e = engine(maxmemory_policy="noeviction")
    pair = nodes(e.path, 2)
    party = Party(pair, batch=50, speakers=4)
    with party:
        for _ in range(5):
            e.set("maxmemory", int(e.info("used_memory")) + 200_000)
            wait_until(lambda: any(n.stderr.count(r"cluster: .*OOM") for n in pair))
            e.set("maxmemory", "0")
            party.goes_on(1000)
    party.check()


@pytest.mark.parametrize("setting, refuses, takes, why", [
    ("maxmemory", "1", "0", "OOM"),
    ("min-replicas-to-write", "1", "0", "NOREPLICAS"),
])
def test_an_engine_that_refuses_entries_holds_the_senders(engine, node, setting, refuses, takes, why):
    e = engine(maxmemory_policy="noeviction", **{setting.replace("-", "_"): refuses})
    a = node(e.path, linked=False)
    speaker, far = a.clients(2)
    speaker.send(b"wait\n")
    a.stderr.wait_for(rf"cluster: .*{why}")
    e.set(setting, takes)
    far.expect(b"wait\n")


def test_a_disk_that_is_full_is_an_engine_that_takes_nothing(engine, node):
    """MISCONF: no snapshot could be written."""
    e = engine(save="3600 1", stop_writes_on_bgsave_error="yes")
    a = node(e.path)
    speaker, far = a.clients(2)
    speaker.send(b"one\n")
    far.expect(b"one\n")
    e.set("dir", "/proc")  # where nothing can be written
    e.call("BGSAVE")
    e.wait(lambda text: b"rdb_last_bgsave_status:err" in text, "INFO", "persistence")
    speaker.send(b"two\n")
    a.stderr.wait_for(r"cluster: .*MISCONF")
    e.set("dir", e.folder)
    e.call("CONFIG", "SET", "stop-writes-on-bgsave-error", "no")
    far.expect(b"two\n")


def test_an_engine_that_still_loads(engine, node):
    e = engine(appendonly="yes", aof_use_rdb_preamble="no")
    e.call("EVAL", "for i = 1, 60000 do redis.call('SET', i, i) end", 0)
    e.kill()
    e.options["key_load_delay"] = 400  # microseconds for each: as long as the node needs
    e.start(ready=False)
    a = node(e.path, linked=False)
    speaker, far = a.clients(2)
    speaker.send(b"wait\n")
    a.stderr.wait_for(r"cluster: .*LOADING")
    e.set("key-load-delay", 0)
    far.expect(b"wait\n")


def test_a_replica_is_no_engine(engine, node):
    first, second = engine(), engine()
    second.follow(first)
    a = node(second.path, linked=False)
    speaker, far = a.clients(2)
    speaker.send(b"wait\n")
    a.stderr.wait_for(r"cluster: .*READONLY")
    second.call("REPLICAOF", "NO", "ONE")
    far.expect(b"wait\n")


def test_the_next_address_is_tried_when_the_first_is_a_replica(engine, node):
    first, second = engine(), engine()
    second.follow(first)
    a = node([second.tcp, first.tcp], linked=False)
    speaker, far = a.clients(2)
    speaker.send(b"wait\n")
    far.expect(b"wait\n")


def test_a_replica_takes_the_place_of_an_engine_that_died(engine, nodes):
    first, second = engine(), engine()
    second.follow(first)
    party = Party(nodes([first.tcp, second.tcp], 2))
    with party:
        party.goes_on()
        first.kill()
        second.call("REPLICAOF", "NO", "ONE")
        party.goes_on()
    party.check(one_order=False)


def test_a_replica_that_lacks_a_tail_takes_the_place(engine, nodes):
    """What only the dead engine had is said again: the order of that tail may differ, no line is lost."""
    first, second = engine(), engine(repl_timeout=3600)
    second.follow(first)
    party = Party(nodes([first.tcp, second.tcp], 2))
    with party:
        party.goes_on()
        second.pause()
        party.goes_on(2000)
        first.kill()
        second.resume()
        second.call("REPLICAOF", "NO", "ONE")
        party.goes_on()
    party.check(one_order=False)


def test_the_old_engine_that_comes_back_as_a_replica(engine, nodes):
    first, second = engine(), engine()
    second.follow(first)
    party = Party(nodes([first.tcp, second.tcp], 2))
    with party:
        party.goes_on()
        first.kill()
        second.call("REPLICAOF", "NO", "ONE")
        party.goes_on()
        first.start()
        first.follow(second)
        party.goes_on()
        second.kill()
        first.call("REPLICAOF", "NO", "ONE")
        party.goes_on()
    party.check(one_order=False)


def test_a_stream_that_somebody_deletes_between_two_lines(engine, nodes):
    e = engine()
    a, b = (n.client() for n in nodes(e.path, 2))
    for number in range(5):
        a.send(b"%d\n" % number)
        b.expect(b"%d\n" % number)
        e.call("DEL", "chatd")
        time.sleep(0.005)  # the first number of the new stream is a time in ms: not that of the last


def test_a_stream_that_somebody_deletes_under_load(engine, nodes):
    """What nobody had read is gone for good; it is counted, and the rest goes on."""
    e = engine()
    pair = nodes(e.path, 2)
    party = Party(pair)
    with party:
        for _ in range(10):
            party.goes_on(100)
            e.call("DEL", "chatd")
        party.goes_on()
    lost = party.account()
    assert not lost or any(n.stderr.count(LOST) for n in pair), lost


def test_a_stream_that_is_made_anew_with_lower_numbers(engine, nodes):
    """As when the clock of the engine was ahead at the start."""
    e = engine()
    e.call("XADD", "chatd", "18446744073709551614-5", "x", "y")
    one, two = nodes(e.path, 2)
    a, b, c = one.client(), one.client(), two.client()
    talk(a, b, c)
    e.call("DEL", "chatd")
    a.send(b"one\n")
    b.expect(b"one\n")
    c.send(b"two\n")  # a node notices once it says something
    a.expect(b"two\n")
    b.expect(b"two\n")
    c.expect(b"one\n")
    talk(a, b, c)
