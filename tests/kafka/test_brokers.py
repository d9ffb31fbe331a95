"""What ingress answers while brokers die: 250 means durable, and 451 comes in time."""

import smtplib
import subprocess
import threading

import pytest

import kafka
from harness import Shout, make_certificate, send, wait_for

BODY = (b"From: Boss <boss@customer.example>\r\nTo: friend@elsewhere.example\r\n"
        b"Date: Tue, 24 Nov 2026 04:00:00 +0100\r\nMessage-ID: <1@customer.example>\r\n\r\nhello\r\n")


class Door:
    """Control and ingress: mail goes as far as mail.inbound."""

    def __init__(self, rig, brokers, redis, certificate, **queue):
        self.brokers = brokers
        self.control, self.ingress = (
            Shout(rig.path(role), redis, certificate=certificate, role=role,
                  settings={"queue": brokers.queue(**queue)}) for role in ("control", "ingress"))
        kafka.topics(self.control.file)
        rig.add(self.control)
        self.account = self.control.account_add()
        rig.add(self.ingress)

    def send(self):
        with self.ingress.smtp("starttls", self.account) as client:
            return send(client, "boss@customer.example", "friend@elsewhere.example", BODY)

    def inbound(self):
        """How many records mail.inbound has taken; an answer that was lost may have left one more."""
        return sum(self.brokers.offsets("mail.inbound").values())


@pytest.fixture(scope="module")
def door(module_rig, brokers, redis, certificate):
    return Door(module_rig, brokers, redis, certificate)


def test_mail_is_taken_while_the_leader_dies(door):
    accepted, refused = [], []
    stop = threading.Event()

    def load():
        while not stop.is_set():
            try:
                accepted.append(door.send())
            except (AssertionError, smtplib.SMTPException, OSError) as error:
                refused.append(error)

    thread = threading.Thread(target=load)
    thread.start()
    wait_for(lambda: len(accepted) > 50, 60, "mail is taken")
    leader = door.brokers.leader("mail.inbound")
    leader.kill()
    before = len(accepted)
    wait_for(lambda: len(accepted) > before + 50, 90, "mail is taken again")
    stop.set()
    thread.join(60)
    leader.start(deadline=90)
    assert len(set(accepted)) == len(accepted) <= door.inbound()
    assert all("451" in str(error) for error in refused), refused


def test_one_broker_of_three_takes_nothing_and_says_451(door):
    door.send()
    first, second, _ = door.brokers.brokers
    first.kill()
    second.kill()
    try:
        with pytest.raises(AssertionError, match="451"):
            door.send()
    finally:
        first.start(wait=False)
        second.start(wait=False)

    def taken():
        try:
            return door.send()
        except AssertionError as error:
            assert "451" in str(error)
    wait_for(taken, 120, "mail is taken again")


def test_a_broker_that_hangs_is_451_and_counted_and_what_is_asked_may_still_be_done(rig, certificate):
    broker = rig.add(kafka.Kafka(rig.path("kafka")))
    door = Door(rig, broker, rig.redis(), certificate)
    door.send()
    with broker.brokers[0].paused():
        with pytest.raises(AssertionError, match="451"):
            door.send()
        with pytest.raises(AssertionError, match="may still take effect"):
            door.control.account_add("late", "late.example")
    assert door.ingress.metric("shout_queue_unknown_total", 'topic="mail.inbound"') == 1
    wait_for(lambda: door.inbound() == 2, 60, "the record is durable after its 451")
    wait_for(lambda: len(door.control.shoutctl("account", "list")["accounts"]) == 2, 60, "so is the account")


def test_brokers_are_reached_by_tls_and_password(rig, certificate):
    directory = rig.path("store")
    directory.mkdir()
    cert, key = make_certificate(directory, names=("127.0.0.1", "localhost"))
    pem = directory / "broker.pem"
    pem.write_text(key.read_text() + cert.read_text())
    jaas = ("org.apache.kafka.common.security.plain.PlainLoginModule required username=shout password=secret "
            "user_shout=secret;")
    broker = rig.add(kafka.Kafka(
        rig.path("kafka"), security="SASL_SSL",
        settings={"ssl.keystore.type": "PEM", "ssl.keystore.location": pem,
                  "ssl.truststore.type": "PEM", "ssl.truststore.location": cert,
                  "ssl.endpoint.identification.algorithm": "",
                  "sasl.enabled.mechanisms": "PLAIN",
                  "sasl.mechanism.inter.broker.protocol": "PLAIN",
                  "listener.name.client.plain.sasl.jaas.config": jaas}))
    secure = {"tls": True, "ca": str(cert),
              "sasl": {"mechanism": "PLAIN", "username": "shout", "password": "secret"}}
    door = Door(rig, broker, rig.redis(), certificate, **secure)
    assert door.send()
    door.ingress.settings["queue"]["sasl"]["password"] = "wrong"
    door.ingress.write()
    done = subprocess.run([*map(str, door.ingress.command[:1]), "topics", "-c", door.ingress.file],
                          capture_output=True, text=True, timeout=120)
    assert done.returncode == 1
