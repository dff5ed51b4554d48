"""The trace as a grammar: what may follow what, whatever the clients do."""

import re

from chatd import TRACE_LINE


def check_trace(text, listener=3):
    """The whole trace of a life, from the start to the end, keeps the grammar.

    listener: the highest descriptor of a listener. Where a line breaks a rule, an assertion tells
    which."""
    there, closed, gone = set(), set(), set()  # gone: removed in this pass
    last = reading = None
    lines = text.splitlines()
    for number, line in enumerate(lines):
        where = f"line {number}: {lines[max(0, number - 8):number + 1]}"
        assert TRACE_LINE.fullmatch(line), where
        sd = int(re.search(r"\d+(?=\D*$)", line)[0]) if line[0] != "W" else None
        before, reading = reading, None
        if number and lines[number - 1].startswith("Waiting"):
            assert line.startswith("MaxFd "), where
            assert sd in (max(there | {listener}), max(there, default=-1)), where
            last, gone = -1, set()
        elif line.startswith("Waiting"):
            continue
        elif line.startswith("New incoming"):
            assert sd not in there | gone, f"a number that is taken, {where}"
            there.add(sd)
        elif line.startswith("Descriptor"):
            assert sd in there, f"read after its end, {where}"
            assert sd not in closed, f"read after it has closed, {where}"
            assert sd > last, f"not in ascending order, {where}"
            last = reading = sd
        elif line.startswith("removing"):
            assert sd in there, f"removed twice, or never there, {where}"
            there.remove(sd)
            closed.discard(sd)
            gone.add(sd)
        else:
            assert sd == before, f"nobody has said that it is readable, {where}"
            if line.startswith("Connection closed"):
                closed.add(sd)
    assert not there, f"never removed: {there}"
