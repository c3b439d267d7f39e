# SPDX-License-Identifier: ISC
"""Measures ration against Redis itself, and nginx, as ratios within one run.

Each row is measured in pairs, one right after the other, several times; the median of
the ratios is what counts, so that a machine whose speed drifts cannot flatter either
side. After every measurement the sum of the counters in Redis, or the daemon's own count
of allowed checks, is compared with the number of checks sent: fast nonsense does not
count.

Rows, all of them unless --rows names some:
  pipeline-1 pipeline-16 pipeline-64  checks through Redis, against a script called directly
  three-limits                        three limits a check against one
  hot-grant                           one grant against 10,000
  far-redis                           a Redis 4 ms away against a near one
  embedded                            the embedded store against INCR on redis-server
  lone-check                          one at a time, against PING and EVALSHA on Redis
  http                                POST /v1/check against nginx's "return 200"
  policy-memory policy-redis          a policy of 10,000 tools against one of 10
  policy-load                         how long that policy takes to load
  memory-idle memory-connection memory-counter
                                      what rationd keeps resident

Needs redis-server, redis-benchmark, wrk, nginx and a release build (scripts/deps --bench).
"""
import argparse
import json
import os
import shutil
import signal
import sys
import tempfile

from bench.picture import draw, measure_curves
from bench.report import show_figures, show_rows
from bench.rows import ROWS
from bench.servers import Rationd, Redis, Relay, run

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


FAR_US = 2000  # each way


class Bench:
    """What is wanted, and the servers that were started for it."""

    def __init__(self, args, folder):
        self.args = args
        self.folder = folder
        self.started = []
        self.shared = {}
        self.redis = self.start(Redis, folder)

    def start(self, kind, *words):
        server = kind(*words)
        self.started.append(server)
        return server

    def stop(self, servers):
        servers = list(servers)
        for server in servers:
            server.process.send_signal(signal.SIGTERM)
        for server in servers:
            server.process.wait()
            self.started.remove(server)

    def rationd(self, store, policy):
        """`store`: "memory", "redis", or "far", Redis behind a relay."""
        server = self.redis
        if store == "far":
            server = self.start(Relay, self.redis, FAR_US)
        url = store if store == "memory" else f"redis://127.0.0.1:{server.port}"
        return self.start(Rationd, self.args.rationd, self.folder, url, policy)

    def shared_daemon(self, store, policy):
        """One of that kind, used by all rows that ask for it."""
        kind = store, json.dumps(policy)
        if kind not in self.shared:
            self.shared[kind] = self.rationd(store, policy)
        return self.shared[kind]

    def note(self, text):
        print(text, file=sys.stderr, flush=True)

    def checks(self, n):
        return n // 10 if self.args.quick else n

    def pairs(self, name, sides, rounds=None):
        """Measures the sides one after another, the other way round every other time."""
        rounds = rounds or self.args.rounds
        pairs = []
        for i in range(rounds):
            self.note(f"{name}, round {i + 1} of {rounds}")
            order = list(sides) if i % 2 == 0 else list(reversed(sides))
            samples = {side: sides[side]() for side in order}
            pairs.append({side: samples[side] for side in sides})
        return pairs


def rows_of(text):
    names = [name for name in text.split(",") if name]
    for name in names:
        if name not in ROWS:
            raise argparse.ArgumentTypeError(
                f"there is no row {name!r}; the rows are {', '.join(ROWS)}")
    return names


def parse_args():
    parser = argparse.ArgumentParser(prog="bench", description=__doc__,
                                     formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, help="pairs per row (3)")
    parser.add_argument("--rationd", help="the binary (built with scripts/deps and "
                        "cmake --preset release when left out)")
    parser.add_argument("--rows", metavar="NAME,...", type=rows_of, default=list(ROWS),
                        help="only these; \"\" for none")
    parser.add_argument("--json", metavar="FILE", help="write all figures there")
    parser.add_argument("--svg", metavar="FILE", help="measure throughput, latency and "
                        "cost against load and pipeline, too, and draw them there")
    parser.add_argument("--quick", action="store_true", help="a tenth of the checks")
    args = parser.parse_args()
    if args.rounds < 1:
        parser.error("--rounds must be at least 1")
    return args


def build():
    run(os.path.join(ROOT, "scripts", "deps"), "--bench")
    os.chdir(ROOT)
    run("cmake", "--preset", "release", "-DRATION_TESTS=OFF")
    run("cmake", "--build", "--preset", "release", "--target", "rationd")
    return os.path.join(ROOT, "build", "release", "rationd")


def measure(bench):
    args = bench.args
    rows, pairs, curves = [], {}, None
    for name in args.rows:
        more, pairs[name] = ROWS[name](bench, name)
        rows += more
    show_rows(rows)
    print()
    show_figures(pairs)
    if args.svg:
        curves = measure_curves(bench)
        with open(args.svg, "w") as f:
            f.write(draw(curves))
    if args.json:
        with open(args.json, "w") as f:
            json.dump({"rows": rows, "pairs": pairs, "curves": curves}, f, indent=1)
    return all(r["reached"] for r in rows)


def main():
    args = parse_args()
    # Files are named from where the caller stands; build() moves.
    for name in ("json", "svg", "rationd"):
        if getattr(args, name):
            setattr(args, name, os.path.abspath(getattr(args, name)))
    args.rationd = args.rationd or build()
    folder = tempfile.mkdtemp(prefix="ration-bench-")
    bench = None
    try:
        bench = Bench(args, folder)
        reached = measure(bench)
    finally:
        if bench:
            bench.stop(bench.started)
        shutil.rmtree(folder)
    sys.exit(0 if reached else 1)
