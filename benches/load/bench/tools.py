"""Requirements of the bench: load generators, the newest version of each peer, and our own build."""

import os
import platform
import re
import shutil
import subprocess
from pathlib import Path

from .failure import Failure

ROOT = Path(__file__).resolve().parents[3]
CACHE = ROOT / ".cache"
COMMANDS = {"wrk": "wrk", "h2load": "nghttp2-client", "nginx": "nginx-light", "openssl": "openssl"}


class Tool:
    """A program to run, with its version and where it came from."""

    def __init__(self, command, version, source):
        self.command, self.version, self.source = command, version, source

    def __str__(self):
        return f"{self.version} ({self.source})"


def prepare(options):
    """Installs, fetches and builds what is missing, and tells what there is."""
    install(COMMANDS)
    wanted = [peer for peer in ["nginx", "haproxy", "caddy"] if peer in options.peers or peer == "haproxy"]
    if {"first-handshake", "many-names"} & set(options.scenarios):
        wanted.append("pebble")
    fetch([name for name in wanted if not (CACHE / name / "version").exists()])
    found = {name: peer(name) for name in wanted if name != "pebble"}
    return found | build(options.proxy) | {
        "wrk": Tool([which("wrk")], debian_version("wrk"), "system"),
        "h2load": Tool([which("h2load")], debian_version("nghttp2-client"), "system"),
        "upstream": Tool([which("nginx")], system_version("nginx"), "system"),
    }


def which(name):
    return shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")


def install(commands):
    missing = sorted({package for command, package in commands.items() if not which(command)})
    if not missing:
        return
    print(f"installing {' '.join(missing)}", flush=True)
    root = [] if os.geteuid() == 0 else ["sudo"]
    silent = root + ["env", "DEBIAN_FRONTEND=noninteractive"]
    run("apt-get", root + ["apt-get", "update", "-qq"], 300)
    run("apt-get", silent + ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *missing], 600)


def fetch(names):
    """Fetches the newest of each into .cache; the system's own is the fallback."""
    for libraries, group in ((True, {"nginx", "haproxy"}), (False, {"caddy", "pebble"})):
        packages = [name for name in names if name in group]
        if not packages:
            continue
        print(f"fetching the newest {' and '.join(packages)} into .cache", flush=True)
        command = [ROOT / "tests/fetch_sid", *(["--with-libraries"] if libraries else []), *packages]
        try:
            run("fetch_sid", command, 900)
        except Failure as failure:
            print(f"{failure}\nthe system's own is used", flush=True)


def peer(name):
    """The newest version that runs here."""
    return newest(name) or system(name)


def newest(name):
    folder = CACHE / name
    binary = next((path for path in (folder / "usr/sbin" / name, folder / "usr/bin" / name) if path.exists()), None)
    if not binary:
        return None
    loader = next(folder.glob("usr/lib*/ld-linux*.so*"), None) or next(folder.glob("usr/lib/*/ld-linux*.so*"), None)
    command = [binary]
    if loader:
        libraries = ":".join(str(path) for path in (folder / "usr/lib").glob("*-linux-gnu*"))
        command = [loader, "--library-path", libraries, binary]
    version = reported_version(name, command)
    return version and Tool(command, version, "Debian sid")


def system(name):
    path = which(name)
    if not path:
        raise Failure(name, f"neither Debian sid nor this system has it; `apt-get install {name}` gives the fallback")
    return Tool([path], system_version(name), "this system's own, since the newest could not be had")


def system_version(name):
    return reported_version(name, [which(name)]) or "unknown version"


def reported_version(name, command):
    flag = "version" if name == "caddy" else "-v"
    try:
        said = subprocess.run([*command, flag], capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = re.search(r"\d+\.\d+\.\d+", said.stdout + said.stderr)
    return match and said.returncode == 0 and match.group()


def debian_version(package):
    said = subprocess.run(["dpkg-query", "-W", "-f", "${Version}", package], capture_output=True, text=True)
    return said.stdout or "unknown version"


def build(proxy=None, profile="release", client_profile="release"):
    """Our own binary, as a user gets it unless a profile is given, and the client: apart, since together the tests'
    features would get into ours."""
    print("building (some minutes at the first time)", flush=True)
    ours = Path(proxy).resolve() if proxy else built("--bin=proxy", profile, "proxy")
    commit = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True)
    return {
        "ours": Tool([ours], commit.stdout.strip() or "unknown commit", "given" if proxy else "built here"),
        "client": Tool([built("--example=load-client", client_profile, "examples/load-client")], "", "built here"),
    }


def built(target, profile, path):
    """The path of a target, once it is built."""
    run("cargo build", ["cargo", "build", "--quiet", f"--profile={profile}", target], 3600)
    folder = "debug" if profile == "dev" else profile
    return (Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / folder / path).resolve()


def run(who, command, seconds):
    try:
        done = subprocess.run(command, cwd=ROOT, timeout=seconds, stdin=subprocess.DEVNULL)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Failure(who, str(error)) from None
    if done.returncode != 0:
        raise Failure(who, f"it ended with code {done.returncode}")


def machine():
    """The shape of this machine, for the table's heading."""
    cpu = re.search(r"model name\s*:\s*(.*)", Path("/proc/cpuinfo").read_text())
    memory = re.search(r"MemTotal:\s*(\d+)", Path("/proc/meminfo").read_text())
    return {
        "cpu": cpu.group(1) if cpu else platform.machine(),
        "cores": os.cpu_count(),
        "memory_gib": round(int(memory.group(1)) / 2**20, 1),
        "kernel": platform.release(),
    }
