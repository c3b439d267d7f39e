# SPDX-License-Identifier: ISC
"""Sentinels say where the master is: it is found, its role is looked at, failovers are
followed, and what they lose is counted.

Each failover is made with load running: no check is answered later than its deadline
and 20 ms, and what was admitted is held against what the new master counts. The time
from the failover to the next check allowed is printed.
"""
import contextlib
import os
import re
import time

import pytest
import redis

from faulty import SMALLEST, check, wait_allowed, wait_not_ready
from harness import limit, policy, wait_for
from load import LONG, LONG_KEY, Load, counter_key, slack_ms
from pacer import Pacer
from sentinels import NAME, Group, Sentinel, role
from tls_files import TLS_PORT, Authority, serve_tls, tls_options

FULL = bool(os.environ.get("RATION_FULL"))
DEADLINE_MS = 50
PLENTY = 10**9
RATE = 1000
MAX = 2 * RATE
POLICY = policy(much=[limit("much", LONG, PLENTY)], few=[limit("few", LONG, MAX)])
CALLS = [("much", "a"), ("few", "b"), ("much", "c"), ("few", "b")]
# Charges that may be on their way to a replica when a failover begins: a tenth of a
# second's, and those of the time that the machine kept it from running. A second and more
# is lost where the old master is charged on.
FEW = RATE // 10
# From the Sentinels' agreement on another master to the next check allowed.
BACK_S = 1.5


@pytest.fixture
def group(request):
    with Group(**getattr(request, "param", {})) as made:
        yield made


def follower(rationd, group, **kw):
    flags = ["--deadline-ms", DEADLINE_MS, *kw.pop("flags", [])]
    return rationd(POLICY, store=kw.pop("store", group.url()), flags=flags, **kw)


def workers():
    return int(os.environ.get("RATION_WORKERS", 1))


def changes(daemon):
    return daemon.metric("ration_store_master_changes_total") / workers()


def sentinels_heard(daemon):
    return daemon.metric("ration_store_sentinels")


def counted(server, tool, grant):
    with server.client() as client:
        return int(client.get(counter_key(tool, LONG_KEY, grant=grant)) or 0)


def lost(load, server):
    """How many charges that callers were told of the server does not know."""
    return sum(max(0, load.count("allow", tool, grant) - counted(server, tool, grant))
               for tool, grant in set(CALLS))


class Failover:
    """with Failover(daemon, group) as f: what makes one. Then .new, .lost, .load."""

    def __init__(self, daemon, group, what):
        self.daemon, self.group, self.what = daemon, group, what
        self.load = Pacer([daemon], CALLS, rate=RATE, beside=group.servers)

    def __enter__(self):
        self.old = self.group.master
        self.load.__enter__()
        wait_for(lambda: self.load.count("allow", "few") >= 20, 5, "20 checks")
        wait_for(lambda: Group.in_step(self.old) == 2, 5, "replicas that are in step")
        self.begun = time.monotonic()
        return self

    def __exit__(self, *fault):
        if any(fault):
            self.load.__exit__(*fault)
            return
        self.new = self.group.wait_moved(self.old)
        moved = time.monotonic()
        again = self.load.wait_for_one("allow", moved)
        wait_for(lambda: self.load.count("deny", "few", since=self.begun) >= 5, 20,
                 "the limit being full")
        self.load.__exit__(None, None, None)
        self.load.assert_all_answered()
        self.load.assert_in_time(DEADLINE_MS)
        # On a machine that is busy another failover may have followed.
        self.new = self.group.wait_moved(self.old)
        self.lost = lost(self.load, self.new)
        self.away_s = away_s(self.load)
        print(f"{self.what}: no check allowed for {self.away_s * 1000:.0f} ms, "
              f"the Sentinels agreed after {(moved - self.begun) * 1000:.0f} ms, "
              f"{self.lost} charges lost of {self.load.story()}")
        assert again - moved < (BACK_S + slack_ms() / 100 +
                                self.load.stalled_ms(moved, again) / 1000)
        # Charges that were on their way to a replica when the other took over.
        self.few = FEW + RATE * self.load.stalled_ms(self.begun, moved) / 1000
        # What is lost is admitted again, and no more than that.
        assert self.load.count("allow", "few") <= MAX + self.lost
        assert counted(self.new, "few", "b") <= MAX


