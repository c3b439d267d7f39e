# SPDX-License-Identifier: ISC
"""Policies and tokens change while rationd serves: all or nothing, without a check that
fails, is decided by two policies at once, or starts its counter anew."""
import hashlib
import json
import os
import re
import signal
import threading
import time

import pytest
import redis

from harness import limit, patience, policy, wait_for, write_policies
from load import LONG, read_answers, slack_ms, words
from pauses import OwnWait, Pauses

RELOADS = 'ration_policy_reloads_total{result="%s"}'
LONG = "30d"


def rate(most, window=LONG):
    return policy(t=[limit("c", window, most)])


def replace(path, document):
    """As editors and careful programs do: a new file, renamed over the old one."""
    text = document if isinstance(document, str) else json.dumps(document)
    new = path.with_name("." + path.name + ".new")
    new.write_text(text)
    new.rename(path)


def reloads(daemon):
    return tuple(daemon.metric(RELOADS % r) for r in ("ok", "refused"))


def hup(daemon):
    """SIGHUP, and waits for what comes of it; last_reload."""
    before = sum(reloads(daemon))
    daemon.signal(signal.SIGHUP)
    wait_for(lambda: sum(reloads(daemon)) > before, 10, "a reload")
    return last(daemon)


def last(daemon):
    return daemon.get("/v1/policies").json()["last_reload"]


def hashes(daemon):
    listed = daemon.get("/v1/policies").json()["policies"]
    return {p["name"]: p["hash"] for p in listed}


def in_force(daemon, path):
    want = hashlib.sha256(path.read_bytes()).hexdigest()
    return lambda: hashes(daemon).get(path.stem) == want


def max_of(daemon, grant="g"):
    return daemon.check("t", grant)[1]["limits"][0]["max"]


@pytest.fixture
def file(tmp_path):
    return write_policies(tmp_path / "p", {"default": rate(5)})[0]


# --- what is asked for --------------------------------------------------------------

def test_sighup(rationd, file, store):
    """A raised and a lowered max are in effect on the next check; the counter stays."""
    daemon = rationd([file], store=store.url, flags=["--watch=false"])
    assert last(daemon) is None
    for i in range(1, 6):
        assert daemon.check("t", "g")[1]["limits"][0]["used"] == i
    assert daemon.check("t", "g")[0] == 429
    file.write_text(json.dumps(rate(7)))
    report = hup(daemon)
    assert report["result"] == "ok" and report["changed"] and report["errors"] == []
    assert report["trigger"] == "signal" and report["more_errors"] == 0
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", report["time"])
    status, body, _ = daemon.check("t", "g")
    assert status == 200 and body["limits"][0]["used"] == 6
    assert body["limits"][0]["max"] == 7
    file.write_text(json.dumps(rate(3)))
    hup(daemon)
    status, body, _ = daemon.check("t", "g")
    assert status == 429 and body["limits"][0]["max"] == 3
    assert body["limits"][0]["used"] == 6 and body["limits"][0]["remaining"] == 0
    assert in_force(daemon, file)()
    assert reloads(daemon) == (2, 0)


def test_nothing_changed(rationd, file):
    daemon = rationd([file], flags=["--watch=false"])
    report = hup(daemon)
    assert report["result"] == "ok" and not report["changed"]
    assert max_of(daemon) == 5


def test_not_watched_when_told_so(rationd, file):
    daemon = rationd([file], flags=["--watch=false"])
    replace(file, rate(9))
    time.sleep(0.3)  # nothing is to come: too short a wait fails nobody
    assert max_of(daemon) == 5 and reloads(daemon) == (0, 0)
    hup(daemon)
    assert max_of(daemon) == 9


def test_draining_daemon_takes_no_sighup(rationd, file, redis_server):
    daemon = rationd([file], store=redis_server.url, flags=["--deadline-ms", 20000])
    with daemon.connect("resp") as sock:
        redis_server.pause()
        sock.sendall(words("CHECK", "t", "g"))
        wait_for(lambda: daemon.metric("ration_store_takes_total") == 1, 5, "the check")
        daemon.session.close()
        daemon.signal(signal.SIGTERM)
        wait_for(lambda: "draining" in daemon.log, 5, "the drain")
        daemon.signal(signal.SIGHUP)
        redis_server.resume()
        assert read_answers(sock, 1)[0].verdict == 1
    assert daemon.process.wait(patience(10)) == 0
    daemon.assert_no_findings()


