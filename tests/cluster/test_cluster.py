"""Many nodes are one chat: the same lines, in the same order, for everybody."""

import os
import signal
import time

from chatd import NotifySocket, come_to_rest, talk, wait_until
from party import Party


def test_a_line_said_at_one_node_is_heard_at_all(engine, nodes):
    a, b, c = nodes(engine().path, 3)
    talk(a.client(), b.client(), c.client())


def test_nobody_hears_what_he_said_himself(engine, nodes):
    a, b = nodes(engine().path, 2)
    speaker, beside, far = a.client(), a.client(), b.client()
    speaker.send(b"one\n")
    for other in (beside, far):
        other.expect(b"one\n")
    beside.send(b"two\n")
    speaker.expect(b"two\n")  # and not "one" before it
    far.expect(b"two\n")


def test_an_engine_over_tcp_serves_as_well(engine, nodes):
    talk(*(n.client() for n in nodes(engine().tcp, 2)))


def test_three_nodes_with_thirty_clients_hear_one_order(engine, nodes):
    party = Party(nodes(engine().path, 3), speakers=9, batch=20, total=1000)
    with party:
        wait_until(party.finished)
    assert party.check() == 3 * 27 * 1000 + 27 * 26 * 1000


def test_lines_of_any_length_and_any_bytes_come_whole(engine, nodes):
    a, b = nodes(engine().path, 2)
    speaker, far = a.client(), b.client()
    every = bytes(c for c in range(256) if c != 10) + b"\n"
    for line in (b"\n", b"\r\n", every, b"x" * 8191 + b"\n"):
        speaker.send(line)
        far.expect(line)
    speaker.send(b"half")
    speaker.send(b" a line\n")
    far.expect(b"half a line\n")


def test_a_last_line_without_its_end_is_completed_everywhere(engine, nodes):
    a, b = nodes(engine().path, 2)
    speaker, far = a.client(), b.client()
    speaker.send(b"bye")
    speaker.close()
    far.expect(b"bye\n")


def test_who_leaves_at_once_is_heard_all_the_same(engine, nodes):
    a, b = nodes(engine().path, 2)
    far = b.client()
    for number in range(50):
        speaker = a.client(wait=False)
        speaker.send(b"%d\n" % number)
        speaker.close()
    assert sorted(far.lines(50)) == sorted(b"%d\n" % n for n in range(50))


def test_a_node_that_comes_later_hears_what_is_said_from_then_on(engine, node):
    e = engine()
    first = node(e.path)
    speaker, beside = first.clients(2)
    speaker.send(b"before\n")
    beside.expect(b"before\n")
    later = node(e.path).client()
    speaker.send(b"after\n")
    later.expect(b"after\n")
    later.send(b"welcome\n")
    speaker.expect(b"welcome\n")


def test_two_streams_of_one_engine_are_two_chats(engine, node):
    e = engine()
    a, b = (node(e.path, cluster=f'stream = "{name}";').client() for name in ("a", "b"))
    c, d = (node(e.path, cluster=f'stream = "{name}";').client() for name in ("a", "b"))
    a.send(b"of a\n")
    c.expect(b"of a\n")
    b.send(b"of b\n")
    d.expect(b"of b\n")


def test_the_stream_is_kept_as_long_as_keep_says(engine, node):
    e = engine()
    a = node(e.path, cluster="keep = 100;")
    speaker, beside = a.clients(2)
    for number in range(1500):
        speaker.send(b"%d\n" % number)
        beside.expect(b"%d\n" % number)
    assert e.call("XLEN", "chatd") < 400  # MAXLEN ~ leaves a macro node more


def test_a_stop_says_first_what_was_heard(engine, node):
    e = engine()
    a, b = node(e.path), node(e.path)
    speaker, far = a.client(), b.client()
    speaker.send(b"a line\n" * 5000)
    a.signal(signal.SIGTERM)
    far.expect(b"a line\n" * 5000)
    speaker.expect_farewell()
    assert a.wait() == 0


def test_a_stop_without_an_engine_ends_all_the_same(engine, node):
    e = engine()
    a = node(e.path)
    speaker = a.client()
    e.kill()
    a.stderr.wait_for(r"cluster: lost")
    speaker.send(b"never\n")
    begun = time.monotonic()
    a.stop()
    assert time.monotonic() - begun < 10
    speaker.expect_farewell()


def test_idle_nodes_do_not_wake_up(engine, nodes):
    pair = nodes(engine().path, 2)
    people = [n.client() for n in pair]
    talk(*people)
    come_to_rest(*pair, seconds=4, at_most=0)  # longer than the confirmation and the lease


def test_status_says_that_it_is_linked_and_why_it_is_not(engine, node, tmp):
    e = engine()
    notify = NotifySocket(f"{tmp}/notify")
    a = node(e.tcp, env=notify.env)
    notify.wait_for(r"STATUS=.*; cluster linked")
    e.kill()
    notify.wait_for(r"STATUS=.*; held (\d+) s: " + e.tcp.replace(".", r"\.") + " .*")
    e.start()
    notify.wait_for(r"STATUS=.*; cluster linked")
    a.stop()
    notify.close()


def test_ready_comes_at_once_though_there_is_no_engine(engine, node, tmp):
    e = engine(start=False)
    notify = NotifySocket(f"{tmp}/notify")
    a = node(e.path, linked=False, env=notify.env)
    notify.wait_for("READY=1")
    speaker, beside = a.clients(2)
    speaker.send(b"patience\n")
    a.stderr.wait_for(r"cluster: ")
    e.start()
    beside.expect(b"patience\n")
    notify.close()


def test_the_report_tells_of_the_link(engine, node):
    a = node(engine().path)
    a.signal(signal.SIGUSR1)
    a.stderr.wait_for(r"cluster.* linked")


def test_the_links_are_high_descriptors_and_count_in_nothing(engine, node):
    a = node(engine().path)
    first = a.client()
    assert first.sd == 4
    a.stdout.wait_for(r"MaxFd 4\n")
    assert not a.stdout.count(r"MaxFd [1-9][0-9]")
    assert os.path.exists(f"/proc/{a.pid}")
