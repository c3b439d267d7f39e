# SPDX-License-Identifier: ISC
"""Checks whose limits have scopes in several slots of a Cluster: part by part, but never
more than max, and what does not stand is given back."""
import collections
import contextlib
import random
import threading

import pytest

from cluster import Cluster, key_slot
from harness import limit, policy, wait_for
from load import counter_key
from test_cluster import FLAGS, Mover, run_all

# For what is to be told that it took too long: a deadline of its own, so that no other
# check is told so by a busy machine.
SOON = {"X-Ration-Timeout-Ms": "150"}
SCOPES = {"a": "grant", "b": "org", "c": "global"}


def keys_of(grant, org, window="2592000s"):
    return {"a": counter_key("a", window, grant=grant),
            "b": counter_key("b", window, org=org),
            "c": f"ration:default:{{global}}:c:{window}"}


def document(a=10 ** 6, b=10 ** 6, c=10 ** 6, **more):
    return policy(t={"limits": [
        limit(name, "30d", top, scope=SCOPES[name], **more)
        for name, top in (("a", a), ("b", b), ("c", c))]})


def check(daemon, grant, org, **more):
    return daemon.check("t", grant, attributes={"org": org}, **more)[:2]


def counts(cluster, grant, org):
    got = cluster.counts()
    return {name: got.get(key, 0) for name, key in keys_of(grant, org).items()}


def states(body):
    return {each["counter"]: each["used"] for each in body["limits"]}


@pytest.fixture(scope="module")
def made():
    """One for all of them: it takes Redis two seconds to say that a new one is well."""
    one = Cluster(3)
    yield one
    one.discard()


@pytest.fixture
def cluster(made):
    made.wait_ok(made.masters)
    for node in made.masters:
        node.ask("FLUSHALL")
    return made


def spread(cluster):
    """A grant and an org of which the counters are on three nodes."""
    for i in range(1000):
        grant, org = f"g{i}", f"o{i * 7}"
        nodes = [cluster.master_of(key) for key in keys_of(grant, org).values()]
        if len(set(nodes)) == 3:
            return grant, org, dict(zip("abc", nodes))
    raise AssertionError("no such names")


def test_admitted_refused_and_looked_at(rationd, cluster):
    daemon = rationd(document(a=3, b=2, c=5), store=cluster.url, flags=FLAGS)
    for n in (1, 2):
        status, body = check(daemon, "g", "o")
        assert status == 200 and states(body) == {"a": n, "b": n, "c": n}
    status, body = check(daemon, "g", "o", mode="peek")
    assert (status, body["rule"]) == (429, "/tools/t/limits/b")
    assert states(body) == {"a": 2, "b": 2, "c": 2}
    status, body = check(daemon, "g", "o")
    assert (status, body["rule"]) == (429, "/tools/t/limits/b")
    assert states(body) == {"a": 2, "b": 2, "c": 2}
    wait_for(lambda: counts(cluster, "g", "o") == {"a": 2, "b": 2, "c": 2}, 5)
    assert check(daemon, "g", "p")[0] == 200
    # Now both a and c are at an end for a cost of 3, b of org q is not: a comes first.
    status, body = check(daemon, "g", "q", cost=3)
    assert (status, body["rule"]) == (429, "/tools/t/limits/a")
    assert states(body) == {"a": 3, "b": 0, "c": 3}
    assert check(daemon, "g", "q", mode="peek")[1]["rule"] == "/tools/t/limits/a"
    wait_for(lambda: counts(cluster, "g", "q") == {"a": 3, "b": 0, "c": 3}, 5)


