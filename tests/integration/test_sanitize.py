"""sanitize = true: no client can drive the terminal of another one, nor silence it with telnet."""

import codecs
import fcntl
import os
import pty
import random
import re
import shutil
import subprocess
import termios

import pytest

from chatd import Output

ON = "sanitize = true;"
TELNET_MAX = 64  # bytes of one command

# Each byte of invalid UTF-8 becomes one '?'.
codecs.register_error("each byte", lambda error: ("?" * (error.end - error.start), error.end))


TELNET = re.compile(rb"\xff(?:[\xfb-\xfe][^\r\n]|[\xf1-\xf9]|\xfa.{0,60}?\xff\xf0)", re.S)

WILL, WONT, DO, DONT = b"\xff\xfb", b"\xff\xfc", b"\xff\xfd", b"\xff\xfe"
INTERRUPT, BEGIN, END = b"\xff\xf4", b"\xff\xfa", b"\xff\xf0"
TIMING_MARK = b"\x06"


def model(line):
    """What the promise says, in Python's words."""
    line = TELNET.sub(b"", line)
    out = bytearray()
    for char in line.decode("utf-8", "each byte"):
        code = ord(char)
        harmful = (code < 0x20 and char not in "\t\r\n" or 0x7f <= code < 0xa0
                   or 0x2028 <= code <= 0x202e or 0x2066 <= code <= 0x2069)
        out += b"?" * len(char.encode()) if harmful else char.encode()
    assert len(out) == len(line)
    return bytes(out)


@pytest.mark.parametrize("line, shown", [
    (b"plain text\n", b"plain text\n"),
    (b"tab\tand return\r\n", b"tab\tand return\r\n"),
    (b"a\rb\r\r\n", b"a\rb\r\r\n"),
    (b"\x1b[2J\x1b]0;title\x07\n", b"?[2J?]0;title?\n"),
    (b"\0\x01\x08\x0b\x0c\x0e\x1f\x7f\n", b"????????\n"),
    ("grüße, 日本語, 🙂\n".encode(), "grüße, 日本語, 🙂\n".encode()),
    (b"\xc2\x80\xc2\x9b\xc2\x9f\xc2\xa0\n", b"??????\xc2\xa0\n"),
    (b"\x80\x9b\xbf\xff\xfe\n", b"?????\n"),
    (b"\xc0\x80\xc1\xbf\n", b"????\n"),
    (b"\xe0\x80\x80\xe0\x9f\xbf\xe0\xa0\x80\n", b"??????\xe0\xa0\x80\n"),
    (b"\xed\xa0\x80\xed\xbf\xbf\xed\x9f\xbf\xee\x80\x80\n", b"??????\xed\x9f\xbf\xee\x80\x80\n"),
    (b"\xf0\x80\x80\x80\xf0\x8f\xbf\xbf\xf0\x90\x80\x80\n", b"????????\xf0\x90\x80\x80\n"),
    (b"\xf4\x8f\xbf\xbf\xf4\x90\x80\x80\xf5\x80\x80\x80\n", b"\xf4\x8f\xbf\xbf????????\n"),
    (b"\xf8\x88\x80\x80\x80\n", b"?????\n"),
    (b"\xe2\x82\n", b"??\n"),
    (b"\xe2\x82A\xe2\n", b"??A?\n"),
    (b"\xe2\xe2\x82\xac\n", b"?\xe2\x82\xac\n"),
    (b"\xf0\x9f\x99\xe2\x82\xac\n", b"???\xe2\x82\xac\n"),
    (b"\xc3\r\n", b"?\r\n"),
    ("\u2027\u202f\u2065\u206a\ufeff\ufffd\n".encode(),
     "\u2027\u202f\u2065\u206a\ufeff\ufffd\n".encode()),
    ("\u2028\u2029\u202a\u202b\u202c\u202d\u202e\n".encode(), b"???" * 7 + b"\n"),
    ("a\u2066b\u2067c\u2068d\u2069\n".encode(), b"a???b???c???d???\n"),
])
def test_what_is_replaced_and_what_is_not(start, line, shown):
    assert model(line) == shown
    a, b = start(more=ON).clients(2)
    a.send(line)
    b.expect(shown)


