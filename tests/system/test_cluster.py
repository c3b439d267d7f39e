# SPDX-License-Identifier: ISC
"""A Redis Cluster whose slots move under load, whose nodes are lost and replaced.

Every grant's count is exactly what its callers were told, whatever moved meanwhile.
RATION_FULL=1 makes the large one 100,000 checks over 1,000 grants.
"""
import collections
import os
import random
import re
import threading
import time

import pytest

from cluster import key_slot
from harness import ROOT, limit, patience, policy, wait_for
from load import counter_key, kind_of, read_answers, words

FULL = bool(os.environ.get("RATION_FULL"))
GRANTS, CHECKS, MAX = (1000, 100, 80) if FULL else (200, 60, 48)
# No check may fail because the machine is busy, or while a slot is half moved.
FLAGS = ["--deadline-ms", "60000"]
ONE = policy(t={"limits": [limit("c", "30d", MAX)]})


def key_of(grant, counter="c", window="2592000s"):
    return counter_key(counter, window, grant=grant)


class Mover(threading.Thread):
    """Moves slots of these keys to other masters until told to stop: some at once, some
    left half-way for a while, some with half of their keys here and half there."""

    def __init__(self, cluster, keys, seed=1, crowd=6):
        super().__init__()
        self.cluster, self.crowd, self.moved = cluster, crowd, 0
        self.slots = sorted({key_slot(key.encode()) for key in keys})
        self.where = {slot: cluster.owner(slot) for slot in self.slots}
        self.dice, self.fault = random.Random(seed), None
        self.over = threading.Event()

    def run(self):
        try:
            while not self.over.is_set():
                self.round()
        except BaseException as fault:
            self.fault = fault

    def round(self):
        batch = self.dice.sample(self.slots, min(self.crowd, len(self.slots)))
        moves = [(slot, self.where[slot], self.dice.choice(
            [m for m in self.cluster.masters if m is not self.where[slot]]))
            for slot in batch]
        for move in moves:
            self.cluster.begin_move(*move)
        self.over.wait(self.dice.choice([0, 0.02, 0.1]))
        for move in moves[::2]:
            self.cluster.move_keys(*move, n=1)
        self.over.wait(self.dice.choice([0, 0.02, 0.1]))
        for move in moves:
            self.cluster.end_move(*move)
            self.where[move[0]] = move[2]
            self.moved += 1

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *exc):
        self.over.set()
        self.join(patience(60))
        assert not self.is_alive()
        if self.fault:
            raise self.fault


