"""Turns the figures of a run into a table and a picture."""

import statistics
import subprocess

import peers

ROWS = {"round=1": "line by line", "round=2": "two at a time", "round=256": "256 at a time",
        "stream": "pipelined"}

LIMIT = "send loop"


def kind(figure):
    if figure["command"] == "round":
        return f"round={figure['lines']}"
    return figure["command"]


def delivered(figure):
    return figure["due"] - figure["lost"]


def cost(figure):
    """CPU ns of the server for each line delivered."""
    return figure["cpu_ns"] / delivered(figure)


def rate(figure):
    return delivered(figure) / figure["wall_ns"] * 1e9


def picked(runs, wanted):
    """The figure of that kind in each run; None where there is none."""
    found = []
    for run in runs:
        match = [f for f in run if kind(f) == wanted and ("due" not in f or delivered(f) > 0)]
        found.append(match[-1] if match else None)
    return found


def median(values):
    values = [value for value in values if value is not None]
    return statistics.median(values) if values else None


def ratio(mine, other, value):
    """Median of the ratios within each turn; noise meets both of a turn."""
    return median([value(a) / value(b) if a and b else None for a, b in zip(mine, other)])


def number(value, digits=None):
    if value is None:
        return "-"
    if digits is None:
        digits = 0 if value >= 100 else 1 if value >= 10 else 2
    return f"{value:,.{digits}f}"


def rule(cells):
    return "| " + " | ".join(cells) + " |\n"


def grid(head, rows):
    return (rule(head) + rule(["---"] + ["---:"] * (len(head) - 1))
            + "".join(rule(row) for row in rows))


def scenarios(result):
    """(title, runs by server, kind) of each row that has a cost."""
    for group, figures in result["figures"].items():
        if group.startswith("trace"):
            continue
        for wanted, words in ROWS.items():
            if any(f for runs in figures.values() for f in picked(runs, wanted)):
                if "to 100" in group and "1 to" not in group and wanted == "round=1":
                    words = "one line each"
                if "500 to" in group and wanted == "round=1":
                    words = "one line each"
                yield f"{group}, {words}", figures, wanted


def lost(runs, wanted):
    return sum(f["lost"] for f in picked(runs, wanted) if f)


def cost_table(result, names, notes):
    rows, ratios = [], []
    for title, figures, wanted in scenarios(result):
        row, relative = [title], [title]
        mine = picked(figures["chatd"], wanted)
        for name in names:
            theirs = picked(figures.get(name, []), wanted)
            cell = number(median([cost(f) if f else None for f in theirs]))
            if lost(figures.get(name, []), wanted):
                cell += " (lost lines)"
            row.append(cell)
            if name != "chatd":
                other = ratio(mine, theirs, cost)
                if name != LIMIT and other:
                    other = 1 / other
                relative.append(number(other, 2 if other and other < 10 else 0))
        rows.append(row)
        ratios.append(relative)
    text = "CPU time of the server for each 64-byte line delivered, ns:\n\n"
    text += grid(["", *[name + notes[name] for name in names]], rows)
    text += f"\nchatd's cost as a multiple of the {LIMIT}'s, then the others' as a multiple of chatd's:\n\n"
    text += grid(["", f"chatd / {LIMIT}"] + [f"{n} / chatd" for n in names[2:]], ratios)
    return text


def rate_table(result, names):
    rows = []
    for title, figures, wanted in scenarios(result):
        row = [title]
        for name in names:
            value = median([rate(f) / 1e6 if f else None
                            for f in picked(figures.get(name, []), wanted)])
            row.append(number(value, 2 if value and value < 10 else 1))
        rows.append(row)
    return "\nLines delivered, millions a second:\n\n" + grid(["", *names], rows)


def each(figures, name, wanted, value):
    return median([value(f) if f else None for f in picked(figures.get(name, []), wanted)])


def latency_table(result, names):
    text = ""
    for group, figures in result["figures"].items():
        if not any(f for runs in figures.values() for f in picked(runs, "latency")):
            continue
        rows = []
        for words, key in (("median", "median_ns"), ("95 of 100", "p95_ns")):
            rows.append([f"{group}, {words}"] + [
                number(each(figures, n, "latency", lambda f, k=key: f[k] / 1e6), 1) for n in names])
        text += ("\nOne line, 25 times a second, until the last one has it, ms:\n\n"
                 + grid(["", *names], rows))
    return text


def memory_per_client(run, clients):
    """Growth since the first few clients, which also paid for what comes once."""
    sizes = {f["clients"]: f["bytes"] for f in run if f["command"] == "memory"}
    low = min(sizes, default=None)
    high = min((n for n in sizes if n >= clients), default=None)
    if low is None or high is None or high == low:
        return None
    return (sizes[high] - sizes[low]) / (high - low)


def accepted(run, clients):
    for figure in run:
        if figure["command"] == "clients" and figure["accepted"] > clients / 2:
            return figure
    return None


