# SPDX-License-Identifier: ISC
"""What is answered without the store: on_store_failure of limits, documents and the
daemon, while Redis is away, frozen or full; and shadow limits, which deny nothing."""
import collections
import time

import pytest

from harness import is_sanitized, limit, policy, run_ration, wait_for
from load import counter_key
from pauses import Pauses

DEADLINE_MS = 200
# Of a busy machine's, beside the deadline.
SLACK_MS = 1000 if is_sanitized() else 300
# Turns so seldom that no test meets the turn of it.
SPAN = "3650d"
SPAN_KEY = "315360000s"


def shadow(counter, max, **more):
    return limit(counter, SPAN, max, mode="shadow", **more)


DOCUMENT = {
    **policy(
        free={},
        gone={"action": "deny"},
        opened={"limits": [limit("a", SPAN, 9)]},
        opened_too={"rate_limit": {"max": 9, "window": 315360000}},
        shut={"limits": [limit("b", SPAN, 9, on_store_failure="deny")]},
        mixed={"limits": [limit("c", SPAN, 9), shadow("d", 1, on_store_failure="deny"),
                          limit("e", SPAN, 9, on_store_failure="deny"),
                          limit("f", SPAN, 9, on_store_failure="deny")]},
        watched={"limits": [shadow("g", 1, on_store_failure="deny")]}),
    "on_store_failure": "allow"}

# Per tool: HTTP status, RESP's verdict, rule, whether the store was to be asked.
AWAY = {
    "free": (200, 1, "", False),
    "gone": (403, 0, "/tools/gone/action", False),
    "opened": (200, 1, "", True),
    "opened_too": (200, 1, "", True),
    "shut": (503, 0, "/tools/shut/limits/b", True),
    "mixed": (503, 0, "/tools/mixed/limits/e", True),
    "watched": (200, 1, "", True),
}


Answer = collections.namedtuple("Answer", "status body headers took_ms lost_ms")
# For a check that has to succeed where the daemon's own deadline is short.
PATIENT = {"X-Ration-Timeout-Ms": "30000"}


def ask(daemon, tool, grant="alice", **more):
    """One check over HTTP; how long it took, and what of that was the machine's."""
    with Pauses(daemon) as pauses:
        begun = time.monotonic()
        status, body, headers = daemon.check(tool, grant, **more)
        end = time.monotonic()
        lost_ms = pauses.lost_s(begun, end) * 1000
    return Answer(status, body, headers, (end - begun) * 1000, lost_ms)


def assert_at_the_deadline(answer):
    assert DEADLINE_MS - 5 < answer.took_ms < DEADLINE_MS + SLACK_MS + answer.lost_ms, answer


def assert_away(daemon, table=None):
    with daemon.resp() as client:
        for tool, (status, verdict, rule, asked) in (table or AWAY).items():
            answer = ask(daemon, tool)
            decision = answer.body
            assert answer.took_ms < DEADLINE_MS + SLACK_MS + answer.lost_ms, tool
            assert answer.status == status, (tool, decision)
            assert decision["verdict"] == ("allow" if verdict else "deny")
            assert decision["rule"] == rule and decision["limits"] == []
            assert decision["degraded"] is asked
            assert ("unavailable" in decision["message"]) == (status == 503)
            assert ("Retry-After" in answer.headers) == (status == 503)
            assert "RateLimit" not in answer.headers
            words = client.execute_command("CHECK", tool, "alice")
            assert words[0] == verdict and words[1].decode() == rule
            assert words[3:6] == [-1, -1, 0] and words[7] == (1 if asked else 0)


def wait_up(daemon):
    with_store = {"ready": True, "degraded": False}
    wait_for(lambda: daemon.get("/readyz").json() == with_store, 15, "the store")


def test_redis_killed_and_back(redis_server, rationd):
    daemon = rationd(DOCUMENT, store=redis_server.url,
                     flags=["--deadline-ms", DEADLINE_MS])
    answer = ask(daemon, "opened", headers=PATIENT)
    assert answer.status == 200 and answer.body["degraded"] is False
    redis_server.kill()
    assert_away(daemon)
    done = run_ration("check", "opened", "--grant", "alice",
                      "--server", daemon.resp_text)
    assert done.returncode == 0 and "degraded" in done.stdout
    done = run_ration("check", "shut", "--grant", "alice", "--server", daemon.resp_text)
    assert done.returncode == 1
    # Three let through and two refused by HTTP, by RESP, and one each by the command.
    assert daemon.metric('ration_degraded_total{decision="allow"}') == 7
    assert daemon.metric('ration_degraded_total{decision="deny"}') == 5
    assert daemon.metric('ration_checks_total{verdict="deny_store"}') == 5
    redis_server.start()
    wait_up(daemon)
    decision = ask(daemon, "opened", headers=PATIENT).body
    assert decision["degraded"] is False and decision["limits"][0]["used"] == 1
    assert daemon.metric('ration_degraded_total{decision="allow"}') == 7


