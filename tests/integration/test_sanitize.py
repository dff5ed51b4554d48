"""sanitize = true: no client can drive the terminal of another one."""

import codecs
import random

import pytest

ON = "sanitize = true;"

# Each byte of invalid UTF-8 becomes one '?'.
codecs.register_error("each byte", lambda error: ("?" * (error.end - error.start), error.end))


def model(line):
    """What the promise says, in Python's words."""
    out = bytearray()
    for char in line.decode("utf-8", "each byte"):
        code = ord(char)
        control = code < 0x20 and char not in "\t\r\n" or 0x7f <= code < 0xa0
        out += b"?" * len(char.encode()) if control else char.encode()
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
    ("\u2028\u202e\ufeff\ufffd\n".encode(), "\u2028\u202e\ufeff\ufffd\n".encode()),
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
    a.send(lines)
    b.expect(b"".join(model(line) for line in lines.split(b"\n") for line in [line + b"\n"])[:len(lines)])


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
    a, b = start(more=ON, trace=False).clients(2)
    data = b"".join(lines)
    at = 0
    while at < len(data):
        size = noise.randint(1, 4000)
        a.send(data[at:at + size])
        at += size
    for line in lines:
        b.expect(model(line))


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
