# SPDX-License-Identifier: ISC
"""lua/take.lua by itself, in batches: against a model of what the comment at its head
promises of fixed limits, and with limits of any kind against the same checks one by one.

The clock stands still but for what a test moves it, and likes the first and the last
moments of a window. RATION_TAKE_SEED repeats a random run, RATION_TAKE_CALLS makes it
longer.
"""
import dataclasses
import itertools
import mmap
import os
import pathlib
import random
import re
import struct

import pytest

from harness import RATIOND, built, script

SECOND, MINUTE, HOUR = 1000, 60_000, 3_600_000
START_MS = 1_767_225_600_000  # 2026-01-01T00:00:00Z
NUM_MAX = 2**53 - 1
INT_MAX = 2**63 - 1
GUARD_MS = 250
SEEDS = [int(os.environ["RATION_TAKE_SEED"])] if "RATION_TAKE_SEED" in os.environ \
    else range(4)
CALLS = int(os.environ.get("RATION_TAKE_CALLS",
                           5000 if os.environ.get("RATION_FULL") else 500))

# Everything there is: name, type, content, and how long it lives.
DUMP = """
local out = {}
for _, key in ipairs(redis.call('KEYS', '*')) do
	local kind, value = redis.call('TYPE', key).ok, ''
	if kind == 'string' then
		value = redis.call('GET', key)
	elseif kind == 'zset' then
		value = table.concat(redis.call('ZRANGE', key, 0, -1, 'WITHSCORES'), ' ')
	end
	out[#out + 1] = {key, kind, value, redis.call('PTTL', key)}
end
return out
"""


class Server:
    """A redis-server, and the script in it."""

    def __init__(self, server):
        self.redis = server.client(decode_responses=True)
        self.take_sha = self.redis.script_load(script("take"))
        self.dump_sha = self.redis.script_load(DUMP)

    def take(self, keys, words):
        return self.redis.evalsha(self.take_sha, len(keys), *keys, *words)

    def state(self, now_ms):
        """{key: (type, content, when it expires or None)}"""
        return {key: (kind, value, now_ms + left if left >= 0 else None)
                for key, kind, value, left in self.redis.evalsha(self.dump_sha, 0)}

    def put(self, key, value, expire_ms):
        """`value`: a text, or a list."""
        self.redis.delete(key)
        if isinstance(value, list):
            self.redis.rpush(key, *value)
            if expire_ms:
                self.redis.pexpireat(key, expire_ms)
        else:
            self.redis.set(key, value, pxat=expire_ms)


class Clock:
    """What the servers take for the time."""

    def __init__(self, path):
        path.write_bytes(struct.pack("=q", START_MS * 1000))
        with path.open("r+b") as file:
            self.map = mmap.mmap(file.fileno(), 8)
        self.now_us = START_MS * 1000

    @property
    def now_ms(self):
        return self.now_us // 1000

    def set(self, now_us):
        self.now_us = now_us
        self.map[:8] = struct.pack("=q", now_us)


@pytest.fixture
def pair(redis_factory, tmp_path):
    """Two servers with one clock."""
    shim = built(pathlib.Path(RATIOND).parent / "libclock_shim.so")
    clock = Clock(tmp_path / "clock")
    env = {"LD_PRELOAD": str(shim), "RATION_TEST_CLOCK": str(tmp_path / "clock")}
    return clock, Server(redis_factory(env=env)), Server(redis_factory(env=env))


@pytest.fixture
def one(redis_factory, tmp_path):
    """A server and its clock."""
    shim = built(pathlib.Path(RATIOND).parent / "libclock_shim.so")
    clock = Clock(tmp_path / "clock")
    return clock, Server(redis_factory(env={
        "LD_PRELOAD": str(shim), "RATION_TEST_CLOCK": str(tmp_path / "clock")}))


# --- what is asked ----------------------------------------------------------------------