# --- watched files ------------------------------------------------------------------

def test_written_in_place(rationd, file):
    daemon = rationd([file])
    for most in (6, 7, 8):
        file.write_text(json.dumps(rate(most)))
        wait_for(in_force(daemon, file), 5, "the new policy")
        assert max_of(daemon, str(most)) == most
    assert last(daemon)["trigger"] == "watch"


def test_renamed_over(rationd, file):
    daemon = rationd([file])
    for most in (6, 7, 8):
        replace(file, rate(most))
        wait_for(in_force(daemon, file), 5, "the new policy")
        assert max_of(daemon, str(most)) == most
    assert reloads(daemon) == (3, 0)


def test_deleted_and_made_again(rationd, file):
    daemon = rationd([file])
    file.unlink()
    wait_for(lambda: reloads(daemon) == (0, 1), 5, "a refusal")
    assert max_of(daemon) == 5
    assert "cannot open" in last(daemon)["errors"][0]["message"]
    assert daemon.metric("ration_policy_last_reload_success") == 0
    file.write_text(json.dumps(rate(6)))
    wait_for(in_force(daemon, file), 5, "the new policy")
    assert daemon.metric("ration_policy_last_reload_success") == 1


def test_configmap(rationd, tmp_path):
    """As Kubernetes writes one: NAME -> ..data/NAME, ..data -> a folder of one version,
    and only ..data is swapped. Both policies change in the same moment."""
    def version(n):
        folder = tmp_path / f"..2026_{n}"
        write_policies(folder, {"a": rate(n), "b": rate(n)})
        (tmp_path / "..data_tmp").symlink_to(folder.name)
        (tmp_path / "..data_tmp").rename(tmp_path / "..data")
    version(1)
    files = [tmp_path / "a.json", tmp_path / "b.json"]
    for path in files:
        path.symlink_to(f"..data/{path.name}")
    daemon = rationd(files)
    for n in (2, 3, 4):
        version(n)
        wait_for(in_force(daemon, files[0]), 5, "the new version")
        assert in_force(daemon, files[1])()
        for name in "ab":
            body = daemon.check("t", str(n), policy=name)[1]
            assert body["limits"][0]["max"] == n
    assert reloads(daemon) == (3, 0)


def test_changed_while_it_starts(rationd, tmp_path):
    """What was read, but not watched yet, is read again: a change is never lost."""
    tools = {f"tool{i}": [limit(f"c{i}", "hour", 9)] for i in range(10000)}
    a, b = write_policies(tmp_path, {"a": rate(1), "b": policy(**tools)})
    daemon = rationd([a, b], wait=None)
    wait_for(lambda: bytes_read(daemon) > b.stat().st_size, 10, "b being read")
    replace(a, rate(2))
    daemon.wait()
    wait_for(in_force(daemon, a), 5, "the new policy")


def bytes_read(daemon):
    with open(f"/proc/{daemon.pid}/io", encoding="ascii") as io:
        return int(io.readline().split()[1])


def test_one_of_several_is_broken(rationd, tmp_path):
    """All or nothing: the good one is not taken either, until both are good."""
    a, b = write_policies(tmp_path, {"a": rate(1), "b": rate(1)})
    daemon = rationd([a, b])
    before = hashes(daemon)
    replace(a, rate(2))
    replace(b, '{ "version": "1",\n  "defualt": "deny" }')
    wait_for(lambda: reloads(daemon)[1] >= 1, 5, "a refusal")
    replace(a, rate(3))
    wait_for(lambda: reloads(daemon)[1] >= 2, 5, "another")
    assert hashes(daemon)["b"] == before["b"]
    replace(b, rate(3))
    wait_for(in_force(daemon, b), 5, "the good ones")
    assert in_force(daemon, a)()


# --- refusals -----------------------------------------------------------------------

