# SPDX-License-Identifier: ISC
"""The Lua scripts by themselves: how a reservation ends, how its slots are held, and what
a full Redis still does."""
import pytest
import redis as redis_client

from clocked import (ALL, HOLDER, KEEP, LAST, MINUTE, NUM_MAX, OTHER_HOLDER, PRINT,
                     SECOND, SETTLE, START_MS, TAKE, TTL, bucket, fixed, marks, slots,
                     sliding)
from load import assert_all_expire

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
    assert clocked.redis.get("b") == str(now_us)
    assert clocked.redis.pttl("b") == 2 * SECOND + 250
    clocked.redis.delete("b")
    clocked.take(bucket("b", cost=3), id_key=None)
    clocked.move(3 * SECOND)
    clocked.take(bucket("b", cost=5), id_key=None, held="held2", holder=OTHER_HOLDER)
    before = clocked.state()["b"]
    assert clocked.settle("commit", cost=1) == 1, "it has come back by itself"
    assert clocked.state()["b"] == before


def test_what_a_bucket_was_given_back_stays_known(clocked):
    """Where something was taken after the charge that is given back: of the last one
    nothing stays, however slow the bucket is."""
    slow = dict(cost=3, interval_us=365 * 86_400 * SECOND * 1000)
    year_us = slow["interval_us"]
    now_us = clocked.now_ms * 1000
    clocked.take(bucket("b", cost=3), id_key=None)
    clocked.take(bucket("b"), id_key=None, held="held2", holder=OTHER_HOLDER)
    assert clocked.settle("rollback") == 1
    assert clocked.redis.get("b") == f"{now_us + SECOND * 1000} {now_us + 4 * SECOND * 1000}"
    assert clocked.settle("rollback", record="held2", holder=OTHER_HOLDER) == 1
    assert clocked.redis.get("b") == f"{now_us} {now_us + 3 * SECOND * 1000}"
    clocked.take(bucket("c", **slow), id_key=None, held="held3", holder="34" * 16)
    clocked.take(bucket("c", **slow), id_key=None, held="held4", holder="45" * 16)
    assert clocked.settle("rollback", record="held4", holder="45" * 16) == 1
    assert clocked.redis.get("c") == str(now_us + 3 * year_us)
    clocked.take(bucket("c", **slow), id_key=None, held="held5", holder="56" * 16)
    assert clocked.settle("rollback", record="held3", holder="34" * 16) == 1
    month_us = 30 * 86_400 * SECOND * 1000  # BUCKET_GIVEN_US_MAX
    assert clocked.redis.get("c") == (
        f"{now_us + 6 * year_us - month_us} {now_us + 6 * year_us}")


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
