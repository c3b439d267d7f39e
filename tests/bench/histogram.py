# SPDX-License-Identifier: ISC
"""Latencies of several runs put together: the cells of ration bench --json, [[longest, how
many], ...], and what was due and never sent, which is longer than all of them."""
import math
from collections import Counter

PERCENTS = {"p50_us": 50, "p99_us": 99, "p999_us": 99.9}


def pool_of(samples):
    """Of one side. The samples' cells, "histogram_us", are added up."""
    cells = Counter()
    for sample in samples:
        for longest, n in sample["histogram_us"]:
            cells[longest] += n
    return sorted(cells.items()), sum(s["missed"] for s in samples)


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
    """The pool's percentiles, and the pool."""
    cells, missed = pool_of(samples)
    return {**{key: percentile(cells, missed, p) for key, p in PERCENTS.items()},
            "histogram_us": cells}
