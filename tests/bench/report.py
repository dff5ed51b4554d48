"""Turns the figures of a run into a table and a picture."""

import statistics

import plot

ROWS = {"round=1": "line by line", "round=2": "two lines at a time",
        "round=256": "256 lines at a time", "stream": "pipelined"}
EACH = {"round=1": "one line each", "round=2": "two lines each"}  # where many speak

LIMIT = "send loop"
VARIANTS = ("trace", "mode") # groups, and servers, of chatd beside itself


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
        if group.startswith(VARIANTS):
            continue
        for wanted, words in ROWS.items():
            if any(f for runs in figures.values() for f in picked(runs, wanted)):
                if "1 to" not in group:
                    words = EACH.get(wanted, words)
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


def variants_table(result, kind_of, words_for):
    rows, names = [], []
    for group, figures in result["figures"].items():
        if not group.startswith(kind_of):
            continue
        names = list(figures)
        for wanted, words in ROWS.items():
            off = picked(figures[names[0]], wanted)
            if not any(off):
                continue
            row = [f"{group.removeprefix(kind_of + ', ')}, {words}"]
            for name in names:
                theirs = picked(figures[name], wanted)
                cell = number(median([cost(f) if f else None for f in theirs]))
                if name != names[0]:
                    cell += f" (x {number(ratio(theirs, off, cost), 2)})"
                row.append(cell)
            rows.append(row)
    return (f"\n{words_for}, CPU ns for each line delivered:\n\n" + grid(["", *names], rows)
            if rows else "")


def table(result):
    names = [n for n in result["settings"] if not n.startswith(VARIANTS)
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
    text += latency_table(result, names) + crowd_table(result, names)
    text += variants_table(result, "trace", "The trace") + variants_table(result, "mode", "Mode chat")
    text += "\n"
    for i, name in enumerate(names):
        full = f"{name} {result['versions'][name]}".strip()
        text += f"{i + 1}. **{full}**: {result['settings'][name]}.\n"
    text += "\n" + "".join(f"- {what}: {why}\n" for what, why in result["skipped"].items())
    return text


SHOWN = ("1 to 100, line by line", "1 to 100, pipelined", "1 to 1000, 256 lines at a time",
         "100 to 100, one line each", "500 to 500, one line each", "500 to 500, two lines each")


def picture(result, folder):
    """Draws the rows of SHOWN. False where there is none of them."""
    rows = {title: (figures, wanted) for title, figures, wanted in scenarios(result)}
    shown = [(title, *rows[title]) for title in SHOWN if title in rows]
    names = [n for n in result["settings"] if any(n in figures for _, figures, _ in shown)]
    if not names:
        return False
    values = [(title, [(n, median([cost(f) if f else None
                                   for f in picked(figures.get(n, []), wanted)])) for n in names])
              for title, figures, wanted in shown]
    (folder / "bench.svg").write_text(plot.draw(values, LIMIT), encoding="utf-8")
    return True
