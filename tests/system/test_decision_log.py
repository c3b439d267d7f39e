# SPDX-License-Identifier: ISC
"""The decision log: a line for every decision, no argument's value, and no check that
waits for a disk or a reader."""
import calendar
import json
import os
import re
import resource
import signal
import stat
import subprocess
import threading
import time

import pytest
import redis

from harness import (EXAMPLE, RATIOND, built, clean_env, limit, patience, policy,
                     run_rationd, tied, wait_for, write_policies)
from load import read_answers, words

LINES = "ration_decision_log_lines_total"
LOST = "ration_decision_log_lost_total"
PLENTY = policy(t=[limit("c", "30d", 10**9)], stop={"action": "deny"},
                few=[limit("f", "30d", 1)])
MEMBERS = ["time", "policy", "hash", "grant", "tool", "verdict", "rule", "latency_us",
           "args", "degraded", "fault", "replayed", "mode"]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "decisions.log"


def lines_of(path, n, seconds=5):
    """The file's lines as JSON, once there are n."""
    def enough():
        data = path.read_bytes() if path.exists() else b""
        return data if data.count(b"\n") >= n else None
    data = wait_for(enough, seconds, f"{n} decisions in the log")
    assert data.endswith(b"\n")
    return [json.loads(line) for line in data.splitlines()]


def test_one_line_for_each_decision(rationd, path, store):
    daemon = rationd(PLENTY, store=store.url, flags=["--decision-log", path])
    sha = daemon.get("/v1/policies").json()["policies"][0]["hash"]
    begun = time.time()
    daemon.check("t", "alice", args={"zeta": "SECRET-1", "amount": 5, "b": {"in": "S2"}})
    daemon.check("few", "bob")
    daemon.check("few", "bob", args={})
    daemon.check("stop", "carol")
    daemon.check("none", 'd"\n\u00e9')
    daemon.check("t", "erin", policy="nowhere")
    with daemon.resp() as client:
        client.execute_command("CHECK", "t", "frank", "ARGS", '{"q":"SECRET-3","a":1}')
    got = lines_of(path, 7)
    assert all(list(line) == MEMBERS for line in got)
    assert [(x["tool"], x["grant"], x["verdict"], x["rule"]) for x in got] == [
        ("t", "alice", "allow", ""),
        ("few", "bob", "allow", ""),
        ("few", "bob", "deny", "/tools/few/limits/f"),
        ("stop", "carol", "deny", "/tools/stop/action"),
        ("none", 'd"\n\u00e9', "deny", "(default deny)"),
        ("t", "erin", "deny", "(no policy)"),
        ("t", "frank", "allow", "")]
    assert [x["args"] for x in got] == [["amount", "b", "zeta"], [], [], [], [], [],
                                        ["a", "q"]]
    assert {x["hash"] for x in got} == {sha[:12], ""}
    assert got[5]["hash"] == "" and got[5]["policy"] == "nowhere"
    assert {x["policy"] for x in got} == {"default", "nowhere"}
    for line in got:
        assert 0 <= line["latency_us"] < patience(10) * 1e6
        when = re.fullmatch(r"(.{19})\.(\d{3})Z", line["time"])
        at = time.strptime(when[1], "%Y-%m-%dT%H:%M:%S")
        assert begun - 0.001 <= calendar.timegm(at) + int(when[2]) / 1000 <= time.time()
        assert line["degraded"] is False and line["replayed"] is False
    text = path.read_text()
    assert "SECRET" not in text and "S2" not in text and '"in"' not in text
    assert daemon.metric(LINES) == 7 and daemon.metric(LOST) == 0


def test_what_is_malformed_is_no_decision(rationd, path):
    daemon = rationd(PLENTY, flags=["--decision-log", path])
    assert daemon.post("/v1/check", {"tool": "t"}).status_code in (400, 422)
    daemon.check("t", "g")
    assert len(lines_of(path, 1)) == 1


