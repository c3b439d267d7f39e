# SPDX-License-Identifier: ISC
"""CL.THROTTLE on both stores, held against a small model of redis-cell's GCRA."""
import hashlib
import math
import random
import threading
import time

import pytest
import redis

from harness import limit, policy, wait_for
from load import words

COUNTED = policy(counted=[limit("c", "30d", 9)])
EPSILON = 2e-6


class Cell:
    """GCRA as redis-cell describes it. When a command ran is known only as a span of
    time, and so is the moment from which the bucket is full (tat)."""

    def __init__(self):
        self.tat = (0.0, 0.0)

    def expect(self, span, burst, count, period, quantity=1):
        """The span of each of the five integers."""
        interval = math.ceil(period * 1e6 / count) / 1e6
        tolerance = interval * (burst + 1)
        base = [max(t, now) for t, now in zip(self.tat, span)]
        after = [t + quantity * interval for t in base]
        # These tests let no token's time pass, so that both ends agree.
        limited = [t - tolerance > now + EPSILON for t, now in zip(after, span)]
        assert limited[0] == limited[1]
        if not limited[0] and quantity:
            self.tat = tuple(after)
        full = self.tat if limited[0] or not quantity else after
        left = [max(full[0] - span[1], 0), max(full[1] - span[0], 0)]
        remaining = [max(math.floor((tolerance - x + EPSILON) / interval), 0)
                     for x in reversed(left)]
        retry = [-1, -1]
        if limited[0] and quantity <= burst + 1:
            retry = [after[0] - tolerance - span[1], after[1] - tolerance - span[0]]
        return [[int(limited[0])] * 2, [burst + 1] * 2, remaining,
                up(retry), up(left)]


def up(span):
    if span[0] == -1:
        return span
    return [math.ceil(span[0] - EPSILON), math.ceil(span[1] + EPSILON)]


def throttle(client, *args):
    return client.execute_command("CL.THROTTLE", *args)


def held(client, cell, key, *numbers):
    """Asks, and holds the answer against the model."""
    began = time.time()
    got = throttle(client, key, *numbers)
    want = cell.expect((began, time.time()), *numbers)
    assert len(got) == 5 and all(type(x) is int for x in got)
    assert all(lo <= x <= hi for x, (lo, hi) in zip(got, want)), (got, want, numbers)
    return got


def test_burst_refusal_peek(rationd, store):
    daemon = rationd(COUNTED, store=store.url)
    with daemon.resp() as client:
        cell = Cell()
        assert held(client, cell, "k", 2, 1, 3600, 0) == [0, 3, 3, -1, 0]
        for left in (2, 1, 0):
            assert held(client, cell, "k", 2, 1, 3600)[:4] == [0, 3, left, -1]
        assert held(client, cell, "k", 2, 1, 3600)[:3] == [1, 3, 0]
        # Looking is always allowed, also into an empty bucket.
        assert held(client, cell, "k", 2, 1, 3600, 0)[:4] == [0, 3, 0, -1]
        # More than there can ever be: no waiting helps; nothing is taken.
        assert held(client, cell, "k", 2, 1, 3600, 4)[:4] == [1, 3, 0, -1]
        assert held(client, cell, "k", 2, 1, 3600, 2**53 - 1)[:4] == [1, 3, 0, -1]
        # Other numbers look at the same bucket in another way.
        assert held(client, cell, "k", 4, 1, 3600, 2)[:4] == [0, 5, 0, -1]
        assert held(client, cell, "k", 2, 1, 3600, 0)[0] == 1
    assert [daemon.metric(f'ration_throttles_total{{result="{r}"}}') for r in
            ("allowed", "limited", "failed", "invalid")] == [6, 4, 0, 0]


@pytest.mark.parametrize("seed", range(4))
def test_any_sequence(rationd, store, seed):
    rnd = random.Random(seed)
    daemon = rationd(COUNTED, store=store.url)
    with daemon.resp() as client:
        cells = {}
        seen = set()
        for _ in range(150):
            key = rnd.choice("abc")
            count, period = {"a": (1, 600), "b": (7, 86400), "c": (100, 2592000)}[key]
            cell = cells.setdefault(key, Cell())
            got = held(client, cell, key, rnd.choice([0, 3, 9, 20]), count, period,
                       rnd.choice([0, 1, 1, 1, 2, 5]))
            seen.add((got[0], got[3] < 0))
        assert seen == {(0, True), (1, True), (1, False)}


