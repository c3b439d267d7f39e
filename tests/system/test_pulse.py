# SPDX-License-Identifier: ISC
"""Whether a Redis that nobody asks for anything still answers, as /readyz tells it: no test
here sends a check before it is over. Of a Cluster: test_cluster_health.py."""
import time

import pytest

from fault_proxy import FaultProxy
from faulty import wait_not_ready
from harness import limit, patience, policy, wait_for
from netns import wire
from sentinels import Group
from tls_files import Authority, serve_tls, tls_url

HOUR = policy(much=[limit("much", "hour", 10**9)])
SILENT = "no answer to TIME for a second"


@pytest.fixture
def spaces():
    """Asked for before Redis and daemons, so that it outlives them."""
    with wire() as both:
        yield both


def assert_back(daemon, healed, seconds):
    """Ready again by itself, and soon; then a check is allowed."""
    wait_for(lambda: daemon.get("/readyz").status_code == 200, 10, "/readyz")
    assert time.monotonic() - healed < patience(seconds)
    assert daemon.metric("ration_store_up") == 1
    assert daemon.metric("ration_store_takes_total") == 0
    assert daemon.check("much", "g")[0] == 200


def told(daemon, word):
    return daemon.log.count(word)


def freeze(daemon, server, n=1):
    """Until every worker has said so, once."""
    server.pause()
    wait_not_ready(daemon, SILENT)
    wait_for(lambda: told(daemon, "not ready any more: " + SILENT) == n, 5, "each of them")
    assert daemon.metric("ration_store_up") == 0


@pytest.mark.parametrize("workers", [1, 3])
def test_frozen(redis_server, rationd, workers):
    daemon = rationd(HOUR, store=redis_server.url, flags=["--workers", workers])
    try:
        freeze(daemon, redis_server, workers)
    finally:
        redis_server.resume()
    assert_back(daemon, time.monotonic(), 1)
    assert told(daemon, "not ready any more") == workers
    assert daemon.metric("ration_store_breaker_opened_total") == 0


def test_frozen_for_long(redis_server, rationd):
    """Past 3 s another connection is made, which waits for Redis as this one did."""
    daemon = rationd(HOUR, store=redis_server.url, flags=["--workers", 1])
    try:
        freeze(daemon, redis_server)
        wait_not_ready(daemon, "no answer to TIME for 3 s")
        wait_not_ready(daemon, "no answer to the introduction within 2 s")
    finally:
        redis_server.resume()
    # The longest pause between two attempts is a second.
    assert_back(daemon, time.monotonic(), 1.5)
    assert told(daemon, "not ready any more") == 1
    assert told(daemon, "no answer to TIME for 3 s") == 1


def test_frozen_over_tls(redis_server, rationd, tmp_path):
    ca = Authority(tmp_path, "a CA")
    serve_tls(redis_server, ca.issue("server", "DNS:redis.test"), ca)
    daemon = rationd(HOUR, store=tls_url(redis_server), flags=[
        "--workers", 1, "--store-tls-ca", ca.file, "--store-tls-name", "redis.test"])
    try:
        freeze(daemon, redis_server)
    finally:
        redis_server.resume()
    assert_back(daemon, time.monotonic(), 1)


def test_ends_while_it_is_frozen(redis_server, rationd):
    daemon = rationd(HOUR, store=redis_server.url, flags=["--workers", 2])
    try:
        freeze(daemon, redis_server, 2)
        daemon.stop()
    finally:
        redis_server.resume()


def test_lost_without_a_word(redis_server, rationd):
    """What went into the hole is gone: only another connection is of use."""
    with FaultProxy((redis_server.host, redis_server.port)) as proxy:
        daemon = rationd(HOUR, store=proxy.url, flags=["--workers", 2])
        proxy.half_open()
        wait_not_ready(daemon, SILENT)
        proxy.heal()
        # Three seconds of silence in all: two more.
        assert_back(daemon, time.monotonic(), 4)
        assert told(daemon, "no answer to TIME for 3 s") == 2
        assert daemon.metric("ration_store_lost_total") == 0


def test_wire_pulled(spaces, redis_factory, rationd):
    near, far = spaces
    server = redis_factory(space=far)
    daemon = rationd(HOUR, store=server.url, space=near, flags=["--workers", 1])
    far.unplug()
    wait_not_ready(daemon, SILENT)
    wait_not_ready(daemon, "does not answer")
    far.plug()
    # An attempt that is under way asks again after a second, or is given up after two.
    assert_back(daemon, time.monotonic(), 4)


def test_frozen_master(rationd):
    """Until the Sentinels name another."""
    with Group(**{"down-after-milliseconds": 5000}) as group:
        daemon = rationd(HOUR, store=group.url(), flags=["--workers", 1])
        old = group.master
        freeze(daemon, old)
        group.wait_moved(old)
        assert_back(daemon, time.monotonic(), 3)
        assert daemon.metric("ration_store_master_changes_total") == 1


def test_asked_once_a_second_at_most(redis_server, rationd):
    daemon = rationd(HOUR, store=redis_server.url, flags=["--workers", 1])

    def asked():
        with redis_server.client() as client:
            return client.info("commandstats").get("cmdstat_time", {"calls": 0})["calls"]
    wait_for(lambda: asked() == 1, 5, "the first time")
    begun = time.monotonic()
    wait_for(lambda: asked() >= 4, 10, "three times more")
    # A second to one and a quarter between two of them.
    assert 2.8 < time.monotonic() - begun < patience(4)
    assert daemon.get("/readyz").status_code == 200
