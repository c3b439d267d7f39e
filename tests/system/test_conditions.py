# SPDX-License-Identifier: ISC
"""Conditions, approvals, overrides and costs from arguments, over each protocol and on
each store; and patterns that would take for ever."""
import json
import time

import pytest

from harness import limit, patience, policy, run_ration

MB = 1 << 20
ENTRY = "the call is denied because "


def entry(path, op, value, **more):
    return {"conditions": [{"path": path, "op": op, "value": value}], **more}


CHARGE = {
    "require": [entry("args.reason", "exists", True, on_deny="say why")],
    "deny_if": [entry("args.amount", "gt", 10000, on_deny="too much")],
    "limits": [limit("charges", "30d", 3, overrides={"ci-runner": 5}),
               limit("spend", "30d", 1000, cost_from="args.amount", scope="global")]}
DOCUMENT = policy(
    create_charge=CHARGE,
    refund={"action": "require_approval", "reason": "ask the treasurer",
            "deny_if": [entry("org", "neq", "acme")]},
    search={"require": [entry("args.q", "regex", "^(a|a)*[bc]")]},
    find={"deny_if": [entry("args.q", "regex", "[^c]*c[0-9]")]},
    weigh={"limits": [limit("weight", "30d", 1000, cost_from="args.n")]},
    wide={"deny_if": [entry("args.q", "contains", "needle")]},
    deep={"require": [entry("args" + ".a" * 40 + ".x", "eq", 1)]})
RULES = {"reason": "/tools/create_charge/require/args.reason-exists",
         "amount": "/tools/create_charge/deny_if/args.amount-gt",
         "charges": "/tools/create_charge/limits/charges",
         "spend": "/tools/create_charge/limits/spend",
         "org": "/tools/refund/deny_if/org-neq", "refund": "/tools/refund/action"}


@pytest.fixture
def served(rationd, store):
    return rationd(DOCUMENT, store=store.url,
                   flags=["--max-request-bytes", str(4 * MB), "--deadline-ms", "10000"])


def over_http(daemon, tool, args=None, grant="alice", **more):
    body = {"tool": tool, "grant": grant, **more}
    if args is not None:
        body["args"] = args
    answer = daemon.post("/v1/check", body)
    decision = answer.json()
    assert "verdict" in decision, decision
    return (answer.status_code, decision["verdict"], decision["rule"],
            decision["message"])


def over_resp(daemon, tool, args=None, grant="alice", attributes=None):
    words = ["CHECK", tool, grant]
    if args is not None:
        words += ["ARGS", json.dumps(args)]
    for name, value in (attributes or {}).items():
        words += ["ATTR", name, value]
    with daemon.resp() as client:
        answer = client.execute_command(*words)
    return answer[0], answer[1].decode(), answer[2].decode()


def over_command_line(daemon, tool, args=None, grant="alice", attributes=None):
    words = ["check", tool, "--grant", grant, "--server", daemon.resp_text, "--json"]
    if args is not None:
        words += ["--args", json.dumps(args)]
    for name, value in (attributes or {}).items():
        words += ["--attr", f"{name}={value}"]
    done = run_ration(*words)
    answer = json.loads(done.stdout)
    return done.returncode, answer["verdict"], answer["rule"]


def test_conditions(served):
    assert over_http(served, "create_charge") == (403, "deny", RULES["reason"], "say why")
    assert over_http(served, "create_charge", {"reason": None})[0] == 403
    assert over_resp(served, "create_charge", {"reason": "r", "amount": 10001}) == (
        0, RULES["amount"], "too much")
    assert over_command_line(served, "create_charge", {"amount": 1}) == (
        1, "deny", RULES["reason"])
    assert over_http(served, "create_charge", {"reason": "r", "amount": 1})[:3] == (
        200, "allow", "")
    assert over_resp(served, "create_charge", {"reason": "r", "amount": 1})[0] == 1
    assert over_command_line(served, "create_charge", {"reason": "r", "amount": 1})[0] == 0
    assert over_http(served, "create_charge", {"reason": "r", "amount": 1})[:3] == (
        429, "deny", RULES["charges"])


def test_approval(served):
    acme = {"attributes": {"org": "acme"}}
    assert over_http(served, "refund", **acme) == (
        403, "require_approval", RULES["refund"], "ask the treasurer")
    assert over_resp(served, "refund", **acme) == (
        2, RULES["refund"], "ask the treasurer")
    assert over_command_line(served, "refund", **acme) == (
        1, "require_approval", RULES["refund"])
    assert over_http(served, "refund", attributes={"org": "x"})[:3] == (
        403, "deny", RULES["org"])
    assert served.metric('ration_checks_total{verdict="require_approval"}') == 3


