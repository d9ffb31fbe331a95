"""A real Prometheus with deploy's rules scrapes a cluster: every metric in use is there, every panel of a cluster has
something to show, a broker that is away fires."""

import pytest

import kafka
from harness import EICAR, Shout, send, wait_for
from watching import Prometheus, in_use, of_clusters

MESSAGE = b"From: boss@customer.example\r\nSubject: watched\r\n\r\nOne, two.\r\n"
# What comes with clamd's own signatures, with an embedded queue, without a scan, or with MX records.
ELSEWHERE = {"shout_scanner_signature_age_seconds", "shout_queue_rows", "shout_scanner_disabled", "shout_sender_dns_total",
             "shout_sender_dns_seconds"}
# Of a provider that defers, bounces, or lets mail expire: tests/e2e/test_watching.py has one.
LATER = {"shout_sender_deferred_total", "shout_sender_bounced_total", "shout_sender_expired_total"}


class Watched:
    """A process of each role, and who watches them."""

    def __init__(self, rig, broker, redis, clamd, sink, certificate):
        self.broker, self.sink = broker, sink
        self.roles = {role: Shout(rig.path(role), redis, role=role, clamd=clamd, route=sink.host, certificate=certificate,
                                  settings={"queue": broker.queue()})
                      for role in ("control", "sender", "scanner", "ingress")}
        kafka.topics(self.roles["control"].file)
        for shout in self.roles.values():
            rig.add(shout)
        self.account = self.roles["control"].account_add()
        self.prometheus = Prometheus(rig.path("prometheus"))
        self.prometheus.watch(*self.roles.values())
        rig.add(self.prometheus)

    def send(self, recipients, body=MESSAGE):
        with self.roles["ingress"].smtp("starttls", self.account) as client:
            return send(client, "boss@customer.example", recipients, body)


@pytest.fixture(scope="module")
def watched(module_rig, broker, redis, clamd, sink, certificate):
    return Watched(module_rig, broker, redis, clamd, sink, certificate)


def test_every_metric_and_label_in_use_is_scraped_and_every_panel_is_drawn(watched):
    for shout in watched.roles.values():
        watched.prometheus.scraped(shout)
    watched.send("friend@elsewhere.example")
    watched.send("victim@elsewhere.example", MESSAGE + EICAR + b"\r\n")
    wait_for(lambda: watched.prometheus.query("sum(shout_sender_delivered_total) >= 1"), 60, "it is delivered")
    wait_for(lambda: watched.prometheus.firing("ShoutHeld"), 60, "the virus is held")
    for shout in watched.roles.values():
        watched.prometheus.scraped(shout, 2)
    wanted = {name: labels for name, labels in in_use().items() if name not in ELSEWHERE | LATER}
    assert list(watched.prometheus.missing(wanted)) == []
    assert of_clusters() <= wanted.keys()
    assert watched.prometheus.empty(ELSEWHERE | LATER) == []
    backlog = watched.prometheus.query('job_topic:shout_queue_backlog:total{topic="mail.ready"}')
    assert [value for _, value in backlog] == [0]


def test_nothing_fires_but_for_the_virus(watched):
    assert watched.prometheus.firing().keys() - {"ShoutDiskFilling"} == {"ShoutHeld"}


def test_a_scanner_that_is_away_is_one_alert_and_one_backlog_however_many_processes_count_it(watched):
    scanner = watched.roles["scanner"]
    scanner.stop()
    for i in range(3):
        watched.send(f"waits{i}@elsewhere.example")
    wait_for(lambda: [value for _, value in watched.prometheus.query(
        'job_topic:shout_queue_backlog:total{topic="mail.inbound"}')] == [3], 60, "the backlog is counted once")
    wait_for(lambda: len(watched.prometheus.query(
        'shout_queue_backlog{topic="mail.inbound"} == 3')) == 3, 60, "each process that is left counts it")
    assert len(watched.prometheus.firing("ShoutDown")) == 1
    scanner.restart()
    wait_for(lambda: watched.sink.find("waits2@elsewhere.example"), 60, "it arrives")


def test_brokers_that_are_away_fire_until_they_are_back(watched):
    watched.broker.stop()
    wait_for(lambda: len(watched.prometheus.firing("ShoutBrokersAway")) == len(watched.roles), 60, "each process says so")
    watched.broker.start()
    wait_for(lambda: not watched.prometheus.firing("ShoutBrokersAway"), 60, "it is over")
