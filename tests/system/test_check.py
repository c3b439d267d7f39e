# SPDX-License-Identifier: ISC
"""The main job: what a check is answered, over HTTP, RESP and the command line, on the
embedded store and on Redis."""
import json
import math
import re

import pytest

from harness import (EXAMPLE, bound_socket, limit, patience, policy, redis_cli,
                     run_ration, wait_for)

TOOL = "create_connect_token"
RULE = "/tools/create_connect_token/limits/create_connect_token_rate"
COUNTER = "create_connect_token_rate"
HUGE = 2**53 - 1

ANSWER_TYPES = {"verdict": str, "rule": str, "message": str, "policy": str, "tool": str,
                "grant": str, "limits": list, "reset_ms": int, "retry_after_ms": int,
                "degraded": bool, "replayed": bool, "reservation": type(None)}
LIMIT_TYPES = {"counter": str, "window": str, "scope": str, "max": int, "used": int,
               "remaining": int, "reset_ms": int, "retry_after_ms": int}


def types_of(answer):
    return {key: type(value) for key, value in answer.items()}


@pytest.fixture
def example(rationd, store):
    """rationd with the example policy, at least a few seconds before its minute ends:
    then 31 checks fall into one window."""
    daemon = rationd(EXAMPLE, store=store.url, flags=["--deadline-ms", "10000"])
    daemon.store = store
    wait_for(lambda: daemon.check(TOOL, "probe")[1]["reset_ms"] > 1000 * patience(1),
             10, "a fresh minute", every=0.2)
    return daemon


# --- thirty, then no more -----------------------------------------------------------

def assert_allowed(status, answer, headers, left, grant):
    assert status == 200
    assert types_of(answer) == ANSWER_TYPES
    assert types_of(answer["limits"][0]) == LIMIT_TYPES
    reset_ms = answer["reset_ms"]
    assert 0 < reset_ms <= 60000
    assert answer == {
        "verdict": "allow", "rule": "", "message": "", "policy": TOOL, "tool": TOOL,
        "grant": grant, "reset_ms": reset_ms, "retry_after_ms": 0, "degraded": False,
        "replayed": False, "reservation": None,
        "limits": [{"counter": COUNTER, "window": "minute", "scope": "grant", "max": 30,
                    "used": 30 - left, "remaining": left, "reset_ms": reset_ms,
                    "retry_after_ms": 0}]}
    assert headers["Content-Type"] == "application/json"
    assert headers["Cache-Control"] == "no-store"
    assert headers["RateLimit-Policy"] == f'"{COUNTER}";q=30;w=60'
    seconds = math.ceil(reset_ms / 1000)
    assert headers["RateLimit"] == f'"{COUNTER}";r={left};t={seconds}'
    assert "Retry-After" not in headers


def assert_limited(status, answer, headers, grant):
    assert status == 429
    assert types_of(answer) == ANSWER_TYPES
    reset_ms, message = answer["reset_ms"], answer["message"]
    assert 0 < reset_ms <= 60000
    assert COUNTER in message and "30" in message
    assert answer == {
        "verdict": "deny", "rule": RULE, "message": message, "policy": TOOL,
        "tool": TOOL, "grant": grant, "reset_ms": reset_ms, "retry_after_ms": reset_ms,
        "degraded": False, "replayed": False, "reservation": None,
        "limits": [{"counter": COUNTER, "window": "minute", "scope": "grant", "max": 30,
                    "used": 30, "remaining": 0, "reset_ms": reset_ms,
                    "retry_after_ms": reset_ms}]}
    assert headers["Content-Type"] == "application/json"
    seconds = math.ceil(reset_ms / 1000)
    assert headers["RateLimit-Policy"] == f'"{COUNTER}";q=30;w=60'
    assert headers["RateLimit"] == f'"{COUNTER}";r=0;t={seconds}'
    assert headers["Retry-After"] == str(seconds)


def assert_unlisted(status, answer, headers):
    assert status == 403
    assert types_of(answer) == ANSWER_TYPES
    assert (answer["verdict"], answer["rule"]) == ("deny", "(default deny)")
    assert answer["message"]
    assert (answer["limits"], answer["reset_ms"], answer["retry_after_ms"]) == ([], -1, 0)
    assert not {"RateLimit", "RateLimit-Policy", "Retry-After"} & set(headers)


