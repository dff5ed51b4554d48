"""When descriptors run out: no spin, one line in the log, and service resumes by itself."""

import time

import pytest

from chatd import come_to_rest, few_descriptors, talk

OUT = r".*(Too many open files|descriptor).*"


@pytest.fixture
def exhausted(start):
    """A daemon with two clients and no descriptor left, and three more that wait outside."""
    d = start()
    a, b = d.clients(2)
    since = d.stderr.mark()
    d.limit_descriptors(len(d.fds()))
    outside = [d.client(wait=False) for _ in range(3)]
    d.stderr.wait_for(OUT, since=since)
    return d, a, b, outside, since


def test_the_chat_goes_on_for_those_inside(exhausted):
    d, a, b, _, _ = exhausted
    for _ in range(100):
        talk(a, b)


def test_it_does_not_spin(exhausted):
    d, a, b, _, _ = exhausted
    come_to_rest(d, seconds=2, at_most=10, count=lambda d: d.stdout.count("Waiting on select"))
    talk(a, b)


def test_it_is_logged_once(exhausted):
    d, a, b, _, since = exhausted
    time.sleep(2.5)  # in which it will have tried again
    talk(a, b)
    assert d.stderr.count(OUT, since) == 1, d.stderr.text()


def test_when_a_client_goes_the_next_one_comes_in_at_once(exhausted):
    d, a, inside, outside, _ = exhausted
    took = []
    for client in outside:
        since, begun = d.stderr.mark(), time.monotonic()
        inside.close()
        d.stderr.wait_for(r"connected as sd 5\n", since=since)
        took.append(time.monotonic() - begun)
        inside = client
        talk(a, inside)
    # Not after the second in which it would try again; a busy machine may need that once.
    assert min(took) < 0.9


def test_when_descriptors_come_back_everybody_outside_comes_in(exhausted):
    d, a, b, outside, since = exhausted
    d.limit_descriptors(100)
    d.stderr.wait_for(r"connected as sd", since=since, count=3)
    talk(a, b, *outside)
    d.client()


def test_those_who_give_up_waiting_leave_no_trace(exhausted):
    d, a, b, outside, _ = exhausted
    for client in outside:
        client.close()
    d.limit_descriptors(100)
    late = d.client()
    talk(a, b, late)


def test_it_is_logged_again_when_it_happens_again(exhausted):
    d, a, b, outside, since = exhausted
    d.limit_descriptors(100)
    d.stderr.wait_for(r"accept: works again\n", since=since)
    again = d.stderr.mark()
    d.limit_descriptors(len(d.fds()))
    d.client(wait=False)
    d.stderr.wait_for(OUT, since=again)


def test_a_reload_without_descriptors_is_refused_and_nobody_is_harmed(exhausted):
    d, a, b, _, _ = exhausted
    d.configure(listen=["127.0.0.1:0", "127.0.0.2:0"])
    d.reload(accepted=False)
    talk(a, b)


def test_an_orderly_end_without_descriptors(exhausted):
    d, a, b, _, _ = exhausted
    d.stop()
    a.expect_farewell()


def test_a_start_with_few_descriptors_serves_what_it_can(start):
    """Two listeners' worth and some: the rest waits outside, and comes in later."""
    d = start(under=few_descriptors(12))
    first = d.clients(3)
    more = [d.client(wait=False) for _ in range(12)]
    d.stderr.wait_for(OUT)
    talk(*first)
    for client in first:
        client.close()
    d.stderr.wait_for(r"disconnected from sd", count=3)
    for client in more:
        client.close()
    talk(*d.clients(2))


def test_a_start_without_descriptors_fails_with_a_message(start):
    """One is enough to read the file and for the first listener, but not for a second."""
    d = start(ready=0, listen=["127.0.0.1:0", "127.0.0.2:0"],
              under=few_descriptors(4))
    assert d.wait() == 1
    assert "Too many open files" in d.stderr.text() and d.stdout.text() == ""


def test_clients_that_come_and_go_at_the_limit_do_not_fill_the_log(start):
    """Each of them may end the shortage, and bring it back."""
    d = start(under=few_descriptors(24), trace=False)
    begun = time.monotonic()
    clients = d.clients(20)
    d.stderr.wait_for(OUT)
    for _ in range(100):
        clients.pop(0).close()
        clients.pop(0).close()
        clients += [d.client(), d.client()]
    intervals = 1 + (time.monotonic() - begun) // 10
    assert 5 <= d.stderr.count(r"^accept: ") <= 10 + 5 * intervals, d.stderr.text()
