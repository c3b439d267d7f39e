# SPDX-License-Identifier: ISC
"""Line charts as SVG, some in a row. The x axis is logarithmic or begins with the first
step, y starts at 0 or is logarithmic. Steps of x are what was measured; nothing is
interpolated but lines."""
import math
from dataclasses import dataclass, field
from html import escape

WIDTH, HEIGHT = 560, 400  # of one chart
LEFT, RIGHT, TOP, BOTTOM = 64, 16, 44, 132
LEGEND_LINE = 18
HEAD = 64  # above the charts, where the page has a title
STYLE = ("text{font:12px sans-serif;fill:#333}.title{font-size:15px;font-weight:bold}"
         ".note{fill:#777;font-size:11px}.head{font-size:18px;font-weight:bold}"
         ".grid{stroke:#ddd;stroke-width:1}.axis{stroke:#888;stroke-width:1}")


@dataclass
class Line:
    name: str
    colour: str
    dashed: bool
    points: list  # (x, y), by x


@dataclass
class Chart:
    title: str
    x_title: str
    y_title: str
    lines: list
    log_y: bool = False
    log_x: bool = True
    note: str = ""  # under all of it: what does not vary
    x_notes: dict = field(default_factory=dict)  # x -> a word under its tick


def text(x, y, words, anchor="middle", more=""):
    return (f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{more}>'
            f"{escape(words)}</text>")


def nice_step(top):
    """Of an axis from 0 to `top` with about five marks."""
    raw = top / 5
    size = 10 ** math.floor(math.log10(raw))
    return next(size * f for f in (1, 2, 5, 10) if size * f >= raw)


class Axis:
    """From values to pixels, and which values have a mark."""

    def __init__(self, values, start, end, log):
        self.start, self.end, self.log = start, end, log
        if log:
            self.low, self.high = min(values), max(values)
        else:
            step = nice_step(max(values) or 1)
            self.low, self.high = 0, step * math.ceil((max(values) or 1) / step)
        self.marks = self.log_marks() if log else [
            step * i for i in range(round(self.high / step) + 1)]

    def log_marks(self):
        self.low = 10 ** math.floor(math.log10(self.low))
        self.high = 10 ** math.ceil(math.log10(self.high))
        return [10 ** e for e in range(round(math.log10(self.low)),
                                       round(math.log10(self.high)) + 1)]

    def at(self, value):
        low, high, value = ((math.log10(v) for v in (self.low, self.high, value))
                            if self.log else (self.low, self.high, value))
        return self.start + (value - low) / (high - low) * (self.end - self.start)


def label(value):
    whole = value == round(value) or value >= 100
    return f"{value:,.0f}" if whole else f"{value:g}"


def steps_of(chart):
    return [x for x, _ in chart.lines[0].points]


def x_position(chart):
    """From the first step to the last."""
    place = math.log if chart.log_x else float
    low, high = place(steps_of(chart)[0]), place(steps_of(chart)[-1])
    width = WIDTH - LEFT - RIGHT - 40
    return lambda x: LEFT + 20 + (place(x) - low) / ((high - low) or 1) * width


def frame(chart, x_at, y):
    bottom = HEIGHT - BOTTOM
    out = [text(LEFT, 20, chart.title, "start", ' class="title"'),
           text(LEFT, 37, chart.y_title, "start")]
    for mark in y.marks:
        out.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" '
                   f'y1="{y.at(mark):.1f}" y2="{y.at(mark):.1f}"/>')
        out.append(text(LEFT - 6, y.at(mark) + 4, label(mark), "end"))
    out.append(f'<line class="axis" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{bottom}" '
               f'y2="{bottom}"/>')
    for x in steps_of(chart):
        out.append(text(x_at(x), bottom + 16, label(x)))
        if x in chart.x_notes:
            out.append(text(x_at(x), bottom + 30, f"({chart.x_notes[x]})"))
    below = bottom + (46 if chart.x_notes else 34)
    out.append(text((LEFT + WIDTH - RIGHT) / 2, below, chart.x_title))
    return out


def draw_line(line, x_at, y):
    style = (f'stroke="{line.colour}" stroke-width="2" fill="none"'
             + (' stroke-dasharray="5 4"' if line.dashed else ""))
    points = [(x_at(a), y.at(b)) for a, b in line.points]
    path = " ".join(f"{a:.1f},{b:.1f}" for a, b in points)
    dots = [f'<circle cx="{a:.1f}" cy="{b:.1f}" r="2.5" fill="{line.colour}"/>'
            for a, b in points]
    return [f'<polyline points="{path}" {style}/>', *dots]


def legend(chart):
    out = []
    for i, line in enumerate(chart.lines):
        x = LEFT + (i % 2) * (WIDTH - LEFT) / 2
        y = HEIGHT - BOTTOM + 68 + i // 2 * LEGEND_LINE
        dash = ' stroke-dasharray="5 4"' if line.dashed else ""
        out.append(f'<line x1="{x}" x2="{x + 24}" y1="{y - 4}" y2="{y - 4}" '
                   f'stroke="{line.colour}" stroke-width="2"{dash}/>')
        out.append(text(x + 30, y, line.name, "start"))
    return out


def draw_chart(chart):
    values = [b for line in chart.lines for _, b in line.points]
    x_at = x_position(chart)
    y = Axis(values, HEIGHT - BOTTOM, TOP, chart.log_y)
    out = frame(chart, x_at, y)
    for line in chart.lines:
        out += draw_line(line, x_at, y)
    if chart.note:
        out.append(text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 12, chart.note,
                        more=' class="note"'))
    return out + legend(chart)


def page(charts, columns=2, title="", caption=""):
    top = HEAD if title else 0
    width, height = columns * WIDTH, -(-len(charts) // columns) * HEIGHT + top
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
           f'viewBox="0 0 {width} {height}">', f"<style>{STYLE}</style>",
           f'<rect width="{width}" height="{height}" fill="#fff"/>']
    if title:
        out += [text(LEFT, 28, title, "start", ' class="head"'),
                text(LEFT, 48, caption, "start")]
    for i, chart in enumerate(charts):
        x, y = i % columns * WIDTH, i // columns * HEIGHT + top
        out.append(f'<g transform="translate({x} {y})">')
        out += draw_chart(chart)
        out.append("</g>")
    return "\n".join(out + ["</svg>", ""])
