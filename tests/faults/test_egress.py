"""Faults of this machine are not the destination's: no site rests for them, no attempt counts, nothing bounces;
/readyz, a metric and one line of the log say what it is, and it is over without an operator."""

import contextlib
import os
import resource
import shutil
import smtplib
import subprocess
import time

import pytest

from harness import Shout, free_port, send, wait_for

BODY = b"From: boss@customer.example\r\nSubject: egress\r\n\r\nHello.\r\n"

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root changes addresses and routes")


def ip(*words, netns=None):
    subprocess.run([*(["ip", "netns", "exec", netns] if netns else []), "ip", *words], check=True, capture_output=True)


def egress(shout):
    """The line of /readyz, without its name."""
    lines = shout.get("/readyz")[1].splitlines()
    return next((line.split(": ", 1)[1] for line in lines if line.startswith("egress: ")), "")


def faults(shout, kind):
    return shout.metric("shout_sender_local_faults_total", f'fault="{kind}"')


def logged(shout, kind):
    return [line for line in shout.log_lines() if line.get("fault") == kind and line["level"] == "warn"]


def submit(shout, account, to="a@good.example"):
    with shout.smtp("plain", account=account) as client:
        return send(client, "boss@customer.example", to, BODY)


def is_ours(shout, mail, kind):
    """What every fault of ours has in common, while it lasts."""
    wait_for(lambda: faults(shout, kind), what=f"{kind} is counted")
    wait_for(lambda: egress(shout).split(":")[0] in ("degraded", "failed"), what="/readyz says so")
    assert not shout.metric("shout_sender_sites_resting")
    assert not shout.events("bounced") and not shout.events("expired")
    for event in shout.events("deferred", mail):
        assert event["attempts"] == 0 and "this relay" in event["reply"], event
    assert len(logged(shout, kind)) == 1, logged(shout, kind)


class Net:
    """Two network namespaces: Shout's with `near`, and one behind a router's address with the hosts' `far`."""

    def __init__(self, name):
        self.near, self.far = f"{name}-n", f"{name}-f"
        for netns in (self.near, self.far):
            ip("netns", "add", netns)
            ip("link", "set", "lo", "up", netns=netns)
        ip("link", "add", "v0", "netns", self.near, "type", "veth", "peer", "name", "v0", "netns", self.far)
        for netns, number in ((self.near, 1), (self.far, 2)):
            ip("addr", "add", f"10.9.0.{number}/24", "dev", "v0", netns=netns)
            ip("-6", "addr", "add", f"fd09::{number}/64", "dev", "v0", "nodad", netns=netns)
            ip("link", "set", "v0", "up", netns=netns)
        for address in ("203.0.113.5/32", "203.0.113.6/32"):
            ip("addr", "add", address, "dev", "lo", netns=self.far)
        for address in ("2001:db8::5/128",):
            ip("-6", "addr", "add", address, "dev", "lo", netns=self.far)
        self.route()

    def route(self, family="-4"):
        ip(family, "route", "add", "default", "via", "10.9.0.2" if family == "-4" else "fd09::2", netns=self.near)

    def unroute(self, family="-4"):
        ip(family, "route", "del", "default", netns=self.near)

    def close(self):
        for netns in (self.near, self.far):
            subprocess.run(["ip", "netns", "del", netns], check=False)


@pytest.fixture
def net():
    made = Net(f"shout{os.getpid()}")
    yield made
    made.close()


class Host:
    """A mail host in a namespace, which writes down who spoke to it and takes everything."""

    CODE = """
import socket, sys, threading
def serve(s):
    while True:
        c, peer = s.accept()
        threading.Thread(target=talk, args=(c, peer), daemon=True).start()
def talk(c, peer):
    f = c.makefile("rwb")
    def say(x): f.write(x + b"\\r\\n"); f.flush()
    say(b"220 far.example")
    data = False
    for line in f:
        line = line.strip()
        if data:
            if line == b".":
                data = False
                with open(sys.argv[1], "a") as log: log.write(peer[0] + "\\n")
                say(b"250 taken")
        elif line.upper() == b"DATA": data = True; say(b"354 go on")
        elif line.upper() == b"QUIT": say(b"221 bye"); break
        else: say(b"250 far.example")
    c.close()
for address in sys.argv[3:]:
    s = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind((address, int(sys.argv[2]))); s.listen(50)
    threading.Thread(target=serve, args=(s,), daemon=True).start()
print("up", flush=True)
threading.Event().wait()
"""

    def __init__(self, netns, log, port, *addresses):
        self.log = log
        self.process = subprocess.Popen(["ip", "netns", "exec", netns, "python3", "-c", self.CODE, str(log), str(port), *addresses],
                                        stdout=subprocess.PIPE, text=True)
        assert self.process.stdout.readline() == "up\n"

    def peers(self):
        return self.log.read_text().split() if self.log.exists() else []

    def stop(self):
        self.process.kill()
        self.process.wait()
        return 0


