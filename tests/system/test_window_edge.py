# SPDX-License-Identifier: ISC
"""A window's edge, hammered: by Redis's clock no window admits more than its max, none
admits less while checks are refused in it, and no counter outlives its window.

Twelve turns of a one-second window in the usual run; 200 with RATION_FULL=1.
"""
import collections
import itertools
import os
import threading
import time

import pytest

import harness
from harness import limit, patience, policy
from load import assert_all_expire, read_answers, words
from pauses import Pauses, met

TURNS = 200 if os.environ.get("RATION_FULL") else 12
TAKE_LUA = harness.script("take")

# Later servers (Valkey from 8.1, Redis from 8.8) take a SET whose PXAT has come for a
# DEL. Put before a script, this makes the server here do the same.
SET_AS_LATER_SERVERS = """
local redis = (function(server)
	local time = server.call('TIME')
	local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
	local function call(name, ...)
		local word = {...}
		if name == 'SET' and word[3] == 'PXAT' and tonumber(word[4]) <= now_ms then
			server.call('DEL', word[1])
			return {ok = 'OK'}
		end
		return server.call(name, ...)
	end
	return {call = call, pcall = call}
end)(redis)
"""

PLENTY = 10**9


class Hammers:
    """Threads that call fn(index) again and again for so long, and until what is wanted
    has come to be seen; faults are kept."""

    def __init__(self, seconds, *fns, seen=lambda: True):
        self.end = time.monotonic() + seconds
        self.last = self.end + patience(seconds)
        self.seen = seen
        self.faults = []
        self.threads = [threading.Thread(target=self._run, args=(i, fn))
                        for i, fn in enumerate(fns)]

    def _run(self, index, fn):
        try:
            while not self.faults and (time.monotonic() < self.end or (
                    time.monotonic() < self.last and not self.seen())):
                fn(index)
        except BaseException as fault:  # pylint: disable=broad-except
            self.faults.append(fault)

    def run(self):
        for thread in self.threads:
            thread.start()
        for thread in self.threads:
            thread.join()
        if self.faults:
            raise self.faults[0]


def expiry_watch(redis_server, pause=0.03):
    """A hammer that looks for counters without expiry."""
    client = redis_server.client()

    def watch(_):
        assert_all_expire(client)
        time.sleep(pause)
    return watch


# --- the script itself ----------------------------------------------------------------

