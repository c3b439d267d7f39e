# SPDX-License-Identifier: ISC
"""What a check does when Redis fails: the caller's own deadline, a share of the limits
that each daemon counts itself, late charges given back or left, and readiness."""
import json
import time

import pytest

from harness import (is_sanitized, limit, patience, policy, run_ration, run_rationd,
                     wait_for)
from load import counter_key, read_answers, slack_ms, words
from pacer import Pacer
from pauses import Pauses

# Turns so seldom that no test meets the turn of it.
SPAN = "3650d"
SPAN_KEY = "315360000s"
SLACK_MS = 20 + slack_ms()
STOOD = "ration_store_stood_total"
GIVEN_BACK = "ration_store_given_back_total"
SLOTS = {"counter": "s", "algorithm": "concurrency", "max": 4, "scope": "grant"}


def local(counter, max, **more):
    return limit(counter, SPAN, max, on_store_failure="local", **more)


def allow(counter, max, **more):
    return limit(counter, SPAN, max, on_store_failure="allow", **more)


DOCUMENT = policy(
    shut={"limits": [limit("shut", SPAN, 100)]},
    open={"limits": [allow("open", 100)]},
    share={"limits": [local("share", 11)]},
    pair={"limits": [local("one", 4), local("two", 100)]},
    mixed={"limits": [allow("m1", 1), local("m2", 6), limit("m3", SPAN, 1, mode="shadow")]},
    strict={"limits": [local("x", 9), limit("y", SPAN, 9)]},
    single={"limits": [local("z", 1)]},
    slots={"limits": [{**SLOTS, "on_store_failure": "local"}, local("t", 100)]})
HALF = ["--local-share", 2]
# For a check that has to succeed where the daemon's own deadline is short.
PATIENT = {"X-Ration-Timeout-Ms": "30000"}


def wait_down(daemon):
    wait_for(lambda: daemon.metric("ration_store_up") == 0, 10, "the store being away")


def wait_back(daemon):
    wait_for(lambda: daemon.metric("ration_store_up") == 1, 15, "the store being back")


def degraded(daemon, decision):
    return daemon.metric(f'ration_degraded_total{{decision="{decision}"}}')


def served(daemon):
    """Whether Redis is there, and asked."""
    return timed(daemon, "shut", 30000, cost=0)[0] == 200


def timed(daemon, tool, ms=None, **body):
    headers = {} if ms is None else {"X-Ration-Timeout-Ms": str(ms)}
    begun = time.monotonic()
    status, answer, _ = daemon.check(tool, "alice", headers=headers, **body)
    return status, answer, (time.monotonic() - begun) * 1000


def pipelined(daemon, n, *command):
    """Asks n times at once; the answers."""
    with daemon.connect("resp") as sock:
        sock.sendall(words(*command) * n)
        return read_answers(sock, n)


# --- the caller's own deadline --------------------------------------------------------

def test_own_deadline_shorter_and_longer(redis_server, rationd):
    daemon = rationd(DOCUMENT, store=redis_server.url, flags=["--deadline-ms", 150])

    def frozen(ask):
        # One that was silent for long is not asked at all: it must be back.
        wait_for(lambda: served(daemon), 5, "Redis")
        redis_server.pause()
        begun = time.monotonic()
        assert ask()
        end = time.monotonic()
        redis_server.resume()
        return (end - begun) * 1000, pauses.lost_s(begun, end) * 1000

    with daemon.resp() as client, Pauses(daemon) as pauses:
        for ms, wanted in ((None, 150), (20, 20), (400, 400)):
            own = () if ms is None else ("TIMEOUT", ms)

            def over_http():
                status, answer, _ = timed(daemon, "shut", ms)
                return status == 503 and answer["degraded"]

            def over_resp():
                answer = client.execute_command("CHECK", "shut", "alice", *own)
                return (answer[0], answer[7]) == (0, 1)

            for ask in (over_http, over_resp):
                took = [frozen(ask) for _ in range(3)]
                assert min(took)[0] >= wanted - 5, (ms, took)
                # The machine may be in the way once; the daemon would be each time.
                assert min(t - lost for t, lost in took) < wanted + SLACK_MS, (ms, took)
    # A longer one outlives a short stop of Redis; what it comes with is no failure.
    wait_for(lambda: served(daemon), 5, "Redis")
    with daemon.connect("resp") as sock:
        redis_server.pause()
        sock.sendall(words("CHECK", "shut", "alice", "TIMEOUT", 30000))
        time.sleep(0.3)
        redis_server.resume()
        answer, = read_answers(sock, 1)
        assert (answer.verdict, answer.flags) == (1, 0)


