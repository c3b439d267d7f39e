# SPDX-License-Identifier: ISC
"""Load: one measurement of one server, void unless the counters hold what was sent.

A sample is a dict of figures, of which report.py prints the medians.
"""
import csv
import os
import time

from bench.servers import Rationd, die, run

GRANTS = 10_000
CONNECTIONS = 50
MAX = 2**53 - 1
GRANT = "g__rand_int__"  # redis-benchmark writes a random number of twelve digits there


def policy_of_limits(n):
    """One tool, n limits of each grant. Windows that do not end while it is measured."""
    return {"version": "1", "default": "deny", "tools": {"call": {"limits": [
        {"counter": "calls" if i == 0 else f"calls{i + 1}", "window": "30d", "max": MAX,
         "scope": "grant"} for i in range(n)]}}}


def direct_command(redis):
    """The check straight on Redis, with the key that ration would write."""
    expire = str(int(time.time() * 1000) + 86_400_000)
    return ("EVALSHA", redis.sha, "1", f"ration:bench:{{grant={GRANT}}}:calls:30d", "1",
            str(MAX), expire)


def check_command(tool="call", grant=GRANT):
    return ("CHECK", tool, grant)


def redis_benchmark(port, command, pipeline, checks, spread, connections):
    out = run("redis-benchmark", "-h", "127.0.0.1", "-p", str(port), "-c",
              str(connections), "-P", str(pipeline), "-n", str(checks), "-r",
              str(spread), "--csv", *command)
    head, row = list(csv.reader(out.strip().splitlines()))[-2:]
    row = dict(zip(head, row))
    return {"checks_per_second": float(row["rps"]),
            "mean_us": float(row["avg_latency_ms"]) * 1000,
            "p50_us": float(row["p50_latency_ms"]) * 1000,
            "p99_us": float(row["p99_latency_ms"]) * 1000}


class Meter:
    """What was used and counted between its birth and the sample."""

    def __init__(self, bench, server, reset=True):
        self.bench = bench
        self.reset = reset
        self.server = server
        self.daemon = server if isinstance(server, Rationd) else None
        if reset:
            bench.redis.reset()
        self.allowed = self.daemon.allowed() if self.daemon else 0
        self.before = self.cpu()

    def cpu(self):
        return self.bench.redis.cpu_seconds(), self.server.cpu_seconds()

    def finish(self, sample, checks):
        redis, server = (b - a for a, b in zip(self.before, self.cpu()))
        sample["redis_us_per_check"] = redis / checks * 1e6
        if self.daemon:
            sample["daemon_us_per_check"] = server / checks * 1e6
        elif self.server is not self.bench.redis:
            sample["nginx_us_per_check"] = server / checks * 1e6
        return sample

    def verify(self, what, sent, counters):
        """`counters`: how much each check adds to Redis's."""
        if self.daemon:
            allowed = self.daemon.allowed() - self.allowed
            if not sent[0] <= allowed <= sent[1]:
                die(f"{what}: {allowed} allowed after {sent[0]} checks; the "
                    "measurement is void")
        if not self.reset:
            return
        if self.server is self.bench.redis or self.server.in_redis:
            total = self.bench.redis.total()
            if total != sent[0] * counters:
                die(f"{what}: the counters hold {total} after {sent[0]} checks; the "
                    "measurement is void")


def resp_load(bench, server, command, checks, pipeline=1, spread=GRANTS,
              connections=CONNECTIONS, counters=1):
    """`counters`: how much a check adds to the sum of them; 0 for no check at all."""
    meter = Meter(bench, server)
    sample = redis_benchmark(server.port, command, pipeline, checks, spread,
                             connections)
    meter.finish(sample, checks)
    meter.verify(f"{command[0]}, pipeline {pipeline}", (checks, checks), counters)
    return sample


# The requests are written before the clock runs, so that wrk is busy with sending.
WRK = """
local requests, n = {}, 0
init = function()
	for i = 1, 1000 do
		requests[i] = wrk.format("POST", "/v1/check",
			{ ["Content-Type"] = "application/json" },
			string.format('{"tool":"call","grant":"g%012d"}', i))
	end
end
request = function()
	n = n % 1000 + 1
	return requests[n]
end
done = function(summary, latency)
	local e = summary.errors
	io.write(string.format("summary %d %d %d %.0f %.0f %.0f\\n", summary.requests,
		summary.duration, e.connect + e.read + e.write + e.status + e.timeout,
		latency.mean, latency:percentile(50), latency:percentile(99)))
end
"""


def http_load(bench, server, address, seconds, connections=CONNECTIONS):
    path = os.path.join(bench.folder, "wrk.lua")
    with open(path, "w") as f:
        f.write(WRK)
    meter = Meter(bench, server)
    out = run("wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", path,
              f"http://{address}")
    requests, duration_us, errors, mean, p50, p99 = (
        int(w) for w in out.rsplit("summary ", 1)[1].split())
    if errors:
        die(f"wrk had {errors} errors; the measurement is void")
    sample = {"checks_per_second": requests / duration_us * 1e6, "mean_us": mean,
              "p50_us": p50, "p99_us": p99}
    meter.finish(sample, requests)
    # wrk goes without waiting for the last answers.
    meter.verify("HTTP", (requests, requests + connections), 1)
    return sample
