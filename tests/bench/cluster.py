#!/usr/bin/python3
"""
One chat of many servers: what a line costs, and what a link that is cut for three seconds costs.

  tests/bench/cluster.py [--runs N] [--seconds N] [BUILD]

BUILD is that of tools/bench (build-bench). Servers and engine share one CPU, the load has another.
Prints two tables.
"""

import argparse
import collections
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

import cut
import peers
import peers_many

CLIENTS = 30
SETUPS = [
    ("chatd alone", peers_many.Cluster, 0),
    ("1 chatd and engine", peers_many.Cluster, 1),
    ("2 chatd and engine", peers_many.Cluster, 2),
    ("3 chatd and engine", peers_many.Cluster, 3),
    ("2 chatd, fsync always", peers_many.ClusterOnDisk, 2),
    ("2 mosquitto, a bridge", peers_many.Mosquitto, 2),
    ("3 mosquitto, 2 bridges", peers_many.Mosquitto, 3),
    ("1 redis, pub/sub", peers_many.PubSub, 1),
]


def load(place, setup, commands, many):
    """What the load generator found out: {command: figure}."""
    done = subprocess.run(
        [place.load, *(["-m"] if many else []), setup.protocol, ",".join(map(str, setup.ports)),
         ",".join(map(str, setup.pids)), f"clients={CLIENTS}", "warm=0.2", *commands],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False,
        preexec_fn=place.on_cpu(place.load_cpu))
    if done.returncode:
        print(f"  {setup.name}: {done.stderr.strip()}", file=sys.stderr)
    return {figure["command"]: figure for figure in map(json.loads, done.stdout.splitlines())}


def measure(place, seconds, runs):
    """Rows of the first table, all of them measured in turn."""
    figures = collections.defaultdict(list)
    for turn in range(runs):
        for title, kind, number in SETUPS:
            setup = kind(place, number)
            try:
                one = load(place, setup, [f"stream={seconds}", "latency=1"], many=False)
                setup.stop()
                setup = kind(place, number)
                all_ = load(place, setup, [f"stream={seconds}"], many=True)
            finally:
                setup.stop()
            for key, figure in (("one", one.get("stream")), ("all", all_.get("stream")),
                                ("latency", one.get("latency"))):
                if figure:
                    figures[title, key].append(figure)
        print(f"turn {turn + 1} of {runs}", file=sys.stderr)
    return figures


def said(figure, listeners):
    """Lines a second, each counted once, however many hear it."""
    return (figure["due"] - figure["lost"]) / listeners / figure["wall_ns"] * 1e9


def cost(figure):
    return figure["cpu_ns"] / (figure["due"] - figure["lost"])


def cell(figures, value, digits=0):
    return f"{statistics.median(map(value, figures)):,.{digits}f}" if figures else "-"


def table(figures):
    rows = [f"| {CLIENTS} clients, lines of 64 bytes | lines/s, one speaks | ns/line | lines/s, all speak "
            "| ns/line | a lone line, ms |", "| --- | ---: | ---: | ---: | ---: | ---: |"]
    for title, _, _ in SETUPS:
        one, all_, late = (figures[title, key] for key in ("one", "all", "latency"))
        lost = sum(f.get("lost", 0) + f.get("reordered", 0) for f in one + all_)
        rows.append(f"| {title}{' (lost lines)' if lost else ''} "
                    f"| {cell(one, lambda f: said(f, CLIENTS))} | {cell(one, cost)} "
                    f"| {cell(all_, lambda f: said(f, CLIENTS))} | {cell(all_, cost)} "
                    f"| {cell(late, lambda f: f['median_ns'] / 1e6, 2)} |")
    return "\n".join(rows)


def main():
    parser = argparse.ArgumentParser(prog="tests/bench/cluster.py")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=1)
    parser.add_argument("--only", choices=["load", "cut"])
    parser.add_argument("build", nargs="?", default="build-bench")
    options = parser.parse_args()
    cpus = sorted(os.sched_getaffinity(0))
    place = peers.Place(options.build, Path(options.build) / "bench-work", (cpus[-1], cpus[0]))
    peers.raise_descriptors()
    if options.only != "cut":
        print(table(measure(place, options.seconds, options.runs)), flush=True)
    if options.only != "load":
        print(cut.table(place), flush=True)


if __name__ == "__main__":
    main()
