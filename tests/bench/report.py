# SPDX-License-Identifier: ISC
"""Ratios, and what is printed of them."""
import statistics

# key of a sample -> how it is printed; what is 0 is left out
FIGURES = {
    "checks_per_second": "{:.0f}/s",
    "p50_us": "p50 {:.0f} us",
    "p99_us": "p99 {:.0f} us",
    "p999_us": "p99.9 {:.0f} us",
    "all_p99_us": "of all requests p99 {:.0f} us",
    "all_p999_us": "p99.9 {:.0f} us",
    "redis_us_per_check": "Redis {:.2f} us of CPU a check",
    "daemon_us_per_check": "rationd {:.2f} us of CPU a check",
    "nginx_us_per_check": "nginx {:.2f} us of CPU an answer",
    "tool_us_per_check": "the client {:.2f} us of CPU",
    "missed": "{:.0f} due and not sent",
    "seconds": "{:.3f} s",
    "bytes": "{:.0f} bytes",
    "bytes_each": "{:.1f} bytes each",
}


def row(name, got, bound, at_least):
    return {"measure": name, "ratio": round(got, 3),
            "bound": f"{'>=' if at_least else '<='} {bound}",
            "reached": got >= bound if at_least else got <= bound}


def ratio(pairs, over, under, key):
    """The median of the pairs' ratios, so that a machine whose speed drifts flatters
    neither side. CPU is told in ticks: under none of it there is no ratio."""
    return statistics.median(p[over][key] / p[under][key] for p in pairs)


def median_of(pairs, side):
    return {key: statistics.median(p[side][key] for p in pairs)
            for key in pairs[0][side]}


def geometric_mean(values):
    """Every one counts, but none for more than its part of the whole; that of ratios is the
    ratio of the means."""
    return statistics.geometric_mean(values)


def figures_of(pairs, side, means):
    """The medians, but for what there are other `means` of, {side: {key: mean}}."""
    middle = {**median_of(pairs, side), **means.get(side, {})}
    return [text.format(middle[key]) for key, text in FIGURES.items() if middle.get(key)]


def number(value):
    return f"{value:.0f}" if value >= 1000 else f"{value:.2f}"


def show_rows(rows):
    print(f"{'measure':48} {'got':>9} {'bound':>12}")
    for r in rows:
        print(f"{r['measure']:48} {number(r['ratio']):>9} {r['bound']:>12} "
              f"{'reached' if r['reached'] else 'NOT REACHED'}{', disturbed' * r['disturbed']}")


def show_figures(pairs_of, means_of):
    for name, pairs in pairs_of.items():
        for side in pairs[0]:
            told = figures_of(pairs, side, means_of.get(name, {}))
            print(f"{name}, {side}: {', '.join(told)}")
