# SPDX-License-Identifier: ISC
"""The servers that are measured, each on a free port of loopback."""
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

from bench.machine import process_seconds

# The leanest correct script, called once per check: what a team would write by hand.
LEAN = """local used = redis.call('INCRBY', KEYS[1], ARGV[1])
if used == tonumber(ARGV[1]) then redis.call('PEXPIREAT', KEYS[1], ARGV[3]) end
if used > tonumber(ARGV[2]) then redis.call('DECRBY', KEYS[1], ARGV[1]) return -1 end
return used"""

SUM = """local sum, cursor = 0, '0'
repeat
	local page = redis.call('SCAN', cursor, 'COUNT', 1000)
	cursor = page[1]
	for _, key in ipairs(page[2]) do sum = sum + redis.call('GET', key) end
until cursor == '0'
return sum"""


def die(text):
    sys.exit(f"scripts/bench: {text}")


class Void(Exception):
    """Nothing was measured."""


def run(*words):
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout


def free_port():
    """One that is free now; a server says so if it no longer is."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_until(condition, what, process):
    end = time.monotonic() + 10
    while not condition():
        if process.poll() is not None or time.monotonic() > end:
            process.terminate()
            die(f"{what} did not start")
        time.sleep(0.02)


class Server:
    """A process of ours, once `process` is set."""

    process = None

    def cpu_seconds(self):
        return process_seconds(self.process.pid)[0]

    def resident_bytes(self):
        with open(f"/proc/{self.process.pid}/status") as f:
            return int(re.search(r"^VmRSS:\s+(\d+) kB", f.read(), re.M)[1]) * 1024


class Redis(Server):
    """Without persistence."""

    def __init__(self, folder):
        self.port = free_port()
        self.process = subprocess.Popen(
            ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--save",
             "", "--appendonly", "no", "--dir", folder],
            stdout=subprocess.DEVNULL)
        wait_until(lambda: self.cli("PING") == "PONG", "redis-server", self.process)
        self.sha = self.cli("SCRIPT", "LOAD", LEAN)

    def cli(self, *words):
        done = subprocess.run(["redis-cli", "-p", str(self.port), *words],
                              capture_output=True, text=True)
        return done.stdout.strip()

    def reset(self):
        self.cli("FLUSHALL")

    def version(self):
        return re.search(r"^redis_version:(\S+)", self.cli("INFO", "server"), re.M)[1]

    def used_bytes(self):
        return int(re.search(r"^used_memory:(\d+)", self.cli("INFO", "memory"), re.M)[1])

    def total(self):
        """The sum of all counters."""
        return int(float(self.cli("EVAL", SUM, "0")))


def write_policy(folder, policy):
    """Always of one name, so that all keys are equally long."""
    path = os.path.join(tempfile.mkdtemp(dir=folder), "bench.json")
    with open(path, "w") as f:
        json.dump(policy, f)
    return path


class Relay(Server):
    """In front of a server, that far away from it."""

    def __init__(self, server, delay_us):
        self.port = free_port()
        self.process = subprocess.Popen(
            [sys.executable, os.path.join(os.path.dirname(__file__), "relay.py"),
             str(self.port), str(server.port), str(delay_us)])
        wait_until(self.answers, "the relay", self.process)

    def answers(self):
        try:
            with socket.create_connection(("127.0.0.1", self.port)):
                return True
        except OSError:
            return False


class Rationd(Server):
    def __init__(self, binary, folder, store, policy, *flags):
        policy = write_policy(folder, policy)
        self.log = open(os.path.join(os.path.dirname(policy), "rationd.log"), "w+")
        self.process = subprocess.Popen(
            [binary, "--policy", policy, "--store", store, "--deadline-ms", "10000",
             "--listen-http", "127.0.0.1:0", "--listen-resp", "127.0.0.1:0",
             "--log-format", "json", *flags], stderr=self.log)
        self.in_redis = store != "memory"
        wait_until(lambda: self.address("resp") and self.ready(), "rationd", self.process)
        self.port = int(self.address("resp").rsplit(":", 1)[1])

    def address(self, front):
        self.log.flush()
        with open(self.log.name) as f:
            found = re.search(rf"listening for {front} on ([^\s\"]+)", f.read())
        return found and found.group(1)

    def get(self, path):
        with urllib.request.urlopen(f"http://{self.address('http')}{path}") as r:
            return r.read().decode()

    def ready(self):
        try:
            return self.get("/readyz") is not None
        except OSError:
            return False

    def metrics(self, *names):
        """Their values; a name has its labels in braces."""
        text = self.get("/metrics")
        found = [re.search(rf"^{re.escape(name)} (\S+)$", text, re.M) for name in names]
        return [float(f[1]) if f else 0 for f in found]

    def allowed(self):
        """How many checks it has allowed."""
        return int(self.metrics('ration_checks_total{verdict="allow"}')[0])

    def counters(self):
        """How many the embedded store holds."""
        return int(self.metrics("ration_store_counters")[0])


NGINX = """
daemon off;
master_process off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log stderr crit;
events {{ worker_connections 1024; }}
http {{
	access_log off;
	keepalive_requests 1000000000;
	client_body_temp_path {folder}/nginx-body;
	proxy_temp_path {folder}/nginx-proxy;
	fastcgi_temp_path {folder}/nginx-fastcgi;
	uwsgi_temp_path {folder}/nginx-uwsgi;
	scgi_temp_path {folder}/nginx-scgi;
	server {{
		listen 127.0.0.1:{port};
		location / {{ return 200; }}
	}}
}}
"""


class Nginx(Server):
    """One that answers everything at once, with nothing, in one process."""

    def __init__(self, binary, folder):
        self.port = free_port()
        self.in_redis = False
        path = os.path.join(folder, "nginx.conf")
        with open(path, "w") as f:
            f.write(NGINX.format(folder=folder, port=self.port))
        self.process = subprocess.Popen([binary, "-p", folder, "-c", path],
                                        stderr=subprocess.DEVNULL)
        wait_until(self.answers, "nginx", self.process)

    def answers(self):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/") as r:
                return r.status == 200
        except OSError:
            return False
