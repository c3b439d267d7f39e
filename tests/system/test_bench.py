# SPDX-License-Identifier: ISC
"""ration bench: what it counts is what the daemon did, on both stores and over both
protocols; rates, stalls, broken connections and other ends."""
import contextlib
import fcntl
import json
import math
import os
import pty
import re
import signal
import socket
import struct
import subprocess
import termios
import threading
import time

import pytest

from harness import (RATION, bound_socket, built, clean_env, closed_port, limit,
                     no_findings, patience, policy, run_ration, tied, wait_for)
from pauses import Pauses, unhurried
from scripted import answer

BENCH = policy(call=[limit("calls", "30d", 20)], free=[], no={"action": "deny"},
               ask={"action": "require_approval"})
MIX = {"allow", "deny", "require_approval", "other"}
ERRORS = {"refused", "unavailable", "timeout", "lost"}
COUNTS = {"sent", "answers", "mix", "errors", "degraded", "bytes_sent", "bytes_received",
          "latency_us"}
LATENCY = {"count", "min", "mean", "p50", "p90", "p99", "p99_9", "max"}
PLAN = {"protocol", "address", "command", "connections", "pipeline", "threads", "grants",
        "skew", "skew_parameter", "rate", "duration_s", "requests", "warmup_s", "seed"}
REPORT = COUNTS | {"histogram_us", "plan", "seconds", "per_second", "cpu_seconds",
                   "missed", "reconnects", "connect_failures", "first_error",
                   "interrupted", "gave_up", "warmup"}


def to(daemon, protocol="resp"):
    """The words that name the daemon."""
    if protocol == "http":
        return ["--http", "%s:%d" % daemon.http_address]
    return ["--server", daemon.resp_text]


def check_counts(counts):
    mix, errors, latency = counts["mix"], counts["errors"], counts["latency_us"]
    assert set(mix) == MIX and set(errors) == ERRORS and set(latency) == LATENCY
    assert counts["sent"] == sum(mix.values()) + sum(errors.values())
    assert counts["answers"] == counts["sent"] - errors["timeout"] - errors["lost"]
    assert latency["count"] == counts["sent"] - errors["lost"]
    order = [latency[k] for k in ("min", "p50", "p90", "p99", "p99_9", "max")]
    assert order == sorted(order)
    assert latency["min"] <= latency["mean"] <= latency["max"]


def check_histogram(cells, latency):
    """It has every span, and says the same of them."""
    spans = [us for us, n in cells for _ in range(n)]
    assert cells == sorted(cells) and len(spans) == latency["count"]
    if spans:
        assert spans[-1] == latency["max"]
        assert spans[math.ceil(len(spans) * 0.99) - 1] == latency["p99"]


def report_of(text):
    """The report, which has to hold together."""
    report = json.loads(text)
    assert set(report) == REPORT and set(report["plan"]) == PLAN
    assert set(report["warmup"]) == COUNTS
    check_counts(report)
    check_counts(report["warmup"])
    check_histogram(report["histogram_us"], report["latency_us"])
    return report


def bench(*words, status=0, **kw):
    done = run_ration("bench", "--json", *map(str, words), **kw)
    assert done.returncode == status, (done.stderr, done.stdout)
    return report_of(done.stdout)


class Running:
    """A bench under way."""

    def __init__(self, *words):
        self.process = subprocess.Popen(
            tied([built(RATION), "bench", "--json", *words]), stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8",
            env=clean_env())

    @property
    def pid(self):
        return self.process.pid

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.process.kill()
        self.process.communicate()

    def end(self, status=0):
        out, err = self.process.communicate(timeout=patience(30))
        no_findings(subprocess.CompletedProcess([], 0, out, err))
        assert self.process.returncode == status, (err, out)
        return report_of(out)


def checked(daemon):
    """How many checks the daemon has decided."""
    return sum(float(line.split()[-1]) for line in daemon.get("/metrics").text.split("\n")
               if line.startswith("ration_checks_total{"))


def total(store):
    """What the counters in Redis hold, all together."""
    with store.redis.client() as r:
        return sum(int(r.get(key)) for key in r.scan_iter(count=1000))


# --- counts --------------------------------------------------------------------------