@dataclasses.dataclass(frozen=True)
class Limit:
    """One limit of a run. kind: of those below. len_ms: of a bucket, µs between tokens."""
    kind: str = "fixed"
    max: int = 10
    cost: int = 1
    len_ms: int = MINUTE
    offset_ms: int = 0
    shadow: bool = False
    stale: bool = False  # the dates that are sent are not those of now

    @property
    def width(self):
        two = self.kind in ("sliding", "sliding dates", "bucket", "slots")
        return 1 + two + self.shadow

    def start(self, now_ms):
        return now_ms - (now_ms - self.offset_ms) % self.len_ms

    def stop(self, now_ms):
        return self.start(now_ms) + self.len_ms

    @property
    def guard_ms(self):
        return min(self.len_ms / 20, GUARD_MS)

    def is_fresh(self, now_ms):
        return now_ms - self.start(now_ms) < self.guard_ms

    def is_old(self, expire_ms, now_ms):
        """Whether a counter that is found in the first moments is of the window before:
        it never expires, or soon."""
        expire_ms = expire_ms[1] if isinstance(expire_ms, tuple) else expire_ms
        return expire_ms is None or expire_ms - now_ms < self.len_ms / 2

    def birth(self, now_ms):
        """(first, last) moment at which a counter may expire that is born now."""
        stop = self.stop(now_ms)
        if stop - now_ms > self.guard_ms:
            return stop - 1, stop - 1
        return stop, int(stop - 1 + self.guard_ms)

    def words(self, now_ms):
        head = [-1 - self.max if self.shadow else self.max, self.cost]
        if self.kind == "fixed":
            return head + [self.len_ms, self.offset_ms]
        if self.kind == "sliding":
            return head + ["sliding", self.len_ms, self.offset_ms]
        if self.kind == "bucket":
            return head + ["bucket", self.len_ms]
        if self.kind == "slots":
            return head + ["slots"]
        at = self.start(now_ms) - self.len_ms * (9 if self.stale else 1)
        return head + [self.kind, *(at + i * self.len_ms for i in range(5))]


@dataclasses.dataclass
class Run:
    """Checks of one shape: the keys of each. looks: they only look. ids: (id's key, print)
    of each, held: (reservation's key, holder) of each, where there is a ledger. times:
    for how many checks each stands."""
    limits: list
    checks: list
    looks: bool = False
    times: list = None
    ids: list = None
    held: list = None

    @property
    def width(self):
        front = bool(self.times or self.ids or self.held)
        return front + sum(l.width for l in self.limits)

    def call(self, now_ms):
        """(keys, words) of the run."""
        limits = [w for l in self.limits for w in l.words(now_ms)]
        if self.times:
            return sum(self.checks, []), ["times", len(self.checks), len(self.limits),
                                          *limits, *self.times]
        n = -len(self.checks) if self.looks else len(self.checks)
        if not self.ids and not self.held:
            return sum(self.checks, []), [n, len(self.limits), *limits]
        keys, tail = [], []
        for i, check in enumerate(self.checks):
            ledger = [part[i] for part in (self.ids, self.held) if part]
            keys += [key for key, _ in ledger] + check
            tail += [word for _, word in ledger]
        return keys, ["ledger", 600_000 if self.ids else 0, 5000 if self.held else 0,
                      "1" * len(self.limits) or "-", n, len(self.limits), *limits, *tail]

    def alone(self):
        """The same checks as runs of one check each."""
        for i, check in enumerate(self.checks):
            single = Run(self.limits, [check], self.looks,
                         ids=self.ids and [self.ids[i]],
                         held=self.held and [self.held[i]])
            yield from itertools.repeat(single, self.times[i] if self.times else 1)


def ask(server, clock, runs):
    """The answer to each check of the runs, as one list."""
    calls = [run.call(clock.now_ms) for run in runs]
    answer = server.take([k for keys, _ in calls for k in keys],
                         [w for _, words in calls for w in words])
    assert answer[0] == clock.now_us
    found, at = [], 1
    for run in runs:
        for _ in run.checks:
            found.append(answer[at:at + run.width])
            at += run.width
    assert at == len(answer), f"{len(answer)} elements for {at}"
    return found


# --- the model ----------------------------------------------------------------------------

class Fault(Exception):
    """A check that meets an error."""


