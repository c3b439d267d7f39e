# SPDX-License-Identifier: ISC
"""Whether a Redis Cluster serves, as /readyz tells it also while nobody asks for anything,
and what becomes of checks before the first connection to it."""
import time

from harness import patience, wait_for
from load import kind_of, read_answers, words
from test_cluster import FLAGS, ONE, Mover, key_of, ready, smallest_acl


def test_a_cluster_that_is_down_is_not_ready(rationd, cluster_factory):
    """With nobody asking for anything: a part of it first, then, when it says so, all."""
    cluster = cluster_factory(3)
    daemon = rationd(ONE, store=cluster.url)
    wait_for(lambda: ready(daemon, 200, False), 5, "all masters")
    lost, *others = cluster.masters
    lost.kill()
    wait_for(lambda: ready(daemon, 200, True, "of the Cluster's 16384 slots are not serv",
                           lost.address, "cannot connect"), 5, "the lost master")
    wait_for(lambda: all(n.info()["cluster_state"] == "fail" for n in others), 20,
             "the Cluster's word", every=0.02)
    down = time.monotonic()
    wait_for(lambda: ready(
        daemon, 503, False, "none of the Cluster's 3 masters serves", lost.address,
        "cluster_state:fail", "promote replicas"), 5, "the same of rationd")
    assert time.monotonic() - down < patience(1)
    assert daemon.metric("ration_store_up") == 0
    assert daemon.metric("ration_store_takes_total") == 0
    # Once each of them and of the worker, whatever they are asked how often.
    assert daemon.log.count("does not serve: cluster_state:fail") == 2
    assert daemon.log.count("not ready any more") == 1
    lost.start()
    wait_for(lambda: all(n.info()["cluster_state"] == "ok" for n in cluster.masters), 20,
             "the Cluster's return", every=0.02)
    back = time.monotonic()
    wait_for(lambda: ready(daemon, 200, False), 5, "the same of rationd")
    # The lost one may be in the longest pause between two attempts.
    assert time.monotonic() - back < patience(2)
    assert daemon.check("t", "g")[0] == 200


def test_a_part_of_a_cluster_is_enough_to_be_ready(rationd, cluster_factory):
    cluster = cluster_factory(3, options={"cluster-require-full-coverage": "no"})
    daemon = rationd(ONE, store=cluster.url)
    lost = cluster.masters[2]
    lost.kill()
    wait_for(lambda: all(int(n.info()["cluster_slots_fail"]) > 0
                         for n in cluster.masters[:2]), 20, "the others' word")
    wait_for(lambda: ready(daemon, 200, True, lost.address), 5)
    assert daemon.metric("ration_store_up") == 1
    assert lost.address in daemon.resp().info()["store_fault"]
    lost.start()
    wait_for(lambda: ready(daemon, 200, False), 10, "the node's return")


def test_frozen_masters_are_not_ready(rationd, cluster_factory):
    """Nothing is refused, no connection breaks, and no check is there to miss an answer.
    A connection that is lost without a word would look the same: it is given up."""
    cluster = cluster_factory(2, options={"cluster-node-timeout": 60000})
    daemon = rationd(ONE, store=cluster.url)
    first, second = cluster.masters
    try:
        first.pause()
        wait_for(lambda: ready(daemon, 200, True, first.address,
                               "no answer to CLUSTER INFO"), 5, "the frozen one")
        second.pause()
        wait_for(lambda: ready(daemon, 503, False, "none of the Cluster's 2 masters serve"),
                 5, "both")
        wait_for(lambda: daemon.log.count("CLUSTER INFO for 3 s") == 2, 10,
                 "the end of its patience")
    finally:
        for node in cluster.masters:
            node.resume()
    wait_for(lambda: ready(daemon, 200, False), 5, "both again")
    assert daemon.check("t", "g")[0] == 200


