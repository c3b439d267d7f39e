# SPDX-License-Identifier: ISC
"""SIGTERM drains: what is under way is answered, nobody new is served, idle connections
close, the exit code is 0. A second signal stops at once."""
import contextlib
import json
import re
import signal
import socket
import threading
import time

import pytest

from harness import limit, patience, policy, wait_for
from load import (LONG, LONG_KEY, Load, counter_key, counts, read_answers, slack_ms,
                  words)
from pauses import Pauses, unhurried

PLENTY = 10**9
POLICY = policy(much=[limit("much", LONG, PLENTY)])
EXIT_CUT = 1
# A check may wait so long for a frozen Redis here.
PATIENT = ["--deadline-ms", 20000]


def quick_s():
    """How long the end may take when nothing is left to wait for."""
    return 0.5 + slack_ms() / 20


def post(tool="much", grant="g", path="/v1/check"):
    body = json.dumps({"tool": tool, "grant": grant}).encode()
    return (b"POST %s HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            b"Content-Length: %d\r\n\r\n%s" % (path.encode(), len(body), body))


def read_all(sock):
    """Everything up to the other side's close."""
    data = b""
    while True:
        more = sock.recv(1 << 16)
        if not more:
            return data
        data += more


def ended_with(daemon, seconds=10):
    """Waits for the end; the exit code. Nothing may be found in the log."""
    code = daemon.process.wait(patience(seconds))
    daemon.assert_no_findings()
    return code


def ends_within(daemon, seconds, code=0, least=0.0, number=signal.SIGTERM):
    """It ends at the signal, not earlier nor later, but for what the machine took."""
    with Pauses(daemon) as pauses:
        begun = time.monotonic()
        daemon.signal(number)
        assert ended_with(daemon) == code
        end = time.monotonic()
    assert end - begun >= least
    pauses.assert_within(begun, seconds, end, "the end")


def draining(daemon):
    wait_for(lambda: "draining" in daemon.log, 5, "the word of draining in the log")


def assert_refused(daemon):
    for protocol in ("http", "resp"):
        with pytest.raises(ConnectionRefusedError):
            daemon.connect(protocol)


def closes(sock):
    """Whether the other side closes soon without another byte."""
    sock.settimeout(patience(5))
    return sock.recv(100) == b""


def under_way(daemon, n):
    """Waits until so many checks were handed to the store."""
    wait_for(lambda: daemon.metric("ration_store_takes_total") >= n, 5,
             f"{n} checks under way")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_what_is_under_way_is_answered(redis_server, rationd, number):
    daemon = rationd(POLICY, store=redis_server.url, flags=PATIENT)
    with daemon.connect("resp") as resp, daemon.connect("http") as http:
        redis_server.pause()
        resp.sendall(words("CHECK", "much", "r") * 700)
        http.sendall(post(grant="h") * 3)
        under_way(daemon, 703)
        daemon.session.close()
        daemon.signal(number)
        draining(daemon)
        wait_for(lambda: refused(daemon), 5, "new connections refused")
        assert_refused(daemon)
        assert daemon.running
        redis_server.resume()
        answers = read_answers(resp, 700)
        assert len(answers) == 700 and {a.verdict for a in answers} == {1}
        assert closes(resp)
        text = read_all(http)
    assert text.count(b"HTTP/1.1 200 ") == 3 and text.count(b'"allow"') == 3
    assert b"connection: close" in text.lower()
    assert ended_with(daemon) == 0
    assert counts(redis_server.client()) == {
        counter_key("much", LONG_KEY, grant="r"): 700,
        counter_key("much", LONG_KEY, grant="h"): 3}


def refused(daemon):
    try:
        daemon.connect("resp").close()
        return False
    except ConnectionRefusedError:
        return True


def test_idle_connections_are_closed(rationd):
    daemon = rationd(POLICY)
    idle = [daemon.connect(p) for p in ("http", "resp") for _ in range(20)]
    used_http, used_resp = daemon.connect("http"), daemon.connect("resp")
    used_http.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
    assert b"200" in used_http.recv(1000)
    used_resp.sendall(words("CHECK", "much", "g"))
    assert read_answers(used_resp, 1)[0].verdict == 1
    wait_for(lambda: daemon.metric('ration_connections{front="resp"}') == 21, 5,
             "all connections accepted")
    daemon.session.close()
    with Pauses(daemon) as pauses:
        begun = time.monotonic()
        daemon.signal(signal.SIGTERM)
        for sock in [*idle, used_http, used_resp]:
            assert closes(sock)
            sock.close()
        assert ended_with(daemon) == 0
        pauses.assert_within(begun, quick_s())
    assert_refused(daemon)


def test_idle_connections_that_stay_open(rationd):
    """A caller that does not look at the close holds nobody up for over a second."""
    daemon = rationd(POLICY)
    idle = [daemon.connect(p) for p in ("http", "resp")]
    ends_within(daemon, 1 + quick_s())
    for sock in idle:
        assert closes(sock)
        sock.close()


def test_not_ready_while_draining(redis_server, rationd):
    """Who still reaches it is told, or finds the connection closed behind the last
    answer: never "ready"."""
    daemon = rationd(POLICY, store=redis_server.url, flags=PATIENT)
    with daemon.connect("http") as http:
        redis_server.pause()
        http.sendall(post())
        under_way(daemon, 1)
        daemon.session.close()
        daemon.signal(signal.SIGTERM)
        draining(daemon)
        http.sendall(b"GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n")
        redis_server.resume()
        text = read_all(http)
    statuses = re.findall(rb"HTTP/1\.1 (\d+)", text)
    assert statuses in ([b"200"], [b"200", b"503"]), text
    assert b'"allow"' in text and (len(statuses) == 1 or b"draining" in text)
    assert ended_with(daemon) == 0


def drain_under_load(daemon, callers):
    """Pipelines go on until the connection closes, each for the grant g0, g1, ... and
    each at the end of an answer. How many were allowed to each."""
    told, faults = [0] * callers, []
    socks = [daemon.connect("resp") for _ in range(callers)]

    def hammer(index):
        try:
            with socks[index] as sock:
                while True:
                    # What came before the close is still to be read.
                    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                        sock.sendall(words("CHECK", "much", f"g{index}") * 20)
                    answers = read_answers(sock, 20)
                    assert {a.verdict for a in answers} <= {1}
                    told[index] += len(answers)
                    if len(answers) < 20:
                        return
        except ConnectionResetError:
            pass
        except Exception as fault:  # pylint: disable=broad-except
            faults.append(repr(fault))
    threads = [threading.Thread(target=hammer, args=(i,)) for i in range(callers)]
    for thread in threads:
        thread.start()
    wait_for(lambda: min(told) > 300, 10, "answers to all")
    daemon.session.close()
    ends_within(daemon, quick_s())
    for thread in threads:
        thread.join()
    assert not faults, faults
    return told


def assert_counted(told, client):
    """Redis counts what was allowed, but for what nobody could be told."""
    for i, allowed in enumerate(told):
        counted = int(client.get(counter_key("much", LONG_KEY, grant=f"g{i}")))
        assert allowed <= counted <= allowed + 40


def test_under_load(redis_server, rationd):
    daemon = rationd(POLICY, store=redis_server.url)
    told = drain_under_load(daemon, 6)
    assert_counted(told, redis_server.client())
    assert_refused(daemon)


def test_paced_load_is_never_refused_halfway(rationd):
    """Callers that keep their connection see answers, then a closed connection."""
    daemon = rationd(POLICY)
    load = Load(daemon, [("much", "g")], rate=400, resp=4, http=0)
    with pytest.raises(KeyboardInterrupt), load:
        load.wait_for_one("allow", 0)
        daemon.session.close()
        daemon.signal(signal.SIGTERM)
        assert ended_with(daemon) == 0
        wait_for(lambda: len(load.errors) == 4, 5, "every caller to notice")
        raise KeyboardInterrupt
    assert {s.kind for s in load.samples} == {"allow"}
    assert all("ConnectionError" in e or "ConnectionReset" in e for e in load.errors)


def test_second_signal_stops_at_once(redis_server, rationd):
    daemon = rationd(POLICY, store=redis_server.url,
                     flags=[*PATIENT, "--drain-timeout-ms", 20000])
    with daemon.connect("resp") as resp:
        redis_server.pause()
        resp.sendall(words("CHECK", "much", "g") * 5)
        under_way(daemon, 5)
        daemon.session.close()
        daemon.signal(signal.SIGTERM)
        draining(daemon)
        assert daemon.running
        ends_within(daemon, quick_s(), EXIT_CUT)
    assert_refused(daemon)
    redis_server.resume()


def test_drain_has_an_end(redis_server, rationd):
    """A caller that never ends its request does not hold the daemon for ever."""
    daemon = rationd(POLICY, store=redis_server.url,
                     flags=[*PATIENT, "--drain-timeout-ms", 400])
    with daemon.connect("resp") as resp, daemon.connect("http") as http:
        redis_server.pause()
        resp.sendall(words("CHECK", "much", "g"))
        http.sendall(post()[:-5])
        under_way(daemon, 1)
        daemon.session.close()
        ends_within(daemon, 0.4 + quick_s(), least=0.4)
    assert "drain timeout" in daemon.log
    redis_server.resume()


def test_unix_socket_is_removed(rationd, tmp_path):
    """So that the next daemon finds its address free."""
    path = tmp_path / "s"
    daemon = rationd(POLICY, flags=["--listen-resp", f"unix:{path}"])
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(str(path))
        sock.sendall(words("CHECK", "much", "g"))
        assert read_answers(sock, 1)[0].verdict == 1
        daemon.session.close()
        daemon.signal(signal.SIGTERM)
        assert closes(sock)
    assert ended_with(daemon) == 0
    assert not path.exists()


# --- a delay before it -----------------------------------------------------------------

def not_ready(daemon):
    def asked():
        answer = daemon.get("/readyz")
        return answer.status_code == 503 and answer.json()["why"] == "draining"
    wait_for(asked, 5, "/readyz being 503 draining")


def ask(sock, grant="g"):
    """One check over RESP; whether it was allowed and answered alone."""
    sock.sendall(words("CHECK", "much", grant))
    answers = read_answers(sock, 1)
    return len(answers) == 1 and answers[0].verdict == 1


def stays_open(sock):
    sock.setblocking(False)
    try:
        sock.recv(1, socket.MSG_PEEK)
        return False
    except BlockingIOError:
        return True
    finally:
        sock.settimeout(patience(5))


def parting(daemon, begun, delay_s):
    """Waits for the second half of the delay, which began by then."""
    wait_for(lambda: time.monotonic() > begun + delay_s / 2 + 0.1, delay_s,
             "half of the delay")
    assert daemon.running


@contextlib.contextmanager
def killed_at_last(daemon):
    """Where it does not end as it should nobody else is to wait for it."""
    try:
        yield
    finally:
        daemon.kill()


def test_serves_on_for_the_delay(store, rationd):
    """Not ready at once, and yet everybody is answered, also who comes now."""
    def served_on(delay):
        daemon = rationd(POLICY, store=store.url, flags=["--drain-delay", f"{delay}s"])
        with killed_at_last(daemon), daemon.connect("resp") as old, \
                daemon.connect("resp") as idle, daemon.connect("http") as http, \
                Pauses(daemon) as pauses:
            assert ask(old) and ask(idle)
            begun = time.monotonic()
            daemon.signal(signal.SIGTERM)
            not_ready(daemon)
            noticed = time.monotonic()
            assert ask(old) and ask(old)
            with daemon.connect("resp") as new:
                assert ask(new) and stays_open(new)
            http.sendall(post())
            text = read_all(http)
            assert b"HTTP/1.1 200 " in text and b"connection: close" in text.lower()
            assert daemon.check("much", "g")[0] == 200
            assert stays_open(old) and stays_open(idle)
            assert time.monotonic() < begun + delay / 2, "too slow a machine for this test"
            parting(daemon, noticed, delay)
            assert stays_open(old)
            assert ask(old) and closes(old)
            with daemon.connect("resp") as new:
                assert ask(new) and closes(new)
            assert stays_open(idle)
            daemon.session.close()
            assert closes(idle)
            end = time.monotonic()
            assert end - begun >= delay
            pauses.assert_within(begun, delay + quick_s(), end)
            assert ended_with(daemon) == 0
            assert_refused(daemon)
    unhurried(served_on, 3)


def test_pipelines_are_answered_whole_when_parting(redis_server, rationd):
    client = redis_server.client()

    def answered_whole(delay):
        client.flushall()
        daemon = rationd(POLICY, store=redis_server.url,
                         flags=[*PATIENT, "--drain-delay", delay])
        with killed_at_last(daemon), daemon.connect("resp") as resp, \
                daemon.connect("http") as http:
            daemon.signal(signal.SIGTERM)
            not_ready(daemon)
            noticed = time.monotonic()
            daemon.session.close()
            http.sendall(post(grant="h") * 3)
            text = read_all(http)
            assert text.count(b"HTTP/1.1 200 ") == 3
            assert text.lower().count(b"connection: close") == 1
            parting(daemon, noticed, delay)
            redis_server.pause()
            try:
                # More than one turn takes up, the last one in two parts.
                checks = words("CHECK", "much", "r") * 3000
                resp.sendall(checks[:-10])
                wait_for(lambda: daemon.metric("ration_store_takes_total") >= 1000, 5,
                         "takes")
                resp.sendall(checks[-10:])
            finally:
                redis_server.resume()
            assert len(read_answers(resp, 3000)) == 3000
            daemon.session.close()
            assert ended_with(daemon) == 0
        assert counts(client) == {counter_key("much", LONG_KEY, grant="r"): 3000,
                                  counter_key("much", LONG_KEY, grant="h"): 3}
    unhurried(answered_whole, 2)


@pytest.mark.parametrize("store", ["memory", "redis"])
def test_all_that_has_arrived_is_answered(redis_server, rationd, store):
    """Of many connections more than one turn of the loop takes of each, and half a request
    behind it, which nobody waits for."""
    daemon = rationd(POLICY, store=redis_server.url if store == "redis" else store,
                     flags=PATIENT)
    with contextlib.ExitStack() as stack:
        socks = [stack.enter_context(daemon.connect("resp")) for _ in range(30)]
        http = stack.enter_context(daemon.connect("http"))
        for sock in socks:
            sock.sendall(words("PING"))
            assert sock.recv(100) == b"+PONG\r\n"
        daemon.session.close()
        daemon.signal(signal.SIGSTOP)
        for i, sock in enumerate(socks):
            sock.sendall((words("CHECK", "much", f"g{i}") * 401)[:-i - 1])
        http.sendall(post(grant="h") * 40)
        daemon.signal(signal.SIGTERM)
        daemon.signal(signal.SIGCONT)
        assert [len(read_answers(sock, 400)) for sock in socks] == [400] * 30
        assert all(map(closes, socks))
        text = read_all(http)
        assert text.count(b"HTTP/1.1 200 ") == 40
        # None where all were answered before the signal was looked at.
        assert text.lower().count(b"connection: close") <= 1
    assert ended_with(daemon) == 0
    if store == "redis":
        assert sorted(counts(redis_server.client()).values()) == [40] + [400] * 30


def test_half_a_request_when_parting(rationd):
    """Who has begun to ask is let finish."""
    check = words("CHECK", "much", "g")

    def let_finish(delay):
        daemon = rationd(POLICY, flags=["--drain-delay", f"{delay * 1000:.0f}ms"])
        with killed_at_last(daemon), daemon.connect("resp") as resp:
            daemon.signal(signal.SIGTERM)
            not_ready(daemon)
            parting(daemon, time.monotonic(), delay)
            daemon.session.close()
            resp.sendall(check + check[:-4])
            assert len(read_answers(resp, 1)) == 1
            assert stays_open(resp)
            resp.sendall(check[-4:])
            assert len(read_answers(resp, 1)) == 1
            assert closes(resp)
            assert ended_with(daemon) == 0
    unhurried(let_finish, 1.5)


def test_second_signal_in_the_delay(rationd):
    daemon = rationd(POLICY, flags=["--drain-delay", "60"])
    daemon.signal(signal.SIGTERM)
    not_ready(daemon)
    daemon.session.close()
    wait_for(lambda: '"SIGTERM: not ready' in daemon.log, 5, "the log")
    with Pauses(daemon) as pauses:
        begun = time.monotonic()
        daemon.signal(signal.SIGTERM)
        assert ended_with(daemon) in (0, EXIT_CUT)
        pauses.assert_within(begun, quick_s())


def test_what_comes_behind_the_close_is_not_charged(redis_server, rationd):
    """So that it may be sent again, to another daemon."""
    daemon = rationd(POLICY, store=redis_server.url)
    with daemon.connect("resp") as resp:
        assert ask(resp)
        daemon.session.close()
        daemon.signal(signal.SIGTERM)
        assert closes(resp)
        resp.sendall(words("CHECK", "much", "g") * 10)
        resp.shutdown(socket.SHUT_WR)
        assert ended_with(daemon) == 0
    assert counts(redis_server.client()) == {counter_key("much", LONG_KEY, grant="g"): 1}


def test_timeout_counts_from_the_end_of_the_delay(redis_server, rationd):
    """--drain-timeout counts from the end of the delay."""
    daemon = rationd(POLICY, store=redis_server.url,
                     flags=[*PATIENT, "--drain-delay=400ms", "--drain-timeout=600ms"])
    with daemon.connect("resp") as resp:
        redis_server.pause()
        resp.sendall(words("CHECK", "much", "g"))
        under_way(daemon, 1)
        daemon.session.close()
        ends_within(daemon, 1.0 + quick_s(), least=1.0)
    redis_server.resume()