@pytest.mark.parametrize("ms", ["0", "60001", "-1", "1.5", ""])
def test_deadline_out_of_range(rationd, ms):
    daemon = rationd(DOCUMENT)
    status, answer, _ = daemon.check("shut", "alice", headers={"X-Ration-Timeout-Ms": ms})
    assert status == 400 and "1 to 60000" in answer["detail"]
    for held in ("commit", "rollback"):
        got = daemon.post(f"/v1/{held}", {"reservation": "x"},
                          headers={"X-Ration-Timeout-Ms": ms})
        assert got.status_code == 400
    with daemon.resp() as client, pytest.raises(Exception, match="1 to 60000"):
        client.execute_command("CHECK", "shut", "alice", "TIMEOUT", ms)


def test_own_deadline_of_a_settlement(redis_server, rationd):
    daemon = rationd(DOCUMENT, store=redis_server.url, flags=["--deadline-ms", 30])
    held = daemon.check("shut", "alice", mode="reserve",
                        headers=PATIENT)[1]["reservation"]
    redis_server.pause()
    begun = time.monotonic()
    got = daemon.post("/v1/commit", {"reservation": held},
                      headers={"X-Ration-Timeout-Ms": "300"})
    assert got.status_code == 503 and 295 <= (time.monotonic() - begun) * 1000
    done = run_ration("check", "shut", "--grant", "alice", "--timeout-ms", "500",
                      "--server", daemon.resp_text)
    assert done.returncode == 1 and "degraded" in done.stdout, done.stderr
    redis_server.resume()


# --- a share of the limits ------------------------------------------------------------

def test_exactly_the_share(redis_factory, rationd):
    """Two daemons that know of each other: 5 of 11 each, whoever asks, over all
    workers; and back to the shared count as soon as Redis is back."""
    server = redis_factory()
    flags = [*HALF, "--workers", 2]
    daemons = [rationd(DOCUMENT, store=server.url, flags=flags) for _ in range(2)]
    for daemon in daemons:
        assert daemon.check("share", "alice")[1]["limits"][0]["max"] == 11
    server.kill()
    for daemon in daemons:
        wait_down(daemon)
        answers = [a for _ in range(10) for a in pipelined(daemon, 4, "CHECK", "share", "alice")]
        assert [a.verdict for a in answers] == [1] * 5 + [0] * 35
        assert {a.flags for a in answers} == {1}
        assert [a.remaining for a in answers[:6]] == [4, 3, 2, 1, 0, 0]
        assert answers[5].rule == "/tools/share/limits/share"
        assert answers[5].retry_after_ms > 0
        assert "this daemon's share, while the store is unavailable" in answers[5].message
        assert degraded(daemon, "local_allow") == 5
        assert degraded(daemon, "local_deny") == 35
        assert daemon.metric("ration_store_counters") == 1
        status, answer, headers = daemon.check("share", "alice")
        assert status == 429 and answer["degraded"] is True
        assert answer["limits"] == [{**answer["limits"][0], "counter": "share", "max": 5,
                                     "used": 5, "remaining": 0}]
        assert headers["RateLimit-Policy"].startswith('"share";q=5;')
        assert headers["X-Ration-Degraded"] == "1"
        asked = daemon.get("/v1/auth", headers={"X-Ration-Tool": "share",
                                                "X-Ration-Grant": "alice"})
        assert asked.status_code == 429 and asked.headers["X-Ration-Degraded"] == "1"
        # Another grant has a share of its own.
        assert daemon.check("share", "bob")[1]["limits"][0]["remaining"] == 4
        assert daemon.metric('ration_checks_total{verdict="deny_store"}') == 0
    server.start()
    for daemon in daemons:
        wait_back(daemon)
        answer = daemon.check("share", "alice")[1]
        assert answer["degraded"] is False and answer["limits"][0]["max"] == 11
        assert "X-Ration-Degraded" not in daemon.check("share", "alice")[2]
    # The same window, the same share: it is not given anew for the next outage.
    server.kill()
    for daemon in daemons:
        wait_down(daemon)
        assert daemon.check("share", "alice")[0] == 429
        assert daemon.check("share", "bob")[1]["limits"][0]["remaining"] == 3


