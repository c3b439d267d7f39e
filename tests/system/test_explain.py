# SPDX-License-Identifier: ISC
"""Explain and usage: every step of a decision and a grant's counters, over each protocol
and on each store; nothing is charged."""
import json
import time

import pytest
import redis

from harness import limit, patience, policy, run_ration, wait_for

SECRET = "s3cr3t-value"


def entry(path, op, value, **more):
    return {"conditions": [{"path": path, "op": op, "value": value}], **more}


CHARGE = {
    "require": [entry("args.reason", "exists", True, on_deny="say why")],
    "deny_if": [entry("args.amount", "gt", 10000, on_deny="too much"),
                {"conditions": [{"path": "args.to", "op": "in", "value": ["x", "y"]},
                                {"path": "org", "op": "regex", "value": "^ac"}]}],
    "limits": [limit("charges", "30d", 2, overrides={"ci-runner": 5}),
               limit("spend", "30d", 100, cost_from="args.amount", scope="global")]}
DOCUMENT = {
    **policy(
        create_charge=CHARGE,
        refund={"action": "require_approval", "reason": "ask the treasurer"},
        stop={"action": "deny"},
        free={},
        quick={"rate_limit": {"max": 3, "window": 86400}},
        again=[limit("charges", "30d", 2, overrides={"ci-runner": 5})],
        team=[limit("t", "30d", 3, scope=["grant", "org"])],
        short=[limit("s", "second", 3)],
        three=[limit("fixed", "30d", 3, cost=2), limit("more", "30d", 1)]),
    "hide": ["secret"],
    "all_tools": {"limits": [limit("calls", "30d", 50, scope="global")]}}
NAMES = ["policy", "hidden", "default", "action", "require", "deny_if", "approval",
         "limits", "allow"]


@pytest.fixture
def served(rationd, store):
    daemon = rationd(DOCUMENT, store=store.url, flags=["--deadline-ms", "5000"])
    daemon.its_store = store
    return daemon


def ask(tool, args=None, grant="alice", **more):
    body = {"tool": tool, "grant": grant, **more}
    return body if args is None else {**body, "args": args}


def explain(daemon, *args, **more):
    answer = daemon.post("/v1/explain", ask(*args, **more))
    assert answer.status_code == 200, answer.text
    assert answer.headers["Cache-Control"] == "no-store"
    return answer.json()


def check(daemon, *args, **more):
    return daemon.post("/v1/check", ask(*args, **more)).json()


def usage(daemon, grant="alice", **more):
    answer = daemon.get("/v1/usage", params={"grant": grant, **more})
    assert answer.status_code == 200, answer.text
    return answer.json()


def step(explained, name):
    return explained["steps"][NAMES.index(name)]


def limits(explained):
    return {one["counter"]: one for one in step(explained, "limits")["limits"]}


def results(explained):
    assert [one["name"] for one in explained["steps"]] == NAMES
    assert [one["step"] for one in explained["steps"]] == list(range(1, 10))
    return [one["result"] for one in explained["steps"]]


# --- explain ------------------------------------------------------------------------

GOOD = {"reason": "r", "amount": 5}
CALLS = [
    # what is asked, the step that decides
    (ask("free", policy="nope"), 1), (ask("secret"), 2), (ask("unlisted"), 3),
    (ask("stop"), 4), (ask("create_charge"), 5), (ask("create_charge", {"reason": None}), 5),
    (ask("create_charge", {"reason": "r", "amount": 10001}), 6),
    (ask("create_charge", {"reason": "r", "to": "y"}, attributes={"org": "acme"}), 6),
    (ask("refund"), 7), (ask("create_charge", {"reason": "r"}), 8),
    (ask("create_charge", {"reason": "r", "amount": 101}), 8), (ask("team"), 8),
    (ask("quick", cost=4), 8), (ask("create_charge", GOOD), 9), (ask("free"), 9),
    (ask("quick", session="s1"), 9), (ask("three", grant="g2"), 9),
]


