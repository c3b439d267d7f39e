# SPDX-License-Identifier: ISC
"""The frame of the fault matrix: one fault, thousands of checks beside it, and what must
hold whatever the fault is. test_fault_matrix.py has the rows.

Adding a row: a function that makes the fault and ends it, with @row above it.

    @row("frozen")
    def frozen(site):
        site.redis.pause()
        site.last(0.7)
        site.redis.resume()

It gets a Site: .redis (harness.Redis), .proxy (the FaultProxy before it), .client (to
Redis, straight), .redis_factory, .daemon, .load (the Pacer that runs), .last(seconds), .stays("store")
to wait for what checks become. When it returns the fault is over: recovery is timed from
there. A Redis that forgets says what it kept with site.lost(kept).

Adding a topology (Sentinel, Cluster): a class like Single with the same members, and
@row(..., topology=ThatClass); its counts() is the sum over all masters.

What every row shows: no crash, nothing for a sanitizer, memory and descriptors as before,
no check without an answer or past its deadline by more than 20 ms, nothing admitted over
max with the data that Redis kept, every counter as high as what was allowed (and no
higher, where the row is exact), undegraded service by itself within row.back_s.
"""
import contextlib
import dataclasses
import os
import time
import typing

import pytest

from harness import is_sanitized, limit, policy, wait_for
from load import assert_all_expire, counter_key, counts, kept_by, slack_ms
from pacer import Pacer

FULL = bool(os.environ.get("RATION_FULL"))
MAX = 400
# Long windows: none ends while a row runs.
POLICY = policy(
    much=[limit("much", "year", 10**9)],
    few=[limit("few", "year", MAX)],
    both=[limit("first", "year", 10**9), limit("second", "year", 10**9)])
CALLS = [(tool, grant) for i in range(8)
         for tool, grant in (("much", f"g{i}"), ("few", "f"), ("both", f"g{i}"))]
FEW = counter_key("few", "year", grant="f")
COUNTERS = {"much": ("much",), "few": ("few",), "both": ("first", "second")}


class Single:
    """One Redis behind a proxy."""

    def __init__(self, row, redis_factory, proxy_factory):
        self.redis_factory = redis_factory
        self.redis = redis_factory(options=row.options)
        self.proxy = proxy_factory(self.redis)
        self.url = self.proxy.url

    @property
    def client(self):
        return self.redis.client()

    def counts(self):
        with self.client as client:
            return counts(client)

    def assert_tidy(self):
        with self.client as client:
            assert_all_expire(client)


@dataclasses.dataclass
class Row:
    name: str
    fault: typing.Callable
    options: dict = dataclasses.field(default_factory=dict)  # of Redis
    rate: int = 500 if is_sanitized() else 4000 if FULL else 1000
    deadline_ms: int = 50
    back_s: float = 1.5         # from the end of the fault to undegraded service
    exact: bool = False         # every charge is an admitted check: all was given back
    degrades: bool = True       # False: callers do not notice
    variant: bool = False       # of another: not in a short run with sanitizers
    topology: type = Single


class Site:
    """One row under way; the topology's members are this one's, too."""

    def __init__(self, row, topology, daemon, load):
        self.row, self.topology, self.daemon, self.load = row, topology, daemon, load
        self.kept = {}          # counts that the store had left
        self.since = 0.0        # when it had them

    def __getattr__(self, name):
        return getattr(self.topology, name)

    def last(self, seconds):
        """The time that a fault lasts is what is tested; waiting for it is no luck."""
        time.sleep(seconds)

    def stays(self, kind):
        """Waits until checks begun from now on are answered so."""
        self.load.wait_for_one(kind, time.monotonic())

    def lost(self, kept):
        """From now on the store has only this; what was allowed before is gone or in it.
        To be called while no check can be allowed."""
        self.kept, self.since = kept, time.monotonic()

    def lost_but_file(self):
        """The same, with what the files of the dead Redis have."""
        self.lost(kept_by(self.redis, self.redis_factory))

    def allowed(self, since=0.0):
        """{key: checks allowed that were begun since}"""
        found = {}
        for s in self.load.samples:
            if s.kind == "allow" and s.begun >= since:
                for counter in COUNTERS[s.tool]:
                    key = counter_key(counter, "year", grant=s.grant)
                    found[key] = found.get(key, 0) + 1
        return found


