# SPDX-License-Identifier: ISC
"""ration check against real daemons and against a scripted one; ration itself."""
import json
import re
import subprocess
import sys

import pytest

from harness import (RATION, RATIOND, ROOT, bound_socket, built, clean_env, limit,
                     patience, policy, run, run_ration, wait_for, write_policies)
from scripted import answer, bulk, scripted

TOKEN = "0123456789abcdef0123456789abcdef"
ARGS = policy(calls=[limit("spend", "hour", 100, cost=7)],
              login=[limit("logins", "day", 5, scope="session")],
              team=[limit("team", "hour", 2, scope=["org", "grant"])],
              gone={"action": "deny", "reason": "not\x1b[31m by an agent"},
              free={}, pay=[limit("pay", "hour", 10)])

COMMANDS = ("check", "explain", "usage", "commit", "rollback", "renew", "reset", "bench",
            "top", "lint")
KEYS = {"verdict", "rule", "message", "remaining", "reset_ms", "retry_after_ms",
        "reservation", "degraded", "replayed"}


@pytest.fixture(scope="module")
def daemon(module_rationd):
    return module_rationd({"default": ARGS, "other": policy(default="allow")})


def check(daemon, *words, **kw):
    return run_ration("check", "--server", daemon.resp_text, *words, **kw)


def check_json(daemon, *words):
    done = check(daemon, "--json", *words)
    answer = json.loads(done.stdout)
    assert set(answer) == KEYS
    assert done.returncode == (0 if answer["verdict"] == "allow" else 1), done.stderr
    return answer


# --- against the real daemon --------------------------------------------------------


def test_thirty_a_minute(rationd, store):
    """The reference case: 30 allowed, then denied, another grant untouched."""
    daemon = rationd(store=store.url)
    for grant in ("alice", "ann", "ada"):
        lines = [check(daemon, "create_connect_token", "--grant", grant)
                 for _ in range(31)]
        if lines[30].returncode == 1:
            break
        # A minute turned between two of them, which on a busy machine take a part of it.
        wait_for(lambda: daemon.check("create_connect_token", "probe")[1]["reset_ms"] >
                 55_000, 31, "a fresh minute", every=0.2)
    left = [re.fullmatch(rf"allow  create_connect_token for {grant}: (\d+) left, "
                         r"resets in \d+ m?s\n", done.stdout) for done in lines[:30]]
    assert all(left) and lines[29].returncode == 0
    assert int(left[29][1]) == 0
    assert re.fullmatch(
        rf"deny  create_connect_token for {grant} \(rule /tools/create_connect_token/limits/"
        r"create_connect_token_rate\): .+; retry in \d+ m?s\n", lines[30].stdout)
    assert lines[30].stderr == ""
    assert check(daemon, "create_connect_token", "--grant", "bob").returncode == 0
    other = check(daemon, "delete_everything", "--grant", "bob")
    assert other.returncode == 1
    assert "for bob (default deny)" in other.stdout
    assert "rule" not in other.stdout


def test_json_of_every_verdict(daemon):
    allow = check_json(daemon, "pay", "--grant", "json", "--cost", "4")
    assert (allow["verdict"], allow["rule"], allow["remaining"]) == ("allow", "", 6)
    assert 0 < allow["reset_ms"] <= 3600_000
    assert allow["retry_after_ms"] == 0
    deny = check_json(daemon, "pay", "--grant", "json", "--cost=11")
    assert deny["verdict"] == "deny"
    assert (deny["rule"], deny["retry_after_ms"]) == ("/tools/pay/limits/pay", -1)
    assert deny["remaining"] == 6
    free = check_json(daemon, "free", "--grant", "json")
    assert (free["verdict"], free["remaining"], free["reset_ms"]) == ("allow", -1, -1)
    assert free["reservation"] is None
    assert free["degraded"] is False and free["replayed"] is False


def test_text_without_a_limit_and_never(daemon):
    assert check(daemon, "free", "--grant", "g").stdout == "allow  free for g: no limit\n"
    never = check(daemon, "pay", "--grant", "never", "--cost", "11")
    assert never.stdout.endswith("; a retry will not help\n")


def test_control_characters_do_not_reach_the_terminal(daemon):
    done = check(daemon, "gone", "--grant", "g\x1b[2J\n")
    assert done.returncode == 1
    assert done.stdout.count("\n") == 1
    assert "\x1b" not in done.stdout
    assert r"gone for g\x1b[2J\x0a (rule /tools/gone/action): not\x1b[31m" in done.stdout


