# SPDX-License-Identifier: ISC
"""Thousands of checks a second beside a fault, every one of them timed: the program of
tests/pacer, which is built beside rationd.

    with Pacer([daemon], [("tool", "grant"), ...], rate=5000) as load:
        load.wait_for_one("allow", 0)
        ... the fault ...
        healed = time.monotonic()
        load.wait_for_recovery(healed)
    load.assert_all_answered()
    load.assert_in_time(50)
    print(load.story(), load.recovery_ms(healed))

An open loop: checks are sent when it is their time, whatever became of those before. So
a daemon that stalls is seen to; a closed loop would just ask less.
"""
import collections
import pathlib
import subprocess
import threading

from harness import RATIOND, built, patience, tied, wait_for
from load import Sample, Samples, slack_ms
from pauses import Pauses, met

# Of a Sample. "store": refused since the store was unavailable, "open": allowed all the
# same; both are degraded. The last four are no verdicts; the last three no answers.
KINDS = {("a", 0): "allow", ("d", 0): "deny", ("p", 0): "approval",
         ("a", 1): "open", ("d", 1): "store", ("e", 0): "error",
         ("l", 0): "lost", ("r", 0): "refused", ("t", 0): "silent"}
FAILED = {"error", "lost", "refused", "silent"}
DEGRADED = {"store", "open"}
SLOTS = 3               # of 0.1 s, that make service


def addresses(daemons, protocol):
    pairs = [getattr(daemon, f"{protocol}_address") for daemon in daemons]
    return ",".join(f"{host}:{port}" for host, port in pairs)


