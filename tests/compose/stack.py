"""deploy/compose brought up, unedited: its containers, its customers' side, its operator's side.

    stack = Stack(daemon, "compose.yaml").up()
    stack.ctl("account", "list")
"""

import contextlib
import ctypes
import functools
import json
import os
import pathlib
import smtplib
import ssl
import subprocess
import time
import urllib.parse

import docker
from harness import DEADLINE, wait_for
from load import ACCEPTED, UNKNOWN, Load

ADDRESSES = ("203.0.113.1", "203.0.113.2")  # of shout01 and shout02
OFFICE, ROAMING = CLIENTS = ("203.0.113.77", "203.0.113.78")
NAMES = {ADDRESSES[0]: "shout01", ADDRESSES[1]: "shout02"}
CLIENT = os.environ.get("SHOUT_COMPOSE", "docker-compose")
UP_S = 900  # a machine may have much else to do
LOAD = f"load-{os.getpid()}"
PORTS = {25: "starttls", 587: "starttls", 465: "implicit"}
GET = 'exec 3<>/dev/tcp/127.0.0.1/{port}; printf "GET {path} HTTP/1.0\\r\\n\\r\\n" >&3; cat <&3'


@contextlib.contextmanager
def within(pid):
    """This thread, and those that it starts, in the network of another process."""
    libc = ctypes.CDLL(None, use_errno=True)

    def enter(path):
        with open(path) as space:
            assert libc.setns(space.fileno(), 0x40000000) == 0, os.strerror(ctypes.get_errno())
    own = f"/proc/{os.getpid()}/ns/net"
    with open(own):
        back = os.open(own, os.O_RDONLY)
    enter(f"/proc/{pid}/ns/net")
    try:
        yield
    finally:
        assert libc.setns(back, 0x40000000) == 0
        os.close(back)


def slowly(condition):
    """The same for wait_for(), which asks all the time: what takes a client of Docker is asked twice a second."""
    def ask():
        value = condition()
        if not value:
            time.sleep(0.5)
        return value
    return ask


class Stack:
    def __init__(self, daemon, file, directory=docker.COMPOSE, production=False):
        """`production`: the .env of the directory says all that a demo has from here."""
        self.daemon, self.file, self.directory = daemon, file, directory
        self.api = "control" if file == "compose.yaml" else "shout01"
        self.project = "shout" if production else "shout-test"
        self.env = {"SHOUT_VERSION": docker.VERSION}
        if not production:
            self.env |= {"COMPOSE_PROJECT_NAME": self.project, "SHOUT_ADDRESS_1": ADDRESSES[0],
                         "SHOUT_ADDRESS_2": ADDRESSES[1]}

    def compose(self, *words, **options):
        return self.daemon.run(CLIENT, "-f", self.file, *words, cwd=self.directory, env=self.env, **options)

    def up(self):
        self.compose("up", "-d")
        return self.await_ready()

    def down(self, *options):
        self.compose("down", *options)

    @functools.cache
    def services(self):
        """Those that run for good."""
        return [one for one in self.compose("config", "--services").split()
                if one not in ("setup", "topics") + (("sink",) if self.project == "shout" else ())]

    def inspect(self, service):
        found = self.daemon.docker("ps", "-aq", "--filter", f"label=com.docker.compose.project={self.project}",
                                   "--filter", f"label=com.docker.compose.service={service}").split()
        assert len(found) == 1, (service, found)
        return json.loads(self.daemon.docker("inspect", found[0]))[0]

    def name(self, service):
        return self.inspect(service)["Name"].lstrip("/")

    def roles(self):
        """Containers of our own."""
        return [one for one in self.services()
                if one.startswith(("shout", "scanner", "sender", "control"))]

    def exec(self, service, *words, **options):
        return self.daemon.docker("exec", self.name(service), *words, **options)

    def get(self, service, path, port=9090):
        """A page as the container itself sees it."""
        said = self.exec(service, "bash", "-c", GET.format(path=path, port=port), check=False) or ""
        head, _, body = said.partition("\r\n\r\n")
        return (int(head.split()[1]), body) if head.startswith("HTTP/") else (0, "")

    def outside(self, port, path):
        """A page of a port that is published on loopback."""
        done = subprocess.run(["nsenter", "-t", str(self.daemon.process.pid), "-n", "curl", "-s", "--max-time", "20",
                               f"http://127.0.0.1:{port}{path}"], stdout=subprocess.PIPE, text=True)
        return done.stdout if done.returncode == 0 else ""

    def is_ready(self, service):
        state = self.inspect(service)["State"]
        if not state["Running"] or state.get("Health", {}).get("Status", "healthy") != "healthy":
            return False
        return service not in self.roles() or self.get(service, "/readyz")[0] == 200

    def await_ready(self, services=None):
        for service in services or self.services():
            try:
                wait_for(slowly(lambda: self.is_ready(service)), UP_S, f"{service} is ready")
            except AssertionError as late:
                raise AssertionError(f"{late}\n{self.daemon.docker('logs', '--tail', '40', self.name(service))}"
                                     f"\n{self.get(service, '/readyz')}") from None
        return self

    def await_served(self, name):
        """HAProxy hands the clients of that name to its own node."""
        def served():
            with contextlib.suppress(AssertionError, OSError, smtplib.SMTPException):
                with self.smtp(address, 25) as client:
                    return client.greeting.startswith(f"{name}.")
        address = next(address for address in NAMES if NAMES[address] == name)
        wait_for(slowly(served), 120, f"{name} is served")

    def ctl(self, *words):
        return json.loads(self.exec(self.api, "shoutctl", "--json", *words))

    def account(self, domain, *options):
        return self.ctl("account", "add", "--name", domain, "--contact", f"it@{domain}", "--domain", domain, "--verified",
                        "--messages-hour", "0", "--messages-day", "0", "--recipients-hour", "0", "--recipients-day", "0",
                        *options)

    def events(self, *words):
        """Events, oldest first."""
        lines = self.exec(self.api, "shoutctl", "--json", "events", "--limit", "1000", *words).splitlines()
        return [event for event in map(json.loads, lines) if "event" in event]

    def waiting(self):
        """What `queue list` shows of mail that waits. A sink that is away is a fault of this machine: without an event."""
        return self.exec(self.api, "shoutctl", "queue", "list", "--state", "waiting")

    def status(self, service):
        """What the kernel says of the container's first process."""
        text = pathlib.Path(f"/proc/{self.inspect(service)['State']['Pid']}/status").read_text()
        return dict(line.split(":\t", 1) for line in text.splitlines() if ":\t" in line)

    def certificate(self, name):
        return self.exec(name, "cat", f"/certificates/{name}.pem")

    def smtp(self, address, port, sni=True, source=ROAMING):
        """A client that knows the certificate of the name, and nothing else."""
        name = NAMES[address]
        context = ssl.create_default_context(cadata=self.certificate(name))
        context.check_hostname = sni
        client = Customer(context, f"{name}.provider.example" if sni else None, PORTS[port] == "implicit", source)
        client.connect(address, port)
        if PORTS[port] == "starttls":
            client.starttls(context=context)
        return client

    # ---- the sink ----

    def sunk(self):
        """Subjects of all that arrived, as often as it did."""
        subjects = []
        while True:
            page = json.loads(self.outside(8025, f"/api/v1/messages?start={len(subjects)}&limit=500") or '{"messages": []}')
            subjects += [message["Subject"] for message in page["messages"]]
            if len(page["messages"]) < 500:
                return subjects

    def arrives(self, subject, deadline=UP_S):
        wait_for(slowly(lambda: subject in self.sunk()), deadline, f"{subject} arrives")

    def query(self, expression):
        """{labels: value} of Prometheus."""
        said = self.outside(9091, "/api/v1/query?query=" + urllib.parse.quote(expression))
        return [(one["metric"], float(one["value"][1])) for one in json.loads(said)["data"]["result"]] if said else []


