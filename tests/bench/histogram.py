# SPDX-License-Identifier: ISC
"""Latencies of several runs as if they were of one: the cells of ration bench --json,
[[longest, how many], ...], and what was due and never sent."""
import math
from collections import Counter

PERCENTS = {"p50_us": 50, "p99_us": 99, "p999_us": 99.9}


def percentile(cells, missed, percent):
    """What `percent` of all did not exceed; where that is one that was never sent, the
    longest of those that were, which is too little."""
    wanted = math.ceil((sum(n for _, n in cells) + missed) * percent / 100)
    for longest, n in cells:
        wanted -= n
        if wanted <= 0:
            break
    return longest


def percentiles_of(samples):
    """Of all their requests. A sample has "histogram_us", its cells, and "missed"."""
    sum_of = Counter()
    for sample in samples:
        for longest, n in sample["histogram_us"]:
            sum_of[longest] += n
    cells, missed = sorted(sum_of.items()), sum(s["missed"] for s in samples)
    return {key: percentile(cells, missed, p) for key, p in PERCENTS.items()}
