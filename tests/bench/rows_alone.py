# SPDX-License-Identifier: ISC
"""The embedded store, a lone check, and HTTP."""
import os
import shutil
import statistics

from bench.load import (check_command, direct_command, http_load, policy_of_limits,
                        resp_load)
from bench.report import ratio, row
from bench.servers import Nginx, die

EMBEDDED_PIPELINE = 16
EMBEDDED_AT_LEAST = 0.5
LONE_AT_MOST = 1.25
HTTP_AT_LEAST = 0.35
HTTP_SECONDS = 3


def embedded_row(bench, name):
    daemon = bench.shared_daemon("memory", policy_of_limits(1))
    checks = bench.checks(1_600_000)
    incr = ("INCR", "key:__rand_int__")
    pairs = bench.pairs(name, {
        "INCR": lambda: resp_load(bench, bench.redis, incr, checks, EMBEDDED_PIPELINE),
        "embedded": lambda: resp_load(bench, daemon, check_command(), checks,
                                      EMBEDDED_PIPELINE),
    })
    return [row(f"embedded store / INCR, pipeline {EMBEDDED_PIPELINE}",
                ratio(pairs, "embedded", "INCR", "checks_per_second"),
                EMBEDDED_AT_LEAST, True)], pairs


def lone_row(bench, name):
    """One connection, one request at a time; the medians of their latencies."""
    daemon = bench.shared_daemon("redis", policy_of_limits(1))
    checks = bench.checks(40_000)

    def load(server, command, counters=1):
        return lambda: resp_load(bench, server, command, checks, connections=1,
                                 counters=counters)

    pairs = bench.pairs(name, {
        "PING": load(bench.redis, ("PING",), 0),
        "EVALSHA": load(bench.redis, direct_command(bench.redis)),
        "ration": load(daemon, check_command()),
    }, rounds=max(7, bench.args.rounds))
    times = [p["ration"]["p50_us"] / (p["PING"]["p50_us"] + p["EVALSHA"]["p50_us"])
             for p in pairs]
    return [row("lone check / PING and EVALSHA", statistics.median(times), LONE_AT_MOST,
                False)], pairs


def find_nginx():
    # Not in everybody's PATH.
    found = shutil.which("nginx", path=os.environ["PATH"] + ":/usr/sbin:/sbin")
    return found or die("nginx is not here; scripts/deps --bench installs it")


def http_row(bench, name):
    daemon = bench.shared_daemon("memory", policy_of_limits(1))
    nginx = bench.start(Nginx, find_nginx(), bench.folder)
    seconds = 1 if bench.args.quick else HTTP_SECONDS
    pairs = bench.pairs(name, {
        "nginx": lambda: http_load(bench, nginx, f"127.0.0.1:{nginx.port}", seconds),
        "ration": lambda: http_load(bench, daemon, daemon.address("http"), seconds),
    })
    bench.stop([nginx])
    return [row("HTTP checks/s / nginx return 200",
                ratio(pairs, "ration", "nginx", "checks_per_second"), HTTP_AT_LEAST,
                True)], pairs
