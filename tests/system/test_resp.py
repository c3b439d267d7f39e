# SPDX-License-Identifier: ISC
"""RESP: what Redis clients of every kind send beside CHECK, and how CHECK reads."""
import json
import re

import pytest
import redis

from harness import limit, policy, redis_cli

DOCUMENT = policy(t=[limit("calls", "30d", 1000)], n={"action": "deny", "reason": "no"},
                  ours=[limit("ours", "30d", 1000, scope=["org", "user id"])])

# The answer to a check of the tool n.
DENIED = (b"*8\r\n:0\r\n$15\r\n/tools/n/action\r\n$2\r\nno\r\n:-1\r\n:-1\r\n:0\r\n"
          b"$0\r\n\r\n:0\r\n")


@pytest.fixture(scope="module")
def served(module_rationd):
    return module_rationd({"default": DOCUMENT, "strict": policy(only=[])})


@pytest.fixture
def client(served):
    with served.resp(single_connection_client=True) as client:
        yield client


def raw(daemon, data, until_end=True):
    """Sends bytes, then all that comes back."""
    with daemon.connect("resp") as sock:
        sock.sendall(data)
        if until_end:
            sock.shutdown(1)
        return b"".join(iter(lambda: sock.recv(65536), b""))


def words(*args):
    """One command as clients write it."""
    out = b"*%d\r\n" % len(args)
    for arg in args:
        arg = arg if isinstance(arg, bytes) else str(arg).encode()
        out += b"$%d\r\n%s\r\n" % (len(arg), arg)
    return out


def test_redis_py(client):
    assert client.ping() is True
    assert client.echo("héllo\r\n") == "héllo\r\n".encode()
    assert client.client_setname("tester")
    assert client.client_getname() == "tester"
    assert isinstance(client.client_id(), int)
    assert client.execute_command("SELECT", 0) is True
    info = client.info()
    assert info["ration_version"] and info["checks_invalid"] >= 0
    assert client.info("store")["store"] == "memory"
    assert client.command_count() >= 10
    assert set(client.command()) >= {"check", "ping", "info", "hello", "auth"}
    assert client.command()["check"]["arity"] == -3
    assert client.config_get("maxmemory") == {}


def test_redis_py_pipeline(client):
    """Answers in the order of the questions, errors in their places."""
    pipe = client.pipeline(transaction=False)
    for i in range(200):
        if i % 50 == 49:
            pipe.execute_command("CHECK", "t")
        else:
            pipe.execute_command("CHECK", "t", "pipelined")
    answers = pipe.execute(raise_on_error=False)
    good = [a for a in answers if not isinstance(a, Exception)]
    assert [a[3] for a in good] == list(range(999, 999 - 196, -1))
    assert [i for i, a in enumerate(answers) if isinstance(a, Exception)] == [
        49, 99, 149, 199]


def test_pipelining_keeps_the_order(rationd, store):
    """Also where checks wait for Redis and what stands behind them does not."""
    daemon = rationd(DOCUMENT, store=store.url, flags=["--deadline-ms", "10000"])
    sent = b"".join(words("CHECK", "t", "g") + words("ECHO", i) + words("CHECK", "n", i)
                    for i in range(300))
    expected = b"".join(
        b"*8\r\n:1\r\n$0\r\n\r\n$0\r\n\r\n:%d\r\n:RESET\r\n:0\r\n$0\r\n\r\n:0\r\n"
        b"$%d\r\n%d\r\n" % (999 - i, len(str(i)), i) + DENIED for i in range(300))
    answer = raw(daemon, sent)
    assert re.sub(rb":\d{5,}\r\n", b":RESET\r\n", answer) == expected


def test_redis_py_client_info(served, client):
    with served.resp(single_connection_client=True, client_name="other") as other:
        info = client.client_info()
        assert info["id"] == client.client_id()
        assert (info["db"], info["age"], info["name"]) == (0, 0, "")
        assert [one["id"] for one in client.client_list()] == [str(info["id"])]
        assert other.client_info()["name"] == "other"
        assert other.client_info()["id"] != info["id"]


def test_a_transaction_charges_nothing(served, client):
    """redis-py's pipeline() asks for one unless told otherwise."""
    pipe = client.pipeline()
    for _ in range(3):
        pipe.execute_command("CHECK", "t", "multi")
    with pytest.raises(redis.ResponseError, match="transaction=False"):
        pipe.execute()
    assert client.execute_command("CHECK", "t", "multi")[3] == 999
    pipe = client.pipeline(transaction=False)
    pipe.execute_command("CHECK", "t", "multi")
    assert pipe.execute()[0][3] == 998


