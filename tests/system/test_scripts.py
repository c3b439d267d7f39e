# SPDX-License-Identifier: ISC
"""The Lua scripts by themselves: what a request id, a reservation and its end do to
Redis. Its clock stands still, and moves when a test says so."""
import mmap
import pathlib
import struct

import re

import pytest
import redis as redis_client

from harness import RATIOND, built, script
from load import assert_all_expire

TAKE, SETTLE, GIVE_BACK = script("take"), script("settle"), script("give_back")
SECOND, MINUTE, HOUR = 1000, 60_000, 3_600_000
START_MS = 1_767_225_600_000 + 10 * SECOND  # 2026-01-01T00:00:10Z
NUM_MAX = 2**53 - 1
PRINT, OTHER_PRINT = "ab" * 16, "cd" * 16
HOLDER, OTHER_HOLDER = "01" * 16, "23" * 16
DEDUP, TTL, KEEP = 600 * SECOND, 100 * SECOND, 300 * SECOND
LAST = 1  # a key lives in the ms of its expiry, so a record's is the last ms of its time


@pytest.fixture
def clocked(redis_factory, tmp_path):
    shim = built(pathlib.Path(RATIOND).parent / "libclock_shim.so")
    path = tmp_path / "clock"
    path.write_bytes(struct.pack("=q", START_MS * 1000))
    server = redis_factory(env={"LD_PRELOAD": str(shim),
                                "RATION_TEST_CLOCK": str(path)})
    with path.open("r+b") as file:
        yield Clocked(server, mmap.mmap(file.fileno(), 8))


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


# --- request ids ----------------------------------------------------------------------

def test_a_retry_is_given_the_first_answer(clocked):
    assert clocked.take(*ALL) == (0, ADMITTED)
    first_ms, before = clocked.now_ms, clocked.state()
    clocked.move(2 * SECOND)
    other = dict(held="other", holder=OTHER_HOLDER)
    for _ in range(12):
        assert clocked.take(*ALL, **other) == (
            f"REPLAYED {first_ms * 1000} {HOLDER}", ADMITTED)
    after = clocked.state()
    # Nothing changed but that the record says how often it was told.
    assert after["id"] == (DEDUP - 2 * SECOND - LAST,
                           before["id"][1].replace(f"{PRINT} 0", f"{PRINT} 12"))
    assert {k: v for k, (_, v) in after.items() if k != "id"} == {
        k: v for k, (_, v) in before.items() if k != "id"}
    assert assert_all_expire(clocked.redis) == 8
    clocked.move(DEDUP - 2 * SECOND - LAST)
    assert clocked.take(*ALL, **other)[0].startswith("REPLAYED")
    clocked.move(1)
    assert clocked.take(*ALL, **other)[0] == 0


def test_two_of_one_id_in_one_call(clocked):
    keys, args = ledger_run(fixed("f"), held=None)
    args[4] = 3
    answer = clocked.redis.eval(TAKE, 6, *keys * 3, *args, PRINT, OTHER_PRINT)
    now = clocked.now_ms * 1000
    assert answer == [now, 0, 1, f"REPLAYED {now} -", 1, "CONFLICT", 0]
    assert clocked.redis.get("f") == "1"


def test_an_id_that_was_used_for_something_else(clocked):
    clocked.take(*ALL)
    before = clocked.state()
    assert clocked.take(*ALL, print=OTHER_PRINT) == ("CONFLICT", [0] * len(ADMITTED))
    assert clocked.take(*ALL, print=OTHER_PRINT, look=True)[0] == "CONFLICT"
    assert clocked.take(fixed("f"), print=PRINT) == ("CONFLICT", [0])
    assert clocked.state() == before


def test_a_refusal_leaves_nothing(clocked):
    clocked.redis.set("f", 9, px=50 * SECOND)
    clocked.take(sliding("s", cost=3), id_key="other", held=None)
    before = clocked.state()
    assert clocked.take(sliding("s"), slots("c"), fixed("f", cost=2)) == (
        0, [3, 0, 0, 0, -10])
    assert clocked.state() == before
    assert clocked.take(sliding("s"), slots("c"), fixed("f")) == (0, [4, 0, 1, TTL, 10])


