# SPDX-License-Identifier: ISC
"""The daemon as a process: exit codes, what it says at start, signals, drain."""
import json
import re
import signal
import socket
import time

import pytest

import harness
from harness import EXAMPLE, patience, run_rationd, wait_for


def messages(daemon):
    return [line["message"] for line in daemon.log_lines()]


def begin_request(daemon, part):
    """A connection on which rationd has read `part`, the start of a request."""
    sock = daemon.connect("http")
    # One write: who has answered the first request has read what follows it, too.
    sock.sendall(b"GET /livez HTTP/1.1\r\nHost: h\r\n\r\n" + part)
    answer = b""
    while not answer.endswith(b"\r\n\r\nok\n"):
        piece = sock.recv(65536)
        assert piece, answer
        answer += piece
    return sock


def code_of(daemon):
    return daemon.process.wait(patience(20))


@pytest.mark.parametrize("words, code, says", [
    (["--polcy", "x"], 64, "did you mean --policy?"),
    (["--deadline-ms", "0"], 64, "from 1 to 60000"),
    (["stray"], 64, "is not a flag"),
    ([], 78, "--policy"),
    (["--policy", "/nonexistent.json"], 78, "/nonexistent.json: cannot open"),
    (["--policy", EXAMPLE, "--listen-http", ":0"], 78, "--token-file"),
    (["--policy", EXAMPLE, "--store", "rediss://h"], 78, "not supported yet"),
    (["--policy", EXAMPLE, "--workers", "2"], 78, "not supported yet"),
    (["--policy", EXAMPLE, "--decision-log", "-"], 78, "not supported yet"),
    (["--policy", EXAMPLE, "--token-file", "/nonexistent"], 78, "cannot open"),
    (["--config", "/nonexistent"], 78, "cannot open"),
])
def test_exit_codes(words, code, says):
    done = run_rationd(*words)
    assert done.returncode == code, done.stderr
    assert says in done.stderr
    assert done.stdout == ""


def test_help_and_version():
    done = run_rationd("--help")
    assert done.returncode == 0 and "--listen-http" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80
    done = run_rationd("--version")
    assert done.returncode == 0
    assert re.fullmatch(r"rationd \d+\.\d+\.\d+\n", done.stdout)


def test_check_config(tmp_path):
    done = run_rationd("--policy", EXAMPLE, "--check-config")
    assert done.returncode == 0
    assert done.stdout.startswith("ok\npolicy create_connect_token: 1 tools, 1 limits")
    broken = tmp_path / "broken.json"
    broken.write_text('{"version": "1",\n "default": "maybe"}')
    other = tmp_path / "other.json"
    other.write_text('{"version": "1", "default": "deny",\n\n "tols": {}}')
    done = run_rationd("--policy", broken, "--policy", other, "--check-config")
    assert done.returncode == 78
    assert f"{broken}:2:" in done.stderr and f"{other}:3:" in done.stderr
    assert done.stdout == ""


def test_config_file_and_environment(tmp_path):
    file = tmp_path / "rationd.json"
    file.write_text(json.dumps({"policy": [str(EXAMPLE)], "listen_http": "unix:/f",
                                "listen_resp": "unix:/r", "deadline_ms": 9}))
    done = run_rationd("--config", file, "--check-config",
                       env={"RATION_LISTEN_HTTP": "unix:/e"})
    assert done.returncode == 0, done.stderr
    assert "http: unix:/e\nresp: unix:/r\n" in done.stdout
    file.write_text('{\n  "listen-http": "x"\n}')
    done = run_rationd("--config", file, "--check-config")
    assert done.returncode == 78
    assert f"{file}:2:3: " in done.stderr and "listen_http" in done.stderr


def test_taken_port_is_73():
    with harness.bound_socket() as taken:
        port = taken.getsockname()[1]
        done = run_rationd("--policy", EXAMPLE, "--listen-http", f"127.0.0.1:{port}",
                           "--listen-resp", "none")
    assert done.returncode == 73
    assert f"127.0.0.1:{port}" in done.stderr


def test_taken_port_of_another_rationd_is_73(rationd):
    daemon = rationd()
    done = run_rationd("--policy", EXAMPLE, "--listen-http", "none", "--listen-resp",
                       daemon.resp_text)
    assert done.returncode == 73


