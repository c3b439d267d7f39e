# SPDX-License-Identifier: ISC
"""rationd as a process: exit codes, addresses, tokens, logs, too many and too idle
connections."""
import json
import os
import re
import signal
import socket
import stat
import subprocess

import pytest
import redis

from harness import (EXAMPLE, RATIOND, Client, bound_socket, built, clean_env, patience,
                     run, run_ration, run_rationd, wait_for)

TOKEN = "correct-horse-battery-staple"
OTHER_TOKEN = "another-token-of-the-same-kind"
NO_LISTENERS = ["--listen-http", "127.0.0.1:0", "--listen-resp", "127.0.0.1:0"]


# --- exit codes ---------------------------------------------------------------------

@pytest.mark.parametrize("words", [
    ["--colour"], ["--policy"], ["stray"], ["--insecure=maybe"],
    ["--policy", EXAMPLE, "--deadline-ms", "5x"],
    ["--policy", EXAMPLE, "--store", "memory", "--store", "memory"],
])
def test_usage_is_64(words):
    done = run_rationd(*words)
    assert done.returncode == 64
    assert done.stdout == "" and done.stderr


@pytest.mark.parametrize("words,piece", [
    ([], "--policy"),
    (["--policy", "/nonexistent.json"], "/nonexistent.json"),
    (["--policy", EXAMPLE, "--policy", EXAMPLE], "create_connect_token"),
    (["--policy", EXAMPLE, "--store", "redis://[broken"], "--store"),
    (["--policy", EXAMPLE, "--store", "rediss://h:1", "--store-tls-ca", "/nonexistent.pem"],
     "/nonexistent.pem"),
    (["--policy", EXAMPLE, "--deadline-ms", "0"], "--deadline-ms"),
    (["--policy", EXAMPLE, "--workers", "65"], "not a whole number from 1 to 64"),
    (["--policy", EXAMPLE, "--local-share", "0"], "not a whole number from 1 to 1000000"),
    (["--policy", EXAMPLE, "--token-file", "/nonexistent"], "/nonexistent"),
    (["--policy", EXAMPLE, "--config", "/nonexistent"], "/nonexistent"),
    (["--policy", EXAMPLE, "--key-prefix", "a:b"], "--key-prefix"),
])
def test_configuration_is_78(words, piece):
    done = run_rationd(*words, *NO_LISTENERS)
    assert done.returncode == 78
    assert piece in done.stderr
    assert "listening" not in done.stderr


@pytest.mark.parametrize("flag", ["--listen-http", "--listen-resp"])
@pytest.mark.parametrize("host", ["0.0.0.0", "", "[::]"])
def test_other_hosts_are_not_served_without_a_word(flag, host):
    done = run_rationd("--policy", EXAMPLE, *NO_LISTENERS, flag, f"{host}:0")
    assert done.returncode == 78
    assert flag in done.stderr
    assert "--token-file" in done.stderr and "--insecure" in done.stderr


def test_inherited_sockets_that_other_hosts_reach_need_a_word_too():
    with bound_socket("0.0.0.0") as sock:
        done = run_rationd("--policy", EXAMPLE, "--listen-http", f"fd:{sock.fileno()}",
                           "--listen-resp", "none", pass_fds=(sock.fileno(),))
    assert done.returncode == 78
    assert "--token-file" in done.stderr


@pytest.mark.parametrize("flag", ["--listen-http", "--listen-resp"])
@pytest.mark.parametrize("reuse", [False, True])
def test_a_taken_port_is_73(flag, reuse):
    """Also where its holder would share it."""
    with socket.socket() as holder:
        if reuse:
            holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        address = f"127.0.0.1:{holder.getsockname()[1]}"
        other = {"--listen-http": "--listen-resp", "--listen-resp": "--listen-http"}[flag]
        done = run_rationd("--policy", EXAMPLE, flag, address, other, "127.0.0.1:0")
    assert done.returncode == 73
    assert address in done.stderr


def test_a_live_unix_socket_is_73(rationd, tmp_path):
    rationd(flags=["--listen-resp", f"unix:{tmp_path}/s"])
    done = run_rationd("--policy", EXAMPLE, "--listen-http", "none", "--listen-resp",
                       f"unix:{tmp_path}/s")
    assert done.returncode == 73
    assert f"{tmp_path}/s" in done.stderr


