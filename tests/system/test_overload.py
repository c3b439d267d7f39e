# SPDX-License-Identifier: ISC
"""Ten times as many checks as can be served: memory stays bounded, every check is
answered in time, what cannot be served is refused and says so, what can be is, nothing is
admitted that is not counted, and full speed is back within a second.

Two cores cannot offer ten times of what the daemon does at its best. So what is behind it
is made slow: a link of so many bytes a second, to which every check is as much, since none
is of a grant that another one is just asked for.

With a long deadline and with the default one. Six seconds of it; 30 with RATION_FULL=1.
"""
import collections
import contextlib
import json
import os
import re
import socket
import threading
import time

import pytest

import harness
from harness import limit, patience, policy, run_ration, wait_for
from load import LONG, LONG_KEY, counter_key, read_answers, words
from pacer import Pacer
from pauses import met

SECONDS = 30 if os.environ.get("RATION_FULL") else 6
PLENTY = 10**12
GREEDY = 10_000  # checks of the client that reads nothing
TIMES = 10

# deadline_ms, what the link carries in bytes a second, and how many checks that are under
# way together are in time.
CASES = {"long": (400, 60_000, 20), "default": (50, 120_000, 6)}

# Said by a 503 and by the answer over RESP.
TOO_MANY = "too many checks are waiting for the store"
TOO_LATE = "the store did not answer in time"

TOOLS = ("normal", "flood", "greedy", "probe")
POLICY = policy(**{name: [limit(name, LONG, PLENTY)] for name in TOOLS})
# So many that checks which wait at one time are not of the same grant.
GRANTS = [f"g{i:04}" for i in range(2000)]


def ran(seconds):
    end = time.monotonic() + seconds
    wait_for(lambda: time.monotonic() > end, seconds + 5, "the time")


def bench(daemon, under_way, seconds=1):
    """As fast as possible with so many under way; what ration bench says of it."""
    done = run_ration("bench", "--server", daemon.resp_text, "--tool", "probe",
                      "--connections", under_way, "--duration", seconds, "--json",
                      seconds=seconds + 20)
    return json.loads(done.stdout)


class Resident(threading.Thread):
    """The resident bytes of a process, again and again until stopped."""

    def __init__(self, process):
        super().__init__()
        self.process, self.samples, self.over = process, [], threading.Event()

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *fault):
        self.over.set()
        self.join()

    def run(self):
        while not self.over.wait(0.1):
            self.samples.append(self.process.rss)