def away_s(load):
    """The longest time between two checks that were not refused for the store, but for
    what the machine took."""
    answered = sorted(s.begun + s.took_ms / 1000 for s in load.samples
                      if s.kind != "store")
    begun, end = max(zip(answered, answered[1:]), key=lambda pair: pair[1] - pair[0])
    return end - begun - load.stalled_ms(begun, end) / 1000


def assert_served(load):
    """All were allowed, but for a few that a busy machine made late, or a Redis that
    stood still for a moment; never because of a connection or a role."""
    failed = [s.message for s in load.samples if s.kind != "allow"]
    assert not [m for m in failed if "no connection" in m or "replica" in m], failed
    assert load.count("allow") > len(failed), f"{len(failed)} of {len(load.samples)}"


# --- failovers ------------------------------------------------------------------------

def test_planned(group, rationd):
    """The old master lives on, and takes charges until it is told: none goes there once
    another is being promoted."""
    daemon = follower(rationd, group)
    with Failover(daemon, group, "planned") as made:
        group.fail_over()
    assert made.away_s < 0.5 + slack_ms() / 100
    # Those that were under way while the replica became the master.
    assert made.lost <= made.few, made.lost
    assert changes(daemon) == 1
    assert daemon.metric("ration_store_up") == 1
    assert "being promoted" in daemon.log


def test_killed(group, rationd):
    """kill -9; what comes back empty in its place is not used (RATION_FULL=1)."""
    daemon = follower(rationd, group)
    with Failover(daemon, group, "killed") as made:
        made.old.kill()
    assert made.lost <= made.few, made.lost
    assert changes(daemon) == 1
    if not FULL:
        return  # it takes the Sentinels ten seconds
    with Load(daemon, [("much", "a")]) as load:
        made.old.start()
        wait_for(lambda: role(made.old) == "slave", 30, "the old master as a replica")
        load.wait_for_one("allow", time.monotonic())
    assert_served(load)
    assert changes(daemon) == 1
    load.assert_in_time(DEADLINE_MS)


def test_frozen_and_thawed(group, rationd):
    """SIGSTOP: the old master thaws as a master, and is not used again. Until the
    Sentinels make it a replica, ten seconds later, with RATION_FULL=1."""
    daemon = follower(rationd, group)
    with Failover(daemon, group, "frozen") as made:
        made.old.pause()
    assert made.lost <= made.few, made.lost
    with Load(daemon, [("much", "thawed")]) as load:
        load.wait_for_one("allow", time.monotonic())
        made.old.resume()
        wait_for(lambda: role(made.old) in (["slave"] if FULL else ["slave", "master"]),
                 30, "the old master's word")
        load.wait_for_one("allow", time.monotonic())
    assert_served(load)
    assert load.count("allow") <= counted(made.new, "much", "thawed")
    assert changes(daemon) == 1
    load.assert_in_time(DEADLINE_MS)


def test_again_and_again(group, rationd):
    daemon = follower(rationd, group)
    for n in range(1, 3):
        old = group.master
        group.fail_over()
        group.wait_moved(old)
        wait_for(lambda n=n: changes(daemon) >= n, 10, f"move {n}")
        wait_allowed(daemon)
    assert changes(daemon) == 2


def cut_off(master, others):
    """From now on only those that are connected by now, and none of the others, get
    anything of this master: to them it is as good as gone."""
    with master.client() as client:
        client.config_set("requirepass", "cut off")
        client.execute_command("CLIENT", "KILL", "TYPE", "replica")
        addresses = {s.host for s in others}
        for one in client.client_list():
            if one["addr"].rsplit(":", 1)[0] in addresses or "sentinel" in one["name"]:
                with contextlib.suppress(redis.ResponseError):
                    client.client_kill(one["addr"])


@pytest.mark.parametrize("group, bounded", [
    pytest.param({}, False, id="plain"),
    pytest.param({"servers": {"min-replicas-to-write": 1, "min-replicas-max-lag": 1}},
                 True, id="min_replicas")], indirect=["group"])
def test_cut_off_master(group, rationd, bounded):
    """The others cannot reach it, the daemon can: what it is charged is lost, unless it
    takes no writes without a replica."""
    daemon = follower(rationd, group)
    with Failover(daemon, group, f"cut off, bounded: {bounded}") as made:
        cut_off(made.old, group.sentinels)
    if bounded:
        assert made.lost <= made.few, made.lost
        assert any("NOREPLICAS" in s.message for s in made.load.samples)
    else:
        assert made.lost > FEW
    assert changes(daemon) == 1