class Pacer(Samples):
    """See the top of this file. daemons: harness.Rationd, or anything else that has
    http_address and resp_address. beside: processes without which there is no service."""

    def __init__(self, daemons, calls, rate=1000, resp=True, http=True, pipeline=64,
                 conns=4, timeout_ms=5000, beside=()):
        self.calls = calls
        self.pauses = Pauses(*beside)
        self.samples, self.stalls, self.waits = [], [], []
        self.messages = {}
        words = ["--rate", rate, "--pipeline", pipeline, "--conns", conns,
                 "--timeout-ms", timeout_ms]
        protocols = ["resp"] * resp + ["http"] * http
        self.targets = [(daemon, name) for daemon in daemons for name in protocols]
        for daemon, name in self.targets:
            words += [f"--{name}", addresses([daemon], name)]
        for daemon in daemons:
            words += ["--watch", daemon.pid]
        for tool, grant in calls:
            words += ["--call", f"{tool} {grant}"]
        program = built(str(pathlib.Path(RATIOND).with_name("pacer")))
        self.process = subprocess.Popen(tied([program, *words]), stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        self._thread = threading.Thread(target=self._read)

    def __enter__(self):
        self.pauses.__enter__()
        self._thread.start()
        return self

    def __exit__(self, *fault):
        self.process.stdin.close()
        self._thread.join()
        self.pauses.__exit__(*fault)
        code = self.process.wait(patience(10))
        self.process.stdout.close()
        if not any(fault):
            assert code == 0, f"pacer ended with {code}"

    def _read(self):
        for line in self.process.stdout:
            letter, _, rest = line.rstrip("\n").partition(" ")
            {"c": self._keep, "m": self._message, "n": self._stall,
             "w": self._wait}[letter](rest)

    def _keep(self, rest):
        start, took, kind, degraded, call, _, message = rest.split(" ")
        tool, grant = self.calls[int(call)]
        kind = KINDS[kind, int(degraded)]
        self.samples.append(Sample(int(start) / 1e6, int(took) / 1e3, kind, tool,
                                   grant, self.messages[message]))

    def _message(self, rest):
        index, _, text = rest.partition(" ")
        self.messages[index] = text

    def _stall(self, rest):
        start, took = rest.split(" ")
        self.stalls.append((int(start) / 1e6, int(took) / 1e3))

    def _wait(self, rest):
        start, took = rest.split(" ")
        self.waits.append((int(start) / 1e6, int(took) / 1e3))

    def aim(self, daemons):
        """New connections go to these from now on, whoever they were to go to."""
        for index, (_, name) in enumerate(self.targets):
            self.process.stdin.write(f"{index} {addresses(daemons, name)}\n")
        self.process.stdin.flush()

    # --- what came of it

    def noise_of(self, sample):
        """Milliseconds by which a machine that had other things to do can have made a
        sample late. Measured: pacer by its turns that came late, of which one can hide
        an answer; the daemon by the kernel: its waits for a processor add up, since a
        busy machine makes it wait again and again."""
        end = sample.begun + sample.took_ms / 1000
        return (max(met(self.stalls, sample.begun, end), default=0.0) +
                sum(met(self.waits, sample.begun, end)))

    def assert_all_answered(self):
        """Every check has a verdict."""
        failed = [s for s in self.samples if s.kind in FAILED]
        assert not failed, f"{len(failed)} of {len(self.samples)}: {failed[:3]}"

    def kinds(self, since=0.0, until=float("inf")):
        """{kind: how many} of the checks that began in [since, until)."""
        return collections.Counter(s.kind for s in self.samples
                                   if since <= s.begun < until)

    def recovery_ms(self, healed):
        """From `healed` to the first check that was answered undegraded with which 0.3 s
        began in which at least nine of ten were, each 0.1 s; None: there is none yet.
        (One is no sign of service, and on a busy machine one of thousands is late.)"""
        good, all_, first = {}, {}, {}
        for s in list(self.samples):
            if s.begun < healed:
                continue
            slot = int((s.begun - healed) * 10)
            all_[slot] = all_.get(slot, 0) + 1
            if s.kind not in DEGRADED | FAILED:
                good[slot] = good.get(slot, 0) + 1
                first[slot] = min(first.get(slot, 1e9), s.begun - healed +
                                  s.took_ms / 1000)
        last = max(all_, default=0)     # its checks may not all be answered
        for slot in range(last - SLOTS):
            serves = [good.get(i, 0) >= 0.9 * all_.get(i, 1)
                      for i in range(slot + 1, slot + 1 + SLOTS)]
            if slot in first and all(serves):
                return first[slot] * 1000
        return None

    def wait_for_recovery(self, healed, seconds=5.0):
        wait_for(lambda: self.recovery_ms(healed) is not None, seconds,
                 "undegraded checks", every=0.1)

    def assert_recovered(self, healed, within_ms):
        """Service was back so soon, but for what the machine took."""
        back_ms = self.recovery_ms(healed)
        assert back_ms is not None, self.story()
        most_ms = (within_ms + slack_ms() +
                   self.stalled_ms(healed, healed + back_ms / 1000))
        assert 0 <= back_ms < most_ms, (
            f"recovery took {back_ms:.0f} ms of {most_ms:.0f}; {self.story()}")

    def stalled_ms(self, since, until):
        """How long pacer, the daemon or who is `beside` did not get to run in that time."""
        return sum(took for start, took in self.stalls + self.waits
                   if since <= start < until) + self.pauses.lost_s(since, until) * 1000

    def story(self):
        """One line for the log of a test."""
        took = sorted(s.took_ms for s in self.samples) or [0.0]
        stall, wait = (max((took for _, took in times), default=0.0)
                       for times in (self.stalls, self.waits))
        kinds = ", ".join(f"{n} {kind}" for kind, n in sorted(self.kinds().items()))
        return (f"{len(self.samples)} checks: {kinds}; p50 {took[len(took) // 2]:.1f} "
                f"p99 {took[len(took) * 99 // 100]:.1f} max {took[-1]:.1f} ms; kept from "
                f"running: pacer {stall:.0f} ms, the daemon {wait:.0f} ms at worst")
