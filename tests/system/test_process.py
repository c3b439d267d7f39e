# SPDX-License-Identifier: ISC
"""The daemon as a process: its configuration, what it says of itself."""
import json
import os
import re
import socket
import subprocess

from harness import EXAMPLE, RATIOND, built, clean_env, run_rationd, tied, wait_for


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
    assert done.stdout.startswith("ok\npolicy create_connect_token: 1 tool, 1 limit,")
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


def lives(path):
    """Whether a daemon answers on this socket."""
    with socket.socket(socket.AF_UNIX) as conn:
        try:
            conn.connect(str(path))
        except OSError:
            return False
        conn.sendall(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n")
        return conn.recv(12) == b"HTTP/1.1 200"


def test_closed_descriptors(tmp_path):
    """What the parent closed must not become a socket, into which the log would go."""
    with subprocess.Popen(
            tied(["sh", "-c", 'exec "$0" "$@" <&- >&- 2>&-', built(RATIOND), "--policy",
                  str(EXAMPLE), "--listen-http", f"unix:{tmp_path}/http",
                  "--listen-resp", "none"]), env=clean_env()) as daemon:
        try:
            wait_for(lambda: lives(tmp_path / "http"), what="an answer")
            for fd in range(3):
                assert os.readlink(f"/proc/{daemon.pid}/fd/{fd}") == "/dev/null"
        finally:
            daemon.terminate()
    assert daemon.returncode == 0


def test_starts_before_redis(rationd, redis_factory):
    redis = redis_factory()
    redis.stop()
    daemon = rationd(store=redis.url, wait="live")
    answer = daemon.get("/readyz")
    assert answer.status_code == 503 and answer.json()["why"]
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
