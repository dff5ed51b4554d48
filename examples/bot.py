#!/usr/bin/python3
"""A bot for mode = "chat": it counts who says how much, and tells whoever writes "NAME: count?".

    bot.py [HOST [PORT [NAME]]]

A line is "NAME: TEXT" or "* NOTICE". No name holds a colon, a space or a star, so one split says
who speaks. The lines that a newcomer is shown stand between two marks and are left out here: they
were answered when they were said.
"""
import collections
import socket
import sys


def speeches(file):
    """(name, text) of each line that is said from now on."""
    live = True
    for line in file:
        line = line.rstrip("\n")
        if line == "* said before you came:":
            live = False
        elif line == "* now:":
            live = True
        elif line.startswith("chatd: "):
            sys.exit(line)  # why the connection ends
        elif live and not line.startswith("* "):
            if ": " not in line:
                sys.exit('nobody has a name here: chatd needs mode = "chat"')
            name, text = line.split(": ", 1)
            yield name, text


def main(host="127.0.0.1", port="9034", me="counter"):
    said = collections.Counter()
    with socket.create_connection((host, int(port))) as chat:
        file = chat.makefile("rw", encoding="utf-8", newline="\n")
        print(f"/name {me}", file=file, flush=True)
        for name, text in speeches(file):
            if text == f"{me}: count?":
                print(f"{name}: you said {said[name]} lines", file=file, flush=True)
            said[name] += 1


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except KeyboardInterrupt:
        pass
