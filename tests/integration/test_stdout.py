"""Standard output that is slow, full, closed, a terminal or the journal never harms the chat."""

import fcntl
import os
import re
import select
import socket
import subprocess
import time

import pytest

from chatd import (PATIENCE, SANITIZED, TRACE_LINE, Client, Output, come_to_rest, free_port,
                   monotonic_deadline, needs_systemd, wait_until)

DROPPED = r"(\d+) (trace )?lines"


def talk(d, rounds, size=10):
    """Two clients talk in turn, each line in a pass of its own; returns when all is heard."""
    a, b = d.clients(2)
    for number in range(rounds):
        line = b"%d\n" % number
        line = line.rjust(size, b" ")
        a.send(line)
        b.expect(line)
    return a, b


def small_pipe():
    """A pipe that holds one page."""
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
    return reader, writer


def test_a_sleeping_reader_of_the_trace_does_not_stop_the_chat(start):
    reader, writer = small_pipe()
    d = start(stdout=writer)
    os.close(writer)
    talk(d, 2000)
    os.close(reader)


def test_dropped_trace_lines_are_counted_and_told_once_when_there_is_room_again(start):
    reader, writer = small_pipe()
    d = start(stdout=writer)
    os.close(writer)
    a, b = talk(d, 3000)
    since = d.stderr.mark()
    assert d.stderr.count(DROPPED) == 0  # no room yet, so nothing is told
    trace = Output(reader)
    # There is room again from here on, and some more is traced.
    a.send(b"again\n")
    b.expect(b"again\n")
    told = d.stderr.wait_for(DROPPED, since=since)
    a.close()
    trace.wait_for(rf"removing connection with sd {a.sd} \n")
    d.stop()
    text = trace.wait_for_end()
    assert d.stderr.count(DROPPED) == 1
    # Whole lines only ...
    lines = text.split("\n")
    assert lines.pop() == ""
    assert [line for line in lines if not TRACE_LINE.fullmatch(line)] == []
    # ... and every line that is missing was counted: besides the accepts and the end there are
    # for each of 3001 lines a pass that reads it (4 lines) and one that writes it (2). Room that
    # comes back bit by bit makes some passes of its own.
    dropped = int(told[1])
    rest = len(lines) + dropped - 3001 * 6
    print("dropped", dropped, "seen", len(lines), "besides the talk", rest)
    assert dropped > 0 and 10 <= rest <= 100


def test_a_short_nap_of_the_reader_loses_nothing(start):
    reader, writer = small_pipe()
    d = start(stdout=writer)
    os.close(writer)
    talk(d, 100)  # more than the pipe holds, less than chatd keeps
    trace = Output(reader)
    trace.wait_for(r"bytes received from sd", count=100)
    d.close_clients()
    trace.wait_for(r"removing connection with sd", count=2)
    assert d.stderr.count(DROPPED) == 0


def test_a_trace_that_waits_is_written_when_the_reader_wakes_up_though_nobody_talks(start):
    reader, writer = small_pipe()
    d = start(stdout=writer)
    os.close(writer)
    talk(d, 100)
    trace = Output(reader)
    trace.wait_for(r"bytes received from sd \d+\nWaiting on select\(\)...\nMaxFd \d\n", count=100)


def test_a_reader_that_took_a_part_and_sleeps_again_wakes_nobody(start):
    reader, writer = small_pipe()
    d = start(stdout=writer)
    os.close(writer)
    talk(d, 1000)
    for _ in range(12):
        os.read(reader, 4096)
    come_to_rest(d, seconds=1.5, at_most=2)
    os.close(reader)


def test_a_full_socket_as_standard_output_does_not_stop_the_chat(start):
    ours, theirs = socket.socketpair()  # as the journal is one
    d = start(stdout=theirs.fileno())
    theirs.close()
    talk(d, 2000)
    ours.close()


def test_a_stopped_terminal_does_not_stop_the_chat(start):
    controller, terminal = os.openpty()
    d = start(stdout=terminal)
    os.close(terminal)
    talk(d, 2000)  # a terminal holds a few KiB
    trace = Output(controller)
    trace.wait_for(r"^Waiting on select\(\)\.\.\.\r\n")


def test_a_slow_trace_does_not_hold_up_the_end(start):
    reader, writer = small_pipe()
    d = start(stdout=writer)
    os.close(writer)
    talk(d, 2000)
    d.stop()
    os.close(reader)


@pytest.mark.parametrize("what", ["pipe", "socket"])
def test_standard_output_stays_blocking_for_the_programs_it_is_shared_with(start, what):
    """O_NONBLOCK belongs to the open file, so a shell on the same terminal would get it too."""
    if what == "pipe":
        reader, writer = os.pipe()
    else:
        ours, theirs = socket.socketpair()
        reader, writer = ours.detach(), theirs.detach()
    d = start(stdout=writer)
    talk(d, 1)
    assert os.get_blocking(writer)
    d.stop()
    assert os.get_blocking(writer)
    os.close(reader)
    os.close(writer)


