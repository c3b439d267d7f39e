# SPDX-License-Identifier: ISC
"""Reservations over both protocols and both stores: who may settle them, when, and that
the ledger leaves nothing behind.

RATION_FULL=1 settles a million reservations on each store.
"""
import itertools
import os
import signal
import time

import pytest
import redis

from harness import is_sanitized, limit, policy, wait_for
from load import ENDLESS, assert_all_expire

FULL = bool(os.environ.get("RATION_FULL"))
MANY = 1_000_000 if FULL else 10_000
HEX = "0123456789abcdef" * 2
LONG = "30d"
# No settlement may fail because the machine is busy.
FLAGS = ["--deadline-ms", "30000"]

DOCUMENT = policy(
    t=[limit("c", LONG, 1000)],
    turn=[limit("turning", "2s", 1000), limit("c", LONG, 1000)],
    fly=[{"counter": "flying", "algorithm": "concurrency", "max": 3},
         limit("c", LONG, 1000)],
    free={})


def reserve(daemon, tool="t", grant="alice", **more):
    status, body, _ = daemon.check(tool, grant, mode="reserve", **more)
    assert status == 200 and body["reservation"], (status, body)
    return body["reservation"]


def settle(daemon, action, name, **more):
    """(status, whether it was done or what stands in the problem)"""
    r = daemon.post(f"/v1/{action}", {"reservation": name, **more})
    body = r.json()
    if r.status_code == 200:
        return 200, body["done"]
    assert r.headers["Content-Type"] == "application/problem+json", r.headers
    return r.status_code, body["detail"]


def used(daemon, tool="t", grant="alice"):
    """{counter: used} as a look tells it."""
    _, body, _ = daemon.check(tool, grant, mode="peek", cost=0)
    return {one["counter"]: one["used"] for one in body["limits"]}


@pytest.fixture
def daemon(rationd, store):
    return rationd(DOCUMENT, store=store.url, flags=FLAGS)


# --- settled once -----------------------------------------------------------------------

def test_the_second_time_changes_nothing(daemon):
    for first, cost, left in (("commit", None, 5), ("commit", 9, 9), ("rollback", None, 0)):
        name, before = reserve(daemon, cost=5), used(daemon)["c"] - 5
        more = {} if cost is None else {"cost": cost}
        assert settle(daemon, first, name, **more) == (200, True)
        assert used(daemon)["c"] == before + left
        for again in ("commit", "rollback"):
            assert settle(daemon, again, name) == (200, False)
        assert settle(daemon, "commit", name, cost=100) == (200, False)
        assert settle(daemon, "renew", name, ttl=100) == (200, False)
        assert used(daemon)["c"] == before + left


def test_over_resp_the_same(daemon):
    with daemon.resp() as client:
        reply = client.execute_command("CHECK", "t", "alice", "COST", 5, "MODE", "reserve",
                                       "TTL", 60)
        name = reply[6]
        assert reply[0] == 1 and name
        assert client.execute_command("renew", name, "ttl", 100) == 1
        assert client.execute_command("COMMIT", name, "COST", 7, "GRANT", "alice") == 1
        assert client.execute_command("COMMIT", name, "COST", 8) == 0
        assert client.execute_command("ROLLBACK", name) == 0
        assert used(daemon)["c"] == 7
        # What one protocol reserved the other settles.
        assert client.execute_command("ROLLBACK", reserve(daemon, cost=3)) == 1
        assert used(daemon)["c"] == 7


def test_another_daemon_settles(rationd, redis_server):
    one, other = (rationd(DOCUMENT, store=redis_server.url, flags=FLAGS) for _ in "ab")
    name = reserve(one, cost=5)
    one.kill()
    assert settle(other, "commit", name, cost=2) == (200, True)
    assert settle(other, "rollback", name) == (200, False)
    assert used(other)["c"] == 2


# --- refused ----------------------------------------------------------------------------

