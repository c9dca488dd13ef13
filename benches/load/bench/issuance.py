"""First visits to names that have no certificate yet, with a local Pebble as the CA."""

import json
import shutil
import ssl
import subprocess
import urllib.error
import urllib.request
from contextlib import ExitStack

from .failure import Failure
from .peers import connects
from .process import Process, free_port
from .tools import CACHE

CONFIGS = {"ours": "Proxyfile.on-demand", "caddy": "Caddyfile.on-demand"}
SUFFIX = "first.example.org"


def first_handshakes(session, label, names):
    """The milliseconds of each first visit to a fresh proxy with a fresh Pebble."""
    with ExitStack() as stack:
        peer = start_on_demand(session, label, stack)
        stack.enter_context(peer.process)
        return visit(session, peer, names)


def with_stored_names(session, label, names):
    """A proxy with a certificate in storage for each of so many names, one from Pebble and the others like it."""
    with ExitStack() as stack:
        peer = start_on_demand(session, label, stack)
        try:
            visit(session, peer, 1)
            first = next(peer.process.log.parent.glob(f"storage/**/n0.{SUFFIX}/certificate.pem"))
            session.loads.stock(peer, first.parents[1], SUFFIX, names)
        except BaseException:
            peer.process.stop()
            raise
        return peer


def start_on_demand(session, label, stack):
    """A proxy whose CA is a Pebble that lives as long as `stack`."""
    http_port = free_port()
    folder = session.folder / f"pebble-{http_port}"
    folder.mkdir()
    directory = start_pebble(stack, folder, http_port)
    peer = session.starter.start(label, config=CONFIGS[label], HTTP_PORT=http_port, DIRECTORY=directory,
                                 CA_ROOT=folder / "ca.pem")
    try:
        peer.process.wait_for(lambda: connects(http_port) or connects(peer.port), 20, "it does not listen")
        return peer
    except BaseException:
        peer.process.stop()
        raise


def visit(session, peer, names):
    try:
        return session.loads.visit(peer, SUFFIX, names)
    except Failure as failure:
        raise Failure(peer.label, f"a first visit failed: {failure}", peer.process.log) from None


def start_pebble(stack, folder, http_port):
    """The URL of the directory of a Pebble for which every name is at 127.0.0.1."""
    make_certificates(folder)
    api, management, dns, dns_management = (f"127.0.0.1:{free_port()}" for _ in range(4))
    (folder / "config.json").write_text(json.dumps({"pebble": {
        "listenAddress": api, "managementListenAddress": management, "certificate": str(folder / "api.pem"),
        "privateKey": str(folder / "api.key"), "httpPort": http_port, "tlsPort": free_port(),
        "certificateValidityPeriod": 7776000,
        "profiles": {"default": {"description": "the usual", "validityPeriod": 7776000}},
    }}))
    server = program("pebble-challtestsrv")
    help_text = subprocess.run([server, "-help"], capture_output=True, text=True, timeout=30).stderr
    listen = ["-dnsserver", dns, "-doh", ""] if "-dnsserver" in help_text else ["-dns01", dns]
    off = [word for flag in ("-http01", "-https01", "-tlsalpn01", "-defaultIPv6") for word in (flag, "")]
    command = [server, *listen, *off, "-management", dns_management, "-defaultIPv4", "127.0.0.1"]
    stack.enter_context(Process("pebble-challtestsrv", command, folder / "dns"))
    command = [program("pebble"), "-config", folder / "config.json", "-dnsserver", dns, "-strict"]
    quick = {"PEBBLE_VA_NOSLEEP": "1", "PEBBLE_WFE_NONCEREJECT": "0", "PEBBLE_AUTHZREUSE": "0"}
    pebble = stack.enter_context(Process("pebble", command, folder / "pebble", quick))
    url = f"https://{api}/dir"
    pebble.wait_for(lambda: answers(url), 30, "it does not answer")
    return url


def make_certificates(folder):
    """A root and the certificate of Pebble's own API."""
    (folder / "extensions").write_text("subjectAltName=IP:127.0.0.1\nbasicConstraints=critical,CA:FALSE\n"
                                       "extendedKeyUsage=serverAuth\n")
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    for command in (
        ["req", "-x509", *key, "-days", "30", "-subj", "/CN=root of the bench", "-keyout", "ca.key", "-out", "ca.pem"],
        ["req", *key, "-subj", "/CN=pebble", "-keyout", "api.key", "-out", "api.csr"],
        ["x509", "-req", "-in", "api.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "30",
         "-extfile", "extensions", "-out", "api.pem"],
    ):
        made = subprocess.run(["openssl", *command], cwd=folder, capture_output=True, text=True, timeout=30)
        if made.returncode != 0:
            raise Failure("openssl", made.stderr.strip())


def program(name):
    newest = CACHE / "pebble/usr/bin" / name
    path = newest if newest.exists() else shutil.which(name)
    if not path:
        raise Failure(name, "neither Debian sid nor this system has it; `apt-get install pebble` gives the fallback")
    return path


def answers(url):
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context))
    try:
        request = urllib.request.Request(url, headers={"User-Agent": "load-bench"})
        opener.open(request, timeout=5).close()
    except (OSError, urllib.error.URLError) as error:
        return str(error)
    return None
