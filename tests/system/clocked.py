# SPDX-License-Identifier: ISC
"""A Redis whose clock stands still and moves when a test says so, and the Lua scripts
called by hand: limits, records and marks in their words. The fixture is in conftest.py."""
import re
import struct

from harness import script

TAKE, SETTLE, GIVE_BACK = script("take"), script("settle"), script("give_back")
SECOND, MINUTE = 1000, 60_000
START_MS = 1_767_225_600_000 + 10 * SECOND  # 2026-01-01T00:00:10Z
NUM_MAX = 2**53 - 1
PRINT, OTHER_PRINT = "ab" * 16, "cd" * 16
HOLDER, OTHER_HOLDER = "01" * 16, "23" * 16
DEDUP, TTL, KEEP = 600 * SECOND, 100 * SECOND, 300 * SECOND
LAST = 1  # a key lives in the ms of its expiry, so a record's is the last ms of its time


class Clocked:
    """A Redis, its clock, and the scripts."""

    def __init__(self, server, clock):
        self.server = server
        self.redis = server.client(decode_responses=True)
        self.clock = clock
        self.now_ms = START_MS

    def move(self, ms):
        self.now_ms += ms
        self.clock[:8] = struct.pack("=q", self.now_ms * 1000)

    def take(self, *limits, **kw):
        """The answer to one check: what stands in front, and the numbers."""
        keys, args = ledger_run(*limits, **kw)
        answer = self.redis.eval(TAKE, len(keys), *keys, *args)
        assert answer[0] == self.now_ms * 1000
        return answer[1], answer[2:]

    def settle(self, action, cost=-1, ttl=0, holder=HOLDER, record="held", text=None):
        text = text or self.redis.get(record)
        keys = [record, *text.split(" ")[1::6]]
        return self.redis.eval(SETTLE, len(keys), *keys, action, text, holder, cost, ttl,
                               KEEP)

    def give_back(self, charges, id_key="id", held="held", now_ms=None):
        """charges: [(key, cost, word, a, b)]"""
        start = f"{PRINT} {(now_ms or self.now_ms) * 1000} " + (HOLDER if held else "-")
        keys = [k for k in (id_key, held) if k] + [c[0] for c in charges]
        args = [w for c in charges for w in c[1:]]
        return self.redis.eval(GIVE_BACK, len(keys), *keys, len(charges),
                               start if id_key else "", HOLDER if held else "", *args)

    def state(self):
        """Everything there is, with its time to live. Of a bucket only when it is full:
        what was given back to it has a test of its own."""
        r = self.redis
        bucket = re.compile(r"(\d{16}) \d{16}")
        return {key: (r.pttl(key), bucket.sub(r"\1", r.get(key))
                      if r.type(key) == "string" and bucket.fullmatch(r.get(key))
                      else r.get(key) if r.type(key) == "string"
                      else r.zrange(key, 0, -1, withscores=True)
                      if r.type(key) == "zset" else r.type(key))
                for key in sorted(r.keys("*"))}


def fixed(key, max=10, cost=1, window=MINUTE, shadow=False):
    return key, (-1 - max if shadow else max, cost, window, 0)


def sliding(key, max=10, cost=1, window=MINUTE, shadow=False):
    return key, (-1 - max if shadow else max, cost, "sliding", window, 0)


def bucket(key, max=10, cost=1, interval_us=SECOND * 1000, shadow=False):
    return key, (-1 - max if shadow else max, cost, "bucket", interval_us)


def slots(key, max=2, cost=1, shadow=False):
    return key, (-1 - max if shadow else max, cost, "slots")


def ledger_run(*limits, id_key="id", print=PRINT, held="held", holder=HOLDER,
               corrects=None, look=False):
    keys = [k for k in (id_key, held) if k] + [key for key, _ in limits]
    args = ["ledger", DEDUP if id_key else 0, TTL if held else 0,
            corrects or "1" * len(limits) or "-", -1 if look else 1, len(limits),
            *(word for _, words in limits for word in words)]
    return keys, args + [print] * bool(id_key) + [holder] * bool(held)


ALL = (fixed("f", cost=3), sliding("s", cost=3), bucket("b", cost=3), slots("c"),
       fixed("F", max=2, cost=3, shadow=True), slots("C", max=0, shadow=True))
ADMITTED = [3, 3, 0, 3 * SECOND * 1000, 0, 1, TTL, -4, 3, -2, TTL, 1]


def marks(now_ms):
    """The charges of ALL as the daemon knows them."""
    end = now_ms // MINUTE * MINUTE + MINUTE
    full = now_ms * 1000 + 3 * SECOND * 1000
    return [("f", 3, "fixed", end, MINUTE), ("s", 3, "sliding", end, end + MINUTE),
            ("b", 3, "bucket", full, SECOND * 1000), ("c", 1, "slots", 0, 0),
            ("F", 3, "fixed", end, MINUTE), ("C", 1, "slots", 0, 0)]
