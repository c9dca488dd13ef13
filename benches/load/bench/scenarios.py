"""The loads, what is compared in each, and the bars."""

import threading
import time
from contextlib import ExitStack

from .failure import Failure
from .issuance import SUFFIX, first_handshakes, with_stored_names
from .loads import Loads
from .peers import LARGE, MIXED, Starter

BEST_OF = ["nginx", "haproxy"]
SITES = 10_000
NAMES = 100_000
IDLE = 1_500
RATE = 800
STREAMS = 1_000
MESSAGE = 128
MANY_SITES, MANY_NAMES = f"ours, {SITES} sites", f"ours, {NAMES} names"


class Session:
    """All that runs while the scenarios are measured."""

    def __init__(self, options, found, folder):
        self.options, self.found, self.folder = options, found, folder
        self.failures, self.running, self.idle_rates = [], {}, {}
        self.stack = ExitStack()

    def __enter__(self):
        self.starter, self.loads = Starter(self.found, self.folder), Loads(self.found, self.folder)
        self.stack.callback(lambda: [process.stop() for process in self.starter.running()])
        self.starter.start_upstream()
        self.starter.start_apps()
        self.body = self.folder / "body"
        self.body.write_bytes(b"u" * LARGE)
        # A message of gRPC: not compressed, its length, its bytes.
        self.message = self.folder / "message"
        self.message.write_bytes(bytes([0, 0, 0, 0, MESSAGE]) + b"m" * MESSAGE)
        return self

    def __exit__(self, *_):
        self.stack.close()

    def peer(self, label):
        """The running peer of this label, started at its first use."""
        if label not in self.running:
            peer = self.start(label)
            self.stack.enter_context(peer.process)
            self.running[label] = peer
            before = peer.process.usage()
            time.sleep(1)
            spent = peer.process.usage() - before
            self.idle_rates[label] = spent
        return self.running[label]

    def start(self, label):
        if label == MANY_SITES:
            return self.starter.start("ours", more_sites=SITES)
        if label == MANY_NAMES:
            return with_stored_names(self, "ours", NAMES)
        return self.starter.start(label)

    def stop(self, label):
        """Ends that peer; its next scenario begins with a fresh one."""
        if peer := self.running.pop(label, None):
            peer.process.stop()

    def drop(self, label, failure):
        """Remembers the failure and ends that peer."""
        self.failures.append(failure)
        print(f"  {failure}", flush=True)
        self.stop(label)


class Scenario:
    """One load for several labels, in turns."""

    columns = ["requests_per_s", "cpu_us", "user_us", "system_us", "p50_us", "p99_us", "pss_mib"]
    figure, unit = "cpu_us", "us of CPU per request"

    def __init__(self, name, title, bar, labels=None, best_of=None):
        self.name, self.title, self.bar = name, title, bar
        self.labels, self.best_of = labels, best_of or BEST_OF

    def entrants(self, session):
        return self.labels or ["ours", *session.options.peers]

    def rounds(self, session):
        return session.options.rounds

    def run(self, session):
        """The rounds, each with a record per label."""
        print(f"\n{self.name}: {self.title}", flush=True)
        labels = [label for label in self.entrants(session) if self.attempt(session, label, self.warm_up)]
        rounds = []
        for turn in range(self.rounds(session)):
            rounds.append({})
            for label in list(labels):
                record = self.attempt(session, label, self.measure)
                if record:
                    rounds[-1][label] = record
                else:
                    labels.remove(label)
            figures = ", ".join(f"{label} {record[self.figure]:.1f}" for label, record in rounds[-1].items())
            print(f"  round {turn + 1}: {figures}", flush=True)
        for label in (MANY_SITES, MANY_NAMES):
            session.stop(label)
        return rounds

    def attempt(self, session, label, action):
        try:
            return action(session, label)
        except Failure as failure:
            if failure.who == label or failure.who == label.split(",")[0]:
                session.drop(label, failure)
            else:
                session.drop(label, Failure(f"{self.name} of {label}", str(failure)))
            return None

    def warm_up(self, session, label):
        """True if the scenario can begin; by default it needs no warm-up."""
        return True

    def measure(self, session, label):
        raise NotImplementedError


