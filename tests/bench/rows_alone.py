# SPDX-License-Identifier: ISC
"""The embedded store, a lone check, and HTTP."""
import itertools
import os
import shutil
import socket
import statistics
import time

from bench.load import (GRANT, GRANTS, Meter, check_command, direct_command, http_load,
                        policy_of_limits, resp_load)
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


def command_bytes(words):
    parts = [f"${len(w)}\r\n{w}\r\n" for w in words]
    return f"*{len(words)}\r\n{''.join(parts)}".encode()


class Asker:
    """One connection, one request at a time; redis-benchmark tells latencies in steps of
    8 us, too coarse for this."""

    def __init__(self, server, command):
        self.socket = socket.create_connection(("127.0.0.1", server.port), timeout=10)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        requests = [command_bytes([w.replace(GRANT, f"g{i:012}") for w in command])
                    for i in range(GRANTS)]
        self.requests = itertools.cycle(requests)
        self.sent = 0

    def ask(self):
        """Nanoseconds from the request to its answer, which fits into one read."""
        request = next(self.requests)
        start = time.perf_counter_ns()
        self.socket.sendall(request)
        self.socket.recv(4096)
        self.sent += 1
        return time.perf_counter_ns() - start


def lone_samples(bench, servers, n):
    """Their median latencies. They take turns of a hundred, the first ten of which, that
    find cold caches, do not count."""
    meters = {side: Meter(bench, server) for side, (server, _) in servers.items()}
    askers = {side: Asker(*servers[side]) for side in servers}
    took = {side: [] for side in servers}
    for _ in range(n // 100):
        for side, asker in askers.items():
            took[side] += [asker.ask() for _ in range(100)][10:]
    sent = askers["ration"].sent
    meters["ration"].verify("lone checks", (sent, sent), 2)  # the direct ones beside
    return {side: {"p50_us": statistics.median(ns) / 1000,
                   "p99_us": statistics.quantiles(ns, n=100)[98] / 1000}
            for side, ns in took.items()}


def lone_row(bench, name):
    daemon = bench.shared_daemon("redis", policy_of_limits(1))
    servers = {"PING": (bench.redis, ("PING",)),
               "EVALSHA": (bench.redis, direct_command(bench.redis)),
               "ration": (daemon, check_command())}
    checks = bench.checks(10_000)
    pairs = bench.choose(
        name, name, lambda _: bench.watched(lambda: lone_samples(bench, servers, checks)),
        bench.args.rounds)
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
