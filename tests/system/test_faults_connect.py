# SPDX-License-Identifier: ISC
"""Who may connect to Redis, and with what; Redis that is not there, and what is no Redis."""
import contextlib
import socket
import threading
import time

import pytest

import harness
from faulty import (PLENTY, POLICY, SMALLEST, assert_unavailable_at_once, back_s, check,
                    wait_allowed, wait_not_ready)
from harness import limit, patience, policy, wait_for
from load import LONG, LONG_KEY, counter_key, counts
from pauses import Pauses

# --- who may connect ------------------------------------------------------------------

SECRET = "s3cr:t/@%word"
QUOTED = "s3cr%3At%2F%40%25word"
ADMIN = ["user default on >admin ~* &* +@all"]


def acl_with(rules):
    return {"acl": [*ADMIN, f"user ration on >{SECRET} {rules}"],
            "admin": (None, "admin")}


WITH_PASSWORD = {"options": {"requirepass": f'"{SECRET}"'},
                 "admin": (None, SECRET)}


@pytest.mark.parametrize("kw, user, password", [
    pytest.param(WITH_PASSWORD, None, QUOTED, id="password"),
    pytest.param(WITH_PASSWORD, "default", QUOTED, id="default_and_password"),
    pytest.param(acl_with("~* +@all"), "ration", QUOTED, id="user"),
    pytest.param(acl_with(SMALLEST), "ration", QUOTED, id="smallest_user"),
])
def test_let_in(redis_factory, rationd, kw, user, password):
    server = redis_factory(**kw)
    daemon = rationd(POLICY, store=server.url_as(user, password))
    assert check(daemon, "both") == ("allow", "")
    assert SECRET not in daemon.log and QUOTED not in daemon.log


def test_database(redis_server, rationd):
    daemon = rationd(POLICY, store=redis_server.url_as(None, None) + "/3")
    assert check(daemon, "both") == ("allow", "")
    assert counts(redis_server.client()) == {}
    assert len(counts(redis_server.client(db=3))) == 2


@pytest.mark.parametrize("kw, user, password, word", [
    pytest.param(WITH_PASSWORD, None, "wr0ng-word", "WRONGPASS", id="wrong"),
    pytest.param(WITH_PASSWORD, None, None, "NOAUTH", id="missing"),
    pytest.param(acl_with("~* +@all"), "ration", "wr0ng-word", "WRONGPASS",
                 id="user_wrong"),
    pytest.param(acl_with("~* +@all"), "nobody", QUOTED, "WRONGPASS",
                 id="no_such_user"),
    pytest.param(acl_with("~* +@all -info"), "ration", QUOTED, "NOPERM", id="no_info"),
    pytest.param(acl_with("~* +@all -script"), "ration", QUOTED, "NOPERM",
                 id="no_script_load"),
    pytest.param({}, None, "wr0ng-word", "AUTH", id="no_password_asked"),
])
def test_kept_out(redis_factory, rationd, kw, user, password, word):
    server = redis_factory(**kw)
    daemon = rationd(POLICY, store=server.url_as(user, password), wait="live")
    reason = wait_not_ready(daemon, word)
    assert_unavailable_at_once(daemon, word)
    tries = daemon.metric("ration_store_reconnects_total")
    wait_for(lambda: daemon.metric("ration_store_reconnects_total") >= tries + 3, 10,
             "three more attempts")
    said = [line for line in daemon.log_lines() if word in str(line)]
    errors = [line for line in said if "error" in map(str, line.values())]
    assert len(errors) == 1, said
    text = daemon.log + reason + daemon.get("/metrics").text
    for secret in ("wr0ng-word", SECRET, QUOTED):
        assert secret not in text
    assert daemon.metric('ration_store_faults_total{class="configuration"}') >= 5


def test_password_that_comes_later(redis_server, rationd):
    daemon = rationd(POLICY, store=redis_server.url_as(None, "later"), wait="live")
    wait_not_ready(daemon, "AUTH")
    redis_server.client().config_set("requirepass", "later")
    daemon.wait()
    wait_allowed(daemon)


@pytest.mark.parametrize("command", ["evalsha", "time", "incrby", "set"])
def test_permission_taken_while_serving(redis_factory, rationd, command):
    """NOPERM is a matter of configuration, said once and clearly, also when it comes
    with the first check."""
    server = redis_factory(**acl_with(SMALLEST))
    daemon = rationd(POLICY, store=server.url_as("ration", QUOTED))
    assert check(daemon, "much")[0] == "allow"
    admin = server.client()
    admin.execute_command("ACL", "SETUSER", "ration", f"-{command}")
    for i in range(5):
        kind, message = check(daemon, "both", f"new{i}")
        assert kind == "store" and "does not accept this daemon" in message, message
    assert daemon.metric('ration_store_faults_total{class="configuration"}') >= 5
    said = [line for line in daemon.log_lines() if line.get("level") == "error"]
    assert len(said) == 1, daemon.log
    admin.execute_command("ACL", "SETUSER", "ration", f"+{command}")
    wait_allowed(daemon)
    assert not any("new" in key for key in counts(admin)), "half charged"


