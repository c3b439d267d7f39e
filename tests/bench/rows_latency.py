# SPDX-License-Identifier: ISC
"""Latency at half of the highest rate, against PING to the same Redis by the same tool."""
import statistics

from bench.load import CONNECTIONS, policy_of_limits
from bench.report import ratio, row
from bench.tool import tool_load

AT_MOST = 3
SECONDS = 1
MISSED_AT_MOST = 0.01
PING = ("--command", "PING")


def undisturbed(pairs, rate):
    """Those of which both sides held the rate: what was due and never sent has no latency.
    All of them where none did."""
    held = [p for p in pairs
            if all(s["missed"] < MISSED_AT_MOST * rate * SECONDS for s in p.values())]
    return held or pairs


def latency_row(bench, name, pipeline):
    """Short measurements and many of them: one that somebody else's process disturbs
    tells nothing, and the median leaves it out."""
    daemon = bench.shared_daemon("redis", policy_of_limits(1))
    shape = ("--connections", CONNECTIONS, "--pipeline", pipeline, "--warmup", 1,
             "--duration", SECONDS)
    bench.note(f"{name}: the highest rate")
    highest = statistics.median(
        tool_load(bench, daemon, *shape)["checks_per_second"]
        for _ in range(bench.args.rounds))
    rate = max(int(highest / 2), 1)
    words = *shape, "--rate", rate
    pairs = bench.pairs(name, {
        "PING": lambda: tool_load(bench, bench.redis, *PING, *words, counters=0),
        "check": lambda: tool_load(bench, daemon, *words),
    }, 1 if bench.args.quick else 2 * bench.args.rounds + 1)
    return [row(f"p99 at half rate / PING, pipeline {pipeline}",
                ratio(undisturbed(pairs, rate), "check", "PING", "p99_us"), AT_MOST,
                False)], pairs