def test_all_or_none_and_mixtures(redis_server, rationd):
    daemon = rationd(DOCUMENT, store=redis_server.url, flags=HALF)
    redis_server.kill()
    wait_down(daemon)
    assert [daemon.check("pair", "g")[0] for _ in range(4)] == [200, 200, 429, 429]
    one, two = daemon.check("pair", "g", mode="peek")[1]["limits"]
    assert (one["used"], one["max"], two["used"], two["max"]) == (2, 2, 2, 50)
    # What says allow is not in the way, and a shadow limit says nothing.
    statuses = [daemon.check("mixed", "g") for _ in range(4)]
    assert [s for s, _, _ in statuses] == [200, 200, 200, 429]
    assert [[each["counter"] for each in a["limits"]] for _, a, _ in statuses] == [["m2"]] * 4
    status, answer, _ = daemon.check("strict", "g")
    assert (status, answer["rule"]) == (503, "/tools/strict/limits/y")
    # Half of one is nothing: that is the store's failure, and not a matter of waiting.
    status, answer, headers = daemon.check("single", "g")
    assert status == 503 and headers["Retry-After"] == "1" and answer["limits"] == []
    assert "0 of 1 that this daemon gives" in answer["message"]
    assert daemon.check("open", "g")[0] == 200
    assert {d: degraded(daemon, d) for d in ("allow", "deny", "local_allow", "local_deny")} \
        == {"allow": 1, "deny": 1, "local_allow": 5, "local_deny": 5}


def test_daemon_level_and_command_line(redis_server, rationd, tmp_path):
    log = tmp_path / "decisions"
    daemon = rationd(policy(t={"limits": [limit("a", SPAN, 2)]}), store=redis_server.url,
                     flags=["--on-store-failure", "local", "--decision-log", log])
    redis_server.kill()
    wait_down(daemon)
    for code in (0, 0, 1):
        done = run_ration("check", "t", "--grant", "g", "--server", daemon.resp_text)
        assert done.returncode == code and "degraded" in done.stdout
    done = run_ration("explain", "t", "--grant", "g", "--server", daemon.resp_text)
    assert "this daemon gives its share" in done.stdout, done.stdout
    daemon.stop()
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert [(x["verdict"], x["degraded"], x["fault"]) for x in lines] == \
        [("allow", True, lines[0]["fault"])] * 2 + [("deny", True, lines[0]["fault"])]
    assert lines[0]["fault"] in ("disconnected", "timeout")


@pytest.mark.parametrize("value, code", [("0", 78), ("1000001", 78), ("half", 64)])
def test_share_out_of_range(value, code):
    done = run_rationd("--local-share", value, "--policy", "x", "--check-config")
    assert done.returncode == code and "local-share" in done.stderr


def test_explained(redis_server, rationd):
    daemon = rationd(DOCUMENT, store=redis_server.url, flags=HALF)
    redis_server.kill()
    wait_down(daemon)
    ask = {"tool": "mixed", "grant": "g"}
    told = daemon.post("/v1/explain", ask).json()
    assert (told["verdict"], told["degraded"]) == ("allow", True)
    step, = [s for s in told["steps"] if s["name"] == "limits"]
    assert "this daemon gives its share" in step["why"]
    free, share, shade = step["limits"]
    assert (share["max"], share["used"], share["admits"]) == (3, 0, True)
    assert free["used"] is None and "not counted" in free["why"]
    assert shade["admits"] is None
    for _ in range(3):
        assert daemon.check("mixed", "g")[0] == 200
    told = daemon.post("/v1/explain", ask).json()
    assert (told["verdict"], told["rule"]) == ("deny", "/tools/mixed/limits/m2")
    assert "why the store is away" in told["advice"]
    told = daemon.post("/v1/explain", {"tool": "strict", "grant": "g"}).json()
    step, = [s for s in told["steps"] if s["name"] == "limits"]
    assert '"on_store_failure" of /tools/strict/limits/y' in step["why"]


