# SPDX-License-Identifier: ISC
"""A TCP relay that fails on command, to stand between rationd and a Redis: single,
sentinel or cluster node, one relay for each.

    proxy = FaultProxy((redis.host, redis.port))
    daemon = rationd(policies, store=proxy.url)
    proxy.delay(200) ... proxy.heal()

Faults are switched while connections run, and stay until heal() or the next fault takes
their place:

    heal()             everything passes again
    cut("reset")       ends all connections, by RST or ("close") by FIN; new ones are
                       refused until heal()
    kick("reset")      the same once: new ones pass
    half_open(up, down)  swallows what goes to Redis, what comes from it, or both, ends
                       of connections included; nobody is told. A connection of which
                       something was swallowed has a hole: it never passes again
    hold(up, down)     nothing passes and nothing is lost: it leaves at heal()
    delay(ms)          each way, in order
    throttle(n)        bytes a second, each way
    chunks(n)          at most n bytes a write: 1 is one byte at a time
    aim((host, port))  where new connections go

It never reorders. A target that refuses shows as a connection that is reset after it was
accepted. The relay is a process of its own (this file run as a program), so that it is
not kept waiting by the threads of a test; commands are lines of JSON on its standard
input, each answered by one on its output. It ends with its input.
"""
import collections
import contextlib
import json
import os
import random
import selectors
import socket
import struct
import subprocess
import sys
import time

READ_MAX = 1 << 16
QUEUE_MAX = 1 << 20     # bytes of one way; above, nothing is read
WRITES_A_TURN = 256     # of one way, in small chunks, before others have their turn
BURST_S = 0.02          # of a throttled way
RESET = struct.pack("ii", 1, 0)

# A way of nothing but passing.
PLAIN = {"swallow": False, "hold": False, "delay_s": 0.0, "rate": 0, "chunk": 0}


class Way:
    """One direction of one connection: from src to dst."""

    def __init__(self, link, src, dst, faults):
        self.link, self.src, self.dst = link, src, dst
        self.faults = faults            # shared by all ways of this direction
        self.queue = collections.deque()  # (due, bytes); b"" is the end
        self.queued = 0
        self.ended = False              # the end was read
        self.done = False               # and passed on
        self.hole = False
        self.blocked = False            # dst takes no more now
        self.room_at = 0.0              # throttled: when the next byte may leave

    def wants_read(self):
        return not (self.ended or self.faults["hold"] or self.queued > QUEUE_MAX)

    def read(self, now):
        """All that is there: an end travels with what came before it."""
        with contextlib.suppress(BlockingIOError):
            while self.wants_read():
                self._take(self.src.recv(READ_MAX), now)

    def _take(self, data, now):
        self.ended = not data
        if self.faults["swallow"] or self.hole:
            self.hole = True
            return
        self.queue.append((now + self.faults["delay_s"], data))
        self.queued += len(data)

    def swallow(self):
        """What is under way is lost, too."""
        self.hole |= bool(self.queue)
        self.queue.clear()
        self.queued = 0

    def next_at(self):
        """When something can leave; None: not before something else happens."""
        if not self.queue or self.blocked or self.faults["hold"]:
            return None
        return max(self.queue[0][0], self.room_at if self.faults["rate"] else 0.0)

    def _share(self, data, now):
        """What of `data` may leave at once."""
        n = len(data)
        if self.faults["chunk"]:
            n = min(n, self.faults["chunk"])
        if self.faults["rate"]:
            self.room_at = max(self.room_at, now - BURST_S)
            n = min(n, max(1, int((now - self.room_at) * self.faults["rate"])))
            self.room_at += n / self.faults["rate"]
        return n

    def write(self, now):
        for _ in range(WRITES_A_TURN):
            due = self.next_at()
            if due is None or due > now:
                return
            since, data = self.queue[0]
            if not data:
                self.queue.popleft()
                self.done = True
                self.dst.shutdown(socket.SHUT_WR)
                return
            room = self.room_at
            n = self._share(data, now)
            try:
                sent = self.dst.send(data[:n])
            except BlockingIOError:
                self.blocked, self.room_at = True, room
                return
            self.queued -= sent
            if sent == len(data):
                self.queue.popleft()
            else:
                self.queue[0] = (since, data[sent:])


