# SPDX-License-Identifier: ISC
"""ration check with request ids, peeks and reservations; ration commit, rollback, renew
and reset; what explain and usage say of calls in flight."""
import json
import re
import subprocess
import sys

import pytest

from harness import (ROOT, bound_socket, clean_env, limit, patience, policy, run_ration,
                     tied)
from scripted import answer, bulk, scripted

POLICY = policy(pay=[limit("spend", "30d", 100, cost_from="args.amount"),
                     limit("calls", "30d", 10)],
                run=[{"counter": "runs", "algorithm": "concurrency", "max": 3}],
                free={})
TOKEN = "0123456789abcdef0123456789abcdef"


@pytest.fixture
def daemon(rationd, store):
    return rationd(POLICY, store=store.url)


def ration(daemon, *words, **kw):
    return run_ration(*words, "--server", daemon.resp_text, **kw)


def told(daemon, *words, status=0):
    """The JSON object of a command."""
    done = ration(daemon, *words, "--json")
    assert done.returncode == status, done.stderr
    return json.loads(done.stdout)


def used(daemon, grant="g"):
    counters = told(daemon, "usage", "--grant", grant)["counters"]
    return {c["counter"]: c["used"] for c in counters}


# --- against real daemons -------------------------------------------------------------


def test_request_id(daemon):
    words = ["check", "pay", "--grant", "g", "--arg", "amount=5", "--request-id", "id 1"]
    first = told(daemon, *words)
    assert first["replayed"] is False
    again = told(daemon, *words)
    assert again["replayed"] is True and again["remaining"] == first["remaining"]
    assert ration(daemon, *words).stdout.endswith(" [replayed]\n")
    assert used(daemon) == {"spend": 5, "calls": 1, "runs": 0}
    other = ration(daemon, "check", "free", "--grant", "g", "--request-id", "id 1")
    assert (other.returncode, other.stdout) == (2, "")
    assert other.stderr.startswith("ration: request refused: ID: ")
    assert "was used with another tool or other charges" in other.stderr
    assert "give each call an id of its own" in other.stderr
    why = ration(daemon, "explain", *words[1:])
    assert why.returncode == 0
    assert why.stdout.splitlines()[0].endswith("(policy default) [replayed]")
    assert "admitted before" in why.stdout


def test_peek(daemon):
    words = ["check", "pay", "--grant", "g", "--arg", "amount=5", "--peek"]
    for _ in range(2):
        done = ration(daemon, *words)
        assert re.fullmatch(r"allow  pay for g: 10 left, resets in .+ \[peek\]\n",
                            done.stdout)
    assert told(daemon, "check", "pay", "--grant", "g", "--arg", "amount=101", "--peek",
                status=1)["verdict"] == "deny"
    assert used(daemon) == {"spend": 0, "calls": 0, "runs": 0}


def reserve(daemon, *words, tool="pay", args=("--arg", "amount=5")):
    """The reservation, taken as a script would."""
    done = ration(daemon, "check", tool, "--grant", "g", *args, "--reserve", *words)
    assert (done.returncode, done.stderr) == (0, "")
    return re.fullmatch(r"allow  .+\nreservation (\S+)\n", done.stdout)[1]


def test_commit(daemon):
    held = reserve(daemon)
    assert used(daemon) == {"spend": 5, "calls": 1, "runs": 0}
    done = ration(daemon, "commit", held, "--cost", "3", "--grant", "g")
    assert (done.returncode, done.stdout) == (0, "committed\n")
    assert used(daemon) == {"spend": 3, "calls": 3, "runs": 0}
    assert told(daemon, "commit", held, "--cost", "9") == {"done": False}
    assert told(daemon, "rollback", held) == {"done": False}
    assert used(daemon) == {"spend": 3, "calls": 3, "runs": 0}


def test_rollback_and_renew(daemon):
    held = told(daemon, "check", "pay", "--grant", "g", "--arg", "amount=5", "--reserve",
                "--ttl", "30")["reservation"]
    assert ration(daemon, "renew", held).stdout == "renewed\n"
    assert told(daemon, "renew", held, "--ttl", "86400") == {"done": True}
    assert ration(daemon, "rollback", held).stdout == "rolled back\n"
    assert ration(daemon, "rollback", held).stdout == (
        "was settled before; nothing changed\n")
    assert used(daemon) == {"spend": 0, "calls": 0, "runs": 0}


