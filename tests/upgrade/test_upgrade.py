"""An older Shout gives way to this one under load, and what it accepted arrives: docs/upgrade.md, done.
`make test-upgrade OLD=commit` builds the older one and names its programs in SHOUT_OLD."""

import collections
import json
import os
import pathlib

import pytest

import harness
import sink as sinks
from cluster import GOOD, SLOW, Cluster
from harness import EICAR, Shout, free_port, wait_for
from load import ACCEPTED, Load, balance

OLD, NEW = pathlib.Path(os.environ["SHOUT_OLD"]), harness.BUILD
NOT_YET = ("user", "limits")  # settings that the older one may not know; the file gets them with the upgrade
ORDER = ("sender", "scanner", "ingress", "control")
VIRUS = EICAR + b"\r\n"


@pytest.fixture(autouse=True)
def older(monkeypatch):
    """What is started, and shoutctl, is of the older build until a test says otherwise."""
    monkeypatch.setattr(harness, "BUILD", OLD)
    write = Shout.write

    def write_older(shout):
        kept = shout.settings
        shout.settings = {name: value for name, value in kept.items() if name not in NOT_YET}
        write(shout)
        shout.settings = kept
    monkeypatch.setattr(Shout, "write", write_older)


def version(node):
    return pathlib.Path(f"/proc/{node.process.pid}/exe").resolve().parent


def install(node, build):
    """SIGTERM, the other program and a file that it likes, and a start."""
    assert version(node) != build.resolve()
    assert node.stop(deadline=120) == 0
    if build == NEW:
        node.file.write_text(json.dumps(node.settings))
    else:
        node.write()
    node.plain = node.command = [build / "shout", *node.plain[1:]]
    node.start()
    assert version(node) == build.resolve()


def flows(load, sink, what):
    accepted, copies = load.accepted(), sink.count()
    wait_for(lambda: load.accepted() > accepted + 50 and sink.count() > copies + 50, 120, f"mail flows after {what}")


def held(control):
    return control.shoutctl("queue", "list", "--state", "held", "--limit", "1")["total"]


def refused(loads):
    return sum((load.codes() for load in loads), collections.Counter())


UP, BACK = (NEW, ORDER), (OLD, ORDER[::-1])
# an older control leaves Redis without an owner; the next newer one fills it, and logins wait for that
WAYS = pytest.mark.parametrize("way, codes", [([UP], {421}), ([UP, BACK, UP], {421, 454, 451})], ids=["up", "up and back and up"])


@WAYS
def test_a_cluster_is_upgraded_role_by_role(rig, certificate, monkeypatch, tell, way, codes):
    cluster = Cluster(rig, certificate)
    mail = cluster.load(sessions=4, pause=0.05, recipient=GOOD).start()
    late = cluster.load(sessions=2, pause=0.05, recipient=SLOW).start()
    viruses = cluster.load(sessions=1, pause=0.5, recipient=GOOD, text=VIRUS).start()
    flows(mail, cluster.good, "the start")
    for build, order in way:
        for node in (node for role in order for node in cluster.of(role)):
            install(node, build)
            flows(mail, cluster.good, f"{node.name} is another one")
    monkeypatch.setattr(harness, "BUILD", NEW)
    viruses.stop()
    loads = [mail.stop(), late.stop()]
    result = cluster.settle(*loads)
    explained, unexplained = cluster.explain()
    tell(f"a cluster: {result}; refused {dict(refused(loads))}; {len(explained)} explained")
    assert not result.lost and not result.extra and not unexplained and not cluster.ended
    assert set(refused(loads)) <= codes
    assert held(cluster.control) == viruses.accepted() > 0
    assert not {one.name for one in viruses.sent} & cluster.arrived()


class Relay:
    """One machine: an older `shout all` before a sink that takes mail, and one that has it wait."""

    def __init__(self, rig, certificate, clamd):
        port = free_port()
        self.good, self.slow, own = (rig.add(sinks.Counter(address=f"127.0.0.{n}", port=port)) for n in (2, 3, 4))
        names = rig.nsd({name: f"@ MX 10 mx\nmx A {sink.address}\n" for name, sink in (
            ("good.example", self.good), ("slow.example", self.slow), ("customer.example", own))})
        self.waits = self.slow.on("rcpt", "451 4.3.0 not now")
        self.shout = rig.shout(rig.redis(), clamd=clamd, certificate=certificate, settings={
            "log": {"level": "info"}, "ingress": {"in_flight_max": 100000},
            "sender": {"port": port, "lifetime": "6h", "held_lifetime": "6h"},
            "dns": {"forward": [names.address], "trust_anchor": "none"}})
        self.account = self.shout.account_add(mode="credentials")

    def load(self, **options):
        return Load([f"127.0.0.1:{self.shout.ports['plain']}"], login=(
            self.account["username"], self.account["password"]), **options)

    def names(self):
        return self.good.names() + self.slow.names()


@WAYS
def test_one_machine_is_upgraded_in_place(rig, certificate, clamd, monkeypatch, tell, way, codes):
    relay = Relay(rig, certificate, clamd)
    mail = relay.load(sessions=4, pause=0.02, recipient=GOOD).start()
    late = relay.load(sessions=2, pause=0.02, recipient=SLOW).start()
    large = relay.load(sessions=1, pause=0.5, size=300000, recipient=SLOW).start()
    viruses = relay.load(sessions=1, pause=0.5, recipient=GOOD, text=VIRUS).start()
    flows(mail, relay.good, "the start")
    wait_for(lambda: viruses.accepted() and large.accepted(), what="one of each is there")
    for build, _ in way:
        install(relay.shout, build)
        flows(mail, relay.good, "another one is there")
    monkeypatch.setattr(harness, "BUILD", NEW)
    loads = [load.stop() for load in (mail, late, large)]
    viruses.stop()
    relay.slow.rules.remove(relay.waits)
    names = {one.name for load in loads for one in load.all(ACCEPTED)}
    wait_for(lambda: names <= set(relay.names()), 120, "all that was accepted arrives")
    result = balance(loads, relay)
    tell(f"one machine: {result}; refused {dict(refused(loads))}")
    assert not result.lost and not result.extra and not result.duplicates and set(refused(loads)) <= codes
    assert held(relay.shout) == viruses.accepted() > 0
    assert not {one.name for one in viruses.sent} & set(relay.names())