def test_a_bad_one_is_refused_and_told(rationd, file):
    daemon = rationd([file])
    before = hashes(daemon)
    replace(file, '{ "version": "1",\n  "default": "maybe",\n  "tools": {\n'
                  '    "t": { "limits": [ { "counter": "c", "window": "hour",\n'
                  '      "max": -1 } ] } } }')
    wait_for(lambda: reloads(daemon) == (0, 1), 5, "the refusal")
    report = last(daemon)
    assert report["result"] == "refused" and not report["changed"]
    places = [(e["file"], e["line"], e["pointer"]) for e in report["errors"]]
    assert places == [(str(file), 2, "/default"),
                      (str(file), 5, "/tools/t/limits/0/max")]
    assert all(e["message"] and e["column"] > 0 for e in report["errors"])
    assert hashes(daemon) == before and max_of(daemon) == 5
    assert daemon.metric("ration_policy_last_reload_success") == 0
    errors = [line["message"] for line in daemon.log_lines() if line["level"] == "error"]
    assert any(e.startswith(f"{file}:2:") for e in errors)
    assert any(e.startswith(f"{file}:5:") for e in errors)
    assert any("the old policies stay in force" in e for e in errors)
    replace(file, rate(6))
    wait_for(in_force(daemon, file), 5, "the mended one")
    assert last(daemon)["result"] == "ok" and last(daemon)["errors"] == []
    assert daemon.metric("ration_policy_last_reload_success") == 1


def test_many_errors(rationd, file):
    daemon = rationd([file], flags=["--watch=false"])
    tools = {f"t{i}": {"actoin": "deny"} for i in range(500)}
    file.write_text(json.dumps({"version": "1", "default": "deny", "tools": tools}))
    report = hup(daemon)
    assert len(report["errors"]) + report["more_errors"] == 500
    assert daemon.get("/livez").status_code == 200


# --- tokens -------------------------------------------------------------------------

@pytest.mark.parametrize("how", ["signal", "watch"])
def test_tokens_are_rotated(rationd, file, tmp_path, how):
    old, new = "old-token-0123456789", "new-token-0123456789"
    tokens = tmp_path / "tokens"
    tokens.write_text(old + "\n")
    flags = ["--token-file", tokens, f"--watch={'true' if how == 'watch' else 'false'}"]
    daemon = rationd([file], flags=flags)
    with daemon.resp() as client:
        assert accepted(client, old) and not accepted(client, new)
        rewrite(daemon, how, tokens, f"{old}\n{new}\n")
        wait_for(lambda: accepted(client, new), 5, "the new token")
        assert accepted(client, old)
        rewrite(daemon, how, tokens, new + "\n")
        wait_for(lambda: not accepted(client, old), 5, "the old token's end")
        rewrite(daemon, how, tokens, "short\n")
        wait_for(lambda: reloads(daemon)[1] == 1, 5, "the refusal")
        assert accepted(client, new)
        assert "short\\" not in json.dumps(last(daemon))


def rewrite(daemon, how, path, text):
    path.write_text(text)
    if how == "signal":
        hup(daemon)


def accepted(client, token):
    try:
        return client.execute_command("AUTH", token)
    except redis.RedisError:
        return False


# --- under load ---------------------------------------------------------------------

def three_limits(most):
    """Every limit of a version has the same max, so a mixture would show."""
    return {"version": "1", "default": "deny",
            "all_tools": {"limits": [limit("calls", LONG, most, scope="global")]},
            "tools": {"t": {"limits": [limit("a", LONG, most),
                                       limit("b", LONG, most, scope="global")]}}}