def test_request_ids(redis_server, rationd):
    daemon = rationd(DOCUMENT, store=redis_server.url, flags=HALF)
    redis_server.kill()
    wait_down(daemon)
    answers = [daemon.check("share", "g", request_id="one") for _ in range(20)]
    assert [a["replayed"] for _, a, _ in answers] == [False] + [True] * 19
    assert {(s, a["degraded"], a["limits"][0]["used"]) for s, a, _ in answers} == {(200, True, 1)}
    assert daemon.check("pair", "g", request_id="one")[0] == 422
    assert daemon.check("share", "g", mode="peek")[1]["limits"][0]["used"] == 1


def test_reservations(redis_factory, rationd):
    server = redis_factory()
    daemon = rationd(DOCUMENT, store=server.url, flags=[*HALF, "--workers", 2])
    other = rationd(DOCUMENT, store=server.url, flags=HALF)

    def settle(daemon, what, reservation, **body):
        got = daemon.post(f"/v1/{what}", {"reservation": reservation, **body})
        return got.status_code, got.json().get("done")

    def reserve():
        status, answer, _ = daemon.check("slots", "g", mode="reserve")
        return answer["reservation"] if status == 200 else status

    before = reserve()
    server.kill()
    wait_down(daemon), wait_down(other)
    held = [reserve() for _ in range(3)]
    assert held[2] == 429 and held[0] and held[1]
    # Known by this daemon alone, and by all of its workers.
    assert settle(other, "rollback", held[0])[0] == 503
    assert settle(daemon, "renew", held[0], ttl=900) == (200, True)
    assert settle(daemon, "rollback", held[0]) == (200, True)
    assert settle(daemon, "rollback", held[0]) == (200, False)
    assert settle(daemon, "commit", held[0][:-32] + "0" * 32)[0] == 503
    assert settle(daemon, "commit", before)[0] == 503
    assert reserve() not in (429, 503)
    assert reserve() == 429
    server.start()
    wait_back(daemon), wait_back(other)
    # Redis, empty now, does not know it; this daemon does.
    assert settle(other, "commit", held[1])[0] == 404
    assert settle(daemon, "commit", held[1], cost=7) == (200, True)
    assert settle(daemon, "commit", held[1], cost=9) == (200, False)
    assert settle(daemon, "commit", held[0][:-32] + "0" * 32)[0] == 404
    assert settle(daemon, "commit", before)[0] == 404
    server.kill()
    wait_down(daemon)
    assert daemon.check("slots", "g", mode="peek")[1]["limits"][1]["used"] == 9 - 1 - 1 + 1


def test_reset_forgets_the_share(redis_server, rationd):
    daemon = rationd(DOCUMENT, store=redis_server.url, flags=HALF)
    redis_server.kill()
    wait_down(daemon)
    assert [daemon.check("mixed", "g")[0] for _ in range(4)] == [200, 200, 200, 429]
    got = daemon.post("/v1/reset", {"counter": "m2", "window": SPAN_KEY, "scope": "grant=g"})
    assert got.status_code == 503
    assert daemon.check("mixed", "g")[0] == 200


# --- late charges ---------------------------------------------------------------------

def freeze_and_ask(server, daemon, n, *command):
    """Asks n times at once while Redis is frozen; the first are sent to it."""
    server.pause()
    answers = pipelined(daemon, n, *command)
    server.resume()
    wait_for(lambda: daemon.metric("ration_store_late_total") > 0, 10, "late replies")
    return answers


def count_of(server, counter, grant="alice"):
    return int(server.client().get(counter_key(counter, SPAN_KEY, grant=grant)) or 0)


# Ten at once are one entry of the call, and two are an entry each.
@pytest.mark.parametrize("n", [2, 10])
@pytest.mark.parametrize("tool, verdict, stands", [
    ("shut", 0, False), ("open", 1, True), ("share", 1, True)])