def test_unknown_reservation(daemon):
    """Ties what libration takes for RATION_ERR_NOTFOUND to what the daemon says."""
    held = reserve(daemon)
    unknown = held[:-32] + "0" * 32
    for name in ("commit", "rollback", "renew"):
        done = ration(daemon, name, unknown)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.startswith("ration: no such reservation: ")
        for wrong in ([held, "--grant", "other"], ["x"], [held + "0"]):
            done = ration(daemon, name, *wrong)
            assert (done.returncode, done.stdout) == (2, ""), wrong
            assert done.stderr.startswith("ration: request refused: ")
    assert told(daemon, "commit", held) == {"done": True}


def test_calls_in_flight(daemon):
    why = ration(daemon, "explain", "run", "--grant", "g", "--reserve")
    assert why.returncode == 0, why.stdout
    assert "  pass  /tools/run/limits/runs: 3 at once, scope grant\n" in why.stdout
    assert "resets" not in why.stdout and "lease" not in why.stdout
    counters = ration(daemon, "usage", "--grant", "g").stdout
    assert "  runs at once: 0 of 3 used, 3 left\n" in counters
    held = [reserve(daemon, tool="run", args=()) for _ in range(3)]
    counters = ration(daemon, "usage", "--grant", "g").stdout
    assert re.search(r"^  runs at once: 3 of 3 used, 0 left; the first lease ends in "
                     r"(10 min|9 min \d+ s)$", counters, re.M), counters
    full = ration(daemon, "check", "run", "--grant", "g", "--reserve")
    assert full.returncode == 1
    assert "reservation" not in full.stdout
    why = ration(daemon, "explain", "run", "--grant", "g", "--reserve")
    assert why.returncode == 1
    assert "; the first lease ends in " in why.stdout
    ration(daemon, "commit", held[0])
    ration(daemon, "rollback", held[1])
    assert used(daemon)["runs"] == 1
    plain = ration(daemon, "check", "run", "--grant", "g")
    assert plain.returncode == 1 and "reserve" in plain.stdout


def test_reset(daemon):
    reserve(daemon)
    assert ration(daemon, "reset", "grant=g", "--policy", "default", "--counter", "calls",
                  "--window", "30d").stdout == "1 counter reset\n"
    assert used(daemon) == {"spend": 5, "calls": 0, "runs": 0}
    assert told(daemon, "reset", "grant=g", "--policy", "default") == {"reset": 3}
    assert used(daemon) == {"spend": 0, "calls": 0, "runs": 0}
    for words in (["grant=g", "--policy", "absent"], ["global", "--policy", "default"],
                  ["grant", "--policy", "default"],
                  ["grant=g", "--policy", "default", "--counter", "x", "--window", "day"]):
        done = ration(daemon, "reset", *words)
        assert (done.returncode, done.stdout) == (2, ""), words
        assert done.stderr.startswith("ration: request refused: ")


def test_token(rationd, tmp_path):
    """Settling and resetting need it, also from this host."""
    (tmp_path / "token").write_text(TOKEN)
    daemon = rationd(POLICY, flags=["--token-file", tmp_path / "token"])
    held = reserve(daemon)
    acts = (["renew", held], ["commit", held], ["rollback", held],
            ["reset", "grant=g", "--policy", "default"])
    for words in acts:
        done = ration(daemon, *words)
        assert (done.returncode, done.stdout) == (3, "")
        assert "NOAUTH" in done.stderr
    for words in acts:
        done = ration(daemon, *words, "--token-file", tmp_path / "token")
        assert (done.returncode, done.stderr) == (0, "")


def test_example_gateway_asks_once_more(daemon):
    """The first reply is lost: the same request id again, and one charge."""
    bodies = []

    def take(listener):
        conn = listener.accept()[0]
        conn.settimeout(patience(10))
        data = b""
        while b"}}" not in data and b'"}' not in data:
            data += conn.recv(65536)
        bodies.append(json.loads(data.partition(b"\r\n\r\n")[2]))
        return conn
    with bound_socket() as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        argv = [sys.executable, ROOT / "examples/gateway.py", "pay", "g", '{"amount": 5}']
        with subprocess.Popen(tied(argv), env=clean_env({"RATION_URL": url}),
                              stdout=subprocess.PIPE, encoding="utf-8") as gateway:
            for last in (False, True):
                with take(listener) as conn:
                    reply = daemon.post("/v1/check", bodies[-1])
                    if last:
                        conn.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s"
                                     % (len(reply.content), reply.content))
            assert gateway.stdout.read() == "allowed\n"
    assert bodies[0] == bodies[1]
    assert used(daemon) == {"spend": 5, "calls": 1, "runs": 0}


# --- against a scripted daemon --------------------------------------------------------


