# SPDX-License-Identifier: ISC
"""Random checks give the same answers from both stores.

Limits of every scope, several in one check, counters that tools with different max
share, shadow limits, costs of nothing, past max and near 2^53. Some checks come alone and some in
pipelines, which the Redis store sends as one script call; a pipeline holds checks of
one tool and cost that lack nothing a shadow limit counts by, since only those keep their
order there.

RATION_PROPERTY_SEED repeats a run, RATION_PROPERTY_STEPS makes it longer.
"""
import collections
import itertools
import json
import os
import random
import time

from harness import limit, policy

BIG = 2**53 - 1
STEPS = int(os.environ.get("RATION_PROPERTY_STEPS", 6000))
SCOPES = ["grant", "session", "global", "org", ["grant", "org"], ["session", "team"]]
COSTS = [0, 0] + [1] * 20 + [2, 3, 7, 10, 39, 40, 41, 1000, 2**31, 2**52, BIG - 1, BIG]
MAXES = [0, 2, 5, 17, 40, 300, 3000, 10**5, 2**40, 2**53 - 50, BIG]
# The time of the run may not cross a cut: of these at least one has none near.
WINDOWS = [w for days in (30, 31)
           if (time.time() + 3600) % (days * 86400) > 7200 for w in [f"{days}d"]] + ["3649d"]


def make_limits(rng, counters):
    """A few limits; what tools share are the counters, under this max or another."""
    limits = []
    for counter in rng.sample(counters, rng.randint(1, 6)):
        more = {"scope": rng.choice(SCOPES)}
        if rng.random() < 0.3:
            more["cost"] = rng.choice([0, 1, 2, 5, BIG])
        if rng.random() < 0.2:
            more["mode"] = "shadow"
        limits.append(limit(counter, rng.choice(WINDOWS), rng.choice(MAXES), **more))
    return limits


def make_policy(rng):
    counters = [f"c{i}" for i in range(6)] + ["ä/:%", "x" * 140]
    document = policy(**{f"t{i}": make_limits(rng, counters) for i in range(40)})
    document["all_tools"] = {"limits": [
        limit("all", WINDOWS[0], 2**53 - 1000, scope="org"), limit("calls", WINDOWS[0],
                                                                   10**9, cost=1)]}
    return document


def make_check(rng, tool=None, cost=None, lack=0.15):
    """lack: how often it lacks its session, or one of its attributes."""
    body = {"tool": tool or f"t{rng.randint(0, 39)}",
            "grant": rng.choice(["a", "b", "c", "ü:{}%", "g" * 200])}
    if rng.random() >= lack:
        body["session"] = rng.choice(["s1", "s2"])
    attributes = {"org": rng.choice(["acme", "", "o&=o"]), "team": rng.choice("xy")}
    body["attributes"] = {k: v for k, v in attributes.items() if rng.random() >= lack}
    cost = cost if cost is not None else rng.choice(COSTS)
    if cost != 1 or rng.random() < 0.5:
        body["cost"] = cost
    return body


def make_round(rng):
    """Checks that are sent together."""
    if rng.random() < 0.6:
        return [make_check(rng)]
    tool, cost = f"t{rng.randint(0, 39)}", rng.choice(COSTS)
    if rng.random() < 0.5:
        return [make_check(rng, tool, cost, 0) for _ in range(rng.choice([2, 3]))]
    # Many of the very same are one entry of a call to Redis. Among others they would be
    # answered in another order, and rightly: run_crowds is about that.
    return [make_check(rng, tool, cost, 0)] * rng.choice([10, 40])


def request_of(body):
    text = json.dumps(body).encode()
    return (b"POST /v1/check HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            b"Content-Length: %d\r\n\r\n" % len(text)) + text


class Caller:
    """A connection that sends checks together and reads their answers."""

    def __init__(self, daemon):
        self.sock = daemon.connect("http", 30)
        self.file = self.sock.makefile("rb")

    def ask(self, checks):
        self.sock.sendall(b"".join(map(request_of, checks)))
        return [self.answer() for _ in checks]

    def answer(self):
        status = int(self.file.readline().split()[1])
        length = 0
        for line in iter(self.file.readline, b"\r\n"):
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
        body = json.loads(self.file.read(length))
        return status, comparable(body)


def comparable(body):
    """The answer without what depends on the moment."""
    body.pop("reset_ms", None)
    body["retry_after_ms"] = min(1, body.get("retry_after_ms", 0))
    for one in body.get("limits", []):
        one.pop("reset_ms")
        one["retry_after_ms"] = min(1, one["retry_after_ms"])
    return body


def assert_sound(check, status, answer):
    """What holds of every single answer, whatever came before."""
    limits = answer["limits"]
    assert status in (200, 403, 429) and not answer["degraded"], (check, answer)
    assert (status == 200) == (answer["verdict"] == "allow")
    for one in limits:
        assert 0 <= one["used"] and one["remaining"] == max(0, one["max"] - one["used"])
        # Only a shadow limit is charged past its max, and says so.
        over = one["used"] > one["max"]
        assert status != 200 or not over or one["would_deny"], (check, answer)
    if status == 429:
        # A limit that lacks room says so, and only one.
        assert sum(one["retry_after_ms"] != 0 for one in limits
                   if "would_deny" not in one) == 1, answer


def test_both_stores_agree(rationd, redis_server):
    seed = int(os.environ.get("RATION_PROPERTY_SEED", random.SystemRandom().getrandbits(32)))
    print(f"RATION_PROPERTY_SEED={seed}")
    rng = random.Random(seed)
    document = make_policy(rng)
    flags = ["--deadline-ms", 10000]
    embedded = Caller(rationd(document, flags=flags))
    # What is denied from memory tells the counts of then, not of now.
    over_redis = Caller(rationd(document, store=redis_server.url,
                                flags=[*flags, "--deny-cache-ms", 0]))
    steps, seen = 0, collections.Counter()
    for turn in itertools.count():
        checks = make_round(rng)
        got, other = embedded.ask(checks), over_redis.ask(checks)
        for check, (status, answer), theirs in zip(checks, got, other):
            where = f"seed {seed}, round {turn}, check {steps}: {check}"
            assert (status, answer) == theirs, f"{where}\nmemory {answer}\nredis  {theirs}"
            assert_sound(check, status, answer)
            seen[status] += 1
            steps += 1
        if steps >= STEPS:
            break
    print(dict(seen))
    assert min(seen[status] for status in (200, 403, 429)) > STEPS / 100
    client = redis_server.client()
    for key in client.scan_iter(count=1000):
        assert client.pttl(key) > 0 and int(client.get(key)) > 0, key
