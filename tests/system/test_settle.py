# SPDX-License-Identifier: ISC
"""Request ids, peeks, reservations and resets over both protocols, on both stores."""
import re

import pytest
import redis

from harness import limit, policy, wait_for

TOKEN = "0123456789abcdef"
MONTH = "2592000s"  # 30d, as it stands in keys


def slots(counter, max):
    return {"counter": counter, "max": max, "algorithm": "concurrency"}


POLICY = policy(
    calls=[limit("calls", "30d", 10)],
    spend=[limit("spend", "30d", 100, cost_from="args.amount"),
           limit("fixed", "30d", 100, cost=1)],
    jobs=[slots("jobs", 2)], both=[limit("standing", "30d", 10), slots("leased", 2)],
    free=[], shared=[limit("all", "30d", 100, scope="global")])


@pytest.fixture
def served(rationd, store):
    return rationd({"p": POLICY}, store=store.url)


@pytest.fixture
def client(served):
    with served.resp(single_connection_client=True) as client:
        yield client


def used(daemon, counter, grant="g"):
    """What /v1/usage says of the counter."""
    counters = daemon.get(f"/v1/usage?grant={grant}").json()["counters"]
    return {c["counter"]: c["used"] for c in counters}[counter]


def reserve(daemon, tool="calls", grant="g", **more):
    status, answer, headers = daemon.check(tool, grant, mode="reserve", **more)
    assert status == 200, answer
    assert headers["X-Ration-Reservation"] == answer["reservation"]
    return answer["reservation"]


def settle(daemon, action, reservation, **more):
    """(status, the answer's JSON)"""
    r = daemon.post(f"/v1/{action}", {"reservation": reservation, **more})
    kind = "application/json" if r.status_code == 200 else "application/problem+json"
    assert r.headers["Content-Type"] == kind
    return r.status_code, r.json()


# --- request ids and peeks ----------------------------------------------------------

def test_a_retry_gets_the_first_answer(served, client):
    first = served.check("calls", "g", request_id="r1", cost=3)
    assert (first[0], first[1]["replayed"]) == (200, False)
    again = served.check("calls", "g", request_id="r1", cost=3)
    assert (again[0], again[1]["replayed"]) == (200, True)
    assert again[1]["limits"][0]["used"] == first[1]["limits"][0]["used"] == 3
    answer = client.execute_command("CHECK", "calls", "g", "ID", "r1", "COST", 3)
    assert (answer[0], answer[3], answer[7]) == (1, 7, 2)
    assert used(served, "calls") == 3
    # Another grant's id is another id.
    assert served.check("calls", "h", request_id="r1", cost=3)[1]["replayed"] is False


def test_an_id_stands_for_one_thing(served, client):
    assert served.check("calls", "g", request_id="r1")[0] == 200
    r = served.post("/v1/check", {"tool": "calls", "grant": "g", "cost": 2,
                                  "request_id": "r1"})
    assert r.status_code == 422
    assert r.headers["Content-Type"] == "application/problem+json"
    assert "request id" in r.json()["detail"]
    with pytest.raises(redis.ResponseError, match="^ID"):
        client.execute_command("CHECK", "free", "g", "ID", "r1")
    assert used(served, "calls") == 1


def test_denials_are_not_remembered(served, client):
    assert served.check("calls", "g", cost=10)[0] == 200
    assert served.check("calls", "g", request_id="r")[0] == 429
    assert client.execute_command("RESET", "p", "grant=g") >= 1
    status, answer, _ = served.check("calls", "g", request_id="r")
    assert (status, answer["replayed"]) == (200, False)


def test_a_peek_changes_nothing(served, client):
    assert served.check("calls", "g", cost=4)[0] == 200
    for _ in range(2):
        status, answer, _ = served.check("calls", "g", mode="peek", cost=6)
        assert (status, answer["verdict"]) == (200, "allow")
        assert answer["limits"][0]["used"] == 4 and answer["reservation"] is None
    assert served.check("calls", "g", mode="peek", cost=7)[0] == 429
    answer = client.execute_command("CHECK", "calls", "g", "MODE", "peek")
    assert (answer[0], answer[6]) == (1, b"")
    assert used(served, "calls") == 4


