# SPDX-License-Identifier: ISC
"""Callers for the fault, window and drain tests: paced checks whose every answer and
waiting time is kept, and plain pipelines over RESP. pacer.py has those for thousands of
checks a second."""
import collections
import contextlib
import os
import re
import shutil
import threading
import time

import redis

import harness
from pauses import OwnWait, Pauses

# A window that turns so seldom that no test meets the turn of it, and its name in keys.
LONG, LONG_KEY = "3650d", "315360000s"

# [verdict, rule, message, remaining, reset_ms, retry_after_ms, reservation, flags]
ANSWER = re.compile(
    rb"\*8\r\n:(\d)\r\n\$\d+\r\n([^\r]*)\r\n\$\d+\r\n([^\r]*)\r\n:(-?\d+)\r\n:(-?\d+)"
    rb"\r\n:(-?\d+)\r\n\$\d+\r\n[^\r]*\r\n:(\d+)\r\n")

Answer = collections.namedtuple(
    "Answer", "verdict rule message remaining reset_ms retry_after_ms flags")

# lost_ms: what the caller's own thread was kept from running meanwhile.
Sample = collections.namedtuple("Sample", "begun took_ms kind tool grant message lost_ms",
                                defaults=[0.0])


def slack_ms():
    """What the machine may add to an answer's time before it counts as late.

    RATION_SLACK_MS sets it, for machines that are slow or shared; a daemon built with
    sanitizers gets 40 ms unless told otherwise, any other none.
    """
    given = os.environ.get("RATION_SLACK_MS")
    return float(given) if given else 40.0 if harness.is_sanitized() else 0.0


def words(*parts):
    """One RESP command."""
    parts = [p if isinstance(p, bytes) else str(p).encode() for p in parts]
    return b"*%d\r\n" % len(parts) + b"".join(
        b"$%d\r\n%s\r\n" % (len(p), p) for p in parts)


def parse_answers(data):
    """(answers, the bytes behind the last whole one)"""
    answers, at = [], 0
    while True:
        found = ANSWER.match(data, at)
        if not found:
            return answers, data[at:]
        verdict, rule, message, *numbers = found.groups()
        answers.append(Answer(int(verdict), rule.decode(), message.decode(),
                              *map(int, numbers)))
        at = found.end()


def read_answers(sock, n):
    """The next n answers; fewer when the other side closes at a whole answer."""
    answers, rest = [], b""
    while len(answers) < n:
        data = sock.recv(1 << 18)
        if not data:
            assert rest == b"", f"closed within an answer: {rest[:200]!r}"
            break
        more, rest = parse_answers(rest + data)
        answers += more
        assert rest[:1] in (b"", b"*"), f"not an answer: {rest[:200]!r}"
    return answers


def kind_of(answer):
    """allow, deny (by a limit or the policy) or store (the store is unavailable)"""
    if answer.flags & 1:
        assert answer.verdict == 0 and "store is unavailable" in answer.message, answer
        return "store"
    return "allow" if answer.verdict == 1 else "deny"


class Samples:
    """What became of checks: .samples has one Sample for each that was answered, in the
    order of the answers; .errors what went wrong otherwise."""

    samples = errors = ()

    def count(self, kind, tool=None, grant=None, since=0.0, until=float("inf")):
        """Answers of one kind to checks that began in [since, until)."""
        return sum(1 for s in self.samples if s.kind == kind and
                   tool in (None, s.tool) and grant in (None, s.grant) and
                   since <= s.begun < until)

    def wait_for_one(self, kind, since, seconds=5.0):
        """Waits for an answer of this kind to a check begun since; its end's time."""
        def found():
            assert not self.errors, self.errors[:3]
            return next((s.begun + s.took_ms / 1000 for s in reversed(self.samples)
                         if s.kind == kind and s.begun >= since), None)
        return harness.wait_for(found, seconds, f"an answer {kind}", every=0.002)

    def noise_of(self, sample):
        """Milliseconds by which a machine that had other things to do can have made a
        sample late."""
        return 0.0

    def assert_in_time(self, deadline_ms=50):
        """Every check was answered within the deadline and 20 ms."""
        most = deadline_ms + 20 + slack_ms()
        late = [s for s in self.samples if s.took_ms > most and
                s.took_ms > most + self.noise_of(s)]
        assert not late, (f"{len(late)} of {len(self.samples)} answers took more than "
                          f"{most:.0f} ms: {late[:3]}, of which the machine's "
                          f"{[round(self.noise_of(s)) for s in late[:3]]}")


