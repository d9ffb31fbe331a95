"""The main job in a cluster: each role is a process of its own, with a broker between them."""

import base64
import random
import re

import pytest

import kafka
from harness import EICAR, Shout, send, wait_for

HEADER = (b"From: Boss <boss@customer.example>\r\nTo: friend@elsewhere.example\r\n"
          b"Date: Tue, 24 Nov 2026 04:00:00 +0100\r\nMessage-ID: <1@customer.example>\r\n")
BODIES = {
    "text": b"Subject: text\r\n\r\nGood morning.\r\n",
    "empty": b"Subject: empty\r\n\r\n",
    "100KB": b"Subject: 100 KB\r\n\r\n" + (b"b" * 76 + b"\r\n") * 1300,
    "300KB": b"Subject: 300 KB\r\n\r\n" + (b"c" * 76 + b"\r\n") * 4000,
    "30MB": b"Subject: 30 MB\r\n\r\n"
            + base64.encodebytes(random.Random(1).randbytes(22 << 20)).replace(b"\n", b"\r\n"),
}


class Cluster:
    """A broker and a process of each role."""

    def __init__(self, rig, broker, redis, clamd, sink, certificate):
        self.sink = sink
        options = {"clamd": clamd, "route": sink.host, "certificate": certificate,
                   "settings": {"queue": broker.queue()}}
        self.control, self.sender, self.scanner, self.ingress = (
            Shout(rig.path(role), redis, role=role, **options)
            for role in ("control", "sender", "scanner", "ingress"))
        kafka.topics(self.control.file)
        for shout in (self.control, self.sender, self.scanner, self.ingress):
            rig.add(shout)
        self.account = self.control.account_add()

    def send(self, recipients, body):
        with self.ingress.smtp("starttls", self.account) as client:
            return send(client, "boss@customer.example", recipients, HEADER + body)

    def events(self, message_id):
        return [event["event"] for message in self.control.shoutctl("why", message_id)["messages"]
                for event in message["events"]]


@pytest.fixture(scope="module")
def cluster(module_rig, broker, redis, clamd, sink, certificate):
    return Cluster(module_rig, broker, redis, clamd, sink, certificate)


@pytest.mark.parametrize("name", BODIES)
def test_a_message_arrives_byte_for_byte(cluster, name):
    recipient = f"{name.lower()}@elsewhere.example"
    cluster.send(recipient, BODIES[name])
    mail = wait_for(lambda: cluster.sink.find(recipient), 60, f"{recipient} has mail")
    body = mail[0].body
    assert body[re.match(rb"Received:.*\r\n(?:[ \t].*\r\n)*", body).end():] == HEADER + BODIES[name]


def test_a_virus_is_held_and_both_events_are_there(cluster):
    message_id = cluster.send("victim@elsewhere.example",
                              b"Subject: virus\r\n\r\n" + EICAR + b"\r\n")
    wait_for(lambda: sorted(cluster.events(message_id)) == ["accepted", "held"], 60, "both events")
    assert not cluster.sink.find("victim@elsewhere.example")