def test_store_away(rationd, path, redis_server):
    daemon = rationd(PLENTY, store=redis_server.url,
                     flags=["--decision-log", path, "--deadline-ms", 100])
    redis_server.pause()
    assert daemon.check("t", "g")[0] == 503
    redis_server.resume()
    line, = lines_of(path, 1)
    assert line["degraded"] is True and line["verdict"] == "deny"
    assert line["fault"] == "timeout"
    assert line["latency_us"] >= 50000


def test_many_and_long_names(rationd, path):
    daemon = rationd(PLENTY, flags=["--decision-log", path])
    daemon.check("t", "g", args={f"n{i:04}": i for i in range(999, -1, -1)})
    daemon.check("t", "g", args={"\u20ac" * 100: 1, "a": 2, "\U0001f600\n\"": 3})
    many, long = lines_of(path, 2)
    assert many["args"] == [f"n{i:04}" for i in range(936, 1000)]
    assert many["more_args"] == 936
    assert list(many) == MEMBERS[:9] + ["more_args"] + MEMBERS[9:]
    assert long["args"] == ["a", "\u20ac" * 42, "\U0001f600\n\""]
    assert "more_args" not in long


def test_the_hash_follows_a_reload(rationd, path, tmp_path):
    file, = write_policies(tmp_path / "p", {"default": PLENTY})
    daemon = rationd([file], flags=["--decision-log", path, "--watch=false"])
    daemon.check("t", "g")
    file.write_text(json.dumps(policy(t=[limit("c", "30d", 7)])))
    daemon.signal(signal.SIGHUP)
    wait_for(lambda: daemon.metric('ration_policy_reloads_total{result="ok"}') == 1, 5,
             "the reload")
    sha = daemon.get("/v1/policies").json()["policies"][0]["hash"]
    daemon.check("t", "g")
    before, after = lines_of(path, 2)
    assert before["hash"] != after["hash"] == sha[:12]


# --- the file -----------------------------------------------------------------------

def test_mode_and_append(rationd, path):
    path.write_text('{"before":true}\n')
    daemon = rationd(PLENTY, flags=["--decision-log", path])
    daemon.check("t", "g")
    assert lines_of(path, 2)[0] == {"before": True}
    daemon.stop()
    path.unlink()
    before = os.umask(0)
    try:
        daemon = rationd(PLENTY, flags=["--decision-log", path])
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_moved_away_and_reopened(rationd, path):
    """logrotate: rename, SIGHUP; no line is lost or written twice."""
    daemon = rationd(PLENTY, flags=["--decision-log", path])
    moved = []
    for i in range(4):
        with daemon.connect("resp") as sock:
            sock.sendall(words("CHECK", "t", f"g{i}") * 500)
            read_answers(sock, 500)
        moved.append(path.with_name(f"moved{i}"))
        path.rename(moved[-1])
        daemon.signal(signal.SIGHUP)
        wait_for(path.exists, 5, "the new file")
    daemon.check("t", "last")
    daemon.stop()
    grants = [json.loads(line)["grant"] for file in [*moved, path]
              for line in file.read_text().splitlines()]
    assert grants == [f"g{i}" for i in range(4) for _ in range(500)] + ["last"]


def test_it_cannot_be_opened_again(rationd, path):
    """The folder is gone: the old file is written on, and the log says so."""
    folder = path.parent / "logs"
    folder.mkdir()
    file = folder / "d.log"
    daemon = rationd(PLENTY, flags=["--decision-log", file])
    with open(file, "rb") as old:
        moved = path.parent / "away"
        folder.rename(moved)
        daemon.signal(signal.SIGHUP)
        wait_for(lambda: "cannot open" in daemon.log, 5, "the warning")
        daemon.check("t", "g")
        wait_for(lambda: old.read().count(b"\n") == 1, 5, "the line")


@pytest.mark.parametrize("value, word", [
    ("/nowhere/at/all.log", "No such file"), ("/tmp", "Is a directory")])
def test_bad_paths_are_told_at_start(value, word):
    done = run_rationd("--policy", EXAMPLE, "--decision-log", value,
                       "--listen-http", "127.0.0.1:0", "--listen-resp", "none")
    assert done.returncode == 78
    assert "--decision-log" in done.stderr and word in done.stderr


