# SPDX-License-Identifier: ISC
"""Redis dies, hangs, forgets, refuses, fills up: checks are answered in time, nothing
is admitted past max, and service comes back by itself.

How late an answer may be: the deadline and 20 ms, plus RATION_SLACK_MS (load.slack_ms)
and the pauses that this process itself suffered meanwhile.
"""
import contextlib
import re
import socket
import threading
import time

import pytest
import redis

import harness
from harness import ROOT, limit, patience, policy, wait_for
from load import (Load, assert_all_expire, counter_key, counts, kept_by, kind_of,
                  read_answers, slack_ms, words)

DEADLINE_MS = 50
PLENTY = 10**9
# From Redis being back to the first check allowed: the longest pause between attempts
# is 1 s.
BACK_S = 1.5

HOUR = policy(
    much=[limit("much", "hour", PLENTY)],
    few=[limit("few", "hour", 100)],
    both=[limit("first", "hour", PLENTY), limit("second", "hour", PLENTY)])


def back_s():
    return BACK_S + slack_ms() / 100


def check(daemon, tool, grant="g"):
    """(kind, message) of one check over HTTP."""
    status, body, headers = daemon.check(tool, grant)
    if status == 503:
        assert body["degraded"] and body["verdict"] == "deny", body
        assert body["rule"].startswith("/tools/"), body
        assert "Retry-After" in headers, headers
    return {200: "allow", 429: "deny", 503: "store"}[status], body["message"]


def assert_unavailable_at_once(daemon, word):
    """503 without waiting for the deadline, with the reason."""
    took = []
    for _ in range(5):
        begun = time.monotonic()
        kind, message = check(daemon, "much")
        took.append((time.monotonic() - begun) * 1000)
        assert kind == "store" and word in message, message
    assert min(took) < 20 + slack_ms(), took


def wait_not_ready(daemon, word, seconds=5):
    """Waits until /readyz is 503 with this word; returns its text."""
    def asked():
        r = daemon.get("/readyz")
        return r.text if r.status_code == 503 and word in r.text else None
    return wait_for(asked, seconds, f"/readyz with {word!r}")


def wait_allowed(daemon, tool="much", seconds=5):
    wait_for(lambda: check(daemon, tool)[0] == "allow", seconds, "a check allowed")


def assert_settled(load, client, exact=True):
    """Redis counts what was allowed, of each limit: nothing more, nothing less. With
    exact=False it may count more: a connection that dies takes replies with it."""
    allowed = {}
    for s in load.samples:
        for counter in {"both": ("first", "second")}.get(s.tool, (s.tool,)):
            key = counter_key(counter, "hour", grant=s.grant)
            allowed[key] = allowed.get(key, 0) + (s.kind == "allow")
    allowed = {key: n for key, n in allowed.items() if n}
    if exact:
        with contextlib.suppress(AssertionError):
            wait_for(lambda: counts(client) == allowed, 2, "settled counters")
        assert counts(client) == allowed
    else:
        found = counts(client)
        assert all(found.get(key, 0) >= n for key, n in allowed.items()), found
    assert_all_expire(client)


# --- killed ---------------------------------------------------------------------------