@pytest.mark.parametrize("protocol", ["resp", "http"])
def test_it_counts_what_was_done(rationd, store, protocol):
    daemon = rationd(BENCH, store=store.url, flags=["--deadline-ms", 5000])
    report = bench("--tool", "call", *to(daemon, protocol), "--requests", 3001, "--grants",
                   60, "--connections", 7, "--pipeline", 5, "--threads", 2, "--skew",
                   "zipf:0.8")
    assert report["sent"] == report["answers"] == 3001
    assert report["mix"]["allow"] + report["mix"]["deny"] == 3001
    assert 20 < report["mix"]["allow"] <= 60 * 20
    assert daemon.metric('ration_checks_total{verdict="allow"}') == report["mix"]["allow"]
    if store.redis:
        assert total(store) == report["mix"]["allow"]
    assert report["plan"]["protocol"] == protocol
    assert report["bytes_sent"] > 3001 * 40
    assert report["bytes_received"] > 3001 * 40
    assert report["missed"] == report["reconnects"] == report["connect_failures"] == 0


@pytest.mark.parametrize("protocol", ["resp", "http"])
def test_warmup_is_counted_apart(rationd, protocol):
    daemon = rationd(BENCH)
    report = bench("--tool", "call", *to(daemon, protocol), "--requests", 500, "--grants",
                   1000000, "--warmup", 1, "--connections", 3)
    allowed = [report["mix"]["allow"], report["warmup"]["mix"]["allow"]]
    assert allowed[0] == 500 and allowed[1] > 0
    assert daemon.metric('ration_checks_total{verdict="allow"}') == sum(allowed)


@pytest.mark.parametrize("protocol", ["resp", "http"])
@pytest.mark.parametrize("tool,outcome", [("free", "allow"), ("no", "deny"),
                                          ("ask", "require_approval")])
def test_every_verdict(rationd, protocol, tool, outcome):
    report = bench("--tool", tool, *to(rationd(BENCH), protocol), "--requests", 50)
    assert report["mix"][outcome] == 50


def test_cost_policy_and_hot_grant(rationd, redis_server):
    daemon = rationd({"default": BENCH, "other": policy(call=[limit("c", "30d", 1000)])},
                     store=redis_server.url)
    for protocol in ("resp", "http"):
        report = bench("--tool", "call", *to(daemon, protocol), "--requests", 30,
                       "--cost", 7, "--policy", "other", "--skew", "hot",
                       "--grant-prefix", protocol)
        assert report["mix"]["allow"] == 30
        with redis_server.client() as r:
            assert r.get(f"ration:other:{{grant={protocol}000000000000}}:c:2592000s"
                         ) == b"210"


def test_a_seed_repeats(rationd, redis_server):
    daemon = rationd(policy(call=[limit("c", "30d", 10**9)]), store=redis_server.url)
    words = ["--tool", "call", *to(daemon), "--requests", 300, "--connections", 1,
             "--grants", 100]
    seed = bench(*words)["plan"]["seed"]
    with redis_server.client() as r:
        once = {key: int(r.get(key)) for key in r.keys()}
        bench(*words, "--seed", seed)
        assert {key: int(r.get(key)) for key in r.keys()} == {
            key: 2 * n for key, n in once.items()}
        bench(*words, "--seed", seed + 1)
        assert {key: int(r.get(key)) for key in r.keys()} != {
            key: 3 * n for key, n in once.items()}


def test_a_command_for_redis(redis_server):
    words = ["--server", f"unix:{redis_server.path}", "--requests", 500]
    assert bench("--command", "PING", *words)["mix"]["other"] == 500
    report = bench("--command", "INCRBY {@grant@}:n 3", *words, "--grants", 50)
    assert report["mix"]["other"] == 500
    with redis_server.client() as r:
        assert sum(int(r.get(key)) for key in r.keys()) == 1500
        assert all(re.fullmatch(rb"\{g0{10}\d\d\}:n", key) for key in r.keys())
    report = bench("--command", "EVALSHA 00 0", *words, status=1)
    assert report["errors"]["refused"] == 500
    assert report["first_error"].startswith("NOSCRIPT")


