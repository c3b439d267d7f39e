# SPDX-License-Identifier: ISC
"""Request ids and reservations over a Redis that is frozen, forgets scripts, or lets its
user do little."""
import re

import pytest

from harness import ROOT, limit, policy, wait_for
from load import assert_all_expire, read_answers, words

SLOTS = {"counter": "c", "algorithm": "concurrency", "max": 3, "scope": "grant"}
MIX = policy(mix=[limit("f", "30d", 9), limit("s", "30d", 9, algorithm="sliding"),
                  limit("b", "30d", 9, algorithm="token_bucket"), SLOTS],
             f=[limit("f", "30d", 9)])
GIVEN_BACK = "ration_store_given_back_total"
SMALLEST = re.search(r"ACL SETUSER ration on >SECRET (.*)",
                     (ROOT / "docs/redis.md").read_text())[1]


def used(daemon, tool="mix"):
    return [one["used"] for one in daemon.check(tool, "g", mode="peek")[1]["limits"]]


def post(daemon, what, reservation, **body):
    answer = daemon.post(f"/v1/{what}", {"reservation": reservation, **body})
    return answer.status_code, answer.json().get("done")


def late(server, daemon, *asked):
    """Checks that Redis takes, but whose answers come when their callers were denied."""
    with daemon.connect("resp") as sock:
        server.pause()
        sock.sendall(b"".join(asked))
        assert [a.flags for a in read_answers(sock, len(asked))] == [1] * len(asked)
        server.resume()


def reserve(daemon, **body):
    status, answer, _ = daemon.check("mix", "g", mode="reserve", **body)
    assert status == 200
    return answer["reservation"]


RESERVE = ("CHECK", "mix", "g", "MODE", "reserve", "TIMEOUT", 30)


def test_a_late_reservation_leaves_nothing(redis_server, rationd):
    daemon = rationd(MIX, store=redis_server.url, flags=["--deadline-ms", 20000])
    reserve(daemon)
    late(redis_server, daemon, words(*RESERVE), words(*RESERVE, "ID", "one"))
    wait_for(lambda: daemon.metric(GIVEN_BACK) == 8, 5, "two checks given back")
    assert used(daemon) == [1, 1, 1, 1]
    keys = [k.decode() for k in redis_server.client().keys("*")]
    assert len(keys) == 5 and not any("#one" in k for k in keys)
    # So the retry is a new try.
    status, answer, _ = daemon.check("mix", "g", mode="reserve", request_id="one")
    assert (status, answer["replayed"]) == (200, False)
    assert used(daemon) == [2, 2, 2, 2]


def test_a_late_charge_and_its_retry(redis_server, rationd):
    """Whether the retry comes before or behind the giving back, it is charged once, and
    what it was told stands."""
    daemon = rationd(MIX, store=redis_server.url, flags=["--deadline-ms", 20000])
    other = rationd(MIX, store=redis_server.url, flags=["--deadline-ms", 20000])
    used(daemon), used(other)
    for i in range(20):
        late(redis_server, daemon, words("CHECK", "f", f"g{i}", "ID", "one", "TIMEOUT", 20))
        asker = (daemon, other)[i % 2]

        def asked(asker=asker, grant=f"g{i}"):
            """Not refused unasked, since Redis was silent for a quarter of a second."""
            status, answer, _ = asker.check("f", grant, request_id="one")
            assert status == 200 or "not asked" in answer["message"], answer
            return status == 200 and answer
        assert wait_for(asked, 5, "an answer", every=0)["limits"][0]["used"] == 1
        assert asker.check("f", f"g{i}", request_id="one")[1]["replayed"]
    wait_for(lambda: daemon.metric("ration_store_late_total") == 20, 5, "late replies")
    for i in range(20):
        assert daemon.check("f", f"g{i}", cost=0)[1]["limits"][0]["used"] == 1, i


def test_all_who_asked_came_too_late(redis_server, rationd):
    """The first and its retries, in one batch and over two daemons: nothing stays."""
    daemon, other = (rationd(MIX, store=redis_server.url, flags=["--deadline-ms", 20000])
                     for _ in "ab")
    used(daemon), used(other)
    asked = words(*RESERVE, "ID", "one")
    with daemon.connect("resp") as one, other.connect("resp") as two:
        redis_server.pause()
        for sock in (one, two, one):
            sock.sendall(asked * 3)
        assert {a.flags for s, n in ((one, 6), (two, 3)) for a in read_answers(s, n)} == {1}
        redis_server.resume()
    # More, should one have been given back before the other's first came.
    wait_for(lambda: sum(d.metric(GIVEN_BACK) for d in (daemon, other)) >= 4, 5,
             "late replies")
    wait_for(lambda: used(daemon) == [0, 0, 0, 0], 5, "all given back")
    assert not any(b"#" in k for k in redis_server.client().keys("*"))


def test_a_late_check_behind_a_reservation(redis_server, rationd):
    """What was reserved before is no part of it."""
    daemon = rationd(MIX, store=redis_server.url, flags=["--deadline-ms", 20000])
    assert post(daemon, "rollback", reserve(daemon)) == (200, True)
    late(redis_server, daemon, words("CHECK", "f", "h", "ID", "one", "TIMEOUT", 30))
    wait_for(lambda: daemon.metric(GIVEN_BACK) == 1, 5, "the check given back")
    assert not any(b"grant=h" in k for k in redis_server.client().keys("*"))