class Customer(smtplib.SMTP):
    """An SMTP client that names `sni` (or nobody), and comes from an address of its own."""

    def __init__(self, context, sni, implicit, source):
        super().__init__(timeout=120, source_address=(source, 0))
        self.tls, self.sni, self.implicit, self.greeting = context, sni, implicit, None

    def _get_socket(self, host, port, timeout):
        plain = super()._get_socket(host, port, timeout)
        return self.tls.wrap_socket(plain, server_hostname=self.sni) if self.implicit else plain

    def connect(self, *place, **options):
        code, text = super().connect(*place, **options)
        self._host, self.greeting = self.sni, text.decode()  # starttls() asks for that name
        assert code == 220, (code, text)
        return code, text


class Mail(Load):
    """A load whose messages are known by their subjects, through ports 25 of both names."""

    def __init__(self, **options):
        super().__init__([f"{address}:25" for address in ADDRESSES], sender="anna@office.example", timeout=DEADLINE * 4,
                         **options)

    def body(self, name):
        return (f"From: {self.sender}\r\nTo: {self.recipient}\r\nSubject: {LOAD}-{name}\r\n\r\n".encode()
                + self.filling + b".\r\n")

    def named(self, state):
        return {f"{LOAD}-{one.name}" for one in self.all(state)}


class Flow:
    """Mail under way while things are done to the stack; and the account of it."""

    def __init__(self, stack):
        self.stack, self.load = stack, Mail(sessions=6, pause=0.1)
        self.load.start()

    def await_more(self, count=20):
        """Until so many more were accepted."""
        before = self.load.accepted()
        wait_for(lambda: self.load.accepted() >= before + count, 300, "mail is accepted")

    def arrived(self, wanted):
        """What a dead sink put off is tried again now."""
        missing = wanted - set(self.stack.sunk())
        if missing:
            with contextlib.suppress(AssertionError):  # refused when none of it waits
                self.stack.ctl("queue", "retry", "--domain", "elsewhere.example")
        return not missing

    def told(self):
        return (f"{self.load.accepted()} accepted, {dict(self.load.codes())} refused, "
                f"{self.load.unconnected} connections unanswered")

    def settle(self):
        """All that was accepted has arrived. (copies beyond one, what arrived without a 250)"""
        self.load.stop()
        wanted, may = self.load.named(ACCEPTED), self.load.named(UNKNOWN)
        wait_for(slowly(lambda: self.arrived(wanted)), UP_S, "what was accepted arrives")
        came = [subject for subject in self.stack.sunk() if subject.startswith(f"{LOAD}-{self.load.run}-")]
        assert set(came) <= wanted | may
        return len(came) - len(set(came)), len(set(came) - wanted)
