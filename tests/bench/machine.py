# SPDX-License-Identifier: ISC
"""What it was measured on, and how much of it others took meanwhile."""
import contextlib
import datetime
import os
import platform
import re
import resource
import time

TICKS = os.sysconf("SC_CLK_TCK")


def stat_of_cores(line):
    """Seconds since the start of the machine: what its processes took, as the kernel's
    clock found them (hardly more than a lower bound: it misses what is short), and what
    the hypervisor gave to somebody else while there was something to run here."""
    ticks = [int(word) for word in line.split()[1:9]]
    return sum(ticks[:3]) / TICKS, ticks[7] / TICKS


def read_cores():
    with open("/proc/stat") as f:
        return stat_of_cores(f.readline())


def process_seconds(pid):
    """Its own, and those of its children that have ended."""
    with open(f"/proc/{pid}/stat") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    own, children = ([int(word) for word in fields[at:at + 2]] for at in (11, 13))
    return sum(own) / TICKS, sum(children) / TICKS


def others_seconds(ours):
    """Of all processes that can be seen, but for the pids of `ours`; what has ended is in
    its parent's."""
    total = 0
    for pid in filter(str.isdigit, os.listdir("/proc")):
        if int(pid) not in ours:
            with contextlib.suppress(OSError):  # it has just ended
                total += sum(process_seconds(pid))
    return total


def our_seconds():
    """Of this process and those of its children that have ended."""
    uses = [resource.getrusage(who)
            for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(u.ru_utime + u.ru_stime for u in uses)


class Watch:
    """How much of the machine is taken between its birth and taken(). `servers`, ours, is
    borrowed: it has those that run at the time."""

    def __init__(self, servers=()):
        self.servers = servers
        self.start = self.read()

    def read(self):
        """Clock, stolen seconds, others' seconds, and the same the other way round: what
        all took but for us, for containers, where others cannot be seen."""
        busy, stolen = read_cores()
        pids = {os.getpid(), *(s.process.pid for s in self.servers)}
        ours = our_seconds() + sum(s.cpu_seconds() for s in self.servers)
        return time.monotonic(), stolen, others_seconds(pids), busy - ours

    def taken(self):
        """`stolen`: the part of the cores' time that the hypervisor gave to others;
        `others`: how many cores other processes took."""
        elapsed, stolen, *others = (b - a for a, b in zip(self.start, self.read()))
        return {"stolen": round(stolen / elapsed / os.cpu_count(), 4),
                # Clocks and ticks are not the same, so both may fall below 0.
                "others": round(max(*others, 0) / elapsed, 2)}


def processor():
    with open("/proc/cpuinfo") as f:
        found = re.search(r"^model name\s*:\s*(.*)$", f.read(), re.M)
    return found[1] if found else platform.machine()


class Machine:
    def __init__(self):
        self.start = time.monotonic()
        self.watch = Watch()

    def describe(self, redis_version):
        """To be asked when all that was started has ended."""
        return {"date": datetime.date.today().isoformat(), "cores": os.cpu_count(),
                "processor": processor(), "kernel": platform.release().split("-")[0],
                "redis": redis_version,
                "minutes": round((time.monotonic() - self.start) / 60, 1),
                **self.watch.taken()}


def sentence_of(machine):
    return (f"Measured {machine['date']} on {machine['cores']} cores of {machine['processor']}, "
            f"Linux {machine['kernel']}, Redis {machine['redis']}, in "
            f"{machine['minutes']:.0f} minutes; other processes took about "
            f"{machine['others']} cores meanwhile, the hypervisor "
            f"{100 * machine['stolen']:.1f} % of the cores' time.")