# --- Sentinels come and go --------------------------------------------------------------

def test_all_gone(group, rationd):
    """The master that is known serves on; what they say is heard once they are back."""
    daemon = follower(rationd, group)
    wait_for(lambda: sentinels_heard(daemon) == 3, 10, "three Sentinels")
    with Load(daemon, CALLS[:1]) as load:
        load.wait_for_one("allow", 0)
        for sentinel in group.sentinels:
            sentinel.kill()
        wait_for(lambda: sentinels_heard(daemon) == 0, 10, "no Sentinel")
        wait_for(lambda: "no Sentinel answers" in daemon.log, 5, "the log's word")
        load.wait_for_one("allow", time.monotonic())
        assert daemon.get("/readyz").status_code == 200
        for sentinel in group.sentinels:
            sentinel.start()
        wait_for(lambda: sentinels_heard(daemon) == 3, 20, "three Sentinels")
    assert_served(load)
    load.assert_in_time(DEADLINE_MS)
    old = group.master
    old.kill()
    group.wait_moved(old, 40)
    wait_allowed(daemon)


def test_others_are_learned(group, rationd):
    """One is enough to begin with; when it is gone the others are listened to."""
    first = group.sentinels[0]
    daemon = follower(rationd, group, store=group.url(sentinels=[first]))
    wait_for(lambda: sentinels_heard(daemon) == 3, 20, "three Sentinels")
    first.kill()
    wait_for(lambda: sentinels_heard(daemon) == 2, 10, "two Sentinels")
    old = group.master
    old.kill()
    group.wait_moved(old)
    wait_allowed(daemon)
    first.start()
    wait_for(lambda: sentinels_heard(daemon) == 3, 20, "three Sentinels")
    assert changes(daemon) == 1


def test_by_name_and_by_address(group, rationd):
    """One that is listed by name, and that others tell of by address, is one."""
    first = group.sentinels[0]
    first.stop()
    text = (first.dir / "sentinel.conf").read_text()
    text = re.sub(r"(?m)^bind .*", f"bind {first.host} 127.0.0.1", text)
    (first.dir / "sentinel.conf").write_text(text)
    first.start()
    store = f"redis+sentinel://localhost:{first.port}/{NAME}"
    daemon = follower(rationd, group, store=store)
    wait_for(lambda: sentinels_heard(daemon) == 3, 20, "the Sentinels")
    group.fail_over()
    wait_for(lambda: changes(daemon) == 1, 20, "the failover")
    wait_allowed(daemon)
    assert sentinels_heard(daemon) == 3


def test_one_that_was_asleep(group, rationd):
    """A Sentinel that slept through the failover names the old master for a while."""
    daemon = follower(rationd, group)
    wait_for(lambda: sentinels_heard(daemon) == 3, 10, "three Sentinels")
    sleeper = group.sentinels[2]
    old = group.master
    sleeper.pause()
    with old.client() as client:
        client.config_set("requirepass", "so that it is not taken back")
    group.sentinels[0].ask("FAILOVER", NAME)
    wait_for(lambda: group.sentinels[0].master != (old.host, old.port) and
             changes(daemon) == 1, 20, "the failover")
    wait_allowed(daemon)
    with Load(daemon, CALLS[:1]) as load:
        load.wait_for_one("allow", 0)
        sleeper.resume()
        wait_for(lambda: sleeper.master != (old.host, old.port) and
                 sentinels_heard(daemon) == 3, 20, "the sleeper's knowledge")
        load.wait_for_one("allow", time.monotonic())
    assert_served(load)
    assert changes(daemon) == 1


def test_none_at_start(group, rationd):
    for sentinel in group.sentinels:
        sentinel.stop()
    daemon = follower(rationd, group, wait="live")
    text = wait_not_ready(daemon, "sentinel")
    assert "refused" in text, text
    kind, message = check(daemon, "much")
    assert kind == "store" and "sentinel" in message, message
    group.sentinels[1].start()
    daemon.wait()
    wait_allowed(daemon)
    assert changes(daemon) == 0


# --- names, passwords, users --------------------------------------------------------------

def errors_said(daemon, word):
    return [line for line in daemon.log_lines()
            if line.get("level") == "error" and word in line["message"]]