@pytest.mark.parametrize("body, decides", CALLS, ids=range(len(CALLS)))
def test_agrees_with_check(served, body, decides):
    """The verdict, rule and message are those that the check then gets."""
    explained = served.post("/v1/explain", body).json()
    told = results(explained)
    with served.resp() as client:
        words = ["EXPLAIN", body["tool"], body["grant"]]
        for key in ("policy", "session", "cost"):
            words += [key, body[key]] if key in body else []
        words += ["ARGS", json.dumps(body["args"])] if "args" in body else []
        for name, value in body.get("attributes", {}).items():
            words += ["ATTR", name, value]
        over_resp = json.loads(client.execute_command(*words))
    decision = served.post("/v1/check", body).json()
    for key in ("verdict", "rule", "message", "policy", "tool", "grant", "degraded"):
        assert explained[key] == decision[key] == over_resp[key]
    assert results(over_resp) == told
    assert told == (["pass"] * (decides - 1) + [decision["verdict"]] +
                    ["not reached"] * (9 - decides))
    assert explained["advice"]
    assert [one["counter"] for one in decision["limits"]] == [
        name for name, one in limits(explained).items() if one["admits"] is not None]


def test_charges_nothing(served):
    first = explain(served, "create_charge", GOOD)
    for _ in range(5):
        explain(served, "create_charge", GOOD)
    again = explain(served, "create_charge", GOOD)
    for one in limits(again).values():
        assert (one["used"], one["remaining"]) == (0, one["max"])
    assert first["verdict"] == again["verdict"] == "allow"
    assert served.metric('ration_checks_total{verdict="allow"}') == 0
    if served.its_store.redis:
        with served.its_store.redis.client() as client:
            assert client.keys() == []
    assert check(served, "create_charge", GOOD)["limits"][0]["used"] == 1


def test_denied_charge(served):
    """What a new user sees is enough to know what to change."""
    for _ in range(2):
        assert check(served, "create_charge", GOOD)["verdict"] == "allow"
    explained = explain(served, "create_charge", GOOD)
    found = limits(explained)
    assert found["charges"] == {
        "counter": "charges", "algorithm": "fixed", "rule": "/tools/create_charge/limits/charges",
        "window": "2592000s", "scope": "grant",
        "key": "ration:default:{grant=alice}:charges:2592000s", "max": 2, "cost": 1,
        "used": 2, "remaining": 0, "admits": False,
        "reset_ms": found["charges"]["reset_ms"],
        "retry_after_ms": found["charges"]["reset_ms"],
        "why": "2 of 2 used, 0 left, the call costs 1: there is no room"}
    assert 0 < found["charges"]["reset_ms"] <= 30 * 86400000
    assert found["spend"]["admits"] and found["calls"]["admits"]
    assert (found["spend"]["used"], found["spend"]["cost"]) == (10, 5)
    assert found["spend"]["key"] == "ration:default:{global}:spend:2592000s"
    assert found["calls"]["retry_after_ms"] == 0
    assert "wait" in explained["advice"]
    assert '"max" of /tools/create_charge/limits/charges' in explained["advice"]
    if served.its_store.redis:
        with served.its_store.redis.client() as client:
            for one in found.values():
                assert int(client.get(one["key"])) == one["used"]
    for _ in range(5):
        check(served, "create_charge", {"reason": "r", "amount": 0}, grant="ci-runner")
    explained = explain(served, "create_charge", GOOD, grant="ci-runner")
    assert limits(explained)["charges"]["max"] == 5
    assert '"overrides" of' in explained["advice"]


