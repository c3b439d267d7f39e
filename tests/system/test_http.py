# SPDX-License-Identifier: ISC
"""HTTP: every status that is not an answer, framing, forward-auth, health and metrics."""
import http.client
import json
import re

import pytest

from harness import curl, limit, policy

HUGE = 2**53 - 1


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
    ({**GOOD, "request_id": ""}, "request_id"), ({**GOOD, "request_id": 5}, "request_id"),
    ({**GOOD, "request_id": "x" * 129}, "request_id"), ({**GOOD, "ttl": 5}, "ttl"),
    ({**GOOD, "ttl": 5, "mode": "peek"}, "ttl"),
    ({**GOOD, "ttl": 0, "mode": "reserve"}, "ttl"),
    ({**GOOD, "ttl": 86401, "mode": "reserve"}, "ttl"),
    ({**GOOD, "mode": "try"}, "mode"), ({**GOOD, "mode": 1}, "mode"),
    ([], "object"), ("text", "object"), (None, "object"), (b"", "missing"),
    (b'{"tool":"t","grant":"g"', "line 1"), (b'{"tool":"t",}', "line 1"),
    (b'{"tool":"t","grant":"g"} x', "line 1"), (b"not JSON", "JSON"),
    (b'{"tool":"t","tool":"t","grant":"g"}', "twice"),
]


@pytest.mark.parametrize("body,piece", BAD_BODIES, ids=range(len(BAD_BODIES)))
def test_bad_bodies(served, body, piece):
    assert_problem(served.post("/v1/check", body), 400, piece)


@pytest.mark.parametrize("timeout", ["0", "-5", "x", "60001", ""])
def test_bad_timeout_field(served, timeout):
    r = served.post("/v1/check", GOOD, headers={"X-Ration-Timeout-Ms": timeout})
    assert_problem(r, 400, "X-Ration-Timeout-Ms")


@pytest.mark.parametrize("name,value,status,piece", [
    ("Tool", "t", 400, "/v1/auth"), ("Grant", "g", 400, "/v1/auth"),
    ("Policy", "p", 400, "/v1/auth"), ("Session", "s", 400, "/v1/auth"),
    ("Cost", "5", 400, "/v1/auth"), ("Colour", "red", 400, "X-Ration-Colour"),
    ("Mode", "peek", 400, "X-Ration-Mode"), ("Mode", "x", 400, "X-Ration-Mode"),
    ("Request-Id", "x", 400, "/v1/auth"), ("Ttl", "5", 400, "/v1/auth"),
])
def test_check_refuses_fields_that_it_would_ignore(served, name, value, status, piece):
    """Above all peek: who asks for it does not want to be charged."""
    grant = f"field-{name}-{value}"
    r = served.post("/v1/check", {"tool": "t", "grant": grant},
                    headers={f"X-Ration-{name}": value})
    assert_problem(r, status, piece)
    assert served.check("t", grant)[1]["limits"][0]["used"] == 1


def test_check_takes_no_query(served):
    assert_problem(served.post("/v1/check?mode=peek", GOOD), 400, "query")
    assert served.post("/v1/check?", GOOD).status_code == 200


@pytest.mark.parametrize("coding", ["gzip", "br", "identity, gzip", ""])
def test_encoded_bodies(served, coding):
    r = served.post("/v1/check", GOOD, headers={"Content-Encoding": coding})
    assert_problem(r, 415, "Content-Encoding")
    r = served.post("/v1/check", GOOD, headers={"Content-Encoding": "identity"})
    assert r.status_code == 200


@pytest.mark.parametrize("sent", [
    b"PING\r\n", b"*1\r\n$4\r\nPING\r\n", b"*3\r\n$5\r\nCHECK\r\n", b"EHLO x\r\n"])
def test_another_protocol_is_answered_at_once(served, sent):
    with served.connect("http") as sock:
        sock.sendall(sent)
        answer = b"".join(iter(lambda: sock.recv(65536), b""))
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"this is an HTTP port" in answer


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


def test_pipelining_keeps_the_order(rationd, store):
    """Also where checks wait for Redis and what stands behind them does not."""
    daemon = rationd(policy(t=[limit("calls", "30d", 9)]), store=store.url,
                     flags=["--deadline-ms", "10000"])
    livez = b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"
    requests = [http_check(f"pipe-{i}") if i % 3 else livez for i in range(300)]
    with daemon.connect("http") as sock:
        sock.sendall(b"".join(requests))
        answers = read_responses(sock, 300)
    for i, (status, body) in enumerate(answers):
        assert status == 200
        if i % 3:
            assert json.loads(body)["grant"] == f"pipe-{i}"
        else:
            assert body == b"ok\n"


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
    ("Mode", "x"), ("Request-Id", ""), ("Request-Id", "x" * 129), ("Ttl", "5"),
    ("Id", "x")])
def test_auth_fields_that_say_nothing(served, name, value):
    fields = {"X-Ration-Tool": "t", "X-Ration-Grant": "g", f"X-Ration-{name}": value}
    assert_problem(served.get("/v1/auth", headers=fields), 400, "X-Ration-")


@pytest.mark.parametrize("query", [
    "?deny=401", "?deny=", "?deny=429x", "?dny=403", "?deny=403&deny=403",
    "?deny=403&x=1", "?deny=%4", "?deny=403&deny=401", "?403"])
def test_auth_knows_one_other_status(served, query):
    fields = {"X-Ration-Tool": "t", "X-Ration-Grant": "g"}
    assert_problem(served.get("/v1/auth" + query, headers=fields), 400, "query")


# --- what else HTTP serves ----------------------------------------------------------

def test_health_and_version(served):
    for path, text, kind in (("/livez", "ok\n", "text/plain"),
                             ("/readyz", '{"ready":true,"degraded":false}\n',
                              "application/json")):
        r = served.get(path)
        assert (r.status_code, r.text) == (200, text)
        assert r.headers["Content-Type"].startswith(kind)
        head = served.request("HEAD", path)
        assert (head.status_code, head.text) == (200, "")
        assert head.headers["Content-Length"] == str(len(text))
    r = served.get("/version")
    assert r.headers["Content-Type"] == "application/json"
    version = r.json()["version"]
    assert r.json() == {"name": "rationd", "version": version, "api": "v1"}
    assert re.fullmatch(r"\d+\.\d+\.\d+", version)


def test_policies(rationd):
    document = {**policy(a=[], b=[limit("calls", "30d", 1)]), "description": "of two"}
    daemon = rationd({"default": document, "other one": policy(a=[])})
    listed = {p["name"]: p for p in daemon.get("/v1/policies").json()["policies"]}
    assert set(listed) == {"default", "other one"}
    entry = listed["default"]
    assert (entry["description"], entry["tools"], entry["limits"]) == ("of two", 2, 1)
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
        found = re.fullmatch(r'([a-z_]+)(\{[a-z]+="[^"]*"(?:,[a-z]+="[^"]*")*\})? (-?[0-9.e+-]+)',
                             line)
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
