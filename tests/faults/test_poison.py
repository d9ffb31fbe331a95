"""A message that ends the process which works on it is held in the end; all other mail goes on."""

import collections
import os
import subprocess

import pytest

import harness
from harness import ROOT, send, wait_for

OTHERS = 30


@pytest.fixture(scope="module")
def crash(tmp_path_factory):
    """A library that aborts the process at a marker in what a role writes."""
    library = tmp_path_factory.mktemp("crash") / "crash.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, ROOT / "tests/faults/marker.c", "-ldl"], check=True)
    return library


class Supervisor:
    """Starts it again whenever it has died."""

    def __init__(self, shout):
        self.shout, self.crashes, self.on_crash = shout, 0, lambda: None

    def __call__(self, condition, what):
        def check():
            if not self.shout.running():
                assert self.shout.process.returncode == -6, self.shout.log()[-4000:]
                self.crashes += 1
                self.on_crash()
                self.shout.start(wait=False)
                return False
            return condition()
        return wait_for(check, 90, what)


def mail(subject, text="nothing here"):
    return f"From: anna@customer.example\r\nSubject: {subject}\r\n\r\n{text}\r\n".encode()


def preloaded(rig, crash, certificate, redis, clamd, sink):
    shout = harness.Shout(rig.path("shout"), redis, clamd=clamd, route=sink.host, certificate=certificate)
    shout.env = {**os.environ, "LD_PRELOAD": str(crash), "ASAN_OPTIONS": "verify_asan_link_order=0"}
    return rig.add(shout)


def post_all(shout, account, role):
    """Others, and the poison among them; {subject: id}."""
    ids = {}
    with shout.smtp(account=account) as client:
        for number in range(OTHERS):
            subject = f"other {number}"
            ids[subject] = send(client, "anna@customer.example", "bob@elsewhere.example", mail(subject))
            if number == OTHERS // 2:
                ids["poison"] = send(client, "anna@customer.example", "eve@elsewhere.example",
                                     mail("poison", f"CRASH-THE-{role}"))
    return ids


def in_flight(redis, sink, ids):
    """Subjects that the sink has and the ledger does not."""
    wait_for(lambda: not sink.sessions, what="the sink has read all that was sent to it")
    ledger = redis.run("KEYS", "sent:*")
    return {m.header("Subject") for m in sink.find() if ids.get(m.header("Subject"), "") not in ledger}


@pytest.mark.parametrize("role, deferred", [("scanner", 0), ("sender", 0), ("sender", 1)])
def test_a_message_that_crashes_the_process_is_held(rig, crash, certificate, role, deferred):
    clamd, sink, redis = rig.clamd(), rig.sink(), rig.redis()
    shout, doubtful = preloaded(rig, crash, certificate, redis, clamd, sink), collections.Counter()
    sink.on("rcpt", "451 4.3.0 later", match="eve@", times=deferred)  # then it is a row that crashes
    account = shout.account_add(contact="admin@customer.example")
    clamd.stop()  # all of it waits, so that the first crash falls into company
    ids = post_all(shout, account, role)
    clamd.start()
    supervised, poison = Supervisor(shout), ids["poison"]
    supervised.on_crash = lambda: doubtful.update(in_flight(redis, sink, ids))
    supervised(lambda: shout.ready() and shout.events("held", poison), "the poison is held")
    supervised(lambda: len({m.header("Subject") for m in sink.find("bob@elsewhere.example")}) >= OTHERS,
               "all others arrive")
    assert 3 <= supervised.crashes <= 4  # the first one counts only when it met the poison alone
    event, = shout.events("held", poison)
    assert role in event.get("reason", "") + event.get("signature", "")
    copies = collections.Counter(m.header("Subject") for m in sink.find("bob@elsewhere.example"))
    assert set(copies) == set(ids) - {"poison"}
    assert all(count <= 1 + doubtful[subject] for subject, count in copies.items()), (copies, doubtful)
    assert not sink.find("eve@elsewhere.example")
    notice = supervised(lambda: sink.find("admin@customer.example"), "a notice")
    assert len(notice) == 1 and poison.encode() in notice[0].body
    supervised(lambda: shout.shoutctl("queue", "list", "--id", poison, "--state", "held")["total"] == 1,
               "the held row")
    shout.assert_no_sanitizer_report()