class Inside(Shout):
    """Shout in a network namespace; its pages and ports are there, too."""

    def __init__(self, netns, *args, **options):
        super().__init__(*args, wrapper=["ip", "netns", "exec", netns], **options)
        self.netns = netns
        self.inside = lambda: ["ip", "netns", "exec", netns]

    def get(self, path):
        done = subprocess.run([*self.inside(), "curl", "-s", "--local-port", "42000-43000", "-w", "\n%{http_code}", f"http://127.0.0.1:{self.ports['metrics']}{path}"],
                              capture_output=True, text=True, timeout=60)
        text, _, code = done.stdout.rpartition("\n")
        return int(code or 0), text

    def ready(self):
        return self.get("/readyz")[0] in (200, 503) and "sender: ready" in self.get("/readyz")[1]

    def submit(self, account, to, port=0):
        """The message's id."""
        script = ("import smtplib, sys, json; c = smtplib.SMTP('127.0.0.1', int(sys.argv[1]), source_address=('127.0.0.1', int(sys.argv[6]))); c.login(sys.argv[2], sys.argv[3]);"
                  "c.mail('boss@customer.example'); c.rcpt(sys.argv[4]); print(c.data(sys.argv[5].encode())[1].decode())")
        done = subprocess.run([*self.inside(), "python3", "-c", script, str(self.ports["plain"]), account["username"],
                               account["password"], to, BODY.decode(), str(port)], capture_output=True, text=True, timeout=60)
        assert "queued as" in done.stdout, done.stdout + done.stderr
        return done.stdout.split()[-1]


@pytest.fixture
def routed(rig, net, certificate):
    """routed(**settings of the sender) -> (Inside, Host, account): mail for [203.0.113.5] and [203.0.113.6]"""
    def start(addresses=("203.0.113.5", "203.0.113.6", "2001:db8::5"), **sender):
        port = free_port()
        host = rig.add(Host(net.far, rig.directory / "peers", port, *addresses))
        shout = rig.add(Inside(net.near, rig.path("shout"), rig.redis(), certificate=certificate, settings={
            "sender": {"port": port, "allow_networks": ["203.0.113.0/24", "2001:db8::/32"], "retry": {"first": "1s", "max": "2s"},
                       "timeout": {"connect": "5s", "idle": "100ms"}, **sender}}))
        return shout, host, shout.account_add()
    return start


def delivered(shout, mail):
    return wait_for(lambda: shout.events("delivered", mail), what="it goes out by itself")[0]


def test_a_source_address_that_is_missing_and_comes(routed, net):
    shout, host, account = routed(source_address=["10.9.0.77"], lifetime="3s", null_lifetime="3s")
    assert egress(shout).startswith("failed: this relay does not have its source address 10.9.0.77")  # before any mail
    accepted = time.time()
    mail = shout.submit(account, "a@[203.0.113.5]")
    is_ours(shout, mail, "source_address")
    # longer than its lifetime
    wait_for(lambda: time.time() > accepted + 4)
    assert not shout.events("bounced") and not shout.events("expired")
    ip("addr", "add", "10.9.0.77/24", "dev", "v0", netns=net.near)
    assert delivered(shout, mail)["attempts"] == 1
    wait_for(lambda: egress(shout) == "ready")
    assert host.peers() == ["10.9.0.77"]


def test_a_source_address_that_goes_while_mail_flows(routed, net):
    ip("addr", "add", "10.9.0.77/24", "dev", "v0", netns=net.near)
    shout, host, account = routed(source_address=["10.9.0.77"])
    delivered(shout, shout.submit(account, "a@[203.0.113.5]"))
    ip("addr", "del", "10.9.0.77/24", "dev", "v0", netns=net.near)
    mail = shout.submit(account, "a@[203.0.113.5]")
    is_ours(shout, mail, "source_address")
    assert shout.get("/readyz")[0] == 503
    ip("addr", "add", "10.9.0.77/24", "dev", "v0", netns=net.near)
    assert delivered(shout, mail)["attempts"] == 1


