#!/usr/bin/python3
"""
Whatever can fail between nodes and their engine, in any order, while people talk.

    storm.py SECONDS [--seed N] [--nodes N] [--kill]

An engine that writes to its disk before it answers, and a proxy in front of it for each node. Prints
each fault, and at the end how many lines were delivered; a line that is lost, comes twice or in
another order somewhere ends it with status 1, and with the seed. --kill: nodes are killed and
restarted as well, under a service manager that keeps their descriptors.
"""

import argparse
import os
import random
import signal
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(os.path.dirname(HERE), "integration"), HERE]

from chatd import CHATD  # noqa: E402
from engine import Engine, EngineError  # noqa: E402
from keeper import Keeper  # noqa: E402
from party import Party, difference  # noqa: E402
from proxy import Proxy  # noqa: E402


class Storm:
    def __init__(self, folder, nodes, dice):
        self.dice = dice
        self.engine = Engine(folder, appendonly="yes", appendfsync="always",
                             maxmemory_policy="noeviction").start()
        self.links = [Proxy(self.engine.path) for _ in range(nodes)]
        self.nodes = [Keeper(CHATD, f"{folder}/{n}",
                             f'cluster = {{ engine = [ "{link.tcp}" ]; keep = 100000; }};\n')
                      for n, link in enumerate(self.links)]
        for each in self.nodes:
            each.start()
            each.log.wait_for("cluster: linked")

    def pause(self, longest=0.5):
        time.sleep(self.dice.choice([0, self.dice.uniform(0, longest)]))

    # --- what can fail

    def engine_stands_still(self):
        self.engine.pause()
        self.pause(5)
        self.engine.resume()

    def engine_dies(self):
        self.engine.kill(self.dice.choice([signal.SIGKILL, signal.SIGTERM]))
        self.pause(1)
        self.engine.start()

    def engine_is_full(self):
        self.engine.set("maxmemory", "1")
        self.pause()
        self.engine.set("maxmemory", "0")

    def engine_drops_all(self):
        self.engine.call("CLIENT", "KILL", "TYPE", "normal")

    def link_is_cut(self):
        self.dice.choice(self.links).cut()

    def link_is_silent(self):
        link = self.dice.choice(self.links)
        link.silence()
        self.pause(5)
        link.mend()

    def link_is_refused(self):
        link = self.dice.choice(self.links)
        link.refuse()
        self.pause(1)
        link.mend()

    def link_is_slow(self):
        link = self.dice.choice(self.links)
        link.delay(self.dice.uniform(0, 0.3))
        link.dribble(self.dice.choice([1, 10, 1000]))
        self.pause()
        link.mend()

    def link_is_late(self):
        link = self.dice.choice(self.links)
        link.hold_back()
        time.sleep(self.dice.choice([0.1, 3.5]))
        link.let_go()

    def node_stands_still(self):
        node = self.dice.choice(self.nodes)
        os.kill(node.pid, signal.SIGSTOP)
        self.pause(4)
        os.kill(node.pid, signal.SIGCONT)

    def node_dies(self):
        node = self.dice.choice(self.nodes)
        node.end(self.dice.choice([signal.SIGKILL, signal.SIGUSR2]))
        self.pause()
        node.start()

    def close(self):
        for each in (*self.nodes, *self.links):
            each.close()
        self.engine.kill()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("seconds", type=float)
    parser.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(4), "little"))
    parser.add_argument("--nodes", type=int, default=3)
    parser.add_argument("--kill", action="store_true")
    options = parser.parse_args()
    dice = random.Random(options.seed)
    print("seed", options.seed, flush=True)
    with tempfile.TemporaryDirectory(prefix="storm-") as folder:
        storm = Storm(folder, options.nodes, dice)
        try:
            run(storm, options)
        except BaseException:
            for each in storm.nodes:
                print(each.past + each.log.text(), "---", sep="\n")
            print("seed", options.seed)
            raise
        finally:
            storm.close()


def run(storm, options):
    faults = [name for name in vars(Storm) if name.split("_")[0] in ("engine", "link", "node")]
    if not options.kill:
        faults.remove("node_dies")
    party = Party(storm.nodes, speakers=3, batch=3)
    begun = time.monotonic()
    with party:
        while time.monotonic() < begun + options.seconds:
            fault = storm.dice.choice(faults)
            print(f"{time.monotonic() - begun:8.1f} {fault}", flush=True)
            try:
                getattr(storm, fault)()
            except (EngineError, ConnectionError):  # it has not come back from the last fault yet
                pass
            if storm.dice.random() < 0.7:
                party.goes_on(storm.dice.randrange(1, 500))
        party.goes_on()
    try:
        party.settle()
    except AssertionError:
        most = max((g.lines() for g in party.listeners), key=len)
        for each in party.listeners:
            print(f"node {each.node}:", difference(most, each.lines()))
        raise
    print(f"{party.check()} lines delivered, none lost, none twice, in one order")


if __name__ == "__main__":
    main()