def test_every_byte_between_two_letters(start):
    a, b = start(more=ON).clients(2)
    for byte in range(256):
        line = b"x" + bytes([byte]) + b"y\n"
        a.send(line)
        b.expect(b"".join(model(part) for part in line.splitlines(keepends=True))
                 if byte == 10 else model(line))


def test_every_two_bytes(start):
    a, b = start(more=ON, trace=False).clients(2)
    lines = b"".join(bytes([one, two]) + b"\n" for one in range(0x80, 0x100) for two in range(256))
    lines += b"x" * TELNET_MAX + b"\n"  # or the last ones might belong to a telnet command
    a.send(lines)
    b.expect(model(lines))


def test_valid_utf8_stays_whole_wherever_it_is_torn(start):
    d = start(more=ON)
    a, b = d.clients(2)
    data = "aä€🙂\u0080é\n日本\r\n".encode()
    shown = model(data)
    for cut in range(1, len(data)):
        since = d.stdout.mark()
        a.send(data[:cut])
        d.stdout.wait_for(rf"{cut} bytes received from sd 4\n", since=since)
        a.send(data[cut:])
        b.expect(shown)


def test_valid_utf8_stays_whole_byte_by_byte(start):
    d = start(more=ON)
    a, b = d.clients(2)
    for byte in "grüße 日本語 🙂\n".encode():
        since = d.stdout.mark()
        a.send(bytes([byte]))
        d.stdout.wait_for(r"1 bytes received from sd 4\n", since=since)
    b.expect("grüße 日本語 🙂\n".encode())


def test_a_character_that_the_end_of_file_cuts_is_replaced(start):
    a, b = start(more=ON).clients(2)
    a.send(b"price: 5 \xe2\x82")
    a.close()
    b.expect(b"price: 5 ??\n")


def test_a_character_cannot_be_made_of_the_pieces_of_two_lines(start):
    a, b = start(more=ON).clients(2)
    a.send(b"\xe2\n\x82\xac\n")
    b.expect(b"?\n??\n")


def test_a_character_cannot_be_made_of_the_pieces_of_two_clients(start):
    a, b, c = start(more=ON).clients(3)
    a.send(b"\xc3\n")
    c.expect(b"?\n")
    b.send(b"\xa4\n")
    c.expect(b"?\n")


def test_random_lines_are_as_the_model_says(start):
    seed = random.randrange(1 << 32)
    print("seed", seed)
    noise = random.Random(seed)
    pieces = ["a", "\t", "ä", "€", "🙂", "\u0080", "\u009f", "\u00a0", "\x1b", "\x7f", "\r"]
    lines = []
    for _ in range(3000):
        line = bytearray()
        for _ in range(noise.randint(0, 30)):
            piece = noise.choice(pieces).encode()
            kind = noise.random()
            if kind < 0.2:
                piece = piece[:-1] or b"?"
            elif kind < 0.4:
                piece = noise.randbytes(noise.randint(1, 4)).replace(b"\n", b"\r")
            line += piece
        lines.append(bytes(line) + b"\n")
    lines.append(b"x" * TELNET_MAX + b"\n")
    a, b = start(more=ON, trace=False).clients(2)
    data = b"".join(lines)
    at = 0
    while at < len(data):
        size = noise.randint(1, 4000)
        a.send(data[at:at + size])
        at += size
    b.expect(model(data))


def test_all_readers_see_the_same(start):
    a, *others = start(more=ON).clients(6)
    a.send(b"\x1b[31mred\x1b[0m\n" * 100)
    for other in others:
        other.expect(b"?[31mred?[0m\n" * 100)


@pytest.mark.parametrize("more", ["", "sanitize = false;"])
def test_without_sanitize_nothing_is_changed(start, more):
    a, b = start(more=more).clients(2)
    data = bytes(range(256)) + b"\xe2\x82\n"
    a.send(data)
    b.expect(data)