def test_told_and_done_is_0():
    assert re.fullmatch(r"rationd \d+\.\d+\.\d+\n", run_rationd("--version").stdout)
    done = run_rationd("--help")
    assert done.returncode == 0
    for flag in ("--policy", "--store", "--listen-http", "--token-file", "--deadline-ms"):
        assert flag in done.stdout
    done = run_rationd("--check-config", "--policy", EXAMPLE)
    assert (done.returncode, done.stderr) == (0, "")
    assert "policy create_connect_token: 1 tool, 1 limit," in done.stdout


def test_a_fault_of_the_token_file_names_its_line_once(tmp_path):
    (tmp_path / "tok").write_text(f"# ours\n{TOKEN}\nshort\n")
    (tmp_path / "tok").chmod(0o600)
    done = run_rationd("--check-config", "--policy", EXAMPLE,
                       "--token-file", tmp_path / "tok")
    assert done.returncode == 78
    assert done.stderr == (f"{tmp_path}/tok:3: a token must have 16 to 1024 bytes, "
                           "not 5\n")


def test_what_could_not_be_printed_was_not_told():
    for words in (["--check-config", "--policy", EXAMPLE], ["--help"], ["--version"]):
        with open("/dev/full", "w") as full:
            done = subprocess.run([built(RATIOND), *words], stdout=full, env=clean_env(),
                                  stderr=subprocess.PIPE, timeout=patience(20))
        assert done.returncode == 69
        assert b"cannot write" in done.stderr


def test_flags_win_over_variables_over_the_file(rationd, tmp_path):
    config = tmp_path / "rationd.json"
    config.write_text(json.dumps({"deadline_ms": 5, "key_prefix": "file",
                                  "max_connections": 7}))
    words = ["--config", config, "--policy", EXAMPLE, "--check-config"]
    assert run_rationd(*words).returncode == 0
    bad = run_rationd(*words, env={"RATION_KEY_PREFIX": "a:b"})
    assert bad.returncode == 78 and "RATION_KEY_PREFIX" in bad.stderr
    config.write_text('{"deadline_ms": 5,\n "key_prefxi": "x"}')
    bad = run_rationd(*words)
    assert bad.returncode == 78
    assert f"{config}:2:" in bad.stderr and "key_prefix" in bad.stderr


def test_key_prefix_from_the_environment(rationd, redis_server):
    daemon = rationd(store=redis_server.url, env={"RATION_KEY_PREFIX": "here"})
    daemon.check("create_connect_token", "g")
    with redis_server.client() as client:
        key, = client.keys("*")
    assert key.startswith(b"here:create_connect_token:{grant=g}:")


# --- Unix sockets -------------------------------------------------------------------

def test_unix_sockets(rationd, tmp_path):
    paths = {"http": tmp_path / "http.sock", "resp": tmp_path / "resp.sock"}
    daemon = rationd(flags=["--listen-http", f"unix:{paths['http']}",
                            "--listen-resp", f"unix:{paths['resp']}"])
    for path in paths.values():
        assert stat.S_IMODE(os.stat(path).st_mode) & 0o007 == 0
    body = '{"tool":"create_connect_token","grant":"g"}'
    done = run("curl", "-sS", "--unix-socket", paths["http"], "http://ration/v1/check",
               "-H", "Content-Type: application/json", "-d", body)
    assert json.loads(done.stdout)["limits"][0]["remaining"] == 29
    with Client(unix_socket_path=str(paths["resp"])) as client:
        assert client.execute_command("CHECK", "create_connect_token", "g")[3] == 28
    done = run_ration("check", "create_connect_token", "--grant", "g", "--json",
                      "--server", f"unix:{paths['resp']}")
    assert json.loads(done.stdout)["remaining"] == 27
    daemon.stop()
    assert not any(path.exists() for path in paths.values())


def test_a_dead_unix_socket_is_replaced(rationd, tmp_path):
    flags = ["--listen-resp", f"unix:{tmp_path}/s"]
    rationd(flags=flags).kill()
    assert (tmp_path / "s").exists()
    rationd(flags=flags)
    with Client(unix_socket_path=f"{tmp_path}/s") as client:
        assert client.ping()


