# SPDX-License-Identifier: ISC
"""Redis dies, hangs, forgets, refuses, fills up: checks are answered in time, nothing
is admitted past max, and service comes back by itself. Who may connect, and what is no
Redis at all, is test_faults_connect.py.

How late an answer may be: the deadline and 20 ms, plus RATION_SLACK_MS (load.slack_ms)
and what the machine took meanwhile (pauses.py).
"""
import contextlib
import threading
import time

import pytest
import redis

from faulty import (DEADLINE_MS, POLICY, assert_settled, assert_unavailable_at_once,
                    back_s, check, wait_allowed, wait_not_ready)
from harness import patience, wait_for
from load import (LONG_KEY, Load, assert_all_expire, counter_key, counts, kept_by,
                  kind_of, read_answers, slack_ms, words)
from pauses import Pauses

# --- killed ---------------------------------------------------------------------------

@pytest.mark.parametrize("fsync", ["always", "everysec"])
def test_killed_and_started_again(redis_factory, rationd, fsync):
    server = redis_factory(options={"appendonly": "yes", "appendfsync": fsync})
    daemon = rationd(POLICY, store=server.url)
    pid = daemon.pid
    calls = [("much", "a"), ("few", "b"), ("both", "c"), ("much", "d")]
    with Load(daemon, calls, beside=[server]) as load:
        load.wait_for_one("allow", 0)
        wait_for(lambda: load.count("allow", "few") >= 20, 5, "20 checks")
        killed = time.monotonic()
        server.kill()
        gone = time.monotonic()
        load.wait_for_one("store", gone)
        kept = kept_by(server, redis_factory).get(counter_key("few", LONG_KEY, grant="b"),
                                                  0)
        wait_for(lambda: time.monotonic() > gone + 0.7 and
                 load.count("store", since=gone) > 60, 5, "0.7 s without Redis")
        back = time.monotonic()
        server.start()
        up = time.monotonic()
        again = load.wait_for_one("allow", back)
        wait_for(lambda: load.count("deny", "few") >= 5, 10, "the limit being full")
    load.pauses.assert_within(up, back_s(), again, "service again")
    load.assert_in_time(DEADLINE_MS)
    away = [s for s in load.samples if s.begun > gone and
            s.begun + s.took_ms / 1000 < back]
    assert len(away) > 50 and {s.kind for s in away} == {"store"}
    # Without a connection there is nothing to wait for.
    took = sorted(s.took_ms - load.noise_of(s) for s in away)
    assert took[len(away) // 2] < 20 + slack_ms()

    before = load.count("allow", "few", until=killed)
    after = load.count("allow", "few", since=gone)
    assert kept + after <= 100, f"{kept} kept and {after} more allowed"
    assert int(server.client().get(counter_key("few", LONG_KEY, grant="b"))) == 100
    if fsync == "always":
        assert kept >= before and load.count("allow", "few") <= 100
        assert_settled(load, server.client(), exact=False)
    assert daemon.running and daemon.pid == pid
    assert daemon.metric("ration_store_up") == 1
    assert daemon.metric('ration_store_faults_total{class="disconnected"}') > 0


def test_killed_again_and_again(redis_factory, rationd):
    server = redis_factory(options={"appendonly": "yes", "appendfsync": "always"})
    daemon = rationd(POLICY, store=server.unix_url)
    calls = [("few", "b"), ("both", "c")]
    with Load(daemon, calls, rate=400, beside=[server]) as load:
        for _ in range(4):
            begun = time.monotonic()
            load.wait_for_one("allow", begun) if load.count("allow", "few") < 80 \
                else load.wait_for_one("deny", begun)
            server.restart()
        load.wait_for_one("allow", time.monotonic())
    load.assert_in_time(DEADLINE_MS)
    assert load.count("allow", "few") <= 100
    assert_settled(load, server.client(), exact=False)


# --- frozen ---------------------------------------------------------------------------

def test_frozen_and_late_charges(redis_server, rationd):
    daemon = rationd(POLICY, store=redis_server.url, flags=["--deadline-ms", 50])
    calls = [("much", "a"), ("both", "b"), ("much", "c"), ("both", "d")]
    with Load(daemon, calls) as load:
        load.wait_for_one("allow", 0)
        for _ in range(3):
            redis_server.pause()
            frozen = time.monotonic()
            load.wait_for_one("store", frozen)
            wait_for(lambda: time.monotonic() > frozen + 0.4, 5, "0.4 s frozen")
            thawed = time.monotonic()
            redis_server.resume()
            load.wait_for_one("allow", thawed)
            stuck = [s for s in load.samples if s.begun > frozen and
                     s.begun + s.took_ms / 1000 < thawed]
            assert stuck and {s.kind for s in stuck} == {"store"}
            # Perhaps of the one alone that was under way when it froze: with a freeze
            # a moment ago no queue is let in behind it.
            assert any("did not answer in time" in s.message for s in load.samples
                       if s.begun + s.took_ms / 1000 > frozen)
    load.assert_in_time(DEADLINE_MS)
    assert_settled(load, redis_server.client())
    late = daemon.metric("ration_store_late_total")
    # Counted when Redis has answered, a moment after it has done it.
    given_back = wait_for(lambda: (n := daemon.metric(
        "ration_store_given_back_total")) >= late and n, 2, "what was given back")
    assert 3 <= late <= given_back <= 2 * late
    assert daemon.metric('ration_store_faults_total{class="timeout"}') >= late


def test_many_short_freezes(redis_server, rationd):
    """Freezes about as long as the deadline: replies come just before it and after."""
    daemon = rationd(POLICY, store=redis_server.url, flags=["--deadline-ms", 50])
    with Load(daemon, [("much", "a"), ("both", "b")], rate=600, resp=6) as load:
        load.wait_for_one("allow", 0)
        for i in range(20):
            begun = time.monotonic()
            redis_server.pause()
            # What is measured here is time; waiting for it is no luck.
            time.sleep(0.030 + 0.002 * i)
            redis_server.resume()
            load.wait_for_one("allow", begun)
    load.assert_in_time(DEADLINE_MS)
    assert_settled(load, redis_server.client())
    assert daemon.metric("ration_store_late_total") > 0


def test_frozen_for_long(redis_server, rationd):
    """A new connection does not get through either, so the one that owes is kept: what
    Redis then still charges is answered, and given back."""
    daemon = rationd(POLICY, store=redis_server.url, flags=["--deadline-ms", 50])
    with Load(daemon, [("much", "a")], rate=100) as load, \
            Pauses(daemon, redis_server) as pauses:
        load.wait_for_one("allow", 0)
        redis_server.pause()
        wait_for(lambda: "trying another connection" in daemon.log, 8, "another one")
        wait_for(lambda: "introduction within 2 s" in daemon.log, 8, "its end")
        thawed = time.monotonic()
        redis_server.resume()
        again = load.wait_for_one("allow", thawed)
    pauses.assert_within(thawed, back_s(), again, "service again")
    load.assert_in_time(DEADLINE_MS)
    assert_settled(load, redis_server.client())
    assert daemon.metric("ration_store_lost_total") == 0
    assert daemon.metric("ration_store_late_total") > 0


def test_late_by_the_callers_deadline(redis_server, rationd):
    """TIMEOUT is the caller's own deadline; what it makes late is given back too."""
    daemon = rationd(POLICY, store=redis_server.url, flags=["--deadline-ms", 20000])
    with daemon.connect("resp") as sock:
        redis_server.pause()
        with Pauses(daemon) as pauses:
            begun = time.monotonic()
            sock.sendall(words("CHECK", "both", "g", "TIMEOUT", 30) * 10)
            answers = read_answers(sock, 10)
            pauses.assert_within(begun, 0.050 + slack_ms() / 1000, what="ten answers")
        sock.sendall(words("CHECK", "both", "g") * 3)
        redis_server.resume()
        assert [a.verdict for a in read_answers(sock, 3)] == [1, 1, 1]
    assert {kind_of(a) for a in answers} == {"store"}
    settled = {counter_key(c, LONG_KEY, grant="g"): 3 for c in ("first", "second")}
    client = redis_server.client()
    wait_for(lambda: counts(client) == settled, 2, f"{settled}")
    assert daemon.metric("ration_store_late_total") == 10
    # Counted when Redis has answered, a moment after it has done it.
    wait_for(lambda: daemon.metric("ration_store_given_back_total") == 20, 2, "20 of it")


# --- what others do to Redis ----------------------------------------------------------

# So many that a second call is sent while the first is under way.
PIPED = 90


def test_script_flush_under_load(redis_server, rationd):
    daemon = rationd(POLICY, store=redis_server.url, flags=["--deadline-ms", 20000])
    client = redis_server.client()
    loads = "ration_store_script_loads_total"
    pipelines = 0
    with Load(daemon, [("much", "a"), ("both", "b")]) as load, \
            daemon.connect("resp") as sock:
        begun = time.monotonic()
        while daemon.metric(loads) < 100 or len(load.samples) < 100:
            assert time.monotonic() < begun + patience(10), "too few reloads"
            for n in range(10):
                sock.sendall(words("CHECK", "much", "piped") * PIPED)
                if n % 3 == 0:
                    client.script_flush()
                answers = read_answers(sock, PIPED)
                assert len(answers) == PIPED and {a.verdict for a in answers} == {1}
                pipelines += 1
    assert {s.kind for s in load.samples} == {"allow"}
    piped = counter_key("much", LONG_KEY, grant="piped")
    assert int(client.get(piped)) == pipelines * PIPED
    client.delete(piped)
    assert_settled(load, client)


def test_connection_killed_under_load(redis_server, rationd):
    daemon = rationd(POLICY, store=redis_server.url)
    client = redis_server.client()
    calls = [("much", "a"), ("both", "b")]
    with Load(daemon, calls, rate=400, beside=[redis_server]) as load:
        load.wait_for_one("allow", 0)
        for _ in range(10):
            assert client.client_kill_filter(_type="normal", skipme=True) >= 1
            killed = time.monotonic()
            # The first pause is short: Redis is there.
            again = load.wait_for_one("allow", killed)
            load.pauses.assert_within(killed, 0.2 + slack_ms() / 100, again,
                                      "service again")
    load.assert_in_time(DEADLINE_MS)
    assert_settled(load, client, exact=False)
    assert daemon.metric("ration_store_reconnects_total") >= 11


def test_replica_at_start(redis_factory, rationd):
    primary, replica = redis_factory(), redis_factory()
    replica.client().replicaof(primary.host, primary.port)
    daemon = rationd(POLICY, store=replica.url, wait="live")
    wait_not_ready(daemon, "replica")
    assert_unavailable_at_once(daemon, "replica")
    replica.client().replicaof("NO", "ONE")
    daemon.wait()
    wait_allowed(daemon)


def test_becomes_a_replica_while_serving(redis_factory, rationd):
    primary, server = redis_factory(), redis_factory()
    daemon = rationd(POLICY, store=server.url)
    assert check(daemon, "much")[0] == "allow"
    server.client().replicaof(primary.host, primary.port)
    wait_for(lambda: check(daemon, "both")[0] == "store", 5, "a 503")
    assert "replica" in check(daemon, "both")[1]
    wait_not_ready(daemon, "replica")
    server.client().replicaof("NO", "ONE")
    wait_allowed(daemon)
    daemon.wait()


def test_no_replicas_to_write_to(redis_server, rationd):
    """A state that may last: every check is refused, but the log does not fill."""
    daemon = rationd(POLICY, store=redis_server.url)
    client = redis_server.client()
    client.config_set("min-replicas-to-write", 1)
    with Load(daemon, [("both", "g"), ("much", "h")], beside=[redis_server]) as load:
        wait_for(lambda: len(load.samples) > 150, 5, "150 checks")
    load.assert_in_time(DEADLINE_MS)
    assert {s.kind for s in load.samples} == {"store"}
    assert any("NOREPLICAS" in s.message for s in load.samples)
    assert len(daemon.log_lines()) < 20, daemon.log
    assert daemon.metric("ration_store_reconnects_total") < 20
    client.config_set("min-replicas-to-write", 0)
    wait_allowed(daemon, "both")
    assert_all_expire(client)


def test_still_loading(redis_factory, rationd):
    """After a start that takes its time: told as such, and over by itself."""
    server = redis_factory(options={"appendonly": "yes"})
    with server.client().pipeline(transaction=False) as pipe:
        for i in range(24000):
            pipe.set(f"filler{i}", i, ex=3600)
        pipe.execute()
    daemon = rationd(POLICY, store=server.url)
    server.kill()
    server.options["key-load-delay"] = 200  # µs each, until it was seen
    server.start(wait=False)
    wait_not_ready(daemon, "LOADING")
    kind, message = check(daemon, "much")
    assert kind == "store" and "still reading its data" in message, message
    server.client().config_set("key-load-delay", 0)
    wait_for(lambda: not server.client().info("persistence")["loading"], 10, "the data")
    with Pauses(daemon, server) as pauses:
        read = time.monotonic()
        daemon.wait()
        pauses.assert_within(read, back_s(), what="being ready")
    assert check(daemon, "much")[0] == "allow"


def test_full(redis_server, rationd):
    daemon = rationd(POLICY, store=redis_server.url)
    client = redis_server.client()
    assert [check(daemon, t)[0] for t in ("much", "both")] == ["allow", "allow"]
    before = counts(client)
    client.config_set("maxmemory-policy", "noeviction")
    client.config_set("maxmemory", "1mb")
    for tool, grant in (("much", "g"), ("both", "g"), ("both", "new"), ("few", "new")):
        kind, message = check(daemon, tool, grant)
        assert kind == "store" and "no room" in message and "OOM" in message, message
    assert counts(client) == before
    assert daemon.metric('ration_store_faults_total{class="memory"}') == 4
    client.config_set("maxmemory", "0")
    assert check(daemon, "both", "new") == ("allow", "")
    assert_all_expire(client)


def test_busy_with_a_script(redis_factory, rationd):
    server = redis_factory(options={"lua-time-limit": 50})
    daemon = rationd(POLICY, store=server.url)
    admin = server.client()

    def loop_for_ever():
        with server.client() as client, contextlib.suppress(redis.ResponseError):
            client.eval("while true do end", 0)
    script = threading.Thread(target=loop_for_ever)
    with Load(daemon, [("much", "a"), ("both", "b")], beside=[server]) as load:
        load.wait_for_one("allow", 0)
        begun = time.monotonic()
        script.start()
        wait_for(lambda: any("keeps the store busy" in s.message
                             for s in list(load.samples)), 5, "a message of BUSY")
        wait_for(lambda: time.monotonic() > begun + 0.4, 5, "0.4 s of BUSY")
        admin.script_kill()
        killed = time.monotonic()
        script.join()
        again = load.wait_for_one("allow", killed)
    load.pauses.assert_within(killed, back_s(), again, "service again")
    load.assert_in_time(DEADLINE_MS)
    assert daemon.metric('ration_store_faults_total{class="busy"}') > 0
    assert_settled(load, admin)


# --- keys that others took ------------------------------------------------------------

@pytest.mark.parametrize("spoil", [
    pytest.param(lambda client, key: client.lpush(key, "x"), id="list"),
    pytest.param(lambda client, key: client.set(key, "many", ex=3600), id="text"),
    pytest.param(lambda client, key: client.set(key, str(2**63 - 1), ex=3600),
                 id="overflow"),
])
def test_key_of_another_type(redis_server, rationd, spoil):
    daemon = rationd(POLICY, store=redis_server.url, flags=["--deadline-ms", 20000])
    client = redis_server.client()
    spoil(client, counter_key("much", LONG_KEY, grant="bad"))
    spoil(client, counter_key("second", LONG_KEY, grant="bad"))
    batches = daemon.metric("ration_store_batches_total")
    asked = [("much", "g1"), ("much", "bad"), ("both", "g1"), ("both", "bad"),
             ("much", "g2"), ("both", "g2")]
    with daemon.connect("resp") as sock:
        sock.sendall(b"".join(words("CHECK", *a) for a in asked))
        answers = read_answers(sock, len(asked))
    assert daemon.metric("ration_store_batches_total") == batches + 1
    kinds = dict(zip(asked, map(kind_of, answers)))
    for (tool, grant), kind in kinds.items():
        assert kind == ("store" if grant == "bad" else "allow"), (tool, grant, answers)
    assert "a counter's key holds something else" in answers[1].message
    found = counts(client)
    assert counter_key("first", LONG_KEY, grant="bad") not in found
    for counter in ("much", "first", "second"):
        for grant in ("g1", "g2"):
            assert found[counter_key(counter, LONG_KEY, grant=grant)] == 1
    assert daemon.metric('ration_store_faults_total{class="wrongtype"}') == 2
