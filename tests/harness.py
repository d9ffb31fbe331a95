"""Starts real servers for tests, each under a directory of its own and on free loopback ports, and
stops each by its own pid."""

import contextlib
import fcntl
import http.client
import json
import os
import pathlib
import pwd
import random
import re
import shutil
import signal
import smtplib
import socket
import ssl
import subprocess
import tempfile
import time

from sink import Sink  # noqa: F401  (tests take it from here)

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILD = pathlib.Path(os.environ.get("SHOUT_BUILD", ROOT / "build"))
EICAR = rb"X5O!P%@AP[4\PZX54(P^)7CC)7}$" + b"EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"
DEADLINE = 30  # for a condition that is usually true at once; sanitizers and valgrind are slow


def wait_for(condition, deadline=DEADLINE, what=None):
    """Polls until condition() is true and returns its value; AssertionError after `deadline` s."""
    end = time.monotonic() + deadline
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"not within {deadline} s: {what or condition}")
        time.sleep(0.02)


# Below the range that clients' own ports come from, never twice in a run, and not in two runs at a
# time (a byte of a file is locked for each, as long as the run lives).
_ports = iter(random.sample(range(10000, 32000), 20000))
_ports_taken = open(pathlib.Path(tempfile.gettempdir()) / "shout-test-ports", "a+b")


