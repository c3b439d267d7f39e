# SPDX-License-Identifier: ISC
"""Latency at half of the highest rate, against PING to the same Redis by the same tool."""
from bench.histogram import percentiles_of
from bench.load import CONNECTIONS, policy_of_limits
from bench.report import row
from bench.tool import tool_load

AT_MOST = 3
SECONDS = 2
PAIRS = 5  # for each round of other rows
PING = ("--command", "PING")


def pooled(pairs):
    """{side: percentiles} of all pairs together.

    A stall of a millisecond or two that comes some times a second is what p99 is made of:
    it is in one second and not in the next, so that ratios of such pairs, and their median,
    are mostly luck. In all seconds together every stall counts, as often as it came."""
    return {side: percentiles_of([p[side] for p in pairs]) for side in pairs[0]}


def forget_cells(choices):
    """Which are many, once they are in a pool."""
    for pair in (pair for choice in choices for pair in choice.measured()):
        for sample in pair.values():
            sample.pop("histogram_us", None)


def latency_row(bench, name, pipeline):
    daemon = bench.shared_daemon("redis", policy_of_limits(1))
    shape = ("--connections", CONNECTIONS, "--pipeline", pipeline, "--warmup", 1,
             "--duration", 1 if bench.args.quick else SECONDS)
    highest = bench.point(name, f"{name}: the highest rate",
                          lambda: tool_load(bench, daemon, *shape), bench.args.rounds)
    words = *shape, "--rate", max(int(highest["checks_per_second"] / 2), 1)

    def load(server, *what, **more):
        return lambda: tool_load(bench, server, *what, *words, histogram=True, **more)

    pairs = bench.pairs(name, {"PING": load(bench.redis, *PING, counters=0),
                               "check": load(daemon)},
                        1 if bench.args.quick else PAIRS * bench.args.rounds)
    sides = bench.pooled[name] = pooled(pairs)
    forget_cells(bench.choices[name])
    return [row(f"p99 at half rate / PING, pipeline {pipeline}",
                sides["check"]["p99_us"] / sides["PING"]["p99_us"], AT_MOST, False)], pairs