def test_a_name_does_not_turn_the_line_around(daemon):
    done = check(daemon, "gone", "--grant", "a\u202eb\u2066c\u2028d\u2027\u200f")
    assert r"for a\xe2\x80\xaeb\xe2\x81\xa6c\xe2\x80\xa8d" + "\u2027\u200f (" in done.stdout


def test_options_reach_the_daemon(daemon):
    session = [check_json(daemon, "login", "--grant", g, "--session", "s1")["remaining"]
               for g in ("a", "b")]
    assert session == [4, 3]
    team = ["team", "--attr", "org=acme", "--grant=t"]
    assert [check_json(daemon, *team)["verdict"] for _ in range(3)] == [
        "allow", "allow", "deny"]
    assert check_json(daemon, "team", "--attr", "org=", "--grant=t")["remaining"] == 1
    assert check_json(daemon, "no such tool", "--grant", "x", "--policy", "other",
                      )["verdict"] == "allow"
    assert check_json(daemon, "free", "--grant", "x", "--policy",
                      "absent")["rule"] == "(no policy)"
    assert check(daemon, "free", "--grant", "x", "--args", "{}", "--arg", "a=1",
                 "--timeout-ms", "5000").returncode == 0


def test_a_name_may_start_with_a_dash(daemon):
    done = check(daemon, "--grant", "-g", "--policy", "other", "--", "-tool")
    assert done.stdout == "allow  -tool for -g: no limit\n"


def test_server_from_the_environment(daemon):
    done = run_ration("check", "free", "--grant", "g",
                      env={"RATION_SERVER": daemon.resp_text})
    assert done.returncode == 0
    wrong = run_ration("check", "free", "--grant", "g", "--server", daemon.resp_text,
                       env={"RATION_SERVER": "127.0.0.1:1"})
    assert wrong.returncode == 0  # the flag wins


def test_what_is_empty_is_not_dropped(daemon):
    """A variable that is not set must not move the call to another limit."""
    for words in (["--session", ""], ["--session="], ["--policy", ""]):
        done = check(daemon, "pay", "--grant", "empty", *words)
        assert (done.returncode, done.stdout) == (2, "")
        assert "is empty" in done.stderr
    assert check(daemon, "pay", "--grant", "empty", "--args", "").returncode == 2
    assert check_json(daemon, "pay", "--grant", "empty")["remaining"] == 9


def test_http_port(daemon):
    """Told at once what is wrong, not after the timeout."""
    done = run_ration("check", "free", "--grant", "g", "--timeout-ms", "60000",
                      "--server", f"127.0.0.1:{daemon.http_port}", seconds=10)
    assert done.returncode == 3
    assert "this is an HTTP port; ration check speaks RESP" in done.stderr


def test_token_from_the_environment(rationd, tmp_path):
    (tmp_path / "good").write_text(TOKEN)
    daemon = rationd(ARGS, flags=["--token-file", tmp_path / "good"])
    words = ["free", "--grant", "g"]
    assert check(daemon, *words, env={"RATION_TOKEN": TOKEN}).returncode == 0
    wrong = check(daemon, *words, env={"RATION_TOKEN": "f" * 32})
    assert wrong.returncode == 3 and "WRONGPASS" in wrong.stderr
    # The file wins, and an empty variable is none.
    assert check(daemon, *words, "--token-file", tmp_path / "good",
                 env={"RATION_TOKEN": "f" * 32}).returncode == 0
    assert "WRONGPASS" not in check(daemon, *words, env={"RATION_TOKEN": ""}).stderr


def test_unix_socket(rationd, tmp_path):
    path = write_policies(tmp_path, {"p": ARGS})[0].parent / "resp"
    if len(str(path)) > 107:
        pytest.skip("the folder's name is too long for a Unix socket")
    daemon = rationd(ARGS, flags=["--listen-resp", f"unix:{path}"])
    done = run_ration("check", "free", "--grant", "g", "--server", f"unix:{path}")
    assert (done.returncode, done.stderr) == (0, "")
    assert check(daemon, "free", "--grant", "g").returncode == 0


