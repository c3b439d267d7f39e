# SPDX-License-Identifier: ISC
"""Latency at half of the highest rate, against PING to the same Redis by the same tool."""
from bench.histogram import percentiles_of
from bench.load import CONNECTIONS, policy_of_limits
from bench.report import geometric_mean, row
from bench.tool import tool_load

AT_MOST = 3
SECONDS = 1
PAIRS = 7  # for each round of other rows
PING = ("--command", "PING")
MEANS = ("p50_us", "p99_us", "p999_us")


def with_missed(sample):
    """Its percentiles; what was due and never sent is longer than all that was."""
    return {**sample, **percentiles_of([sample])}


def together(samples):
    """What stands in the place of medians: the geometric means of one side's percentiles,
    so that those of p99 have the ratio of the row; and p99 of all requests, as if they were
    of one run."""
    pool = percentiles_of(samples)
    return {**{key: geometric_mean(s[key] for s in samples) for key in MEANS},
            "all_p99_us": pool["p99_us"], "all_p999_us": pool["p999_us"]}


def latency_row(bench, name, pipeline):
    """p99 is where stalls of some milliseconds begin, of which one second has more than the
    next: with a few pairs the ratio is luck. So there are many of them, and each of them
    counts, as it does not in a median."""
    daemon = bench.shared_daemon("redis", policy_of_limits(1))
    shape = ("--connections", CONNECTIONS, "--pipeline", pipeline, "--warmup", 1,
             "--duration", SECONDS)
    highest = bench.point(name, f"{name}: the highest rate",
                          lambda: tool_load(bench, daemon, *shape), bench.args.rounds)
    words = *shape, "--rate", max(int(highest["checks_per_second"] / 2), 1)

    def load(server, *what, **more):
        return lambda: with_missed(tool_load(bench, server, *what, *words, histogram=True,
                                             **more))

    pairs = bench.pairs(name, {"PING": load(bench.redis, *PING, counters=0),
                               "check": load(daemon)},
                        1 if bench.args.quick else PAIRS * bench.args.rounds)
    bench.means[name] = {side: together([p[side] for p in pairs]) for side in pairs[0]}
    bench.forget(name, "histogram_us")
    return [row(f"p99 at half rate / PING, pipeline {pipeline}",
                geometric_mean(p["check"]["p99_us"] / p["PING"]["p99_us"] for p in pairs),
                AT_MOST, False)], pairs
