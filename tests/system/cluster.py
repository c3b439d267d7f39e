# SPDX-License-Identifier: ISC
"""A Redis Cluster of the test's own: masters, replicas if wanted, and slots that move.

Each node listens on a loopback address that is its alone (harness.Redis), on a port for
clients and one for the other nodes.
"""
import contextlib
import time

import redis.exceptions
from redis.crc import key_slot

import harness
from harness import wait_for

SLOTS = 16384


class Node(harness.Redis):
    """One node. id: as the Cluster calls it."""

    def __init__(self, options=None, **kw):
        self.id = None
        super().__init__({"cluster-enabled": "yes", "cluster-config-file": "nodes.conf",
                          "cluster-node-timeout": 1500,
                          "repl-diskless-sync-delay": 0, **(options or {})}, **kw)
        self.id = self.ask("CLUSTER", "MYID")

    def _spawn(self):
        # Or the others would take it for where its connections seem to come from.
        self.options["cluster-announce-ip"] = self.host
        if "cluster-port" not in self.options or self.id is None:
            with harness.bound_socket(self.host) as probe:
                self.options["cluster-port"] = probe.getsockname()[1]
        super()._spawn()

    def ask(self, *words):
        with self.client() as client:
            answer = client.execute_command(*words)
        return answer.decode() if isinstance(answer, bytes) else answer

    @property
    def address(self):
        return f"{self.host}:{self.port}"

    def info(self):
        """CLUSTER INFO as a dict."""
        answer = self.ask("CLUSTER", "INFO")
        if isinstance(answer, dict):
            return answer
        return dict(line.split(":", 1) for line in answer.split() if ":" in line)

    def nodes(self):
        """{id: the words of CLUSTER NODES}, all that this one knows."""
        with self.client() as client:
            client.set_response_callback("CLUSTER NODES", lambda answer, **_: answer)
            lines = client.execute_command("CLUSTER", "NODES").decode().splitlines()
        return {line.split()[0]: line.split() for line in lines}

    def epochs(self):
        """The configuration epoch of each master that serves slots, as this one sees it."""
        return {node: int(words[6]) for node, words in self.nodes().items()
                if "master" in words[2] and len(words) > 8}

    def meet(self, other):
        self.ask("CLUSTER", "MEET", other.host, other.port,
                 other.options["cluster-port"])