def test_token(rationd, tmp_path):
    good, bad, none = (tmp_path / name for name in ("good", "bad", "none"))
    good.write_text(f"# rotated monthly\n\n  {TOKEN} \r\nsecond-one-0123456789\n")
    bad.write_text("f" * 32)
    none.write_text("# nothing\n\n")
    daemon = rationd(ARGS, flags=["--token-file", good])
    words = ["free", "--grant", "g"]
    assert check(daemon, *words, "--token-file", good).returncode == 0
    # Callers of this host need none (NOAUTH is below, from the scripted daemon), but
    # a wrong one is wrong everywhere.
    wrong = check(daemon, *words, "--token-file", bad)
    assert wrong.returncode == 3
    assert "WRONGPASS" in wrong.stderr
    empty = check(daemon, *words, "--token-file", none)
    assert (empty.returncode, empty.stdout) == (2, "")
    assert "no token" in empty.stderr
    assert check(daemon, *words, "--token-file", tmp_path / "x").returncode == 2


def test_what_the_daemon_finds_malformed(daemon):
    for words in (["x" * 1025, "--grant", "g"], ["free", "--grant", "g" * 1025],
                  ["free", "--grant", "g", "--attr", "grant=x"],
                  ["free", "--grant", "g", "--attr", "a=1", "--attr", "a=2"]):
        done = check(daemon, *words)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.startswith("ration: request refused: ")


def test_example_gateway(daemon):
    def ask(*words, url=daemon.http):
        return run(sys.executable, ROOT / "examples/gateway.py", *words,
                   env={"RATION_URL": url})
    allowed = ask("free", "g", '{"a": 1}')
    assert (allowed.returncode, allowed.stdout) == (0, "allowed\n")
    denied = ask("gone", "g")
    assert (denied.returncode, denied.stderr) == (1, "")
    assert denied.stdout.startswith("denied: not")
    assert ask("pay", "", "{}").stdout.startswith("denied: ")
    wrong = ask("free", "g", "{a: 1}")
    assert (wrong.returncode, wrong.stdout) == (1, "")
    assert wrong.stderr.startswith("gateway.py: ARGS is not JSON: ")
    assert wrong.stderr.count("\n") == 1
    unanswered = ask("free", "g", url="http://127.0.0.1:1")
    assert unanswered.returncode == 1
    assert "no answer" in unanswered.stdout


def test_daemon_stopped_and_continued(rationd):
    daemon = rationd(ARGS)
    daemon.pause()
    try:
        done = check(daemon, "free", "--grant", "g", "--timeout-ms", "100")
    finally:
        daemon.resume()
    assert (done.returncode, done.stdout) == (3, "")
    assert "in time" in done.stderr
    daemon.kill()
    gone = check(daemon, "free", "--grant", "g")
    assert gone.returncode == 3
    assert "refused" in gone.stderr


# --- against a scripted daemon ------------------------------------------------------


def ask(reply, *words):
    with scripted(reply) as (address, came):
        done = run_ration("check", "t", "--grant", "g", "--server", address, *words)
    return done, came[0] if came else b""


@pytest.mark.parametrize("reply,status,line", [
    (answer(remaining=29, reset=40_001), 0, "allow  t for g: 29 left, resets in 41 s"),
    (answer(remaining=0, reset=350), 0, "allow  t for g: 0 left, resets in 350 ms"),
    (answer(remaining=5, reset=120_000), 0, "allow  t for g: 5 left, resets in 2 min"),
    (answer(remaining=5, reset=184_001), 0,
     "allow  t for g: 5 left, resets in 3 min 5 s"),
    (answer(remaining=5, reset=7_799_999), 0,
     "allow  t for g: 5 left, resets in 2 h 10 min"),
    (answer(remaining=5, reset=86_400_000 * 4), 0,
     "allow  t for g: 5 left, resets in 4 d"),
    (answer(flags=3), 0, "allow  t for g: no limit [degraded] [replayed]"),
    (answer(0, "/r", "slow\ndown", 0, 1500, 1500), 1,
     r"deny  t for g (rule /r): slow\x0adown; retry in 2 s"),
    (answer(0, "(hidden)", ""), 1, "deny  t for g (hidden)"),
    (answer(0, "/r", "m", 0, -1, -1, flags=1), 1,
     "deny  t for g (rule /r): m; a retry will not help [degraded]"),
    (answer(2, "/tools/t/action", "ask \u00e9 \x9b"), 1,
     r"approval  t for g (rule /tools/t/action): ask é \xc2\x9b"),
])
def test_text(reply, status, line):
    done, came = ask(reply)
    assert (done.returncode, done.stdout, done.stderr) == (status, line + "\n", "")
    assert came == bulk("CHECK", "t", "g")