def test_check_config_makes_no_file(path):
    done = run_rationd("--policy", EXAMPLE, "--decision-log", path, "--check-config")
    assert done.returncode == 0 and not path.exists()


@pytest.mark.parametrize("flag", ["--policy", "--token-file", "--config"])
def test_what_is_read_is_not_written(tmp_path, flag):
    """A slip of the pen must not spoil a policy with the first decision."""
    text = {"--policy": json.dumps(PLENTY), "--token-file": "0123456789abcdef\n",
            "--config": "{}"}[flag]
    file, link = tmp_path / "file.json", tmp_path / "link"
    file.write_text(text)
    link.symlink_to(file)
    for log in (file, link):
        done = run_rationd("--policy", EXAMPLE, flag, file, "--decision-log", log,
                           "--listen-http", "127.0.0.1:0", "--listen-resp", "none")
        assert done.returncode == 78 and "read as well" in done.stderr
    assert file.read_text() == text


def test_check_config_tells_what_the_start_would(path):
    for log in (path / "in" / "no" / "folder", path.parent):
        done = run_rationd("--policy", EXAMPLE, "--decision-log", log, "--check-config")
        assert done.returncode == 78
        assert f"--decision-log: cannot open {log}: " in done.stderr


def test_pipe_without_a_reader(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    done = run_rationd("--policy", EXAMPLE, "--decision-log", tmp_path / "pipe",
                       "--listen-http", "127.0.0.1:0", "--listen-resp", "none")
    assert done.returncode == 78 and "nobody reads this pipe" in done.stderr


def test_standard_output(tmp_path):
    """"-" is the standard output, and nothing else is on it."""
    file, = write_policies(tmp_path, {"default": PLENTY})
    sock = tmp_path / "s"
    command = tied([built(RATIOND), "--policy", file, "--decision-log", "-",
                    "--listen-http", "none", "--listen-resp", f"unix:{sock}"])
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          env=clean_env(), text=True) as process:
        try:
            with redis.Redis(unix_socket_path=str(sock)) as client:
                wait_for(lambda: answers(client), 10, "rationd")
                assert client.execute_command("CHECK", "t", "g")[0] == 1
                assert client.execute_command("CHECK", "stop", "g")[0] == 0
            process.send_signal(signal.SIGTERM)
            out, err = process.communicate(timeout=patience(10))
        finally:
            process.kill()
    assert process.returncode == 0, err
    assert [json.loads(x)["verdict"] for x in out.splitlines()] == ["allow", "deny"]


def answers(client):
    try:
        return client.ping()
    except redis.ConnectionError:
        return False


# --- disks and readers --------------------------------------------------------------

def test_full_disk(rationd):
    """Nothing stalls or ends; what is lost is counted, and said once."""
    daemon = rationd(PLENTY, flags=["--decision-log", "/dev/full"])
    for _ in range(5):
        with daemon.connect("resp") as sock:
            sock.sendall(words("CHECK", "t", "g") * 200)
            assert {a.verdict for a in read_answers(sock, 200)} == {1}
    wait_for(lambda: daemon.metric(LOST) == 1000, 5, "all 1,000 to be counted")
    assert daemon.metric(LINES) == 1000
    said = [x for x in daemon.log_lines() if "cannot write decisions" in x["message"]]
    assert len(said) == 1 and "No space left" in said[0]["message"]