@pytest.mark.parametrize("fsync", ["always", "everysec"])
def test_killed_and_started_again(redis_factory, rationd, fsync):
    server = redis_factory(options={"appendonly": "yes", "appendfsync": fsync})
    daemon = rationd(HOUR, store=server.url)
    pid = daemon.pid
    calls = [("much", "a"), ("few", "b"), ("both", "c"), ("much", "d")]
    with Load(daemon, calls) as load:
        load.wait_for_one("allow", 0)
        wait_for(lambda: load.count("allow", "few") >= 20, 5, "20 checks")
        killed = time.monotonic()
        server.kill()
        gone = time.monotonic()
        load.wait_for_one("store", gone)
        kept = kept_by(server, redis_factory).get(counter_key("few", "hour", grant="b"),
                                                  0)
        wait_for(lambda: time.monotonic() > gone + 0.7, 5, "0.7 s without Redis")
        back = time.monotonic()
        server.start()
        up = time.monotonic()
        again = load.wait_for_one("allow", back)
        wait_for(lambda: load.count("deny", "few") >= 5, 10, "the limit being full")
    assert again - up < back_s(), f"service again after {again - up:.2f} s"
    load.assert_in_time(DEADLINE_MS)
    away = [s for s in load.samples if s.begun > gone and
            s.begun + s.took_ms / 1000 < back]
    assert len(away) > 50 and {s.kind for s in away} == {"store"}
    # Without a connection there is nothing to wait for.
    assert sorted(s.took_ms for s in away)[len(away) // 2] < 20 + slack_ms()

    before = load.count("allow", "few", until=killed)
    after = load.count("allow", "few", since=gone)
    assert kept + after <= 100, f"{kept} kept and {after} more allowed"
    assert int(server.client().get(counter_key("few", "hour", grant="b"))) == 100
    if fsync == "always":
        assert kept >= before and load.count("allow", "few") <= 100
        assert_settled(load, server.client(), exact=False)
    assert daemon.running and daemon.pid == pid
    assert daemon.metric("ration_store_up") == 1
    assert daemon.metric('ration_store_faults_total{class="disconnected"}') > 0


def test_killed_again_and_again(redis_factory, rationd):
    server = redis_factory(options={"appendonly": "yes", "appendfsync": "always"})
    daemon = rationd(HOUR, store=server.unix_url)
    with Load(daemon, [("few", "b"), ("both", "c")], rate=400) as load:
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
    daemon = rationd(HOUR, store=redis_server.url, flags=["--deadline-ms", 50])
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
    given_back = daemon.metric("ration_store_given_back_total")
    assert late >= 3 and late <= given_back <= 2 * late
    assert daemon.metric('ration_store_faults_total{class="timeout"}') >= late


def test_many_short_freezes(redis_server, rationd):
    """Freezes about as long as the deadline: replies come just before it and after."""
    daemon = rationd(HOUR, store=redis_server.url, flags=["--deadline-ms", 50])
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
    daemon = rationd(HOUR, store=redis_server.url, flags=["--deadline-ms", 50])
    with Load(daemon, [("much", "a")], rate=100) as load:
        load.wait_for_one("allow", 0)
        redis_server.pause()
        wait_for(lambda: "trying another connection" in daemon.log, 8, "another one")
        wait_for(lambda: "introduction within 2 s" in daemon.log, 8, "its end")
        thawed = time.monotonic()
        redis_server.resume()
        again = load.wait_for_one("allow", thawed)
    assert again - thawed < back_s()
    load.assert_in_time(DEADLINE_MS)
    assert_settled(load, redis_server.client())
    assert daemon.metric("ration_store_lost_total") == 0
    assert daemon.metric("ration_store_late_total") > 0


def test_late_by_the_callers_deadline(redis_server, rationd):
    """TIMEOUT is the caller's own deadline; what it makes late is given back too."""
    daemon = rationd(HOUR, store=redis_server.url, flags=["--deadline-ms", 2000])
    with daemon.connect("resp") as sock:
        redis_server.pause()
        begun = time.monotonic()
        sock.sendall(words("CHECK", "both", "g", "TIMEOUT", 30) * 10)
        answers = read_answers(sock, 10)
        took_ms = (time.monotonic() - begun) * 1000
        sock.sendall(words("CHECK", "both", "g") * 3)
        redis_server.resume()
        assert [a.verdict for a in read_answers(sock, 3)] == [1, 1, 1]
    assert {kind_of(a) for a in answers} == {"store"} and took_ms < 50 + slack_ms()
    settled = {counter_key(c, "hour", grant="g"): 3 for c in ("first", "second")}
    client = redis_server.client()
    wait_for(lambda: counts(client) == settled, 2, f"{settled}")
    assert daemon.metric("ration_store_late_total") == 10
    assert daemon.metric("ration_store_given_back_total") == 20


# --- who may connect ------------------------------------------------------------------

SECRET = "s3cr:t/@%word"
QUOTED = "s3cr%3At%2F%40%25word"
ADMIN = ["user default on >admin ~* &* +@all"]
# All that rationd ever calls, and that its scripts call. A database other than 0 needs
# +select as well.
SMALLEST = re.search(r"ACL SETUSER ration on >SECRET (.*)",
                     (ROOT / "docs/redis.md").read_text())[1]


def acl_with(rules):
    return {"acl": [*ADMIN, f"user ration on >{SECRET} {rules}"],
            "admin": (None, "admin")}


WITH_PASSWORD = {"options": {"requirepass": f'"{SECRET}"'},
                 "admin": (None, SECRET)}


@pytest.mark.parametrize("kw, user, password", [
    pytest.param(WITH_PASSWORD, None, QUOTED, id="password"),
    pytest.param(WITH_PASSWORD, "default", QUOTED, id="default_and_password"),
    pytest.param(acl_with("~* +@all"), "ration", QUOTED, id="user"),
    pytest.param(acl_with(SMALLEST), "ration", QUOTED, id="smallest_user"),
])
def test_let_in(redis_factory, rationd, kw, user, password):
    server = redis_factory(**kw)
    daemon = rationd(HOUR, store=server.url_as(user, password))
    assert check(daemon, "both") == ("allow", "")
    assert SECRET not in daemon.log and QUOTED not in daemon.log


def test_database(redis_server, rationd):
    daemon = rationd(HOUR, store=redis_server.url_as(None, None) + "/3")
    assert check(daemon, "both") == ("allow", "")
    assert counts(redis_server.client()) == {}
    assert len(counts(redis_server.client(db=3))) == 2


@pytest.mark.parametrize("kw, user, password, word", [
    pytest.param(WITH_PASSWORD, None, "wr0ng-word", "WRONGPASS", id="wrong"),
    pytest.param(WITH_PASSWORD, None, None, "NOAUTH", id="missing"),
    pytest.param(acl_with("~* +@all"), "ration", "wr0ng-word", "WRONGPASS",
                 id="user_wrong"),
    pytest.param(acl_with("~* +@all"), "nobody", QUOTED, "WRONGPASS",
                 id="no_such_user"),
    pytest.param(acl_with("~* +@all -info"), "ration", QUOTED, "NOPERM", id="no_info"),
    pytest.param(acl_with("~* +@all -script"), "ration", QUOTED, "NOPERM",
                 id="no_script_load"),
    pytest.param({}, None, "wr0ng-word", "AUTH", id="no_password_asked"),
])
def test_kept_out(redis_factory, rationd, kw, user, password, word):
    server = redis_factory(**kw)
    daemon = rationd(HOUR, store=server.url_as(user, password), wait="live")
    reason = wait_not_ready(daemon, word)
    assert_unavailable_at_once(daemon, word)
    tries = daemon.metric("ration_store_reconnects_total")
    wait_for(lambda: daemon.metric("ration_store_reconnects_total") >= tries + 3, 10,
             "three more attempts")
    said = [line for line in daemon.log_lines() if word in str(line)]
    errors = [line for line in said if "error" in map(str, line.values())]
    assert len(errors) == 1, said
    text = daemon.log + reason + daemon.get("/metrics").text
    for secret in ("wr0ng-word", SECRET, QUOTED):
        assert secret not in text
    assert daemon.metric('ration_store_faults_total{class="configuration"}') >= 5


def test_password_that_comes_later(redis_server, rationd):
    daemon = rationd(HOUR, store=redis_server.url_as(None, "later"), wait="live")
    wait_not_ready(daemon, "AUTH")
    redis_server.client().config_set("requirepass", "later")
    daemon.wait()
    wait_allowed(daemon)


@pytest.mark.parametrize("command", ["evalsha", "time", "incrby", "set"])
def test_permission_taken_while_serving(redis_factory, rationd, command):
    """NOPERM is a matter of configuration, said once and clearly, also when it comes
    with the first check."""
    server = redis_factory(**acl_with(SMALLEST))
    daemon = rationd(HOUR, store=server.url_as("ration", QUOTED))
    assert check(daemon, "much")[0] == "allow"
    admin = server.client()
    admin.execute_command("ACL", "SETUSER", "ration", f"-{command}")
    for i in range(5):
        kind, message = check(daemon, "both", f"new{i}")
        assert kind == "store" and "does not accept this daemon" in message, message
    assert daemon.metric('ration_store_faults_total{class="configuration"}') >= 5
    said = [line for line in daemon.log_lines() if line.get("level") == "error"]
    assert len(said) == 1, daemon.log
    admin.execute_command("ACL", "SETUSER", "ration", f"+{command}")
    wait_allowed(daemon)
    assert not any("new" in key for key in counts(admin)), "half charged"


def test_smallest_user_suffices_for_everything(redis_factory, rationd):
    """Windows that turn, refusals, costs of 0, SCRIPT FLUSH, late charges."""
    server = redis_factory(**acl_with(SMALLEST))
    daemon = rationd(policy(
        turn=[limit("turn", "second", 2)],
        pair=[limit("one", "hour", PLENTY), limit("two", "hour", 2)],
        much=[limit("much", "hour", PLENTY)]), store=server.url_as("ration", QUOTED))
    with daemon.resp() as client:
        deny = [client.execute_command("CHECK", "pair", "g")[0] for _ in range(4)]
        assert deny == [1, 1, 0, 0]
        assert client.execute_command("CHECK", "pair", "g", "COST", 0)[0] == 1
        seen = set()
        end = time.monotonic() + 2.2
        while time.monotonic() < end:
            answer = client.execute_command("CHECK", "turn", "g")
            assert answer[7] == 0, answer
            seen.add(answer[0])
        assert seen == {0, 1}
        server.client().script_flush()
        assert client.execute_command("CHECK", "much", "g")[0] == 1
        server.pause()
        assert client.execute_command("CHECK", "much", "g")[7] == 1
        server.resume()
    key = counter_key("much", "hour", grant="g")
    wait_for(lambda: int(server.client().get(key)) == 1, 2, "the charge given back")
    assert counts(server.client())[counter_key("one", "hour", grant="g")] == 2
    denied = server.client().execute_command("ACL", "LOG")
    assert denied == [], denied


# --- what others do to Redis ----------------------------------------------------------

# So many that a second call is sent while the first is under way.
PIPED = 90


def test_script_flush_under_load(redis_server, rationd):
    daemon = rationd(HOUR, store=redis_server.url, flags=["--deadline-ms", 500])
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
    piped = counter_key("much", "hour", grant="piped")
    assert int(client.get(piped)) == pipelines * PIPED
    client.delete(piped)
    assert_settled(load, client)


def test_connection_killed_under_load(redis_server, rationd):
    daemon = rationd(HOUR, store=redis_server.url)
    client = redis_server.client()
    with Load(daemon, [("much", "a"), ("both", "b")], rate=400) as load:
        load.wait_for_one("allow", 0)
        for _ in range(10):
            assert client.client_kill_filter(_type="normal", skipme=True) >= 1
            killed = time.monotonic()
            # The first pause is short: Redis is there.
            again = load.wait_for_one("allow", killed)
            assert again - killed < 0.2 + slack_ms() / 100
    load.assert_in_time(DEADLINE_MS)
    assert_settled(load, client, exact=False)
    assert daemon.metric("ration_store_reconnects_total") >= 11


def test_replica_at_start(redis_factory, rationd):
    primary, replica = redis_factory(), redis_factory()
    replica.client().replicaof(primary.host, primary.port)
    daemon = rationd(HOUR, store=replica.url, wait="live")
    wait_not_ready(daemon, "replica")
    assert_unavailable_at_once(daemon, "replica")
    replica.client().replicaof("NO", "ONE")
    daemon.wait()
    wait_allowed(daemon)


def test_becomes_a_replica_while_serving(redis_factory, rationd):
    primary, server = redis_factory(), redis_factory()
    daemon = rationd(HOUR, store=server.url)
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
    daemon = rationd(HOUR, store=redis_server.url)
    client = redis_server.client()
    client.config_set("min-replicas-to-write", 1)
    with Load(daemon, [("both", "g"), ("much", "h")]) as load:
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
        for i in range(8000):
            pipe.set(f"filler{i}", i, ex=3600)
        pipe.execute()
    daemon = rationd(HOUR, store=server.url)
    server.kill()
    server.options["key-load-delay"] = 200  # µs each
    server.start(wait=False)
    wait_not_ready(daemon, "LOADING")
    kind, message = check(daemon, "much")
    assert kind == "store" and "still reading its data" in message, message
    wait_for(lambda: not server.client().info("persistence")["loading"], 10, "the data")
    read = time.monotonic()
    daemon.wait()
    assert time.monotonic() - read < back_s()
    assert check(daemon, "much")[0] == "allow"


def test_full(redis_server, rationd):
    daemon = rationd(HOUR, store=redis_server.url)
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
    daemon = rationd(HOUR, store=server.url)
    admin = server.client()

    def loop_for_ever():
        with server.client() as client, contextlib.suppress(redis.ResponseError):
            client.eval("while true do end", 0)
    script = threading.Thread(target=loop_for_ever)
    with Load(daemon, [("much", "a"), ("both", "b")]) as load:
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
    assert again - killed < back_s()
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
    daemon = rationd(HOUR, store=redis_server.url, flags=["--deadline-ms", 2000])
    client = redis_server.client()
    spoil(client, counter_key("much", "hour", grant="bad"))
    spoil(client, counter_key("second", "hour", grant="bad"))
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
    assert counter_key("first", "hour", grant="bad") not in found
    for counter in ("much", "first", "second"):
        for grant in ("g1", "g2"):
            assert found[counter_key(counter, "hour", grant=grant)] == 1
    assert daemon.metric('ration_store_faults_total{class="wrongtype"}') == 2


# --- not there, or not Redis ----------------------------------------------------------

def test_not_there_at_start(redis_server, rationd):
    redis_server.kill()
    daemon = rationd(HOUR, store=redis_server.url, wait="live")
    wait_not_ready(daemon, "refused")
    assert_unavailable_at_once(daemon, "no connection to the store")
    redis_server.start()
    up = time.monotonic()
    daemon.wait()
    assert time.monotonic() - up < back_s()
    assert check(daemon, "much")[0] == "allow"
    tellings = [l for l in daemon.log_lines() if "refused" in str(l)]
    assert 1 <= len(tellings) <= 3, tellings


class FakeRedis:
    """Accepts, and answers each piece that comes with answer(piece)."""

    def __init__(self, answer):
        self.answer = answer
        self.listener = harness.bound_socket()
        self.url = "redis://127.0.0.1:%d" % self.listener.getsockname()[1]
        self.accepted = 0
        self.open = []
        self.thread = threading.Thread(target=self._accept)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *fault):
        # Closing alone does not wake accept().
        self.listener.shutdown(socket.SHUT_RDWR)
        self.thread.join()
        self.listener.close()
        for sock, thread in self.open:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            thread.join()
            sock.close()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                sock, _ = self.listener.accept()
                self.accepted += 1
                thread = threading.Thread(target=self._serve, args=(sock,))
                self.open.append((sock, thread))
                thread.start()

    def _serve(self, sock):
        with contextlib.suppress(OSError):
            while True:
                data = sock.recv(65536)
                if not data:
                    return
                sock.sendall(self.answer(data))