def rows():
    """(the decorator, the list that it fills)"""
    found = []

    def row(name, **kw):
        def add(fault):
            found.append(Row(name, fault, **kw))
            return fault
        return add
    return row, found


def assert_counted(site):
    """Nothing was admitted that is not counted, nor over max."""
    allowed = site.allowed(site.since)
    wanted = {key: site.kept.get(key, 0) + allowed.get(key, 0)
              for key in {**site.kept, **allowed}}
    # A store that refuses to take a late charge back keeps it, and that is said.
    if site.row.exact and "could not give back" not in site.daemon.log:
        with contextlib.suppress(AssertionError):
            wait_for(lambda: site.counts() == wanted, 2, "settled counters")
        found = site.counts()
        assert found == wanted, {k: (found.get(k), n) for k, n in wanted.items()
                                 if found.get(k) != n}
    found = site.counts()
    short = {k: (found.get(k), n) for k, n in wanted.items() if found.get(k, 0) < n}
    assert not short, f"counted less than allowed: {short}"
    assert found[FEW] <= MAX, found[FEW]
    assert site.kept.get(FEW, 0) + allowed.get(FEW, 0) <= MAX
    assert site.allowed().get(FEW, 0) - allowed.get(FEW, 0) <= MAX
    site.topology.assert_tidy()


def run_row(row, rationd, redis_factory, proxy_factory):
    if row.variant and is_sanitized() and not FULL:
        pytest.skip("with sanitizers only in scripts/test --full")
    topology = row.topology(row, redis_factory, proxy_factory)
    daemon = rationd(POLICY, store=topology.url,
                     flags=["--deadline-ms", row.deadline_ms])
    pid, fds = daemon.pid, daemon.fds
    beside = [topology.redis] if hasattr(topology, "redis") else topology.cluster.masters
    with Pacer([daemon], CALLS, rate=row.rate, beside=beside) as load:
        site = Site(row, topology, daemon, load)
        load.wait_for_one("allow", 0)
        wait_for(lambda: load.count("allow", "few") >= 10, 5, "ten of the few")
        rss = daemon.rss
        begun = time.monotonic()
        row.fault(site)
        healed = time.monotonic()
        load.wait_for_recovery(healed, seconds=max(5, row.back_s))
        wait_for(lambda: load.count("deny", "few") >= 5, 15, "the limit being full")
        grown = daemon.rss - rss
    back_ms = load.recovery_ms(healed)
    print(f"{row.name}: recovery {back_ms:.0f} ms after {healed - begun:.1f} s of it; "
          f"memory {grown / 1048576:+.1f} MiB; {load.story()}")
    assert daemon.running and daemon.pid == pid
    load.assert_all_answered()
    load.assert_in_time(row.deadline_ms)
    most_ms = (row.back_s * 1000 + slack_ms() * 10 +
               load.stalled_ms(healed, healed + back_ms / 1000))
    assert back_ms < most_ms, f"recovery took {back_ms:.0f} ms of {most_ms:.0f}"
    degraded = {"store"} & set(load.kinds())
    assert bool(degraded) == row.degrades, load.story()
    assert set(load.kinds()) <= {"allow", "deny", "store"}
    assert_counted(site)
    # Twice what every connection of the load may need for a moment; not what ten
    # thousand checks that are not let go of would.
    assert grown < 24 << 20, f"{grown >> 20} MiB more"
    # The connection to Redis may be a new one, with the old one being looked after.
    wait_for(lambda: daemon.fds <= fds + 2, 5, f"{fds} descriptors, as before")