def test_steady_rate(rationd, store):
    """After the burst tokens come back one by one, every 100 ms."""
    daemon = rationd(COUNTED, store=store.url)
    with daemon.resp() as client:
        began = time.monotonic()
        admitted = []
        while time.monotonic() - began < 1.5:
            got = throttle(client, "k", 3, 10, 1)
            assert got[1] == 4 and got[4] == 1
            assert got[3] == (1 if got[0] else -1)
            if not got[0]:
                admitted.append(time.monotonic() - began)
        assert len(admitted) <= 4 + 15 + 1
        for i, at in enumerate(admitted[4:], 1):
            assert at >= i * 0.1 - 0.001
        # A pause of this process costs no more than what does not fit the bucket.
        gaps = [b - a for a, b in zip(admitted, admitted[1:])]
        lost = sum(max(g - 0.4, 0) for g in gaps)
        assert len(admitted) >= 4 + int((1.5 - lost) / 0.1) - 5


def test_exactly_the_burst_of_many_at_once(rationd, store):
    daemon = rationd(COUNTED, store=store.url)
    answers = []

    def ask():
        with daemon.connect("resp") as sock:
            sock.sendall(words("CL.THROTTLE", "k", 99, 1, 3600) * 50)
            got = b""
            while got.count(b"\r\n") < 50 * 6:
                block = sock.recv(65536)
                assert block
                got += block
            answers.append(got)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(a.count(b"*5\r\n:0\r\n") for a in answers) == 100
    assert sum(a.count(b"*5\r\n:1\r\n") for a in answers) == 300


def test_pipelined_with_checks(rationd, store):
    """One batch, many different limits; answers in the order of the commands."""
    daemon = rationd(COUNTED, store=store.url)
    with daemon.resp() as client:
        pipe = client.pipeline(transaction=False)
        for i in range(40):
            pipe.execute_command("CL.THROTTLE", f"k{i % 20}", i % 20, 1, 3600 + i % 20)
            pipe.execute_command("CHECK", "counted", f"g{i % 20}")
            pipe.echo(str(i))
        got = pipe.execute()
    for i in range(40):
        again, burst = i >= 20, i % 20
        cell, check, echo = got[3 * i:3 * i + 3]
        limited = int(again and burst == 0)
        assert cell[:3] == [limited, burst + 1, max(burst - again, 0)]
        assert (check[0], check[3]) == (1, 8 - again)
        assert echo == str(i).encode()


ODD = [(b"", ""), (b"a:b", "a%3Ab"), (b"{x}", "%7Bx%7D"), (b"\x00\xff\r\n", "%00%FF%0D%0A"),
       (b"-_.09Az", "-_.09Az"), ("ü".encode(), "%C3%BC"),
       (b"x" * 129, "~" + hashlib.sha256(b"x" * 129).hexdigest()[:32])]


def test_odd_keys(rationd, store):
    daemon = rationd(COUNTED, store=store.url, flags=["--key-prefix", "mine"])
    with daemon.resp() as client:
        for key, _ in ODD:
            assert throttle(client, key, 1, 1, 3600)[:3] == [0, 2, 1]
            assert throttle(client, key, 1, 1, 3600)[:3] == [0, 2, 0]
    if store.redis:
        with store.redis.client() as client:
            keys = {k.decode() for k in client.keys("*")}
            assert keys == {"mine:#throttle:{" + name + "}" for _, name in ODD}
            assert all(0 < client.ttl(k) <= 7201 for k in keys)