@pytest.mark.skipif(SANITIZED, reason="sanitizers need /proc")
def test_standard_output_that_had_to_be_shared_is_given_back_as_it_was(start):
    """Without /proc it cannot be opened anew. O_NONBLOCK is then set, but not left behind."""
    hide = ["unshare", "-m", "sh", "-c", 'mount -t tmpfs none /proc && exec "$@"', "sh"]
    if subprocess.run([*hide, "true"], check=False, capture_output=True).returncode:
        pytest.skip("cannot hide /proc here")
    reader, writer = small_pipe()
    d = start(stdout=writer, under=hide)
    talk(d, 2000)
    assert not os.get_blocking(writer)
    d.stop()
    assert os.get_blocking(writer)
    os.close(reader)
    os.close(writer)


def test_a_reader_of_the_trace_who_went_away_does_not_stop_the_chat(start):
    reader, writer = os.pipe()
    d = start(stdout=writer)
    os.close(writer)
    talk(d, 10)
    os.close(reader)
    talk(d, 200)


def test_a_full_disk_does_not_stop_the_chat(start):
    with open("/dev/full", "wb") as full:
        d = start(stdout=full.fileno())
    talk(d, 200)
    come_to_rest(d, share=0.2)  # it does not try again and again


def test_a_limit_of_the_size_of_files_does_not_end_the_chat(start, tmp):
    with open(f"{tmp}/trace", "wb") as file:
        d = start(stdout=file.fileno(), under=["prlimit", "--fsize=4096"])
    talk(d, 200)


def test_a_full_standard_error_does_not_stop_the_chat(start):
    """Each client writes two log lines; nobody reads them."""
    reader, writer = small_pipe()
    port = free_port()
    d = start(stderr=writer, listen=[f"127.0.0.1:{port}"], ready=0)
    os.close(writer)
    d.stdout.wait_for(r"MaxFd 3\n")
    d.log = False  # new clients are seen in the trace
    for _ in range(300):
        d.client(to=("127.0.0.1", port)).close()
    a, b = d.clients(2, to=("127.0.0.1", port))
    a.send(b"still here\n")
    b.expect(b"still here\n")
    os.close(reader)


# --- the journal

def journal_stream(descriptor):
    status = os.fstat(descriptor)
    return {"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"}


def test_in_the_journal_every_trace_line_bears_the_priority_debug(start):
    reader, writer = os.pipe()
    d = start(stdout=writer, env=journal_stream(writer))
    os.close(writer)
    talk(d, 3)
    d.close_clients()
    trace = Output(reader)
    trace.wait_for(r"removing connection with sd", count=2)
    d.stop()
    lines = trace.wait_for_end().splitlines()
    assert lines[:2] == ["<7>Waiting on select()...", "<7>MaxFd 3"]
    assert all(line.startswith("<7>") and line.count("<") == 1 for line in lines)
    # Standard error is not the journal here.
    assert re.match(r"listening on ", d.stderr.text())


def test_in_the_journal_every_log_line_bears_its_priority(start):
    reader, writer = os.pipe()
    d = start(stderr=writer, env=journal_stream(writer), ready=0)
    os.close(writer)
    d.stdout.wait_for(r"MaxFd 3\n")
    d.stderr = Output(reader)
    d.stderr.wait_for(r"^<[56]>listening on ")
    a = d.client()
    a.close()
    d.stderr.wait_for(r"^<6>127.0.0.1:\d+ disconnected from sd 4: ")
    d.write("port = 0;")
    d.reload(accepted=False)
    d.stop()
    assert re.search(rf"^<[34]>{d.file}:1: ", d.stderr.text(), re.M)
    for line in d.stderr.text().splitlines():
        assert re.match(r"<[3-6]>[^<]", line), line
    assert d.stdout.text().startswith("Waiting")


@pytest.mark.parametrize("value", ["", "1:1", "nonsense", "8:", ":8",
                                   "99999999999999999999:99999999999999999999"])
def test_another_journal_stream_gives_no_prefix(start, value):
    d = start(env={"JOURNAL_STREAM": value})
    d.stdout.wait_for(r"^Waiting on select\(\)\.\.\.\n")
    assert "<" not in d.stdout.text() + d.stderr.text()


# --- missing descriptors

def listens(port):
    with open("/proc/net/tcp", encoding="ascii") as file:
        return f"0100007F:{port:04X} 00000000:0000 0A" in file.read()


@pytest.mark.parametrize("closed", ["0", "1", "2", "0 1", "1 2", "0 2", "0 1 2"])
def test_no_client_takes_the_place_of_a_missing_standard_stream(start, closed):
    """As `chatd 9034 <&- >&- 2>&-` does. The main socket is still 3, the first client 4."""
    port = free_port()
    close = " ".join({"0": "<&-", "1": ">&-", "2": "2>&-"}[n] for n in closed.split())
    d = start(listen=[f"127.0.0.1:{port}"], ready=0, under=["sh", "-c", f'exec "$@" {close}', "sh"])
    wait_until(lambda: d.running() and listens(port))
    a = Client(("127.0.0.1", port))
    wait_until(lambda: len(d.fds()) == 5)
    b = Client(("127.0.0.1", port))
    wait_until(lambda: len(d.fds()) == 6)
    for number in range(50):
        a.send(b"%d\n" % number)
        b.expect(b"%d\n" % number)
    fds = d.fds()
    assert sorted(fds) == [0, 1, 2, 3, 4, 5]
    assert {fds[int(n)] for n in closed.split()} == {"/dev/null"}
    d.stop()
    for client in (a, b):
        client.expect(b"chatd: the server ends\n")
        client.expect_eof()  # nothing else of what chatd had to say went to a client


