# SPDX-License-Identifier: ISC
"""Redis over TLS: who is trusted and who is not, with a message that names the cause;
certificates of ours; certificates that change while rationd serves."""
import contextlib
import os
import shutil
import signal
import socket
import ssl
import threading

import pytest
import redis

from fault_proxy import FaultProxy
from harness import limit, policy, run_rationd, wait_for
from load import Load
from tls_files import TLS_PORT, Authority, Issued, openssl, serve_tls, tls_url

WORKERS = int(os.environ.get("RATION_WORKERS", "1"))
MANY = 10**9
POLICY = policy(t=[limit("c", "30d", MANY)])
NAME = "redis.test"
NAMED = ["--store-tls-name", NAME]


@pytest.fixture(scope="module")
def ca(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("ca"), "the right CA")


@pytest.fixture(scope="module")
def other_ca(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("other"), "another CA")


@pytest.fixture(scope="module")
def server_cert(ca):
    return ca.issue("server", f"DNS:{NAME}")


@pytest.fixture
def tls_redis(redis_server, server_cert, ca):
    """A redis-server with a TLS port whose certificate is for NAME."""
    serve_tls(redis_server, server_cert, ca)
    return redis_server


def trust(ca):
    return ["--store-tls-ca", ca.file]


def check(daemon, grant="g"):
    return daemon.check("t", grant)[0]


def connects(daemon):
    """How often it connected again."""
    return daemon.metric("ration_store_reconnects_total") - WORKERS


def assert_refused(rationd, url, flags, *says, level="error"):
    """It serves, takes no charges, and says why in its log and to a check."""
    daemon = rationd(POLICY, store=url, flags=flags, wait="live")

    def told():
        lines = [entry["message"] for entry in daemon.log_lines()
                 if entry["level"] == level]
        return next((line for line in lines if all(s in line for s in says)), None)
    try:
        wait_for(told, 5, "a line that says why")
    except AssertionError:
        raise AssertionError(f"nowhere {says} in\n{daemon.log}") from None
    assert check(daemon) == 503
    assert daemon.get("/readyz").status_code == 503
    if level == "error":
        assert daemon.metric('ration_store_faults_total{class="tls"}') > 0
        assert len([e for e in daemon.log_lines() if e["level"] == "error"]) <= WORKERS
    return daemon


# --- served ------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", [1, 2])
def test_served(tls_redis, rationd, ca, workers):
    daemon = rationd(POLICY, store=tls_url(tls_redis),
                     flags=[*trust(ca), *NAMED, "--workers", workers])
    assert [check(daemon) for _ in range(100)] == [200] * 100
    with tls_redis.client() as client:
        # All that rationd sends goes over the TLS port.
        ports = {c["laddr"].rsplit(":", 1)[1] for c in client.client_list()
                 if c["addr"].startswith("127.")}
        assert ports == {str(TLS_PORT)}
        assert client.get("ration:default:{grant=g}:c:2592000s") == b"100"


@pytest.mark.parametrize("version", ["TLSv1.2", "TLSv1.3"])
def test_each_version(tls_redis, rationd, ca, server_cert, version):
    serve_tls(tls_redis, server_cert, ca, **{"tls-protocols": version})
    daemon = rationd(POLICY, store=tls_url(tls_redis), flags=[*trust(ca), *NAMED])
    assert check(daemon) == 200


def test_address_in_the_certificate(redis_server, rationd, ca):
    """Without --store-tls-name it is the host of the URL that is verified."""
    serve_tls(redis_server, ca.issue("address", f"IP:{redis_server.host}"), ca)
    daemon = rationd(POLICY, store=tls_url(redis_server), flags=trust(ca))
    assert check(daemon) == 200


def test_chain_with_an_intermediate(redis_server, rationd, ca, tmp_path):
    """The server shows the CA between, rationd knows only the root."""
    between = Authority(tmp_path, "a CA between")
    openssl("req", "-config", between.conf, "-new", "-key", between.dir / "ca.key",
            "-subj", "/CN=a CA between", "-out", between.dir / "ca.csr")
    extensions = between.dir / "ca.ext"
    extensions.write_text("basicConstraints=critical,CA:TRUE\n")
    openssl("ca", "-batch", "-notext", "-config", ca.conf, "-days", 1, "-extfile",
            extensions, "-in", between.dir / "ca.csr", "-out", between.file)
    leaf = between.issue("leaf", f"DNS:{NAME}")
    chain = tmp_path / "chain.crt"
    chain.write_text(leaf.cert.read_text() + between.file.read_text())
    serve_tls(redis_server, Issued(chain, leaf.key), ca)
    daemon = rationd(POLICY, store=tls_url(redis_server), flags=[*trust(ca), *NAMED])
    assert check(daemon) == 200