class Load(Scenario):
    """The processor time of one request."""

    def __init__(self, name, title, bar, load, **more):
        super().__init__(name, title, bar, **more)
        self.load = load

    def warm_up(self, session, label):
        self.load(session, session.peer(label), max(1.0, session.options.seconds / 5))
        return True

    def measure(self, session, label):
        peer, idle = session.peer(label), session.idle_rates[label]
        memory = []
        sampler = threading.Timer(session.options.seconds * 0.8, lambda: memory.append(peer.process.memory_kib()))
        begin, before = time.monotonic(), peer.process.usage()
        sampler.start()
        sample = self.load(session, peer, session.options.seconds)
        spent, seconds = peer.process.usage() - before, time.monotonic() - begin
        sampler.join()
        if sample.requests == 0 or sample.errors > sample.requests / 1000:
            raise Failure(label, f"{sample.errors} of {sample.requests} requests failed", peer.process.log)
        user, system = spent.user - idle.user * seconds, spent.system - idle.system * seconds
        return {
            "requests_per_s": sample.requests / sample.seconds, "requests": sample.requests, "errors": sample.errors,
            "cpu_us": (user + system) / sample.requests, "user_us": user / sample.requests,
            "system_us": system / sample.requests, "p50_us": sample.p50_us, "p99_us": sample.p99_us,
            "pss_mib": memory[0] / 1024, **sample.more,
        }


class Idle(Scenario):
    """The memory of one idle connection, in a fresh process each time."""

    columns = ["kib", "before_mib", "after_mib"]
    figure, unit = "kib", "KiB (PSS) per idle connection"

    def __init__(self, name, title, bar, protocol):
        super().__init__(name, title, bar)
        self.protocol = protocol

    def measure(self, session, label):
        peer = session.starter.start(label)
        with peer.process:
            before = settled(peer.process)
            with session.loads.hold(peer, IDLE, self.protocol) as holder:
                after = settled(peer.process)
                still_open = holder.release()["still_open"]
        if still_open < IDLE:
            raise Failure(label, f"it closed {IDLE - still_open} of {IDLE} idle connections", peer.process.log)
        return {"kib": (after - before) / IDLE, "before_mib": before / 1024, "after_mib": after / 1024, "connections": IDLE}


class Cold(Scenario):
    """The processor time of one new connection in a fresh process, while all stay open."""

    columns = ["cpu_us", "user_us", "system_us", "kib"]
    figure, unit = "cpu_us", "us of CPU per connection"

    def measure(self, session, label):
        peer = session.starter.start(label)
        with peer.process:
            memory, before = settled(peer.process), peer.process.usage()
            with session.loads.hold(peer, IDLE, "h1", RATE) as holder:
                spent = peer.process.usage() - before
                kib = (settled(peer.process) - memory) / IDLE
                still_open = holder.release()["still_open"]
        if still_open < IDLE:
            raise Failure(label, f"it closed {IDLE - still_open} of {IDLE} connections", peer.process.log)
        user, system = spent.user / IDLE, spent.system / IDLE
        return {"cpu_us": user + system, "user_us": user, "system_us": system, "kib": kib}


class Events(Scenario):
    """The processor time of one event, while many streams are open; and the memory of one stream."""

    columns = ["cpu_us", "user_us", "system_us", "kib"]
    figure, unit = "cpu_us", "us of CPU per event"

    def measure(self, session, label):
        peer = session.starter.start(label)
        with peer.process:
            memory = settled(peer.process)
            with session.loads.events(peer, STREAMS) as holder:
                before = peer.process.usage()
                time.sleep(max(10, 2 * session.options.seconds))
                kib, spent = (peer.process.memory_kib() - memory) / STREAMS, peer.process.usage() - before
                counted = holder.release()
        if counted["still_open"] < STREAMS:
            raise Failure(label, f"it closed {STREAMS - counted['still_open']} of {STREAMS} event streams", peer.process.log)
        user, system = spent.user / counted["events"], spent.system / counted["events"]
        return {"cpu_us": user + system, "user_us": user, "system_us": system, "kib": kib, "events": counted["events"]}