class Model:
    """Fixed limits as the head of the script says they are."""

    def __init__(self):
        self.state = {}     # key: (type, content, expires), as Server.state()
        self.windows = {}   # key: the Limit of whose window it is

    def count(self, key, limit, now_ms):
        kind, text, expire_ms = self.state.get(key, ("none", "0", None))
        if kind == "none" or limit.is_fresh(now_ms) and limit.is_old(expire_ms, now_ms):
            return 0
        if kind != "string" or not re.fullmatch(r"0|[1-9]\d*", text):
            raise Fault(key)
        return int(text)

    def check(self, limits, keys, looks, now_ms):
        """The answer; charges when it is admitted."""
        counts, refused, faulty = [], None, False
        for j, (limit, key) in enumerate(zip(limits, keys)):
            counts.append(self.count(key, limit, now_ms))
            if looks or refused is not None:
                continue
            faulty |= limit.cost > 0 and counts[j] + limit.cost > INT_MAX
            if counts[j] + limit.cost > limit.max:
                refused = j
                if limit.cost > 0 and not faulty:
                    self.end(key, counts[j], limit, now_ms)
        if faulty:
            raise Fault
        if looks:
            return counts
        if refused is not None:
            return [-1 - n if j == refused else n for j, n in enumerate(counts)]
        for limit, key, n in zip(limits, keys, counts):
            if limit.cost > 0:
                expire = self.state[key][2] if n > 0 else limit.birth(now_ms)
                self.state[key] = ("string", str(n + limit.cost), expire)
        return [n + limit.cost for limit, n in zip(limits, counts)]

    def end(self, key, count, limit, now_ms):
        """A counter that refuses ends with its window, if it had no end."""
        if count > 0 and self.state[key][2] is None:
            self.state[key] = (*self.state[key][:2], limit.birth(now_ms))

    def take(self, runs, now_ms):
        """The answers, None for one with an error."""
        answers = []
        for run in runs:
            for keys in run.checks:
                self.windows.update(zip(keys, run.limits))
                try:
                    answers.append(self.check(run.limits, keys, run.looks, now_ms))
                except Fault:
                    answers.append(None)
        return answers

    def counting(self, state, now_ms):
        """The state without what counts for nothing, and so may be there or not: zeros,
        what is over, and in the first moments of a window what is of the one before."""
        def counts(key, kind, text, expire):
            limit = self.windows.get(key)
            expire = expire[1] if isinstance(expire, tuple) else expire
            return not (kind == "string" and text == "0" or
                        expire is not None and expire < now_ms or
                        limit and limit.is_fresh(now_ms) and limit.is_old(expire, now_ms))
        return {k: v for k, v in state.items() if counts(k, *v)}

    def adopt(self, state, now_ms):
        """Whether the server's state is the model's; from then on it is."""
        mine, its = self.counting(self.state, now_ms), self.counting(state, now_ms)
        same = mine.keys() == its.keys() and all(
            mine[k][:2] == its[k][:2] and expires_as(its[k][2], mine[k][2]) for k in its)
        self.state = dict(state)
        return same, mine, its


def expires_as(found, wanted):
    if isinstance(wanted, tuple):
        return found is not None and wanted[0] <= found <= wanted[1]
    return found == wanted


def same_answer(found, wanted):
    """Numbers past 2^53 are no counts, and Lua does not tell them exactly: near 2^63 they
    even seem to be below 0. An error is told in words, in front of zeros."""
    if wanted is None:
        return isinstance(found[0], str) and set(found[1:]) <= {0} and re.search(
            "WRONGTYPE|not an integer|overflow", found[0])
    return len(found) == len(wanted) and all(
        isinstance(f, int) and (f == w or abs(w) > NUM_MAX < abs(f) and (f < 0 or w > 0))
        for f, w in zip(found, wanted))


def compare(server, clock, model, runs, where):
    """Asks, and holds the answers and what is there then against the model."""
    now_ms = clock.now_ms
    before = model.counting(model.state, now_ms)
    wanted = model.take(runs, now_ms)
    found = ask(server, clock, runs)
    what = f"{where}, at {now_ms}: {runs}\nbefore {before}\nanswers {found}\nwanted  {wanted}"
    assert all(map(same_answer, found, wanted)), what
    same, mine, its = model.adopt(server.state(now_ms), now_ms)
    assert same, f"{what}\nthere is {its}\nwanted   {mine}"


# --- batches with something in their midst ------------------------------------------------

LENGTHS = [MINUTE, SECOND, HOUR, 90 * SECOND, 24 * HOUR]
MAX = 1000


