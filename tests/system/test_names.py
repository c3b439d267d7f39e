# SPDX-License-Identifier: ISC
"""No name shares a counter with another name, whatever it is made of.

The keys found in Redis are compared with a second writing-down of their format, made
from its description alone.
"""
import hashlib
import itertools
import string
import unicodedata

import pytest
import redis

from harness import limit, policy

LONG = 1024  # bytes that a name may have

NAMES = [
    "a", "A", "a.", ".a", "..", "/", "a/b", "a:b", "a::b", ":", "a%3Ab", "a%3ab", "a%253Ab",
    "%", "%25", "%%", "{a}", "}a{", "{", "}", "{}", "a b", " a", "a ", " ", "a\nb", "a\r\nb",
    "\n", "\t", "a\tb", "\x01", "\x1b[2J", "\x7f", "a&b", "a=b", "grant=a", "a&grant=b",
    "grant", "global", "*", "?", "[a]", "\\", "\\n", '"', "'", "`", "$(x)", "#1", "~",
    "🙂", "🙂🙂", "é", unicodedata.normalize("NFD", "é"), "%C3%A9", "\u2028", "\ufeff",
    "\u200b",
    "a" * 128, "a" * 129, "a" * 130, "b" * 129, ":" * 42, ":" * 43, ":" * 44, "é" * 21,
    "é" * 22, "🙂" * 256, "x" * LONG, "x" * (LONG - 1) + "y",
    "~" + hashlib.sha256(b"a" * 129).hexdigest()[:32],
]

PLAIN = set(string.ascii_letters + string.digits + "_.-")


def key_part(name):
    raw = name.encode()
    text = "".join(chr(b) if chr(b) in PLAIN else f"%{b:02X}" for b in raw)
    return text if len(text) <= 128 else "~" + hashlib.sha256(raw).hexdigest()[:32]


def key(policy_name, scope, counter, window):
    """scope: {name: value}; empty for global."""
    pairs = "&".join(f"{key_part(n)}={key_part(v)}" for n, v in sorted(scope.items()))
    return (f"ration:{key_part(policy_name)}:{{{pairs or 'global'}}}:"
            f"{key_part(counter)}:{window}").encode()


def ask_json(daemon, tool, grant, **body):
    status, answer, _ = daemon.check(tool, grant, **body)
    assert status == 200, answer
    assert (answer["tool"], answer["grant"]) == (tool, grant)
    return [x["used"] for x in answer["limits"]]


def ask_resp(client, tool, grant, **more):
    """What remains of the tightest limit."""
    args = [str(x) for k, v in more.items() for x in (k, v)]
    return client.execute_command("CHECK", tool, grant, *args)[3]


def keys(store):
    with store.redis.client() as client:
        found = client.keys("*")
        assert all(client.pttl(k) > 0 for k in found)
        return {k: int(client.get(k)) for k in found}


def test_names_are_different():
    """Of the list above, that is: else what follows would prove nothing."""
    assert len(set(NAMES)) == len(NAMES)
    assert len({key_part(name) for name in NAMES}) == len(NAMES)
    assert sum(key_part(name).startswith("~") for name in NAMES) >= 8


def test_grants(rationd, store):
    """Each name has a counter of its own, and the same one over JSON and RESP."""
    daemon = rationd(policy(t=[limit("calls", "30d", 100)]), store=store.url,
                     flags=["--deadline-ms", "10000"])
    with daemon.resp() as client:
        for name in NAMES:
            assert ask_json(daemon, "t", name) == [1], name
        for name in NAMES:
            assert ask_resp(client, "t", name) == 98, name
        for name in NAMES:
            assert ask_json(daemon, "t", name, cost=3) == [5], name
    assert daemon.metric('ration_checks_total{verdict="allow"}') == 3 * len(NAMES)
    if store.redis:
        assert keys(store) == {key("default", {"grant": name}, "calls", "2592000s"): 5
                               for name in NAMES}
    else:
        assert daemon.metric("ration_store_counters") == len(NAMES)