def test_over_http(example):
    for left in range(29, -1, -1):
        assert_allowed(*example.check(TOOL, "alice-laptop"), left, "alice-laptop")
    for _ in range(2):
        assert_limited(*example.check(TOOL, "alice-laptop"), "alice-laptop")
    assert_allowed(*example.check(TOOL, "bob"), 29, "bob")
    assert_unlisted(*example.check("delete_everything", "alice-laptop"))
    if example.store.redis:
        key = f"ration:{TOOL}:{{grant=alice-laptop}}:{COUNTER}:minute"
        with example.store.redis.client() as client:
            assert client.get(key) == b"30"
            assert 0 < client.pttl(key) <= 60000


def redis_cli_check(daemon, *words):
    """The array of eight; --json makes redis-cli speak RESP3 and show the types."""
    done = redis_cli(daemon, "--json", "CHECK", *words)
    assert (done.returncode, done.stderr) == (0, "")
    answer = json.loads(done.stdout)
    assert [type(x) for x in answer] == [int, str, str, int, int, int, str, int]
    return answer


def test_over_redis_cli(example):
    for left in range(29, -1, -1):
        answer = redis_cli_check(example, TOOL, "alice-laptop")
        assert 0 < answer[4] <= 60000
        assert answer == [1, "", "", left, answer[4], 0, "", 0]
    answer = redis_cli_check(example, TOOL, "alice-laptop")
    assert 0 < answer[4] <= 60000
    assert COUNTER in answer[2]
    assert answer == [0, RULE, answer[2], 0, answer[4], answer[4], "", 0]
    assert redis_cli_check(example, TOOL, "bob")[:4] == [1, "", "", 29]
    answer = redis_cli_check(example, "delete_everything", "alice-laptop")
    assert answer == [0, "(default deny)", answer[2], -1, -1, 0, "", 0]
    assert answer[2]


def test_over_the_command_line(example):
    def ask(tool, grant, *words):
        return run_ration("check", tool, "--grant", grant, "--server",
                          example.resp_text, *words)
    for left in range(29, -1, -1):
        done = ask(TOOL, "alice-laptop")
        assert (done.returncode, done.stderr) == (0, "")
        assert re.fullmatch(rf"allow  {TOOL} for alice-laptop: {left} left, "
                            r"resets in \d+ (s|ms)\n", done.stdout)
    done = ask(TOOL, "alice-laptop")
    assert done.returncode == 1
    assert done.stdout.startswith(f"deny  {TOOL} for alice-laptop (rule {RULE}): ")
    assert "; retry in " in done.stdout
    done = ask(TOOL, "alice-laptop", "--json")
    assert done.returncode == 1
    answer = json.loads(done.stdout)
    assert 0 < answer["reset_ms"] <= 60000
    assert answer == {"verdict": "deny", "rule": RULE, "message": answer["message"],
                      "remaining": 0, "reset_ms": answer["reset_ms"],
                      "retry_after_ms": answer["reset_ms"], "reservation": None,
                      "degraded": False, "replayed": False}
    assert json.loads(ask(TOOL, "bob", "--json").stdout)["remaining"] == 29
    done = ask("delete_everything", "alice-laptop", "--json")
    assert done.returncode == 1
    answer = json.loads(done.stdout)
    assert (answer["rule"], answer["remaining"]) == ("(default deny)", -1)


def test_all_ways_share_one_counter(example):
    assert example.check(TOOL, "g")[1]["limits"][0]["remaining"] == 29
    assert redis_cli_check(example, TOOL, "g")[3] == 28
    done = run_ration("check", TOOL, "--grant", "g", "--json", "--server",
                      example.resp_text)
    assert json.loads(done.stdout)["remaining"] == 27
    with example.resp() as client:
        assert client.execute_command("check", TOOL, "g", "Cost", 7)[3] == 20
    r = example.get("/v1/auth", headers={"X-Ration-Tool": TOOL, "X-Ration-Grant": "g"})
    assert r.headers["RateLimit"].startswith(f'"{COUNTER}";r=19;')
    if example.store.redis:
        with example.store.redis.client() as client:
            assert client.get(f"ration:{TOOL}:{{grant=g}}:{COUNTER}:minute") == b"11"


# --- the command line's exit codes --------------------------------------------------

