# SPDX-License-Identifier: ISC
"""examples/agent_loop.c against real daemons: what succeeds is charged once, what fails
is not, whatever becomes of replies, connections and daemons on the way."""
import shutil
import socket
import subprocess

import pytest

from harness import (ROOT, bound_socket, clean_env, limit, no_findings, patience, policy,
                     run, tied)

POLICY = policy(task=[limit("tasks", "30d", 100),
                      {"counter": "busy", "algorithm": "concurrency", "max": 2}],
                slow=[limit("slow", "second", 1)])


@pytest.fixture(scope="module")
def agent_loop(tmp_path_factory):
    """The example, built with libration's sources. test_install.py builds it as its
    comment says."""
    program = tmp_path_factory.mktemp("agent") / "agent_loop"
    flags = run("pkg-config", "--cflags", "--libs", "hiredis").stdout.split()
    done = run(shutil.which("cc"), "-std=gnu17", "-D_GNU_SOURCE", "-O1", "-o", program,
               ROOT / "examples/agent_loop.c", *sorted((ROOT / "client").glob("*.c")),
               f"-I{ROOT / 'include'}", f"-I{ROOT / 'client'}", *flags, seconds=120)
    assert done.returncode == 0, done.stderr
    return program


def counters(daemon, grant="g"):
    """{counter: used}"""
    told = daemon.get(f"/v1/usage?grant={grant}").json()
    return {c["counter"]: c["used"] for c in told["counters"]}


# --- one after another --------------------------------------------------------------


def test_what_succeeds_is_charged(agent_loop, rationd, store, tmp_path):
    daemon = rationd(POLICY, store=store.url)
    log = tmp_path / "log"
    tasks = "".join(f"echo {i} >>{log}; exit {i % 3}\n" for i in range(9))
    done = run(agent_loop, "task", "g", daemon.resp_text, input=tasks)
    assert (done.returncode, done.stderr) == (1, "")
    assert log.read_text().split() == [str(i) for i in range(9)]
    assert counters(daemon) == {"tasks": 3, "busy": 0, "slow": 0}
    done = run(agent_loop, "task", "g", daemon.resp_text, input="true\n" * 2)
    assert (done.returncode, done.stderr) == (0, "")
    assert counters(daemon)["tasks"] == 5


def test_holds_a_slot_while_it_works(agent_loop, rationd, store):
    daemon = rationd(POLICY, store=store.url)
    ask = ("curl -sS --noproxy '*' '" + daemon.http + "/v1/usage?grant=g' | "
           "grep -q '\"counter\":\"busy\".*\"used\":1,\"remaining\":1'")
    done = run(agent_loop, "task", "g", daemon.resp_text, input=ask + "\n")
    assert (done.returncode, done.stderr) == (0, "")
    assert counters(daemon)["busy"] == 0


def test_waits_for_room(agent_loop, rationd, store):
    daemon = rationd(POLICY, store=store.url)
    done = run(agent_loop, "slow", "g", daemon.resp_text, input="true\n" * 3)
    assert done.returncode == 0, done.stderr
    assert "slow" in done.stderr or done.stderr == ""  # the seconds may just turn


def test_denied_for_good(agent_loop, rationd, tmp_path):
    daemon = rationd(POLICY)
    done = run(agent_loop, "unlisted", "g", daemon.resp_text,
               input=f"touch {tmp_path}/ran\n")
    assert done.returncode == 1
    assert done.stderr.startswith("task 1 is denied: ")
    assert not (tmp_path / "ran").exists()
    assert run(agent_loop, "task", "g", "127.0.0.1:1", input="").returncode == 3


# --- with something in between --------------------------------------------------------


class Between:
    """Stands between the agent and the daemon, and does at the command of a number what
    `plan` says: {0: "lose the reply"}. Runs in the caller's thread, which may therefore
    start daemons."""

    def __init__(self, daemon, plan, restart=None):
        self.daemon = daemon
        self.plan = plan
        self.restart = restart
        self.commands = []

    def _pass(self, command):
        with socket.create_connection(self.daemon.resp_address, patience(10)) as up:
            up.sendall(command)
            reply = up.recv(65536)
        assert reply, "the daemon hung up"
        return reply

    def _kill(self):
        self.daemon.kill()
        self.daemon = self.restart()

    def _answer(self, command):
        """The reply, or b"" for a connection that is lost."""
        what = self.plan.get(len(self.commands))
        self.commands.append(command)
        if what == "kill before":
            self._kill()
            return b""
        reply = self._pass(command)
        if what == "kill behind":
            self._kill()
        return b"" if what else reply

    def _serve(self, conn):
        conn.settimeout(patience(20))
        while command := conn.recv(65536):
            reply = self._answer(command)
            if not reply:
                return
            try:
                conn.sendall(reply)
            except OSError:  # it did not wait so long
                return

    def run(self, program, tasks):
        with bound_socket() as listener:
            listener.settimeout(0.02)
            host, port = listener.getsockname()
            with subprocess.Popen(tied([program, "task", "g", f"{host}:{port}"]),
                                  stdin=subprocess.PIPE, stderr=subprocess.PIPE,
                                  env=clean_env(), encoding="utf-8") as agent:
                agent.stdin.write(tasks)
                agent.stdin.close()
                while agent.poll() is None:
                    try:
                        conn = listener.accept()[0]
                    except TimeoutError:
                        continue
                    with conn:
                        self._serve(conn)
                errors = agent.stderr.read()
        return no_findings(subprocess.CompletedProcess([], agent.returncode, "", errors))

    def names(self):
        return [c.split(b"\r\n")[2].decode() for c in self.commands]


# Three tasks: commands 0 CHECK, 1 COMMIT, 2 CHECK, 3 ROLLBACK, 4 CHECK, 5 COMMIT.
TASKS = "true\nfalse\ntrue\n"


@pytest.mark.parametrize("number,name", enumerate(
    ["CHECK", "COMMIT", "CHECK", "ROLLBACK", "CHECK", "COMMIT"]))
def test_reply_is_lost(agent_loop, rationd, store, number, name):
    between = Between(rationd(POLICY, store=store.url), {number: "lose the reply"})
    done = between.run(agent_loop, TASKS)
    assert (done.returncode, done.stderr) == (1, "")
    assert between.names()[number:number + 2] == [name] * 2
    assert between.commands[number] == between.commands[number + 1]
    assert len(between.commands) == 7
    assert counters(between.daemon) == {"tasks": 2, "busy": 0, "slow": 0}


def test_every_reply_is_lost_once(agent_loop, rationd, store):
    plan = dict.fromkeys(range(0, 12, 2), "lose the reply")
    between = Between(rationd(POLICY, store=store.url), plan)
    done = between.run(agent_loop, TASKS)
    assert (done.returncode, done.stderr) == (1, "")
    assert len(between.commands) == 12
    assert counters(between.daemon) == {"tasks": 2, "busy": 0, "slow": 0}


@pytest.mark.parametrize("when", ["kill before", "kill behind"])
@pytest.mark.parametrize("number", range(6))
def test_daemon_is_killed(agent_loop, rationd, redis_server, number, when):
    """kill -9 at one command, before the daemon had it or when it had answered; another
    one takes over on the same Redis, and all is as if nothing had been."""
    def start():
        return rationd(POLICY, store=redis_server.url)
    between = Between(start(), {number: when}, restart=start)
    done = between.run(agent_loop, TASKS)
    assert done.returncode == 1, done.stderr
    assert "not settled" not in done.stderr
    assert counters(between.daemon) == {"tasks": 2, "busy": 0, "slow": 0}
