# SPDX-License-Identifier: ISC
"""The Lua scripts by themselves: what a take with a request id or a reservation does to
Redis, and what becomes of one whose caller was not told. Settling is
test_scripts_settle.py."""
import pytest

from clocked import (ADMITTED, ALL, DEDUP, GIVE_BACK, HOLDER, LAST, MINUTE, NUM_MAX,
                     OTHER_HOLDER, OTHER_PRINT, PRINT, SECOND, START_MS, TAKE, TTL,
                     fixed, ledger_run, marks, slots, sliding)
from load import assert_all_expire

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

def test_a_late_charge_that_nobody_was_told_of(clocked):
    clocked.take(*ALL)
    assert clocked.give_back(marks(START_MS)) == 6
    assert {k: v for k, (_, v) in clocked.state().items()} == {
        "s": f"{START_MS + 50 * SECOND} 0 0", "b": str(START_MS * 1000)}
    assert clocked.take(*ALL) == (0, ADMITTED)


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
