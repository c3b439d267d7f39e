# SPDX-License-Identifier: ISC
"""Real processes for the system tests: redis-server, rationd, ration, redis-cli, curl.

No port is ever chosen and hoped to stay free: rationd gets listening sockets that the
test has bound, Redis listens on a Unix socket and on a loopback address of its own,
and tries another port where one is taken. Nothing sleeps for luck: whether a process
is up is asked of it, in a bounded loop. Every process is ended by its pid, whatever
becomes of the test.

RATION_WORKERS=N runs every daemon of a test that does not say so itself with so many
workers. RATIOND and RATION name the binaries. Those built with sanitizers are slow: waiting is
bounded by waits that patience() stretches, answers are judged as strictly as ever.
"""
import contextlib
import functools
import json
import os
import pathlib
import random
import re
import resource
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time

import redis
import redis.exceptions
import requests

ROOT = pathlib.Path(__file__).resolve().parents[2]
RATIOND = os.environ.get("RATIOND", str(ROOT / "build/release/rationd"))
RATION = os.environ.get("RATION", str(ROOT / "build/release/ration"))
EXAMPLE = ROOT / "examples/policies/create_connect_token.json"

SANITIZER_WORDS = ("AddressSanitizer", "LeakSanitizer", "ThreadSanitizer",
                   "runtime error:")
BACKLOG = 4096


def built(binary):
    """The binary, which has to be there."""
    if not os.access(binary, os.X_OK):
        raise AssertionError(f"{binary} is missing: build it, or say where it is with "
                             "RATIOND and RATION in the environment")
    return binary


def script(name):
    """A Lua script as the daemon has it: with the files that it includes."""
    folder = ROOT / "lua"
    return re.sub(r"(?m)^-- include (\S+)\n", lambda m: (folder / m[1]).read_text(),
                  (folder / f"{name}.lua").read_text())


@functools.lru_cache
def is_sanitized():
    """Whether rationd was built with a sanitizer."""
    data = pathlib.Path(built(RATIOND)).read_bytes()
    return b"__asan_init" in data or b"__tsan_init" in data


def patience(seconds):
    """How long to wait for what takes `seconds` on a quick machine at most."""
    return seconds * (6 if is_sanitized() else 2)


def wait_for(question, seconds=10.0, what="the condition", every=0.01):
    """Asks until the answer is true, and returns it."""
    end = time.monotonic() + patience(seconds)
    while True:
        answer = question()
        if answer:
            return answer
        if time.monotonic() > end:
            raise AssertionError(f"{what} did not come within {patience(seconds):.0f} s")
        time.sleep(every)


def raise_files_limit():
    """Makes the soft limit of open files the hard one, which is returned."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def clean_env(extra=None):
    """The environment for rationd and ration: without what the caller set for his."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("RATION")}
    # The quarantine of freed memory would drown what a test says of memory.
    env["ASAN_OPTIONS"] = "quarantine_size_mb=4:" + env.get("ASAN_OPTIONS", "")
    env["UBSAN_OPTIONS"] = "print_stacktrace=1:" + env.get("UBSAN_OPTIONS", "")
    env.update(extra or {})
    return env


def bound_socket(host="127.0.0.1", port=0):
    """A listening TCP socket, to be handed to a process."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind((host, port))
    sock.listen(BACKLOG)
    return sock


@contextlib.contextmanager
def closed_port():
    """A port of 127.0.0.1 where nobody listens, nor can."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        yield sock.getsockname()[1]


def tied(argv):
    """The command, so that it ends with the tests should these be killed themselves."""
    tie = ["setpriv", "--pdeathsig", "KILL"] if shutil.which("setpriv") else []
    return tie + [str(word) for word in argv]


class Client(redis.Redis):
    """A client whose with-block ends its connections, too."""

    def __exit__(self, *exc):
        super().__exit__(*exc)
        self.connection_pool.disconnect()