def test_a_look_at_an_id_writes_nothing(clocked):
    look = dict(look=True, held=None)
    assert clocked.take(*ALL, **look) == (0, [0, 0, 0, 0, 0, 0, 0, -1, 0, -1, 0, 0])
    assert clocked.take(look=True, held=None) == (0, [])
    assert clocked.state() == {}
    clocked.take(*ALL)
    before = clocked.state()
    assert clocked.take(*ALL, **look) == (
        f"REPLAYED {clocked.now_ms * 1000} {HOLDER}", ADMITTED)
    assert clocked.state() == before


def test_without_limits(clocked):
    assert clocked.take() == (0, [])
    assert clocked.take() == (f"REPLAYED {clocked.now_ms * 1000} {HOLDER}", [])
    assert clocked.redis.get("held") == "h"
    assert clocked.settle("commit", cost=5) == 1
    assert clocked.redis.get("held") == "s"
    assert assert_all_expire(clocked.redis) == 2


def test_numbers_up_to_the_last(clocked):
    huge = fixed("f", max=NUM_MAX, cost=NUM_MAX)
    assert clocked.take(huge) == (0, [NUM_MAX])
    assert clocked.take(huge)[1] == [NUM_MAX]
    assert clocked.redis.get("held") == (
        f"h f {NUM_MAX} 1 fixed {START_MS + 50 * SECOND} {MINUTE}")
    assert clocked.settle("commit", cost=NUM_MAX - 2) == 1
    assert clocked.redis.get("f") == str(NUM_MAX - 2)


@pytest.mark.parametrize("broken", ["f", "s", "b", "c", "id", "held"])
def test_a_key_of_another_type_leaves_nothing_half_done(clocked, broken):
    clocked.redis.rpush(broken, "x")
    before = clocked.state()
    front, numbers = clocked.take(*ALL)
    if broken == "held":  # it is overwritten: no other has this name
        assert front == 0
        return
    assert "WRONGTYPE" in front and numbers == [0] * len(ADMITTED)
    assert clocked.state() == before


REFUSE = """
local redis = (function(server)
	local function call(name, ...)
		if name == 'SET' and select(1, ...) == '%s' then
			error({err = 'NOPERM not this one'})
		end
		return server.call(name, ...)
	end
	return {call = call, pcall = server.pcall}
end)(redis)
"""


@pytest.mark.parametrize("refused", ["id", "held"])
def test_a_record_that_cannot_be_written(clocked, refused):
    """What was charged before it is undone."""
    clocked.take(slots("c"), id_key=None, held="held2", holder=OTHER_HOLDER)
    before = clocked.state()
    keys, args = ledger_run(*ALL)
    answer = clocked.redis.eval(REFUSE % refused + TAKE, len(keys), *keys, *args)
    assert answer[1].startswith("NOPERM") and not any(answer[2:])
    assert clocked.state() == before


def test_an_error_in_one_check_of_a_run(clocked):
    clocked.redis.rpush("f2", "x")
    keys = [k for i in (1, 2, 3) for k in (f"i{i}", f"h{i}", f"s{i}", f"f{i}")]
    args = ledger_run(sliding("s"), fixed("f"))[1]
    args[4] = 3
    answer = clocked.redis.eval(TAKE, 12, *keys, *args, *[PRINT, HOLDER] * 2)
    assert answer[1:5] == [0, 1, 0, 1] and answer[9:] == [0, 1, 0, 1]
    assert "WRONGTYPE" in answer[5] and answer[6:9] == [0, 0, 0]
    assert clocked.redis.exists("s2", "i2", "h2") == 0
    assert clocked.redis.exists("s1", "i1", "h1", "s3", "i3", "h3") == 6