@pytest.mark.parametrize("words", [
    ["check"], ["check", TOOL], ["check", TOOL, "--grant"],
    ["check", TOOL, "--grant", ""], ["check", TOOL, "b", "--grant", "g"],
    ["check", TOOL, "--grant", "g", "--cost", "-1"],
    ["check", TOOL, "--grant", "g", "--cost", str(HUGE + 1)],
    ["check", TOOL, "--grant", "g", "--arg", "novalue"],
    ["check", TOOL, "--grant", "g", "--colour"],
    ["check", TOOL, "--grant", "g", "--server", "nonsense"],
    ["chekc", TOOL, "--grant", "g"], ["usage", "g"], [],
])
def test_ration_usage_is_2(words):
    done = run_ration(*words)
    assert done.returncode == 2
    assert done.stdout == "" and done.stderr


def test_ration_refused_by_the_daemon_is_2(rationd):
    daemon = rationd()
    done = run_ration("check", TOOL, "--grant", "g" * 1025, "--server", daemon.resp_text)
    assert done.returncode == 2
    assert "grant" in done.stderr


def test_ration_without_a_daemon_is_3(tmp_path):
    done = run_ration("check", TOOL, "--grant", "g", "--server",
                      f"unix:{tmp_path}/nobody")
    assert done.returncode == 3
    assert done.stdout == "" and "nobody" in done.stderr


def test_ration_with_a_mute_daemon_is_3():
    with bound_socket() as mute:
        address = f"127.0.0.1:{mute.getsockname()[1]}"
        done = run_ration("check", TOOL, "--grant", "g", "--server", address,
                          "--timeout-ms", "300")
    assert done.returncode == 3
    assert done.stdout == "" and done.stderr


# --- what a policy says -------------------------------------------------------------

RICH = {
    "version": "1", "default": "deny", "description": "of many kinds",
    "hide": ["secret"],
    "all_tools": {"limits": [limit("calls", "30d", 1000)]},
    "tools": {
        "free": {},
        "secret": {},
        "never": {"action": "deny", "reason": "not by an agent"},
        "two": {"limits": [limit("a", "30d", 3), limit("b", "30d", 2)]},
        "tie": {"limits": [limit("x", "30d", 5), limit("y", "30d", 5)]},
        "costly": {"limits": [limit("spend", "30d", 100, on_deny="too much")]},
        "fixed": {"limits": [limit("fixed", "30d", 10, cost=4)]},
        "closed": {"limits": [limit("closed", "30d", 0)]},
        "search": {"rate_limit": {"max": 2, "window": 2592000}},
        "ours": {"limits": [limit("ours", "week", 5, scope="org")]},
        "pair": {"limits": [limit("pair", "week", 5, scope=["org", "grant"])]},
        "all": {"limits": [limit("all", "week", 5, scope="global")]},
        "slash/tilde~": {"limits": [limit("a/b~c", "30d", 1)]},
        "é ü": {"limits": [limit('quo"te é%', "30d", 7)]},
    }}


@pytest.fixture
def rich(rationd, store):
    return rationd(RICH, store=store.url, flags=["--deadline-ms", "10000"])


def seen(daemon, tool, grant="g", **body):
    """(status, rule, {counter: used})"""
    status, answer, _ = daemon.check(tool, grant, **body)
    return status, answer["rule"], {x["counter"]: x["used"] for x in answer["limits"]}


def test_verdicts_before_any_limit(rich):
    assert seen(rich, "secret") == (403, "(hidden)", {})
    assert seen(rich, "unlisted") == (403, "(default deny)", {})
    assert seen(rich, "never") == (403, "/tools/never/action", {})
    assert rich.check("never", "g")[1]["message"] == "not by an agent"
    status, answer, _ = rich.check("free", "g", policy="nope")
    assert (status, answer["rule"]) == (403, "(no policy)")
    assert '"nope"' in answer["message"] and answer["policy"] == "nope"
    # None of them was charged for all_tools.
    assert seen(rich, "free") == (200, "", {"calls": 1})


def test_the_tightest_limit(rich):
    status, answer, headers = rich.check("two", "g")
    assert [x["counter"] for x in answer["limits"]] == ["a", "b", "calls"]
    assert headers["RateLimit"].startswith('"b";r=1;')
    assert answer["reset_ms"] == answer["limits"][1]["reset_ms"]
    assert rich.check("tie", "g")[2]["RateLimit"].startswith('"x";r=4;')
    assert rich.check("two", "g")[0] == 200
    status, answer, headers = rich.check("two", "g")
    assert (status, answer["rule"]) == (429, "/tools/two/limits/b")
    assert [x["used"] for x in answer["limits"]] == [2, 2, 3]
    assert [x["retry_after_ms"] > 0 for x in answer["limits"]] == [False, True, False]
    assert headers["RateLimit-Policy"] == '"b";q=2;w=2592000'