class Hammer:
    """HTTP pipelines at a steady rate; each answer's status and its limits' max, in
    the order of the connection."""

    def __init__(self, daemon, checks_a_second, connections=4, at_once=25):
        self.daemon, self.at_once = daemon, at_once
        self.every = connections * at_once / checks_a_second
        self.answers = [[] for _ in range(connections)]
        self.worst_s, self.errors = 0.0, []
        self.stop = threading.Event()
        self.threads = [threading.Thread(target=self._guard, args=(i,))
                        for i in range(connections)]
        body = b'{"tool":"t","grant":"g"}'
        self.request = (b"POST /v1/check HTTP/1.1\r\nHost: x\r\nContent-Type: "
                        b"application/json\r\nContent-Length: %d\r\n\r\n%s"
                        % (len(body), body)) * at_once

    def __enter__(self):
        self.begun = time.monotonic()
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *fault):
        self.stop.set()
        for thread in self.threads:
            thread.join()
        self.took_s = time.monotonic() - self.begun

    def total(self):
        return sum(len(answers) for answers in self.answers)

    def _guard(self, i):
        try:
            with self.daemon.connect("http") as sock:
                self._run(sock, self.answers[i])
        except Exception as fault:  # pylint: disable=broad-except
            self.errors.append(repr(fault))

    def _run(self, sock, kept):
        next_at = time.monotonic()
        while not self.stop.is_set():
            begun = time.monotonic()
            sock.sendall(self.request)
            kept += self._read(sock)
            self.worst_s = max(self.worst_s, time.monotonic() - begun)
            next_at = max(next_at + self.every, time.monotonic() - self.every)
            time.sleep(max(0.0, next_at - time.monotonic()))

    def _read(self, sock):
        data = b""
        while data.count(b'"reservation":null}') < self.at_once:
            more = sock.recv(1 << 18)
            assert more, "closed"
            data += more
        return [(int(answer[:3]), frozenset(re.findall(rb'"max":(\d+)', answer)),
                 answer.count(b'"max":')) for answer in data.split(b"HTTP/1.1 ")[1:]]