def test_explained_without_the_store(redis_server, rationd):
    """The step that decides says why, also where that is to let the call through."""
    daemon = rationd(DOCUMENT, store=redis_server.url)
    redis_server.kill()
    for tool, (status, verdict, rule, asked) in AWAY.items():
        answer = daemon.post("/v1/explain", {"tool": tool, "grant": "alice"})
        explained = answer.json()
        assert answer.status_code == (503 if status == 503 else 200)
        assert explained["degraded"] is asked
        assert explained["rule"] == rule and explained["advice"], tool
        decided, = [step for step in explained["steps"]
                    if step["result"] == ("allow" if verdict else "deny")]
        assert decided["why"], tool
        if asked:
            assert decided["name"] == "limits"
            assert "the store is unavailable" in decided["why"]
            assert ("uncounted" in decided["why"]) == (status == 200)
    done = run_ration("explain", "opened", "--grant", "alice",
                      "--server", daemon.resp_text)
    assert done.returncode == 0, done.stderr
    head, *_ = done.stdout.splitlines()
    assert head.startswith("allow  opened for alice") and "degraded" in head
    assert "  8 limits   allow: the store is unavailable" in done.stdout
    assert daemon.metric("ration_check_duration_seconds_count") == 0


def test_redis_frozen(redis_server, rationd):
    """At the deadline; and what the frozen one has taken all the same is given back."""
    daemon = rationd(DOCUMENT, store=redis_server.url,
                     flags=["--deadline-ms", DEADLINE_MS])
    client = redis_server.client()
    assert ask(daemon, "mixed", headers=PATIENT).status == 200
    redis_server.pause()
    answer = ask(daemon, "mixed")
    assert answer.status == 503 and "in time" in answer.body["message"]
    assert_at_the_deadline(answer)
    answer = ask(daemon, "watched")
    assert answer.status == 200 and answer.body["degraded"] is True
    # Silent for a quarter of a second, it is not asked any more: on a busy machine this
    # one may come after that.
    if not daemon.metric('ration_store_faults_total{class="breaker"}'):
        assert_at_the_deadline(answer)
    redis_server.resume()
    # The shadow charge with the others; what had not been sent yet never is.
    wait_for(lambda: daemon.metric("ration_store_given_back_total") == 4, 10,
             "what was charged late being given back")
    for counter, used in {"c": 1, "d": 1, "e": 1, "f": 1, "g": 0}.items():
        key = counter_key(counter, SPAN_KEY, grant="alice")
        assert int(client.get(key) or 0) == used, counter


def test_full_embedded_store(rationd):
    daemon = rationd(DOCUMENT, flags=["--store-max-counters", "1"])
    assert ask(daemon, "opened", "first").body["degraded"] is False
    answer = ask(daemon, "opened", "second")
    assert answer.status == 200 and answer.body["degraded"] is True
    assert ask(daemon, "shut").status == 503
    # A shadow limit is no reason to call the store failed.
    decision = ask(daemon, "watched").body
    assert decision["verdict"] == "allow" and decision["degraded"] is False
    assert decision["limits"][0]["would_deny"] is True
    assert decision["limits"][0]["used"] == 0
    assert ask(daemon, "opened", "first").body["limits"][0]["used"] == 2


@pytest.mark.parametrize("flags, status", [
    ([], 503), (["--on-store-failure", "deny"], 503),
    (["--on-store-failure=allow"], 200)])
def test_default_of_the_daemon(rationd, redis_server, flags, status):
    silent = policy(t={"limits": [limit("a", SPAN, 9)]},
                    shut={"limits": [limit("b", SPAN, 9, on_store_failure="deny")]})
    daemon = rationd({"silent": silent, "default": DOCUMENT}, store=redis_server.url,
                     flags=flags)
    redis_server.kill()
    answer = ask(daemon, "t", policy="silent")
    assert answer.status == status and answer.body["degraded"] is True
    assert ask(daemon, "shut", policy="silent").status == 503
    # A document that says something is not asked what the daemon thinks.
    assert_away(daemon)


