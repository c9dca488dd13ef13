"""Loads: wrk over HTTP/1.1, h2load over HTTP/2, and our own client for handshakes and idle connections."""

import json
import re
import subprocess

from .failure import Failure
from .peers import NAME
from .process import raise_file_limit
from .tools import ROOT


class Sample:
    """Counts of a load generator."""

    def __init__(self, requests, seconds, errors, p50_us, p99_us, **more):
        self.requests, self.seconds, self.errors = requests, seconds, errors
        self.p50_us, self.p99_us, self.more = p50_us, p99_us, more


class Loads:
    """The load generators."""

    def __init__(self, found, folder):
        self.found, self.folder = found, folder

    def wrk(self, peer, seconds, connections, path="/small", method="get", hosts=0):
        """Keep-alive connections, each with one request at a time."""
        command = [*self.found["wrk"].command, "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", "--timeout", "20s",
                   "-s", ROOT / "benches/load/wrk.lua", peer.url(path), "--", NAME, method, str(hosts)]
        said = self.run("wrk", command, seconds)
        match = re.search(r"RESULT (\{.*\})", said)
        if not match:
            raise Failure("wrk", f"it told nothing: {said[-400:]}")
        return Sample(**json.loads(match.group(1)))

    def h2load(self, peer, seconds, connections, streams, paths=("/small",), upload=None, fields=()):
        """Connections with several streams at a time each; the paths are taken in turns."""
        log = self.folder / "h2load.log"
        log.unlink(missing_ok=True)
        body = ["-d", upload] if upload else []
        body += [f"-H{field}" for field in fields]
        command = [*self.found["h2load"].command, "-t1", f"-c{connections}", f"-m{streams}", f"-D{seconds:g}",
                   "--groups=X25519", f"--log-file={log}", f"--connect-to=127.0.0.1:{peer.port}", *body,
                   *(f"https://{NAME}:{peer.port}{path}" for path in paths)]
        said = self.run("h2load", command, seconds)
        counts = re.search(r"(\d+) done, (\d+) succeeded, (\d+) failed, (\d+) errored", said)
        if not counts or "Application protocol: h2" not in said:
            raise Failure("h2load", f"it spoke no HTTP/2: {said[-400:]}")
        took = sorted(int(line.split("\t")[2]) for line in log.open())
        done, good = int(counts.group(1)), int(counts.group(2))
        return Sample(good, seconds, done - good, *(took[len(took) * share // 100] if took else None for share in (50, 99)))

    def connect(self, peer, seconds, connections, resume=False, name=NAME, names=0):
        """One connection per request, for one name or for many below it."""
        more = [f"--names={names}"] + (["--resume"] if resume else [])
        command = [*self.client(peer, name), "connect", f"--connections={connections}", f"--seconds={seconds}", *more]
        said = json.loads(self.run("the client", command, seconds))
        if said["errors"]:
            raise Failure(peer.label, f"{said['errors']} connections failed: {said['first_error']}", peer.process.log)
        of_kind = said["resumed" if resume else "full"]
        if of_kind < said["requests"] * 0.9:
            raise Failure(peer.label, f"only {of_kind} of {said['requests']} handshakes were {'resumed' if resume else 'full'}")
        return Sample(**said)

    def stock(self, peer, folder, name, names):
        """Certificates for so many names, laid into the peer's storage."""
        self.run("the client", [*self.client(peer, name), "stock", f"--folder={folder}", f"--names={names}"], 600)

    def visit(self, peer, name, names):
        """The milliseconds of a first visit to each of many names."""
        command = [*self.client(peer, name), "visit", f"--names={names}"]
        return json.loads(self.run("the client", command, 60 + names))["millis"]

    def websocket(self, peer, seconds, connections, size):
        """WebSockets on which messages of that many bytes are echoed, one at a time on each."""
        command = [*self.client(peer), "websocket", f"--connections={connections}", f"--size={size}", f"--seconds={seconds}"]
        return Sample(**json.loads(self.run("the client", command, seconds)))

    def hold(self, peer, connections, protocol, rate=None):
        """A client that holds idle connections; they are all there when this returns."""
        more = [f"--rate={rate}"] if rate else []
        command = [*self.client(peer), "hold", f"--connections={connections}", f"--protocol={protocol}", *more]
        return Holder(peer, command)

    def events(self, peer, streams):
        """A client that holds event streams; they are all there when this returns."""
        return Holder(peer, [*self.client(peer), "events", f"--streams={streams}"])

    def client(self, peer, name=NAME):
        return [*self.found["client"].command, f"127.0.0.1:{peer.port}", name]

    def run(self, who, command, seconds):
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 60, stdin=subprocess.DEVNULL,
                                  preexec_fn=raise_file_limit)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise Failure(who, str(error)) from None
        if done.returncode != 0:
            raise Failure(who, f"it ended with code {done.returncode}: {(done.stderr or done.stdout)[-400:]}")
        return done.stdout


class Holder:
    """Connections that a client holds to a peer, for the time of a `with` block."""

    def __init__(self, peer, command):
        self.peer = peer
        self.child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                      text=True, preexec_fn=raise_file_limit)

    def __enter__(self):
        line = self.child.stdout.readline()
        if not line:
            why = self.child.communicate(timeout=10)[1].strip()
            raise Failure(self.peer.label, f"it did not take all connections: {why}", self.peer.process.log)
        self.held = json.loads(line)["held"]
        return self

    def release(self):
        """Ends them; returns what the client counted, with the number that was still open."""
        return json.loads(self.child.communicate("\n", timeout=30)[0])

    def __exit__(self, *_):
        self.child.kill()
        self.child.wait()