def test_an_error_in_one_check_of_a_plain_run(clocked):
    """Amid a window such a run has a way of its own, and goes on with the other."""
    clocked.move(MINUTE - clocked.now_ms % MINUTE + 30 * SECOND)
    clocked.redis.rpush("2", "no count")
    answer = clocked.redis.eval(TAKE, 4, *"1234", 4, 1, 10, 1, MINUTE, 0)
    assert answer[1] == 1 and "WRONGTYPE" in str(answer[2]) and answer[3:] == [1, 1]
    assert [clocked.redis.get(key) for key in "134"] == ["1"] * 3


# Of a counter of max 10: what it holds, how many a check of cost 2 leaves there, what is
# answered.
UNUSUAL = {"new": (None, "2", 2), "full": ("9", "9", -10), "negative": ("-5", "-5", "WRONG"),
           "not yet one": ("-1", "-1", "WRONG"), "none": ("abc", "abc", "ERR"),
           "of no max": (str(2**63 - 2), str(2**63 - 2), "ERR")}


@pytest.mark.parametrize("odd", UNUSUAL)
@pytest.mark.parametrize("at", range(5))
def test_the_usual_call_with_an_unusual_check(clocked, at, odd):
    """The others are answered as ever, those before it and those behind; a second one
    behind it, too; and every counter of ours expires."""
    held, left, told = UNUSUAL[odd]
    keys = [f"k{i}" for i in range(5)] + ["new", "last"]
    for i, key in enumerate(keys):
        if key != "new":
            clocked.redis.set(key, i + 1, px=MINUTE)
    if held is None:
        clocked.redis.delete(keys[at])
    else:
        clocked.redis.set(keys[at], held, px=MINUTE)
    answer = clocked.redis.eval(TAKE, len(keys), *keys, len(keys), 1, 10, 2, MINUTE, 0)
    assert answer[0] == clocked.now_ms * 1000
    for i, (key, got) in enumerate(zip(keys, answer[1:], strict=True)):
        if i == at:
            assert got == told if isinstance(told, int) else told in got, key
            assert clocked.redis.get(key) == left
        else:
            used = 2 if key == "new" else i + 3
            assert got == used and clocked.redis.get(key) == str(used), key
    assert assert_all_expire(clocked.redis) == len(keys)


def test_runs_with_and_without_a_ledger_in_one_call(clocked):
    keys, args = ledger_run(fixed("f"), fixed("g"))
    answer = clocked.redis.eval(
        TAKE, 2 + len(keys) + 1, "p", "q", *keys, "f",
        2, 1, *fixed("p")[1], *args, 1, 1, *fixed("f")[1])
    assert answer[1:] == [1, 1, 0, 1, 1, 2]


# --- late charges ---------------------------------------------------------------------

def marks(now_ms):
    """The charges of ALL as the daemon knows them."""
    end = now_ms // MINUTE * MINUTE + MINUTE
    full = now_ms * 1000 + 3 * SECOND * 1000
    return [("f", 3, "fixed", end, MINUTE), ("s", 3, "sliding", end, end + MINUTE),
            ("b", 3, "bucket", full, SECOND * 1000), ("c", 1, "slots", 0, 0),
            ("F", 3, "fixed", end, MINUTE), ("C", 1, "slots", 0, 0)]


def test_a_late_charge_that_nobody_was_told_of(clocked):
    clocked.take(*ALL)
    assert clocked.give_back(marks(START_MS)) == 6
    assert {k: v for k, (_, v) in clocked.state().items()} == {
        "s": f"{START_MS + 50 * SECOND} 0 0", "b": str(START_MS * 1000)}
    given_back = [*ADMITTED[:4], 3 * SECOND * 1000, *ADMITTED[5:]]
    assert clocked.take(*ALL) == (0, given_back)


def test_a_late_charge_that_a_retry_was_told_of(clocked):
    clocked.take(*ALL)
    clocked.take(*ALL)
    before = clocked.state()
    assert clocked.give_back(marks(START_MS)) == 0
    before["id"] = (before["id"][0], before["id"][1].replace(f"{PRINT} 1", f"{PRINT} 0"))
    assert clocked.state() == before