def test_json_of_an_approval():
    done, _ = ask(answer(2, "/r", "a\"b\n\u00e9", 3, 2**53, -1, "id1", 2), "--json")
    assert done.returncode == 1
    assert done.stdout.count("\n") == 1
    assert json.loads(done.stdout) == {
        "verdict": "require_approval", "rule": "/r", "message": "a\"b\n\u00e9",
        "remaining": 3, "reset_ms": 2**53, "retry_after_ms": -1, "reservation": "id1",
        "degraded": False, "replayed": True}


@pytest.mark.parametrize("words,args", [
    (["--arg", "n=5"], {"n": 5}),
    (["--arg", "n=-1.5e3"], {"n": -1500.0}),
    (["--arg", "t=true", "--arg", "f=false", "--arg", "z=null"],
     {"t": True, "f": False, "z": None}),
    (["--arg", 'o={"a":[1]}', "--arg", "l=[]"], {"o": {"a": [1]}, "l": []}),
    (["--arg", 's="5"'], {"s": '"5"'}),
    (["--arg", "s=true story", "--arg", "u=01", "--arg", "e=", "--arg", "q=a=b"],
     {"s": "true story", "u": "01", "e": "", "q": "a=b"}),
    (["--args", '{"a":"5"}', "--arg", "b=6"], {"a": "5", "b": 6}),
    (["--arg", "b=6", "--args", '{"a":"5"}'], {"a": "5", "b": 6}),
    (["--args", "{}"], {}),
    (["--arg", "é=ü\x01"], {"é": "ü\x01"}),
])
def test_arguments(words, args):
    done, came = ask(answer(), *words)
    assert done.returncode == 0, done.stderr
    parts = came.split(b"\r\n")
    assert parts[7] == b"$4" and parts[8] == b"ARGS"
    sent = json.loads(parts[10].decode())
    assert sent == args
    assert {k: type(v) for k, v in sent.items()} == {k: type(v) for k, v in args.items()}


def test_every_option_on_the_wire():
    done, came = ask(answer(), "--policy=p", "--session", "s", "--cost", "0", "--attr",
                     "org=a=b", "--attr", "n=", "--timeout-ms", "60000")
    assert done.returncode == 0
    wait = re.search(rb"\$7\r\nTIMEOUT\r\n\$5\r\n(\d+)\r\n", came)
    assert 30_000 < int(wait[1]) <= 54_000
    assert came == bulk("CHECK", "t", "g", "POLICY", "p", "SESSION", "s", "COST", "0",
                        "TIMEOUT", wait[1], "ATTR", "org", "a=b", "ATTR", "n", "")


@pytest.mark.parametrize("reply,status,piece", [
    (b"-ERR COST: not a number\r\n", 2, "COST: not a number"),
    (b"-NOAUTH Authentication required\r\n", 3, "NOAUTH"),
    (b"-ERR max number of clients reached\r\n", 3, "max number of clients"),
    (b"+OK\r\n", 3, "not the reply of a ration daemon"),
    (b"HTTP/1.1 400 Bad Request\r\n\r\n", 3, "this is an HTTP port"),
    (b"*2147483647\r\n", 3, "not the reply"),
    (b"-ERR a\x1b[31mb\r\n", 2, r"a\x1b[31mb"),
])
def test_wrong_replies(reply, status, piece):
    done, _ = ask(reply)
    assert (done.returncode, done.stdout) == (status, "")
    assert piece in done.stderr
    assert "\x1b" not in done.stderr


def test_silent_daemon():
    with bound_socket() as listener:
        address = f"127.0.0.1:{listener.getsockname()[1]}"
        done = run_ration("check", "t", "--grant", "g", "--server", address,
                          "--timeout-ms", "50")
    assert (done.returncode, done.stdout) == (3, "")
    assert "in time" in done.stderr


# --- the command line itself --------------------------------------------------------