# --- reservations -------------------------------------------------------------------

def test_commit_with_the_true_cost(served):
    held = reserve(served, "spend", args={"amount": 40})
    assert used(served, "spend") == 40
    assert settle(served, "commit", held, cost=7) == (
        200, {"done": True, "reservation": held})
    # The limit whose cost is fixed stays as it was.
    assert (used(served, "spend"), used(served, "fixed")) == (7, 1)
    for action in ("commit", "rollback"):
        assert settle(served, action, held) == (
            200, {"done": False, "reservation": held})
    assert used(served, "spend") == 7
    held = reserve(served, "spend", args={"amount": 1})
    assert settle(served, "commit", held, cost=500)[0] == 200
    assert used(served, "spend") == 507
    assert served.check("spend", "g", args={"amount": 0})[0] == 429


def test_rollback_gives_back(served):
    held = reserve(served, cost=9)
    assert used(served, "calls") == 9
    assert settle(served, "rollback", held, grant="g")[1]["done"] is True
    assert used(served, "calls") == 0
    assert settle(served, "rollback", held)[1]["done"] is False
    assert settle(served, "commit", held, cost=5)[1]["done"] is False
    assert used(served, "calls") == 0


def test_settling_over_resp(served, client):
    answer = client.execute_command("CHECK", "calls", "g", "MODE", "reserve", "TTL", 60,
                                    "COST", 5)
    held = answer[6].decode()
    assert re.fullmatch(r"p:g:[0-9a-f]{32}", held)
    assert client.execute_command("RENEW", held, "TTL", 100) == 1
    assert client.execute_command("COMMIT", held, "COST", 2, "GRANT", "g") == 1
    assert client.execute_command("COMMIT", held) == 0
    assert client.execute_command("ROLLBACK", held) == 0
    assert used(served, "calls") == 2


def test_pipelined_answers_keep_their_order(served, client):
    """Whatever waits for the store, and however long."""
    held = reserve(served)
    pipe = client.pipeline(transaction=False)
    for i in range(30):
        pipe.execute_command("CHECK", "free", f"g{i}", "MODE", "reserve")
        pipe.execute_command("COMMIT", held)
        pipe.execute_command("ECHO", str(i))
        pipe.execute_command("CHECK", "stop", "g")
        pipe.execute_command("RESET", "p", "all", MONTH, "global")
    answers = pipe.execute()
    for i in range(30):
        check, commit, echo, denied, reset = answers[5 * i:5 * i + 5]
        assert check[6].startswith(f"p:g{i}:".encode())
        assert (commit, echo, reset) == (int(i == 0), str(i).encode(), 1)
        assert denied[:2] == [0, b"(default deny)"]


def test_a_reservation_without_limits(served):
    held = reserve(served, "free", request_id="r")
    assert reserve(served, "free", request_id="r") == held
    assert settle(served, "commit", held)[1]["done"] is True


GUESSED = "p:g:" + "0" * 32


@pytest.mark.parametrize("reservation,more,status,piece", [
    (GUESSED, {}, 404, "no such reservation"),
    (GUESSED, {"grant": "h"}, 409, "grant"),
    ("p:g:" + "0" * 31, {}, 400, "reservation"),
    ("p:g:" + "G" * 32, {}, 400, "reservation"),
    ("x", {}, 400, "reservation"), ("", {}, 400, "reservation"),
    (GUESSED, {"colour": 1}, 400, "colour"),
])
@pytest.mark.parametrize("action", ["commit", "rollback", "renew"])
def test_what_cannot_be_settled(served, client, action, reservation, more, status, piece):
    answer = settle(served, action, reservation, **more)
    assert answer[0] == answer[1]["status"] == status
    assert piece in answer[1]["detail"]
    if "colour" not in more:
        words = ["GRANT", more["grant"]] if more else []
        words += ["TTL", 5] if action == "renew" else []
        with pytest.raises(redis.ResponseError):
            client.execute_command(action, reservation, *words)
        assert client.ping()


