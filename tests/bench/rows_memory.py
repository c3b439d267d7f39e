# SPDX-License-Identifier: ISC
"""What rationd keeps resident: idle, per idle connection, per counter."""
import resource
import socket
import statistics

from bench.load import check_command, policy_of_limits, redis_benchmark
from bench.quiet import no_reasons
from bench.report import row

IDLE_AT_MOST = 12_000_000
CONNECTION_AT_MOST = 6_000
COUNTER_AT_MOST = 160
CONNECTIONS = 4000
PING = b"*1\r\n$4\r\nPING\r\n"


def idle_row(bench, name):
    def measure(store):
        daemon = bench.rationd(store, policy_of_limits(1))
        bytes_ = daemon.resident_bytes()
        bench.stop([daemon])
        return {"bytes": bytes_}

    pairs = bench.pairs(name, {s: lambda s=s: measure(s) for s in ("memory", "redis")},
                        reasons=no_reasons)
    most = max(statistics.median(p[s]["bytes"] for p in pairs) for s in pairs[0])
    return [row("resident bytes, idle", most, IDLE_AT_MOST, False)], pairs


def open_connections(port, n):
    """n connections, each of which was answered once and is silent now."""
    opened = []
    for _ in range(n):
        s = socket.create_connection(("127.0.0.1", port))
        s.sendall(PING)
        opened.append(s)
    for s in opened:
        s.recv(64)
    return opened


def connection_row(bench, name):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    n = min(CONNECTIONS, hard - 100)

    def measure():
        daemon = bench.rationd("memory", policy_of_limits(1))
        for s in open_connections(daemon.port, 10):  # what the first ones cost at all
            s.close()
        before = daemon.resident_bytes()
        opened = open_connections(daemon.port, n)
        used = daemon.resident_bytes() - before
        for s in opened:
            s.close()
        bench.stop([daemon])
        return {"bytes_each": used / n}

    pairs = bench.pairs(name, {"connection": measure}, reasons=no_reasons)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return [row(f"resident bytes per idle connection, of {n}",
                statistics.median(p["connection"]["bytes_each"] for p in pairs),
                CONNECTION_AT_MOST, False)], pairs


def counter_row(bench, name):
    n = bench.checks(2_000_000)

    def measure():
        daemon = bench.rationd("memory", policy_of_limits(1))
        # Connections and buffers are there before; and one grant.
        redis_benchmark(daemon.port, check_command(), 16, 16_000, 1, 50)
        before = daemon.resident_bytes(), daemon.counters()
        redis_benchmark(daemon.port, check_command(), 16, n, n // 2, 50)
        used = daemon.resident_bytes() - before[0]
        counters = daemon.counters() - before[1]
        bench.stop([daemon])
        return {"bytes_each": used / counters, "counters": counters}

    pairs = bench.pairs(name, {"counter": measure}, reasons=no_reasons)
    return [row("resident bytes per live embedded counter",
                statistics.median(p["counter"]["bytes_each"] for p in pairs),
                COUNTER_AT_MOST, False)], pairs
