# SPDX-License-Identifier: ISC
"""The tables, as text and as Markdown, and their places in docs/performance.md: between a
line "<!-- bench: NAME -->" and the next "<!-- /bench -->"."""
import re

from bench.report import figures_of, number
from bench.scale import SCALES
from bench.scale_picture import NAMES

# key of a sample of the scale -> its column
SCALE_COLUMNS = {
    "checks_per_second": ("checks a second", "{:,.0f}"),
    "daemon_us_per_check": ("rationd, µs of CPU", "{:.2f}"),
    "redis_us_per_check": ("Redis, µs of CPU", "{:.2f}"),
    "p50_us": ("p50, µs", "{:,.0f}"),
    "p99_us": ("p99, µs", "{:,.0f}"),
    "bytes_each": ("bytes a counter", "{:.0f}"),
    "fill_max_us": ("longest wait while filling, µs", "{:,.0f}"),
}


def scale_table(name, stores):
    """The head, and a row for each store and step, all of them texts."""
    points = [(store, p) for store, ps in stores.items() for p in ps]
    keys = [k for k in SCALE_COLUMNS if any(k in p for _, p in points)]
    rows = [[NAMES[store], f"{p['at']:,}"] +
            ["–" if k not in p or (k == "redis_us_per_check" and store == "memory")
             else SCALE_COLUMNS[k][1].format(p[k]) for k in keys] for store, p in points]
    return ["store", SCALES[name].word] + [SCALE_COLUMNS[k][0] for k in keys], rows


def show_table(head, rows):
    widths = [max(len(r[i]) for r in [head, *rows]) for i in range(len(head))]
    for r in [head, *rows]:
        print("  ".join(word.ljust(w) if i == 0 else word.rjust(w)
                        for i, (word, w) in enumerate(zip(r, widths))))


def show_scale(result):
    for name, stores in result["scales"].items():
        print(f"\nScale, {SCALES[name].title.lower()}: {SCALES[name].note}")
        show_table(*scale_table(name, stores))


def markdown(head, rows):
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def rows_markdown(rows):
    def sign(bound):
        return bound.replace(">=", "≥").replace("<=", "≤")
    return markdown(["measure", "got", "wanted", ""],
                    [[r["measure"], number(r["ratio"]), sign(r["bound"]),
                      ("reached" if r["reached"] else "**not reached**")
                      + ", disturbed" * r["disturbed"]] for r in rows])


def figures_markdown(pairs_of, means_of):
    """Of each row and side, the medians of the rounds that count."""
    lines = []
    for name, pairs in pairs_of.items():
        for side in pairs[0]:
            told = figures_of(pairs, side, means_of.get(name, {}))
            lines.append([f"`{name}`", side, ", ".join(told)])
    return markdown(["row", "side", "medians"], lines)


def scale_markdown(result):
    return "\n\n".join(
        f"**{SCALES[name].title}** ({SCALES[name].note}):\n\n"
        + markdown(*scale_table(name, stores))
        for name, stores in result["scales"].items())


def replace_parts(text, parts):
    """`text` with the parts in their places; KeyError for one that has none."""
    for name, part in parts.items():
        place = re.compile(rf"(<!-- bench: {re.escape(name)} -->\n).*?(<!-- /bench -->)",
                           re.S)
        if not place.search(text):
            raise KeyError(name)
        text = place.sub(lambda m: f"{m[1]}{part}\n{m[2]}", text)
    return text
