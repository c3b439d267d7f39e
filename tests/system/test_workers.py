# SPDX-License-Identifier: ISC
"""Several workers are one daemon: exact limits, one reload, one drain, one set of figures,
whatever worker a connection is with. test_exact and others run with RATION_WORKERS=4, too.
"""
import contextlib
import ctypes
import json
import os
import re
import resource
import signal
import socket
import threading
import time

import pytest
import requests

from harness import EXAMPLE, RATIOND, built, limit, patience, policy, run, wait_for
from load import Load, read_answers, words
from test_exact import FLAGS, WINDOW, assert_exact, redis_key, storm
from test_drain import (EXIT_CUT, PATIENT, POLICY, assert_counted, assert_refused, closes,
                        drain_under_load, draining, ended_with, ends_within, quick_s,
                        under_way)

WORKERS = 4
FOUR = ["--workers", str(WORKERS)]


def ask_spread(sock):
    """How many connections each worker has, the one that asks included."""
    sock.sendall(words("INFO", "clients"))
    text, found = b"", None
    while not found:
        more = sock.recv(1 << 16)
        assert more, text
        text += more
        found = re.search(rb"worker_connections:([0-9,]+)\r\n", text)
    return [int(n) for n in found[1].split(b",")]


def spread(daemon):
    """The same, asked over a connection that is closed then."""
    with daemon.connect("resp") as sock:
        return ask_spread(sock)


@contextlib.contextmanager
def one_of_each(daemon, protocol="resp"):
    """A connection with each worker: who comes next goes to who has the fewest."""
    with contextlib.ExitStack() as stack:
        daemon.session.close()
        wait_for(lambda: sum(spread(daemon)) <= 1, 5, "a daemon without connections")
        socks = [stack.enter_context(daemon.connect(protocol)) for _ in range(WORKERS)]
        wait_for(lambda: min(spread(daemon)) >= 1, 5, "a connection with each worker")
        yield socks


def check_all(socks, tool="t", grant="one"):
    """One check over each; the verdicts."""
    for sock in socks:
        sock.sendall(words("CHECK", tool, grant))
    return [read_answers(sock, 1)[0].verdict for sock in socks]


def test_exact_under_load(rationd, store):
    daemon = rationd(policy(t=[limit("calls", WINDOW, 500)]), store=store.url,
                     flags=[*FLAGS, *FOUR])
    assert_exact(storm([daemon], clients=32, checks=1600, maximum=500), 500)
    assert daemon.metric('ration_checks_total{verdict="allow"}') == 500
    assert daemon.metric('ration_checks_total{verdict="deny_limit"}') == 1100
    if store.redis:
        with store.redis.client() as client:
            assert client.get(redis_key("calls")) == b"500"
            mine = [c for c in client.client_list() if c["cmd"] in ("evalsha", "eval")]
            assert len(mine) == WORKERS  # each has asked over a connection of its own


def test_connections_are_spread(rationd):
    """A thousand that do nothing, and none of a worker's own: the fewest get the next."""
    daemon = rationd(POLICY, flags=[*FOUR, "--max-connections", 1100])
    socks = [daemon.connect("resp" if i % 4 else "http") for i in range(1000)]
    daemon.session.close()
    wait_for(lambda: sum(spread(daemon)) >= 1000, 10, "1,000 connections")
    counts = spread(daemon)
    assert len(counts) == WORKERS and max(counts) - min(counts) <= 2, counts
    # Whoever is left with few gets the next ones.
    for sock in socks[:500]:
        sock.close()
    wait_for(lambda: sum(spread(daemon)) <= 502, 10, "500 closed")
    socks = socks[500:] + [daemon.connect("resp") for _ in range(300)]
    wait_for(lambda: sum(spread(daemon)) >= 800, 10, "800 connections")
    counts = spread(daemon)
    assert max(counts) - min(counts) <= 2, counts
    for sock in socks:
        sock.close()