@pytest.mark.parametrize("args,piece", [
    ([], "key is missing"), (["k"], "max_burst is missing"),
    (["k", 1], "count is missing"), (["k", 1, 1], "period is missing"),
    (["k", -1, 1, 1], "max_burst must be"), (["k", "x", 1, 1], "max_burst must be"),
    (["k", "", 1, 1], "max_burst must be"), (["k", 2**53 - 1, 1, 1], "max_burst must be"),
    (["k", 2**62, 1, 1], "max_burst must be"), (["k", 2**70, 1, 1], "max_burst must be"),
    (["k", 1, 0, 1], "count must be"), (["k", 1, -1, 1], "count must be"),
    (["k", 1, "1.5", 1], "count must be"), (["k", 1, 1000001, 1], "count must be at most"),
    (["k", 1, 2**53 - 1, 315360000], "count must be at most"),
    (["k", 1, 1, 0], "period must be"), (["k", 1, 1, -5], "period must be"),
    (["k", 1, 1, 315360001], "period must be"), (["k", 1, 1, "60s"], "period must be"),
    (["k", 1, 1, 60, -1], "quantity must be"), (["k", 1, 1, 60, "x"], "quantity must be"),
    (["k", 1, 1, 60, 2**53], "quantity must be"),
    (["k", 2, 1, 315360000], "max_burst is too large"),
    (["k", 2**53 - 2, 1, 1], "max_burst is too large"),
])
def test_bad_arguments(bad_arguments_daemon, args, piece):
    daemon = bad_arguments_daemon
    before = daemon.metric('ration_throttles_total{result="invalid"}')
    with daemon.resp() as client:
        with pytest.raises(redis.ResponseError) as fault:
            throttle(client, *args)
        assert str(fault.value).startswith(piece)
        assert client.ping()
    assert daemon.metric('ration_throttles_total{result="invalid"}') == before + 1


@pytest.fixture(scope="module")
def bad_arguments_daemon(module_rationd):
    return module_rationd(COUNTED)


def test_too_many_words(bad_arguments_daemon):
    with bad_arguments_daemon.resp() as client:
        with pytest.raises(redis.ResponseError, match="wrong number of arguments"):
            throttle(client, "k", 1, 1, 60, 1, 1)


def test_the_largest_numbers(rationd, store):
    daemon = rationd(COUNTED, store=store.url)
    with daemon.resp() as client:
        year10 = 315360000
        assert throttle(client, "a", 1, 1, year10, 2) == [0, 2, 0, -1, 2 * year10]
        assert throttle(client, "b", 10**12, year10 * 10**6, year10, 10**12)[:4] == \
            [0, 10**12 + 1, pytest.approx(1, abs=10**7), -1]


def test_redis_gone(rationd, redis_server):
    daemon = rationd(COUNTED, store=redis_server.url)
    with daemon.resp() as client:
        assert throttle(client, "k", 1, 1, 3600)[0] == 0
        redis_server.stop()
        for _ in range(3):
            with pytest.raises(redis.ResponseError, match="^UNAVAILABLE the store is"):
                throttle(client, "k", 1, 1, 3600)
        assert client.ping()
    assert daemon.metric('ration_throttles_total{result="failed"}') == 3


def test_late_tokens_are_given_back(rationd, redis_server):
    # Also the ones that have to succeed have this deadline, on a busy machine.
    daemon = rationd(COUNTED, store=redis_server.url, flags=["--deadline-ms", 1000])
    with daemon.resp() as client:
        assert throttle(client, "k", 9, 1, 3600)[2] == 9
        redis_server.pause()
        with pytest.raises(redis.ResponseError, match="did not answer in time"):
            throttle(client, "k", 9, 1, 3600, 5)
        redis_server.resume()
        wait_for(lambda: daemon.metric("ration_store_given_back_total") == 1, 5,
                 "the tokens given back")
        assert throttle(client, "k", 9, 1, 3600, 0)[2] == 9


def test_a_counter_that_is_none(rationd, redis_server):
    daemon = rationd(COUNTED, store=redis_server.url)
    with redis_server.client() as other:
        other.set("ration:#throttle:{k}", "word")
    with daemon.resp() as client:
        with pytest.raises(redis.ResponseError, match="^UNAVAILABLE .*not a count"):
            throttle(client, "k", 1, 1, 3600)
        assert throttle(client, "other", 1, 1, 3600)[0] == 0


def test_clients_that_leave(rationd, redis_server):
    """Their throttles end without them, and the daemon stops clean."""
    daemon = rationd(COUNTED, store=redis_server.url, flags=["--deadline-ms", 2000])
    with daemon.resp() as client:
        throttle(client, "k", 999, 1, 3600)
    redis_server.pause()
    for _ in range(3):
        with daemon.connect("resp") as sock:
            sock.sendall(words("CL.THROTTLE", "k", 999, 1, 3600) * 10)
            wait_for(lambda: daemon.metric("ration_store_takes_total") % 10 == 1, 5,
                     "all takes under way")
    redis_server.resume()
    wait_for(lambda: daemon.metric('ration_throttles_total{result="allowed"}') == 31, 5,
             "all throttles ended")
