# SPDX-License-Identifier: ISC
"""What Redis does rarely, or only once somebody else has been at its keys: replies in an
order that needs a scripted server to be met every time, and counters that are none."""
import contextlib
import itertools
import socket
import threading
import time

import pytest

from harness import limit, policy, script, wait_for
from load import LONG, counter_key, kind_of, read_answers, words

PLENTY = 10**9
MONTHLY = "2592000s"  # "30d" in keys
NOSCRIPT = b"-NOSCRIPT No matching script. Please use EVAL.\r\n"


class ScriptedRedis:
    """Speaks as Redis does, but answers EVALSHA only when the test says what, and TIME
    behind that. Serves one connection after another."""

    def __init__(self):
        self.calls = []  # the words of every EVALSHA
        self.came = []  # when each connection came
        self.asked = False  # for a script, on this connection
        self.owed = []  # in order: None is for the test to say
        self.lock = threading.Lock()  # of owed and what is sent
        self.connection = None
        self.server = socket.create_server(("127.0.0.1", 0))
        self.url = "redis://127.0.0.1:%d" % self.server.getsockname()[1]
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        with contextlib.suppress(OSError):  # it is closed
            while True:
                self.connection, _ = self.server.accept()
                self.came.append(time.monotonic())
                self.asked = False
                with self.lock:
                    self.owed.clear()
                self._serve()

    def _serve(self):
        # One that is given up is reset.
        with contextlib.suppress(ConnectionError), \
                self.connection.makefile("rb") as stream:
            for line in iter(stream.readline, b""):
                command = [self._word(stream) for _ in range(int(line[1:]))]
                self._answer(command)

    @staticmethod
    def _word(stream):
        length = int(stream.readline()[1:])
        return stream.read(length + 2)[:-2]

    def _answer(self, command):
        name = command[0].upper()
        if name == b"EVALSHA":
            self._owe(None)
            self.calls.append(command)
            self.asked = True
        elif name == b"TIME":
            self._owe(b"*2\r\n$1\r\n1\r\n$1\r\n1\r\n")
        elif name == b"INFO":
            text = b"redis_version:7.0.0\r\nrole:master\r\n"
            self.connection.sendall(b"$%d\r\n%s\r\n" % (len(text), text))
        else:
            # A SCRIPT LOAD behind a held call is answered in its turn by the test.
            if not self.asked:
                self.connection.sendall(self.loaded())
            else:
                self._owe(None)

    def _owe(self, answer):
        with self.lock:
            self.owed.append(answer)
            self._pay()

    def _pay(self):
        while self.owed and self.owed[0]:
            self.connection.sendall(self.owed.pop(0))

    @staticmethod
    def loaded():
        return b"$40\r\n" + b"a" * 40 + b"\r\n"

    def say(self, data):
        with self.lock:
            self.connection.sendall(data)
            del self.owed[:1]
            self._pay()

    def admit(self, call):
        """The answer that admits every check of a call with one limit each."""
        n = int(self.calls[call][2])
        self.say(b"*%d\r\n:%d\r\n" % (n + 1, time.time() * 1e6) + b":1\r\n" * n)

    def keys(self, call):
        words_of_call = self.calls[call]
        return words_of_call[3:3 + int(words_of_call[2])]

    def wait_for_call(self, n):
        wait_for(lambda: len(self.calls) >= n, 5, f"call {n}")

    def close(self):
        self.server.close()
        if self.connection:
            self.connection.close()


