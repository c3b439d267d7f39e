# SPDX-License-Identifier: ISC
"""Several daemons behind one address, as Kubernetes does it: each is asked for /readyz
in turn, and new connections go to those that are ready; those that exist are left alone.
Nothing stands in between that could be slow, or be to blame.

    with Pacer([one], ...) as load, Balancer(load, [one, two]) as front:
        front.replace(one, three)
"""
import contextlib
import socket
import threading

from harness import patience, wait_for

PROBE_S = 0.1           # between two rounds of questions


def is_ready(daemon):
    """One question over a connection of its own; no answer is a no."""
    with contextlib.suppress(OSError), \
            socket.create_connection(daemon.http_address, 2) as sock:
        sock.sendall(b"GET /readyz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        answer = b""
        while data := sock.recv(4096):
            answer += data
        return answer.startswith(b"HTTP/1.1 200 ")
    return False


class Balancer:
    def __init__(self, load, daemons):
        self.load = load
        self.daemons = list(daemons)
        self.ready = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._probe)

    def __enter__(self):
        self._thread.start()
        self.wait_for(self.daemons)
        return self

    def __exit__(self, *fault):
        self._stop.set()
        self._thread.join(patience(10))

    def _probe(self):
        while not self._stop.wait(PROBE_S):
            ready = [d for d in list(self.daemons) if is_ready(d)]
            # With nobody ready a connection would fail anyhow.
            if ready and ready != self.ready:
                self.load.aim(ready)
            self.ready = ready

    def wait_for(self, daemons):
        """Until exactly these are known to be ready."""
        wait_for(lambda: self.ready == list(daemons), 10, "the balancer's notice")

    def replace(self, old, new):
        self.daemons[self.daemons.index(old)] = new
        self.wait_for(self.daemons)
