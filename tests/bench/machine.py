# SPDX-License-Identifier: ISC
"""What it was measured on, and how much of it others took meanwhile."""
import datetime
import os
import platform
import re
import resource
import time

TICKS = os.sysconf("SC_CLK_TCK")


def busy_seconds():
    """Of all cores and processes; "stolen" is what the hypervisor gave to others."""
    with open("/proc/stat") as f:
        ticks = [int(word) for word in f.readline().split()[1:9]]
    return (sum(ticks) - ticks[3] - ticks[4]) / TICKS


def our_seconds():
    """Of this process and those of its children that have ended."""
    uses = [resource.getrusage(who)
            for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(u.ru_utime + u.ru_stime for u in uses)


def processor():
    with open("/proc/cpuinfo") as f:
        found = re.search(r"^model name\s*:\s*(.*)$", f.read(), re.M)
    return found[1] if found else platform.machine()


class Machine:
    def __init__(self):
        self.start = time.monotonic(), busy_seconds(), our_seconds()

    def describe(self, redis_version):
        """To be asked when all that was started has ended."""
        elapsed = time.monotonic() - self.start[0]
        others = (busy_seconds() - self.start[1]) - (our_seconds() - self.start[2])
        return {"date": datetime.date.today().isoformat(), "cores": os.cpu_count(),
                "processor": processor(), "kernel": platform.release().split("-")[0],
                "redis": redis_version, "minutes": round(elapsed / 60, 1),
                # The two are counted in different ways, so it may fall below 0.
                "others": round(max(others / elapsed, 0), 2)}


def sentence_of(machine):
    return (f"Measured {machine['date']} on {machine['cores']} cores of {machine['processor']}, "
            f"Linux {machine['kernel']}, Redis {machine['redis']}, in "
            f"{machine['minutes']:.0f} minutes; other processes took about "
            f"{machine['others']} cores meanwhile.")