def test_noscript_while_another_call_is_under_way(rationd):
    """The call that was refused is gathered again, what arrives meanwhile joins it, and
    nothing that was answered before is charged again."""
    server = ScriptedRedis()
    try:
        daemon = rationd(policy(much=[limit("much", LONG, PLENTY)]), store=server.url,
                         flags=["--deadline-ms", 20000])
        ask = lambda *grants: b"".join(words("CHECK", "much", g) for g in grants)
        with daemon.connect("resp") as first, daemon.connect("resp") as second, \
                daemon.connect("resp") as third:
            # Every slot of a batch is used once, so that a stale one would show.
            first.sendall(ask(*(f"old{i}" for i in range(100))))
            server.wait_for_call(1)
            server.admit(0)
            assert len(read_answers(first, 100)) == 100
            first.sendall(ask("a"))
            server.wait_for_call(2)
            second.sendall(ask(*(f"b{i}" for i in range(80))))
            server.wait_for_call(3)
            server.say(NOSCRIPT)  # to the call of "a"; it must wait behind the other
            loads = "ration_store_takes_total"
            taken = daemon.metric(loads)
            third.sendall(ask("c"))
            wait_for(lambda: daemon.metric(loads) == taken + 1, 5, "c to be gathered")
            server.admit(2)
            server.say(server.loaded())
            server.wait_for_call(4)
            assert sorted(k.split(b"grant=")[1].split(b"}")[0]
                          for k in server.keys(3)) == [b"a", b"c"]
            server.admit(3)
            for sock, n in ((first, 1), (second, 80), (third, 1)):
                answers = read_answers(sock, n)
                assert len(answers) == n and {a.verdict for a in answers} == {1}
    finally:
        server.close()


def test_a_far_redis_gets_calls_side_by_side(rationd):
    """Once it is known how long replies take: the next check does not wait for one."""
    server = ScriptedRedis()
    try:
        daemon = rationd(policy(much=[limit("much", LONG, PLENTY)]), store=server.url,
                         flags=["--deadline-ms", 20000])
        taken = "ration_store_takes_total"
        with daemon.connect("resp") as first, daemon.connect("resp") as second:
            for i in range(8):
                first.sendall(words("CHECK", "much", "a"))
                server.wait_for_call(i + 1)
                # So far away that an answer over HTTP comes sooner.
                wait_for(lambda: daemon.metric(taken) == i + 1, 5, "the take")
                server.admit(i)
                assert len(read_answers(first, 1)) == 1
            first.sendall(words("CHECK", "much", "a"))
            server.wait_for_call(9)
            second.sendall(words("CHECK", "much", "b"))
            server.wait_for_call(10)
            server.admit(8)
            server.admit(9)
            assert [a.verdict for sock in (first, second)
                    for a in read_answers(sock, 1)] == [1, 1]
    finally:
        server.close()


PAIR = policy(pair=[limit("one", "30d", 5), limit("two", "30d", 3)],
              much=[limit("much", "30d", PLENTY)])


def checks(daemon, *asked):
    with daemon.connect("resp") as sock:
        sock.sendall(b"".join(words("CHECK", *a) for a in asked))
        return read_answers(sock, len(asked))


def test_a_key_that_holds_no_count_harms_only_its_own_checks(redis_server, rationd):
    """Also where it is only looked at, because another limit refuses."""
    daemon = rationd(PAIR, store=redis_server.url, flags=["--deadline-ms", 20000])
    client = redis_server.client()
    for value in ("abc", "1.5", "-7", ""):
        grant = f"bad{value}"
        one = counter_key("one", MONTHLY, grant=grant)
        two = counter_key("two", MONTHLY, grant=grant)
        client.set(one, 5, ex=1000)
        client.set(two, value, ex=1000)
        answers = checks(daemon, ("much", "x"), ("pair", grant), ("much", "y"))
        assert [kind_of(a) for a in answers] == ["allow", "store", "allow"], value
        client.set(one, 0, ex=1000)
        assert [kind_of(a) for a in checks(daemon, ("pair", grant))] == ["store"], value
        assert client.get(two).decode() == value
        assert int(client.get(one) or 0) == 0
    assert daemon.metric("ration_store_reconnects_total") == 1