def test_no_room_for_a_while(rationd, path):
    """The file may not grow any more, as on a full disk, and then may again: a line
    that was cut off does not spoil the next, and what is lost is counted."""
    daemon = rationd(PLENTY, flags=["--decision-log", path])

    def ask(grant, n):
        with daemon.connect("resp") as sock:
            sock.sendall(words("CHECK", "t", grant) * n)
            assert {a.verdict for a in read_answers(sock, n)} == {1}
    ask("first", 100)
    lines_of(path, 100)
    unlimited = resource.prlimit(daemon.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(daemon.pid, resource.RLIMIT_FSIZE,
                     (path.stat().st_size + 1000, unlimited[1]))
    for _ in range(3):
        ask("g", 200)
    wait_for(lambda: daemon.metric(LOST) > 590, 5, "lost lines")
    resource.prlimit(daemon.pid, resource.RLIMIT_FSIZE, unlimited)
    ask("last", 1)
    wait_for(lambda: b'"last"' in path.read_bytes(), 5, "the last line")
    wait_for(lambda: "again;" in daemon.log, 5, "the good news")
    raw = path.read_bytes().splitlines()
    whole = [json.loads(line) for line in raw if line.endswith(b"}")]
    assert len(raw) - len(whole) == 1
    assert whole[-1]["grant"] == "last"
    assert len(whole) + daemon.metric(LOST) == 701
    said = [x["message"] for x in daemon.log_lines() if "decisions" in x["message"]]
    assert len(said) == 2 and f"{701 - len(whole)} were lost" in said[1]


def test_a_reader_that_does_not_read(rationd, tmp_path):
    """A pipe that is full for ever: checks go on, memory is bounded, the end comes."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        daemon = rationd(PLENTY, flags=["--decision-log", pipe])
        before = daemon.rss
        sent = 0
        with daemon.connect("resp") as sock:
            while daemon.metric(LOST) == 0:
                begun = time.monotonic()
                sock.sendall(words("CHECK", "t", "g") * 1000)
                assert {a.verdict for a in read_answers(sock, 1000)} == {1}
                assert time.monotonic() - begun < patience(3)
                sent += 1000
                assert sent < 500000
            for _ in range(20):
                sock.sendall(words("CHECK", "t", "g") * 1000)
                read_answers(sock, 1000)
        assert daemon.rss - before < 48 << 20
        said = [x for x in daemon.log_lines() if "faster than" in x["message"]]
        assert len(said) == 1
        begun = time.monotonic()
        daemon.stop()
        assert time.monotonic() - begun < patience(3)
    finally:
        os.close(reader)


def test_a_slow_reader_gets_whole_lines(rationd, tmp_path):
    """What comes through a slow pipe is whole; read or lost, every line is counted."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    os.set_blocking(reader, True)
    daemon = rationd(PLENTY, flags=["--decision-log", pipe])
    parts = []

    def read_slowly():
        while True:
            data = os.read(reader, 4096)
            if not data:
                return
            parts.append(data)
            time.sleep(0.0002)
    thread = threading.Thread(target=read_slowly)
    thread.start()
    with daemon.connect("resp") as sock:
        for _ in range(30):
            sock.sendall(words("CHECK", "t", "g") * 1000)
            read_answers(sock, 1000)
    wait_for(lambda: b"".join(parts).count(b"\n") + daemon.metric(LOST) == 30000, 20,
             "every line", every=0.2)
    daemon.stop()
    thread.join()
    os.close(reader)
    got = b"".join(parts).splitlines()
    assert all(json.loads(line)["tool"] == "t" for line in got)


def test_the_reader_goes_away(rationd, tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    daemon = rationd(PLENTY, flags=["--decision-log", pipe])
    os.close(reader)
    daemon.check("t", "g")
    wait_for(lambda: daemon.metric(LOST) == 1, 5, "a lost line")
    assert "Broken pipe" in daemon.log
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    daemon.signal(signal.SIGHUP)
    daemon.check("t", "again")
    data = []

    def read():
        try:
            data.append(os.read(reader, 65536))
        except BlockingIOError:
            pass
        return b'"again"' in b"".join(data)
    wait_for(read, 5, "the next line")
    os.close(reader)


def test_all_is_written_at_the_end(rationd, path):
    daemon = rationd(PLENTY, flags=["--decision-log", path])
    with daemon.connect("resp") as sock:
        sock.sendall(words("CHECK", "t", "g") * 20000)
        assert len(read_answers(sock, 20000)) == 20000
    daemon.stop()
    assert len(path.read_bytes().splitlines()) == 20000
