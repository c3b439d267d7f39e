# SPDX-License-Identifier: ISC
"""A retry is never charged twice, whatever happens between the caller and Redis.

Many checks with request ids, each sent several times over two daemons on one Redis.
Connections are cut before the answer is read, Redis stops for longer than the deadline,
and one daemon is killed with -9 and another started in its place. A caller sends an id
until it has an answer; then the counters are the number of distinct allowed ids.

RATION_FULL=1 makes it 10,000 ids; RATION_SEED repeats the dice.
"""
import collections
import os
import pathlib
import random
import socket
import struct
import threading
import time

from harness import limit, patience, policy, wait_for
from load import assert_all_expire, read_answers, words

IDS = 10000 if os.environ.get("RATION_FULL") else 3000
CALLERS = 8
DEADLINE_MS = 50
GRANTS = [f"agent-{i}" for i in range(10)]
WINDOW, IN_KEY = "30d", "2592000s"
SEED = int(os.environ.get("RATION_SEED", 0)) or random.SystemRandom().getrandbits(32)


class Fleet:
    """Two daemons, of which one may be replaced while they are asked."""

    def __init__(self, start):
        self.start = start
        self.daemons = [start(), start()]
        self.killed = []

    def kill_one(self):
        """kill -9, and another in its place; from the main thread."""
        self.daemons[0].kill()
        self.killed.append(self.daemons[0])
        self.daemons[0] = self.start()

    def address(self, dice):
        return dice.choice(self.daemons).resp_address


class Caller(threading.Thread):
    """Sends each of its ids two to five times, and again until it has an answer."""

    def __init__(self, fleet, ids, seed):
        super().__init__()
        self.fleet, self.ids = fleet, ids
        self.dice = random.Random(seed)
        self.socks = {}
        self.answers = collections.defaultdict(list)
        self.cuts = self.lost = self.refused = 0
        self.fault = None

    def run(self):
        try:
            for grant, name in self.ids:
                for _ in range(self.dice.randint(2, 5)):
                    self.ask(grant, name)
        except BaseException as fault:  # raised again in the test's thread
            self.fault = fault
        for sock in self.socks.values():
            sock.close()

    def connection(self, address):
        if address not in self.socks:
            self.socks[address] = socket.create_connection(address, patience(10))
        return self.socks[address]

    def drop(self, address, reset=False):
        sock = self.socks.pop(address, None)
        if sock and reset:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        if sock:
            sock.close()

    def ask(self, grant, name):
        """One sending that is answered, and some before it that may not be."""
        end = time.monotonic() + patience(30)
        while time.monotonic() < end:
            answer = self.send(grant, name)
            if answer and not answer.flags & 1:
                self.answers[grant, name].append(answer)
                return
            # Nobody listens, or the store is away: not an answer to the question.
            self.refused += answer is not None
            time.sleep(0.001)
        raise AssertionError(f"no answer to {name}")

    def send(self, grant, name):
        """The answer, or None when the connection was lost, or cut by the dice."""
        address = self.fleet.address(self.dice)
        try:
            sock = self.connection(address)
            sock.sendall(words("CHECK", "t", grant, "ID", name))
            if self.dice.random() < 0.03:
                self.cuts += 1
                self.drop(address, reset=self.dice.random() < 0.5)
                return None
            got = read_answers(sock, 1)
            if got:
                return got[0]
        except (OSError, AssertionError):
            pass  # the daemon was killed, perhaps within an answer
        self.lost += 1
        self.drop(address)
        return None


def assert_one_answer(answers):
    """All of an id's answers tell the same; the first one may have been lost."""
    allowed = [a for a in answers if a.verdict == 1]
    assert {a.verdict for a in answers} <= {0, 1}
    # Once admitted it stays so: nothing is denied behind an admission.
    assert answers[len(answers) - len(allowed):] == allowed, answers
    assert len({a.remaining for a in allowed}) <= 1, answers
    assert all(a.flags & 2 for a in allowed[1:]), answers
    return bool(allowed)


def count_of(client, grant):
    return int(client.get(f"ration:default:{{grant={grant}}}:calls:{IN_KEY}") or 0)


