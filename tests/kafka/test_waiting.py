"""Waiting mail in a cluster: two senders, of which one dies, stands still, or loses its table."""

import pytest

import kafka
from harness import Shout, free_port, send, wait_for

MESSAGE = b"From: boss@customer.example\r\nSubject: waiting\r\n\r\nLater, perhaps.\r\n"
COUNT = 24


class Cluster:
    """Two senders; mail for dead.example waits, for its sink answers 451 until it is told better."""

    def __init__(self, rig, certificate, **sender):
        port = free_port()
        self.sink = rig.sink(address="127.0.0.3", port=port)
        nsd = rig.nsd({"dead.example": f"@ MX 10 mx\nmx A {self.sink.address}\n"})
        redis = rig.redis()
        self.broker = broker = rig.add(kafka.Kafka(rig.path("kafka")))
        options = {"certificate": certificate, "settings": {
            "queue": broker.queue(),
            "sender": {"port": port, "retry": {"first": "1s", "max": "2s"}, **sender},
            "dns": {"forward": [nsd.address], "trust_anchor": "none"}}}
        roles = {"control": "control", "scanner": "scanner", "ingress": "ingress",
                 "one": "sender", "two": "sender"}
        for name, role in roles.items():
            setattr(self, name, Shout(rig.path(name), redis, role=role, **options))
        kafka.topics(self.control.file)
        for name in roles:
            rig.add(getattr(self, name))
        self.senders = [self.one, self.two]
        self.account = self.control.account_add()
        self.sink.on("rcpt", "451 4.3.0 later")

    def fill(self):
        """Accepts mail until it all waits; the recipients."""
        recipients = [f"r{i}@dead.example" for i in range(COUNT)]
        with self.ingress.smtp("starttls", self.account) as client:
            self.ids = [send(client, "boss@customer.example", recipient, MESSAGE) for recipient in recipients]
        wait_for(lambda: self.waiting() == COUNT, 60, "all wait")
        return recipients

    def waiting(self, senders=None):
        return sum(sender.metric("shout_sender_waiting") or 0 for sender in senders or self.senders)

    def owned(self, sender):
        return sender.metric("shout_rows_partitions") or 0

    def kept(self, topic):
        """{partition: how many records it still has}, of those that have any."""
        starts, ends = self.broker.offsets(topic, -2), self.broker.offsets(topic)
        return {number: end - starts[number] for number, end in ends.items() if end > starts[number]}

    def relent(self):
        self.sink.clear()

    def all_arrive(self, recipients):
        wait_for(lambda: all(self.sink.find(r) for r in recipients), 120, "all mail arrives")
        wait_for(lambda: self.waiting([s for s in self.senders if s.running()]) == 0, 60, "none waits")
        assert {r: len(self.sink.find(r)) for r in recipients} == dict.fromkeys(recipients, 1)


@pytest.fixture
def cluster(rig, certificate):
    return Cluster(rig, certificate)


def test_what_a_killed_sender_had_is_delivered_by_the_other(cluster):
    recipients = cluster.fill()
    wait_for(lambda: cluster.owned(cluster.one) and cluster.owned(cluster.two), 60, "both own some")
    cluster.one.kill()
    wait_for(lambda: cluster.owned(cluster.two) == 3, 90, "the other owns all")
    wait_for(lambda: cluster.waiting([cluster.two]) == COUNT, 30, "it has all rows")
    cluster.relent()
    cluster.all_arrive(recipients)


def test_the_table_may_be_deleted_under_way_and_while_nobody_runs(cluster):
    recipients = cluster.fill()
    for sender in cluster.senders:
        for path in sender.state_dir.glob("rows.mdb*"):
            path.unlink()
    cluster.one.stop()
    cluster.two.kill()
    cluster.one.restart()
    cluster.two.restart()
    wait_for(lambda: cluster.waiting() == COUNT, 120, "all wait again")
    cluster.relent()
    cluster.all_arrive(recipients)


def test_a_sender_that_stood_still_sends_nothing_it_no_longer_owns(cluster):
    recipients = cluster.fill()
    wait_for(lambda: cluster.owned(cluster.one) and cluster.owned(cluster.two), 60, "both own some")
    with cluster.one.paused():
        wait_for(lambda: cluster.owned(cluster.two) == 3, 120, "the other owns all")
        cluster.relent()
        wait_for(lambda: all(cluster.sink.find(r) for r in recipients), 120, "all mail arrives")
    wait_for(lambda: cluster.owned(cluster.one) and cluster.owned(cluster.two), 120, "both own some")
    cluster.all_arrive(recipients)


def test_bodies_are_trimmed_when_they_are_delivered_and_not_while_they_wait(cluster):
    recipients = cluster.fill()
    for topic in ("mail.inbound", "mail.ready"):  # few records go after a minute
        wait_for(lambda topic=topic: not cluster.kept(topic), 150, f"{topic} is trimmed to its end")
    assert sum(cluster.kept("mail.deferred").values()) == COUNT
    cluster.relent()
    waiting = cluster.sink.on("rcpt", "451 4.3.0 later", match="r7@")
    others = [r for r in recipients if r != "r7@dead.example"]
    wait_for(lambda: all(cluster.sink.find(r) for r in others), 120, "the others arrive")
    wait_for(lambda: len(cluster.kept("mail.deferred")) == 1, 60, "all is trimmed but where one waits")
    for sender in cluster.senders:  # nobody has its body in memory
        sender.kill()
        sender.restart()
    wait_for(lambda: cluster.waiting() == 1, 120, "it waits again")
    cluster.sink.rules.remove(waiting)
    cluster.all_arrive(recipients)
    assert MESSAGE.split(b"\r\n\r\n")[1] in cluster.sink.find("r7@dead.example")[0].body
    wait_for(lambda: not cluster.kept("mail.deferred"), 60, "its body is trimmed as well")


def test_mail_for_a_dead_site_is_late_and_says_why_whoever_has_it(rig, certificate):
    """Each of its rows tells its site's reply, though few were ever tried."""
    cluster = Cluster(rig, certificate, delay_dsn="15s", retry={"first": "5m", "max": "1h"})
    cluster.sink.stop()
    cluster.fill()
    rows = wait_for(lambda: len(rows := cluster.control.shoutctl("queue", "list", "--limit", 100)["rows"]) >= COUNT and
                    all("last_reply" in row for row in rows) and rows, 60, "the reasons")
    assert {row["last_reply"] for row in rows if row["id"] in cluster.ids} == {"Connection refused while connecting"}
    assert any(row["attempts"] == 0 for row in rows)
    cluster.one.kill()

    def late(message_id):
        return [event for message in cluster.control.shoutctl("why", message_id)["messages"]
                for event in message["events"] if event["event"] == "delayed"]

    for message_id in cluster.ids:
        event, = wait_for(lambda message_id=message_id: late(message_id), 120, "it is late")
        assert event["reply"] == "Connection refused while connecting" and event["host"] == "mx.dead.example[127.0.0.3]"