def test_wrong_name(group, rationd):
    daemon = follower(rationd, group, wait="live", store=group.url(name="nobody"))
    text = wait_not_ready(daemon, "knows no master")
    assert '\\"nobody\\"' in text and f'\\"{NAME}\\"' in text or (
        '"nobody"' in text and f'"{NAME}"' in text), text
    kind, message = check(daemon, "much")
    assert kind == "store" and "does not accept this daemon" in message, message
    wait_for(lambda: len(errors_said(daemon, "knows no master")) == 3 * workers(), 10,
             "each Sentinel's error")
    for sentinel in group.sentinels:
        master = group.master
        sentinel.ask("MONITOR", "nobody", master.host, master.port, 2)
    daemon.wait()
    assert len(errors_said(daemon, "knows no master")) == 3 * workers()


PASSWORD = "sent1nel-passw0rd"
SENTINEL_USER = (f"user ration on >{PASSWORD} resetchannels &+switch-master "
                 "&+promoted-slave &+failover-state-wait-promotion -@all +auth "
                 "+subscribe +unsubscribe +sentinel|myid +sentinel|master "
                 "+sentinel|get-master-addr-by-name +sentinel|sentinels "
                 "+sentinel|masters")
WITH_PASSWORD = {"sentinel_lines": [f"requirepass {PASSWORD}",
                                    f"sentinel sentinel-pass {PASSWORD}"],
                 "sentinel_admin": (None, PASSWORD)}
WITH_USER = {"sentinel_lines": [SENTINEL_USER]}


@pytest.mark.parametrize("group, tail", [
    pytest.param(WITH_PASSWORD, f"?sentinel_password={PASSWORD}", id="password"),
    pytest.param(WITH_USER, f"?sentinel_user=ration&sentinel_password={PASSWORD}",
                 id="user")], indirect=["group"])
def test_sentinels_that_ask_who(group, rationd, tail):
    daemon = follower(rationd, group, store=group.url(tail=tail))
    wait_for(lambda: sentinels_heard(daemon) == 3, 10, "three Sentinels")
    old = group.master
    group.fail_over()
    group.wait_moved(old)
    wait_for(lambda: changes(daemon) == 1, 10, "the move")
    wait_allowed(daemon)
    assert "being promoted" in daemon.log, "announcements were not heard"
    assert PASSWORD not in daemon.log


@pytest.mark.parametrize("group, tail, word", [
    pytest.param(WITH_PASSWORD, "", "NOAUTH", id="missing"),
    pytest.param(WITH_PASSWORD, "?sentinel_password=wr0ng-word", "WRONGPASS",
                 id="wrong"),
    pytest.param({}, "?sentinel_password=wr0ng-word", "AUTH", id="none_asked"),
    pytest.param({"sentinel_lines": [SENTINEL_USER.replace("+subscribe ", "")]},
                 f"?sentinel_user=ration&sentinel_password={PASSWORD}", "NOPERM",
                 id="may_not_listen")], indirect=["group"])
def test_sentinels_that_refuse(group, rationd, tail, word):
    daemon = follower(rationd, group, store=group.url(tail=tail), wait="live")
    text = wait_not_ready(daemon, word) if word != "NOPERM" else ""
    wait_for(lambda: len(errors_said(daemon, word)) == 3 * workers(), 10,
             "each Sentinel's error")
    for secret in ("wr0ng-word", PASSWORD):
        assert secret not in daemon.log + text
    assert len(errors_said(daemon, word)) == 3 * workers()


SECRET = "s3cr:t/@%word"
QUOTED = "s3cr%3At%2F%40%25word"


@pytest.mark.parametrize("group", [{"acl": [
    "user default on nopass ~* &* +@all", f"user ration on >{SECRET} {SMALLEST}"]}],
    indirect=True)
def test_smallest_user_of_the_servers(group, rationd):
    daemon = follower(rationd, group, store=group.url(f"ration:{QUOTED}@"))
    old = group.master
    group.fail_over()
    group.wait_moved(old)
    wait_for(lambda: changes(daemon) == 1, 10, "the move")
    wait_allowed(daemon)
    assert SECRET not in daemon.log and QUOTED not in daemon.log


@pytest.mark.parametrize("group", [{"password": "of-the-servers"}], indirect=True)
def test_password_and_database(group, rationd):
    store = group.url(":of-the-servers@", "?db=3")
    daemon = follower(rationd, group, store=store)
    wait_allowed(daemon)
    with group.master.client(db=3) as client:
        assert client.dbsize() == 1
    assert "of-the-servers" not in daemon.log


