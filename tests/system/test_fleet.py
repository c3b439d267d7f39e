# SPDX-License-Identifier: ISC
"""A fleet that reserves: never more than max calls in flight, and what is counted at the
end is what was used.

50 workers over two daemons on one Redis reserve, work, fail or succeed, commit with
another cost or roll back. Some walk away without a word, some are processes that are
killed with -9, and so is one of the daemons. From outside, Redis is asked all the time
how many slots are held; the workers keep an account of their own.

RATION_SEED repeats the dice.
"""
import collections
import os
import random
import subprocess
import sys
import threading
import time

import redis

from harness import limit, patience, policy, tied, wait_for

WORKERS = 50
JOBS = 300
SLOTS = 10
TTL_S = 2
HELD_KEY = "ration:default:{grant=fleet}:flying:slots"
TOKENS_KEY = "ration:default:{grant=fleet}:tokens:2592000s"
CALLS_KEY = "ration:default:{grant=fleet}:calls:2592000s"
SEED = int(os.environ.get("RATION_SEED", 0)) or random.SystemRandom().getrandbits(32)

DOCUMENT = policy(work=[
    {"counter": "flying", "algorithm": "concurrency", "max": SLOTS},
    limit("tokens", "30d", 10**9),
    limit("calls", "30d", 10**6, cost=1)])

# How many leases run at one moment, by Redis's own clock.
HELD = """
local time = redis.call('TIME')
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
return redis.call('ZCOUNT', KEYS[1], string.format('(%.0f', now_ms), '+inf')
"""

# A worker that is its own process: reserves, says what it got, waits to be killed.
HOLDER = """
import sys, redis
client = redis.Redis("127.0.0.1", int(sys.argv[1]))
while True:
    reply = client.execute_command("CHECK", "work", "fleet", "COST", sys.argv[2],
                                   "MODE", "reserve", "TTL", sys.argv[3])
    if reply[0] == 1:
        print(reply[6].decode(), flush=True)
        sys.stdin.read()
"""


class Watch(threading.Thread):
    """Asks Redis how many slots are held, until told to stop."""

    def __init__(self, server):
        super().__init__()
        self.client = server.client()
        self.most = self.times = 0
        self.stop = threading.Event()

    def run(self):
        while not self.stop.is_set():
            self.most = max(self.most, held(self.client))
            self.times += 1
            time.sleep(0.001)
        self.client.close()


def held(client):
    return client.eval(HELD, 1, HELD_KEY)


class Account:
    """What became of every job, and who holds a slot as the workers know it."""

    def __init__(self, dice):
        self.lock = threading.Lock()
        self.dice = dice
        self.jobs = JOBS
        self.tokens = self.calls = 0
        self.ends = collections.Counter()
        self.flying = self.most_flying = 0

    def next_job(self):
        with self.lock:
            self.jobs -= 1
            return self.jobs if self.jobs >= 0 else None

    def took_off(self):
        with self.lock:
            self.flying += 1
            self.most_flying = max(self.most_flying, self.flying)

    def landed(self):
        with self.lock:
            self.flying -= 1

    def end(self, how, tokens, calls):
        with self.lock:
            self.ends[how] += 1
            self.tokens += tokens
            self.calls += calls