class FirstHandshake(Scenario):
    """Time until an unknown name is served with a new certificate."""

    columns = ["ms", "fastest_ms", "slowest_ms"]
    figure, unit = "ms", "ms for a first visit to a name (median)"

    def entrants(self, session):
        return ["ours"] + [peer for peer in session.options.peers if peer == "caddy"]

    def rounds(self, session):
        return min(3, session.options.rounds)

    def measure(self, session, label):
        millis = sorted(first_handshakes(session, label, 5 if session.options.quick else 20))
        return {"ms": millis[len(millis) // 2], "fastest_ms": millis[0], "slowest_ms": millis[-1], "names": len(millis)}


def settled(process, seconds=6):
    """The memory, once it no longer changes."""
    until, last = time.monotonic() + seconds, process.memory_kib()
    while True:
        time.sleep(1)
        now = process.memory_kib()
        if abs(now - last) < 64 or time.monotonic() > until:
            return now
        last = now


def wrk(connections, *more):
    return lambda session, peer, seconds: session.loads.wrk(peer, seconds, connections, *more)


def h2load(connections, streams, *paths):
    return lambda session, peer, seconds: session.loads.h2load(peer, seconds, connections, streams, paths)


def h2_upload(session, peer, seconds):
    return session.loads.h2load(peer, seconds, 8, 1, ["/upload"], session.body)


def grpc(session, peer, seconds):
    fields = ["content-type: application/grpc", "te: trailers"]
    return session.loads.h2load(peer, seconds, 16, 8, ["/bench.Echo/Unary"], session.message, fields)


def websocket(connections, size):
    return lambda session, peer, seconds: session.loads.websocket(peer, seconds, connections, size)


def connect(resume):
    return lambda session, peer, seconds: session.loads.connect(peer, seconds, 8, resume)


def many_sites(session, peer, seconds):
    hosts = SITES if peer is session.running.get(MANY_SITES) else 0
    return session.loads.wrk(peer, seconds, 64, "/small", "get", hosts)


def many_names(session, peer, seconds):
    if peer is session.running.get(MANY_NAMES):
        return session.loads.connect(peer, seconds, 8, name=SUFFIX, names=NAMES)
    return session.loads.connect(peer, seconds, 8)


SCENARIOS = {scenario.name: scenario for scenario in [
    Load("h1-small", "64 keep-alive TLS connections, answers of 1 KiB", 0.85, wrk(64)),
    Load("h2-small", "16 connections of 32 streams, answers of 1 KiB", 0.80, h2load(16, 32, "/small")),
    Load("h1-large", "8 connections, answers of 1 MiB", 0.70, wrk(8, "/large")),
    Load("h2-large", "8 connections, one stream each, answers of 1 MiB", 0.70, h2load(8, 1, "/large")),
    Load("h2-large-4", "8 connections of 4 streams, answers of 1 MiB", 0.75, h2load(8, 4, "/large")),
    Load("h2-mixed", "16 connections of 8 streams, answers from 1 KiB to 256 KiB in turns", None,
         h2load(16, 8, *(f"/mixed-{size}" for size in MIXED))),
    Load("upload", "8 connections over HTTP/1.1, bodies of 1 MiB", 0.65, wrk(8, "/upload", "upload")),
    Load("upload-h2", "8 connections over HTTP/2, bodies of 1 MiB", 0.85, h2_upload),
    Load("websocket", "64 WebSockets, each message of 64 bytes is echoed", 0.80, websocket(64, 64)),
    Load("websocket-64k", "8 WebSockets, each message of 64 KiB is echoed", 0.80, websocket(8, 64 << 10)),
    Events("sse", f"{STREAMS} event streams with one event a second each", 0.80),
    Load("grpc", "16 connections of 8 streams, unary calls of 128 bytes, HTTP/2 to the app", 0.80, grpc),
    Load("handshake", "a new TLS 1.3 connection per request, X25519 and P-256", 0.50, connect(False)),
    Load("resume", "a TLS 1.3 connection resumed by ticket per request, X25519", 0.55, connect(True)),
    Cold("handshake-cold", f"{IDLE} new TLS 1.3 connections at {RATE} a second, all kept open", 0.60),
    Idle("idle-h1", f"{IDLE} idle TLS connections after one request each, HTTP/1.1", 0.35, "h1"),
    Idle("idle-h2", f"{IDLE} idle TLS connections after one request each, HTTP/2", 0.90, "h2"),
    Load("many-sites", f"{SITES} sites, requests over all of them, against one site", 1.03, many_sites,
         labels=[MANY_SITES, "ours"], best_of=["ours"]),
    Load("many-names", f"{NAMES} certificates in storage, handshakes over all of them, against one name", None, many_names,
         labels=[MANY_NAMES, "ours"], best_of=["ours"]),
    FirstHandshake("first-handshake", "a new on-demand name over a local Pebble", 30.0, best_of=["caddy"]),
    Load("floor", "h1-small's answers, against a bare TCP relay without TLS", 1.30, wrk(64), labels=["ours", "relay"],
         best_of=["relay"]),
]}
