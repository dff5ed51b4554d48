"""The trace on standard output: its exact text."""

import re
import shutil
import subprocess

import pytest

from chatd import NO_LEAK_CHECK, TRACE_LINE, come_to_rest, free_port

GOLDEN = """\
Waiting on select()...
MaxFd 3
New incoming connection on sd 4
Waiting on select()...
MaxFd 4
Descriptor 4 is readable
7 bytes received from sd 4
Waiting on select()...
MaxFd 4
Descriptor 4 is readable
Connection closed for sd 4
removing connection with sd 4 
Waiting on select()...
MaxFd 3
"""

GOLDEN_TWO = """\
Waiting on select()...
MaxFd 3
New incoming connection on sd 4
Waiting on select()...
MaxFd 4
New incoming connection on sd 5
Waiting on select()...
MaxFd 5
Descriptor 5 is readable
4 bytes received from sd 5
Waiting on select()...
MaxFd 5
Descriptor 4 is readable
5 bytes received from sd 4
Waiting on select()...
MaxFd 5
Waiting on select()...
MaxFd 5
Descriptor 4 is readable
Connection closed for sd 4
removing connection with sd 4 
Waiting on select()...
MaxFd 5
New incoming connection on sd 4
Waiting on select()...
MaxFd 5
Descriptor 5 is readable
Connection closed for sd 5
removing connection with sd 5 
Waiting on select()...
MaxFd 4
Waiting on select()...
MaxFd 4
Descriptor 4 is readable
Connection closed for sd 4
removing connection with sd 4 
Waiting on select()...
MaxFd 3
"""


@pytest.mark.parametrize("how", ["a port", "a file"])
def test_a_session_with_one_client_reads_as_in_the_manual(start, how):
    d = start(args=[str(free_port())]) if how == "a port" else start()
    d.stdout.wait_for(r"MaxFd 3\n")
    a = d.client()
    d.stdout.wait_for(r"MaxFd 4\n")
    a.send(b"hello\r\n")
    d.stdout.wait_for(r"MaxFd 4\n", count=2)
    a.close()
    d.stdout.wait_for(r"MaxFd 3\n", count=2)
    assert d.stdout.text() == GOLDEN
    d.stop()
    assert d.stdout.text() == GOLDEN


def test_a_session_with_two_clients(start):
    d = start()
    d.stdout.wait_for(r"MaxFd 3\n")
    a = d.client()
    d.stdout.wait_for(r"MaxFd 4\n")
    b = d.client()
    d.stdout.wait_for(r"MaxFd 5\n")
    b.send(b"piec")
    d.stdout.wait_for(r"MaxFd 5\n", count=2)
    a.send(b"line\n")
    b.expect(b"line\n")
    d.stdout.wait_for(r"MaxFd 5\n", count=4)
    a.close()
    d.stdout.wait_for(r"MaxFd 5\n", count=5)
    a = d.client()
    d.stdout.wait_for(r"MaxFd 5\n", count=6)
    b.close()
    a.expect(b"piec\n")
    d.stdout.wait_for(r"MaxFd 4\n", count=3)
    a.close()
    d.stdout.wait_for(r"MaxFd 3\n", count=2)
    assert d.stdout.text() == GOLDEN_TWO


def test_ready_descriptors_are_served_in_ascending_order(start):
    d = start()
    clients = d.clients(6)
    d.stdout.wait_for(r"MaxFd 9\n")
    since = d.stdout.mark()
    d.pause()  # all are to be readable in one pass
    for number, client in reversed(list(enumerate(clients))):
        client.send(b"x" * (number + 1))
    d.resume()
    d.stdout.wait_for(r"6 bytes received from sd 9\n", since=since)
    expected = "".join(f"Descriptor {n + 4} is readable\n{n + 1} bytes received from sd {n + 4}\n"
                       for n in range(6))
    assert expected in d.stdout.text()


def test_one_read_for_each_readable_client_in_a_pass(start):
    d = start()
    a = d.client()
    a.send(b"x\n" * 1_000_000)
    d.stdout.wait_for(r"Descriptor 4 is readable\n", count=3)
    a.close()
    d.stdout.wait_for(r"removing connection with sd 4 \n")
    passes = re.split(r"Waiting on select\(\)\.\.\.\nMaxFd \d+\n", d.stdout.text())
    reads = [one.count("bytes received from sd 4") for one in passes]
    assert sum(reads) > 3 and max(reads) == 1
    received = re.findall(r"(\d+) bytes received from sd 4\n", d.stdout.text())
    assert sum(map(int, received)) == 2_000_000


