"""
Counts the instructions that chatd itself, without the kernel, spends on each
delivery. The count does not depend on the machine's speed or on what else it
does, so it guards the core: more than LIMITS is a failure.

Two runs that differ only in the number of rounds are subtracted, which leaves
out starting, accepting and ending. In each round the server stands still until
all lines were sent, so that it always meets the same work.
"""

import re
import shutil
import subprocess

import peers

# (title, clients, all speak, lines, instructions for each delivery at most, without and with the
# journal that a service manager keeps)
LIMITS = (
    ("1 to 100, line by line", 100, False, 1, 500, 700),
    ("1 to 100, 256 at a time", 100, False, 256, 2.5, 4),
    ("100 to 100, one line each", 100, True, 1, 20, 35),
    ("500 to 500, two at a time", 500, True, 2, 2.5, 4),
)
COMES = (6500, 11000) # the same for each client that comes and goes

ROUNDS = 10


def run(place, clients, many, commands, journal):
    """Instructions of one run, and what the load generator says."""
    out = place.work / "callgrind.out"
    server = peers.Chatd("callgrind", journal=journal)
    running = server.start(place, clients, many, wrapper=[
        "valgrind", "--tool=callgrind", f"--callgrind-out-file={out}"])
    try:
        load = subprocess.run(
            [place.load, *(["-m"] if many else []), "raw", str(running.port), str(running.pid),
             f"clients={clients}", *commands],
            capture_output=True, text=True, timeout=300, check=True,
            preexec_fn=place.on_cpu(place.load_cpu))
    finally:
        running.stop()
    total = re.search(r"^(?:summary|totals): (\d+)", out.read_text(), re.MULTILINE)
    return int(total.group(1)), load.stdout


def count(place, clients, many, lines, rounds, journal=False):
    """Instructions and deliveries of one run."""
    total, said = run(place, clients, many, [f"count={lines},{rounds}"], journal)
    figure = [line for line in said.splitlines() if '"count"' in line][-1]
    if '"lost":0' not in figure:
        raise SystemExit(f"chatd lost lines: {figure}")
    return total, int(re.search(r'"due":(\d+)', figure).group(1))


def verdict(title, journal, each, limit, what):
    """Prints it; whether it is too many."""
    print(f"{title}{', with a journal' if journal else ''}: {each:,.2f} instructions for {what}, "
          f"at most {limit:,}{': TOO MANY' if each > limit else ''}", flush=True)
    return each > limit


def main(place):
    if not shutil.which("valgrind"):
        print("valgrind is not installed")
        return 1
    place.work.mkdir(parents=True, exist_ok=True)
    bad = 0
    for journal in (False, True):
        for title, clients, many, lines, *limits in LIMITS:
            few = count(place, clients, many, lines, ROUNDS, journal)
            more = count(place, clients, many, lines, 3 * ROUNDS, journal)
            each = (more[0] - few[0]) / (more[1] - few[1])
            bad += verdict(title, journal, each, limits[journal], "each delivery")
        few = run(place, 100, False, [], journal)
        more = run(place, 500, False, [], journal)
        bad += verdict("comes and goes", journal, (more[0] - few[0]) / 400, COMES[journal],
                       "each client")
    return 1 if bad else 0