def test_exact_under_load_while_slots_move(rationd, cluster):
    """Never more than max; and what stands in Redis is what callers were told."""
    top = {"a": 40, "b": 60, "c": 300}
    daemons = [rationd(document(**top), store=cluster.url, flags=FLAGS)
               for _ in range(2)]
    grants, orgs = [f"g{i}" for i in range(12)], [f"o{i}" for i in range(6)]
    told = collections.Counter()
    lock = threading.Lock()

    def ask(k):
        dice = random.Random(k)
        for _ in range(150):
            grant, org = dice.choice(grants), dice.choice(orgs)
            status, body = check(daemons[k % 2], grant, org)
            assert status in (200, 429), body
            with lock:
                for key in keys_of(grant, org).values():
                    told[key] += status == 200

    keys = [key for g, o in zip(grants, orgs * 2) for key in keys_of(g, o).values()]
    with Mover(cluster, keys, crowd=2) as mover:
        run_all([lambda k=k: ask(k) for k in range(6)])
    assert mover.moved > 0
    for key, n in told.items():
        assert n <= top[key.split(":")[3]], key
    want = {key: n for key, n in told.items() if n > 0}
    wait_for(lambda: cluster.counts() == want, 20, "charges that do not stand to go")
    # There is room up to max, and no more.
    left = top["c"] - want[keys_of("g0", "o0")["c"]]
    got = sum(check(daemons[0], f"new{i}", f"new{i}")[0] == 200
              for i in range(left + 5))
    assert got == left


def test_shadow_charges_are_given_back(rationd, cluster):
    daemon = rationd(policy(t={"limits": [
        limit("a", "30d", 5, scope="grant", mode="shadow"),
        limit("b", "30d", 2, scope="org"),
        limit("c", "30d", 1, scope="global", mode="shadow"),
        limit("s", "30d", 5, scope="team", algorithm="sliding"),
        limit("k", "30d", 5, scope="crew", algorithm="token_bucket")]}),
        store=cluster.url, flags=FLAGS)
    who = {"org": "o", "team": "x", "crew": "y"}
    for _ in range(2):
        assert daemon.check("t", "g", attributes=who)[0] == 200
    used = {"a": 2, "b": 2, "c": 2, "s": 2, "k": 2}
    for _ in range(3):
        status, body, _ = daemon.check("t", "g", attributes=who)
        assert (status, body["rule"]) == (429, "/tools/t/limits/b")
        assert states(body) == used
    wait_for(lambda: counts(cluster, "g", "o") == {"a": 2, "b": 2, "c": 2}, 5)
    _, body, _ = daemon.check("t", "g", attributes=who, mode="peek")
    assert states(body) == used


def test_request_ids(rationd, cluster):
    daemons = [rationd(document(b=5), store=cluster.url, flags=FLAGS) for _ in range(2)]
    for i in range(5):
        bodies = [check(daemons[j % 2], "g", "o", request_id=f"i{i}")[1]
                  for j in range(3)]
        assert [b["replayed"] for b in bodies] == [False, True, True]
        assert [states(b) for b in bodies] == [{n: i + 1 for n in "abc"}] * 3
    # Denials are not remembered, and leave nothing.
    assert [check(d, "g", "o", request_id="no")[0] for d in daemons] == [429, 429]
    wait_for(lambda: counts(cluster, "g", "o") == {"a": 5, "b": 5, "c": 5}, 5)
    # The same id of another grant in the same org is another one; with another cost a
    # conflict.
    assert check(daemons[0], "g2", "o2", request_id="i0")[1]["replayed"] is False
    assert check(daemons[1], "g2", "o2", request_id="i0", cost=2)[0] == 422
    assert check(daemons[1], "g", "o", request_id="i0", mode="peek")[1]["replayed"]
    assert counts(cluster, "g2", "o2") == {"a": 1, "b": 1, "c": 6}