def test_what_nobody_settles_stands(served):
    """And frees its slot; from then on it is unknown."""
    held = reserve(served, "both", ttl=1, cost=2)
    assert (used(served, "standing"), used(served, "leased")) == (2, 1)
    wait_for(lambda: used(served, "leased") == 0, 5, "the end of the lease")
    for action in ("renew", "commit", "rollback"):
        assert settle(served, action, held)[0] == 404
    assert used(served, "standing") == 2


# --- slots --------------------------------------------------------------------------

def test_slots_are_reserved(served, client):
    status, answer, headers = served.check("jobs", "g")
    assert (status, answer["rule"]) == (403, "/tools/jobs/limits/jobs")
    assert "reserve" in answer["message"]
    first = reserve(served, "jobs", ttl=3600)
    status, answer, headers = served.check("jobs", "g", mode="reserve")
    assert answer["limits"][0]["window"] == "slots"
    assert (answer["limits"][0]["used"], answer["limits"][0]["remaining"]) == (2, 0)
    assert headers["RateLimit-Policy"] == '"jobs";q=2'
    assert headers["RateLimit"].startswith('"jobs";r=0;t=')
    status, answer, headers = served.check("jobs", "g", mode="reserve")
    assert (status, answer["reservation"]) == (429, None)
    assert int(headers["Retry-After"]) > 0 and "X-Ration-Reservation" not in headers
    assert settle(served, "commit", first)[1]["done"] is True
    assert client.execute_command("CHECK", "jobs", "g", "MODE", "reserve")[0] == 1


# --- forward-auth -------------------------------------------------------------------

def test_forward_auth_reserves(served):
    fields = {"X-Ration-Tool": "jobs", "X-Ration-Grant": "g", "X-Ration-Mode": "reserve",
              "X-Ration-Ttl": "60", "X-Ration-Request-Id": "r"}
    r = served.get("/v1/auth", headers=fields)
    assert r.status_code == 200
    held = r.headers["X-Ration-Reservation"]
    again = served.get("/v1/auth", headers=fields)
    assert again.headers["X-Ration-Reservation"] == held
    assert again.json()["replayed"] is True
    assert settle(served, "rollback", held)[1]["done"] is True
    assert used(served, "jobs") == 0


# --- resets -------------------------------------------------------------------------

def resets(daemon):
    return [line["message"] for line in daemon.log_lines()
            if line["message"].startswith("reset by ")]


def test_a_reset_of_one_counter(served, client):
    assert served.check("calls", "g", cost=9)[0] == 200
    assert served.check("calls", "h", cost=9)[0] == 200
    body = {"policy": "p", "counter": "calls", "window": MONTH, "scope": "grant=g"}
    r = served.post("/v1/reset", body)
    assert (r.status_code, r.json()) == (200, {"reset": 1, "held": 1, **body})
    assert (used(served, "calls", "g"), used(served, "calls", "h")) == (0, 9)
    del body["policy"]
    assert served.post("/v1/reset", body).json() == {
        "reset": 1, "held": 0, "policy": None, **body}
    assert client.execute_command(
        "RESET", "p", "calls", MONTH, "grant=h") == 1
    assert used(served, "calls", "h") == 0
    said = resets(served)
    assert len(said) == 3
    assert re.match(r"reset by 127\.0\.0\.1:\d+: 1 of 1 counters held something: \{", said[0])
    assert '"counter":"calls","window":"2592000s","scope":"grant=h"' in said[2]


@pytest.mark.parametrize("window", ["30d", "720h", 2592000, 2592000.0, "2592000"])
def test_a_reset_spells_the_window_as_the_policy_does(served, client, window):
    assert served.check("calls", "g", cost=9)[0] == 200
    assert served.check("calls", "h", cost=9)[0] == 200
    body = {"counter": "calls", "window": window, "scope": "grant=g"}
    assert served.post("/v1/reset", body).json()["reset"] == 1
    word = int(window) if isinstance(window, float) else window
    assert client.execute_command("RESET", "p", "calls", word, "grant=h") == 1
    assert (used(served, "calls", "g"), used(served, "calls", "h")) == (0, 0)
    body["window"] = 2592001
    assert served.post("/v1/reset", body).status_code == 404


