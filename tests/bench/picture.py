# SPDX-License-Identifier: ISC
"""The curves: throughput and latency against load, cost against pipeline."""
from bench.load import check_command, direct_command, policy_of_limits, resp_load
from bench.svg import Chart, Line, page

CONNECTION_STEPS = (1, 3, 10, 30, 100, 300, 1000)
PIPELINE_STEPS = (1, 2, 4, 8, 16, 32, 64)
COLOURS = {"direct": "#b3541e", "ration": "#1f6f9f", "embedded": "#4b8b3b"}
NAMES = {"direct": "a script on Redis", "ration": "ration over Redis",
         "embedded": "ration, embedded store"}


def checks_for(bench, connections, pipeline):
    """About a second of it, and no half pipelines."""
    wanted = min(20_000 * connections, 150_000 + 15_000 * min(pipeline, 40))
    each = connections * pipeline
    return max(bench.checks(wanted) // each, 2) * each


def store_calls(daemon):
    return daemon.metrics("ration_store_takes_total", "ration_store_batches_total")


def one(bench, sides, side, connections, pipeline):
    server, command = sides[side]
    before = store_calls(server) if side == "ration" else None
    checks = checks_for(bench, connections, pipeline)
    sample = resp_load(bench, server, command, checks, pipeline,
                       connections=connections)
    if before:
        takes, batches = (b - a for a, b in zip(before, store_calls(server)))
        sample["checks_per_call"] = takes / batches if batches else 0
    return sample


def measure_curves(bench):
    """{"connections": [{"at": n, side: sample}], "pipeline": the same}."""
    sides = {
        "direct": (bench.redis, direct_command(bench.redis)),
        "ration": (bench.shared_daemon("redis", policy_of_limits(1)), check_command()),
        "embedded": (bench.shared_daemon("memory", policy_of_limits(1)),
                     check_command()),
    }

    def point(side, connections, pipeline):
        return bench.point(
            "curves", f"curve: {side}, {connections} connections, pipeline {pipeline}",
            lambda: one(bench, sides, side, connections, pipeline))

    curves = {"connections": [], "pipeline": []}
    for n in CONNECTION_STEPS:
        curves["connections"].append(
            {"at": n, **{s: point(s, n, 1) for s in sides}})
    for n in PIPELINE_STEPS:
        curves["pipeline"].append(
            {"at": n, **{s: point(s, 50, n) for s in sides}})
    return curves


def line(points, side, key, name=None, dashed=False, scale=1):
    return Line(name or NAMES[side], COLOURS[side], dashed,
                [(p["at"], p[side][key] * scale) for p in points])


def throughput(points, title, x_title):
    return Chart(title, x_title, "thousand checks a second",
                 [line(points, side, "checks_per_second", scale=1e-3)
                  for side in COLOURS])


def latency(points):
    lines = []
    for side in COLOURS:
        lines.append(line(points, side, "p50_us", NAMES[side] + ", median"))
        lines.append(line(points, side, "p99_us", NAMES[side] + ", 99 %", True))
    return Chart("Latency against load", "connections, one request each at a time",
                 "microseconds", lines, log_y=True)


def cost(points):
    calls = {p["at"]: f"{p['ration']['checks_per_call']:.0f}" for p in points}
    return Chart("Cost against pipeline",
                 "pipeline, 50 connections (below: checks in one call of Redis)",
                 "microseconds of CPU a check", [
                     line(points, "direct", "redis_us_per_check",
                          "Redis, a script on it"),
                     line(points, "ration", "redis_us_per_check", "Redis, under ration"),
                     line(points, "ration", "daemon_us_per_check",
                          "rationd over Redis", True),
                     line(points, "embedded", "daemon_us_per_check",
                          "rationd, embedded store", True),
                 ], x_notes=calls)


def draw(curves):
    by_connections, by_pipeline = curves["connections"], curves["pipeline"]
    return page([
        throughput(by_connections, "Throughput against load",
                   "connections, one request each at a time"),
        latency(by_connections),
        throughput(by_pipeline, "Throughput against pipeline",
                   "pipeline, 50 connections"),
        cost(by_pipeline),
    ])
