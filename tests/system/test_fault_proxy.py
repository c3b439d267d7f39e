# SPDX-License-Identifier: ISC
"""The fault proxy does what it says: against an echo server, and under load."""
import contextlib
import socket
import threading
import time

import pytest

from fault_proxy import FaultProxy
from harness import bound_socket, closed_port, patience, wait_for
from pauses import Pauses


@contextlib.contextmanager
def echo_server():
    """(host, port) of a server that sends back what it gets, and ends when told."""
    def serve(sock):
        with sock, contextlib.suppress(OSError):
            while data := sock.recv(1 << 16):
                sock.sendall(data)

    def accept(listener):
        with contextlib.suppress(OSError):
            while True:
                sock, _ = listener.accept()
                threading.Thread(target=serve, args=[sock], daemon=True).start()
    with bound_socket() as listener:
        thread = threading.Thread(target=accept, args=[listener])
        thread.start()
        yield listener.getsockname()
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


@pytest.fixture
def proxy():
    with echo_server() as target, FaultProxy(target) as relay:
        yield relay


def connect(proxy):
    sock = socket.create_connection((proxy.host, proxy.port), patience(5))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def read(sock, n):
    data = b""
    while len(data) < n:
        more = sock.recv(n - len(data))
        assert more, f"closed after {data!r}"
        data += more
    return data


def echo(sock, data=b"hello"):
    """Milliseconds that it took there and back."""
    begun = time.monotonic()
    sock.sendall(data)
    assert read(sock, len(data)) == data
    return (time.monotonic() - begun) * 1000


def is_silent(sock, seconds=0.2):
    sock.settimeout(seconds)
    try:
        data = sock.recv(100)
    except TimeoutError:
        data = None
    sock.settimeout(patience(5))
    return data is None


def test_passes(proxy):
    with connect(proxy) as one, connect(proxy) as two:
        data = bytes(range(256)) * 4096
        for _ in range(3):
            for sock in (one, two):
                thread = threading.Thread(target=sock.sendall, args=[data])
                thread.start()
                assert read(sock, len(data)) == data
                thread.join()
        assert proxy.open == 2 and proxy.accepted == 2
        one.shutdown(socket.SHUT_WR)
        assert one.recv(10) == b""
    wait_for(lambda: proxy.open == 0, 5, "both ends closed")


@pytest.mark.parametrize("how", ["reset", "close"])
def test_cut(proxy, how):
    with connect(proxy) as sock:
        echo(sock)
        proxy.cut(how)
        if how == "reset":
            with pytest.raises(ConnectionResetError):
                sock.recv(10)
        else:
            assert sock.recv(10) == b""
        with pytest.raises(ConnectionRefusedError):
            connect(proxy)
        port = proxy.port
        proxy.heal()
        assert proxy.port == port
        with connect(proxy) as again:
            echo(again)


@pytest.mark.parametrize("up, down", [(True, False), (False, True), (True, True)])
def test_half_open(proxy, up, down):
    with connect(proxy) as old:
        echo(old)
        proxy.half_open(up, down)
        old.sendall(b"lost")
        assert is_silent(old)
        with connect(proxy) as new:
            new.sendall(b"lost")
            assert is_silent(new)
        proxy.heal()
        # It has a hole; to pass what follows would be worse than nothing.
        old.sendall(b"after")
        assert is_silent(old)
        with connect(proxy) as fresh:
            echo(fresh)


def test_half_open_tells_nobody_of_an_end(proxy):
    with connect(proxy) as sock:
        echo(sock)
        proxy.half_open()
    assert proxy.open == 1
    proxy.heal()
    wait_for(lambda: proxy.open == 0, 5, "the hidden end")


def test_hold_loses_nothing(proxy):
    with connect(proxy) as sock:
        echo(sock)
        proxy.hold()
        sock.sendall(b"kept")
        assert is_silent(sock)
        proxy.heal()
        assert read(sock, 4) == b"kept"


def test_delay(proxy):
    with connect(proxy) as sock, Pauses() as pauses:
        proxy.delay(50)
        assert echo(sock) >= 100
        begun = time.monotonic()
        for i in range(100):
            sock.sendall(b"%02d" % i)
        assert read(sock, 200) == b"".join(b"%02d" % i for i in range(100))
        assert time.monotonic() - begun >= 0.1
        # It is a delay, not a queue that is served one by one.
        pauses.assert_within(begun, 0.1 * 20)
        proxy.heal()
        begun = time.monotonic()
        echo(sock)
        pauses.assert_within(begun, 0.1)


def test_throttle(proxy):
    with connect(proxy) as sock, Pauses() as pauses:
        proxy.throttle(20000)
        data = b"x" * 10000
        begun = time.monotonic()
        took = echo(sock, data)
        assert took >= 450, took
        pauses.assert_within(begun, 0.5 * patience(2))


def test_one_byte_at_a_time(proxy):
    with connect(proxy) as sock:
        proxy.chunks(1)
        data = bytes(range(256)) * 20
        sock.sendall(data)
        pieces = []
        while sum(map(len, pieces)) < len(data):
            pieces.append(sock.recv(1 << 16))
        assert b"".join(pieces) == data
        # Who reads slowly gets some at once; nobody gets them all.
        assert len(pieces) > 10


def test_target_that_is_gone_and_another(proxy):
    with closed_port() as gone, echo_server() as other:
        proxy.aim(("127.0.0.1", gone))
        with pytest.raises(ConnectionResetError), connect(proxy) as sock:
            sock.recv(10)
        proxy.aim(other)
        with connect(proxy) as sock:
            echo(sock)


def test_bears_a_load(proxy):
    """A batch a millisecond each way on four connections: 5,000 checks a second are
    fewer."""
    with contextlib.ExitStack() as stack:
        socks = [stack.enter_context(connect(proxy)) for _ in range(4)]
        pauses = stack.enter_context(Pauses())
        begun = time.monotonic()
        for _ in range(250):
            for sock in socks:
                sock.sendall(b"x" * 1500)
            for sock in socks:
                read(sock, 1500)
        pauses.assert_within(begun, patience(1))
