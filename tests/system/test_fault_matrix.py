# SPDX-License-Identifier: ISC
"""Every fault of a Redis and of the way to it, each with load running. fault_matrix.py
has what is shown of each, and how to add one."""
import contextlib
import functools
import threading
import time

import pytest
import redis

import cluster
from fault_matrix import FEW, rows, run_row
from harness import wait_for
from load import assert_all_expire

row, ROWS = rows()

FILE = {"appendonly": "yes", "appendfsync": "everysec"}
ALWAYS = {"appendonly": "yes", "appendfsync": "always"}


# --- Redis ends -----------------------------------------------------------------------

@row("killed, every write on disk", options=ALWAYS)
def killed(site):
    site.redis.kill()
    site.stays("store")
    site.last(0.5)
    site.redis.start()


@row("killed again and again", options=ALWAYS, variant=True)
def killed_often(site):
    for _ in range(3):
        site.redis.restart()
        site.last(0.1)


@row("restarted from a file of the last second", options=FILE, variant=True)
def restarted_everysec(site):
    site.redis.kill()
    site.lost_but_file()
    site.redis.start()


@row("restarted from a snapshot")
def restarted_from_snapshot(site):
    with site.client as client:
        client.save()
    site.stays("allow")
    site.redis.kill()
    site.lost_but_file()
    site.redis.start()


@row("restarted empty")
def restarted_empty(site):
    site.redis.kill()
    site.lost({})
    site.redis.start()


@row("a replica promoted", options={"repl-diskless-sync-delay": 0})
def promoted(site):
    """What had not reached it is lost; rationd comes to it at the master's address."""
    old, new = site.redis, site.redis_factory()
    with new.client() as client:
        client.replicaof(old.host, old.port)
        wait_for(lambda: client.info("replication")["master_link_status"] == "up", 5,
                 "the replica")
        site.stays("allow")
        old.kill()
        client.replicaof("NO", "ONE")
    site.topology.redis = new
    site.lost(site.counts())
    site.proxy.aim((new.host, new.port))


# --- Redis does not answer, or refuses ------------------------------------------------

@row("frozen", exact=True)
def frozen(site):
    site.redis.pause()
    site.stays("store")
    site.last(0.7)
    site.redis.resume()


@row("frozen for moments", exact=True, variant=True)
def frozen_often(site):
    for i in range(10):
        site.redis.pause()
        site.last(0.03 + 0.005 * i)
        site.redis.resume()
        site.last(0.05)


@row("script flush", exact=True, degrades=False, deadline_ms=10000)
def script_flush(site):
    with site.client as client:
        for _ in range(20):
            client.script_flush()
            site.last(0.02)
    assert site.daemon.metric("ration_store_script_loads_total") > 5


@row("client kill")
def client_kill(site):
    with site.client as client:
        for _ in range(5):
            assert client.client_kill_filter(_type="normal", skipme=True) >= 1
            site.stays("allow")


@row("a long script", exact=True, options={"lua-time-limit": 50})
def busy(site):
    def loop_for_ever():
        with site.redis.client() as client, contextlib.suppress(redis.ResponseError):
            client.eval("while true do end", 0)
    script = threading.Thread(target=loop_for_ever)
    script.start()
    site.stays("store")
    site.last(0.5)
    with site.client as client:
        client.script_kill()
    script.join()
    assert site.daemon.metric('ration_store_faults_total{class="busy"}') > 0


@row("memory full", exact=True, options={"maxmemory-policy": "noeviction"})
def full(site):
    with site.client as client:
        client.config_set("maxmemory", "1mb")
        site.stays("store")
        site.last(0.5)
        client.config_set("maxmemory", "0")
    assert site.daemon.metric('ration_store_faults_total{class="memory"}') > 0


@row("a replica all of a sudden", exact=True, variant=True)
def demoted(site):
    other = site.redis_factory()
    with site.client as client:
        # Its data go when it follows another; a master that is away leaves it alone.
        other.kill()
        client.replicaof(other.host, other.port)
        site.stays("store")
        site.last(0.3)
        client.replicaof("NO", "ONE")


# --- the way to it --------------------------------------------------------------------

@row("cut by reset")
def cut_reset(site):
    site.proxy.cut("reset")
    site.stays("store")
    site.last(0.5)
    site.proxy.heal()


@row("cut by an orderly end", variant=True)
def cut_close(site):
    site.proxy.cut("close")
    site.stays("store")
    site.last(0.5)
    site.proxy.heal()


