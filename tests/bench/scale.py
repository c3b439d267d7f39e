# SPDX-License-Identifier: ISC
"""Cost against scale: connections, grants, limits, workers; both stores.

Each step is measured with ration bench as fast as possible, and is a sample with `at`,
the step. What there is more of has nothing to do with the other three."""
import os
from dataclasses import dataclass, field

from bench.load import CONNECTIONS, GRANTS, policy_of_limits
from bench.tool import report_of, tool_load

STORES = ("memory", "redis")
SECONDS, SHORT_SECONDS = 2, 1
QUICK_CHECKS, QUICK_AT_MOST = 20_000, 100_000  # of a step, with --quick
PIPELINE = 16  # so that a check is what costs, not its reads and writes
FILL = ("--tool", "call", "--skew", "turn", "--connections", CONNECTIONS, "--pipeline", 64)
REDIS_BYTES_AT_MOST = 250  # of a counter, to know before whether it has room


@dataclass
class Scale:
    """`point(bench, store, step, state, length)` gives a sample; `state` is a dict, new
    for each store, of which what is under "daemons" is stopped at the end; `length` are
    words for ration bench."""
    title: str
    word: str  # what a step counts
    steps: tuple
    short: tuple  # without --scale
    point: object
    note: str  # what all else is
    log_x: bool = field(default=True)


def daemon_of(bench, state, store, key, limits=1, *flags):
    daemons = state.setdefault("daemons", {})
    if key not in daemons:
        daemons[key] = bench.rationd(store, policy_of_limits(limits), *flags)
    return daemons[key]


def connections_point(bench, store, step, state, length):
    daemon = daemon_of(bench, state, store, "one")
    return tool_load(bench, daemon, "--connections", step, *length)


def limits_point(bench, store, step, state, length):
    daemon = daemon_of(bench, state, store, step, step)
    return tool_load(bench, daemon, "--pipeline", PIPELINE, *length, counters=step)


def workers_point(bench, store, step, state, length):
    daemon = daemon_of(bench, state, store, step, 1, "--workers", str(step))
    return tool_load(bench, daemon, "--pipeline", PIPELINE, *length)


def stored_bytes(bench, daemon):
    return bench.redis.used_bytes() if daemon.in_redis else daemon.resident_bytes()


def fill(bench, daemon, grants, state):
    """Has a counter of each grant; with every answer waited for, so that the longest wait
    shows what a table that grows costs."""
    if state.get("filled") == grants:
        return
    if "filled" not in state:
        bench.redis.reset()
        # Connections, buffers and scripts are there before what is counted.
        report_of(bench, daemon, (*FILL, "--grants", 1, "--requests", 100_000))
        state["empty"] = stored_bytes(bench, daemon)
    report = report_of(bench, daemon, (*FILL, "--grants", grants, "--requests", grants))
    state["filled"] = grants
    state["fill"] = {
        "fill_per_second": report["per_second"],
        "fill_max_us": report["latency_us"]["max"],
        "bytes_each": (stored_bytes(bench, daemon) - state["empty"]) / grants}


def grants_point(bench, store, step, state, length):
    daemon = daemon_of(bench, state, store, "one")
    fill(bench, daemon, step, state)
    sample = tool_load(bench, daemon, "--pipeline", PIPELINE, "--grants", step, *length,
                       reset=False)
    sample.update(state["fill"])
    if step < GRANTS:
        del sample["bytes_each"]  # the noise of everything else
    return sample


SCALES = {
    "connections": Scale(
        "Connections", "connections", (1, 10, 100, 1000, 10_000), (10, 1000),
        connections_point, "one request each at a time, 10,000 grants, 1 limit, 1 worker"),
    "grants": Scale(
        "Grants", "grants", (100, 10_000, 1_000_000, 10_000_000), (10_000, 1_000_000),
        grants_point, "each with its counter; 50 connections, pipeline 16, 1 limit, "
        "1 worker"),
    "limits": Scale(
        "Limits", "limits a check", (1, 2, 3, 4, 5), (1, 5), limits_point,
        "50 connections, pipeline 16, 10,000 grants, 1 worker", log_x=False),
    "workers": Scale(
        "Workers", "workers", (1, 2, 3, 4), (1, 2), workers_point,
        "50 connections, pipeline 16, 10,000 grants, 1 limit", log_x=False),
}


def free_bytes():
    with open("/proc/meminfo") as f:
        line = next(line for line in f if line.startswith("MemAvailable"))
    return int(line.split()[1]) * 1024


def has_room(bench, name, store, step):
    """Nobody may be killed for want of memory."""
    if name != "grants" or 2 * step * REDIS_BYTES_AT_MOST < free_bytes():
        return True
    bench.note(f"scale: {step} grants ({store}) would not fit into this machine's memory")
    return False


def length_of(args):
    if args.quick:
        return "--requests", QUICK_CHECKS
    return "--warmup", 1, "--duration", SECONDS if args.scale else SHORT_SECONDS


def steps_of(bench, name, store):
    args, scale = bench.args, SCALES[name]
    return [step for step in (scale.steps if args.scale else scale.short)
            if (step <= QUICK_AT_MOST or not args.quick)
            and has_room(bench, name, store, step)]


def measure_store(bench, name, store):
    scale, state, points = SCALES[name], {}, []
    for step in steps_of(bench, name, store):
        middle = bench.point(
            "scale", f"scale: {step} {scale.word}, {store}",
            lambda: scale.point(bench, store, step, state, length_of(bench.args)),
            bench.args.rounds if bench.args.scale else 1)
        points.append({"at": step, **middle})
    bench.stop(state["daemons"].values())
    bench.redis.reset()
    return points


def measure_scale(bench):
    """{"cores": n, "scales": {name: {store: [sample]}}}"""
    return {"cores": os.cpu_count(),
            "scales": {name: {store: measure_store(bench, name, store)
                              for store in STORES} for name in SCALES}}