# --- TLS ------------------------------------------------------------------------------------

@pytest.fixture
def tls_sentinel(redis_server, tmp_path):
    """A Sentinel and a master that both have a TLS port; .ca trusts them."""
    ca = Authority(tmp_path, "a CA")
    cert = ca.issue("server", "DNS:redis.test")
    serve_tls(redis_server, cert, ca)
    lines = [f"tls-port {TLS_PORT}", f"tls-cert-file {cert.cert}",
             f"tls-key-file {cert.key}", f"tls-ca-cert-file {ca.file}",
             "tls-auth-clients no", "tls-replication yes"]
    sentinel = Sentinel(redis_server, quorum=1, lines=lines, port=TLS_PORT)
    sentinel.ca = ca
    yield sentinel
    sentinel.discard()


def tls_store(sentinel):
    return f"rediss+sentinel://{sentinel.host}:{TLS_PORT}/{NAME}"


def test_over_tls(tls_sentinel, redis_server, rationd):
    daemon = rationd(POLICY, store=tls_store(tls_sentinel), flags=[
        "--store-tls-ca", tls_sentinel.ca.file, "--store-tls-name", "redis.test"])
    wait_allowed(daemon)
    wait_for(lambda: sentinels_heard(daemon) == 1, 10, "the Sentinel")
    with redis_server.client() as client:
        ports = {c["laddr"].rsplit(":", 1)[1] for c in client.client_list()
                 if c["addr"].startswith("127.")}
    assert ports == {str(TLS_PORT)}


def test_over_tls_not_trusted(tls_sentinel, tmp_path, rationd):
    other = Authority(tmp_path, "another CA")
    daemon = rationd(POLICY, store=tls_store(tls_sentinel), wait="live", flags=[
        "--store-tls-ca", other.file, "--store-tls-name", "redis.test"])
    wait_for(lambda: errors_said(daemon, "sentinel"), 10, "the error")
    kind, message = check(daemon, "much")
    assert kind == "store" and "sentinel" in message, message
    assert daemon.metric('ration_store_faults_total{class="tls"}') > 0


@pytest.mark.parametrize("auth_clients", ["no", "yes"])
def test_failovers_over_tls(tmp_path, rationd, auth_clients):
    """Nobody speaks anything but TLS: the daemon is told of the new master by the Sentinels,
    and charges it, as without; first it is a planned one, then one that was killed."""
    ca = Authority(tmp_path, "a CA")
    cert = ca.issue("server", "DNS:redis.test")
    flags = ["--store-tls-ca", ca.file, "--store-tls-name", "redis.test"]
    if auth_clients == "yes":
        flags += ca.issue("rationd", usage="clientAuth").flags()
    with Group(tls=tls_options(cert, ca, auth_clients)) as group:
        assert group.url().startswith("rediss+sentinel://")
        daemon = follower(rationd, group, flags=flags)
        wait_for(lambda: sentinels_heard(daemon) == 3, 10, "three Sentinels")
        with Failover(daemon, group, "planned, over TLS") as made:
            group.fail_over()
        assert made.lost <= made.few, made.lost
        assert changes(daemon) == 1
        assert "being promoted" in daemon.log, "announcements were not heard"
        assert tcp_ports(made.new) == {made.new.port}
        wait_for(lambda: Group.in_step(made.new) == 2, 20, "replicas that are in step")
        made.new.kill()
        last = group.wait_moved(made.new)
        wait_for(lambda: changes(daemon) == 2, 10, "the second move")
        wait_allowed(daemon)
        assert tcp_ports(last) == {last.port}
        # Another CA's certificate would have been refused: it was looked at each time.
        stranger = Authority(tmp_path, "another CA")
        other = follower(rationd, group, wait="live", flags=[
            "--store-tls-ca", stranger.file, "--store-tls-name", "redis.test"])
        wait_for(lambda: errors_said(other, "sentinel"), 10, "the error")
        assert check(other, "much")[0] == "store"


def tcp_ports(server):
    """At which ports of its clients are connected."""
    with server.client() as client:
        return {int(c["laddr"].rsplit(":", 1)[1]) for c in client.client_list()
                if c["addr"].startswith("127.")}