def test_a_late_charge_of_another_call(clocked):
    """The id's record is of a later try: the first one's window turned away."""
    clocked.take(*ALL)
    before = clocked.state()
    assert clocked.give_back(marks(START_MS), now_ms=START_MS - 1) == 0
    assert clocked.state() == before
    clocked.redis.delete("id")
    assert clocked.give_back(marks(START_MS)) == 0
    assert clocked.redis.get("f") == "3"


def test_a_late_reservation_without_an_id(clocked):
    clocked.take(*ALL, id_key=None)
    assert clocked.give_back(marks(START_MS), id_key=None) == 6
    assert sorted(clocked.redis.keys("*")) == ["b", "s"]


def test_late_checks_in_one_call(clocked):
    """One was told of, one was not, one has no ledger."""
    r = clocked.redis
    for i in (1, 2):
        clocked.take(fixed(f"f{i}"), id_key=f"i{i}", held=f"h{i}")
    clocked.take(fixed("f1"), id_key="i1", held="h1")
    r.set("p", 5, px=50 * SECOND)
    start = f"{PRINT} {START_MS * 1000} {HOLDER}"
    one = (1, "fixed", START_MS + 50 * SECOND, MINUTE)
    assert r.eval(GIVE_BACK, 7, "i1", "h1", "f1", "i2", "h2", "f2", "p",
                  1, start, HOLDER, *one, 1, start, HOLDER, *one, 1, "", "", *one) == 2
    assert r.mget("f1", "f2", "p") == ["1", None, "4"]
    assert r.exists("i1", "h1") == 2 and r.exists("i2", "h2") == 0


def test_the_last_one_who_was_not_told_gives_back(clocked):
    """A retry may come too late as well. Peeks are no retries."""
    for _ in range(3):
        clocked.take(*ALL)
        assert clocked.take(*ALL, held=None, look=True)[0].startswith("REPLAYED")
    first_ms, before = clocked.now_ms, clocked.state()
    clocked.move(SECOND)
    for left in (1, 0):
        assert clocked.give_back(marks(START_MS), now_ms=first_ms) == 0
        assert clocked.redis.get("id") == before["id"][1].replace(f"{PRINT} 2",
                                                                  f"{PRINT} {left}")
        assert clocked.redis.pttl("id") == DEDUP - SECOND - LAST
    assert clocked.redis.get("f") == "3"
    assert clocked.give_back(marks(START_MS), now_ms=first_ms) == 6
    assert sorted(clocked.redis.keys("*")) == ["b", "s"]


def test_a_settled_reservation_is_not_given_back(clocked):
    """A peek tells of an id whose caller was not told."""
    clocked.redis.set("f", 2, px=50 * SECOND)
    clocked.take(*ALL)
    assert clocked.settle("commit") == 1
    before = clocked.state()
    assert clocked.give_back(marks(START_MS)) == 0
    assert clocked.state() == before


# --- settlements ----------------------------------------------------------------------

def test_rollback_gives_back_everything(clocked):
    clocked.redis.set("f", 2, px=50 * SECOND)
    clocked.take(*ALL)
    assert clocked.settle("rollback") == 1
    state = clocked.state()
    assert state.pop("id")[1].startswith(PRINT)
    assert state == {
        "held": (KEEP - LAST, "s"), "f": (50 * SECOND, "2"),
        "s": (state["s"][0], f"{START_MS + 50 * SECOND} 0 0"),
        "b": (state["b"][0], str(START_MS * 1000))}
    assert assert_all_expire(clocked.redis) == 5
    assert clocked.settle("rollback", text="h") == 0 == clocked.settle("commit", text="h")
    assert clocked.state()["f"][1] == "2"


def test_commit_as_charged_frees_the_slots(clocked):
    clocked.take(*ALL)
    before = clocked.state()
    assert clocked.settle("commit") == 1
    after = clocked.state()
    assert [k for k in before if k not in after] == ["C", "c"]
    assert {k for k in after if before[k] != after[k]} == {"held"}
    assert after["held"] == (KEEP - LAST, "s")


