# SPDX-License-Identifier: ISC
"""Checks over Redis, against a script called directly, and against each other."""
from bench.load import check_command, direct_command, policy_of_limits, resp_load
from bench.report import ratio, row

# pipeline -> checks per measurement, and the least and the most that pass
PIPELINES = {1: 200_000, 16: 800_000, 64: 1_600_000}
RATE_AT_LEAST = {1: 0.85, 16: 1.25, 64: 1.8}
CPU_AT_MOST = {1: 0.3, 16: 0.55}

LIMITS = 3
LIMITS_PIPELINE = 16
LIMITS_COST_AT_MOST = 2

HOT_PIPELINE = 64
HOT_AT_LEAST = 1.2

FAR_PIPELINE = 64
FAR_AT_LEAST = 0.4


def pipeline_row(bench, name, pipeline):
    daemon = bench.shared_daemon("redis", policy_of_limits(1))
    checks = bench.checks(PIPELINES[pipeline])
    pairs = bench.pairs(name, {
        "direct": lambda: resp_load(bench, bench.redis, direct_command(bench.redis),
                                    checks, pipeline),
        "ration": lambda: resp_load(bench, daemon, check_command(), checks, pipeline),
    })
    rows = [row(f"RESP checks/s, pipeline {pipeline}",
                ratio(pairs, "ration", "direct", "checks_per_second"),
                RATE_AT_LEAST[pipeline], True)]
    if pipeline in CPU_AT_MOST:
        rows.append(row(f"Redis CPU per check, pipeline {pipeline}",
                        ratio(pairs, "ration", "direct", "redis_us_per_check"),
                        CPU_AT_MOST[pipeline], False))
    return rows, pairs


def limits_row(bench, name):
    daemons = {n: bench.shared_daemon("redis", policy_of_limits(n)) for n in (1, LIMITS)}
    checks = bench.checks(400_000)

    def load(n):
        return resp_load(bench, daemons[n], check_command(), checks, LIMITS_PIPELINE,
                         counters=n)

    pairs = bench.pairs(name, {"one": lambda: load(1), "three": lambda: load(LIMITS)})
    return [row(f"{LIMITS} limits / 1: time per check, pipeline {LIMITS_PIPELINE}",
                ratio(pairs, "one", "three", "checks_per_second"),
                LIMITS_COST_AT_MOST, False)], pairs


def hot_row(bench, name):
    daemon = bench.shared_daemon("redis", policy_of_limits(1))
    checks = bench.checks(1_600_000)
    one = check_command(grant=f"g{0:012}")
    pairs = bench.pairs(name, {
        "many": lambda: resp_load(bench, daemon, check_command(), checks, HOT_PIPELINE),
        "hot": lambda: resp_load(bench, daemon, one, checks, HOT_PIPELINE),
    })
    return [row(f"one hot grant / 10,000, pipeline {HOT_PIPELINE}",
                ratio(pairs, "hot", "many", "checks_per_second"), HOT_AT_LEAST,
                True)], pairs


def far_row(bench, name):
    policy = policy_of_limits(1)
    daemons = {kind: bench.shared_daemon(kind, policy) for kind in ("redis", "far")}
    checks = bench.checks(1_600_000)

    def load(kind):
        return resp_load(bench, daemons[kind], check_command(), checks, FAR_PIPELINE)

    pairs = bench.pairs(name, {"near": lambda: load("redis"),
                               "far": lambda: load("far")})
    return [row(f"Redis 4 ms away / near, pipeline {FAR_PIPELINE}",
                ratio(pairs, "far", "near", "checks_per_second"), FAR_AT_LEAST,
                True)], pairs