@pytest.mark.parametrize("words,piece", [
    ([], "usage: ration"),
    (["nonsense"], "nonsense: there is no such command"),
    (["--nonsense"], "there is no such command"),
    (["check"], "TOOL"),
    (["check", "t"], "--grant is needed"),
    (["check", "t", "--grant", ""], "--grant is empty"),
    (["check", "", "--grant", "g"], "TOOL is empty"),
    (["chekc", "t", "--grant", "g"], "did you mean 'check'?"),
    (["check", "t", "--gran", "g"], "--gran: unknown option; did you mean --grant?"),
    (["check", "t", "--se", "s"], "--se: unknown option"),
    (["check", "t", "-g", "g"], "-g: unknown option"),
    (["check", "t", "--grant", "g", "--grant", "h"], "--grant: is given twice"),
    (["check", "t", "--grant=g", "--session", "a", "--session=b"], "--session: is given"),
    (["check", "t", "--json", "--json", "--grant", "g"], "--json: is given twice"),
    (["lint", "--json", "--json", "x"], "--json: is given twice"),
    (["check", "t", "--grant", "g", "--mode", "peek"], "--mode: unknown option"),
    (["check", "t", "--grant", "g", "--peek", "--reserve"], "exclude each other"),
    (["explain", "t", "--grant", "g", "--reserve", "--peek"], "exclude each other"),
    (["check", "t", "--grant", "g", "--ttl", "60"], "--ttl needs --reserve"),
    (["check", "t", "--grant", "g", "--ttl", "60", "--peek"], "--ttl needs --reserve"),
    *[(["check", "t", "--grant", "g", "--reserve", "--ttl", ttl], "from 1 to 86400")
      for ttl in ("0", "86401", "1.5", "10s", "")],
    (["check", "t", "--grant", "g", "--reserve=yes"], "reserve"),
    (["usage", "--grant", "g", "--reserve"], "--reserve: unknown option"),
    *[([name], f"{name}: one RESERVATION is needed")
      for name in ("commit", "rollback", "renew")],
    (["commit", "a", "b"], "one RESERVATION is needed"),
    (["commit", "a", "--cost", "-1"], "--cost"),
    (["commit", "a", "--ttl", "1"], "--ttl: unknown option"),
    (["rollback", "a", "--cost", "1"], "--cost: unknown option"),
    (["renew", "a", "--ttl", "0"], "from 1 to 86400"),
    (["renew", "a", "--timeout-ms", "60001"], "--timeout-ms"),
    (["reset", "--policy", "p"], "one SCOPE is needed"),
    (["reset", "global"], "--policy is needed"),
    (["reset", "global", "--policy", "p", "--counter", "c"], "belong together"),
    (["reset", "global", "--policy", "p", "--window", "day"], "belong together"),
    (["check", "t", "u", "--grant", "g"], "one TOOL"),
    (["check", "t", "--grant"], "requires a value"),
    (["check", "t", "--grant", "g", "--colour"], "--colour"),
    (["check", "t", "--grant", "g", "--json=yes"], "json"),
    (["check", "t", "--grant", "g", "--cost", "-1"], "--cost"),
    (["check", "t", "--grant", "g", "--cost", "1.5"], "--cost"),
    (["check", "t", "--grant", "g", "--cost", "9007199254740992"], "--cost"),
    (["check", "t", "--grant", "g", "--timeout-ms", "0"], "--timeout-ms"),
    (["check", "t", "--grant", "g", "--timeout-ms", "60001"], "--timeout-ms"),
    (["check", "t", "--grant", "g", "--arg", "novalue"], "KEY=VALUE"),
    (["check", "t", "--grant", "g", "--arg", "=5"], "KEY=VALUE"),
    (["check", "t", "--grant", "g", "--arg", "a=1", "--arg", "a=2"], "twice"),
    (["check", "t", "--grant", "g", "--arg", "a=1", "--args", '{"a":1}'], "twice"),
    (["check", "t", "--grant", "g", "--args", '{"a":1}', "--arg", "a=1"], "twice"),
    (["check", "t", "--grant", "g", "--args", "{}", "--args", "{}"], "twice"),
    (["check", "t", "--grant", "g", "--arg", "a=1e999"], "out of range"),
    (["check", "t", "--grant", "g", "--arg", "a=9" + 400 * "9"], "out of range"),
    (["check", "t", "--grant", "g", "--arg", b"a=\xff"], "UTF-8"),
    (["check", "t", "--grant", "g", "--args", "[1]"], "object"),
    (["check", "t", "--grant", "g", "--args", "{"], "--args"),
    (["check", "t", "--grant", "g", "--args", '{"a":1,"a":2}'], "--args"),
    (["check", "t", "--grant", "g", "--attr", "org"], "NAME=VALUE"),
    (["check", "t", "--grant", "g", *["--attr", "a=b"] * 33], "more than 32"),
    (["check", "t", "--grant", "g", "--server", "localhost"], "address"),
    (["check", "t", "--grant", "g", "--server", ""], "address"),
    (["help", "nonsense"], "no such command"),
    (["version", "1"], "no operand"),
])
def test_usage(words, piece):
    done = raw(*words)
    assert done.returncode == 2
    assert done.stdout == b""
    assert piece in done.stderr.decode()