def test_a_negative_count_admits_nothing(redis_server, rationd):
    daemon = rationd(PAIR, store=redis_server.url)
    client = redis_server.client()
    key = counter_key("much", MONTHLY, grant="n")
    client.set(key, -4, ex=1000)
    for _ in range(3):
        assert kind_of(checks(daemon, ("much", "n"))[0]) == "store"
    assert int(client.get(key)) == -4


@pytest.mark.parametrize("many", [[], ["times"]])
@pytest.mark.parametrize("second", [[], [100, 1, 60000, 0]])
def test_a_negative_count_that_a_charge_lifts_past_max(redis_server, many, second):
    """Alone, or 20 of the same: refusing it would tell of a count below 0."""
    client = redis_server.client()
    client.set("k", -5)
    keys = ["k", "j"][:2 if second else 1]
    answer = client.eval(script("take"), len(keys), *keys, *many, 1, len(keys),
                         10, 1 if many else 20, 60000, 0, *second, *[20] * len(many))
    assert "WRONGTYPE" in str(answer[1])
    assert int(client.get("k")) == -5
    assert client.keys() == [b"k"]


def test_a_counter_that_lost_its_expiry_ends_with_its_window(redis_server, rationd):
    daemon = rationd(policy(few=[limit("few", "second", 3)]), store=redis_server.url)
    client = redis_server.client()
    key = counter_key("few", "second", grant="p")
    client.set(key, 3)
    end = time.monotonic() + 5
    with daemon.connect("resp") as sock:
        for _ in itertools.takewhile(lambda _: time.monotonic() < end,
                                     itertools.count()):
            sock.sendall(words("CHECK", "few", "p"))
            if read_answers(sock, 1)[0].verdict == 1:
                break
        else:
            raise AssertionError("denied for ever")
    assert client.pttl(key) in {-2, *range(1001)}  # and not -1: it would stay for ever


FULL = [3, 1, 60000, 0]
ROOMY = [100, 1, 60000, 0]


@pytest.mark.parametrize("keys, args", [
    (["k"], [1, 1, *FULL]),
    (["j", "k"], [1, 2, *ROOMY, *FULL]),
    (["j", "k"], [1, 2, 100, 0, 60000, 0, *FULL]),  # not the plain way
    (["k"], ["times", 1, 1, *FULL, 2]),
    (["j", "k"], ["times", 1, 2, *ROOMY, *FULL, 2]),
])
def test_a_refusal_ends_a_counter_that_does_not_expire(clocked, keys, args):
    """Also where nobody asks in the first moments of a window, when it would be found."""
    clocked.redis.set("k", 3)
    assert clocked.redis.eval(script("take"), len(keys), *keys, *args)[-1] == -4
    # Ten seconds into the minute; it lives on in the ms of its expiry.
    assert clocked.redis.pttl("k") == 50_000 - 1
    clocked.move(50_000 + 10_000)
    assert clocked.redis.eval(script("take"), len(keys), *keys, *args)[-1] > 0


def test_an_expiry_that_others_chose_is_left(clocked):
    clocked.redis.set("k", 3, px=7_000_000)
    assert clocked.redis.eval(script("take"), 1, "k", 1, 1, *FULL)[1] == -4
    assert clocked.redis.pttl("k") == 7_000_000


@pytest.mark.parametrize("count", [2**53, 2**63 - 2, 2**63 - 1])
@pytest.mark.parametrize("many", [1, 20])
def test_a_count_past_all_bounds_has_no_room(redis_server, rationd, count, many):
    daemon = rationd(policy(few=[limit("few", MONTHLY, 3)]), store=redis_server.url,
                     flags=["--deny-cache-ms", 10000])
    client = redis_server.client()
    client.set(counter_key("few", MONTHLY, grant="p"), count, ex=1000)
    with daemon.connect("resp") as sock:
        sock.sendall(words("CHECK", "few", "p", "MODE", "peek") +
                     words("CHECK", "few", "p") * many)
        peek, *answers = read_answers(sock, 1 + many)
        sock.sendall(words("CHECK", "few", "p", "COST", 2))  # as the refusals taught
        answers += read_answers(sock, 1)
    assert (peek.verdict, peek.remaining) == (0, 0)
    assert {a.verdict for a in answers} == {0}
    assert int(client.get(counter_key("few", MONTHLY, grant="p"))) == count