def test_grants_as_header_fields(rationd, redis_server):
    """What a header field can carry is the same name there."""
    daemon = rationd(policy(t=[limit("calls", "30d", 100)]), store=redis_server.url,
                     flags=["--deadline-ms", "10000"])
    for name in ("a:b", "{a}", "a%3Ab", "a b", "é 🙂", "a&b=c"):
        r = daemon.get("/v1/auth", headers={"X-Ration-Tool": "t",
                                            "X-Ration-Grant": name.encode()})
        assert r.status_code == 200
        assert ask_json(daemon, "t", name) == [2]


def test_attributes(rationd, store):
    """Pairs whose texts would run together if they were only joined."""
    document = policy(t=[limit("calls", "30d", 100, scope=["org", "team x"])])
    daemon = rationd(document, store=store.url, flags=["--deadline-ms", "10000"])
    values = ["", "a", "b", "a&team x=b", "b&org=a", "&", "=", "a=b", "%26",
              "&team%20x=", "🙂", "}", "x" * 129]
    pairs = list(itertools.product(values, values))
    for org, team in pairs:
        attributes = {"org": org, "team x": team}
        assert ask_json(daemon, "t", "g", attributes=attributes) == [1], attributes
    if store.redis:
        assert keys(store) == {
            key("default", {"org": org, "team x": team}, "calls", "2592000s"): 1
            for org, team in pairs}


def test_names_in_the_document(rationd, redis_server):
    """Policies, counters, tools and attributes' names, written into keys as well."""
    names = [name for name in NAMES if len(name.encode()) <= 100]
    counters = [limit(name, "30d", 1000) for name in names]
    attributes = [name for name in names if name not in ("grant", "global")]
    tools = {f"counters {i}": counters[i:i + 16] for i in range(0, len(counters), 16)}
    tools.update({f"attribute {i}": [limit("by", "10d", 1000, scope=name)]
                  for i, name in enumerate(attributes)})
    tools.update({f"rate {name}": {"rate_limit": {"max": 1000, "window": 7}}
                  for name in names})
    odd = "a:b {c} %3A é 🙂\n"
    daemon = rationd({"default": policy(**tools), odd: policy(**tools)},
                     store=redis_server.url, flags=["--deadline-ms", "10000"])
    expected = set()
    for asked in ("default", odd):
        for i in range(0, len(counters), 16):
            some = names[i:i + 16]
            used = ask_json(daemon, f"counters {i}", "g", policy=asked)
            assert used == [1] * len(some)
            expected |= {key(asked, {"grant": "g"}, name, "2592000s") for name in some}
        for i, name in enumerate(attributes):
            assert ask_json(daemon, f"attribute {i}", "g", policy=asked,
                            attributes={name: "v"}) == [1], name
            expected.add(key(asked, {name: "v"}, "by", "864000s"))
        for name in names:
            assert ask_json(daemon, f"rate {name}", "g", policy=asked,
                            session="s") == [1], name
    with redis_server.client() as client:
        found = set(client.keys("*"))
    short = {k for k in found if k.endswith(b":7s")}  # may have ended already
    assert found - short == expected
    assert short <= {key(asked, {"session": "s"}, f"rate {name}_rate_limit", "7s")
                     for asked in ("default", odd) for name in names}


@pytest.mark.parametrize("name", ["\0", "a\0b", "a\0"])
def test_nul_is_refused(rationd, redis_server, name):
    """Not cut short: that would be another's name."""
    daemon = rationd(policy(t=[limit("calls", "30d", 100)]), store=redis_server.url)
    for body in ({"tool": "t", "grant": name}, {"tool": name, "grant": "g"},
                 {"tool": "t", "grant": "g", "session": name},
                 {"tool": "t", "grant": "g", "attributes": {"o": name}},
                 {"tool": "t", "grant": "g", "attributes": {name: "o"}}):
        r = daemon.post("/v1/check", body)
        assert (r.status_code, "NUL" in r.json()["detail"]) == (400, True)
    with daemon.resp() as client:
        for args in (("t", name), (name, "g"), ("t", "g", "SESSION", name),
                     ("t", "g", "ATTR", "o", name), ("t", "g", "ATTR", name, "o")):
            with pytest.raises(redis.ResponseError, match="NUL"):
                client.execute_command("CHECK", *args)
    with redis_server.client() as client:
        assert client.keys("*") == []