# --- tokens -------------------------------------------------------------------------

@pytest.fixture
def token_file(tmp_path):
    file = tmp_path / "tokens"
    file.write_text(f"# for the gateways\n{OTHER_TOKEN}\n\n{TOKEN}\n")
    return file


@pytest.fixture
def guarded(rationd, token_file):
    """A daemon with tokens, on listeners that other hosts can reach. Who calls from this
    host needs a token there too: he may be a proxy."""
    daemon = rationd(flags=["--token-file", token_file], http_host="0.0.0.0",
                     resp_host="0.0.0.0")
    daemon.outer = "127.0.0.1"
    return daemon


def outer_check(daemon, headers):
    return daemon.session.post(
        f"http://{daemon.outer}:{daemon.http_port}/v1/check", timeout=patience(10),
        json={"tool": "create_connect_token", "grant": "g"}, headers=headers)


@pytest.mark.parametrize("headers,status", [
    ({}, 401), ({"Authorization": TOKEN}, 401), ({"Authorization": f"Basic {TOKEN}"}, 401),
    ({"Authorization": f"Bearer {TOKEN}x"}, 401), ({"Authorization": "Bearer "}, 401),
    ({"Authorization": f"Bearer {TOKEN[:-1]}"}, 401),
    ({"Authorization": f"Bearer {TOKEN}"}, 200), ({"Authorization": f"bearer {TOKEN}"}, 200),
    ({"Authorization": f"Bearer {OTHER_TOKEN}"}, 200),
])
def test_bearer(guarded, headers, status):
    r = outer_check(guarded, headers)
    assert r.status_code == status
    if status == 401:
        assert r.headers["Content-Type"] == "application/problem+json"
        assert r.headers["WWW-Authenticate"].startswith("Bearer")
        # It was not charged.
        assert outer_check(guarded, {"Authorization": f"Bearer {TOKEN}"}).json()[
            "limits"][0]["remaining"] == 29


def test_health_needs_no_token(guarded):
    base = f"http://{guarded.outer}:{guarded.http_port}"
    statuses = {path: guarded.session.get(base + path).status_code for path in (
        "/livez", "/readyz", "/metrics", "/version", "/v1/policies", "/v1/auth")}
    assert statuses == {"/livez": 200, "/readyz": 200, "/metrics": 401, "/version": 401,
                        "/v1/policies": 401, "/v1/auth": 401}


def test_resp_auth(guarded):
    def connect(**kw):
        return Client(guarded.outer, guarded.resp_port, **kw)
    with connect() as client:
        for command in (["CHECK", "create_connect_token", "g"], ["INFO"]):
            with pytest.raises(redis.AuthenticationError, match="NOAUTH|[Aa]uth"):
                client.execute_command(*command)
    for wrong in (TOKEN + "x", "x"):
        with connect(password=wrong) as client:
            with pytest.raises(redis.ResponseError, match="WRONGPASS"):
                client.ping()
    for auth in ({"password": TOKEN}, {"password": OTHER_TOKEN},
                 {"username": "default", "password": TOKEN}):
        with connect(**auth) as client:
            assert client.execute_command("CHECK", "create_connect_token", "g")[0] == 1
    with socket.create_connection((guarded.outer, guarded.resp_port), 10) as sock:
        sock.sendall(b"HELLO 3\r\n")
        assert sock.recv(4096).startswith(b"-NOAUTH ")
        sock.sendall(f"HELLO 3 AUTH default {TOKEN}\r\nPING\r\n".encode())
        answer = b""
        while not answer.endswith(b"+PONG\r\n"):
            more = sock.recv(4096)
            assert more, answer
            answer += more
        assert answer.startswith(b"%")


def test_ration_shows_its_token(guarded, tmp_path):
    (tmp_path / "mine").write_text(TOKEN + "\n")
    (tmp_path / "wrong").write_text("not-a-token-of-this-daemon\n")
    words = ["check", "create_connect_token", "--grant", "g", "--server",
             f"{guarded.outer}:{guarded.resp_port}"]
    assert run_ration(*words, "--token-file", tmp_path / "mine").returncode == 0
    for more in ([], ["--token-file", tmp_path / "wrong"]):
        done = run_ration(*words, *more)
        assert done.returncode == 3
        assert done.stderr and TOKEN not in done.stderr