def test_multi_word_by_word(served):
    answer = raw(served, words("EXEC") + words("DISCARD") + words("MULTI") +
                 words("PING") + words("MULTI") + words("DISCARD") + words("PING") +
                 words("multi", "x") + words("CHECK", "n", "g") + words("exec") +
                 words("PING"))
    assert [line.split()[0] for line in answer.splitlines()] == [
        b"-ERR", b"-ERR", b"-ERR", b"-ERR", b"-ERR", b"+OK", b"+PONG",
        b"-ERR", b"-ERR", b"-EXECABORT", b"+PONG"]
    assert raw(served, words("MULTI") + words("QUIT") + words("PING")).endswith(b"\r\n+OK\r\n")


@pytest.mark.parametrize("sent,answer", [
    (words("PING"), b"+PONG\r\n"),
    (words("ping", "a b"), b"$3\r\na b\r\n"),
    (words("ECHO", b"\x00\xff"), b"$2\r\n\x00\xff\r\n"),
    (b"PING\r\n", b"+PONG\r\n"),
    (b"  echo   hi \n", b"$2\r\nhi\r\n"),
    (b"\r\n\r\nPING\r\n", b"+PONG\r\n"),
    (b"*0\r\n*-1\r\nPING\r\n", b"+PONG\r\n"),
    (words("SELECT", "0"), b"+OK\r\n"),
    (words("CLIENT", "SETNAME", "x") + words("CLIENT", "GETNAME"), b"+OK\r\n$1\r\nx\r\n"),
    (words("CLIENT", "SETINFO", "LIB-NAME", "x"), b"+OK\r\n"),
    (words("QUIT") + words("PING"), b"+OK\r\n"),
    (words("CHECK", "n", "g"), DENIED),
    (b"check n g\r\n", DENIED),
], ids=range(13))
def test_bytes(served, sent, answer):
    assert raw(served, sent) == answer


def test_quit_closes(served):
    assert raw(served, words("QUIT"), until_end=False) == b"+OK\r\n"


def test_hello(served):
    two = raw(served, words("HELLO"))
    assert two.startswith(b"*") and b"$5\r\nproto\r\n:2\r\n" in two
    assert b"$6\r\nserver\r\n" in two and b"$7\r\nversion\r\n" in two
    three = raw(served, words("HELLO", "3") + words("HELLO", "2"))
    assert three.startswith(b"%") and b"$5\r\nproto\r\n:3\r\n" in three
    assert b"$5\r\nproto\r\n:2\r\n" in three
    named = raw(served, words("HELLO", "3", "SETNAME", "me") + words("CLIENT", "GETNAME"))
    assert named.endswith(b"$2\r\nme\r\n")
    for version in ("1", "4", "x"):
        assert raw(served, words("HELLO", version)).startswith(b"-NOPROTO ")
    unnamed = raw(served, words("HELLO", "3") + words("CLIENT", "GETNAME"))
    assert unnamed.endswith(b"_\r\n")
    assert raw(served, words("CLIENT", "GETNAME")) == b"$-1\r\n"


@pytest.mark.parametrize("protocol", ["-2", "-3"])
def test_redis_cli(served, protocol):
    done = redis_cli(served, protocol, "--json", "CHECK", "t", f"cli{protocol}", "COST", "9")
    assert done.returncode == 0
    answer = json.loads(done.stdout)
    assert answer[0:4] == [1, "", "", 991]
    done = redis_cli(served, protocol, "-e", "NOSUCH")
    assert done.returncode == 1
    assert "ERR" in done.stdout + done.stderr