def test_each_grant_in_its_turn(redis_server):
    bench("--command", "INCR {@grant@}", "--server", f"unix:{redis_server.path}",
          "--requests", 120, "--grants", 40, "--skew", "turn", "--pipeline", 7)
    with redis_server.client() as r:
        assert {int(r.get(key)) for key in r.keys()} == {3} and len(r.keys()) == 40


# --- rates ---------------------------------------------------------------------------


@pytest.mark.parametrize("protocol", ["resp", "http"])
def test_a_rate_is_held(rationd, protocol):
    daemon = rationd(BENCH)
    with Running("--tool", "call", *to(daemon, protocol), "--rate", "500", "--duration",
                 "2", "--connections", "10", "--threads", "3", "--pipeline", "4") as running, \
            Pauses(daemon, running) as pauses:
        begun = time.monotonic()
        report = running.end()
        lost = pauses.lost_s(begun)
    assert 1000 - 3 <= report["sent"] + report["missed"] <= 1000
    assert report["sent"] >= 900 - 500 * lost
    assert 2 <= report["seconds"] <= patience(3)


def test_a_rate_with_a_number_of_requests(rationd):
    report = bench("--tool", "free", *to(rationd(BENCH)), "--rate", 400, "--requests", 401)
    assert report["sent"] == 401 and report["missed"] == 0
    assert 0.99 <= report["seconds"] <= patience(3)


def test_a_stall_is_not_hidden(rationd):
    """One request waits out the stall, and all that were due meanwhile count with it."""
    daemon = rationd(BENCH)
    with Running("--tool", "free", *to(daemon), "--rate", "500", "--duration", "3",
                 "--connections", "1", "--seed", "1") as running:
        wait_for(lambda: checked(daemon) > 0, what="the load")
        daemon.pause()
        time.sleep(1)  # this is what has to be seen in the report
        daemon.resume()
        report = running.end()
    assert report["sent"] + report["missed"] >= 1499
    assert report["latency_us"]["max"] >= 900_000
    assert report["latency_us"]["p90"] >= 400_000  # a third of all were due in that second


def test_more_than_the_daemon_can_do_is_told(rationd):
    daemon = rationd(BENCH)
    report = bench("--tool", "free", *to(daemon), "--rate", 100_000_000, "--duration", 1,
                   "--connections", 1)
    assert report["missed"] > 0
    assert report["sent"] + report["missed"] <= 100_000_000


# --- errors --------------------------------------------------------------------------


@pytest.mark.parametrize("protocol", ["resp", "http"])
def test_refused_requests(rationd, protocol):
    report = bench("--tool", "x" * 2000, *to(rationd(BENCH), protocol), "--requests", 100,
                   "--pipeline", 3, status=1)
    assert report["errors"]["refused"] == report["answers"] == 100
    assert "1024" in report["first_error"]


@pytest.mark.parametrize("protocol", ["resp", "http"])
def test_without_the_store(rationd, redis_server, protocol):
    daemon = rationd(BENCH, store=redis_server.url)
    redis_server.kill()
    report = bench("--tool", "call", *to(daemon, protocol), "--requests", 100, status=1)
    assert report["errors"]["unavailable"] == report["degraded"] == 100


def test_more_connections_than_the_daemon_takes(rationd):
    """Those that it takes do all the work, and the report tells of the others."""
    report = bench("--tool", "free", *to(rationd(BENCH, flags=["--max-connections", 5])),
                   "--duration", 1, "--connections", 10, status=1)
    assert report["mix"]["allow"] > 0
    assert report["connect_failures"] + report["errors"]["refused"] + report["errors"][
        "lost"] > 0
    assert "max number of clients" in report["first_error"]


@pytest.mark.parametrize("protocol", ["resp", "http"])
def test_daemon_killed_in_the_middle(rationd, protocol):
    def killed(duration):
        daemon = rationd(BENCH)
        with Running("--tool", "call", *to(daemon, protocol), "--duration", str(duration),
                     "--pipeline", "4") as running:
            wait_for(lambda: checked(daemon) > 0, what="the load")
            daemon.kill()
            report = running.end(1)
        assert report["answers"] > 0
        # The kernel closes the dead process's sockets one after another: a connection that
        # is cut may come once more into the queue of a listener that is not closed yet.
        assert report["connect_failures"] > 0 and report["reconnects"] <= 50
        assert 0 < report["errors"]["lost"] <= (50 + report["reconnects"]) * 4
        assert not report["gave_up"]  # the time was up
    unhurried(killed, 2)