def test_log_tells_listeners_and_readiness(rationd):
    daemon = rationd()
    said = messages(daemon)
    assert f"listening for http on 127.0.0.1:{daemon.http_port}" in said
    assert f"listening for resp on 127.0.0.1:{daemon.resp_port}" in said
    assert any(m.startswith("ready: ") for m in said)


def test_sighup_changes_nothing(rationd):
    daemon = rationd()
    daemon.signal(signal.SIGHUP)
    wait_for(lambda: any("reload is not supported yet" in m for m in messages(daemon)))
    assert daemon.check("create_connect_token", "g")[0] == 200


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_closes_idle_connections(rationd, number):
    daemon = rationd()
    idle = [daemon.connect("http"), daemon.connect("resp")]
    daemon.get("/livez")
    daemon.signal(number)
    for sock in idle:
        with sock:
            assert sock.recv(100) == b""
    assert code_of(daemon) == 0


def test_what_is_under_way_is_answered(rationd, redis_server):
    """Redis stands still when the signal comes: the answer is that of the deadline."""
    daemon = rationd(store=redis_server.url, flags=["--deadline-ms", "1500"])
    body = b'{"tool":"create_connect_token","grant":"g"}'
    head = b"POST /v1/check HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\n"
    redis_server.pause()
    try:
        with daemon.connect("http") as sock:
            sock.sendall(head + b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
            wait_for(lambda: daemon.metric('ration_requests_total{front="http"}') >= 2)
            daemon.signal(signal.SIGTERM)
            answer = b""
            while piece := sock.recv(65536):
                answer += piece
    finally:
        redis_server.resume()
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert b"\r\nConnection: close\r\n" in answer
    assert code_of(daemon) == 0


def test_drain_stops_accepting_and_says_so(rationd):
    daemon = rationd(flags=["--drain-timeout-ms", "60000"])
    with begin_request(daemon, b"GET /readyz HTTP/1.1\r\n") as busy:
        daemon.signal(signal.SIGTERM)
        wait_for(lambda: any("draining" in m for m in messages(daemon)))
        with pytest.raises(OSError):
            socket.create_connection(daemon.http_address, 1).close()
        busy.sendall(b"Host: h\r\n\r\n")
        answer = b""
        while piece := busy.recv(65536):
            answer += piece
    assert answer.startswith(b"HTTP/1.1 503 ") and answer.endswith(b"draining\n")
    assert code_of(daemon) == 0


def test_drain_timeout_is_kept(rationd):
    daemon = rationd(flags=["--drain-timeout-ms", "300"])
    with begin_request(daemon, b"GET /livez HTT") as _slow:
        begun = time.monotonic()
        daemon.signal(signal.SIGTERM)
        assert code_of(daemon) == 0
        assert time.monotonic() - begun >= 0.3
    assert any("drain timeout" in m for m in messages(daemon))


def test_second_signal_stops_at_once(rationd):
    daemon = rationd(flags=["--drain-timeout-ms", "60000"])
    with begin_request(daemon, b"GET /livez HTT") as _slow:
        daemon.signal(signal.SIGTERM)
        wait_for(lambda: any("draining" in m for m in messages(daemon)))
        daemon.signal(signal.SIGTERM)
        assert code_of(daemon) == 1


def test_starts_before_redis(rationd, redis_factory):
    redis = redis_factory()
    redis.stop()
    daemon = rationd(store=redis.url, wait="live")
    answer = daemon.get("/readyz")
    assert answer.status_code == 503 and answer.text.startswith("store: ")
    assert daemon.check("create_connect_token", "g")[0] == 503
    redis.start()
    daemon.wait("ready")
    assert daemon.check("create_connect_token", "g")[0] == 200


def test_metrics_have_values(rationd):
    daemon = rationd()
    daemon.check("create_connect_token", "g")
    daemon.check("other", "g")
    assert daemon.metric('ration_checks_total{verdict="allow"}') == 1
    assert daemon.metric('ration_checks_total{verdict="deny_policy"}') == 1
    assert daemon.metric("ration_check_duration_seconds_count") == 2
    assert daemon.metric("ration_policies") == 1
    assert daemon.metric("ration_store_up") == 1
    assert daemon.metric("process_open_fds") == daemon.fds
