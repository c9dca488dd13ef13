"""Programs that the bench starts: their resources and their end."""

import os
import resource
import signal
import socket
import subprocess
import time
from pathlib import Path

from .failure import Failure

TICK = os.sysconf("SC_CLK_TCK")


def free_port():
    """A free port of the loopback interface."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Usage:
    """Processor time in microseconds."""

    def __init__(self, user, system):
        self.user, self.system = user, system

    def __sub__(self, other):
        return Usage(self.user - other.user, self.system - other.system)


class Process:
    """One started program with all its children; it is ended with the `with` block."""

    def __init__(self, who, command, folder, environment=None):
        self.who, self.log = who, folder / "log"
        folder.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            try:
                self.child = subprocess.Popen(
                    command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                    cwd=folder, env={**os.environ, **(environment or {})}, preexec_fn=raise_file_limit)
            except OSError as error:
                raise Failure(who, str(error)) from None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        for number in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(self.child.pid, number)
            except ProcessLookupError:
                pass
            try:
                self.child.wait(3)
                break
            except subprocess.TimeoutExpired:
                continue
        try:
            os.killpg(self.child.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass

    def fail(self, why):
        code = self.child.poll()
        return Failure(self.who, why if code is None else f"it ended with code {code}: {why}", self.log)

    def wait_for(self, is_ready, seconds, why):
        """Polls until it is ready, its time is over, or it is dead."""
        until = time.monotonic() + seconds
        while True:
            error = is_ready()
            if not error:
                return
            if time.monotonic() > until or self.child.poll() is not None:
                raise self.fail(f"{why}: {error}")
            time.sleep(0.05)

    def family(self):
        """The process and all below it."""
        found, waiting = [], [self.child.pid]
        while waiting:
            pid = waiting.pop()
            found.append(pid)
            for children in Path(f"/proc/{pid}/task").glob("*/children"):
                waiting.extend(int(child) for child in read(children).split())
        return found

    def usage(self):
        """Processor time of all its processes so far.

        The kernel counts user and system time in ticks and the sum in nanoseconds, so the sum is split as the ticks are.
        Threads that have ended are in the ticks only.
        """
        user = system = nanoseconds = 0
        for pid in self.family():
            fields = read(Path(f"/proc/{pid}/stat")).rpartition(")")[2].split()
            if fields:
                user, system = user + int(fields[11]), system + int(fields[12])
            for thread in Path(f"/proc/{pid}/task").glob("*/schedstat"):
                nanoseconds += int((read(thread).split() or [0])[0])
        if self.child.poll() is not None:
            raise self.fail("it is gone")
        ticks = (user + system) * 1e6 / TICK
        whole = max(ticks, nanoseconds / 1e3)
        return Usage(whole * user / max(1, user + system), whole * system / max(1, user + system))

    def memory_kib(self):
        """The proportional set size of all its processes."""
        total = 0
        for pid in self.family():
            for line in read(Path(f"/proc/{pid}/smaps_rollup")).splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1])
        return total


def read(path):
    try:
        return path.read_text()
    except OSError:
        return ""


def raise_file_limit():
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