def midst(limit):
    """What a counter in the midst of a batch may hold, by name; None: there is none."""
    most, cost = limit.max, limit.cost
    return {"born": None, "zero": "0", "begun": "5", "full": str(most),
            "one too many": str(most - cost + 1), "the last": str(most - cost),
            "past max": str(most + 7), "text": "abc", "empty": "", "fraction": "1.5",
            "of the window before": "5", "list": ["1"], "-1": "-1", "-cost": str(-cost),
            "-max": str(-most),
            "NUM_MAX": str(NUM_MAX), "2^53": str(2**53), "2^53+1": str(2**53 + 1),
            "the end - cost": str(INT_MAX - cost), "the end": str(INT_MAX),
            "the other end": str(-INT_MAX - 1)}


MOMENTS = {  # of a window: how far from its start, or its end
    "midst": lambda l: l.len_ms // 2 // 1000 * 1000 + 7,
    "first": lambda l: 0,
    "still first": lambda l: int(l.guard_ms) - 1,
    "not first any more": lambda l: int(l.guard_ms),
    "not last yet": lambda l: l.len_ms - int(l.guard_ms) - 1,
    "one of the last": lambda l: l.len_ms - int(l.guard_ms),
    "last": lambda l: l.len_ms - 1,
}


def begun(limits, name, counts, server, clock):
    """Fresh keys for a check, with these counts in them."""
    keys = [f"{name}.{j}" for j in range(len(limits))]
    for key, limit, count in zip(keys, limits, counts):
        if count is not None:
            server.put(key, count, limit.stop(clock.now_ms) - 1)
    return keys


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("n", [1, 2, 3, 5])
def test_something_in_the_midst_of_a_batch(one, n, moment):
    """Five checks of n limits, of which the third has the odd counter; the fourth is the
    first once more, the last the third."""
    clock, server = one
    odd_at = sorted({0, min(1, n - 1), n - 1})
    for turn, (cost, at) in enumerate(itertools.product([1, 3, MAX, MAX + 1], odd_at)):
        limits = [Limit("fixed", MAX + 9 * j, cost + j, LENGTHS[j]) for j in range(n)]
        # Of the limits the one at hand is in this moment; the others are where they are.
        clock.set((START_MS + (turn + 1) * 24 * HOUR + MOMENTS[moment](limits[at])) * 1000 + 999)
        for name, odd in midst(limits[at]).items():
            server.redis.flushall()
            checks = [begun(limits, i, ["2"] * n, server, clock) for i in range(2)]
            counts = ["2"] * n
            counts[at] = odd
            checks.append(begun(limits, "odd", counts, server, clock))
            if name == "of the window before":  # it ends soon
                server.put(checks[2][at], odd, clock.now_ms + 20)
            model = Model()
            model.state = server.state(clock.now_ms)
            compare(server, clock, model, [Run(limits, checks + [checks[0], checks[2]])],
                    f"{name} at {at}, {moment}, cost {cost}")


@pytest.mark.parametrize("n", [1, 2, 3, 5])
def test_a_batch_that_fills_its_counters(one, n):
    """The very same check again and again, from the birth of its counters until some time
    after the first of them is full; one of them is full already, or not."""
    clock, server = one
    clock.set((START_MS + 30 * HOUR + 7 * SECOND + 500) * 1000)
    for cost, full_at, at in itertools.product([1, 4], [1, 2, 5, 9], range(n)):
        limits = [Limit("fixed", full_at * cost + (3 if j == at else 60), cost + j // 2,
                        LENGTHS[j]) for j in range(n)]
        server.redis.flushall()
        keys = [f"k{j}" for j in range(n)]
        compare(server, clock, Model(), [Run(limits, [keys] * 12)], f"{cost} {full_at}")


# --- random batches -----------------------------------------------------------------------

COSTS = [1, 1, 1, 1, 1, 2, 3, 7, 2**31, 2**52, NUM_MAX]
MAXES = [0, 1, 2, 5, 5, 10, 10, 40, 1000, 2**52, NUM_MAX - 1, NUM_MAX]
SPOILT = ["abc", "", "1.5", ["1"], "-1", "-3", "-1000", str(NUM_MAX), str(2**53),
          str(2**53 + 1), str(-INT_MAX - 1)]
# What cannot be charged without an overflow: an error to a check, no room to many at once.
TOO_MUCH = [str(INT_MAX), str(INT_MAX - 1), str(INT_MAX - 40)]