def test_a_retry_goes_on_where_the_first_try_ended(rationd, cluster):
    """The last part's node is frozen: told unavailable; then the same id again."""
    grant, org, nodes = spread(cluster)
    daemon = rationd(document(), store=cluster.url, flags=FLAGS)
    assert check(daemon, grant, org)[0] == 200
    nodes["a"].pause()  # the grant's own, which comes last
    try:
        status, body = check(daemon, grant, org, request_id="x", headers=SOON)
        assert status == 503, body
        wait_for(lambda: daemon.metric("ration_store_given_back_total") >= 2, 5,
                 "the other parts' give-back")
    finally:
        nodes["a"].resume()
    answers = []

    def again():
        answers.append(check(daemon, grant, org, request_id="x"))
        return answers[-1][0] == 200
    wait_for(again, 10, "an answer", every=0.05)
    status, body = check(daemon, grant, org, request_id="x")
    assert body["replayed"]
    wait_for(lambda: counts(cluster, grant, org) == {"a": 2, "b": 2, "c": 2}, 5)


def test_a_daemon_that_dies_half_way(rationd, cluster):
    """Another daemon's retry finds the parts that were done, and charges the rest."""
    grant, org, nodes = spread(cluster)
    first, second = [rationd(document(), store=cluster.url,
                             flags=FLAGS) for _ in range(2)]
    assert check(first, grant, org)[0] == check(second, grant, org)[0] == 200
    nodes["a"].pause()
    try:
        sock = first.connect("resp")
        sock.sendall(b"CHECK t %s ATTR org %s ID x\r\n" % (grant.encode(), org.encode()))
        wait_for(lambda: int(nodes["b"].ask("GET", keys_of(grant, org)["b"])) == 3 and
                 int(nodes["c"].ask("GET", keys_of(grant, org)["c"])) == 3, 5,
                 "two parts")
        first.kill()
        sock.close()
    finally:
        nodes["a"].resume()
    # What was on its way to the last node may have come there, or not.
    wait_for(lambda: check(second, grant, org, request_id="x")[0] == 200, 10)
    assert check(second, grant, org, request_id="x")[1]["replayed"]
    assert counts(cluster, grant, org) == {"a": 3, "b": 3, "c": 3}


@contextlib.contextmanager
def late_last_part(rationd, cluster, **more):
    """A try is refused, its other parts are given back; then its last one is charged all
    the same, which its daemon learns of at the end. Yields another daemon to ask."""
    grant, org, nodes = spread(cluster)
    first, second = [rationd(document(), store=cluster.url, flags=FLAGS)
                     for _ in range(2)]
    for daemon in (first, second):
        wait_for(lambda d=daemon: check(d, grant, org)[0] == 200, 10)
    before = counts(cluster, grant, org)
    nodes["a"].pause()
    try:
        assert check(first, grant, org, headers=SOON, **more)[0] == 503
        wait_for(lambda: first.metric("ration_store_given_back_total") >= 2, 5,
                 "the other parts' give-back")
        first.pause()
    finally:
        nodes["a"].resume()
    try:
        key = keys_of(grant, org)["a"]
        wait_for(lambda: int(nodes["a"].ask("GET", key)) == before["a"] + 1, 5, "the last")
        yield second, grant, org, before
    finally:
        first.resume()
    # What the first daemon has to give back is known by then.
    wait_for(lambda: check(first, grant, org, mode="peek")[0] == 200, 10)


def test_a_last_part_that_came_late(rationd, cluster):
    """A retry that finds that one alone charges the others, and they stand."""
    ask = {"request_id": "x"}
    with late_last_part(rationd, cluster, **ask) as (daemon, grant, org, before):
        wait_for(lambda: check(daemon, grant, org, **ask)[0] == 200, 10)
    assert check(daemon, grant, org, **ask)[1]["replayed"]
    assert counts(cluster, grant, org) == {n: before[n] + 1 for n in "abc"}