MALFORMED = ["x", ":", "::", "default", "default:alice", "default:alice:",
             "default:alice:" + HEX[1:], f"default:alice:{HEX}0",
             "default:alice:" + HEX.upper(), f"default:alice:{HEX[1:]}g", f":alice:{HEX}",
             f"default::{HEX}", f"default:{{alice}}:{HEX}", f"default:a b:{HEX}",
             f"default:%zz:{HEX}", f"default:alice:x:{HEX}", f"default:alice:{HEX}\n",
             "default:alice:*", "x" * 5000, "\u00e4"]


def test_guessed_and_malformed_ids(daemon):
    name = reserve(daemon, cost=5)
    policy_part, grant_part, holder = name.rsplit(":", 2)
    guesses = [f"default:alice:{HEX}", f"default:bob:{holder}", f"nobody:alice:{holder}",
               name[:-1] + ("0" if name[-1] != "0" else "1")]
    assert (policy_part, grant_part) == ("default", "alice")
    for action in ("commit", "rollback", "renew"):
        more = {"ttl": 9} if action == "renew" else {}
        for guess in guesses:
            assert settle(daemon, action, guess, **more)[0] == 404, guess
        for text in MALFORMED:
            assert settle(daemon, action, text, **more)[0] == 400, text
    with daemon.resp() as client:
        for guess in guesses + MALFORMED:
            with pytest.raises(redis.ResponseError):
                client.execute_command("COMMIT", guess, "COST", 1)
        assert client.ping()
    assert used(daemon)["c"] == 5
    assert settle(daemon, "rollback", name) == (200, True)


def test_another_grants(daemon):
    name = reserve(daemon, cost=5)
    for other in ("bob", "Alice", "alic", "alice ", "*"):
        for action, more in (("commit", {"cost": 1}), ("rollback", {}), ("renew", {"ttl": 9})):
            assert settle(daemon, action, name, grant=other, **more)[0] == 409, other
    with daemon.resp() as client:
        with pytest.raises(redis.ResponseError):
            client.execute_command("ROLLBACK", name, "GRANT", "bob")
    assert used(daemon)["c"] == 5
    assert settle(daemon, "rollback", name, grant="alice") == (200, True)
    assert settle(daemon, "rollback", name, grant="bob")[0] == 409
    assert used(daemon)["c"] == 0


def test_expired(daemon):
    """It ends with its slot, which is to be seen from outside; what it took stands."""
    name = reserve(daemon, "fly", cost=5, ttl=1)
    other = reserve(daemon, "fly", cost=2, ttl=1)
    assert settle(daemon, "renew", other, ttl=60) == (200, True)
    wait_for(lambda: used(daemon, "fly")["flying"] == 1, 5, "the end of the lease")
    for action, more in (("commit", {"cost": 1}), ("rollback", {}), ("renew", {"ttl": 9})):
        assert settle(daemon, action, name, **more)[0] == 404
    assert used(daemon, "fly") == {"flying": 1, "c": 7}
    assert settle(daemon, "rollback", other) == (200, True)
    assert used(daemon, "fly") == {"flying": 0, "c": 5}


def test_rollback_in_the_next_window(daemon):
    """It does not touch that window's counter, but gives the longer one's back."""
    name, late = reserve(daemon, "turn", cost=5), reserve(daemon, "turn", cost=7)
    wait_for(lambda: used(daemon, "turn")["turning"] == 0, 5, "the next window")
    # In the window of this check, which is a later one than the reservations' in any case.
    status, body, _ = daemon.check("turn", "alice", cost=20)
    end = time.monotonic() + body["limits"][0]["reset_ms"] / 1000
    assert status == 200
    assert settle(daemon, "rollback", name) == (200, True)
    assert settle(daemon, "commit", late, cost=100) == (200, True)
    now = used(daemon, "turn")
    assert now["c"] == 120
    if time.monotonic() < end:
        assert now["turning"] == 20


