"""mode = "chat" among people who mean no good: names, lines, crowds, browsers."""

import re
import time

import pytest

import chatd as house
from test_chat import CHAT, IMPOSSIBLE, NOTICE, join, script


# --- names

@pytest.mark.parametrize("name", [
    "аlice",             # a Cyrillic letter
    "ａｌｉｃｅ",         # wide ones
    "alıce",             # a dotless i
    "ali\u200bce",       # a space without width
    "alice\u00a0",       # one that does not break
    "alice\u0301",       # an accent of its own
    "\u202ealice",
    "alice\u2028",
    "alice\u0085",
    "alice:",
    "* alice",
    "alice\0",
    "alice\x1b[A",
    "alice\rbob",
    "alice\x0b",
    "alice\x7f",
])
def test_no_name_looks_like_another_one(start, name):
    chatd = start(more=CHAT)
    hearer, faker = join(chatd, b"alice"), join(chatd)
    faker.send(b"/name " + name.encode() + b"\nx\n")
    faker.expect(IMPOSSIBLE)
    hearer.expect(b"guest%d: x\n" % faker.sd)


@pytest.mark.parametrize("name, answer", [
    (b"al\xff\xfb\x01ice", b"* alice is taken\n\xff\xfe\x01"),
    (b"al\xff\xf1ice", b"* alice is taken\n"),
    (b"\xff\xfa\x18\x01\xff\xf0ALICE", b"* ALICE is taken\n"),
    (b"al\xff\xf0ice", IMPOSSIBLE),
    (b"al\xff\xff\xf1ice", IMPOSSIBLE),  # an FF that is none, and a NOP
    (b"chat\xff\xf1d", b"* chatd is reserved\n"),
    (b"\xff\xf4guest1", b"* guest1 is reserved\n"),
])
def test_telnet_commands_in_a_name_hide_nothing(start, name, answer):
    chatd = start(more=CHAT)
    hearer, faker = join(chatd, b"alice"), join(chatd)
    faker.send(b"/name " + name + b"\nx\n")
    faker.expect(answer)
    hearer.expect(b"guest%d: x\n" % faker.sd)


def test_of_two_who_want_a_name_in_one_pass_the_lower_descriptor_gets_it(start):
    chatd = start(more=CHAT)
    first, second = join(chatd), join(chatd)
    assert first.sd < second.sd
    chatd.pause()
    second.send(b"/name alice\nx\n")
    first.send(b"/name Alice\ny\n")
    chatd.resume()
    first.expect(b"* you are Alice\nguest%d: x\n" % second.sd)
    heard = second.lines(2)
    assert sorted([b"Alice: y\n", b"* alice is taken\n"]) == sorted(heard)


@pytest.mark.parametrize("said", [
    b"alice: hello",
    b"* left: alice",
    b"* now:",
    b"chatd: the server ends",
    b"\ralice: hello",
    b"x\ralice: hello",
    "\u202ealice: hello".encode(),
    "x\u2028alice: hello".encode(),
    "x\u2029alice: hello".encode(),
    "x\u0085alice: hello".encode(),
    b"x\x0balice: hello",
    b"x\x0calice: hello",
    b"x\x1calice: hello",
    b"x\x1e\x1f\x1dalice: hello",
    b"\xff\xf7\xff\xf8alice: hello",  # telnet's commands to erase
    b"\x08\x08\x08\x08\x08\x08\x08\x08alice: hello",
    b"\x1b[1G\x1b[2Kalice: hello",
])
def test_what_looks_like_a_line_of_another_one_stays_a_line_of_its_speaker(start, said):
    """Whatever counts as a line's end anywhere: Python's splitlines() knows them all."""
    chatd = start(more=CHAT)
    hearer, faker = join(chatd, b"alice"), join(chatd)
    faker.send(said + b"\nend\n")
    line = hearer.line()
    assert line.startswith(b"guest%d: " % faker.sd)
    assert len(line.decode().splitlines()) == 1
    hearer.expect(b"guest%d: end\n" % faker.sd)


def test_the_longest_name_before_the_shortest_lines(start):
    chatd = start(more=CHAT + "limits = { queue = 65536; };", trace=False)
    hearer, speaker = join(chatd), join(chatd, b"fifteen-letters")
    got = house.exchange({speaker: b"x\n" * 50000}, {hearer: 50000 * 19})
    text = bytes(got[hearer])
    assert text.replace(b"* came: fifteen-letters\n", b"")[:49000 * 19] == (
        b"fifteen-letters: x\n" * 49000)