def test_what_cannot_be_undone_is_not_undone_twice(redis_factory, rationd):
    """A Redis user without DEL: the count never falls below what was charged."""
    server = redis_factory(
        acl=["user default on >admin ~* &* +@all",
             "user ration on >x ~ration:* resetchannels -@all +info +script|load "
             "+evalsha +eval +time +incrby +decrby +set +get +pttl"],
        admin=(None, "admin"))
    daemon = rationd(PAIR, store=server.url_as("ration", "x"))
    client = server.client()
    one = counter_key("one", MONTHLY, grant="g")
    client.set(counter_key("two", MONTHLY, grant="g"), 3, ex=1000)
    for _ in range(4):
        assert kind_of(checks(daemon, ("pair", "g"))[0]) != "allow"
        assert int(client.get(one) or 0) >= 0
    assert "does not accept this daemon" in daemon.log


def test_shadow_charges_are_undone_with_the_others(redis_factory, rationd):
    """A Redis user without SET: the last counter, which is new, cannot get its expiry."""
    server = redis_factory(
        acl=["user default on >admin ~* &* +@all",
             "user ration on >x ~ration:* resetchannels -@all +info +script|load "
             "+evalsha +eval +time +incrby +decrby +get +del +pttl"],
        admin=(None, "admin"))
    daemon = rationd(policy(watched={"limits": [
        limit("one", MONTHLY, PLENTY), limit("two", MONTHLY, 1, mode="shadow"),
        limit("three", MONTHLY, 1, mode="shadow")]}), store=server.url_as("ration", "x"))
    client = server.client()
    known = [counter_key(name, MONTHLY, grant="g") for name in ("one", "two")]
    for key in known:
        client.set(key, 3, ex=1000)
    for _ in range(3):
        assert kind_of(checks(daemon, ("watched", "g"))[0]) == "store"
        assert client.mget(known) == [b"3", b"3"]
        assert not client.exists(counter_key("three", MONTHLY, grant="g"))


def test_an_evicting_redis_is_warned_of(redis_factory, rationd):
    server = redis_factory(options={"maxmemory": "100mb",
                                    "maxmemory-policy": "allkeys-lru"})
    daemon = rationd(PAIR, store=server.url)
    assert "set noeviction" in daemon.log


def test_little_memory_left_is_said_at_start(redis_factory, rationd):
    """noeviction refuses counters when it is full: before that is the time to say it."""
    server = redis_factory(options={"maxmemory-policy": "noeviction"})
    used = int(server.client().info("memory")["used_memory"])
    server.client().config_set("maxmemory", int(used * 1.05))
    assert "raise maxmemory" in rationd(store=server.url).log
    server.client().config_set("maxmemory", used * 3)
    assert "maxmemory" not in rationd(store=server.url).log


def test_a_reply_without_an_end_costs_little(rationd):
    server = ScriptedRedis()
    try:
        daemon = rationd(policy(much=[limit("much", LONG, PLENTY)]), store=server.url)
        before = daemon.metric("process_resident_memory_bytes")
        with daemon.connect("resp") as sock:
            sock.sendall(words("CHECK", "much", "g"))
            server.wait_for_call(1)
            with contextlib.suppress(OSError):
                server.say(b"$400000000\r\n")
                for _ in range(100):
                    server.say(b"x" * (1 << 20))
        wait_for(lambda: "does not end" in daemon.log, 10, "the end of its patience")
        assert daemon.metric("process_resident_memory_bytes") < before + 100e6
    finally:
        server.close()
