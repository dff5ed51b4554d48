#!/usr/bin/python3
"""
Measures chatd beside its peers on loopback: see tools/bench.

Every run starts a server afresh on one CPU and the load generator on another.
Servers take turns, A B C A B C, so that what else the machine does meets all of
them; only figures of one run are compared with each other.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from pathlib import Path

import callgrind
import peers
import peers_tls
import report
import restart

ENOUGH_SECONDS = 60 # of one server in one group: then it has no more turns


class Group:
    """Commands of the load generator that run on the same connections: see load.c."""

    def __init__(self, name, clients, commands, servers, many=False, connect=None, seconds=90):
        self.name, self.clients, self.commands = name, clients, commands
        self.servers, self.many = servers, many
        self.connect = connect or [f"clients={clients}", "warm=0.05"]
        self.seconds = seconds


MODES = [peers.Chatd("mode lines"), peers.Chatd("mode chat", mode="chat")]


def full():
    everyone = [peers.Chatd(), peers.SendLoop(), peers.Naive(), peers.Ncat(), peers.Ngircd(),
                peers.Redis(), peers.Mosquitto(), peers.Nats()]
    traces = [peers.Chatd("trace off", "off"), peers.Chatd("trace to a file", "file"),
              peers.Chatd("trace to a pipe", "pipe")]
    one = ["round=1,0.5", "stream=0.5"]
    many = ["round=1,0.5", "round=2,0.5", "stream=0.5"]
    # The lone lines of 10,000 take their time; what they connect as is measured here, too.
    steps = ["clients=10", "memory", "clients=1000", "memory", "clients=10000", "memory", "idle=2"]
    return [
        Group("1 to 10", 10, one, everyone),
        Group("1 to 100", 100, one, everyone),
        Group("1 to 1000", 1000, ["round=1,0.5", "round=256,0.5", "stream=0.5", "latency=1"],
              everyone),
        Group("1 to 10,000", 10000, ["round=1,0.7", "stream=0.5"], everyone, connect=steps),
        Group("100 to 100", 100, many, everyone, many=True),
        Group("500 to 500", 500, many, everyone, many=True),
        Group("TLS, 1 to 10", 10, one, peers_tls.everyone()),
        Group("TLS, 1 to 100", 100, one, peers_tls.everyone()),
        Group("TLS, 1 to 900", 900, ["round=1,0.5", "round=256,0.5", "stream=0.5", "latency=1"],
              peers_tls.everyone(), connect=["clients=10", "memory", "clients=900", "memory", "warm=0.05"]),
        Group("trace, 1 to 10", 10, one, traces),
        Group("trace, 1 to 100", 100, one, traces),
        Group("trace, 100 to 100", 100, many, traces, many=True),
        Group("mode, 1 to 100", 100, one, MODES),
        Group("mode, 100 to 100", 100, many, MODES, many=True),
    ]


def quick():
    """The rows that tell most, those who are slow left out of the largest."""
    everyone = [peers.Chatd(), peers.SendLoop(), peers.Naive(), peers.Ncat(), peers.Ngircd(),
                peers.Redis(), peers.Mosquitto(), peers.Nats()]
    swift = [s for s in everyone if s.name not in ("naive", "mosquitto", "nats")]
    return [
        Group("1 to 100", 100, ["round=1,0.15", "stream=0.15"], everyone),
        Group("1 to 1000", 1000, ["round=256,0.15", "latency=0.2"], swift),
        Group("100 to 100", 100, ["round=1,0.15", "round=2,0.15"], everyone, many=True),
        Group("500 to 500", 500, ["round=1,0.15", "round=2,0.15"], swift, many=True),
        Group("TLS, 1 to 100", 100, ["round=1,0.15", "round=256,0.15", "stream=0.15"],
              peers_tls.everyone()),
        Group("1 to 10,000", 10000, [], everyone[:1],
              connect=["clients=10", "memory", "clients=10000", "memory", "idle=1"]),
    ]


class Bench:
    def __init__(self, place, most, deadline):
        self.place, self.most, self.deadline = place, most, deadline
        self.skipped = {}   # server -> why
        self.faults = []    # what chatd got wrong
        self.cut = False    # there was no time for all runs
        self.versions = {}

    def run(self, group, server):
        """One run: the figures of each command, or None if the server cannot."""
        if group.clients > self.most:
            self.skipped[f"{group.clients} clients"] = "too few descriptors (ulimit -Hn)"
            return None
        try:
            running = server.start(self.place, group.clients, group.many)
        except peers.Missing as why:
            self.wrong(group, server, str(why))
            return None
        if server.name not in self.versions:
            self.versions[server.name] = server.version(self.place)
        try:
            figures, said = self.load(group, server, running)
        finally:
            running.stop()
        said = [f"{key} {figure[key]}" for figure in figures
                for key in ("lost", "reordered", "garbled", "closed") if figure.get(key)] + said
        if said:
            self.wrong(group, server, ", ".join(said))
        return figures

    def load(self, group, server, running):
        """The figures, and what the load generator complained of."""
        connect = group.connect if server.grows else [f"clients={group.clients}"]
        options = (["-m"] if group.many else []) + (["-t"] if server.secure else [])
        command = [self.place.load, *options, "-b", str(server.backlog),
                   server.protocol, str(running.port), str(running.pid),
                   *connect, *group.commands]
        try:
            done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                                  preexec_fn=self.place.on_cpu(self.place.load_cpu),
                                  timeout=group.seconds, check=False)
            output, said = done.stdout, [done.stderr.strip()] if done.returncode != 0 else []
        except subprocess.TimeoutExpired as late: # slow, which is no fault
            output, said = (late.stdout or b"").decode(), []
            self.skipped.setdefault(f"{server.name}, {group.name}",
                                    f"not done in {group.seconds} s")
        return [json.loads(line) for line in output.splitlines() if line.endswith("}")], said

    def wrong(self, group, server, what):
        if isinstance(server, peers.Chatd):
            self.faults.append(f"{group.name}, {server.name}: {what}")
        elif group.clients > server.most:
            self.skipped[server.name] = what
        else:
            self.skipped.setdefault(f"{server.name}, {group.name}", what)
        print(f"  {server.name}: {what}", flush=True)

    def measure(self, group, runs, peer_runs):
        """Figures by server: a list of runs, each a list of figures."""
        figures = {server.name: [] for server in group.servers}
        waiting = list(group.servers)
        spent = dict.fromkeys(figures, 0.0)
        for turn in range(runs):
            if turn == peer_runs:
                waiting = [s for s in waiting if isinstance(s, (peers.Chatd, peers.SendLoop))]
            for server in list(waiting):
                if time.monotonic() > self.deadline:
                    self.cut = True
                    return figures
                begin = time.monotonic()
                got = self.run(group, server)
                spent[server.name] += time.monotonic() - begin
                if got is None or spent[server.name] > ENOUGH_SECONDS:
                    waiting.remove(server)
                if got is not None:
                    figures[server.name].append(got)
            print(f"{group.name}: turn {turn + 1} of {runs}", flush=True)
        return figures


def machine(place):
    model = "unknown"
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            model = line.split(":", 1)[1].strip()
            break
    return {"cpu": model, "cpus": os.cpu_count(), "kernel": platform.release(),
            "server_cpu": place.server_cpu, "load_cpu": place.load_cpu,
            "date": time.strftime("%Y-%m-%d")}


def main():
    parser = argparse.ArgumentParser(prog="tools/bench")
    parser.add_argument("--quick", action="store_true", help="about a minute, coarse figures")
    parser.add_argument("--callgrind", action="store_true",
                        help="count chatd's own instructions for each delivery instead")
    parser.add_argument("--restart", action="store_true",
                        help="what clients hear around a restart instead; root, 4 minutes")
    parser.add_argument("--runs", type=int,
                        help="runs of each server (5; quick: 3, and 1 of each peer)")
    parser.add_argument("--minutes", type=float, default=25, help="start no run after so long")
    parser.add_argument("--only", help="only groups with this in their name")
    parser.add_argument("--results", help="folder for the results (BUILD/results)")
    parser.add_argument("build", help="a build with -Dbench=enabled")
    options = parser.parse_args()

    cpus = sorted(os.sched_getaffinity(0))
    place = peers.Place(options.build, Path(options.build) / "bench-work", (cpus[-1], cpus[0]))
    most = peers.raise_descriptors()
    if options.callgrind:
        return callgrind.main(place)
    if options.restart:
        return restart.main(place, options.runs or 3, Path(options.results or place.build / "results"))
    if len(cpus) == 1:
        print("only one CPU: server and load share it", flush=True)
    peers.fetch(place)

    bench = Bench(place, most, time.monotonic() + options.minutes * 60)
    runs = options.runs or (3 if options.quick else 5)
    peer_runs = 1 if options.quick else runs
    groups = [g for g in (quick() if options.quick else full())
              if not options.only or options.only in g.name]
    servers = {server.name: server for group in groups for server in group.servers}
    figures = {group.name: bench.measure(group, runs, peer_runs) for group in groups}

    folder = Path(options.results or place.build / "results")
    folder.mkdir(parents=True, exist_ok=True)
    result = {
        "machine": machine(place), "runs": runs, "peer_runs": peer_runs, "figures": figures, "cut": bench.cut,
        "skipped": bench.skipped, "faults": bench.faults,
        "settings": {name: server.settings for name, server in servers.items()},
        "versions": bench.versions,
    }
    (folder / "bench.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    text = report.table(result)
    (folder / "bench.md").write_text(text, encoding="utf-8")
    print("\n" + text)
    print(f"written to {folder}: bench.md, bench.json"
          + (", bench.svg" if report.picture(result, folder) else ""))
    for fault in bench.faults:
        print(f"chatd: {fault}", file=sys.stderr)
    return 1 if bench.faults else 0


if __name__ == "__main__":
    sys.exit(main())
