# SPDX-License-Identifier: ISC
"""What a hostile client, an unread log or an early signal must not do to the others."""
import fcntl
import os
import resource
import signal
import socket
import subprocess
import time

import pytest

from harness import (EXAMPLE, RATIOND, built, clean_env, is_sanitized, limit, patience,
                     policy, run_rationd, tied, wait_for)
from load import words
from pauses import Pauses, unhurried

ANYTHING = policy(default="allow", t=[limit("calls", "30d", 2**53 - 1)])


def read_all(sock):
    data = b""
    while more := sock.recv(1 << 16):
        data += more
    return data


def slowest_check(daemon, seconds):
    """Asks again and again on one connection; the longest answer in seconds, but for what
    the machine took."""
    asked = []
    end = time.monotonic() + seconds
    with daemon.connect("resp") as sock, Pauses(daemon) as pauses:
        while time.monotonic() < end:
            began = time.monotonic()
            sock.sendall(b"CHECK t g\r\n")
            assert sock.recv(1000).startswith(b"*8\r\n:1\r\n")
            asked.append((began, time.monotonic()))
            time.sleep(0.002)
    return max(done - began - pauses.lost_s(began, done) for began, done in asked)


@pytest.mark.parametrize("protocol,request_", [
    ("http", b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"),
    ("resp", b"CLIENT LIST\r\n"), ("resp", b"INFO\r\n"), ("resp", b"COMMAND DOCS\r\n")])
def test_one_pipelining_client_keeps_nobody_waiting(rationd, protocol, request_):
    """With many connections open, what looks at all of them is asked for without end."""
    daemon = rationd(ANYTHING)
    idle = [daemon.connect("resp") for _ in range(3000)]
    pid = os.fork()
    if pid == 0:  # a greedy client: sends all it can, reads all that comes
        try:
            with daemon.connect(protocol) as sock:
                sock.setblocking(False)
                while True:
                    for act in (lambda: sock.send(request_ * 1000),
                                lambda: sock.recv(1 << 20)):
                        try:
                            act()
                        except BlockingIOError:
                            pass
        finally:
            os._exit(0)
    try:
        assert slowest_check(daemon, 1.5) < patience(0.25)
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        for sock in idle:
            sock.close()


def test_a_log_that_nobody_reads_stops_nothing(tmp_path):
    """stderr is a full pipe. Where logging waits, the first line of the log hangs."""
    path = str(tmp_path / "s")
    reader, writer = os.pipe()
    process = subprocess.Popen(
        tied([built(RATIOND), "--policy", EXAMPLE, "--listen-http", f"unix:{path}",
              "--listen-resp", "none"]),
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=writer,
        env=clean_env(None))
    try:
        wait_for(lambda: os.path.exists(path) and ask(path, "/livez"), 10, "rationd")
        os.set_blocking(writer, False)
        with pytest.raises(BlockingIOError):
            while True:
                os.write(writer, b"x" * 512)
        os.set_blocking(writer, True)
        for _ in range(3):
            process.send_signal(signal.SIGHUP)  # it logs that it does nothing
            time.sleep(0.05)
            assert ask(path, "/livez").startswith(b"HTTP/1.1 200")
        wait_for(lambda: b"ration_log_dropped_total 0\n" not in ask(path, "/metrics"),
                 5, "a dropped line to be counted")
        flags = fcntl.fcntl(reader, fcntl.F_GETFL)
        fcntl.fcntl(reader, fcntl.F_SETFL, flags | os.O_NONBLOCK)
        text = drain(reader)
        process.send_signal(signal.SIGHUP)
        wait_for(lambda: b"lost" in drain(reader), 5, "the word of what was lost")
        assert b"lost" not in text
    finally:
        process.kill()
        process.wait(30)
        os.close(reader)
        os.close(writer)


def drain(fd):
    data = b""
    try:
        while more := os.read(fd, 1 << 16):
            data += more
    except BlockingIOError:
        pass
    return data


def ask(path, target):
    """One GET over a Unix socket; b"" while nobody listens there."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(patience(5))
        try:
            sock.connect(path)
        except (ConnectionRefusedError, FileNotFoundError):
            return b""
        sock.sendall(b"GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
                     % target.encode())
        return read_all(sock)


def signals(daemon, field):
    """A mask of /proc/PID/status; bit 0 is SIGHUP."""
    with open(f"/proc/{daemon.pid}/status") as status:
        return next(int(line.split()[1], 16) for line in status
                    if line.startswith(field + ":"))


def test_sighup_while_loading(tmp_path, rationd):
    """The default of SIGHUP is the end of the process; it must not be in force."""
    def caught(span):
        tools = {f"tool_{i}": [limit("c", "hour", 5)] for i in range(int(20000 * span))}
        daemon = rationd(policy(**tools), wait=None)
        wait_for(lambda: signals(daemon, "SigBlk") & 1 or signals(daemon, "SigCgt") & 1,
                 10, "rationd's main()", every=0.001)
        assert "listening" not in daemon.log, "too quick to be caught while it loads"
        for _ in range(20):
            daemon.signal(signal.SIGHUP)
            time.sleep(0.02)
            assert daemon.running, f"ended with {daemon.process.poll()}"
        daemon.wait("ready")
    unhurried(caught, 1)


def test_those_in_the_backlog_are_answered(rationd):
    """SIGTERM comes before their connections were accepted."""
    daemon = rationd(ANYTHING)
    daemon.pause()
    waiting = []
    for _ in range(30):
        waiting.append(daemon.connect("http"))
        waiting[-1].sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
        waiting.append(daemon.connect("resp"))
        waiting[-1].sendall(words("CHECK", "t", "g"))
    silent = daemon.connect("resp")
    daemon.signal(signal.SIGTERM)
    daemon.resume()
    for i, sock in enumerate(waiting):
        answer = read_all(sock)
        assert answer.startswith((b"HTTP/1.1 200", b"*8\r\n:1\r\n")[i % 2]), answer
        sock.close()
    assert read_all(silent) == b""
    silent.close()
    assert daemon.process.wait(patience(10)) == 0
    daemon.assert_no_findings()


def few(files):
    """For a child that may hold so many descriptors."""
    return lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))


def test_a_start_without_descriptors_leaves_a_live_socket(tmp_path, rationd):
    path = str(tmp_path / "live")
    rationd(ANYTHING, flags=["--listen-http", f"unix:{path}"])
    assert ask(path, "/livez").startswith(b"HTTP/1.1 200")
    for files in range(4, 24):
        if is_sanitized() and files < 8:
            continue  # the sanitizer itself needs some
        done = run_rationd("--policy", EXAMPLE, "--listen-http", f"unix:{path}",
                           "--listen-resp", "none", preexec_fn=few(files))
        assert done.returncode != 0
        assert os.path.exists(path), f"removed with {files} descriptors"
    assert ask(path, "/livez").startswith(b"HTTP/1.1 200")


def test_max_connections_bounds_descriptors(rationd):
    """Clients that are closing, or being refused, count as well."""
    daemon = rationd(ANYTHING, flags=["--max-connections", 20])
    at_rest = daemon.fds
    socks = []
    for _ in range(300):
        sock = daemon.connect("resp")
        socks.append(sock)
        with_quit = words("ECHO", "x" * 1000) * 50 + words("QUIT")
        try:
            sock.sendall(with_quit)
        except OSError:
            pass
    assert daemon.fds <= at_rest + 20 + 32
    for sock in socks:
        sock.close()
    wait_for(lambda: daemon.fds <= at_rest + 2, 10, "their descriptors to be free")


def test_half_requests_have_a_budget(rationd):
    """Each may send a quarter of a megabyte; all together no more than they are given."""
    daemon = rationd(ANYTHING, flags=["--max-buffered-bytes", 1 << 20])
    half = b"*2\r\n$4\r\nECHO\r\n$250000\r\n" + b"x" * 200000
    socks = []
    for _ in range(40):
        socks.append(daemon.connect("resp"))
        try:
            socks[-1].sendall(half)
        except OSError:
            pass
    wait_for(lambda: daemon.metric(
        'ration_connections_closed_total{reason="crowded"}') >= 30, 10, "the crowd's end")
    with daemon.connect("resp") as sock:  # a small one in two parts goes on
        sock.sendall(b"CHECK t ")
        time.sleep(0.05)
        sock.sendall(b"g\r\n")
        assert sock.recv(1000).startswith(b"*8\r\n:1\r\n")
    for sock in socks:
        sock.close()


def test_readyz_tells_strangers_nothing_of_the_store(tmp_path, rationd):
    tokens = tmp_path / "tokens"
    tokens.write_text("sekret-token-0123456789\n")
    os.chmod(tokens, 0o644)
    daemon = rationd(ANYTHING, store="redis://:pw@127.0.0.1:1", wait="live",
                     http_host="0.0.0.0", flags=["--token-file", tokens])
    assert daemon.get("/readyz").json() == {"ready": False, "degraded": False,
                                            "why": "the store is unavailable"}
    known = {"Authorization": "Bearer sekret-token-0123456789"}
    assert "127.0.0.1:1" in daemon.get("/readyz", headers=known).text
    assert any("every user of this host may read it" in line["message"]
               for line in daemon.log_lines())


def test_names_of_others_do_not_write_to_the_terminal(tmp_path):
    file = tmp_path / "a\n\x1b[31m.json"
    file.write_text('{"version": "1", "default": "deny"}')
    done = run_rationd("--policy", file, "--check-config")
    assert done.returncode == 0 and "\x1b" not in done.stdout
    assert "policy a\\x0a\\x1b[31m: 0 tools" in done.stdout
    file.write_text("{")
    done = run_rationd("--policy", file, "--check-config")
    assert done.returncode == 78
    assert "\x1b" not in done.stderr and "a\\x0a\\x1b[31m.json:1:" in done.stderr
    done = run_rationd("--policy", EXAMPLE, "--check-config",
                       env={"RATION_\x1b[2J\nX": "1"})
    assert done.returncode == 78
    assert "\x1b" not in done.stderr and "RATION_\\x1b[2J\\x0aX: " in done.stderr
