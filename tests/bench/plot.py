#!/usr/bin/python3
"""Draws the table of costs: tests/bench/plot.py [MARKDOWN [SVG]]

MARKDOWN (README.md) holds the table, SVG (figures.svg) becomes the picture: the same rows and
columns in the same order. A row is a panel with a dot for each server, on a logarithmic axis.
"""

import math
import sys
from html import escape
from pathlib import Path

WIDTH, GAP, TOP, LINE, HEAD, FOOT = 860, 36, 58, 19, 30, 34
NAME, NUMBER = 84, 56  # room beside the axis, on its left and on its right
FIRST, LAST = 10, 20000  # of the axis, ns; widened where a figure wants it

STYLE = """
text { font: 13px -apple-system, 'Segoe UI', 'DejaVu Sans', Helvetica, Arial, sans-serif;
       fill: #1f2328 }
.title { font-size: 16px; font-weight: 600 }
.row, .mine { font-weight: 600 }
.note, .axis { fill: #57606a }
.axis { font-size: 11px }
.grid { stroke: #d0d7de }
.way { stroke: #afb8c1; stroke-width: 2 }
.way.mine { stroke: #1a7f37 }
.dot { fill: #6e7781 }
.dot.mine { fill: #1a7f37 }
.dot.limit { fill: #ffffff; stroke: #6e7781; stroke-width: 2 }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 }
  .note, .axis { fill: #9198a1 }
  .grid { stroke: #30363d }
  .way { stroke: #444c56 }
  .way.mine { stroke: #3fb950 }
  .dot { fill: #9198a1 }
  .dot.mine { fill: #3fb950 }
  .dot.limit { fill: #0d1117; stroke: #9198a1 }
}
"""


def panel(x, y, width, title, values, first, last, limit):
    """One row of the table: (name, nanoseconds or None) of each server."""
    low, high = math.log10(first), math.log10(last)
    left, right = x + NAME, x + width - NUMBER

    def at(value):
        return round(left + (math.log10(value) - low) / (high - low) * (right - left), 1)

    bottom = y + HEAD + LINE * len(values)
    text = [f'<text class="row" x="{x}" y="{y + 16}">{escape(title)}</text>']
    for power in range(math.ceil(low), math.floor(high) + 1):
        text += [f'<path class="grid" d="M{at(10 ** power)} {y + HEAD - 4}V{bottom}"/>',
                 f'<text class="axis" text-anchor="middle" x="{at(10 ** power)}" y="{bottom + 14}">'
                 f'{10 ** power:,}</text>']
    for number, (name, value) in enumerate(values):
        middle = y + HEAD + LINE * number + 8
        kind = " mine" if name == "chatd" else " limit" if name == limit else ""
        text.append(f'<text class="name{kind}" text-anchor="end" x="{left - 10}" y="{middle + 4}">'
                    f'{escape(name)}</text>')
        if value is None:
            continue
        digits = 1 if value < 100 else 0
        text += [f'<path class="way{kind}" d="M{left} {middle}H{at(value)}"/>',
                 f'<circle class="dot{kind}" cx="{at(value)}" cy="{middle}" r="5"/>',
                 f'<text class="number{kind}" text-anchor="end" x="{x + width}" y="{middle + 4}">'
                 f'{value:,.{digits}f}</text>']
    return text


def draw(rows, limit):
    """The picture of rows, each a title and its (name, nanoseconds or None)."""
    every = [value for _, values in rows for _, value in values if value]
    first, last = min([FIRST, *every]), max([LAST, *every])
    width = (WIDTH - GAP) // 2
    tall = HEAD + LINE * max(len(values) for _, values in rows) + FOOT
    height = TOP + tall * math.ceil(len(rows) / 2)
    text = []
    for number, (title, values) in enumerate(rows):
        text += panel(number % 2 * (width + GAP), TOP + number // 2 * tall, width, title, values,
                      first, last, limit)
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" '
        f'viewBox="0 0 {WIDTH} {height}" role="img">',
        f"<title>CPU time of the server for each line delivered</title><style>{STYLE}</style>",
        '<text class="title" x="0" y="18">CPU time of the server for each 64-byte line delivered'
        '</text>',
        '<text class="note" x="0" y="38">Nanoseconds, on a logarithmic axis; lower is better. '
        f'{escape(limit.capitalize())}: no server, only the send calls.</text>',
        *text, "</svg>", ""])


def number(cell):
    try:
        return float(cell.split()[0].replace(",", ""))
    except (ValueError, IndexError):
        return None


def table(markdown):
    """The rows of the first table whose columns are servers."""
    rows, names = [], None
    for line in markdown.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if names is None:
            names = cells[1:] if line.startswith("|") and "chatd" in cells[1:] else None
        elif not line.startswith("|"):
            break
        elif not cells[0].startswith("-"):
            rows.append((cells[0], [(n, number(c)) for n, c in zip(names, cells[1:])]))
    return rows


def main():
    if {"-h", "--help"} & set(sys.argv):
        sys.exit(__doc__)
    here = Path(__file__).parent
    source = Path(sys.argv[1]) if len(sys.argv) > 1 else here.parent.parent / "README.md"
    target = Path(sys.argv[2]) if len(sys.argv) > 2 else here / "figures.svg"
    rows = table(source.read_text(encoding="utf-8"))
    target.write_text(draw(rows, "send loop"), encoding="utf-8")


if __name__ == "__main__":
    main()
