"""An operator of a cluster, at night: see tests/e2e/test_incidents.py."""

import kafka
from console import Console
from harness import Shout


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