def test_masters_are_asked_how_they_are_once_a_second(rationd, cluster_factory):
    cluster = cluster_factory(2)
    daemon = rationd(ONE, store=cluster.url)
    wait_for(lambda: ready(daemon, 200, False), 5, "all masters")

    def asked():
        with cluster.masters[0].client() as client:
            return client.info("commandstats")["cmdstat_cluster|info"]["calls"]
    begun, before = time.monotonic(), asked()
    wait_for(lambda: asked() >= before + 5, 10, "five times")
    # Half a second to a second between two of them.
    assert 1.8 < time.monotonic() - begun < patience(6)


def test_slots_that_move_make_nobody_unready(rationd, cluster_factory):
    cluster = cluster_factory(3, options={"cluster-require-full-coverage": "no"})
    daemon = rationd(ONE, store=cluster.url, flags=FLAGS)
    grants = [f"g{i}" for i in range(20)]
    wait_for(lambda: ready(daemon, 200, False), 5, "all masters")
    with Mover(cluster, [key_of(g) for g in grants]) as mover:
        while mover.moved < 20:
            daemon.check("t", grants[mover.moved])
            assert ready(daemon, 200, False), daemon.get("/readyz").text
    slot = mover.slots[0]
    for node in cluster.masters:
        node.ask("CLUSTER", "DELSLOTS", slot)
    wait_for(lambda: ready(daemon, 200, True, "1 are assigned to no node"), 8,
             "the slot's absence")


def test_a_user_who_may_not_ask_how_masters_are(rationd, cluster_factory):
    acl = smallest_acl().replace("+cluster|info", "")
    cluster = cluster_factory(2, acl=["user default on nopass ~* &* +@all", acl])
    daemon = rationd(ONE, store=cluster.url.replace("://", "://ration:SECRET@"))
    wait_for(lambda: ready(daemon, 200, False), 5, "all masters")
    assert daemon.check("t", "g")[0] == 200
    assert daemon.log.count("needs +cluster|info") == 1


def test_checks_before_the_first_connection_wait_for_it(rationd, cluster_factory):
    cluster = cluster_factory(2)
    for node in cluster.masters:
        node.pause()
    try:
        daemon = rationd(ONE, store=cluster.url, flags=FLAGS, wait="live")
        with daemon.connect("resp", timeout=patience(30)) as sock:
            # What is not known yet, within its deadline and beyond.
            sock.sendall(words("CHECK", "t", "late", "TIMEOUT", 20))
            assert kind_of(read_answers(sock, 1)[0]) == "store"
            assert daemon.metric(
                'ration_store_faults_total{class="disconnected"}') == 1
            sock.sendall(b"".join(words("CHECK", "t", f"g{i}") for i in range(20)))
            wait_for(lambda: daemon.metric("ration_store_takes_total") == 21, 5)
            for node in cluster.masters:
                node.resume()
            assert {kind_of(a) for a in read_answers(sock, 20)} == {"allow"}
    finally:
        for node in cluster.masters:
            node.resume()
    assert sorted(cluster.counts().values()) == [1] * 20


def test_what_waits_for_a_node_that_is_new_says_so(rationd, cluster_factory):
    """It is no slot that moves."""
    cluster = cluster_factory(2, options={"cluster-node-timeout": 60000})
    asked, frozen = cluster.masters
    theirs = next(g for g in (f"g{i}" for i in range(99))
                  if cluster.master_of(key_of(g)) is frozen)
    mine = next(g for g in (f"g{i}" for i in range(99))
                if cluster.master_of(key_of(g)) is asked)
    frozen.pause()
    try:
        daemon = rationd(ONE, store="redis+cluster://" + asked.address, wait="live",
                         flags=["--deadline-ms", "3000"])
        assert daemon.check("t", mine)[0] == 200
        with daemon.connect("resp") as sock:
            sock.sendall(words("CHECK", "t", theirs, "TIMEOUT", 20))
            answer = read_answers(sock, 1)[0]
        assert kind_of(answer) == "store" and "connect" in answer.message, answer
        assert daemon.metric('ration_store_faults_total{class="tryagain"}') == 0
    finally:
        frozen.resume()