def http_server(_):
    return (b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/html\r\n"
            b"Content-Length: 4\r\n\r\noops")


def nothing(_):
    return b""


def old_redis(data):
    info = b"# Server\r\nredis_version:5.0.14\r\nredis_mode:standalone\r\n"
    return b"".join(b"$%d\r\n%s\r\n" % (len(info), info)
                    for _ in range(data.count(b"INFO")))


def endless(_):
    return b"$2000000000\r\n" + b"x" * 65536


@pytest.mark.parametrize("answer, word", [
    pytest.param(http_server, "is this Redis?", id="http"),
    pytest.param(nothing, "no answer", id="silent"),
    pytest.param(old_redis, "5.0.14", id="redis_5"),
    pytest.param(endless, "", id="endless"),
])
def test_not_redis(rationd, answer, word):
    with FakeRedis(answer) as fake:
        daemon = rationd(HOUR, store=fake.url, wait="live")
        assert_unavailable_at_once(daemon, "")
        wait_not_ready(daemon, word)
        assert_unavailable_at_once(daemon, word)
        wait_for(lambda: fake.accepted >= 2, 8, "another attempt")
        wait_not_ready(daemon, word)
        assert daemon.rss < (400 << 20)
        # A loop without a pause would be here by the thousand.
        assert fake.accepted < 40
        daemon.stop()
