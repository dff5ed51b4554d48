"""
What clients hear while their server is restarted, reloaded or killed: tools/bench --restart.

For each case a machine of its own is booted, whose systemd does it (tests/system/box); in it runs
witness.py. Writes a table and a picture. haproxy and nginx pass on bytes to a chatd behind them
that stays as it is, so what happens to clients is their doing alone; a reload leaves the clients
that are there to the old process, which goes on beside the new one until they have gone.
"""

import ast
import os
import shutil
import statistics
import subprocess
import sys
from html import escape
from pathlib import Path

SYSTEM = Path(__file__).parent.parent / "system"
CLIENTS, PAUSE = 100, 0.02
CASES = (
    ("chatd", "restart"), ("chatd", "kill"),
    ("haproxy", "reload"), ("haproxy", "kill"),
    ("nginx", "reload"), ("nginx", "kill"),
    ("ngircd", "restart"), ("ngircd", "kill"),
)
WORDS = {"restart": "systemctl restart", "reload": "systemctl reload", "kill": "kill -9"}
PEERS = "haproxy,nginx-light,libnginx-mod-stream,ngircd"

INSTALL = """#!/bin/sh
set -e
tar -C /mnt/root -c . | tar -C / -x --keep-directory-symlink
systemctl daemon-reload
exec python3 /mnt/witness.py "$@"
"""