def test_the_maximum_is_of_all(rationd):
    """Not one too many, and none refused while there is room, whoever has it."""
    daemon = rationd(POLICY, flags=[*FOUR, "--max-connections", 10])
    daemon.session.close()
    with daemon.connect("resp") as asking:
        for _ in range(3):
            wait_for(lambda: sum(ask_spread(asking)) == 1, 5, "room")
            socks = [daemon.connect("resp") for _ in range(9)]
            assert check_all(socks, "much") == [1] * 9
            with daemon.connect("resp") as sock:
                sock.settimeout(patience(5))
                assert b"max number of clients" in sock.recv(1000)
                assert sock.recv(1000) == b""
            for sock in socks:
                sock.close()


def test_ids_of_connections_differ(rationd):
    daemon = rationd(POLICY, flags=FOUR)
    with one_of_each(daemon) as socks:
        for sock in socks:
            sock.sendall(words("CLIENT", "ID"))
        assert len({sock.recv(100) for sock in socks}) == WORKERS


def test_reload_is_told_when_all_have_it(rationd, store):
    """Once /v1/policies shows the new document, from whichever worker, no worker judges
    by the old one; before, every answer is of the one or the other."""
    document = [policy(t=[limit("a", WINDOW, 10**9)]), policy(u=[limit("a", WINDOW, 10**9)])]
    daemon = rationd(document[0], store=store.url, flags=[*FOUR, "--watch=false",
                                                          "--deadline-ms", 30000])
    path = daemon.dir / "policies" / "default.json"

    def told():
        body = daemon.get("/v1/policies").json()
        return body["policies"][0]["hash"], body["last_reload"] and body["last_reload"]["time"]
    with one_of_each(daemon) as socks:
        stop, faults = threading.Event(), []
        threads = [threading.Thread(target=hammer, args=(daemon, stop, faults))
                   for _ in range(4)]
        for thread in threads:
            thread.start()
        for turn in range(1, 21):
            before = told()
            path.write_text(json.dumps(document[turn % 2]))
            daemon.signal(signal.SIGHUP)
            after = wait_for(lambda before=before: told()[0] != before[0] and told(), 5,
                             "another hash")
            assert after[1] != before[1]
            yes, no = ("u", "t") if turn % 2 else ("t", "u")
            assert check_all(socks, yes) == [1] * WORKERS
            assert check_all(socks, no) == [0] * WORKERS
        stop.set()
        for thread in threads:
            thread.join()
    assert not faults, faults[:3]
    assert daemon.metric('ration_policy_reloads_total{result="ok"}') == 20
    assert daemon.metric("ration_policies") == 1


def hammer(daemon, stop, faults):
    """Pairs of checks of which one is allowed and one is not, whichever policy it is –
    but where it is swapped between them."""
    try:
        with daemon.connect("resp") as sock:
            while not stop.is_set():
                sock.sendall(words("CHECK", "t", "g") + words("CHECK", "u", "g"))
                rules = {a.rule for a in read_answers(sock, 2)}
                if not rules <= {"", "(default deny)"}:
                    faults.append(rules)
    except Exception as fault:  # pylint: disable=broad-except
        faults.append(repr(fault))


def test_many_reloads_at_once(rationd):
    daemon = rationd(POLICY, flags=FOUR)
    with Load(daemon, [("much", "g")], rate=400, resp=7, http=1) as load:
        for _ in range(200):
            daemon.signal(signal.SIGHUP)
            time.sleep(0.001)
        load.wait_for_one("allow", time.monotonic())
        wait_for(lambda: daemon.metric('ration_policy_reloads_total{result="ok"}') >= 2,
                 5, "reloads")
    assert {s.kind for s in load.samples} == {"allow"}