def test_what_was_told_is_true(redis_server, rationd, tool, verdict, stands, n):
    daemon = rationd(DOCUMENT, store=redis_server.url,
                     flags=["--deadline-ms", 100, "--deny-cache-ms", 0])
    assert daemon.check(tool, "alice", cost=0, headers=PATIENT)[0] == 200
    answers = freeze_and_ask(redis_server, daemon, n, "CHECK", tool, "alice")
    assert [(a.verdict, a.flags) for a in answers] == [(verdict, 1)] * n
    late = daemon.metric("ration_store_late_total")
    if stands:
        assert wait_for(lambda: daemon.metric(STOOD), 5, "late charges") == late == n
        assert daemon.metric(GIVEN_BACK) == 0
        assert count_of(redis_server, tool) == n
    else:
        wait_for(lambda: daemon.metric(GIVEN_BACK) == n, 5, "late charges")
        assert daemon.metric(STOOD) == 0
        assert count_of(redis_server, tool) == 0


def test_late_and_refused_locally(redis_server, rationd):
    """Of ten that Redis takes late, those stand that this daemon's share let through."""
    daemon = rationd(DOCUMENT, store=redis_server.url, flags=["--deadline-ms", 100, *HALF])
    assert daemon.check("share", "alice", cost=0, headers=PATIENT)[0] == 200
    answers = freeze_and_ask(redis_server, daemon, 10, "CHECK", "share", "alice")
    assert sum(a.verdict for a in answers) == 5
    wait_for(lambda: daemon.metric(GIVEN_BACK) == 5, 5, "late charges given back")
    assert daemon.metric(STOOD) == 5 and count_of(redis_server, "share") == 5


def test_late_with_ids_and_reservations(redis_server, rationd):
    """Each let through here, and taken by Redis in the end, under one reservation: a
    rollback gives both back; and a retry finds the answer in Redis."""
    daemon = rationd(DOCUMENT, store=redis_server.url, flags=["--deadline-ms", 100, *HALF])
    assert daemon.check("slots", "alice", mode="peek", headers=PATIENT)[0] == 200
    redis_server.pause()
    status, answer, _ = daemon.check("slots", "alice", mode="reserve", request_id="one")
    assert status == 200 and answer["degraded"] and answer["reservation"]
    redis_server.resume()
    wait_for(lambda: daemon.metric(STOOD) == 1, 10, "the late charge")
    assert daemon.metric(GIVEN_BACK) == 0 and count_of(redis_server, "t") == 1
    status, again, _ = daemon.check("slots", "alice", mode="reserve", request_id="one",
                                    headers=PATIENT)
    assert status == 200 and again["replayed"] and not again["degraded"]
    assert again["reservation"] == answer["reservation"]
    got = daemon.post("/v1/rollback", {"reservation": answer["reservation"]},
                      headers=PATIENT)
    assert (got.status_code, got.json()["done"]) == (200, True)
    assert count_of(redis_server, "t") == 0
    redis_server.kill()
    wait_down(daemon)
    assert [each["used"] for each in
            daemon.check("slots", "alice", mode="peek")[1]["limits"]] == [0, 0]


def test_slots_that_nobody_can_give_back(redis_server, rationd):
    """Let through without a reservation: a slot charged late would be held for nobody."""
    document = policy(slots={"limits": [{**SLOTS, "on_store_failure": "allow"}]})
    daemon = rationd(document, store=redis_server.url, flags=["--deadline-ms", 100])
    assert daemon.check("slots", "alice", mode="peek", headers=PATIENT)[0] == 200
    redis_server.pause()
    status, answer, _ = daemon.check("slots", "alice", mode="reserve")
    assert (status, answer["degraded"], answer["reservation"]) == (200, True, None)
    redis_server.resume()
    wait_for(lambda: daemon.metric(GIVEN_BACK) == 1, 10, "the slot given back")
    assert daemon.metric(STOOD) == 0
    looked = daemon.check("slots", "alice", mode="peek", headers=PATIENT)[1]
    assert looked["limits"][0]["used"] == 0


# --- flat latency and memory ----------------------------------------------------------