class Worker(threading.Thread):
    """Does jobs until there are none. Everything is sent until it is answered: by its
    request id a reservation is one, and a settlement is done once."""

    def __init__(self, daemons, account, seed):
        super().__init__()
        self.daemons, self.account = daemons, account
        self.dice = random.Random(seed)
        self.clients = {}
        self.fault = None

    def run(self):
        try:
            while (job := self.account.next_job()) is not None:
                self.work(job)
        except BaseException as fault:  # raised again in the test's thread
            self.fault = fault
        for client in self.clients.values():
            client.close()

    def ask(self, *command):
        """The answer of one of the daemons; None: ask again."""
        daemon = self.dice.choice(self.daemons)
        if daemon not in self.clients:
            self.clients[daemon] = daemon.resp(single_connection_client=False)
        try:
            return self.clients[daemon].execute_command(*command)
        except redis.ConnectionError:
            return None  # it was killed
        except redis.TimeoutError:
            return None

    def until(self, question):
        end = time.monotonic() + patience(30)
        while time.monotonic() < end:
            answer = question()
            if answer is not None:
                return answer
            time.sleep(self.dice.uniform(0.001, 0.01))
        raise AssertionError("no answer")

    def reserve(self, job, cost):
        """The reservation's id, as soon as there is a slot."""
        def asked():
            reply = self.ask("CHECK", "work", "fleet", "COST", cost, "ID", f"job-{job}",
                             "MODE", "reserve", "TTL", TTL_S)
            if reply is None or reply[7] & 1:
                return None
            assert reply[0] == 1 or reply[1] == b"/tools/work/limits/flying", reply
            return reply[6] if reply[0] == 1 else None
        return self.until(asked)

    def settle(self, *command):
        """1 done, 0 done before (the first answer was lost), -1 too late."""
        def asked():
            try:
                return self.ask(*command)
            except redis.ResponseError as refusal:
                if str(refusal).startswith("UNAVAILABLE"):
                    return None
                assert "no such reservation" in str(refusal), refusal
                return -1
        return self.until(asked)

    def work(self, job):
        cost, true_cost = self.dice.randint(0, 500), self.dice.randint(0, 900)
        name = self.reserve(job, cost)
        begun = time.monotonic()
        self.account.took_off()
        time.sleep(self.dice.uniform(0.0, 0.03))
        dice = self.dice.random()
        if dice < 0.03:
            # Gone: nobody settles it, and its slot is free when its lease ends.
            self.account.landed()
            self.account.end("gone", cost, 1)
            return
        if dice < 0.1:
            assert self.settle("RENEW", name, "TTL", TTL_S) in (1, -1)
        # Its lease may have ended while this process was kept from running.
        assert time.monotonic() - begun < TTL_S, "this machine is too slow to tell"
        self.account.landed()
        if dice < 0.4:
            self.settled("rolled back", self.settle("ROLLBACK", name), cost, 0, 0)
        elif dice < 0.7:
            self.settled("corrected", self.settle("COMMIT", name, "COST", true_cost),
                         cost, true_cost, 1)
        else:
            self.settled("committed", self.settle("COMMIT", name), cost, cost, 1)

    def settled(self, how, answer, cost, tokens, calls):
        if answer < 0:
            self.account.end("too late", cost, 1)
        else:
            self.account.end(how, tokens, calls)


def start_holders(daemons, dice, n):
    """Processes that hold a slot each; (process, cost)."""
    holders = []
    for i in range(n):
        cost = dice.randint(1, 500)
        process = subprocess.Popen(
            tied([sys.executable, "-c", HOLDER, daemons[i % 2].resp_port, cost, TTL_S]),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        holders.append((process, cost))
    return holders


def test_fifty_workers(rationd, redis_server):
    print(f"RATION_SEED={SEED}")
    dice = random.Random(SEED)
    daemons = [rationd(DOCUMENT, store=redis_server.url) for _ in "ab"]
    account = Account(dice)
    watch = Watch(redis_server)
    watch.start()
    holders = start_holders(daemons, dice, 4)
    workers = [Worker(daemons, account, dice.random()) for _ in range(WORKERS)]
    try:
        for process, cost in holders:
            assert process.stdout.readline().strip(), "a holder got no slot"
            account.end("killed", cost, 1)
        for worker in workers:
            worker.start()
        for process, _ in holders:
            process.kill()
        wait_for(lambda: account.jobs < JOBS / 2 or any(w.fault for w in workers), 60,
                 "half of the jobs")
        daemons[0].kill()
        daemons[0] = rationd(DOCUMENT, store=redis_server.url)
    finally:
        for process, _ in holders:
            process.kill()
            process.communicate()
        for worker in workers:
            if worker.ident:
                worker.join(patience(60))
        watch.stop.set()
        watch.join()
    assert [w.fault for w in workers if w.fault] == []
    print(dict(account.ends), f"most {watch.most}, asked {watch.times} times")
    assert sum(account.ends.values()) == JOBS + len(holders)
    assert min(account.ends[how] for how in
               ("rolled back", "corrected", "committed", "gone")) > 0

    # At no moment more than max, by Redis and by those who held them; and as many.
    assert watch.most == SLOTS and watch.times > 100
    assert account.most_flying <= SLOTS

    with redis_server.client() as client:
        # What came too late for its caller is given back within moments.
        wait_for(lambda: int(client.get(TOKENS_KEY)) == account.tokens and
                 int(client.get(CALLS_KEY)) == account.calls, 5,
                 f"{account.tokens} tokens of {account.calls} calls")
        # The leases of those who are gone end by themselves.
        wait_for(lambda: held(client) == 0, TTL_S + 5, "all slots free")
        wait_for(lambda: not client.exists(HELD_KEY), 5, "no key of slots")
        assert int(client.get(TOKENS_KEY)) == account.tokens
    status, body, _ = daemons[1].check("work", "fleet", mode="peek", cost=0)
    assert status == 200
    assert {one["counter"]: one["used"] for one in body["limits"]} == {
        "flying": 0, "tokens": account.tokens, "calls": account.calls}
