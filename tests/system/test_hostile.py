# SPDX-License-Identifier: ISC
"""Hostile input: a clear error each time, and everybody else is served as before."""
import errno
import json
import random
import resource
import select
import socket
import struct
import time

import pytest

from harness import is_sanitized, limit, patience, policy, wait_for
from pauses import Pauses, unhurried

MB = 1 << 20
REQUEST_MAX = 262144  # the default of --max-request-bytes
DOCUMENT = policy(default="allow", t=[limit("calls", "30d", 2**53 - 1)])


@pytest.fixture(scope="module")
def served(module_rationd):
    daemon = module_rationd(DOCUMENT)
    still_serves(daemon)
    daemon.at_rest = daemon.rss
    return daemon


@pytest.fixture(autouse=True)
def others_are_served(request):
    """After each test on the shared daemon."""
    yield
    if "served" in request.fixturenames:
        daemon = request.getfixturevalue("served")
        still_serves(daemon)
        assert daemon.rss < daemon.at_rest + 32 * MB


def still_serves(daemon):
    """A stranger's first check, over both protocols, at once."""
    began = time.monotonic()
    with daemon.connect("resp") as sock:
        sock.sendall(b"CHECK t stranger\r\n")
        assert sock.recv(1000).startswith(b"*8\r\n:1\r\n")
    with daemon.connect("http") as sock:
        sock.sendall(http_request(json.dumps({"tool": "t", "grant": "stranger"})))
        assert sock.recv(1000).startswith(b"HTTP/1.1 200 OK\r\n")
    assert time.monotonic() - began < patience(0.5)