def test_algorithms(rationd, store):
    """What is told is what the next check meets, whatever the algorithm."""
    daemon = rationd(policy(a=[
        limit("w", "30d", 4, algorithm="sliding"),
        limit("b", "30d", 4, algorithm="token_bucket", burst=3),
        limit("m", "month", 9, timezone="Europe/Rome")]),
        store=store.url, flags=["--deadline-ms", "5000"])
    for used in range(4):
        explained = explain(daemon, "a", grant="g")
        told = [(one["algorithm"], one["used"], one["remaining"], one["admits"])
                for one in step(explained, "limits")["limits"]]
        assert told == [("sliding", used, 4 - used, True),
                        ("token_bucket", used, 3 - used, used < 3),
                        ("fixed", used, 9 - used, True)]
        decision = check(daemon, "a", grant="g")
        assert decision["verdict"] == explained["verdict"]
        assert decision["rule"] == explained["rule"]
    assert explained["rule"] == "/tools/a/limits/b"
    found = limits(explained)
    assert found["b"]["why"].startswith("3 of 3 used, 0 left")
    assert [(name, one["max"], one.get("burst")) for name, one in found.items()] == [
        ("w", 4, None), ("b", 4, 3), ("m", 9, None)]
    assert '"burst" or "max" of /tools/a/limits/b' in explained["advice"]
    shown = ration(daemon, "explain", "a", "--grant", "g").stdout
    assert "/tools/a/limits/b: max 4 per 2592000s, burst 3, scope grant" in shown
    assert "because: limit \"b\" is used up: a burst of 3 at 4 per 2592000s for each grant" \
        in shown
    assert "b per 2592000s: 3 of 3 used, 0 left" in ration(
        daemon, "usage", "--grant", "g").stdout
    too_much = explain(daemon, "a", grant="h", cost=4)
    assert "waiting does not help: call with a cost of at most 3, or raise \"burst\" of " \
        "/tools/a/limits/b" in too_much["advice"]
    assert 0 < found["b"]["retry_after_ms"] <= found["b"]["reset_ms"]
    counters = usage(daemon, "g")["counters"]
    assert [(c["counter"], c["used"], c["remaining"]) for c in counters] == [
        ("w", 3, 1), ("b", 3, 0), ("m", 3, 6)]
    assert [c.get("burst") for c in counters] == [None, 3, None]
    assert [one.get("burst") for one in decision["limits"]] == [None, 3, None]
    assert [c["key"] for c in counters] == [one["key"] for one in found.values()]


def test_cost_alone_is_too_much(served):
    explained = explain(served, "create_charge", {"reason": "r", "amount": 101})
    assert limits(explained)["spend"]["retry_after_ms"] == -1
    assert explained["retry_after_ms"] == -1
    assert "args.amount of at most 100" in explained["advice"]
    explained = explain(served, "quick", cost=60)
    assert "a cost of at most 3" in explained["advice"]
    assert "other limits have no room either" in explained["advice"]
    found = limits(explained)
    assert [one["retry_after_ms"] for one in found.values()] == [-1, -1]
    check(served, "three", grant="z")
    explained = explain(served, "three", grant="z")
    assert "cost" not in explained["advice"]  # the policy fixes it
    assert [one["admits"] for one in limits(explained).values()] == [False, False, True]


def test_conditions(served):
    def why(args, entry_index, **more):
        explained = explain(served, "create_charge", args, **more)
        return [(one["path"], one["op"], one["holds"], one["why"].split(":")[0])
                for one in step(explained, "deny_if")["entries"][entry_index]["conditions"]]
    r = {"reason": "r"}
    assert why({**r, "amount": 1}, 0) == [("args.amount", "gt", False, "value mismatch")]
    assert why({**r, "amount": "1"}, 0) == [("args.amount", "gt", False, "type mismatch")]
    assert why(r, 0) == [("args.amount", "gt", False, "missing")]
    assert why({**r, "amount": 10001}, 0) == [("args.amount", "gt", True, "it holds")]
    assert why({**r, "amount": 10001}, 1)[0] == ("args.to", "in", None, "not asked")
    org = {"attributes": {"org": "umbrella"}}
    assert why({**r, "to": "z"}, 1, **org) == [
        ("args.to", "in", False, "value mismatch"), ("org", "regex", None, "not asked")]
    assert why({**r, "to": 1}, 1)[0] == ("args.to", "in", False, "type mismatch")
    assert why({**r, "to": "x"}, 1, **org)[1] == ("org", "regex", False, "value mismatch")
    assert why({**r, "to": "x"}, 1)[1] == ("org", "regex", False, "missing")
    explained = explain(served, "create_charge")
    assert step(explained, "require")["entries"] == [
        {"rule": "/tools/create_charge/require/args.reason-exists", "result": "deny",
         "message": "say why", "conditions": [
             {"path": "args.reason", "op": "exists", "value": "true", "holds": False,
              "why": "missing: the call has nothing there, or null"}]}]
    explained = explain(served, "create_charge", GOOD)
    assert [c["value"] for e in step(explained, "deny_if")["entries"]
            for c in e["conditions"]] == ["10000", '["x", "y"]', '"^ac"']