def half_open(up, down):
    def fault(site):
        site.proxy.half_open(up, down)
        site.stays("store")
        site.last(0.5)
        site.proxy.heal()
    return fault


# The connection has a hole and never passes again: 3 s without a reply end it.
row("half-open", back_s=5)(half_open(True, True))
row("half-open towards Redis", back_s=5, variant=True)(half_open(True, False))
row("half-open from Redis", back_s=5, variant=True)(half_open(False, True))


@row("nothing passes for a while", exact=True, variant=True)
def held(site):
    site.proxy.hold()
    site.stays("store")
    site.last(0.5)
    site.proxy.heal()


@row("200 ms away", exact=True)
def far(site):
    site.proxy.delay(200)
    site.stays("store")
    site.last(1)
    site.proxy.heal()


@row("200 ms away, and time for it", exact=True, degrades=False,
     deadline_ms=10000, variant=True)
def far_but_patient(site):
    site.proxy.delay(200)
    begun = time.monotonic()
    site.stays("allow")
    assert time.monotonic() - begun > 0.3
    site.last(1)
    site.proxy.heal()


@row("one byte at a time", exact=True, degrades=False, deadline_ms=10000, rate=300)
def one_byte(site):
    site.proxy.chunks(1)
    site.stays("allow")
    site.last(1)
    site.proxy.heal()


@row("30,000 bytes a second", exact=True, rate=1000, variant=True)
def throttled(site):
    site.proxy.throttle(30000)
    site.stays("store")
    site.last(1)
    site.proxy.heal()


# --- a Cluster ------------------------------------------------------------------------

class ThreeMasters:
    """A Cluster of three; what it holds is the sum of theirs."""

    def __init__(self, row, redis_factory, proxy_factory):
        make = functools.partial(redis_factory, kind=cluster.Node)
        self.cluster = cluster.Cluster(3, options=row.options, make=make)
        self.url = self.cluster.url

    def counts(self):
        return self.cluster.counts()

    def assert_tidy(self):
        for node in self.cluster.masters:
            with node.client() as client:
                assert_all_expire(client)


SOME = {"cluster-require-full-coverage": "no"}


@row("Cluster: slots that move", topology=ThreeMasters, deadline_ms=10000, exact=True,
     degrades=False)
def cluster_moves(site):
    """All of the load's slots go round. Checks of several counters wait for theirs, on a
    busy machine for as long as this takes."""
    masters = site.cluster.masters
    slots = sorted({cluster.key_slot(key.encode()) for key in site.allowed()})
    for slot in slots + slots[:4]:
        source = site.cluster.owner(slot)
        target = masters[(masters.index(source) + 1) % 3]
        site.cluster.begin_move(slot, source, target)
        site.last(0.05)
        site.cluster.move_keys(slot, source, target, n=1)
        site.last(0.05)
        site.cluster.end_move(slot, source, target)
    assert site.daemon.metric("ration_store_redirects_total") > len(slots)


@row("Cluster: a slot left half moved", topology=ThreeMasters, exact=True)
def cluster_half_moved(site):
    """Checks of one counter go on; those of several wait, and are told in time."""
    slot = cluster.key_slot(FEW.encode())
    others = [cluster.key_slot(key.encode()) for key in site.allowed() if "second" in key]
    source = site.cluster.owner(others[0])
    target = next(m for m in site.cluster.masters if m is not source)
    site.cluster.begin_move(others[0], source, target)
    assert site.cluster.move_keys(others[0], source, target, n=1) == 1
    site.load.wait_for_one("store", time.monotonic())
    site.last(0.5)
    site.cluster.end_move(others[0], source, target)
    assert slot != others[0]


@row("Cluster: a node lost, and back with its file", topology=ThreeMasters,
     options={**ALWAYS, **SOME}, back_s=10)
def cluster_node_lost(site):
    lost = site.cluster.owner(cluster.key_slot(FEW.encode()))
    lost.kill()
    site.stays("store")
    site.stays("allow")  # those of the other nodes
    site.last(2.5)       # until the others know it, too
    site.stays("allow")
    lost.start()


@row("Cluster: a node frozen", topology=ThreeMasters, options=SOME, back_s=3)
def cluster_node_frozen(site):
    lost = site.cluster.owner(cluster.key_slot(FEW.encode()))
    lost.pause()
    site.stays("store")
    site.stays("allow")
    site.last(0.5)
    lost.resume()


@pytest.mark.parametrize("one", ROWS, ids=lambda r: r.name.replace(" ", "_"))
def test_fault(one, rationd, redis_factory, proxy_factory):
    run_row(one, rationd, redis_factory, proxy_factory)