class Ledger:
    """Every answer of take.lua, by the time that came with it. In each window of each
    key the counts after the admissions must be 1, 2, 3 ... up to at most max: a charge
    that goes to a wrong window, is lost, or is one too many breaks the row.

    The script is safe while Redis is not held up for a twentieth of a window (at most
    250 ms) between a script's start and its reading of the clock. A policy's windows
    are of 1 s at least: no row of those may break, unless the machine was measured to
    have held Redis up for so long at the window's turn. The shorter ones are here to turn
    often, and a few of theirs may: one window in five hundred, and as large a share of
    them as the machine took of Redis's time.
    """

    def __init__(self):
        self.lock = threading.Lock()
        self.open = collections.defaultdict(list)
        self.windows = collections.defaultdict(set)  # length -> numbers
        self.broken = {}  # (length, number) -> what is wrong
        self.admitted = self.refused = 0

    def add(self, runs, reply):
        time_us, values = reply[0], iter(reply[1:])
        with self.lock:
            for checks, limits in runs:
                for keys in checks:
                    used = list(itertools.islice(values, len(limits)))
                    self._add_check(keys, limits, used, time_us // 1000)

    def _add_check(self, keys, limits, used, now_ms):
        assert all(isinstance(u, int) for u in used), used
        fits = all(u >= 0 for u in used)
        for key, (maximum, _, length, _), count in zip(keys, limits, used):
            window = now_ms // length
            self.windows[length].add(window)
            if fits:
                self.admitted += 1
                self.open[key, length, window, maximum].append(count)
            elif count < 0:
                self.refused += 1
                assert -1 - count == maximum, f"{key} refused at {-1 - count}"

    def settle(self, before_ms=float("inf")):
        """Judges the windows that ended before."""
        with self.lock:
            ended = [row for row in self.open if (row[2] + 1) * row[1] < before_ms]
            rows = [(row, self.open.pop(row)) for row in ended]
        for (key, length, window, maximum), counts in rows:
            what = f"{key}, window {window} of {length} ms"
            if sorted(counts) != list(range(1, len(counts) + 1)):
                self.broken[length, window] = (what, counts)
            assert len(counts) <= maximum, what

    def assert_whole(self, pauses, share):
        strict = [what for (length, window), what in self.broken.items()
                  if length >= 1000 and not held_up(pauses, window * length, length / 20)]
        assert not strict, strict[:3]
        windows = sum(map(len, self.windows.values()))
        most = max(2, windows // 500) + windows * share
        assert len(self.broken) <= most, list(self.broken.values())[:3]


def held_up(pauses, at_ms, for_ms):
    """Whether Redis was held up for so long around this moment of its clock, about which
    its pauses are known to some ms."""
    at = at_ms / 1000 - time.time() + time.monotonic()
    return any(took_ms >= for_ms for took_ms in met(pauses.waits, at - 0.05, at + 0.05))


def edge_runs(number):
    """Runs of checks for one call: keys in use all along, a hot one, keys first used
    in this call or the two before, and checks with two limits, the second of which
    fills up."""
    new = [f"new{(number - i) // 3}" for i in range(3)]
    return [
        ([[f"a{i}"] for i in range(60)], [(PLENTY, 1, 50, 0)]),
        ([[f"b{i}"] for i in range(40)], [(PLENTY, 1, 100, 0)]),
        ([["hot"]] * 60, [(500, 1, 1000, 0)]),
        ([[key] for key in new * 3], [(PLENTY, 1, 50, 0)]),
        ([[f"d{i % 7}", f"e{i % 5}"] for i in range(35)],
         [(PLENTY, 1, 100, 0), (20, 1, 1000, 0)]),
        # What the refused ones of those left behind would show here.
        ([[f"d{i}"] for i in range(7)], [(PLENTY, 1, 100, 0)]),
    ]


def call_words(runs):
    """(keys, arguments) of a call of take.lua"""
    keys = [key for checks, _ in runs for check in checks for key in check]
    args = [word for checks, limits in runs
            for word in (len(checks), len(limits), *itertools.chain(*limits))]
    return keys, args


@pytest.mark.parametrize("script", [
    pytest.param(TAKE_LUA, id="as_is"),
    pytest.param(SET_AS_LATER_SERVERS + TAKE_LUA, id="on_later_servers")])
def test_script_at_the_edge(redis_server, script):
    sha = redis_server.client().script_load(script)
    clients = [redis_server.client() for _ in range(2)]
    ledger, numbers = Ledger(), itertools.count()

    def take(index):
        for _ in range(50):
            runs = edge_runs(next(numbers))
            keys, args = call_words(runs)
            ledger.add(runs, clients[index].evalsha(sha, len(keys), *keys, *args))
        # What another call of before is still to be told of is younger than 3 s.
        seconds, _ = clients[index].time()
        ledger.settle((seconds - 3) * 1000)

    turns = TURNS if script is TAKE_LUA else TURNS / 2
    with Pauses(redis_server) as pauses:
        begun = time.monotonic()
        Hammers(turns + 0.5, take, take, expiry_watch(redis_server)).run()
        took = time.monotonic() - begun
    ledger.settle()
    ledger.assert_whole(pauses, sum(took_ms for _, took_ms in pauses.waits) / 1000 / took)
    assert ledger.admitted > 1000 and ledger.refused > 1000
    assert len(ledger.windows[1000]) >= turns
    assert len(ledger.windows[50]) > 15 * turns
    assert_all_expire(redis_server.client())
    print(f"{next(numbers)} calls, {ledger.admitted} charges admitted, "
          f"{ledger.refused} refused, {len(ledger.broken)} short windows broken; "
          "windows of 50/100/1000 ms: "
          f"{'/'.join(str(len(ledger.windows[n])) for n in (50, 100, 1000))}")


# --- through the daemon ---------------------------------------------------------------

HOT_MAX, MANY_MAX, GRANTS = 100, 10, 50
HOT = ("hot", "one")
MAX = {"hot": HOT_MAX, "many": MANY_MAX}
SECOND_US = 1_000_000
# reset_ms is whole, and rounds.
ROUNDING_US = 2000


class Offers:
    """What was answered, by the window of Redis's clock it was decided in.

    Each pipeline stands between two readings of Redis's TIME. Where both lie in one
    window, all its answers belong there; where they do not, either window is possible,
    and reset_ms tells which: the bracket is shorter than a window. Where it is not, since
    the machine was busy, it is not known in which one they were.
    """

    def __init__(self):
        self.lock = threading.Lock()
        self.certain = collections.Counter()    # (counter, window) -> allowed
        self.straddling = collections.Counter()  # (counter, first window) -> allowed
        self.allowed = collections.Counter()    # by reset_ms: (counter, window)
        self.refused = collections.Counter()
        self.somewhere = collections.Counter()  # counter -> allowed in one of:
        self.blurred = set()                    # windows

    def full(self):
        """The windows that were seen full for the hot grant."""
        with self.lock:
            return [w for (c, w), n in self.refused.items() if c == HOT and n]

    def add(self, asked, answers, before_us, after_us):
        assert len(answers) == len(asked)
        with self.lock:
            for counter, answer in zip(asked, answers):
                assert answer.flags == 0, answer
                self._add(counter, answer, before_us, after_us)

    def _add(self, counter, answer, before_us, after_us):
        first, last = before_us // SECOND_US, after_us // SECOND_US
        if after_us - before_us >= SECOND_US:
            self.blurred.update(range(first, last + 1))
            self.somewhere[counter] += answer.verdict
            return
        window = self._window_of(answer, before_us, after_us)
        if answer.verdict == 0:
            self.refused[counter, window] += 1
            return
        self.allowed[counter, window] += 1
        if first == last:
            self.certain[counter, first] += 1
        else:
            assert last == first + 1
            self.straddling[counter, first] += 1

    @staticmethod
    def _window_of(answer, before_us, after_us):
        fits = [w for w in range(before_us // SECOND_US, after_us // SECOND_US + 1)
                if before_us - ROUNDING_US <=
                (w + 1) * SECOND_US - answer.reset_ms * 1000 <= after_us + ROUNDING_US]
        assert fits, (f"reset_ms {answer.reset_ms} is of no moment between "
                      f"{before_us} and {after_us}")
        # Two fit only within the rounding around an edge, or a second apart.
        return fits[0] if answer.reset_ms * 1000 < SECOND_US / 2 else fits[-1]

    def judge(self):
        counters = {counter for counter, _ in self.allowed}
        for counter in counters:
            self._judge_one(counter, MAX[counter[0]])
        return counters

    def _judge_one(self, counter, maximum):
        windows = sorted({w for c, w in self.allowed if c == counter})
        for w in range(windows[0], windows[-1] + 1):
            what = f"{counter} in window {w}"
            assert self.certain[counter, w] <= maximum, what
            two = (self.certain[counter, w] + self.straddling[counter, w] +
                   self.certain[counter, w + 1])
            assert two <= 2 * maximum, f"{what} and the next: {two}"
            assert self.allowed[counter, w] <= maximum, (what, self.allowed[counter, w])
            # Who refuses must be full.
            if self.refused[counter, w] and w not in self.blurred:
                assert self.allowed[counter, w] == maximum, \
                    f"{what}: refused at {self.allowed[counter, w]}"
        total = sum(n for (c, _), n in self.allowed.items() if c == counter)
        met = {*range(windows[0], windows[-1] + 1), *self.blurred}
        assert total + self.somewhere[counter] <= len(met) * maximum, counter


def redis_time_us(client):
    seconds, micros = client.time()
    return seconds * SECOND_US + micros


def pipelines(index):
    """Endless (bytes to send, counters asked of): a hot grant and fifty others."""
    grants = itertools.cycle(f"g{i}" for i in range(index, index + GRANTS))
    while True:
        asked = [("hot", "one") if i % 3 == 0 else ("many", next(grants))
                 for i in range(60)]
        asked = [(tool, f"g{int(g[1:]) % GRANTS}" if tool == "many" else g)
                 for tool, g in asked]
        yield b"".join(words("CHECK", *a) for a in asked), asked


def test_daemon_at_the_edge(redis_server, rationd):
    daemon = rationd(policy(hot=[limit("hot", "second", HOT_MAX)],
                            many=[limit("many", "second", MANY_MAX)]),
                     store=redis_server.url, flags=["--deadline-ms", 30000])
    socks = [daemon.connect("resp") for _ in range(3)]
    clients = [redis_server.client() for _ in socks]
    sources = [pipelines(i * 17) for i in range(3)]
    offers = Offers()

    def check(i):
        data, asked = next(sources[i])
        before = redis_time_us(clients[i])
        socks[i].sendall(data)
        answers = read_answers(socks[i], len(asked))
        offers.add(asked, answers, before, redis_time_us(clients[i]))

    Hammers(TURNS + 1, check, check, check, expiry_watch(redis_server),
            seen=lambda: len(offers.full()) >= TURNS).run()
    for sock in socks:
        sock.close()
    assert len(offers.judge()) == GRANTS + 1
    full = offers.full()
    turns = len({w for c, w in offers.allowed if c == HOT})
    assert turns >= TURNS and len(full) >= TURNS * 0.9, "the load was too small"
    client = redis_server.client()
    assert_all_expire(client)
    harness.wait_for(lambda: client.dbsize() == 0, 3, "the end of every counter")
    print(f"{turns} windows, {len(full)} of them full for the hot grant; "
          f"{sum(offers.allowed.values())} checks allowed, "
          f"{sum(offers.refused.values())} refused, "
          f"{sum(offers.straddling.values())} allowed across an edge")