@pytest.mark.parametrize("cost", [0, 1, 5, 50, NUM_MAX])
def test_commit_with_the_true_cost(clocked, cost):
    clocked.take(*ALL)
    clocked.take(*ALL, id_key="id2", held="held2", holder=OTHER_HOLDER)
    assert clocked.settle("commit", cost=cost) == 1
    state = {k: v for k, (_, v) in clocked.state().items()}
    count = min(3 + cost, NUM_MAX)
    assert state["f"] == state["F"] == str(count)
    assert state["s"] == f"{START_MS + 50 * SECOND} {count} 0"
    # Of the first charge no more can come back than is still missing of it.
    assert int(state["b"]) == min((START_MS + (3 + cost) * SECOND) * 1000, NUM_MAX)
    assert [m for m, _ in state["c"]] == [OTHER_HOLDER]
    assert_all_expire(clocked.redis)


def test_only_what_corrects_is_corrected(clocked):
    clocked.take(fixed("a"), fixed("b"), sliding("s"), corrects="010")
    assert clocked.settle("commit", cost=7) == 1
    assert clocked.redis.mget("a", "b") == ["1", "7"]
    assert clocked.redis.get("s").split()[1] == "1"


def test_a_shadow_charge_that_was_not_made_is_not_settled(clocked):
    clocked.redis.set("F", "x", px=50 * SECOND)
    clocked.take(fixed("f"), fixed("F", shadow=True))
    assert clocked.redis.get("held").split() == [
        "h", "f", "1", "1", "fixed", str(START_MS + 50 * SECOND), str(MINUTE)]
    assert clocked.settle("rollback") == 1
    assert clocked.redis.get("F") == "x"


def test_a_charge_of_nothing_is_corrected_like_any_other(clocked):
    clocked.take(fixed("f", cost=0), fixed("F", cost=0, shadow=True))
    assert clocked.settle("commit", cost=5) == 1
    assert clocked.redis.mget("f", "F") == ["5", "5"]


@pytest.mark.parametrize("action,cost", [("rollback", -1), ("commit", 9), ("commit", 1)])
def test_a_window_that_is_over_is_left_alone(clocked, action, cost):
    charges = fixed("f", cost=3), sliding("s", cost=3), bucket("b", cost=3)
    clocked.take(*charges)
    clocked.move(MINUTE)
    other = dict(id_key="id2", held="held2", holder=OTHER_HOLDER)
    clocked.take(*charges, **other)
    before = clocked.state()
    assert clocked.settle(action, cost=cost) == 1
    after = clocked.state()
    assert after["f"] == before["f"]
    # A bucket has no window: what was used beyond the charge is taken now.
    more = max(cost - 3, 0) * SECOND * 1000 if action == "commit" else 0
    assert int(after["b"][1]) == int(before["b"][1]) + more
    # In the window before it counts still.
    share = {"rollback": 0}.get(action, cost)
    assert after["s"][1] == f"{START_MS + 110 * SECOND} 3 {share}"
    clocked.move(MINUTE)
    clocked.take(sliding("s"), id_key="id3", held="held3", holder="45" * 16)
    before = clocked.state()
    clocked.settle(action, cost=cost, record="held2", holder=OTHER_HOLDER)
    after = clocked.state()
    assert after["s"][1] == f"{START_MS + 170 * SECOND} 1 {share}"
    assert after.get("f") == before.get("f")


def test_a_sliding_charge_two_windows_ago(clocked):
    clocked.take(sliding("s", cost=3, window=30 * SECOND))
    clocked.move(60 * SECOND)
    clocked.take(sliding("s", window=30 * SECOND), id_key=None, held="held2",
                 holder=OTHER_HOLDER)
    before = clocked.state()["s"]
    assert clocked.settle("commit", cost=9) == 1
    assert clocked.state()["s"] == before