TELNET_CASES = [
    (INTERRUPT + DO + TIMING_MARK + b"hello\r\n", b"hello\r\n", WILL + TIMING_MARK),
    (b"he" + DO + b"\x01llo\n", b"hello\n", WONT + b"\x01"),
    (WILL + b"\x1fhello\n", b"hello\n", DONT + b"\x1f"),
    (WONT + b"\x01" + DONT + b"\x03\xff\xf1\xff\xf9hello\n", b"hello\n", b""),
    (BEGIN + b"\x18\0xterm\n" + END + b"hello\n", b"hello\n", b""),
    (b"a" + BEGIN + b"y" * 60 + END + b"b\n", b"ab\n", b""),
    (b"a" + BEGIN + b"y" * 61 + END + b"b\n", b"a??" + b"y" * 61 + b"??b\n", b""),
    (b"\xff\xff \xff\xef \xffa" + DO + b"\r\n", b"?? ?? ?a??\r\n", b""),
]


@pytest.mark.parametrize("line, shown, answer", TELNET_CASES)
def test_telnet_commands_are_taken_out_and_answered(start, line, shown, answer):
    a, b = start(more=ON).clients(2)
    a.send(line)
    b.expect(shown)
    b.send(b"next\n")
    a.expect(answer + b"next\n")


def test_telnet_commands_are_taken_out_wherever_they_are_torn(start):
    d = start(more=ON)
    a, b = d.clients(2)
    data = b"on" + INTERRUPT + b"e" + DO + TIMING_MARK + BEGIN + b"\x18\n" + END + b"\r\n"
    for cut in range(1, len(data)):
        since = d.stdout.mark()
        a.send(data[:cut])
        d.stdout.wait_for(rf"{cut} bytes received from sd 4\n", since=since)
        a.send(data[cut:])
        b.expect(b"one\r\n")
        a.expect(WILL + TIMING_MARK)


def test_a_telnet_command_is_answered_before_its_line_ends(start):
    a, b = start(more=ON).clients(2)
    a.send(b"half a " + INTERRUPT + DO + TIMING_MARK)
    a.expect(WILL + TIMING_MARK)
    a.send(b"line\n")
    b.expect(b"half a line\n")


def test_an_unfinished_telnet_command_is_text_at_the_end_of_file(start):
    a, b = start(more=ON).clients(2)
    a.send(b"a" + BEGIN + b"b\nc")
    a.finish()
    b.expect(b"a??b\nc\n")


def test_the_limit_of_a_line_counts_no_telnet_commands(start):
    a, b = start(more=ON + "limits = { line = 256; };").clients(2)
    a.send((DONT + b"\x01").join([b"x"] * 255) + b"\n")
    b.expect(b"x" * 255 + b"\n")
    a.send((DONT + b"\x01").join([b"x"] * 256) + b"\n")
    assert a.read_to_end() == b"chatd: line too long, at most 256 bytes\n"


def test_who_reads_no_answers_to_telnet_commands_gets_no_more_of_them(start):
    d = start(more=ON, trace=False)
    a, b = d.client(window=4096), d.client()
    before = d.status("VmRSS")
    for _ in range(300):
        a.send((DO + TIMING_MARK) * 20000)
    a.send(b"hello\n")
    b.expect(b"hello\n")
    assert d.running()
    assert d.status("VmRSS") < before + 4096


def test_telnet_shows_what_others_say_after_control_c(start):
    """telnet waits for the answer to its timing mark."""
    if not shutil.which("telnet"):
        pytest.skip("telnet is missing")
    d = start(more=ON)
    other = d.client()
    ours, its = pty.openpty()
    mode = termios.tcgetattr(its)
    mode[3] &= ~termios.ECHO
    termios.tcsetattr(its, termios.TCSANOW, mode)
    process = subprocess.Popen(["telnet", "127.0.0.1", str(d.port)], stdin=its, stdout=its,
                               stderr=its, start_new_session=True,
                               preexec_fn=lambda: fcntl.ioctl(its, termios.TIOCSCTTY, 0))
    os.close(its)
    try:
        shown = Output(os.dup(ours))
        d.stderr.wait_for(r"connected as sd 5\n")
        other.send(b"before\n")
        shown.wait_for(r"^before\r*\n")
        since = d.stdout.mark()
        os.write(ours, b"\x03")
        d.stdout.wait_for(r"bytes received from sd 5\n", since=since)
        other.send(b"after\n")
        shown.wait_for(r"after\r*\n")  # behind ^C
        os.write(ours, b"me too\n")
        assert other.line() == b"me too\r\n"
    finally:
        process.kill()
        process.wait()
        os.close(ours)
