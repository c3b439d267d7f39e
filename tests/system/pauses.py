# SPDX-License-Identifier: ISC
"""What the machine took: how long a test, and the processes that it looks at, were kept
from running. A test that says how long something may take adds this to it, so that it
is as strict as ever on a quiet machine, and says nothing of a busy one's other work.

    with Pauses(daemon) as pauses:
        begun = time.monotonic()
        ...
        pauses.assert_within(begun, 0.5)

Three things are measured, and added up, since one may come behind the other:
- a thread here that wants to run each millisecond, by how much it is late: what others,
  the hypervisor, and the other threads of this process took from it;
- each thread of the processes, by the kernel: how long it stood ready and got no processor;
- what the hypervisor took from any processor.
"""
import bisect
import contextlib
import os
import pathlib
import threading
import time

USUAL_S = 0.001         # by which any sleep is late
LOOK_S = 0.01           # between two looks at the processes
LONGEST_S = 5           # that anything kept a process from running


def ended(span):
    start, took_ms = span
    return start + took_ms / 1000


def met(spans, begun, end):
    """How long each lasted of the [(start, took_ms)] that meet this time; they are in the
    order of their ends."""
    first = bisect.bisect_right(spans, begun, key=ended)
    last = bisect.bisect_left(spans, end + LONGEST_S, key=ended)
    return [took_ms for start, took_ms in spans[first:last] if start < end]


class Waited:
    """For how long the threads of a process, and those of its children (a sanitizer's, at
    the end), stood ready and got no processor, since the last look."""

    def __init__(self):
        self.last = {}

    def more_s(self, pid):
        more = 0.0
        for task in pathlib.Path(f"/proc/{pid}/task").glob("*"):
            more += self._more_of(task / "schedstat")
            with contextlib.suppress(OSError):
                more += sum(map(self.more_s, (task / "children").read_text().split()))
        return more

    def _more_of(self, file):
        # A thread that has just ended, or a kernel that does not tell.
        with contextlib.suppress(OSError, IndexError):
            now = int(file.read_text("ascii").split()[1]) / 1e9
            before, self.last[file] = self.last.get(file, 0.0), now
            return now - before
        return 0.0


def stolen():
    """Seconds that the hypervisor took from all processors."""
    with open("/proc/stat", encoding="ascii") as stat:
        return int(stat.readline().split()[8]) / os.sysconf("SC_CLK_TCK")


class OwnWait:
    """The same for the thread that makes it."""

    def __init__(self):
        self.file = os.open("/proc/thread-self/schedstat", os.O_RDONLY | os.O_CLOEXEC)

    def __enter__(self):
        return self

    def __exit__(self, *fault):
        os.close(self.file)

    @property
    def ms(self):
        return int(os.pread(self.file, 128, 0).split()[1]) / 1e6


class Pauses:
    """See the top of this file. processes: harness.Process, running or not yet.

    .stalls and .waits: [(start, took_ms)] of this process and of those.
    """

    def __init__(self, *processes):
        self.processes = processes
        self.stalls, self.waits = [], []
        self._waited = Waited()
        self._stolen = stolen()
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._measure)

    def __enter__(self):
        self._look()
        self.waits.clear()      # those before
        self._thread.start()
        return self

    def __exit__(self, *fault):
        self._over.set()
        self._thread.join()
        self._look()

    def _measure(self):
        look_at = begun = time.monotonic()
        while not self._over.is_set():
            time.sleep(0.001)
            now = time.monotonic()
            over = now - begun - 0.001
            if over > USUAL_S:
                self.stalls.append((begun, over * 1000))
            if now > look_at:
                self._look()
                # Of many threads not so often that it would be a load itself.
                look_at = now + max(LOOK_S, 20 * (time.monotonic() - now))
            begun = time.monotonic()

    def _look(self):
        with self._lock:
            now, before, self._stolen = time.monotonic(), self._stolen, stolen()
            waited = self._stolen - before
            for process in self.processes:
                if process.process is not None:
                    waited += self._waited.more_s(process.pid)
            if waited > 0:
                self.waits.append((now - waited, waited * 1000))

    # --- what came of it

    def lost_s(self, begun, end=None):
        """What was lost between then and then, or now."""
        end = time.monotonic() if end is None else end
        if self._thread.is_alive():
            self._look()
        return sum(met(self.stalls, begun, end) + met(self.waits, begun, end)) / 1000

    def assert_within(self, begun, seconds, end=None, what="it"):
        """It took no longer than that from `begun` to now, or `end`, by itself."""
        end = time.monotonic() if end is None else end
        lost = self.lost_s(begun, end)
        assert end - begun < seconds + lost, (
            f"{what} took {end - begun:.3f} s, and may {seconds:.3f} and the "
            f"{lost:.3f} s that the machine took")


def unhurried(attempt, span):
    """attempt(span) does things that have to be done within a span that it can choose, in
    seconds. Where it fails, and the machine took a fifth of the span from it meanwhile,
    that says nothing: it is done again with a longer one."""
    for _ in range(3):
        with Pauses() as pauses:
            begun = time.monotonic()
            try:
                return attempt(span)
            except (AssertionError, OSError) as fault:
                lost = pauses.lost_s(begun)
                if lost < span / 5:
                    raise
                print(f"{lost:.1f} s lost in a span of {span} s: {fault!r}")
        span *= 2
    return attempt(span)