def test_the_trace_appears_at_once_on_a_terminal(start):
    controller, terminal = os.openpty()
    d = start(stdout=terminal)
    os.close(terminal)
    trace = Output(controller)
    trace.wait_for(r"^Waiting on select\(\)\.\.\.\r\nMaxFd 3\r\n")
    d.client()
    trace.wait_for(r"^New incoming connection on sd 4\r\nWaiting on select\(\)\.\.\.\r\nMaxFd 4\r\n")


def test_both_streams_may_be_one_pipe(start, tmp):
    with open(f"{tmp}/both", "wb") as both:
        d = start(stdout=both.fileno(), stderr=subprocess.STDOUT, ready=0,
                  listen=[f"127.0.0.1:{free_port()}"])
    wait_until(lambda: "MaxFd 3\n" in open(f"{tmp}/both", encoding="utf-8").read())
    d.stop()
    assert open(f"{tmp}/both", encoding="utf-8").read().startswith("listening on 127.0.0.1:")


# --- the journal

class Journal:
    """journald as far as streams go, under a /run of its own."""

    def __init__(self, run):
        self.path = f"{run}/systemd/journal/stdout"
        os.makedirs(os.path.dirname(self.path))
        self.streams = []
        self.start()

    def start(self, backlog=100):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.bind(self.path)
        self.socket.listen(backlog)
        self.socket.settimeout(PATIENCE)

    def stop(self):
        """Every stream is broken then."""
        self.socket.close()
        os.unlink(self.path)
        for stream in self.streams:
            stream.close()
        self.streams.clear()

    def connect(self):
        """A stream as systemd makes it, for chatd."""
        ours = socket.socket(socket.AF_UNIX)
        ours.connect(self.path)
        self.streams.append(self.socket.accept()[0])
        return ours

    def wait_for(self, pattern):
        """Until a stream has a line that matches. Streams that come meanwhile are taken."""
        deadline, seen = monotonic_deadline(PATIENCE), {}
        while True:
            for ready in select.select([self.socket, *self.streams], [], [],
                                       max(0, deadline - time.monotonic()))[0]:
                if ready is self.socket:
                    self.streams.append(self.socket.accept()[0])
                    continue
                piece = ready.recv(65536)
                if not piece:
                    self.streams.remove(ready)
                seen[ready] = seen.get(ready, b"") + piece
                if re.search(pattern, seen[ready], re.M):
                    return seen[ready]
            assert time.monotonic() < deadline, f"no {pattern} in {list(seen.values())}"


@pytest.mark.skipif(subprocess.run(["unshare", "-m", "true"], check=False,
                                   capture_output=True).returncode,
                    reason="needs a /run of its own")
def test_the_journal_is_found_again_after_it_was_away(start, tmp):
    needs_systemd()
    journal = Journal(f"{tmp}/run")
    stream = journal.connect()
    status = os.fstat(stream.fileno())
    port = free_port()
    d = start(listen=[f"127.0.0.1:{port}"], ready=0, stdout=stream, stderr=stream,
              env={"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"}, under=[
                  "unshare", "-m", "sh", "-c", f'mount --bind {tmp}/run /run && exec "$@"', "sh"])
    stream.close()
    journal.wait_for(rb"^<6>listening on ")
    a = Client(("127.0.0.1", port))
    journal.wait_for(rb"^<7>New incoming connection on sd 4$")
    for _ in range(2):
        journal.stop()
        b = Client(("127.0.0.1", port))  # while there is none
        a.send(b"hello\n")
        b.expect(b"hello\n")
        b.close()
        journal.start()
        # Nothing ticks: it looks for the journal when something happens.
        wait_until(lambda: a.send(b"x\n") or select.select([journal.socket], [], [], 0.01)[0])
        log = journal.wait_for(rb"^<6>.* connected as sd 5$")
        assert log.startswith(b"chatd\n"), log  # what sd_journal_stream_fd says first
        a.send(b"x\n")
        journal.wait_for(rb"^<7>2 bytes received from sd 4$")
    assert d.fds()[1].startswith("socket:") and d.fds()[2].startswith("socket:")
    assert set(d.fds()) == {0, 1, 2, 3, 4}
    # One that hangs, and has no room for another stream, is not waited for.
    journal.stop()
    journal.start(backlog=0)
    waiting = []
    with pytest.raises(BlockingIOError):
        while True:
            waiting.append(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK))
            waiting[-1].connect(journal.path)
    b, since = Client(("127.0.0.1", port)), time.monotonic()
    while time.monotonic() < since + 2.5:
        a.send(b"hello\n")
        b.expect(b"hello\n")
    a.close()
    b.close()
    d.stop()
    for each in waiting:
        each.close()
    journal.stop()
