"""The upstream and every proxy before it: configuration, start, and the first good answer."""

import os
import socket
import ssl
import subprocess
from http.client import HTTPConnection, HTTPException, HTTPSConnection

from .failure import Failure
from .process import Process, free_port
from .tools import ROOT

CONFIGS = ROOT / "benches/load/peers"
NAME = "bench.test"
THREADS = 2
SMALL, MEDIUM, LARGE = 1024, 64 << 10, 1 << 20
# What a page loads: answers from 1 KiB to 256 KiB.
MIXED = [SMALL << (2 * step) for step in range(5)]


class Certificate:
    """One P-256 certificate for all peers."""

    def __init__(self, folder):
        self.cert, self.key, self.both = folder / "cert.pem", folder / "key.pem", folder / "both.pem"
        names = f"subjectAltName=DNS:{NAME},DNS:*.{NAME},IP:127.0.0.1"
        command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                   "-days", "30", "-subj", f"/CN={NAME}", "-addext", names, "-keyout", self.key, "-out", self.cert]
        made = subprocess.run(command, capture_output=True, text=True, timeout=30)
        if made.returncode != 0:
            raise Failure("openssl", made.stderr.strip())
        self.both.write_text(self.cert.read_text() + self.key.read_text())


class Peer:
    """A running server under load."""

    def __init__(self, label, process, port, secure=True):
        self.label, self.process, self.port, self.secure = label, process, port, secure

    def url(self, path):
        return f"{'https' if self.secure else 'http'}://127.0.0.1:{self.port}{path}"


class Starter:
    """Starts servers, each in a folder of its own below `folder`."""

    def __init__(self, found, folder, threads=THREADS, patience=20):
        """`patience` is the number of seconds that a server may take to its first answer."""
        self.found, self.folder, self.threads, self.patience, self.count = found, folder, threads, patience, 0
        self.certificate = Certificate(folder)
        self.upstream = self.app = self.grpc_app = None

    def start_upstream(self):
        """Starts the app of most loads."""
        self.upstream = self.start("upstream")

    def start_apps(self):
        """Starts the apps of event streams and WebSockets, and of gRPC."""
        self.app, self.grpc_app = self.start("app", protocol="h1"), self.start("app", protocol="h2")

    def running(self):
        """Processes of all started apps."""
        return [peer.process for peer in (self.upstream, self.app, self.grpc_app) if peer]

    def start(self, kind, config=None, more_sites=0, protocol="h1", **values):
        """Starts `upstream`, `app`, `relay`, `nginx`, `haproxy`, `caddy` or `ours`, by default with the config of its kind.

        Only `app` has no config, but a protocol.
        """
        self.count += 1
        folder = self.folder / f"{self.count}-{kind}"
        folder.mkdir()
        port = free_port()
        values = {
            "DIR": folder, "PORT": port, "HTTP_PORT": free_port(), "UPSTREAM": self.upstream and self.upstream.port,
            "APP": port_of(self.app), "GRPC_APP": port_of(self.grpc_app),
            "CERT": self.certificate.cert, "KEY": self.certificate.key, "CERT_AND_KEY": self.certificate.both,
            "SMALL": "s" * SMALL, "USER": "user root;" if os.geteuid() == 0 else "",
            "MORE_SITES": self.sites(more_sites), **self.http2_of_nginx(), **values,
        }
        if kind == "upstream":
            (folder / "medium").write_bytes(b"m" * MEDIUM)
            (folder / "large").write_bytes(b"l" * LARGE)
            for size in MIXED:
                (folder / f"mixed-{size}").write_bytes(b"x" * size)
        if kind == "app":
            command = [*self.found["client"].command, f"127.0.0.1:{port}", NAME, "app", f"--protocol={protocol}"]
        else:
            command = self.command(kind, render(CONFIGS / (config or DEFAULTS[kind]), folder, values))
        process = Process(kind, command, folder, environment(folder, self.threads))
        try:
            peer = Peer(kind, process, port, secure=kind not in ("upstream", "app", "relay"))
            if kind == "app":
                process.wait_for(lambda: connects(port), self.patience, "it does not listen")
            elif config is None:
                process.wait_for(lambda: first_answer(peer, self.patience / 4), self.patience, "it gives no good answer")
            return peer
        except BaseException:
            process.stop()
            raise

    def sites(self, count):
        """Further sites of ours, all with the same app and certificate."""
        files = f'cert = "{self.certificate.cert}", key = "{self.certificate.key}"'
        site = f'{{ upstream = "127.0.0.1:{self.upstream and self.upstream.port}", tls = {{ {files} }} }}'
        return "\n".join(["[sites]"] + [f'"n{index}.{NAME}" = {site}' for index in range(count)]) if count else ""

    def http2_of_nginx(self):
        tool = self.found.get("nginx")
        is_new = tool and tuple(map(int, tool.version.split(".")[:2])) >= (1, 25)
        return {"HTTP2_PARAMETER": "" if is_new else "http2", "HTTP2_DIRECTIVE": "http2 on;" if is_new else ""}

    def command(self, kind, config):
        command = self.found["haproxy" if kind == "relay" else kind].command
        match kind:
            case "upstream" | "nginx":
                return [*command, "-e", "stderr", "-p", config.parent, "-c", config]
            case "haproxy" | "relay":
                return [*command, "-db", "-f", config]
            case "caddy":
                return [*command, "run", "--adapter", "caddyfile", "--config", config]
            case "ours":
                # It has a worker for each core that it may use.
                return ["taskset", "--cpu-list", f"0-{self.threads - 1}", *command, "run", "--config", config]


DEFAULTS = {"upstream": "upstream.conf", "relay": "relay.cfg", "nginx": "nginx.conf", "haproxy": "haproxy.cfg",
            "caddy": "Caddyfile", "ours": "Proxyfile"}


def port_of(peer):
    """The port of that app; one at which nothing listens where it does not run."""
    return peer.port if peer else 1


def connects(port):
    """None if something listens at the port, else the reason."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    except OSError as error:
        return str(error)
    return None


def render(template, folder, values):
    text = template.read_text()
    for name, value in values.items():
        text = text.replace(f"@{name}@", str(value))
    path = folder / template.name
    path.write_text(text)
    return path


def environment(folder, threads):
    """Sets the number of worker threads where the config does not, and hides this user's home."""
    return {"GOMAXPROCS": str(threads), "HOME": str(folder), "XDG_DATA_HOME": str(folder),
            "XDG_CONFIG_HOME": str(folder)}


def first_answer(peer, seconds):
    """None if the peer gives the whole small answer, else a description of what it did."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        if peer.secure:
            connection = HTTPSConnection("127.0.0.1", peer.port, timeout=seconds, context=context)
        else:
            connection = HTTPConnection("127.0.0.1", peer.port, timeout=seconds)
        try:
            connection.request("GET", "/small", headers={"Host": NAME})
            answer = connection.getresponse()
            size = len(answer.read())
        finally:
            connection.close()
    except (OSError, HTTPException) as error:
        return f"{type(error).__name__}: {error}"
    return None if (answer.status, size) == (200, SMALL) else f"it answered {answer.status} with {size} bytes"