def test_under_load(rationd, tmp_path, store):
    """2,000 checks a second while the policies change: no check fails, none is decided
    by two policies, each connection sees them in order, and the counters go on."""
    n = 12
    path, = write_policies(tmp_path, {"default": three_limits(10**6)})
    daemon = rationd([path], store=store.url, flags=["--deadline-ms", 5000])
    with Hammer(daemon, 2000) as hammer:
        wait_for(lambda: hammer.total() > 500 or hammer.errors, 10, "the load")
        for i in range(1, n + 1):
            # Up and down in turn; every third is refused on the way.
            most = 10**6 + (i if i % 2 else -i)
            if i % 3 == 0:
                path.write_text('{ "version": "1" ')
                wait_for(lambda i=i: reloads(daemon)[1] >= i // 3, 10, "a refusal")
            replace(path, three_limits(most))
            if i % 2:
                daemon.signal(signal.SIGHUP)
            wait_for(in_force(daemon, path), 10, "the new policy")
            # In effect on the next check.
            assert {x["max"] for x in daemon.check("t", "g")[1]["limits"]} == {most}
        at = hammer.total()
        wait_for(lambda: hammer.total() > at + 500 or hammer.errors, 10, "more load")
    assert not hammer.errors, hammer.errors
    assert {status for answers in hammer.answers for status, _, _ in answers} == {200}
    order = [str(10**6).encode()] + [str(10**6 + (i if i % 2 else -i)).encode()
                                     for i in range(1, n + 1)]
    for answers in hammer.answers:
        assert all(len(most) == 1 and n == 3 for _, most, n in answers)
        seen = [order.index(next(iter(most))) for _, most, _ in answers]
        assert seen == sorted(seen) and seen[-1] == n
    # The counters went on: all that was ever allowed is what they hold.
    limits = daemon.check("t", "g")[1]["limits"]
    assert {x["used"] for x in limits} == {hammer.total() + n + 1}
    print(f"{hammer.total() / hammer.took_s:.0f} checks a second, "
          f"worst pipeline {hammer.worst_s * 1000:.1f} ms")


def test_a_large_one_does_not_stall(rationd, tmp_path):
    """10,000 tools are read in a helper thread: answers go on meanwhile."""
    tools = {f"tool{i}": [limit(f"c{i}", "hour", 9)] for i in range(10000)}
    large = policy(t=[limit("c", LONG, 10**9)], **tools)
    path, = write_policies(tmp_path, {"default": large})
    daemon = rationd([path], flags=["--watch=false"])
    asked = []

    def ask():
        with daemon.connect("resp") as sock, OwnWait() as wait:
            while not over.is_set():
                begun, waited = time.monotonic(), wait.ms
                sock.sendall(words("CHECK", "t", "g"))
                assert read_answers(sock, 1)[0].verdict == 1
                end = time.monotonic()
                asked.append((begun, end, wait.ms - waited))
                time.sleep(0.0005)
    over = threading.Event()
    thread = threading.Thread(target=ask)
    with Pauses(daemon) as pauses:
        thread.start()
        try:
            begun = time.monotonic()
            for _ in range(5):
                assert hup(daemon)["result"] == "ok"
            took_ms = (time.monotonic() - begun) * 1000 / 5
        finally:
            over.set()
            thread.join()
    # But for what the machine took.
    longest_us = sorted((end - begun - waited_ms / 1000 - pauses.lost_s(begun, end)) * 1e6
                        for begun, end, waited_ms in asked)
    print(f"a reload took {took_ms:.0f} ms; of {len(longest_us)} checks the median "
          f"took {longest_us[len(longest_us) // 2]:.0f} us, the longest "
          f"{longest_us[-1]:.0f} us")
    # The bulk never waits for a reload.
    assert longest_us[len(longest_us) * 95 // 100] < 10000 + slack_ms() * 1000


def test_checks_under_way_keep_their_policies(rationd, file, redis_server):
    """What Redis has not answered yet is decided by the policies it began with, though
    these are no longer in force; and what timed out meanwhile leaves nothing behind."""
    # One worker: Redis may take what comes over two connections in either order.
    daemon = rationd([file], store=redis_server.url,
                     flags=["--deadline-ms", 20000, "--workers", 1])
    with daemon.connect("resp") as slow, daemon.connect("resp") as quick:
        redis_server.pause()
        slow.sendall(words("CHECK", "t", "g") * 4)
        quick.sendall(words("CHECK", "t", "g", "TIMEOUT", "20") * 4)
        assert {a.flags & 1 for a in read_answers(quick, 4)} == {1}
        for most in (4, 3, 2):
            file.write_text(json.dumps(rate(most)))
            hup(daemon)
            slow.sendall(words("CHECK", "t", "g"))
            quick.sendall(words("CHECK", "t", "g", "TIMEOUT", "20"))
            assert read_answers(quick, 1)[0].flags & 1 == 1
        redis_server.resume()
        answers = read_answers(slow, 7)
    assert len(answers) == 7 and not any(a.flags & 1 for a in answers)
    assert {a.verdict for a in answers[:4]} == {1}
    # Four of at most 5 are taken, and up to one more by the quick ones until it is
    # given back: there is no room under 4, 3 and 2.
    assert {a.verdict for a in answers[4:]} == {0}
    for answer, most in zip(answers[4:], (4, 3, 2)):
        assert str(most) in answer.message


def test_it_stops_in_the_middle_of_a_reload(rationd, file):
    """Stopping in the middle of a reload is a clean end."""
    daemon = rationd([file])
    for most in range(20):
        replace(file, rate(most))
        daemon.signal(signal.SIGHUP)
    daemon.stop()


def test_memory_does_not_grow(rationd, tmp_path):
    """Swapped-out policies are freed."""
    tools = {f"tool{i}": [limit(f"c{i}", "hour", 9)] for i in range(3000)}
    path, = write_policies(tmp_path, {"default": policy(**tools)})
    daemon = rationd([path], flags=["--watch=false"])
    sizes = []
    for _ in range(12):
        hup(daemon)
        sizes.append(daemon.rss)
    fds = daemon.fds
    hup(daemon)
    assert daemon.fds == fds
    assert sizes[-1] < sizes[3] * 1.3 + (1 << 22), sizes


def test_descriptors_and_links(rationd, file):
    """Watching anew leaks no descriptor."""
    daemon = rationd([file])
    replace(file, rate(50))
    wait_for(in_force(daemon, file), 5, "the new policy")
    before = daemon.fds
    for most in range(51, 56):
        replace(file, rate(most))
        wait_for(in_force(daemon, file), 5, "the new policy")
    assert daemon.fds == before
    assert os.path.exists(file)
