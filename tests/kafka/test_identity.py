"""Two processes with one identity, as after copying a machine: nothing is lost, and it mends itself."""

import re
import shutil

import kafka
from harness import Shout, send, wait_for

MAIL = b"From: boss@customer.example\r\nTo: x@elsewhere.example\r\nSubject: mail\r\n\r\nGood morning.\r\n"
LAST_WORDS = "another process has this one's identity"


def identity(shout):
    return (shout.state_dir / "member").read_text()


def test_of_two_with_one_identity_the_former_ends_and_returns_as_another(rig, broker, certificate):
    redis, sink = rig.redis(), rig.sink()
    options = {"route": sink.host, "certificate": certificate, "settings": {"queue": broker.queue()}}
    control, sender, copy, scanner, ingress = (
        Shout(rig.path(name), redis, role=role, **options)
        for name, role in (("control", "control"), ("sender", "sender"), ("copy", "sender"),
                           ("scanner", "scanner"), ("ingress", "ingress")))
    kafka.topics(control.file)
    for shout in (control, sender, scanner, ingress):
        rig.add(shout)
    account = control.account_add()
    shared = identity(sender)

    copy.state_dir.mkdir()
    shutil.copy(sender.state_dir / "member", copy.state_dir / "member")
    with ingress.smtp("starttls", account) as client:
        for number in range(20):
            send(client, "boss@customer.example", f"n{number}@elsewhere.example", MAIL)
            if number == 10:
                copy.start(wait=False)
                rig.started.append(copy)
    assert sender.process.wait(60) == 1
    assert re.search(rf"{LAST_WORDS}.*{shared}", sender.log())
    assert not (sender.state_dir / "member").exists()
    sender.start()
    assert identity(sender) != shared
    wait_for(lambda: copy.ready() and sender.ready(), 60, "both are ready")
    for number in range(20):
        wait_for(lambda to=f"n{number}@elsewhere.example": sink.find(to), 60, f"mail {number} arrives")
    assert len(re.findall(LAST_WORDS, sender.log() + copy.log())) == 1
