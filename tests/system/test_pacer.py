# SPDX-License-Identifier: ISC
"""The load itself: it keeps its rate, it sees a stall, and it loses nothing unseen."""
import contextlib
import time

import pytest

from harness import limit, policy, wait_for
from load import LONG, LONG_KEY, counter_key
from pacer import Pacer
from pauses import unhurried

POLICY = policy(much=[limit("much", LONG, 10**9)], few=[limit("few", LONG, 10)])


def ran(load, seconds):
    begun = time.monotonic()
    wait_for(lambda: time.monotonic() > begun + seconds, seconds + 5, "the time")
    assert load.process.poll() is None


def test_rate_and_kinds(redis_server, rationd):
    daemon = rationd(POLICY, store=redis_server.url)
    with Pacer([daemon], [("much", "a"), ("few", "b"), ("none", "c")],
               rate=2000) as load:
        ran(load, 1)
    load.assert_all_answered()
    begun = [s.begun for s in load.samples]
    took = max(begun) - min(begun)
    stalled = sum(took_ms for _, took_ms in load.stalls) / 1000
    # What it could not ask while it did not run is left out, but for the last 20 ms.
    assert 0.9 * 2000 * (took - stalled) < len(begun) <= 2000 * (took + 0.02) + 1, \
        load.story()
    assert len(begun) > 100
    kinds = load.kinds()
    assert set(kinds) == {"allow", "deny"} and load.count("allow", "few") == 10
    assert load.count("deny", "none") == load.count("deny") - load.count("deny", "few")
    allowed = int(redis_server.client().get(counter_key("much", LONG_KEY, grant="a")))
    assert allowed == load.count("allow", "much")


def test_sees_a_daemon_that_stalls(rationd):
    daemon = rationd(POLICY)

    def seen(span):
        with Pacer([daemon], [("much", "a")], rate=2000) as load:
            load.wait_for_one("allow", 0)
            daemon.pause()
            paused = time.monotonic()
            ran(load, span)
            daemon.resume()
            load.wait_for_one("allow", time.monotonic())
        load.assert_all_answered()
        # Two for each ms, and 20 ms of that at least however late pacer itself was.
        late = [s for s in load.samples if s.took_ms > 100]
        stalled = load.stalled_ms(paused, paused + span - 0.1)
        assert len(late) > 0.5 * 2 * (span * 1000 - 100 - stalled) and len(late) > 20, \
            load.story()
        with contextlib.suppress(AssertionError):
            load.assert_in_time(50)
            late.clear()
        assert late, "a stall that was not told"
    unhurried(seen, 0.6)


def test_sees_a_daemon_that_dies(rationd):
    daemon = rationd(POLICY)
    with Pacer([daemon], [("much", "a")], rate=500, timeout_ms=1500) as load:
        load.wait_for_one("allow", 0)
        daemon.pause()
        ran(load, 0.1)
        daemon.kill()
        load.wait_for_one("refused", 0)
    assert {"allow", "lost", "refused"} == set(load.kinds()), load.story()
    with pytest.raises(AssertionError):
        load.assert_all_answered()


def test_recovery(redis_server, rationd):
    daemon = rationd(POLICY, store=redis_server.url, flags=["--deadline-ms", 50])
    with Pacer([daemon], [("much", "a")], rate=1000, beside=[redis_server]) as load:
        load.wait_for_one("allow", 0)
        redis_server.pause()
        load.wait_for_one("store", 0)
        redis_server.resume()
        healed = time.monotonic()
        load.wait_for_recovery(healed)
    load.assert_all_answered()
    load.assert_recovered(healed, 1500)
    assert load.count("store") > 0 and "store is unavailable" in next(
        s.message for s in load.samples if s.kind == "store")