def act(reply, *words):
    with scripted(reply) as (address, came):
        done = run_ration(*words, "--server", address)
    return done, came[0] if came else b""


def ask(reply, *words):
    return act(reply, "check", "t", "--grant", "g", *words)


def test_request_id_and_modes_on_the_wire():
    done, came = ask(answer(flags=2), "--request-id", "a b", "--reserve", "--ttl=60")
    assert done.stdout == "allow  t for g: no limit [replayed]\n"
    assert came == bulk("CHECK", "t", "g", "ID", "a b", "MODE", "reserve", "TTL", "60")
    done, came = ask(answer(), "--peek")
    assert done.stdout == "allow  t for g: no limit [peek]\n"
    assert came == bulk("CHECK", "t", "g", "MODE", "peek")
    done, came = ask(answer(), "--request-id=" + "i" * 129)
    assert (done.returncode, came) == (2, b"")
    assert "a request id has 1 to 128 bytes, not 129" in done.stderr


def test_reservation_in_the_text():
    """On a line of its own, which nothing else in the answer can look like."""
    done, _ = ask(answer(remaining=1, reset=900, held="p:g:\n\x1b"), "--reserve")
    assert done.stdout == ("allow  t for g: 1 left, resets in 900 ms\n"
                           r"reservation p:g:\x0a\x1b" + "\n")
    done, _ = ask(answer(0, "/r", "no\nreservation x"), "--reserve")
    assert done.stdout.count("\n") == 1 and "\nreservation" not in done.stdout


@pytest.mark.parametrize("words,sent,text", [
    (["commit", "p:g:h"], ("COMMIT", "p:g:h"), "committed"),
    (["commit", "p:g:h", "--cost", "0", "--grant", "g"],
     ("COMMIT", "p:g:h", "COST", "0", "GRANT", "g"), "committed"),
    (["rollback", "--grant=g", "p:g:h"], ("ROLLBACK", "p:g:h", "GRANT", "g"),
     "rolled back"),
    (["renew", "p:g:h"], ("RENEW", "p:g:h", "TTL", "600"), "renewed"),
    (["renew", "p:g:h", "--ttl", "86400"], ("RENEW", "p:g:h", "TTL", "86400"), "renewed"),
])
def test_settling(words, sent, text):
    done, came = act(b":1\r\n", *words)
    assert (done.returncode, done.stdout, done.stderr) == (0, text + "\n", "")
    assert came == bulk(*sent)
    done, _ = act(b":0\r\n", *words)
    assert (done.returncode, done.stdout) == (0, "was settled before; nothing changed\n")
    for reply, value in ((b":1\r\n", True), (b":0\r\n", False)):
        done, _ = act(reply, *words, "--json")
        assert (done.returncode, done.stdout.count("\n")) == (0, 1)
        assert json.loads(done.stdout) == {"done": value}


@pytest.mark.parametrize("reply,status,piece", [
    (b"-ERR there is no such reservation, or it has expired\r\n", 1,
     "no such reservation: there is no such reservation, or it has expired"),
    (b"-ERR the reservation is another grant's\r\n", 2, "another grant's"),
    (b"-ERR reservation is malformed\x1b\r\n", 2, r"malformed\x1b"),
    (b"-NOAUTH a token is needed\r\n", 3, "NOAUTH"),
    (b"-UNAVAILABLE the store\r\n", 3, "UNAVAILABLE"),
    (b":2\r\n", 3, "not the number"),
    (b"+OK\r\n", 3, "not the number"),
    (answer(), 3, "not the number"),
])
def test_wrong_replies_to_settling(reply, status, piece):
    for name in ("commit", "rollback", "renew"):
        for words in ([], ["--json"]):
            done, _ = act(reply, name, "r", *words)
            assert (done.returncode, done.stdout) == (status, "")
            assert piece in done.stderr


def test_resets():
    done, came = act(b":12\r\n", "reset", "grant=g", "--policy", "p")
    assert (done.returncode, done.stdout) == (0, "12 counters reset\n")
    assert came == bulk("RESET", "p", "grant=g")
    done, came = act(b":1\r\n", "reset", "global", "--policy=p", "--counter", "c",
                     "--window", "slots")
    assert (done.returncode, done.stdout) == (0, "1 counter reset\n")
    assert came == bulk("RESET", "p", "c", "slots", "global")
    done, _ = act(b":3\r\n", "reset", "global", "--policy=p", "--json")
    assert json.loads(done.stdout) == {"reset": 3}
    done, _ = act(b"-ERR there is no policy named \"p\"\r\n", "reset", "global",
                  "--policy=p")
    assert (done.returncode, done.stdout) == (2, "")