def test_certificate_of_ours(tls_redis, rationd, ca, server_cert):
    serve_tls(tls_redis, server_cert, ca, auth_clients="yes")
    ours = ca.issue("rationd")
    daemon = rationd(POLICY, store=tls_url(tls_redis),
                     flags=[*trust(ca), *NAMED, *ours.flags()])
    assert check(daemon) == 200


def test_asked_for_by_name(server_cert, rationd, ca):
    """SNI carries the name, and no address ever."""
    asked = []
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(server_cert.cert, server_cert.key)
    context.sni_callback = lambda sock, name, ctx: asked.append(name)

    def accept(listener):
        while True:
            try:
                sock, _ = listener.accept()
                context.wrap_socket(sock, server_side=True).close()
            except ssl.SSLError:
                pass
            except OSError:
                return
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=accept, args=(listener,), daemon=True)
        thread.start()
        url = "rediss://127.0.0.1:%d" % listener.getsockname()[1]
        rationd(POLICY, store=url, flags=[*trust(ca), *NAMED], wait="live")
        wait_for(lambda: asked, 5, "the name")
        assert set(asked) == {NAME}
        rationd(POLICY, store=url, flags=trust(ca), wait="live")
        wait_for(lambda: None in asked, 5, "one that asks for no name")
        listener.shutdown(socket.SHUT_RDWR)
    thread.join(5)


def test_large_calls_and_replies(tls_redis, rationd, ca, tmp_path):
    """Batches and answers of more than one TLS record (16 KiB) in both directions."""
    many = policy(t=[limit(f"c{i}", "30d", MANY, algorithm="sliding")
                     for i in range(16)])
    daemon = rationd(many, store=tls_url(tls_redis),
                     flags=[*trust(ca), *NAMED, "--deadline-ms", 60000])
    with redis.Redis(*daemon.resp_address, socket_timeout=60) as client:
        pipe = client.pipeline(transaction=False)
        for i in range(3000):
            pipe.execute_command("CHECK", "t", f"grant-with-a-long-name-{i}")
        answers = pipe.execute()
    assert {(a[0], a[1]) for a in answers} == {(1, b"")}
    assert daemon.metric("ration_store_up") == 1
    assert connects(daemon) == 0


def test_one_byte_at_a_time(tls_redis, rationd, ca):
    """Records arrive in parts, also those of the handshake."""
    with FaultProxy((tls_redis.host, TLS_PORT)) as proxy:
        proxy.chunks(1)
        daemon = rationd(POLICY, store=proxy.url.replace("redis:", "rediss:"),
                         flags=[*trust(ca), *NAMED, "--deadline-ms", 20000])
        assert [check(daemon) for _ in range(5)] == [200] * 5


def test_slow_reader(tls_redis, rationd, ca):
    """What the socket does not take waits, and goes on from the right byte."""
    with FaultProxy((tls_redis.host, TLS_PORT)) as proxy:
        daemon = rationd(POLICY, store=proxy.url.replace("redis:", "rediss:"),
                         flags=[*trust(ca), *NAMED, "--deadline-ms", 60000])
        proxy.throttle(4_000_000)
        with redis.Redis(*daemon.resp_address, socket_timeout=60) as client:
            pipe = client.pipeline(transaction=False)
            for i in range(20000):
                pipe.execute_command("CHECK", "t", f"g{i}")
            answers = pipe.execute()
        assert {a[0] for a in answers} == {1}
        assert connects(daemon) == 0


def test_lost_and_found(tls_redis, rationd, ca):
    daemon = rationd(POLICY, store=tls_url(tls_redis), flags=[*trust(ca), *NAMED])
    for _ in range(3):
        with tls_redis.client() as client:
            client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        wait_for(lambda: check(daemon) == 200, 5, "service")


