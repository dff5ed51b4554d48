"""Every system call that chatd makes is made to fail, one after the other, by strace.

The table (table.py) has a row for each call. A life of chatd is a story (story.py) in which one use
of one call fails with one error, or every use from one on; faults that it survives share a life
(lives.py). Whatever fails, these hold:

- chatd does not crash; it ends by itself only where the table says so, with status 1 or 78 and a
  message that tells the error;
- nobody is removed but a client whose own call failed, and only where the table says so;
- no line is lost, torn or out of order for anyone else (party.py);
- it does not spin;
- once the fault is over, all is as before: lines that waited arrive, new guests come in, and
  SIGTERM ends it with status 0.

What strace does: an injected error means that the call has not taken place. That is what an error
means for all calls of the table but close, which closes all the same; so close is made to fail by a
shim (test_pieces.py). An injected return value also means that the call has not taken place. So
these would be lies, not faults, and are left out: a recvfrom that returns bytes (there are none), a
sendto that took some (nobody gets them), an accept4 with a descriptor. Honest short counts come
from the shim. A write to a log or a terminal may vanish, so there it is done here.
"""

import re

import pytest

import chatd
import traced
from lives import Lives, live_in_peace
from table import TABLE, plan, uses

pytestmark = [
    pytest.mark.skipif(not traced.possible(), reason="strace is missing or may not trace"),
    pytest.mark.skipif(bool(chatd.UNDER), reason="one tracer at a time"),
]
sanitizers_call = pytest.mark.skipif(
    chatd.SANITIZED, reason="sanitizers make system calls of their own")


@pytest.fixture(scope="module")
def peace():
    return live_in_peace("lines")


@pytest.fixture(scope="module")
def lives(request, peace):
    """What the selected tests of this file want, by row and mode."""
    cases = [item.callspec.params["case"] for item in request.session.items
             if "case" in getattr(item, "fixturenames", ())]
    logs = {"lines": peace}
    faults = {}
    for row, mode in cases:
        if mode not in logs:
            logs[mode] = live_in_peace(mode)
        faults[row, mode] = [
            fault for name in row.names()  # strace counts the uses of each
            for fault in plan(row, name, uses(logs[mode], name), mode)]
    lives = Lives([fault for each in faults.values() for fault in each])
    yield lambda case: {fault: lives.wrong(fault) for fault in faults[case]}
    lives.close()


@sanitizers_call
def test_the_table_has_a_row_for_every_call(peace):
    known = {name for row in TABLE for name in row.names()}
    main = next(n for n, line in enumerate(peace) if traced.MAIN.match(line))
    made = {line.split("(")[0] for line in peace[main:] if re.match(r"\w+\(", line)}
    assert made - known == set()


@sanitizers_call
def test_every_row_has_a_call_that_is_made(peace):
    made = {line.split("(")[0] for line in peace}
    optional = {"restart_syscall", "close_range", "getrandom"}
    assert [row.call for row in TABLE if not made & set(row.names()) | optional & set(row.names())
            ] == []


def cases(mode, *calls):
    """The rows of these calls, or all."""
    return [pytest.param((row, mode), id=row.call, marks=sanitizers_call if row.allocator else ())
            for row in TABLE if (row.errors or row.values) and (not calls or row.call in calls)]


def suffer_each(lives, case):
    outcomes = lives(case)
    if not outcomes:
        pytest.skip("not called by main here")
    wrong = [text for text in outcomes.values() if text]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("case", cases("lines"))
def test_a_failure_of(lives, case):
    suffer_each(lives, case)


# Those that mode chat makes at other times, or in another number.
@pytest.mark.parametrize("case", cases("chat", "accept4", "ioctl", "recvfrom", "sendto", "sendmsg",
                                       "shutdown", "pselect6", "brk", "mmap", "munmap"))
def test_in_mode_chat_a_failure_of(lives, case):
    suffer_each(lives, case)