def test_a_late_check_and_a_full_redis(redis_server, rationd):
    daemon = rationd(MIX, store=redis_server.url, flags=["--deadline-ms", 20000])
    client = redis_server.client()
    key = "ration:default:{grant=h}:f:2592000s"
    daemon.check("f", "h")
    with daemon.connect("resp") as sock:
        redis_server.pause()
        sock.sendall(words("CHECK", "f", "h", "TIMEOUT", 30))
        assert read_answers(sock, 1)[0].flags == 1
        daemon.pause()
        redis_server.resume()
        wait_for(lambda: client.get(key) == b"2", 5, "the charge")
        client.config_set("maxmemory", 1)
        daemon.resume()
    wait_for(lambda: daemon.metric(GIVEN_BACK) == 1, 5, "the check given back")
    assert client.get(key) == b"1"


def test_the_scripts_are_forgotten(redis_server, rationd):
    daemon = rationd(MIX, store=redis_server.url, flags=["--deadline-ms", 20000])
    held = reserve(daemon)
    redis_server.client().script_flush()
    assert post(daemon, "renew", held, ttl=900) == (200, True)
    redis_server.client().script_flush()
    assert post(daemon, "commit", held, cost=4) == (200, True)
    assert post(daemon, "rollback", held) == (200, False)
    assert used(daemon) == [4, 4, 4, 0]


def test_a_frozen_redis(redis_server, rationd):
    """What has no answer in time is 503; it may be made all the same."""
    daemon = rationd(MIX, store=redis_server.url, flags=["--deadline-ms", 2000])
    held = reserve(daemon)
    redis_server.pause()
    assert post(daemon, "commit", held, cost=4)[0] == 503
    wait_for(lambda: "no reply for 3 s" in daemon.log, 15, "the end of its patience")
    assert post(daemon, "commit", held, cost=4)[0] == 503
    redis_server.resume()
    daemon.wait("ready")
    # Whether the first one was made nobody knows; a second one is safe.
    assert post(daemon, "commit", held, cost=4)[0] == 200
    assert used(daemon) == [4, 4, 4, 0]


def test_the_smallest_user_may_do_all(redis_factory, rationd):
    server = redis_factory(acl=["user default on >admin ~* &* +@all",
                                f"user ration on >x {SMALLEST}"],
                           admin=(None, "admin"))
    daemon = rationd(MIX, store=server.url_as("ration", "x"),
                     flags=["--deadline-ms", 20000])
    held = [reserve(daemon, request_id=f"i{i}", ttl=60) for i in range(3)]
    assert reserve(daemon, request_id="i0", ttl=60) == held[0]
    assert daemon.check("mix", "g", mode="reserve")[0] == 429
    assert post(daemon, "renew", held[0], ttl=300) == (200, True)
    assert post(daemon, "commit", held[0], cost=5) == (200, True)
    assert post(daemon, "rollback", held[1]) == (200, True)
    assert post(daemon, "commit", held[2], cost=0) == (200, True)
    late(server, daemon, words(*RESERVE, "ID", "late"))
    wait_for(lambda: daemon.metric(GIVEN_BACK) == 4, 5, "a check given back")
    assert used(daemon) == [5, 5, 5, 0]
    assert_all_expire(server.client())
    answer = daemon.post("/v1/reset", {"scope": "grant=g"})
    assert answer.status_code == 200, answer.text
    assert used(daemon) == [0, 0, 0, 0]
    assert "NOPERM" not in daemon.log and "does not accept" not in daemon.log


def without(missing):
    rights = re.sub(rf" \+{missing}(?= |$)", "", SMALLEST)
    assert rights != SMALLEST
    return dict(acl=["user default on >admin ~* &* +@all",
                     f"user ration on >x {rights}"], admin=(None, "admin"))


@pytest.mark.parametrize("missing", ["zadd", "zrange", "pexpireat", "set"])
def test_a_user_who_may_not_reserve(redis_factory, rationd, missing):
    """Denied with 503, and nothing is half done."""
    server = redis_factory(**without(missing))
    daemon = rationd(MIX, store=server.url_as("ration", "x"),
                     flags=["--deadline-ms", 20000])
    assert daemon.check("mix", "g", mode="reserve", request_id="one")[0] == 503
    assert server.client().keys("*") == []


def test_a_user_who_may_not_settle(redis_factory, rationd):
    server = redis_factory(**without("zrem"))
    daemon = rationd(MIX, store=server.url_as("ration", "x"),
                     flags=["--deadline-ms", 20000])
    held = reserve(daemon)
    for what in ("rollback", "commit"):
        assert post(daemon, what, held)[0] == 503
    assert used(daemon) == [1, 1, 1, 1]
    assert server.client().get("ration:default:{grant=g}:#=" + held[-32:])[:1] == b"h"


def test_a_user_who_may_not_delete(redis_factory, rationd):
    """No settlement is half done: a count that is given back whole goes all the same."""
    server = redis_factory(**without("del"))
    daemon = rationd(MIX, store=server.url_as("ration", "x"),
                     flags=["--deadline-ms", 20000])
    held = reserve(daemon)
    assert post(daemon, "rollback", held) == (200, True)
    assert used(daemon) == [0, 0, 0, 0]
    assert not server.client().exists("ration:default:{grant=g}:f:2592000s")