class Load(Samples):
    """Threads that check at a steady rate until told to stop, most over RESP, one over
    HTTP. Each thread has one check under way at a time.

    with Load(daemon, [("tool", "grant"), ...]) as load: ...; load.samples afterwards.
    beside: processes that an answer may wait for as well, since the daemon's deadline is
    longer than what is asserted.
    """

    def __init__(self, daemon, calls, rate=200, resp=3, http=1, beside=()):
        self.daemon = daemon
        self.calls = calls
        self.pause = (resp + http) / rate
        self.samples = []
        self.errors = []
        self.pauses = Pauses(daemon, *beside)
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._guard, args=(fn, i))
                         for i, fn in enumerate([self._resp] * resp +
                                                [self._http] * http)]

    def __enter__(self):
        self.pauses.__enter__()
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *fault):
        self._stop.set()
        for thread in self._threads:
            thread.join()
        self.pauses.__exit__(*fault)
        if not any(fault):
            assert not self.errors, self.errors[:3]

    def _guard(self, fn, index):
        try:
            fn(index)
        except Exception as fault:  # pylint: disable=broad-except
            self.errors.append(repr(fault))

    def _pace(self, index):
        """The calls to make, each when it is its time."""
        next_at = time.monotonic()
        while not self._stop.is_set():
            yield self.calls[index % len(self.calls)]
            index += 1
            next_at = max(next_at + self.pause, time.monotonic() - self.pause)
            self._stop.wait(max(0.0, next_at - time.monotonic()))

    def _resp(self, index):
        with self.daemon.resp() as client, OwnWait() as wait:
            for tool, grant in self._pace(index):
                begun, waited = time.monotonic(), wait.ms
                reply = client.execute_command("CHECK", tool, grant)
                took = time.monotonic() - begun
                answer = Answer(reply[0], reply[1].decode(), reply[2].decode(),
                                *reply[3:6], reply[7])
                self._keep(begun, took, kind_of(answer), tool, grant, answer.message,
                           wait.ms - waited)

    def _http(self, index):
        kinds = {200: "allow", 429: "deny", 403: "deny", 503: "store"}
        with OwnWait() as wait:
            for tool, grant in self._pace(index):
                begun, waited = time.monotonic(), wait.ms
                status, body, _ = self.daemon.check(tool, grant)
                took = time.monotonic() - begun
                assert body["degraded"] == (status == 503), body
                self._keep(begun, took, kinds[status], tool, grant, body["message"],
                           wait.ms - waited)

    def _keep(self, begun, took, *rest):
        self.samples.append(Sample(begun, took * 1000, *rest))

    def noise_of(self, sample):
        end = sample.begun + sample.took_ms / 1000
        # Another caller may have held Python's own lock for as long as anybody did.
        longest = max((took_ms for _, took_ms in self.pauses.stalls), default=0.0)
        return (sample.lost_ms + longest +
                self.pauses.lost_s(sample.begun, end) * 1000)


def counter_key(tool_counter, window, prefix="ration:default", **scope):
    """A counter's key; scope is one name and its value."""
    (name, value), = scope.items()
    return f"{prefix}:{{{name}={value}}}:{tool_counter}:{window}"


def counts(client):
    """{key: count} of every counter in this Redis."""
    found = {}
    for key in client.scan_iter(count=1000):
        # A key that a test spoilt is no counter.
        with contextlib.suppress(redis.ResponseError, ValueError, TypeError):
            found[key.decode()] = int(client.get(key))
    return found


def kept_by(server, redis_factory):
    """counts() of the files that a dead Redis left, read by another one."""
    twin = redis_factory(options={**server.options})
    twin.stop()
    shutil.rmtree(twin.data)
    shutil.copytree(server.data, twin.data)
    twin.start()
    with twin.client() as client:
        found = counts(client)
    twin.discard()
    return found


# Returns the first key that never expires, or how many keys there are.
ENDLESS = """
local keys = redis.call('KEYS', '*')
for _, key in ipairs(keys) do
	if redis.call('PTTL', key) == -1 then return key end
end
return #keys
"""


def assert_all_expire(client):
    """No key without an expiry; returns how many keys there are."""
    found = client.eval(ENDLESS, 0)
    assert isinstance(found, int), f"{found!r} never expires"
    return found
