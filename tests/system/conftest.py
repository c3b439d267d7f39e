# SPDX-License-Identifier: ISC
"""Fixtures of the system tests; harness.py has the processes behind them."""
import mmap
import pathlib
import struct
import types

import pytest

import cluster
import harness
from clocked import START_MS, Clocked
from fault_proxy import FaultProxy


def pytest_configure(config):
    harness.raise_files_limit()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    report = (yield).get_result()
    if call.when == "call":
        item.call_failed = report.failed


@pytest.fixture
def redis_factory():
    """Starts redis-servers: redis_factory(options=..., acl=...) -> harness.Redis, or
    what else `kind` makes."""
    started = []

    def start(*args, kind=harness.Redis, **kw):
        started.append(kind(*args, **kw))
        return started[-1]
    yield start
    for server in started:
        server.discard()


@pytest.fixture
def cluster_factory():
    """Makes Redis Clusters: cluster_factory(masters, replicas) -> cluster.Cluster."""
    started = []

    def start(*args, **kw):
        started.append(cluster.Cluster(*args, **kw))
        return started[-1]
    yield start
    for one in started:
        one.discard()


@pytest.fixture
def redis_server(redis_factory):
    """A redis-server of this test's own, empty."""
    return redis_factory()


@pytest.fixture
def clocked(redis_factory, tmp_path):
    """A redis-server whose clock the test moves, and the scripts: clocked.Clocked."""
    shim = harness.built(pathlib.Path(harness.RATIOND).parent / "libclock_shim.so")
    path = tmp_path / "clock"
    path.write_bytes(struct.pack("=q", START_MS * 1000))
    server = redis_factory(env={"LD_PRELOAD": str(shim),
                                "RATION_TEST_CLOCK": str(path)})
    with path.open("r+b") as file:
        yield Clocked(server, mmap.mmap(file.fileno(), 8))


@pytest.fixture
def proxy_factory():
    """Relays that fail on command: proxy_factory(redis_server) -> FaultProxy; or for
    any (host, port)."""
    started = []

    def start(target):
        if isinstance(target, harness.Redis):
            target = (target.host, target.port)
        started.append(FaultProxy(target))
        return started[-1]
    yield start
    for proxy in started:
        proxy.close()


def daemons(request):
    started = []

    def start(*args, **kw):
        started.append(harness.Rationd(*args, **kw))
        return started[-1]
    yield start
    faults = []
    running = [daemon for daemon in started if daemon.running]
    for daemon in running:
        daemon.drain()  # all at once: each may have its delay
    for daemon in started:
        try:
            if daemon in running:
                daemon.stopped()
            else:
                daemon.assert_no_findings()
        except AssertionError as fault:
            faults.append(str(fault))
        if faults or getattr(request.node, "call_failed", False):
            print(f"--- rationd {daemon.pid}:", daemon.log[-8000:], sep="\n")
        daemon.discard()
    assert not faults, "\n".join(faults)


@pytest.fixture
def rationd(request, redis_factory, cluster_factory, proxy_factory):
    """Starts daemons: rationd(policies, store=..., flags=[...]) -> harness.Rationd.

    Those still running at the end are stopped, which has to go well: exit code 0, no
    word of a sanitizer in the log. The logs of a test that failed are printed.
    """
    # The factories are asked for so that Redis and proxies outlive the daemons.
    yield from daemons(request)


@pytest.fixture(scope="module")
def module_rationd(request):
    """The same for daemons that serve a whole module; embedded store."""
    yield from daemons(request)


@pytest.fixture(params=["memory", "redis"])
def store(request):
    """Each store in turn: .name, .url for --store, .redis (None for memory)."""
    if request.param == "memory":
        return types.SimpleNamespace(name="memory", url="memory", redis=None)
    server = request.getfixturevalue("redis_server")
    return types.SimpleNamespace(name="redis", url=server.url, redis=server)
