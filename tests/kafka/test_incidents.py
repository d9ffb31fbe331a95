"""An operator of a cluster, at night: see tests/e2e/test_incidents.py."""

import pytest

import kafka
import readme
from console import Console
from harness import Shout, send, wait_for


def test_a_dead_broker_is_named(rig, certificate):
    brokers = rig.add(kafka.Kafka(rig.path("kafka")))
    shout = Shout(rig.path("shout"), rig.redis(), certificate=certificate, settings={
        "queue": brokers.queue(), "log": {"level": "info"}, "scanner": {"enabled": False}})
    kafka.topics(shout.file)
    rig.add(shout)
    brokers.brokers[0].kill()
    console = Console(shout)
    try:
        console.finds(("curl -s $page/readyz", "queue: degraded", f"the brokers ({brokers.address}) do not answer",
                       "new mail is refused (451)"))
    finally:
        brokers.start()
    console.look("curl -s $page/readyz", ["queue: ready"])


def test_the_commands_of_the_page_show_a_lost_broker(rig, certificate):
    """docs/disasters.md: one of three, and then two."""
    [commands] = [lines for title, mark, lines in readme.blocks("docs/disasters.md") if mark == "cluster"]
    assert len(commands) == 3
    brokers = rig.add(kafka.Kafka(rig.path("kafka"), brokers=3))
    sink = rig.sink()
    shout = Shout(rig.path("shout"), rig.redis(), certificate=certificate, route=sink.host, settings={
        "queue": brokers.queue(), "log": {"level": "info"}, "scanner": {"enabled": False}})
    kafka.topics(shout.file)
    rig.add(shout)
    account = shout.account_add()
    console = Console(shout)
    console.write("kafka-topics.sh", *kafka.java("128m", "org.apache.kafka.tools.TopicCommand"))
    for there, here in ("http://127.0.0.1:9090", "$page"), ("kafka1.provider.example:9093", brokers.brokers[0].address):
        commands = [command.replace(there, here) for command in commands]

    def submit(recipient):
        with shout.smtp("starttls", account=account) as client:
            return send(client, "boss@customer.example", recipient, b"From: boss@customer.example\r\n\r\nHello.\r\n")

    def looks(*shown):
        for command, words in zip(commands, shown, strict=True):
            console.look(command, words)
    brokers.brokers[1].kill()
    mail = submit("one@elsewhere.example")
    wait_for(lambda: sink.find("one@elsewhere.example"), what=f"{mail} is delivered with two brokers")
    looks(["queue: ready"], ["Topic: mail.inbound", "Isr: "], [])
    brokers.brokers[2].kill()
    with pytest.raises(AssertionError, match=r"^\(451, "):
        wait_for(lambda: not submit("two@elsewhere.example"), 120)
    for broker in brokers.brokers[1:]:
        broker.start(wait=False)
    wait_for(shout.ready, 120, "all is well again")
    submit("three@elsewhere.example")
    wait_for(lambda: sink.find("three@elsewhere.example"), 60, "mail flows")