def test_tokens_change_everywhere(rationd, tmp_path):
    """The old secret opens no worker's door any more once the reload is told."""
    file, old, new = tmp_path / "tokens", "old-secret-0123456789", "new-secret-0123456789"
    file.write_text(old + "\n")
    file.chmod(0o600)
    daemon = rationd(POLICY, flags=[*FOUR, "--watch=false", "--token-file", file],
                     wait=None, resp_host="0.0.0.0", http_host="0.0.0.0")
    daemon.wait()

    def statuses(token):
        # Each with a connection of its own: they go round.
        return {requests.get(daemon.http + "/version", timeout=patience(10),
                             headers={"Authorization": f"Bearer {token}"}).status_code
                for _ in range(3 * WORKERS)}
    assert statuses(old) == {200} and statuses(new) == {401}
    file.write_text(new + "\n")
    daemon.signal(signal.SIGHUP)
    wait_for(lambda: "done (signal)" in daemon.log, 5, "the reload")
    assert statuses(new) == {200} and statuses(old) == {401}


def test_drain_under_load(rationd, store):
    daemon = rationd(POLICY, store=store.url, flags=[*FOUR, "--deadline-ms", 20000])
    told = drain_under_load(daemon, 8)
    assert "drained" in daemon.log
    if store.redis:
        with store.redis.client() as client:
            assert_counted(told, client)
    assert_refused(daemon)


def test_drain_waits_for_every_worker(redis_server, rationd):
    daemon = rationd(POLICY, store=redis_server.url, flags=[*PATIENT, *FOUR])
    with one_of_each(daemon) as socks:
        redis_server.pause()
        for sock in socks:
            sock.sendall(words("CHECK", "much", "g") * 5)
        under_way(daemon, 5 * WORKERS)
        daemon.session.close()
        daemon.signal(signal.SIGTERM)
        draining(daemon)
        assert daemon.running
        redis_server.resume()
        for sock in socks:
            assert [a.verdict for a in read_answers(sock, 5)] == [1] * 5
            assert closes(sock)
    assert ended_with(daemon) == 0


@pytest.mark.parametrize("busy", range(WORKERS))
def test_second_signal_stops_all(redis_server, rationd, busy):
    """Exit code 1 when anything is cut off, whichever worker had it."""
    daemon = rationd(POLICY, store=redis_server.url, flags=[
        *PATIENT, *FOUR, "--drain-timeout-ms", 20000])
    with one_of_each(daemon) as socks:
        redis_server.pause()
        socks[busy].sendall(words("CHECK", "much", "g") * 5)
        under_way(daemon, 5)
        daemon.session.close()
        daemon.signal(signal.SIGTERM)
        draining(daemon)
        ends_within(daemon, quick_s(), EXIT_CUT)
    redis_server.resume()


def test_drain_has_an_end(redis_server, rationd):
    daemon = rationd(POLICY, store=redis_server.url,
                     flags=[*PATIENT, *FOUR, "--drain-timeout-ms", 400])
    with one_of_each(daemon) as socks:
        redis_server.pause()
        for sock in socks:
            sock.sendall(words("CHECK", "much", "g"))
        under_way(daemon, WORKERS)
        daemon.session.close()
        ends_within(daemon, 0.4 + quick_s(), least=0.4)
    assert "drain timeout" in daemon.log
    redis_server.resume()


def test_ready_when_all_are(redis_server, rationd):
    """One worker's connection to Redis is gone: not ready, and store_up says so."""
    daemon = rationd(POLICY, store=redis_server.url, flags=FOUR)
    assert daemon.metric("ration_store_up") == 1
    with redis_server.client() as client:
        ids = [c["id"] for c in client.client_list() if c["cmd"] != "client|list"
               and c["cmd"] != "client"]
        assert len(ids) == WORKERS
        # No more connections than these three and our own: the fourth cannot come back.
        client.config_set("maxclients", WORKERS)
        client.client_kill_filter(_id=ids[0])

        def unready():
            answer = daemon.get("/readyz")
            return answer.status_code == 503 and answer.json()["why"]
        assert wait_for(unready, 5, "503")
        for _ in range(2 * WORKERS):  # whichever worker is asked
            assert requests.get(daemon.http + "/readyz",
                                timeout=patience(10)).status_code == 503
        assert daemon.metric("ration_store_up") == 0
        client.config_set("maxclients", 1000)
    daemon.wait("ready")
    wait_for(lambda: daemon.metric("ration_store_up") == 1, 5, "store_up")


