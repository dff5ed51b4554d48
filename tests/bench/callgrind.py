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

# (title, clients, all speak, lines, instructions for each delivery at most)
LIMITS = (
    ("1 to 100, line by line", 100, False, 1, 500),
    ("1 to 100, 256 at a time", 100, False, 256, 4),
    ("100 to 100, one line each", 100, True, 1, 45),
    ("500 to 500, two at a time", 500, True, 2, 5),
)

ROUNDS = 10


def count(place, clients, many, lines, rounds):
    """Instructions and deliveries of one run."""
    out = place.work / "callgrind.out"
    server = peers.Chatd("callgrind")
    running = server.start(place, clients, many, wrapper=[
        "valgrind", "--tool=callgrind", f"--callgrind-out-file={out}"])
    try:
        load = subprocess.run(
            [place.load, *(["-m"] if many else []), "raw", str(running.port), str(running.pid),
             f"clients={clients}", f"count={lines},{rounds}"],
            capture_output=True, text=True, timeout=300, check=True,
            preexec_fn=place.on_cpu(place.load_cpu))
    finally:
        running.stop()
    figure = [line for line in load.stdout.splitlines() if '"count"' in line][-1]
    if '"lost":0' not in figure:
        raise SystemExit(f"chatd lost lines: {figure}")
    total = re.search(r"^(?:summary|totals): (\d+)", out.read_text(), re.MULTILINE)
    return int(total.group(1)), int(re.search(r'"due":(\d+)', figure).group(1))


def main(place):
    if not shutil.which("valgrind"):
        print("valgrind is not installed")
        return 1
    place.work.mkdir(parents=True, exist_ok=True)
    status = 0
    for title, clients, many, lines, limit in LIMITS:
        few = count(place, clients, many, lines, ROUNDS)
        more = count(place, clients, many, lines, 3 * ROUNDS)
        each = (more[0] - few[0]) / (more[1] - few[1])
        verdict = "" if limit is None else f", at most {limit}"
        if limit is not None and each > limit:
            verdict += ": TOO MANY"
            status = 1
        print(f"{title}: {each:.2f} instructions for each delivery{verdict}", flush=True)
    return status