def test_policies_may_change_meanwhile(rationd, store):
    daemon = rationd(DOCUMENT, store=store.url, flags=FLAGS)
    names = [reserve(daemon, cost=5), reserve(daemon, "fly", cost=5)]
    file = daemon.command[daemon.command.index("--policy") + 1]
    with open(file, "w", encoding="utf-8") as out:
        out.write('{"version": "1", "default": "deny", "tools": {}}')
    daemon.signal(signal.SIGHUP)
    wait_for(lambda: daemon.check("t", "alice")[1]["rule"] == "(default deny)", 5,
             "the other policy")
    assert [settle(daemon, "rollback", name) for name in names] == [(200, True)] * 2


# --- nothing stays ----------------------------------------------------------------------

NUMBERS = itertools.count()


def settle_many(daemon, n, watch=None):
    """Reserves and settles n times, in pipelines, with and without request ids."""
    tools = ("t", "fly", "free")
    with daemon.resp() as client:
        for begun in range(0, n, 600):
            pipe = client.pipeline(transaction=False)
            count = min(600, n - begun)
            for i in range(begun, begun + count):
                # Three slots a grant: no more than three reserve at once.
                one = next(NUMBERS)
                words = ["CHECK", tools[i % 3], f"g{i % 200}", "MODE", "reserve"]
                # Long enough for a busy machine: it settles them before they end.
                words += ["TTL", 20 + i % 2] if i % 5 else []
                pipe.execute_command(*words, *(["ID", f"i{one}"] if i % 2 else []))
            names = [reply[6] for reply in pipe.execute()]
            assert all(names), names
            if watch and begun == 0:
                watch()
            for i, name in enumerate(names):
                pipe.execute_command("COMMIT" if i % 2 else "ROLLBACK", name)
            assert set(pipe.execute()) == {1}


def brief(name):
    """What is counted by the second, so that counters go as well."""
    return policy(t=[limit("c", "second", 10**6)],
                  fly=[{"counter": name, "algorithm": "concurrency", "max": 3}], free={})


def test_redis_forgets(rationd, redis_server):
    daemon = rationd(brief("flying"), store=redis_server.url,
                     flags=[*FLAGS, "--dedup-ttl", "1"])
    with redis_server.client() as client:
        def watch():
            assert assert_all_expire(client) > 100
        settle_many(daemon, MANY, watch)
        wait_for(lambda: client.dbsize() == 0, 10, "an empty Redis")
        assert client.eval(ENDLESS, 0) == 0


def test_the_embedded_store_forgets(rationd):
    """Also when nothing else comes; memory does not grow with what was settled."""
    daemon = rationd(brief("flying"), flags=[*FLAGS, "--dedup-ttl", "1"])

    def entries():
        return daemon.metric("ration_store_counters")

    def watch():
        assert entries() >= 600  # reservations; else the rest shows nothing

    def settle_and_wait():
        settle_many(daemon, MANY, watch)
        wait_for(lambda: entries() == 0, 60 if FULL else 15, "an empty store")
    settle_and_wait()
    rss = daemon.rss
    settle_and_wait()
    assert daemon.rss - rss < (32 if is_sanitized() else 8) << 20


def test_what_is_not_settled_goes_too(rationd, redis_server):
    """Ids that were admitted and reservations that were left alone."""
    daemon = rationd(brief("flying"), store=redis_server.url,
                     flags=[*FLAGS, "--dedup-ttl", "1"])
    with daemon.resp() as client:
        pipe = client.pipeline(transaction=False)
        for i in range(600):
            pipe.execute_command("CHECK", "t", f"g{i}", "ID", f"i{i}")
            pipe.execute_command("CHECK", "fly", f"g{i}", "MODE", "reserve", "TTL", 1)
        assert {reply[0] for reply in pipe.execute()} == {1}
    with redis_server.client() as client:
        assert_all_expire(client)
        wait_for(lambda: client.dbsize() == 0, 10, "an empty Redis")
