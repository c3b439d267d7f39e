# SPDX-License-Identifier: ISC
"""A Redis that keeps failing is not asked, and found again: the breaker, connections that
are lost without a word, and many daemons that come back at once."""
import collections
import socket
import time

import pytest

from fault_proxy import FaultProxy
from harness import limit, patience, policy, wait_for
from load import LONG, LONG_KEY, counter_key, slack_ms
from pacer import Pacer
from pauses import Pauses, met
from test_redis_odd import ScriptedRedis

DEADLINE_MS = 50
POLICY = policy(much=[limit("much", LONG, 10**9)])
OPENED = "ration_store_breaker_opened_total"


def fault(daemon, name):
    return daemon.metric(f'ration_store_faults_total{{class="{name}"}}')


def test_a_silent_one_is_not_waited_for(redis_server, rationd):
    """After a quarter of a second without a reply nobody waits for the deadline."""
    daemon = rationd(POLICY, store=redis_server.url, flags=["--deadline-ms", DEADLINE_MS])
    with Pacer([daemon], [("much", "a")], rate=1000, beside=[redis_server]) as load:
        load.wait_for_one("allow", 0)
        for _ in range(3):
            redis_server.pause()
            opened = daemon.metric(OPENED)
            wait_for(lambda: daemon.metric(OPENED) > opened, 5, "the breaker")
            silent = time.monotonic()
            assert daemon.get("/readyz").status_code == 503
            wait_for(lambda: load.count("store", since=silent) > 300, 20, "0.3 s of it")
            thawed = time.monotonic()
            redis_server.resume()
            load.wait_for_recovery(thawed)
            quick = [s.took_ms - load.noise_of(s) for s in load.samples
                     if silent < s.begun and s.begun + s.took_ms / 1000 < thawed]
            assert len(quick) > 100
            assert sorted(quick)[len(quick) // 2] < 10 + slack_ms()
            load.assert_recovered(thawed, 1000)
    load.assert_all_answered()
    load.assert_in_time(DEADLINE_MS)
    key = counter_key("much", LONG_KEY, grant="a")
    assert int(redis_server.client().get(key)) == load.count("allow")
    assert fault(daemon, "breaker") > 500
    assert daemon.metric("ration_store_late_total") > 0
    assert daemon.metric("ration_store_lost_total") == 0


class FailingRedis(ScriptedRedis):
    """Answers every call with the same, or, while that is None, admits it."""

    said = None

    def _answer(self, command):
        super()._answer(command)
        if command[0].upper() != b"EVALSHA":
            return
        if self.said:
            self.say(self.said)
        else:
            self.admit(-1)


BUSY = b"-BUSY Redis is busy running a script. You can only call SCRIPT KILL.\r\n"


@pytest.mark.parametrize("said, word, name", [
    (BUSY, "BUSY", "busy"),
    (b"-CLUSTERDOWN The cluster is down\r\n", "CLUSTERDOWN", "clusterdown"),
    (b"-TRYAGAIN Multiple keys request during rehashing of slot\r\n", "TRYAGAIN",
     "tryagain"),
    (b"-MOVED 1 127.0.0.1:1\r\n", "redis+cluster://", "moved"),
    (b"-MISCONF Errors writing to the AOF file: No space left\r\n", "No space",
     "misconf"),
    (b"-OOM command not allowed when used memory > 'maxmemory'.\r\n", "maxmemory",
     "memory"),
    (b"-NOREPLICAS Not enough good replicas to write.\r\n", "replicas", "noreplicas"),
    (b"-MASTERDOWN Link with MASTER is down\r\n", "MASTERDOWN", "masterdown"),
    (b"-LOADING Redis is loading the dataset in memory\r\n", "LOADING", "loading"),
    (b"-NOPERM this user has no permissions\r\n", "NOPERM", "configuration"),
])
def test_one_that_fails_is_asked_now_and_then(rationd, said, word, name):
    """Each class by its name, and after five failures in a row few calls more."""
    server = FailingRedis()
    daemon = rationd(POLICY, store=server.url, flags=["--deadline-ms", 1000])
    daemon.wait("ready")
    assert daemon.check("much", "g")[0] == 200
    server.said = said
    for _ in range(5):
        status, body, _ = daemon.check("much", "g")
        assert status == 503 and word in body["message"], body
    assert fault(daemon, name) == 5 and daemon.metric(OPENED) == 1
    begun, calls, refused = time.monotonic(), len(server.calls), 0
    while (time.monotonic() < begun + 1 or refused <= 20 or
           len(server.calls) < calls + 2):
        status, body, _ = daemon.check("much", "g")
        assert status == 503, body
        refused += "not asked" in body["message"]
        assert time.monotonic() < begun + patience(10), refused
    # Probes after 25 ... 50 ms, 50 ... 100, 100 ... 200, ..., 500 ... 1000.
    assert len(server.calls) - calls <= 6 + (time.monotonic() - begun - 1) / 0.5
    assert fault(daemon, "breaker") == refused
    assert daemon.get("/readyz").status_code == 503
    assert daemon.log.count("keep failing") == 1
    server.said = None
    wait_for(lambda: daemon.check("much", "g")[0] == 200, 3, "a probe that is answered")
    daemon.wait("ready")
    assert "answers again" in daemon.log
    server.close()


def test_without_checks_it_gets_ready_by_itself(rationd):
    """A balancer sends nothing to who is not ready: no check is there to be the probe."""
    server = FailingRedis()
    server.said = BUSY
    daemon = rationd(POLICY, store=server.url)
    daemon.wait("ready")
    for _ in range(5):
        assert daemon.check("much", "g")[0] == 503
    assert daemon.get("/readyz").status_code == 503
    server.said, calls = None, len(server.calls)
    wait_for(lambda: daemon.get("/readyz").status_code == 200, 5, "the breaker to rest")
    assert len(server.calls) == calls
    assert daemon.check("much", "g")[0] == 200
    server.close()


READONLY = b"-READONLY You can't write against a read only replica.\r\n"


def test_one_that_calls_itself_a_master_and_takes_no_writes(rationd):
    """As in the midst of a failover, or behind a proxy that errs: its introduction is
    fine each time, and so cannot be what ends the pauses between the attempts."""
    server = FailingRedis()
    server.said = READONLY
    daemon = rationd(POLICY, store=server.url)
    daemon.wait("ready")
    begun, refused = time.monotonic(), 0
    while time.monotonic() < begun + 2 or refused <= 50 or len(server.came) < 6:
        status, body, _ = daemon.check("much", "g")
        assert status == 503 and "takes no writes" in body["message"], body
        refused += 1
        assert time.monotonic() < begun + patience(10), (refused, server.came)
    # After 10 ms at most, 20, 40, ... 1000, or half as much.
    assert len(server.came) <= 12 + (time.monotonic() - begun - 2) / 0.5, server.came
    assert "READONLY" in daemon.get("/readyz").json()["why"]
    assert daemon.log.count("connected to") == 1, daemon.log
    assert daemon.log.count("not ready any more") == 1, daemon.log
    with Pauses(daemon) as pauses:
        server.said, healed = None, time.monotonic()
        wait_for(lambda: daemon.check("much", "g")[0] == 200, 3, "an answer")
        pauses.assert_within(healed, 1 + slack_ms() / 1000, what="an answer")
    daemon.wait("ready")
    assert daemon.log.count("connected to") == 2, daemon.log
    # That was the end of the trouble: the next one begins with a short pause.
    with Pauses(daemon) as pauses:
        lost = time.monotonic()
        server.connection.shutdown(socket.SHUT_RDWR)
        wait_for(lambda: daemon.check("much", "g")[0] == 200, 3, "a new connection")
        pauses.assert_within(lost, 0.1 + slack_ms() / 1000, server.came[-1])
    server.close()


def test_a_connection_that_is_lost_without_a_word(redis_server, rationd):
    """What went into the hole is gone; another connection takes its place."""
    with FaultProxy((redis_server.host, redis_server.port)) as proxy:
        daemon = rationd(POLICY, store=proxy.url, flags=["--deadline-ms", DEADLINE_MS])
        with Pacer([daemon], [("much", "a")], rate=500, beside=[redis_server]) as load:
            load.wait_for_one("allow", 0)
            proxy.half_open(up=True, down=True)
            wait_for(lambda: daemon.metric(OPENED) == 1, 5, "the breaker")
            proxy.heal()  # for new connections; the one there is has a hole
            healed = time.monotonic()
            load.wait_for_recovery(healed, seconds=8)
            # Silent for 3 s: then another one is made.
            load.assert_recovered(healed, 4000)
        load.assert_all_answered()
        load.assert_in_time(DEADLINE_MS)
        key = counter_key("much", LONG_KEY, grant="a")
        assert int(redis_server.client().get(key)) >= load.count("allow")
        assert daemon.metric("ration_store_lost_total") > 0
        assert "but on a new connection" in daemon.log


LINKS = 64


def test_many_do_not_come_at_once(rationd):
    """Connections that fail together: their next attempts spread out."""
    came = []
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as listener:
        url = "redis://127.0.0.1:%d" % listener.getsockname()[1]
        daemon = rationd(POLICY, store=url, flags=["--workers", LINKS], wait="live")
        listener.settimeout(patience(1))
        with Pauses(daemon) as pauses:
            end = time.monotonic() + 6
            while time.monotonic() < end:
                sock, _ = listener.accept()
                came.append(time.monotonic())
                sock.close()

    def lost(begun, until):
        """Of one link: by how much it, and who notes that it came, may have been late."""
        return (sum(met(pauses.stalls, begun, until)) +
                sum(met(pauses.waits, begun, until)) / LINKS) / 1000
    last = [t for t in came if t > end - 3]
    # Each waits 0.5 ... 1 s: 1.33 attempts a second, 4 in three.
    assert 2.5 * LINKS / (1 + lost(end - 3, end)) < len(last) < 6.5 * LINKS, len(last)
    buckets = collections.Counter(int((end - t) * 10) for t in last)
    for slot, n in buckets.items():
        # What was due while the machine was busy comes all at once behind it.
        due = 2 * LINKS * lost(end - slot / 10 - 1.1, end - slot / 10)
        assert n < 0.5 * LINKS + due, (slot, due, sorted(buckets.items()))
