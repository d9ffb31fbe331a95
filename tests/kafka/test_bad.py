"""A record that nobody can read, written to mail.inbound by somebody else."""

import subprocess

import kafka
from harness import Shout, send, wait_for

MAIL = b"From: boss@customer.example\r\nTo: x@elsewhere.example\r\nSubject: mail\r\n\r\nGood morning.\r\n"


def test_what_could_not_be_read_is_listed_shown_and_removed(rig, broker, certificate):
    redis, sink = rig.redis(), rig.sink()
    shout = Shout(rig.path("shout"), redis, route=sink.host, certificate=certificate,
                  settings={"queue": broker.queue(partitions=1)})
    kafka.topics(shout.file)
    subprocess.run(kafka.java("128m", "org.apache.kafka.tools.ConsoleProducer", "--bootstrap-server", broker.address,
                              "--topic", "mail.inbound"), input=b"poison\n", check=True, timeout=60)
    rig.add(shout)
    bad, = wait_for(lambda: shout.shoutctl("queue", "bad")["bad"], 60)
    assert bad == {"key": b"mail.inbound/0-0".hex(), "table": "mail.inbound", "size": 6}
    listed = subprocess.run([f"{shout.command[0]}ctl", "-c", shout.file, "queue", "bad"], capture_output=True,
                            text=True, timeout=60, check=True)
    assert "1 of 1 set aside on shout.test" in listed.stdout
    wait_for(lambda: shout.metric("shout_queue_bad") == 1)
    assert shout.shoutctl("queue", "bad", "show", bad["key"]) == {**bad, "value": b"poison".hex()}

    with shout.smtp("starttls", shout.account_add()) as client:
        send(client, "boss@customer.example", "x@elsewhere.example", MAIL)
    wait_for(lambda: sink.find("x@elsewhere.example"), 60, "the mail behind it arrives")
    assert shout.stop() == 0
    shout.restart()
    assert shout.shoutctl("queue", "bad")["total"] == 1
    shout.shoutctl("queue", "bad", "remove", bad["key"])
    assert shout.shoutctl("queue", "bad")["bad"] == []
