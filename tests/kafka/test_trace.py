"""The trace of a cluster: each control process makes a copy of its own from all partitions of mail.events. What is
deleted or killed is made anew, and a disk that is full stops the trace of that process and nothing else."""

import contextlib
import shutil
import sqlite3
import subprocess

import pytest

import kafka
from harness import Shout, send, wait_for

BODY = b"From: a@customer.example\r\nSubject: x\r\n\r\nx\r\n"


class Cluster:
    def __init__(self, rig, broker, redis, clamd, sink, certificate):
        options = {"route": sink.host, "certificate": certificate, "clamd": clamd, "settings": {"queue": broker.queue()}}
        self.relay = Shout(rig.path("relay"), redis, **options)
        self.small = Shout(rig.path("control"), redis, role="control", disk="24m", **options)
        kafka.topics(self.relay.file)
        for process in (self.relay, self.small):
            rig.add(process)
        self.account = self.relay.account_add()
        self.sent = []

    def post(self, count):
        with self.relay.smtp("plain", self.account) as client:
            made = [send(client, "a@customer.example", [f"b{i}@dest.example"], BODY) for i in range(count)]
        self.sent += made
        return made

    def knows(self, process, messages):
        """Whether that process's trace has them, delivered."""
        with contextlib.suppress(AssertionError):
            found = process.shoutctl("trace", "--state", "delivered", "--limit", "1000")["messages"]
            return {one["id"] for one in found} >= set(messages)


def rows(directory):
    found = {}
    for file in sorted(directory.glob("*.db")):
        with contextlib.closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as connection:
            for table in ("message", "recipient", "event"):
                found[file.name, table] = connection.execute(f"SELECT * FROM {table} ORDER BY 1, 2").fetchall()
    return found


@pytest.fixture(scope="module")
def cluster(module_rig, broker, redis, clamd, sink, certificate):
    return Cluster(module_rig, broker, redis, clamd, sink, certificate)


def test_each_control_has_a_copy_of_its_own(cluster):
    sent = cluster.post(40)
    for process in (cluster.relay, cluster.small):
        wait_for(lambda process=process: cluster.knows(process, sent), 90, "both know all")
    one, other = (process.shoutctl("trace", "--limit", "1000")["messages"] for process in (cluster.relay, cluster.small))
    assert one == other and len(one) == 40
    for message in sent[:3]:
        assert cluster.relay.shoutctl("trace", "--id", message) == cluster.small.shoutctl("trace", "--id", message)


def test_what_is_deleted_or_killed_is_made_anew(cluster):
    trace = cluster.relay.state_dir / "trace"
    before = rows(trace)
    shutil.rmtree(trace)
    wait_for(lambda: rows_or_none(trace) == before, 90, "made anew from the partitions")
    for _ in range(2):
        cluster.relay.kill()
        cluster.relay.start()
        sent = cluster.post(20)
    wait_for(lambda: cluster.knows(cluster.relay, cluster.sent), 90, "nothing is lost")
    found = cluster.relay.shoutctl("trace", "--limit", "1000")["messages"]
    assert len(found) == len({one["id"] for one in found}) == len(cluster.sent) and set(sent) <= set(cluster.sent)


def rows_or_none(directory):
    with contextlib.suppress(sqlite3.Error, OSError):
        return rows(directory)


def test_a_full_disk_stops_that_trace_alone_and_it_goes_on(cluster):
    full = cluster.small.disk() / "full"
    with contextlib.suppress(OSError), open(full, "wb") as file:
        while True:
            file.write(b"x" * 65536)
    wait_for(lambda: "trace: degraded: the disk is nearly full" in cluster.small.get("/readyz")[1], 60)
    sent = cluster.post(20)
    wait_for(lambda: cluster.knows(cluster.relay, sent), 60, "the relay and the other trace go on")
    assert not cluster.knows(cluster.small, sent)
    assert "events cannot be kept now" in cluster.small.log()
    subprocess.run(["rm", full], check=True)
    wait_for(lambda: cluster.knows(cluster.small, cluster.sent), 90, "it goes on where it was")
    wait_for(lambda: "trace: ready" in cluster.small.get("/readyz")[1], 60)