def test_giving_up_on_a_dead_daemon(rationd):
    daemon = rationd(BENCH)
    with Running("--tool", "call", *to(daemon), "--requests", "1000000000",
                 "--timeout-ms", "100", "--threads", "2") as running:
        wait_for(lambda: checked(daemon) > 0, what="the load")
        daemon.kill()
        report = running.end(1)
    assert report["gave_up"] and report["answers"] > 0


def test_no_answer_in_time(rationd):
    daemon = rationd(BENCH)
    daemon.pause()
    report = bench("--tool", "call", *to(daemon), "--duration", 1, "--timeout-ms", 300,
                   "--connections", 4, "--pipeline", 2, status=3)
    daemon.resume()
    assert report["answers"] == 0
    assert report["errors"]["timeout"] >= 8
    assert report["latency_us"]["min"] >= 300_000


# --- odd peers -----------------------------------------------------------------------


@contextlib.contextmanager
def peer(serve, receive_bytes=None):
    """Calls serve(conn) for each connection; what it closes is no fault of it."""
    threads, ending = [], threading.Event()

    def one(conn):
        with conn, contextlib.suppress(OSError):
            conn.settimeout(patience(10))
            serve(conn)

    def accept(listener):
        while not ending.is_set():
            with contextlib.suppress(OSError):
                conn = listener.accept()[0]
                threads.append(threading.Thread(target=one, args=[conn], daemon=True))
                threads[-1].start()
    with bound_socket() as listener:
        if receive_bytes:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        listener.settimeout(0.1)
        acceptor = threading.Thread(target=accept, args=[listener], daemon=True)
        acceptor.start()
        yield f"127.0.0.1:{listener.getsockname()[1]}"
        ending.set()
        acceptor.join(patience(10))
    for thread in threads:
        thread.join(patience(10))


def requests_of(conn, size=65536):
    """How many further commands came, again and again."""
    rest = b""
    while True:
        data = conn.recv(size)
        if not data:
            return
        rest += data
        yield rest.count(b"*3\r\n")
        rest = rest[-3:]


def test_answers_in_pieces():
    """Every answer is cut somewhere else, some of them between CR and LF."""
    one = answer(verdict=1, rule="/a", message="b", remaining=12345)

    def serve(conn):
        conn.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for n in requests_of(conn):
            data, step = one * n, 0
            while data:
                step = step % 17 + 1
                conn.sendall(data[:step])
                data = data[step:]
    with peer(serve) as address:
        report = bench("--tool", "t", "--server", address, "--requests", 300,
                       "--pipeline", 7, "--connections", 2)
    assert report["mix"]["allow"] == 300
    assert report["bytes_received"] == 300 * len(one)


def test_requests_that_the_system_does_not_take_at_once():
    """Eight megabytes in flight, read in small pieces: more than the buffers hold."""
    tool, count = "t" * 8000, 1024
    one = answer()

    def serve(conn):
        came = 0
        while True:
            data = conn.recv(30000)
            if not data:
                return
            came += len(data)
            # Each request has this length: the digits are always twelve.
            n, came = divmod(came, len(one_request))
            conn.sendall(one * n)
    one_request = (f"*3\r\n$5\r\nCHECK\r\n${len(tool)}\r\n{tool}\r\n$13\r\n"
                   "g000000000000\r\n")
    with peer(serve, receive_bytes=4096) as address:
        report = bench("--tool", tool, "--server", address, "--requests", 2 * count,
                       "--pipeline", count, "--connections", 1, "--timeout-ms", 30000)
    assert report["mix"]["allow"] == 2 * count
    assert report["bytes_sent"] == 2 * count * len(one_request)


def test_connections_that_end_again_and_again():
    """Each answers three of five, and is gone: nothing is sent twice, all is counted."""
    seen = []

    def serve(conn):
        for n in requests_of(conn):
            seen.append(n)
            conn.sendall(answer() * 3)
            if sum(seen) % 5 == 0:
                return
    with peer(serve) as address:
        report = bench("--tool", "t", "--server", address, "--requests", 50, "--pipeline",
                       5, "--connections", 1, status=1)
    assert report["sent"] == 50
    assert report["mix"]["allow"] == 30 and report["errors"]["lost"] == 20
    assert report["reconnects"] >= 9