def http_request(body, length=None):
    body = body if isinstance(body, bytes) else body.encode("utf-8", "surrogatepass")
    length = len(body) if length is None else length
    return (f"POST /v1/check HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            f"Content-Length: {length}\r\n\r\n").encode() + body


def words(*args):
    out = b"*%d\r\n" % len(args)
    for arg in args:
        arg = arg if isinstance(arg, bytes) else arg.encode("utf-8", "surrogatepass")
        out += b"$%d\r\n%s\r\n" % (len(arg), arg)
    return out


def send_and_read(daemon, protocol, data, shut=False):
    """Sends what the other side lets us send, and reads until it closes."""
    with daemon.connect(protocol) as sock:
        try:
            sock.sendall(data)
            if shut:
                sock.shutdown(socket.SHUT_WR)
        except OSError as e:  # it has heard enough
            assert e.errno in (errno.EPIPE, errno.ECONNRESET, errno.ENOTCONN), e
        out = b""
        try:
            while more := sock.recv(65536):
                out += more
        except ConnectionResetError:
            pass
        return out


# --- JSON ---------------------------------------------------------------------------

WHOLE = ('{"tool":"t","grant":"g\\u00e9","cost":2,"args":{"a":[1,-2.5e3,true,null]},'
         '"attributes":{"org":"é"}}').encode()


def assert_problem(response, status, piece=""):
    assert response.status_code == status, response.text[:300]
    assert response.headers["Content-Type"] == "application/problem+json"
    problem = response.json()
    assert problem["status"] == status
    assert piece in problem["detail"], problem["detail"]
    assert len(problem["detail"]) < 1024


def test_every_truncation(served):
    assert served.post("/v1/check", WHOLE).status_code == 200
    before = served.metric("ration_checks_invalid_total")
    for end in range(len(WHOLE)):
        assert_problem(served.post("/v1/check", WHOLE[:end]), 400)
    assert served.metric("ration_checks_invalid_total") == before + len(WHOLE)


def test_every_byte_broken(served):
    """One byte replaced by what JSON does not have; strings take none of them."""
    for at in range(len(WHOLE)):
        for byte in (0x00, 0x1f, 0xff):
            broken = WHOLE[:at] + bytes([byte]) + WHOLE[at + 1:]
            assert_problem(served.post("/v1/check", broken), 400)


def quoted(text):
    """A body whose tool is these bytes."""
    return b'{"grant":"g","tool":"' + text + b'"}'


def nested(opening, closing, depth):
    return b'{"tool":"t","grant":"g","args":{"a":' + opening * depth + b"1" + \
        closing * depth + b"}}"


@pytest.mark.parametrize("body,piece", [
    (quoted(b"\xff"), "UTF-8"), (quoted(b"\xc3"), "UTF-8"), (quoted(b"\xc0\xaf"), "UTF-8"),
    (quoted(b"\xed\xa0\x80"), "UTF-8"), (quoted(b"\xf4\x90\x80\x80"), "UTF-8"),
    (quoted(b"\xe2\x82"), "UTF-8"), (b'{"\xff":1}', "UTF-8"),
    (quoted(b"\\ud800"), "JSON"), (quoted(b"\\udc00\\ud800"), "JSON"),
    (quoted(b"a\x00b"), "JSON"), (quoted(b"a\\u0000b"), "NUL"),
    (b'{"to\\u0000ol":"t","grant":"g"}', "NUL"), (b"\x00", "JSON"),
    (WHOLE + b"\x00", "JSON"), (b"\xef\xbb\xbf" + WHOLE, "JSON"),
    (WHOLE.decode().encode("utf-16"), "JSON"),
    (nested(b"[", b"]", 3000), "nest"), (nested(b'{"a":', b"}", 3000), "nest"),
    (b"[" * 200000, "nest"), (b'{"a":' * 40000, "nest"),
    (b'{"tool":"t","grant":"g","cost":1e999}', "number"),
    (b'{"tool":"t","grant":"g","cost":' + b"9" * 5000 + b"}", "number"),
    (b'{"tool":"t","grant":"g","cost":-0.5}', "cost"),
    (b'{"tool":"t","grant":"g","cost":NaN}', "JSON"),
    (b"{" + b",".join(b'"k%d":1' % i for i in range(9000)) + b"}", "unknown"),
    (quoted(b"t" * 200000), "tool"), (quoted(b"\\u00e9" * 30000), "tool"),
    (b'{"tool":"t","grant":"' + b"g" * 1025 + b'"}', "grant"),
    (b'{"' + b"k" * 200000 + b'":1}', "unknown"),
], ids=range(29))
def test_bodies(served, body, piece):
    assert len(body) <= REQUEST_MAX
    assert_problem(served.post("/v1/check", body), 400, piece)


def test_deep_but_allowed_nesting(served):
    """What is deep and right is no error."""
    assert served.post("/v1/check", nested(b"[", b"]", 60)).status_code == 200


@pytest.mark.parametrize("length,status", [
    (REQUEST_MAX + 1, 413), (10**9, 413), (2**63 - 1, 413), (2**64, 413), (10**30, 413),
    ("-1", 400), ("0x10", 400), ("1, 2", 400), ("", 400)])
def test_claimed_lengths(served, length, status):
    """Refused for the head alone: no byte of the body was sent."""
    answer = send_and_read(served, "http", http_request(b"", length=length))
    assert answer.startswith(b"HTTP/1.1 %d " % status)
    assert b"application/problem+json" in answer


def test_the_largest_body(served):
    body = WHOLE + b" " * (REQUEST_MAX - len(WHOLE))
    assert served.post("/v1/check", body).status_code == 200
    assert_problem(served.post("/v1/check", body + b" "), 413)


@pytest.mark.parametrize("chunks", [
    b"%x\r\n%s\r\n" % (REQUEST_MAX + 1, b" " * (REQUEST_MAX + 1)),
    b"ffffffffffffffff\r\n", b"fffffffffffffffff\r\n", b"1\r\n \r\n" * (REQUEST_MAX + 1),
    b"-1\r\n", b"x\r\n", b"\r\n", b"1 \r\n", b"2\r\n \r\n\r\n", b"1;" + b"e" * 20000,
    b"0\r\n" + b"T: " + b"e" * 20000,
], ids=range(11))
def test_chunked(served, chunks):
    head = (b"POST /v1/check HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n")
    answer = send_and_read(served, "http", head + chunks)
    assert answer.split(b" ", 2)[1] in (b"400", b"413", b"431"), answer[:200]
    assert b"application/problem+json" in answer


def test_names_of_a_megabyte(rationd):
    """Where the limit on requests lets them in, the limit on names does not."""
    daemon = rationd(DOCUMENT, flags=["--max-request-bytes", 4 * MB])
    before = daemon.rss
    for name in ("t" * MB, "é" * (MB // 2), ":" * MB):
        r = daemon.post("/v1/check", {"tool": name, "grant": "g"})
        assert_problem(r, 400, "tool is longer than 1024 bytes")
        with daemon.resp() as client:
            for args in ((name, "g"), ("t", name), ("t", "g", "SESSION", name),
                         ("t", "g", "ATTR", name, "x"), ("t", "g", "ATTR", "x", name)):
                with pytest.raises(Exception, match="longer than 1024 bytes"):
                    client.execute_command("CHECK", *args)
            assert client.ping()
    still_serves(daemon)
    wait_for(lambda: daemon.rss < before + 48 * MB, 2, "memory given back")


@pytest.mark.parametrize("lines", [
    [b"X-%d: x" % i for i in range(65)], [b"X: " + b"y" * 17000],
    [b"X: a\x00b"], [b"X: a\rb"], [b"X\x00: a"], [b": a"], [b"X a"], [b"Host: y"],
    [b"Content-Length: 5", b"Content-Length: 6"], [b"Transfer-Encoding: chunked, chunked"],
    [b"Transfer-Encoding: identity"], [b"Expect: miracles"],
], ids=range(12))
def test_header_fields(served, lines):
    head = b"POST /v1/check HTTP/1.1\r\nHost: x\r\n" + b"".join(x + b"\r\n" for x in lines)
    answer = send_and_read(served, "http", head + b"\r\n")
    assert answer.split(b" ", 2)[1] in (b"400", b"417", b"431", b"501"), answer[:200]
    assert b"application/problem+json" in answer
    assert b"Connection: close" in answer


def test_noise(served):
    """Random bytes, behind a good beginning and without one, to both ports."""
    dice = random.Random(20240229)
    for _ in range(150):
        noise = dice.randbytes(dice.randrange(1, 3000))
        for protocol, start in (("http", b""), ("http", http_request(b"", len(noise))),
                                ("http", b"GET /livez HTTP/1.1\r\n"),
                                ("resp", b""), ("resp", b"*3\r\n$5\r\nCHECK\r\n$"),
                                ("resp", b"*2\r\n$4\r\nECHO\r\n$%d\r\n" % len(noise))):
            send_and_read(served, protocol, start + noise, shut=True)
    assert served.running


# --- RESP ---------------------------------------------------------------------------

@pytest.mark.parametrize("data", [
    b"*1000000000\r\n", b"*99999999999999999999999\r\n", b"*129\r\n", b"*2147483648\r\n",
    b"*9223372036854775808\r\n", b"*x\r\n", b"*\r\n", b"*+3\r\n", b"*1\n$4\nPING\n",
    b"*1\r\n$1000000000\r\n", b"*1\r\n$262145\r\n", b"*1\r\n$99999999999999999999999\r\n",
    b"*1\r\n$-1\r\n", b"*1\r\n$-9223372036854775808\r\n", b"*1\r\n$\r\n", b"*1\r\n$4x\r\n",
    b"*1\r\n$0x4\r\nPING\r\n", b"*1\r\n$4\r\nPINGxx", b"*1\r\n$3\r\nPING\r\n",
    b"*1\r\n:4\r\n", b"*1\r\n*1\r\n$4\r\nPING\r\n", b"*2\r\n$4\r\nECHO\r\n$262144\r\n",
    b"*" + b"0" * 70000, b"x" * 70000, b"PING" + b" x" * 200 + b"\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00", b"\x00\x00\x00\x00",
    b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"POST /v1/check HTTP/1.1\r\n",
    b"*3\r\n$5\r\nCHECK\r\n$1\r\nt\r\n$%d\r\n%s\r\n" % (MB, b"g" * MB),
], ids=range(30))
def test_resp_that_cannot_be_followed(served, data):
    """An error that says so, then the end; nothing behind it is executed."""
    before = served.metric('ration_connections_closed_total{reason="protocol"}')
    answer = send_and_read(served, "resp", b"PING\r\n" + data + b"PING\r\n" * 3)
    assert answer.startswith(b"+PONG\r\n-ERR Protocol error: "), answer[:200]
    assert answer.count(b"\r\n") == 2 and answer.endswith(b"\r\n")
    after = served.metric('ration_connections_closed_total{reason="protocol"}')
    assert after == before + 1


@pytest.mark.parametrize("data,n", [
    (b"*0\r\n" * 100000, 0), (b"\r\n" * 100000, 0), (b"*-1\r\n" * 1000, 0),
    (words(*["x"] * 128), 1), (words("ECHO", b"x" * 260000), 1),
    (words("CHECK", *["t"] * 127), 1), (words(b"\xff\x00\r\n" * 1000), 1),
    (words("CHECK", b"t\x00", "g"), 1), (words("CHECK", "t", b"\xc3\x28"), 1),
    (words("CHECK", "t", "g", "ARGS", b"[" * 200000), 1),
    (words("CHECK", "t", "g", "COST", b"9" * 200000), 1),
], ids=range(11))
def test_resp_that_can(served, data, n):
    """One answer for each command, and the connection goes on."""
    with served.connect("resp") as sock:
        sock.sendall(data + words("ECHO", "end of the line"))
        answer = b""
        while not answer.endswith(b"$15\r\nend of the line\r\n"):
            more = sock.recv(1 << 20)
            assert more, answer[:200]
            answer += more
    head = answer[:-len(b"$15\r\nend of the line\r\n")]
    assert bool(head) == bool(n)
    if n and not head.startswith(b"$260000\r\n"):
        assert head.startswith(b"-ERR ") and head.count(b"\r\n") == 1
        assert len(head) < 1000


# --- those who sit, dribble and do not listen ---------------------------------------

def drop(sock):
    """Closes with a reset, which leaves no port waiting."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def connections(daemon):
    return sum(daemon.metric(f'ration_connections{{front="{front}"}}')
               for front in ("http", "resp"))


def test_ten_thousand_idle_connections(rationd):
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if hard < 10500:
        pytest.skip(f"the hard limit of open files is {hard}; 10500 are needed")
    daemon = rationd(DOCUMENT)
    still_serves(daemon)
    rss, fds = daemon.rss, daemon.fds
    idle = []
    try:
        for i in range(10000):
            idle.append(daemon.connect("resp" if i % 2 else "http"))
        for sock in idle[1::2]:  # those have been used before they fell idle
            sock.sendall(b"PING\r\n")
        for sock in idle[1::2]:
            assert sock.recv(100) == b"+PONG\r\n"
        wait_for(lambda: connections(daemon) >= 10000, 20, "10,000 connections")
        assert daemon.fds >= 10000
        each = (daemon.rss - rss) / 10000
        assert each < (30 << 10 if is_sanitized() else 6 << 10), f"{each:.0f} bytes each"
        for _ in range(20):
            still_serves(daemon)
        # They are still good.
        for sock in idle[1::500]:
            sock.sendall(b"CHECK t g\r\n")
            assert sock.recv(1000).startswith(b"*8\r\n:1\r\n")
        # Idle means idle: they cost no time.
        cpu = daemon.cpu
        time.sleep(1)
        assert daemon.cpu - cpu < (0.5 if is_sanitized() else 0.2)
    finally:
        for sock in idle:
            drop(sock)
    wait_for(lambda: connections(daemon) < 10, 20, "their end")
    wait_for(lambda: daemon.fds < fds + 10, 5, "their descriptors")
    assert daemon.metric("ration_connections_refused_total") == 0


DRIBBLES = {
    "http head": ("http", b"GET /livez HTTP/1.1\r\nHost: x\r\nX-Slow: " + b"y" * 1000),
    "http body": ("http", http_request(b" " * 1000)),
    "chunks": ("http", b"POST /v1/check HTTP/1.1\r\nHost: x\r\nContent-Type: application"
               b"/json\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1\r\n \r\n" * 1000),
    "bulk": ("resp", words("ECHO", b"x" * 1000)),
    "inline": ("resp", b"ECHO " + b"x" * 1000),
    "length": ("resp", b"*" + b"0" * 1000),
}


class Dribbler:
    """Sends a beginning, then a byte at a time; notes when and how it ends."""

    def __init__(self, daemon, protocol, data):
        self.sock = daemon.connect(protocol)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        at = data.find(b"\r\n\r\n") + 4 if data.startswith(b"POST") else 1
        self.sock.sendall(data[:at])
        self.sock.setblocking(False)
        self.rest = data[at:]
        self.began = time.monotonic()
        self.lasted = None
        self.heard = b""

    def go_on(self):
        if self.lasted is not None:
            return
        try:
            self.sock.send(self.rest[:1])
            self.rest = self.rest[1:]
            more = self.sock.recv(4096)
            self.heard += more
            if not more:
                self.lasted = time.monotonic() - self.began
        except BlockingIOError:
            pass
        except (BrokenPipeError, ConnectionResetError):
            self.lasted = time.monotonic() - self.began


def test_a_byte_at_a_time(rationd):
    """However steadily bytes come, a request has to be whole in its time."""
    daemon = rationd(DOCUMENT, flags=["--request-timeout-ms", "1500"])
    slow = {name: Dribbler(daemon, *what) for name, what in DRIBBLES.items()}

    def all_ended():
        for one in slow.values():
            one.go_on()
        still_serves(daemon)
        return all(one.lasted is not None for one in slow.values())
    with Pauses(daemon) as pauses:
        wait_for(all_ended, 3, "the end of slow senders", every=0.2)
    for name, one in slow.items():
        one.sock.close()
        assert one.lasted >= 1.4, (name, one.lasted)
        pauses.assert_within(one.began, 1.5 + patience(0.5), one.began + one.lasted, name)
        if DRIBBLES[name][0] == "http":
            assert one.heard.startswith(b"HTTP/1.1 408 "), (name, one.heard)
            assert b"application/problem+json" in one.heard
    closed = daemon.metric('ration_connections_closed_total{reason="slow"}')
    assert closed == len(slow)


def test_slow_but_in_time(rationd):
    """Bytes one by one are no crime in themselves, nor is a pause between requests."""
    def in_time(span):
        daemon = rationd(DOCUMENT, flags=["--request-timeout-ms", f"{span * 1000:.0f}"])
        with daemon.connect("resp") as sock:
            for _ in range(3):
                for byte in words("CHECK", "t", "g"):
                    sock.sendall(bytes([byte]))
                    time.sleep(0.005)
                assert sock.recv(1000).startswith(b"*8\r\n:1\r\n")
            time.sleep(span * 1.2)
            sock.sendall(words("PING"))
            assert sock.recv(100) == b"+PONG\r\n"
    unhurried(in_time, 1.5)


DEAF = {
    "checks": ("resp", words("CHECK", "t", "deaf")),
    "long answers": ("resp", b"COMMAND\r\nINFO\r\n"),
    "errors": ("resp", words("CHECK", "t", "g", "COST", "x")),
    "http checks": ("http", http_request(b'{"tool":"t","grant":"deaf"}')),
    "metrics": ("http", b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"),
}


@pytest.mark.parametrize("name", DEAF)
def test_a_client_that_never_reads(rationd, name):
    """Thousands of questions, no ear for the answers: memory stays small, and the
    connection is cut."""
    protocol, question = DEAF[name]
    daemon = rationd(DOCUMENT, flags=["--write-timeout-ms", "1000"])
    still_serves(daemon)
    at_rest = daemon.rss
    block = question * (65536 // len(question) + 1)
    sent, most = 0, 0
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.connect({"http": daemon.http_address, "resp": daemon.resp_address}[protocol])
    sock.setblocking(False)
    end = time.monotonic() + patience(15)
    offset = 0
    with sock:
        while time.monotonic() < end:
            try:
                n = sock.send(block[offset:])
                sent, offset = sent + n, (offset + n) % len(block)
            except BlockingIOError:
                select.select([], [sock], [], 0.05)
                most = max(most, daemon.rss)
            except (BrokenPipeError, ConnectionResetError):
                break
        else:
            raise AssertionError(f"not cut, after {sent} bytes sent")
    assert sent / len(question) > 2000
    assert most < at_rest + 24 * MB, f"{(most - at_rest) / MB:.1f} MB more"
    still_serves(daemon)
    assert daemon.metric('ration_connections_closed_total{reason="slow"}') == 1


def test_questions_that_go_away(rationd, store):
    """Clients that ask and hang up at once, in the middle of checks."""
    daemon = rationd(DOCUMENT, store=store.url, flags=["--deadline-ms", "10000"])
    still_serves(daemon)
    fds = daemon.fds
    for i in range(300):
        sock = daemon.connect("http" if i % 2 else "resp")
        if i % 2:
            sock.sendall(http_request(b'{"tool":"t","grant":"gone"}') * 20)
        else:
            sock.sendall(words("CHECK", "t", "gone") * 20)
        drop(sock) if i % 3 else sock.close()
    still_serves(daemon)
    wait_for(lambda: daemon.fds <= fds + 2, 5, "their descriptors")
