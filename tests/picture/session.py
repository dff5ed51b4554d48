#!/usr/bin/python3
"""Draws README's picture of a session: tests/picture/session.py CHATD [SVG]

Starts the real chatd on port 9034, and real nc clients on terminals of their own, types into them
and draws what all of them showed. Nothing in the picture is written by hand but the prompts. Needs
netcat-openbsd, and a free port 9034 (in a network of its own: unshare -n, then ip link set lo up).
"""

import os
import pty
import re
import select
import signal
import sys
import time
from html import escape
from pathlib import Path

PORT = "9034"
PATIENCE = 10

WIDTH, MARGIN, LINE, BAR, PAD = 860, 4, 18, 26, 10
LEFT = 318

STYLE = """
text { font: 13px ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace;
       fill: #1f2328; white-space: pre }
.window { fill: #ffffff; stroke: #afb8c1 }
.bar { fill: #eaeef2 }
.title { fill: #57606a; font-family: -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif }
.prompt, .trace { fill: #57606a }
.typed { fill: #0550ae; font-weight: 600 }
.event { fill: #116329 }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 }
  .window { fill: #0d1117; stroke: #444c56 }
  .bar { fill: #21262d }
  .title, .prompt, .trace { fill: #9198a1 }
  .typed { fill: #79c0ff }
  .event { fill: #7ee787 }
}
"""


class Terminal:
    """A program on a terminal, and all that the terminal showed."""

    def __init__(self, title, shown, *command):
        self.title, self.command = title, shown
        self.output, self.typed = "", []
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.execvp(command[0], command)

    def read(self, within):
        """Whether there was something more."""
        if not select.select([self.fd], [], [], within)[0]:
            return False
        try:
            piece = os.read(self.fd, 65536)
        except OSError:  # the program has ended
            piece = b""
        self.output += piece.decode().replace("\r", "")
        return piece != b""

    def wait_for(self, text, count=1):
        deadline = time.monotonic() + PATIENCE
        while self.output.count(text) < count:
            left = deadline - time.monotonic()
            if left <= 0 or not self.read(left):
                sys.exit(f"{self.title}: no {text!r} in {self.output!r}")

    def type(self, line):
        self.typed.append(line)
        os.write(self.fd, line.encode() + b"\n")

    def end(self, number=None):
        if number:
            os.kill(self.pid, number)
        while self.read(PATIENCE):
            pass
        os.waitpid(self.pid, 0)
        os.close(self.fd)

    def lines(self):
        """(class, text) of each line it showed."""
        yield "prompt", f"$ {self.command}"
        for line in self.output.splitlines():
            if line in self.typed:
                yield "typed", line
            elif re.match(r"(New|Descriptor|Connection|removing)|\d+ bytes", line):
                yield "event", line
            elif re.match(r"Waiting|MaxFd", line):
                yield "trace", line
            else:
                yield "", line


def session(chatd):
    """Two people and a script. Each step waits until all have seen the one before."""
    server = Terminal("chatd and its trace", f"chatd {PORT}", chatd, PORT)
    server.wait_for("MaxFd 3\n")
    join = ("nc", "localhost", PORT)
    anna = Terminal("Anna", " ".join(join), *join)
    server.wait_for("MaxFd 4\n")
    ben = Terminal("Ben", " ".join(join), *join)
    server.wait_for("MaxFd 5\n")

    anna.type("Is the build green?")
    ben.wait_for("Is the build green?\n")
    ben.type("yes, for an hour now")
    anna.wait_for("yes, for an hour now\n")
    say = f"echo backup of db1 is done | nc -N localhost {PORT}"
    script = Terminal("a script", say, "sh", "-c", say)
    script.end()
    for person in (anna, ben):
        person.wait_for("backup of db1 is done\n")
    server.wait_for("removing connection with sd 6 \n")
    server.wait_for("MaxFd 5\n", server.output.count("MaxFd 5\n"))
    server.end(signal.SIGTERM)
    for person in (anna, ben):
        person.end(signal.SIGINT)
    return server, (anna, ben, script)


def window(x, y, width, title, lines, height=None):
    """A window with all lines, or with those that its height has room for. Returns text, height."""
    lines = list(lines)
    if height is None:
        height = BAR + 2 * PAD + LINE * len(lines)
    room = (height - BAR - 2 * PAD) // LINE
    if len(lines) > room:
        lines = lines[:room - 1] + [("trace", "...")]
    text = [f'<rect class="window" x="{x}" y="{y}" width="{width}" height="{height}" rx="6"/>',
            f'<path class="bar" d="M{x + .5} {y + BAR}v{6 - BAR}a5.5 5.5 0 0 1 5.5 -5.5h{width - 12}'
            f'a5.5 5.5 0 0 1 5.5 5.5v{BAR - 6}z"/>',
            f'<text class="title" x="{x + 12}" y="{y + 18}">{escape(title)}</text>']
    for number, (kind, line) in enumerate(lines):
        at = y + BAR + PAD + LINE * number + 13
        text.append(f'<text class="{kind}" x="{x + 12}" y="{at}">{escape(line.rstrip())}</text>')
    return text, height


def draw(server, clients):
    text, y = [], MARGIN
    x = MARGIN + LEFT + 14
    for client in clients:
        body, height = window(x, y, WIDTH - MARGIN - x, client.title, client.lines())
        text += body
        y += height + 14
    height = y - 14 + MARGIN
    body, _ = window(MARGIN, MARGIN, LEFT, server.title, server.lines(), height - 2 * MARGIN)
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" '
        f'viewBox="0 0 {WIDTH} {height}" role="img">',
        "<title>A session: chatd with its trace, two people with nc, and a script</title>",
        f"<style>{STYLE}</style>", *body, *text, "</svg>", ""])


def main():
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    place = sys.argv[2] if len(sys.argv) == 3 else Path(__file__).with_name("session.svg")
    Path(place).write_text(draw(*session(sys.argv[1])), encoding="utf-8")


if __name__ == "__main__":
    main()