def test_http_answers_that_close():
    body = b'{"verdict":"allow"}'
    one = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 19\r\n\r\n" + body

    def serve(conn):
        if conn.recv(65536):
            conn.sendall(one)
            conn.recv(65536)
    with peer(serve) as address:
        report = bench("--tool", "t", "--http", address, "--requests", 5, "--connections",
                       1)
    assert report["mix"]["allow"] == 5 and report["errors"]["lost"] == 0
    assert report["reconnects"] >= 4


def test_garbage_after_good_answers():
    def serve(conn):
        for i, n in enumerate(requests_of(conn)):
            conn.sendall(answer() * n if i < 2 else b"HTTP/1.1 200 OK\r\n")
    with peer(serve) as address:
        report = bench("--tool", "t", "--server", address, "--requests", 9,
                       "--connections", 1, status=1)
    assert report["mix"]["allow"] == 6 and report["errors"]["lost"] == 3
    assert report["first_error"] == "an answer is not understood"


def test_an_answer_too_much():
    def serve(conn):
        for n in requests_of(conn):
            conn.sendall(answer() * (n + 1))
    with peer(serve) as address:
        report = bench("--tool", "t", "--server", address, "--requests", 3,
                       "--connections", 1, status=1)
    assert report["mix"]["allow"] == 3 and report["connect_failures"] > 0
    assert report["first_error"] == "an answer came that nobody asked for"


# --- ends ----------------------------------------------------------------------------


def refused(*words, status, text):
    done = run_ration("bench", *words)
    assert (done.returncode, done.stdout) == (status, ""), done.stderr
    assert text in done.stderr
    assert done.stderr.startswith("ration: ")


def test_nobody_there(rationd):
    with closed_port() as port:
        refused("--tool", "t", "--server", f"127.0.0.1:{port}", status=3,
                text="cannot connect to")
    refused("--tool", "t", "--http", "unix:/nonexistent/socket", status=3,
            text="cannot connect to")


def test_the_other_protocol(rationd):
    daemon = rationd(BENCH)
    http = "%s:%d" % daemon.http_address
    refused("--tool", "free", "--server", http, status=3, text="is it a RESP listener?")
    refused("--tool", "free", "--http", daemon.resp_text, status=3,
            text="is it an HTTP listener?")


def test_tokens(rationd, tmp_path):
    token = tmp_path / "token"
    token.write_text("0123456789abcdef0123456789abcdef\n")
    wrong = tmp_path / "wrong"
    wrong.write_text("x" * 32)
    daemon = rationd(BENCH, flags=["--token-file", token])
    for protocol in ("resp", "http"):
        report = bench("--tool", "free", *to(daemon, protocol), "--requests", 20,
                       "--token-file", token)
        assert report["mix"]["allow"] == 20
    refused("--tool", "free", *to(daemon), "--token-file", str(wrong), status=3,
            text="the token is not accepted")


def test_interrupted(rationd):
    daemon = rationd(BENCH)
    with Running("--tool", "free", *to(daemon), "--duration", "600") as running:
        wait_for(lambda: checked(daemon) > 0, what="the load")
        running.process.send_signal(signal.SIGINT)
        report = running.end()
    assert report["interrupted"] and report["seconds"] < patience(20)
    assert report["answers"] == report["sent"] > 0
    assert checked(daemon) == report["answers"]


def test_interrupted_twice_while_nobody_answers():
    came = threading.Event()

    def serve(conn):
        while conn.recv(65536):
            came.set()
    with peer(serve) as address:
        with Running("--tool", "t", "--server", address, "--duration", "600",
                     "--timeout-ms", "60000", "--connections", "3") as running:
            assert came.wait(patience(10))
            # Of one kind a second signal may be swallowed by the first: two kinds.
            running.process.send_signal(signal.SIGINT)
            running.process.send_signal(signal.SIGTERM)
            report = running.end(1)
    assert report["interrupted"] and report["errors"]["lost"] == report["sent"] > 0