def draw_moment(rng, now_us, limit):
    """A later one, mostly around the edge of the limit's window."""
    if rng.random() < 0.55:
        return now_us + rng.choice([0, 0, 1, 500, 1000, 20_000, 400_000])
    if rng.random() < 0.2:
        return now_us + rng.randrange(3 * HOUR * 1000)
    stop_us = limit.stop(now_us // 1000) * 1000
    guard_us = int(limit.guard_ms * 1000)
    off = rng.choice([-guard_us - 1000, -guard_us, -guard_us // 2, -1000, -1, 0, 0, 1, 999, 1000,
                      guard_us // 2, guard_us - 1000, guard_us - 1, guard_us])
    return max(stop_us + off, now_us)


class Keys:
    """A pool of counters, few of each window, so that they meet again."""

    def __init__(self, rng):
        self.rng = rng
        self.windows = [(MINUTE, 0), (SECOND, 0), (2 * SECOND, 0), (HOUR, 0),
                        (7 * 24 * HOUR, 4 * 24 * HOUR)]

    def shape(self, zeros):
        """A few limits and checks of them, plain ones mostly."""
        rng = self.rng
        n = rng.choice([1, 1, 2, 2, 3, 5])
        picked = rng.sample(range(5), n)
        cost = rng.choice(COSTS)
        limits = [Limit("fixed", rng.choice(MAXES),
                        0 if zeros and rng.random() < 0.3 else
                        rng.choice([cost, cost, rng.choice(COSTS)]), *self.windows[w])
                  for w in picked]
        checks = [[f"{w}:{rng.randrange(6)}" for w in picked]
                  for _ in range(rng.choice([1, 2, 5, 12]))]
        if rng.random() < 0.3:
            checks = [rng.choice(checks) for _ in checks]  # the same ones again
        return limits, checks


def spoil(rng, server, clock, limit, key, values):
    """Leaves something in a counter: odd, or just a count, of whatever life."""
    now_ms, stop = clock.now_ms, limit.stop(clock.now_ms)
    count = max(limit.max - rng.choice([0, 1, limit.cost, limit.cost - 1]), 1)
    value = rng.choice(values) if rng.random() < 0.5 else str(count)
    server.put(key, value, rng.choice([stop - 1, stop - 1, stop - 1, now_ms + 30,
                                       now_ms + int(limit.guard_ms), None]))


@pytest.mark.parametrize("seed", SEEDS)
def test_as_the_model_says(one, seed):
    clock, server = one
    rng = random.Random(seed)
    keys, model = Keys(rng), Model()
    for call in range(CALLS):
        if call % 50 == 0:
            server.redis.flushall()
        runs = [Run(*keys.shape(rng.random() < 0.2), looks=rng.random() < 0.1)
                for _ in range(rng.choice([1, 1, 1, 1, 2, 3]))]
        clock.set(draw_moment(rng, clock.now_us, rng.choice(runs[0].limits)))
        for run in runs:
            if rng.random() < 0.3:
                j, check = rng.randrange(len(run.limits)), rng.choice(run.checks)
                spoil(rng, server, clock, run.limits[j], check[j],
                      SPOILT + TOO_MUCH)
        model.state = server.state(clock.now_ms)
        compare(server, clock, model, runs, f"seed {seed}, call {call}")


def draw_limit(rng, window, ledger):
    kind = rng.choice(["fixed"] * 4 + ["sliding", "bucket", "fixed dates",
                                       "sliding dates"] + ["slots"] * ledger)
    many = [0, 1, 2, 5, 10, 40] + [2**40, NUM_MAX] * (kind != "bucket")
    cost = rng.choice([0] + COSTS[:8] + [NUM_MAX] * (kind != "bucket"))
    return Limit(kind, rng.choice(many), 1 if kind == "slots" else cost,
                 *(window if kind != "bucket" else (rng.choice([1, 1000, 10**6]), 0)),
                 shadow=rng.random() < 0.2, stale=rng.random() < 0.1)


def draw_run(rng, keys, number):
    """A run of any kind; shadow limits stand behind the others."""
    what = rng.choice(["plain"] * 5 + ["any"] * 4 + ["times", "looks", "ledger"])
    if what == "plain":
        return Run(*keys.shape(False))
    picked = rng.sample(range(5), rng.choice([1, 2, 3, 5]))
    limits = sorted((draw_limit(rng, keys.windows[w], what == "ledger") for w in picked),
                    key=lambda l: l.shadow)
    if what == "times":  # these are all enforced, with a cost
        limits = [dataclasses.replace(l, shadow=False, cost=max(l.cost, 1)) for l in limits]
    checks = [[f"{l.kind}:{l.len_ms}:{rng.randrange(4)}" for l in limits]
              for _ in range(rng.choice([1, 2, 5]))]
    # No counter twice in a check: their windows may be the same.
    checks = [[f"{key}:{j}" for j, key in enumerate(check)] for check in checks]
    run = Run(limits, checks, looks=what == "looks")
    if what == "times":
        run.times = [rng.choice([1, 2, 7]) for _ in checks]
    elif what == "ledger":
        run.ids = [(f"id{rng.randrange(5)}", rng.choice(["ab", "ab", "cd"])) for _ in checks]
        run.held = [(f"held{number}.{i}", f"{number}x{i}") for i in range(len(checks))]
    return run


def alone(server, clock, run):
    """The answers of the run's checks, asked one by one, as the run's would be."""
    found = [ask(server, clock, [single])[0] for single in run.alone()]
    if not run.times:
        return found
    told, at = [], 0
    for times in run.times:
        some, at = found[at:at + times], at + times
        admitted = sum(not any(is_refusal(n) for n in numbers) for numbers in some)
        told.append([admitted, *some[-1]] if not isinstance(some[0][0], str)
                    else [*some[0], 0])
    return told


def is_refusal(number):
    return isinstance(number, str) or number < 0


def plain(answers):
    """Which error it was depends on which command met it."""
    def word(n):
        known = isinstance(n, int) or re.match("DATES|CONFLICT|REPLAYED", n)
        return n if known else "fault"
    return [[word(n) for n in a] for a in answers]


def comparable(state, now_ms):
    """What says itself of when it is may live longer where a charge was undone: it is left
    out once it is over."""
    def own(key, text, expire):
        kind, len_ms, *_ = key.split(":")
        if not kind.startswith(("bucket", "sliding")) or not re.fullmatch(r"[\d ]+", text):
            return text, expire
        first, *_, last = map(int, [*text.split(), 0] if kind != "bucket" else
                              [0, *text.split()])
        over = last <= now_ms * 1000 if kind == "bucket" else first + int(len_ms) <= now_ms
        return None if over else text
    found = {key: own(key, text, expire) for key, (_, text, expire) in state.items()
             if ":" in key}
    return {key: value for key, value in found.items() if value is not None} | {
        key: value for key, value in state.items() if ":" not in key}


@pytest.mark.parametrize("seed", SEEDS)
def test_a_batch_as_one_by_one(pair, seed):
    """Runs of any kind in one call: the same answers, and the same there afterwards, as
    from the checks one by one."""
    clock, batch, single = pair
    rng = random.Random(seed)
    keys = Keys(rng)
    for call in range(CALLS // 2):
        if call % 50 == 0:
            batch.redis.flushall()
            single.redis.flushall()
        runs = [draw_run(rng, keys, f"{call}.{i}") for i in range(rng.choice([1, 2, 3]))]
        clock.set(draw_moment(rng, clock.now_us, rng.choice(
            [l for l in runs[0].limits if l.kind != "bucket"] or [Limit()])))
        if rng.random() < 0.3:
            run = rng.choice(runs)
            j, check = rng.randrange(len(run.limits)), rng.choice(run.checks)
            again = random.Random(rng.random())
            seeded = again.getstate()
            for server in (batch, single):
                again.setstate(seeded)
                spoil(again, server, clock, run.limits[j], check[j], SPOILT)
        before = batch.state(clock.now_ms)
        found = plain(ask(batch, clock, runs))
        wanted = plain([a for run in runs for a in alone(single, clock, run)])
        what = (f"seed {seed}, call {call}, at {clock.now_ms}: {runs}\nbefore {before}\n"
                f"together   {found}\none by one {wanted}")
        assert found == wanted, what
        its = comparable(batch.state(clock.now_ms), clock.now_ms)
        other = comparable(single.state(clock.now_ms), clock.now_ms)
        assert its == other, f"{what}\nthere is {its}\nalone    {other}"
