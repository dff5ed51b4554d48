"""Lives of chatd in which calls fail, many at a time, and what is wrong with them.

Faults that chatd survives share a life, each of another call, since it is the lives that cost
time. When something goes wrong in such a life, each of its faults has one of its own, which shows
whose it is.
"""

import concurrent.futures
import errno
import os
import re

import chatd
import traced
from story import Story
from table import EXIT, SERVE

LATE = "the fault did not come as planned"
AT_A_TIME = 8
TOGETHER = 3  # faults in one life, at most


def outcome(fault, failed, trace):
    """The call that failed, whether chatd had waited before, and what is to happen then."""
    number, line = next(((n, text) for n, text in failed if text.startswith(f"{fault.call}(")),
                        (0, ""))
    assert line, LATE
    waited = any(text.startswith("pselect6") for text in trace[:number + 1])
    return line, waited, fault.row.expected("serving" if waited else "start", line)


def check(story, faults, ended):
    """What is left of a life is as the table says."""
    d, party = story.daemon, story.party
    status = d.wait()
    d.check_reports()
    trace = d.trace()
    came = [outcome(fault, d.failed(), trace) for fault in faults]
    # In company a fault may come at another time than in peace, since the others do.
    assert len(faults) == 1 or all(expected == SERVE for _, _, expected in came), LATE
    for fault, (line, waited, expected) in zip(faults, came):
        if expected != SERVE:
            # It may be the last wait that fails, as SIGTERM comes: the status tells one from the
            # other.
            assert status == (1 if expected == EXIT else 78), f"status {status} after {line}"
            name = re.search(r"= -1 (E\w+)", line)[1]
            reason = os.strerror(getattr(errno, name))
            assert re.search(rf": {re.escape(reason)}$", d.stderr.text(), re.M), d.stderr.text()
            return
        assert not ended, f"it ended with status {status} after {line}"
        assert status == 0, f"status {status} after {line}"
        if fault.row.says and not waited:
            assert re.search(fault.row.says, d.stderr.text()), f"nothing is said of {line}"
    hurt = traced.concerned(trace, {fault.call for fault in faults if fault.row.removes})
    removed = re.compile(rb"chatd: (too many clients|line too long)")
    for guest in party.guests:
        # Those who left have closed their socket, and were not removed.
        if guest.over and guest.connection.socket.fileno() >= 0:
            assert removed.search(guest.received) or (guest.port() or "unix") in hurt, (
                f"{guest.name} was removed")
    party.check()
    if any(fault.row.allocator for fault in faults):
        return  # without memory there are no last words
    party.wait(lambda: all(guest.over for guest in story.staying), lambda: "no end of file")
    for guest in story.staying:
        if (guest.port() or "unix") not in hurt:
            assert guest.received.endswith(chatd.FAREWELL), f"{guest.name} was not told of the end"


def live(faults):
    """One life. Returns what is wrong, as a text."""
    lasting = any(fault.lasting for fault in faults)
    names = {name for fault in faults for name in fault.row.names()} | {"accept4", "pselect6"}
    # Few descriptors, so that chatd asks for more, where it is this that fails.
    files = 16 if any(fault.call == "prlimit64" for fault in faults) else None
    story = Story(",".join(f"?{name}" for name in sorted(names)), faults, faults[0].mode,
                  files=files, stays=not lasting)
    ended = False
    try:
        try:
            if lasting:
                story.suffer()
            else:
                story.live()
        except Exception:  # pylint: disable=broad-except
            # When chatd ends, its connections do first, and then anything may go wrong here.
            ended = story.ends()
            if not ended:
                raise
        check(story, faults, ended)
    except Exception as error:  # pylint: disable=broad-except
        said = story.daemon.stderr.text()[-500:] if story.daemon.stderr else ""
        failed = "\n".join(line for _, line in story.daemon.failed()[:5])
        what = " ".join(f"inject={fault}" for fault in faults)
        return f"{what}: {type(error).__name__}: {error}\n{failed}\n{said}"
    finally:
        story.close()
    return ""


def live_alone(fault):
    """If a busy machine does not come to the use that is to fail, an earlier one is tried."""
    while True:
        wrong = live([fault])
        if LATE not in wrong or fault.when < 2:
            return wrong
        fault = fault.earlier()


def live_together(faults):
    """Returns what is wrong: {fault: text}."""
    if len(faults) == 1:
        return {faults[0]: live_alone(faults[0])}
    wrong = live(faults)
    if not wrong:
        return dict.fromkeys(faults, "")
    alone = {fault: live_alone(fault) for fault in faults}
    if any(alone.values()) or LATE in wrong:
        return alone
    return dict.fromkeys(faults, wrong)


def live_in_peace(mode):
    """The log of a life without a fault."""
    story = Story("all", mode=mode, files=16)
    try:
        story.live()
        assert story.daemon.wait() == 0
        story.party.check()
        return story.daemon.trace()
    finally:
        story.close()


def about_guests(fault):
    """Whether it may remove a guest or keep one waiting."""
    return fault.row.removes or fault.call == "accept4"


def get_on(one, other):
    """Whether two faults may share a life.

    There is one start in it and one reload, each of which takes another way after a fault; and
    where the service manager gets no news, there are fewer sends. Of two that are about guests one
    might do its work in the name of the other; and a newcomer knows that it is in by another guest
    who hears it."""
    return (one.goes_on() and other.goes_on() and one.mode == other.mode
            and one.row is not other.row
            and (one.phase == "serving" or one.phase != other.phase)
            and not (one.row.says and other.call == "sendto")
            and not (about_guests(one) and about_guests(other)))


def shared(faults):
    """As few lives as these faults need: [[fault]]."""
    lives = []
    for fault in sorted(faults, key=lambda fault: fault.phase != "start"):
        place = next((others for others in lives if len(others) < TOGETHER
                      and all(get_on(other, fault) for other in others)), None)
        if place:
            place.append(fault)
        else:
            lives.append([fault])
    return lives


class Lives:
    """One life after another begins, in the order of the tests, whatever a test waits for, so that
    no processor is idle."""

    def __init__(self, faults):
        self.pool = concurrent.futures.ThreadPoolExecutor(AT_A_TIME)
        self.results = {}
        order = {fault: number for number, fault in enumerate(faults)}
        for life in sorted(shared(faults), key=lambda life: min(map(order.get, life))):
            result = self.pool.submit(live_together, life)
            self.results.update(dict.fromkeys(life, result))

    def wrong(self, fault):
        return self.results[fault].result()[fault]

    def close(self):
        self.pool.shutdown(cancel_futures=True)
