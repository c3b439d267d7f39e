# SPDX-License-Identifier: ISC
"""Certificates for the tests, made when they are needed, and a redis-server's TLS port.

    ca = Authority(folder, "a CA")
    cert = ca.issue("server", "DNS:redis.test", "IP:127.0.0.1")
    serve_tls(redis_server, cert, ca)       # at tls_url(redis_server)
"""
import dataclasses
import datetime
import pathlib
import subprocess

TLS_PORT = 6380  # on the address that the server has for itself
EC_KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
CONF = """
[ca]
default_ca = this
[this]
database = {dir}/index.txt
rand_serial = yes
new_certs_dir = {dir}
certificate = {dir}/ca.crt
private_key = {dir}/ca.key
default_md = sha256
policy = any
unique_subject = no
[any]
commonName = optional
[req]
distinguished_name = nobody
[nobody]
"""


@dataclasses.dataclass(frozen=True)
class Issued:
    """A certificate and its key, as files."""
    cert: pathlib.Path
    key: pathlib.Path

    def flags(self):
        return ["--store-tls-cert", self.cert, "--store-tls-key", self.key]


def openssl(*words):
    done = subprocess.run(["openssl", *map(str, words)], capture_output=True, text=True,
                          stdin=subprocess.DEVNULL, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


def moment(days):
    """A time as openssl takes it, so many days from now."""
    at = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=days)
    return at.strftime("%Y%m%d%H%M%SZ")


class Authority:
    """A CA in a folder of its own; .file is what trusts it."""

    def __init__(self, folder, name):
        self.dir = pathlib.Path(folder) / name.replace(" ", "-")
        self.dir.mkdir()
        self.file = self.dir / "ca.crt"
        self.conf = self.dir / "conf"
        self.conf.write_text(CONF.format(dir=self.dir))
        (self.dir / "index.txt").touch()
        openssl("req", "-config", self.conf, "-x509", *EC_KEY, "-days", 2,
                "-subj", f"/CN={name}", "-addext", "basicConstraints=critical,CA:TRUE",
                "-keyout", self.dir / "ca.key", "-out", self.file)

    def issue(self, name, *alt_names, begins=-1, ends=1, usage="serverAuth,clientAuth"):
        """A certificate with the common name `name`, valid from and until so many days
        from now."""
        made = Issued(self.dir / f"{name}.crt", self.dir / f"{name}.key")
        extensions = self.dir / f"{name}.ext"
        extensions.write_text(f"extendedKeyUsage={usage}\n" + (
            f"subjectAltName={','.join(alt_names)}\n" if alt_names else ""))
        openssl("req", "-config", self.conf, "-new", *EC_KEY, "-subj", f"/CN={name}",
                "-keyout", made.key, "-out", self.dir / f"{name}.csr")
        openssl("ca", "-batch", "-notext", "-config", self.conf, "-extfile", extensions,
                "-startdate", moment(begins), "-enddate", moment(ends),
                "-in", self.dir / f"{name}.csr", "-out", made.cert)
        made.key.chmod(0o600)
        return made


def tls_options(cert, ca, auth_clients="no"):
    """What a redis-server needs for a TLS port, as lines of its configuration; to others
    it speaks TLS then, too."""
    return {"tls-cert-file": cert.cert, "tls-key-file": cert.key,
            "tls-ca-cert-file": ca.file, "tls-auth-clients": auth_clients,
            "tls-session-caching": "no", "tls-replication": "yes"}


def serve_tls(server, cert, ca, auth_clients="no", **more):
    """Opens the TLS port of a redis-server, or gives it other files."""
    options = {"tls-cert-file": cert.cert, "tls-key-file": cert.key,
               "tls-ca-cert-file": ca.file, "tls-auth-clients": auth_clients,
               "tls-session-caching": "no", "tls-port": TLS_PORT, **more}
    words = [str(word) for pair in options.items() for word in pair]
    with server.client() as client:
        client.execute_command("CONFIG", "SET", *words)


def tls_url(server):
    """For --store."""
    return f"rediss://{server.host}:{TLS_PORT}"
