# SPDX-License-Identifier: ISC
"""ration bench as the load: for what redis-benchmark cannot do, a fixed rate and more
than a few thousand connections."""
import json
import subprocess

from bench.load import Meter
from bench.servers import Rationd, Void, die

NO_ANSWER = 3  # exit status


def report_of(bench, server, words):
    done = subprocess.run([bench.args.ration, "bench", "--json", "--server",
                           f"127.0.0.1:{server.port}", *map(str, words)],
                          capture_output=True, text=True)
    what = f"ration bench {' '.join(map(str, words))}"
    if not done.stdout:
        die(f"{what}: {done.stderr}")
    report = json.loads(done.stdout)
    if done.returncode == NO_ANSWER:  # it did not get through with the warm-up
        raise Void(f"{what}: nothing was answered")
    if done.returncode != 0:
        die(f"{what}: {report['first_error'] or report['errors']}")
    return report


def sample_of(report):
    latency = report["latency_us"]
    return {"checks_per_second": report["per_second"], "p50_us": latency["p50"],
            "p99_us": latency["p99"], "p999_us": latency["p99_9"],
            "max_us": latency["max"], "missed": report["missed"],
            "tool_us_per_check": report["cpu_seconds"] / (sent_of(report) or 1) * 1e6}


def sent_of(report):
    return report["sent"] + report["warmup"]["sent"]


def tool_load(bench, server, *words, reset=True, counters=1, histogram=False):
    """`counters`: how many each check adds to; 0 for no check at all. `reset`: whether
    the counters begin anew; where not, only the daemon's own count is compared.
    `histogram`: whether the sample has the cells."""
    if isinstance(server, Rationd):
        words = "--tool", "call", *words
    meter = Meter(bench, server, reset)
    report = report_of(bench, server, words)
    sent = sent_of(report)
    sample = meter.finish(sample_of(report), sent or 1)
    if histogram:
        sample["histogram_us"] = report["histogram_us"]
    meter.verify("ration bench " + " ".join(map(str, words)), (sent, sent), counters)
    return sample