def run_all(jobs):
    """Runs them in threads; raises what they raised."""
    faults = []

    def guarded(job):
        try:
            job()
        except BaseException as fault:
            faults.append(fault)
    threads = [threading.Thread(target=guarded, args=(job,)) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(patience(300))
        assert not thread.is_alive()
    if faults:
        raise faults[0]


def pipeline(daemon, grants, admitted, seen, depth=32, command=None):
    """Checks of these grants, `depth` under way; counts what was allowed."""
    command = command or (lambda grant: words("CHECK", "t", grant))
    with daemon.connect("resp", timeout=patience(90)) as sock:
        for at in range(0, len(grants), depth):
            part = grants[at:at + depth]
            sock.sendall(b"".join(command(grant) for grant in part))
            for grant, answer in zip(part, read_answers(sock, len(part)), strict=True):
                seen[kind_of(answer)] += 1
                admitted[grant] += answer.verdict


def over_http(daemon, grants, admitted, seen):
    for grant in grants:
        status, body, _ = daemon.check("t", grant)
        assert status in (200, 429), body
        seen["allow" if status == 200 else "deny"] += 1
        admitted[grant] += status == 200


def storm(daemons, grants, each, depth=32, http=True, **kw):
    """Each grant is asked for `each` times, by several connections of all daemons."""
    dice = random.Random(7)
    asks = [g for g in grants for _ in range(each)]
    dice.shuffle(asks)
    n = 6
    counters = [(collections.Counter(), collections.Counter()) for _ in range(n)]
    jobs = []
    for i in range(n):
        # One in a hundred goes over HTTP, which Python asks for one by one.
        share, daemon = asks[i::n], daemons[i % len(daemons)]
        cut = len(share) // 100 if http else 0
        jobs.append(lambda d=daemon, s=share[cut:], c=counters[i]: pipeline(
            d, s, *c, depth=depth, **kw))
        jobs.append(lambda d=daemon, s=share[:cut], c=counters[i]: over_http(d, s, *c))
    run_all(jobs)
    return (sum((c[0] for c in counters), collections.Counter()),
            sum((c[1] for c in counters), collections.Counter()))


def test_exact_while_slots_move(rationd, cluster_factory):
    cluster = cluster_factory(3)
    daemons = [rationd(ONE, store=cluster.url, flags=FLAGS) for _ in range(2)]
    grants = [f"g{i}" for i in range(GRANTS)]
    begun = time.monotonic()
    with Mover(cluster, [key_of(g) for g in grants]) as mover:
        admitted, seen = storm(daemons, grants, CHECKS)
    took = time.monotonic() - begun
    redirects = sum(d.metric("ration_store_redirects_total") for d in daemons)
    print(f"{GRANTS * CHECKS} checks in {took:.1f} s, {mover.moved} slots moved, "
          f"{redirects:.0f} redirections")
    assert sum(seen.values()) == GRANTS * CHECKS and seen["store"] == 0, seen
    assert mover.moved > 10 and redirects > 10
    assert admitted == {grant: MAX for grant in grants}
    assert cluster.counts() == {key_of(grant): MAX for grant in grants}


def neighbours(n):
    """Grants of which the counters are in one slot."""
    found = collections.defaultdict(list)
    for i in range(100000):
        mine = found[key_slot(key_of(f"g{i}").encode())]
        mine.append(f"g{i}")
        if len(mine) == n:
            return mine
    raise AssertionError("no such names")


def test_checks_of_one_counter_go_on_in_a_slot_half_moved(rationd, cluster_factory):
    """Together they are refused (TRYAGAIN), alone they are not."""
    cluster = cluster_factory(2)
    daemon = rationd(policy(t={"limits": [limit("c", "30d", 1000)]}), store=cluster.url,
                     flags=["--deadline-ms", "3000"])
    here, there, new = grants = neighbours(3)
    slot = key_slot(key_of(here).encode())
    source = cluster.owner(slot)
    target = next(m for m in cluster.masters if m is not source)
    admitted, seen = collections.Counter(), collections.Counter()
    pipeline(daemon, [here, there], admitted, seen)
    cluster.begin_move(slot, source, target)
    source.ask("MIGRATE", target.host, target.port, key_of(there), 0, 5000)
    pipeline(daemon, grants * 50, admitted, seen)
    assert seen["store"] == 0
    assert daemon.metric("ration_store_redirects_total") > 3
    cluster.end_move(slot, source, target)
    pipeline(daemon, grants * 50, admitted, seen)
    assert admitted == {here: 101, there: 101, new: 100}
    assert cluster.counts() == {key_of(g): n for g, n in admitted.items()}


def test_several_limits_wait_for_their_slot(rationd, cluster_factory):
    """All or none of three counters, while a slot has some of them here, some there."""
    cluster = cluster_factory(3)
    daemon = rationd(policy(t={"limits": [
        limit("a", "30d", 30), limit("b", "30d", 20), limit("c", "30d", 1000)]}),
        store=cluster.url, flags=FLAGS)
    grants = [f"g{i}" for i in range(20)]
    keys = [key_of(g, c) for g in grants for c in "abc"]
    with Mover(cluster, keys) as mover:
        admitted, seen = storm([daemon], grants, 40, http=False)
    assert mover.moved > 0 and seen["store"] == 0
    assert admitted == {g: 20 for g in grants}
    assert cluster.counts() == {key: 20 for key in keys}


def test_ids_and_reservations_while_slots_move(rationd, cluster_factory):
    """Each id is asked for three times, through two daemons: charged once."""
    cluster = cluster_factory(3)
    daemons = [rationd(policy(t={"limits": [limit("c", "30d", 10 ** 6)]}),
                       store=cluster.url, flags=FLAGS) for _ in range(2)]
    grants = [f"g{i}" for i in range(12)]
    settled = []

    def ask(k):
        for i in range(40):
            grant, name = grants[i % len(grants)], f"id{k}-{i}"
            bodies = [daemons[(k + j) % 2].check("t", grant, request_id=name)[1]
                      for j in range(3)]
            assert [b["replayed"] for b in bodies] == [False, True, True], bodies

    def reserve(k):
        for i in range(30):
            grant = grants[i % len(grants)]
            _, body, _ = daemons[k % 2].check("t", grant, mode="reserve", cost=5)
            held = body["reservation"]
            action = ("commit", "rollback")[i % 2]
            more = {"cost": 3} if i % 2 == 0 else {}
            other = daemons[(k + 1) % 2]
            answers = [other.post(f"/v1/{action}", {"reservation": held, **more})
                       for _ in range(2)]
            assert [a.status_code for a in answers] == [200, 200], [
                a.text for a in answers]
            assert [a.json()["done"] for a in answers] == [True, False]
            settled.append((grant, 3 if i % 2 == 0 else 0))

    with Mover(cluster, [key_of(g) for g in grants], crowd=3) as mover:
        run_all([lambda k=k: ask(k) for k in range(2)] +
                [lambda k=k: reserve(k) for k in range(2)])
    assert mover.moved > 0
    want = collections.Counter()
    for k in range(2):
        for i in range(40):
            want[key_of(grants[i % len(grants)])] += 1
    for grant, cost in settled:
        want[key_of(grant)] += cost
    counts = cluster.counts()
    assert {key: counts[key] for key in want} == want


def test_reset_and_throttle_while_slots_move(rationd, cluster_factory):
    cluster = cluster_factory(3)
    daemon = rationd(policy(t={"limits": [
        limit(c, "30d", 10 ** 6) for c in ("a", "b", "c")]}),
        store=cluster.url, flags=FLAGS)
    grants = [f"g{i}" for i in range(6)]
    with Mover(cluster, [key_of(g, "a") for g in grants], crowd=2) as mover:
        for i in range(30):
            grant = grants[i % len(grants)]
            assert daemon.check("t", grant)[0] == 200
            done = daemon.post("/v1/reset", {"policy": "default",
                                             "scope": f"grant={grant}"})
            assert done.status_code == 200, done.text
            with daemon.resp() as client:
                # A burst of 2 is 3 at once.
                got = [client.execute_command("CL.THROTTLE", f"k{i}", 2, 1, 3600)[0]
                       for _ in range(4)]
            assert got == [0, 0, 0, 1]
    assert mover.moved > 0
    assert not [key for key in cluster.counts() if ":30d" in key or "2592000s" in key]


def promote(cluster, lost):
    """The replica of a lost master takes its place."""
    replica = cluster.replicas[lost][0]
    cluster.masters[cluster.masters.index(lost)] = replica
    wait_for(lambda: replica.ask("INFO", "replication")["role"] == "master", 30,
             "the promotion", every=0.05)
    return replica


def test_a_master_killed_and_its_replica_promoted(rationd, cluster_factory):
    cluster = cluster_factory(3, replicas=1)
    daemon = rationd(policy(t={"limits": [limit("c", "30d", 10 ** 6)]}),
                     store=cluster.url, flags=["--deadline-ms", "300"])
    grants = [f"g{i}" for i in range(60)]
    lost = cluster.masters[0]
    theirs = {g for g in grants if cluster.master_of(key_of(g)) is lost}
    assert theirs and len(theirs) < len(grants)
    told = collections.Counter()

    def round(check):
        for grant in grants:
            begun = time.monotonic()
            status, body, _ = daemon.check("t", grant)
            took_ms = (time.monotonic() - begun) * 1000
            assert took_ms < 300 + 20 + patience(0.2) * 1000, (took_ms, body)
            told[grant] += status == 200
            check(grant, status, body)

    def fine(grant, status, body):
        assert status == 200, (grant, body)

    def others_go_on(grant, status, body):
        assert status == (503 if grant in theirs else 200), (grant, body)

    round(fine)
    lost.kill()
    killed = time.monotonic()
    round(others_go_on)
    assert daemon.get("/readyz").status_code == 200
    promote(cluster, lost)
    one = next(iter(theirs))
    wait_for(lambda: daemon.check("t", one)[0] == 200, 10, "the promoted replica's turn")
    print(f"recovered after {time.monotonic() - killed:.2f} s, of which the Cluster's "
          "own share is its node timeout and vote")
    before = cluster.counts()
    round(fine)
    after = cluster.counts()
    assert {g: after[key_of(g)] - before[key_of(g)] for g in grants} == {
        g: 1 for g in grants}


def test_a_node_lost_without_a_replica(rationd, cluster_factory):
    """Its slots' checks are told so in time; the others' go on."""
    cluster = cluster_factory(3, options={"cluster-require-full-coverage": "no"})
    daemon = rationd(policy(t={"limits": [limit("c", "30d", 10 ** 6)]}),
                     store=cluster.url, flags=["--deadline-ms", "200"])
    grants = [f"g{i}" for i in range(30)]
    lost = cluster.masters[1]
    theirs = {g for g in grants if cluster.master_of(key_of(g)) is lost}
    daemon.check("t", grants[0])
    lost.pause()  # worse than dead: nothing is refused, nothing comes
    try:
        for _ in range(2):
            for grant in grants:
                begun = time.monotonic()
                status, body, _ = daemon.check("t", grant)
                took_ms = (time.monotonic() - begun) * 1000
                assert status == (503 if grant in theirs else 200), (grant, body)
                assert took_ms < 200 + 20 + patience(0.2) * 1000
        lost.kill()
        others = [m for m in cluster.masters if m is not lost]
        wait_for(lambda: all(int(m.info()["cluster_slots_fail"]) > 0 for m in others),
                 20, "the failure's detection", every=0.05)
        for grant in grants:
            assert daemon.check("t", grant)[0] == (503 if grant in theirs else 200)
        assert daemon.get("/readyz").status_code == 200
    finally:
        lost.start()
    wait_for(lambda: all(daemon.check("t", g)[0] == 200 for g in theirs), 20,
             "the node's return")


def test_a_slot_that_nobody_served(rationd, cluster_factory):
    """Once somebody does its checks go on, without waiting for the map's next turn."""
    cluster = cluster_factory(3, options={"cluster-require-full-coverage": "no"})
    slot = key_slot(key_of("g").encode())
    owner = cluster.owner(slot)
    for node in cluster.masters:
        node.ask("CLUSTER", "DELSLOTS", slot)
    daemon = rationd(ONE, store=cluster.url)
    # It asks again soon whom it was not connected to at first, and then after 2.5 s or more.
    end = time.monotonic() + 0.6
    while time.monotonic() < end:
        status, body, _ = daemon.check("t", "g")
        assert status == 503 and "no node of the Cluster serves" in body["message"]
    owner.ask("CLUSTER", "ADDSLOTS", slot)
    for node in cluster.masters:
        node.ask("CLUSTER", "SETSLOT", slot, "NODE", owner.id)
    begun = time.monotonic()
    wait_for(lambda: daemon.check("t", "g")[0] == 200, 10, "its turn")
    assert time.monotonic() - begun < 1.5
    for node in cluster.masters:
        node.kill()
    wait_for(lambda: ready(daemon, 503, False, "none of the Cluster's 3 masters serves; ",
                           "cannot connect to"), 5, "the reason")


def ready(daemon, status, degraded, *words):
    """Whether /readyz says so, with these words."""
    answer = daemon.get("/readyz")
    body = answer.json()
    return ((answer.status_code, body["degraded"]) == (status, degraded) and
            all(word in body.get("why", "") for word in words) and
            ("why" in body) == bool(words))


def test_nodes_without_a_name(rationd, cluster_factory):
    """MOVED and ASK say "?" in the place of a host: what is meant is not guessed."""
    cluster = cluster_factory(3, options={"cluster-preferred-endpoint-type": "hostname"})
    daemon = rationd(policy(t={"limits": [limit("c", "30d", 10 ** 6)]}),
                     store=cluster.url, flags=FLAGS)
    grants = [f"g{i}" for i in range(12)]
    slots = [key_slot(key_of(grant).encode()) for grant in grants]
    for grant, slot in zip(grants, slots):
        assert daemon.check("t", grant)[0] == 200
        owner = cluster.owner(slot)
        cluster.move(slot, owner, next(m for m in cluster.masters if m is not owner))
        assert daemon.check("t", grant)[0] == 200
    assert daemon.metric("ration_store_redirects_total") > 0
    assert "cannot connect" not in daemon.log
    assert cluster.counts() == {key_of(grant): 2 for grant in grants}


def test_a_cluster_whose_nodes_all_change(rationd, cluster_factory):
    """One after another is replaced, under load; not one check fails, but for what a node
    refuses since it does not know for a moment whose a slot is: when a replica's last word
    before its promotion overtakes the first one behind it, on another connection, Redis
    takes the slots from it until it is heard again."""
    cluster = cluster_factory(3)
    daemon = rationd(policy(t={"limits": [limit("c", "30d", 10 ** 6)]}),
                     store=cluster.url, flags=FLAGS)
    grants = [f"g{i}" for i in range(40)]
    admitted, seen = collections.Counter(), collections.Counter()
    over, faults = threading.Event(), []

    def load():
        try:
            while not over.is_set():
                pipeline(daemon, grants, admitted, seen, depth=8)
        except BaseException as fault:
            faults.append(fault)
    thread = threading.Thread(target=load)
    thread.start()
    try:
        for old in list(cluster.masters):
            cluster.replace(old)
            old_seen = seen["allow"]
            wait_for(lambda: seen["allow"] > old_seen + 400, 30, "checks in between")
            old.kill()
    finally:
        over.set()
        thread.join(patience(60))
    assert not faults, faults
    unknown = sum(daemon.log.count(f"{word} Hash slot not served") for word in (
        "serve this key: CLUSTERDOWN", "(CLUSTERDOWN"))
    refused = sum(daemon.metric(f'ration_store_faults_total{{class="{name}"}}')
                  for name in ("clusterdown", "breaker"))
    assert seen["store"] == (refused if unknown else 0), daemon.log[-3000:]
    assert cluster.counts() == {key_of(g): admitted[g] for g in grants}
    # A slot that nobody has asked for since is on the map a quarter of a second later.
    wait_for(lambda: daemon.check("t", "new")[0] == 200, 2, "the map")


def test_late_charges_come_back_though_their_slot_moved(rationd, cluster_factory):
    """The key goes right behind the late charge, before that can be given back."""
    cluster = cluster_factory(3)
    daemon = rationd(policy(t={"limits": [limit("c", "30d", 10 ** 6)]}),
                     store=cluster.url, flags=["--deadline-ms", "100"])
    key = key_of("g")
    told = int(daemon.check("t", "g")[0] == 200)
    slot, home = key_slot(key.encode()), cluster.master_of(key)
    target = next(m for m in cluster.masters if m is not home)
    target.ask("CLUSTER", "SETSLOT", slot, "IMPORTING", home.id)
    with home.client() as client, home.client() as mover:
        mover.ping()
        sleeper = threading.Thread(target=lambda: client.execute_command(
            "DEBUG", "SLEEP", "0.8"))
        sleeper.start()
        while daemon.check("t", "g")[0] == 200:
            told += 1
        moves = mover.pipeline(transaction=False)
        moves.execute_command("CLUSTER", "SETSLOT", slot, "MIGRATING", target.id)
        moves.execute_command("MIGRATE", target.host, target.port, key, 0, 5000)
        moves.execute()
        sleeper.join()
    wait_for(lambda: daemon.metric("ration_store_given_back_total") > 0, 10,
             "the give-back")
    assert daemon.metric("ration_store_redirects_total") > 0
    cluster.end_move(slot, home, target)
    assert cluster.get(key) == b"%d" % told


def test_the_wrong_kind_of_url_is_named(rationd, cluster_factory, redis_server):
    cluster = cluster_factory(1)
    node = cluster.masters[0]
    plain = rationd(ONE, store=f"redis://{node.address}", wait="live",
                    flags=["--deadline-ms", "100"])
    wait_for(lambda: "redis+cluster://" in plain.log.split("store redis", 1)[-1], 10)
    status, body, _ = plain.check("t", "g")
    assert status == 503
    other = rationd(ONE, store=redis_server.url.replace("redis:", "redis+cluster:")
                    .replace("/0", ""), wait="live", flags=["--deadline-ms", "100"])
    wait_for(lambda: "no node of a Cluster" in other.log, 10)
    assert other.check("t", "g")[0] == 503
    assert "no node of a Cluster" in other.get("/readyz").text


def smallest_acl():
    """The user's rights as docs/redis.md gives them, with those for a Cluster."""
    text = (ROOT / "docs/redis.md").read_text()
    rights = re.search(r"ACL SETUSER ration on >SECRET (~ration.*)", text)[1]
    more = re.search(r"`(\+cluster\|slots[^`]*\+asking)`", text)[1]
    return f"user ration on >SECRET {rights} {' '.join(more.split())}"


def test_the_smallest_acl_is_enough(rationd, cluster_factory):
    cluster = cluster_factory(2, acl=["user default on nopass ~* &* +@all",
                                      smallest_acl()])
    url = cluster.url.replace("://", "://ration:SECRET@")
    daemon = rationd(policy(t={"limits": [limit("c", "30d", 100)]}), store=url,
                     flags=FLAGS)
    slot = key_slot(key_of("g").encode())
    source = cluster.owner(slot)
    target = next(m for m in cluster.masters if m is not source)
    assert daemon.check("t", "g")[0] == 200
    cluster.begin_move(slot, source, target)
    cluster.move_keys(slot, source, target)
    assert daemon.check("t", "g")[0] == 200  # behind ASKING
    cluster.end_move(slot, source, target)
    _, body, _ = daemon.check("t", "g", mode="reserve", request_id="i")
    held = {"reservation": body["reservation"]}
    assert daemon.check("t", "g", mode="reserve", request_id="i")[1]["replayed"]
    assert daemon.post("/v1/rollback", held).json()["done"]
    assert cluster.get(key_of("g")) == b"2"
    assert daemon.post("/v1/reset", {"policy": "default", "scope": "grant=g"}
                       ).status_code == 200
    assert "NOPERM" not in daemon.log


@pytest.mark.parametrize("what", ["SCRIPT FLUSH", "CLIENT KILL TYPE normal"])
def test_scripts_and_connections_lost(rationd, cluster_factory, what):
    cluster = cluster_factory(3)
    daemon = rationd(ONE, store=cluster.url, flags=FLAGS)
    grants = [f"g{i}" for i in range(50)]
    admitted, _ = storm([daemon], grants, 4, http=False)
    for node in cluster.masters:
        node.ask(*what.split())
    wait_for(lambda: daemon.check("t", "x")[0] == 200, 10)
    for grant in grants:  # each node has noticed, and is back
        wait_for(lambda g=grant: daemon.check("u", g)[0] in (403, 200), 5)
    more, seen = storm([daemon], grants, 4, http=False)
    if what == "SCRIPT FLUSH":
        assert seen["store"] == 0
    counts = cluster.counts()
    assert {g: counts[key_of(g)] for g in grants} == {
        g: admitted[g] + more[g] for g in grants}
