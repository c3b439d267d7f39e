# SPDX-License-Identifier: ISC
"""ration top: what a daemon decides, by the second."""
import json
import os
import pty
import re
import subprocess

import pytest

from harness import RATION, built, clean_env, limit, patience, policy, run_ration
from scripted import scripted

CHECKS = {"checks_allow", "checks_deny_limit", "checks_deny_policy", "checks_deny_store",
          "checks_require_approval", "checks_invalid", "store_batches", "store_takes",
          "store_late"}


@pytest.fixture
def served(rationd, store):
    return rationd(policy(t=[limit("c", "30d", 5)], no={"action": "deny"},
                          ask={"action": "require_approval"}), store=store.url)


def start(daemon, *words, stdout=subprocess.PIPE):
    return subprocess.Popen([built(RATION), "top", "--server", daemon.resp_text, *words],
                            stdout=stdout, stderr=subprocess.PIPE, text=True,
                            stdin=subprocess.DEVNULL, env=clean_env())


def test_json(served):
    """What grew from one look to the next is what was seen by the second."""
    for tool in ("t", "no", "ask"):
        served.check(tool, "before")
    top = start(served, "--json", "--interval", "1", "--count", "3")
    while top.poll() is None:
        served.check("t", "g")
    out, err = top.communicate(timeout=patience(5))
    looks = [json.loads(line) for line in out.splitlines()]
    assert (top.returncode, err, len(looks)) == (0, "", 3)
    for one in looks:
        assert set(one["total"]) == set(one["per_second"]) == CHECKS
        assert one["seconds"] >= 1
        assert (one["policies"], one["store_ready"]) == (1, 1)
        assert one["workers"] == int(os.environ.get("RATION_WORKERS", 1))
        assert one["resp_connections"] >= 1 and one["draining"] == 0
        assert one["store_fault"] is None and one["process_id"] == served.pid
        assert one["total"]["checks_deny_policy"] == 1
        assert one["total"]["checks_require_approval"] == 1
        assert one["per_second"]["checks_deny_policy"] == 0
    for first, second in zip(looks, looks[1:]):
        for name in CHECKS:
            grew = second["total"][name] - first["total"][name]
            assert second["per_second"][name] * second["seconds"] == pytest.approx(grew)
    assert looks[-1]["total"]["checks_allow"] == 6
    assert looks[-1]["per_second"]["checks_deny_limit"] > 0


def test_text(served):
    for _ in range(7):
        served.check("t", "g")
    done = run_ration("top", "--server", served.resp_text, "--interval", "1", "--count",
                      "1")
    assert (done.returncode, done.stderr) == (0, "")
    assert re.match(r"rationd [0-9.]+, up \d+ m?s, \d+ workers?, 1 policy\n", done.stdout)
    assert re.search(r"^allowed +0\.0 +5$", done.stdout, re.M)
    assert re.search(r"^denied by a limit +0\.0 +2$", done.stdout, re.M)
    assert "\x1b" not in done.stdout and "takes no charges" not in done.stdout


def test_terminal_is_cleared(served):
    ours, theirs = pty.openpty()
    top = start(served, "--interval", "1", "--count", "1", stdout=theirs)
    assert top.wait(patience(10)) == 0
    first, second = os.read(ours, 65536).split(b"\x1b[H\x1b[2Jrationd ")[1:]
    # The totals are there at once, the rates after the interval.
    assert re.search(rb"\nallowed +- +0\r\n", first), first
    assert re.search(rb"\nallowed +0\.0 +0\r\n", second), second
    top.stderr.close()
    os.close(ours)
    os.close(theirs)


def test_store_that_is_away(rationd):
    daemon = rationd(policy(), store="redis://127.0.0.1:1", wait="live")
    done = run_ration("top", "--server", daemon.resp_text, "--interval", "1", "--count",
                      "1")
    assert (done.returncode, done.stderr) == (0, "")
    assert re.search(r"^store: redis://127.0.0.1:1/0; takes no charges: .*refused",
                     done.stdout, re.M)


def test_daemon_that_goes(rationd, store):
    daemon = rationd(policy(), store=store.url)
    top = start(daemon, "--json", "--interval", "1")
    assert json.loads(top.stdout.readline())["seconds"] >= 1
    daemon.stop()
    assert top.wait(patience(20)) == 3
    assert "cannot connect" in top.stderr.read()
    top.stdout.close()
    top.stderr.close()


@pytest.mark.parametrize("words", [
    ["x"], ["--interval", "0"], ["--interval", "3601"], ["--interval", "1.5"],
    ["--count", "0"], ["--count", "x"], ["--grant", "g"]])
def test_usage(words):
    done = run_ration("top", *words)
    assert (done.returncode, done.stdout) == (2, "") and done.stderr.startswith("ration: ")


def test_what_is_no_daemon():
    info = b"redis_version:7.0.15\r\nprocess_id:1\r\n"
    with scripted(b"$%d\r\n%s\r\n" % (len(info), info)) as (address, came):
        done = run_ration("top", "--server", address)
    assert (done.returncode, done.stdout) == (3, "")
    assert "no ration daemon" in done.stderr
    assert came == [b"*1\r\n$4\r\nINFO\r\n"]