def test_override(served):
    args = {"reason": "r", "amount": 0}
    for grant, most in (("ci-runner", 5), ("alice", 3)):
        for left in reversed(range(most)):
            answer = served.post("/v1/check", {"tool": "create_charge", "grant": grant,
                                               "args": args})
            found = answer.json()["limits"][0]
            assert (found["max"], found["remaining"]) == (most, left)
            assert answer.headers["RateLimit-Policy"].startswith(f'"charges";q={most};')
        status, _, rule, message = over_http(served, "create_charge", args, grant)
        assert (status, rule) == (429, RULES["charges"])
        assert f"{most} per" in message


def test_cost_of_an_argument(served):
    def ask(amount, grant):
        return over_http(served, "create_charge", {"reason": "r", "amount": amount}, grant)
    assert ask(499.5, "a")[0] == 200
    assert ask(501, "b")[:3] == (429, "deny", RULES["spend"])
    assert ask(500, "c")[0] == 200
    assert ask(1, "d")[:3] == (429, "deny", RULES["spend"])
    for amount, piece in ((-1, "negative"), ("5", "not a number"), (None, "missing"),):
        status, _, rule, message = ask(amount, "e")
        assert (status, rule) == (403, RULES["spend"])
        assert message.endswith(piece)


@pytest.mark.parametrize("amount, piece", [
    (2**53, "over 9007199254740991"), (2**63 - 1, "over 9007199254740991"),
    (2**63, "over 9007199254740991"), (10**20, "over 9007199254740991"),
    (-10**20, "negative")])
def test_numbers_beyond_64_bits(served, amount, piece):
    """A number is a number; what no rule asks for may be as large as it likes."""
    rule = "/tools/weigh/limits/weight"
    status, _, found, message = over_http(served, "weigh", {"n": amount})
    assert (status, found) == (403, rule) and message.endswith(piece)
    assert over_resp(served, "weigh", {"n": amount})[1] == rule
    assert over_command_line(served, "weigh", {"n": amount}) == (1, "deny", rule)
    assert over_http(served, "weigh", {"n": 1, "id": amount})[0] == 200
    done = run_ration("check", "weigh", "--grant", "g", "--server", served.resp_text,
                      "--arg", f"n={amount}", "--json")
    assert json.loads(done.stdout)["rule"] == rule


# --- hostile ------------------------------------------------------------------------

def served_meanwhile(daemon, ask, times=20):
    """Asks again and again; a stranger who is in between is served at once."""
    began = time.monotonic()
    for _ in range(times):
        ask()
        assert over_resp(daemon, "wide", {"q": "hay"}, "stranger")[0] == 1
    assert time.monotonic() - began < patience(0.25) * times


@pytest.mark.parametrize("length, piece", [
    (64, "met the limit"), (65536, "met the limit"), (MB, "more than 65536 bytes")])
def test_pattern_that_repeats(served, length, piece):
    def ask():
        status, verdict, rule, message = over_http(served, "search", {"q": "a" * length})
        assert (status, verdict, rule) == (
            403, "deny", "/tools/search/require/args.q-regex")
        assert message.startswith(ENTRY) and piece in message
    served_meanwhile(served, ask)
    assert over_http(served, "search", {"q": "aab"})[0] == 200


def test_pattern_in_deny_if(served):
    """What cannot be told is denied, not let through."""
    def ask():
        code, rule, message = over_resp(served, "find", {"q": "a" * 60000 + "c"})
        assert (code, rule) == (0, "/tools/find/deny_if/args.q-regex")
        assert message.startswith(ENTRY)
    served_meanwhile(served, ask)
    assert over_resp(served, "find", {"q": "abc"})[0] == 1


def test_long_arguments(served):
    assert over_http(served, "wide", {"q": "n" * MB})[0] == 200
    assert over_http(served, "wide", {"q": "n" * MB + "needle"})[0] == 403
    assert over_http(served, "wide", {"q": ["needl"] * 5000 + ["needle"]})[0] == 403


def nested(depth):
    return '{"a":' * depth + '{"x":1}' + "}" * depth


def test_deep_arguments(served):
    """As deep as a path goes, and deeper than any reader of JSON."""
    head = '{"tool":"deep","grant":"g","args":'
    answer = served.post("/v1/check", (head + nested(40) + "}").encode())
    assert (answer.status_code, answer.json()["verdict"]) == (200, "allow")
    answer = served.post("/v1/check", (head + nested(50) + "}").encode())
    assert (answer.status_code, answer.json()["verdict"]) == (403, "deny")
    answer = served.post("/v1/check", (head + nested(10000) + "}").encode())
    assert answer.status_code in (400, 413)
    assert "nested" in answer.json()["detail"]
    with served.resp() as client, pytest.raises(Exception, match="nested"):
        client.execute_command("CHECK", "deep", "g", "ARGS", nested(10000))
    assert over_resp(served, "wide", {"q": ""})[0] == 1