def test_what_a_limit_counts_by_is_missing(served):
    explained = explain(served, "team")
    assert explained["message"] == step(explained, "limits")["why"]
    assert '"org"' in explained["message"]
    found = limits(explained)
    assert (found["t"]["key"], found["t"]["admits"]) == (None, None)
    assert "lacks" in found["t"]["why"] and "not asked" in found["calls"]["why"]
    found = limits(explain(served, "team", attributes={"org": "a b"}))
    assert found["t"]["key"] == "ration:default:{grant=alice&org=a%20b}:t:2592000s"


def test_no_argument_is_told(served):
    for args in ({"reason": SECRET, "to": SECRET, "amount": SECRET},
                 {"reason": "r", "amount": SECRET}, {"amount": SECRET}):
        told = json.dumps(explain(served, "create_charge", args,
                                  attributes={"org": SECRET}))
        assert SECRET not in told
    assert SECRET not in served.log


def test_window_that_is_over(served):
    """It counts as nothing, by the store's clock."""
    assert check(served, "short")["verdict"] == "allow"
    wait_for(lambda: limits(explain(served, "short"))["s"]["used"] == 0, 5,
             "the second being over")
    wait_for(lambda: [c["used"] for c in usage(served)["counters"]
                      if c["counter"] == "s"] == [0], 5, "usage to agree")


@pytest.mark.parametrize("body, piece", [
    ({"tool": "free"}, "grant"), ({**ask("free"), "colour": 1}, "colour"), ([], "object")])
def test_bad_bodies(served, body, piece):
    answer = served.post("/v1/explain", body)
    assert answer.status_code == 400
    assert piece in answer.json()["detail"]


def test_methods(served):
    assert served.get("/v1/explain").headers["Allow"] == "POST"
    assert served.post("/v1/usage?grant=g", {}).status_code == 405
    head = served.request("HEAD", "/v1/usage?grant=g")
    assert (head.status_code, head.content) == (200, b"")
    with served.resp() as client:
        with pytest.raises(redis.ResponseError, match="EXPLAIN needs a tool"):
            client.execute_command("EXPLAIN", "t")
        with pytest.raises(redis.ResponseError, match="of EXPLAIN"):
            client.execute_command("EXPLAIN", "t", "g", "COLOUR", "red")


# --- usage --------------------------------------------------------------------------

def test_usage(served):
    check(served, "create_charge", GOOD)
    check(served, "quick")
    check(served, "quick", session="s1")  # counts by session, not by grant
    found = usage(served)
    assert (found["policy"], found["grant"]) == ("default", "alice")
    assert (found["truncated"], found["not_shown"]) == (False, 1)
    assert [(c["counter"], c["used"], c["max"], c["remaining"], c["global"])
            for c in found["counters"]] == [
        ("charges", 1, 2, 1, False), ("spend", 5, 100, 95, True),
        ("quick_rate_limit", 1, 3, 2, False), ("charges", 1, 2, 1, False),
        ("s", 0, 3, 3, False), ("fixed", 0, 3, 3, False), ("more", 0, 1, 1, False),
        ("calls", 3, 50, 47, True)]
    assert found["counters"][0]["key"] == "ration:default:{grant=alice}:charges:2592000s"
    assert found["counters"][0]["rule"] == "/tools/create_charge/limits/charges"
    assert 0 < found["counters"][0]["reset_ms"] <= 30 * 86400000
    assert usage(served, "ci-runner")["counters"][0]["max"] == 5
    named = usage(served, policy="default")
    with served.resp() as client:
        over_resp = json.loads(client.execute_command("USAGE", "alice", "policy", "default"))
    for one in over_resp["counters"] + named["counters"] + found["counters"]:
        del one["reset_ms"]
    assert over_resp == named == found
    if served.its_store.redis:
        with served.its_store.redis.client() as client:
            assert len(client.keys()) == 5  # those of the three checks