def test_ten_thousand_checks(rationd, redis_server):
    print(f"RATION_SEED={SEED}")
    dice = random.Random(SEED)
    per_grant = IDS // len(GRANTS)
    # In half of the grants not all find room.
    document = policy(t=[limit("calls", WINDOW, per_grant - 20, overrides={
        grant: per_grant * 2 for grant in GRANTS[::2]})])
    fleet = Fleet(lambda: rationd(document, store=redis_server.url,
                                  flags=["--deadline-ms", DEADLINE_MS]))
    ids = [(GRANTS[i % len(GRANTS)], f"id-{i}") for i in range(IDS)]
    dice.shuffle(ids)
    callers = [Caller(fleet, ids[i::CALLERS], dice.random()) for i in range(CALLERS)]
    for caller in callers:
        caller.start()

    def answered():
        return sum(len(caller.answers) for caller in callers)

    def reach(share):
        wait_for(lambda: answered() >= IDS * share or
                 any(caller.fault for caller in callers), 60, f"{share:.0%} of the ids")
    for share in (0.2, 0.7):
        reach(share)
        stop_redis(redis_server)
    reach(0.4)
    fleet.kill_one()
    for caller in callers:
        caller.join(patience(60))
    assert [c.fault for c in callers if c.fault] == []
    assert not any(caller.is_alive() for caller in callers)

    answers = {key: got for caller in callers for key, got in caller.answers.items()}
    assert set(answers) == set(ids)
    allowed = collections.Counter(
        grant for (grant, _), got in answers.items() if assert_one_answer(got))
    told = {k: sum(getattr(c, k) for c in callers) for k in ("cuts", "lost", "refused")}
    print(told, dict(allowed))
    assert told["cuts"] > IDS / 100 and told["lost"] > 0
    with redis_server.client() as client:
        # What came too late for its caller is given back within moments.
        wait_for(lambda: all(count_of(client, g) == allowed[g] for g in GRANTS), 5,
                 f"as much counted as allowed, {dict(allowed)}")
        assert all(allowed[grant] == per_grant for grant in GRANTS[::2])
        assert all(allowed[grant] <= per_grant - 20 for grant in GRANTS[1::2])
        assert assert_all_expire(client) >= len(GRANTS) + sum(allowed.values())


def stop_redis(server):
    """For longer than the deadline, so that charges are made whose answer is late."""
    server.pause()
    until = time.monotonic() + 3 * DEADLINE_MS / 1000
    wait_for(lambda: time.monotonic() > until, 5, "0.15 s without Redis")
    server.resume()


# Of a worker that has nothing else to ask.
PULSE = words("TIME")


def unread(server):
    """Of how many connections a call lies in this Redis's TCP sockets, not read."""
    here = f":{server.port:04X}"
    rows = [line.split() for line in pathlib.Path("/proc/net/tcp").read_text().splitlines()]
    return sum(int(row[4].split(":")[1], 16) > len(PULSE) for row in rows
               if row[1].endswith(here) and row[3] == "01")


def test_the_answer_was_lost_with_the_daemon(rationd, redis_server):
    """Charged in Redis, and then the daemon died: another one gives the answer."""
    document = policy(t=[limit("calls", WINDOW, 5)])
    one, other = (rationd(document, store=redis_server.url,
                          flags=["--deadline-ms", "20000"]) for _ in "ab")
    sock = one.connect("resp")
    redis_server.pause()
    sock.sendall(words("CHECK", "t", "a", "ID", "x"))
    # The script call lies in Redis's socket when the daemon is killed.
    wait_for(lambda: unread(redis_server) == 1, 5, "the call being sent")
    one.kill()
    redis_server.resume()
    with redis_server.client() as client:
        wait_for(lambda: count_of(client, "a") == 1, 5, "the charge")
        status, body, _ = other.check("t", "a", request_id="x")
        assert (status, body["replayed"], body["limits"][0]["used"]) == (200, True, 1)
        assert count_of(client, "a") == 1
    sock.close()


def test_late_but_answered_by_another(rationd, redis_server):
    """One daemon gave up on a charge, and another gave its answer to the retry: the first
    one, when it hears of it late, must not give it back."""
    document = policy(t=[limit("calls", WINDOW, 5)])
    hasty = rationd(document, store=redis_server.url, flags=["--deadline-ms", "1000"])
    patient = rationd(document, store=redis_server.url, flags=["--deadline-ms", "20000"])
    with patient.connect("resp") as sock, redis_server.client() as client:
        redis_server.pause()
        assert hasty.check("t", "a", request_id="x")[0] == 503
        sock.sendall(words("CHECK", "t", "a", "ID", "x"))
        # Both calls are there before either is answered.
        wait_for(lambda: unread(redis_server) == 2, 5, "both calls being sent")
        redis_server.resume()
        answer, = read_answers(sock, 1)
        assert (answer.verdict, answer.remaining) == (1, 4)
        wait_for(lambda: hasty.metric("ration_store_late_total") == 1, 5, "the late reply")
        # What hasty sends behind it is answered behind it.
        assert hasty.check("t", "a", request_id="x")[1]["replayed"] is True
        assert count_of(client, "a") == 1


def test_late_and_nobody_asked_again(rationd, redis_server):
    """The caller was told that it may not go ahead: it is given back, and forgotten."""
    daemon = rationd(policy(t=[limit("calls", WINDOW, 5)]), store=redis_server.url,
                     flags=["--deadline-ms", "1000"])
    with redis_server.client() as client:
        redis_server.pause()
        assert daemon.check("t", "a", request_id="x")[0] == 503
        redis_server.resume()
        wait_for(lambda: daemon.metric("ration_store_given_back_total") == 1, 5,
                 "the late reply")
        wait_for(lambda: client.dbsize() == 0, 5, "nothing left")
        status, body, _ = daemon.check("t", "a", request_id="x")
        assert (status, body["replayed"]) == (200, False)
        assert count_of(client, "a") == 1
