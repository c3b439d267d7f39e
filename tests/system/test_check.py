# SPDX-License-Identifier: ISC
"""The main job: what a check is answered, over HTTP, RESP and the command line, on the
embedded store and on Redis."""
import http.client
import json
import math
import re

import pytest

from harness import (EXAMPLE, bound_socket, curl, limit, patience, policy, redis_cli,
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


# --- HTTP beside the answer ---------------------------------------------------------

@pytest.fixture(scope="module")
def served(module_rationd):
    """One rationd for tests that leave nothing behind."""
    return module_rationd({"default": policy(
        default="allow", t=[limit("calls", "30d", HUGE)], none={"action": "deny"})})


def assert_problem(response, status, piece=""):
    assert response.status_code == status, response.text
    assert response.headers["Content-Type"] == "application/problem+json"
    problem = response.json()
    assert set(problem) == {"type", "title", "status", "detail"}
    assert problem["type"] == "about:blank"
    assert problem["status"] == status
    assert problem["title"] == response.reason
    assert piece in problem["detail"], problem["detail"]


GOOD = {"tool": "t", "grant": "g"}

BAD_BODIES = [
    ({"grant": "g"}, "tool"), ({"tool": "t"}, "grant"), ({}, "tool"),
    ({**GOOD, "colour": "red"}, "colour"), ({**GOOD, "Cost": 1}, "Cost"),
    ({**GOOD, "tool": ""}, "tool"), ({**GOOD, "grant": ""}, "grant"),
    ({**GOOD, "tool": 5}, "tool"), ({**GOOD, "grant": None}, "grant"),
    ({**GOOD, "policy": 1}, "policy"), ({**GOOD, "policy": ""}, "policy"),
    ({**GOOD, "session": []}, "session"), ({**GOOD, "args": []}, "args"),
    ({**GOOD, "args": "{}"}, "args"), ({**GOOD, "attributes": []}, "attributes"),
    ({**GOOD, "attributes": {"org": 1}}, "org"),
    ({**GOOD, "attributes": {"grant": "x"}}, "grant"),
    ({**GOOD, "attributes": {"policy": "x"}}, "policy"),
    ({**GOOD, "attributes": {"": "x"}}, "attribute"),
    ({**GOOD, "attributes": {f"a{i}": "x" for i in range(33)}}, "attributes"),
    ({**GOOD, "cost": -1}, "cost"), ({**GOOD, "cost": 1.5}, "cost"),
    ({**GOOD, "cost": "1"}, "cost"), ({**GOOD, "cost": None}, "cost"),
    ({**GOOD, "cost": True}, "cost"), ({**GOOD, "cost": HUGE + 1}, "cost"),
    ({**GOOD, "mode": "try"}, "mode"), ({**GOOD, "mode": 1}, "mode"),
    ([], "object"), ("text", "object"), (None, "object"), (b"", "missing"),
    (b'{"tool":"t","grant":"g"', "line 1"), (b'{"tool":"t",}', "line 1"),
    (b'{"tool":"t","grant":"g"} x', "line 1"), (b"not JSON", "JSON"),
    (b'{"tool":"t","tool":"t","grant":"g"}', "twice"),
]


@pytest.mark.parametrize("body,piece", BAD_BODIES, ids=range(len(BAD_BODIES)))
def test_bad_bodies(served, body, piece):
    assert_problem(served.post("/v1/check", body), 400, piece)


@pytest.mark.parametrize("more", [
    {"mode": "peek"}, {"mode": "reserve"}, {"request_id": "x"}, {"ttl": 5}])
def test_bodies_to_come(served, more):
    """Named by the contract and not built: refused, never ignored."""
    assert_problem(served.post("/v1/check", {**GOOD, **more}), 501, "not supported yet")


@pytest.mark.parametrize("method,path", [
    ("POST", "commit"), ("POST", "rollback"), ("POST", "renew"), ("POST", "explain"),
    ("POST", "reset"), ("GET", "usage?grant=g")])
def test_paths_to_come(served, method, path):
    assert_problem(served.request(method, f"/v1/{path}"), 501, "not supported yet")


@pytest.mark.parametrize("timeout", ["0", "-5", "x", "60001", ""])
def test_bad_timeout_field(served, timeout):
    r = served.post("/v1/check", GOOD, headers={"X-Ration-Timeout-Ms": timeout})
    assert_problem(r, 400, "X-Ration-Timeout-Ms")


@pytest.mark.parametrize("cost", [0, 1, 5.0, HUGE - 10**6, 1e3])
def test_good_costs(served, cost):
    assert served.check("free", "g", cost=cost)[0] == 200


def test_other_statuses(served):
    assert_problem(served.get("/nowhere"), 404)
    assert_problem(served.get("/v1/policies/nope"), 404, "policy")
    assert_problem(served.post("/v1/checks", GOOD), 404)
    r = served.get("/v1/check")
    assert_problem(r, 405)
    assert r.headers["Allow"] == "POST"
    r = served.post("/livez", GOOD)
    assert_problem(r, 405)
    assert set(re.split(", *", r.headers["Allow"])) == {"GET", "HEAD"}
    r = served.post("/v1/check", GOOD, headers={"Content-Type": "text/plain"})
    assert_problem(r, 415, "application/json")
    assert_problem(served.post("/v1/check", b" " * (1 << 20)), 413)


@pytest.mark.parametrize("content_type", [
    "application/json; charset=utf-8", "APPLICATION/JSON", "application/json;charset=UTF-8"])
def test_content_types(served, content_type):
    r = served.post("/v1/check", GOOD, headers={"Content-Type": content_type})
    assert r.status_code == 200


@pytest.mark.parametrize("request_head,status", [
    (b"POST /v1/check HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 501),
    (b"POST /v1/check HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n"
     b"Transfer-Encoding: chunked\r\n\r\n", 400),
    (b"POST /v1/check HTTP/1.1\r\nHost: x\r\nContent-Length: 5x\r\n\r\n", 400),
    (b"POST /v1/check HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}", 400),
    (b"GET /livez HTTP/1.1\r\nHost : x\r\n\r\n", 400),
    (b"GET /livez HTTP/1.1\r\nHost: x\r\n folded\r\n\r\n", 400),
    (b"GET /livez HTTP/2.0\r\nHost: x\r\n\r\n", 505),
    (b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 414),
    (b"GET /livez HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 20000 + b"\r\n\r\n", 431),
    (b"nonsense\r\n\r\n", 400),
    (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 100 + b"\r\n\r\n", 400),
], ids=range(11))
def test_malformed_http(served, request_head, status):
    """A problem document, and the connection's end."""
    with served.connect("http") as sock:
        sock.sendall(request_head)
        response = http.client.HTTPResponse(sock)
        response.begin()
        assert response.status == status
        assert response.getheader("Content-Type") == "application/problem+json"
        assert response.getheader("Connection") == "close"
        assert json.loads(response.read())["status"] == status
        assert sock.recv(1) == b""


def read_responses(sock, n):
    stream = sock.makefile("rb")
    out = []
    for _ in range(n):
        status = int(stream.readline().split()[1])
        head = http.client.parse_headers(stream)
        out.append((status, stream.read(int(head["Content-Length"]))))
    return out


def http_check(grant, **body):
    data = json.dumps({"tool": "t", "grant": grant, **body}).encode()
    return (b"POST /v1/check HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            b"Content-Length: %d\r\n\r\n" % len(data) + data)


def test_http_pipelining_keeps_the_order(served):
    requests = [http_check(f"pipe-{i}") if i % 3 else b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"
                for i in range(300)]
    with served.connect("http") as sock:
        sock.sendall(b"".join(requests))
        answers = read_responses(sock, 300)
    for i, (status, body) in enumerate(answers):
        assert status == 200
        assert body == b"ok\n" if i % 3 == 0 else json.loads(body)["grant"] == f"pipe-{i}"


def test_chunked_body_in_any_pieces(served):
    data = json.dumps({"tool": "t", "grant": "chunky"}).encode()
    chunks = b"".join(b"%x;ext=1\r\n%s\r\n" % (len(data[i:i + 5]), data[i:i + 5])
                      for i in range(0, len(data), 5)) + b"0\r\nTrailer: x\r\n\r\n"
    head = (b"POST /v1/check HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n")
    with served.connect("http") as sock:
        for i in range(0, len(head + chunks), 7):
            sock.sendall((head + chunks)[i:i + 7])
        (status, body), = read_responses(sock, 1)
    assert status == 200 and json.loads(body)["grant"] == "chunky"


def test_expect_continue(served):
    head, body = http_check("patient").split(b"\r\n\r\n")
    with served.connect("http") as sock:
        sock.sendall(head + b"\r\nExpect: 100-continue\r\n\r\n")
        assert sock.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
        sock.sendall(body)
        (status, _), = read_responses(sock, 1)
    assert status == 200


def test_http_1_0_and_close(served):
    for line, field in ((b"GET /livez HTTP/1.0", b""),
                        (b"GET /livez HTTP/1.1", b"Connection: close\r\n")):
        with served.connect("http") as sock:
            sock.sendall(line + b"\r\nHost: x\r\n" + field + b"\r\n")
            whole = b"".join(iter(lambda: sock.recv(4096), b""))
        assert whole.startswith(b"HTTP/1.1 200 OK\r\n")
        assert whole.endswith(b"\r\n\r\nok\n")
        assert b"\r\nConnection: close\r\n" in whole


# --- forward-auth -------------------------------------------------------------------

@pytest.mark.parametrize("method", ["GET", "POST"])
def test_auth(rationd, store, method):
    daemon = rationd(policy(t=[limit("calls", "30d", 2)], n={"action": "deny"}),
                     store=store.url, flags=["--deadline-ms", "10000"])

    def auth(tool="t", query="", **more):
        fields = {"X-Ration-Tool": tool, "X-Ration-Grant": "g", **more}
        return daemon.request(method, "/v1/auth" + query, headers=fields)
    first = auth()
    assert first.status_code == 200
    assert first.headers["RateLimit-Policy"] == '"calls";q=2;w=2592000'
    assert first.headers["RateLimit"].startswith('"calls";r=1;t=')
    assert auth("n").status_code == 403
    assert auth("unlisted").status_code == 403
    assert auth(**{"X-Ration-Cost": "2"}).status_code == 429
    assert auth(**{"X-Ration-Cost": "1"}).status_code == 200
    full = auth()
    assert full.status_code == 429
    assert int(full.headers["Retry-After"]) > 0
    as_403 = auth(query="?deny=403")
    assert as_403.status_code == 403
    assert as_403.headers["RateLimit"].startswith('"calls";r=0;t=')
    assert auth("n", "?deny=403").status_code == 403
    assert auth(**{"X-Ration-Grant": "h"}, query="?deny=403").status_code == 200


@pytest.mark.parametrize("fields,piece", [
    ({"X-Ration-Grant": "g"}, "X-Ration-Tool"), ({"X-Ration-Tool": "t"}, "X-Ration-Grant"),
    ({"X-Ration-Tool": "t", "X-Ration-Grant": "g", "X-Ration-Cost": "many"}, "Cost"),
    ({"X-Ration-Tool": "t", "X-Ration-Grant": "g", "X-Ration-Colour": "red"}, "Colour"),
])
def test_auth_refuses(served, fields, piece):
    assert_problem(served.get("/v1/auth", headers=fields), 400, piece)


@pytest.mark.parametrize("name,value", [
    ("Mode", "peek"), ("Mode", "reserve"), ("Request-Id", "x"), ("Ttl", "5")])
def test_auth_fields_to_come(served, name, value):
    fields = {"X-Ration-Tool": "t", "X-Ration-Grant": "g", f"X-Ration-{name}": value}
    assert_problem(served.get("/v1/auth", headers=fields), 501, "not supported yet")


@pytest.mark.parametrize("query", ["?deny=401", "?deny=", "?deny=429x"])
def test_auth_knows_one_other_status(served, query):
    fields = {"X-Ration-Tool": "t", "X-Ration-Grant": "g"}
    assert_problem(served.get("/v1/auth" + query, headers=fields), 400, "deny")


# --- what else HTTP serves ----------------------------------------------------------

def test_health_and_version(served):
    for path in ("/livez", "/readyz"):
        r = served.get(path)
        assert (r.status_code, r.text) == (200, "ok\n")
        assert r.headers["Content-Type"].startswith("text/plain")
        head = served.request("HEAD", path)
        assert (head.status_code, head.text) == (200, "")
        assert head.headers["Content-Length"] == "3"
    r = served.get("/version")
    assert r.headers["Content-Type"] == "application/json"
    version = r.json()["version"]
    assert r.json() == {"name": "rationd", "version": version, "api": "v1"}
    assert re.fullmatch(r"\d+\.\d+\.\d+", version)


def test_policies(rationd):
    daemon = rationd({"default": RICH, "other one": policy(a=[])})
    listed = {p["name"]: p for p in daemon.get("/v1/policies").json()["policies"]}
    assert set(listed) == {"default", "other one"}
    entry = listed["default"]
    assert entry["description"] == "of many kinds"
    assert entry["tools"] == len(RICH["tools"])
    assert entry["default"] and not listed["other one"]["default"]
    assert re.fullmatch("[0-9a-f]{64}", entry["hash"])
    assert entry["hash"] != listed["other one"]["hash"]
    assert daemon.get("/v1/policies/default").json() == entry
    assert daemon.get("/v1/policies/other%20one").json() == listed["other one"]
    done = curl(daemon, "/v1/policies/other%2", "--path-as-is")
    assert json.loads(done.stdout)["status"] == 400


def read_metrics(text):
    """{series: value}, after checking the format."""
    kinds, series = {}, {}
    for line in text.splitlines():
        if line.startswith("#"):
            _, what, name, rest = line.split(" ", 3)
            if what == "TYPE":
                assert name not in kinds and rest in ("counter", "gauge", "histogram")
                kinds[name] = rest
            continue
        found = re.fullmatch(r'([a-z_]+)(\{[a-z]+="[^"]*"\})? (-?[0-9.e+-]+)', line)
        assert found, line
        name = found[1]
        assert name in kinds or re.sub("_(bucket|sum|count)$", "", name) in kinds, line
        assert name + (found[2] or "") not in series, f"twice: {line}"
        series[name + (found[2] or "")] = float(found[3])
    return series


def test_metrics(rationd, store):
    daemon = rationd(policy(t=[limit("calls", "30d", 3)]), store=store.url,
                     flags=["--deadline-ms", "10000"])
    for _ in range(5):
        daemon.check("t", "g")
    daemon.check("unlisted", "g")
    daemon.post("/v1/check", b"{")
    with daemon.resp() as client:
        client.execute_command("CHECK", "t", "h")
        with pytest.raises(Exception, match="COST"):
            client.execute_command("CHECK", "t", "h", "COST", "x")
        r = daemon.get("/metrics")
        assert r.headers["Content-Type"].startswith("text/plain; version=0.0.4")
        m = read_metrics(r.text)
        assert m['ration_connections{front="resp"}'] == 1
    checks = {v: m[f'ration_checks_total{{verdict="{v}"}}']
              for v in ("allow", "deny_limit", "deny_policy", "deny_store")}
    assert checks == {"allow": 4, "deny_limit": 2, "deny_policy": 1, "deny_store": 0}
    assert m["ration_checks_invalid_total"] == 2
    assert m["ration_check_duration_seconds_count"] == 7
    assert m['ration_check_duration_seconds_bucket{le="+Inf"}'] == 7
    assert m["ration_check_duration_seconds_sum"] > 0
    assert m["ration_store_up"] == 1
    assert m["ration_store_takes_total"] == 6
    assert m["ration_policies"] == 1
    assert m["process_resident_memory_bytes"] > 1 << 20
    # No name that a caller chose.
    assert not re.search(r'"(g|h|t|unlisted)"', r.text)
    if store.name == "memory":
        assert m["ration_store_counters"] == 2