def test_usage_tells_each_burst(rationd, store):
    """Limits on one bucket whose bursts differ have different things to tell."""
    def bucket(burst):
        return [limit("n", "30d", 7, algorithm="token_bucket", burst=burst)]
    daemon = rationd(policy(a=bucket(3), b=bucket(5), c=bucket(7),
                            d=[limit("n", "30d", 7, algorithm="token_bucket")]),
                     store=store.url)
    daemon.check("a", "g")
    assert [(c["rule"], c["burst"], c["used"], c["remaining"])
            for c in usage(daemon, "g")["counters"]] == [
        ("/tools/a/limits/n", 3, 1, 2), ("/tools/b/limits/n", 5, 1, 4),
        ("/tools/c/limits/n", 7, 1, 6)]


def test_usage_tells_each_counter_once(rationd, store):
    shared = limit("n", "30d", 7)
    daemon = rationd(policy(a=[shared], b=[shared], c=[limit("n", "30d", 9)],
                            d=[limit("n", "day", 7)]), store=store.url)
    daemon.check("b", "g")
    assert [(c["rule"], c["max"], c["used"]) for c in usage(daemon, "g")["counters"]] == [
        ("/tools/a/limits/n", 7, 1), ("/tools/c/limits/n", 9, 1),
        ("/tools/d/limits/n", 7, 0)]


@pytest.mark.parametrize("query, status, piece", [
    ("", 400, "grant"), ("?policy=default", 400, "grant"), ("?grant=", 400, "grant"),
    ("?grant=g&colour=red", 400, "colour"), ("?grant=g&grant=h", 400, "twice"),
    ("?grant=g&policy=", 400, "policy"), ("?grant=%FF", 400, "UTF-8"),
    ("?grant=%00", 400, "grant"), ("?grant=g&policy=nope", 404, "nope")])
def test_bad_usage(served, query, status, piece):
    answer = served.get("/v1/usage" + query)
    assert answer.status_code == status
    assert piece in answer.json()["detail"]


def test_many_limits(rationd, store):
    """A thousand of ten thousand, and nobody else has to wait for them."""
    tools = {f"t{i}": [limit(f"c{i}-{k}", "30d", i + 1) for k in range(10)]
             for i in range(1000)}
    daemon = rationd(policy(**tools), store=store.url, flags=["--deadline-ms", "10000"])
    daemon.check("t0", "g")
    began = time.monotonic()
    for _ in range(5):
        found = usage(daemon, "g")
        assert daemon.check("t1", "stranger")[0] in (200, 429)
    assert time.monotonic() - began < patience(5)
    assert (len(found["counters"]), found["truncated"]) == (1000, True)
    assert [c["used"] for c in found["counters"][:11]] == [1] * 10 + [0]
    assert found["counters"][-1]["counter"] == "c99-9"


# --- a store that fails -------------------------------------------------------------

def test_counter_that_is_none(rationd, redis_server):
    daemon = rationd(DOCUMENT, store=redis_server.url)
    with redis_server.client() as client:
        client.set("ration:default:{grant=alice}:charges:2592000s", "x", ex=1000)
    found = usage(daemon)["counters"]
    assert found[0]["used"] is None and "no count" in found[0]["error"]
    assert (found[1]["used"], found[1]["error"]) == (0, None)
    answer = daemon.post("/v1/explain", ask("create_charge", GOOD))
    assert answer.status_code == 503
    decision = check(daemon, "create_charge", GOOD)
    assert answer.json()["rule"] == decision["rule"]
    for one in (answer.json(), decision):
        assert "a counter's key holds something else" in one["message"]


