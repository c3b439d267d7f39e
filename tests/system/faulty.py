# SPDX-License-Identifier: ISC
"""What the tests of faults ask of a daemon whose Redis is at fault, and hold it to."""
import contextlib
import re
import time

from harness import ROOT, limit, policy, wait_for
from load import LONG, LONG_KEY, assert_all_expire, counter_key, counts, slack_ms
from pauses import Pauses

DEADLINE_MS = 50
PLENTY = 10**9
# From Redis being back to the first check allowed: the longest pause between attempts
# is 1 s.
BACK_S = 1.5

POLICY = policy(
    much=[limit("much", LONG, PLENTY)],
    few=[limit("few", LONG, 100)],
    both=[limit("first", LONG, PLENTY), limit("second", LONG, PLENTY)])

# All that rationd ever calls, and that its scripts call. A database other than 0 needs
# +select as well.
SMALLEST = re.search(r"ACL SETUSER ration on >SECRET (.*)",
                     (ROOT / "docs/redis.md").read_text())[1]


def back_s():
    return BACK_S + slack_ms() / 100


def check(daemon, tool, grant="g"):
    """(kind, message) of one check over HTTP."""
    status, body, headers = daemon.check(tool, grant)
    if status == 503:
        assert body["degraded"] and body["verdict"] == "deny", body
        assert body["rule"].startswith("/tools/"), body
        assert "Retry-After" in headers, headers
    return {200: "allow", 429: "deny", 503: "store"}[status], body["message"]


def assert_unavailable_at_once(daemon, word):
    """503 without waiting for the deadline, with the reason."""
    took = []
    with Pauses(daemon) as pauses:
        for _ in range(5):
            begun = time.monotonic()
            kind, message = check(daemon, "much")
            end = time.monotonic()
            took.append((end - begun - pauses.lost_s(begun, end)) * 1000)
            assert kind == "store" and word in message, message
    assert min(took) < 20 + slack_ms(), took


def wait_not_ready(daemon, word, seconds=5):
    """Waits until /readyz is 503 with this word; returns its text."""
    def asked():
        r = daemon.get("/readyz")
        return r.text if r.status_code == 503 and word in r.text else None
    return wait_for(asked, seconds, f"/readyz with {word!r}")


def wait_allowed(daemon, tool="much", seconds=5):
    wait_for(lambda: check(daemon, tool)[0] == "allow", seconds, "a check allowed")


def assert_settled(load, client, exact=True):
    """Redis counts what was allowed, of each limit: nothing more, nothing less. With
    exact=False it may count more: a connection that dies takes replies with it."""
    allowed = {}
    for s in load.samples:
        for counter in {"both": ("first", "second")}.get(s.tool, (s.tool,)):
            key = counter_key(counter, LONG_KEY, grant=s.grant)
            allowed[key] = allowed.get(key, 0) + (s.kind == "allow")
    allowed = {key: n for key, n in allowed.items() if n}
    if exact:
        with contextlib.suppress(AssertionError):
            wait_for(lambda: counts(client) == allowed, 2, "settled counters")
        assert counts(client) == allowed
    else:
        found = counts(client)
        assert all(found.get(key, 0) >= n for key, n in allowed.items()), found
    assert_all_expire(client)