def test_a_reset_of_all_of_a_grant(served):
    assert served.check("calls", "g", cost=9)[0] == 200
    assert served.check("spend", "g", args={"amount": 9})[0] == 200
    held = reserve(served, "jobs")
    answer = served.post("/v1/reset", {"scope": "grant=g"}).json()
    assert (answer["reset"], answer["held"]) == (6, 4)
    assert [used(served, c) for c in ("calls", "spend", "fixed", "jobs")] == [0] * 4
    assert settle(served, "renew", held, ttl=5)[0] == 404


def test_what_is_logged_cannot_be_forged(served):
    grant = 'g"}\n{"time":"now","message":"reset by nobody"}'
    r = served.post("/v1/reset", {"scope": f"grant={grant}"})
    assert (r.status_code, r.json()["scope"]) == (200, f"grant={grant}")
    assert len(resets(served)) == 1
    assert "reset by nobody" in resets(served)[0]
    assert '\n{"time":"now"' not in served.log


@pytest.mark.parametrize("body,status,piece", [
    ({}, 400, "scope"), ({"scope": "global", "counter": "all"}, 400, "window"),
    ({"scope": "global", "window": "day"}, 400, "counter"),
    ({"scope": "global", "policy": "q"}, 404, "policy"),
    ({"scope": "session=s"}, 404, ""), ({"scope": "%4"}, 400, "scope"),
    ({"scope": "global", "counter": "calls", "window": MONTH}, 404, ""),
])
def test_what_cannot_be_reset(served, client, body, status, piece):
    r = served.post("/v1/reset", body)
    assert (r.status_code, r.json()["status"]) == (status, status)
    assert piece in r.json()["detail"]
    words = [body[k] for k in ("counter", "window", "scope") if k in body]
    with pytest.raises(redis.ResponseError):
        client.execute_command("RESET", body.get("policy", "p"), *words)
    assert not resets(served)


# --- tokens and failures ------------------------------------------------------------

def test_settling_needs_a_token_on_every_listener(rationd, tmp_path):
    (tmp_path / "token").write_text(TOKEN + "\n")
    daemon = rationd({"p": POLICY}, flags=["--token-file", tmp_path / "token"])
    shown = {"Authorization": f"Bearer {TOKEN}"}
    held = reserve(daemon)
    for action in ("commit", "rollback", "renew", "reset"):
        body = {"scope": "grant=g"} if action == "reset" else {"reservation": held}
        for headers in ({}, {"Authorization": f"Bearer {TOKEN}x"}):
            r = daemon.post(f"/v1/{action}", body, headers=headers)
            assert (r.status_code, r.headers["WWW-Authenticate"]) == (401, "Bearer")
    assert daemon.post("/v1/renew", {"reservation": held}, headers=shown).status_code == 200
    with daemon.resp(single_connection_client=True) as client:
        assert client.execute_command("CHECK", "free", "g")[0] == 1
        for words in (["COMMIT", held], ["ROLLBACK", held], ["RENEW", held, "TTL", 5],
                      ["RESET", "p", "grant=g"]):
            with pytest.raises(redis.exceptions.AuthenticationError):
                client.execute_command(*words)
        assert client.execute_command("AUTH", TOKEN)
        assert client.execute_command("ROLLBACK", held) == 1
    assert used(daemon, "calls") == 0


def test_a_store_that_is_away(rationd, redis_server):
    daemon = rationd({"p": POLICY}, store=redis_server.url, flags=["--deadline-ms", 1000])
    held = reserve(daemon)
    redis_server.pause()
    try:
        for path, body in (("/v1/commit", {"reservation": held}),
                           ("/v1/reset", {"scope": "grant=g"})):
            r = daemon.post(path, body)
            assert (r.status_code, r.headers["Retry-After"]) == (503, "1")
            assert r.headers["Content-Type"] == "application/problem+json"
            assert "the store is unavailable" in r.json()["detail"]
        with daemon.resp() as client:
            for words in (["COMMIT", held], ["RESET", "p", "grant=g"]):
                with pytest.raises(redis.ResponseError, match="the store is unavailable"):
                    client.execute_command(*words)
        assert any("not known whether" in line for line in resets(daemon))
    finally:
        redis_server.resume()
    wait_for(lambda: daemon.get("/readyz").status_code == 200, 10)
    # Asked again it is settled, once.
    assert settle(daemon, "commit", held)[0] in (200, 404)