# --- crowds

def test_five_hundred_scripts_that_leave_at_once_are_heard_and_never_mentioned(start):
    chatd = start(more=CHAT, trace=False)
    watcher = join(chatd)
    wanted = []
    for number in range(500):
        client = house.Client(chatd.address)
        client.send(b"/name cron%d\nline %d\n" % (number, number))
        client.finish()
        wanted.append(b"cron%d: line %d\n" % (number, number))
        assert client.read_to_end().endswith(b"* you are cron%d\n" % number)
        client.close()
    watcher.expect(b"".join(wanted))
    join(chatd, b"last")
    watcher.expect(b"* came: last\n")


def test_whoever_asks_who_is_here_for_ever_costs_no_memory(start):
    chatd = start(more=CHAT + "limits = { clients = 200; };", trace=False)
    crowd = [join(chatd) for _ in range(150)]
    asker = chatd.client(window=4096)
    asker.send(b"/who\n" * 1000)
    crowd[0].send(b"x\n")
    crowd[1].expect(b"guest%d: x\n" % crowd[0].sd)
    before = chatd.status("VmRSS")
    for _ in range(100):
        asker.send(b"/who\n" * 5000)
    crowd[0].send(b"y\n")
    crowd[1].expect(b"guest%d: y\n" % crowd[0].sd)
    assert chatd.status("VmRSS") - before < 2048
    asker.send(b"still heard\n")
    crowd[1].expect(b"guest%d: still heard\n" % asker.sd)
    while (line := asker.line()) != b"guest%d: x\n" % crowd[0].sd:
        assert line.startswith((b"* welcome", b"* here: ")) and len(line) <= NOTICE
    asker.reset()


# --- browsers

def test_what_a_browser_gets_is_no_answer_that_a_page_could_read(start):
    """It begins with the welcome, whatever the history holds, and no line of it is a header."""
    chatd = start(more=CHAT + "history = 10000;")
    accomplice = join(chatd)
    accomplice.send(b"HTTP/1.1 200 OK\r\nAccess-Control-Allow-Origin: *\r\n\r\nx\n/who\n")
    accomplice.line()
    page = chatd.client()
    lines = [page.line()]  # a request that comes sooner is answered before the welcome has left
    page.send(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
    lines += page.read_to_end().splitlines(keepends=True)
    assert lines[0].startswith(b"* welcome, ")
    assert lines[-1] == b"chatd: this is no web server\n"
    for line in lines:
        assert re.match(rb"\* |chatd: |guest\d+: ", line)


@pytest.mark.parametrize("type_", ["text/plain", "application/x-www-form-urlencoded",
                                   "multipart/form-data; boundary=x"])
def test_a_form_of_a_page_says_nothing(start, type_):
    chatd = start(more=CHAT)
    hearer = join(chatd)
    page = chatd.client()
    body = b"x=\n/name alice\nsend money\n"
    page.send(b"POST /x HTTP/1.1\r\nHost: h\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s"
              % (type_.encode(), len(body), body))
    page.read_to_end()
    script(chatd, b"end\n")
    assert hearer.line().endswith(b": end\n")


# --- limits.rate

@pytest.mark.parametrize("mode", ["lines", "chat"])
def test_a_paste_under_a_rate_is_not_cut_by_a_short_idle_time(start, mode):
    """A rest takes two seconds, and whoever says nothing for one is removed."""
    chatd = start(more=f'mode = "{mode}"; limits = {{ rate = 2048; idle = 1; }};')
    paster, hearer = chatd.clients(2)
    lines = [b"line %03d of a paste, as people do it\n" % number for number in range(130)]
    paster.send(b"".join(lines))
    deadline = house.monotonic_deadline(30)
    text = b""
    while not text.endswith(lines[-1]):
        assert time.monotonic() < deadline
        hearer.send(b"x\n")
        hearer.socket.settimeout(0.3)
        try:
            text += hearer.socket.recv(65536)
        except TimeoutError:
            pass
        assert b"chatd: " not in text
    prefix = b"guest%d: " % paster.sd if mode == "chat" else b""
    assert [line for line in text.splitlines(keepends=True) if not line.startswith(b"* ")] == [
        prefix + line for line in lines]