def test_maxfd_is_the_highest_descriptor_of_the_pool(start):
    d = start()
    clients = d.clients(3)
    d.stdout.wait_for(r"^MaxFd 6\n")
    clients[0].close()
    d.stdout.wait_for(r"removing connection with sd 4 \nWaiting on select\(\)\.\.\.\nMaxFd 6\n")
    clients[2].close()
    d.stdout.wait_for(r"removing connection with sd 6 \nWaiting on select\(\)\.\.\.\nMaxFd 5\n")
    again = d.client()
    assert again.sd == 4
    d.stdout.wait_for(r"New incoming connection on sd 4\nWaiting on select\(\)\.\.\.\nMaxFd 5\n")


def test_with_two_listeners_the_first_client_follows_them(start):
    d = start(listen=["127.0.0.1:0", "127.0.0.2:0"])
    d.stdout.wait_for(r"MaxFd 4\n")
    first = d.client(to=d.address)
    second = d.client(to=d.addresses()[1])
    assert (first.sd, second.sd) == (5, 6)


def test_a_client_removed_by_chatd_is_traced(start):
    d = start(more="limits = { line = 10; };")
    a = d.client()
    a.send(b"x" * 11)
    a.read_to_end()
    d.stdout.wait_for(r"Descriptor 4 is readable\n11 bytes received from sd 4\n"
                      r"(.*\n)*removing connection with sd 4 \n")
    assert "Connection closed for sd 4" not in d.stdout.text()


def test_a_client_that_resets_its_connection_is_traced(start):
    d = start()
    a = d.client()
    a.reset()
    d.stdout.wait_for(r"Descriptor 4 is readable\nConnection closed for sd 4\n"
                      r"removing connection with sd 4 \n")
    assert "bytes received" not in d.stdout.text()


def test_trace_false_prints_nothing(start):
    d = start(trace=False)
    a, b = d.clients(2)
    a.send(b"hello\n")
    b.expect(b"hello\n")
    a.close()
    d.stop()
    assert d.stdout.text() == ""


def test_nothing_but_the_trace_is_ever_on_standard_output(start):
    d = start(more="limits = { clients = 3; line = 100; };")
    a, b, c = d.clients(3)
    d.client(wait=False).read_to_end()  # refused
    a.send(b"%s %d %n line\n" * 3)
    b.expect(b"%s %d %n line\n" * 3)
    a.send(b"x" * 101)
    a.read_to_end()
    d.reload()
    d.write("nonsense")
    d.reload(accepted=False)
    b.reset()
    c.send(b"end\n")
    c.close()
    d.stop()
    for line in d.stdout.text().splitlines():
        assert TRACE_LINE.fullmatch(line), line


def test_what_clients_say_is_in_neither_the_trace_nor_the_log(start):
    d = start(more="limits = { line = 100; };")
    a, b = d.clients(2)
    a.send(b"secret\n")
    b.expect(b"secret\n")
    a.send(b"secret" * 100)
    a.read_to_end()
    b.send(b"secret")
    b.close()
    d.stop()
    assert "secret" not in d.stdout.text() + d.stderr.text()


def can_strace():
    return shutil.which("strace") and subprocess.run(
        ["strace", "-o", "/dev/null", "true"], check=False, capture_output=True).returncode == 0


@pytest.mark.skipif(not can_strace(), reason="strace is missing or may not trace")
def test_the_trace_of_a_pass_is_one_write_and_complete_before_select_waits(start, tmp):
    calls = f"{tmp}/calls"
    d = start(under=["strace", "-D", "-e", "trace=write,select,pselect6", "-s", "10000", "-o", calls],
              env=NO_LEAK_CHECK)
    clients = d.clients(20)
    for number, speaker in enumerate(clients):
        speaker.send(b"line %d\n" % number)
        for other in clients:
            if other is not speaker:
                other.expect(b"line %d\n" % number)
    for client in clients:
        client.close()
    d.stdout.wait_for(r"removing connection with sd ", count=20)
    d.stop()
    with open(calls, encoding="utf-8") as file:
        lines = [line for line in file if re.match(r"(write\(1,|p?select6?\()", line)]
    # In turn: one write that ends with MaxFd, then select.
    begun = False
    for before, line in zip(lines, lines[1:]):
        if not line.startswith("write"):
            assert before.startswith("write(1, "), (before, line)
            assert re.search(r'Waiting on select\(\)\.\.\.\\nMaxFd \d+\\n", \d+', before), before
            begun = True
        elif begun:
            assert not before.startswith("write"), (before, line)
    assert begun
    written = "".join(re.match(r'write\(1, "(.*)", \d+\)', line)[1].replace("\\n", "\n")
                      for line in lines if line.startswith("write"))
    assert written == d.stdout.text()


def test_an_idle_daemon_neither_traces_nor_wakes_up(start):
    d = start()
    d.clients(3)
    d.stdout.wait_for(r"MaxFd 6\n")
    before = d.stdout.text()
    come_to_rest(d, seconds=1.5, at_most=1)
    assert d.stdout.text() == before