def test_store_that_does_not_answer(rationd, redis_server):
    """503 at the deadline; what comes late gives nothing back."""
    daemon = rationd(DOCUMENT, store=redis_server.url, flags=["--deadline-ms", "200"])
    # Of those that have to succeed none is to fail because the machine is busy.
    first = daemon.post("/v1/check", ask("create_charge", GOOD),
                        headers={"X-Ration-Timeout-Ms": "30000"})
    assert first.json()["verdict"] == "allow"
    redis_server.pause()
    try:
        answer = daemon.post("/v1/explain", ask("create_charge", GOOD))
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
        explained = answer.json()
        assert (explained["verdict"], explained["degraded"]) == ("deny", True)
        assert results(explained)[6:] == ["pass", "deny", "not reached"]
        one = limits(explained)["charges"]
        assert (one["used"], one["admits"]) == (None, None)
        assert one["key"] == "ration:default:{grant=alice}:charges:2592000s"
        answer = daemon.get("/v1/usage?grant=alice")
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
        assert "store is unavailable" in answer.json()["detail"]
        with daemon.resp() as client:
            with pytest.raises(redis.ResponseError, match="store is unavailable"):
                client.execute_command("USAGE", "alice")
            told = client.execute_command("EXPLAIN", "create_charge", "alice", "ARGS",
                                          json.dumps(GOOD))
            assert json.loads(told)["degraded"] is True
        done = run_ration("usage", "--grant", "alice", "--server", daemon.resp_text)
        assert (done.returncode, "unavailable" in done.stderr) == (3, True)
    finally:
        redis_server.resume()
    wait_for(lambda: daemon.get("/v1/usage?grant=alice").status_code == 200, 10,
             "the store's return")
    answer = wait_for(lambda: (r := daemon.post(
        "/v1/explain", ask("create_charge", GOOD))).status_code == 200 and r, 10)
    assert limits(answer.json())["charges"]["used"] == 1
    assert daemon.metric("ration_store_given_back_total") == 0


# --- the command line ---------------------------------------------------------------

def ration(daemon, *words):
    return run_ration(*words, "--server", daemon.resp_text)


def test_command_line(served):
    words = ["create_charge", "--grant", "alice", "--arg", "reason=r", "--arg", "amount=5"]
    done = ration(served, "explain", *words)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("allow  create_charge for alice (policy default)\n")
    for _ in range(2):
        assert ration(served, "check", *words).returncode == 0
    done = ration(served, "explain", *words)
    assert done.returncode == 1
    text = done.stdout
    assert "rule:    /tools/create_charge/limits/charges\n" in text
    assert 'raise "max" of /tools/create_charge/limits/charges' in text
    assert "2 of 2 used, 0 left, the call costs 1: there is no room; resets in" in text
    assert "key ration:default:{grant=alice}:charges:2592000s" in text
    assert "args.amount gt 10000: value mismatch" in text
    as_json = json.loads(ration(served, "explain", *words, "--json").stdout)
    assert as_json["rule"] == "/tools/create_charge/limits/charges"
    assert ration(served, "explain", "refund", "--grant", "a").returncode == 1
    done = ration(served, "usage", "--grant", "alice")
    assert done.returncode == 0
    assert "  charges per 2592000s: 2 of 2 used, 0 left; resets in" in done.stdout
    assert "  calls per 2592000s, of all callers: 2 of 50 used" in done.stdout
    assert "1 limit by a session or an attribute is not shown" in done.stdout
    as_json = json.loads(ration(served, "usage", "--grant", "alice", "--json").stdout)
    assert as_json["counters"][0]["used"] == 2
    done = ration(served, "usage", "--grant", "alice", "--policy", "nope")
    assert (done.returncode, done.stdout) == (2, "")
    assert "nope" in done.stderr


@pytest.mark.parametrize("words, piece", [
    (["explain"], "TOOL"), (["explain", "t"], "--grant"), (["usage"], "--grant"),
    (["usage", "t", "--grant", "g"], "operand"), (["usage", "--grant", ""], "--grant"),
    (["explain", "t", "--grant", "g", "--cost", "x"], "--cost")])
def test_usage_errors(words, piece):
    done = run_ration(*words)
    assert (done.returncode, done.stdout) == (2, "")
    assert piece in done.stderr
    assert f"ration {words[0]} --help" in done.stderr