class Link:
    """One connection: the caller's socket and the one to the target."""

    def __init__(self, relay, caller, target):
        self.relay = relay
        self.ends = (caller, target)
        self.ways = (Way(self, caller, target, relay.up),
                     Way(self, target, caller, relay.down))
        self.connecting = True
        self.watched = {}

    def watch(self):
        """Registers exactly the events that the state asks for."""
        if self.relay.links.get(id(self)) is None:
            return
        up, down = self.ways
        for sock, inbound, outbound in ((self.ends[0], up, down),
                                        (self.ends[1], down, up)):
            events = selectors.EVENT_READ if inbound.wants_read() else 0
            if outbound.blocked or (self.connecting and sock is self.ends[1]):
                events |= selectors.EVENT_WRITE
            if self.connecting:
                events &= ~selectors.EVENT_READ
            self._register(sock, events)

    def _register(self, sock, events):
        before = self.watched.get(sock, 0)
        if events == before:
            return
        if not before:
            self.relay.selector.register(sock, events, self)
        elif not events:
            self.relay.selector.unregister(sock)
        else:
            self.relay.selector.modify(sock, events, self)
        self.watched[sock] = events

    def on_event(self, sock, events, now):
        caller = sock is self.ends[0]
        inbound, outbound = self.ways if caller else self.ways[::-1]
        try:
            if events & selectors.EVENT_WRITE:
                if self.connecting:
                    self._connected()
                outbound.blocked = False
            if events & selectors.EVENT_READ:
                inbound.read(now)
        except OSError:
            self._broken(inbound)

    def _connected(self):
        error = self.ends[1].getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if error:
            raise OSError(error, os.strerror(error))
        self.connecting = False

    def _broken(self, way):
        """A reset is passed on, but not where it would be swallowed."""
        if way.faults["swallow"] or way.hole:
            way.ended = way.hole = True
            self._register(way.src, 0)
        else:
            self.end(reset=True)

    def pump(self, now):
        try:
            for way in self.ways:
                if not self.connecting:
                    way.write(now)
            if all(way.done for way in self.ways):
                self.end()
        except OSError:
            self.end(reset=True)
        self.watch()

    def end(self, reset=False):
        if self.relay.links.pop(id(self), None) is None:
            return
        for sock in self.ends:
            self._register(sock, 0)
            if reset:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            sock.close()


