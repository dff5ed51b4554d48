"""The bots of examples/: they work as they stand, and nobody can make them do anything else."""

import os
import pathlib
import subprocess
import time

import pytest

from chatd import PATIENCE

EXAMPLES = pathlib.Path(__file__).parents[2] / "examples"
CHAT = 'mode = "chat"; history = "1K";'


@pytest.fixture
def bot(request):
    """bot(chatd, file) starts one, which is ended with the test."""
    running = []

    def begin(chatd, file):
        host, port = chatd.address
        running.append(subprocess.Popen(
            [EXAMPLES / file, host, str(port)], stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE, start_new_session=True))
        return running[-1]

    yield begin
    for process in running:
        if process.poll() is None:
            os.killpg(process.pid, 15)
        process.communicate()


def person(chatd, name):
    client = chatd.client()
    client.send(b"/name %s\n" % name)
    until(client, b"* came: %s\n" % name)
    return client


def until(client, wanted):
    """Reads lines until this one; returns those before it."""
    lines = []
    while (line := client.line()) != wanted:
        assert line, f"{wanted} did not come after {lines}"
        lines.append(line)
    return lines


def test_the_bot_in_python_counts(start, bot):
    chatd = start(more=CHAT)
    alice = person(chatd, b"alice")
    alice.send(b"counter: count?\n")  # before it is there: history for it
    process = bot(chatd, "bot.py")
    until(alice, b"* came: counter\n")
    alice.send(b"one\n* two\ncounter: x\nalice: counter: count?\ncounter: count?\n")
    until(alice, b"counter: alice: you said 4 lines\n")
    bob = person(chatd, b"bob")
    until(alice, b"* came: bob\n")
    bob.send(b"counter: count?\n")
    assert until(alice, b"counter: bob: you said 0 lines\n")[-1] == b"bob: counter: count?\n"
    chatd.stop()
    assert process.wait(PATIENCE) == 1
    assert process.stderr.read() == b"chatd: the server ends\n"


def test_the_bot_in_python_says_that_it_needs_names(start, bot):
    chatd = start()
    client = chatd.client()
    process = bot(chatd, "bot.py")
    assert client.line() == b"/name counter\n"
    client.send(b"anna: hello\nno name\n")
    assert process.wait(PATIENCE) == 1
    assert process.stderr.read() == b'nobody has a name here: chatd needs mode = "chat"\n'


def test_the_bot_in_shell_says_the_time(start, bot):
    chatd = start(more=CHAT)
    alice = person(chatd, b"alice")
    process = bot(chatd, "bot.sh")
    until(alice, b"* came: clock\n")
    asked = time.time()
    alice.send(b"$(touch /tmp/x) `id` \\n %s * ;\nclock: time?\n")
    line = alice.line()
    while line.startswith(b"* "):
        line = alice.line()
    now = [time.strftime("%H:%M", time.localtime(t)).encode()
           for t in range(int(asked), int(time.time()) + 1)]
    assert line in [b"clock: alice: it is %s\n" % text for text in now]
    chatd.stop()
    assert process.stderr.readline() == b"chatd: the server ends\n"