def test_costs(rich):
    assert seen(rich, "costly", cost=60) == (200, "", {"spend": 60, "calls": 60})
    status, answer, headers = rich.check("costly", "g", cost=41)
    assert (status, answer["message"]) == (429, "too much")
    assert answer["limits"][0]["remaining"] == 40
    assert answer["retry_after_ms"] == answer["reset_ms"] > 0
    assert seen(rich, "costly", cost=40)[0] == 200
    assert seen(rich, "costly", cost=0)[:2] == (200, "")
    # A limit's own cost stands in the place of the request's.
    assert seen(rich, "fixed", grant="f", cost=3) == (200, "", {"fixed": 4, "calls": 3})


@pytest.mark.parametrize("tool,cost", [("costly", 101), ("closed", 1), ("costly", HUGE)])
def test_what_never_fits(rich, tool, cost):
    """No time to come back at: -1, and no Retry-After."""
    status, answer, headers = rich.check(tool, "g", cost=cost)
    assert status == 429
    assert answer["retry_after_ms"] == -1 and answer["reset_ms"] > 0
    assert answer["limits"][0]["used"] == 0
    assert "Retry-After" not in headers
    with rich.resp() as client:
        assert client.execute_command("CHECK", tool, "g", "COST", cost)[5] == -1


def test_scopes(rich):
    def used(tool, **body):
        status, rule, counters = seen(rich, tool, **body)
        assert (status, rule) == (200, "")
        return counters[tool]
    acme, other = {"org": "acme"}, {"org": "other"}
    assert [used("ours", grant=g, attributes=acme) for g in "ab"] == [1, 2]
    assert used("ours", attributes=other) == 1
    assert used("pair", grant="a", attributes=acme) == 1
    assert used("pair", grant="b", attributes=acme) == 1
    assert used("pair", grant="a", attributes=acme) == 2
    assert [used("all", grant=g) for g in "abc"] == [1, 2, 3]
    status, answer, _ = rich.check("ours", "g")
    assert (status, answer["rule"]) == (403, "/tools/ours/limits/ours")
    assert "org" in answer["message"]
    _, answer, _ = rich.check("pair", "a", attributes=acme)
    assert answer["limits"][0]["scope"] == "grant&org"


def test_rate_limit_counts_the_session_or_the_grant(rich):
    rule = "/tools/search/rate_limit"
    in_one = [seen(rich, "search", session="s1", grant=g)[:2] for g in "abc"]
    assert in_one == [(200, ""), (200, ""), (429, rule)]
    assert seen(rich, "search", session="s2")[0] == 200
    without = [seen(rich, "search")[:2] for _ in range(3)]
    assert without == [(200, ""), (200, ""), (429, rule)]


def test_names_in_rules_and_fields(rich):
    """JSON Pointer escapes in rules; percent and quotes in header fields."""
    assert seen(rich, "slash/tilde~")[0] == 200
    assert seen(rich, "slash/tilde~")[:2] == (
        429, "/tools/slash~1tilde~0/limits/a~1b~0c")
    _, answer, headers = rich.check("é ü", "g")
    assert answer["limits"][0]["counter"] == 'quo"te é%'
    assert answer["limits"][0]["window"] == "2592000s"
    assert headers["RateLimit-Policy"] == '"quo\\"te %C3%A9%25";q=7;w=2592000'


def test_several_policies(rationd):
    daemon = rationd({"default": policy(a=[]), "strict": policy(b=[])})
    assert daemon.check("a", "g")[0] == 200
    assert daemon.check("b", "g")[0] == 403
    assert daemon.check("b", "g", policy="strict")[1]["policy"] == "strict"
    assert daemon.check("b", "g", policy="strict")[0] == 200
    with daemon.resp() as client:
        assert client.execute_command("CHECK", "b", "g", "POLICY", "strict")[0] == 1


def test_no_policy_is_the_default(rationd):
    daemon = rationd({"one": policy(a=[]), "two": policy(a=[])})
    status, answer, _ = daemon.check("a", "g")
    assert (status, answer["rule"]) == (403, "(no policy)")