class Relay:
    def __init__(self, host, port, target):
        self.selector = selectors.DefaultSelector()
        self.up, self.down = dict(PLAIN), dict(PLAIN)
        self.target = target
        self.links = {}
        self.timed = set()              # of the links, those with something to send
        self.accepted = 0
        self.address = (host, port)
        self.listener = None
        self.listen()

    # --- commands

    def listen(self):
        if self.listener:
            return
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind(self.address)
        self.listener.listen(1024)
        self.listener.setblocking(False)
        self.address = self.listener.getsockname()
        self.selector.register(self.listener, selectors.EVENT_READ, self.accept)

    def refuse(self):
        if self.listener:
            self.selector.unregister(self.listener)
            self.listener.close()
            self.listener = None

    def fault(self, up, down):
        """Takes the place of the faults before."""
        for faults, words in ((self.up, up), (self.down, down)):
            faults.update({**PLAIN, **words})
        self.timed.update(self.links.values())
        for link in list(self.links.values()):
            for way in link.ways:
                if way.faults["swallow"]:
                    way.swallow()
                elif way.hole and way.ended:
                    # The end that was swallowed: who is left would never hear of it.
                    link.end(reset=True)
                    break
        self.listen()

    def kick(self, how):
        for link in list(self.links.values()):
            link.end(reset=how == "reset")

    def cut(self, how):
        self.refuse()
        self.kick(how)

    def aim(self, target):
        self.target = tuple(target)

    def stats(self):
        return {"open": len(self.links), "accepted": self.accepted}

    def obey(self, line):
        name, *args = json.loads(line)
        answer = {"fault": self.fault, "cut": self.cut, "kick": self.kick,
                  "aim": self.aim, "stats": self.stats}[name](*args)
        print(json.dumps(answer), flush=True)

    # --- the loop

    def accept(self):
        try:
            caller, _ = self.listener.accept()
        except OSError:
            return
        target = socket.socket()
        for sock in (caller, target):
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        target.connect_ex(self.target)
        link = Link(self, caller, target)
        self.links[id(link)] = link
        self.accepted += 1
        link.watch()

    def pause(self):
        """Seconds until something can leave by itself; None: nothing will."""
        times = [at for link in self.timed if not link.connecting
                 for way in link.ways if (at := way.next_at()) is not None]
        return max(0.0, min(times) - time.monotonic()) if times else None

    def run(self, commands):
        self.selector.register(commands, selectors.EVENT_READ, "commands")
        rest = b""
        while True:
            ready = self.selector.select(self.pause())
            now = time.monotonic()
            for key, events in ready:
                if key.data == "commands":
                    data = os.read(commands, READ_MAX)
                    if not data:
                        return
                    *lines, rest = (rest + data).split(b"\n")
                    for line in lines:
                        self.obey(line)
                elif callable(key.data):
                    key.data()
                elif id(key.data) in self.links:
                    key.data.on_event(key.fileobj, events, now)
                    self.timed.add(key.data)
            self.pump(now)

    def pump(self, now):
        """Only those where something can have changed: there may be hundreds."""
        for link in list(self.timed):
            if id(link) in self.links:
                link.pump(now)
            if id(link) not in self.links or not any(w.queue for w in link.ways):
                self.timed.discard(link)


def main():
    host, target_host, target_port = sys.argv[1:]
    relay = Relay(host, 0, (target_host, int(target_port)))
    print(json.dumps(relay.address[1]), flush=True)
    relay.run(sys.stdin.fileno())


# --- the side of the tests ------------------------------------------------------------

class FaultProxy:
    """See the top of this file. .host and .port are where rationd shall connect to."""

    def __init__(self, target, host=None):
        # An address that nobody else connects from, so that its port stays free
        # while new connections are refused.
        self.host = host or "127." + ".".join(
            str(random.randint(2, 250)) for _ in range(3))
        # Here, since the program itself needs nothing of the harness.
        from harness import tied  # pylint: disable=import-outside-toplevel
        self.process = subprocess.Popen(
            tied([sys.executable, __file__, self.host, *target]),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.port = self._answer()

    def __enter__(self):
        return self

    def __exit__(self, *fault):
        self.close()

    def close(self):
        self.process.stdin.close()
        self.process.wait(10)
        self.process.stdout.close()

    def _answer(self):
        line = self.process.stdout.readline()
        assert line, f"the fault proxy ended with {self.process.wait(10)}"
        return json.loads(line)

    def _order(self, *words):
        self.process.stdin.write(json.dumps(words) + "\n")
        self.process.stdin.flush()
        return self._answer()

    @property
    def url(self):
        """For --store."""
        return f"redis://{self.host}:{self.port}"

    @property
    def open(self):
        """Connections that it keeps now."""
        return self._order("stats")["open"]

    @property
    def accepted(self):
        return self._order("stats")["accepted"]

    def heal(self):
        self._order("fault", {}, {})

    def cut(self, how="reset"):
        self._order("cut", how)

    def kick(self, how="reset"):
        self._order("kick", how)

    def half_open(self, up=True, down=True):
        self._order("fault", {"swallow": up}, {"swallow": down})

    def hold(self, up=True, down=True):
        self._order("fault", {"hold": up}, {"hold": down})

    def delay(self, ms):
        self._order("fault", *[{"delay_s": ms / 1000}] * 2)

    def throttle(self, bytes_per_s):
        self._order("fault", *[{"rate": bytes_per_s}] * 2)

    def chunks(self, n=1):
        self._order("fault", *[{"chunk": n}] * 2)

    def aim(self, target):
        self._order("aim", target)


if __name__ == "__main__":
    main()