def test_no_route_at_all(routed, net):
    shout, host, account = routed()
    delivered(shout, shout.submit(account, "a@[203.0.113.5]"))
    net.unroute()
    mail, other = shout.submit(account, "a@[203.0.113.5]"), shout.submit(account, "a@[203.0.113.6]")
    is_ours(shout, mail, "route")
    wait_for(lambda: egress(shout).startswith("failed: this relay has no route to 203.0.113."))
    net.route()
    assert delivered(shout, mail)["attempts"] == 1 and delivered(shout, other)["attempts"] == 1
    wait_for(lambda: egress(shout) == "ready")


def test_no_route_to_one_destination_stops_no_other(routed, net):
    shout, host, account = routed()
    delivered(shout, shout.submit(account, "a@[203.0.113.5]"))
    ip("route", "add", "unreachable", "203.0.113.6/32", netns=net.near)
    mail = shout.submit(account, "a@[203.0.113.6]")
    is_ours(shout, mail, "route")
    delivered(shout, shout.submit(account, "a@[203.0.113.5]"))
    assert egress(shout).startswith("degraded: this relay has no route to 203.0.113.6")
    ip("route", "del", "unreachable", "203.0.113.6/32", netns=net.near)
    assert delivered(shout, mail)["attempts"] == 1
    wait_for(lambda: egress(shout) == "ready")


def test_a_prohibited_route_is_a_firewall(routed, net):
    shout, host, account = routed()
    ip("route", "add", "prohibit", "203.0.113.6/32", netns=net.near)
    mail = shout.submit(account, "a@[203.0.113.6]")
    is_ours(shout, mail, "firewall")
    assert "a firewall of this relay refuses connections to 203.0.113.6" in egress(shout)
    ip("route", "del", "prohibit", "203.0.113.6/32", netns=net.near)
    assert delivered(shout, mail)["attempts"] == 1
    wait_for(lambda: egress(shout) == "ready")


@pytest.mark.skipif(not shutil.which("nft"), reason="no nft")
@pytest.mark.parametrize("with_what", ["icmp type admin-prohibited", "icmp type port-unreachable"])
def test_a_firewall_of_ours_that_rejects(routed, net, with_what):
    shout, host, account = routed()
    nft = ["ip", "netns", "exec", net.near, "nft"]
    for words in ("add table ip f", "add chain ip f out { type filter hook output priority 0; }",
                  f"add rule ip f out ip daddr 203.0.113.6 tcp flags syn reject with {with_what}"):
        subprocess.run([*nft, words], check=True)
    mail = shout.submit(account, "a@[203.0.113.6]")
    is_ours(shout, mail, "firewall")
    subprocess.run([*nft, "delete table ip f"], check=True)
    assert delivered(shout, mail)["attempts"] == 1
    wait_for(lambda: egress(shout) == "ready")


def test_a_host_that_refuses_is_the_hosts(routed):
    shout, host, account = routed(addresses=("203.0.113.5",))
    mail = shout.submit(account, "a@[203.0.113.6]")
    wait_for(lambda: shout.events("deferred", mail))
    assert shout.events("deferred", mail)[0]["attempts"] == 1 and egress(shout) == "ready"


def test_a_family_that_this_machine_never_had_is_no_fault(routed):
    shout, host, account = routed()
    mail = shout.submit(account, "a@[IPv6:2001:db8::5]")
    wait_for(lambda: shout.events("deferred", mail))
    assert "there is no IPv6 here" in shout.events("deferred", mail)[0]["reply"] and egress(shout) == "ready"


def test_each_family_has_its_source_address(routed, net):
    net.route("-6")
    ip("addr", "add", "10.9.0.77/24", "dev", "v0", netns=net.near)
    ip("-6", "addr", "add", "fd09::77/64", "dev", "v0", "nodad", netns=net.near)
    shout, host, account = routed(source_address=["fd09::77", "10.9.0.77"])
    delivered(shout, shout.submit(account, "a@[203.0.113.5]"))
    delivered(shout, shout.submit(account, "a@[IPv6:2001:db8::5]"))
    assert host.peers() == ["10.9.0.77", "fd09::77"]


