# SPDX-License-Identifier: ISC
"""The load itself: it keeps its rate, it sees a stall, and it loses nothing unseen."""
import time

import pytest

from harness import limit, policy, wait_for
from load import counter_key
from pacer import Pacer

HOUR = policy(much=[limit("much", "hour", 10**9)], few=[limit("few", "hour", 10)])


def ran(load, seconds):
    begun = time.monotonic()
    wait_for(lambda: time.monotonic() > begun + seconds, seconds + 5, "the time")
    assert load.process.poll() is None


def test_rate_and_kinds(redis_server, rationd):
    daemon = rationd(HOUR, store=redis_server.url)
    with Pacer([daemon], [("much", "a"), ("few", "b"), ("none", "c")],
               rate=2000) as load:
        ran(load, 1)
    load.assert_all_answered()
    assert 1500 < len(load.samples) < 4000, load.story()
    kinds = load.kinds()
    assert set(kinds) == {"allow", "deny"} and load.count("allow", "few") == 10
    assert load.count("deny", "none") == load.count("deny") - load.count("deny", "few")
    allowed = int(redis_server.client().get(counter_key("much", "hour", grant="a")))
    assert allowed == load.count("allow", "much")


def test_sees_a_daemon_that_stalls(rationd):
    daemon = rationd(HOUR)
    with Pacer([daemon], [("much", "a")], rate=2000) as load:
        load.wait_for_one("allow", 0)
        daemon.pause()
        ran(load, 0.6)
        daemon.resume()
        load.wait_for_one("allow", time.monotonic())
    load.assert_all_answered()
    late = [s for s in load.samples if s.took_ms > 100]
    assert len(late) > 200, load.story()
    with pytest.raises(AssertionError, match="took more than"):
        load.assert_in_time(50)


def test_sees_a_daemon_that_dies(rationd):
    daemon = rationd(HOUR)
    with Pacer([daemon], [("much", "a")], rate=500, timeout_ms=300) as load:
        load.wait_for_one("allow", 0)
        daemon.pause()
        ran(load, 0.1)
        daemon.kill()
        load.wait_for_one("refused", 0)
    assert {"allow", "lost", "refused"} == set(load.kinds()), load.story()
    with pytest.raises(AssertionError):
        load.assert_all_answered()


def test_recovery(redis_server, rationd):
    daemon = rationd(HOUR, store=redis_server.url, flags=["--deadline-ms", 50])
    with Pacer([daemon], [("much", "a")], rate=1000) as load:
        load.wait_for_one("allow", 0)
        redis_server.pause()
        load.wait_for_one("store", 0)
        redis_server.resume()
        healed = time.monotonic()
        load.wait_for_recovery(healed)
    load.assert_all_answered()
    assert 0 <= load.recovery_ms(healed) < 1500, load.story()
    assert load.count("store") > 0 and "store is unavailable" in next(
        s.message for s in load.samples if s.kind == "store")
