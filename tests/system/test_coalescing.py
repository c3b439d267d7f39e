# SPDX-License-Identifier: ISC
"""Checks of one call that are the very same, on a real Redis: each of them is answered as
if it were alone, also where some come too late, the script is gone or a key is spoilt.
What they answer at random is tested by run_crowds."""
from harness import limit, policy, wait_for
from load import read_answers, words

N = 40
MIX = policy(
    mix=[limit("f", "30d", 100), limit("s", "30d", 90, algorithm="sliding"),
         limit("b", "30d", 80, algorithm="token_bucket")],
    f=[limit("f", "30d", 100)],
    cal=[limit("c", "month", 25, timezone="Europe/Berlin")])
MANY = words("CHECK", "mix", "g", "COST", 2) * N


def used(daemon, tool):
    _, body, _ = daemon.check(tool, "g", mode="peek")
    return [one["used"] for one in body["limits"]]




def ask(server, sock, data, n):
    """All of them in one call."""
    server.pause()
    sock.sendall(words("CHECK", "f", "other") + data)
    server.resume()
    answers = read_answers(sock, n + 1)
    assert answers[0].verdict == 1
    return answers[1:]


def test_first_come_first_served(redis_server, rationd):
    daemon = rationd(MIX, store=redis_server.url, flags=["--deadline-ms", 5000])
    with daemon.connect("resp") as sock:
        answers = ask(redis_server, sock, MANY, N)
        more = ask(redis_server, sock, MANY, N)
    # The bucket has the least: 80 tokens are 40 checks.
    assert [a.verdict for a in answers] == [1] * N
    assert [a.remaining for a in answers] == [78 - 2 * i for i in range(N)]
    assert [a.verdict for a in more] == [0] * N
    assert {a.rule for a in more} == {"/tools/mix/limits/b"}
    assert used(daemon, "mix") == [80, 80, 80]


def test_calendar_windows(redis_server, rationd):
    daemon = rationd(MIX, store=redis_server.url, flags=["--deadline-ms", 5000])
    with daemon.connect("resp") as sock:
        answers = ask(redis_server, sock, words("CHECK", "cal", "g") * N, N)
    assert [a.verdict for a in answers] == [1] * 25 + [0] * (N - 25)
    assert [a.remaining for a in answers[:25]] == list(range(24, -1, -1))


def test_the_late_ones_are_given_back(redis_server, rationd):
    daemon = rationd(MIX, store=redis_server.url, flags=["--deadline-ms", 5000])
    late = words("CHECK", "mix", "g", "COST", 2, "TIMEOUT", 30)
    with daemon.connect("resp") as sock:
        sock.sendall(words("CHECK", "f", "g"))
        assert [a.verdict for a in read_answers(sock, 1)] == [1]
        redis_server.pause()
        sock.sendall(late * 10 + words("CHECK", "mix", "g", "COST", 2) * 10)
        assert [a.flags for a in read_answers(sock, 10)] == [1] * 10
        redis_server.resume()
        assert [a.verdict for a in read_answers(sock, 10)] == [1] * 10
    wait_for(lambda: daemon.metric("ration_store_given_back_total") == 30,
             what="ten checks of three limits given back")
    assert used(daemon, "mix") == [21, 20, 20]


def test_the_script_is_gone(redis_server, rationd):
    daemon = rationd(MIX, store=redis_server.url, flags=["--deadline-ms", 5000])
    with daemon.connect("resp") as sock, redis_server.client() as client:
        client.script_flush()
        sock.sendall(MANY)
        assert [a.verdict for a in read_answers(sock, N)] == [1] * N
    assert used(daemon, "mix") == [80, 80, 80]


def test_a_spoilt_key_harms_only_its_own(redis_server, rationd):
    daemon = rationd(MIX, store=redis_server.url, flags=["--deadline-ms", 5000])
    others = words("CHECK", "mix", "h") * N
    with daemon.connect("resp") as sock, redis_server.client() as client:
        client.set("ration:default:{grant=g}:s:2592000s.sliding", "no count", ex=100)
        answers = ask(redis_server, sock, MANY + others, 2 * N)
    assert [a.flags for a in answers] == [1] * N + [0] * N
    assert [a.verdict for a in answers] == [0] * N + [1] * N
    assert used(daemon, "f") == [0]
