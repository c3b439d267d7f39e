# SPDX-License-Identifier: ISC
"""Checks that are the very same, taken by lua/take.lua as one, against the same checks
one by one: whatever stands in their keys, also what is no count, and up to the last
number. What the daemon makes of the answer is tested by run_crowds."""
import random

import pytest

from clocked import MINUTE, NUM_MAX, SECOND, TAKE, bucket, fixed, sliding

STEPS = 400
COSTS = [1, 1, 1, 2, 3, 7, 511, 2**31, 2**52, NUM_MAX - 1, NUM_MAX]
SPOILT = ["-1", "-5", "-40", "1.5", "what", "7 7"]
WIDTHS = {fixed: 1, sliding: 2, bucket: 2}


def draw_limit(rng, j):
    """What makes it, and the limit."""
    make = rng.choice([fixed, fixed, sliding, bucket])
    max_of = [1, 5, 10, 37] if make is bucket else [0, 1, 5, 10, 37, 2**52, NUM_MAX]
    return make, make(f"k{j}", rng.choice(max_of), rng.choice(COSTS))


def draw_value(rng, make, max_, now_ms):
    """What stands in its key, and when that expires."""
    end_ms = now_ms - now_ms % MINUTE + MINUTE
    if rng.random() < 0.1:
        return rng.choice(SPOILT), end_ms - 1
    used = min(max(rng.choice([max_, max_ - 1, max_ - 3, max_ // 2, 1]), 1), NUM_MAX)
    if make is fixed:
        return used, rng.choice([end_ms - 1, end_ms - 1, now_ms + 20])
    if make is sliding:
        stop = end_ms + rng.choice([-1, 0, 0, 1]) * MINUTE
        return f"{stop} {used} {rng.choice([0, 3, max_])}", end_ms + 2 * MINUTE
    full = now_ms * 1000 + used * SECOND * 1000
    return f"{full} {full + rng.choice([0, 1000])}", end_ms + 2 * MINUTE


def draw_move(rng, now_ms):
    """To some moment, or close to where a window ends."""
    left = MINUTE - now_ms % MINUTE
    return rng.choice([1, 999, 20 * SECOND, left, left - 1, left + 100])


def ask(clocked, values, keys, args):
    clocked.redis.flushall()
    for key, (value, expire_ms) in values.items():
        clocked.redis.set(key, value, pxat=expire_ms)
    numbers = clocked.redis.eval(TAKE, len(keys), *keys, *args)[1:]
    return numbers, {key: clocked.redis.get(key) for key in clocked.redis.keys()}


@pytest.mark.parametrize("seed", range(3))
def test_as_one_by_one(clocked, seed):
    rng = random.Random(seed)
    for _ in range(STEPS):
        clocked.move(draw_move(rng, clocked.now_ms))
        n, times = rng.choice([1, 1, 2, 3]), rng.choice([2, 5, 17, 40])
        makes, limits = zip(*(draw_limit(rng, j) for j in range(n)))
        values = {key: draw_value(rng, make, words[0], clocked.now_ms)
                  for make, (key, words) in zip(makes, limits) if rng.random() < 0.7}
        keys, shape = [key for key, _ in limits], [w for _, words in limits for w in words]
        many, left = ask(clocked, values, keys, ["times", 1, n, *shape, times])
        alone, left_alone = ask(clocked, values, keys * times, [times, n, *shape])
        width = sum(WIDTHS[make] for make in makes)
        firsts = [sum(WIDTHS[m] for m in makes[:j]) for j in range(n)]
        each = [alone[i:i + width] for i in range(0, len(alone), width)]
        told = limits, values, times, many, each
        assert left == left_alone, told
        if isinstance(many[0], str):
            assert all(isinstance(one[0], str) for one in each), told
            continue
        assert not any(isinstance(one[0], str) for one in each), told
        admitted = [all(one[i] >= 0 for i in firsts) for one in each]
        assert admitted == [i < many[0] for i in range(times)], told
        assert many[1:] == each[-1], told
