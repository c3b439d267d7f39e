# SPDX-License-Identifier: ISC
"""Measures ration against Redis itself, and nginx, as ratios within one run.

Each row is measured in pairs, one right after the other, several times; the median of
the ratios is what counts, so that a machine whose speed drifts cannot flatter either
side. A pair of which the hypervisor took more than 1 % of the cores' time, or other
processes more than 0.1 of a core, is left out, and measured again (all count where none
is undisturbed, which the report says). After every measurement the sum of the counters
in Redis, or the daemon's own count of allowed checks, is compared with the number of
checks sent: fast nonsense does not count.

Rows, all of them unless --rows names some:
  pipeline-1 pipeline-16 pipeline-64  checks through Redis, against a script called directly
  three-limits                        three limits a check against one
  hot-grant                           one grant against 10,000
  far-redis                           a Redis 4 ms away against a near one
  embedded                            the embedded store against INCR on redis-server
  lone-check                          one at a time, against PING and EVALSHA on Redis
  latency latency-16                  p99 at half of the highest rate, against PING: the
                                      geometric mean of many pairs
  http                                POST /v1/check against nginx's "return 200"
  policy-memory policy-redis          a policy of 10,000 tools against one of 10
  policy-load                         how long that policy takes to load
  memory-idle memory-connection memory-counter
                                      what rationd keeps resident
  scale                               cost against connections, grants, limits, workers:
                                      two steps of each, or with --scale all of them

It takes about 8 minutes, of which the rows of latency take 3 and the short scale 1;
--scale takes about 8 more, --svg 2 more; --quick, all without them, 2; on a machine that
is disturbed all the time three times that, but for --quick. "--rows scale --scale" is
the scale alone.

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
from bench.machine import Machine, Watch, sentence_of
from bench.quiet import TRIES, Choice, account_of, lines_of, reasons_of
from bench.report import median_of, show_figures, show_rows
from bench.rows import ROWS
from bench.scale import measure_scale
from bench.scale_picture import draw_scale
from bench.servers import Rationd, Redis, Relay, Void, die, run
from bench.tables import (figures_markdown, replace_parts, rows_markdown, scale_markdown,
                          show_scale)

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SCALE = "scale"  # among the rows, though it has no bounds
DOCS = "performance.md"
FAR_US = 2000  # each way


class Bench:
    """What is wanted, and the servers that were started for it."""

    def __init__(self, args, folder):
        self.args = args
        self.folder = folder
        self.started = []
        self.shared = {}
        self.choices = {}  # of each row
        self.means = {}  # of rows of which they are not medians
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

    def rationd(self, store, policy, *flags):
        """`store`: "memory", "redis", or "far", Redis behind a relay."""
        server = self.redis
        if store == "far":
            server = self.start(Relay, self.redis, FAR_US)
        url = store if store == "memory" else f"redis://127.0.0.1:{server.port}"
        return self.start(Rationd, self.args.rationd, self.folder, url, policy,
                          *flags)

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

    def watched(self, measure):
        """The {side: sample} of measure(), which also say what was taken meanwhile; Void,
        but not on an undisturbed machine, where there is no excuse for that."""
        watch = Watch(self.started)
        try:
            samples = measure()
        except Void as void:
            if not reasons_of({"": watch.taken()}):
                die(void)
            raise
        taken = watch.taken()
        return {side: {**sample, **taken} for side, sample in samples.items()}

    def choose(self, row, what, measure, wanted, reasons=reasons_of):
        """The pairs of measure(i) that count, i being how many are undisturbed so far."""
        choice = Choice(wanted)
        self.choices.setdefault(row, []).append(choice)
        while not choice.done(1 if self.args.quick else TRIES):
            i = len(choice.undisturbed)
            again = ", as one was disturbed" if choice.disturbed else ""
            self.note(f"{what}, round {i + 1} of {wanted}{again}")
            try:
                pair = measure(i)
                choice.add(pair, reasons(pair))
            except Void as void:
                choice.add_void()
                why = void
        return choice.pairs() or die(why)

    def forget(self, row, key):
        """Of all samples of the row."""
        for choice in self.choices[row]:
            for sample in (s for pair in choice.measured() for s in pair.values()):
                sample.pop(key, None)

    def pairs(self, name, sides, rounds=None, reasons=reasons_of):
        """Measures the sides one after another, the other way round every other time."""
        def measure(i):
            pair = {}
            for side in list(sides) if i % 2 == 0 else list(reversed(sides)):
                pair |= self.watched(lambda: {side: sides[side]()})
            return {side: pair[side] for side in sides}

        return self.choose(name, name, measure, rounds or self.args.rounds, reasons)

    def point(self, row, what, measure, wanted=1):
        """The median of samples that have no other side."""
        pairs = self.choose(row, what, lambda _: self.watched(lambda: {"": measure()}),
                            wanted)
        return median_of(pairs, "")


def rows_of(text):
    names = [name for name in text.split(",") if name]
    for name in names:
        if name not in ROWS and name != SCALE:
            raise argparse.ArgumentTypeError(
                f"there is no row {name!r}; the rows are {', '.join(ROWS)}, {SCALE}")
    return names


def parse_args():
    parser = argparse.ArgumentParser(prog="bench", description=__doc__,
                                     formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, help="pairs per row (3)")
    parser.add_argument("--rationd", help="the binary (built with scripts/deps and "
                        "cmake --preset release when left out)")
    parser.add_argument("--ration", help="the binary (the one beside --rationd)")
    parser.add_argument("--rows", metavar="NAME,...", type=rows_of,
                        default=[*ROWS, SCALE], help="only these; \"\" for none")
    parser.add_argument("--scale", action="store_true", help="all steps of scale, to "
                        "10,000 connections and 10 million\ngrants, --rounds times each")
    parser.add_argument("--scale-svg", metavar="FILE", help="draw it there")
    parser.add_argument("--json", metavar="FILE", help="write all figures there")
    parser.add_argument("--svg", metavar="FILE", help="measure throughput, latency and "
                        "cost against load and pipeline, too, and draw them there")
    parser.add_argument("--quick", action="store_true", help="a tenth of the checks")
    parser.add_argument("--docs", metavar="FOLDER", help="everything (--scale, --svg, "
                        "--scale-svg), and write the tables\ninto performance.md of that "
                        "folder and the pictures beside it")
    args = parser.parse_args()
    if args.rounds < 1:
        parser.error("--rounds must be at least 1")
    if args.docs and args.rows != [*ROWS, SCALE]:
        parser.error("--docs excludes --rows")
    if args.scale_svg and SCALE not in args.rows:
        parser.error("--scale-svg needs the row scale")
    return args


def build():
    run(os.path.join(ROOT, "scripts", "deps"), "--bench")
    os.chdir(ROOT)
    run("cmake", "--preset", "release", "-DRATION_TESTS=OFF")
    run("cmake", "--build", "--preset", "release", "--target", "rationd", "ration")
    return os.path.join(ROOT, "build", "release", "rationd")


def settle(args):
    """Files are named from where the caller stands, as build() moves; what --docs stands
    for; and the binaries."""
    for name in ("json", "svg", "scale_svg", "docs", "rationd", "ration"):
        if getattr(args, name):
            setattr(args, name, os.path.abspath(getattr(args, name)))
    if args.docs:
        args.scale = True
        args.svg = args.svg or os.path.join(args.docs, "performance-load.svg")
        args.scale_svg = args.scale_svg or os.path.join(args.docs, "performance-scale.svg")
    args.rationd = args.rationd or build()
    args.ration = args.ration or os.path.join(os.path.dirname(args.rationd), "ration")


def write(path, text):
    with open(path, "w") as f:
        f.write(text)


def measure(bench):
    """{"rows": [...], "pairs": {row: pairs that count}, "means": {row: {side: means}},
    "quiet": {row: account}, "scale": ..., "curves": ...}, printed as it comes to be."""
    args = bench.args
    found = {"rows": [], "pairs": {}, "scale": None, "curves": None}
    for name in [name for name in args.rows if name != SCALE]:
        more, found["pairs"][name] = ROWS[name](bench, name)
        account = account_of(bench.choices[name])
        found["rows"] += [{**r, "disturbed": account["counted"] > 0} for r in more]
    show_rows(found["rows"])
    print()
    show_figures(found["pairs"], bench.means)
    if SCALE in args.rows:
        found["scale"] = measure_scale(bench)
        show_scale(found["scale"])
    if args.svg:
        found["curves"] = measure_curves(bench)
    found["means"] = bench.means
    found["quiet"] = {row: account_of(choices) for row, choices in bench.choices.items()}
    found["redis"] = bench.redis.version()
    return found


def machine_text(found):
    """What it was measured on, and what was disturbed."""
    return "\n".join([sentence_of(found["machine"]), *lines_of(found["quiet"])])


def write_docs(folder, found):
    path = os.path.join(folder, DOCS)
    with open(path) as f:
        text = f.read()
    write(path, replace_parts(text, {
        "machine": machine_text(found), "rows": rows_markdown(found["rows"]),
        "figures": figures_markdown(found["pairs"], found["means"]),
        "scale": scale_markdown(found["scale"])}))


def keep(args, found):
    """Writes what was asked for."""
    if args.json:
        write(args.json, json.dumps(found, indent=1))
    if args.svg:
        write(args.svg, draw(found["curves"]))
    if args.scale_svg:
        write(args.scale_svg, draw_scale(found["scale"]))
    if args.docs:
        write_docs(args.docs, found)


def main():
    args = parse_args()
    settle(args)
    folder = tempfile.mkdtemp(prefix="ration-bench-")
    machine, bench = Machine(), None
    try:
        bench = Bench(args, folder)
        found = measure(bench)
    finally:
        if bench:
            bench.stop(bench.started)
        shutil.rmtree(folder)
    found["machine"] = machine.describe(found.pop("redis"))
    print("\n" + machine_text(found))
    keep(args, found)
    sys.exit(0 if all(r["reached"] for r in found["rows"]) else 1)