def test_smallest_user_suffices_for_everything(redis_factory, rationd):
    """Windows that turn, refusals, costs of 0, SCRIPT FLUSH, late charges."""
    server = redis_factory(**acl_with(SMALLEST))
    daemon = rationd(policy(
        turn=[limit("turn", "second", 2)],
        pair=[limit("one", LONG, PLENTY), limit("two", LONG, 2)],
        much=[limit("much", LONG, PLENTY)]), store=server.url_as("ration", QUOTED),
        flags=["--deadline-ms", 1000])
    with daemon.resp() as client:
        deny = [client.execute_command("CHECK", "pair", "g")[0] for _ in range(4)]
        assert deny == [1, 1, 0, 0]
        assert client.execute_command("CHECK", "pair", "g", "COST", 0)[0] == 1
        seen = set()
        end = time.monotonic() + 2.2
        while time.monotonic() < end or seen != {0, 1}:
            assert time.monotonic() < end + patience(10), seen
            answer = client.execute_command("CHECK", "turn", "g")
            assert answer[7] == 0, answer
            seen.add(answer[0])
        assert seen == {0, 1}
        server.client().script_flush()
        assert client.execute_command("CHECK", "much", "g")[0] == 1
        server.pause()
        assert client.execute_command("CHECK", "much", "g")[7] == 1
        server.resume()
    key = counter_key("much", LONG_KEY, grant="g")
    wait_for(lambda: int(server.client().get(key)) == 1, 2, "the charge given back")
    assert counts(server.client())[counter_key("one", LONG_KEY, grant="g")] == 2
    denied = server.client().execute_command("ACL", "LOG")
    assert denied == [], denied


# --- not there, or not Redis ----------------------------------------------------------

def test_not_there_at_start(redis_server, rationd):
    redis_server.kill()
    daemon = rationd(POLICY, store=redis_server.url, wait="live")
    wait_not_ready(daemon, "refused")
    assert_unavailable_at_once(daemon, "no connection to the store")
    redis_server.start()
    up = time.monotonic()
    with Pauses(daemon, redis_server) as pauses:
        daemon.wait()
        pauses.assert_within(up, back_s())
    assert check(daemon, "much")[0] == "allow"
    tellings = [l for l in daemon.log_lines() if "refused" in str(l)]
    assert 1 <= len(tellings) <= 3, tellings


class FakeRedis:
    """Accepts, and answers each piece that comes with answer(piece)."""

    def __init__(self, answer):
        self.answer = answer
        self.listener = harness.bound_socket()
        self.url = "redis://127.0.0.1:%d" % self.listener.getsockname()[1]
        self.accepted = 0
        self.open = []
        self.thread = threading.Thread(target=self._accept)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *fault):
        # Closing alone does not wake accept().
        self.listener.shutdown(socket.SHUT_RDWR)
        self.thread.join()
        self.listener.close()
        for sock, thread in self.open:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            thread.join()
            sock.close()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                sock, _ = self.listener.accept()
                self.accepted += 1
                thread = threading.Thread(target=self._serve, args=(sock,))
                self.open.append((sock, thread))
                thread.start()

    def _serve(self, sock):
        with contextlib.suppress(OSError):
            while True:
                data = sock.recv(65536)
                if not data:
                    return
                sock.sendall(self.answer(data))


def http_server(_):
    return (b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/html\r\n"
            b"Content-Length: 4\r\n\r\noops")


def nothing(_):
    return b""


def old_redis(data):
    info = b"# Server\r\nredis_version:5.0.14\r\nredis_mode:standalone\r\n"
    return b"".join(b"$%d\r\n%s\r\n" % (len(info), info)
                    for _ in range(data.count(b"INFO")))


def endless(_):
    return b"$2000000000\r\n" + b"x" * 65536


@pytest.mark.parametrize("answer, word", [
    pytest.param(http_server, "is this Redis?", id="http"),
    pytest.param(nothing, "no answer", id="silent"),
    pytest.param(old_redis, "5.0.14", id="redis_5"),
    pytest.param(endless, "", id="endless"),
])
def test_not_redis(rationd, answer, word):
    with FakeRedis(answer) as fake:
        daemon = rationd(POLICY, store=fake.url, wait="live")
        assert_unavailable_at_once(daemon, "")
        wait_not_ready(daemon, word)
        assert_unavailable_at_once(daemon, word)
        wait_for(lambda: fake.accepted >= 2, 8, "another attempt")
        wait_not_ready(daemon, word)
        assert daemon.rss < (400 << 20)
        # A loop without a pause would be here by the thousand.
        assert fake.accepted < 40
        daemon.stop()
