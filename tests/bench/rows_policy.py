# SPDX-License-Identifier: ISC
"""A policy of many tools, every tenth with a limit, against one of few."""
import statistics
import time

from bench.load import GRANT, MAX, check_command, resp_load
from bench.report import ratio, row
from bench.servers import run, write_policy

TOOLS = {"many": 10_000, "few": 10}
CHECKS = 800_000
PIPELINE = 16
AT_LEAST = 0.95
LOAD_SECONDS_AT_MOST = 1


def policy_of_tools(tools):
    """Every tenth tool has a limit of its own; these are numbered from 0. Names are as
    redis-benchmark writes random numbers."""
    def entry(i):
        limit = {"counter": f"c{i:012}", "window": "30d", "max": MAX}
        return {"limits": [limit]} if i < tools // 10 else {}
    return {"version": "1", "default": "deny",
            "tools": {f"t{i:012}": entry(i) for i in range(tools)}}


def tools_row(bench, name, store):
    """Both meet as many counters, under keys of one length: a thousand tools called by
    one grant, or one tool called by a thousand grants."""
    spread = TOOLS["many"] // 10
    commands = {"many": check_command("t__rand_int__", f"g{0:012}"),
                "few": check_command(f"t{0:012}", GRANT)}
    daemons = {side: bench.rationd(store, policy_of_tools(n))
               for side, n in TOOLS.items()}
    checks = bench.checks(CHECKS)

    def load(side):
        return lambda: resp_load(bench, daemons[side], commands[side], checks, PIPELINE,
                                 spread)

    pairs = bench.pairs(name, {side: load(side) for side in TOOLS})
    bench.stop(daemons.values())
    return [row(f"{TOOLS['many']} tools / {TOOLS['few']}, {store}",
                ratio(pairs, "many", "few", "checks_per_second"), AT_LEAST, True)], pairs


def load_row(bench, name):
    """Seconds that rationd --check-config takes for the policy of many tools."""
    path = write_policy(bench.folder, policy_of_tools(TOOLS["many"]))

    def load():
        start = time.monotonic()
        run(bench.args.rationd, "--check-config", "--policy", path)
        return {"seconds": time.monotonic() - start}

    pairs = bench.pairs(name, {"load": load})
    return [row(f"seconds to load {TOOLS['many']} tools",
                statistics.median(p["load"]["seconds"] for p in pairs),
                LOAD_SECONDS_AT_MOST, False)], pairs