def output(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def packages(program):
    """Of the libraries that it needs. dpkg knows some by a path without /usr."""
    names = {line.split()[2].rsplit("/", 1)[1] for line in output("ldd", program).splitlines()
             if "=> /" in line}
    return {output("dpkg", "-S", f"*/{name}").splitlines()[0].split(":")[0] for name in names}


def make_tree(tree, chatd):
    """A Debian with everybody in it; made once."""
    if (tree / "etc/ngircd").exists():
        return
    include = ",".join(["systemd", "systemd-sysv", "dbus", "python3-minimal", PEERS,
                        *sorted(packages(chatd))])
    suite = output("sh", "-c", ". /etc/os-release; echo $VERSION_CODENAME").strip()
    mirror = [line.split()[1] for line in output(
        "apt-get", "indextargets", "--format", "$(CODENAME) $(REPO_URI)",
        "Created-By: Packages").splitlines() if line.split()[0] == suite][0]
    print("making a Debian tree: two minutes", flush=True)
    subprocess.run(
        ["mmdebstrap", "--quiet", "--dpkgopt=force-unsafe-io", "--variant=apt",
         f"--include={include}", '--customize-hook=cd "$1" && rm -f usr/sbin/policy-rc.d && '
         ': >etc/machine-id && echo box >etc/hostname && '
         'printf "127.0.0.1 localhost box\\n" >etc/hosts', suite, tree, mirror], check=True)


def share(place):
    """What the machines see: chatd as meson installs it, and the clients."""
    folder = place.work / "restart"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    subprocess.run(["meson", "install", "-C", place.build, "--quiet",
                    "--destdir", folder / "root"], check=True)
    shutil.copy(Path(__file__).parent / "witness.py", folder)
    (folder / "install").write_text(INSTALL)
    (folder / "install").chmod(0o755)
    return folder


def watch(tree, folder, server, how, times):
    done = subprocess.run(
        [SYSTEM / "box", tree, folder, "/mnt/install", server, how, str(CLIENTS), str(PAUSE),
         str(times)], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    seen = [ast.literal_eval(line) for line in done.stdout.splitlines() if line.startswith("{")]
    if len(seen) != times:
        sys.exit(f"{server}, {how}: {done.stdout[-300:]} {done.stderr[-300:]}")
    return seen


def pause(one):
    """Milliseconds that a client in the middle heard nothing."""
    return statistics.median(one["gaps"]) * 1000


def middle(seen):
    """The time whose pause is in the middle."""
    return sorted(seen, key=pause)[len(seen) // 2]


# Of each case: (server, how, all times)

def table(results):
    text = ("| | | pause, ms | connections ended | lines not heard |\n"
            "| --- | --- | ---: | ---: | ---: |\n")
    for server, how, seen in results:
        times = len(seen)
        dropped = sum(one["dropped"] for one in seen) / times
        lost = sum(one["lost"] + one["twice"] for one in seen) / times
        text += (f"| {server} | {WORDS[how]} | {pause(middle(seen)):,.0f} "
                 f"| {dropped:,.0f} of {CLIENTS + 1} | {lost:,.0f} |\n")
    return text


WIDTH, GAP, TOP, HEAD, TALL, FOOT = 860, 36, 84, 42, 60, 26
FIRST, LAST = -0.48, 2.0 # seconds
MOST = 3                # times as many lines as usual: what is above is cut off

STYLE = """
text { font: 13px -apple-system, 'Segoe UI', 'DejaVu Sans', Helvetica, Arial, sans-serif;
       fill: #1f2328 }
.title { font-size: 16px; font-weight: 600 }
.row { font-weight: 600 }
.note, .axis { fill: #57606a }
.axis { font-size: 11px }
.grid { stroke: #d0d7de }
.zero { stroke: #cf222e; stroke-dasharray: 3 3 }
.area { fill: #8c959f }
.area.mine { fill: #1a7f37 }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 }
  .note, .axis { fill: #9198a1 }
  .grid { stroke: #30363d }
  .zero { stroke: #f85149 }
  .area { fill: #6e7681 }
  .area.mine { fill: #3fb950 }
}
"""


def panel(x, y, width, server, how, one, step):
    usual = CLIENTS / PAUSE * step
    bottom = y + HEAD + TALL
    across = lambda seconds: round(x + (seconds - FIRST) / (LAST - FIRST) * width, 1)
    said = (f"{pause(one):,.0f} ms of silence; {one['dropped']:,} connections ended, "
            f"{one['lost'] + one['twice']:,} lines not heard")
    path = [f"M{across(FIRST)} {bottom}"]
    for number in range(round(FIRST / step), round(LAST / step)):
        high = min(one["heard"].get(number, 0) / usual, MOST) / MOST * TALL
        path.append(f"V{round(bottom - high, 1)}H{across((number + 1) * step)}")
    path.append(f"V{bottom}Z")
    mine = " mine" if server == "chatd" else ""
    text = [f'<text class="row" x="{x}" y="{y + 14}">{escape(server)}, {WORDS[how]}</text>',
            f'<text class="note" x="{x}" y="{y + 32}">{said}</text>',
            f'<path class="area{mine}" d="{"".join(path)}"/>',
            f'<path class="grid" d="M{x} {bottom}H{x + width}"/>',
            f'<path class="zero" d="M{across(0)} {y + HEAD - 2}V{bottom}"/>']
    for seconds in (0, 0.5, 1, 1.5, 2):
        anchor = "end" if seconds == LAST else "middle"
        text.append(f'<text class="axis" text-anchor="{anchor}" x="{across(seconds)}" '
                    f'y="{bottom + 14}">{seconds:g} s</text>')
    return text


def draw(results, step=0.04):
    width = (WIDTH - GAP) // 2
    tall = HEAD + TALL + FOOT + 8
    text = []
    for number, (server, how, seen) in enumerate(results):
        text += panel(number % 2 * (width + GAP), TOP + number // 2 * tall, width, server, how,
                      middle(seen), step)
    height = TOP + tall * ((len(results) + 1) // 2)
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" '
        f'viewBox="0 0 {WIDTH} {height}" role="img">',
        f"<title>Lines that {CLIENTS} clients hear around a restart</title><style>{STYLE}</style>",
        f'<text class="title" x="0" y="18">Lines that {CLIENTS} clients hear around a restart'
        '</text>',
        '<text class="note" x="0" y="38">In steps of 40 ms; one client says '
        f'{round(1 / PAUSE)} lines a second. Who is disconnected comes back at once.</text>',
        '<text class="note" x="0" y="56">kill -9 hits the process that serves the clients. '
        'haproxy and nginx pass on what a chatd behind them says.</text>',
        *text, "</svg>", ""])


def main(place, times, folder):
    if os.geteuid() != 0 or not shutil.which("mmdebstrap"):
        print("only root can boot a machine, and mmdebstrap makes its tree")
        return 1
    tree = place.build / "restart-tree"
    make_tree(tree, place.build / "src/chatd")
    shown = share(place)
    results = []
    for server, how in CASES:
        results.append((server, how, watch(tree, shown, server, how, times)))
        print(f"{server}, {WORDS[how]}: {pause(middle(results[-1][2])):,.0f} ms", flush=True)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "restart.md").write_text(table(results))
    (folder / "restart.svg").write_text(draw(results))
    print("\n" + table(results) + f"\nwritten to {folder}: restart.md, restart.svg")
    mine = [one for server, _, seen in results for one in seen if server == "chatd"]
    return 1 if any(one["dropped"] or one["lost"] or one["twice"] for one in mine) else 0