# --- refused -----------------------------------------------------------------------------


def test_wrong_ca(tls_redis, rationd, other_ca):
    assert_refused(rationd, tls_url(tls_redis), [*trust(other_ca), *NAMED],
                   f"certificate of {tls_redis.host}:{TLS_PORT} is signed by the right CA, "
                   f"not by a CA in {other_ca.file}")


def test_ca_of_the_same_name(tls_redis, rationd, tmp_path):
    """The key decides, not the name."""
    assert_refused(rationd, tls_url(tls_redis),
                   [*trust(Authority(tmp_path, "the right CA")), *NAMED],
                   "not by a CA in")


def test_system_trusts_it_not(tls_redis, rationd):
    assert_refused(rationd, tls_url(tls_redis), NAMED,
                   "not by a CA that this system trusts")


def test_expired(redis_server, rationd, ca):
    cert = ca.issue("expired", f"DNS:{NAME}", begins=-3, ends=-1)
    serve_tls(redis_server, cert, ca)
    assert_refused(rationd, tls_url(redis_server), [*trust(ca), *NAMED],
                   "certificate of", "expired on 20", " UTC")


def test_not_valid_yet(redis_server, rationd, ca):
    serve_tls(redis_server, ca.issue("early", f"DNS:{NAME}", begins=1, ends=2), ca)
    assert_refused(rationd, tls_url(redis_server), [*trust(ca), *NAMED],
                   "is valid only from 20", "clock")


def test_wrong_name(tls_redis, rationd, ca):
    assert_refused(rationd, tls_url(tls_redis),
                   [*trust(ca), "--store-tls-name", "elsewhere.test"],
                   f"is for {NAME}, not for elsewhere.test")


def test_wrong_address(tls_redis, rationd, ca):
    assert_refused(rationd, tls_url(tls_redis), trust(ca),
                   f"is for {NAME}, not for {tls_redis.host}")


def test_many_names(redis_server, rationd, ca):
    """A stranger's names fill no log."""
    cert = ca.issue("many", *[f"DNS:h{i}.test" for i in range(1000)])
    serve_tls(redis_server, cert, ca)
    assert_refused(rationd, tls_url(redis_server), [*trust(ca), *NAMED],
                   "is for h0.test, h1.test, h2.test, h3.test and 996 more, not for")


def test_not_a_servers(redis_server, rationd, ca):
    cert = ca.issue("client-only", f"DNS:{NAME}", usage="clientAuth")
    serve_tls(redis_server, cert, ca)
    assert_refused(rationd, tls_url(redis_server), [*trust(ca), *NAMED],
                   "is refused", "purpose")


def test_plain_port(redis_server, rationd, ca):
    """A Redis without TLS waits for the rest of a command that never comes."""
    url = f"rediss://{redis_server.host}:{redis_server.port}"
    assert_refused(rationd, url, trust(ca), f"{redis_server.host}:{redis_server.port}",
                   "does not answer in TLS", "port without TLS", "redis://", level="warn")


@contextlib.contextmanager
def answering(data):
    """A server that answers whatever comes with the same bytes, and closes; its place."""
    def accept(listener):
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            with sock:
                sock.recv(1000)
                sock.sendall(data)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=accept, args=(listener,), daemon=True)
        thread.start()
        yield "127.0.0.1:%d" % listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
    thread.join(5)


def test_plain_port_that_answers(rationd, ca):
    with answering(b"-ERR what is this?\r\n") as place:
        assert_refused(rationd, f"rediss://{place}", trust(ca),
                       f"{place} does not speak TLS", "use redis://")


def test_tls_port_without_tls(tls_redis, rationd):
    url = f"redis://{tls_redis.host}:{TLS_PORT}"
    assert_refused(rationd, url, [], "closed the connection without a word",
                   "rediss://", level="warn")


def test_tls_port_that_says_so(rationd):
    """An alert is told for what it is."""
    with answering(b"\x15\x03\x01\x00\x02\x02\x46") as place:
        assert_refused(rationd, f"redis://{place}", [], "it answers in TLS",
                       "use rediss://")