def test_a_local_listener_needs_no_token(rationd, token_file):
    """A token guards against other hosts; a wrong one is refused all the same."""
    daemon = rationd(flags=["--token-file", token_file])
    assert daemon.check("create_connect_token", "g")[0] == 200
    with daemon.resp() as client:
        assert client.execute_command("CHECK", "create_connect_token", "g")[0] == 1
        with pytest.raises(redis.ResponseError, match="WRONGPASS"):
            client.execute_command("AUTH", TOKEN + "x")
        assert client.execute_command("AUTH", TOKEN)
    assert TOKEN not in daemon.log


def test_insecure(rationd):
    daemon = rationd(flags=["--insecure"], http_host="0.0.0.0", resp_host="0.0.0.0")
    daemon.outer = "127.0.0.1"
    assert outer_check(daemon, {}).status_code == 200
    assert "--insecure" in daemon.log


@pytest.mark.parametrize("text", ["", "# nothing\n\n", "short\n", "x" * 2000 + "\n"])
def test_a_token_file_without_a_good_token_is_78(tmp_path, text):
    (tmp_path / "tokens").write_text(text)
    done = run_rationd("--policy", EXAMPLE, "--token-file", tmp_path / "tokens",
                       *NO_LISTENERS)
    assert done.returncode == 78
    assert "tokens" in done.stderr


# --- logs, connections --------------------------------------------------------------

def test_the_log_says_where_it_listens(rationd):
    daemon = rationd(flags=["--listen-http", "127.0.0.1:0"])
    lines = daemon.log_lines()
    assert all({"time", "level", "room", "message"} == set(line) for line in lines)
    texts = [line["message"] for line in lines]
    assert f"listening for http on 127.0.0.1:{daemon.http_port}" in texts
    assert f"listening for resp on 127.0.0.1:{daemon.resp_port}" in texts
    assert sum(text.startswith("listening for http on 127.0.0.1:") for text in texts) == 2


def test_text_logs(rationd):
    daemon = rationd(flags=["--log-format", "text", "--log-level", "warn",
                            "--insecure"])
    wait_for(lambda: "--insecure" in daemon.log, 5, "the warning")
    assert re.match(r"\d{4}-\d\d-\d\dT[\d:.]+Z warn  server: --insecure", daemon.log)
    assert "listening" not in daemon.log


def test_too_many_connections_are_refused_and_counted(rationd):
    daemon = rationd(flags=["--max-connections", "5"])
    daemon.get("/livez", headers={"Connection": "close"})
    held = []
    for _ in range(5):
        sock = daemon.connect("resp")
        sock.sendall(b"PING\r\n")
        assert sock.recv(100) == b"+PONG\r\n"
        held.append(sock)
    with daemon.connect("resp") as sock:
        assert b"+PONG" not in sock.recv(1000)
    held.pop().close()
    r = wait_for(lambda: attempt(daemon), 5, "room for one connection")
    assert "ration_connections_refused_total" in r
    for sock in held:
        sock.close()
    assert float(re.search(r"^ration_connections_refused_total (\d+)", r, re.M)[1]) >= 1


def attempt(daemon):
    try:
        r = daemon.get("/metrics", headers={"Connection": "close"})
    except OSError:
        return None
    return r.text if r.status_code == 200 else None


def test_idle_connections_are_closed(rationd):
    daemon = rationd(flags=["--idle-timeout-ms", "300"])
    with daemon.connect("resp") as resp, daemon.connect("http") as http:
        resp.sendall(b"PING\r\n")
        assert resp.recv(100) == b"+PONG\r\n"
        resp.settimeout(patience(5))
        http.settimeout(patience(5))
        assert resp.recv(100) == b""
        http.recv(1000)  # nothing, or a last word
        assert http.recv(1000) == b""
    assert daemon.metric('ration_connections_closed_total{reason="idle"}') >= 2
