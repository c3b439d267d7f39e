# SPDX-License-Identifier: ISC
"""A process that passes bytes on between clients and a server, each a while later: a
server that is that far away.

    relay.py PORT OF_SERVER DELAY_US     (each way)
"""
import collections
import select
import socket
import sys
import time

READ_MAX = 1 << 18


class Way:
    """What came from one socket, until it is due at the other."""

    def __init__(self, source, to, delay):
        self.source, self.to, self.delay = source, to, delay
        self.held = collections.deque()

    def take(self):
        """False at its end."""
        data = self.source.recv(READ_MAX)
        self.held.append((time.monotonic() + self.delay, data))
        return bool(data)

    def pass_on(self, now):
        while self.held and self.held[0][0] <= now:
            self.to.sendall(self.held.popleft()[1])


def relay(port, server, delay):
    listener = socket.create_server(("127.0.0.1", port))
    ways = {}
    while True:
        due = min((w.held[0][0] for w in ways.values() if w.held), default=None)
        left = None if due is None else max(due - time.monotonic(), 0)
        for s in select.select([listener, *ways], [], [], left)[0]:
            if s is listener:
                pair = listener.accept()[0], socket.create_connection(server)
                for a, b in (pair, pair[::-1]):
                    a.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    ways[a] = Way(a, b, delay)
            elif not ways[s].take():
                for end in (ways[s].to, s):
                    end.close()
                    ways.pop(end)
                break
        now = time.monotonic()
        for way in ways.values():
            way.pass_on(now)


if __name__ == "__main__":
    port, of_server, delay_us = (int(word) for word in sys.argv[1:])
    relay(port, ("127.0.0.1", of_server), delay_us / 1e6)
