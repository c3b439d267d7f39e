# SPDX-License-Identifier: ISC
"""Sliding limits and token buckets on a real Redis: late charges are given back, keys
expire, and a key that holds something else harms nobody but its own check. What they
answer is tested by the vectors."""
import time

import pytest

from harness import limit, policy, script, wait_for
from load import read_answers, words

TAKE_LUA = script("take")
GIVE_BACK_LUA = script("give_back")

MIX = policy(
    mix=[limit("f", "30d", 9), limit("s", "30d", 9, algorithm="sliding"),
         limit("b", "30d", 9, algorithm="token_bucket")],
    f=[limit("f", "30d", 9)],
    s=[limit("s", "30d", 9, algorithm="sliding")],
    b=[limit("b", "30d", 9, algorithm="token_bucket")])


YEAR = dict(window="year", timezone="Europe/Berlin")
DATES = policy(cal=[limit("y", max=9, **YEAR),
                    limit("z", max=9, algorithm="sliding", **YEAR)])


def key_of(counter):
    suffix = {"f": "", "s": ".sliding", "b": ".bucket"}[counter]
    return f"ration:default:{{grant=g}}:{counter}:2592000s{suffix}"


def used(daemon, tool):
    _, body, _ = daemon.check(tool, "g", cost=0)
    return [one["used"] for one in body["limits"]]


def test_late_charges_are_given_back(redis_server, rationd):
    daemon = rationd(MIX, store=redis_server.url, flags=["--deadline-ms", 20000])
    with daemon.connect("resp") as sock:
        sock.sendall(words("CHECK", "mix", "g"))
        assert [a.verdict for a in read_answers(sock, 1)] == [1]
        redis_server.pause()
        sock.sendall(words("CHECK", "mix", "g", "TIMEOUT", 30, "COST", 2) * 3)
        assert [a.flags for a in read_answers(sock, 3)] == [1, 1, 1]
        redis_server.resume()
    wait_for(lambda: daemon.metric("ration_store_given_back_total") == 9, 5,
             "nine charges given back")
    assert used(daemon, "mix") == [1, 1, 1]


def test_late_charges_of_calendar_windows(redis_server, rationd):
    """Given back by the dates that were sent, since policy and zone may be gone."""
    daemon = rationd(DATES, store=redis_server.url, flags=["--deadline-ms", 20000])
    with daemon.connect("resp") as sock:
        sock.sendall(words("CHECK", "cal", "g"))
        assert [a.verdict for a in read_answers(sock, 1)] == [1]
        redis_server.pause()
        sock.sendall(words("CHECK", "cal", "g", "TIMEOUT", 30, "COST", 2) * 3)
        assert [a.flags for a in read_answers(sock, 3)] == [1, 1, 1]
        redis_server.resume()
    wait_for(lambda: daemon.metric("ration_store_given_back_total") == 6, 5,
             "six charges given back")
    assert used(daemon, "cal") == [1, 1]
    keys = {key.decode() for key in redis_server.client().keys("*")}
    assert keys == {"ration:default:{grant=g}:y:year@Europe%2FBerlin",
                    "ration:default:{grant=g}:z:year@Europe%2FBerlin.sliding"}


SHADOW = policy(t=[limit("f", "30d", 9, mode="shadow"),
                   limit("s", "30d", 9, algorithm="sliding", mode="shadow"),
                   limit("b", "30d", 9, algorithm="token_bucket", mode="shadow"),
                   # By shadow limits alone the call would go ahead, and they stand.
                   limit("e", "30d", 10 ** 9)])


def test_late_shadow_charges(redis_server, rationd):
    """Of a bucket that can owe no more only that is given back which was charged."""
    daemon = rationd(SHADOW, store=redis_server.url, flags=["--deadline-ms", 20000])
    with daemon.connect("resp") as sock:
        sock.sendall(words("CHECK", "t", "g", "COST", 16))
        assert [a.verdict for a in read_answers(sock, 1)] == [1]
        redis_server.pause()
        sock.sendall(words("CHECK", "t", "g", "TIMEOUT", 30, "COST", 5))
        assert [a.flags for a in read_answers(sock, 1)] == [1]
        redis_server.resume()
    wait_for(lambda: daemon.metric("ration_store_given_back_total") == 4, 5,
             "four charges given back")
    assert used(daemon, "t")[:2] == [16, 16]
    _, body, _ = daemon.check("t", "g", cost=0)
    interval = 2592000000 // 9
    assert 15.9 * interval < body["limits"][2]["reset_ms"] <= 16 * interval


def test_fields_of_a_calendar_window(rationd):
    daemon = rationd(DATES)
    _, _, headers = daemon.check("cal", "g")
    name, quota, seconds = headers["RateLimit-Policy"].split(";")
    assert (name, quota) == ('"y"', "q=9")
    assert seconds in ("w=31536000", "w=31622400")


@pytest.mark.parametrize("counter,value", [
    ("s", "12"), ("s", "1 2 3 4"), ("s", "a b c"), ("s", "1 -2 3"), ("s", ""),
    ("b", "abc"), ("b", "1.5"), ("b", "-5"), ("b", ""), ("b", "9" * 17)])
def test_a_key_that_holds_something_else(redis_server, rationd, counter, value):
    daemon = rationd(MIX, store=redis_server.url)
    redis = redis_server.client()
    redis.set(key_of(counter), value, ex=1000)
    status, body, _ = daemon.check("mix", "g")
    assert status == 503 and body["degraded"]
    assert "not a count" in body["message"]
    others = {"f", "s", "b"} - {counter}
    assert all(used(daemon, other) == [0] for other in others), "half charged"
    assert redis.get(key_of(counter)).decode() == value
    assert daemon.check("f", "g")[0] == 200