def test_text_and_environment(rationd):
    daemon = rationd(BENCH)
    done = run_ration("bench", "--tool", "free", "--requests", "200", "--pipeline=2",
                      env={"RATION_SERVER": daemon.resp_text})
    assert (done.returncode, done.stderr) == (0, "")
    assert re.fullmatch(
        r"free over RESP to 127\.0\.0\.1:\d+\n"
        r"50 connections, pipeline 2, 1 thread, as fast as possible\n"
        r"10000 grants, uniform; seed \d+\n\n"
        r"\d+ answers a second: 200 in \d+\.\d\d s\n"
        r"latency   p50 [\d.]+ [num]?s   p90 [\d.]+ [num]?s   p99 [\d.]+ [num]?s   "
        r"p99\.9 [\d.]+ [num]?s   max [\d.]+ [num]?s\n"
        r"answers   allow 200 \(100\.0 %\)\nerrors    none\n"
        r"bytes     \d+ sent, \d+ received\n(busy .*\n)?", done.stdout), done.stdout


def test_progress_on_a_terminal(rationd):
    daemon = rationd(BENCH)
    ours, theirs = pty.openpty()
    with subprocess.Popen(
            tied([built(RATION), "bench", "--tool", "free", "--duration", "1", "--json",
                  *to(daemon)]), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=theirs, env=clean_env()) as process:
        os.close(theirs)
        shown = b""
        with contextlib.suppress(OSError):  # the end of a terminal is an error
            while data := os.read(ours, 4096):
                shown += data
        report_of(process.stdout.read())
    os.close(ours)
    assert process.returncode == 0
    assert re.search(rb"\r +\d\.\d of 1 s +\d+/s  0 errors  \d+ answers", shown), shown
    assert shown.endswith(b" \r") and b"\n" not in shown


def test_progress_on_a_narrow_terminal(rationd):
    """A line that wraps would stay, and the next begin below it."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 30, 0, 0))
    with subprocess.Popen(
            tied([built(RATION), "bench", "--tool", "free", "--duration", "1", "--json",
                  *to(rationd(BENCH))]), stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=theirs, env=clean_env()) as process:
        os.close(theirs)
        shown = b""
        with contextlib.suppress(OSError):
            while data := os.read(ours, 4096):
                shown += data
        report_of(process.stdout.read())
    os.close(ours)
    lines = shown.split(b"\r")
    assert len(lines) > 2 and max(map(len, lines)) == 29, lines


@pytest.mark.parametrize("words,text", [
    ([], "--tool or --command is needed"),
    (["--tool", ""], "value is empty"),
    (["--tool", "t", "operand"], "takes no operand"),
    (["--tool", "t", "--connections", "0"], "--connections: 0 is not a whole number"),
    (["--tool", "t", "--connections", "20001"], "--connections"),
    (["--tool", "t", "--pipeline", "1025"], "--pipeline"),
    (["--tool", "t", "--threads", "2", "--connections", "1"], "more than --connections"),
    (["--tool", "t", "--grants", "0"], "--grants"),
    (["--tool", "t", "--rate", "0"], "--rate"),
    (["--tool", "t", "--rate", "1.5"], "--rate"),
    (["--tool", "t", "--duration", "0"], "--duration"),
    (["--tool", "t", "--duration", "1", "--requests", "1"], "exclude each other"),
    (["--tool", "t", "--http", "a:1", "--server", "b:2"], "exclude each other"),
    (["--tool", "t", "--skew", "normal"], "--skew: normal is not"),
    (["--tool", "t", "--skew", "zipf:0"], "--skew: zipf:0 is not"),
    (["--tool", "t", "--cost", "-1"], "--cost"),
    (["--tool", "t", "--command", "PING"], "--command: excludes"),
    (["--command", "PING", "--http", "a:1"], "--command: excludes"),
    (["--command", "  "], "--command: has no word"),
    (["--command", "@grant@" * 17], "--command: has no word, or more than 16"),
    (["--tool", "t", "--server", "nowhere"], 'address "nowhere"'),
    (["--tool", "t", "--tool", "u"], "given twice"),
    (["--tool", "t", "--conections", "1"], "did you mean --connections?"),
    (["--tool", "t", "--token-file", "/nonexistent"], "No such file"),
])
def test_bad_options(words, text):
    refused(*words, status=2, text=text)
