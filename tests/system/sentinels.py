# SPDX-License-Identifier: ISC
"""A master, its replicas and the Sentinels that watch them, all real, for the tests of
failovers."""
import contextlib
import functools

import redis

import harness
from harness import wait_for

NAME = "quota"
# Less than two of its pings, which are a second apart, and a Sentinel takes a new master for
# dead at once.
DOWN_AFTER_MS = 2500


class TlsServer(harness.Redis):
    """A redis-server whose port speaks nothing but TLS. tls: options of that."""

    def __init__(self, tls, options=None, **kw):
        super().__init__({**(options or {}), **tls}, **kw)

    def _spawn(self):
        self.options.update({"port": 0, "tls-port": self.port})
        super()._spawn()


class Sentinel(harness.Redis):
    """One redis-server --sentinel. What it learned is in its file, and survives
    restart(). tls: options of its port, which speaks nothing but TLS then."""

    def __init__(self, master, quorum=2, lines=(), admin=None, port=None, tls=None,
                 **times):
        self.tls = tls
        times = {"down-after-milliseconds": DOWN_AFTER_MS, "failover-timeout": 3000,
                 "parallel-syncs": 1, **times}
        self.watch = [f"sentinel monitor {NAME} {master.host} "
                      f"{port or master.port} {quorum}",
                      *(f"sentinel {key} {NAME} {value}"
                        for key, value in times.items()), *lines]
        super().__init__(admin=admin)

    def _spawn(self):
        conf = self.dir / "sentinel.conf"
        if not conf.exists() or f"port {self.port}\n" not in conf.read_text():
            ports = [f"port {self.port}"]
            if self.tls:
                ports = ["port 0", f"tls-port {self.port}",
                         *(f"{key} {value}" for key, value in self.tls.items())]
            lines = [f"bind {self.host}", *ports,
                     f"unixsocket {self.path}", f"dir {self.data}",
                     f"sentinel announce-ip {self.host}",
                     f"sentinel announce-port {self.port}", *self.watch]
            conf.write_text("".join(line + "\n" for line in lines))
        self.spawn(["redis-server", str(conf), "--sentinel"], env=self.env)

    def ask(self, *words):
        """SENTINEL ..., with dicts for what is names and values."""
        with self.client(decode_responses=True) as client:
            reply = client.execute_command("SENTINEL", *words)
        return reply

    @property
    def master(self):
        """(host, port) of the master by its word."""
        host, port = self.ask("GET-MASTER-ADDR-BY-NAME", NAME)
        return host, int(port)

    @property
    def address(self):
        return f"{self.host}:{self.port}"


class Group:
    """with Group(...) as group: group.master, .replicas, .sentinels, .url

    servers: options of every redis-server; password: of them, for each other too.
    tls: options (tls_files.tls_options) with which all of them speak nothing but TLS.
    quick: Sentinels tell each other of themselves more often than they would, so that a
    test does not wait for it.
    """

    def __init__(self, n_replicas=2, n_sentinels=3, servers=None, acl=None,
                 password=None, sentinel_lines=(), sentinel_admin=None, quick=True,
                 tls=None, **times):
        self._all = contextlib.ExitStack()
        self.sentinels = []
        self.tls = tls
        try:
            options = {"repl-diskless-sync-delay": 0, "repl-ping-replica-period": 1,
                       "replica-priority": 100, **(servers or {})}
            if password:
                options.update({"requirepass": password, "masterauth": password})
            kind = functools.partial(TlsServer, tls) if tls else harness.Redis
            self.servers = [self._start(kind, options=options, acl=acl)
                            for _ in range(1 + n_replicas)]
            self._replicate(self.servers[0], self.servers[1:])
            lines = list(sentinel_lines)
            if password:
                lines.append(f"sentinel auth-pass {NAME} {password}")
            for _ in range(n_sentinels):
                self.sentinels.append(self._start(
                    Sentinel, self.servers[0], quorum=n_sentinels // 2 + 1,
                    lines=lines, admin=sentinel_admin, tls=tls, **times))
            self._acquaint(n_replicas, quick)
        except BaseException:
            self._all.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *fault):
        self._all.close()

    def _start(self, kind, *args, **kw):
        process = kind(*args, **kw)
        self._all.callback(process.discard)
        return process

    def _replicate(self, master, replicas):
        for server in [master, *replicas]:
            with server.client() as client:
                client.config_set("replica-announce-ip", server.host)
                client.config_set("replica-announce-port", server.port)
        for replica in replicas:
            with replica.client() as client:
                client.execute_command("REPLICAOF", master.host, master.port)
        wait_for(lambda: self.in_step(master) == len(replicas), 20, "the replicas")

    @staticmethod
    def in_step(master):
        """How many replicas have all that was written: "online" they are before."""
        with master.client() as client:
            try:
                client.set("probe", 1, px=1000)
                return client.wait(100, 200)
            except redis.ResponseError as e:
                assert "NOREPLICAS" in str(e), e
                return 0

    def _acquaint(self, n_replicas, quick):
        for sentinel in self.sentinels if quick else []:
            with contextlib.suppress(redis.ResponseError):  # before Redis 7
                sentinel.ask("DEBUG", "PUBLISH-PERIOD", 200)

        def done(sentinel):
            reply = sentinel.ask("MASTER", NAME)
            if isinstance(reply, list):
                reply = dict(zip(reply[::2], reply[1::2]))
            return (int(reply["num-other-sentinels"]) == len(self.sentinels) - 1 and
                    int(reply["num-slaves"]) == n_replicas and
                    reply["flags"] == "master")
        for sentinel in self.sentinels:
            wait_for(lambda s=sentinel: done(s), 30, "Sentinels that know each other")

    def server_at(self, address):
        return next(s for s in self.servers if (s.host, s.port) == address)

    @property
    def master(self):
        """The server that most of the running Sentinels name."""
        named = [s.master for s in self.sentinels if s.running]
        return self.server_at(max(named, key=named.count))

    def wait_moved(self, old, seconds=20):
        """Waits until every running Sentinel names another master; returns it."""
        def moved():
            named = {s.master for s in self.sentinels if s.running}
            return named if len(named) == 1 and (old.host, old.port) not in named \
                else None
        return self.server_at(wait_for(moved, seconds, "a failover").pop())

    def fail_over(self):
        """SENTINEL FAILOVER, as an operator would; the old master lives on."""
        def asked():
            try:
                return self.sentinels[0].ask("FAILOVER", NAME)
            except redis.ResponseError as e:
                assert "INPROG" in str(e) or "NOGOODSLAVE" in str(e), e
        wait_for(asked, 20, "a failover that begins")

    def url(self, who="", tail="", sentinels=None, name=NAME):
        hosts = ",".join(s.address for s in sentinels or self.sentinels)
        scheme = "rediss+sentinel" if self.tls else "redis+sentinel"
        return f"{scheme}://{who}{hosts}/{name}{tail}"


def role(server):
    """"master", "slave", or "" while it does not say: Sentinels end connections."""
    with contextlib.suppress(redis.ConnectionError), server.client() as client:
        return client.info("replication")["role"]
    return ""
