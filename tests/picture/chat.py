#!/usr/bin/python3
"""Draws README's picture of a chat with names: tests/picture/chat.py CHATD [SVG]

As session.py, with chatd in mode "chat": two people with nc, and a script. Needs what that needs.
"""

import signal
import sys
import tempfile
from pathlib import Path

from session import MARGIN, PORT, STYLE, Terminal, window

WIDTH, GAP = 1080, 14
COLUMN = (WIDTH - 2 * MARGIN - GAP) // 2
CHAT = f'port = {PORT}; mode = "chat"; history = "4K"; trace = false;\n'


class Person(Terminal):
    def lines(self):
        for line in self.command.splitlines():
            yield "prompt", line
        for line in self.output.splitlines():
            kind = "typed" if line in self.typed else ""
            if line.startswith(("* ", "chatd: ")):
                kind = "trace"
            yield kind, line


def come(title):
    return Person(title, f"$ nc localhost {PORT}", "nc", "localhost", PORT)


def session(chatd):
    """Each step waits until all have seen the one before."""
    with tempfile.NamedTemporaryFile("w", suffix=".conf") as file:
        file.write(CHAT)
        file.flush()
        server = Terminal("chatd", "chatd", chatd, "-c", file.name)
        server.wait_for("listening on ")
    anna = come("Anna")
    anna.wait_for("* here: ")
    anna.type("/name anna")
    anna.wait_for("* came: anna\n")
    anna.type("Is the build green?")
    ben = come("Ben, a little later")
    ben.wait_for("* now:\n")
    ben.type("/name Anna")
    ben.wait_for("* Anna is taken\n")
    ben.type("/name ben")
    for person in (anna, ben):
        person.wait_for("* came: ben\n")
    ben.type("yes, for an hour now")
    anna.wait_for("ben: yes, for an hour now\n")
    say = f"printf '/name backup\\nof db1 is done\\n' | nc -N localhost {PORT}"
    script = Person("a script", f"$ {say}", "sh", "-c", say + " >/dev/null")
    script.end()
    for person in (anna, ben):
        person.wait_for("backup: of db1 is done\n")
    anna.type("/who")
    anna.wait_for("* here: ")
    anna.wait_for("ben\n", 2)
    anna.type("/quit")
    anna.wait_for("chatd: goodbye\n")
    ben.wait_for("* left: anna\n")
    anna.end(signal.SIGINT)
    ben.end(signal.SIGINT)
    server.end(signal.SIGTERM)
    return anna, ben, script


def draw(anna, ben, script):
    text = []
    right = MARGIN + COLUMN + GAP
    body, height = window(right, MARGIN, COLUMN, ben.title, ben.lines())
    text += body
    body, more = window(right, MARGIN + height + GAP, COLUMN, script.title, script.lines())
    text += body
    height += GAP + more
    body, _ = window(MARGIN, MARGIN, COLUMN, anna.title, anna.lines(), height)
    height += 2 * MARGIN
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" '
        f'viewBox="0 0 {WIDTH} {height}" role="img">',
        "<title>A chat with names: two people with nc, and a script</title>",
        f"<style>{STYLE}</style>", *body, *text, "</svg>", ""])


def main():
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    place = sys.argv[2] if len(sys.argv) == 3 else Path(__file__).with_name("chat.svg")
    Path(place).write_text(draw(*session(sys.argv[1])), encoding="utf-8")


if __name__ == "__main__":
    main()
