# SPDX-License-Identifier: ISC
"""Two network namespaces and a wire between them, which can be pulled: packets vanish
and nobody is told, neither by a reset nor by a refusal.

    with wire() as (near, far):
        server = redis_factory(space=far)
        daemon = rationd(policies, store=server.url, space=near)
        far.unplug() ... far.plug()

The test itself stays where it is and reaches both: the daemon over the listening sockets
that it is handed, Redis over its Unix socket. Nothing of the host's own network changes,
and all of it is gone when the processes that hold the namespaces are. Where namespaces
are not permitted the test is skipped.
"""
import contextlib
import shutil
import subprocess

import pytest

from harness import patience, tied, wait_for

ADDRESSES = ("10.77.0.1", "10.77.0.2")
MACS = ("02:00:00:00:00:01", "02:00:00:00:00:02")


def run(*argv):
    return subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, check=False,
                          timeout=patience(5))


class Space:
    """One end of the wire: a namespace with its own loopback and one address."""

    def __init__(self, index):
        self.address, self.peer = ADDRESSES[index], ADDRESSES[1 - index]
        self.mac, self.peer_mac = MACS[index], MACS[1 - index]
        if not shutil.which("ip") or not shutil.which("unshare"):
            pytest.skip("network namespaces need ip (iproute2) and unshare")
        self.holder = subprocess.Popen(
            tied(["unshare", "--net", "sh", "-c", "echo; exec sleep 86400"]),
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL)
        if self.holder.stdout.read(1) != b"\n":
            self.close()
            pytest.skip("network namespaces are not permitted here")

    def close(self):
        self.holder.kill()
        self.holder.wait(10)
        self.holder.stdout.close()

    @property
    def inside(self):
        """Words in front of a command that shall run in here."""
        return ["nsenter", f"--net=/proc/{self.holder.pid}/ns/net", "--"]

    def ip(self, *words):
        done = run(*self.inside, "ip", *words)
        assert done.returncode == 0, f"ip {' '.join(words)}: {done.stdout}"

    def name(self):
        self.ip("link", "set", "lo", "up")
        self.ip("link", "set", "wire", "address", self.mac)
        self.ip("addr", "add", f"{self.address}/30", "dev", "wire")

    def plug(self):
        self.ip("link", "set", "wire", "up")
        # Known for good: an unanswered question who has an address would be an error
        # after some seconds, and packets shall just vanish.
        self.ip("neigh", "replace", self.peer, "lladdr", self.peer_mac, "dev", "wire",
                "nud", "permanent")

    def unplug(self):
        self.ip("link", "set", "wire", "down")


@contextlib.contextmanager
def wire():
    """(near, far): two spaces with a wire between them."""
    with contextlib.ExitStack() as stack:
        spaces = []
        for i in range(2):
            spaces.append(Space(i))
            stack.callback(spaces[-1].close)
        near, far = spaces
        done = run(*near.inside, "ip", "link", "add", "wire", "type", "veth", "peer",
                   "name", "wire", "netns", str(far.holder.pid))
        if done.returncode:
            pytest.skip(f"no wire between network namespaces: {done.stdout.strip()}")
        for space in spaces:
            space.name()
        for space in spaces:
            space.plug()
        wait_for(lambda: "LOWER_UP" in run(*near.inside, "ip", "link", "show",
                                           "wire").stdout, 5, "the wire")
        yield near, far