@pytest.mark.parametrize("command", [
    ["NOSUCH"], ["GET", "x"], ["EVAL", "return 1", "0"], ["FLUSHALL"], ["EXEC"],
    ["CONFIG", "SET", "a", "b"], ["SELECT", "1"], ["SELECT", "x"], ["SELECT"], ["ECHO"],
    ["ECHO", "a", "b"], ["PING", "a", "b"], ["CLIENT"], ["CLIENT", "KILL", "x"],
    ["COMMIT", "id"], ["ROLLBACK", "id"], ["RENEW", "id", "TTL", "5"],
    ["EXPLAIN", "t"], ["EXPLAIN", "t", "g", "COLOUR", "red"], ["USAGE"],
    ["USAGE", "g", "POLICY"], ["USAGE", "g", "COLOUR", "red"],
    ["USAGE", "g", "POLICY", "nope"], ["RESET", "p", "c", "w", "s"],
    ["CL.THROTTLE", "k", "1", "1", "0"], [""], ["\r\nINJECTED"],
])
def test_refused_commands(served, command):
    """One line, and the connection goes on."""
    answer = raw(served, words(*command) + words("PING"))
    first, rest = answer.split(b"\r\n", 1)
    assert first.startswith(b"-ERR "), answer
    assert rest == b"+PONG\r\n"


@pytest.mark.parametrize("args,piece", [
    ([], "tool"), (["t"], "grant"), (["", "g"], "tool"), (["t", ""], "grant"),
    (["t", "g", "COST"], "COST"), (["t", "g", "COST", "-1"], "COST"),
    (["t", "g", "COST", "1.5"], "COST"), (["t", "g", "COST", "+1"], "COST"),
    (["t", "g", "COST", "9007199254740992"], "COST"),
    (["t", "g", "COST", "1", "cost", "1"], "COST"),
    (["t", "g", "COLOUR", "red"], "COLOUR"),
    (["t", "g", "ARGS", "[]"], "ARGS"), (["t", "g", "ARGS", "{"], "ARGS"),
    (["t", "g", "ARGS", ""], "ARGS"),
    (["t", "g", "ATTR", "org"], "ATTR"), (["t", "g", "ATTR", "grant", "x"], "ATTR.*grant"),
    (["t", "g", "ATTR", "o", "1", "ATTR", "o", "2"], "ATTR.*twice"),
    (["t", "g", "ATTR", "", "1"], "ATTR.*empty"),
    (["t", "g", "POLICY", ""], "POLICY"), (["t", "g", "SESSION", ""], "SESSION"),
    (["t", "g", "TIMEOUT", "0"], "TIMEOUT"), (["t", "g", "TIMEOUT", "60001"], "TIMEOUT"),
    (["t", "g", "MODE", "x"], "MODE"), (["t", "g", "ID", ""], "ID"),
    (["t", "g", "ID", "x" * 129], "ID"), (["t", "g", "TTL", "5"], "TTL"),
    (["t", "g", "TTL", "5", "MODE", "peek"], "TTL"),
    (["t", "g", "TTL", "86401", "MODE", "reserve"], "TTL"),
    (["t" * 1025, "g"], "tool"), (["t", "g" * 1025], "grant"),
    ([b"t\xff", "g"], "tool"), (["t", b"g\x00h"], "grant"),
])
def test_check_refuses(served, client, args, piece):
    before = served.metric("ration_checks_invalid_total")
    with pytest.raises(redis.ResponseError, match=piece):
        client.execute_command("CHECK", *args)
    assert client.ping()
    assert served.metric("ration_checks_invalid_total") == before + 1


def test_check_options_in_any_case_and_order(client):
    """What is not charged for is taken all the same."""
    assert client.execute_command(
        "cHeCk", "ours", "g", "attr", "org", "acme", "TIMEOUT", "5000", "Cost", "10",
        "ATTR", "user id", "", "args", '{"a": [1, {"b": null}]}', "SESSION", "s",
        "mode", "Enforce", "policy", "default")[:4] == [1, b"", b"", 990]
    assert client.execute_command(
        "CHECK", "ours", "h", "ATTR", "user id", "", "ATTR", "org", "acme")[3] == 989
    assert client.execute_command("CHECK", "only", "g", "POLICY", "strict")[:4] == [
        1, b"", b"", -1]


def test_commands_in_any_pieces(served):
    """A byte at a time, and all at once, is the same."""
    whole = (words("CHECK", "n", "g") + b"PING\r\n" + words("ECHO", "x" * 300)) * 3
    expected = raw(served, whole)
    assert expected.count(b"+PONG") == 3
    with served.connect("resp") as sock:
        sock.setsockopt(6, 1, 1)  # TCP_NODELAY: each byte leaves by itself
        for i in range(len(whole)):
            sock.sendall(whole[i:i + 1])
        sock.shutdown(1)
        assert b"".join(iter(lambda: sock.recv(65536), b"")) == expected