def test_the_edge_of_a_fixed_window(clocked):
    """In its last millisecond it counts, in the next one it does not."""
    clocked.take(fixed("f", cost=3))
    clocked.take(fixed("f", cost=3), id_key=None, held="held2", holder=OTHER_HOLDER)
    clocked.move(50 * SECOND - 1)
    assert clocked.settle("rollback") == 1
    assert clocked.redis.get("f") == "3"
    clocked.move(1)
    assert clocked.settle("commit", cost=9, holder=OTHER_HOLDER, record="held2") == 1
    assert not clocked.redis.exists("f")


def test_an_old_counter_in_the_first_moments_of_a_window(clocked):
    """One that was born in the last moments lives on a little, and is not touched."""
    clocked.move(50 * SECOND - 10)
    clocked.take(fixed("f", cost=3))
    clocked.move(20)
    assert clocked.redis.get("f") == "3"
    before = clocked.state()["f"]
    assert clocked.settle("rollback") == 1
    assert clocked.state()["f"] == before
    # And a counter of this window is born in its place.
    clocked.take(fixed("f"), id_key=None)
    assert clocked.redis.get("f") == "1"
    clocked.redis.set("f", 3, px=100)
    assert clocked.settle("commit", cost=5) == 1
    assert clocked.state()["f"] == (MINUTE - 10 - 1, "4")


@pytest.mark.parametrize("reset", [True, False])
def test_a_correction_upwards_of_a_counter_that_is_gone(clocked, reset):
    charges = fixed("f", cost=3), sliding("s", cost=3), bucket("b", cost=3)
    clocked.take(*charges)
    if reset:
        clocked.redis.delete("f", "s", "b")
    else:
        clocked.give_back(marks(START_MS)[:3], id_key=None, held=None)
    assert clocked.settle("commit", cost=5) == 1
    state = clocked.state()
    assert state["f"] == (50 * SECOND - 1, "2")
    assert state["s"][1] == f"{START_MS + 50 * SECOND} 2 0"
    assert 110 * SECOND <= state["s"][0] < 111 * SECOND
    assert state["b"][1] == str((START_MS + 2 * SECOND) * 1000)
    assert_all_expire(clocked.redis)


def test_a_correction_downwards_of_a_counter_that_is_gone(clocked):
    clocked.take(*ALL)
    clocked.redis.delete("f", "s", "b", "c", "C", "F")
    assert clocked.settle("commit", cost=1) == 1
    assert sorted(clocked.redis.keys("*")) == ["held", "id"]


def test_a_sliding_counter_that_a_charge_of_nothing_left_old(clocked):
    clocked.take(sliding("s", cost=3), id_key=None, held="held2", holder=OTHER_HOLDER)
    clocked.move(MINUTE)
    clocked.take(sliding("s", cost=0))
    assert clocked.settle("commit", cost=2) == 1
    assert clocked.redis.get("s") == f"{START_MS + 110 * SECOND} 2 3"
    clocked.take(sliding("s", cost=0), id_key=None)
    clocked.redis.delete("s")
    clocked.move(MINUTE)
    assert clocked.settle("commit", cost=2) == 1
    assert clocked.redis.get("s") == f"{START_MS + 170 * SECOND} 0 2"
    assert_all_expire(clocked.redis)


def test_a_bucket_is_given_only_what_did_not_come_back(clocked):
    clocked.take(bucket("b", cost=3))
    clocked.move(SECOND)
    assert clocked.settle("rollback") == 1
    now_us = clocked.now_ms * 1000
    assert clocked.redis.get("b") == f"{now_us} {now_us + 2 * SECOND * 1000}"
    assert clocked.redis.pttl("b") == 2 * SECOND + 250
    clocked.redis.delete("b")
    clocked.take(bucket("b", cost=3), id_key=None)
    clocked.move(3 * SECOND)
    clocked.take(bucket("b", cost=5), id_key=None, held="held2", holder=OTHER_HOLDER)
    before = clocked.state()["b"]
    assert clocked.settle("commit", cost=1) == 1, "it has come back by itself"
    assert clocked.state()["b"] == before