class Greedy(threading.Thread):
    """A client that sends as much as is taken and reads nothing. What it sent and what
    came for it afterwards."""

    def __init__(self, daemon, tool):
        super().__init__()
        self.sock = socket.socket()
        # Segments smaller than the window, or the kernel sends one each 0.2 s later on.
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 536)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.sock.settimeout(patience(10))
        self.sock.connect(daemon.resp_address)
        self.sock.setblocking(False)
        self.words = [words("CHECK", tool, grant) for grant in GRANTS]
        self.data = b"".join(self.words) * (GREEDY // len(self.words))
        self.sent, self.over = 0, threading.Event()

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *fault):
        self.over.set()
        self.join()

    def run(self):
        data = memoryview(self.data)
        while self.sent < len(data) and not self.over.wait(0.005):
            with contextlib.suppress(BlockingIOError):
                self.sent += self.sock.send(data[self.sent:])

    def answers(self):
        """Ends the sending and reads what there is for every whole check."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        # The kernel asks at a shut window ever more seldom, the longer it is shut.
        self.sock.settimeout(patience(10) + 2 * SECONDS)
        size = len(self.words[0])
        self.sock.sendall(self.data[self.sent:-(-self.sent // size) * size])
        asked = -(-self.sent // size)
        answers = read_answers(self.sock, asked)
        self.sock.close()
        return answers, asked


def served_a_second(report):
    return report["mix"]["allow"] / report["seconds"]


def told(samples):
    """{what was said: how often} of checks that were refused."""
    return collections.Counter(re.sub(r".*: ", "", s.message) for s in samples
                               if s.kind == "store")


def assert_counted(client, tool, allowed):
    """Redis holds what was allowed, once late charges are given back."""
    keys = [counter_key(tool, LONG_KEY, grant=g) for g in allowed]

    def held():
        return {g: int(n or 0) for g, n in zip(allowed, client.mget(keys))}
    with contextlib.suppress(AssertionError):
        wait_for(lambda: held() == allowed, 3, "the counters")
    found = held()
    assert found == allowed, {g: (n, found[g]) for g, n in allowed.items()
                              if found[g] != n}


def allowed_by_grant(load):
    allowed = collections.Counter(s.grant for s in load.samples if s.kind == "allow")
    return {g: allowed[g] for g in GRANTS}


def latency(samples):
    took = sorted(s.took_ms for s in samples) or [0.0]
    return (f"p50 {took[len(took) // 2]:.1f} p99 {took[len(took) * 99 // 100]:.1f} "
            f"max {took[-1]:.1f} ms")


def assert_refused_at_once(loads, lost):
    """By who would wait too long, not when it was too late; from the first moment on, but
    for the share of the time that the machine took."""
    refused = sum((told(load.samples) for load in loads), collections.Counter())
    assert refused[TOO_MANY] > refused.total() * (0.8 - lost), refused
    assert refused[TOO_LATE] < refused.total() * (0.1 + lost), refused


def assert_bounded(resident, before):
    """No more memory than what may wait takes, and no more of it as time goes on."""
    half = len(resident.samples) // 2
    first, second = max(resident.samples[:half]), max(resident.samples[half:])
    assert second - before < 24_000_000, (before, first, second)
    assert second - first < 3_000_000, (before, first, second)


@pytest.mark.parametrize("case", CASES)
def test_ten_times_as_much(redis_server, proxy_factory, rationd, case):
    deadline_ms, bytes_a_second, under_way = CASES[case]
    link = proxy_factory(redis_server)
    daemon = rationd(POLICY, store=link.url, flags=[
        "--deadline-ms", deadline_ms, "--write-timeout-ms", 600_000])  # the greedy one stays
    bench(daemon, under_way)  # all is warm
    link.throttle(bytes_a_second)
    before = served_a_second(bench(daemon, under_way))
    rss = daemon.rss
    calls = {tool: [(tool, g) for g in GRANTS] for tool in ("normal", "flood")}
    with Pacer([daemon], calls["normal"], rate=int(before / 2),
               beside=[redis_server]) as normal:
        ran(0.5)
        begun = time.monotonic()
        with Greedy(daemon, "greedy") as greedy, Resident(daemon) as resident, \
                Pacer([daemon], calls["flood"], rate=int(before * (TIMES - 0.5)),
                      http=False, pipeline=512) as flood:
            ran(SECONDS)
            over = time.monotonic()
        healed = time.monotonic()
        normal.wait_for_recovery(healed)
        after = bench(daemon, under_way)
        ended = time.monotonic()
    # Together with the load that went on.
    again = served_a_second(after) + normal.count(
        "allow", since=ended - after["seconds"], until=ended) / after["seconds"]
    late = daemon.metric("ration_store_late_total")
    link.heal()
    loads = {"normal": normal, "flood": flood}
    flooded = [s for load in loads.values() for s in load.samples
               if begun <= s.begun < over]
    admitted = [s for s in flooded if s.kind == "allow"]
    lost = min(1.0, normal.stalled_ms(begun, over) / 1000 / (over - begun))
    stalled = sum(met(flood.stalls, begun, over)) / 1000
    offered = len(flooded) / (over - begun)
    served = len(admitted) / (over - begun)
    for name, load in loads.items():
        print(name, load.story(), told(load.samples))
    print(f"{before:.0f} a second can be served; {offered:.0f} offered, {served:.0f} "
          f"served, {latency(admitted)}; {again:.0f} after, from "
          f"{normal.recovery_ms(healed):.0f} ms on; {late:.0f} late; "
          f"{rss} bytes before, {max(resident.samples)} at most")

    # Asked for ten times as much, it did what it can, and said so to all others.
    assert offered > before * TIMES * 0.8 * (1 - stalled / (over - begun))
    assert served > before * 0.4 * (1 - lost)
    for load in loads.values():
        load.assert_all_answered()
        assert set(load.kinds()) <= {"allow", "store"}, load.story()
        load.assert_in_time(deadline_ms)
    assert_refused_at_once(loads.values(), lost)

    # Full speed within a second.
    normal.assert_recovered(healed, 1000)
    behind = min(1.0, normal.stalled_ms(ended - after["seconds"], ended) / 1000 /
                 after["seconds"])
    assert again > before * 0.7 * (1 - behind), after

    answers, asked = greedy.answers()
    assert len(answers) == asked
    with redis_server.client() as client:
        for tool, load in loads.items():
            assert_counted(client, tool, allowed_by_grant(load))
        allowed = collections.Counter(GRANTS[i % len(GRANTS)]
                                      for i, a in enumerate(answers) if a.verdict == 1)
        assert_counted(client, "greedy", {g: allowed[g] for g in GRANTS})
    if not harness.is_sanitized():
        assert_bounded(resident, rss)
