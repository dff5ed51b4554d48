"""The programs people use: nc, telnet, socat, ncat, bash."""

import os
import re
import shutil
import signal
import subprocess
import threading

import pytest

from chatd import FAREWELL, Output, has_ipv6

COMMANDS = {
    "nc": ["nc", "{host}", "{port}"],
    "nc -N": ["nc", "-N", "{host}", "{port}"],
    "telnet": ["telnet", "{host}", "{port}"],
    "socat": ["socat", "-", "TCP:{host}:{port}"],
    "ncat": ["ncat", "{host}", "{port}"],
    "bash": ["bash", "-c", "exec 3<>/dev/tcp/{host}/{port}; cat <&3 & cat >&3"],
}


class Program:
    """A program that is connected to chatd, with a person's hands at its stdin."""

    def __init__(self, d, command):
        if not shutil.which(command[0]):
            pytest.skip(f"{command[0]} is missing")
        command = [part.format(host="127.0.0.1", port=d.port) for part in command]
        since = d.stderr.mark()
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT, start_new_session=True)
        self.shown = Output(os.dup(self.process.stdout.fileno()))
        self.process.stdout.close()
        self.sd = int(d.stderr.wait_for(r"connected as sd (\d+)(?:, TLS.*)?\n", since=since)[1])

    def type(self, text):
        self.process.stdin.write(text)
        self.process.stdin.flush()

    def leave(self):
        """End of file, as ^D makes it."""
        self.process.stdin.close()

    def kill(self):
        """With its children, which is why it has a session of its own."""
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()
        if not self.process.stdin.closed:
            self.process.stdin.close()


@pytest.fixture
def people(request):
    people = []
    yield lambda d, command: people.append(Program(d, command)) or people[-1]
    for person in people:
        person.kill()


@pytest.mark.parametrize("name", COMMANDS)
def test_two_people_talk(start, people, name):
    d = start()
    a, b = people(d, COMMANDS[name]), people(d, COMMANDS[name])
    plain = d.client()
    a.type(b"hello from a\n")
    b.shown.wait_for(r"^hello from a\r?\n")
    b.type(b"hello from b\n")
    a.shown.wait_for(r"^hello from b\r?\n")
    assert re.sub(rb"\r", b"", plain.line() + plain.line()) == b"hello from a\nhello from b\n"
    plain.send(b"hello from a socket\r\n")
    a.shown.wait_for(r"^hello from a socket\r*\n")
    b.shown.wait_for(r"^hello from a socket\r*\n")
    assert "hello from a\n" not in a.shown.text().replace("\r", "")
    a.kill()
    d.stderr.wait_for(rf"disconnected from sd {a.sd}: ")
    b.type(b"still here\n")
    assert plain.line().replace(b"\r", b"") == b"still here\n"


@pytest.mark.parametrize("name", ["nc -N", "socat", "ncat"])
def test_the_whole_of_a_pipe_arrives_though_the_program_ends_at_once(start, name):
    command = COMMANDS[name]
    if not shutil.which(command[0]):
        pytest.skip(f"{command[0]} is missing")
    d = start(trace=False)
    reader = d.client()
    data = b"".join(b"line %d of a file\n" % n for n in range(50_000)) + b"without an end"
    command = [part.format(host="127.0.0.1", port=d.port) for part in command]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    feeder = threading.Thread(target=process.communicate, args=(data,))
    feeder.start()
    assert reader.read(len(data) + 1) == data + b"\n"
    feeder.join(30)
    assert process.returncode == 0


def test_the_whole_chat_goes_into_a_pipe(start):
    if not shutil.which("nc"):
        pytest.skip("nc is missing")
    d = start(trace=False)
    process = subprocess.Popen(["nc", "-d", "127.0.0.1", str(d.port)], stdout=subprocess.PIPE)
    d.stderr.wait_for(r"connected as sd 4\n")
    shown = Output(os.dup(process.stdout.fileno()))
    process.stdout.close()
    a = d.client()
    data = b"".join(b"line %d\n" % n for n in range(50_000))
    a.send(data)
    shown.wait_for(r"^line 49999\n")
    d.stop()
    process.wait(30)
    shown.wait_for_end()
    assert bytes(shown.data) == data + FAREWELL


def test_ncs_of_both_families_and_a_unix_socket(start, people, tmp):
    if not has_ipv6():
        pytest.skip("no IPv6 here")
    d = start(listen=["[::]:0", f"{tmp}/socket"])
    six = people(d, ["nc", "-6", "::1", "{port}"])
    four = people(d, ["nc", "-4", "127.0.0.1", "{port}"])
    local = people(d, ["nc", "-U", f"{tmp}/socket"])
    for speaker, text in ((six, b"from six\n"), (four, b"from four\n"), (local, b"from local\n")):
        speaker.type(text)
        for other in (six, four, local):
            if other is not speaker:
                other.shown.wait_for(rf"^{text.decode().strip()}\n")


def test_somebody_who_leaves_a_terminal_is_seen_to_leave(start, people):
    d = start()
    a = people(d, COMMANDS["nc -N"])
    a.leave()
    d.stdout.wait_for(rf"Connection closed for sd {a.sd}\nremoving connection with sd {a.sd} \n")
    a.process.wait(30)