def test_a_bucket_never_gets_back_what_came_back_by_itself(clocked):
    """Ten at once; five are given back and taken anew after 5 s; the other five would
    have come back by then."""
    ten = [f"{i:032x}" for i in range(10)]
    for i, holder in enumerate(ten):
        clocked.take(bucket("b"), id_key=None, held=f"h{i}", holder=holder)
    for i in range(5):
        assert clocked.settle("rollback", record=f"h{i}", holder=ten[i]) == 1
    clocked.move(5 * SECOND)
    clocked.take(bucket("b", cost=10), id_key=None, held=None)
    full = clocked.redis.get("b")
    clocked.move(SECOND // 2)
    for i in range(5, 10):
        assert clocked.settle("rollback", record=f"h{i}", holder=ten[i]) == 1
    assert clocked.redis.get("b") == full


@pytest.mark.parametrize("broken", ["f", "s", "b", "c", "F", "C"])
@pytest.mark.parametrize("action", ["commit", "rollback"])
def test_a_counter_that_another_took_over(clocked, broken, action):
    clocked.take(*ALL)
    clocked.redis.delete(broken)
    clocked.redis.rpush(broken, "x")
    assert clocked.settle(action, cost=5) == 1
    state = clocked.state()
    assert state.pop(broken)[1] == "list"
    want = 5 if action == "commit" else 0
    for key, value in {"f": str(want), "F": str(want),
                       "s": f"{START_MS + 50 * SECOND} {want} 0",
                       "b": str((START_MS + want * SECOND) * 1000)}.items():
        assert key == broken or state.get(key, (0, "0"))[1] == value
    assert not {"c", "C"} & set(state)


def test_a_record_that_is_another_by_now(clocked):
    clocked.take(*ALL)
    before = clocked.state()
    for action in ("commit", "rollback", "renew"):
        assert clocked.settle(action, cost=1, ttl=TTL, text="h c 1 1 slots 0 0") == 0
    assert clocked.state() == before
    clocked.redis.delete("held")
    assert clocked.settle("rollback", text=before["held"][1]) == 0
    clocked.redis.rpush("held", "x")
    with pytest.raises(redis_client.ResponseError, match="WRONGTYPE"):
        clocked.settle("rollback", text=before["held"][1])
    assert clocked.redis.get("f") == "3"


def test_keys_that_are_not_those_of_the_record(clocked):
    clocked.take(*ALL)
    before = clocked.state()
    with pytest.raises(redis_client.ResponseError, match="keys"):
        clocked.redis.eval(SETTLE, 2, "held", "f", "rollback", before["held"][1], HOLDER,
                           -1, 0, KEEP)
    assert clocked.state() == before


# --- slots and leases -----------------------------------------------------------------

def test_slots_are_held_until_the_lease_ends(clocked):
    ask = lambda i: clocked.take(slots("c"), id_key=None, held=f"held{i}",
                                 holder=f"{i:032x}")
    assert ask(1) == (0, [1, TTL])
    clocked.move(SECOND)
    assert ask(2) == (0, [2, TTL - SECOND])
    assert ask(3) == (0, [-3, TTL - SECOND])
    assert not clocked.redis.exists("held3")
    clocked.move(TTL - SECOND - 1)
    assert ask(3) == (0, [-3, 1])
    clocked.move(1)
    assert clocked.take(slots("c"), look=True, id_key=None, held=None) == (
        0, [1, SECOND])
    assert ask(3) == (0, [2, SECOND])
    clocked.move(TTL + 1)  # in the ms of its expiry a key lives still
    assert clocked.state() == {}
    assert ask(4) == (0, [1, TTL])


def test_renew_prolongs_and_never_shortens(clocked):
    clocked.take(*ALL, id_key=None)
    clocked.move(SECOND)
    assert clocked.settle("renew", ttl=10 * SECOND) == 1
    state = clocked.state()
    assert state["held"][0] == TTL - SECOND - LAST
    assert state["c"] == (TTL - SECOND, [(HOLDER, START_MS + TTL)])
    assert clocked.settle("renew", ttl=TTL) == 1
    state = clocked.state()
    assert state["held"][0] == TTL - LAST
    assert state["c"] == state["C"] == (TTL, [(HOLDER, START_MS + SECOND + TTL)])
    assert state["f"][1] == "3"
    clocked.move(TTL - 1)
    assert clocked.settle("commit") == 1


def test_renew_of_a_slot_that_is_not_held(clocked):
    clocked.take(*ALL, id_key=None)
    clocked.redis.zrem("C", HOLDER)
    before = clocked.state()
    assert clocked.settle("renew", ttl=2 * TTL) == -1
    assert clocked.state() == before
    clocked.redis.zadd("C", {HOLDER: clocked.now_ms})  # ends now: not held
    clocked.redis.expire("C", 100)
    assert clocked.settle("renew", ttl=2 * TTL) == -1
    clocked.redis.delete("C")
    clocked.redis.rpush("C", "x")
    assert clocked.settle("renew", ttl=2 * TTL) == -1
    assert clocked.redis.pttl("held") == TTL - LAST


def test_a_slot_set_lives_as_long_as_its_last_lease(clocked):
    clocked.take(slots("c"), id_key=None)
    clocked.move(SECOND)
    clocked.take(slots("c"), id_key=None, held="held2", holder=OTHER_HOLDER)
    assert clocked.settle("renew", ttl=2 * TTL) == 1
    assert clocked.redis.pttl("c") == 2 * TTL
    assert clocked.settle("rollback", record="held2", holder=OTHER_HOLDER) == 1
    assert clocked.redis.pttl("c") == 2 * TTL
    assert clocked.settle("rollback") == 1
    assert not clocked.redis.exists("c")


# --- a full Redis ---------------------------------------------------------------------

def fill(clocked):
    clocked.redis.config_set("maxmemory-policy", "noeviction")
    clocked.redis.config_set("maxmemory", 1)


def test_a_full_redis_takes_nothing(clocked):
    fill(clocked)
    for charges in (ALL, ()):
        front, numbers = clocked.take(*charges)
        assert "OOM" in front and not any(numbers)
    assert clocked.state() == {}


def test_a_full_redis_still_replays_settles_and_renews(clocked):
    clocked.take(*ALL)
    clocked.take(*ALL, id_key="id2", held="held2", holder=OTHER_HOLDER)
    clocked.take(fixed("g"), id_key="id3", held="held3")
    fill(clocked)
    assert clocked.settle("commit", cost=5, record="held3") == 1
    assert clocked.redis.get("g") == "5"
    assert clocked.take(*ALL)[0].startswith("REPLAYED")
    assert clocked.redis.get("id").startswith(f"{PRINT} 1")
    assert clocked.settle("renew", ttl=2 * TTL) == 1
    assert clocked.settle("commit", cost=1) == 1
    assert clocked.settle("rollback", record="held2", holder=OTHER_HOLDER) == 1
    assert clocked.redis.mget("f", "held", "held2") == ["1", "s", "s"]
    assert_all_expire(clocked.redis)


def test_a_full_redis_is_given_back_to(clocked):
    clocked.take(*ALL)
    fill(clocked)
    assert clocked.give_back(marks(START_MS)) == 6
    assert sorted(clocked.redis.keys("*")) == ["b", "s"]


@pytest.mark.parametrize("one", ["f", "s", "b"])
def test_a_full_redis_is_given_back_to_without_records(clocked, one):
    charge = [c for c in ALL if c[0] == one]
    clocked.redis.eval(TAKE, 2, one, one, 2, 1, *charge[0][1])
    ttl = clocked.redis.pttl(one)
    fill(clocked)
    mark = [m for m in marks(START_MS) if m[0] == one]
    assert clocked.give_back(mark, id_key=None, held=None) == 1
    assert clocked.redis.pttl(one) == ttl


def test_a_full_redis_forgets_who_was_not_told(clocked):
    clocked.take(*ALL)
    clocked.take(*ALL)
    fill(clocked)
    assert clocked.give_back(marks(START_MS)) == 0
    assert clocked.redis.get("id").startswith(f"{PRINT} 0 ")
    assert_all_expire(clocked.redis)