class Cluster:
    """`masters` nodes that share the slots evenly, each with `replicas` replicas, all made
    by `make`."""

    def __init__(self, masters=3, replicas=0, options=None, make=Node, **kw):
        self.nodes, self.masters, self.replicas = [], [], {}
        self.options, self.make, self.kw = options, make, kw
        try:
            self._start(masters, replicas)
        except BaseException:
            self.discard()
            raise

    def _start(self, masters, replicas):
        self.masters = [self.new_node() for _ in range(masters)]
        cuts = [SLOTS * i // masters for i in range(masters + 1)]
        for node, first, end in zip(self.masters, cuts, cuts[1:]):
            node.ask("CLUSTER", "ADDSLOTSRANGE", first, end - 1)
        for i, node in enumerate(self.masters):
            node.ask("CLUSTER", "SET-CONFIG-EPOCH", i + 1)
        self.introduce(self.masters)
        for master in self.masters:
            for _ in range(replicas):
                self.add_replica(master)

    def new_node(self):
        self.nodes.append(self.make(self.options, **self.kw))
        return self.nodes[-1]

    def introduce(self, nodes):
        """All of them know each other, and the Cluster serves."""
        for node in nodes:
            if node is not nodes[0]:
                nodes[0].meet(node)
        self.wait_ok(nodes)

    def wait_ok(self, nodes):
        def asked():
            infos = [node.info() for node in nodes]
            return all(i["cluster_state"] == "ok" and
                       int(i["cluster_known_nodes"]) >= len(nodes) for i in infos)
        wait_for(asked, 20, "the Cluster", every=0.05)

    def add_replica(self, master):
        node = self.new_node()
        self.masters[0].meet(node)
        wait_for(lambda: master.id in node.nodes(), 20, "the replica's knowledge")
        node.ask("CLUSTER", "REPLICATE", master.id)
        wait_for(lambda: node.ask("INFO", "replication")["master_link_status"] == "up",
                 20, "the replica", every=0.05)
        self.replicas.setdefault(master, []).append(node)
        return node

    def replace(self, old):
        """A new node takes a master's place, and all know it; the old one is its
        replica."""
        new = self.add_replica(old)
        # Whoever takes it for a master still refuses it its vote.
        wait_for(lambda: all(new.id in (seen := n.nodes()) and seen[new.id][3] == old.id
                             for n in self.masters), 20, "the others' knowledge",
                 every=0.05)
        self.wait_ok([new])  # two seconds after its start: a master would say CLUSTERDOWN
        asked = [0.0]

        def promoted():
            # The others may refuse it their votes, and after 5 s it is off; or it has not
            # met its master yet.
            if time.monotonic() - asked[0] > 6:
                with contextlib.suppress(redis.exceptions.ResponseError):
                    new.ask("CLUSTER", "FAILOVER")
                    asked[0] = time.monotonic()
            return (new.ask("INFO", "replication")["role"] == "master" and
                    old.ask("INFO", "replication")["role"] == "slave")
        wait_for(promoted, 30, "the change of roles", every=0.05)
        self.masters[self.masters.index(old)] = new
        self.agree()
        return new

    @property
    def url(self):
        return "redis+cluster://" + ",".join(n.address for n in self.masters)

    def owner(self, slot):
        """The master that serves the slot, as the first that runs says."""
        asked = next(n for n in self.masters if n.running)
        with asked.client() as client:
            for first, last, node, *_ in raw_slots(client):
                if first <= slot <= last:
                    return next(n for n in self.nodes if n.id == node[2].decode())
        raise AssertionError(f"nobody serves slot {slot}")

    def master_of(self, key):
        return self.owner(key_slot(key.encode()))

    # --- slots that move -----------------------------------------------------------

    def begin_move(self, slot, source, target):
        """From now on keys of the slot may be on either node."""
        target.ask("CLUSTER", "SETSLOT", slot, "IMPORTING", source.id)
        source.ask("CLUSTER", "SETSLOT", slot, "MIGRATING", target.id)

    def move_keys(self, slot, source, target, n=100):
        """Moves up to n keys; how many there were."""
        with source.client() as client:
            keys = client.execute_command("CLUSTER", "GETKEYSINSLOT", slot, n)
            if keys:
                client.execute_command("MIGRATE", target.host, target.port, "", 0, 5000,
                                       "KEYS", *keys)
        return len(keys)


    def agree(self):
        """All know who is the newest. A node that takes a slot is believed by its epoch,
        one more than all that it knows of: too early it would lose the slot again, and
        its keys with it."""
        def asked():
            views = [n.epochs() for n in self.masters if n.running]
            return all(v == views[0] for v in views) and (
                len(set(views[0].values())) == len(views[0]))
        wait_for(asked, 20, "one view of all nodes")

    def end_move(self, slot, source, target):
        while self.move_keys(slot, source, target):
            pass
        self.agree()
        target.ask("CLUSTER", "SETSLOT", slot, "NODE", target.id)
        source.ask("CLUSTER", "SETSLOT", slot, "NODE", target.id)
        for node in self.masters:
            if node.running and node not in (source, target):
                node.ask("CLUSTER", "SETSLOT", slot, "NODE", target.id)

    def move(self, slot, source, target):
        self.begin_move(slot, source, target)
        self.end_move(slot, source, target)

    # --- what it holds ---------------------------------------------------------------

    def counts(self):
        """Every plain integer there is, by key, of all masters together."""
        found = {}
        for node in self.masters:
            if not node.running:
                continue
            with node.client() as client:
                for key in client.scan_iter(count=1000):
                    with contextlib.suppress(redis.exceptions.ResponseError, ValueError,
                                             TypeError):
                        value = client.get(key)
                        assert key not in found, f"{key} is on two nodes"
                        found[key.decode()] = int(value)
        return found

    def get(self, key):
        with self.master_of(key).client() as client:
            return client.get(key)

    def discard(self):
        for node in self.nodes:
            node.discard()


def raw_slots(client):
    """CLUSTER SLOTS as it came."""
    client.set_response_callback("CLUSTER SLOTS", lambda answer, **_: answer)
    return client.execute_command("CLUSTER", "SLOTS")