def crowd_table(result, names):
    figures = result["figures"].get("1 to 10,000")
    if figures is None:
        return ""
    ms = lambda f, key: f[key] / 1e6 if f else None
    lines = {
        "bytes of memory for each client, 1000 idle":
            lambda run: memory_per_client(run, 1000),
        "bytes of memory for each client, 10,000 idle":
            lambda run: memory_per_client(run, 10000),
        "9000 more accepted, ms": lambda run: ms(accepted(run, 9000), "wall_ns"),
        "9000 more accepted, ms of CPU": lambda run: ms(accepted(run, 9000), "cpu_ns"),
    }
    idle = lambda f: f["wall_ns"] / 1e9
    rows = [[words] + [number(median([value(run) for run in figures.get(n, [])])) for n in names]
            for words, value in lines.items()]
    rows.append(["wake-ups a second while 10,000 idle"] + [
        number(each(figures, n, "idle", lambda f: f["wakeups"] / idle(f)), 1) for n in names])
    rows.append(["CPU while 10,000 idle, ms a second"] + [
        number(each(figures, n, "idle", lambda f: f["cpu_ns"] / 1e6 / idle(f)), 2) for n in names])
    return "\nMany clients:\n\n" + grid(["", *names], rows)


def trace_table(result):
    rows, names = [], []
    for group, figures in result["figures"].items():
        if not group.startswith("trace"):
            continue
        names = list(figures)
        for wanted, words in ROWS.items():
            off = picked(figures[names[0]], wanted)
            if not any(off):
                continue
            row = [f"{group.removeprefix('trace, ')}, {words}"]
            for name in names:
                theirs = picked(figures[name], wanted)
                cell = number(median([cost(f) if f else None for f in theirs]))
                if name != names[0]:
                    cell += f" (x {number(ratio(theirs, off, cost), 2)})"
                row.append(cell)
            rows.append(row)
    return ("\nThe trace, CPU ns for each line delivered:\n\n" + grid(["", *names], rows)
            if rows else "")


def table(result):
    names = [n for n in result["settings"] if not n.startswith("trace")
             and any(any(runs) for f in result["figures"].values() for runs in [f.get(n, [])])]
    notes = {name: f" [{i + 1}]" for i, name in enumerate(names)}
    host = result["machine"]
    runs = f"{result['runs']} runs in turn"
    if result["peer_runs"] < result["runs"]:
        runs += f" ({result['peer_runs']} of each peer)"
    runs += ", fewer of a server that took more than a minute"
    text = (f"Medians of {runs}, {host['date']}, {host['cpu']}, "
            f"{host['cpus']} CPUs, Linux {host['kernel']}; server on CPU {host['server_cpu']}, "
            f"load on CPU {host['load_cpu']}.\n\n")
    if result["cut"]:
        text += "Time was short: not all runs were made.\n\n"
    if "chatd" in names and any(True for _ in scenarios(result)):
        text += cost_table(result, names, notes) + rate_table(result, names)
    text += latency_table(result, names) + crowd_table(result, names) + trace_table(result)
    text += "\n"
    for i, name in enumerate(names):
        full = f"{name} {result['versions'][name]}".strip()
        text += f"{i + 1}. **{full}**: {result['settings'][name]}.\n"
    text += "\n" + "".join(f"- {what}: {why}\n" for what, why in result["skipped"].items())
    return text


PLOT = """
set terminal svg size 1000,540 font 'sans-serif,13' background '#ffffff'
set output '{svg}'
set title 'CPU time of the server for each 64-byte line delivered' font ',16'
set ylabel 'nanoseconds (logarithmic)'
set bmargin 3.5
set style data histograms
set style histogram clustered gap 1.5
set style fill solid border -1
set boxwidth 0.95
set logscale y
set yrange [5:20000]
set grid ytics
set key outside top center horizontal
set xrange [-0.6:{last}]
set datafile missing '-'
set xtics nomirror
plot {columns}
"""

COLORS = {"chatd": "#0b6e4f", LIMIT: "#9e9e9e", "naive": "#6d4c41", "ncat": "#f9a825",
          "ngircd": "#8e24aa", "redis": "#c62828", "mosquitto": "#1565c0", "nats": "#26a69a"}

SHOWN = ("1 to 100, line by line", "1 to 1000, 256 at a time", "1 to 100, pipelined",
         "100 to 100, one line each", "500 to 500, one line each", "500 to 500, two at a time")


def picture(result, folder, place):
    """The rows of SHOWN as bars. False without gnuplot."""
    try:
        gnuplot, env = place.find("gnuplot")
    except peers.Missing:
        print("no picture: gnuplot is not installed")
        return False
    rows = {title: (figures, wanted) for title, figures, wanted in scenarios(result)}
    shown = [title for title in SHOWN if title in rows]
    names = [name for name in COLORS if any(name in rows[title][0] for title in shown)]
    if not names:
        return False
    lines = []
    for title in shown:
        figures, wanted = rows[title]
        values = [median([cost(f) if f else None for f in picked(figures.get(n, []), wanted)])
                  for n in names]
        label = title.replace(", ", "\\n")
        lines.append(" ".join([f'"{label}"'] + ["-" if v is None else f"{v:.1f}" for v in values]))
    data = folder / "bench.dat"
    data.write_text("\n".join(lines) + "\n", encoding="utf-8")
    columns = ", ".join(
        f"'{data}' using {i + 2}{':xtic(1)' if i == 0 else ''} title '{n}' "
        f"linecolor rgb '{COLORS[n]}'" for i, n in enumerate(names))
    script = PLOT.format(svg=folder / "bench.svg", columns=columns, last=len(shown) - 0.4)
    done = subprocess.run([gnuplot], input=script, text=True, env=env, check=False)
    return done.returncode == 0
