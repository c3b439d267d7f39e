# SPDX-License-Identifier: ISC
"""A limit that was seen full: Redis is not asked again for a moment, and nobody can tell
it from the answers."""
import json
import socket
import threading
import time

from harness import limit, patience, policy, wait_for, write_policies
from load import read_answers, words
from pauses import Pauses

CONNECTIONS, PIPELINE = 50, 16
KEEP_S = 0.25
RENEW_S = KEEP_S / 5    # before the end of which one is let through
WEEKS = policy(t=[limit("c", "30d", 3)])


def calls(server):
    """Script calls so far."""
    with server.client() as client:
        stats = client.info("commandstats")
    return sum(stats.get(f"cmdstat_{name}", {}).get("calls", 0)
               for name in ("evalsha", "eval"))


def fill(daemon, n=3, tool="t"):
    for _ in range(n):
        assert daemon.check(tool, "g")[0] == 200
    assert daemon.check(tool, "g")[0] == 429


def hits(daemon):
    return daemon.metric("ration_deny_cache_hits_total")


class Loop(threading.Thread):
    """An agent that does not take no for an answer."""

    def __init__(self, daemon, end):
        super().__init__()
        self.daemon, self.end = daemon, end
        self.denied = 0
        self.fault = None

    def run(self):
        try:
            with self.daemon.connect("resp") as sock:
                while time.monotonic() < self.end:
                    sock.sendall(words("CHECK", "t", "g") * PIPELINE)
                    for answer in read_answers(sock, PIPELINE):
                        assert answer[:2] == (0, "/tools/t/limits/c"), answer
                        assert answer.remaining == 0 and answer.flags == 0, answer
                        self.denied += 1
        except (AssertionError, OSError) as e:
            self.fault = e


def loop(daemon, seconds):
    """How many were denied, and how long it took."""
    begun = time.monotonic()
    agents = [Loop(daemon, begun + seconds) for _ in range(CONNECTIONS)]
    for agent in agents:
        agent.start()
    for agent in agents:
        agent.join()
    assert [a.fault for a in agents if a.fault] == []
    return sum(a.denied for a in agents), time.monotonic() - begun


def test_a_loop_on_a_full_limit(redis_server, rationd):
    daemon = rationd(WEEKS, store=redis_server.url, flags=["--deadline-ms", 5000])
    fill(daemon)
    before, known = calls(redis_server), hits(daemon)
    with Pauses(daemon, redis_server) as pauses:
        begun = time.monotonic()
        denied, seconds = loop(daemon, 3)
        lost = pauses.lost_s(begun)
    asked = calls(redis_server) - before
    known = hits(daemon) - known
    print(f"{denied} denied, {known} of them by the cache, {asked} calls in "
          f"{seconds:.1f} s, of which {lost:.1f} s lost")
    # Each time that its answer comes so late that what was known is forgotten before, all
    # come: who comes while that call is under way is one more, and so two times again.
    late = min(lost / RENEW_S, seconds / (KEEP_S - RENEW_S))
    assert asked <= 6 * seconds + 1 + 3 * late
    assert asked >= 2 * (seconds - lost) - 1, "another daemon's give-back would not be seen"
    # Who is not answered by the cache is in a call, with all others at most.
    assert denied - known <= asked * CONNECTIONS * PIPELINE
    assert known > 10 * CONNECTIONS * PIPELINE


def test_off(redis_server, rationd):
    daemon = rationd(WEEKS, store=redis_server.url, flags=["--deny-cache-ms", 0])
    fill(daemon)
    before = calls(redis_server)
    for _ in range(50):
        assert daemon.check("t", "g")[0] == 429
    assert calls(redis_server) - before == 50
    assert hits(daemon) == 0


def test_the_same_answer(redis_server, rationd):
    """Also of the limits that had room; time goes on."""
    document = policy(t=[limit("a", "30d", 9), limit("c", "30d", 3),
                         limit("b", "hour", 9, algorithm="token_bucket"),
                         limit("z", "30d", 2, mode="shadow")])
    daemon = rationd(document, store=redis_server.url, flags=["--deny-cache-ms", 10000])
    fill(daemon)
    _, first, _ = daemon.check("t", "g")
    wait_for(lambda: daemon.check("t", "g")[1]["reset_ms"] < first["reset_ms"], 5)
    before = hits(daemon)
    _, known, _ = daemon.check("t", "g")
    _, asked, _ = daemon.check("t", "g", request_id="always-asks")
    assert hits(daemon) == before + 1
    for one, other in zip(known["limits"], asked["limits"]):
        for key, value in other.items():
            if key.endswith("_ms"):
                assert abs(one[key] - value) < 1000 * patience(1), (one, other)
            else:
                assert one[key] == value, (one, other)
    for body in known, asked:
        for entry in [body, *body["limits"]]:
            entry.pop("reset_ms"), entry.pop("retry_after_ms")
        body.pop("limits")
    assert known == asked


