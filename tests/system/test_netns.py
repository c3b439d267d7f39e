# SPDX-License-Identifier: ISC
"""The wire between daemon and Redis is pulled: packets vanish, nobody is told."""
import time

import pytest

from harness import limit, policy, wait_for
from load import LONG, slack_ms
from netns import wire
from pacer import Pacer

POLICY = policy(much=[limit("much", LONG, 10**9)])


@pytest.fixture
def spaces():
    """Asked for before Redis and daemons, so that it outlives them."""
    with wire() as both:
        yield both


def test_wire_pulled(spaces, redis_factory, rationd):
    near, far = spaces
    server = redis_factory(space=far)
    daemon = rationd(POLICY, store=server.url, space=near, flags=["--deadline-ms", 50])
    with Pacer([daemon], [("much", "g")], rate=1000) as load:
        load.wait_for_one("allow", 0)
        far.unplug()
        pulled = time.monotonic()
        # Past 3 s without a reply the connection is given up; a new one gets nowhere.
        wait_for(lambda: time.monotonic() > pulled + 5, 10, "5 s without the wire")
        assert set(load.kinds(since=pulled + 0.1)) == {"store"}
        far.plug()
        healed = time.monotonic()
        load.wait_for_recovery(healed, seconds=10)
    print(load.story(), f"recovery {load.recovery_ms(healed):.0f} ms")
    load.assert_all_answered()
    load.assert_in_time(50)
    allowed = load.count("allow")
    counted = sum(int(server.client().get(k)) for k in server.client().keys("*"))
    # What was on its way when the wire was pulled may be charged and never told.
    assert allowed <= counted <= allowed + 200 + slack_ms() * 10