def free_port(address="127.0.0.1"):
    for port in _ports:
        with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as probe:
            with contextlib.suppress(OSError):
                fcntl.lockf(_ports_taken, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
                probe.bind((address, port))
                return port
    raise AssertionError("no free port")


def accepts(where):
    """Whether something listens at ("address", port) or a unix path."""
    with socket.socket(socket.AF_UNIX if isinstance(where, str) else socket.AF_INET) as probe:
        probe.settimeout(2)
        return probe.connect_ex(where) == 0


class Server:
    """A process with a log file. Subclasses set `command` and `ready()`."""

    name = "server"
    command = ()
    env = None

    def __init__(self, directory):
        self.directory = pathlib.Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.log_path = self.directory / f"{self.name}.log"
        self.process = None

    def ready(self):
        raise NotImplementedError

    def running(self):
        return self.process is not None and self.process.poll() is None

    def start(self, wait=True, deadline=DEADLINE):
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen([str(word) for word in self.command], stdout=log, stderr=log,
                                            stdin=subprocess.DEVNULL, cwd=self.directory, env=self.env)
        if wait:
            try:
                wait_for(self._up, deadline, f"{self.name} is ready")
            except AssertionError as late:
                self.kill()
                raise AssertionError(f"{late}\n{self.log()[-4000:]}") from None
        return self

    def _up(self):
        if not self.running():
            raise AssertionError(f"{self.name} ended with {self.process.returncode}:\n{self.log()[-4000:]}")
        return self.ready()

    def stop(self, deadline=DEADLINE):
        """SIGTERM and wait; the exit status."""
        if self.process is None:
            return None
        if self.running():
            self.process.terminate()
        try:
            return self.process.wait(deadline)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"{self.name} did not stop:\n{self.log()[-4000:]}") from None

    def kill(self):
        """SIGKILL and wait."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    @contextlib.contextmanager
    def paused(self):
        """Stopped (SIGSTOP) within the block: it neither answers nor refuses."""
        self.process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.process.send_signal(signal.SIGCONT)

    def log(self):
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""


class Redis(Server):
    name = "redis"

    def __init__(self, directory):
        super().__init__(directory)
        self.socket = str(self.directory / "redis.sock")
        self.address = f"unix:{self.socket}"
        self.settings = {"address": self.address}
        self.command = ["redis-server", "--port", "0", "--unixsocket", self.socket, "--save", "",
                        "--appendonly", "no", "--daemonize", "no", "--dir", self.directory]

    def ready(self):
        return accepts(self.socket) and self.run("PING") == "PONG"

    def run(self, *words):
        """One command by redis-cli; its output."""
        done = subprocess.run(["redis-cli", "-s", self.socket, *map(str, words)], capture_output=True,
                              text=True, timeout=DEADLINE)
        return done.stdout.strip()


class Clamd(Server):
    """clamd with two signatures of EICAR and nothing else. With `disk`, a size, it unpacks in a file system
    of its own that only it sees, and a Shout that is told of it: unpacks_in() is the way there for others."""

    name = "clamd"
    temporary = None  # where it unpacks; its own directory

    def __init__(self, directory, settings=(), disk=None):
        super().__init__(directory)
        self.socket = str(self.directory / "clamd.sock")
        self.disk, unpacks = disk, self.directory / "unpacks"
        unpacks.mkdir(exist_ok=True)
        self.unpacks = pathlib.Path(self.temporary or unpacks)
        self.address = f"unix:{self.socket}"
        database = self.directory / "db"
        database.mkdir(exist_ok=True)
        (database / "eicar.hdb").write_text("44d88612fea8a8f36de82e1278abb02f:68:Eicar-Test-Signature\n")
        (database / "eicar.ndb").write_text(f"Eicar-Test-Signature:0:*:{EICAR.hex()}\n")
        config = self.directory / "clamd.conf"
        lines = [f"LocalSocket {self.socket}", f"DatabaseDirectory {database}",
                 f"TemporaryDirectory {self.unpacks}", "Foreground yes", "FixStaleSocket yes",
                 "MaxThreads 10", "MaxQueue 100", "StreamMaxLength 80M", "MaxFileSize 400M",
                 "MaxScanSize 400M", "AlertExceedsMax yes", "ConcurrentDatabaseReload no", *settings]
        config.write_text("\n".join(lines) + "\n")
        self.command = ["clamd", "-c", config]
        if disk:
            self.command = ["unshare", "-m", "sh", "-c", ON_DISK, "sh", disk, self.unpacks, *self.command]

    def unpacks_in(self):
        return f"/proc/{self.process.pid}/root{self.unpacks}" if self.disk else str(self.unpacks)

    def ready(self):
        if not accepts(self.socket):
            return False
        with socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(10)
            probe.connect(self.socket)
            probe.sendall(b"nPING\n")
            return probe.recv(16) == b"PONG\n"


class Nsd(Server):
    """An authoritative server for the given zones: {"example": "zone text without SOA and NS"}."""

    name = "nsd"

    def __init__(self, directory, zones, address="127.0.0.1"):
        super().__init__(directory)
        self.host, self.port = address, free_port(address)
        self.address = f"{address}:{self.port}"
        self.config = self.directory / "nsd.conf"
        lines = ["server:", f"  ip-address: {address}", f"  port: {self.port}", '  username: ""',
                 '  database: ""', f"  zonesdir: {self.directory}", '  chroot: ""', "  server-count: 1",
                 f"  pidfile: {self.directory}/nsd.pid", f"  xfrdfile: {self.directory}/xfrd.state",
                 f"  zonelistfile: {self.directory}/zone.list", f"  xfrdir: {self.directory}",
                 "remote-control:", "  control-enable: no"]
        for zone, text in zones.items():
            self.write_zone(zone, text)
            lines += ["zone:", f"  name: {zone}", f"  zonefile: {zone}.zone"]
        self.config.write_text("\n".join(lines) + "\n")
        self.command = ["nsd", "-d", "-c", self.config]

    def write_zone(self, zone, text):
        (self.directory / f"{zone}.zone").write_text(
            f"$ORIGIN {zone}.\n$TTL 60\n@ SOA ns.{zone}. root.{zone}. 1 60 60 60 60\n@ NS ns.{zone}.\n"
            f"ns A {self.host}\n{text}\n")

    def ready(self):
        return accepts((self.host, self.port))


EC_KEY = ["ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]


def make_certificate(directory, names=("shout.test", "localhost"), key_kind=EC_KEY):
    """A self-signed certificate: (certificate path, key path)."""
    directory = pathlib.Path(directory)
    certificate, key = directory / "cert.pem", directory / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", *key_kind, "-nodes", "-days", "30", "-subj", f"/CN={names[0]}", "-addext",
         "subjectAltName=" + ",".join(f"{'IP' if name[0].isdigit() else 'DNS'}:{name}" for name in names), "-keyout", str(key), "-out",
         str(certificate)], check=True, capture_output=True)
    return certificate, key


def make_dated_certificate(directory, days, name="shout.test"):
    """One that ends in so many days, or ended: (certificate path, key path)."""
    directory = pathlib.Path(directory)
    cert, key = directory / "dated.pem", directory / "dated.key"
    begin, end = (time.strftime("%Y%m%d%H%M%SZ", time.gmtime(time.time() + 86400 * d)) for d in (-400, days))
    subprocess.run(["openssl", "req", "-new", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={name}", "-keyout", key,
                    "-out", directory / "csr"], check=True, capture_output=True)
    (directory / "ext").write_text(f"subjectAltName=DNS:{name}\n")
    (directory / "index").write_text("")
    (directory / "serial").write_text("01\n")
    (directory / "ca.conf").write_text(f"[ca]\ndefault_ca=d\n[d]\nnew_certs_dir={directory}\ndatabase={directory}/index\n"
                                       f"serial={directory}/serial\ndefault_md=sha256\npolicy=p\n[p]\ncommonName=supplied\n")
    subprocess.run(["openssl", "ca", "-batch", "-config", directory / "ca.conf", "-selfsign", "-keyfile", key, "-in", directory / "csr",
                    "-startdate", begin, "-enddate", end, "-extfile", directory / "ext", "-out", cert, "-notext"],
                   check=True, capture_output=True)
    return cert, key


def server_tls(certificate, key):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context


def client_tls(certificate=None):
    """Trusts the given certificate, or anything."""
    if certificate:
        return ssl.create_default_context(cafile=certificate)
    # not the default context: that reads the system's CAs, which takes 100 ms each time
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _merge(base, extra):
    for key, value in extra.items():
        if isinstance(value, dict) and isinstance(base.get(key), dict):
            _merge(base[key], value)
        else:
            base[key] = value
    return base


ON_DISK = """member=$(cat "$2/member" 2>/dev/null)
mount -t tmpfs -o size="$1" disk "$2" || exit 1
test -z "$member" || printf %s "$member" > "$2/member"
shift 2
exec "$@"
"""


class Shout(Server):
    """`shout all`, or another role, with listeners for every kind of TLS. `settings` is merged into the generated
    shout.yaml (JSON, which YAML reads). With `disk`, a size, state_dir is a file system of its own that
    only the process sees: self.disk() is the way there."""

    name = "shout"

    def __init__(self, directory, redis, clamd=None, route="mx", settings=None, certificate=None,
                 wrapper=(), disk=None, role="all"):
        super().__init__(directory)
        self.role = role
        self.certificate, self.key = certificate or make_certificate(self.directory)
        self.ports = {kind: free_port() for kind in
                      ("plain", "starttls", "implicit", "control", "metrics")}
        self.file = self.directory / "shout.yaml"
        self.state_dir = self.directory / "state"
        self.settings = _merge(self._settings(redis, clamd, route), settings or {})
        self.write()
        if clamd and clamd.disk:
            wrapper = ["nsenter", "-m", "-t", clamd.process.pid, *wrapper]
        self.plain = [*wrapper, BUILD / "shout", role, "-c", self.file]
        self.use_disk(disk)

    def use_disk(self, size):
        """From the next start on state_dir is an empty file system of `size`, but for who it is in a
        cluster; or, with None, the directory again."""
        self.command = self.plain
        self.inside = lambda: []
        if size:
            self.state_dir.mkdir(exist_ok=True)
            self.command = ["unshare", "-m", "sh", "-c", ON_DISK, "sh", size, self.state_dir, *self.plain]
            self.inside = lambda: ["nsenter", "-m", "-t", str(self.process.pid)]

    def _settings(self, redis, clamd, route):
        listen = [{"address": f"127.0.0.1:{self.ports['plain']}", "tls": "starttls",
                   "auth_without_tls": "always"},
                  {"address": f"127.0.0.1:{self.ports['starttls']}", "tls": "starttls",
                   "tls_required": True},
                  {"address": f"127.0.0.1:{self.ports['implicit']}", "tls": "implicit"}]
        return {
            "hostname": "shout.test",
            "user": pwd.getpwuid(os.geteuid()).pw_name,
            "state_dir": str(self.state_dir),
            "log": {"level": "debug"},
            "queue": {"map_size": "4G", "min_free": 1},
            "redis": redis.settings,
            "ingress": {"listen": listen, "threads": 2,
                        "tls": {"certificate": str(self.certificate), "key": str(self.key)}},
            "limits": {"default": {f"{what}_{period}": 0 for what in ("messages", "recipients")
                                   for period in ("hour", "day")}},
            "scanner": {"enabled": clamd is not None,
                        **({"clamd": [clamd.address], "clamd_temporary": str(clamd.unpacks)} if clamd else {})},
            "sender": {"route": route, "allow_networks": ["127.0.0.0/8", "::1"],
                       "retry": {"first": "1s", "max": "2s"}},
            "dns": {"trust_anchor": "none"},
            "control": {"listen": f"127.0.0.1:{self.ports['control']}"},
            "metrics": {"listen": f"127.0.0.1:{self.ports['metrics']}"},
        }

    def write(self):
        self.file.write_text(json.dumps(self.settings, indent=1))

    def ready(self):
        return (self.get("/readyz")[0] == 200
                and (self.role not in ("all", "ingress") or accepts(("127.0.0.1", self.ports["plain"]))))

    def get(self, path):
        """(status, text) of a page of metrics.listen; (0, "") when nobody answers."""
        connection = http.client.HTTPConnection("127.0.0.1", self.ports["metrics"], timeout=5)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            return response.status, response.read().decode()
        except OSError:
            return 0, ""
        finally:
            connection.close()

    def metric(self, name, labels=""):
        """The value of one line of /metrics, or None."""
        line = re.escape(f"{name}{{{labels}}}" if labels else name)
        found = re.search(rf"^{line} (\S+)$", self.get("/metrics")[1], re.M)
        return float(found[1]) if found else None

    def restart(self, wait=True):
        """Starts again after stop() or kill()."""
        return self.start(wait)

    def disk(self):
        """state_dir as the process sees it."""
        return pathlib.Path(f"/proc/{self.process.pid}/root{self.state_dir}")

    def shoutctl(self, *words, check=True):
        """shoutctl --json; the parsed answer."""
        done = subprocess.run([*self.inside(), str(BUILD / "shoutctl"), "-c", str(self.file), "--json",
                               *map(str, words)], capture_output=True, text=True, timeout=60)
        if check and done.returncode != 0:
            raise AssertionError(f"shoutctl {words}: {done.returncode}\n{done.stdout}{done.stderr}")
        return json.loads(done.stdout) if done.stdout.strip() else None

    def account_add(self, name="demo", domain="customer.example", mode="credentials", contact=None,
                    ip=None):
        """A new account with verified domains (one or a list): {"account", "username", "password"}."""
        domains = [domain] if isinstance(domain, str) else list(domain)
        words = ["account", "add", "--name", name, "--contact", contact or f"admin@{domains[0]}"]
        for one in domains:
            words += ["--domain", one]
        words += ["--mode", mode, "--verified"]
        if ip:
            words += ["--ip", ip]
        return self.shoutctl(*words)

    def smtp(self, kind="starttls", account=None):
        """An smtplib client after TLS (but for "plain") and, with an account, AUTH."""
        port = self.ports[kind]
        if kind == "implicit":
            client = smtplib.SMTP_SSL("127.0.0.1", port, timeout=DEADLINE, context=client_tls())
        else:
            client = smtplib.SMTP("127.0.0.1", port, timeout=DEADLINE)
        if kind == "starttls":
            client.starttls(context=client_tls())
        if account:
            client.login(account["username"], account["password"])
        return client

    def assert_no_sanitizer_report(self):
        """What SAN= builds write to standard error."""
        found = re.search(r"^.*(?:ERROR: \w+Sanitizer|WARNING: ThreadSanitizer|runtime error:).*", self.log(),
                          re.M)
        assert not found, self.log()[found.start():found.start() + 4000]

    def log_lines(self):
        """The log as parsed JSON lines."""
        lines = []
        for line in self.log().splitlines():
            with contextlib.suppress(ValueError):
                lines.append(json.loads(line))
        return lines

    def events(self, name=None, message_id=None):
        """Events from the files in state_dir, oldest first."""
        found = []
        for path in sorted(self.state_dir.glob("events/*")):
            for line in path.read_text(errors="replace").splitlines():
                with contextlib.suppress(ValueError):
                    event = json.loads(line)
                    if (name in (None, event.get("event"))
                            and message_id in (None, event.get("id"))):
                        found.append(event)
        return found


def send(client, sender, recipients, body, options=()):
    """MAIL, RCPT and DATA with `body` exactly as it is (bytes with CRLF; dots are stuffed). Returns
    the id from "queued as"."""
    recipients = [recipients] if isinstance(recipients, str) else recipients
    client.ehlo_or_helo_if_needed()
    code, text = client.mail(sender, options)
    assert code == 250, (code, text)
    for recipient in recipients:
        code, text = client.rcpt(recipient)
        assert code == 250, (code, text)
    code, text = client.docmd("DATA")
    assert code == 354, (code, text)
    stuffed = re.sub(rb"(?m)^\.", b"..", body)
    client.send(stuffed + (b"" if stuffed.endswith(b"\r\n") or not stuffed else b"\r\n") + b".\r\n")
    code, text = client.getreply()
    assert code == 250, (code, text)
    return text.decode().rsplit(" ", 1)[1]


class Rig:
    """Keeps what a test started and stops it in reverse, whatever happened."""

    def __init__(self):
        # unix socket paths are short: /tmp, not pytest's deep directories
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="shout-", dir="/tmp"))
        self.started = []
        self.count = 0
        self.keep = None  # where everything goes in the end, instead of away

    def path(self, name):
        self.count += 1
        return self.directory / f"{self.count}-{name}"

    def add(self, thing):
        """Starts a Server (a Sink runs already) and stops it in the end."""
        self.started.append(thing)
        if isinstance(thing, Server):
            thing.start()
        return thing

    def redis(self):
        return self.add(Redis(self.path("redis")))

    def clamd(self, **options):
        return self.add(Clamd(self.path("clamd"), **options))

    def nsd(self, zones):
        return self.add(Nsd(self.path("nsd"), zones))

    def sink(self, **options):
        return self.add(Sink(**options))

    def shout(self, redis, **options):
        return self.add(Shout(self.path("shout"), redis, **options))

    def close(self):
        failure = None
        for thing in reversed(self.started):
            try:
                was_running = isinstance(thing, Shout) and thing.running()
                status = thing.stop()
                if was_running and status != 0:
                    raise AssertionError(f"shout stopped with {status}:\n{thing.log()[-4000:]}")
                if isinstance(thing, Shout):
                    thing.assert_no_sanitizer_report()
            except (AssertionError, OSError) as error:
                failure = failure or error
        if self.keep:
            shutil.rmtree(self.keep, ignore_errors=True)
            subprocess.run(["mv", self.directory, self.keep], check=True)  # it may hold sockets
        elif not os.environ.get("SHOUT_KEEP"):  # to look at the logs
            shutil.rmtree(self.directory, ignore_errors=True)
        if failure:
            raise failure