@pytest.mark.parametrize("version", ["TLSv1.2", "TLSv1.3"])
def test_certificate_of_ours_missing(tls_redis, rationd, ca, server_cert, version):
    serve_tls(tls_redis, server_cert, ca, auth_clients="yes",
              **{"tls-protocols": version})
    assert_refused(rationd, tls_url(tls_redis), [*trust(ca), *NAMED],
                   "want", "a certificate of ours")


def test_certificate_of_ours_unknown(tls_redis, rationd, ca, other_ca, server_cert):
    serve_tls(tls_redis, server_cert, ca, auth_clients="yes")
    assert_refused(rationd, tls_url(tls_redis),
                   [*trust(ca), *NAMED, *other_ca.issue("stranger").flags()],
                   "does not know the CA that signed our certificate")


def test_certificate_of_ours_expired(tls_redis, rationd, ca, server_cert):
    serve_tls(tls_redis, server_cert, ca, auth_clients="yes")
    ours = ca.issue("late", begins=-3, ends=-1)
    daemon = assert_refused(rationd, tls_url(tls_redis),
                            [*trust(ca), *NAMED, *ours.flags()],
                            "says that our certificate has expired")
    assert f"{ours.cert}: this certificate has expired" in daemon.log


# --- configuration -----------------------------------------------------------------------


def flags_of(store, **files):
    words = ["--store", store]
    for name, file in files.items():
        words += [f"--store-tls-{name}", file]
    return words


@pytest.fixture(scope="module")
def broken(tmp_path_factory, ca, other_ca, server_cert):
    """Files that cannot be used."""
    folder = tmp_path_factory.mktemp("broken")
    (folder / "empty").touch()
    (folder / "text").write_text("no certificate at all\n")
    (folder / "half").write_text(server_cert.cert.read_text()[:300])
    openssl("pkey", "-in", server_cert.key, "-aes128", "-passout", "pass:secret",
            "-out", folder / "encrypted")
    return folder


@pytest.mark.parametrize("key, file, word", [
    ("ca", "missing", "No such file or directory"),
    ("ca", "", "is not a regular file"),
    ("ca", "empty", "holds no CA certificate"),
    ("ca", "text", "holds no CA certificate"),
    ("ca", "half", "holds no CA certificate"),
    ("cert", "missing", "No such file or directory"),
    ("cert", "text", "holds no certificate"),
    ("key", "missing", "No such file or directory"),
    ("key", "text", "holds no private key"),
    ("key", "encrypted", "is encrypted"),
])
def test_files_that_cannot_be_used(broken, server_cert, tmp_path, key, file, word):
    path = broken / file
    files = {"cert": server_cert.cert, "key": server_cert.key, key: path}
    if key == "ca":
        files = {"ca": path}
    for mode in ["--check-config"], []:
        done = run_rationd(*flags_of("rediss://127.0.0.1:1", **files), "--policy",
                           policy_file(tmp_path), *mode)
        assert done.returncode == 78, done
        assert str(path) in done.stderr and word in done.stderr, done.stderr


def policy_file(folder):
    path = folder / "p.json"
    path.write_text('{"version": "1", "default": "allow", "tools": {}}')
    return path


def test_key_of_another_certificate(ca, other_ca, tmp_path):
    one, two = ca.issue("one"), ca.issue("two")
    done = run_rationd(*flags_of("rediss://127.0.0.1:1", cert=one.cert, key=two.key),
                       "--policy", policy_file(tmp_path), "--check-config")
    assert done.returncode == 78
    assert f"{two.key}: is not the key of the certificate in {one.cert}" in done.stderr


@pytest.mark.parametrize("store", ["memory", "redis://127.0.0.1:1", "redis+unix:///s"])
def test_not_with_other_stores(ca, tmp_path, store):
    """Who gives a CA believes to have TLS."""
    done = run_rationd(*flags_of(store, ca=ca.file), "--policy", policy_file(tmp_path),
                       "--check-config")
    assert done.returncode == 78
    assert "--store-tls-ca: the store is not reached over TLS" in done.stderr


@pytest.mark.parametrize("key", ["cert", "key"])
def test_certificate_and_key_go_together(server_cert, tmp_path, key):
    files = {key: getattr(server_cert, key)}
    done = run_rationd(*flags_of("rediss://127.0.0.1:1", **files), "--policy",
                       policy_file(tmp_path), "--check-config")
    assert done.returncode == 78
    assert "--store-tls-cert and --store-tls-key go together" in done.stderr