def test_counter_that_is_none_denies(redis_server, rationd):
    """Somebody's list in the counter's place is not a store that is away."""
    daemon = rationd(DOCUMENT, store=redis_server.url)
    client = redis_server.client()
    client.rpush(counter_key("a", SPAN_KEY, grant="alice"), "x")
    answer = ask(daemon, "opened")
    assert answer.status == 503 and answer.body["degraded"] is True
    assert answer.body["rule"] == "/tools/opened/limits/a"
    assert ask(daemon, "opened", "bob").body["degraded"] is False


@pytest.mark.parametrize("spoil", [
    lambda client, key: client.rpush(key, "x"),
    lambda client, key: client.set(key, "many"),
    lambda client, key: client.set(key, "-4"),
    lambda client, key: client.set(key, "1.5")], ids=["list", "text", "negative", "part"])
def test_shadow_counter_that_is_none_only_reports(redis_server, rationd, spoil):
    daemon = rationd(DOCUMENT, store=redis_server.url)
    client = redis_server.client()
    key = counter_key("d", SPAN_KEY, grant="alice")
    spoil(client, key)
    before = client.dump(key)
    for used in range(1, 10):
        decision = ask(daemon, "mixed").body
        assert decision["verdict"] == "allow" and decision["degraded"] is False
        assert [each["used"] for each in decision["limits"]] == [used, 0, used, used]
        assert decision["limits"][1]["would_deny"] is True
    decision = ask(daemon, "mixed").body
    assert decision["rule"] == "/tools/mixed/limits/c" and not decision["degraded"]
    assert decision["limits"][1]["would_deny"] is True
    assert client.dump(key) == before


@pytest.mark.parametrize("algorithm", ["fixed", "sliding", "token_bucket"])
def test_nothing_says_when_a_shadow_counter_can_be_charged(redis_server, rationd,
                                                            algorithm):
    daemon = rationd(policy(t={"limits": [shadow("d", 9, algorithm=algorithm)]}),
                     store=redis_server.url)
    client = redis_server.client()
    assert ask(daemon, "t").body["limits"][0]["used"] == 1
    (key,) = client.keys()
    client.delete(key)
    client.rpush(key, "x")
    (one,) = ask(daemon, "t").body["limits"]
    assert (one["would_deny"], one["used"], one["remaining"]) == (True, 0, 9)
    assert one["retry_after_ms"] == -1
    explained = daemon.post("/v1/explain", {"tool": "t", "grant": "alice"}).json()
    (one,) = next(s["limits"] for s in explained["steps"] if s["name"] == "limits")
    assert (one["admits"], one["retry_after_ms"]) == (False, -1)
    assert "no count" in one["why"]


# --- shadow limits on each store ------------------------------------------------------

def test_shadow(rationd, store):
    daemon = rationd(policy(
        t={"limits": [shadow("s", 2), limit("e", SPAN, 3),
                      shadow("o", 5, scope="org"), shadow("n", 5, cost_from="args.n")]},
        only={"limits": [shadow("z", 0)]}), store=store.url)
    for used in range(1, 4):
        answer = ask(daemon, "t", args={"n": 2})
        limits = answer.body["limits"]
        assert answer.status == 200
        assert [each["counter"] for each in limits] == ["s", "e", "o", "n"]
        assert [each["used"] for each in limits] == [used, used, 0, 2 * used]
        assert [each.get("would_deny") for each in limits] == \
            [used > 2, None, True, 2 * used > 5]
        assert answer.headers["RateLimit"].startswith('"e"')
    answer = ask(daemon, "t", args={"n": 2})
    assert answer.status == 429
    assert answer.body["rule"] == "/tools/t/limits/e"
    assert [each["used"] for each in answer.body["limits"]] == [3, 3, 0, 6]
    answer = ask(daemon, "only")
    assert answer.status == 200 and "RateLimit" not in answer.headers
    assert answer.body["reset_ms"] == -1 and answer.body["degraded"] is False
    with daemon.resp() as client:
        assert client.execute_command("CHECK", "only", "alice") == \
            [1, b"", b"", -1, -1, 0, b"", 0]
        assert client.execute_command("CHECK", "t", "bob")[3] == 2
    if store.redis:
        client = store.redis.client()
        keys = client.keys("*")
        assert len(keys) == 6 and all(client.ttl(key) > 0 for key in keys)