def test_thousands_while_frozen(redis_server, rationd):
    """Nobody waits longer than the deadline, memory stays, each late charge stands or is
    given back as its caller was told, and service is back within a second."""
    tools = {"shut": {}, "open": {"on_store_failure": "allow"},
             "share": {"on_store_failure": "local"}}
    document = policy(**{tool: {"limits": [limit(tool, SPAN, 10**9, **more)]}
                         for tool, more in tools.items()})
    daemon = rationd(document, store=redis_server.url, flags=["--deadline-ms", 50])
    client = redis_server.client()
    rate = 1000 if is_sanitized() else 5000
    with Pacer([daemon], [(tool, "g") for tool in tools], rate=rate,
               http=False, conns=32, beside=[redis_server]) as load:
        load.wait_for_one("allow", 0)
        wait_for(lambda: len(load.samples) > rate, 10, "a second of load")
        before = daemon.rss
        for _ in range(2):
            redis_server.pause()
            frozen = time.monotonic()
            wait_for(lambda: time.monotonic() > frozen + 1, 5, "a second of frost")
            redis_server.resume()
            thawed = time.monotonic()
            load.wait_for_recovery(thawed)
            load.assert_recovered(thawed, 1000)
        grown = daemon.rss - before
    print(load.story(), f"grown by {grown >> 10} KiB")
    load.assert_all_answered()
    load.assert_in_time(50)
    kinds = {tool: {s.kind for s in load.samples if s.tool == tool} for tool in tools}
    assert kinds == {"shut": {"allow", "store"}, "open": {"allow", "open"},
                     "share": {"allow", "open"}}
    if not is_sanitized():
        assert grown < 8 << 20
    allowed = {tool: load.count("allow", tool) for tool in tools}

    def settled():
        late, stood, given_back = (daemon.metric(name) for name in (
            "ration_store_late_total", STOOD, GIVEN_BACK))
        used = {tool: int(client.get(counter_key(tool, SPAN_KEY, grant="g")))
                for tool in tools}
        return (late > 0 and given_back == late - stood and
                used["shut"] == allowed["shut"] and
                used["open"] + used["share"] == allowed["open"] + allowed["share"] + stood)
    # The last ones may have been late as well.
    wait_for(settled, 5, "late charges")
    shared = load.count("open", "share")
    assert degraded(daemon, "local_allow") == shared
    assert degraded(daemon, "allow") == load.count("open", "open")
    assert degraded(daemon, "deny") == load.count("store", "shut")
    assert daemon.check("share", "g", headers=PATIENT)[1]["degraded"] is False


# --- readiness ------------------------------------------------------------------------

LENIENT = {**DOCUMENT, "on_store_failure": "local"}


@pytest.mark.parametrize("policies, flags, ready", [
    (DOCUMENT, [], False),
    (DOCUMENT, ["--on-store-failure", "deny"], False),
    (DOCUMENT, ["--on-store-failure", "local"], True),
    (DOCUMENT, ["--on-store-failure", "allow"], True),
    (LENIENT, [], True),
    ({"a": LENIENT, "default": DOCUMENT}, [], False),
    ({"a": LENIENT, "default": {**DOCUMENT, "on_store_failure": "allow"}}, [], True)])
def test_ready_in_a_declared_degraded_mode(redis_server, rationd, policies, flags, ready):
    daemon = rationd(policies, store=redis_server.url, flags=flags)
    assert daemon.get("/readyz").json() == {"ready": True, "degraded": False}
    redis_server.kill()
    wait_down(daemon)
    # Not within the first second after its start.
    wanted = 200 if ready else 503
    wait_for(lambda: daemon.get("/readyz").status_code == wanted, 5, f"a {wanted}")
    answer = daemon.get("/readyz").json()
    assert (answer["ready"], answer["degraded"]) == (ready, ready) and answer["why"]
    redis_server.start()
    wait_back(daemon)
    assert daemon.get("/readyz").json() == {"ready": True, "degraded": False}


def test_starts_without_redis(redis_factory, rationd):
    """It serves at once, and is ready, degraded, a second later."""
    server = redis_factory()
    server.stop()
    daemon = rationd(LENIENT, store=server.url, flags=HALF, wait="live")
    assert [daemon.check("share", "g")[0] for _ in range(6)] == [200] * 5 + [429]
    assert daemon.check("open", "g")[0] == 200
    with Pauses(daemon) as pauses:
        begun = time.monotonic()
        answer = wait_for(lambda: (lambda r: r.status_code == 200 and r.json())
                          (daemon.get("/readyz")), 5, "readiness")
        pauses.assert_within(begun, patience(2), what="being ready")
    assert answer["degraded"] is True
    server.start()
    wait_back(daemon)
    assert daemon.check("share", "g")[1]["degraded"] is False
