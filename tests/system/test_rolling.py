# SPDX-License-Identifier: ISC
"""Two daemons behind one address are restarted one after the other, under load: not one
check fails, and with Redis each is counted once."""
import os
import signal

import pytest

from balancer import Balancer
from harness import limit, patience, policy
from load import counts
from pacer import Pacer
from pauses import unhurried

# No window that is likely to end meanwhile.
YEAR = policy(much=[limit("much", "year", 10**9)])
RATE = 2000
FULL = bool(os.environ.get("RATION_FULL"))
ROUNDS = 10 if FULL else 1
# The balancer asks each 0.1 s: half of this is time enough for it, and the other half for
# every connection of the load to be used. No check may fail because Redis has to wait for
# the machine.
DELAY_S = 3
FLAGS = ["--drain-timeout", "10s", "--deadline-ms", "30000"]
GRANTS = [("much", f"g{i}") for i in range(50)]


def restart(daemon, start, front):
    """SIGTERM, its end, a new one in its place."""
    daemon.session.close()
    daemon.signal(signal.SIGTERM)
    assert daemon.process.wait(patience(15)) == 0
    daemon.assert_no_findings()
    front.replace(daemon, start())


def roll(start, store, protocols):
    """All daemons are replaced under load, and what came of it is judged."""
    first = start()
    # Each connection has one check under way at a time, as a pool's have.
    with Pacer([first], GRANTS, rate=RATE, pipeline=1, conns=16,
               http=protocols != "resp", resp=protocols != "http") as load, \
            Balancer(load, [first, start()]) as front:
        for _ in range(ROUNDS if protocols == "both" else 1):
            for daemon in list(front.daemons):
                restart(daemon, start, front)
    print(load.story())
    load.assert_all_answered()
    assert set(load.kinds()) == {"allow"}, load.story()
    begun, *_, end = sorted(s.begun for s in load.samples)
    stalled = sum(took_ms for _, took_ms in load.stalls) / 1000
    assert len(load.samples) > RATE * (end - begun - stalled) / 2
    if store.redis:
        assert sum(counts(store.redis.client()).values()) == len(load.samples)


@pytest.mark.parametrize("store, protocols", [
    ("memory", "both"), ("redis", "both"),
    *([("redis", "http"), ("redis", "resp")] if FULL else [])], indirect=["store"])
def test_not_one_check_fails(store, rationd, protocols):
    def rolled(delay):
        daemons = []

        def start():
            daemons.append(rationd(YEAR, store=store.url,
                                   flags=[*FLAGS, "--drain-delay", f"{delay}s"]))
            return daemons[-1]
        if store.redis:
            store.redis.client().flushall()
        try:
            roll(start, store, protocols)
        except BaseException:
            for daemon in daemons:
                daemon.kill()
            raise
    unhurried(rolled, DELAY_S)