@pytest.fixture
def two_ports(rationd):
    """A daemon on ports that it has found itself, besides those it inherits."""
    daemon = rationd(POLICY, flags=[*FOUR, "--listen-resp", "127.0.0.1:0"])
    ports = re.findall(r"listening for resp on 127\.0\.0\.1:(\d+)", daemon.log)
    return daemon, int(ports[1])


def test_one_port_for_all(two_ports):
    daemon, port = two_ports
    daemon.session.close()
    wait_for(lambda: sum(spread(daemon)) == 1, 5, "no connection but the asking one")
    socks = [socket.create_connection(("127.0.0.1", port)) for _ in range(4 * WORKERS)]
    assert check_all(socks, "much") == [1] * len(socks)
    counts = spread(daemon)
    assert max(counts) - min(counts) <= 1, counts
    for sock in socks:
        sock.close()


def run_second(port, workers):
    return run(built(RATIOND), "--policy", EXAMPLE, "--listen-http", "none",
               "--listen-resp", f"127.0.0.1:{port}", "--workers", workers)


@pytest.mark.parametrize("workers", [1, WORKERS])
def test_port_of_another_daemon(two_ports, workers):
    done = run_second(two_ports[1], workers)
    assert done.returncode == 73 and "Address already in use" in done.stderr


def test_port_of_somebody_who_would_share():
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sock.bind(("127.0.0.1", 0))
        sock.listen(1)
        assert run_second(sock.getsockname()[1], WORKERS).returncode == 73