class Process:
    """One child process with a log file and a short private folder."""

    def __init__(self, name):
        self.name = name
        # Not pytest's tmp_path: a Unix socket's path has at most 107 bytes.
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix=f"{name}-"))
        self.log_path = self.dir / "log"
        self.process = None

    def spawn(self, argv, inside=(), **kw):
        """inside: words of a command in front, which it is run by (netns.py)."""
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(tied([*inside, *argv]), stdin=subprocess.DEVNULL,
                                            stdout=log, stderr=log, **kw)

    @property
    def pid(self):
        return self.process.pid

    @property
    def running(self):
        return self.process is not None and self.process.poll() is None

    @property
    def log(self):
        try:
            return self.log_path.read_text("utf-8", "replace")
        except FileNotFoundError:
            return ""

    @property
    def rss(self):
        """Resident bytes."""
        for line in pathlib.Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
        raise AssertionError(f"{self.name} has no VmRSS: is it running?")

    @property
    def fds(self):
        """How many descriptors it holds."""
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    @property
    def cpu(self):
        """Seconds of processor time, user and system."""
        fields = pathlib.Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1]
        user, system = fields.split()[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")

    def signal(self, number):
        self.process.send_signal(number)

    def pause(self):
        self.signal(signal.SIGSTOP)

    def resume(self):
        self.signal(signal.SIGCONT)

    def kill(self):
        """kill -9, and waits for the end. Nothing to do is fine."""
        if self.process is None:
            return
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(30)

    def discard(self):
        """Ends it where it still runs, and removes its folder."""
        self.kill()
        shutil.rmtree(self.dir, ignore_errors=True)


class Redis(Process):
    """One redis-server on a Unix socket and a TCP port, both its own.

    options: lines of redis.conf, e.g. {"requirepass": "secret", "appendonly": "yes"}.
    acl: lines of an ACL file. admin: (user, password) for client(), where needed.
    env: for an LD_PRELOAD, say. space: a netns.Space to run in; client() reaches it all
    the same. Starts at once; what start() and restart() bring up
    later has the same addresses and data.
    """

    def __init__(self, options=None, acl=None, admin=None, env=None, space=None):
        super().__init__("redis")
        self.space = space
        self.options = dict(options or {})
        self.env = {**os.environ, **(env or {})}
        self.admin = admin or (None, self.options.get("requirepass"))
        self.path = str(self.dir / "sock")
        self.data = self.dir / "data"
        self.data.mkdir()
        if acl is not None:
            (self.dir / "users.acl").write_text("\n".join(acl) + "\n")
            self.options["aclfile"] = str(self.dir / "users.acl")
        # Of the 127.0.0.0/8 an address that nobody else connects from or to, so that
        # a restart finds its port free.
        self.host = space.address if space else "127." + ".".join(
            str(random.randint(2, 250)) for _ in range(3))
        self.port = None
        try:
            self._first_start()
        except BaseException:
            self.discard()
            raise

    def _first_start(self):
        for _ in range(20):
            self.port = self._free_port()
            self._spawn()
            if self._up():
                return
            if "bind" not in self.log.lower():
                break
        raise AssertionError(f"redis-server does not start:\n{self.log}")

    def _free_port(self):
        if self.space:
            return 6379  # nobody else is in there
        with bound_socket(self.host) as probe:
            return probe.getsockname()[1]

    def _spawn(self):
        conf = {"bind": self.host, "port": self.port, "unixsocket": self.path,
                "dir": self.data, "save": '""', "appendonly": "no",
                "enable-debug-command": "yes",
                "protected-mode": "no" if self.space else "yes", **self.options}
        text = "".join(f"{key} {value}\n" for key, value in conf.items())
        (self.dir / "redis.conf").write_text(text)
        self.spawn(["redis-server", str(self.dir / "redis.conf")], env=self.env,
                   inside=self.space.inside if self.space else ())

    def _up(self):
        """Whether it serves; False when it ended instead."""
        client = self.client()

        def asked():
            if not self.running:
                return "ended"
            try:
                return client.ping() and "up"
            except (redis.AuthenticationError, redis.exceptions.NoPermissionError):
                return "up"
            except redis.ResponseError as e:
                return "up" if "LOADING" not in str(e) else None
            except redis.ConnectionError:
                return None
        with client:
            return wait_for(asked, 15, "redis-server's PONG") == "up"

    def start(self, wait=True):
        """Once more, from the main thread: setpriv ends it with the thread it is from.

        Without `wait` it may still be reading its data, or not listen yet.
        """
        self._spawn()
        assert not wait or self._up(), f"redis-server does not start again:\n{self.log}"

    def stop(self):
        """SIGTERM, and waits."""
        self.signal(signal.SIGTERM)
        self.process.wait(patience(10))

    def restart(self):
        """kill -9 and a new start on the same addresses and data."""
        self.kill()
        self.start()

    def client(self, **kw):
        user, password = self.admin
        return Client(unix_socket_path=self.path, username=user, password=password,
                      **{"socket_timeout": 30, **kw})

    @property
    def url(self):
        """For --store, over TCP; with the password of requirepass."""
        return self.url_as(None, self.options.get("requirepass"))

    def url_as(self, user, password, db=None):
        who = f"{user or ''}:{password}@" if password is not None else ""
        tail = f"/{db}" if db is not None else ""
        return f"redis://{who}{self.host}:{self.port}{tail}"

    @property
    def unix_url(self):
        password = self.options.get("requirepass")
        who = f":{password}@" if password is not None else ""
        return f"redis+unix://{who}{self.path}"


class Rationd(Process):
    """One rationd, serving.

    policies: one document (a dict with "version"), a dict of name -> document, or a
    list of files; a document may also be str or bytes, written as it is.
    flags: further words of its command line. env: further variables.
    wait: "ready" (answers /readyz with 200), "live" (answers /livez) or None.
    space: a netns.Space from where it connects; callers reach it all the same, since its
    listeners are the test's.
    """

    def __init__(self, policies=EXAMPLE, store="memory", flags=(), env=None,
                 http_host="127.0.0.1", resp_host="127.0.0.1", wait="ready",
                 space=None):
        super().__init__("rationd")
        self.space = space
        self._local = threading.local()
        self._sessions = []
        try:
            self.command = [built(RATIOND), *self._policy_flags(policies),
                            "--store", store]
            self._start(flags, env, http_host, resp_host)
            if wait:
                self.wait(wait)
        except BaseException:
            self.discard()
            raise

    def _policy_flags(self, policies):
        if isinstance(policies, dict) and "version" in policies:
            policies = {"default": policies}
        if isinstance(policies, (str, pathlib.Path)):
            policies = [policies]
        if isinstance(policies, dict):
            policies = write_policies(self.dir / "policies", policies)
        return [word for file in policies for word in ("--policy", str(file))]

    def _start(self, flags, env, http_host, resp_host):
        with bound_socket(http_host) as http, bound_socket(resp_host) as resp:
            self.http_port = http.getsockname()[1]
            self.resp_port = resp.getsockname()[1]
            self.command += ["--listen-http", f"fd:{http.fileno()}",
                             "--listen-resp", f"fd:{resp.fileno()}",
                             *worker_flags(flags), *map(str, flags)]
            # Of a daemon of which nothing is said of deadlines none is tested: a busy
            # machine may take its time.
            patience = {"RATION_DEADLINE_MS": "10000", **(env or {})}
            self.spawn(self.command, env=clean_env(patience),
                       inside=self.space.inside if self.space else (),
                       pass_fds=(http.fileno(), resp.fileno()))
        # Only rationd holds the sockets now: when it dies, callers are refused.

    def wait(self, for_what="ready"):
        path = {"ready": "/readyz", "live": "/livez"}[for_what]

        def asked():
            assert self.running, f"rationd ended with {self.process.poll()}:\n{self.log}"
            with contextlib.suppress(requests.RequestException):
                return self.get(path).status_code == 200
        wait_for(asked, 10, f"rationd being {for_what}")

    @property
    def http(self):
        return f"http://127.0.0.1:{self.http_port}"

    @property
    def resp_address(self):
        """(host, port)"""
        return ("127.0.0.1", self.resp_port)

    @property
    def http_address(self):
        return ("127.0.0.1", self.http_port)

    @property
    def resp_text(self):
        """For ration --server."""
        return f"127.0.0.1:{self.resp_port}"

    @property
    def session(self):
        """A kept requests.Session, one per thread."""
        if not hasattr(self._local, "session"):
            self._local.session = requests.Session()
            self._local.session.trust_env = False
            self._sessions.append(self._local.session)
        return self._local.session

    def request(self, method, path, **kw):
        kw.setdefault("timeout", patience(10))
        return self.session.request(method, self.http + path, **kw)

    def get(self, path, **kw):
        return self.request("GET", path, **kw)

    def post(self, path, body, **kw):
        """`body`: bytes as they are, anything else as JSON."""
        if not isinstance(body, bytes):
            body = json.dumps(body, ensure_ascii=False).encode("utf-8", "surrogatepass")
        headers = {"Content-Type": "application/json", **kw.pop("headers", {})}
        return self.request("POST", path, data=body, headers=headers, **kw)

    def check(self, tool, grant, headers=None, **body):
        """POST /v1/check; (status, the answer's JSON, header fields)."""
        r = self.post("/v1/check", {"tool": tool, "grant": grant, **body},
                      headers=headers or {})
        return r.status_code, r.json(), r.headers

    def resp(self, **kw):
        """A redis.Redis that talks to rationd; best used in a with-block."""
        return Client(*self.resp_address, **{"socket_timeout": patience(10), **kw})

    def connect(self, protocol, timeout=None):
        """A plain TCP connection to "http" or "resp"."""
        address = {"http": self.http_address, "resp": self.resp_address}[protocol]
        return socket.create_connection(address, timeout or patience(10))

    def metric(self, series):
        """One series of /metrics, as in 'ration_checks_total{result="allow"}'."""
        for line in self.get("/metrics").text.splitlines():
            name, _, value = line.rpartition(" ")
            if name == series:
                return float(value)
        raise AssertionError(f"/metrics has no {series}")

    def log_lines(self):
        """The log's JSON objects."""
        return [json.loads(line) for line in self.log.splitlines()
                if line.startswith("{")]

    def assert_no_findings(self):
        found = [word for word in SANITIZER_WORDS if word in self.log]
        assert not found, f"{found} in rationd's log:\n{self.log[-8000:]}"

    def _close_sessions(self):
        for session in self._sessions:
            session.close()

    def drain(self):
        """SIGTERM."""
        self._close_sessions()
        self.signal(signal.SIGTERM)

    def stop(self, seconds=15):
        """SIGTERM; it has to drain, end with 0 and have nothing to be ashamed of."""
        self.drain()
        self.stopped(seconds)

    def stopped(self, seconds=15):
        """Waits for its end."""
        try:
            code = self.process.wait(patience(seconds))
        except subprocess.TimeoutExpired:
            raise AssertionError(f"rationd does not stop:\n{self.log[-8000:]}") from None
        self.assert_no_findings()
        assert code == 0, f"rationd ended with {code}:\n{self.log[-8000:]}"

    def kill(self):
        self._close_sessions()
        super().kill()


def worker_flags(flags):
    """What RATION_WORKERS adds to a test's own flags."""
    number = os.environ.get("RATION_WORKERS")
    return ["--workers", number] if number and "--workers" not in flags else []


def write_policies(folder, documents):
    """Writes {name: document} as NAME.json; returns the files."""
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for name, document in documents.items():
        if isinstance(document, dict):
            document = json.dumps(document, ensure_ascii=False)
        if isinstance(document, str):
            document = document.encode()
        files.append(folder / f"{name}.json")
        files[-1].write_bytes(document)
    return files


def limit(counter, window, max, **more):
    """One limit of a policy document."""
    return {"counter": counter, "window": window, "max": max, **more}


def policy(default="deny", **tools):
    """A policy document; a tool is a list of limits, or what stands in the document."""
    tools = {name: {"limits": t} if isinstance(t, list) else t
             for name, t in tools.items()}
    return {"version": "1", "default": default, "tools": tools}


def run(*argv, seconds=20, env=None, **kw):
    """Runs a command to its end; text in, text out."""
    if "input" not in kw:
        kw["stdin"] = subprocess.DEVNULL
    return subprocess.run(tied(argv), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          encoding="utf-8", errors="replace",
                          timeout=patience(seconds), env=clean_env(env), **kw)


def run_rationd(*words, **kw):
    """rationd with these words, for runs that end by themselves."""
    return no_findings(run(built(RATIOND), *words, **{"seconds": 5, **kw}))


def run_ration(*words, **kw):
    return no_findings(run(built(RATION), *words, **kw))


def redis_cli(daemon, *words, **kw):
    """redis-cli talking to rationd."""
    host, port = daemon.resp_address
    return run("redis-cli", "-h", host, "-p", port, *words, **kw)


def curl(daemon, path, *words, **kw):
    return run("curl", "-sS", *words, daemon.http + path, **kw)


def no_findings(done):
    found = [word for word in SANITIZER_WORDS if word in done.stderr]
    assert not found, done.stderr[-8000:]
    return done