def test_no_ports_left_to_connect_from(routed, net):
    shout, host, account = routed()
    inside = ["ip", "netns", "exec", net.near]
    taker = ("import socket, threading\ns = socket.socket(); s.bind(('0.0.0.0', 40000)); s.listen()\n"
             "print('up', flush=True); threading.Event().wait()")
    taken = subprocess.Popen([*inside, "python3", "-c", taker], stdout=subprocess.PIPE, text=True)
    try:
        assert taken.stdout.readline() == "up\n"
        subprocess.run([*inside, "sysctl", "-qw", "net.ipv4.ip_local_port_range=40000 40000"], check=True)
        mail = shout.submit(account, "a@[203.0.113.5]", port=41000)
        is_ours(shout, mail, "ports")
    finally:
        taken.kill()
        taken.wait()
        subprocess.run([*inside, "sysctl", "-qw", "net.ipv4.ip_local_port_range=32768 60999"], check=True)
    assert delivered(shout, mail)["attempts"] == 1
    wait_for(lambda: egress(shout) == "ready")


def test_no_descriptors(rig, certificate):
    sink = rig.sink()
    shout = rig.shout(rig.redis(), route=sink.host, certificate=certificate)
    account = shout.account_add()
    with contextlib.ExitStack() as stack:
        client = stack.enter_context(shout.smtp("plain", account=account))
        pid = shout.process.pid
        limit = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        open_now = max(map(int, os.listdir(f"/proc/{pid}/fd"))) + 1
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (open_now, limit[1]))
        free = [stack.enter_context(smtplib.SMTP("127.0.0.1", shout.ports["plain"], timeout=30))
                for _ in range(open_now - len(os.listdir(f"/proc/{pid}/fd")))]
        assert free is not None
        mail = send(client, "boss@customer.example", "a@good.example", BODY)
        wait_for(lambda: any(line.get("fault") == "descriptors" for line in shout.log_lines()), what="it is noticed")
        assert not shout.events("bounced") and not shout.events("delivered", mail)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, limit)
    assert delivered(shout, mail)["attempts"] == 1
    assert faults(shout, "descriptors") and not shout.metric("shout_sender_sites_resting")
    assert len(logged(shout, "descriptors")) == 1
    wait_for(lambda: egress(shout) == "ready")


@pytest.fixture
def named(rig, certificate):
    """Shout that finds good.example by a name server, and the sink that is its host."""
    sink = rig.sink(address="127.0.0.2")
    nsd = rig.nsd({"good.example": f"@ MX 10 mx\nmx A {sink.address}\n", "also.example": f"@ MX 10 mx\nmx A {sink.address}\n"})
    shout = rig.shout(rig.redis(), certificate=certificate, settings={
        "sender": {"port": sink.port, "retry": {"first": "1s", "max": "2s"}, "lifetime": "10s"},
        "dns": {"forward": [nsd.address], "trust_anchor": "none"}})
    return shout, nsd, shout.account_add()


def test_a_resolver_that_is_killed_and_comes_back(named):
    shout, nsd, account = named
    nsd.kill()
    mail = submit(shout, account)
    is_ours(shout, mail, "resolver")
    assert "no name server of this relay answers" in egress(shout) and nsd.address in egress(shout)
    assert shout.get("/readyz")[0] == 200  # the others have the same
    nsd.start()
    assert delivered(shout, mail)["attempts"] == 1
    wait_for(lambda: egress(shout) == "ready")


def test_a_resolver_that_refuses_everything(rig, named):
    shout, nsd, account = named
    config = nsd.config.read_text()
    nsd.stop()
    nsd.config.write_text(config[:config.index("zone:")])
    nsd.start()
    mail = submit(shout, account)
    is_ours(shout, mail, "resolver")
    assert "answers REFUSED to everything" in egress(shout)
    nsd.stop()
    nsd.config.write_text(config)
    nsd.start()
    assert delivered(shout, mail)["attempts"] == 1
    wait_for(lambda: egress(shout) == "ready")


def test_a_name_that_fails_is_not_the_resolvers_fault(named):
    shout, nsd, account = named
    delivered(shout, submit(shout, account))
    mail = submit(shout, account, "a@refused.example")  # no zone of nsd's
    wait_for(lambda: shout.events("deferred", mail))
    assert shout.events("deferred", mail)[0]["attempts"] == 1
    assert not faults(shout, "resolver") and egress(shout) == "ready"