@pytest.mark.parametrize("kind", ["memory", "redis"])
def test_shadow_limits(rationd, redis_server, kind):
    """They are told of, beside the others, and decide nothing."""
    daemon = rationd(policy(call=[
        {**limit("trial", "30d", 0), "mode": "shadow"},
        {**limit("org", "30d", 5), "scope": "org", "mode": "shadow"},
        limit("calls", "30d", 2)]),
        store="memory" if kind == "memory" else redis_server.url)
    answer = daemon.post("/v1/explain", b'{"tool":"call","grant":"g"}').json()
    assert answer["verdict"] == "allow"
    assert "every enforced limit has room" in json.dumps(answer)
    limits = next(s["limits"] for s in answer["steps"] if s.get("limits"))
    by_name = {one["counter"]: one for one in limits}
    assert by_name["trial"]["mode"] == "shadow" and not by_name["trial"]["admits"]
    assert "never denies" in by_name["trial"]["why"]
    assert by_name["org"]["admits"] is None and by_name["org"]["key"] is None
    assert by_name["calls"]["admits"] and by_name["calls"]["max"] == 2
    assert "mode" not in by_name["calls"]


def test_shadow_limits_do_not_lack_room(rationd):
    """Only the enforced ones are told to be in the way."""
    daemon = rationd(policy(call=[
        limit("calls", "30d", 0), {**limit("trial", "30d", 0), "mode": "shadow"}]))
    explained = daemon.post("/v1/explain", ask("call")).json()
    assert step(explained, "limits")["why"] == "1 of 1 enforced limits has no room"
    assert "other limits" not in explained["advice"]
    text = ration(daemon, "explain", "call", "--grant", "g").stdout
    assert "\n      deny  /tools/call/limits/calls: max 0" in text
    assert "\n      shadow  /tools/call/limits/trial: max 0" in text


def test_allowed_uncounted(rationd, redis_server):
    """The step that decides says why, also where the store is away and that is allowed."""
    document = {**policy(call=[limit("calls", "30d", 2)]), "on_store_failure": "allow"}
    daemon = rationd(document, store=redis_server.url, flags=["--deadline-ms", "200"])
    redis_server.pause()
    try:
        explained = daemon.post("/v1/explain", ask("call")).json()
        done = ration(daemon, "explain", "call", "--grant", "g")
    finally:
        redis_server.resume()
    assert (explained["verdict"], explained["degraded"]) == ("allow", True)
    assert "the store is unavailable" in step(explained, "limits")["why"]
    assert "not counted" in explained["advice"]
    assert done.returncode == 0
    assert "\n  8 limits   allow: the store is unavailable" in done.stdout
    assert "\n      ?     /tools/call/limits/calls" in done.stdout


def test_what_contains_takes(rationd):
    """A number holds nothing, so it is of the wrong type even if the value is one too."""
    daemon = rationd(policy(call={"deny_if": [entry("args.x", "contains", 5)]}))
    for x, why in ((5, "type mismatch"), ("5", "type mismatch"), ([6], "value mismatch")):
        explained = daemon.post("/v1/explain", ask("call", {"x": x})).json()
        condition = step(explained, "deny_if")["entries"][0]["conditions"][0]
        assert condition["why"].startswith(why), x


def test_usage_tells_shadow_limits(rationd):
    """Also where an enforced limit has the same counter and max."""
    daemon = rationd(policy(
        trial=[{**limit("calls", "30d", 1), "mode": "shadow"}], call=[limit("calls", "30d", 1)]))
    for _ in range(2):
        assert check(daemon, "trial", grant="g")["verdict"] == "allow"
    told = [(one["rule"], one["used"], one.get("mode"))
            for one in usage(daemon, "g")["counters"]]
    assert told == [("/tools/trial/limits/calls", 2, "shadow"),
                    ("/tools/call/limits/calls", 2, None)]
    text = ration(daemon, "usage", "--grant", "g").stdout
    assert "  calls per 2592000s, shadow: 2 of 1 used" in text
    assert "  calls per 2592000s: 2 of 1 used" in text