def raw(*words, **kw):
    """With words that may be bytes."""
    kw.setdefault("stdout", subprocess.PIPE)
    return subprocess.run([built(RATION), *words], stderr=subprocess.PIPE,
                          stdin=subprocess.DEVNULL, env=clean_env(),
                          timeout=patience(20), **kw)


def test_version_and_help():
    assert run_ration("--version").stdout == run_ration("version").stdout
    assert re.fullmatch(r"ration \d+\.\d+\.\d+\n", run_ration("version").stdout)
    top = run_ration("--help")
    assert (top.returncode, top.stderr) == (0, "")
    for name in (*COMMANDS, "version", "help"):
        assert re.search(rf"^  {name} ", top.stdout, re.M)
        about = run_ration(name, "--help")
        assert (about.returncode, about.stderr) == (0, "")
        assert about.stdout.startswith(f"usage: ration {name}")
        assert about.stdout == run_ration("help", name).stdout
        assert about.stdout == run_ration(name, "-h").stdout
        assert max(map(len, about.stdout.splitlines())) <= 80
        assert not re.search(r" $", about.stdout, re.M)
    assert run_ration("-h").stdout == top.stdout


def test_output_that_cannot_be_written():
    with open("/dev/full", "w") as full:
        for words in (["--help"], ["check", "--help"], ["version"]):
            done = raw(*words, stdout=full)
            assert done.returncode == 2 and b"cannot write" in done.stderr
        with scripted(answer()) as (address, _):
            done = raw("check", "t", "--grant", "g", "--server", address, stdout=full)
    assert done.returncode == 3  # an answer that nobody saw is none
    assert b"cannot write" in done.stderr


def test_closed_output():
    """The connection must not become standard output: an answer printed into it would
    pass for one that was seen."""
    with scripted(answer()) as (address, _):
        done = run("sh", "-c", 'exec "$0" "$@" >&-', built(RATION), "check", "t",
                   "--grant", "g", "--server", address)
    assert (done.returncode, done.stdout) == (3, "")
    assert "cannot write the result: Bad file descriptor" in done.stderr


def complete(binary, *words):
    """What bash would offer for the last word."""
    script = ('. "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); '
              f'_{binary} 2>/dev/null; printf "%s\\n" "${{COMPREPLY[@]}}"')
    done = run("bash", "--norc", "-c", script, "bash", ROOT / "completion" / binary,
               binary, *words)
    return set(done.stdout.split())


def test_completion_knows_every_option():
    about = run_ration("check", "--help").stdout
    flags = set(re.findall(r"^  (--[a-z-]+)", about, re.M))
    assert len(flags) > 10
    assert complete("ration", "check", "t", "--") == flags
    assert complete("ration", "explain", "t", "--") == flags
    for name in ("usage", "commit", "rollback", "renew", "reset", "bench",
                 "top"):
        flags = set(re.findall(r"^  (--[a-z-]+)", run_ration(name, "--help").stdout,
                               re.M))
        assert complete("ration", name, "--") == flags, name
    assert complete("ration", "") >= {*COMMANDS, "version", "help"}
    assert complete("ration", "lint", "--") == {"--json", "--help"}
    assert complete("ration", "lint", str(ROOT / "CMakeL")) == {
        str(ROOT / "CMakeLists.txt")}
    # As bash parts --option=value.
    assert complete("ration", "bench", "--skew", "=", "z") == {"zipf"}
    assert complete("ration", "bench", "--skew", "=") >= {"zipf", "uniform"}
    assert complete("rationd", "--log-level", "=", "e") == {"error"}
    daemon = run(built(RATIOND), "--help")
    keys = set(re.findall(r"^  (--[a-z-]+)", daemon.stdout, re.M))
    assert len(keys) > 15
    assert complete("rationd", "--") == keys


def test_man_pages_know_every_option():
    text = (ROOT / "docs/man/ration.1").read_text("utf-8")
    for name in COMMANDS:
        about = run_ration(name, "--help").stdout
        for flag in re.findall(r"^  --([a-z-]+)", about, re.M):
            assert f"Fl -{flag}" in text, flag
    daemon = run(built(RATIOND), "--help")
    text = (ROOT / "docs/man/rationd.8").read_text("utf-8")
    keys = set(re.findall(r"^  --([a-z-]+)", daemon.stdout, re.M))
    assert set(re.findall(r"^\.It Fl -([a-z-]+)", text, re.M)) == keys
