# SPDX-License-Identifier: ISC
"""Under load, never one check too many, and never one too few.

The windows are 30 days long, so that none turns while a test runs.
"""
import collections
import random
import threading

import pytest

from harness import limit, patience, policy

WINDOW = "30d"
WINDOW_IN_KEY = "2592000s"
# No check may fail because the machine is busy: what is counted here is counted whole.
FLAGS = ["--deadline-ms", "30000"]

Answer = collections.namedtuple("Answer", "allowed used rule cost")


def ask_http(daemon, tool, grant, cost):
    status, body, _ = daemon.check(tool, grant, cost=cost)
    assert status in (200, 429), (status, body)
    assert (body["verdict"] == "allow") == (status == 200)
    assert not body["degraded"]
    return Answer(status == 200, body["limits"][0]["used"], body["rule"], cost)


def ask_resp(client, maximum, tool, grant, cost):
    verdict, rule, _, remaining, _, _, _, flags = client.execute_command(
        "CHECK", tool, grant, "COST", cost)
    assert verdict in (0, 1) and flags == 0, (verdict, rule, flags)
    return Answer(verdict == 1, maximum - remaining, rule.decode(), cost)


def storm(daemons, clients, checks, maximum, tool="t", grant="one", costs=(1,)):
    """`clients` threads, HTTP and RESP by turns, spread over the daemons, start
    together and send `checks` checks in all. Returns the answers."""
    answers, faults = [], []
    start = threading.Barrier(clients)
    shares = [checks // clients + (i < checks % clients) for i in range(clients)]

    def run(i):
        daemon = daemons[i // 2 % len(daemons)]
        dice = random.Random(i)
        with daemon.resp(single_connection_client=True) as client:
            mine = []
            start.wait(patience(10))
            for _ in range(shares[i]):
                cost = dice.choice(costs)
                if i % 2:
                    mine.append(ask_http(daemon, tool, grant, cost))
                else:
                    mine.append(ask_resp(client, maximum, tool, grant, cost))
            answers.extend(mine)

    def guarded(i):
        try:
            run(i)
        except BaseException as fault:  # reported below, in the test's thread
            faults.append(fault)
    threads = [threading.Thread(target=guarded, args=(i,)) for i in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(patience(60))
    assert not faults, faults[:3]
    assert not any(thread.is_alive() for thread in threads)
    assert len(answers) == checks
    return answers


def redis_key(counter, grant="one"):
    return f"ration:default:{{grant={grant}}}:{counter}:{WINDOW_IN_KEY}"


def assert_exact(answers, maximum):
    allowed = [a for a in answers if a.allowed]
    denied = [a for a in answers if not a.allowed]
    assert len(allowed) == maximum
    assert {a.rule for a in allowed} == {""}
    assert {a.rule for a in denied} == {"/tools/t/limits/calls"}
    # As if one after another: each place of the window was given to one check.
    assert sorted(a.used for a in allowed) == list(range(1, maximum + 1))
    assert {a.used for a in denied} == {maximum}


def test_two_daemons_share_one_redis(rationd, redis_server):
    document = policy(t=[limit("calls", WINDOW, 1000)])
    pair = [rationd(document, store=redis_server.url, flags=FLAGS) for _ in "ab"]
    assert_exact(storm(pair, clients=64, checks=5000, maximum=1000), 1000)
    with redis_server.client() as client:
        assert client.keys("*") == [redis_key("calls").encode()]
        assert client.get(redis_key("calls")) == b"1000"
        assert 0 < client.pttl(redis_key("calls")) <= 30 * 86400 * 1000
    for daemon in pair:  # both took part
        assert daemon.metric('ration_checks_total{verdict="allow"}') > 0
    assert sum(d.metric(f'ration_checks_total{{verdict="{v}"}}')
               for d in pair for v in ("allow", "deny_limit")) == 5000


def test_the_embedded_store(rationd):
    daemon = rationd(policy(t=[limit("calls", WINDOW, 500)]), flags=FLAGS)
    assert_exact(storm([daemon], clients=32, checks=1500, maximum=500), 500)
    assert daemon.metric("ration_store_counters") == 1


def test_costs_add_up(rationd, store):
    """What was admitted is what was counted; small ones fill the last gap."""
    daemon = rationd(policy(t=[limit("spend", WINDOW, 1000)]), store=store.url,
                     flags=FLAGS)
    answers = storm([daemon], clients=16, checks=800, maximum=1000, costs=(1, 2, 3, 7))
    assert sum(a.cost for a in answers if a.allowed) == 1000
    assert all(a.used + a.cost > 1000 for a in answers if not a.allowed)
    if store.redis:
        with store.redis.client() as client:
            assert client.get(redis_key("spend")) == b"1000"


@pytest.mark.parametrize("order", [("roomy", "full"), ("full", "roomy")])
def test_a_full_limit_leaves_the_other_alone(rationd, store, order):
    """All charges or none, whichever of the two is full."""
    limits = {"roomy": limit("roomy", WINDOW, 1000), "full": limit("full", WINDOW, 3)}
    daemon = rationd(policy(t=[limits[name] for name in order]), store=store.url,
                     flags=FLAGS)
    for _ in range(3):
        assert daemon.check("t", "one")[0] == 200

    answers = storm([daemon], clients=16, checks=160, maximum=3)
    assert {a.allowed for a in answers} == {False}
    assert {a.rule for a in answers} == {"/tools/t/limits/full"}
    status, body, _ = daemon.check("t", "one")
    assert status == 429
    assert {(x["counter"], x["used"]) for x in body["limits"]} == {("roomy", 3),
                                                                   ("full", 3)}
    if store.redis:
        with store.redis.client() as client:
            assert client.get(redis_key("roomy")) == b"3"
            assert client.get(redis_key("full")) == b"3"


def test_one_tool_cannot_take_what_it_is_denied(rationd, store):
    """A counter of two tools: what one is refused for its own limit stays for the
    other."""
    shared = limit("shared", WINDOW, 100)
    daemon = rationd(policy(narrow=[shared, limit("own", WINDOW, 10)], wide=[shared]),
                     store=store.url, flags=FLAGS)
    narrow = storm([daemon], clients=8, checks=80, maximum=100, tool="narrow")
    assert sum(a.allowed for a in narrow) == 10
    wide = storm([daemon], clients=8, checks=120, maximum=100, tool="wide")
    assert sum(a.allowed for a in wide) == 90


def test_grants_do_not_share(rationd, redis_server):
    """Many grants over two daemons, each with its own 20."""
    document = policy(t=[limit("calls", WINDOW, 20)])
    pair = [rationd(document, store=redis_server.url, flags=FLAGS) for _ in "ab"]
    grants = [f"grant-{i}" for i in range(50)]
    calls = [(grant, daemon) for grant in grants for daemon in pair for _ in range(15)]
    random.Random(7).shuffle(calls)
    pipes = {id(d): d.resp().pipeline(transaction=False) for d in pair}
    asked = collections.defaultdict(list)
    for grant, daemon in calls:
        pipes[id(daemon)].execute_command("CHECK", "t", grant)
        asked[id(daemon)].append(grant)
    allowed = collections.Counter()
    for daemon in pair:
        for grant, answer in zip(asked[id(daemon)], pipes[id(daemon)].execute()):
            allowed[grant] += answer[0]
    assert allowed == {grant: 20 for grant in grants}