def test_a_raised_max(redis_server, rationd, tmp_path):
    files = write_policies(tmp_path, {"default": WEEKS})
    daemon = rationd(files, store=redis_server.url,
                     flags=["--deny-cache-ms", 10000, "--watch=false"])
    fill(daemon)
    assert daemon.check("t", "g")[0] == 429 and hits(daemon) > 0
    files[0].write_text(json.dumps(policy(t=[limit("c", "30d", 4)])))
    daemon.signal(1)
    wait_for(lambda: daemon.metric('ration_policy_reloads_total{result="ok"}') == 1)
    assert [daemon.check("t", "g")[0] for _ in range(2)] == [200, 429]


def reset(daemon):
    answer = daemon.post("/v1/reset", {"policy": "default", "scope": "grant=g"})
    assert answer.status_code == 200, answer.text


def test_reset_and_rollback_at_once(redis_server, rationd):
    daemon = rationd(WEEKS, store=redis_server.url, flags=["--deny-cache-ms", 10000])
    fill(daemon)
    for _ in range(20):
        reset(daemon)
        status, held, _ = daemon.check("t", "g", mode="reserve")
        assert status == 200
        fill(daemon, 2)
        body = {"reservation": held["reservation"]}
        assert daemon.post("/v1/rollback", body).json()["done"]
        fill(daemon, 1)


def test_reset_for_all_workers(redis_server, rationd):
    """Whichever worker made the reset, all of them know."""
    daemon = rationd(WEEKS, store=redis_server.url,
                     flags=["--deny-cache-ms", 10000, "--workers", 4])
    socks = [daemon.connect("resp") for _ in range(12)]

    def verdict(sock):
        sock.sendall(words("CHECK", "t", "g"))
        return read_answers(sock, 1)[0].verdict

    for _ in range(10):
        assert [verdict(sock) for sock in socks] == [1] * 3 + [0] * 9
        assert [verdict(sock) for sock in socks] == [0] * 12
        reset(daemon)
    assert hits(daemon) > 100
    for sock in socks:
        sock.close()


def test_another_daemon(redis_server, rationd):
    one = rationd(WEEKS, store=redis_server.url)
    other = rationd(WEEKS, store=redis_server.url)
    fill(one)
    assert one.check("t", "g")[0] == 429
    reset(other)
    with Pauses(one, redis_server) as pauses:
        begun = time.monotonic()
        wait_for(lambda: one.check("t", "g")[0] == 200, 2, every=0.001)
        pauses.assert_within(begun, KEEP_S + patience(0.1))


def test_late_charges_come_back(redis_server, rationd):
    """What was given back because it came too late is known at once."""
    daemon = rationd(WEEKS, store=redis_server.url,
                     flags=["--deny-cache-ms", 10000, "--deadline-ms", 5000])
    assert daemon.check("t", "g")[0] == 200
    with daemon.connect("resp") as sock:
        redis_server.pause()
        # Of one call: two that are charged too late leave no room for the third.
        sock.sendall(words("CHECK", "t", "g", "TIMEOUT", 30) * 2 +
                     words("CHECK", "t", "g", "COST", 2))
        assert [a.flags for a in read_answers(sock, 2)] == [1, 1]
        redis_server.resume()
        assert [a.verdict for a in read_answers(sock, 1)] == [0]
    wait_for(lambda: daemon.metric("ration_store_given_back_total") == 2)
    assert [daemon.check("t", "g", cost=2)[0] for _ in range(2)] == [200, 429]


def test_the_window_turns(redis_server, rationd):
    """Each second has its own three: none less, and none denied by the old count."""
    document = policy(t=[limit("c", "second", 3)])
    daemon = rationd(document, store=redis_server.url,
                     flags=["--deny-cache-ms", 10000, "--deadline-ms", 5000])
    by_second = {}
    with daemon.connect("resp") as sock, redis_server.client() as client:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        end = time.monotonic() + 4
        while time.monotonic() < end:
            before = client.time()
            sock.sendall(words("CHECK", "t", "g"))
            answer = read_answers(sock, 1)[0]
            after = client.time()
            if before[0] == after[0]:
                by_second.setdefault(after[0], []).append(answer.verdict)
    assert hits(daemon) > 100
    for second in sorted(by_second)[1:-1]:
        verdicts = by_second[second]
        # One or two may have been asked across the turn, and so are not in the list.
        assert verdicts == sorted(verdicts, reverse=True)
        assert 1 <= sum(verdicts) <= 3 and verdicts[0] == 1, (second, verdicts[:10])