def test_a_key_of_another_type(redis_server, rationd):
    daemon = rationd(MIX, store=redis_server.url)
    redis_server.client().rpush(key_of("b"), "x")
    assert daemon.check("mix", "g")[0] == 503
    assert used(daemon, "f") == [0] and used(daemon, "s") == [0]


def test_every_key_expires(redis_server, rationd):
    daemon = rationd(policy(
        t=[limit("s", "second", 5, algorithm="sliding"),
           limit("b", "second", 5, algorithm="token_bucket"),
           limit("f", "second", 1)]), store=redis_server.url)
    redis = redis_server.client()
    end = time.monotonic() + 1.2
    while time.monotonic() < end:
        daemon.check("t", "g")
        assert all(0 <= redis.pttl(key) <= 3000 or not redis.exists(key)
                   for key in redis.keys("*"))
    wait_for(lambda: redis.dbsize() == 0, 5, "no key is left")


# --- the scripts by themselves ---------------------------------------------------------

def now_us(redis):
    seconds, us = redis.time()
    return seconds * 10**6 + us


def give_back(redis, key, cost, word, a, b):
    """One check with one charge, without a ledger."""
    return redis.eval(GIVE_BACK_LUA, 1, key, 1, "", "", cost, word, a, b)


def test_give_back_to_a_sliding_count(redis_server):
    redis = redis_server.client()
    end = now_us(redis) // 1000 + 10**6  # of the window that counts now
    long_ago, now, later = (end - 10**7, end), (end, end + 10**7), (end + 10**7,) * 2
    redis.set("k", f"{end} 7 5", ex=100)
    assert give_back(redis, "k", 2, "sliding", *now) == 1
    assert redis.get("k").decode() == f"{end} 5 5"
    assert give_back(redis, "k", 3, "sliding", *long_ago) == 1
    assert redis.get("k").decode() == f"{end} 5 2"
    assert give_back(redis, "k", 9, "sliding", *long_ago) == 1
    assert redis.get("k").decode() == f"{end} 5 0"
    assert give_back(redis, "k", 9, "sliding", *now) == 1
    assert redis.get("k").decode() == f"{end} 0 0"
    redis.set("k", f"{end} 7 5", ex=100)
    assert give_back(redis, "k", 2, "sliding", *later) == 0
    assert give_back(redis, "k", 2, "sliding", 1000, 2000) == 0
    assert redis.get("k").decode() == f"{end} 7 5" and 0 < redis.ttl("k") <= 100
    assert give_back(redis, "gone", 2, "sliding", *now) == 0
    assert not redis.exists("gone")


def test_give_back_to_a_bucket(redis_server):
    redis = redis_server.client()
    second, full = 10**6, now_us(redis) + 100 * 10**6
    stands = lambda: [int(word) for word in redis.get("k").split()]
    redis.set("k", full, ex=100)
    assert give_back(redis, "k", 5, "bucket", full - 10 * second, second) == 1
    assert stands() == [full - 5 * second, full]
    # Of 80 seconds of tokens more than 40 have come back by themselves already, and five
    # were given back: those may have been of the same.
    assert give_back(redis, "k", 80, "bucket", now_us(redis) + 40 * second, second) == 1
    left, ungiven = stands()
    assert full - 40 * second <= left < full - 39 * second and ungiven == full
    assert redis.ttl("k") > 0
    assert give_back(redis, "k", 1, "bucket", now_us(redis) - 1, second) == 0
    assert stands() == [left, full]
    assert give_back(redis, "gone", 1, "bucket", full, second) == 0
    assert not redis.exists("gone")


def test_an_undo_that_fails_is_not_made_good_on_the_next_check(redis_server):
    """The first check of a run cannot be undone; the second one's first key is nobody's
    to write to."""
    redis = redis_server.client()
    redis.rpush("s2", "x")
    redis.execute_command("ACL", "SETUSER", "half", "on", "nopass", "~*", "+@all",
                          "-decrby")
    with redis_server.client() as half:
        half.execute_command("AUTH", "half", "")
        answer = half.eval(
            TAKE_LUA, 6, "s1", "f1", "g1", "s2", "f2", "g2", 2, 3,
            10, 1, "sliding", 2592000000, 0, 10, 1, 2592000000, 0, 0, 1, 2592000000, 0)
    assert all(isinstance(answer[i], bytes) for i in (1, 5)), answer
    assert redis.type("s2") == b"list"


def test_an_error_in_a_run_of_sliding_checks(redis_server):
    """One of three checks of a run fails; its neighbours are answered in their places."""
    redis = redis_server.client()
    redis.rpush("b2", "x")
    keys = ["s1", "b1", "s2", "b2", "s3", "b3"]
    answer = redis.eval(TAKE_LUA, len(keys), *keys, 3, 2,
                        10, 1, "sliding", 2592000000, 0, 10, 1, "bucket", 1000000)
    assert answer[1:5] == [1, 0, 1000000, 0] and answer[9:] == [1, 0, 1000000, 0]
    assert b"WRONGTYPE" in answer[5] and answer[6:9] == [0, 0, 0]
    assert not redis.exists("s2") and redis.exists("s1", "b1", "s3", "b3") == 4