def test_nobody_else_gets_into_the_port(two_ports):
    """Also not by SO_REUSEPORT: he would take callers away."""
    with socket.socket() as sock, pytest.raises(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sock.bind(("127.0.0.1", two_ports[1]))


def test_unix_socket(rationd, tmp_path):
    """One file, all workers behind it, removed at the end and only then."""
    path = tmp_path / "s"
    daemon = rationd(POLICY, flags=[*FOUR, "--listen-resp", f"unix:{path}"])
    daemon.session.close()
    wait_for(lambda: sum(spread(daemon)) == 1, 5, "no connection but the asking one")
    socks = []
    for _ in range(2 * WORKERS):
        socks.append(socket.socket(socket.AF_UNIX))
        socks[-1].connect(str(path))
    assert check_all(socks, "much") == [1] * len(socks)
    counts = spread(daemon)
    assert max(counts) - min(counts) <= 1 and path.exists(), counts
    daemon.signal(signal.SIGTERM)
    assert ended_with(daemon) == 0
    assert not path.exists()
    for sock in socks:
        sock.close()


def test_half_requests_count_together(rationd):
    """max-buffered-bytes is of the process: one worker may have all of it, four do not
    have four times that."""
    daemon = rationd(POLICY, flags=[*FOUR, "--max-buffered-bytes", 1 << 20,
                                  "--max-request-bytes", 1 << 20])
    series = 'ration_connections_closed_total{reason="crowded"}'
    big = 400000
    with one_of_each(daemon) as socks:  # more than a fourth of it, through one worker
        command = words("CHECK", "x" * big, "g")
        socks[2].sendall(command[:-10])
        time.sleep(0.05)  # so that it is seen in two parts; either way it is answered
        socks[2].sendall(command[-10:])
        assert socks[2].recv(100)
        assert daemon.metric(series) == 0
    socks = [daemon.connect("resp") for _ in range(4 * WORKERS)]
    for sock in socks:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            sock.sendall(command[:big // 2])
    wait_for(lambda: daemon.metric(series) >= 2 * WORKERS, 5, "the crowd sent away")
    for sock in socks:
        sock.close()


def test_decision_log_of_all(rationd, tmp_path):
    file = tmp_path / "decisions"
    daemon = rationd(POLICY, flags=[*FOUR, "--decision-log", file])
    with one_of_each(daemon) as socks:
        for sock in socks:
            sock.sendall(words("CHECK", "much", "g") * 250)
        for sock in socks:
            assert len(read_answers(sock, 250)) == 250
    daemon.stop()
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert len(lines) == 250 * WORKERS


def test_open_files_are_foreseen(rationd, redis_server):
    """The warning counts what each further worker really opens, and one more for when
    its connection to the store is being made; a client of ours may be there still."""
    found = []
    for workers in (1, 33):
        daemon = rationd(POLICY, store=redis_server.url, flags=[
            "--workers", workers, "--max-connections", 1000000])
        daemon.session.close()
        wait_for(lambda daemon=daemon: sum(spread(daemon)) == 1, 5, "no other connection")
        warned = re.search(r"(\d+) are needed for 1000000 connections", daemon.log)
        if not warned:
            pytest.skip("so many open files are allowed that nothing is warned of")
        found.append((int(warned[1]), daemon.fds))
        daemon.stop()
    (few, few_open), (many, many_open) = found
    assert many - few >= many_open - few_open + 32 - 4


PTRACE_SEIZE, PTRACE_INTERRUPT, PTRACE_DETACH = 0x4206, 0x4207, 17
WALL = 0x40000000  # waitpid() for a thread


@contextlib.contextmanager
def stuck_worker(daemon):
    """One worker, not the first, stands still; the others go on."""
    call = ctypes.CDLL(None, use_errno=True).ptrace
    call.argtypes = [ctypes.c_long] * 4
    tids = [int(t) for t in os.listdir(f"/proc/{daemon.pid}/task")]
    tid = max(tids)  # a sanitizer's own thread is the second
    if call(PTRACE_SEIZE, tid, 0, 0) < 0:
        pytest.skip(f"ptrace: {os.strerror(ctypes.get_errno())}")
    assert call(PTRACE_INTERRUPT, tid, 0, 0) == 0
    os.waitpid(tid, WALL)
    try:
        yield
    finally:
        call(PTRACE_DETACH, tid, 0, 0)


def test_stuck_worker(rationd):
    """Connections that one worker does not take go round among the others once its box is
    full; nobody's is lost, and a reload is told when it has gone on."""
    stuck = 1024  # MAILBOX_MAX
    if resource.getrlimit(resource.RLIMIT_NOFILE)[1] < 4 * stuck:
        pytest.skip("the hard limit of open files is too low")
    daemon = rationd(POLICY, flags=["--workers", 3, "--watch=false"])
    daemon.session.close()
    wait_for(lambda: sum(spread(daemon)) == 1, 5, "no other connection")
    with contextlib.ExitStack() as stack:
        with stuck_worker(daemon):
            socks = []
            for _ in range(3 * stuck + 400):
                socks.append(stack.enter_context(daemon.connect("resp")))
                socks[-1].sendall(words("CHECK", "much", "g"))
            # The last one is not with the worker whose box is full.
            assert read_answers(socks[-1], 1)[0].verdict == 1
            daemon.signal(signal.SIGHUP)  # now: or its letter may be one of the box's

            def all_met():
                counts = sorted(ask_spread(socks[-1]))
                return sum(counts[1:]) == len(socks) - stuck and counts
            counts = wait_for(all_met, 5, "all the others' connections")
            # It may have stopped before it saw the end of one of ours.
            assert counts[0] <= 1 and counts[2] - counts[1] <= 2, counts
            assert "done (signal)" not in daemon.log
        for sock in socks[:-1]:
            assert read_answers(sock, 1)[0].verdict == 1
        wait_for(lambda: "done (signal)" in daemon.log, 5, "the reload")
    daemon.signal(signal.SIGTERM)
    assert ended_with(daemon) == 0