def test_a_reservation_of_which_a_part_came_late(rationd, cluster):
    """It has one holder: a retry waits for what is left of the first try to go."""
    ask = {"request_id": "x", "mode": "reserve"}
    with late_last_part(rationd, cluster, **ask) as (daemon, grant, org, before):
        wait_for(lambda: "is ending" in check(daemon, grant, org, **ask)[1]["message"],
                 10, "a refusal")
    wait_for(lambda: check(daemon, grant, org, **ask)[0] == 200, 10, "its turn")
    body = check(daemon, grant, org, **ask)[1]
    assert body["replayed"]
    assert counts(cluster, grant, org) == {n: before[n] + 1 for n in "abc"}
    held = {"reservation": body["reservation"]}
    assert daemon.post("/v1/rollback", held).json()["done"]
    assert counts(cluster, grant, org) == before


@pytest.mark.parametrize("action, cost, left", [
    ("commit", None, 5), ("commit", 3, 3), ("commit", 9, 9), ("rollback", None, 0)])
def test_reservations(rationd, cluster, action, cost, left):
    daemons = [rationd(document(), store=cluster.url, flags=FLAGS) for _ in range(2)]
    status, body = check(daemons[0], "g", "o", mode="reserve", cost=5)
    assert status == 200 and body["reservation"]
    assert counts(cluster, "g", "o") == {"a": 5, "b": 5, "c": 5}
    ask = {"reservation": body["reservation"]}
    assert daemons[1].post("/v1/renew", {**ask, "ttl": 1000}).json()["done"]
    more = {} if cost is None else {"cost": cost}
    done = [daemons[1].post(f"/v1/{action}", {**ask, **more}) for _ in range(2)]
    assert [(d.status_code, d.json()["done"]) for d in done] == [
        (200, True), (200, False)]
    assert counts(cluster, "g", "o") == {"a": left, "b": left, "c": left}
    assert daemons[0].post("/v1/renew", {**ask, "ttl": 5}).json()["done"] is False


def test_slots_of_several_scopes(rationd, cluster):
    """Held slots: the reservation that a retry is told is the first one's."""
    daemon = rationd(policy(t={"limits": [
        {"counter": "n", "max": 2, "scope": "grant", "algorithm": "concurrency"},
        {"counter": "m", "max": 3, "scope": "org", "algorithm": "concurrency"}]}),
        store=cluster.url, flags=FLAGS)
    who = {"attributes": {"org": "o"}, "mode": "reserve"}
    held = [daemon.check("t", "g", request_id=f"i{i}", **who)[1]["reservation"]
            for i in range(2)]
    assert len(set(held)) == 2 and all(held)
    assert [daemon.check("t", "g", request_id=f"i{i}", **who)[1]["reservation"]
            for i in range(2)] == held
    status, body, _ = daemon.check("t", "g", **who)
    assert (status, body["rule"]) == (429, "/tools/t/limits/n")
    assert daemon.check("t", "h", **who)[0] == 200
    status, body, _ = daemon.check("t", "i", **who)
    assert (status, body["rule"]) == (429, "/tools/t/limits/m")
    for one in held:
        assert daemon.post("/v1/rollback", {"reservation": one}).json()["done"]
    assert [daemon.check("t", "g", **who)[0] for _ in range(3)] == [200, 200, 429]


def test_a_settlement_that_was_cut_short(rationd, cluster):
    """One part's node is frozen at the commit: asked again it is whole."""
    grant, org, nodes = spread(cluster)
    daemon = rationd(document(), store=cluster.url, flags=FLAGS)
    held = check(daemon, grant, org, mode="reserve", cost=5)[1]["reservation"]
    lost = nodes[max("bc", key=lambda n: key_slot(keys_of(grant, org)[n].encode()))]
    lost.pause()
    try:
        done = daemon.post("/v1/commit", {"reservation": held, "cost": 2}, headers=SOON)
        assert done.status_code == 503, done.text
    finally:
        lost.resume()

    def again():
        answer = daemon.post("/v1/commit", {"reservation": held, "cost": 2})
        return answer.status_code == 200 and answer
    assert wait_for(again, 10).json()["done"] in (True, False)
    assert counts(cluster, grant, org) == {"a": 2, "b": 2, "c": 2}
