# SPDX-License-Identifier: ISC
"""More checks than rationd itself can do, over the embedded store, where nothing else is
the limit: clients that pipeline as much and as fast as they can, and clients that send and
never read. Beside them a polite one, of a hundred checks a second: it is served as if
they were not there, but for one turn of the loop, and memory is bounded.
"""
import contextlib
import json
import threading
import time

import pytest

import harness
from harness import limit, patience, policy, run_ration, wait_for
from load import LONG, slack_ms, words
from pacer import Pacer

POLICY = policy(**{name: [limit(name, LONG, 10**12)]
                   for name in ("polite", "flood", "deaf")})
DEADLINE_MS = 50
DEAF = 20
CHECK = words("CHECK", "deaf", "g")
# What is owed to one client that does not read, and what the kernel keeps of it.
OWED_BYTES = 1 << 20


class Flood(threading.Thread):
    """ration bench as fast as possible; .report once it has ended."""

    def __init__(self, daemon, connections, pipeline, seconds=3):
        super().__init__()
        self.words = ["bench", "--server", daemon.resp_text, "--tool", "flood",
                      "--connections", connections, "--pipeline", pipeline,
                      "--duration", seconds, "--json"]
        self.seconds, self.report = seconds, None

    def run(self):
        done = run_ration(*self.words, seconds=self.seconds + patience(20))
        self.report = json.loads(done.stdout)


def send_all_that_goes(sock):
    """Sends checks until no more are taken; how many bytes were."""
    sent, data = 0, CHECK * 1000
    with contextlib.suppress(BlockingIOError):
        while sent < 64 << 20:
            sent += sock.send(data[sent % len(data):])
    return sent


@contextlib.contextmanager
def deaf_clients(daemon):
    """Clients that send until nothing more is taken from them, and read nothing."""
    with contextlib.ExitStack() as stack:
        socks = [stack.enter_context(daemon.connect("resp")) for _ in range(DEAF)]
        for sock in socks:
            sock.setblocking(False)

        def are_full():
            return sum(send_all_that_goes(sock) for sock in socks) == 0
        wait_for(are_full, 20, "clients that are not read any more", every=0.1)
        yield socks


def net_ms(load, since, until):
    """What checks took beyond what the machine kept pacer or the daemon from running."""
    took = sorted(s.took_ms - load.noise_of(s) for s in load.samples
                  if since <= s.begun < until)
    return took[len(took) // 2], took[-1]


@pytest.mark.parametrize("connections,pipeline", [(200, 16), (64, 1024), (500, 512)])
def test_a_polite_client_beside_a_flood(rationd, connections, pipeline):
    daemon = rationd(POLICY, flags=["--deadline-ms", DEADLINE_MS])
    before = daemon.rss
    flood = Flood(daemon, connections, pipeline)
    with Pacer([daemon], [("polite", "a")], rate=100,
               timeout_ms=int(patience(5) * 1000)) as polite:
        polite.wait_for_one("allow", 0)
        begun = time.monotonic()
        flood.start()
        flood.join()
        over = time.monotonic()
    middle, longest = net_ms(polite, begun, over)
    print(polite.story(), f"net p50 {middle:.1f} max {longest:.1f} ms",
          flood.report["mix"], daemon.rss - before)
    assert flood.report["mix"]["allow"] == flood.report["answers"] > 10_000
    assert set(polite.kinds()) == {"allow"}, polite.story()
    if not harness.is_sanitized():  # a turn of so many checks takes far longer then
        polite.assert_in_time(DEADLINE_MS)
        assert middle < 20 + slack_ms(), middle
        assert daemon.rss - before < 40_000_000


def test_clients_that_never_read(rationd):
    daemon = rationd(POLICY, flags=["--deadline-ms", DEADLINE_MS])
    before = daemon.rss
    with Pacer([daemon], [("polite", "a")], rate=100) as polite:
        polite.wait_for_one("allow", 0)
        with deaf_clients(daemon):
            full = daemon.rss
            flood = Flood(daemon, 50, 16, seconds=1)
            flood.start()
            flood.join()
            again = daemon.rss
    print(polite.story(), full - before, again - full)
    assert set(polite.kinds()) == {"allow"}, polite.story()
    polite.assert_in_time(DEADLINE_MS)
    if not harness.is_sanitized():
        assert full - before < DEAF * OWED_BYTES
        assert again - full < 5_000_000