def test_good_files(ca, server_cert, tmp_path):
    done = run_rationd(*flags_of("rediss://127.0.0.1:1", ca=ca.file,
                                 cert=server_cert.cert, key=server_cert.key),
                       "--policy", policy_file(tmp_path), "--check-config")
    assert done.returncode == 0, done.stderr
    assert f"store tls: {ca.file}, {server_cert.cert}" in done.stdout


# --- files that change -------------------------------------------------------------------


def place(ca_file, issued, folder):
    """Puts all three where rationd looks for them, each in one step."""
    for source, name in ((issued.key, "key"), (issued.cert, "cert"), (ca_file, "ca")):
        new = folder / f".{name}"
        shutil.copy(source, new)
        new.rename(folder / name)


def reloads(daemon, result="ok"):
    return daemon.metric('ration_policy_reloads_total{result="%s"}' % result)


def kill_connections(server):
    with server.client() as client:
        client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")


@pytest.mark.parametrize("how", ["watch", "hup"])
def test_rotation_under_load(redis_server, rationd, ca, other_ca, tmp_path, how):
    """Every certificate is replaced, the CA's included: connections that are there stay,
    those that come go by the new files."""
    serve_tls(redis_server, ca.issue("before", f"DNS:{NAME}"), ca, auth_clients="yes")
    place(ca.file, ca.issue("ours-before"), tmp_path)
    flags = ["--store-tls-ca", tmp_path / "ca", "--store-tls-cert", tmp_path / "cert",
             "--store-tls-key", tmp_path / "key", *NAMED,
             f"--watch={'true' if how == 'watch' else 'false'}"]
    daemon = rationd(POLICY, store=tls_url(redis_server), flags=flags)
    with Load(daemon, [("t", "g")]) as load:
        wait_for(lambda: load.count("allow") > 20, 5, "some checks")
        serve_tls(redis_server, other_ca.issue("after", f"DNS:{NAME}"), other_ca,
                  auth_clients="yes")
        place(other_ca.file, other_ca.issue("ours-after"), tmp_path)
        if how == "hup":
            daemon.signal(signal.SIGHUP)
        wait_for(lambda: "new connections use them" in daemon.log, 5, "a line that says so")
        wait_for(lambda: reloads(daemon) > 0, 5, "the reload")
        # Nothing was lost so far, by nobody.
        assert connects(daemon) == 0
        assert set(s.kind for s in load.samples) == {"allow"}
        kill_connections(redis_server)
        wait_for(lambda: connects(daemon) > 0, 5, "a new one")
        wait_for(lambda: check(daemon) == 200, 5, "service")
    assert not load.errors
    assert not [e for e in daemon.log_lines() if e["level"] == "error" and
                "certificate" in e["message"]]


def test_bad_files_leave_the_old(tls_redis, rationd, ca, server_cert, tmp_path):
    place(ca.file, ca.issue("ours"), tmp_path)
    flags = ["--store-tls-ca", tmp_path / "ca", *NAMED]
    daemon = rationd(POLICY, store=tls_url(tls_redis), flags=flags)
    (tmp_path / "ca").write_text("spilt ink")
    wait_for(lambda: reloads(daemon, "refused") == 1, 5, "the refusal")
    assert f"{tmp_path / 'ca'}: holds no CA certificate" in daemon.log
    errors = daemon.get("/v1/policies").json()["last_reload"]["errors"]
    assert [e["file"] for e in errors] == [str(tmp_path / "ca")]
    kill_connections(tls_redis)
    wait_for(lambda: check(daemon) == 200, 5, "service by the old file")


def test_wrong_ca_mended_by_a_reload(tls_redis, rationd, ca, other_ca, tmp_path):
    """A daemon that trusts the wrong one needs no restart."""
    mine = tmp_path / "ca"
    shutil.copy(other_ca.file, mine)
    daemon = assert_refused(rationd, tls_url(tls_redis),
                            ["--store-tls-ca", mine, *NAMED], "not by a CA in")
    shutil.copy(ca.file, mine)
    wait_for(lambda: check(daemon) == 200, 8, "service")
